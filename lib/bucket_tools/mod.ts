/**
 * bucket_tools: what `tools bucket` does with a bucket. Layer 7.
 *
 * readMetas() and printBlocks() list, printTable() inspects, verifyBucket() checks.
 */
export * from "./inspect.ts";
export * from "./list.ts";
export * from "./verify_bucket.ts";
