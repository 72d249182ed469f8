/** Flags of the store gateway, under Thanos' names of today and of v0.26. */
import { flag } from "../lib/config/mod.ts";
import { objstoreFlags, serverFlags } from "./flags_common.ts";

const NOT_YET = "it is not supported yet";

export const storeFlags = {
  ...serverFlags,
  ...objstoreFlags,
  parquetObjstore: flag.pathOrContent(
    "objstore-parquet.config",
    "YAML file that contains the configuration of an object store with Parquet files.",
    { secret: true, noEffect: NOT_YET },
  ),
  dataDir: flag.path(
    "data-dir",
    "./data",
    "Local data directory used for caching purposes (index-header, in-mem cache items and meta.jsons). If removed, no data will be lost, just store will have to rebuild the cache. NOTE: Putting raw blocks here will not cause the store to read them. For such use cases use Prometheus + sidecar. Ignored if --no-cache-index-header option is specified.",
  ),
  cacheIndexHeader: flag.bool(
    "cache-index-header",
    true,
    "Cache TSDB index-headers on disk to reduce startup time. When set to true, Thanos Store will download index headers from remote object storage on startup and create a header file on disk. Use --data-dir to set the directory in which index headers will be downloaded.",
  ),
  indexCacheSize: flag.size(
    "index-cache-size",
    "250MB",
    "Maximum size of items held in the in-memory index cache.",
  ),
  indexCache: flag.pathOrContent(
    "index-cache.config",
    "YAML file that contains index cache configuration.",
    { noEffect: `${NOT_YET}; --index-cache-size sets the in-memory cache` },
  ),
  cachingBucket: flag.pathOrContent(
    "store.caching-bucket.config",
    "YAML that contains configuration for caching bucket.",
    { hidden: true, noEffect: NOT_YET },
  ),
  chunkPoolSize: flag.size(
    "chunk-pool-size",
    "2GB",
    "Maximum size of concurrently allocatable bytes reserved strictly to reuse for chunks in memory.",
    { noEffect: "memory of chunks is bounded for each request instead" },
  ),
  limitSeries: flag.uint(
    "store.limits.request-series",
    "0",
    "The maximum series allowed for a single Series request. The Series call fails if this limit is exceeded. 0 means no limit.",
    { aliases: ["store.grpc.touched-series-limit"] },
  ),
  limitSamples: flag.uint(
    "store.limits.request-samples",
    "0",
    "The maximum samples allowed for a single Series request, The Series call fails if this limit is exceeded. 0 means no limit. NOTE: For efficiency the limit is internally implemented as 'chunks limit' considering each chunk contains a maximum of 120 samples.",
    { aliases: ["store.grpc.series-sample-limit"] },
  ),
  limitBytes: flag.size(
    "store.grpc.downloaded-bytes-limit",
    "0",
    "Maximum amount of downloaded (either fetched or touched) bytes in a single Series/LabelNames/LabelValues call. The Series call fails if this limit is exceeded. 0 means no limit.",
  ),
  maxConcurrency: flag.int(
    "store.grpc.series-max-concurrency",
    "20",
    "Maximum number of concurrent Series calls.",
  ),
  syncInterval: flag.goDuration(
    "sync-block-duration",
    "15m",
    "Repeat interval for syncing the blocks between local and remote view.",
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
    "Number of goroutines to use when constructing index-cache.json blocks from object storage. Must be equal or greater than 1.",
  ),
  metaConcurrency: flag.int(
    "block-meta-fetch-concurrency",
    "32",
    "Number of goroutines to use when fetching block metadata from object storage.",
  ),
  minTime: flag.timeOrDuration(
    "min-time",
    "0000-01-01T00:00:00Z",
    "Start of time range limit to serve. Thanos Store will serve only metrics, which happened later than this value. Option can be a constant time in RFC3339 format or time duration relative to current time, such as -1d or 2h45m. Valid duration units are ms, s, m, h, d, w, y.",
  ),
  maxTime: flag.timeOrDuration(
    "max-time",
    "9999-12-31T23:59:59Z",
    "End of time range limit to serve. Thanos Store will serve only blocks, which happened earlier than this value. Option can be a constant time in RFC3339 format or time duration relative to current time, such as -1d or 2h45m. Valid duration units are ms, s, m, h, d, w, y.",
  ),
  relabel: flag.pathOrContent(
    "selector.relabel-config",
    "YAML file with relabeling configuration that allows selecting blocks to act on based on their external labels.",
    { noEffect: `${NOT_YET}; all blocks are served` },
  ),
  consistencyDelay: flag.duration(
    "consistency-delay",
    "0s",
    "Minimum age of all blocks before they are being read. Set it to safe value (e.g 30m) if your object storage is eventually consistent.",
  ),
  ignoreDeletionMarksDelay: flag.duration(
    "ignore-deletion-marks-delay",
    "24h",
    "Duration after which the blocks marked for deletion will be filtered out while fetching blocks.",
  ),
  lazyReader: flag.bool(
    "store.enable-index-header-lazy-reader",
    false,
    "If true, Store Gateway will lazy memory map index-header only once the block is required by a query.",
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
    "Controls what is the ratio of postings offsets store will hold in memory.",
    { hidden: true, noEffect: "every 32nd offset is held" },
  ),
  lazyPostings: flag.bool(
    "store.enable-lazy-expanded-postings",
    false,
    "If true, Store Gateway will estimate postings size and try to lazily expand postings if it downloads less data than expanding all postings.",
    { noEffect: "costly postings are always left out where matching series costs less" },
  ),
  postingRatio: flag.float(
    "store.posting-group-max-key-series-ratio",
    "100",
    "Mark posting group as lazy if it fetches more keys than R * max series the query should fetch.",
    { noEffect: "costly postings are always left out where matching series costs less" },
  ),
  matcherCacheSize: flag.int(
    "matcher-cache-size",
    "0",
    "Max number of cached matchers items. Using 0 disables caching.",
    { noEffect: "matchers are compiled for each request" },
  ),
  batchSeries: flag.int(
    "debug.series-batch-size",
    "10000",
    "The batch size when fetching series from TSDB blocks.",
    { hidden: true },
  ),
  seriesEstimate: flag.uint(
    "debug.estimated-max-series-size",
    "65536",
    "Estimated max series size in bytes.",
    { hidden: true },
  ),
  chunkEstimate: flag.uint(
    "debug.estimated-max-chunk-size",
    "16000",
    "Estimated max chunk size in bytes.",
    { hidden: true },
  ),
  advertiseCompatibilityLabel: flag.bool(
    "debug.advertise-compatibility-label",
    true,
    "Advertise the compatibility label of old queriers.",
    { hidden: true, noEffect: "no supported querier needs it" },
  ),
  webDisable: flag.bool("web.disable", false, "Disable Block Viewer UI."),
  externalPrefix: flag.string(
    "web.external-prefix",
    "",
    "Static prefix for all HTML links and redirect URLs in the bucket web UI interface.",
    { noEffect: "there are no pages yet" },
  ),
  prefixHeader: flag.string(
    "web.prefix-header",
    "",
    "Name of HTTP request header used for dynamic prefixing of UI links and redirects.",
    { noEffect: "there are no pages yet" },
  ),
  disableCors: flag.bool(
    "web.disable-cors",
    false,
    "Whether to disable CORS headers to be set by Thanos. By default Thanos sets CORS headers to be allowed by all.",
  ),
  bucketWebLabel: flag.string(
    "bucket-web-label",
    "",
    "External block label to use as group title in the bucket web UI.",
  ),
  disableAdminOperations: flag.bool(
    "disable-admin-operations",
    false,
    "Disable UI/API admin operations like marking blocks for deletion and no compaction.",
  ),
} as const;
