/**
 * From `--index-cache.config` and `--store.caching-bucket.config` to caches.
 *
 * ```yaml
 * type: MEMCACHED            # IN-MEMORY, MEMCACHED or REDIS, upper or lower case
 * config: {addresses: ["dnssrv+_memcached._tcp.cache"]}
 * ```
 */
import { type Clock, errorMessage, MnemeError } from "../../base/mod.ts";
import { readConfig, readNode, schema, type SchemaType, type YamlNode } from "../../config/mod.ts";
import type { Bucket } from "../../objstore/mod.ts";
import { type ByteCache, sealCache, tieredCache } from "./byte_cache.ts";
import type { CacheMetrics } from "./cache_metrics.ts";
import { CachingBucket } from "./caching_bucket.ts";
import { INDEX_ITEMS, type IndexCache, MemoryIndexCache, RemoteIndexCache } from "./index_cache.ts";
import { memcachedClient } from "./memcached_client.ts";
import { MemoryCache } from "./memory_cache.ts";
import { redisClient, type RedisTls } from "./redis_client.ts";
import { type CacheClient, RemoteCache, type RemoteCacheOptions } from "./remote_cache.ts";

/** What making caches needs from the process. */
export interface CacheEnv {
  readonly metrics: CacheMetrics;
  readonly clock: Clock;
  /** Text of a file: certificates of TLS. */
  readText(path: string): string;
  /** The servers behind an address such as `dnssrv+_memcached._tcp.cache`. */
  resolve(address: string): Promise<readonly string[]>;
}

const breaker = schema.object({
  enabled: schema.bool(false),
  half_open_max_requests: schema.int(10, { min: 0 }),
  open_duration: schema.goDuration("5s"),
  min_requests: schema.int(50, { min: 0 }),
  consecutive_failures: schema.int(5, { min: 1 }),
  failure_percent: schema.float(0.05),
});

const memoryConfig = schema.object({
  max_size: schema.size("250MB"),
  max_item_size: schema.optional(schema.size("125MB")),
});

const memcachedConfig = schema.object({
  addresses: schema.list(schema.string()),
  timeout: schema.goDuration("500ms"),
  max_idle_connections: schema.int(100),
  max_async_concurrency: schema.int(20, { min: 1 }),
  max_async_buffer_size: schema.int(10_000, { min: 0 }),
  max_get_multi_concurrency: schema.int(100, { min: 0 }),
  max_item_size: schema.size("1MiB"),
  max_get_multi_batch_size: schema.int(0, { min: 0 }),
  dns_provider_update_interval: schema.goDuration("10s"),
  auto_discovery: schema.bool(false),
  set_async_circuit_breaker_config: breaker,
});

const tlsConfig = schema.object({
  ca_file: schema.string(""),
  cert_file: schema.string(""),
  key_file: schema.string(""),
  server_name: schema.string(""),
  insecure_skip_verify: schema.bool(false),
});

const redisConfig = schema.object({
  addr: schema.string(""),
  username: schema.string(""),
  password: schema.string(""),
  db: schema.int(0, { min: 0 }),
  master_name: schema.string(""),
  prefix: schema.string(""),
  dial_timeout: schema.goDuration("5s"),
  read_timeout: schema.goDuration("3s"),
  write_timeout: schema.goDuration("3s"),
  max_get_multi_concurrency: schema.int(100, { min: 0 }),
  get_multi_batch_size: schema.int(100, { min: 0 }),
  max_set_multi_concurrency: schema.int(100, { min: 1 }),
  set_multi_batch_size: schema.int(100, { min: 0 }),
  tls_enabled: schema.bool(false),
  tls_config: tlsConfig,
  cache_size: schema.size("0"),
  max_async_buffer_size: schema.int(10_000, { min: 0 }),
  max_async_concurrency: schema.int(20, { min: 1 }),
  set_async_circuit_breaker_config: breaker,
});

/** Values on a Redis server up to this size; the server itself takes 512 MiB. */
const REDIS_MAX_ITEM = 16 * 1024 * 1024;

/** A cache server that does not answer is left alone for a while even when that is not asked for. */
function breakerOptions(config: SchemaType<typeof breaker>): RemoteCacheOptions["breaker"] {
  return { consecutiveFailures: config.consecutive_failures, openDuration: config.open_duration };
}

async function memcachedCache(
  name: string,
  node: YamlNode | undefined,
  env: CacheEnv,
): Promise<ByteCache> {
  const config = readNode(memcachedConfig, node);
  if (config.auto_discovery) {
    throw new MnemeError(
      "bad_data",
      "auto_discovery is not supported yet: list the addresses, or a dns+ or dnssrv+ name",
    );
  }
  const client = await memcachedClient({
    addresses: config.addresses,
    timeout: config.timeout,
    resolve: (address) => env.resolve(address),
    resolveInterval: config.dns_provider_update_interval,
    now: () => env.clock.now(),
  });
  return remoteCache(client, {
    getTimeout: config.timeout,
    setTimeout: config.timeout,
    getConcurrency: config.max_get_multi_concurrency,
    getBatch: config.max_get_multi_batch_size,
    setConcurrency: config.max_async_concurrency,
    setBuffer: config.max_async_buffer_size,
    maxItemBytes: config.max_item_size === 0 ? Infinity : config.max_item_size,
    breaker: breakerOptions(config.set_async_circuit_breaker_config),
    clock: env.clock,
    observer: env.metrics.remote("memcached", name),
  }, env);
}

async function redisCache(
  name: string,
  node: YamlNode | undefined,
  ttl: number,
  env: CacheEnv,
): Promise<ByteCache> {
  const config = readNode(redisConfig, node);
  const client = await redisClient({
    addr: config.addr,
    username: config.username,
    password: config.password,
    db: config.db,
    masterName: config.master_name,
    prefix: config.prefix,
    dialTimeout: config.dial_timeout,
    readTimeout: Math.max(config.read_timeout, config.write_timeout),
    ...(config.tls_enabled ? { tls: readTls(config.tls_config, env) } : {}),
  });
  const far = remoteCache(client, {
    getTimeout: config.read_timeout,
    setTimeout: config.write_timeout,
    getConcurrency: config.max_get_multi_concurrency,
    getBatch: config.get_multi_batch_size,
    setConcurrency: Math.min(config.max_set_multi_concurrency, config.max_async_concurrency),
    setBuffer: config.max_async_buffer_size,
    maxItemBytes: REDIS_MAX_ITEM,
    breaker: breakerOptions(config.set_async_circuit_breaker_config),
    clock: env.clock,
    observer: env.metrics.remote("redis", name),
  }, env);
  if (config.cache_size === 0) return far;
  const near = new MemoryCache({
    maxBytes: config.cache_size,
    maxItemBytes: config.cache_size,
    clock: env.clock,
  });
  return tieredCache(near, far, ttl);
}

function remoteCache(client: CacheClient, options: RemoteCacheOptions, env: CacheEnv): ByteCache {
  return sealCache(new RemoteCache(client, options), () => env.metrics.damaged());
}

function readTls(config: SchemaType<typeof tlsConfig>, env: CacheEnv): RedisTls {
  const text = (key: "ca_file" | "cert_file" | "key_file") => {
    try {
      return env.readText(config[key]);
    } catch (cause) {
      throw new MnemeError("bad_data", `tls_config.${key} ${config[key]}: ${errorMessage(cause)}`);
    }
  };
  if ((config.cert_file === "") !== (config.key_file === "")) {
    throw new MnemeError("bad_data", "tls_config: both cert_file and key_file must be set");
  }
  return {
    ...(config.ca_file === "" ? {} : { ca: text("ca_file") }),
    ...(config.cert_file === "" ? {} : { cert: text("cert_file"), key: text("key_file") }),
    ...(config.server_name === "" ? {} : { serverName: config.server_name }),
    insecureSkipVerify: config.insecure_skip_verify,
  };
}

function memorySizes(node: YamlNode | undefined): { maxBytes: number; maxItemBytes: number } {
  const { max_size: maxBytes, max_item_size: given } = readNode(memoryConfig, node);
  const maxItemBytes = given ?? Math.min(maxBytes, 125 * 1024 * 1024);
  if (maxItemBytes > maxBytes) {
    throw new MnemeError(
      "bad_data",
      `max item size (${maxItemBytes}) cannot be bigger than overall cache size (${maxBytes})`,
    );
  }
  return { maxBytes, maxItemBytes };
}

const itemSchema = schema.oneOf(INDEX_ITEMS);
const indexDocument = schema.object({
  type: schema.string(""),
  config: schema.node,
  enabled_items: schema.list(itemSchema),
  ttl: schema.goDuration("24h"),
});

/** One line in front of whatever is wrong with a document. */
async function explained<T>(what: string, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    throw new MnemeError("bad_data", `${what}: ${errorMessage(error)}`, { cause: error });
  }
}

/**
 * Makes the index cache that a document describes.
 *
 * Throws: bad_data in one line.
 */
export function openIndexCache(text: string, env: CacheEnv): Promise<IndexCache> {
  return explained("create index cache", async () => {
    const { type, config, enabled_items: items, ttl } = readConfig(indexDocument, text);
    const observer = env.metrics.index;
    switch (type.toUpperCase()) {
      case "IN-MEMORY": {
        const sizes = memorySizes(config);
        env.metrics.indexLimits(sizes.maxBytes, sizes.maxItemBytes);
        return new MemoryIndexCache({ ...sizes, items, observer });
      }
      case "MEMCACHED": {
        const cache = await memcachedCache("index-cache", config, env);
        return new RemoteIndexCache({ cache, ttl, items, observer });
      }
      case "REDIS": {
        const cache = await redisCache("index-cache", config, ttl, env);
        return new RemoteIndexCache({ cache, ttl, items, observer });
      }
      default:
        throw unknownType(type, "index cache");
    }
  });
}

/**
 * Makes the index cache of `--index-cache-size`: in memory, everything in it.
 */
export function plainIndexCache(maxBytes: number, metrics: CacheMetrics): IndexCache {
  const maxItemBytes = Math.min(maxBytes, 125 * 1024 * 1024);
  metrics.indexLimits(maxBytes, maxItemBytes);
  return new MemoryIndexCache({ maxBytes, maxItemBytes, observer: metrics.index });
}

function unknownType(type: string, what: string): MnemeError {
  const known = "IN-MEMORY, MEMCACHED and REDIS";
  return new MnemeError(
    "bad_data",
    type === ""
      ? `the type of the ${what} is missing: ${known} are supported`
      : `${what} with type ${type} is not supported, ${known} are`,
  );
}

const bucketDocument = schema.object({
  type: schema.string(""),
  config: schema.node,
  chunk_subrange_size: schema.int(16_000, { min: 1 }),
  max_chunks_get_range_requests: schema.int(3, { min: 0 }),
  chunk_object_attrs_ttl: schema.goDuration("24h"),
  chunk_subrange_ttl: schema.goDuration("24h"),
  blocks_iter_ttl: schema.goDuration("5m"),
  metafile_exists_ttl: schema.goDuration("2h"),
  metafile_doesnt_exist_ttl: schema.goDuration("15m"),
  metafile_content_ttl: schema.goDuration("24h"),
  metafile_max_size: schema.size("1MiB"),
});

/**
 * Puts the cache that a document describes before a bucket.
 *
 * Throws: bad_data in one line.
 */
export function openCachingBucket(inner: Bucket, text: string, env: CacheEnv): Promise<Bucket> {
  return explained("create caching bucket", async () => {
    const document = readConfig(bucketDocument, text);
    const name = "caching-bucket";
    let cache: ByteCache;
    switch (document.type.toUpperCase()) {
      case "IN-MEMORY":
        cache = new MemoryCache({
          ...memorySizes(document.config),
          clock: env.clock,
          observer: env.metrics.memory(name),
        });
        break;
      case "MEMCACHED":
        cache = await memcachedCache(name, document.config, env);
        break;
      case "REDIS":
        cache = await redisCache(name, document.config, document.chunk_subrange_ttl, env);
        break;
      default:
        throw unknownType(document.type, "caching bucket");
    }
    return new CachingBucket(inner, cache, {
      chunkSubrangeSize: document.chunk_subrange_size,
      maxChunksGetRangeRequests: document.max_chunks_get_range_requests,
      chunkObjectAttrsTtl: document.chunk_object_attrs_ttl,
      chunkSubrangeTtl: document.chunk_subrange_ttl,
      blocksIterTtl: document.blocks_iter_ttl,
      metafileExistsTtl: document.metafile_exists_ttl,
      metafileDoesntExistTtl: document.metafile_doesnt_exist_ttl,
      metafileContentTtl: document.metafile_content_ttl,
      metafileMaxSize: document.metafile_max_size,
    }, env.metrics.bucket);
  });
}
