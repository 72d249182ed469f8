/**
 * Native histograms of one series into aggregate chunks: their number, and per window the sum of all
 * and the state of the counter.
 *
 * All histograms of a chunk are brought to one layout first: the coarsest schema, the widest zero
 * bucket, all buckets that occur. Arithmetic and comparisons for resets then run over plain rows.
 *
 * Source: docs/formats/chunks.md, sections 5 and 6.1.
 */
import { CorruptionError } from "../base/mod.ts";
import {
  type AggrParts,
  appendChunk,
  type Chunk,
  type ChunkResetHeader,
  encodeFloatHistogramSamples,
  encodeXorChunk,
  ENCODING_AGGR,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_XOR,
  writeAggrChunk,
} from "../chunks/mod.ts";
import {
  bitsOf,
  bucketIndexes,
  copyToSchema,
  type FloatHistogram,
  isStaleAt,
  SampleBatch,
  type Span,
  spansOfIndexes,
  unionOfIndexes,
  usesCustomBuckets,
  widenZeroBucket,
} from "../model/mod.ts";
import { appendFloats } from "./downsample_aggregates.ts";
import {
  type ChunkSink,
  MAX_WINDOWS,
  setInvalidNan,
  targetChunkCount,
  windowEnd,
} from "./downsample_windows.ts";
import { batchEnd } from "./downsample_floats.ts";

/** Distance of raw samples that is taken as usual, ms. */
const RAW_RESOLUTION = 60_000;

/** Writes the samples of consecutive raw histogram chunks as chunks of the current series. */
export function downsampleHistograms(
  batch: SampleBatch,
  resolution: number,
  writer: ChunkSink,
): void {
  cleanHistograms(batch);
  // Histograms of other bounds cannot be added up.
  forEachRun(batch, (from, to) => {
    const chunks = targetChunkCount(
      batch.t[from]!,
      batch.t[to - 1]!,
      RAW_RESOLUTION,
      resolution,
      to - from,
    );
    const size = Math.floor((to - from) / chunks) + 1;
    for (let i = from; i < to;) {
      const end = batchEnd(batch.t, i, Math.min(to, i + size), to, resolution);
      const usable = withoutNan(batch, i, end);
      if (usable.length > 0) writeRaw(usable, resolution, writer);
      i = end;
    }
  });
}

/**
 * Writes a group of aggregate chunks as one or, where the bounds of custom buckets change, more.
 */
export function downsampleHistogramAggregates(
  group: readonly AggrParts[],
  resolution: number,
  writer: ChunkSink,
): void {
  const counter = concatenate(group.map((parts) => parts.counter));
  const sum = concatenate(group.map((parts) => parts.sum));
  const counts = new SampleBatch();
  for (const { count } of group) if (count !== undefined) appendFloats(count, counts);
  if (group.length > 1 && (runsOf(counter) > 1 || runsOf(sum) > 1)) {
    for (const parts of group) downsampleHistogramAggregates([parts], resolution, writer);
    return;
  }
  const points = countPoints(counts, resolution);
  if (points.length === 0) return;
  writer.addChunk(
    ENCODING_AGGR,
    writeAggrChunk({
      count: { encoding: ENCODING_XOR, data: encodeXorChunk(points) },
      ...(sum.length === 0 ? {} : { sum: sumPart(sum, resolution) }),
      ...(counter.length === 0 ? {} : { counter: counterPart(counter, resolution) }),
    }),
    points.t[0]!,
    points.t[points.length - 1]!,
    points.length,
  );
}

/** Removes staleness markers and samples that go back in time. */
function cleanHistograms(batch: SampleBatch): void {
  const bits = bitsOf(batch.v);
  const { t, length } = batch;
  const h = batch.ensureHistograms();
  let n = 0;
  let last = -Infinity;
  for (let i = 0; i < length; i++) {
    if (isStaleAt(bits, i) || t[i]! < last) continue;
    last = t[n] = t[i]!;
    bits[2 * n] = bits[2 * i]!;
    bits[2 * n + 1] = bits[2 * i + 1]!;
    h[n++] = h[i];
  }
  batch.length = h.length = n;
}

/** Calls `run` for each stretch of histograms that can be added up. */
function forEachRun(batch: SampleBatch, run: (from: number, to: number) => void): void {
  const h = batch.h ?? [];
  let from = 0;
  for (let i = 1; i <= batch.length; i++) {
    if (i < batch.length && canAddHistograms(h[from]!, h[i]!)) continue;
    run(from, i);
    from = i;
  }
}

function runsOf(batch: SampleBatch): number {
  let n = 0;
  if (batch.length > 0) forEachRun(batch, () => n++);
  return n;
}

/** True when two histograms can be added up: of exponential buckets, or of the same custom bounds. */
export function canAddHistograms(a: FloatHistogram, b: FloatHistogram): boolean {
  if (usesCustomBuckets(a) !== usesCustomBuckets(b)) return false;
  const { length } = a.customValues;
  if (length !== b.customValues.length) return false;
  for (let i = 0; i < length; i++) if (a.customValues[i] !== b.customValues[i]) return false;
  return true;
}

function withoutNan(batch: SampleBatch, from: number, to: number): SampleBatch {
  const out = new SampleBatch(to - from);
  for (let i = from; i < to; i++) {
    const h = batch.h![i]!;
    if (h.sum[0] === h.sum[0]) out.appendHistogram(batch.t[i]!, h);
  }
  return out;
}

/** Concatenates the histograms of the same part of many chunks. */
function concatenate(chunks: readonly (Chunk | undefined)[]): SampleBatch {
  const batch = new SampleBatch();
  for (const chunk of chunks) {
    if (chunk === undefined) continue;
    const before = batch.length;
    appendChunk(chunk, batch);
    if (batch.length > before && batch.h?.[batch.length - 1] === undefined) {
      throw new CorruptionError("floats among the histogram aggregates of a series");
    }
  }
  cleanHistograms(batch);
  return batch;
}

function writeRaw(batch: SampleBatch, resolution: number, writer: ChunkSink): void {
  const points = new SampleBatch();
  forEachWindow(batch, resolution, (from, to, time) => {
    points.reserve(1);
    points.t[points.length] = time;
    points.v[points.length++] = to - from;
  });
  writer.addChunk(
    ENCODING_AGGR,
    writeAggrChunk({
      count: { encoding: ENCODING_XOR, data: encodeXorChunk(points) },
      sum: sumPart(batch, resolution),
      counter: counterPart(batch, resolution),
    }),
    points.t[0]!,
    points.t[points.length - 1]!,
    points.length,
  );
}

/** The counts of a group added up by window. */
function countPoints(counts: SampleBatch, resolution: number): SampleBatch {
  const points = new SampleBatch();
  forEachWindow(counts, resolution, (from, to, time) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += counts.v[i]!;
    points.reserve(1);
    points.t[points.length] = time;
    points.v[points.length++] = sum;
  });
  if (points.length > MAX_WINDOWS) {
    throw new CorruptionError(`${points.length} points do not fit an aggregate chunk`);
  }
  return points;
}

/** Calls `visit` for each window with its samples and the time of its point. */
function forEachWindow(
  batch: SampleBatch,
  resolution: number,
  visit: (from: number, to: number, time: number) => void,
): void {
  const { t, length } = batch;
  for (let i = 0; i < length;) {
    const end = windowEnd(t[i]!, resolution);
    const from = i;
    while (i < length && t[i]! <= end) i++;
    visit(from, i, Math.min(end, t[length - 1]!));
  }
}

/** Histograms that can be added up as they are, brought to one layout; a part of an aggregate chunk. */
export function histogramPart(batch: SampleBatch, header: ChunkResetHeader): Chunk {
  const rows = new HistogramRows(batch);
  const row = rows.row();
  for (let i = 0; i < batch.length; i++) {
    rows.read(i, row);
    rows.emit(batch.t[i]!, row);
  }
  return rows.encode(header);
}

function sumPart(batch: SampleBatch, resolution: number): Chunk {
  const rows = new HistogramRows(batch);
  const total = rows.row();
  const next = rows.row();
  forEachWindow(batch, resolution, (from, to, time) => {
    for (let i = from; i < to; i++) {
      rows.read(i, next);
      if (i === from) total.set(next);
      else for (let k = 0; k < total.length; k++) total[k]! += next[k]!;
    }
    rows.emit(time, total);
  });
  return rows.encode("gauge");
}

function counterPart(batch: SampleBatch, resolution: number): Chunk {
  const rows = new HistogramRows(batch);
  const total = rows.row();
  let last = rows.row();
  let next = rows.row();
  const h = batch.h!;
  forEachWindow(batch, resolution, (from, to, time) => {
    for (let i = from; i < to; i++) {
      rows.read(i, next);
      const { counterResetHint } = h[i]!;
      if (i === 0) total.set(next);
      else if (
        counterResetHint === "reset" || (counterResetHint === "unknown" && isLower(next, last))
      ) {
        for (let k = 0; k < total.length; k++) total[k]! += next[k]!;
      } else {
        for (let k = 0; k < total.length; k++) total[k]! += next[k]! - last[k]!;
      }
      [last, next] = [next, last];
    }
    rows.emit(time, total);
  });
  return rows.encode(h[0]!.counterResetHint === "gauge" ? "gauge" : "not_reset");
}

// Elements of a row; buckets follow, the positive ones first.
const COUNT = 0;
const ZERO_COUNT = 1;
const SUM = 2;
const BUCKETS = 3;

/** True when a number of observations fell. */
function isLower(row: Float64Array, last: Float64Array): boolean {
  for (let k = 0; k < row.length; k++) if (k !== SUM && row[k]! < last[k]!) return true;
  return false;
}

/** The histograms of a batch as rows of one layout, and the rows that come out. */
class HistogramRows {
  readonly #histograms: readonly FloatHistogram[];
  readonly #schema: number;
  readonly #zeroThreshold: number;
  readonly #customValues: Float64Array;
  readonly #positive: Int32Array;
  readonly #negative: Int32Array;
  readonly #positiveSpans: readonly Span[];
  readonly #negativeSpans: readonly Span[];
  readonly #t: number[] = [];
  readonly #out: FloatHistogram[] = [];

  /** `batch` is not empty and its histograms can be added up. */
  constructor(batch: SampleBatch) {
    const given = batch.h!.slice(0, batch.length) as FloatHistogram[];
    const first = given[0]!;
    let schema = first.schema;
    let threshold = first.zeroThreshold;
    let same = true;
    for (const h of given) {
      if (h.schema !== schema || h.zeroThreshold !== threshold) same = false;
      schema = Math.min(schema, h.schema);
      threshold = Math.max(threshold, h.zeroThreshold);
    }
    const common = same ? undefined : toCommon(given, schema, threshold);
    this.#histograms = common ?? given;
    this.#schema = schema;
    this.#zeroThreshold = this.#histograms[0]!.zeroThreshold;
    this.#customValues = first.customValues;
    this.#positive = unionOfSides(this.#histograms, true);
    this.#negative = unionOfSides(this.#histograms, false);
    this.#positiveSpans = spansOfIndexes(this.#positive);
    this.#negativeSpans = spansOfIndexes(this.#negative);
  }

  row(): Float64Array<ArrayBuffer> {
    return new Float64Array(BUCKETS + this.#positive.length + this.#negative.length);
  }

  /** Fills `row` with the histogram of sample `i`. */
  read(i: number, row: Float64Array): void {
    const h = this.#histograms[i]!;
    row[COUNT] = h.count;
    row[ZERO_COUNT] = h.zeroCount;
    row[SUM] = h.sum[0]!;
    spread(h.positiveSpans, h.positiveBuckets, this.#positive, row, BUCKETS);
    spread(
      h.negativeSpans,
      h.negativeBuckets,
      this.#negative,
      row,
      BUCKETS + this.#positive.length,
    );
  }

  /** Adds a point; `row` is copied. */
  emit(time: number, row: Float64Array): void {
    const copy = row.slice();
    const bits = bitsOf(copy);
    for (let k = 0; k < copy.length; k++) if (copy[k] !== copy[k]) setInvalidNan(bits, k);
    const middle = BUCKETS + this.#positive.length;
    this.#t.push(time);
    this.#out.push({
      counterResetHint: "unknown",
      schema: this.#schema,
      zeroThreshold: this.#zeroThreshold,
      zeroCount: copy[ZERO_COUNT]!,
      count: copy[COUNT]!,
      sum: copy.subarray(SUM, SUM + 1),
      positiveSpans: this.#positiveSpans,
      negativeSpans: this.#negativeSpans,
      positiveBuckets: copy.subarray(BUCKETS, middle),
      negativeBuckets: copy.subarray(middle),
      customValues: this.#customValues,
    });
  }

  encode(resetHeader: ChunkResetHeader): Chunk {
    if (this.#out.length > MAX_WINDOWS) {
      throw new CorruptionError(`${this.#out.length} points do not fit an aggregate chunk`);
    }
    return {
      encoding: ENCODING_FLOAT_HISTOGRAM,
      data: encodeFloatHistogramSamples({
        resetHeader,
        t: Float64Array.from(this.#t),
        histograms: this.#out,
      }),
    };
  }
}

/** Copies at one schema and one width of the zero bucket. */
function toCommon(
  given: readonly FloatHistogram[],
  schema: number,
  threshold: number,
): FloatHistogram[] {
  const common = given.map((h) => copyToSchema(h, schema));
  // Widening may reach further than asked, as populated buckets are taken in whole: until it rests.
  for (let again = true; again;) {
    again = false;
    for (const h of common) {
      widenZeroBucket(h, threshold);
      if (h.zeroThreshold <= threshold) continue;
      threshold = h.zeroThreshold;
      again = true;
    }
  }
  return common;
}

function unionOfSides(histograms: readonly FloatHistogram[], positive: boolean): Int32Array {
  let spans: readonly Span[] | undefined;
  let union = new Int32Array(0);
  for (const h of histograms) {
    const next = positive ? h.positiveSpans : h.negativeSpans;
    if (next === spans) continue;
    spans = next;
    union = unionOfIndexes(union, bucketIndexes(next)) as Int32Array<ArrayBuffer>;
  }
  return union;
}

/** Puts buckets at their places of the common layout, 0 elsewhere. */
function spread(
  spans: readonly Span[],
  buckets: Float64Array,
  layout: Int32Array,
  row: Float64Array,
  at: number,
): void {
  row.fill(0, at, at + layout.length);
  let index = 0;
  let b = 0;
  let k = 0;
  for (const span of spans) {
    index += span.offset;
    for (let n = span.length; n > 0; n--) {
      while (layout[k]! < index) k++;
      row[at + k] = buckets[b++]!;
      index++;
    }
  }
}
