/**
 * Samples of one series into chunks, cut where Prometheus' TSDB cuts them.
 *
 * A chunk ends at the sample limit and where float, integer histogram and float histogram change
 * over. A histogram chunk has one layout: new buckets widen it, while another schema, zero threshold
 * or set of custom bounds, a counter reset, or a change between gauge and counter opens the next.
 *
 * Source: docs/formats/chunks.md, section 5.2.
 */
import type { FloatHistogram, SampleBatch, Span } from "../model/mod.ts";
import { type Chunk, ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM, ENCODING_XOR } from "./chunk.ts";
import { FloatHistogramChunkWriter } from "./float_histogram.ts";
import { HistogramChunkWriter } from "./histogram.ts";
import {
  bucketIndexes,
  type ChunkResetHeader,
  EMPTY_LAYOUT,
  equalSpans,
  isStaleSum,
  NO_FLOATS,
  spansOf,
  unionIndexes,
} from "./histogram_layout.ts";
import { encodeXor, XOR_BYTES_PER_SAMPLE, XOR_SLACK } from "./xor.ts";

/** Samples Prometheus puts into a chunk. */
export const SAMPLES_PER_CHUNK = 120;

/** A chunk with the times of its first and last sample, in ms. */
export interface EncodedChunk {
  readonly minTime: number;
  readonly maxTime: number;
  readonly chunk: Chunk;
}

/**
 * Encodes samples [from, to) of a batch, in ascending time.
 *
 * Owner: the chunks own their bytes (some share one buffer). Start times are not written.
 */
export function encodeSamples(
  batch: SampleBatch,
  from = 0,
  to = batch.length,
  maxSamples = SAMPLES_PER_CHUNK,
): EncodedChunk[] {
  const out: EncodedChunk[] = [];
  let i = from;
  while (i < to) {
    const encoding = encodingAt(batch, i);
    let end = i + 1;
    while (end < to && encodingAt(batch, end) === encoding) end++;
    if (encoding === ENCODING_XOR) encodeFloats(batch, i, end, maxSamples, out);
    else encodeHistograms(batch, i, end, maxSamples, encoding, out);
    i = end;
  }
  return out;
}

function encodingAt(batch: SampleBatch, i: number): number {
  const h = batch.h === null ? undefined : batch.h[i];
  if (h === undefined) return ENCODING_XOR;
  return h.integer === true && isWhole(h) ? ENCODING_HISTOGRAM : ENCODING_FLOAT_HISTOGRAM;
}

/** True when the histogram can be written as integers without a loss. */
function isWhole(h: FloatHistogram): boolean {
  return isCount(h.count) && isCount(h.zeroCount) && areCounts(h.positiveBuckets) &&
    areCounts(h.negativeBuckets);
}

function areCounts(buckets: Float64Array): boolean {
  for (let i = 0; i < buckets.length; i++) if (!isCount(buckets[i]!)) return false;
  return true;
}

function isCount(x: number): boolean {
  return Number.isSafeInteger(x) && x >= 0;
}

function encodeFloats(
  batch: SampleBatch,
  from: number,
  to: number,
  maxSamples: number,
  out: EncodedChunk[],
): void {
  const scratch = new Uint8Array((to - from) * XOR_BYTES_PER_SAMPLE + XOR_SLACK);
  const ends: number[] = [];
  let size = 0;
  for (let i = from; i < to; i += maxSamples) {
    size += encodeXor(batch.t, batch.v, i, Math.min(to, i + maxSamples), scratch, size);
    ends.push(size);
  }
  const bytes = scratch.slice(0, size);
  let at = 0;
  for (let c = 0; c < ends.length; c++) {
    const i = from + c * maxSamples;
    out.push({
      minTime: batch.t[i]!,
      maxTime: batch.t[Math.min(to, i + maxSamples) - 1]!,
      chunk: { encoding: ENCODING_XOR, data: bytes.subarray(at, ends[c]!) },
    });
    at = ends[c]!;
  }
}

function encodeHistograms(
  batch: SampleBatch,
  from: number,
  to: number,
  maxSamples: number,
  encoding: number,
  out: EncodedChunk[],
): void {
  let start = from;
  let open = new OpenChunk(batch.h![from]!, false);
  for (let i = from + 1; i <= to; i++) {
    let reset = false;
    if (i < to && i - start < maxSamples) {
      const verdict = open.accept(batch.h![i]!);
      if (verdict === "append") continue;
      reset = verdict === "reset";
    }
    out.push({
      minTime: batch.t[start]!,
      maxTime: batch.t[i - 1]!,
      chunk: { encoding, data: open.encode(batch, start, i, encoding) },
    });
    if (i < to) {
      start = i;
      open = new OpenChunk(batch.h![i]!, reset);
    }
  }
}

/** Buckets of one sign: where they are, and whether the spans had to be widened. */
interface Side {
  spans: readonly Span[];
  indexes: Int32Array;
}

/** What the chunk that is being filled has seen; nothing is encoded before its layout is final. */
class OpenChunk {
  readonly #first: FloatHistogram;
  readonly #firstStale: boolean;
  readonly #header: ChunkResetHeader;
  readonly #positive: Side;
  readonly #negative: Side;
  #last: FloatHistogram;
  #lastStale: boolean;

  constructor(first: FloatHistogram, afterReset: boolean) {
    this.#first = first;
    this.#last = first;
    this.#firstStale = this.#lastStale = isStaleSum(first.sum);
    this.#header = first.counterResetHint === "gauge"
      ? "gauge"
      : afterReset || first.counterResetHint === "reset"
      ? "reset"
      : "unknown";
    this.#positive = side(this.#firstStale ? [] : first.positiveSpans);
    this.#negative = side(this.#firstStale ? [] : first.negativeSpans);
  }

  /** Takes the next sample in, or tells why it needs a new chunk. */
  accept(h: FloatHistogram): "append" | "reset" | "layout" {
    const stale = isStaleSum(h.sum);
    const verdict = this.#verdict(h, stale);
    if (verdict !== "append") return verdict;
    if (!stale) {
      widen(this.#positive, h.positiveSpans);
      widen(this.#negative, h.negativeSpans);
    }
    this.#last = h;
    this.#lastStale = stale;
    return "append";
  }

  /** The order of the questions is Prometheus': a lower count is a reset whatever else changed. */
  #verdict(h: FloatHistogram, stale: boolean): "append" | "reset" | "layout" {
    const gauge = h.counterResetHint === "gauge";
    if (gauge !== (this.#header === "gauge")) return "layout";
    if (h.counterResetHint === "reset") return "reset";
    if (stale) return "append";
    if (this.#lastStale) return "layout";
    const last = this.#last;
    if (!gauge && h.count < last.count) return "reset";
    if (h.schema !== this.#first.schema || h.zeroThreshold !== this.#first.zeroThreshold) {
      return "layout";
    }
    if (!equalFloats(h.customValues, this.#first.customValues)) return gauge ? "layout" : "reset";
    if (gauge) return "append";
    if (h.zeroCount < last.zeroCount) return "reset";
    if (
      hasFallen(last.positiveSpans, last.positiveBuckets, h.positiveSpans, h.positiveBuckets) ||
      hasFallen(last.negativeSpans, last.negativeBuckets, h.negativeSpans, h.negativeBuckets)
    ) return "reset";
    return "append";
  }

  /** Samples [from, to) as a chunk. */
  encode(
    batch: SampleBatch,
    from: number,
    to: number,
    encoding: number,
  ): Uint8Array<ArrayBuffer> {
    const positive = this.#positive;
    const negative = this.#negative;
    const layout = this.#firstStale ? EMPTY_LAYOUT : {
      schema: this.#first.schema,
      zeroThreshold: this.#first.zeroThreshold,
      positiveSpans: positive.spans,
      negativeSpans: negative.spans,
      customValues: this.#first.customValues,
    };
    const Writer = encoding === ENCODING_HISTOGRAM
      ? HistogramChunkWriter
      : FloatHistogramChunkWriter;
    const w = new Writer(
      to - from,
      this.#header,
      layout,
      positive.indexes.length,
      negative.indexes.length,
    );
    const positiveDeltas = new Float64Array(positive.indexes.length);
    const negativeDeltas = new Float64Array(negative.indexes.length);
    for (let i = from; i < to; i++) {
      const h = batch.h![i]!;
      if (isStaleSum(h.sum)) {
        w.append(batch.t[i]!, 0, 0, h.sum, NO_FLOATS, NO_FLOATS);
        continue;
      }
      let p = spread(h.positiveSpans, h.positiveBuckets, positive);
      let n = spread(h.negativeSpans, h.negativeBuckets, negative);
      if (encoding === ENCODING_HISTOGRAM) {
        p = deltas(p, positiveDeltas);
        n = deltas(n, negativeDeltas);
      }
      w.append(batch.t[i]!, h.count, h.zeroCount, h.sum, p, n);
    }
    return w.finish();
  }
}

function side(spans: readonly Span[]): Side {
  return { spans, indexes: bucketIndexes(spans) };
}

/** Adds the buckets that the layout does not have yet. */
function widen(layout: Side, spans: readonly Span[]): void {
  if (equalSpans(layout.spans, spans)) return;
  const union = unionIndexes(layout.indexes, bucketIndexes(spans));
  if (union.length === layout.indexes.length) return;
  layout.indexes = union;
  layout.spans = spansOf(union);
}

/** True when a bucket has fewer observations than before, or vanished with some in it. */
function hasFallen(
  oldSpans: readonly Span[],
  oldBuckets: Float64Array,
  newSpans: readonly Span[],
  newBuckets: Float64Array,
): boolean {
  if (equalSpans(oldSpans, newSpans)) {
    for (let i = 0; i < oldBuckets.length; i++) if (newBuckets[i]! < oldBuckets[i]!) return true;
    return false;
  }
  const a = bucketIndexes(oldSpans);
  const b = bucketIndexes(newSpans);
  let j = 0;
  for (let i = 0; i < a.length; i++) {
    while (j < b.length && b[j]! < a[i]!) j++;
    const now = j < b.length && b[j] === a[i] ? newBuckets[j]! : 0;
    if (now < oldBuckets[i]!) return true;
  }
  return false;
}

/** The buckets laid out as the chunk has them, zeros where the sample has none. */
function spread(spans: readonly Span[], buckets: Float64Array, layout: Side): Float64Array {
  if (equalSpans(spans, layout.spans)) return buckets;
  const out = new Float64Array(layout.indexes.length);
  const indexes = bucketIndexes(spans);
  let j = 0;
  for (let i = 0; i < indexes.length; i++) {
    while (layout.indexes[j]! < indexes[i]!) j++;
    out[j] = buckets[i]!;
  }
  return out;
}

function deltas(buckets: Float64Array, out: Float64Array): Float64Array {
  for (let i = 0; i < out.length; i++) out[i] = buckets[i]! - (i === 0 ? 0 : buckets[i - 1]!);
  return out;
}

function equalFloats(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
