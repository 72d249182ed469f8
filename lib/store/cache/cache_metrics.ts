/** Metrics of caches: `thanos_store_index_cache_*`, `thanos_store_bucket_cache_*`, `thanos_cache_*`. */
import type { Metrics } from "../../telemetry/mod.ts";
import type { CachedConfig, CachedOperation, CachingBucketObserver } from "./caching_bucket.ts";
import { INDEX_ITEMS, type IndexCacheObserver, type IndexItem } from "./index_cache.ts";
import type { MemoryCacheOptions } from "./memory_cache.ts";
import type { CacheOperation, RemoteCacheObserver } from "./remote_cache.ts";

const LATENCY = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1];
const REMOTE_OPERATIONS: readonly CacheOperation[] = ["getmulti", "set", "delete"];
const CACHED: readonly (readonly [CachedOperation, CachedConfig])[] = [
  ["get", "metafile"],
  ["getrange", "chunks"],
  ["iter", "blocks-iter"],
  ["exists", "metafile"],
  ["attributes", "chunks"],
];

/** Makes the observers of caches; each kind is registered when it is asked for. */
export class CacheMetrics {
  readonly #metrics: Metrics;
  readonly #tenant: string;
  /** Reports about the index cache. */
  readonly index: IndexCacheObserver;
  readonly #indexMax: { set(value: number): void };
  readonly #indexMaxItem: { set(value: number): void };
  #damaged: { inc(): void } | undefined;

  constructor(metrics: Metrics, tenant = "default-tenant") {
    this.#metrics = metrics;
    this.#tenant = tenant;
    const name = (part: string) => `thanos_store_index_cache_${part}`;
    const items = INDEX_ITEMS.map((item_type) => ({ item_type }));
    const counter = (part: string, help: string) =>
      metrics.counterFamily({ name: name(part), help, labels: ["item_type"], known: items });
    const gauge = (part: string, help: string) =>
      metrics.gaugeFamily({ name: name(part), help, labels: ["item_type"], known: items });
    const perTenant = (part: string, help: string) =>
      metrics.counterFamily({
        name: name(part),
        help,
        labels: ["item_type", "tenant"],
        known: items.map((item) => ({ ...item, tenant })),
      });
    const requests = perTenant("requests_total", "Requests to the index cache.");
    const hits = perTenant("hits_total", "Requests that the index cache answered.");
    const added = counter("items_added_total", "Items put into the index cache.");
    const evicted = counter("items_evicted_total", "Items evicted from the index cache.");
    const overflowed = counter(
      "items_overflowed_total",
      "Items too large for the index cache.",
    );
    const count = gauge("items", "Items in the index cache.");
    const size = gauge("items_size_bytes", "Bytes of the items in the index cache.");
    const total = gauge("total_size_bytes", "Bytes of the items and their keys.");
    this.#indexMax = metrics.gauge(name("max_size_bytes"), "Most bytes the index cache holds.");
    this.#indexMaxItem = metrics.gauge(
      name("max_item_size_bytes"),
      "Most bytes an item of the index cache may have.",
    );
    this.index = {
      request(item: IndexItem, n: number, found: number) {
        requests.with({ item_type: item, tenant }).inc(n);
        hits.with({ item_type: item, tenant }).inc(found);
      },
      added(item, bytes) {
        const by = { item_type: item };
        added.with(by).inc();
        count.with(by).inc();
        size.with(by).inc(bytes);
        total.with(by).inc(bytes);
      },
      evicted(item, bytes) {
        const by = { item_type: item };
        evicted.with(by).inc();
        count.with(by).dec();
        size.with(by).dec(bytes);
        total.with(by).dec(bytes);
      },
      overflowed: (item) => overflowed.with({ item_type: item }).inc(),
    };
  }

  /** The tenant that requests of caches are counted for. */
  get tenant(): string {
    return this.#tenant;
  }

  /** Sets the gauges of the index cache's budget. */
  indexLimits(maxBytes: number, maxItemBytes: number): void {
    this.#indexMax.set(maxBytes);
    this.#indexMaxItem.set(maxItemBytes);
  }

  /** A value of a cache server did not verify. */
  damaged(): void {
    this.#damaged ??= this.#metrics.counter(
      "thanos_cache_damaged_items_total",
      "Values of cache servers that did not verify and were not used.",
    );
    this.#damaged.inc();
  }

  /** Reports about a cache in memory. */
  memory(name: string): NonNullable<MemoryCacheOptions["observer"]> {
    const family = (part: string, help: string) =>
      this.#metrics.counterFamily({
        name: `thanos_cache_inmemory_${part}`,
        help,
        labels: ["name"],
        known: [{ name }],
      }).with({ name });
    const gauge = (part: string, help: string) =>
      this.#metrics.gaugeFamily({
        name: `thanos_cache_inmemory_${part}`,
        help,
        labels: ["name"],
        known: [{ name }],
      }).with({ name });
    const requests = family("requests_total", "Keys asked for.");
    const hits = family("hits_total", "Keys asked for that were there.");
    const added = family("items_added_total", "Items added.");
    const evicted = family("items_evicted_total", "Items evicted.");
    const overflowed = family("items_overflowed_total", "Items too large for the cache.");
    const items = gauge("items", "Items in the cache.");
    const bytes = gauge("items_size_bytes", "Bytes of the items in the cache.");
    return {
      request(keys, found) {
        requests.inc(keys);
        hits.inc(found);
      },
      added(_, size) {
        added.inc();
        items.inc();
        bytes.inc(size);
      },
      evicted(_, size) {
        evicted.inc();
        items.dec();
        bytes.dec(size);
      },
      overflowed: () => overflowed.inc(),
    };
  }

  /** Reports about a cache on a server. */
  remote(kind: "memcached" | "redis", name: string): RemoteCacheObserver {
    const cacheCounter = (part: string, help: string) =>
      this.#metrics.counterFamily({
        name: `thanos_cache_${kind}_${part}`,
        help,
        labels: ["name"],
        known: [{ name }],
      }).with({ name });
    const requests = cacheCounter("requests_total", "Keys asked for.");
    const hits = cacheCounter("hits_total", "Keys asked for that were there.");
    const known = REMOTE_OPERATIONS.map((operation) => ({ operation, name }));
    const operations = this.#metrics.counterFamily({
      name: `thanos_${kind}_operations_total`,
      help: "Calls to the cache server.",
      labels: ["operation", "name"],
      known,
    });
    const failures = this.#metrics.counterFamily({
      name: `thanos_${kind}_operation_failures_total`,
      help: "Calls to the cache server that failed.",
      labels: ["operation", "name", "reason"],
      known: known.flatMap((k) => ["timeout", "other"].map((reason) => ({ ...k, reason }))),
    });
    const skipped = this.#metrics.counterFamily({
      name: `thanos_${kind}_operation_skipped_total`,
      help: "Calls to the cache server that were not made.",
      labels: ["operation", "name", "reason"],
      known: ["max-item-size", "buffer-full", "unavailable"]
        .map((reason) => ({ operation: "set", name, reason })),
    });
    const seconds = this.#metrics.histogramFamily({
      name: `thanos_${kind}_operation_duration_seconds`,
      help: "Duration of calls to the cache server.",
      labels: ["operation", "name"],
      known,
      buckets: LATENCY,
    });
    return {
      request(keys, found) {
        requests.inc(keys);
        hits.inc(found);
      },
      called(operation, duration) {
        operations.with({ operation, name }).inc();
        seconds.with({ operation, name }).observe(duration);
      },
      failed: (operation, reason) => failures.with({ operation, name, reason }).inc(),
      skipped: (operation, reason) => skipped.with({ operation, name, reason }).inc(),
    };
  }

  /** Reports about the cache before the bucket. */
  get bucket(): CachingBucketObserver {
    const name = (part: string) => `thanos_store_bucket_cache_${part}`;
    const known = CACHED.map(([operation, config]) => ({ operation, config }));
    const family = (part: string, help: string) =>
      this.#metrics.counterFamily({
        name: name(part),
        help,
        labels: ["operation", "config"],
        known,
      });
    const requests = family("operation_requests_total", "Requests that may be cached.");
    const hits = family("operation_hits_total", "Requests that the cache answered.");
    const config = "chunks";
    const requested = this.#metrics.counterFamily({
      name: name("getrange_requested_bytes_total"),
      help: "Bytes of ranges that were asked for.",
      labels: ["config"],
      known: [{ config }],
    }).with({ config });
    const origins = ["bucket", "cache"] as const;
    const byOrigin = (part: string, help: string) =>
      this.#metrics.counterFamily({
        name: name(part),
        help,
        labels: ["config", "origin"],
        known: origins.map((origin) => ({ config, origin })),
      });
    const fetched = byOrigin("getrange_fetched_bytes_total", "Bytes of ranges by their origin.");
    const refetched = byOrigin(
      "getrange_refetched_bytes_total",
      "Bytes read again though they were cached.",
    );
    return {
      operation(operation, group, n, found) {
        requests.with({ operation, config: group }).inc(n);
        hits.with({ operation, config: group }).inc(found);
      },
      range: {
        bytes(wanted, fromCache, fromBucket, again) {
          requested.inc(wanted);
          fetched.with({ config, origin: "cache" }).inc(fromCache);
          fetched.with({ config, origin: "bucket" }).inc(fromBucket);
          refetched.with({ config, origin: "bucket" }).inc(again);
        },
      },
    };
  }
}
