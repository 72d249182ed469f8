/** Flags of the store gateway, under Thanos' names of today and of v0.26. */
import { flag } from "../lib/config/mod.ts";
import { objstoreFlags, serverFlags } from "./flags_common.ts";

const NOT_YET = "it is not supported yet";

export const storeFlags = {
  ...serverFlags,
  ...objstoreFlags,
  parquetObjstore: flag.pathOrContent(
    "objstore-parquet.config",
    "YAML document that describes the bucket of Parquet files.",
    { secret: true, noEffect: NOT_YET },
  ),
  dataDir: flag.path(
    "data-dir",
    "./data",
    "Folder for index headers and copies of meta.json. It is a cache: when removed, it is built again. Blocks put here are not served. Unused with --no-cache-index-header.",
  ),
  cacheIndexHeader: flag.bool(
    "cache-index-header",
    true,
    "Keep index headers on disk, under --data-dir, so that a restart need not build them again; without it they are kept in memory.",
  ),
  indexCacheSize: flag.size(
    "index-cache-size",
    "250MB",
    "Size of the in-memory index cache, used without --index-cache.config.",
  ),
  indexCache: flag.pathOrContent(
    "index-cache.config",
    "YAML document that describes the index cache: type IN-MEMORY, MEMCACHED or REDIS.",
    { secret: true },
  ),
  cachingBucket: flag.pathOrContent(
    "store.caching-bucket.config",
    "YAML document that describes the cache before the bucket, for parts of chunk files, metas and listings: type IN-MEMORY, MEMCACHED or REDIS.",
    { hidden: true, secret: true },
  ),
  chunkPoolSize: flag.size(
    "chunk-pool-size",
    "2GB",
    "Memory that chunks of all running requests may take; beyond it requests fail. 0 means no limit. See also --store.memory-budget.",
  ),
  limitSeries: flag.uint(
    "store.limits.request-series",
    "0",
    "Most series that one request may select; beyond it the request fails. 0 means no limit.",
    { aliases: ["store.grpc.touched-series-limit"] },
  ),
  limitSamples: flag.uint(
    "store.limits.request-samples",
    "0",
    "Most samples that one request may select, counted as chunks of 120; beyond it the request fails. 0 means no limit.",
    { aliases: ["store.grpc.series-sample-limit"] },
  ),
  limitBytes: flag.size(
    "store.grpc.downloaded-bytes-limit",
    "0",
    "Most bytes of postings, series and chunks that one request may use; beyond it the request fails. 0 means no limit.",
  ),
  memoryBudget: flag.size(
    "store.memory-budget",
    "0",
    "Memory that the process may take. Requests that would lead beyond it fail and say what to narrow; others wait while little is left. It must hold the index cache, too. 0 means no limit.",
  ),
  warnUnreadable: flag.bool(
    "store.warn-unreadable-blocks",
    true,
    "Warn in answers that a block which may hold data of their time has a meta.json that cannot be read.",
  ),
  maxConcurrency: flag.int(
    "store.grpc.series-max-concurrency",
    "20",
    "Most Series calls at once; others wait. 0 means no limit.",
  ),
  syncInterval: flag.goDuration(
    "sync-block-duration",
    "15m",
    "Time between two looks at what blocks the bucket holds.",
  ),
  discoveryStrategy: flag.oneOf(
    ["concurrent", "recursive"],
    "block-discovery-strategy",
    "concurrent",
    "How blocks are found in the bucket. Both strategies list it once, which takes the fewest requests.",
  ),
  syncConcurrency: flag.int(
    "block-sync-concurrency",
    "20",
    "Blocks loaded at once, at least 1.",
  ),
  metaConcurrency: flag.int(
    "block-meta-fetch-concurrency",
    "32",
    "Files meta.json fetched at once, at least 1.",
  ),
  minTime: flag.timeOrDuration(
    "min-time",
    "0000-01-01T00:00:00Z",
    "Serve nothing before this: an RFC 3339 time, or a duration relative to now such as -30d.",
  ),
  maxTime: flag.timeOrDuration(
    "max-time",
    "9999-12-31T23:59:59Z",
    "Serve nothing after this: an RFC 3339 time, or a duration relative to now such as -2h.",
  ),
  relabel: flag.pathOrContent(
    "selector.relabel-config",
    "YAML document with relabel rules (actions keep, drop and hashmod) on external labels and __block_id that select the blocks to serve.",
  ),
  consistencyDelay: flag.duration(
    "consistency-delay",
    "0s",
    "Serve blocks only this long after their upload, for buckets that show objects late.",
  ),
  ignoreDeletionMarksDelay: flag.duration(
    "ignore-deletion-marks-delay",
    "24h",
    "Blocks marked for deletion are served this long after they were marked.",
  ),
  lazyReader: flag.bool(
    "store.enable-index-header-lazy-reader",
    false,
    "Open index headers when a query needs them.",
    { noEffect: "index headers are always opened when a query needs them" },
  ),
  lazyReaderIdle: flag.goDuration(
    "store.index-header-lazy-reader-idle-timeout",
    "5m",
    "Index headers that no query used for this long are closed.",
    { hidden: true },
  ),
  headerStrategy: flag.oneOf(
    ["eager", "lazy"],
    "store.index-header-lazy-download-strategy",
    "lazy",
    "When index headers are built from the bucket: when a block appears (eager) or when a query first needs it (lazy).",
  ),
  postingSampling: flag.int(
    "store.index-header-posting-offsets-in-mem-sampling",
    "32",
    "How many posting offsets stand between two that are held in memory.",
    { hidden: true },
  ),
  lazyPostings: flag.bool(
    "store.enable-lazy-expanded-postings",
    false,
    "Leave out postings whose size costs more than trying the matchers on the series that are left. Labels with very many values are always left out where that costs less.",
  ),
  postingRatio: flag.float(
    "store.posting-group-max-key-series-ratio",
    "100",
    "With lazy expanded postings, leave out labels with more matching values than this many times the series expected. 0 means no such limit.",
  ),
  matcherCacheSize: flag.int(
    "matcher-cache-size",
    "0",
    "Compiled matchers to cache; 0 for none.",
    { noEffect: "matchers are compiled for each request" },
  ),
  batchSeries: flag.int(
    "debug.series-batch-size",
    "10000",
    "Most series read from a block at once.",
    { hidden: true },
  ),
  seriesEstimate: flag.uint(
    "debug.estimated-max-series-size",
    "65536",
    "Bytes that a series entry of an index is thought to take at most.",
    { hidden: true },
  ),
  chunkEstimate: flag.uint(
    "debug.estimated-max-chunk-size",
    "16000",
    "Bytes that a chunk is thought to take at most.",
    { hidden: true },
  ),
  advertiseCompatibilityLabel: flag.bool(
    "debug.advertise-compatibility-label",
    true,
    "Announce the label that old queriers look for.",
    { hidden: true, noEffect: "no supported querier needs it" },
  ),
  webDisable: flag.bool(
    "web.disable",
    false,
    "Serve no web pages and no list of blocks over HTTP.",
  ),
  externalPrefix: flag.string(
    "web.external-prefix",
    "",
    "Path put before the links of pages.",
  ),
  prefixHeader: flag.string(
    "web.prefix-header",
    "",
    "Request header that holds the path to put before the links of pages.",
  ),
  disableCors: flag.bool(
    "web.disable-cors",
    false,
    "Send no headers that allow pages of other sites to read the API.",
  ),
  bucketWebLabel: flag.string(
    "bucket-web-label",
    "",
    "External label that titles groups of blocks on the page.",
  ),
  disableAdminOperations: flag.bool(
    "disable-admin-operations",
    false,
    "Refuse to mark blocks for deletion or against compaction over HTTP.",
  ),
} as const;
