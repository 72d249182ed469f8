/**
 * telemetry: how a component reports about itself. Layer 1.
 *
 * Logs, metrics, traces, probes and build facts; all passed down by constructor, nothing global.
 * Main types: Logger, Metrics, Counter, Gauge, Observer, Probe, BuildInfo, Tracer.
 */
export * from "./build_info.ts";
export * from "./logger.ts";
export * from "./metrics.ts";
export * from "./probe.ts";
export * from "./trace.ts";
