/** Comparing what a query gave with what a script expects. */
import { MnemeError } from "../base/mod.ts";
import {
  bitsOf,
  compactHistogram,
  compareLabels,
  copyHistogram,
  type FloatHistogram,
  formatHistogram,
  formatLabels,
  isStaleAt,
  type Labels,
  labelsKey,
  sameLayout,
} from "../model/mod.ts";
import { type SeriesDescription, SLOT_EMPTY, SLOT_HISTOGRAM } from "./parse_series.ts";
import type { MatrixValue, Value, VectorValue } from "./value.ts";

/** What an evaluation must give. */
export interface Expectation {
  /** Elements of a vector must come in this order. */
  ordered: boolean;
  text: string | null;
  scalar: number | null;
  /** Times of the samples of a matrix, null for one value per series. */
  grid: { readonly start: number; readonly end: number; readonly step: number } | null;
  readonly series: SeriesDescription[];
}

/** Relative tolerance of floats. */
const TOLERANCE = 1e-6;
const MIN_NORMAL = 2.2250738585072014e-308;

/** Throws with the first difference. */
export function compareValue(value: Value, expected: Expectation): void {
  if (expected.text !== null) {
    if (value.type !== "string") throw different(`a string is expected, got a ${value.type}`);
    if (value.value !== expected.text) {
      throw different(
        `expected ${JSON.stringify(expected.text)}, got ${JSON.stringify(value.value)}`,
      );
    }
    return;
  }
  switch (value.type) {
    case "scalar":
      if (expected.scalar === null || expected.series.length > 0) {
        throw different(`got the scalar ${value.value}, which is not expected`);
      }
      if (!almostEqual(value.value, expected.scalar)) {
        throw different(`expected ${expected.scalar}, got ${value.value}`);
      }
      return;
    case "vector":
      if (expected.scalar !== null) compareScalarVector(value, expected.scalar);
      else if (expected.grid !== null) throw different("a range vector is expected, got a vector");
      else compareVector(value, expected);
      return;
    case "matrix":
      if (expected.grid === null) throw different("got a range vector, which is not expected");
      compareMatrix(value, expected);
      return;
    case "string":
      throw different(`got the string ${JSON.stringify(value.value)}, which is not expected`);
  }
}

function different(what: string): MnemeError {
  return new MnemeError("execution", what);
}

/** A scalar seen through a range query: one element without labels. */
function compareScalarVector(value: VectorValue, scalar: number): void {
  if (value.labels.length !== 1 || value.labels[0]!.length !== 0) {
    throw different(`one element without labels is expected, got ${value.labels.length}`);
  }
  if (!almostEqual(value.v[0]!, scalar)) throw different(`expected ${scalar}, got ${value.v[0]}`);
}

function expectedByLabels(expected: Expectation): Map<string, SeriesDescription> {
  const byLabels = new Map<string, SeriesDescription>();
  for (const one of expected.series) byLabels.set(labelsKey(one.labels), one);
  return byLabels;
}

function compareVector(value: VectorValue, expected: Expectation): void {
  const wanted = expectedByLabels(expected);
  const seen = new Set<string>();
  for (let i = 0; i < value.labels.length; i++) {
    const labels = value.labels[i]!;
    const key = labelsKey(labels);
    const h = value.h?.[i];
    const one = wanted.get(key);
    if (one === undefined) {
      throw different(
        `unexpected element ${formatLabels(labels)} ${
          h === undefined ? value.v[i] : formatHistogram(h)
        }`,
      );
    }
    if (seen.has(key)) throw different(`${formatLabels(labels)} is there twice`);
    seen.add(key);
    if (expected.ordered && expected.series[i] !== one) {
      throw different(`${formatLabels(labels)} stands at place ${i + 1}, which is not its place`);
    }
    compareSample(labels, h, value.v, i, one, 0);
  }
  for (const [key, one] of wanted) {
    if (!seen.has(key) && one.values.length > 0 && one.values.kind[0] !== SLOT_EMPTY) {
      throw different(`${formatLabels(one.labels)} is missing`);
    }
  }
}

function compareMatrix(value: MatrixValue, expected: Expectation): void {
  for (let i = 1; i < value.series.length; i++) {
    if (compareLabels(value.series[i - 1]!.labels, value.series[i]!.labels) >= 0) {
      throw different(`${formatLabels(value.series[i]!.labels)} is not in label order`);
    }
  }
  const grid = expected.grid!;
  const wanted = expectedByLabels(expected);
  if (expected.scalar !== null) {
    throw different("a number is expected, which a range query cannot give");
  }
  const seen = new Set<string>();
  for (const series of value.series) {
    const key = labelsKey(series.labels);
    const one = wanted.get(key);
    if (one === undefined) {
      throw different(`unexpected series ${formatLabels(series.labels)} ${series.v.join(" ")}`);
    }
    seen.add(key);
    let at = 0;
    for (let k = 0; k < one.values.length; k++) {
      const time = grid.start + k * grid.step;
      if (time > grid.end) {
        throw different(
          `${one.values.length} values are expected of ${formatLabels(one.labels)}, more than ` +
            "the range has",
        );
      }
      if (one.values.kind[k] === SLOT_EMPTY) continue;
      if (series.t[at] !== time) {
        throw different(
          `${formatLabels(series.labels)} at ${time} ms: a value is expected, got ` +
            (series.t[at] === undefined ? "none" : `one at ${series.t[at]} ms`) +
            ` (values ${series.v.join(" ")})`,
        );
      }
      compareSample(series.labels, series.h?.[at], series.v, at, one, k, time);
      at++;
    }
    if (at < series.t.length) {
      throw different(
        `${formatLabels(series.labels)} has an unexpected value at ${series.t[at]} ms`,
      );
    }
  }
  for (const [key, one] of wanted) {
    if (!seen.has(key) && one.values.kind.some((x) => x !== SLOT_EMPTY)) {
      throw different(`${formatLabels(one.labels)} is missing`);
    }
  }
}

function compareSample(
  labels: Labels,
  h: FloatHistogram | undefined,
  v: Float64Array,
  i: number,
  expected: SeriesDescription,
  k: number,
  time?: number,
): void {
  const { kind, h: histograms, v: values, hinted } = expected.values;
  const where = formatLabels(labels) + (time === undefined ? "" : ` at ${time} ms`);
  if (kind[k] === undefined || kind[k] === SLOT_EMPTY) {
    throw different(`${where}: no value is expected, got ${v[i]}`);
  }
  if (kind[k] === SLOT_HISTOGRAM) {
    const wanted = histograms[k]!;
    if (h === undefined) {
      throw different(`${where}: expected ${formatHistogram(wanted)}, got ${v[i]}`);
    }
    if (!almostEqualHistograms(h, wanted)) {
      throw different(
        `${where}: expected ${layoutText(wanted)}, got ${layoutText(h)}`,
      );
    }
    if (hinted[k] === 1 && h.counterResetHint !== wanted.counterResetHint) {
      throw different(
        `${where}: expected reset hint ${wanted.counterResetHint}, got ${h.counterResetHint}`,
      );
    }
    return;
  }
  if (h !== undefined) {
    throw different(`${where}: expected ${values[k]}, got ${formatHistogram(h)}`);
  }
  const stale = isStaleAt(bitsOf(values), k);
  if (stale !== isStaleAt(bitsOf(v), i) || !almostEqual(v[i]!, values[k]!)) {
    throw different(`${where}: expected ${stale ? "stale" : values[k]}, got ${v[i]}`);
  }
}

function layoutText(h: FloatHistogram): string {
  return `schema ${h.schema} ${formatHistogram(h)}` +
    (h.customValues.length > 0 ? ` bounds ${h.customValues.join(" ")}` : "");
}

/** True when a and b differ by at most 1e-6 of their size. */
export function almostEqual(a: number, b: number): boolean {
  if (a === b || (a !== a && b !== b)) return true;
  const sum = Math.abs(a) + Math.abs(b);
  const difference = Math.abs(a - b);
  if (a === 0 || b === 0 || sum < MIN_NORMAL) return difference < TOLERANCE * MIN_NORMAL;
  return difference / Math.min(sum, Number.MAX_VALUE) < TOLERANCE;
}

function almostEqualHistograms(a: FloatHistogram, b: FloatHistogram): boolean {
  a = compactHistogram(copyHistogram(a));
  b = compactHistogram(copyHistogram(b));
  return a.schema === b.schema && almostEqual(a.count, b.count) &&
    almostEqual(a.sum[0]!, b.sum[0]!) && a.zeroThreshold === b.zeroThreshold &&
    almostEqual(a.zeroCount, b.zeroCount) &&
    sameLayout(a.positiveSpans, b.positiveSpans) && sameLayout(a.negativeSpans, b.negativeSpans) &&
    almostEqualColumns(a.positiveBuckets, b.positiveBuckets) &&
    almostEqualColumns(a.negativeBuckets, b.negativeBuckets) &&
    a.customValues.length === b.customValues.length &&
    a.customValues.every((x, i) => x === b.customValues[i]);
}

function almostEqualColumns(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((x, i) => almostEqual(x, b[i]!));
}
