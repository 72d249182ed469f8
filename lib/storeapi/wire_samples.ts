/** Protobuf codec of prometheus_copy.TimeSeries: labels, floats and native histograms in full. */
import { CorruptionError } from "../base/mod.ts";
import {
  bitsOf,
  bucketCount,
  type CounterResetHint,
  type FloatHistogram,
  type Labels,
  labelsFromPairs,
  SampleBatch,
  type Span,
} from "../model/mod.ts";
import type { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import { readLabel, writeLabels } from "./wire_store.ts";

/** One series with samples. Owner: whoever made it. */
export interface SampledSeries {
  readonly labels: Labels;
  readonly batch: SampleBatch;
}

const HINTS: readonly CounterResetHint[] = ["unknown", "reset", "not_reset", "gauge"];

/** Writes a TimeSeries as field `field`. */
export function writeTimeSeries(w: ProtoWriter, field: number, series: SampledSeries): void {
  const { labels, batch } = series;
  const { t, v, h, length } = batch;
  const token = w.open(field, 32 * labels.length + 20 * length);
  writeLabels(w, 1, labels);
  const bits = bitsOf(v);
  for (let i = 0; i < length; i++) {
    if (h?.[i] !== undefined) continue;
    const sample = w.open(2, 18);
    w.doubleHalves(1, bits[2 * i + 1]!, bits[2 * i]!);
    w.int64(2, t[i]!);
    w.close(sample);
  }
  if (h !== null) {
    for (let i = 0; i < length; i++) {
      const histogram = h[i];
      if (histogram !== undefined) writeHistogram(w, histogram, t[i]!);
    }
  }
  w.close(token);
}

function writeHistogram(w: ProtoWriter, h: FloatHistogram, time: number): void {
  const token = w.open(4, 256);
  w.doubleAlways(2, h.count);
  w.double(3, h.sum[0]!);
  w.sint32(4, h.schema);
  w.double(5, h.zeroThreshold);
  w.doubleAlways(7, h.zeroCount);
  writeSpans(w, 8, h.negativeSpans);
  w.packedDouble(10, h.negativeBuckets);
  writeSpans(w, 11, h.positiveSpans);
  w.packedDouble(13, h.positiveBuckets);
  w.int32(14, HINTS.indexOf(h.counterResetHint));
  w.int64(15, time);
  w.packedDouble(16, h.customValues);
  w.close(token);
}

function writeSpans(w: ProtoWriter, field: number, spans: readonly Span[]): void {
  for (const { offset, length } of spans) {
    const token = w.open(field, 6);
    w.sint32(1, offset);
    w.uint32(2, length);
    w.close(token);
  }
}

/** Reads a TimeSeries; samples come out in ascending time. Throws: CorruptionError. */
export function readTimeSeries(r: ProtoReader): SampledSeries {
  const pairs: [string, string][] = [];
  const batch = new SampleBatch(16);
  const histograms: { readonly time: number; readonly h: FloatHistogram }[] = [];
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) pairs.push(readLabel(r));
    else if (r.field === 2) readSample(r, batch);
    else if (r.field === 4) histograms.push(readHistogram(r));
    else r.skip();
  }
  r.leave(outer);
  return { labels: labelsFromPairs(pairs), batch: withHistograms(batch, histograms) };
}

function readSample(r: ProtoReader, batch: SampleBatch): void {
  batch.reserve(1);
  const bits = bitsOf(batch.v);
  const at = batch.length++;
  bits[2 * at] = 0;
  bits[2 * at + 1] = 0;
  batch.t[at] = 0;
  const outer = r.enter();
  while (r.next()) {
    if (r.field === 1) r.doubleInto(bits, at);
    else if (r.field === 2) batch.t[at] = r.int64();
    else r.skip();
  }
  r.leave(outer);
}

function readHistogram(r: ProtoReader): { time: number; h: FloatHistogram } {
  let time = 0;
  let count = 0;
  let sum = 0;
  let schema = 0;
  let zeroThreshold = 0;
  let zeroCount = 0;
  let hint = 0;
  const negativeSpans: Span[] = [];
  const positiveSpans: Span[] = [];
  const negativeDeltas: number[] = [];
  const positiveDeltas: number[] = [];
  const negativeCounts: number[] = [];
  const positiveCounts: number[] = [];
  const customValues: number[] = [];
  r.message((field) => {
    switch (field) {
      case 1:
        count = r.uint64();
        break;
      case 2:
        count = r.double();
        break;
      case 3:
        sum = r.double();
        break;
      case 4:
        schema = r.sint32();
        break;
      case 5:
        zeroThreshold = r.double();
        break;
      case 6:
        zeroCount = r.uint64();
        break;
      case 7:
        zeroCount = r.double();
        break;
      case 8:
        negativeSpans.push(readSpan(r));
        break;
      case 9:
        r.repeatedSint64(negativeDeltas);
        break;
      case 10:
        r.repeatedDouble(negativeCounts);
        break;
      case 11:
        positiveSpans.push(readSpan(r));
        break;
      case 12:
        r.repeatedSint64(positiveDeltas);
        break;
      case 13:
        r.repeatedDouble(positiveCounts);
        break;
      case 14:
        hint = r.int32();
        break;
      case 15:
        time = r.int64();
        break;
      case 16:
        r.repeatedDouble(customValues);
        break;
      default:
        return false;
    }
  });
  const h: FloatHistogram = {
    counterResetHint: HINTS[hint] ?? "unknown",
    schema,
    zeroThreshold,
    zeroCount,
    count,
    sum: Float64Array.of(sum),
    positiveSpans,
    negativeSpans,
    positiveBuckets: buckets(positiveSpans, positiveCounts, positiveDeltas),
    negativeBuckets: buckets(negativeSpans, negativeCounts, negativeDeltas),
    customValues: Float64Array.from(customValues),
  };
  return { time, h };
}

function readSpan(r: ProtoReader): Span {
  let offset = 0;
  let length = 0;
  r.message((field) => {
    if (field === 1) offset = r.sint32();
    else if (field === 2) length = r.uint32();
    else return false;
  });
  return { offset, length };
}

/** Absolute counts, out of counts or of differences; as many as the spans say. */
function buckets(
  spans: readonly Span[],
  counts: readonly number[],
  deltas: readonly number[],
): Float64Array {
  const values = Float64Array.from(counts);
  if (counts.length === 0 && deltas.length > 0) return running(spans, deltas);
  return checked(spans, values);
}

function running(spans: readonly Span[], deltas: readonly number[]): Float64Array {
  const values = new Float64Array(deltas.length);
  for (let i = 0, sum = 0; i < deltas.length; i++) values[i] = sum += deltas[i]!;
  return checked(spans, values);
}

function checked(spans: readonly Span[], values: Float64Array): Float64Array {
  if (bucketCount(spans) !== values.length) {
    throw new CorruptionError(
      `histogram with ${values.length} buckets where its spans have ${bucketCount(spans)}`,
    );
  }
  return values;
}

/** Floats and histograms in one batch by time. */
function withHistograms(
  floats: SampleBatch,
  histograms: readonly { readonly time: number; readonly h: FloatHistogram }[],
): SampleBatch {
  if (histograms.length === 0) return floats;
  const out = new SampleBatch(floats.length + histograms.length);
  const column = out.ensureHistograms();
  let f = 0;
  for (const { time, h } of histograms) {
    for (; f < floats.length && floats.t[f]! <= time; f++) append(floats.t[f]!, floats.v[f]!);
    append(time, h.sum[0]!);
    column[out.length - 1] = h;
  }
  for (; f < floats.length; f++) append(floats.t[f]!, floats.v[f]!);
  return out;

  function append(time: number, value: number): void {
    const at = out.length++;
    out.t[at] = time;
    out.v[at] = value;
    column[at] = undefined;
  }
}
