/**
 * storeapi: the Store API — its values, wire form, client, server and merging. Layer 4.
 *
 * Everything that has series is a Store. RemoteStore asks one over gRPC, storeService() serves one,
 * mergeSeries() joins sorted frames of many. No implementation of a Store with data lives here.
 */
export * from "./catalog.ts";
export * from "./catalog_types.ts";
export { fetchInfo, RemoteStore, REQUEST_ID_METADATA, TENANT_METADATA } from "./client.ts";
export * from "./descriptors.ts";
export * from "./proxy.ts";
export { canMatch } from "./proxy_select.ts";
export * from "./query_api.ts";
export * from "./series_merge.ts";
export * from "./server.ts";
export * from "./shard.ts";
export * from "./store.ts";
export * from "./types.ts";
export * from "./wire_info.ts";
export * from "./wire_remote.ts";
export type { SampledSeries } from "./wire_samples.ts";
export * from "./wire_store.ts";
