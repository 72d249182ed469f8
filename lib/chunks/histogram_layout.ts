/**
 * What integer and float histogram chunks share: header, layout, start times, merged layouts.
 *
 * ```
 * be16 sample count, u8 flags (top two bits: counter reset)                       kinds 2, 3
 * top 2 bits flags + 14 bits sample count, u8 start-time header                   kinds 5, 6
 * zero threshold, varbit schema, positive spans, negative spans, custom bounds (schema -53)
 * ```
 *
 * Source: docs/formats/chunks.md, section 5.
 */
import { CorruptionError, MnemeError } from "../base/mod.ts";
import {
  type CounterResetHint,
  CUSTOM_BUCKETS_SCHEMA,
  type FloatHistogram,
  type Histogram,
  isStaleAt,
  type Span,
} from "../model/mod.ts";
import { BitReader } from "./bit_reader.ts";
import type { BitWriter } from "./bit_writer.ts";
import { readVarbitInt, readVarbitUint, writeVarbitInt, writeVarbitUint } from "./varbit.ts";

/** What the header of a histogram chunk says about a reset before its first sample. */
export type ChunkResetHeader = CounterResetHint;

/** Shared by all samples of one chunk. */
export interface HistogramLayout {
  readonly schema: number;
  readonly zeroThreshold: number;
  readonly positiveSpans: readonly Span[];
  readonly negativeSpans: readonly Span[];
  readonly customValues: Float64Array;
}

/** A histogram chunk taken apart without loss; encodes back to the same bytes. */
export interface HistogramSamples<H extends Histogram | FloatHistogram> {
  readonly resetHeader: ChunkResetHeader;
  /** Time of each sample in ms. */
  readonly t: Float64Array;
  readonly histograms: readonly H[];
}

/**
 * Hands out small columns cut from larger buffers: an allocation outside the JS heap for each
 * column of each sample would cost more than decoding it.
 */
export class ColumnSlab {
  #slab = NO_FLOATS;
  #used = 0;

  /** A zeroed column of `n` elements; owned by the caller. */
  take(n: number): Float64Array {
    if (n === 0) return NO_FLOATS;
    if (this.#used + n > this.#slab.length) {
      if (n >= SLAB_SIZE / 4) return new Float64Array(n);
      this.#slab = new Float64Array(SLAB_SIZE);
      this.#used = 0;
    }
    const column = this.#slab.subarray(this.#used, this.#used + n);
    this.#used += n;
    return column;
  }
  /** A column with elements [from, to) of `source`, bit for bit. */
  copy(source: Float64Array, from: number, to: number): Float64Array {
    const column = this.take(to - from);
    for (let i = from; i < to; i++) column[i - from] = source[i]!;
    return column;
  }
}
const SLAB_SIZE = 1024;

/** True when the sum is the staleness marker. */
export function isStaleSum(sum: Float64Array): boolean {
  // Only a NaN can be one; the view for the bits is made for those alone.
  return sum[0] !== sum[0] &&
    isStaleAt(new Uint32Array(sum.buffer, sum.byteOffset, 2), 0);
}

/** A shared empty column. */
export const NO_FLOATS = new Float64Array(0);
const NO_SPANS: readonly Span[] = Object.freeze([]);

/** The layout of a chunk whose first sample is a staleness marker. */
export const EMPTY_LAYOUT: HistogramLayout = Object.freeze({
  schema: 0,
  zeroThreshold: 0,
  positiveSpans: NO_SPANS,
  negativeSpans: NO_SPANS,
  customValues: NO_FLOATS,
});

const RESET_FLAGS: readonly ChunkResetHeader[] = ["unknown", "not_reset", "reset", "gauge"];

/** Header and layout of a chunk, and the reader behind them. */
export interface HistogramHeader {
  readonly count: number;
  readonly resetHeader: ChunkResetHeader;
  readonly layout: HistogramLayout;
  readonly positiveLength: number;
  readonly negativeLength: number;
  readonly startTimes: StartTimeReader | undefined;
  readonly reader: BitReader;
}

/** Reads header and layout; `startTimes` tells kinds 5 and 6. A count of 0 has no layout. */
export function readHistogramHeader(data: Uint8Array, startTimes: boolean): HistogramHeader {
  if (data.length < 3) {
    throw new CorruptionError("histogram chunk without its header", { offset: data.length });
  }
  const flags = (startTimes ? data[0]! : data[2]!) >>> 6;
  const count = startTimes ? ((data[0]! & 0x3f) << 8) | data[1]! : (data[0]! << 8) | data[1]!;
  const reader = new BitReader(data, 3);
  const layout = count === 0 ? EMPTY_LAYOUT : readLayout(reader);
  const positiveLength = spansLength(layout.positiveSpans);
  const negativeLength = spansLength(layout.negativeSpans);
  // A bucket takes at least a bit in the first sample, so no honest layout is larger than that.
  if (positiveLength + negativeLength > reader.remaining) {
    throw new CorruptionError(
      `histogram layout of ${positiveLength + negativeLength} buckets in ${data.length} bytes`,
      { offset: reader.offset },
    );
  }
  return {
    count,
    resetHeader: RESET_FLAGS[flags]!,
    layout,
    positiveLength,
    negativeLength,
    startTimes: startTimes ? new StartTimeReader(data[2]!) : undefined,
    reader,
  };
}

/** Writes the header and layout of kinds 2 and 3. */
export function writeHistogramHeader(
  w: BitWriter,
  count: number,
  resetHeader: ChunkResetHeader,
  layout: HistogramLayout,
): void {
  if (count > 65535) {
    throw new MnemeError("internal", `${count} samples do not fit a chunk of at most 65535`);
  }
  w.bits(count, 16);
  w.bits(RESET_FLAGS.indexOf(resetHeader) << 6, 8);
  writeZeroThreshold(w, layout.zeroThreshold);
  writeVarbitInt(w, layout.schema);
  writeSpans(w, layout.positiveSpans);
  writeSpans(w, layout.negativeSpans);
  if (layout.schema === CUSTOM_BUCKETS_SCHEMA) {
    writeVarbitUint(w, layout.customValues.length);
    for (let i = 0; i < layout.customValues.length; i++) writeBound(w, layout.customValues[i]!);
  }
}

function readLayout(r: BitReader): HistogramLayout {
  const zeroThreshold = readZeroThreshold(r);
  const schema = readVarbitInt(r);
  if (schema !== CUSTOM_BUCKETS_SCHEMA && (schema < -9 || schema > 52)) {
    throw new CorruptionError(`histogram schema ${schema}`, { offset: r.offset });
  }
  const positiveSpans = readSpans(r);
  const negativeSpans = readSpans(r);
  let customValues = NO_FLOATS;
  if (schema === CUSTOM_BUCKETS_SCHEMA) {
    const n = readVarbitUint(r);
    // The shortest bound has 5 bits; the range is checked before anything is allocated.
    if (n * 5 > r.remaining) throw tooMany("custom bounds", n, r);
    customValues = new Float64Array(n);
    for (let i = 0; i < n; i++) readBound(r, customValues, i);
  }
  r.check("histogram chunk");
  return { schema, zeroThreshold, positiveSpans, negativeSpans, customValues };
}

function readSpans(r: BitReader): readonly Span[] {
  const n = readVarbitUint(r);
  if (n === 0) return NO_SPANS;
  if (n * 2 > r.remaining) throw tooMany("spans", n, r);
  const spans: Span[] = [];
  for (let i = 0; i < n; i++) {
    const length = readVarbitUint(r);
    const offset = readVarbitInt(r);
    if (length > 4294967295 || offset < -2147483648 || offset > 2147483647) {
      throw new CorruptionError(`histogram span of offset ${offset}, length ${length}`, {
        offset: r.offset,
      });
    }
    spans.push({ offset, length });
  }
  return spans;
}

function writeSpans(w: BitWriter, spans: readonly Span[]): void {
  writeVarbitUint(w, spans.length);
  for (const span of spans) {
    writeVarbitUint(w, span.length);
    writeVarbitInt(w, span.offset);
  }
}

function tooMany(what: string, n: number, r: BitReader): CorruptionError {
  return new CorruptionError(`${n} ${what} in ${Math.max(0, r.remaining)} bits`, {
    offset: r.offset,
  });
}

/** Byte 0 = none, 1..254 = the power of two 2^(b-244), 255 = 64 bits follow. */
function readZeroThreshold(r: BitReader): number {
  const b = r.piece(8);
  if (b === 0) return 0;
  if (b < 255) return Math.pow(2, b - 244);
  return readFloat(r);
}

function writeZeroThreshold(w: BitWriter, x: number): void {
  if (x === 0 && !Object.is(x, -0)) return w.bits(0, 8);
  const exponent = Math.round(Math.log2(x));
  if (exponent >= -243 && exponent <= 10 && Math.pow(2, exponent) === x) {
    return w.bits(exponent + 244, 8);
  }
  w.bits(255, 8);
  writeFloat(w, x);
}

function readBound(r: BitReader, out: Float64Array, i: number): void {
  const x = readVarbitUint(r);
  out[i] = x === 0 ? readFloat(r) : (x - 1) / 1000;
}

function writeBound(w: BitWriter, x: number): void {
  const scaled = x * 1000;
  if (scaled >= 0 && scaled <= 33554430 && !Object.is(x, -0)) {
    const whole = Math.round(scaled);
    if (whole / 1000 === x) return writeVarbitUint(w, whole + 1);
  }
  w.bits(0, 1);
  writeFloat(w, x);
}

function readFloat(r: BitReader): number {
  const halves = new Int32Array(2);
  halves[1] = r.word();
  halves[0] = r.word();
  return new Float64Array(halves.buffer)[0]!;
}

function writeFloat(w: BitWriter, x: number): void {
  const halves = new Int32Array(Float64Array.of(x).buffer);
  w.halves(halves[1]!, halves[0]!);
}

/** Number of buckets the spans cover. */
export function spansLength(spans: readonly Span[]): number {
  let n = 0;
  for (const span of spans) n += span.length;
  return n;
}

/** True when both lists say the same, span by span. */
export function equalSpans(a: readonly Span[], b: readonly Span[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i]!.offset !== b[i]!.offset || a[i]!.length !== b[i]!.length) return false;
  }
  return true;
}

/** Index of every bucket, in order. */
export function bucketIndexes(spans: readonly Span[]): Int32Array {
  const out = new Int32Array(spansLength(spans));
  let at = 0;
  let index = 0;
  for (const span of spans) {
    index += span.offset;
    for (let k = 0; k < span.length; k++) out[at++] = index++;
  }
  return out;
}

/** The shortest spans for ascending bucket indexes. */
export function spansOf(indexes: Int32Array): readonly Span[] {
  const spans: { offset: number; length: number }[] = [];
  let next = 0;
  for (let i = 0; i < indexes.length; i++) {
    const index = indexes[i]!;
    const last = spans[spans.length - 1];
    if (last !== undefined && index === next) last.length++;
    else spans.push({ offset: index - (last === undefined ? 0 : next), length: 1 });
    next = index + 1;
  }
  return spans;
}

/** All indexes of two ascending lists, ascending, each once. */
export function unionIndexes(a: Int32Array, b: Int32Array): Int32Array {
  const out = new Int32Array(a.length + b.length);
  let i = 0;
  let j = 0;
  let n = 0;
  while (i < a.length || j < b.length) {
    const x = i < a.length ? a[i]! : Infinity;
    const y = j < b.length ? b[j]! : Infinity;
    if (x <= y) i++;
    if (y <= x) j++;
    out[n++] = x < y ? x : y;
  }
  return out.slice(0, n);
}

/** Reads the start-time fields of kinds 4, 5 and 6. */
export class StartTimeReader {
  readonly #first: boolean;
  /** Index of the first sample from which every sample has a field, 0 = none. */
  readonly #from: number;
  #st = 0;
  #distance = 0;

  constructor(header: number) {
    this.#first = (header & 0x80) !== 0;
    this.#from = header & 0x7f;
  }

  /** Start time of sample `i` at `t`; `previous` is the time of the sample before. */
  next(r: BitReader, i: number, t: number, previous: number): number {
    if (i === 0) {
      if (this.#first) this.#st = t - r.varint();
    } else if (this.#from > 0 && i >= this.#from) {
      const x = readVarbitInt(r);
      this.#distance = i === this.#from ? x : this.#distance + x;
      this.#st = previous - this.#distance;
    }
    return this.#st;
  }
}
