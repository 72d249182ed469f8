/**
 * Windows of downsampled data: where they end, how many of them make a chunk, and the columns in
 * which the aggregates of one chunk are put together before they are encoded.
 *
 * Source: docs/formats/chunks.md, section 6.1.
 */
import {
  encodeXor,
  ENCODING_AGGR,
  ENCODING_XOR,
  XOR_BYTES_PER_SAMPLE,
  XOR_SLACK,
} from "../chunks/mod.ts";
import { bitsOf } from "../model/mod.ts";

/** Where chunks of the current series go: a BlockWriter. */
export interface ChunkSink {
  /** Makes room for `size` bytes at `chunkOffset` of `chunkBuffer`. */
  claimChunk(size: number): void;
  readonly chunkBuffer: Uint8Array;
  readonly chunkOffset: number;
  /** Takes the bytes written there as a chunk. */
  commitChunk(
    encoding: number,
    size: number,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void;
  /** Takes a copy of a chunk. */
  addChunk(
    encoding: number,
    data: Uint8Array,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void;
}

/** Samples a chunk of downsampled data shall have at most on average. */
const SAMPLES_PER_AGGR_CHUNK = 140;
/** More points than this are never put into one chunk: its count has 16 bits. */
export const MAX_WINDOWS = 60_000;

/** Last time of the window that `t` is in, ms. */
export function windowEnd(t: number, resolution: number): number {
  const into = t % resolution;
  return t - (into < 0 ? into + resolution : into) + resolution - 1;
}

/**
 * Number of chunks that samples from `minTime` to `maxTime` are spread over.
 *
 * `inResolution` is the usual distance of `samples` input samples; sparse series get fewer chunks.
 */
export function targetChunkCount(
  minTime: number,
  maxTime: number,
  inResolution: number,
  outResolution: number,
  samples: number,
): number {
  const span = maxTime - minTime;
  const windows = Math.floor(span / outResolution);
  const fullness = span === 0 ? 1 : Math.min(1, samples / (span / inResolution));
  const expected = Math.floor(windows * fullness) + 1;
  // The smallest number of chunks that hold at most 140 points each, in whole numbers.
  return Math.floor(expected / (SAMPLES_PER_AGGR_CHUNK + 1)) + 1;
}

/**
 * The points of one float chunk in columns.
 *
 * Shape: element 0 is the counter's extra first sample, 1 to `length` are the windows, `length` + 1
 * the counter's extra last one; the other columns use 1 to `length` only.
 */
export class FloatWindows {
  /** Number of windows. */
  length = 0;
  t = new Float64Array(0);
  count = new Float64Array(0);
  sum = new Float64Array(0);
  min = new Float64Array(0);
  max = new Float64Array(0);
  counter = new Float64Array(0);
  sumBits: Uint32Array = new Uint32Array(0);
  counterBits: Uint32Array = new Uint32Array(0);

  /** Makes room for `windows` points; the content is lost when the columns have to grow. */
  reserve(windows: number): void {
    const need = windows + 2;
    if (this.t.length >= need) return;
    const size = Math.max(256, need * 2);
    this.t = new Float64Array(size);
    this.count = new Float64Array(size);
    this.sum = new Float64Array(size);
    this.min = new Float64Array(size);
    this.max = new Float64Array(size);
    this.counter = new Float64Array(size);
    this.sumBits = bitsOf(this.sum);
    this.counterBits = bitsOf(this.counter);
  }
}

/** Bits of the NaN that Inf - Inf gives: which NaN arithmetic makes is not told in JavaScript. */
export const INVALID_NAN_HIGH = 0xfff80000;

/** Sets element `i` of the viewed column to the NaN of an impossible sum. */
export function setInvalidNan(bits: Uint32Array, i: number): void {
  bits[2 * i] = 0;
  bits[2 * i + 1] = INVALID_NAN_HIGH;
}

/** Bytes that the parts of an aggregate chunk may take in front of their data. */
export const PART_HEAD = 6;

/** Writes the windows as an aggregate chunk of the writer's current series. */
export function writeFloatWindows(writer: ChunkSink, w: FloatWindows): void {
  const n = w.length;
  writer.claimChunk(5 * ((n + 2) * XOR_BYTES_PER_SAMPLE + XOR_SLACK + PART_HEAD));
  const out = writer.chunkBuffer;
  const start = writer.chunkOffset;
  let at = putXorPart(out, start, w.t, w.count, 1, n + 1);
  at = putXorPart(out, at, w.t, w.sum, 1, n + 1);
  at = putXorPart(out, at, w.t, w.min, 1, n + 1);
  at = putXorPart(out, at, w.t, w.max, 1, n + 1);
  at = putXorPart(out, at, w.t, w.counter, 0, n + 2);
  writer.commitChunk(ENCODING_AGGR, at - start, w.t[1]!, w.t[n]!, n);
}

/**
 * Writes samples [from, to) as one part of an aggregate chunk at `at`; returns where it ends.
 *
 * No samples: the part is absent.
 */
export function putXorPart(
  out: Uint8Array,
  at: number,
  t: Float64Array,
  v: Float64Array,
  from: number,
  to: number,
): number {
  if (to === from) {
    out[at] = 0;
    return at + 1;
  }
  // Most parts have a length of one or two bytes: the data is moved when it is not two.
  const size = encodeXor(t, v, from, to, out, at + 3);
  return putPartHead(out, at, size, ENCODING_XOR);
}

/** Puts length and encoding in front of `size` bytes at `at` + 3, moving them; returns their end. */
function putPartHead(out: Uint8Array, at: number, size: number, encoding: number): number {
  const head = size < 0x80 ? 2 : size < 0x4000 ? 3 : size < 0x200000 ? 4 : 5;
  if (head !== 3) out.copyWithin(at + head, at + 3, at + 3 + size);
  for (let rest = size; head > 0;) {
    if (rest < 0x80) {
      out[at++] = rest;
      break;
    }
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = encoding;
  return at + size;
}
