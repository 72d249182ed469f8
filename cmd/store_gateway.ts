/** The parts of the store gateway, put together from its flags. */
import { errorMessage } from "../lib/base/mod.ts";
import {
  consistencyDelayFilter,
  DeletionMarkFilter,
  DuplicateFilter,
  fetcherMetrics,
  labelShardFilter,
  MetaCache,
  MetaFetcher,
  timePartitionFilter,
} from "../lib/block/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { EMPTY_LABELS, parseRelabelRules, relabel } from "../lib/model/mod.ts";
import type { Bucket } from "../lib/objstore/mod.ts";
import {
  BucketStore,
  budgetOfProcess,
  type CacheEnv,
  CacheMetrics,
  ChunkMemory,
  HeaderPool,
  type IndexCache,
  MemoryBudget,
  openCachingBucket,
  openIndexCache,
  plainIndexCache,
  StoreMetrics,
} from "../lib/store/mod.ts";
import { SystemFiles } from "../lib/tsdb/mod.ts";
import { type CommandEnv, processHost } from "./command.ts";
import type { storeFlags } from "./store_flags.ts";

type Config = ConfigOf<typeof storeFlags>;

/** What relabel rules that select blocks may do. */
const SELECTOR_ACTIONS = ["keep", "drop", "hashmod"] as const;

/** Puts the store gateway together. */
export async function makeStore(
  config: Config,
  env: CommandEnv,
  bucket: Bucket,
  dataDirectory: string | undefined,
): Promise<BucketStore> {
  const { clock, logger } = env;
  const files = new SystemFiles();
  const metrics = new StoreMetrics(env.metrics);
  env.metrics.gauge("thanos_consistency_delay_seconds", "Configured consistency delay.")
    .set(config.consistencyDelay / 1000);
  const minTime = () => config.minTime.at(clock.now());
  const maxTime = () => config.maxTime.at(clock.now());
  const { relabel: rulesOption } = config;
  const rules = parseRelabelRules(rulesOption.load(), rulesOption.source, SELECTOR_ACTIONS);
  const fetcher = new MetaFetcher({
    bucket,
    clock,
    concurrency: config.metaConcurrency,
    brief: true,
    observer: fetcherMetrics(env),
    ...(dataDirectory === undefined ? {} : { cache: new MetaCache(files, dataDirectory) }),
    filters: [
      timePartitionFilter(minTime, maxTime),
      labelShardFilter((labels) => (relabel(labels, rules) ?? EMPTY_LABELS).length > 0),
      consistencyDelayFilter(config.consistencyDelay, clock),
      new DeletionMarkFilter(
        bucket,
        config.ignoreDeletionMarksDelay,
        clock,
        config.metaConcurrency,
      ),
      new DuplicateFilter(),
    ],
  });
  return new BucketStore({
    bucket,
    fetcher,
    headers: new HeaderPool({
      bucket,
      files,
      clock,
      postingSampling: Math.max(1, config.postingSampling),
      observer: {
        ...metrics.headers,
        warn: (message, fields) => logger.warn(message, fields),
      },
      ...(dataDirectory === undefined ? {} : { dataDirectory }),
    }),
    cache: await makeIndexCache(config, cacheEnv(env)),
    metrics,
    logger,
    clock,
    limits: {
      series: config.limitSeries,
      samples: config.limitSamples,
      bytes: config.limitBytes,
    },
    memory: memoryBudget(config),
    maxConcurrency: config.maxConcurrency,
    minTime,
    maxTime,
    syncConcurrency: config.syncConcurrency,
    eagerHeaders: config.headerStrategy === "eager",
    warnUnreadable: config.warnUnreadable,
    chunkMemory: new ChunkMemory(config.chunkPoolSize),
    lazyPostings: config.lazyPostings,
    maxKeysPerSeries: config.postingRatio,
    batchSeries: Math.max(1, config.batchSeries),
    seriesEstimate: Math.max(16, config.seriesEstimate),
    chunkEstimate: Math.max(16, config.chunkEstimate),
  });
}

/** For the API of blocks: those whose meta.json cannot be read, with the reason. */
export function unreadableNote(gateway: BucketStore): Record<string, unknown> {
  if (gateway.unreadable.size === 0) return {};
  const reasons = [...gateway.unreadable].map(([ulid, error]) => [ulid, errorMessage(error)]);
  return { unreadable: Object.fromEntries(reasons) };
}

/** What requests may hold of `--store.memory-budget`. */
function memoryBudget(config: Config): MemoryBudget {
  const setting = "--store.memory-budget";
  const total = config.memoryBudget;
  if (total === 0) return new MemoryBudget(Infinity, setting);
  const cache = config.indexCache.given ? 0 : config.indexCacheSize;
  return budgetOfProcess({ total, cache, used: () => Deno.memoryUsage().rss, setting });
}

/** What caches need from this process. */
function cacheEnv(env: CommandEnv): CacheEnv {
  return {
    metrics: new CacheMetrics(env.metrics),
    clock: env.clock,
    readText: processHost.readText,
    // Loaded when a name must be looked up: it brings much of the querier.
    resolve: async (address) => {
      const { resolveAddress, systemLookup } = await import("../lib/query/mod.ts");
      return await resolveAddress(address, systemLookup);
    },
  };
}

async function makeIndexCache(config: Config, env: CacheEnv): Promise<IndexCache> {
  const text = config.indexCache.load();
  return text.trim() === ""
    ? plainIndexCache(config.indexCacheSize, env.metrics)
    : await openIndexCache(text, env);
}

/** The bucket behind the cache of `--store.caching-bucket.config`, if there is one. */
export async function cachedBucket(
  config: Config,
  env: CommandEnv,
  bucket: Bucket,
): Promise<Bucket> {
  const text = config.cachingBucket.load();
  return text.trim() === "" ? bucket : await openCachingBucket(bucket, text, cacheEnv(env));
}
