/**
 * One Store in front of many: asks those that can have an answer, merges what they send, and turns
 * failures into warnings or into an error as the request wishes.
 *
 * Source: Thanos' querier (selection, texts, merging). A store that is known but cannot be reached
 * counts as one that failed.
 */
import { errorMessage, formatGoDuration, LimitError, MnemeError } from "../base/mod.ts";
import { compareUtf8, errorKind, throwIfAborted } from "../base/mod.ts";
import {
  compareLabels,
  dropLabels,
  formatLabels,
  hasLabel,
  labelPairs,
  type Labels,
  labelValue,
  makeMatcher,
  type Matcher,
  MAX_TIME,
  MIN_TIME,
} from "../model/mod.ts";
import {
  RpcError,
  STATUS_ABORTED,
  STATUS_CANCELLED,
  STATUS_DEADLINE_EXCEEDED,
} from "../rpc/mod.ts";
import { statusName, statusOf } from "../rpc/mod.ts";
import { mergeSeries } from "./series_merge.ts";
import { filterShard } from "./shard.ts";
import type { CallContext, Store } from "./store.ts";
import type {
  LabelNamesRequest,
  LabelValuesRequest,
  PartialResponseStrategy,
  Series,
  SeriesFrame,
  SeriesRequest,
  StoreInfo,
  StringsResponse,
} from "./types.ts";

/** A store behind the proxy. */
export interface ProxiedStore {
  readonly address: string;
  readonly store: Store;
  /** Announced external labels. */
  readonly labelSets: readonly Labels[];
  readonly info: StoreInfo;
  /** Why it cannot be asked at the moment; undefined while it is healthy. */
  readonly unhealthy: string | undefined;
}

/** What one store did for one Series request. */
export interface StoreReport {
  readonly address: string;
  readonly milliseconds: number;
  readonly bytes: number;
  readonly frames: number;
  readonly series: number;
  readonly chunks: number;
}

/** Settings of a proxy; all injected. */
export interface ProxyOptions {
  /** The stores of the moment. */
  readonly stores: () => readonly ProxiedStore[];
  /** Labels that this querier announces on top of its stores'. */
  readonly selectorLabels?: Labels;
  /** Keeps a label set of a store; absent keeps all. */
  readonly selector?: (labels: Labels) => boolean;
  /** Longest wait for a store's next frame, ms; 0 = no limit. */
  readonly responseTimeout?: number;
  /** Longest time for all of a request, ms; 0 = no limit. Passing it is a store's failure. */
  readonly requestTimeout?: number;
  /** Eager: read each store to its end, then merge. Lazy: merge while reading. */
  readonly strategy?: "eager" | "lazy";
  /** Frames that wait for the merge, a store; lazy only. */
  readonly maxBufferedFrames?: number;
  /** Limits on the merged answer; 0 = none. Each chunk counts as 120 samples. */
  readonly limitSeries?: number;
  readonly limitSamples?: number;
  readonly report?: (report: StoreReport) => void;
  /** Monotonic milliseconds. */
  readonly monotonic?: () => number;
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
    let frames = this.#read(store, request, context);
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

  async *#read(
    store: ProxiedStore,
    request: SeriesRequest,
    context: CallContext,
  ): AsyncIterable<SeriesFrame> {
    const { responseTimeout = 0, requestTimeout = 0, report } = this.#options;
    const monotonic = this.#options.monotonic ?? (() => performance.now());
    const began = monotonic();
    let bytes = 0;
    let frames = 0;
    let series = 0;
    let chunks = 0;
    const limited = new Deadline(context.signal, requestTimeout);
    let failure: string | undefined;
    let iterator: AsyncIterator<SeriesFrame> | undefined;
    try {
      if (store.unhealthy !== undefined) {
        failure = `fetch series for ${setsText(store)} ${storeText(store)}: ${store.unhealthy}`;
      } else {
        const calls = store.store.series(request, { ...context, signal: limited.signal });
        iterator = calls[Symbol.asyncIterator]();
        for (;;) {
          const step = await within(iterator.next(), responseTimeout, () => limited.stop());
          if (step === "late") {
            throwIfAborted(context.signal);
            failure = `failed to receive any data in ${formatGoDuration(responseTimeout)} from ` +
              `${storeText(store)}: ${rpcText(new RpcError(STATUS_CANCELLED, "context canceled"))}`;
            break;
          }
          if (step.done) break;
          const frame = step.value;
          frames++;
          bytes += frame.bytes ?? 0;
          series += frame.series.length;
          for (const s of frame.series) chunks += s.chunks.length;
          yield frame;
        }
      }
    } catch (error) {
      throwIfAborted(context.signal);
      if (limited.expired) {
        failure = `receive series from ${storeText(store)}: ${rpcText(deadlineExceeded())}`;
      } else if (frames === 0 && errorKind(error) === "unavailable") {
        failure = `fetch series for ${setsText(store)} ${storeText(store)}: ${rpcText(error)}`;
      } else failure = `receive series from ${storeText(store)}: ${rpcText(error)}`;
    } finally {
      // Tells the store that nobody reads on; what it answers does not matter any more.
      limited.stop();
      limited.close();
      iterator?.return?.()?.catch(() => {});
    }
    report?.({
      address: store.address,
      milliseconds: monotonic() - began,
      bytes,
      frames,
      series,
      chunks,
    });
    if (failure === undefined) return;
    if (request.partialResponse === "abort") {
      // Thanos gives a status only to what was received.
      throw failure.startsWith("fetch series")
        ? new MnemeError("unavailable", failure)
        : new RpcError(STATUS_ABORTED, failure);
    }
    yield { series: [], warnings: [failure] };
  }
}

/** False when some matcher on a label of the set fails; labels the set lacks never exclude. */
function canMatch(labels: Labels, matchers: readonly Matcher[]): boolean {
  return matchers.every((m) => !hasLabel(labels, m.name) || m.matches(labelValue(labels, m.name)));
}

/** Matchers that keep only series of the given label sets, label by label. */
function setMatchers(sets: readonly Labels[]): Matcher[] {
  const values = new Map<string, Set<string>>();
  for (const labels of sets) {
    for (const [name, value] of labelPairs(labels)) {
      const known = values.get(name);
      if (known === undefined) values.set(name, new Set([value]));
      else known.add(value);
    }
  }
  return [...values].map(([name, texts]) => {
    const patterns = [...texts].map((t) => t.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&"));
    if (sets.some((labels) => !hasLabel(labels, name))) patterns.push("^$");
    return makeMatcher("=~", name, patterns.join("|"));
  });
}

/** A store as it is named in messages. */
function storeText(store: ProxiedStore): string {
  return `Addr: ${store.address} MinTime: ${timeText(store.info.minTime)} ` +
    `MaxTime: ${timeText(store.info.maxTime)}`;
}

function timeText(ms: number): string {
  if (ms >= MAX_TIME) return "9223372036854775807";
  if (ms <= MIN_TIME) return "-9223372036854775808";
  return String(ms);
}

function setsText(store: ProxiedStore): string {
  if (store.labelSets.length === 0) return "Store Gateway";
  return store.labelSets.map(formatLabels).join(",");
}

/** An error as a gRPC program would print it. */
function rpcText(error: unknown): string {
  if (error instanceof RpcError) return error.message;
  const { code } = statusOf(error);
  return `rpc error: code = ${statusName(code)} desc = ${errorMessage(error)}`;
}

function deadlineExceeded(): RpcError {
  return new RpcError(STATUS_DEADLINE_EXCEEDED, "context deadline exceeded");
}

function limitError(limit: number, seen: number): LimitError {
  return new LimitError(
    `failed to send series: limit ${limit} violated (got ${seen})`,
    limit,
    seen,
  );
}

/** A signal that follows another one and also aborts after `ms` (0 = never) or on stop(). */
class Deadline {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #follow: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The time has passed. */
  expired = false;

  constructor(parent: AbortSignal, ms: number) {
    this.#parent = parent;
    this.#follow = () => this.#controller.abort(parent.reason);
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
    if (ms > 0) {
      this.#timer = setTimeout(() => {
        this.expired = true;
        this.#controller.abort(new MnemeError("timeout", "context deadline exceeded"));
      }, ms);
    }
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  stop(): void {
    this.#controller.abort(new MnemeError("canceled", "context canceled"));
  }
  close(): void {
    clearTimeout(this.#timer);
    this.#parent.removeEventListener("abort", this.#follow);
  }
}

/** The promise's value, or "late" after `ms` (0 = never); `stop` ends the work behind it then. */
async function within<T>(
  promise: Promise<T>,
  ms: number,
  stop: () => void,
): Promise<T | "late"> {
  if (ms <= 0) return await promise;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), ms);
  });
  try {
    const first = await Promise.race([promise, late]);
    if (first === "late") {
      stop();
      // Its rejection is expected and told by the caller in other words.
      promise.catch(() => {});
    }
    return first;
  } finally {
    clearTimeout(timer);
  }
}

async function* withoutLabels(
  frames: AsyncIterable<SeriesFrame>,
  names: readonly string[],
): AsyncIterable<SeriesFrame> {
  const dropped = new Set(names);
  for await (const frame of frames) {
    const series = frame.series.map((s) => ({ ...s, labels: dropLabels(s.labels, dropped) }));
    yield { ...frame, series };
  }
}

/** All of a store's frames as one, sorted. */
async function* eager(
  frames: AsyncIterable<SeriesFrame>,
  signal: AbortSignal,
): AsyncIterable<SeriesFrame> {
  const series: Series[] = [];
  const warnings: string[] = [];
  const rest: SeriesFrame[] = [];
  let sorted = true;
  for await (const frame of frames) {
    throwIfAborted(signal);
    for (const s of frame.series) {
      const last = series.at(-1);
      if (last !== undefined && compareLabels(last.labels, s.labels) > 0) sorted = false;
      series.push(s);
    }
    for (const warning of frame.warnings) warnings.push(warning);
    if (frame.hints !== undefined) rest.push({ series: [], warnings: [], hints: frame.hints });
  }
  // Stable, so the parts of a series keep their order.
  if (!sorted) series.sort((a, b) => compareLabels(a.labels, b.labels));
  yield { series, warnings };
  yield* rest;
}

/** Ends a stream whose series come out of order: merged, they would give wrong answers. */
async function* checkOrder(
  frames: AsyncIterable<SeriesFrame>,
  store: ProxiedStore,
  strategy: PartialResponseStrategy,
): AsyncIterable<SeriesFrame> {
  let last: Labels | undefined;
  for await (const frame of frames) {
    for (let i = 0; i < frame.series.length; i++) {
      const { labels } = frame.series[i]!;
      if (last !== undefined && compareLabels(last, labels) > 0) {
        const text = `receive series from ${storeText(store)}: series are not sorted: ` +
          `${formatLabels(labels)} came after ${formatLabels(last)}`;
        if (strategy === "abort") throw new RpcError(STATUS_ABORTED, text);
        yield { ...frame, series: frame.series.slice(0, i), warnings: [...frame.warnings, text] };
        return;
      }
      last = labels;
    }
    yield frame;
  }
}

/** Reads ahead up to `most` frames; nothing starts before the first is asked for. */
async function* prefetch(
  frames: AsyncIterable<SeriesFrame>,
  most: number,
): AsyncIterable<SeriesFrame> {
  const queue: SeriesFrame[] = [];
  let done = false;
  let failure: { error: unknown } | undefined;
  let wakeReader: (() => void) | undefined;
  let wakeWriter: (() => void) | undefined;
  const pump = async () => {
    try {
      for await (const frame of frames) {
        queue.push(frame);
        wakeReader?.();
        while (queue.length >= most && !done) {
          await new Promise<void>((resolve) => wakeWriter = resolve);
        }
        if (done) return;
      }
    } catch (error) {
      failure = { error };
    } finally {
      done = true;
      wakeReader?.();
    }
  };
  const pumping = pump();
  try {
    for (;;) {
      const frame = queue.shift();
      if (frame !== undefined) {
        wakeWriter?.();
        yield frame;
      } else if (failure !== undefined) throw failure.error;
      else if (done) return;
      else await new Promise<void>((resolve) => wakeReader = resolve);
    }
  } finally {
    done = true;
    wakeWriter?.();
    await pumping;
  }
}
