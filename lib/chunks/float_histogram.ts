/**
 * Float native histogram chunks (encoding 3, and 6 with start times).
 *
 * ```
 * header and layout (histogram_layout.ts)
 * sample 0   varbit t; 64-bit count, zero count, sum, each positive, each negative bucket
 * sample n   varbit dod of t; XOR of each of them, every field with a window of its own
 * ```
 *
 * A staleness marker takes count and zero count to 0.0, then the stale sum, and has no buckets.
 *
 * Source: docs/formats/chunks.md, section 5.3.
 */
import { CorruptionError, MnemeError } from "../base/mod.ts";
import { type FloatHistogram, isStaleAt, type SampleBatch } from "../model/mod.ts";
import { BitWriter } from "./bit_writer.ts";
import { floatHistogram, sampleResetHint, truncateBatch } from "./histogram.ts";
import {
  type ChunkResetHeader,
  ColumnSlab,
  EMPTY_LAYOUT,
  type HistogramHeader,
  type HistogramLayout,
  type HistogramSamples,
  isStaleSum,
  NO_FLOATS,
  readHistogramHeader,
  writeHistogramHeader,
} from "./histogram_layout.ts";
import { reduceSchema } from "./histogram_reduce.ts";
import { readVarbitInt, writeVarbitInt } from "./varbit.ts";
import { XorFields } from "./xor_fields.ts";

// Field numbers; buckets follow.
const COUNT = 0;
const ZERO_COUNT = 1;
const SUM = 2;
const BUCKETS = 3;

/** Steps through the samples of a chunk; the fields are borrowed until the next step. */
class FloatHistogramCursor {
  readonly header: HistogramHeader;
  t = 0;
  st = 0;
  stale = false;
  index = -1;
  readonly fields: XorFields;
  readonly #bits: Uint32Array;
  #tDelta = 0;

  constructor(data: Uint8Array, startTimes: boolean) {
    const h = readHistogramHeader(data, startTimes);
    this.header = h;
    this.fields = new XorFields(BUCKETS + h.positiveLength + h.negativeLength, "reader");
    this.#bits = new Uint32Array(this.fields.values.buffer);
  }

  /** Moves to the next sample; false after the last. */
  next(): boolean {
    const h = this.header;
    if (this.index + 1 >= h.count) return false;
    const r = h.reader;
    const f = this.fields;
    const i = ++this.index;
    const previous = this.t;
    const n = f.values.length;
    if (i === 0) {
      this.t = readVarbitInt(r);
      for (let k = COUNT; k <= SUM; k++) f.readPlain(r, k);
      this.stale = isStaleAt(this.#bits, SUM);
      if (!this.stale) { for (let k = BUCKETS; k < n; k++) f.readPlain(r, k); }
    } else {
      this.#tDelta += readVarbitInt(r);
      this.t += this.#tDelta;
      for (let k = COUNT; k <= SUM; k++) f.read(r, k);
      this.stale = isStaleAt(this.#bits, SUM);
      if (!this.stale) { for (let k = BUCKETS; k < n; k++) f.read(r, k); }
    }
    if (h.startTimes !== undefined) this.st = h.startTimes.next(r, i, this.t, previous);
    r.check("histogram chunk");
    return true;
  }

  /** The current sample with columns of its own. */
  histogram(slab: ColumnSlab): FloatHistogram {
    const { layout, resetHeader, positiveLength, negativeLength } = this.header;
    const v = this.fields.values;
    const middle = BUCKETS + positiveLength;
    const { stale } = this;
    return floatHistogram(
      stale ? EMPTY_LAYOUT : layout,
      sampleResetHint(resetHeader, this.index),
      stale ? 0 : v[COUNT]!,
      stale ? 0 : v[ZERO_COUNT]!,
      slab.copy(v, SUM, SUM + 1),
      stale ? NO_FLOATS : slab.copy(v, BUCKETS, middle),
      stale ? NO_FLOATS : slab.copy(v, middle, middle + negativeLength),
    );
  }
}

/**
 * Appends all samples of a float histogram chunk.
 *
 * Owner: data is only read; the histograms are the batch's. On an error the batch is as before.
 * Throws: CorruptionError when the chunk ends early or its layout is impossible.
 */
export function decodeFloatHistogram(
  data: Uint8Array,
  batch: SampleBatch,
  startTimes = false,
): void {
  const start = batch.length;
  try {
    const c = new FloatHistogramCursor(data, startTimes);
    const slab = new ColumnSlab();
    while (c.next()) {
      batch.appendHistogram(c.t, reduceSchema(c.histogram(slab)));
      if (startTimes || batch.st !== null) batch.ensureStartTimes()[batch.length - 1] = c.st;
    }
  } catch (error) {
    truncateBatch(batch, start);
    throw error;
  }
}

/**
 * Takes a float histogram chunk apart without loss.
 *
 * Throws: CorruptionError when the chunk ends early or its layout is impossible.
 */
export function decodeFloatHistogramSamples(data: Uint8Array): HistogramSamples<FloatHistogram> {
  const c = new FloatHistogramCursor(data, false);
  const slab = new ColumnSlab();
  const t: number[] = [];
  const histograms: FloatHistogram[] = [];
  while (c.next()) {
    t.push(c.t);
    const h = c.histogram(slab);
    // The layout of a chunk is that of its first sample, also in the odd case that it is stale.
    histograms.push(c.stale && c.index === 0 ? { ...h, ...c.header.layout } : h);
  }
  return { resetHeader: c.header.resetHeader, t: Float64Array.from(t), histograms };
}

/** Writes the samples of one float histogram chunk; all share the layout given at the start. */
export class FloatHistogramChunkWriter {
  readonly #w = new BitWriter(1024);
  readonly #expected: number;
  readonly #fields: XorFields;
  readonly #positiveLength: number;
  readonly #negativeLength: number;
  readonly #counts = new Float64Array(2);
  #index = 0;
  #t = 0;
  #tDelta = 0;

  /** `count` samples will follow, with this many buckets unless they are staleness markers. */
  constructor(
    count: number,
    resetHeader: ChunkResetHeader,
    layout: HistogramLayout,
    positiveLength: number,
    negativeLength: number,
  ) {
    this.#expected = count;
    this.#positiveLength = positiveLength;
    this.#negativeLength = negativeLength;
    this.#fields = new XorFields(BUCKETS + positiveLength + negativeLength, "writer");
    writeHistogramHeader(this.#w, count, resetHeader, layout);
  }

  /** Adds a sample; buckets are laid out as promised and are not read when sum is stale. */
  append(
    t: number,
    count: number,
    zeroCount: number,
    sum: Float64Array,
    positive: Float64Array,
    negative: Float64Array,
  ): void {
    const w = this.#w;
    const f = this.#fields;
    const stale = isStaleSum(sum);
    const counts = this.#counts;
    counts[0] = stale ? 0 : count;
    counts[1] = stale ? 0 : zeroCount;
    const first = this.#index++ === 0;
    if (first) {
      writeVarbitInt(w, t);
      f.writePlain(w, COUNT, counts, 0);
      f.writePlain(w, ZERO_COUNT, counts, 1);
      f.writePlain(w, SUM, sum, 0);
    } else {
      const step = t - this.#t;
      writeVarbitInt(w, step - this.#tDelta);
      this.#tDelta = step;
      f.write(w, COUNT, counts, 0);
      f.write(w, ZERO_COUNT, counts, 1);
      f.write(w, SUM, sum, 0);
    }
    this.#t = t;
    if (stale) return;
    const np = this.#positiveLength;
    const nn = this.#negativeLength;
    if (first) {
      for (let k = 0; k < np; k++) f.writePlain(w, BUCKETS + k, positive, k);
      for (let k = 0; k < nn; k++) f.writePlain(w, BUCKETS + np + k, negative, k);
    } else {
      for (let k = 0; k < np; k++) f.write(w, BUCKETS + k, positive, k);
      for (let k = 0; k < nn; k++) f.write(w, BUCKETS + np + k, negative, k);
    }
  }

  /** The chunk's bytes. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#index !== this.#expected) {
      throw new MnemeError(
        "internal",
        `${this.#index} samples written, ${this.#expected} announced`,
      );
    }
    return this.#w.finish();
  }
}

/**
 * Writes float histograms of one layout (that of the first) as a chunk.
 *
 * Throws: CorruptionError when a sample's buckets do not fit the layout.
 */
export function encodeFloatHistogramSamples(
  samples: HistogramSamples<FloatHistogram>,
): Uint8Array<ArrayBuffer> {
  const { t, histograms } = samples;
  const first = histograms[0];
  const positiveLength = first?.positiveBuckets.length ?? 0;
  const negativeLength = first?.negativeBuckets.length ?? 0;
  const w = new FloatHistogramChunkWriter(
    histograms.length,
    samples.resetHeader,
    first ?? EMPTY_LAYOUT,
    positiveLength,
    negativeLength,
  );
  for (let i = 0; i < histograms.length; i++) {
    const h = histograms[i]!;
    const stale = isStaleSum(h.sum);
    if (
      !stale &&
      (h.positiveBuckets.length !== positiveLength || h.negativeBuckets.length !== negativeLength)
    ) {
      throw new CorruptionError(`histogram ${i} does not have the chunk's buckets`);
    }
    w.append(t[i]!, h.count, h.zeroCount, h.sum, h.positiveBuckets, h.negativeBuckets);
  }
  return w.finish();
}
