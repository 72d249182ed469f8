/**
 * The querier behind the engine's storage port: one Series request per selector, chunks kept as
 * they came, decoded and deduplicated when the engine reads a series.
 *
 * Differs: where nothing is kept as fine as a query wishes, coarser data answer and an info says so;
 * Thanos answers nothing there. `strictResolution` is its way.
 */
import { errorKind, MnemeError, throwIfAborted } from "../base/mod.ts";
import {
  aggregateOf,
  type CoarseLayer,
  type DedupFunction,
  isCounterCorrected,
  LayeredReader,
  type ReadOptions,
  type Refinement,
  refinementFor,
  requestedAggregates,
  SeriesReader,
  splitLayers,
} from "../dedup/mod.ts";
import {
  equalLabels,
  type Labels,
  type Matcher,
  MAX_TIME,
  RESOLUTION_1H,
  type SampleBatch,
} from "../model/mod.ts";
import type { SelectedSeries, SelectHints, Storage } from "../promql/mod.ts";
import {
  type AggrChunk,
  type CallContext,
  Lease,
  type PartialResponseStrategy,
  type SeriesRequest,
  type ShardInfo,
  type Store,
} from "../storeapi/mod.ts";
import { proxyError } from "./proxy_error.ts";
import type { Coverage, QueryRecorder } from "./query_recorder.ts";
import { selectorResolution } from "./resolution.ts";
import { Stretches } from "./stretches.ts";

/** What one query asks for beyond its text. */
export interface QuerierOptions {
  /** Merge replicas (only with at least one replica label). */
  readonly deduplicate: boolean;
  readonly dedupFunction: DedupFunction;
  readonly replicaLabels: readonly string[];
  readonly partialResponse: PartialResponseStrategy;
  /** Coarsest acceptable resolution, ms. */
  readonly maxResolution: number;
  /** Nothing coarser than `maxResolution`, even where nothing else is kept. */
  readonly strictResolution?: boolean;
  readonly shardInfo?: ShardInfo;
  readonly tenant: string;
  readonly requestId?: string;
  /** Wished number of series a frame. */
  readonly batchSize: number;
  /** Told what each store did and which resolution served which stretch of time. */
  readonly recorder?: QueryRecorder;
}

/** Counters of what a query fetched, for statistics and telemetry. */
export interface FetchStats {
  series: number;
  chunks: number;
  bytes: number;
}

/** Storage of one query over a Store (usually the proxy). */
export class QuerierStorage implements Storage {
  readonly #store: Store;
  readonly #options: QuerierOptions;
  readonly stats: FetchStats = { series: 0, chunks: 0, bytes: 0 };

  constructor(store: Store, options: QuerierOptions) {
    this.#store = store;
    this.#options = options;
  }

  async select(
    matchers: readonly Matcher[],
    hints: SelectHints,
    signal: AbortSignal,
  ): Promise<SelectedSeries> {
    const options = this.#options;
    const dedup = options.deduplicate && options.replicaLabels.length > 0;
    const aggregate = aggregateOf(hints.func);
    const maxResolution = selectorResolution(options.maxResolution, hints.func, hints.range);
    const coarserToo = options.strictResolution !== true && maxResolution < RESOLUTION_1H;
    const skipChunks = hints.skipSamples ?? false;
    const request: SeriesRequest = {
      minTime: hints.start,
      maxTime: hints.end,
      matchers,
      // Without chunks any resolution tells which series there are.
      maxResolutionWindow: skipChunks && coarserToo ? MAX_TIME : maxResolution,
      aggregates: requestedAggregates(aggregate),
      partialResponse: options.partialResponse,
      skipChunks,
      queryHints: {
        stepMillis: hints.step,
        func: hints.func,
        rangeMillis: hints.range,
        ...(hints.grouping.length === 0
          ? {}
          : { grouping: { by: hints.by, labels: hints.grouping } }),
      },
      ...(options.shardInfo === undefined ? {} : { shardInfo: options.shardInfo }),
      withoutReplicaLabels: dedup ? options.replicaLabels : [],
      limit: 0,
      responseBatchSize: options.batchSize,
      withoutChunkHashes: true,
      ...(coarserToo && !skipChunks ? { coarserWhereMissing: true } : {}),
    };
    const lease = new Lease();
    const context: CallContext = {
      signal,
      lease,
      tenant: options.tenant,
      ...(options.recorder === undefined ? {} : { report: options.recorder.store }),
      ...(options.requestId === undefined ? {} : { requestId: options.requestId }),
    };
    const fetched = await this.#fetch(request, context);
    return new FetchedSeries(fetched, lease, hints, {
      aggregate,
      dedup: dedup ? options.dedupFunction : undefined,
      counterCorrected: isCounterCorrected(hints.func),
      minTime: hints.queryStart,
      maxTime: hints.queryEnd,
    }, { maxResolution: coarserToo ? maxResolution : MAX_TIME, recorder: options.recorder });
  }

  async #fetch(request: SeriesRequest, context: CallContext): Promise<Fetched> {
    const labels: Labels[] = [];
    const chunks: (readonly AggrChunk[])[] = [];
    const warnings: string[] = [];
    let bytes = 0;
    try {
      for await (const frame of this.#store.series(request, context)) {
        throwIfAborted(context.signal);
        for (const warning of frame.warnings) warnings.push(warning);
        bytes += frame.bytes ?? 0;
        for (const series of frame.series) {
          const last = labels.length - 1;
          if (last >= 0 && equalLabels(labels[last]!, series.labels)) {
            chunks[last] = [...chunks[last]!, ...series.chunks];
          } else {
            labels.push(series.labels);
            chunks.push(series.chunks);
          }
          this.stats.chunks += series.chunks.length;
        }
      }
    } catch (error) {
      // A deadline that passes while selecting is told by its own text.
      if (errorKind(error) === "timeout" && context.signal.aborted) {
        throw new MnemeError("execution", "expanding series: context deadline exceeded", {
          cause: error,
        });
      }
      throw proxyError("expanding series: proxy Series()", error);
    }
    this.stats.series += labels.length;
    this.stats.bytes += bytes;
    return { labels, chunks, warnings, bytes };
  }
}

interface Fetched {
  readonly labels: Labels[];
  readonly chunks: (readonly AggrChunk[])[];
  readonly warnings: string[];
  readonly bytes: number;
}

/** How resolutions of fetched chunks are told apart, and where they are noted. */
interface ResolutionUse {
  /** Chunks coarser than this, ms, only fill what the others leave open. */
  readonly maxResolution: number;
  readonly recorder: QueryRecorder | undefined;
}

class FetchedSeries implements SelectedSeries {
  readonly labels: readonly Labels[];
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
  readonly bytes: number;
  #chunks: (readonly AggrChunk[])[];
  /** By index of the series; empty where everything is as fine as asked. */
  readonly #coarse = new Map<number, readonly CoarseLayer[]>();
  readonly #lease: Lease;
  readonly #options: ReadOptions;
  readonly #reader = new SeriesReader();
  readonly #layered = new LayeredReader(this.#reader);
  readonly #refinement: (resolution: number) => Refinement | undefined;

  constructor(
    fetched: Fetched,
    lease: Lease,
    hints: SelectHints,
    options: ReadOptions,
    use: ResolutionUse,
  ) {
    this.labels = fetched.labels;
    this.warnings = fetched.warnings;
    this.bytes = fetched.bytes;
    this.#lease = lease;
    this.#options = options;
    const span = options.maxTime - options.minTime;
    const { func, range, window = range } = hints;
    this.#refinement = (resolution) => refinementFor(func, window, resolution, span);
    const read = new Stretches();
    const filled = new Stretches();
    this.#chunks = fetched.chunks.map((unordered, i) => {
      const { asked, coarse } = splitLayers(inTimeOrder(unordered), use.maxResolution);
      read.addChunks(asked, hints.start, hints.end);
      if (coarse.length === 0) return asked;
      this.#coarse.set(i, coarse);
      let finer = asked;
      for (const { resolution, chunks } of coarse) {
        filled.addFilling(resolution, chunks, finer, hints.start, hints.end);
        finer = [...finer, ...chunks];
      }
      return asked;
    });
    const filling = filled.list();
    read.addAll(filling);
    for (const { resolution, minTime, maxTime } of read.list()) {
      use.recorder?.covered(resolution, minTime, maxTime);
    }
    this.infos = filling.map(coarserText);
  }

  read(i: number, batch: SampleBatch): void {
    const asked = this.#chunks[i]!;
    const coarse = this.#coarse.get(i);
    if (coarse === undefined) this.#reader.read(asked, this.#options, batch);
    else this.#layered.read({ asked, coarse }, this.#options, this.#refinement, batch);
  }

  close(): void {
    this.#chunks = [];
    this.#coarse.clear();
    this.#lease.end();
  }
}

function coarserText({ resolution, minTime, maxTime }: Coverage): string {
  return `${resolution === RESOLUTION_1H ? "1h" : "5m"} downsampled data used from ` +
    `${timeText(minTime)} to ${timeText(maxTime)}: nothing as fine as asked for is kept there`;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

/** Stores send chunks in order nearly always, so the check comes first. */
function inTimeOrder(chunks: readonly AggrChunk[]): readonly AggrChunk[] {
  for (let i = 1; i < chunks.length; i++) {
    if (chunks[i]!.minTime < chunks[i - 1]!.minTime) {
      return chunks.toSorted((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
    }
  }
  return chunks;
}
