/**
 * Quantiles, fractions and variances of histograms, classic and native.
 *
 * Classic: bounds ascend, the last is +Inf, counts are cumulative. The order of float operations is
 * part of the result.
 */
import { BucketCursor, type FloatHistogram, usesCustomBuckets } from "../model/mod.ts";

/** Cumulative buckets of one histogram at one step. Shape: n of each. */
export interface ClassicBuckets {
  bounds: Float64Array;
  counts: Float64Array;
  n: number;
}

/** What had to be changed to make counts ascend. */
export class MonotonicFix {
  /** True when counts really decreased, not just in the last digits. */
  forced = false;
  /** Lowest and highest bound whose count was raised, and the largest raise. */
  minBucket = 0;
  maxBucket = 0;
  maxDiff = 0;
}

/** Relative difference up to which a decrease counts as rounding. */
const SMALL_DELTA = 1e-12;
const MIN_NORMAL = 2.2250738585072014e-308;

function almostEqual(a: number, b: number): boolean {
  if (a === b || (a !== a && b !== b)) return true;
  const sum = Math.abs(a) + Math.abs(b);
  const difference = Math.abs(a - b);
  if (a === 0 || b === 0 || sum < MIN_NORMAL) return difference < SMALL_DELTA * MIN_NORMAL;
  return difference / Math.min(sum, Number.MAX_VALUE) < SMALL_DELTA;
}

/** Makes counts ascend; says in `fix` what it took. */
export function ensureMonotonic(buckets: ClassicBuckets, fix: MonotonicFix): void {
  const { bounds, counts, n } = buckets;
  fix.forced = false;
  let previous = counts[0]!;
  for (let i = 1; i < n; i++) {
    const count = counts[i]!;
    if (count === previous) continue;
    if (almostEqual(previous, count)) {
      counts[i] = previous;
    } else if (count < previous) {
      counts[i] = previous;
      const difference = previous - count;
      if (!fix.forced) {
        fix.forced = true;
        fix.minBucket = bounds[i]!;
        fix.maxBucket = bounds[i]!;
        fix.maxDiff = difference;
      } else {
        if (bounds[i]! < fix.minBucket) fix.minBucket = bounds[i]!;
        if (bounds[i]! > fix.maxBucket) fix.maxBucket = bounds[i]!;
        if (difference > fix.maxDiff) fix.maxDiff = difference;
      }
    } else previous = count;
  }
}

/** histogram_quantile of classic buckets; changes their counts where they descend. */
export function classicQuantile(phi: number, buckets: ClassicBuckets, fix: MonotonicFix): number {
  fix.forced = false;
  if (phi !== phi) return NaN;
  if (phi < 0) return -Infinity;
  if (phi > 1) return Infinity;
  const { bounds, counts, n } = buckets;
  if (bounds[n - 1] !== Infinity) return NaN;
  ensureMonotonic(buckets, fix);
  if (n < 2) return NaN;
  const total = counts[n - 1]!;
  if (total === 0) return NaN;
  let rank = phi * total;
  let b = 0;
  let end = n - 1;
  while (b < end) {
    const middle = (b + end) >> 1;
    if (counts[middle]! >= rank) end = middle;
    else b = middle + 1;
  }
  if (b === n - 1) return bounds[n - 2]!;
  if (b === 0 && bounds[0]! <= 0) return bounds[0]!;
  let lower = 0;
  let count = counts[b]!;
  if (b > 0) {
    lower = bounds[b - 1]!;
    count -= counts[b - 1]!;
    rank -= counts[b - 1]!;
  }
  return lower + (bounds[b]! - lower) * (rank / count);
}

/** histogram_fraction of classic buckets. */
export function classicFraction(lower: number, upper: number, buckets: ClassicBuckets): number {
  const { bounds, counts, n } = buckets;
  if (bounds[n - 1] !== Infinity) return NaN;
  const total = counts[n - 1]!;
  if (total === 0 || lower !== lower || upper !== upper) return NaN;
  if (lower >= upper) return 0;
  return (classicRank(upper, buckets) - classicRank(lower, buckets)) / total;
}

/** Observations up to `x`, interpolated. */
function classicRank(x: number, buckets: ClassicBuckets): number {
  const { bounds, counts, n } = buckets;
  let rank = 0;
  for (let i = 0; i < n; i++) {
    const from = i > 0 ? bounds[i - 1]! : bounds[0]! > 0 ? 0 : -Infinity;
    const to = bounds[i]!;
    if (from >= x) return rank;
    if (to > x) {
      if (from === -Infinity) return counts[i]!;
      return rank + (counts[i]! - rank) * (x - from) / (to - from);
    }
    rank = counts[i]!;
  }
  return rank;
}

/** What NaN observations did to a native quantile. */
export const NAN_NONE = 0;
export const NAN_RESULT = 1;
export const NAN_SKEW = 2;

/** Computes over native histograms; keeps its cursor between calls. */
export class NativeKernel {
  readonly #cursor = new BucketCursor();
  /** NAN_… after quantile(). */
  nan = NAN_NONE;

  /** histogram_quantile of one native histogram. */
  quantile(phi: number, h: FloatHistogram): number {
    this.nan = NAN_NONE;
    if (phi < 0) return -Infinity;
    if (phi > 1) return Infinity;
    if (h.count === 0 || phi !== phi) return NaN;
    const sum = h.sum[0]!;
    const hasNaN = sum !== sum;
    const ascending = hasNaN || phi < 0.5;
    let rank = ascending ? phi * h.count : (1 - phi) * h.count;
    const cursor = this.#cursor.reset(h, !ascending);
    let count = 0;
    let inBucket = 0;
    let any = false;
    while (cursor.advance()) {
      any = true;
      inBucket = cursor.count;
      if (inBucket === 0) continue;
      count += inBucket;
      if (count >= rank) break;
    }
    if (any) cursor.locate();
    let lower = any ? cursor.lower : 0;
    let upper = any ? cursor.upper : 0;
    const custom = usesCustomBuckets(h);
    if (custom) {
      if (lower === -Infinity) {
        if (upper <= 0) return upper;
        lower = 0;
      } else if (upper === Infinity) return lower;
    } else if (lower < 0 && upper > 0) {
      if (h.negativeBuckets.length === 0 && h.positiveBuckets.length > 0) lower = 0;
      else if (h.positiveBuckets.length === 0 && h.negativeBuckets.length > 0) upper = 0;
    }
    // Rounding may have counted more than there is.
    if (count > h.count) count = h.count;
    if (count < rank) {
      // Only observations of NaN are counted without a bucket.
      if (!hasNaN) return upper;
      this.nan = NAN_RESULT;
      return NaN;
    }
    if (hasNaN) this.nan = NAN_SKEW;
    rank = ascending ? rank - (count - inBucket) : count - rank;
    const fraction = rank / inBucket;
    if (custom || (lower <= 0 && upper >= 0)) return lower + (upper - lower) * fraction;
    const logLower = Math.log2(Math.abs(lower));
    const logUpper = Math.log2(Math.abs(upper));
    if (lower > 0) return 2 ** (logLower + (logUpper - logLower) * fraction);
    return -(2 ** (logUpper + (logLower - logUpper) * (1 - fraction)));
  }

  /** histogram_fraction of one native histogram. */
  fraction(lower: number, upper: number, h: FloatHistogram): number {
    if (h.count === 0 || lower !== lower || upper !== upper) return NaN;
    if (lower >= upper) return 0;
    const sum = h.sum[0]!;
    let count = h.count;
    if (sum !== sum) {
      // Observations of NaN are in no bucket.
      count = 0;
      for (const cursor = this.#cursor.reset(h); cursor.next();) count += cursor.count;
    }
    const below = Math.min(this.#rank(lower, h, count), count);
    const upTo = Math.min(this.#rank(upper, h, count), count);
    return (upTo - below) / h.count;
  }

  /** Observations up to `x`, interpolated; `total` when x is above all buckets. */
  #rank(x: number, h: FloatHistogram, total: number): number {
    const custom = usesCustomBuckets(h);
    const cursor = this.#cursor.reset(h);
    let rank = 0;
    while (cursor.next()) {
      let { lower, upper } = cursor;
      let linear = custom;
      if (custom) {
        if (lower === -Infinity && upper > 0) lower = 0;
      } else if (lower <= 0 && upper >= 0) {
        linear = true;
        if (h.negativeBuckets.length === 0 && h.positiveBuckets.length > 0) lower = 0;
        else if (h.positiveBuckets.length === 0 && h.negativeBuckets.length > 0) upper = 0;
      }
      if (lower >= x) return rank;
      if (upper > x) {
        if (lower === -Infinity) return cursor.count;
        if (linear) return rank + cursor.count * (x - lower) / (upper - lower);
        const logLower = Math.log2(Math.abs(lower));
        const logUpper = Math.log2(Math.abs(upper));
        const logX = Math.log2(Math.abs(x));
        const fraction = x > 0
          ? (logX - logLower) / (logUpper - logLower)
          : 1 - ((logX - logUpper) / (logLower - logUpper));
        return rank + cursor.count * fraction;
      }
      rank += cursor.count;
    }
    return total;
  }

  /** histogram_stdvar: the spread of bucket midpoints around the mean. */
  variance(h: FloatHistogram): number {
    const mean = h.sum[0]! / h.count;
    const custom = usesCustomBuckets(h);
    let sum = 0;
    let lost = 0;
    for (const cursor = this.#cursor.reset(h); cursor.next();) {
      const { lower, upper, count } = cursor;
      if (count === 0) continue;
      let middle: number;
      if (custom) middle = (upper + lower) / 2;
      else if (lower <= 0 && upper >= 0) middle = 0;
      else {
        middle = Math.sqrt(upper * lower);
        if (upper < 0) middle = -middle;
      }
      const delta = middle - mean;
      const x = count * delta * delta;
      const t = sum + x;
      if (t === Infinity || t === -Infinity) lost = 0;
      else if (Math.abs(sum) >= Math.abs(x)) lost += (sum - t) + x;
      else lost += (x - t) + sum;
      sum = t;
    }
    return (sum + lost) / h.count;
  }
}
