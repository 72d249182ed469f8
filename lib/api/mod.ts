/**
 * api: HTTP applications. Layer 8.
 *
 * `createApp` is the base of every server (ids, metrics, gzip, CORS, errors, probes); each `api_*`
 * file adds one group of routes. No state of its own.
 */
export * from "./api_blocks.ts";
export * from "./api_metadata.ts";
export * from "./api_query.ts";
export * from "./api_status.ts";
export * from "./app.ts";
export * from "./compress.ts";
export * from "./debug.ts";
export * from "./encode_result.ts";
export * from "./envelope.ts";
export * from "./http_metrics.ts";
export * from "./label_name.ts";
export * from "./pages.ts";
export * from "./params.ts";
export * from "./probe.ts";
export * from "./query_settings.ts";
export * from "./request_log.ts";
export * from "./route.ts";
export * from "./tenant.ts";
