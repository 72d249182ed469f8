/**
 * store: Stores with data — the store gateway over a bucket, a Prometheus behind the Store API.
 * Layer 6; imports base, model, telemetry, chunks, objstore, rpc, tsdb, storeapi, block.
 *
 * Main types: BucketStore, HeaderPool, MemoryIndexCache, StoreMetrics.
 */
export * from "./block_catalog.ts";
export * from "./block_statistics.ts";
export * from "./bucket_store.ts";
export * from "./cache/cache_config.ts";
export * from "./cache/cache_metrics.ts";
export * from "./cache/index_cache.ts";
export * from "./header_pool.ts";
export * from "./limits.ts";
export * from "./memory_budget.ts";
export * from "./store_metrics.ts";
export * from "./prometheus_catalog.ts";
export * from "./prometheus_client.ts";
export * from "./prometheus_contact.ts";
export * from "./prometheus_metrics.ts";
export * from "./prometheus_state.ts";
export * from "./prometheus_store.ts";
