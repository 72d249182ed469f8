/**
 * objstore: buckets of object storage. Layer 3; imports base and, for configuration, config.
 *
 * Main types: Bucket (the interface), FilesystemBucket, MemoryBucket, prefixBucket(); RemoteBucket
 * with one driver per provider behind a network, loaded when opened. Every bucket passes the suite
 * in acceptance.ts.
 */
export { readAll, streamOf } from "./body.ts";
export * from "./bucket.ts";
export * from "./bucket_filesystem.ts";
export * from "./bucket_memory.ts";
export * from "./bucket_metered.ts";
export * from "./bucket_prefixed.ts";
export { checkObjectName } from "./object_name.ts";
export { NO_FOLDER, openBucket, type OpenBucketOptions } from "./open.ts";
