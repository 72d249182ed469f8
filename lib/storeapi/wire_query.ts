/**
 * Protobuf codec of the Query API (package thanos). Times are whole seconds on the wire; fields from
 * 1000 on are our own and carry the same times in ms, which others skip as unknown.
 */
import type { Matcher } from "../model/mod.ts";
import { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import type { RemoteQueryRequest, RemoteQueryStats } from "./query_api.ts";
import { readTimeSeries, type SampledSeries, writeTimeSeries } from "./wire_samples.ts";
import { readMatcher, readShardInfo, writeMatchers, writeShardInfo } from "./wire_store.ts";

const ENGINES = ["default", "prometheus", "thanos"] as const;
/** Our own fields. */
const START_MS = 1000;
const END_MS = 1001;
const STEP_MS = 1002;
/** Bytes at which a message of series is sent. */
const MESSAGE_BYTES = 1024 * 1024;
const MOST_BATCH = 4096;

/** A QueryRequest for step 0, else a QueryRangeRequest. */
export function encodeQueryRequest(q: RemoteQueryRequest): Uint8Array<ArrayBuffer> {
  const w = new ProtoWriter(256 + q.query.length * 3);
  const seconds = (ms: number) => Math.floor(ms / 1000);
  // A range request has two times more in front.
  const ranged = q.step > 0;
  const shift = ranged ? 2 : 0;
  w.string(1, q.query);
  w.int64(2, seconds(q.start));
  if (ranged) {
    w.int64(3, seconds(q.end));
    w.int64(4, seconds(q.step));
  }
  w.int64(3 + shift, Math.ceil(q.timeout / 1000));
  w.int64(4 + shift, seconds(q.maxResolution));
  w.strings(5 + shift, q.replicaLabels);
  for (const matchers of q.storeMatchers) {
    const token = w.open(6 + shift, 64);
    writeMatchers(w, 1, matchers);
    w.close(token);
  }
  w.bool(7 + shift, q.deduplicate);
  w.bool(8 + shift, q.partialResponse);
  writeShardInfo(w, 11 + shift, q.shardInfo);
  w.int64(12 + shift, seconds(q.lookbackDelta));
  w.int32(13 + shift, ENGINES.indexOf(q.engine));
  w.int64(15 + shift, q.batchSize);
  w.int64(START_MS, q.start);
  w.int64(END_MS, q.end);
  w.int64(STEP_MS, q.step);
  return w.finish();
}

/** Decodes a request. Throws: CorruptionError. */
export function decodeQueryRequest(bytes: Uint8Array, ranged: boolean): RemoteQueryRequest {
  const r = new ProtoReader(bytes);
  const shift = ranged ? 2 : 0;
  let start = 0;
  let end = 0;
  let step = 0;
  const exact: { start?: number; end?: number; step?: number } = {};
  const q = {
    query: "",
    timeout: 0,
    maxResolution: 0,
    replicaLabels: [] as string[],
    storeMatchers: [] as (readonly Matcher[])[],
    deduplicate: false,
    partialResponse: false,
    lookbackDelta: 0,
    engine: "default" as RemoteQueryRequest["engine"],
    batchSize: 0,
  };
  let shardInfo: RemoteQueryRequest["shardInfo"];
  r.fields((field) => {
    if (field === 1) q.query = r.string();
    else if (field === 2) start = r.int64() * 1000;
    else if (ranged && field === 3) end = r.int64() * 1000;
    else if (ranged && field === 4) step = r.int64() * 1000;
    else if (field === START_MS) exact.start = r.int64();
    else if (field === END_MS) exact.end = r.int64();
    else if (field === STEP_MS) exact.step = r.int64();
    else {
      switch (field - shift) {
        case 3:
          q.timeout = r.int64() * 1000;
          break;
        case 4:
          q.maxResolution = r.int64() * 1000;
          break;
        case 5:
          q.replicaLabels.push(r.string());
          break;
        case 6:
          q.storeMatchers.push(readStoreMatchers(r));
          break;
        case 7:
          q.deduplicate = r.bool();
          break;
        case 8:
          q.partialResponse = r.bool();
          break;
        case 11:
          shardInfo = readShardInfo(r);
          break;
        case 12:
          q.lookbackDelta = r.int64() * 1000;
          break;
        case 13:
          q.engine = ENGINES[r.int32()] ?? "default";
          break;
        case 15:
          q.batchSize = r.int64();
          break;
        default:
          return false;
      }
    }
  });
  return {
    ...q,
    start: exact.start ?? start,
    end: exact.end ?? (ranged ? end : exact.start ?? start),
    step: exact.step ?? step,
    ...(shardInfo === undefined ? {} : { shardInfo }),
  };
}

function readStoreMatchers(r: ProtoReader): readonly Matcher[] {
  const matchers: Matcher[] = [];
  r.message((field) => {
    if (field !== 1) return false;
    matchers.push(readMatcher(r));
  });
  return matchers;
}

/** A response with warnings. */
export function encodeQueryWarnings(text: string): Uint8Array<ArrayBuffer> {
  const w = new ProtoWriter(64 + text.length);
  w.stringAlways(1, text);
  return w.finish();
}

/** The last response. */
export function encodeQueryStats(stats: RemoteQueryStats): Uint8Array<ArrayBuffer> {
  const w = new ProtoWriter(64);
  const token = w.open(3, 20);
  w.int64(1, stats.samplesTotal);
  w.int64(2, stats.peakSamples);
  w.close(token);
  return w.finish();
}

/** Responses with series: batches when more than one at a time is wished for. */
export function* encodeSeriesMessages(
  series: readonly SampledSeries[],
  batchSize: number,
): Iterable<Uint8Array<ArrayBuffer>> {
  if (batchSize <= 1) {
    for (const one of series) {
      const w = new ProtoWriter(256 + 20 * one.batch.length);
      writeTimeSeries(w, 2, one);
      yield w.finish();
    }
    return;
  }
  const most = Math.min(batchSize, MOST_BATCH);
  for (let i = 0; i < series.length;) {
    const w = new ProtoWriter(4096);
    const token = w.open(4, MESSAGE_BYTES);
    for (let n = 0; n < most && i < series.length && w.length < MESSAGE_BYTES; n++) {
      writeTimeSeries(w, 1, series[i++]!);
    }
    w.close(token);
    yield w.finish();
  }
}

/** Decodes one response. Throws: CorruptionError. */
export function decodeQueryFrames(bytes: Uint8Array): {
  readonly series: readonly SampledSeries[];
  readonly warnings: readonly string[];
  readonly stats: RemoteQueryStats | undefined;
} {
  const r = new ProtoReader(bytes);
  const series: SampledSeries[] = [];
  const warnings: string[] = [];
  let stats: RemoteQueryStats | undefined;
  r.fields((field) => {
    switch (field) {
      case 1:
        warnings.push(r.string());
        break;
      case 2:
        series.push(readTimeSeries(r));
        break;
      case 3:
        stats = readStats(r);
        break;
      case 4:
        r.message((inner) => {
          if (inner !== 1) return false;
          series.push(readTimeSeries(r));
        });
        break;
      default:
        return false;
    }
  });
  return { series, warnings, stats };
}

function readStats(r: ProtoReader): RemoteQueryStats {
  let samplesTotal = 0;
  let peakSamples = 0;
  r.message((field) => {
    if (field === 1) samplesTotal = r.int64();
    else if (field === 2) peakSamples = r.int64();
    else return false;
  });
  return { samplesTotal, peakSamples };
}
