/**
 * BucketStore: the store gateway. Keeps the list of a bucket's blocks and answers the Store API from
 * them by range reads.
 */
import {
  Breather,
  BufferPool,
  type Clock,
  compareUtf8,
  errorKind,
  errorMessage,
  Gate,
  mapPool,
  MnemeError,
  systemClock,
  throwIfAborted,
  ulidTime,
} from "../base/mod.ts";
import { BLOCK_ID_LABEL, type FetchResult, type MetaFetcher } from "../block/mod.ts";
import {
  formatLabels,
  hasLabel,
  type Labels,
  labelsKey,
  labelValue,
  makeMatcher,
  type Matcher,
  matchesLabels,
  METRIC_NAME,
  withLabel,
} from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import {
  type CallContext,
  type ComponentInfo,
  encodeWarning,
  type LabelNamesRequest,
  type LabelValuesRequest,
  type SeriesFrame,
  type SeriesRequest,
  shardFilter,
  type Store,
  type StringsResponse,
  type TsdbInfo,
  type TsdbStatistics,
  type TsdbStatisticsRequest,
} from "../storeapi/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import { type BlockMeta, CHUNKS_DIRECTORY, SeriesEntry } from "../tsdb/mod.ts";
import {
  blockLabels,
  type BlockRequest,
  blockSeries,
  FinalLabels,
  openHeader,
  type ReadSettings,
} from "./block_series.ts";
import { type BatchSource, mergeBlocks, type SeriesSink } from "./block_merge.ts";
import { blockStatistics } from "./block_statistics.ts";
import { BlockSet, COARSE_BEFORE, RESOLUTIONS } from "./block_set.ts";
import { BucketBlock } from "./bucket_block.ts";
import { type IndexCache, selectionKey } from "./cache/index_cache.ts";
import type { HeaderPool } from "./header_pool.ts";
import { blockMatchers, type HintedRequest, queriedBlocks } from "./hints.ts";
import { type ChunkMemory, type MemoryAccount, MemoryBudget } from "./memory_budget.ts";
import { NO_LIMITS, RequestFigures, type RequestLimitOptions, RequestLimits } from "./limits.ts";
import { isLocal, LOCAL_RANGES, REMOTE_RANGES } from "./range_reader.ts";
import { FrameSink, MessageSink } from "./series_sink.ts";
import { type StoreMetrics, TenantNames } from "./store_metrics.ts";

/** Settings of a store gateway. */
export interface BucketStoreOptions {
  readonly bucket: Bucket;
  readonly fetcher: MetaFetcher;
  readonly headers: HeaderPool;
  readonly cache?: IndexCache;
  readonly metrics: StoreMetrics;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly limits?: RequestLimitOptions;
  /** Memory of all requests together; no limit when absent. */
  readonly memory?: MemoryBudget;
  /** Series calls at once; 0 = no limit. */
  readonly maxConcurrency?: number;
  /** Requests reach no further than this, ms. */
  readonly minTime?: () => number;
  readonly maxTime?: () => number;
  /** Blocks loaded at once. */
  readonly syncConcurrency?: number;
  /** Build index headers when a block appears, not when it is first asked. */
  readonly eagerHeaders?: boolean;
  /** Memory of chunks of all requests together; no limit when absent. */
  readonly chunkMemory?: ChunkMemory;
  /** Bytes a series entry and a chunk are thought to take, and series in a batch. */
  readonly seriesEstimate?: number;
  readonly chunkEstimate?: number;
  readonly batchSeries?: number;
  /** Leave out postings that are expensive by their size, too. */
  readonly lazyPostings?: boolean;
  /** … and groups with more lists than this many for each series; 0 = off. */
  readonly maxKeysPerSeries?: number;
  /** Warn in answers about blocks whose meta.json cannot be read. */
  readonly warnUnreadable?: boolean;
}

/** Chunks that the blocks of one request hold at once, bytes in all. */
const REQUEST_BUFFER = 8 * 1024 * 1024;
/** Blocks at once between opening their index header and having their first series. */
const BLOCKS_OPENING = 64;
/** Reads at once of a remote bucket: enough to hide its latency, few enough to know their memory. */
const REMOTE_READS = 32;
/** Memory that waits for the next reads, bytes. */
const POOL_BYTES = 16 * 1024 * 1024;
/** A block that was uploaded at some time holds data of about these hours before it. */
const UNREADABLE_SPAN = 2 * 3_600_000;
const NO_TIME = Number.MAX_SAFE_INTEGER;

/** Length of the lists of statistics when none is asked for. */
const STATISTICS_LIMIT = 10;

/** Series of the blocks of a bucket. */
export class BucketStore implements Store {
  readonly #options: BucketStoreOptions;
  readonly #clock: Clock;
  readonly #gate: Gate;
  readonly #memory: MemoryBudget;
  readonly #opening = new Gate(BLOCKS_OPENING);
  readonly #breather = new Breather();
  /** Reads at once of a remote bucket. */
  readonly #reads: Gate | undefined;
  readonly #settings: ReadSettings;
  readonly #batchLimits: { readonly least: number; readonly most: number };
  readonly #blocks = new Map<string, BucketBlock>();
  readonly #sets = new Map<string, BlockSet<BucketBlock>>();
  readonly #tenants = new TenantNames();
  readonly #pool = new BufferPool(POOL_BYTES);
  readonly #entry = new SeriesEntry();
  #unreadable: ReadonlyMap<string, Error> = new Map();
  #synced: { readonly time: number; readonly error: Error | undefined } | undefined;

  constructor(options: BucketStoreOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const local = isLocal(options.bucket);
    this.#reads = local ? undefined : new Gate(REMOTE_READS);
    this.#settings = {
      ranges: local ? LOCAL_RANGES : REMOTE_RANGES,
      // A disk is asked twice rather than for 64 KiB that are rarely needed.
      seriesEstimate: Math.min(options.seriesEstimate ?? 65536, local ? 4096 : Infinity),
      chunkEstimate: Math.min(options.chunkEstimate ?? 16000, local ? 4096 : Infinity),
      batchSeries: options.batchSeries ?? 10_000,
      defer: {
        bySize: options.lazyPostings ?? false,
        maxKeysPerSeries: options.maxKeysPerSeries ?? 0,
      },
    };
    this.#batchLimits = local
      ? { least: 64 * 1024, most: 1024 * 1024 }
      : { least: 384 * 1024, most: 8 * 1024 * 1024 };
    this.#memory = options.memory ?? new MemoryBudget(Infinity, "the setting");
    this.#gate = new Gate(options.maxConcurrency ?? 0);
    options.metrics.gateMax.set(options.maxConcurrency ?? 0);
  }

  // ---- Blocks -----------------------------------------------------------------------------

  /**
   * Brings the list of blocks up to date with the bucket.
   *
   * Throws: when the bucket could not be seen completely; what was seen is served all the same.
   */
  async sync(signal?: AbortSignal): Promise<void> {
    const { fetcher, metrics } = this.#options;
    try {
      const result = await fetcher.fetch(signal);
      await this.#apply(result, signal);
      const [failed] = result.failed;
      if (failed !== undefined) {
        throw new MnemeError(
          "unavailable",
          `incomplete view: ${result.failed.size} blocks could not be read, ` +
            `${failed[0]}: ${errorMessage(failed[1])}`,
          { cause: failed[1] },
        );
      }
      this.#synced = { time: this.#clock.now(), error: undefined };
    } catch (error) {
      const told = error instanceof Error ? error : new Error(String(error));
      this.#synced = { time: this.#synced?.time ?? 0, error: told };
      throw error;
    } finally {
      metrics.blocksLoaded.set(this.#blocks.size);
    }
  }

  async #apply(result: FetchResult, signal: AbortSignal | undefined): Promise<void> {
    const { bucket, headers, metrics, logger } = this.#options;
    this.#unreadable = result.corrupted;
    const added: BucketBlock[] = [];
    for (const [ulid, meta] of result.metas) {
      const known = this.#blocks.get(ulid);
      if (known !== undefined) {
        if (known.meta === meta) continue;
        this.#remove(known);
      }
      metrics.blockLoads.inc();
      const start = this.#clock.now();
      const block = new BucketBlock(
        meta,
        bucket,
        headers,
        await this.#segments(meta, result.listing.get(ulid)?.segments ?? [], signal),
        this.#reads,
      );
      if (!RESOLUTIONS.includes(block.resolution)) {
        metrics.blockLoadFailures.inc();
        const err = `unsupported downsampling resolution ${block.resolution}`;
        logger.warn("loading block failed", { id: ulid, err });
        continue;
      }
      added.push(block);
      this.#insert(block);
      metrics.blockLoadSeconds.observe((this.#clock.now() - start) / 1000);
    }
    // Nothing is dropped because it was not seen in an incomplete view.
    if (result.failed.size === 0) {
      for (const [ulid, block] of this.#blocks) if (!result.metas.has(ulid)) this.#remove(block);
    }
    if (added.length > 0) metrics.blocksLastLoaded.set(this.#clock.now() / 1000);
    if (this.#options.eagerHeaders === true) {
      await mapPool(added, this.#options.syncConcurrency ?? 20, async (block) => {
        throwIfAborted(signal);
        try {
          (await block.header()).release();
        } catch (error) {
          metrics.blockLoadFailures.inc();
          logger.warn("loading block failed", { id: block.ulid, err: errorMessage(error) });
        }
      });
    }
  }

  /** Names of a block's segments, where neither its meta nor the listing of the bucket told them. */
  async #segments(
    meta: BlockMeta,
    listed: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly string[]> {
    if (listed.length > 0 || (meta.thanos?.segmentFiles.length ?? 0) > 0) return listed;
    const folder = `${meta.ulid}/${CHUNKS_DIRECTORY}/`;
    const names: string[] = [];
    const options = signal === undefined ? {} : { signal };
    for await (const { name } of this.#options.bucket.iter(folder, options)) {
      if (/^[0-9]+$/.test(name.slice(folder.length))) names.push(name.slice(folder.length));
    }
    return names;
  }

  #insert(block: BucketBlock): void {
    this.#blocks.set(block.ulid, block);
    const key = labelsKey(block.labels);
    let set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, set = new BlockSet(block.labels));
    set.add(block);
  }

  #remove(block: BucketBlock): void {
    const { headers, metrics, logger } = this.#options;
    this.#blocks.delete(block.ulid);
    const key = labelsKey(block.labels);
    const set = this.#sets.get(key);
    set?.remove(block);
    if (set?.size === 0) this.#sets.delete(key);
    metrics.blockDrops.inc();
    block.whenIdle(() => {
      // It may have come back meanwhile.
      if (this.#blocks.has(block.ulid)) return;
      try {
        headers.drop(block.ulid);
      } catch (error) {
        metrics.blockDropFailures.inc();
        logger.warn("dropping block failed", { id: block.ulid, err: errorMessage(error) });
      }
    });
  }

  /** Closes index headers not used for `idle` ms. */
  closeIdleHeaders(idle: number): void {
    this.#options.headers.closeIdle(idle);
  }

  /** Removes index headers of blocks that are gone; after the first sync. */
  removeLeftovers(): void {
    this.#options.headers.removeLeftovers(this.#blocks);
  }

  /** Statistics of the loaded blocks that touch [start, end], by external labels that match. */
  async statistics(
    request: TsdbStatisticsRequest,
    signal: AbortSignal,
  ): Promise<TsdbStatistics | undefined> {
    const { start = 0, end = 0, matchers, limit } = request;
    // Heads are asked for, and there is none here.
    if (end === 0) return undefined;
    const blocks = [...this.#blocks.values()].filter(({ labels }) =>
      matchesLabels(matchers, labels)
    );
    const ends = blocks.map((block) => block.use());
    try {
      return await blockStatistics(
        blocks,
        limit > 0 ? limit : STATISTICS_LIMIT,
        start,
        end,
        signal,
      );
    } finally {
      for (const done of ends) done();
    }
  }

  /** What is loaded, for the API of blocks. */
  get blocks(): readonly BlockMeta[] {
    return [...this.#blocks.values()].map((block) => block.meta);
  }
  /** Time of the last complete sync (ms, 0 = never) and why a later one failed. */
  get lastSync(): { readonly time: number; readonly error: Error | undefined } {
    return this.#synced ?? { time: 0, error: undefined };
  }
  /** Blocks whose meta.json cannot be read, with the reason. */
  get unreadable(): ReadonlyMap<string, Error> {
    return this.#unreadable;
  }

  // ---- Info -------------------------------------------------------------------------------

  /** What this component announces. */
  info(): ComponentInfo {
    const sets = [...this.#sets.values()]
      .map((set) => ({ set, text: formatLabels(set.labels) }))
      .sort((a, b) => compareUtf8(a.text, b.text))
      .map(({ set }) => set);
    let minTime = NO_TIME;
    let maxTime = -NO_TIME;
    const tsdbInfos: TsdbInfo[] = [];
    for (const set of sets) {
      const blocks = [...set.blocks()].sort((a, b) => a.minTime - b.minTime);
      let start = NO_TIME;
      let end = -NO_TIME;
      for (const block of blocks) {
        minTime = Math.min(minTime, block.minTime);
        maxTime = Math.max(maxTime, block.maxTime);
        if (start !== NO_TIME && block.minTime > end) {
          tsdbInfos.push({ labels: set.labels, minTime: start, maxTime: end });
          start = NO_TIME;
          end = -NO_TIME;
        }
        if (start === NO_TIME) start = block.minTime;
        end = Math.max(end, block.maxTime);
      }
      if (start !== NO_TIME) tsdbInfos.push({ labels: set.labels, minTime: start, maxTime: end });
    }
    const limits = this.#timeLimits();
    return {
      labelSets: sets.map((set) => set.labels),
      componentType: "store",
      status: true,
      store: {
        minTime: Math.max(minTime, limits.minTime),
        maxTime: Math.min(maxTime, limits.maxTime),
        supportsSharding: true,
        supportsWithoutReplicaLabels: true,
        tsdbInfos,
        fillsWithCoarser: true,
      },
    };
  }

  #timeLimits(): { minTime: number; maxTime: number } {
    return {
      minTime: this.#options.minTime?.() ?? -NO_TIME,
      maxTime: this.#options.maxTime?.() ?? NO_TIME,
    };
  }

  // ---- Series -----------------------------------------------------------------------------

  series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    const sink = new FrameSink(Math.max(64, Math.min(request.responseBatchSize, 1024)));
    const tell = (warning: string) => ({ series: [], warnings: [warning] });
    return this.#answer(request, context, sink, tell, undefined);
  }

  /** The answer as messages of the wire, without objects in between. */
  seriesMessages(request: SeriesRequest, context: CallContext): AsyncIterable<Uint8Array> {
    const sink = new MessageSink(
      request.responseBatchSize,
      this.#pool,
      request.withoutChunkHashes !== true,
    );
    return this.#answer(request, context, sink, encodeWarning, this.#pool);
  }

  recycleMessage(message: Uint8Array): void {
    this.#pool.give(message);
  }

  async *#answer<T>(
    request: SeriesRequest,
    context: CallContext,
    sink: SeriesSink<T>,
    tell: (warning: string) => T,
    chunkPool: BufferPool | undefined,
  ): AsyncIterable<T> {
    const { metrics } = this.#options;
    const waited = performance.now();
    const release = await this.#gate.enter(context.signal);
    metrics.admitted((performance.now() - waited) / 1000);
    metrics.gateInFlight.set(this.#gate.inFlight);
    let query: Query | undefined;
    try {
      query = await this.#query(request, context);
      yield* this.#run(request, query, sink, tell, chunkPool);
    } finally {
      release();
      metrics.gateInFlight.set(this.#gate.inFlight);
      query?.end();
    }
  }

  async #query(
    request: Pick<SeriesRequest, "partialResponse">,
    context: CallContext,
  ): Promise<Query> {
    const abort = request.partialResponse === "abort";
    const memory = await this.#memory.admit(context.signal);
    return new Query(this.#options, context, abort, this.#tenants.label(context.tenant), memory);
  }

  async *#run<T>(
    request: SeriesRequest,
    query: Query,
    sink: SeriesSink<T>,
    tell: (warning: string) => T,
    chunkPool: BufferPool | undefined,
  ): AsyncIterable<T> {
    const limits = this.#timeLimits();
    const minTime = Math.max(request.minTime, limits.minTime);
    const maxTime = Math.min(request.maxTime, limits.maxTime);
    const drop = new Set(request.withoutReplicaLabels);
    const chosen: { block: BucketBlock; labels: FinalLabels; matchers: readonly Matcher[] }[] = [];
    const byBlock = blockMatchers("Series", request.hints);
    for (const set of this.#sets.values()) {
      const matchers = matchersFor(set.labels, request.matchers);
      if (matchers === undefined) continue;
      const labels = new FinalLabels(set.labels, drop, shardFilter(request.shardInfo));
      const { maxResolutionWindow, coarserWhereMissing = false } = request;
      for (const block of set.choose(minTime, maxTime, maxResolutionWindow, coarserWhereMissing)) {
        if (matchesBlock(block, byBlock)) chosen.push({ block, labels, matchers });
      }
    }
    query.figures.blocksQueried = chosen.length;
    if (this.#options.warnUnreadable !== false) {
      for (const warning of this.#unreadableIn(minTime, maxTime)) yield tell(warning);
    }
    const shared = {
      ...this.#blockRequest(request, query, minTime, maxTime, chosen.length),
      chunkPool,
    };
    const selectionOf = selectionKeys();
    const sources = chosen.map(({ block, labels, matchers }) => {
      // A gap between two points of coarse data is closed by its neighbours.
      const coarse = block.resolution > Math.max(0, request.maxResolutionWindow)
        ? block.resolution
        : 0;
      return query.guard(
        block,
        blockSeries(block, labels, {
          ...shared,
          matchers,
          selection: selectionOf(matchers),
          minTime: shared.minTime - coarse * COARSE_BEFORE,
          maxTime: shared.maxTime + coarse,
        }),
      );
    });
    const started = performance.now();
    yield* mergeBlocks(sources, sink, {
      limit: request.limit,
      signal: query.context.signal,
      figures: query.figures,
    });
    for (const warning of query.warnings()) yield tell(warning);
    query.times = {
      getAll: query.figures.firstMs / 1000,
      merge: (performance.now() - started - query.figures.firstMs) / 1000,
    };
  }

  #blockRequest(
    request: Pick<SeriesRequest, "skipChunks" | "aggregates" | "limit">,
    query: Query,
    minTime: number,
    maxTime: number,
    blocks: number,
  ): BlockRequest {
    const { least, most } = this.#batchLimits;
    return {
      minTime,
      maxTime,
      matchers: [],
      selection: "",
      skipChunks: request.skipChunks,
      aggregates: request.aggregates,
      limit: request.limit,
      batchBytes: Math.max(least, Math.min(most, Math.floor(REQUEST_BUFFER / blocks))),
      settings: this.#settings,
      limits: query.limits,
      figures: query.figures,
      memory: query.memory,
      opening: this.#opening,
      breather: this.#breather,
      entry: this.#entry,
      chunkMemory: this.#options.chunkMemory,
      cache: this.#options.cache,
      signal: query.context.signal,
      pool: this.#pool,
      chunkPool: undefined,
      damaged: (error) => query.damaged(error),
    };
  }

  /** What to say about blocks that may have data of this range, if only they could be read. */
  #unreadableIn(minTime: number, maxTime: number): string[] {
    const warnings: string[] = [];
    for (const [ulid, error] of this.#unreadable) {
      const time = ulidTime(ulid);
      if (time < minTime || time - UNREADABLE_SPAN > maxTime) continue;
      warnings.push(`block ${ulid} cannot be read: ${errorMessage(error)}`);
    }
    return warnings;
  }

  // ---- Labels -----------------------------------------------------------------------------

  labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse> {
    const drop = new Set(request.withoutReplicaLabels);
    return this.#strings("LabelNames", request, context, {
      fromTables(block, tables, add) {
        for (const name of tables.labelNames()) if (!drop.has(name)) add(name);
        for (let i = 0; i < block.labels.length; i += 2) {
          if (!drop.has(block.labels[i]!)) add(block.labels[i]!);
        }
      },
      fromSeries(labels, add) {
        for (let i = 0; i < labels.length; i += 2) add(labels[i]!);
      },
      matchers: (_, matchers) => matchers,
    });
  }

  async labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse> {
    const { label } = request;
    if (label === "") throw new MnemeError("bad_data", "label name parameter cannot be empty");
    if (request.withoutReplicaLabels.includes(label)) return { values: [], warnings: [] };
    return await this.#strings("LabelValues", request, context, {
      fromTables(block, tables, add) {
        if (hasLabel(block.labels, label)) add(labelValue(block.labels, label));
        else for (const value of tables.labelValues(label)) add(value);
      },
      fromSeries(labels, add) {
        const value = labelValue(labels, label);
        if (value !== "") add(value);
      },
      matchers(block, matchers) {
        // Series without the label say nothing; a metric's name narrows enough by itself.
        const narrow = hasLabel(block.labels, label) ||
          matchers.some((m) => m.name === METRIC_NAME && m.type === "=");
        return narrow ? matchers : [...matchers, makeMatcher("!=", label, "")];
      },
    });
  }

  async #strings(
    kind: Exclude<HintedRequest, "Series">,
    request: LabelNamesRequest,
    context: CallContext,
    from: LabelSource,
  ): Promise<StringsResponse> {
    const query = await this.#query(request, context);
    const limits = this.#timeLimits();
    const minTime = Math.max(request.start, limits.minTime);
    const maxTime = Math.min(request.end, limits.maxTime);
    const drop = new Set(request.withoutReplicaLabels);
    const byBlock = blockMatchers(kind, request.hints);
    const found = new Set<string>();
    const add = (text: string) => void found.add(text);
    const queried: string[] = [];
    try {
      for (const set of this.#sets.values()) {
        const matchers = matchersFor(set.labels, request.matchers);
        if (matchers === undefined) continue;
        const labels = new FinalLabels(set.labels, drop, undefined);
        const blocks = set.touching(minTime, maxTime).filter((b) => matchesBlock(b, byBlock));
        for (const block of blocks) queried.push(block.ulid);
        await mapPool(blocks, this.#settings.ranges.concurrency, async (block) => {
          throwIfAborted(context.signal);
          await query.attempt(block, async () => {
            if (matchers.length === 0) {
              while (this.#breather.due) await this.#breather.pause();
              const header = await openHeader(block);
              try {
                from.fromTables(block, header.tables, add);
              } finally {
                header.release();
              }
              return;
            }
            const part = { skipChunks: true, aggregates: [], limit: 0 };
            const narrowed = from.matchers(block, matchers);
            const blockRequest = {
              ...this.#blockRequest(part, query, minTime, maxTime, blocks.length),
              matchers: narrowed,
              selection: selectionKey(narrowed),
            };
            for await (const sets of blockLabels(block, labels, blockRequest)) {
              for (const series of sets) from.fromSeries(series, add);
            }
          });
        });
      }
    } finally {
      query.figures.blocksQueried = queried.length;
      query.end();
    }
    const values = [...found].sort(compareUtf8);
    return {
      values: request.limit > 0 ? values.slice(0, request.limit) : values,
      warnings: query.warnings(),
      hints: queriedBlocks(kind, queried),
    };
  }
}

/** How names or values come out of an index header or out of series. */
interface LabelSource {
  fromTables(
    block: BucketBlock,
    tables: { labelNames(): readonly string[]; labelValues(name: string): readonly string[] },
    add: (text: string) => void,
  ): void;
  fromSeries(labels: Labels, add: (text: string) => void): void;
  matchers(block: BucketBlock, matchers: readonly Matcher[]): readonly Matcher[];
}

/** The matchers without those on external labels; undefined when one of those does not match. */
function matchersFor(
  external: Labels,
  matchers: readonly Matcher[],
): readonly Matcher[] | undefined {
  const left: Matcher[] = [];
  for (const m of matchers) {
    const value = labelValue(external, m.name);
    if (value === "") left.push(m);
    else if (!m.matches(value)) return undefined;
  }
  return left;
}

/** selectionKey() once for all blocks that share the matchers. */
function selectionKeys(): (matchers: readonly Matcher[]) => string {
  const known = new Map<readonly Matcher[], string>();
  return (matchers) => {
    let key = known.get(matchers);
    if (key === undefined) known.set(matchers, key = selectionKey(matchers));
    return key;
  };
}

function matchesBlock(block: BucketBlock, matchers: readonly Matcher[]): boolean {
  if (matchers.length === 0) return true;
  return matchesLabels(matchers, withLabel(block.labels, BLOCK_ID_LABEL, block.ulid));
}

/** Failures of one kind told once with their number. */
interface Trouble {
  readonly message: string;
  count: number;
}

/** The state of one running request: limits, figures, and what went wrong on the way. */
class Query {
  readonly context: CallContext;
  readonly limits: RequestLimits;
  readonly figures = new RequestFigures();
  readonly memory: MemoryAccount;
  times: { readonly getAll: number; readonly merge: number } | undefined;
  readonly #abort: boolean;
  readonly #metrics: StoreMetrics;
  readonly #logger: Logger;
  readonly #tenant: string;
  readonly #troubles = new Map<string, Trouble>();

  constructor(
    options: BucketStoreOptions,
    context: CallContext,
    abort: boolean,
    tenant: string,
    memory: MemoryAccount,
  ) {
    this.memory = memory;
    this.context = context;
    this.#abort = abort;
    this.#metrics = options.metrics;
    this.#logger = options.logger;
    this.#tenant = tenant;
    this.limits = new RequestLimits(
      options.limits ?? NO_LIMITS,
      (reason) => this.#metrics.exceeded(reason, this.#tenant),
    );
  }

  /** Passes on a block's series; its failure ends the request, or is told in a warning. */
  async *guard(block: BucketBlock, batches: BatchSource): BatchSource {
    const done = block.use();
    try {
      yield* batches;
    } catch (error) {
      this.#failed(block.ulid, error);
    } finally {
      done();
    }
  }
  /** The same for work that gives no frames. */
  async attempt(block: BucketBlock, work: () => Promise<void>): Promise<void> {
    const done = block.use();
    try {
      await work();
    } catch (error) {
      this.#failed(block.ulid, error);
    } finally {
      done();
    }
  }

  #failed(ulid: string, error: unknown): void {
    const kind = errorKind(error);
    const own = kind === "limit" || kind === "canceled" || kind === "timeout" ||
      kind === "bad_data";
    if (own || this.#abort) throw error;
    this.#tell(ulid, error);
  }

  /** Damaged chunks are left out, unless the request wants all or nothing. */
  damaged(error: MnemeError): void {
    if (this.#abort) throw error;
    this.#tell(String(error.attrs.block), error);
  }

  #tell(ulid: string, error: unknown): void {
    const message = errorMessage(error);
    const known = this.#troubles.get(ulid);
    if (known !== undefined) {
      known.count++;
      return;
    }
    this.#troubles.set(ulid, { message, count: 1 });
    this.#logger.warn("block left out of an answer", { block: ulid, err: message });
  }

  /** One warning for each block in trouble. */
  warnings(): string[] {
    return [...this.#troubles.values()].map(({ message, count }) =>
      count === 1 ? message : `${message} (and ${count - 1} more)`
    );
  }

  end(): void {
    this.memory.close();
    this.figures.sentChunkBytes = this.figures.chunks.touchedBytes;
    this.#metrics.observe(this.figures, this.#tenant, this.times);
  }
}
