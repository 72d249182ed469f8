/**
 * Integer native histogram chunks (encoding 2, and 5 with start times).
 *
 * ```
 * header and layout (histogram_layout.ts)
 * sample 0   varbit t, count, zero count; 64-bit sum; varbit of each positive, each negative bucket
 * sample n   varbit dod of t, count, zero count; XOR of sum; varbit dod of each bucket
 * ```
 *
 * Bucket numbers are deltas to the bucket before; "dod" starts from a delta of 0. A sample whose sum
 * is the staleness marker has no buckets. Numbers beyond 2^53 are rounded.
 *
 * Source: docs/formats/chunks.md, section 5.2.
 */
import { CorruptionError, MnemeError } from "../base/mod.ts";
import {
  type CounterResetHint,
  type FloatHistogram,
  type Histogram,
  isStaleAt,
  type SampleBatch,
} from "../model/mod.ts";
import { BitWriter } from "./bit_writer.ts";
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
import { readVarbitInt, readVarbitUint, writeVarbitInt, writeVarbitUint } from "./varbit.ts";
import { XorFields } from "./xor_fields.ts";

/** Steps through the samples of a chunk; the columns are borrowed until the next step. */
class IntegerHistogramCursor {
  readonly header: HistogramHeader;
  t = 0;
  st = 0;
  count = 0;
  zeroCount = 0;
  stale = false;
  readonly sum = new XorFields(1, "reader");
  readonly positive: Float64Array<ArrayBuffer>;
  readonly negative: Float64Array<ArrayBuffer>;
  readonly #sumBits: Uint32Array;
  #index = -1;
  #tDelta = 0;
  #countDelta = 0;
  #zeroDelta = 0;
  readonly #positiveDelta: Float64Array;
  readonly #negativeDelta: Float64Array;

  constructor(data: Uint8Array, startTimes: boolean) {
    this.header = readHistogramHeader(data, startTimes);
    this.#sumBits = new Uint32Array(this.sum.values.buffer);
    this.positive = new Float64Array(this.header.positiveLength);
    this.negative = new Float64Array(this.header.negativeLength);
    this.#positiveDelta = new Float64Array(this.header.positiveLength);
    this.#negativeDelta = new Float64Array(this.header.negativeLength);
  }

  get index(): number {
    return this.#index;
  }

  /** Moves to the next sample; false after the last. */
  next(): boolean {
    const h = this.header;
    if (this.#index + 1 >= h.count) return false;
    const r = h.reader;
    const i = ++this.#index;
    const previous = this.t;
    if (i === 0) {
      this.t = readVarbitInt(r);
      this.count = readVarbitUint(r);
      this.zeroCount = readVarbitUint(r);
      this.sum.readPlain(r, 0);
    } else {
      this.#tDelta += readVarbitInt(r);
      this.t += this.#tDelta;
      this.#countDelta += readVarbitInt(r);
      this.count += this.#countDelta;
      this.#zeroDelta += readVarbitInt(r);
      this.zeroCount += this.#zeroDelta;
      this.sum.read(r, 0);
    }
    this.stale = isStaleAt(this.#sumBits, 0);
    if (!this.stale) {
      const { positive, negative } = this;
      if (i === 0) {
        for (let k = 0; k < positive.length; k++) positive[k] = readVarbitInt(r);
        for (let k = 0; k < negative.length; k++) negative[k] = readVarbitInt(r);
      } else {
        const pd = this.#positiveDelta;
        const nd = this.#negativeDelta;
        for (let k = 0; k < positive.length; k++) positive[k]! += pd[k]! += readVarbitInt(r);
        for (let k = 0; k < negative.length; k++) negative[k]! += nd[k]! += readVarbitInt(r);
      }
    }
    if (h.startTimes !== undefined) this.st = h.startTimes.next(r, i, this.t, previous);
    r.check("histogram chunk");
    return true;
  }
}

/** The hint a reader hands out: a chunk's first sample is always unknown, gauges stay gauges. */
export function sampleResetHint(header: ChunkResetHeader, index: number): CounterResetHint {
  if (header === "gauge") return "gauge";
  return index === 0 ? "unknown" : "not_reset";
}

/**
 * Appends all samples of an integer histogram chunk as FloatHistograms marked `integer`.
 *
 * Owner: data is only read; the histograms are the batch's. On an error the batch is as before.
 * Throws: CorruptionError when the chunk ends early or its layout is impossible.
 */
export function decodeHistogram(
  data: Uint8Array,
  batch: SampleBatch,
  startTimes = false,
): void {
  const start = batch.length;
  try {
    const c = new IntegerHistogramCursor(data, startTimes);
    const { layout, resetHeader } = c.header;
    const slab = new ColumnSlab();
    while (c.next()) {
      const { stale } = c;
      const h = floatHistogram(
        stale ? EMPTY_LAYOUT : layout,
        sampleResetHint(resetHeader, c.index),
        stale ? 0 : c.count,
        stale ? 0 : c.zeroCount,
        slab.copy(c.sum.values, 0, 1),
        stale ? NO_FLOATS : absolute(c.positive, slab),
        stale ? NO_FLOATS : absolute(c.negative, slab),
      );
      h.integer = true;
      batch.appendHistogram(c.t, reduceSchema(h));
      if (startTimes || batch.st !== null) batch.ensureStartTimes()[batch.length - 1] = c.st;
    }
  } catch (error) {
    truncateBatch(batch, start);
    throw error;
  }
}

/** A histogram of a chunk's layout. (Written out: spreading the layout costs more than decoding.) */
export function floatHistogram(
  layout: HistogramLayout,
  counterResetHint: CounterResetHint,
  count: number,
  zeroCount: number,
  sum: Float64Array,
  positiveBuckets: Float64Array,
  negativeBuckets: Float64Array,
): FloatHistogram {
  return {
    counterResetHint,
    schema: layout.schema,
    zeroThreshold: layout.zeroThreshold,
    zeroCount,
    count,
    sum,
    positiveSpans: layout.positiveSpans,
    negativeSpans: layout.negativeSpans,
    positiveBuckets,
    negativeBuckets,
    customValues: layout.customValues,
  };
}

/** Takes the batch back to `length` samples. */
export function truncateBatch(batch: SampleBatch, length: number): void {
  batch.length = length;
  if (batch.h !== null && batch.h.length > length) batch.h.length = length;
}

function absolute(deltas: Float64Array, slab: ColumnSlab): Float64Array {
  const out = slab.take(deltas.length);
  let x = 0;
  for (let i = 0; i < out.length; i++) out[i] = x += deltas[i]!;
  return out;
}

/**
 * Takes an integer histogram chunk apart without loss.
 *
 * Throws: CorruptionError when the chunk ends early or its layout is impossible.
 */
export function decodeHistogramSamples(data: Uint8Array): HistogramSamples<Histogram> {
  const c = new IntegerHistogramCursor(data, false);
  const { layout, resetHeader } = c.header;
  const t: number[] = [];
  const histograms: Histogram[] = [];
  while (c.next()) {
    t.push(c.t);
    histograms.push({
      counterResetHint: sampleResetHint(resetHeader, c.index),
      ...(c.stale && c.index > 0 ? EMPTY_LAYOUT : layout),
      zeroCount: c.stale ? 0 : c.zeroCount,
      count: c.stale ? 0 : c.count,
      sum: c.sum.values.slice(),
      positiveDeltas: c.stale ? NO_FLOATS : c.positive.slice(),
      negativeDeltas: c.stale ? NO_FLOATS : c.negative.slice(),
    });
  }
  return { resetHeader, t: Float64Array.from(t), histograms };
}

/** Writes the samples of one integer histogram chunk; all share the layout given at the start. */
export class HistogramChunkWriter {
  readonly #w = new BitWriter(1024);
  readonly #expected: number;
  readonly #sum = new XorFields(1, "writer");
  readonly #positive: Float64Array;
  readonly #negative: Float64Array;
  readonly #positiveDelta: Float64Array;
  readonly #negativeDelta: Float64Array;
  #index = 0;
  #t = 0;
  #tDelta = 0;
  #count = 0;
  #countDelta = 0;
  #zeroCount = 0;
  #zeroDelta = 0;

  /** `count` samples will follow, with this many buckets unless they are staleness markers. */
  constructor(
    count: number,
    resetHeader: ChunkResetHeader,
    layout: HistogramLayout,
    positiveLength: number,
    negativeLength: number,
  ) {
    this.#expected = count;
    writeHistogramHeader(this.#w, count, resetHeader, layout);
    this.#positive = new Float64Array(positiveLength);
    this.#negative = new Float64Array(negativeLength);
    this.#positiveDelta = new Float64Array(positiveLength);
    this.#negativeDelta = new Float64Array(negativeLength);
  }

  /** Adds a sample; buckets are deltas laid out as promised and are not read when sum is stale. */
  append(
    t: number,
    count: number,
    zeroCount: number,
    sum: Float64Array,
    positive: Float64Array,
    negative: Float64Array,
  ): void {
    const w = this.#w;
    const stale = isStaleSum(sum);
    if (this.#index++ === 0) {
      writeVarbitInt(w, t);
      writeVarbitUint(w, stale ? 0 : count);
      writeVarbitUint(w, stale ? 0 : zeroCount);
      this.#sum.writePlain(w, 0, sum, 0);
      if (!stale) {
        for (let k = 0; k < this.#positive.length; k++) writeVarbitInt(w, positive[k]!);
        for (let k = 0; k < this.#negative.length; k++) writeVarbitInt(w, negative[k]!);
      }
    } else {
      const step = t - this.#t;
      writeVarbitInt(w, step - this.#tDelta);
      this.#tDelta = step;
      if (stale) w.bits(0, 2);
      else {
        const countStep = count - this.#count;
        writeVarbitInt(w, countStep - this.#countDelta);
        this.#countDelta = countStep;
        const zeroStep = zeroCount - this.#zeroCount;
        writeVarbitInt(w, zeroStep - this.#zeroDelta);
        this.#zeroDelta = zeroStep;
      }
      this.#sum.write(w, 0, sum, 0);
      if (!stale) {
        this.#writeBuckets(positive, this.#positive, this.#positiveDelta);
        this.#writeBuckets(negative, this.#negative, this.#negativeDelta);
      }
    }
    this.#t = t;
    if (!stale) {
      this.#count = count;
      this.#zeroCount = zeroCount;
      this.#positive.set(positive);
      this.#negative.set(negative);
    }
  }
  #writeBuckets(now: Float64Array, last: Float64Array, delta: Float64Array): void {
    for (let k = 0; k < last.length; k++) {
      const step = now[k]! - last[k]!;
      writeVarbitInt(this.#w, step - delta[k]!);
      delta[k] = step;
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
 * Writes integer histograms of one layout (that of the first) as a chunk.
 *
 * Throws: CorruptionError when a sample's buckets do not fit the layout.
 */
export function encodeHistogramSamples(
  samples: HistogramSamples<Histogram>,
): Uint8Array<ArrayBuffer> {
  const { t, histograms } = samples;
  const first = histograms[0];
  const positiveLength = first?.positiveDeltas.length ?? 0;
  const negativeLength = first?.negativeDeltas.length ?? 0;
  const w = new HistogramChunkWriter(
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
      (h.positiveDeltas.length !== positiveLength || h.negativeDeltas.length !== negativeLength)
    ) {
      throw new CorruptionError(`histogram ${i} does not have the chunk's buckets`);
    }
    w.append(t[i]!, h.count, h.zeroCount, h.sum, h.positiveDeltas, h.negativeDeltas);
  }
  return w.finish();
}
