/**
 * One Store in front of many: asks those that can have an answer, merges what they send, and turns
 * failures into warnings or into an error as the request wishes.
 *
 * Source: Thanos' querier (selection, texts, merging). A store that is known but cannot be reached
 * counts as one that failed.
 */
import { compareUtf8, LimitError, MnemeError, throwIfAborted } from "../base/mod.ts";
import { hasLabel, type Labels, labelValue, type Matcher } from "../model/mod.ts";
import { RpcError, STATUS_ABORTED } from "../rpc/mod.ts";
import { Deadline } from "./deadline.ts";
import { type ProxiedStore, type ReadOptions, readStore } from "./proxy_read.ts";
import { canMatch, setMatchers } from "./proxy_select.ts";
import { checkOrder, eager, prefetch, withoutLabels } from "./proxy_streams.ts";
import { deadlineExceeded, rpcText, storeText } from "./proxy_text.ts";
import { mergeSeries } from "./series_merge.ts";
import { filterShard } from "./shard.ts";
import type { CallContext, Store } from "./store.ts";
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  PartialResponseStrategy,
  SeriesFrame,
  SeriesRequest,
  StringsResponse,
} from "./types.ts";

export type { ProxiedStore } from "./proxy_read.ts";
export type { StoreReport } from "./store.ts";

/** Settings of a proxy; all injected. */
export interface ProxyOptions extends ReadOptions {
  /** The stores of the moment. */
  readonly stores: () => readonly ProxiedStore[];
  /** Labels that this querier announces on top of its stores'. */
  readonly selectorLabels?: Labels;
  /** Keeps a label set of a store; absent keeps all. */
  readonly selector?: (labels: Labels) => boolean;
  /** Eager: read each store to its end, then merge. Lazy: merge while reading. */
  readonly strategy?: "eager" | "lazy";
  /** Frames that wait for the merge, a store; lazy only. */
  readonly maxBufferedFrames?: number;
  /** Limits on the merged answer; 0 = none. Each chunk counts as 120 samples. */
  readonly limitSeries?: number;
  readonly limitSamples?: number;
}

const SAMPLES_PER_CHUNK = 120;
/** Series a frame that the merge makes. */
const FRAME_SERIES = 256;

/** The proxy. */
export class StoreProxy implements Store {
  readonly #options: ProxyOptions;
  readonly #addressMatchers: readonly (readonly Matcher[])[];

  /** `storeMatchers`: only stores for which all `__address__` matchers of one selector hold. */
  constructor(
    options: ProxyOptions,
    storeMatchers: readonly (readonly Matcher[])[] = [],
  ) {
    this.#options = options;
    this.#addressMatchers = storeMatchers;
  }

  /** The same proxy, asking only stores whose address matches. */
  matching(storeMatchers: readonly (readonly Matcher[])[]): StoreProxy {
    return storeMatchers.length === 0 ? this : new StoreProxy(this.#options, storeMatchers);
  }

  async *series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    const asked = this.#select(request.matchers, request.minTime, request.maxTime, request);
    if (asked === undefined) return;
    if (asked.matchers.length === 0) {
      throw new RpcError(3, "no matchers specified (excluding selector labels)");
    }
    const forwarded = { ...request, matchers: [...asked.matchers, ...asked.extra] };
    const single = asked.stores.length === 1;
    // Ends what is still running below when the reader stops early.
    const whole = new Deadline(context.signal, 0);
    const inner = { ...context, signal: whole.signal };
    const inputs = asked.stores.map((store) => this.#ask(store, forwarded, inner, single));
    try {
      yield* this.#merge(inputs, request, context);
    } finally {
      whole.stop();
      whole.close();
    }
  }

  async *#merge(
    inputs: readonly AsyncIterable<SeriesFrame>[],
    request: SeriesRequest,
    context: CallContext,
  ): AsyncIterable<SeriesFrame> {
    let series = 0;
    let samples = 0;
    const { limitSeries = 0, limitSamples = 0 } = this.#options;
    const merged = mergeSeries(inputs, {
      batchSize: FRAME_SERIES,
      limit: request.limit,
      signal: context.signal,
    });
    for await (const frame of merged) {
      for (const warning of frame.warnings) {
        if (request.partialResponse === "abort") throw new RpcError(STATUS_ABORTED, warning);
      }
      series += frame.series.length;
      if (limitSeries > 0 && series > limitSeries) throw limitError(limitSeries, series);
      if (limitSamples > 0) {
        for (const s of frame.series) samples += s.chunks.length * SAMPLES_PER_CHUNK;
        if (samples > limitSamples) throw limitError(limitSamples, samples);
      }
      yield frame;
    }
  }

  async labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse> {
    return await this.#strings(
      "label names",
      request,
      context,
      (store, forwarded, c) => store.labelNames(forwarded, c),
    );
  }

  async labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse> {
    return await this.#strings(
      "label values",
      request,
      context,
      (store, forwarded, c) => store.labelValues({ ...forwarded, label: request.label }, c),
    );
  }

  async #strings(
    what: string,
    request: LabelNamesRequest,
    context: CallContext,
    ask: (store: Store, request: LabelNamesRequest, c: CallContext) => Promise<StringsResponse>,
  ): Promise<StringsResponse> {
    const asked = this.#select(request.matchers, request.start, request.end, request);
    if (asked === undefined) return { values: [], warnings: [] };
    const forwarded = { ...request, matchers: [...asked.matchers, ...asked.extra] };
    const values = new Set<string>();
    const warnings: string[] = [];
    const fail = (store: ProxiedStore, cause: string) => {
      const text = `fetch ${what} from store ${storeText(store)}: ${cause}`;
      if (request.partialResponse === "abort") throw new MnemeError("unavailable", text);
      warnings.push(text);
    };
    const { requestTimeout = 0 } = this.#options;
    const limited = new Deadline(context.signal, requestTimeout);
    try {
      await Promise.all(asked.stores.map(async (store) => {
        if (store.unhealthy !== undefined) return fail(store, store.unhealthy);
        let answer: StringsResponse;
        try {
          answer = await ask(store.store, forwarded, { ...context, signal: limited.signal });
        } catch (error) {
          throwIfAborted(context.signal);
          return fail(store, rpcText(limited.expired ? deadlineExceeded() : error));
        }
        for (const value of answer.values) values.add(value);
        for (const warning of answer.warnings) warnings.push(warning);
      }));
    } finally {
      limited.stop();
      limited.close();
    }
    const sorted = [...values].sort(compareUtf8);
    return { values: request.limit > 0 ? sorted.slice(0, request.limit) : sorted, warnings };
  }

  /** Stores to ask and matchers to send; undefined when the answer is empty whatever they hold. */
  #select(
    matchers: readonly Matcher[],
    minTime: number,
    maxTime: number,
    request: { readonly partialResponse: PartialResponseStrategy },
  ): { stores: ProxiedStore[]; matchers: Matcher[]; extra: Matcher[] } | undefined {
    const { selectorLabels, selector } = this.#options;
    const kept: Matcher[] = [];
    for (const m of matchers) {
      if (selectorLabels === undefined || !hasLabel(selectorLabels, m.name)) kept.push(m);
      else if (!m.matches(labelValue(selectorLabels, m.name))) return undefined;
    }
    const all = this.#options.stores();
    if (all.length === 0 && request.partialResponse === "abort") {
      throw new MnemeError("unavailable", "No StoreAPIs available");
    }
    const chosenSets: Labels[] = [];
    const stores = all.filter((store) => {
      const sets = selector === undefined ? store.labelSets : store.labelSets.filter(selector);
      if (store.labelSets.length > 0 && sets.length === 0) return false;
      const hit = minTime <= store.info.maxTime && maxTime >= store.info.minTime &&
        this.#matchesAddress(store.address) &&
        (sets.length === 0 || sets.some((labels) => canMatch(labels, kept)));
      if (hit) chosenSets.push(...sets);
      return hit;
    });
    const extra = selector === undefined ? [] : setMatchers(chosenSets);
    return { stores, matchers: kept, extra };
  }

  #matchesAddress(address: string): boolean {
    return this.#addressMatchers.length === 0 ||
      this.#addressMatchers.some((selector) =>
        selector.every((m) => m.name !== "__address__" || m.matches(address))
      );
  }

  /** Frames of one store; its failure becomes a warning, or is thrown in abort mode. */
  #ask(
    store: ProxiedStore,
    request: SeriesRequest,
    context: CallContext,
    single: boolean,
  ): AsyncIterable<SeriesFrame> {
    const resort = request.withoutReplicaLabels.length > 0 &&
      !store.info.supportsWithoutReplicaLabels;
    let frames = readStore(store, request, context, this.#options);
    if (request.shardInfo !== undefined && !store.info.supportsSharding) {
      frames = filterShard(
        resort ? withoutLabels(frames, request.withoutReplicaLabels) : frames,
        request.shardInfo,
      );
    } else if (resort) frames = withoutLabels(frames, request.withoutReplicaLabels);
    if (resort) return eager(frames, context.signal);
    // A lone store has nobody to wait for.
    if (single) return checkOrder(frames, store, request.partialResponse);
    if (this.#options.strategy !== "lazy") return eager(frames, context.signal);
    return checkOrder(
      prefetch(frames, this.#options.maxBufferedFrames ?? 20),
      store,
      request.partialResponse,
    );
  }
}

function limitError(limit: number, seen: number): LimitError {
  return new LimitError(
    `failed to send series: limit ${limit} violated (got ${seen})`,
    limit,
    seen,
  );
}
