/**
 * block: blocks as they live in a bucket. Layer 5; imports base, model, chunks, objstore, tsdb.
 *
 * Main types: MetaFetcher and the filters (which blocks there are), the marker files, uploadBlock(),
 * downloadBlock(), deleteBlock(), verifyBlock().
 */
export * from "./fetcher.ts";
export * from "./filters.ts";
export * from "./listing.ts";
export * from "./markers.ts";
export * from "./meta_cache.ts";
export * from "./metrics.ts";
export * from "./transfer.ts";
export * from "./verify.ts";
