/**
 * Range functions that look beyond the window: anchored and smoothed ranges, and xrate, xincrease,
 * xdelta. Float samples only.
 */
import { goSeconds, type RangeRow } from "./range_row.ts";

/**
 * Moves the left edge of every window back to the last sample at or before it, if that is within
 * the lookback; windows without samples stay empty. For functions that count over an anchored range.
 */
export function anchorWindows(row: RangeRow): void {
  const { t, lo, hi, count, start, step, range, lookback } = row;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    if (l === hi[k] || l === 0) continue;
    if (t[l - 1]! > start + k * step - range - lookback) lo[k] = l - 1;
  }
}

/** Indexes of the first and last sample that an anchored or smoothed window of step k works with. */
export interface ExtendedWindow {
  first: number;
  last: number;
}

/**
 * Finds the samples of an extended window; false when there is nothing to compute.
 *
 * The first one is the last at or before the left edge (else the first in the window); the last one
 * is the last in the window, for smoothed ranges the first at or behind the right edge.
 */
export function extendWindow(
  row: RangeRow,
  k: number,
  smoothed: boolean,
  window: ExtendedWindow,
): boolean {
  const { t, n, lo, hi, start, step, range, lookback } = row;
  const rangeEnd = start + k * step;
  const rangeStart = rangeEnd - range;
  const l = lo[k]!;
  let last = hi[k]! - 1;
  if (smoothed && !(last >= 0 && t[last] === rangeEnd)) {
    if (last + 1 < n && t[last + 1]! <= rangeEnd + lookback) last++;
  }
  let first = l;
  if (l > 0 && t[l - 1]! > rangeStart - lookback) first = l - 1;
  if (last < first || last < 0 || t[last]! <= rangeStart) return false;
  window.first = first;
  window.last = last;
  return true;
}

/** The value at `time` on the line between samples i and i + 1; counters restart from 0. */
function between(
  row: RangeRow,
  i: number,
  time: number,
  isCounter: boolean,
  leftEdge: boolean,
): number {
  const { t, v } = row;
  let a = v[i]!;
  let b = v[i + 1]!;
  if (isCounter && b < a) {
    if (leftEdge) a = 0;
    else b += a;
  }
  return a + (b - a) * (time - t[i]!) / (t[i + 1]! - t[i]!);
}

/** rate, increase, delta of an anchored or smoothed range: no extrapolation. */
export function extendedRate(
  row: RangeRow,
  smoothed: boolean,
  isCounter: boolean,
  isRate: boolean,
): number {
  const { t, v, count, out, has, at, start, step, range } = row;
  const seconds = goSeconds(range);
  const window: ExtendedWindow = { first: 0, last: 0 };
  let present = 0;
  for (let k = 0; k < count; k++) {
    if (!extendWindow(row, k, smoothed, window)) {
      has[at + k] = 0;
      continue;
    }
    const rangeEnd = start + k * step;
    const rangeStart = rangeEnd - range;
    let { first, last } = window;
    const left = smoothed && t[first]! < rangeStart
      ? between(row, first, rangeStart, isCounter, true)
      : v[first]!;
    const right = smoothed && last > first && t[last]! > rangeEnd
      ? between(row, last - 1, rangeEnd, isCounter, false)
      : v[last]!;
    let result = right - left;
    if (isCounter) {
      if (t[first]! <= rangeStart) first++;
      if (t[last]! >= rangeEnd) last--;
      let previous = left;
      let correction = 0;
      for (let i = first; i <= last; i++) {
        const x = v[i]!;
        if (x < previous) correction += previous;
        previous = x;
      }
      if (right < previous) correction += previous;
      result += correction;
    }
    out[at + k] = isRate ? result / seconds : result;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** How far back xrate, xincrease and xdelta look for the sample before the range, ms. */
export const X_LOOKBACK = 3_600_000;

/** xrate, xincrease and xdelta: with the sample before the range, mostly without extrapolation. */
export function xRate(row: RangeRow, isCounter: boolean, isRate: boolean): number {
  const { t, v, n, lo, hi, count, out, has, at, start, step, range } = row;
  const isIncrease = isCounter && !isRate;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const rangeEnd = start + k * step;
    const rangeStart = rangeEnd - range;
    const h = hi[k]!;
    let l = lo[k]!;
    if (l > 0 && t[l - 1]! > rangeStart - X_LOOKBACK) l--;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    has[at + k] = 1;
    present++;
    if (isIncrease && n > 0 && rangeEnd <= t[0]! + range && allEqual(v, l, h)) {
      // The birth of the series is its first increase.
      out[at + k] = v[l]!;
      continue;
    }
    let sampled = t[h - 1]! - t[l]!;
    let average = sampled / (h - l - 1);
    if (!isIncrease && rangeStart - t[l]! > average) {
      if (h - l < 3) {
        out[at + k] = 0;
        continue;
      }
      l++;
      sampled = t[h - 1]! - t[l]!;
      average = sampled / (h - l - 1);
    }
    let corrected = 0;
    if (isCounter) {
      for (let i = l + 1; i < h; i++) if (v[i]! < v[i - 1]!) corrected += v[i - 1]!;
    }
    let result = v[h - 1]! - v[l]! + corrected;
    if (!isIncrease && t[l]! <= rangeStart && rangeEnd - t[h - 1]! < average) {
      result *= range / sampled;
    }
    out[at + k] = isRate ? result / goSeconds(range) : result;
  }
  return present;
}

function allEqual(v: Float64Array, l: number, h: number): boolean {
  for (let i = l + 1; i < h; i++) if (v[i] !== v[i - 1]) return false;
  return true;
}
