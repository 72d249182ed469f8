/**
 * reloader: watches configuration and rule files and makes Prometheus load them. Layer 6.
 *
 * Knows no process and no file events of its own: both are injected. Main type: Reloader.
 */
export * from "./inputs.ts";
export * from "./metrics.ts";
export * from "./reloader.ts";
export * from "./trigger.ts";
