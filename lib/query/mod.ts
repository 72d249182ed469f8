/**
 * query: from stores to an engine. Layer 6.
 *
 * The endpoint set (who is there, what they offer, how they are), the storage adapter that puts
 * the proxy and deduplication behind the engine's port, and the choice of resolution.
 */
export * from "./active_queries.ts";
export * from "./block_storage.ts";
export * from "./catalog_merge.ts";
export * from "./catalog_proxy.ts";
export * from "./coarser_store.ts";
export * from "./client_settings.ts";
export * from "./component_info.ts";
export * from "./discovery.ts";
export * from "./distribute.ts";
export * from "./distribute_plan.ts";
export * from "./endpoint_config.ts";
export * from "./endpoint_metrics.ts";
export * from "./endpoint_client.ts";
export * from "./endpoint_set.ts";
export * from "./fetched_series.ts";
export * from "./packed_chunks.ts";
export * from "./endpoint_sources.ts";
export * from "./file_sd.ts";
export * from "./proxy_metrics.ts";
export * from "./querier.ts";
export * from "./query_gate.ts";
export * from "./query_recorder.ts";
export * from "./query_runner.ts";
export * from "./query_service.ts";
export * from "./query_telemetry.ts";
export * from "./resolution.ts";
export * from "./storage_adapter.ts";
export * from "./stretches.ts";
export * from "./tenancy.ts";
