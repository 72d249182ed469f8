/** Range functions over series that hold histograms, beside or instead of floats. */
import {
  addHistogram,
  compactHistogram,
  copyHistogram,
  copyToSchema,
  detectReset,
  divideHistogram,
  emptyHistogram,
  equalHistograms,
  type FloatHistogram,
  HistogramMean,
  HistogramSum,
  type Labels,
  labelValue,
  MERGE_BOUNDS_RECONCILED,
  MERGE_INCOMPATIBLE,
  METRIC_NAME,
  scaleHistogram,
  subtractHistogram,
  usesCustomBuckets,
} from "../model/mod.ts";
import {
  textHistogramNotCounter,
  textHistogramNotGauge,
  textIgnoredInMixedRange,
  textMismatchedCustomBuckets,
  textMixedExponentialCustom,
  textMixedFloatsHistograms,
  textResetCollision,
} from "./annotations.ts";
import { histogramWeight, type QueryContext } from "./query_context.ts";
import { anchorWindows, type ExtendedWindow, extendWindow } from "./kernel_extended.ts";
import { extrapolation, startedAnew } from "./kernel_start_time.ts";
import {
  extendedKernel,
  type RangeFunction,
  type RangeModifier,
  startTimeKernel,
} from "./range_kernels.ts";
import { findWindows, goSeconds, RangeRow } from "./range_row.ts";
import { ROW_SPARSE, type Tile } from "./tile.ts";

/** What the range operator says about itself. */
export interface RangeHistogramOptions {
  readonly func: string;
  readonly modifier: RangeModifier;
  readonly rangePosition: number;
  readonly firstPosition: number;
}

type Column = (FloatHistogram | undefined)[];

/** Fills rows of series with histograms; made once per operator. */
export class RangeHistograms {
  readonly #options: RangeHistogramOptions;
  readonly #function: RangeFunction;
  readonly #context: QueryContext;
  /** A row over the floats of the series alone. */
  #floats: RangeRow | undefined;
  #t: Float64Array = new Float64Array(0);
  #v: Float64Array = new Float64Array(0);
  #st: Float64Array = new Float64Array(0);
  /** Number of histograms before each sample. */
  #before: Int32Array = new Int32Array(0);

  constructor(
    options: RangeHistogramOptions,
    rangeFunction: RangeFunction,
    context: QueryContext,
  ) {
    this.#options = options;
    this.#function = rangeFunction;
    this.#context = context;
  }

  /** Fills a tile row; `row` has the windows over all samples, `h` their histograms. */
  fill(row: RangeRow, h: Column, tile: Tile, tileRow: number, labels: Labels): void {
    tile.clearRow(tileRow);
    this.#count(row, h);
    const name = labelValue(labels, METRIC_NAME);
    switch (this.#function.histograms) {
      case "any":
        this.#any(row, h, tile, tileRow);
        break;
      case "ignore":
        this.#floatsOnly(row, h);
        tile.kind[tileRow] = ROW_SPARSE;
        this.#noteIgnored(row, name);
        break;
      case "either":
        this.#floatsOnly(row, h);
        tile.kind[tileRow] = ROW_SPARSE;
        this.#either(row, h, tile, tileRow, name);
        break;
    }
  }

  /** Counts histograms per prefix and the samples of all windows. */
  #count(row: RangeRow, h: Column): void {
    const { n, lo, hi, count } = row;
    if (this.#before.length <= n) this.#before = new Int32Array(n + 1);
    const before = this.#before;
    const weights = new Float64Array(n + 1);
    for (let i = 0; i < n; i++) {
      const histogram = h[i];
      before[i + 1] = before[i]! + (histogram === undefined ? 0 : 1);
      weights[i + 1] = weights[i]! + (histogram === undefined ? 1 : histogramWeight(histogram));
    }
    let total = 0;
    for (let k = 0; k < count; k++) total += weights[hi[k]!]! - weights[lo[k]!]!;
    this.#context.total += total;
  }

  /** Runs the float kernel over the series' floats. */
  #floatsOnly(row: RangeRow, h: Column): void {
    const floats = this.#floats ??= new RangeRow(row.count);
    if (this.#t.length < row.n) {
      this.#t = new Float64Array(row.n);
      this.#v = new Float64Array(row.n);
      this.#st = new Float64Array(row.n);
    }
    let n = 0;
    for (let i = 0; i < row.n; i++) {
      if (h[i] !== undefined) continue;
      this.#t[n] = row.t[i]!;
      this.#v[n] = row.v[i]!;
      if (row.st !== null) this.#st[n] = row.st[i]!;
      n++;
    }
    floats.t = this.#t;
    floats.v = this.#v;
    floats.n = n;
    floats.start = row.start;
    floats.step = row.step;
    floats.range = row.range;
    floats.lookback = row.lookback;
    floats.st = row.st === null ? null : this.#st;
    floats.evalStart = row.evalStart;
    floats.evalStep = row.evalStep;
    floats.out = row.out;
    floats.has = row.has;
    floats.at = row.at;
    floats.params.length = 0;
    floats.params.push(...row.params);
    findWindows(
      floats.t,
      n,
      floats.start,
      floats.step,
      floats.range,
      floats.lo,
      floats.hi,
      floats.count,
    );
    const { func, modifier } = this.#options;
    if (modifier !== "") extendedKernel(func, modifier)(floats);
    else if (floats.st !== null) startTimeKernel(func)(floats);
    else this.#function.kernel(floats);
  }

  #noteIgnored(row: RangeRow, name: string): void {
    const { lo, hi, count } = row;
    for (let k = 0; k < count; k++) {
      const histograms = this.#before[hi[k]!]! - this.#before[lo[k]!]!;
      if (histograms > 0 && histograms < hi[k]! - lo[k]!) {
        this.#context.annotations.info(
          textIgnoredInMixedRange(name),
          this.#options.firstPosition,
        );
        return;
      }
    }
  }

  #any(row: RangeRow, h: Column, tile: Tile, tileRow: number): void {
    const { func, modifier } = this.#options;
    if (modifier !== "") anchorWindows(row);
    if (func === "changes" || func === "resets") {
      countSteps(row, h, func === "changes" ? changed : decreased);
      tile.kind[tileRow] = ROW_SPARSE;
      return;
    }
    this.#function.kernel(row);
    tile.kind[tileRow] = ROW_SPARSE;
    if (func !== "last_over_time" && func !== "first_over_time") return;
    let column: Column | null = null;
    for (let k = 0; k < row.count; k++) {
      if (row.lo[k] === row.hi[k]) continue;
      const histogram = h[func === "last_over_time" ? row.hi[k]! - 1 : row.lo[k]!];
      if (histogram === undefined) continue;
      column ??= tile.histogramRow(tileRow);
      column[row.at + k] = histogram;
    }
  }

  #either(row: RangeRow, h: Column, tile: Tile, tileRow: number, name: string): void {
    const { func, rangePosition } = this.#options;
    if (this.#options.modifier !== "") {
      this.#extended(row, h, tile, tileRow, name);
      return;
    }
    const { annotations } = this.#context;
    const { lo, hi, count, at } = row;
    const before = this.#before;
    const instant = func === "irate" || func === "idelta";
    const overTime = func.endsWith("_over_time");
    let column: Column | null = null;
    for (let k = 0; k < count; k++) {
      const l = lo[k]!;
      const u = hi[k]!;
      const first = instant ? Math.max(l, u - 2) : l;
      const histograms = before[u]! - before[first]!;
      if (histograms === 0) continue;
      // A window of histograms can be long work: time limits hold between two of them.
      this.#context.check();
      tile.has[at + k] = 0;
      if (u - first < 2 && !overTime) {
        const rangeStart = row.start + k * row.step - row.range;
        if (instant || !isBorn(row, l, rangeStart)) continue;
      }
      if (histograms < u - first) {
        annotations.warn(textMixedFloatsHistograms(name), rangePosition);
        continue;
      }
      const result = this.#compute(row, h, l, u, k, name);
      if (result === undefined) continue;
      column ??= tile.histogramRow(tileRow);
      column[at + k] = result;
      tile.has[at + k] = 1;
    }
  }

  #compute(
    row: RangeRow,
    h: Column,
    l: number,
    u: number,
    k: number,
    name: string,
  ): FloatHistogram | undefined {
    switch (this.#options.func) {
      case "sum_over_time":
        return this.#fold(h, l, u, false, name);
      case "avg_over_time":
        return this.#fold(h, l, u, true, name);
      case "irate":
        return this.#lastTwo(row, h, u, true, name);
      case "idelta":
        return this.#lastTwo(row, h, u, false, name);
      default:
        return this.#extrapolated(row, h, l, u, k, name);
    }
  }

  #fold(
    h: Column,
    l: number,
    u: number,
    mean: boolean,
    name: string,
  ): FloatHistogram | undefined {
    const { annotations } = this.#context;
    const position = this.#options.rangePosition;
    const fold = mean ? new HistogramMean(h[l]!) : new HistogramSum(h[l]!);
    for (let i = l + 1; i < u; i++) {
      const outcome = fold.add(h[i]!);
      if ((outcome & MERGE_INCOMPATIBLE) !== 0) {
        annotations.warn(textMixedExponentialCustom(name), position);
        return undefined;
      }
      if ((outcome & MERGE_BOUNDS_RECONCILED) !== 0) {
        annotations.info(textMismatchedCustomBuckets("aggregation"), position);
      }
    }
    if (fold.conflictingResets) annotations.warn(textResetCollision("aggregation"), position);
    return compactHistogram(fold.result());
  }

  #lastTwo(
    row: RangeRow,
    h: Column,
    u: number,
    isRate: boolean,
    name: string,
  ): FloatHistogram | undefined {
    const { annotations } = this.#context;
    const position = this.#options.rangePosition;
    const last = h[u - 1]!;
    const previous = h[u - 2]!;
    const milliseconds = row.t[u - 1]! - row.t[u - 2]!;
    if (milliseconds === 0) return undefined;
    const gauges = (last.counterResetHint === "gauge" ? 1 : 0) +
      (previous.counterResetHint === "gauge" ? 1 : 0);
    if (isRate && gauges > 0) annotations.warn(textHistogramNotCounter(name), position);
    if (!isRate && gauges < 2) annotations.warn(textHistogramNotGauge(name), position);
    const result = copyHistogram(last);
    const anew = row.st !== null && startedAnew(row.t, row.st, u - 1);
    if (!isRate || !(anew || detectReset(last, previous))) {
      const outcome = subtractHistogram(result, previous);
      if (!this.#accept(outcome, "subtraction", name)) return undefined;
    }
    result.counterResetHint = "gauge";
    compactHistogram(result);
    return isRate ? divideHistogram(result, milliseconds / 1000) : result;
  }

  /** Notes what a merge reported; false when it was impossible. */
  #accept(outcome: number, operation: string, name: string): boolean {
    const { annotations } = this.#context;
    const position = this.#options.rangePosition;
    if ((outcome & MERGE_INCOMPATIBLE) !== 0) {
      annotations.warn(textMixedExponentialCustom(name), position);
      return false;
    }
    if ((outcome & MERGE_BOUNDS_RECONCILED) !== 0) {
      annotations.info(textMismatchedCustomBuckets(operation), position);
    }
    return true;
  }

  /** rate, increase, delta of a window of histograms. */
  #extrapolated(
    row: RangeRow,
    h: Column,
    l: number,
    u: number,
    k: number,
    name: string,
  ): FloatHistogram | undefined {
    const { func } = this.#options;
    const isCounter = func !== "delta" && func !== "xdelta";
    const isRate = func === "rate" || func === "xrate";
    const { t, st, range } = row;
    const rangeEnd = row.start + k * row.step;
    const rangeStart = rangeEnd - range;
    const born = isCounter && isBorn(row, l, rangeStart);
    const first = h[l]!;
    const points = h.slice(l, u) as FloatHistogram[];
    if (born) points.unshift(emptyHistogram(first.schema, first.customValues));
    const result = this.difference(points, isCounter, name, (i, current, previous) => {
      const sample = l + i - (born ? 1 : 0);
      return detectReset(current, previous) ||
        (st !== null && sample > l && startedAnew(t, st, sample));
    });
    if (result === undefined) return undefined;
    const limit = isCounter ? result.count : 0;
    const factor = extrapolation(row, l, u, rangeStart, rangeEnd, born, first.count, limit);
    return scaleHistogram(result, isRate ? factor / goSeconds(range) : factor);
  }

  /**
   * Last minus first with counter resets made good; a gauge. At least two points.
   *
   * `isReset` tells whether the counter was reset just before point i.
   */
  difference(
    points: readonly FloatHistogram[],
    isCounter: boolean,
    name: string,
    isReset: (i: number, current: FloatHistogram, previous: FloatHistogram) => boolean,
  ): FloatHistogram | undefined {
    const { annotations } = this.#context;
    const position = this.#options.rangePosition;
    const end = points.length - 1;
    const last = points[end]!;
    let previous = points[0]!;
    const someGauge = previous.counterResetHint === "gauge" || last.counterResetHint === "gauge";
    if (isCounter && someGauge) annotations.warn(textHistogramNotCounter(name), position);
    // A first sample that was reset at once counts as empty, whatever its layout.
    if (isCounter && isReset(1, points[1]!, previous)) {
      previous = emptyHistogram(points[1]!.schema, points[1]!.customValues);
    }
    const custom = usesCustomBuckets(previous);
    if (custom !== usesCustomBuckets(last)) {
      annotations.warn(textMixedExponentialCustom(name), position);
      return undefined;
    }
    let schema = Math.min(previous.schema, last.schema);
    for (let i = 1; isCounter && i < end; i++) {
      const current = points[i]!;
      if (current.counterResetHint === "gauge") {
        annotations.warn(textHistogramNotCounter(name), position);
      }
      schema = Math.min(schema, current.schema);
      if (usesCustomBuckets(current) !== custom) {
        annotations.warn(textMixedExponentialCustom(name), position);
        return undefined;
      }
    }
    const result = copyToSchema(last, schema);
    if (!this.#accept(subtractHistogram(result, previous), "subtraction", name)) return undefined;
    for (let i = 1; isCounter && i <= end; i++) {
      const current = points[i]!;
      if (isReset(i, current, previous)) {
        if (!this.#accept(addHistogram(result, previous), "addition", name)) return undefined;
      }
      previous = current;
    }
    if (
      !isCounter &&
      (points[0]!.counterResetHint !== "gauge" || last.counterResetHint !== "gauge")
    ) annotations.warn(textHistogramNotGauge(name), position);
    result.counterResetHint = "gauge";
    return compactHistogram(result);
  }

  /** Steps of an anchored or smoothed range: rate, increase, delta. */
  #extended(row: RangeRow, h: Column, tile: Tile, tileRow: number, name: string): void {
    const { modifier, rangePosition } = this.#options;
    const window: ExtendedWindow = { first: 0, last: 0 };
    let column: Column | null = null;
    for (let k = 0; k < row.count; k++) {
      if (!extendWindow(row, k, modifier === "smoothed", window)) continue;
      const samples = window.last - window.first + 1;
      const histograms = this.#before[window.last + 1]! - this.#before[window.first]!;
      if (histograms === 0) continue;
      this.#context.check();
      tile.has[row.at + k] = 0;
      if (histograms < samples) {
        this.#context.annotations.warn(textMixedFloatsHistograms(name), rangePosition);
        continue;
      }
      const result = this.#extendedStep(row, h, k, window, name);
      if (result === undefined) continue;
      column ??= tile.histogramRow(tileRow);
      column[row.at + k] = result;
      tile.has[row.at + k] = 1;
    }
  }

  #extendedStep(
    row: RangeRow,
    h: Column,
    k: number,
    window: ExtendedWindow,
    name: string,
  ): FloatHistogram | undefined {
    const { func, modifier } = this.#options;
    const { first, last } = window;
    const { t, range } = row;
    const isCounter = func !== "delta";
    const rangeEnd = row.start + k * row.step;
    const rangeStart = rangeEnd - range;
    const cutLeft = modifier === "smoothed" && first < last && t[first]! < rangeStart;
    const cutRight = modifier === "smoothed" && first < last && t[last]! > rangeEnd;
    const points: FloatHistogram[] = [];
    for (let i = first; i <= last; i++) points.push(h[i]!);
    if (cutLeft) {
      const left = this.#between(row, h, first, rangeStart, isCounter, true, name);
      if (left === undefined) return undefined;
      points[0] = left;
    }
    if (cutRight) {
      const right = this.#between(row, h, last - 1, rangeEnd, isCounter, false, name);
      if (right === undefined) return undefined;
      points[points.length - 1] = right;
    }
    if (points.length === 1) points.push(points[0]!);
    // Resets next to an interpolated edge are already in its value.
    const end = points.length - 1;
    const result = this.difference(
      points,
      isCounter,
      name,
      (i, current, previous) =>
        !(cutLeft && i === 1) && !(cutRight && i === end) && current !== previous &&
        detectReset(current, previous),
    );
    if (result === undefined) return undefined;
    return func === "rate" ? divideHistogram(result, goSeconds(range)) : result;
  }

  /** The histogram at `time` on the line between samples i and i + 1; counters restart empty. */
  #between(
    row: RangeRow,
    h: Column,
    i: number,
    time: number,
    isCounter: boolean,
    leftEdge: boolean,
    name: string,
  ): FloatHistogram | undefined {
    const a = h[i]!;
    const b = h[i + 1]!;
    const share = (time - row.t[i]!) / (row.t[i + 1]! - row.t[i]!);
    const reset = isCounter && detectReset(b, a);
    if (reset && leftEdge) return scaleHistogram(copyHistogram(b), share);
    const way = copyHistogram(b);
    if (!reset && !this.#accept(subtractHistogram(way, a), "subtraction", name)) return undefined;
    scaleHistogram(way, share);
    if (!this.#accept(addHistogram(way, a), "addition", name)) return undefined;
    way.counterResetHint = a.counterResetHint === "gauge" ? "gauge" : "unknown";
    return way;
  }
}

/** True when the first sample of a window began its life inside the window. */
function isBorn(row: RangeRow, l: number, rangeStart: number): boolean {
  const { t, st } = row;
  return st !== null && st[l]! !== 0 && st[l]! > rangeStart && st[l]! < t[l]!;
}

/** Whether sample i differs from sample i − 1 in the sense of a function. */
type StepTest = (row: RangeRow, h: Column, i: number) => boolean;

function changed(row: RangeRow, h: Column, i: number): boolean {
  const a = h[i - 1];
  const b = h[i];
  if (a === undefined && b === undefined) {
    const x = row.v[i]!;
    const y = row.v[i - 1]!;
    return x !== y && !(x !== x && y !== y);
  }
  return a === undefined || b === undefined || !equalHistograms(a, b);
}

function decreased(row: RangeRow, h: Column, i: number): boolean {
  const a = h[i - 1];
  const b = h[i];
  if (a === undefined && b === undefined) {
    return row.v[i]! < row.v[i - 1]! || (row.st !== null && startedAnew(row.t, row.st, i));
  }
  return a === undefined || b === undefined || detectReset(b, a) ||
    (row.st !== null && startedAnew(row.t, row.st, i));
}

function countSteps(row: RangeRow, h: Column, test: StepTest): void {
  const { n, lo, hi, count, out, has, at } = row;
  const prefix = row.needInts(n);
  let total = 0;
  if (n > 0) prefix[0] = 0;
  for (let i = 1; i < n; i++) {
    if (test(row, h, i)) total++;
    prefix[i] = total;
  }
  for (let k = 0; k < count; k++) {
    if (hi[k] === lo[k]) continue;
    out[at + k] = prefix[hi[k]! - 1]! - prefix[lo[k]!]!;
    has[at + k] = 1;
  }
}
