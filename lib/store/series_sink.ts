/** What merged series become: frames of objects for callers in the process, or wire messages. */
import { type BufferPool, xxhash64Into } from "../base/mod.ts";
import { ENCODING_AGGR, ENCODING_XOR, PLACE_SIZE, PLACES_SIZE } from "../chunks/mod.ts";
import { type Labels } from "../model/mod.ts";
import { ProtoWriter } from "../rpc/mod.ts";
import {
  type AggrChunk,
  joinChunks,
  type Series,
  type SeriesFrame,
  writeLabels,
  writeSeries,
} from "../storeapi/mod.ts";
import type { SeriesSink } from "./block_merge.ts";
import { ChunkOrder } from "./chunk_order.ts";
import { DAMAGED, type SeriesBatch, SPECIAL } from "./series_batch.ts";

/** The chunks of a merged series as objects: sorted, exact duplicates dropped. */
function mergedChunks(
  batches: readonly SeriesBatch[],
  indexes: readonly number[],
): readonly AggrChunk[] {
  const chunks: AggrChunk[] = [];
  for (let p = 0; p < batches.length; p++) batches[p]!.appendChunks(indexes[p]!, chunks);
  return batches.length === 1 ? chunks : joinChunks(chunks);
}

/** Frames of many series. */
export class FrameSink implements SeriesSink<SeriesFrame> {
  readonly #batchSize: number;
  #series: Series[] = [];
  #chunks = 0;
  #ready: SeriesFrame | undefined;

  /** `batchSize` series make a frame, fewer when they have many chunks. */
  constructor(batchSize = 64) {
    this.#batchSize = batchSize;
  }

  add(labels: Labels, batches: readonly SeriesBatch[], indexes: readonly number[]): void {
    const chunks = mergedChunks(batches, indexes);
    this.#series.push({ labels, chunks });
    this.#chunks += chunks.length;
    if (this.#series.length >= this.#batchSize || this.#chunks >= FRAME_CHUNKS) this.flush();
  }
  close(): void {}
  next(): SeriesFrame | undefined {
    const frame = this.#ready;
    this.#ready = undefined;
    return frame;
  }
  flush(): void {
    if (this.#series.length === 0) return;
    this.#ready = { series: this.#series, warnings: [] };
    this.#series = [];
    this.#chunks = 0;
  }
}

/** A frame is full at this many chunks. */
const FRAME_CHUNKS = 4096;
/** A message is sent at this size, even with fewer series than asked for; fits 1 MiB nearly always. */
const MESSAGE_BYTES = 896 * 1024;
/** Room in front of a message for the tag and length of a batch. */
const HEAD = 6;
const TAG_BATCH = 0x22;
const TAG_SERIES = 0x0a;
const TAG_CHUNK = 0x12;

/**
 * SeriesResponse messages, written straight from the batches: the data of a chunk are copied once,
 * from what was read to what is sent.
 */
export class MessageSink implements SeriesSink<Uint8Array> {
  readonly #most: number;
  readonly #pool: BufferPool;
  readonly #ready: Uint8Array[] = [];
  readonly #hash = new Uint32Array(2);
  readonly #labels = new ProtoWriter(1024);
  #bytes: Uint8Array;
  #length = HEAD;
  #series = 0;

  readonly #hashes: boolean;
  readonly #order = new ChunkOrder();
  /** Of the parts of one aggregate chunk. */
  readonly #places = new Int32Array(PLACES_SIZE);
  readonly #sizes = new Int32Array(AGGR_PARTS);
  readonly #partHashes = new Uint32Array(2 * AGGR_PARTS);

  /** Up to `batchSize` series a message (0 and 1: one), in memory of `pool`. */
  constructor(batchSize: number, pool: BufferPool, hashes: boolean) {
    this.#hashes = hashes;
    this.#most = Math.max(1, batchSize);
    this.#pool = pool;
    this.#bytes = pool.take(INITIAL_SIZE);
  }

  next(): Uint8Array | undefined {
    return this.#ready.shift();
  }

  add(labels: Labels, batches: readonly SeriesBatch[], indexes: readonly number[]): void {
    if (isSimple(batches, indexes)) this.#writeSimple(labels, batches, indexes);
    else if (this.#order.sort(batches, indexes)) this.#writeInOrder(labels, batches);
    else this.#writeObjects(labels, mergedChunks(batches, indexes));
    if (this.#series >= this.#most || this.#length >= MESSAGE_BYTES) this.flush();
  }

  /** Gives back the memory that no message needs; call when nothing more is added. */
  close(): void {
    this.#pool.give(this.#bytes);
  }

  flush(): void {
    if (this.#series === 0) return;
    let start = HEAD;
    // One series stands for itself: a batch of one and a single series differ by the head only.
    if (this.#series > 1) {
      const size = this.#length - HEAD;
      start = HEAD - 1 - varintSize(size);
      this.#bytes[start] = TAG_BATCH;
      writeVarint(this.#bytes, start + 1, size);
    }
    // The message keeps its buffer; the next one is likely to be about as long.
    this.#ready.push(this.#bytes.subarray(start, this.#length));
    this.#bytes = this.#pool.take(this.#length);
    this.#length = HEAD;
    this.#series = 0;
  }

  #reserve(n: number): void {
    if (this.#length + n <= this.#bytes.length) return;
    const larger = this.#pool.take(Math.max(this.#bytes.length * 2, this.#length + n));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#pool.give(this.#bytes);
    this.#bytes = larger;
  }

  /** A series whose chunks are as they were read, in order and apart. */
  #writeSimple(
    labels: Labels,
    batches: readonly SeriesBatch[],
    indexes: readonly number[],
  ): void {
    let open = this.#openSeries(labels);
    for (let p = 0; p < batches.length; p++) {
      const batch = batches[p]!;
      const end = batch.starts[indexes[p]! + 1]!;
      for (let k = batch.starts[indexes[p]!]!; k < end; k++) {
        if (batch.encodings[k] === DAMAGED) continue;
        open = this.#breakSeries(open, labels);
        this.#writeStored(batch, k);
      }
    }
    this.#closeSeries(open);
  }

  /** A series whose chunks overlap: replicas. */
  #writeInOrder(labels: Labels, batches: readonly SeriesBatch[]): void {
    const { parts, chunks, length } = this.#order;
    let open = this.#openSeries(labels);
    for (let i = 0; i < length; i++) {
      open = this.#breakSeries(open, labels);
      this.#writeStored(batches[parts[i]!]!, chunks[i]!);
    }
    this.#closeSeries(open);
  }

  #writeStored(batch: SeriesBatch, k: number): void {
    if (batch.encodings[k] === ENCODING_AGGR) this.#writeParts(batch, k);
    else this.#writeChunk(batch, k);
  }

  /** A series too long for one message goes on in the next; returns where its body starts. */
  #breakSeries(open: number, labels: Labels): number {
    if (this.#length - open <= MESSAGE_BYTES) return open;
    this.#closeSeries(open);
    this.flush();
    return this.#openSeries(labels);
  }

  /** Writes tag, room for the length, and labels; returns where the body starts. */
  #openSeries(labels: Labels): number {
    const w = this.#labels;
    w.reset();
    writeLabels(w, 1, labels);
    const encoded = w.finish();
    this.#reserve(encoded.length + 1 + LENGTH_ROOM);
    this.#bytes[this.#length] = TAG_SERIES;
    const open = this.#length + 1 + LENGTH_ROOM;
    this.#bytes.set(encoded, open);
    this.#length = open + encoded.length;
    return open;
  }
  #closeSeries(open: number): void {
    const size = this.#length - open;
    const width = varintSize(size);
    const start = open - LENGTH_ROOM;
    if (width !== LENGTH_ROOM) {
      this.#reserve(width);
      this.#bytes.copyWithin(start + width, open, this.#length);
      this.#length += width - LENGTH_ROOM;
    }
    writeVarint(this.#bytes, start, size);
    this.#series++;
  }

  #writeChunk(batch: SeriesBatch, k: number): void {
    const data = batch.data(k);
    const n = data.length;
    const encoding = batch.encodings[k]!;
    const minTime = batch.minTimes[k]!;
    const maxTime = batch.maxTimes[k]!;
    const hash = this.#hash;
    if (this.#hashes) xxhash64Into(data, hash);
    const high = hash[0]!;
    const low = hash[1]!;
    const part = (encoding === ENCODING_XOR ? 0 : 2) + (n === 0 ? 0 : 1 + varintSize(n) + n) +
      hashSize(high, low);
    const size = timeSize(minTime) + timeSize(maxTime) + 1 + varintSize(part) + part;
    this.#reserve(size + 8);
    const b = this.#bytes;
    let o = this.#length;
    b[o] = TAG_CHUNK;
    o = writeVarint(b, o + 1, size);
    o = writeTime(b, o, 0x08, minTime);
    o = writeTime(b, o, 0x10, maxTime);
    b[o] = 0x1a;
    o = writeVarint(b, o + 1, part);
    if (encoding !== ENCODING_XOR) {
      b[o] = 0x08;
      b[o + 1] = encoding - 1;
      o += 2;
    }
    if (n > 0) {
      b[o] = 0x12;
      o = writeVarint(b, o + 1, n);
      b.set(data, o);
      o += n;
    }
    this.#length = writeHash(b, o, high, low);
  }

  /** The parts of an aggregate chunk that were asked for, cut out without being decoded. */
  #writeParts(batch: SeriesBatch, k: number): void {
    const { aggregates } = batch;
    const places = this.#places;
    const sizes = this.#sizes;
    const hashes = this.#partHashes;
    batch.findParts(k, places);
    const region = batch.regions[batch.regionOf[k]!]!;
    const minTime = batch.minTimes[k]!;
    const maxTime = batch.maxTimes[k]!;
    let size = timeSize(minTime) + timeSize(maxTime);
    for (let i = 0; i < aggregates.length; i++) {
      const p = (aggregates[i]! - 1) * PLACE_SIZE;
      const n = places[p + 1]!;
      if (n < 0) continue;
      if (this.#hashes) {
        xxhash64Into(region.subarray(places[p]!, places[p]! + n), hashes, 2 * i);
      }
      const part = (places[p + 2] === ENCODING_XOR ? 0 : 2) + 1 + varintSize(n) + n +
        hashSize(hashes[2 * i]!, hashes[2 * i + 1]!);
      sizes[i] = part;
      size += 1 + varintSize(part) + part;
    }
    this.#reserve(size + 8);
    const b = this.#bytes;
    let o = this.#length;
    b[o] = TAG_CHUNK;
    o = writeVarint(b, o + 1, size);
    o = writeTime(b, o, 0x08, minTime);
    o = writeTime(b, o, 0x10, maxTime);
    for (let i = 0; i < aggregates.length; i++) {
      const p = (aggregates[i]! - 1) * PLACE_SIZE;
      const n = places[p + 1]!;
      if (n < 0) continue;
      // Fields 4 to 8, a message each.
      b[o] = ((3 + aggregates[i]!) << 3) | 2;
      o = writeVarint(b, o + 1, sizes[i]!);
      if (places[p + 2] !== ENCODING_XOR) {
        b[o] = 0x08;
        b[o + 1] = places[p + 2]! - 1;
        o += 2;
      }
      b[o] = 0x12;
      o = writeVarint(b, o + 1, n);
      b.set(region.subarray(places[p]!, places[p]! + n), o);
      o = writeHash(b, o + n, hashes[2 * i]!, hashes[2 * i + 1]!);
    }
    this.#length = o;
  }

  /** A series with re-encoded chunks or some of equal times, through the general codec. */
  #writeObjects(labels: Labels, chunks: readonly AggrChunk[]): void {
    let from = 0;
    do {
      let to = from;
      let size = 0;
      while (to < chunks.length && size < MESSAGE_BYTES) size += roughSize(chunks[to++]!);
      const w = new ProtoWriter(size + 256);
      writeSeries(w, 1, labels, chunks, from, to);
      const bytes = w.finish();
      this.#reserve(bytes.length);
      this.#bytes.set(bytes, this.#length);
      this.#length += bytes.length;
      this.#series++;
      from = to;
      if (from < chunks.length) this.flush();
    } while (from < chunks.length);
  }
}

const AGGR_PARTS = PLACES_SIZE / PLACE_SIZE;
const INITIAL_SIZE = 16 * 1024;
/** Bytes that the length of a series is expected to take: series of 128 bytes to 16 KiB. */
const LENGTH_ROOM = 2;

/** True when the chunks can be written one after the other as they are. */
function isSimple(batches: readonly SeriesBatch[], indexes: readonly number[]): boolean {
  let last = -Infinity;
  for (let p = 0; p < batches.length; p++) {
    const { starts, minTimes, maxTimes, encodings } = batches[p]!;
    const end = starts[indexes[p]! + 1]!;
    for (let k = starts[indexes[p]!]!; k < end; k++) {
      if (encodings[k] === SPECIAL) return false;
      if (minTimes[k]! <= last) return batches.length === 1 && !hasSpecial(encodings, k, end);
      last = maxTimes[k]!;
    }
  }
  return true;
}

/** Chunks of one block keep their order even when it is not that of time. */
function hasSpecial(encodings: Uint8Array, from: number, to: number): boolean {
  for (let k = from; k < to; k++) if (encodings[k] === SPECIAL) return true;
  return false;
}

function roughSize(chunk: AggrChunk): number {
  const { raw, count, sum, min, max, counter } = chunk;
  let size = 32;
  for (const part of [raw, count, sum, min, max, counter]) {
    if (part !== undefined) size += part.data.length + 24;
  }
  return size;
}

function varintSize(x: number): number {
  return x < 0x80 ? 1 : x < 0x4000 ? 2 : x < 0x200000 ? 3 : x < 0x10000000 ? 4 : 5;
}
function writeVarint(b: Uint8Array, o: number, x: number): number {
  while (x > 0x7f) {
    b[o++] = (x & 0x7f) | 0x80;
    x >>>= 7;
  }
  b[o++] = x;
  return o;
}

/** Times are within ±2^53; negative ones take ten bytes, as every negative int64. */
function timeSize(t: number): number {
  if (t === 0) return 0;
  if (t < 0) return 11;
  const high = Math.floor(t / TWO_28);
  return high === 0 ? 1 + varintSize(t) : 5 + varintSize(high);
}
function writeTime(b: Uint8Array, o: number, tag: number, t: number): number {
  if (t === 0) return o;
  b[o++] = tag;
  if (t < 0) {
    const m = -(t + 1);
    return writeHalves(b, o, ~Math.floor(m / TWO_32) >>> 0, ~(m % TWO_32) >>> 0);
  }
  const high = Math.floor(t / TWO_28);
  if (high === 0) return writeVarint(b, o, t);
  const low = t - high * TWO_28;
  b[o] = (low & 0x7f) | 0x80;
  b[o + 1] = ((low >>> 7) & 0x7f) | 0x80;
  b[o + 2] = ((low >>> 14) & 0x7f) | 0x80;
  b[o + 3] = (low >>> 21) | 0x80;
  return writeVarint(b, o + 4, high);
}
const TWO_28 = 2 ** 28;
const TWO_32 = 2 ** 32;

function hashSize(high: number, low: number): number {
  if (high !== 0) return 1 + Math.ceil((64 - Math.clz32(high)) / 7);
  return low === 0 ? 0 : 1 + varintSize(low);
}
function writeHash(b: Uint8Array, o: number, high: number, low: number): number {
  if (high === 0 && low === 0) return o;
  b[o] = 0x18;
  return writeHalves(b, o + 1, high, low);
}
function writeHalves(b: Uint8Array, o: number, high: number, low: number): number {
  while (high !== 0 || low > 0x7f) {
    b[o++] = (low & 0x7f) | 0x80;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  b[o++] = low;
  return o;
}
