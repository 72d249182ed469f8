/** Removing the observations above or below a threshold: the operators `</` and `>/`. */
import type { FloatHistogram, Span } from "./histogram.ts";
import { bucketBound } from "./histogram_bounds.ts";
import { bucketIndexes } from "./histogram_layout.ts";
import { compactHistogram, copyHistogram, usesCustomBuckets } from "./histogram_math.ts";

/** Collects what stays. */
interface Rest {
  count: number;
  sum: number;
  removed: boolean;
}

/**
 * A copy without the observations above (`</`) or below (`>/`) the threshold.
 *
 * A bucket that holds the threshold is divided as quantiles divide it: linearly for custom and zero
 * buckets, else exponentially. Buckets without a finite bound are not divided: their observations
 * count as infinite. When something was removed the sum is estimated anew from what stays.
 */
export function trimHistogram(
  h: FloatHistogram,
  threshold: number,
  above: boolean,
): FloatHistogram {
  const out = copyHistogram(h);
  const rest: Rest = { count: 0, sum: 0, removed: false };
  const onlyPositive = h.negativeBuckets.length === 0 && h.positiveBuckets.length > 0;
  const onlyNegative = h.positiveBuckets.length === 0 && h.negativeBuckets.length > 0;
  trimSide(h, h.negativeSpans, out.negativeBuckets, false, threshold, above, rest);
  if (h.zeroCount !== 0) {
    const lower = onlyPositive ? 0 : -h.zeroThreshold;
    const upper = onlyNegative ? 0 : h.zeroThreshold;
    out.zeroCount = keep(h.zeroCount, lower, upper, true, threshold, above, rest);
  }
  trimSide(h, h.positiveSpans, out.positiveBuckets, true, threshold, above, rest);
  if (rest.removed || threshold !== threshold) {
    out.count = rest.count;
    out.sum[0] = rest.sum;
  }
  return compactHistogram(out);
}

function trimSide(
  h: FloatHistogram,
  spans: readonly Span[],
  buckets: Float64Array,
  positive: boolean,
  threshold: number,
  above: boolean,
  rest: Rest,
): void {
  const custom = usesCustomBuckets(h);
  const indexes = bucketIndexes(spans);
  for (let i = 0; i < indexes.length; i++) {
    if (buckets[i] === 0) continue;
    let lower = bucketBound(indexes[i]! - 1, h.schema, h.customValues);
    let upper = bucketBound(indexes[i]!, h.schema, h.customValues);
    if (custom && lower === -Infinity && upper > 0) lower = 0;
    if (!custom && lower < h.zeroThreshold && upper > h.zeroThreshold) lower = h.zeroThreshold;
    if (!positive) [lower, upper] = [-upper, -lower];
    buckets[i] = keep(buckets[i]!, lower, upper, custom, threshold, above, rest);
  }
}

/** How much of a bucket stays; adds it to `rest`. */
function keep(
  count: number,
  lower: number,
  upper: number,
  linear: boolean,
  threshold: number,
  above: boolean,
  rest: Rest,
): number {
  let kept = 0;
  if (above ? upper <= threshold : lower >= threshold) kept = count;
  else if (lower < threshold && threshold < upper) {
    const below = fractionBelow(threshold, lower, upper, linear);
    kept = count * (above ? below : 1 - below);
    if (above) upper = threshold;
    else lower = threshold;
  }
  if (kept !== count) rest.removed = true;
  if (kept === 0) return 0;
  rest.count += kept;
  rest.sum += kept * middle(lower, upper, linear);
  return kept;
}

function fractionBelow(x: number, lower: number, upper: number, linear: boolean): number {
  if (lower === -Infinity) return 1;
  if (upper === Infinity) return 0;
  if (linear) return (x - lower) / (upper - lower);
  const logLower = Math.log2(Math.abs(lower));
  const logUpper = Math.log2(Math.abs(upper));
  return (Math.log2(Math.abs(x)) - logLower) / (logUpper - logLower);
}

/** The value that stands for all observations of a bucket. */
function middle(lower: number, upper: number, linear: boolean): number {
  if (lower === -Infinity) return upper;
  if (upper === Infinity) return lower;
  if (linear) return (lower + upper) / 2;
  return upper <= 0 ? -Math.sqrt(lower * upper) : Math.sqrt(lower * upper);
}
