/**
 * A Prometheus as a Store: series over remote read, chunks passed on as they are, labels over its
 * HTTP API. What a sidecar serves.
 *
 * External labels win over equal labels of a series. Series pass through in the order in which they
 * come, but for the few that may change places by that (see prometheus_read.ts); Prometheus is read
 * as fast as the caller takes them.
 */
import {
  BufferPool,
  compareUtf8,
  errorMessage,
  LimitError,
  MnemeError,
  snappyDecompress,
  throwIfAborted,
} from "../base/mod.ts";
import { type EncodedChunk, encodeSamples } from "../chunks/mod.ts";
import {
  dropLabels,
  equalLabels,
  type Labels,
  labelsFromRecord,
  labelValue,
  makeMatcher,
  type Matcher,
  MAX_TIME,
  mergeLabels,
  MIN_TIME,
} from "../model/mod.ts";
import {
  type CallContext,
  decodeChunkedResponse,
  decodeSamplesResponse,
  encodeReadRequest,
  encodeWarning,
  type LabelNamesRequest,
  type LabelValuesRequest,
  readFrames,
  type SeriesFrame,
  type SeriesRequest,
  shardFilter,
  type Store,
  type StringsResponse,
} from "../storeapi/mod.ts";
import {
  formatSeconds,
  formatSelector,
  type PrometheusClient,
  PrometheusError,
} from "./prometheus_client.ts";
import {
  FinalOrder,
  OrderError,
  ownLabels,
  planRead,
  type ReadPlan,
  ReceivedFrame,
  WaitingSeries,
} from "./prometheus_read.ts";
import type { SeriesSink } from "./block_merge.ts";
import { SeriesBatch } from "./series_batch.ts";
import { FrameSink, MessageSink } from "./series_sink.ts";

/** Limits of one Series call; 0 = none. */
export interface PrometheusStoreLimits {
  readonly series: number;
  /** Each chunk counts as 120 samples. */
  readonly samples: number;
}

/** Parts of a Prometheus store. */
export interface PrometheusStoreOptions {
  readonly client: PrometheusClient;
  /** External labels of the moment. */
  readonly externalLabels: () => Labels;
  /** Lowest time served, ms. */
  readonly minTime: () => number;
  /** Prometheus' version, "0" when unknown. */
  readonly version: () => string;
  readonly limits: PrometheusStoreLimits;
  /** Told of each request that a limit stopped. */
  readonly onLimit?: (reason: "series" | "chunks") => void;
  /** Told of the number of frames of each answer. */
  readonly onFrames?: (frames: number) => void;
  /** Told of each Series call's begin; gives what to tell of its end. */
  readonly onCall?: () => (served: { readonly series: number; readonly chunks: number }) => void;
}

const SAMPLES_PER_CHUNK = 120;
const SERIES_PER_FRAME = 64;
/** Most memory of frames and messages kept for the next ones, bytes. */
const POOL_BYTES = 4 * 1024 * 1024;
const MAX_SAMPLED_ANSWER = 1024 * 1024 * 1024;
const STREAMED = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
const SAMPLED = "application/x-protobuf";
/** What Prometheus accepts as "no bound", seconds. */
const API_MIN_SECONDS = "-9223309901257974";
const API_MAX_SECONDS = "9223309901257974";

/** Store over one Prometheus. */
export class PrometheusStore implements Store {
  readonly #options: PrometheusStoreOptions;
  readonly #pool = new BufferPool(POOL_BYTES);
  /** An answer came in another order than foretold. */
  #sortsAll = false;

  constructor(options: PrometheusStoreOptions) {
    this.#options = options;
  }

  series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    const sink = new FrameSink(SERIES_PER_FRAME);
    const tell = (warning: string) => ({ series: [], warnings: [warning] });
    return this.#answer(request, context, sink, tell, undefined);
  }

  /** As series(), with memory that is used again when a message has been made of it. */
  seriesMessages(request: SeriesRequest, context: CallContext): AsyncIterable<Uint8Array> {
    const hashes = request.withoutChunkHashes !== true;
    const sink = new MessageSink(request.responseBatchSize, this.#pool, hashes);
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
    pool: BufferPool | undefined,
  ): AsyncIterable<T> {
    const ended = this.#options.onCall?.();
    const served = { series: 0, chunks: 0 };
    const send = (series: WaitingSeries) => {
      served.series++;
      served.chunks += series.chunkCount;
      sink.add(series.labels, series.batches, series.indexes);
      series.used();
    };
    try {
      const external = this.#options.externalLabels();
      const matchers = withoutExternal(request.matchers, external);
      if (matchers === undefined) return;
      if (matchers.length === 0) {
        throw new MnemeError("bad_data", "no matchers specified (excluding external labels)");
      }
      const call: Call = {
        minTime: Math.max(request.minTime, this.#options.minTime()),
        maxTime: request.maxTime,
        matchers,
        external,
        relabel: relabeler(external, request.withoutReplicaLabels),
        request,
        order: new FinalOrder(),
        signal: context.signal,
        pool,
      };
      const steps = request.skipChunks ? this.#labelSets(call) : this.#read(call);
      const { order } = call;
      for await (const warning of steps) {
        if (warning !== undefined) yield tell(warning);
        for (let series = order.next(); series !== undefined; series = order.next()) {
          send(series);
          for (let item = sink.next(); item !== undefined; item = sink.next()) yield item;
        }
        throwIfAborted(context.signal);
      }
      sink.flush();
      for (let item = sink.next(); item !== undefined; item = sink.next()) yield item;
    } catch (error) {
      // From now on every answer is held until it is complete: slower, and always in order.
      if (error instanceof OrderError) this.#sortsAll = true;
      throw error;
    } finally {
      sink.close();
      ended?.(served);
    }
  }

  /** Series without chunks, all of which wait. */
  async *#labelSets(call: Call): AsyncIterable<string | undefined> {
    const { request, order, relabel } = call;
    const params = timeParams(call.minTime, call.maxTime);
    params.set("match[]", formatSelector(call.matchers));
    if (request.limit > 0) params.set("limit", String(request.limit));
    const data = await this.#list("/api/v1/series", params, call.signal);
    const keeps = shardFilter(request.shardInfo) ?? (() => true);
    let count = 0;
    for (const record of data) {
      const labels = relabel(labelsFromRecord(record as Record<string, string>));
      if (!keeps(labels)) continue;
      order.wait(new WaitingSeries(labels, labels));
      this.#checkSeries(++count);
    }
    order.finish();
    yield undefined;
  }

  /** Reads the answer of Prometheus; a step after each frame, with a warning if there is one. */
  async *#read(call: Call): AsyncIterable<string | undefined> {
    const { client } = this.#options;
    const changed = call.request.withoutReplicaLabels.concat(
      call.external.filter((_, i) => i % 2 === 0),
    );
    const plan = planRead(call.matchers, changed, this.#sortsAll);
    const answer = await client.request("/api/v1/read", {
      method: "POST",
      body: encodeReadRequest(call.minTime, call.maxTime, plan.queries),
      headers: {
        "content-encoding": "snappy",
        "content-type": "application/x-stream-protobuf",
        "x-prometheus-remote-read-version": "0.1.0",
      },
    }, call.signal);
    if (!answer.ok || answer.body === null) {
      const text = (await answer.text()).slice(0, 1000).trimEnd();
      throw new MnemeError(
        answer.status === 503 ? "unavailable" : "execution",
        `query Prometheus: request failed with code ${answer.status} ${answer.statusText}; msg ${text}`,
      );
    }
    const type = answer.headers.get("content-type") ?? "";
    try {
      if (type.startsWith(STREAMED)) return yield* this.#streamed(answer.body, call, plan);
      if (type.startsWith(SAMPLED)) return yield* this.#sampled(answer, call, plan);
    } catch (error) {
      throwIfAborted(call.signal);
      if (error instanceof MnemeError) throw error;
      // The connection broke while the answer came: what was read is no whole answer.
      throw new MnemeError(
        "unavailable",
        `Prometheus at ${client.base} ended its remote read answer early: ${errorMessage(error)}`,
        { cause: error },
      );
    }
    await answer.body.cancel();
    throw new MnemeError("execution", `not supported remote read content type: ${type}`);
  }

  async *#streamed(
    body: ReadableStream<Uint8Array>,
    call: Call,
    plan: ReadPlan,
  ): AsyncIterable<undefined> {
    const { order, pool, relabel } = call;
    const source = `remote read of ${this.#options.client.base}`;
    const keeps = shardFilter(call.request.shardInfo) ?? (() => true);
    const take = (size: number) => pool?.take(size) ?? new Uint8Array(size);
    let original: Labels | undefined;
    /** The series that may go on in the next frame; undefined when it is not wanted. */
    let current: WaitingSeries | undefined;
    let currentQuery = 0;
    let chunks = 0;
    let count = 0;
    let frames = 0;
    const complete = () => {
      if (current === undefined) return;
      if (currentQuery === plan.ordered) order.pass(current);
      else order.wait(current);
      current = undefined;
    };
    for await (const bytes of readFrames(body, source, take)) {
      frames++;
      const { series, query } = decodeChunkedResponse(bytes);
      const frame = new ReceivedFrame(series, bytes, pool);
      for (let i = 0; i < series.length; i++) {
        const { labels, chunkCount } = series[i]!;
        if (original === undefined || query !== currentQuery || !equalLabels(original, labels)) {
          complete();
          original = labels;
          currentQuery = query;
          const final = relabel(labels);
          if (keeps(final)) {
            current = new WaitingSeries(final, ownLabels(labels, plan));
            this.#checkSeries(++count);
          }
        }
        if (current === undefined) {
          frame.used();
          continue;
        }
        current.add(frame.batch, i, frame.used);
        chunks += chunkCount;
        this.#checkSamples(chunks);
      }
      yield undefined;
    }
    complete();
    this.#options.onFrames?.(frames);
    order.finish();
    yield undefined;
  }

  async *#sampled(
    answer: Response,
    call: Call,
    plan: ReadPlan,
  ): AsyncIterable<string | undefined> {
    const body = new Uint8Array(await answer.arrayBuffer());
    const plain = snappyDecompress(body, MAX_SAMPLED_ANSWER);
    const keeps = shardFilter(call.request.shardInfo) ?? (() => true);
    let chunks = 0;
    let count = 0;
    for (const { labels, batch } of decodeSamplesResponse(plain, plan.queries.length)) {
      if (batch.length === 0) {
        yield "Prometheus sent a series without samples";
        continue;
      }
      const final = call.relabel(labels);
      if (!keeps(final)) continue;
      const encoded = encodeSamples(batch, 0, batch.length, SAMPLES_PER_CHUNK);
      const series = new WaitingSeries(final, final);
      series.add(batchOf(encoded), 0, () => {});
      call.order.wait(series);
      chunks += encoded.length;
      this.#checkSeries(++count);
      this.#checkSamples(chunks);
    }
    this.#options.onFrames?.(1);
    call.order.finish();
    yield undefined;
  }

  async labelNames(request: LabelNamesRequest, context: CallContext): Promise<StringsResponse> {
    const external = this.#options.externalLabels();
    const matchers = withoutExternal(request.matchers, external);
    if (matchers === undefined) return { values: [], warnings: [] };
    const params = timeParams(request.start, request.end);
    if (request.limit > 0) params.set("limit", String(request.limit));
    let names: Set<string>;
    if (matchers.length === 0 || this.#matchesLabels()) {
      if (matchers.length > 0) params.set("match[]", formatSelector(matchers));
      names = new Set(await this.#list("/api/v1/labels", params, context.signal) as string[]);
    } else {
      params.set("match[]", formatSelector(matchers));
      names = new Set();
      for (const record of await this.#list("/api/v1/series", params, context.signal)) {
        for (const name of Object.keys(record as object)) names.add(name);
      }
    }
    if (names.size > 0) {
      for (let i = 0; i < external.length; i += 2) names.add(external[i]!);
      for (const name of request.withoutReplicaLabels) {
        if (labelValue(external, name) !== "") names.delete(name);
      }
    }
    return { values: cut([...names].sort(compareUtf8), request.limit), warnings: [] };
  }

  async labelValues(request: LabelValuesRequest, context: CallContext): Promise<StringsResponse> {
    const { label } = request;
    if (label === "") throw new MnemeError("bad_data", "label name parameter cannot be empty");
    if (request.withoutReplicaLabels.includes(label)) return { values: [], warnings: [] };
    const external = this.#options.externalLabels();
    const matchers = withoutExternal(request.matchers, external);
    if (matchers === undefined) return { values: [], warnings: [] };
    const params = timeParams(request.start, request.end);
    if (request.limit > 0) params.set("limit", String(request.limit));
    const externalValue = labelValue(external, label);
    let values: string[];
    if (externalValue !== "") {
      if (matchers.length === 0) return { values: [externalValue], warnings: [] };
      params.set("match[]", formatSelector(matchers));
      const series = await this.#list("/api/v1/series", params, context.signal);
      values = series.length > 0 ? [externalValue] : [];
    } else if (matchers.length === 0 || this.#matchesLabels()) {
      if (matchers.length > 0) params.set("match[]", formatSelector(matchers));
      const path = `/api/v1/label/${encodeURIComponent(label)}/values`;
      values = await this.#list(path, params, context.signal) as string[];
    } else {
      params.set("match[]", formatSelector([...matchers, makeMatcher("!=", label, "")]));
      const found = new Set<string>();
      for (const record of await this.#list("/api/v1/series", params, context.signal)) {
        found.add((record as Record<string, string>)[label] ?? "");
      }
      values = [...found];
    }
    return { values: cut([...new Set(values)].sort(compareUtf8), request.limit), warnings: [] };
  }

  /** Prometheus takes matchers on its label APIs since 2.24. */
  #matchesLabels(): boolean {
    const m = /^v?(\d+)\.(\d+)\./.exec(this.#options.version());
    if (m === null) return false;
    const major = Number(m[1]);
    return major > 2 || (major === 2 && Number(m[2]) >= 24);
  }

  async #list(path: string, params: URLSearchParams, signal: AbortSignal): Promise<unknown[]> {
    const data = await this.#options.client.get(path, params, signal);
    if (data === undefined || data === null) return [];
    if (!Array.isArray(data)) throw new PrometheusError(500, `${path} answered no list`);
    return data;
  }

  #checkSeries(seen: number): void {
    const { series } = this.#options.limits;
    if (series > 0 && seen > series) {
      this.#options.onLimit?.("series");
      throw new LimitError(
        `failed to send series: limit ${series} violated (got ${seen})`,
        series,
        seen,
      );
    }
  }

  #checkSamples(chunks: number): void {
    const { samples } = this.#options.limits;
    const seen = chunks * SAMPLES_PER_CHUNK;
    if (samples > 0 && seen > samples) {
      this.#options.onLimit?.("chunks");
      throw new LimitError(
        `failed to send samples: limit ${samples} violated (got ${seen})`,
        samples,
        seen,
      );
    }
  }
}

/** What one Series call asks for, and where its series go. */
interface Call {
  readonly minTime: number;
  readonly maxTime: number;
  /** Without those on external labels. */
  readonly matchers: readonly Matcher[];
  readonly external: Labels;
  readonly relabel: (labels: Labels) => Labels;
  readonly request: SeriesRequest;
  readonly order: FinalOrder;
  readonly signal: AbortSignal;
  /** Memory of frames; what was received lies in fresh memory without it. */
  readonly pool: BufferPool | undefined;
}

/** Chunks made here as a batch of one series. */
function batchOf(chunks: readonly EncodedChunk[]): SeriesBatch {
  const batch = new SeriesBatch(chunks.length);
  chunks.forEach(({ minTime, maxTime, chunk }, k) => {
    batch.minTimes[k] = minTime;
    batch.maxTimes[k] = maxTime;
    batch.encodings[k] = chunk.encoding;
    batch.regionOf[k] = k;
    batch.dataLength[k] = chunk.data.length;
    batch.regions.push(chunk.data);
  });
  batch.starts.push(chunks.length);
  return batch;
}

/** Matchers without those on external labels; undefined when one of these does not match. */
function withoutExternal(matchers: readonly Matcher[], external: Labels): Matcher[] | undefined {
  const rest: Matcher[] = [];
  for (const m of matchers) {
    const value = labelValue(external, m.name);
    if (value === "") rest.push(m);
    else if (!m.matches(value)) return undefined;
  }
  return rest;
}

function relabeler(external: Labels, without: readonly string[]): (labels: Labels) => Labels {
  const dropped = new Set(without);
  return (labels) => {
    const merged = mergeLabels(labels, external);
    return dropped.size === 0 ? merged : dropLabels(merged, dropped);
  };
}

function timeParams(start: number, end: number): URLSearchParams {
  return new URLSearchParams({
    start: start <= MIN_TIME ? API_MIN_SECONDS : formatSeconds(start),
    end: end >= MAX_TIME ? API_MAX_SECONDS : formatSeconds(end),
  });
}

function cut(values: string[], limit: number): string[] {
  return limit > 0 && values.length > limit ? values.slice(0, limit) : values;
}
