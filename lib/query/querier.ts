/**
 * The querier: opens storages for queries and answers metadata questions over the stores.
 */
import { compareUtf8, MnemeError, SlabPool } from "../base/mod.ts";
import type { DedupFunction } from "../dedup/mod.ts";
import { compareLabels, equalLabels, type Labels, type Matcher, MAX_TIME } from "../model/mod.ts";
import type { CallContext, PartialResponseStrategy, ShardInfo, Store } from "../storeapi/mod.ts";
import { ExternalOnly } from "./external_only.ts";
import { proxyError } from "./proxy_error.ts";
import type { QueryRecorder } from "./query_recorder.ts";
import { QuerierStorage } from "./storage_adapter.ts";

/** Chooses stores by address: every matcher of one list must match. Empty = all stores. */
export type StoreMatchers = readonly (readonly Matcher[])[];

/** What every request of the query APIs may say. */
export interface RequestOptions {
  readonly deduplicate: boolean;
  readonly replicaLabels: readonly string[];
  readonly partialResponse: PartialResponseStrategy;
  readonly storeMatchers: StoreMatchers;
  readonly tenant: string;
  readonly requestId?: string;
}

/** What queries say in addition. */
export interface QueryOptions extends RequestOptions {
  /** Coarsest acceptable resolution, ms. */
  readonly maxResolution: number;
  readonly shardInfo?: ShardInfo;
  /** Collects what was fetched, from whom, at which resolution. */
  readonly recorder?: QueryRecorder;
}

/** A question about labels. */
export interface MetadataRequest {
  /** Selectors, OR-ed; none = everything. */
  readonly matcherSets: readonly (readonly Matcher[])[];
  readonly start: number;
  readonly end: number;
  /** Most results, 0 = all. */
  readonly limit: number;
}

/** Results with what went wrong on the way. */
export interface WithWarnings<T> {
  readonly value: T;
  readonly warnings: string[];
}

/** Parts of a querier. */
export interface QuerierParts {
  /** The stores that these matchers leave, as one. */
  readonly stores: (matchers: StoreMatchers) => Store;
  readonly dedupFunction: DedupFunction;
  /** No data coarser than asked for, even where nothing else is kept. */
  readonly strictResolution?: boolean;
}

/** Memory of answers that is kept for the next queries, bytes. */
const KEPT_MEMORY = 70 * 1024 * 1024;
/** Number of series asked for in one frame. */
const BATCH_SIZE = 64;

/** Answers over all stores. */
export class Querier {
  readonly #parts: QuerierParts;
  readonly #memory = new SlabPool(KEPT_MEMORY);
  constructor(parts: QuerierParts) {
    this.#parts = parts;
  }

  /** Storage for one query. */
  storage(options: QueryOptions): QuerierStorage {
    return new QuerierStorage(this.#parts.stores(options.storeMatchers), {
      deduplicate: options.deduplicate,
      dedupFunction: this.#parts.dedupFunction,
      replicaLabels: options.replicaLabels,
      partialResponse: options.partialResponse,
      maxResolution: options.maxResolution,
      memory: this.#memory,
      strictResolution: this.#parts.strictResolution ?? false,
      ...(options.shardInfo === undefined ? {} : { shardInfo: options.shardInfo }),
      tenant: options.tenant,
      ...(options.requestId === undefined ? {} : { requestId: options.requestId }),
      batchSize: BATCH_SIZE,
      ...(options.recorder === undefined ? {} : { recorder: options.recorder }),
    });
  }

  #context(options: RequestOptions, signal: AbortSignal): CallContext {
    return {
      signal,
      tenant: options.tenant,
      ...(options.requestId === undefined ? {} : { requestId: options.requestId }),
    };
  }

  /** Label sets of the series that match, sorted, unique; replica labels removed when deduplicating. */
  async series(
    request: MetadataRequest,
    options: RequestOptions,
    signal: AbortSignal,
  ): Promise<WithWarnings<Labels[]>> {
    const store = this.#parts.stores(options.storeMatchers);
    const warnings: string[] = [];
    const found: Labels[] = [];
    for (const matchers of request.matcherSets) {
      const externalOnly = new ExternalOnly();
      const stream = store.series({
        minTime: request.start,
        maxTime: request.end,
        matchers,
        maxResolutionWindow: MAX_TIME,
        aggregates: [],
        partialResponse: options.partialResponse,
        skipChunks: true,
        withoutReplicaLabels: options.deduplicate ? options.replicaLabels : [],
        limit: request.limit === 0 ? 0 : request.limit + 1,
        responseBatchSize: BATCH_SIZE,
      }, { ...this.#context(options, signal), report: externalOnly.report });
      try {
        for await (const frame of stream) {
          warnings.push(...frame.warnings);
          for (const series of frame.series) found.push(series.labels);
        }
      } catch (error) {
        throw proxyError("proxy Series()", error);
      }
      warnings.push(...externalOnly.infos(matchers).map((text) => `PromQL info: ${text}`));
    }
    found.sort(compareLabels);
    const unique = found.filter((labels, i) => i === 0 || !equalLabels(labels, found[i - 1]!));
    return cut(unique, request.limit, warnings);
  }

  /** Names of all labels. */
  labelNames(
    request: MetadataRequest,
    options: RequestOptions,
    signal: AbortSignal,
  ): Promise<WithWarnings<string[]>> {
    const store = this.#parts.stores(options.storeMatchers);
    return this.#strings("proxy LabelNames()", request, (matchers) =>
      store.labelNames({
        start: request.start,
        end: request.end,
        matchers,
        partialResponse: options.partialResponse,
        withoutReplicaLabels: [],
        limit: request.limit === 0 ? 0 : request.limit + 1,
      }, this.#context(options, signal)));
  }

  /** Values of one label. */
  labelValues(
    label: string,
    request: MetadataRequest,
    options: RequestOptions,
    signal: AbortSignal,
  ): Promise<WithWarnings<string[]>> {
    if (label === "") throw new MnemeError("bad_data", 'invalid label name: ""');
    const store = this.#parts.stores(options.storeMatchers);
    return this.#strings("proxy LabelValues()", request, (matchers) =>
      store.labelValues({
        label,
        start: request.start,
        end: request.end,
        matchers,
        partialResponse: options.partialResponse,
        withoutReplicaLabels: [],
        limit: request.limit === 0 ? 0 : request.limit + 1,
      }, this.#context(options, signal)));
  }

  async #strings(
    what: string,
    request: MetadataRequest,
    ask: (
      matchers: readonly Matcher[],
    ) => Promise<{ values: readonly string[]; warnings: readonly string[] }>,
  ): Promise<WithWarnings<string[]>> {
    const sets = request.matcherSets.length === 0 ? [[]] : request.matcherSets;
    const values = new Set<string>();
    const warnings: string[] = [];
    const answers = await Promise.all(sets.map((matchers) => ask(matchers)))
      .catch((error: unknown) => {
        throw proxyError(what, error);
      });
    for (const answer of answers) {
      for (const v of answer.values) values.add(v);
      warnings.push(...answer.warnings);
    }
    return cut([...values].sort(compareUtf8), request.limit, warnings);
  }
}

function cut<T>(values: T[], limit: number, warnings: string[]): WithWarnings<T[]> {
  if (limit > 0 && values.length > limit) {
    warnings.push("results truncated due to limit");
    values.length = limit;
  }
  return { value: values, warnings: [...new Set(warnings)] };
}
