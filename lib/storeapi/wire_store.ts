/**
 * Protobuf codec of the Store API (package thanos): requests, series frames, names and values.
 *
 * Series frames are the hot path. Their chunk data are views of the received bytes, and a label
 * that equals the one at the same place in the series before is not decoded again.
 * Source: the field's wire notes, sections A2 and A3.
 */
import { ENCODING_XOR } from "../chunks/mod.ts";
import type { Chunk } from "../chunks/mod.ts";
import { decodeUtf8, MnemeError } from "../base/mod.ts";
import { type Labels, labelsFromPairs, labelsFromSorted } from "../model/mod.ts";
import { makeMatcher, type Matcher, type MatchType } from "../model/mod.ts";
import { ProtoReader, ProtoWriter, varintSize, WIRE_LEN, WIRE_VARINT } from "../rpc/mod.ts";
import type {
  AggrChunk,
  AnyMessage,
  LabelNamesRequest,
  LabelValuesRequest,
  PartialResponseStrategy,
  QueryHints,
  Series,
  SeriesFrame,
  SeriesRequest,
  ShardInfo,
  StringsResponse,
} from "./types.ts";

/** Method paths. */
export const STORE_SERVICE = "thanos.Store";
export const SERIES_PATH = "/thanos.Store/Series";
export const LABEL_NAMES_PATH = "/thanos.Store/LabelNames";
export const LABEL_VALUES_PATH = "/thanos.Store/LabelValues";

// ---- common messages ----------------------------------------------------------------------

const MATCH_TYPES: readonly MatchType[] = ["=", "!=", "=~", "!~"];

/** Writes LabelMatcher messages. */
export function writeMatchers(w: ProtoWriter, field: number, matchers: readonly Matcher[]): void {
  for (const m of matchers) {
    const token = w.open(field, m.name.length + m.value.length + 6);
    w.int32(1, MATCH_TYPES.indexOf(m.type));
    w.string(2, m.name);
    w.string(3, m.value);
    w.close(token);
  }
}

/** Reads one LabelMatcher; throws bad_data for an unknown type or a bad pattern. */
export function readMatcher(r: ProtoReader): Matcher {
  let type = 0;
  let name = "";
  let value = "";
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) type = r.int32();
    else if (r.field === 2) name = r.string();
    else if (r.field === 3) value = r.string();
    else r.skip();
  }
  r.leave(outer);
  const known = MATCH_TYPES[type];
  if (known === undefined) throw new MnemeError("bad_data", `unknown matcher type ${type}`);
  return makeMatcher(known, name, value);
}

/** Writes labels as repeated Label messages. */
export function writeLabels(w: ProtoWriter, field: number, labels: Labels): void {
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i]!;
    const value = labels[i + 1]!;
    const token = w.open(field, name.length + value.length + 4);
    w.string(1, name);
    w.string(2, value);
    w.close(token);
  }
}

/** Writes one LabelSet message. */
export function writeLabelSet(w: ProtoWriter, field: number, labels: Labels): void {
  const token = w.open(field, labels.length * 12);
  writeLabels(w, 1, labels);
  w.close(token);
}

/** Reads one Label message as [name, value]. */
export function readLabel(r: ProtoReader): [string, string] {
  let name = "";
  let value = "";
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) name = r.string();
    else if (r.field === 2) value = r.string();
    else r.skip();
  }
  r.leave(outer);
  return [name, value];
}

/** Reads one LabelSet message; sorts it when the sender did not. */
export function readLabelSet(r: ProtoReader): Labels {
  const pairs: [string, string][] = [];
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) pairs.push(readLabel(r));
    else r.skip();
  }
  r.leave(outer);
  return labelsFromPairs(pairs);
}

/** Writes google.protobuf.Any. */
export function writeAny(w: ProtoWriter, field: number, any: AnyMessage | undefined): void {
  if (any === undefined) return;
  const token = w.open(field, any.typeUrl.length + any.value.length + 4);
  w.string(1, any.typeUrl);
  w.bytes(2, any.value);
  w.close(token);
}

/** Reads google.protobuf.Any; the value is a view. */
export function readAny(r: ProtoReader): AnyMessage {
  let typeUrl = "";
  let value: Uint8Array = new Uint8Array(0);
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) typeUrl = r.string();
    else if (r.field === 2) value = r.view();
    else r.skip();
  }
  r.leave(outer);
  return { typeUrl, value };
}

/** Writes ShardInfo. */
export function writeShardInfo(w: ProtoWriter, field: number, shard: ShardInfo | undefined): void {
  if (shard === undefined) return;
  const token = w.open(field);
  w.int64(1, shard.shardIndex);
  w.int64(2, shard.totalShards);
  w.bool(3, shard.by);
  w.strings(4, shard.labels);
  w.close(token);
}

/** Reads ShardInfo. */
export function readShardInfo(r: ProtoReader): ShardInfo {
  let shardIndex = 0;
  let totalShards = 0;
  let by = false;
  const labels: string[] = [];
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) shardIndex = r.int64();
    else if (r.field === 2) totalShards = r.int64();
    else if (r.field === 3) by = r.bool();
    else if (r.field === 4) labels.push(r.string());
    else r.skip();
  }
  r.leave(outer);
  return { shardIndex, totalShards, by, labels };
}

function writeQueryHints(w: ProtoWriter, field: number, hints: QueryHints | undefined): void {
  if (hints === undefined) return;
  const token = w.open(field);
  w.int64(1, hints.stepMillis);
  if (hints.func !== "") {
    const func = w.open(2, hints.func.length + 2);
    w.string(1, hints.func);
    w.close(func);
  }
  if (hints.grouping !== undefined) {
    const grouping = w.open(4);
    w.bool(1, hints.grouping.by);
    w.strings(3, hints.grouping.labels);
    w.close(grouping);
  }
  if (hints.rangeMillis !== 0) {
    const range = w.open(5);
    w.int64(1, hints.rangeMillis);
    w.close(range);
  }
  w.close(token);
}

function readQueryHints(r: ProtoReader): QueryHints {
  let stepMillis = 0;
  let func = "";
  let rangeMillis = 0;
  let grouping: { by: boolean; labels: string[] } | undefined;
  const outer = r.enter();
  while (r.next()) {
    switch (r.field) {
      case 1:
        stepMillis = r.int64();
        break;
      case 2:
        r.message((f) => f === 1 ? void (func = r.string()) : false);
        break;
      case 4: {
        const g = grouping ??= { by: false, labels: [] };
        r.message((f) => {
          if (f === 1) g.by = r.bool();
          else if (f === 3) g.labels.push(r.string());
          else return false;
        });
        break;
      }
      case 5:
        r.message((f) => f === 1 ? void (rangeMillis = r.int64()) : false);
        break;
      default:
        r.skip();
    }
  }
  r.leave(outer);
  return { stepMillis, func, rangeMillis, ...(grouping === undefined ? {} : { grouping }) };
}

/** Number of a partial response strategy. */
export function strategyNumber(strategy: PartialResponseStrategy): number {
  return strategy === "abort" ? 1 : 0;
}

// ---- SeriesRequest ------------------------------------------------------------------------

/** Fields of our own, far from the numbers that others give out. */
const WITHOUT_CHUNK_HASHES = 50_001;
const COARSER_WHERE_MISSING = 50_002;

/** Encodes a SeriesRequest. */
export function encodeSeriesRequest(q: SeriesRequest): Uint8Array {
  const w = new ProtoWriter();
  w.int64(1, q.minTime);
  w.int64(2, q.maxTime);
  writeMatchers(w, 3, q.matchers);
  w.int64(4, q.maxResolutionWindow);
  w.packedInt32(5, q.aggregates);
  w.bool(6, q.partialResponse === "abort");
  w.int32(7, strategyNumber(q.partialResponse));
  w.bool(8, q.skipChunks);
  writeAny(w, 9, q.hints);
  writeQueryHints(w, 12, q.queryHints);
  writeShardInfo(w, 13, q.shardInfo);
  w.strings(14, q.withoutReplicaLabels);
  w.int64(15, q.limit);
  w.int64(16, q.responseBatchSize);
  w.bool(WITHOUT_CHUNK_HASHES, q.withoutChunkHashes ?? false);
  w.bool(COARSER_WHERE_MISSING, q.coarserWhereMissing ?? false);
  return w.finish();
}

/** Decodes a SeriesRequest; throws CorruptionError or bad_data. */
export function decodeSeriesRequest(bytes: Uint8Array): SeriesRequest {
  const r = new ProtoReader(bytes);
  let minTime = 0;
  let maxTime = 0;
  const matchers: Matcher[] = [];
  let maxResolutionWindow = 0;
  const aggregates: number[] = [];
  let abort = false;
  let skipChunks = false;
  let hints: AnyMessage | undefined;
  let queryHints: QueryHints | undefined;
  let shardInfo: ShardInfo | undefined;
  const withoutReplicaLabels: string[] = [];
  let limit = 0;
  let responseBatchSize = 0;
  let withoutChunkHashes = false;
  let coarserWhereMissing = false;
  while (r.next()) {
    switch (r.field) {
      case 1:
        minTime = r.int64();
        break;
      case 2:
        maxTime = r.int64();
        break;
      case 3:
        matchers.push(readMatcher(r));
        break;
      case 4:
        maxResolutionWindow = r.int64();
        break;
      case 5:
        r.repeatedInt32(aggregates);
        break;
      case 6:
        if (r.bool()) abort = true;
        break;
      case 7:
        if (r.int32() === 1) abort = true;
        break;
      case 8:
        skipChunks = r.bool();
        break;
      case 9:
        hints = readAny(r);
        break;
      case 12:
        queryHints = readQueryHints(r);
        break;
      case 13:
        shardInfo = readShardInfo(r);
        break;
      case 14:
        withoutReplicaLabels.push(r.string());
        break;
      case 15:
        limit = r.int64();
        break;
      case 16:
        responseBatchSize = r.int64();
        break;
      case WITHOUT_CHUNK_HASHES:
        withoutChunkHashes = r.bool();
        break;
      case COARSER_WHERE_MISSING:
        coarserWhereMissing = r.bool();
        break;
      default:
        r.skip();
    }
  }
  return {
    minTime,
    maxTime,
    matchers,
    maxResolutionWindow,
    aggregates,
    partialResponse: abort ? "abort" : "warn",
    skipChunks,
    ...(hints === undefined ? {} : { hints }),
    ...(queryHints === undefined ? {} : { queryHints }),
    ...(shardInfo === undefined ? {} : { shardInfo }),
    withoutReplicaLabels,
    limit: Math.max(0, limit),
    responseBatchSize: Math.max(0, responseBatchSize),
    ...(withoutChunkHashes ? { withoutChunkHashes } : {}),
    ...(coarserWhereMissing ? { coarserWhereMissing } : {}),
  };
}

// ---- SeriesResponse: writing --------------------------------------------------------------

function int64Size(x: number): number {
  if (x === 0) return 0;
  return x < 0 ? 11 : x >= Number.MAX_SAFE_INTEGER ? 10 : 1 + varintSize(x);
}

function hashSize(hashes: ArrayLike<number> | undefined, part: number): number {
  const at = part * 2;
  if (hashes === undefined || at + 1 >= hashes.length) return 0;
  const high = hashes[at]!;
  if (high !== 0) return 1 + Math.ceil((64 - Math.clz32(high)) / 7);
  return int64Size(hashes[at + 1]!);
}

/** Size of a chunk's data, without making a view of them. */
export function dataLength(chunk: Chunk): number {
  return chunk instanceof RawChunk ? chunk.end - chunk.start : chunk.data.length;
}

/** Bytes of a Chunk message without tag and length. */
function partSize(chunk: Chunk, hashes: ArrayLike<number> | undefined, part: number): number {
  const n = dataLength(chunk);
  return (chunk.encoding === ENCODING_XOR ? 0 : 2) + (n === 0 ? 0 : 1 + varintSize(n) + n) +
    hashSize(hashes, part);
}

function nestedSize(
  chunk: Chunk | undefined,
  hashes: ArrayLike<number> | undefined,
  part: number,
): number {
  if (chunk === undefined) return 0;
  const n = partSize(chunk, hashes, part);
  return 1 + varintSize(n) + n;
}

/** Bytes of an AggrChunk message without tag and length. */
export function aggrChunkSize(chunk: AggrChunk): number {
  const { raw, hashes } = chunk;
  return int64Size(chunk.minTime) + int64Size(chunk.maxTime) + nestedSize(raw, hashes, 0) +
    nestedSize(chunk.count, hashes, 1) + nestedSize(chunk.sum, hashes, 2) +
    nestedSize(chunk.min, hashes, 3) + nestedSize(chunk.max, hashes, 4) +
    nestedSize(chunk.counter, hashes, 5);
}

function writePart(
  w: ProtoWriter,
  field: number,
  chunk: Chunk | undefined,
  hashes: ArrayLike<number> | undefined,
  part: number,
): void {
  if (chunk === undefined) return;
  w.openExact(field, partSize(chunk, hashes, part));
  if (chunk.encoding !== ENCODING_XOR) w.int32(1, chunk.encoding - 1);
  w.bytes(2, chunk.data);
  const at = part * 2;
  if (hashes !== undefined && at + 1 < hashes.length) {
    w.uint64Halves(3, hashes[at]!, hashes[at + 1]!);
  }
}

function writeAggrChunk(w: ProtoWriter, field: number, chunk: AggrChunk): void {
  const { raw, hashes } = chunk;
  w.openExact(field, aggrChunkSize(chunk));
  w.int64(1, chunk.minTime);
  w.int64(2, chunk.maxTime);
  writePart(w, 3, raw, hashes, 0);
  writePart(w, 4, chunk.count, hashes, 1);
  writePart(w, 5, chunk.sum, hashes, 2);
  writePart(w, 6, chunk.min, hashes, 3);
  writePart(w, 7, chunk.max, hashes, 4);
  writePart(w, 8, chunk.counter, hashes, 5);
}

/** About how many bytes the labels of a series take in a frame. */
export function labelsSize(labels: Labels): number {
  let size = 0;
  for (let i = 0; i < labels.length; i++) size += labels[i]!.length + 3;
  return size;
}

/** Writes one Series message with chunks [from, to). */
export function writeSeries(
  w: ProtoWriter,
  field: number,
  labels: Labels,
  chunks: readonly AggrChunk[],
  from = 0,
  to = chunks.length,
): void {
  // Chunks of a series are of a size, and only the width of the length depends on it.
  const each = to > from ? aggrChunkSize(chunks[from]!) + 3 : 0;
  const token = w.open(field, labelsSize(labels) + each * (to - from));
  writeLabels(w, 1, labels);
  for (let i = from; i < to; i++) writeAggrChunk(w, 2, chunks[i]!);
  w.close(token);
}

/** Encodes a SeriesResponse with a `batch` of series (or a `series` when there is only one). */
export function encodeSeriesBatch(series: readonly Series[], capacity = 65536): Uint8Array {
  const w = new ProtoWriter(capacity);
  if (series.length === 1) {
    writeSeries(w, 1, series[0]!.labels, series[0]!.chunks);
    return w.finish();
  }
  const token = w.open(4, capacity);
  for (const s of series) writeSeries(w, 1, s.labels, s.chunks);
  w.close(token);
  return w.finish();
}

/** Encodes a SeriesResponse with a warning. */
export function encodeWarning(warning: string): Uint8Array {
  const w = new ProtoWriter(warning.length + 8);
  w.stringAlways(2, warning);
  return w.finish();
}

/** Encodes a SeriesResponse with hints. */
export function encodeHints(hints: AnyMessage): Uint8Array {
  const w = new ProtoWriter(hints.value.length + hints.typeUrl.length + 16);
  writeAny(w, 3, hints);
  return w.finish();
}

// ---- SeriesResponse: reading --------------------------------------------------------------

/**
 * Decodes SeriesResponse messages, in order, to one frame.
 *
 * Shape: labels as they came, for the proxy to look at: a sender may have them out of order, twice
 *   or empty; chunk data are views of the messages.
 * Throws: CorruptionError.
 */
export function decodeSeriesFrame(messages: readonly Uint8Array[]): SeriesFrame {
  const series: Series[] = [];
  const warnings: string[] = [];
  let hints: AnyMessage | undefined;
  let bytes = 0;
  for (const received of messages) {
    bytes += received.length;
    // Views of a Node Buffer are slower to make.
    const message = new Uint8Array(received.buffer, received.byteOffset, received.length);
    const r = new ProtoReader(message);
    const labels = new LabelsReader(r);
    while (r.next()) {
      switch (r.field) {
        case 1:
          series.push(readSeries(r, labels));
          break;
        case 2:
          warnings.push(r.string());
          break;
        case 3:
          hints = readAny(r);
          break;
        case 4:
          r.message((f) => f === 1 ? void series.push(readSeries(r, labels)) : false);
          break;
        default:
          r.skip();
      }
    }
  }
  return hints === undefined ? { series, warnings, bytes } : { series, warnings, bytes, hints };
}

/** Reads the labels of one series after the other out of one message, sharing equal strings. */
class LabelsReader {
  readonly #r: ProtoReader;
  /** Label i of the last series: its message is bytes [starts[i], ends[i]). */
  #starts: number[] = [];
  #ends: number[] = [];
  #last: readonly string[] = [];
  #current: string[] = [];

  constructor(r: ProtoReader) {
    this.#r = r;
  }

  /** Reads the Label message that starts here. */
  add(): void {
    const r = this.#r;
    const n = r.length();
    const start = r.offset;
    const end = start + n;
    r.offset = end;
    const current = this.#current;
    const at = current.length;
    const i = at >> 1;
    const last = this.#last;
    if (at < last.length && this.#ends[i]! - this.#starts[i]! === n) {
      const b = r.bytes;
      let p = this.#starts[i]!;
      let q = start;
      while (q < end && b[p] === b[q]) {
        p++;
        q++;
      }
      if (q === end) {
        current.push(last[at]!, last[at + 1]!);
        return;
      }
    }
    this.#starts[i] = start;
    this.#ends[i] = end;
    this.#decode(start, end);
  }

  #decode(start: number, end: number): void {
    const r = this.#r;
    const b = r.bytes;
    const at = this.#current.length;
    // The usual form: name and value, both shorter than 128 bytes, nothing else.
    const nameLength = b[start + 1]!;
    const valueTag = start + 2 + nameLength;
    const valueLength = b[valueTag + 1]!;
    if (
      b[start] === 0x0a && nameLength < 0x80 && valueTag + 1 < end && b[valueTag] === 0x12 &&
      valueLength < 0x80 && valueTag + 2 + valueLength === end
    ) {
      const name = decodeUtf8(b, start + 2, valueTag);
      const last = this.#last[at];
      // The same string object makes later comparisons of names free.
      this.#current.push(
        last !== undefined && last === name ? last : name,
        decodeUtf8(b, valueTag + 2, end),
      );
      return;
    }
    const outer = r.end;
    r.offset = start;
    r.end = end;
    let name = "";
    let value = "";
    while (r.next()) {
      if (r.field === 1) name = r.string();
      else if (r.field === 2) value = r.string();
      else r.skip();
    }
    r.leave(outer);
    this.#current.push(name, value);
  }

  /** Labels of the series that ends here. */
  take(): Labels {
    const flat = this.#current;
    this.#last = flat;
    this.#current = [];
    return labelsFromSorted(flat);
  }
}

function readSeries(r: ProtoReader, labels: LabelsReader): Series {
  const chunks: AggrChunk[] = [];
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) labels.add();
    else if (r.field === 2) chunks.push(readAggrChunk(r));
    else r.skip();
  }
  r.leave(outer);
  return { labels: labels.take(), chunks };
}

/**
 * A chunk with raw samples only, by far the most frequent kind: one object that is its own part.
 * Its data view is made when asked for, and lives only as long as it is used: views are dear.
 */
export class RawChunk implements AggrChunk, Chunk {
  readonly minTime: number;
  readonly maxTime: number;
  readonly encoding: number;
  /** The data are bytes [start, end) of this. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Where the hash's varint starts; -1 = none. */
  readonly #hashAt: number;

  constructor(
    minTime: number,
    maxTime: number,
    encoding: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    hashAt = -1,
  ) {
    this.minTime = minTime;
    this.maxTime = maxTime;
    this.encoding = encoding;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.#hashAt = hashAt;
  }
  get raw(): Chunk {
    return this;
  }
  get data(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
  /** Number of samples, which every encoding starts with. */
  get samples(): number {
    const { bytes, start, end } = this;
    return end - start < 2 ? 0 : bytes[start]! << 8 | bytes[start + 1]!;
  }
  get hashes(): ArrayLike<number> {
    const pair = [0, 0];
    if (this.#hashAt >= 0) {
      const r = new ProtoReader(this.bytes, this.#hashAt);
      r.uint64Into(pair, 0);
    }
    return pair;
  }
}

/** Reads the usual form of a raw chunk; undefined (and nothing read) when it has another form. */
function readRawChunk(r: ProtoReader): RawChunk | undefined {
  const b = r.bytes;
  const start = r.offset;
  const end = r.end;
  const back = () => {
    r.offset = start;
    return undefined;
  };
  // The shortest usual form: two times, and a part of one byte of data, two bytes each at least.
  if (end - start < 9 || b[start] !== 0x08) return undefined;
  r.offset = start + 1;
  const minTime = r.rawInt64();
  if (r.offset + 1 >= end || b[r.offset] !== 0x10) return back();
  r.offset++;
  const maxTime = r.rawInt64();
  if (r.offset + 1 >= end || b[r.offset] !== 0x1a) return back();
  r.offset++;
  // The part must fill the rest of the message.
  const size = r.rawInt64();
  if (size < 3 || r.offset + size !== end) return back();
  let encoding = ENCODING_XOR;
  if (b[r.offset] === 0x08 && b[r.offset + 1]! < 0x80) {
    encoding = b[r.offset + 1]! + 1;
    r.offset += 2;
  }
  if (r.offset + 1 >= end || b[r.offset] !== 0x12) return back();
  r.offset++;
  const length = r.rawInt64();
  const dataAt = r.offset;
  if (length < 0 || length > end - dataAt) return back();
  const dataEnd = dataAt + length;
  if (dataEnd === end) {
    r.offset = end;
    return new RawChunk(minTime, maxTime, encoding, b, dataAt, dataEnd);
  }
  if (b[dataEnd] !== 0x18) return back();
  let o = dataEnd + 1;
  while (o < end && b[o]! >= 0x80) o++;
  if (o + 1 !== end || o - dataEnd > 10) return back();
  r.offset = end;
  return new RawChunk(minTime, maxTime, encoding, b, dataAt, dataEnd, dataEnd + 1);
}

function readAggrChunk(r: ProtoReader): AggrChunk {
  const outer = r.enter();
  const usual = readRawChunk(r);
  if (usual !== undefined) {
    r.leave(outer);
    return usual;
  }
  const chunk: AggrChunk = { minTime: 0, maxTime: 0 };
  while (r.next()) {
    switch (r.field) {
      case 1:
        chunk.minTime = r.int64();
        break;
      case 2:
        chunk.maxTime = r.int64();
        break;
      case 3:
        chunk.raw = readPart(r, chunk, 0);
        break;
      case 4:
        chunk.count = readPart(r, chunk, 1);
        break;
      case 5:
        chunk.sum = readPart(r, chunk, 2);
        break;
      case 6:
        chunk.min = readPart(r, chunk, 3);
        break;
      case 7:
        chunk.max = readPart(r, chunk, 4);
        break;
      case 8:
        chunk.counter = readPart(r, chunk, 5);
        break;
      default:
        r.skip();
    }
  }
  r.leave(outer);
  return chunk;
}

const NO_BYTES = new Uint8Array(0);

function readPart(r: ProtoReader, owner: AggrChunk, part: number): Chunk {
  let encoding = ENCODING_XOR;
  let data = NO_BYTES as Uint8Array;
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 2 && r.wireType === WIRE_LEN) data = r.view();
    else if (r.field === 3 && r.wireType === WIRE_VARINT) {
      const hashes = (owner.hashes ??= new Array<number>(12).fill(0)) as number[];
      r.uint64Into(hashes, part * 2);
    } else if (r.field === 1) encoding = r.int32() + 1;
    else r.skip();
  }
  r.leave(outer);
  return { encoding, data };
}

// ---- LabelNames and LabelValues -----------------------------------------------------------

/** Encodes a LabelNamesRequest. */
export function encodeLabelNamesRequest(q: LabelNamesRequest): Uint8Array {
  const w = new ProtoWriter();
  w.bool(1, q.partialResponse === "abort");
  w.int32(2, strategyNumber(q.partialResponse));
  w.int64(3, q.start);
  w.int64(4, q.end);
  writeAny(w, 5, q.hints);
  writeMatchers(w, 6, q.matchers);
  w.strings(7, q.withoutReplicaLabels);
  w.int64(8, q.limit);
  return w.finish();
}

/** Encodes a LabelValuesRequest. */
export function encodeLabelValuesRequest(q: LabelValuesRequest): Uint8Array {
  const w = new ProtoWriter();
  w.string(1, q.label);
  w.bool(2, q.partialResponse === "abort");
  w.int32(3, strategyNumber(q.partialResponse));
  w.int64(4, q.start);
  w.int64(5, q.end);
  writeAny(w, 6, q.hints);
  writeMatchers(w, 7, q.matchers);
  w.strings(8, q.withoutReplicaLabels);
  w.int64(9, q.limit);
  return w.finish();
}

/** Decodes a LabelNamesRequest. */
export function decodeLabelNamesRequest(bytes: Uint8Array): LabelNamesRequest {
  return readLabelRequest(new ProtoReader(bytes), 0).request;
}

/** Decodes a LabelValuesRequest. */
export function decodeLabelValuesRequest(bytes: Uint8Array): LabelValuesRequest {
  const { request, label } = readLabelRequest(new ProtoReader(bytes), 1);
  return { ...request, label };
}

/** The two requests differ by the label in front, which moves every other field by one. */
function readLabelRequest(
  r: ProtoReader,
  shift: number,
): { request: LabelNamesRequest; label: string } {
  let label = "";
  let abort = false;
  let start = 0;
  let end = 0;
  let hints: AnyMessage | undefined;
  const matchers: Matcher[] = [];
  const withoutReplicaLabels: string[] = [];
  let limit = 0;
  while (r.next()) {
    switch (r.field - shift) {
      case 0:
        label = r.string();
        break;
      case 1:
        if (r.bool()) abort = true;
        break;
      case 2:
        if (r.int32() === 1) abort = true;
        break;
      case 3:
        start = r.int64();
        break;
      case 4:
        end = r.int64();
        break;
      case 5:
        hints = readAny(r);
        break;
      case 6:
        matchers.push(readMatcher(r));
        break;
      case 7:
        withoutReplicaLabels.push(r.string());
        break;
      case 8:
        limit = r.int64();
        break;
      default:
        r.skip();
    }
  }
  return {
    label,
    request: {
      start,
      end,
      matchers,
      partialResponse: abort ? "abort" : "warn",
      withoutReplicaLabels,
      limit: Math.max(0, limit),
      ...(hints === undefined ? {} : { hints }),
    },
  };
}

/** Encodes a LabelNamesResponse or LabelValuesResponse (the same fields). */
export function encodeStringsResponse(s: StringsResponse): Uint8Array {
  const w = new ProtoWriter(1024);
  w.strings(1, s.values);
  w.strings(2, s.warnings);
  writeAny(w, 3, s.hints);
  return w.finish();
}

/** Decodes a LabelNamesResponse or LabelValuesResponse. */
export function decodeStringsResponse(bytes: Uint8Array): StringsResponse {
  const r = new ProtoReader(bytes);
  const values: string[] = [];
  const warnings: string[] = [];
  let hints: AnyMessage | undefined;
  while (r.next()) {
    if (r.field === 1) values.push(r.string());
    else if (r.field === 2) warnings.push(r.string());
    else if (r.field === 3) hints = readAny(r);
    else r.skip();
  }
  return hints === undefined ? { values, warnings } : { values, warnings, hints };
}
