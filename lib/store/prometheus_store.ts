/**
 * A Prometheus as a Store: series over remote read, chunks passed on as they are, labels over its
 * HTTP API. What a sidecar serves.
 *
 * External labels win over equal labels of a series. Adding them can change the order of series,
 * so an answer is held and sorted before it is sent; it is never larger than what Prometheus sent,
 * however slowly it is read.
 */
import {
  BufferPool,
  compareUtf8,
  errorMessage,
  LimitError,
  MnemeError,
  SlabPool,
  snappyDecompress,
  throwIfAborted,
  xxhash64Into,
} from "../base/mod.ts";
import { encodeSamples } from "../chunks/mod.ts";
import {
  compareLabels,
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
  type AggrChunk,
  type CallContext,
  dataLength,
  decodeChunkedResponse,
  decodeRemoteChunks,
  decodeSamplesResponse,
  encodeFrames,
  encodeReadRequest,
  type LabelNamesRequest,
  type LabelValuesRequest,
  type RawChunk,
  readFrames,
  type RemoteSeries,
  type Series,
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
const BYTES_PER_FRAME = 256 * 1024;
/** Most memory of messages kept for the next ones, bytes. */
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
  /** What Prometheus sends waits here; between requests a sidecar is to be small. */
  readonly #memory = new SlabPool(0);
  constructor(options: PrometheusStoreOptions) {
    this.#options = options;
  }

  series(request: SeriesRequest, context: CallContext): AsyncIterable<SeriesFrame> {
    return this.#series(request, context, (size) => new Uint8Array(size));
  }

  /** As series(), with memory that is given back when the answer has been sent. */
  async *seriesMessages(request: SeriesRequest, context: CallContext): AsyncIterable<Uint8Array> {
    const memory = this.#memory.arena();
    const take = (size: number) => memory.allocate(size);
    try {
      // Messages are copies: when they are made, nothing looks at the received bytes any more.
      yield* encodeFrames(
        this.#series(request, context, take),
        request.responseBatchSize,
        (size) => this.#pool.take(size),
      );
    } finally {
      memory.release();
    }
  }

  recycleMessage(message: Uint8Array): void {
    this.#pool.give(message);
  }

  async *#series(
    request: SeriesRequest,
    context: CallContext,
    take: (size: number) => Uint8Array,
  ): AsyncIterable<SeriesFrame> {
    const ended = this.#options.onCall?.();
    const served = { series: 0, chunks: 0 };
    try {
      for await (const frame of this.#answer(request, context, take)) {
        served.series += frame.series.length;
        for (const series of frame.series) served.chunks += series.chunks.length;
        yield frame;
      }
    } finally {
      ended?.(served);
    }
  }

  async *#answer(
    request: SeriesRequest,
    context: CallContext,
    take: (size: number) => Uint8Array,
  ): AsyncIterable<SeriesFrame> {
    const external = this.#options.externalLabels();
    const matchers = withoutExternal(request.matchers, external);
    if (matchers === undefined) return;
    if (matchers.length === 0) {
      throw new MnemeError("bad_data", "no matchers specified (excluding external labels)");
    }
    const minTime = Math.max(request.minTime, this.#options.minTime());
    const { signal } = context;
    const relabel = relabeler(external, request.withoutReplicaLabels);
    const found = request.skipChunks
      ? await this.#labelSets(minTime, request, matchers, relabel, signal)
      : await this.#read(minTime, request, matchers, relabel, take, signal);
    found.series.sort((a, b) => compareLabels(a.labels, b.labels));
    const hashed = request.withoutChunkHashes !== true;
    yield* frames(joinEqual(found.series), found.warnings, hashed, signal);
  }

  async #labelSets(
    minTime: number,
    request: SeriesRequest,
    matchers: readonly Matcher[],
    relabel: (labels: Labels) => Labels,
    signal: AbortSignal,
  ): Promise<Found> {
    const params = timeParams(minTime, request.maxTime);
    params.set("match[]", formatSelector(matchers));
    if (request.limit > 0) params.set("limit", String(request.limit));
    const data = await this.#list("/api/v1/series", params, signal);
    const keeps = shardFilter(request.shardInfo) ?? (() => true);
    const series: Pending[] = [];
    for (const record of data) {
      const labels = relabel(labelsFromRecord(record as Record<string, string>));
      if (keeps(labels)) series.push({ labels, parts: [] });
    }
    this.#checkSeries(series.length);
    return { series, warnings: [] };
  }

  async #read(
    minTime: number,
    request: SeriesRequest,
    matchers: readonly Matcher[],
    relabel: (labels: Labels) => Labels,
    take: (size: number) => Uint8Array,
    signal: AbortSignal,
  ): Promise<Found> {
    const { client } = this.#options;
    const answer = await client.request("/api/v1/read", {
      method: "POST",
      body: encodeReadRequest(minTime, request.maxTime, matchers),
      headers: {
        "content-encoding": "snappy",
        "content-type": "application/x-stream-protobuf",
        "x-prometheus-remote-read-version": "0.1.0",
      },
    }, signal);
    if (!answer.ok || answer.body === null) {
      const text = (await answer.text()).slice(0, 1000).trimEnd();
      throw new MnemeError(
        answer.status === 503 ? "unavailable" : "execution",
        `query Prometheus: request failed with code ${answer.status} ${answer.statusText}; msg ${text}`,
      );
    }
    const type = answer.headers.get("content-type") ?? "";
    try {
      if (type.startsWith(STREAMED)) {
        return await this.#streamed(answer.body, request, relabel, take, signal);
      }
      if (type.startsWith(SAMPLED)) return await this.#sampled(answer, relabel);
    } catch (error) {
      throwIfAborted(signal);
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

  async #streamed(
    body: ReadableStream<Uint8Array>,
    request: SeriesRequest,
    relabel: (labels: Labels) => Labels,
    take: (size: number) => Uint8Array,
    signal: AbortSignal,
  ): Promise<Found> {
    const source = `remote read of ${this.#options.client.base}`;
    const keeps = shardFilter(request.shardInfo) ?? (() => true);
    const series: { labels: Labels; parts: RemoteSeries[] }[] = [];
    let original: Labels | undefined;
    let dropped = false;
    let chunks = 0;
    let count = 0;
    for await (const frame of readFrames(body, source, take)) {
      throwIfAborted(signal);
      count++;
      for (const part of decodeChunkedResponse(frame)) {
        // A long series comes in several frames.
        if (original !== undefined && equalLabels(original, part.labels)) {
          if (!dropped) series[series.length - 1]!.parts.push(part);
        } else {
          original = part.labels;
          const labels = relabel(part.labels);
          dropped = !keeps(labels);
          if (!dropped) series.push({ labels, parts: [part] });
          this.#checkSeries(series.length);
        }
        if (!dropped) chunks += part.chunkCount;
        this.#checkSamples(chunks);
      }
    }
    this.#options.onFrames?.(count);
    return { series, warnings: [] };
  }

  async #sampled(answer: Response, relabel: (labels: Labels) => Labels): Promise<Found> {
    const body = new Uint8Array(await answer.arrayBuffer());
    const series: Pending[] = [];
    const warnings: string[] = [];
    let chunks = 0;
    for (
      const { labels, batch } of decodeSamplesResponse(snappyDecompress(body, MAX_SAMPLED_ANSWER))
    ) {
      if (batch.length === 0) {
        warnings.push("Prometheus sent a series without samples");
        continue;
      }
      const encoded = encodeSamples(batch, 0, batch.length, SAMPLES_PER_CHUNK);
      series.push({
        labels: relabel(labels),
        parts: [
          encoded.map((e) => ({ minTime: e.minTime, maxTime: e.maxTime, raw: e.chunk })),
        ],
      });
      chunks += encoded.length;
      this.#checkSeries(series.length);
      this.#checkSamples(chunks);
    }
    this.#options.onFrames?.(1);
    return { series, warnings };
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

/**
 * A series that waits for its turn. Its chunks stay as they came until they are sent: an object for
 * each would take several times the memory of their bytes.
 */
interface Pending {
  readonly labels: Labels;
  readonly parts: readonly (RemoteSeries | readonly AggrChunk[])[];
}

interface Found {
  readonly series: Pending[];
  readonly warnings: string[];
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

/** Series that became equal by their new labels are one series. */
function joinEqual(sorted: readonly Pending[]): Pending[] {
  const out: Pending[] = [];
  for (const series of sorted) {
    const last = out[out.length - 1];
    if (last !== undefined && equalLabels(last.labels, series.labels)) {
      out[out.length - 1] = { labels: last.labels, parts: [...last.parts, ...series.parts] };
    } else out.push(series);
  }
  return out;
}

function* frames(
  series: readonly Pending[],
  warnings: readonly string[],
  hashed: boolean,
  signal: AbortSignal,
): Generator<SeriesFrame> {
  if (warnings.length > 0) yield { series: [], warnings };
  const scratch = new Uint32Array(2);
  let batch: Series[] = [];
  let bytes = 0;
  for (const { labels, parts } of series) {
    const chunks: AggrChunk[] = [];
    for (const part of parts) {
      if ("body" in part) {
        for (const chunk of decodeRemoteChunks(part)) {
          chunks.push(hashed ? hashedChunk(chunk, scratch) : chunk);
        }
      } else chunks.push(...part);
    }
    batch.push({ labels, chunks });
    for (const c of chunks) bytes += dataLength(c.raw!) + 24;
    if (batch.length >= SERIES_PER_FRAME || bytes >= BYTES_PER_FRAME) {
      throwIfAborted(signal);
      yield { series: batch, warnings: [], bytes };
      batch = [];
      bytes = 0;
    }
  }
  if (batch.length > 0) yield { series: batch, warnings: [], bytes };
}

function hashedChunk(raw: RawChunk, scratch: Uint32Array): AggrChunk {
  xxhash64Into(raw.data, scratch);
  const { minTime, maxTime } = raw;
  return { minTime, maxTime, raw, hashes: [scratch[0]!, scratch[1]!] };
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
