/**
 * Coarse samples made finer, for uses whose window is shorter than their spacing: without it
 * `rate(x[5m])` over hourly data finds one sample at most and answers nothing.
 */
import {
  addHistogram,
  copyHistogram,
  detectReset,
  SampleBatch,
  scaleHistogram,
} from "../model/mod.ts";

/** How samples between two coarse ones are made. */
type Filling =
  /** An aggregate says the same of its whole window. */
  | "hold"
  /** Straight lines between points: counters. */
  | "line"
  /** Straight lines between the middles of windows: averages whose slope is looked at. */
  | "slope"
  /** The sum of a window in equal parts. */
  | "split"
  /** As many samples as the window had. */
  | "count";

/** How the samples of one selector are to be made finer. */
export interface Refinement {
  readonly filling: Filling;
  /** Distance of the samples to make, ms. */
  readonly spacing: number;
}

/** Functions that need two samples: of a counter, and of averages. */
const NEEDS_TWO = new Set(["rate", "irate", "increase", "xrate", "xincrease"]);
const NEEDS_SLOPE = new Set([
  "xdelta",
  "delta",
  "idelta",
  "deriv",
  "predict_linear",
  "holt_winters",
  "double_exponential_smoothing",
]);

/** Most samples to make of one series; beyond it they are made further apart. */
const MOST_SAMPLES = 500_000;

/**
 * What a selector inside `func` needs of data of `resolution` ms when it looks at stretches of
 * `window` ms; undefined when the data can be read as they are. `span` is the length of time read.
 */
export function refinementFor(
  func: string,
  window: number,
  resolution: number,
  span: number,
): Refinement | undefined {
  const spaced = (spacing: number) => Math.max(1, Math.floor(spacing), span / MOST_SAMPLES);
  if (func === "count_over_time") return { filling: "count", spacing: spaced(1) };
  if (NEEDS_TWO.has(func) || NEEDS_SLOPE.has(func)) {
    const filling = NEEDS_TWO.has(func) ? "line" : "slope";
    return window < 2 * resolution ? { filling, spacing: spaced(window / 3) } : undefined;
  }
  if (func === "sum_over_time") {
    return window < 2 * resolution ? { filling: "split", spacing: spaced(window / 2) } : undefined;
  }
  return window < resolution ? { filling: "hold", spacing: spaced(window) } : undefined;
}

/**
 * Replaces `out` with `coarse` made finer. A point stands for the window that it ends, so that
 * samples are made before it. No line is drawn between points further apart than two windows.
 *
 * Owner: `coarse` is only read.
 */
export function refine(
  coarse: SampleBatch,
  resolution: number,
  { filling, spacing }: Refinement,
  out: SampleBatch,
): void {
  out.clear();
  if (filling === "slope") {
    const middles = coarse.h === null ? middlesOf(coarse, resolution) : coarse;
    refine(middles, resolution, { filling: "line", spacing }, out);
    return;
  }
  const { t, length } = coarse;
  for (let i = 0; i < length; i++) {
    const time = t[i]!;
    const joined = i > 0 && time - t[i - 1]! <= 2 * resolution;
    const windowStart = time - positiveModulo(time, resolution) - 1;
    // A window reaches back to its start, or to the point before when that lies inside.
    const from = i > 0 ? Math.max(windowStart, t[i - 1]!) : windowStart;
    switch (filling) {
      case "hold":
        for (let before = from + 1; before < time; before += spacing) {
          out.appendRange(coarse, i, i + 1);
          out.t[out.length - 1] = Math.floor(before);
        }
        out.appendRange(coarse, i, i + 1);
        break;
      case "line":
        if (joined) lineBetween(coarse, i - 1, spacing, out);
        out.appendRange(coarse, i, i + 1);
        break;
      case "split":
        splitWindow(coarse, i, from, spacing, out);
        break;
      case "count":
        countWindow(coarse, i, from, spacing, out);
    }
  }
}

/** The points at the middles of their windows; each run goes on to both its ends. */
function middlesOf({ t, v, length }: SampleBatch, resolution: number): SampleBatch {
  const out = new SampleBatch(length + 16);
  const startOf = (time: number) => time - positiveModulo(time, resolution) - 1;
  const middleOf = (time: number) => Math.floor((startOf(time) + time + 1) / 2);
  for (let i = 0; i < length; i++) {
    const first = i === 0 || t[i]! - t[i - 1]! > 2 * resolution;
    const last = i === length - 1 || t[i + 1]! - t[i]! > 2 * resolution;
    const other = first ? (last ? i : i + 1) : i - 1;
    const here = middleOf(t[i]!);
    const slope = other === i ? 0 : (v[other]! - v[i]!) / (middleOf(t[other]!) - here);
    const start = startOf(t[i]!) + 1;
    if (first && start < here) appendFloat(out, start, v[i]! + slope * (start - here));
    appendFloat(out, here, v[i]!);
    if (last && here < t[i]!) appendFloat(out, t[i]!, v[i]! + slope * (t[i]! - here));
  }
  return out;
}

function positiveModulo(a: number, b: number): number {
  return ((a % b) + b) % b;
}

/** Samples between sample `i` and the next one on the line between them. */
function lineBetween(coarse: SampleBatch, i: number, spacing: number, out: SampleBatch): void {
  const { t, v, h } = coarse;
  const from = t[i]!;
  const length = t[i + 1]! - from;
  const a = h?.[i];
  const b = h?.[i + 1];
  if ((a === undefined) !== (b === undefined)) return;
  // After a reset the counter rises from nothing.
  const reset = a !== undefined && b !== undefined && b.counterResetHint !== "gauge" &&
    detectReset(b, a);
  for (let d = spacing; d < length; d += spacing) {
    const part = d / length;
    const time = from + Math.floor(d);
    if (a === undefined || b === undefined) {
      out.reserve(1);
      out.t[out.length] = time;
      out.v[out.length] = v[i]! + (v[i + 1]! - v[i]!) * part;
      if (out.h !== null) out.h[out.length] = undefined;
      out.length++;
    } else {
      const made = scaleHistogram(copyHistogram(b), part);
      if (!reset) addHistogram(made, scaleHistogram(copyHistogram(a), 1 - part));
      made.counterResetHint = b.counterResetHint === "gauge" ? "gauge" : "unknown";
      out.appendHistogram(time, made);
    }
  }
}

/** The sum of a window (from, time of sample i] in equal parts. */
function splitWindow(
  coarse: SampleBatch,
  i: number,
  from: number,
  spacing: number,
  out: SampleBatch,
): void {
  const length = coarse.t[i]! - from;
  const parts = Math.max(1, Math.ceil(length / spacing));
  const h = coarse.h?.[i];
  const share = h === undefined ? undefined : scaleHistogram(copyHistogram(h), 1 / parts);
  for (let k = 1; k <= parts; k++) {
    const time = Math.round(from + length * k / parts);
    if (share !== undefined) out.appendHistogram(time, share);
    else appendFloat(out, time, coarse.v[i]! / parts);
  }
}

/** As many samples as the count of a window (from, time of sample i] says. */
function countWindow(
  coarse: SampleBatch,
  i: number,
  from: number,
  spacing: number,
  out: SampleBatch,
): void {
  const length = coarse.t[i]! - from;
  const count = Math.min(Math.round(coarse.v[i]!), Math.ceil(length / spacing));
  for (let k = 1; k <= count; k++) {
    appendFloat(out, Math.round(from + length * k / count), coarse.v[i]!);
  }
}

function appendFloat(out: SampleBatch, time: number, value: number): void {
  out.reserve(1);
  out.t[out.length] = time;
  out.v[out.length] = value;
  if (out.h !== null) out.h[out.length] = undefined;
  if (out.st !== null) out.st[out.length] = 0;
  out.length++;
}
