/**
 * rate, increase, irate and resets of counters whose samples carry start timestamps.
 *
 * A start timestamp says when the counter last began at 0: a reset that the values may not show, and
 * a sample of value 0 where it lies inside the window.
 */
import { goSeconds, type RangeRow } from "./range_row.ts";

/** True when the counter began anew between samples i − 1 and i, as their start times tell. */
export function startedAnew(t: Float64Array, st: Float64Array, i: number): boolean {
  const start = st[i]!;
  const before = t[i - 1]!;
  if (start === 0 || start > t[i]!) return false;
  if (start > before) return true;
  return start === before && st[i - 1]! !== 0 && st[i - 1]! < start;
}

/** True when sample i claims a start within the life of the sample before it. */
export function overlaps(t: Float64Array, st: Float64Array, i: number): boolean {
  return st[i] !== 0 && st[i - 1] !== 0 && st[i]! > st[i - 1]! && st[i]! < t[i - 1]!;
}

/** Collects the indexes of all resets, by value or by start time, into row.ints. */
export function findStartResets(row: RangeRow): number {
  const { t, v, st, n } = row;
  const ints = row.needInts(n);
  let count = 0;
  for (let i = 1; i < n; i++) {
    if (v[i]! < v[i - 1]! || startedAnew(t, st!, i)) ints[count++] = i;
  }
  return count;
}

/** rate and increase. */
export function startTimeRate(row: RangeRow, isRate: boolean): number {
  const { t, v, lo, hi, count, out, has, at, start, step, range } = row;
  const st = row.st!;
  const resetCount = findStartResets(row);
  const resets = row.ints;
  const seconds = goSeconds(range);
  let nextReset = 0;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    const rangeEnd = start + k * step;
    const rangeStart = rangeEnd - range;
    const born = h > l && st[l]! !== 0 && st[l]! > rangeStart && st[l]! < t[l]!;
    if (h - l < (born ? 1 : 2)) {
      has[at + k] = 0;
      continue;
    }
    const first = v[l]!;
    let result = v[h - 1]! - first;
    while (nextReset < resetCount && resets[nextReset]! <= l) nextReset++;
    for (let r = nextReset; r < resetCount && resets[r]! < h; r++) result += v[resets[r]! - 1]!;
    const factor = extrapolation(row, l, h, rangeStart, rangeEnd, born, first, result);
    if (born) result += first;
    out[at + k] = result * (isRate ? factor / seconds : factor);
    has[at + k] = 1;
    present++;
  }
  return present;
}

/**
 * Factor from the sampled interval to the range. With a birth inside the window the interval begins
 * there and nothing is extrapolated to the left. `first` and `result` limit how far a counter may be
 * extended to the left: not below 0.
 */
export function extrapolation(
  row: RangeRow,
  l: number,
  h: number,
  rangeStart: number,
  rangeEnd: number,
  born: boolean,
  first: number,
  result: number,
): number {
  const { t } = row;
  const firstTime = born ? row.st![l]! : t[l]!;
  const sampled = (t[h - 1]! - firstTime) / 1000;
  const intervals = h - l - 1;
  const average = intervals === 0 ? 0 : (t[h - 1]! - t[l]!) / 1000 / intervals;
  const threshold = average * 1.1;
  let toStart = born ? 0 : (firstTime - rangeStart) / 1000;
  if (toStart >= threshold) toStart = average / 2;
  if (!born && result > 0 && first >= 0) {
    const toZero = sampled * (first / result);
    if (toZero < toStart) toStart = toZero;
  }
  let toEnd = (rangeEnd - t[h - 1]!) / 1000;
  if (toEnd >= threshold) toEnd = average / 2;
  if (born) toStart = 0;
  return (sampled + toStart + toEnd) / sampled;
}

/** irate. */
export function startTimeIrate(row: RangeRow): number {
  const { t, v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const h = hi[k]!;
    if (h - lo[k]! < 2 || t[h - 1]! === t[h - 2]!) {
      has[at + k] = 0;
      continue;
    }
    const last = v[h - 1]!;
    const reset = last < v[h - 2]! || startedAnew(t, row.st!, h - 1);
    out[at + k] = (reset ? last : last - v[h - 2]!) / ((t[h - 1]! - t[h - 2]!) / 1000);
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** resets. */
export function startTimeResets(row: RangeRow): number {
  const { lo, hi, count, out, has, at } = row;
  const resetCount = findStartResets(row);
  const resets = row.ints;
  let from = 0;
  let to = 0;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    if (h === l) {
      has[at + k] = 0;
      continue;
    }
    while (from < resetCount && resets[from]! <= l) from++;
    if (to < from) to = from;
    while (to < resetCount && resets[to]! < h) to++;
    out[at + k] = to - from;
    has[at + k] = 1;
    present++;
  }
  return present;
}
