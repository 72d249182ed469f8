/** rate, increase, delta, irate, idelta over float samples. */
import { goSeconds, type RangeRow } from "./range_row.ts";

/** Per-second average increase of a counter. */
export function kernelRate(row: RangeRow): number {
  return extrapolated(row, true, true);
}

/** Increase of a counter over the range. */
export function kernelIncrease(row: RangeRow): number {
  return extrapolated(row, true, false);
}

/** Difference of a gauge over the range. */
export function kernelDelta(row: RangeRow): number {
  return extrapolated(row, false, false);
}

/**
 * Collects the indexes i with v[i] < v[i-1] into row.ints; returns how many. Windows look into this
 * list instead of walking their samples: counters reset rarely.
 */
export function findResets(row: RangeRow): number {
  const { v, n } = row;
  let ints = row.ints;
  let count = 0;
  let prev = n > 0 ? v[0]! : 0;
  for (let i = 1; i < n; i++) {
    const x = v[i]!;
    if (x < prev) {
      if (count === ints.length) {
        const grown = new Int32Array(count * 2);
        grown.set(ints);
        row.ints = grown;
        ints = grown;
      }
      ints[count++] = i;
    }
    prev = x;
  }
  return count;
}

/**
 * The extrapolated difference of each window.
 *
 * The order of the float operations is part of the result: the difference first, then what each
 * reset adds, then one multiplication by `factor`.
 */
function extrapolated(row: RangeRow, isCounter: boolean, isRate: boolean): number {
  const { t, v, lo, hi, count, out, has, at, start, step, range } = row;
  const resetCount = isCounter ? findResets(row) : 0;
  const resets = row.ints;
  const seconds = goSeconds(range);
  let nextReset = 0;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const l = lo[k]!;
    const h = hi[k]!;
    const intervals = h - l - 1;
    if (intervals < 1) {
      has[at + k] = 0;
      continue;
    }
    const first = v[l]!;
    let result = v[h - 1]! - first;
    if (resetCount > 0) {
      while (nextReset < resetCount && resets[nextReset]! <= l) nextReset++;
      for (let r = nextReset; r < resetCount && resets[r]! < h; r++) result += v[resets[r]! - 1]!;
    }
    const rangeEnd = start + k * step;
    const firstTime = t[l]!;
    const lastTime = t[h - 1]!;
    let toStart = (firstTime - (rangeEnd - range)) / 1000;
    let toEnd = (rangeEnd - lastTime) / 1000;
    const sampled = (lastTime - firstTime) / 1000;
    const average = sampled / intervals;
    const threshold = average * 1.1;
    if (toStart >= threshold) toStart = average / 2;
    if (isCounter && result > 0 && first >= 0) {
      const toZero = sampled * (first / result);
      if (toZero < toStart) toStart = toZero;
    }
    if (toEnd >= threshold) toEnd = average / 2;
    let factor = (sampled + toStart + toEnd) / sampled;
    if (isRate) factor /= seconds;
    out[at + k] = result * factor;
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Per-second increase between the last two samples. */
export function kernelIrate(row: RangeRow): number {
  const { t, v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const h = hi[k]!;
    if (h - lo[k]! < 2 || t[h - 1]! === t[h - 2]!) {
      has[at + k] = 0;
      continue;
    }
    const last = v[h - 1]!;
    const prev = v[h - 2]!;
    out[at + k] = (last < prev ? last : last - prev) / ((t[h - 1]! - t[h - 2]!) / 1000);
    has[at + k] = 1;
    present++;
  }
  return present;
}

/** Difference of the last two samples. */
export function kernelIdelta(row: RangeRow): number {
  const { t, v, lo, hi, count, out, has, at } = row;
  let present = 0;
  for (let k = 0; k < count; k++) {
    const h = hi[k]!;
    if (h - lo[k]! < 2 || t[h - 1]! === t[h - 2]!) {
      has[at + k] = 0;
      continue;
    }
    out[at + k] = v[h - 1]! - v[h - 2]!;
    has[at + k] = 1;
    present++;
  }
  return present;
}
