/**
 * The querier behind the engine's storage port: one Series request per selector, chunks kept as
 * they came, decoded and deduplicated when the engine reads a series.
 */
import { errorKind, MnemeError, throwIfAborted } from "../base/mod.ts";
import {
  aggregateOf,
  type DedupFunction,
  isCounterCorrected,
  type ReadOptions,
  requestedAggregates,
  SeriesReader,
} from "../dedup/mod.ts";
import { equalLabels, type Labels, type Matcher, type SampleBatch } from "../model/mod.ts";
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
import type { QueryRecorder } from "./query_recorder.ts";
import { selectorResolution } from "./resolution.ts";

/** What one query asks for beyond its text. */
export interface QuerierOptions {
  /** Merge replicas (only with at least one replica label). */
  readonly deduplicate: boolean;
  readonly dedupFunction: DedupFunction;
  readonly replicaLabels: readonly string[];
  readonly partialResponse: PartialResponseStrategy;
  /** Coarsest acceptable resolution, ms. */
  readonly maxResolution: number;
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
    const request: SeriesRequest = {
      minTime: hints.start,
      maxTime: hints.end,
      matchers,
      maxResolutionWindow: selectorResolution(options.maxResolution, hints.func, hints.range),
      aggregates: requestedAggregates(aggregate),
      partialResponse: options.partialResponse,
      skipChunks: hints.skipSamples ?? false,
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
    return new FetchedSeries(fetched, lease, {
      aggregate,
      dedup: dedup ? options.dedupFunction : undefined,
      counterCorrected: isCounterCorrected(hints.func),
      minTime: hints.queryStart,
      maxTime: hints.queryEnd,
    });
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

class FetchedSeries implements SelectedSeries {
  readonly labels: readonly Labels[];
  readonly warnings: readonly string[];
  readonly bytes: number;
  #chunks: (readonly AggrChunk[])[];
  readonly #lease: Lease;
  readonly #options: ReadOptions;
  readonly #reader = new SeriesReader();

  constructor(fetched: Fetched, lease: Lease, options: ReadOptions) {
    this.labels = fetched.labels;
    this.warnings = fetched.warnings;
    this.bytes = fetched.bytes;
    this.#chunks = fetched.chunks.map(inTimeOrder);
    this.#lease = lease;
    this.#options = options;
  }

  read(i: number, batch: SampleBatch): void {
    this.#reader.read(this.#chunks[i]!, this.#options, batch);
  }

  close(): void {
    this.#chunks = [];
    this.#lease.end();
  }
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
