/** Metrics of the store gateway, `thanos_bucket_store_*` and those beside it. */
import type { Counter, Family, Gauge, Metrics, Observer } from "../telemetry/mod.ts";
import type { HeaderObserver } from "./header_pool.ts";
import type { LimitReason, RequestFigures } from "./limits.ts";

const TYPES = ["postings", "series", "chunks"] as const;
type DataType = typeof TYPES[number];

const LATENCY = [0.001, 0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120];
const HEADER_LATENCY = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 30, 60, 90, 120, 300];
const SERIES_COUNTS = Array.from({ length: 10 }, (_, i) => 2 ** i);
const COUNTS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const SIZES = [
  32,
  256,
  512,
  1024,
  32 * 1024,
  256 * 1024,
  512 * 1024,
  1024 * 1024,
  32 * 1024 * 1024,
  64 * 1024 * 1024,
  128 * 1024 * 1024,
  256 * 1024 * 1024,
  512 * 1024 * 1024,
];

/** The instruments of one store gateway. */
export class StoreMetrics {
  readonly blockLoads: Counter;
  readonly blockLoadFailures: Counter;
  readonly blockDrops: Counter;
  readonly blockDropFailures: Counter;
  readonly blocksLoaded: Gauge;
  readonly blocksLastLoaded: Gauge;
  readonly blockLoadSeconds: Observer;
  readonly corruptChunks: Counter;
  readonly gateMax: Gauge;
  readonly gateInFlight: Gauge;
  readonly gateTotal: Counter;
  readonly #gateSeconds: readonly Observer[];
  readonly #touched: Family<Observer, "data_type" | "tenant">;
  readonly #fetched: Family<Observer, "data_type" | "tenant">;
  readonly #touchedBytes: Family<Observer, "data_type" | "tenant">;
  readonly #fetchedBytes: Family<Observer, "data_type" | "tenant">;
  readonly #blocksQueried: Family<Observer, "tenant">;
  readonly #getAll: Family<Observer, "tenant">;
  readonly #merge: Family<Observer, "tenant">;
  readonly #resultSeries: Family<Observer, "tenant">;
  readonly #sentChunkBytes: Family<Observer, "tenant">;
  readonly #postingsBytes: Family<Observer, "tenant">;
  readonly #seriesRefetches: Family<Counter, "tenant">;
  readonly #chunkRefetches: Family<Counter, "tenant">;
  readonly #emptyPostings: Family<Counter, "tenant">;
  readonly #lazyPostings: Counter;
  readonly #lazyGroups: Family<Counter, "reason">;
  readonly #lazyBytes: Counter;
  readonly #overfetchedBytes: Counter;
  readonly #dropped: Family<Counter, "reason" | "tenant">;
  /** Reports about index headers. */
  readonly headers: Omit<HeaderObserver, "warn">;

  constructor(metrics: Metrics, tenant = "default-tenant") {
    const name = (part: string) => `thanos_bucket_store_${part}`;
    const counter = (part: string, help: string) => metrics.counter(name(part), help);
    this.blockLoads = counter("block_loads_total", "Blocks that were loaded.");
    this.blockLoadFailures = counter("block_load_failures_total", "Blocks that failed to load.");
    this.blockDrops = counter("block_drops_total", "Blocks that were dropped.");
    this.blockDropFailures = counter("block_drop_failures_total", "Blocks that failed to drop.");
    this.blocksLoaded = metrics.gauge(name("blocks_loaded"), "Blocks loaded now.");
    this.blocksLastLoaded = metrics.gauge(
      name("blocks_last_loaded_timestamp_seconds"),
      "When blocks were last loaded, Unix seconds.",
    );
    this.blockLoadSeconds = metrics.histogram(
      name("block_load_duration_seconds"),
      "Time it takes to load a block.",
      [0.1, 0.5, 1, 10, 20, 30, 60, 120],
    );
    this.corruptChunks = counter(
      "corrupt_chunks_total",
      "Chunks left out of answers because they were damaged or missing.",
    );
    const gate = (part: string) => name(`series_gate_queries_${part}`);
    this.gateMax = metrics.gauge(gate("max"), "Most Series calls at once.");
    this.gateInFlight = metrics.gauge(gate("in_flight"), "Series calls running now.");
    this.gateTotal = metrics.counter(gate("total"), "Series calls let through.");
    const seconds = (metric: string) =>
      metrics.histogram(metric, "Time Series calls waited for their turn.", LATENCY);
    // The second name is the one that published dashboards ask for.
    this.#gateSeconds = [
      seconds("thanos_bucket_store_series_gate_queries_duration_seconds"),
      seconds("thanos_bucket_store_series_gate_duration_seconds"),
    ];

    const byType = (part: string, help: string, buckets: readonly number[]) =>
      metrics.histogramFamily({
        name: name(part),
        help,
        labels: ["data_type", "tenant"],
        known: TYPES.map((data_type) => ({ data_type, tenant })),
        buckets,
      });
    this.#touched = byType("series_data_touched", "Items that a request needed.", COUNTS);
    this.#fetched = byType("series_data_fetched", "Items that a request fetched.", COUNTS);
    this.#touchedBytes = byType(
      "series_data_size_touched_bytes",
      "Bytes of the items that a request needed.",
      SIZES,
    );
    this.#fetchedBytes = byType(
      "series_data_size_fetched_bytes",
      "Bytes that a request fetched.",
      SIZES,
    );
    const byTenant = (part: string, help: string, buckets: readonly number[]) =>
      metrics.histogramFamily({
        name: name(part),
        help,
        labels: ["tenant"],
        known: [{ tenant }],
        buckets,
      });
    this.#blocksQueried = byTenant(
      "series_blocks_queried",
      "Blocks that a request queried.",
      SERIES_COUNTS,
    );
    this.#getAll = byTenant(
      "series_get_all_duration_seconds",
      "Time until all blocks of a request had their first series.",
      LATENCY,
    );
    this.#merge = byTenant(
      "series_merge_duration_seconds",
      "Time it took to merge and send the series of a request.",
      LATENCY,
    );
    this.#resultSeries = byTenant("series_result_series", "Series of an answer.", COUNTS);
    this.#sentChunkBytes = byTenant("sent_chunk_size_bytes", "Bytes of chunks sent.", SIZES);
    this.#postingsBytes = byTenant("postings_size_bytes", "Bytes of postings of a request.", SIZES);
    const tenantCounter = (part: string, help: string) =>
      metrics.counterFamily({ name: name(part), help, labels: ["tenant"], known: [{ tenant }] });
    this.#seriesRefetches = tenantCounter(
      "series_refetches_total",
      "Series entries that were longer than estimated and read again.",
    );
    this.#chunkRefetches = tenantCounter(
      "chunk_refetches_total",
      "Chunks that were longer than estimated and read again.",
    );
    this.#emptyPostings = tenantCounter(
      "empty_postings_total",
      "Requests of a block that selected no series.",
    );
    this.#dropped = metrics.counterFamily({
      name: name("queries_dropped_total"),
      help: "Requests that ran into a limit.",
      labels: ["reason", "tenant"],
      known: ["series", "chunks", "bytes"].map((reason) => ({ reason, tenant })),
    });

    this.#lazyPostings = counter(
      "lazy_expanded_postings_total",
      "Requests that left out postings in favour of trying matchers on series.",
    );
    this.#lazyGroups = metrics.counterFamily({
      name: name("lazy_expanded_posting_groups_total"),
      help: "Groups of postings that were left out.",
      labels: ["reason"],
      known: [{ reason: "keys_limit" }, { reason: "postings_size" }],
    });
    this.#lazyBytes = counter(
      "lazy_expanded_posting_size_bytes_total",
      "Bytes of postings that were left out.",
    );
    this.#overfetchedBytes = counter(
      "lazy_expanded_posting_series_overfetched_size_bytes_total",
      "Bytes of series that were read and did not match what was left out.",
    );

    const header = (part: string) => `thanos_bucket_store_indexheader_${part}`;
    const loads = metrics.counter(header("lazy_load_total"), "Index headers loaded.");
    const loadFailures = metrics.counter(
      header("lazy_load_failed_total"),
      "Index headers that failed to load.",
    );
    const unloads = metrics.counter(header("lazy_unload_total"), "Index headers unloaded.");
    metrics.counter(header("lazy_unload_failed_total"), "Index headers that failed to unload.");
    const headerSeconds = (part: string, help: string) =>
      metrics.histogram(header(part), help, HEADER_LATENCY);
    const lazyLoad = headerSeconds("lazy_load_duration_seconds", "Time to load an index header.");
    const load = headerSeconds("load_duration_seconds", "Time to open an index header.");
    const download = headerSeconds(
      "download_duration_seconds",
      "Time to build an index header from the bucket.",
    );
    this.headers = {
      built: (s) => download.observe(s),
      loaded: (s) => {
        loads.inc();
        load.observe(s);
        lazyLoad.observe(s);
      },
      loadFailed: () => {
        loads.inc();
        loadFailures.inc();
      },
      unloaded: () => unloads.inc(),
    };
  }

  /** A Series call got its turn after `seconds`. */
  admitted(seconds: number): void {
    this.gateTotal.inc();
    for (const observer of this.#gateSeconds) observer.observe(seconds);
  }

  /** A request ran into a limit. */
  exceeded(reason: LimitReason, tenant: string): void {
    this.#dropped.with({ reason, tenant }).inc();
  }

  /** A request ended. */
  observe(
    figures: RequestFigures,
    tenant: string,
    times?: { readonly getAll: number; readonly merge: number },
  ): void {
    const by = { tenant };
    for (const type of TYPES) this.#observeData(type, figures, tenant);
    this.#blocksQueried.with(by).observe(figures.blocksQueried);
    this.#resultSeries.with(by).observe(figures.mergedSeries);
    this.#sentChunkBytes.with(by).observe(figures.sentChunkBytes);
    this.#postingsBytes.with(by).observe(figures.postings.touchedBytes);
    this.#seriesRefetches.with(by).inc(figures.series.refetches);
    this.#chunkRefetches.with(by).inc(figures.chunks.refetches);
    this.#emptyPostings.with(by).inc(figures.emptyPostings);
    this.corruptChunks.inc(figures.corruptChunks);
    const groups = figures.deferredByKeys + figures.deferredBySize;
    if (groups > 0) {
      this.#lazyPostings.inc();
      this.#lazyGroups.with({ reason: "keys_limit" }).inc(figures.deferredByKeys);
      this.#lazyGroups.with({ reason: "postings_size" }).inc(figures.deferredBySize);
      this.#lazyBytes.inc(figures.deferredBytes);
      this.#overfetchedBytes.inc(figures.overfetchedBytes);
    }
    if (times !== undefined) {
      this.#getAll.with(by).observe(times.getAll);
      this.#merge.with(by).observe(times.merge);
    }
  }

  #observeData(type: DataType, figures: RequestFigures, tenant: string): void {
    const by = { data_type: type, tenant };
    const data = figures[type];
    this.#touched.with(by).observe(data.touched);
    this.#fetched.with(by).observe(data.fetched);
    this.#touchedBytes.with(by).observe(data.touchedBytes);
    this.#fetchedBytes.with(by).observe(data.fetchedBytes);
  }
}

/** Tenants come from request metadata: a bounded number of them get metrics of their own. */
export class TenantNames {
  readonly #known = new Set<string>();
  readonly #most: number;

  constructor(most = 1000) {
    this.#most = most;
  }

  /** The tenant's name, or `other` once too many were seen. */
  label(tenant: string): string {
    if (this.#known.has(tenant)) return tenant;
    if (this.#known.size >= this.#most) return "other";
    this.#known.add(tenant);
    return tenant;
  }
}
