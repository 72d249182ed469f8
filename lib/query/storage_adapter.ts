/**
 * The querier behind the engine's storage port: one Series request per selector, chunks kept as
 * they came, decoded and deduplicated when the engine reads a series.
 *
 * Differs: where nothing is kept as fine as a query wishes, coarser data answer and an info says so;
 * Thanos answers nothing there. `strictResolution` is its way.
 */
import { errorKind, MnemeError, type SlabPool, throwIfAborted } from "../base/mod.ts";
import {
  aggregateOf,
  type DedupFunction,
  isCounterCorrected,
  requestedAggregates,
} from "../dedup/mod.ts";
import { type Matcher, MAX_TIME, RESOLUTION_1H } from "../model/mod.ts";
import type { SelectedSeries, SelectHints, Storage } from "../promql/mod.ts";
import type {
  CallContext,
  PartialResponseStrategy,
  SeriesRequest,
  ShardInfo,
  Store,
} from "../storeapi/mod.ts";
import { ExternalOnly } from "./external_only.ts";
import { FetchedSeries } from "./fetched_series.ts";
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
  /** Nothing coarser than `maxResolution`, even where nothing else is kept. */
  readonly strictResolution?: boolean;
  readonly shardInfo?: ShardInfo;
  readonly tenant: string;
  readonly requestId?: string;
  /** Where memory for answers comes from; absent: the runtime. */
  readonly memory?: SlabPool;
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
    const memory = options.memory?.arena();
    const externalOnly = new ExternalOnly();
    const context: CallContext = {
      signal,
      ...(memory === undefined ? {} : { memory }),
      tenant: options.tenant,
      report: (report) => {
        options.recorder?.store(report);
        externalOnly.report(report);
      },
      ...(options.requestId === undefined ? {} : { requestId: options.requestId }),
    };
    const fetched = new FetchedSeries({
      hints,
      read: {
        aggregate,
        dedup: dedup ? options.dedupFunction : undefined,
        counterCorrected: isCounterCorrected(hints.func),
        minTime: hints.queryStart,
        maxTime: hints.queryEnd,
      },
      maxResolution: coarserToo ? maxResolution : MAX_TIME,
      recorder: options.recorder,
      memory,
    });
    await this.#fetch(request, context, fetched);
    return fetched.end(externalOnly.infos(matchers));
  }

  async #fetch(request: SeriesRequest, context: CallContext, into: FetchedSeries): Promise<void> {
    try {
      for await (const frame of this.#store.series(request, context)) {
        throwIfAborted(context.signal);
        into.add(frame);
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
    this.stats.series += into.labels.length;
    this.stats.chunks += into.chunkCount;
    this.stats.bytes += into.bytes;
  }
}
