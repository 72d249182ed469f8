/**
 * Range functions over float samples, one cell per step.
 *
 * Sums are compensated (Kahan–Neumaier) and run in sample order, so results equal Prometheus' to
 * the bit; each window is summed afresh unless all partial sums are exact anyway.
 */
import type { RangeRow } from "./range_row.ts";
import { quantileOf, quantileOfSorted } from "./quantile.ts";

/** Largest integer up to which sums of integers are exact. */
const EXACT = 9007199254740992;

/**
 * Prefix sums when every value is an integer and no partial sum can be inexact; false otherwise.
 * Then a window's sum is one subtraction, equal to what summing in order gives.
 */
export function exactPrefix(row: RangeRow): boolean {
  const { v, n } = row;
  const prefix = row.needFloats(n + 1);
  let sum = 0;
  let bound = 0;
  prefix[0] = 0;
  for (let i = 0; i < n; i++) {
    const x = v[i]!;
    if (x !== Math.trunc(x)) return false;
    bound += x < 0 ? -x : x;
    sum += x;
    prefix[i + 1] = sum;
  }
  return bound < EXACT;
}

/** Sum of each window. */
export function kernelSum(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  const exact = exactPrefix(row);
  const prefix = row.floats;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    has[at + k] = 1;
    present++;
    if (exact) {
      out[at + k] = prefix[h]! - prefix[l]!;
      continue;
    }
    let sum = 0;
    let c = 0;
    for (let i = l; i < h; i++) {
      const x = v[i]!;
      const t = sum + x;
      if (t - t !== 0 && t === t) c = 0;
      else if (Math.abs(sum) >= Math.abs(x)) c += (sum - t) + x;
      else c += (x - t) + sum;
      sum = t;
    }
    out[at + k] = sum - sum !== 0 ? sum : sum + c;
  }
  return present;
}

/** Mean of samples [l, h), h > l. */
function meanOf(v: Float64Array, l: number, h: number): number {
  let sum = v[l]!;
  let c = 0;
  for (let i = l + 1; i < h; i++) {
    const x = v[i]!;
    const t = sum + x;
    if (t - t !== 0 && t === t) return incrementalMean(v, l, h, i, sum, c);
    if (Math.abs(sum) >= Math.abs(x)) c += (sum - t) + x;
    else c += (x - t) + sum;
    sum = t;
  }
  const n = h - l;
  return sum / n + c / n;
}

/** Goes on with an incremental mean from sample `from`, at which the sum would overflow. */
function incrementalMean(
  v: Float64Array,
  l: number,
  h: number,
  from: number,
  sum: number,
  carry: number,
): number {
  let n = from - l;
  let mean = sum / n;
  let c = carry / n;
  for (let i = from; i < h; i++) {
    n++;
    const q = (n - 1) / n;
    const x = v[i]! / n;
    const m = q * mean;
    const t = m + x;
    c *= q;
    if (t - t !== 0 && t === t) c = 0;
    else if (Math.abs(m) >= Math.abs(x)) c += (m - t) + x;
    else c += (x - t) + m;
    mean = t;
  }
  return mean + c;
}

/** Mean of each window. */
export function kernelAvg(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  const exact = exactPrefix(row);
  const prefix = row.floats;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    has[at + k] = 1;
    present++;
    out[at + k] = exact ? (prefix[h]! - prefix[l]!) / (h - l) : meanOf(v, l, h);
  }
  return present;
}

/** Number of samples in each window. */
export function kernelCount(row: RangeRow): number {
  const { lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const n = hi[k]! - lo[k]!;
    out[at + k] = n;
    has[at + k] = n > 0 ? 1 : 0;
    if (n > 0) present++;
  }
  return present;
}

/** 1 where the window has a sample. */
export function kernelPresent(row: RangeRow): number {
  const { lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    out[at + k] = 1;
    has[at + k] = hi[k]! > lo[k]! ? 1 : 0;
    present += has[at + k]!;
  }
  return present;
}

/** Last value of each window. */
export function kernelLast(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const h = hi[k]!;
    if (h === lo[k]!) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = v[h - 1]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** First value of each window. */
export function kernelFirst(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    if (hi[k]! === l) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = v[l]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Greatest value of each window, NaN only when all are. */
export function kernelMax(row: RangeRow): number {
  return slidingExtreme(row, true, false);
}

/** Least value of each window, NaN only when all are. */
export function kernelMin(row: RangeRow): number {
  return slidingExtreme(row, false, false);
}

/** Time of the greatest value in seconds, the last one of equals. */
export function kernelTimeOfMax(row: RangeRow): number {
  return slidingExtreme(row, true, true);
}

/** Time of the least value in seconds, the last one of equals. */
export function kernelTimeOfMin(row: RangeRow): number {
  return slidingExtreme(row, false, true);
}

/**
 * Extremes by a monotonic queue of sample indexes: every sample enters and leaves once, however
 * long the windows are. Without `wantTime` the first of equal values stays (0 and −0 are equal),
 * with it the last. NaN samples stay out of the queue.
 */
function slidingExtreme(row: RangeRow, greatest: boolean, wantTime: boolean): number {
  const { t, v, n, lo, hi, count, out, has, at } = row;
  if (!wantTime && !overlapping(row)) {
    return greatest ? directMax(row) : directMin(row);
  }
  const queue = row.needInts(n);
  let head = 0;
  let tail = 0;
  let next = 0;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    if (next < l) next = l;
    for (; next < h; next++) {
      const x = v[next]!;
      if (x !== x) continue;
      while (tail > head) {
        const y = v[queue[tail - 1]!]!;
        if (greatest ? y < x || (wantTime && y === x) : y > x || (wantTime && y === x)) tail--;
        else break;
      }
      queue[tail++] = next;
    }
    while (head < tail && queue[head]! < l) head++;
    const best = head < tail ? queue[head]! : -1;
    if (wantTime) out[at + k] = t[best < 0 ? h - 1 : best]! / 1000;
    else out[at + k] = best < 0 ? NaN : v[best]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** True when samples are in so many windows that a queue beats looking at each window anew. */
function overlapping(row: RangeRow): boolean {
  const { lo, hi, count, n } = row;
  let total = 0;
  for (let k = 0; k < count; k++) total += hi[k]! - lo[k]!;
  return total > 4 * n;
}

function directMax(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    let best = v[l]!;
    for (let i = l + 1; i < h; i++) {
      const x = v[i]!;
      if (x > best || best !== best) best = x;
    }
    out[at + k] = best;
    has[at + k] = 1;
    present++;
  }
  return present;
}

function directMin(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    let best = v[l]!;
    for (let i = l + 1; i < h; i++) {
      const x = v[i]!;
      if (x < best || best !== best) best = x;
    }
    out[at + k] = best;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Population standard deviation of each window. */
export function kernelStddev(row: RangeRow): number {
  const present = kernelStdvar(row);
  const { out, at, count } = row;
  for (let k = 0; k < count; k++) out[at + k] = Math.sqrt(out[at + k]!);
  return present;
}

/** Population variance of each window: Welford with compensated mean and square sum. */
export function kernelStdvar(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    let mean = 0;
    let cMean = 0;
    let square = 0;
    let cSquare = 0;
    for (let i = l; i < h; i++) {
      const x = v[i]!;
      const delta = x - (mean + cMean);
      const a = delta / (i - l + 1);
      const m = mean + a;
      if (m - m !== 0 && m === m) cMean = 0;
      else if (Math.abs(mean) >= Math.abs(a)) cMean += (mean - m) + a;
      else cMean += (a - m) + mean;
      mean = m;
      const b = delta * (x - (mean + cMean));
      const s = square + b;
      if (s - s !== 0 && s === s) cSquare = 0;
      else if (Math.abs(square) >= Math.abs(b)) cSquare += (square - s) + b;
      else cSquare += (b - s) + square;
      square = s;
    }
    out[at + k] = (square + cSquare) / (h - l);
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Quantile of each window; params[0] is φ per step. */
export function kernelQuantile(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  const phi = row.params[0]!;
  if (keepsSorted(row)) return slidingQuantile(row, phi);
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    const scratch = row.needFloats(h - l);
    for (let i = l; i < h; i++) scratch[i - l] = v[i]!;
    out[at + k] = quantileOf(scratch, h - l, phi[k]!);
    has[at + k] = 1;
    present++;
  }
  return present;
}

/**
 * True when moving a sorted window from step to step beats selecting anew: long windows of which
 * little changes. Weighed in the time of one comparison of a selection.
 */
function keepsSorted(row: RangeRow): boolean {
  const { lo, hi, count, n } = row;
  let total = 0;
  for (let k = 0; k < count; k++) total += hi[k]! - lo[k]!;
  const length = total / count;
  const moves = 2 * n;
  return moves * (7 + length / 100) < total;
}

/** Quantiles over a window that is kept sorted; NaN are counted, as they sort below all. */
function slidingQuantile(row: RangeRow, phi: Float64Array): number {
  const { v, lo, hi, count, out, has, at } = row;
  const sorted = row.needFloats(row.n);
  let size = 0;
  let nans = 0;
  let from = 0;
  let to = 0;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    for (; from < l && from < to; from++) {
      const x = v[from]!;
      if (x !== x) nans--;
      else {
        const i = placeOf(sorted, size, x);
        sorted.copyWithin(i, i + 1, size--);
      }
    }
    if (to < l) from = to = l;
    for (; to < h; to++) {
      const x = v[to]!;
      if (x !== x) nans++;
      else {
        const i = placeOf(sorted, size, x);
        sorted.copyWithin(i + 1, i, size++);
        sorted[i] = x;
      }
    }
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = quantileOfSorted(sorted, nans, h - l, phi[k]!);
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Index of the first element that is not below x. */
function placeOf(sorted: Float64Array, size: number, x: number): number {
  let low = 0;
  let high = size;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Median absolute deviation of each window; NaN when any sample is. */
export function kernelMad(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    const n = h - l;
    if (n === 0) {
      has[at + k] = 0;
      continue;
    }
    has[at + k] = 1;
    present++;
    const scratch = row.needFloats(n);
    let anyNaN = false;
    for (let i = 0; i < n; i++) {
      const x = v[l + i]!;
      scratch[i] = x;
      if (x !== x) anyNaN = true;
    }
    if (anyNaN) {
      out[at + k] = NaN;
      continue;
    }
    const median = quantileOf(scratch, n, 0.5);
    for (let i = 0; i < n; i++) scratch[i] = Math.abs(v[l + i]! - median);
    out[at + k] = quantileOf(scratch, n, 0.5);
  }
  return present;
}

/** Time of the first sample in seconds. */
export function kernelTimeOfFirst(row: RangeRow): number {
  const { t, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    if (hi[k]! === l) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = t[l]! / 1000;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Time of the last sample in seconds. */
export function kernelTimeOfLast(row: RangeRow): number {
  const { t, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const h = hi[k]!;
    if (h === lo[k]!) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = t[h - 1]! / 1000;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Number of value changes; NaN after NaN is none. */
export function kernelChanges(row: RangeRow): number {
  const { v, n } = row;
  const prefix = row.needInts(n);
  let changes = 0;
  if (n > 0) prefix[0] = 0;
  for (let i = 1; i < n; i++) {
    const x = v[i]!;
    const y = v[i - 1]!;
    if (x !== y && !(x !== x && y !== y)) changes++;
    prefix[i] = changes;
  }
  return prefixDifference(row, prefix);
}

/** Number of decreases. */
export function kernelResets(row: RangeRow): number {
  const { v, n } = row;
  const prefix = row.needInts(n);
  let resets = 0;
  if (n > 0) prefix[0] = 0;
  for (let i = 1; i < n; i++) {
    if (v[i]! < v[i - 1]!) resets++;
    prefix[i] = resets;
  }
  return prefixDifference(row, prefix);
}

function prefixDifference(row: RangeRow, prefix: Int32Array): number {
  const { lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = prefix[h - 1]! - prefix[l]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Per-second slope by least squares, times relative to the window's first sample. */
export function kernelDeriv(row: RangeRow): number {
  const { t, lo, hi, count, out, has, at } = row;
  const fit = new Float64Array(2);
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h - l < 2) {
      has[at + k] = 0;
      continue;
    }
    linearRegression(row, l, h, t[l]!, fit);
    out[at + k] = fit[0]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Value predicted params[0] seconds after the evaluation time. */
export function kernelPredictLinear(row: RangeRow): number {
  const { lo, hi, count, out, has, at, evalStart, evalStep } = row;
  const ahead = row.params[0]!;
  const fit = new Float64Array(2);
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h - l < 2) {
      has[at + k] = 0;
      continue;
    }
    linearRegression(row, l, h, evalStart + k * evalStep, fit);
    out[at + k] = fit[0]! * ahead[k]! + fit[1]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Least squares over samples [l, h); slope and intercept at `zero` (ms) go into `fit`. */
function linearRegression(
  row: RangeRow,
  l: number,
  h: number,
  zero: number,
  fit: Float64Array,
): void {
  const { t, v } = row;
  const n = h - l;
  const first = v[l]!;
  let constant = true;
  let sumX = 0, cX = 0, sumY = 0, cY = 0, sumXY = 0, cXY = 0, sumXX = 0, cXX = 0;
  for (let i = l; i < h; i++) {
    const y = v[i]!;
    if (i > l && y !== first) constant = false;
    const x = (t[i]! - zero) / 1000;
    const xy = x * y;
    const xx = x * x;
    let s = sumX + x;
    if (Math.abs(sumX) >= Math.abs(x)) cX += (sumX - s) + x;
    else cX += (x - s) + sumX;
    sumX = s;
    s = sumY + y;
    if (s - s !== 0 && s === s) cY = 0;
    else if (Math.abs(sumY) >= Math.abs(y)) cY += (sumY - s) + y;
    else cY += (y - s) + sumY;
    sumY = s;
    s = sumXY + xy;
    if (s - s !== 0 && s === s) cXY = 0;
    else if (Math.abs(sumXY) >= Math.abs(xy)) cXY += (sumXY - s) + xy;
    else cXY += (xy - s) + sumXY;
    sumXY = s;
    s = sumXX + xx;
    if (Math.abs(sumXX) >= Math.abs(xx)) cXX += (sumXX - s) + xx;
    else cXX += (xx - s) + sumXX;
    sumXX = s;
  }
  if (constant) {
    const infinite = first - first !== 0 && first === first;
    fit[0] = infinite ? NaN : 0;
    fit[1] = infinite ? NaN : first;
    return;
  }
  sumX += cX;
  sumY += cY;
  sumXY += cXY;
  sumXX += cXX;
  const slope = (sumXY - sumX * sumY / n) / (sumXX - sumX * sumX / n);
  fit[0] = slope;
  fit[1] = sumY / n - slope * sumX / n;
}

/** Holt's linear smoothing; params[0] is the smoothing, params[1] the trend factor. */
export function kernelDoubleExponentialSmoothing(row: RangeRow): number {
  const { v, lo, hi, count, out, has, at } = row;
  const smoothing = row.params[0]!;
  const trend = row.params[1]!;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h - l < 2) {
      has[at + k] = 0;
      continue;
    }
    const sf = smoothing[k]!;
    const tf = trend[k]!;
    let before = 0;
    let level = v[l]!;
    let slope = v[l + 1]! - v[l]!;
    for (let i = l + 1; i < h; i++) {
      const x = sf * v[i]!;
      if (i > l + 1) slope = tf * (level - before) + (1 - tf) * slope;
      const y = (1 - sf) * (level + slope);
      before = level;
      level = x + y;
    }
    out[at + k] = level;
    has[at + k] = 1;
    present++;
  }
  return present;
}
