/** Putting the series of a script into storage, the way Prometheus' own storage would keep them. */
import { MnemeError, parseGoFloat } from "../base/mod.ts";
import {
  BUCKET_LABEL,
  CUSTOM_BUCKETS_SCHEMA,
  detectReset,
  emptyHistogram,
  type FloatHistogram,
  formatLabels,
  histogramFault,
  type Labels,
  labelsKey,
  labelValue,
  METRIC_NAME,
  type SampleBatch,
  withLabel,
  withResetHint,
} from "../model/mod.ts";
import {
  type SeriesDescription,
  type SeriesValues,
  SLOT_EMPTY,
  SLOT_FLOAT,
  SLOT_HISTOGRAM,
} from "./parse_series.ts";
import type { MemoryStorage } from "./testing_storage.ts";

/**
 * Appends described series, sample i at i × step ms; with `customBuckets`, classic histograms are
 * also stored as native ones with custom buckets.
 */
export function loadSeries(
  storage: MemoryStorage,
  described: readonly SeriesDescription[],
  step: number,
  customBuckets: boolean,
): void {
  const startTimes = new Map<string, SeriesValues>();
  for (const one of described) {
    const key = labelsKey(one.labels);
    if (one.startTimes) {
      startTimes.set(key, one.values);
      continue;
    }
    append(storage.batch(one.labels), one, step, startTimes.get(key));
  }
  if (customBuckets) loadCustomBuckets(storage, described, step);
}

function append(
  batch: SampleBatch,
  one: SeriesDescription,
  step: number,
  startTimes: SeriesValues | undefined,
): void {
  const { values } = one;
  for (let i = 0; i < values.length; i++) {
    if (values.kind[i] === SLOT_EMPTY) continue;
    const t = i * step;
    const n = batch.length;
    if (n > 0 && batch.t[n - 1]! >= t) {
      throw new MnemeError(
        "bad_data",
        `${formatLabels(one.labels)} already has a sample at or after ${t} ms`,
      );
    }
    if (values.kind[i] === SLOT_HISTOGRAM) {
      batch.appendHistogram(t, asStored(batch, values.h[i]!));
    } else {
      batch.reserve(1);
      batch.t[n] = t;
      batch.v.set(values.v.subarray(i, i + 1), n);
      if (batch.h !== null) batch.h[n] = undefined;
      batch.length++;
    }
    if (startTimes !== undefined && startTimes.kind[i] === SLOT_FLOAT) {
      batch.ensureStartTimes()[n] = t + startTimes.v[i]!;
    } else if (batch.st !== null) batch.ensureStartTimes()[n] = 0;
  }
}

/**
 * The histogram with the reset hint that storage would hand out: known only between samples of one
 * chunk, and a chunk ends where a reset or another layout begins.
 */
function asStored(batch: SampleBatch, h: FloatHistogram): FloatHistogram {
  if (h.counterResetHint === "gauge") return h;
  const previous = batch.length === 0 ? undefined : batch.h?.[batch.length - 1];
  const continues = previous !== undefined && previous.counterResetHint !== "gauge" &&
    h.counterResetHint !== "reset" && previous.schema === h.schema &&
    previous.zeroThreshold === h.zeroThreshold && sameBounds(previous, h) &&
    !detectReset(withResetHint(h, "unknown"), previous);
  return withResetHint(h, continues ? "not_reset" : "unknown");
}

function sameBounds(a: FloatHistogram, b: FloatHistogram): boolean {
  return a.customValues.length === b.customValues.length &&
    a.customValues.every((x, i) => x === b.customValues[i]);
}

/** The parts of one classic histogram at one step. */
interface ClassicSample {
  readonly counts: Map<number, number>;
  count: number | null;
  sum: number;
}

interface ClassicSeries {
  readonly labels: Labels;
  readonly samples: Map<number, ClassicSample>;
}

const SUFFIX = /^(.*)_(bucket|count|sum)$/s;

function loadCustomBuckets(
  storage: MemoryStorage,
  described: readonly SeriesDescription[],
  step: number,
): void {
  const found = new Map<string, ClassicSeries>();
  for (const one of described) {
    const m = SUFFIX.exec(labelValue(one.labels, METRIC_NAME));
    if (m === null || one.startTimes) continue;
    const bound = parseGoFloat(labelValue(one.labels, BUCKET_LABEL));
    if (m[2] === "bucket" && (bound === undefined || bound !== bound)) continue;
    const labels = withLabel(withLabel(one.labels, METRIC_NAME, m[1]!), BUCKET_LABEL, "");
    const key = labelsKey(labels);
    let series = found.get(key);
    if (series === undefined) found.set(key, series = { labels, samples: new Map() });
    for (let i = 0; i < one.values.length; i++) {
      if (one.values.kind[i] !== SLOT_FLOAT) continue;
      let sample = series.samples.get(i);
      if (sample === undefined) {
        sample = { counts: new Map(), count: null, sum: 0 };
        series.samples.set(i, sample);
      }
      const x = one.values.v[i]!;
      if (m[2] === "count") sample.count = x;
      else if (m[2] === "sum") sample.sum = x;
      else if (!sample.counts.has(bound!)) sample.counts.set(bound!, x);
    }
  }
  for (const { labels, samples } of found.values()) {
    const batch = storage.batch(labels);
    for (const i of [...samples.keys()].sort((a, b) => a - b)) {
      batch.appendHistogram(i * step, asStored(batch, customHistogram(labels, samples.get(i)!)));
    }
  }
}

function customHistogram(labels: Labels, sample: ClassicSample): FloatHistogram {
  const bounds = [...sample.counts.keys()].sort((a, b) => a - b);
  const cumulative = bounds.map((b) => sample.counts.get(b)!);
  const total = sample.count ?? cumulative[cumulative.length - 1] ?? 0;
  if (bounds[bounds.length - 1] !== Infinity) {
    bounds.push(Infinity);
    cumulative.push(total);
  }
  const h = emptyHistogram(CUSTOM_BUCKETS_SCHEMA, Float64Array.from(bounds.slice(0, -1)));
  h.count = total;
  h.sum[0] = sample.sum;
  h.positiveSpans = [{ offset: 0, length: bounds.length }];
  h.positiveBuckets = Float64Array.from(cumulative, (x, i) => x - (cumulative[i - 1] ?? 0));
  const problem = histogramFault(h);
  if (problem !== undefined) {
    throw new MnemeError("bad_data", `${formatLabels(labels)} as a native histogram: ${problem}`);
  }
  return h;
}
