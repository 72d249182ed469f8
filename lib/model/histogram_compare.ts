/** Comparing histograms: equality by bits, counter resets, validity. */
import { CUSTOM_BUCKETS_SCHEMA, type FloatHistogram, type Span } from "./histogram.ts";
import { coarserIndex, exponentialBound } from "./histogram_bounds.ts";
import { bucketIndexes, sameLayout, sameSpans } from "./histogram_layout.ts";
import { coarsenCustom, commonBounds, usesCustomBuckets, widerZero } from "./histogram_math.ts";
import { bitsOf } from "./stale.ts";

/**
 * True when both hold the same data: same buckets (empty ones count), all numbers equal by bits.
 * The counter reset hint is not compared.
 */
export function equalHistograms(a: FloatHistogram, b: FloatHistogram): boolean {
  if (a === b) return true;
  return a.schema === b.schema && Object.is(a.count, b.count) && sameBits(a.sum, b.sum) &&
    Object.is(a.zeroCount, b.zeroCount) && a.zeroThreshold === b.zeroThreshold &&
    (a.schema !== CUSTOM_BUCKETS_SCHEMA || sameNumbers(a.customValues, b.customValues)) &&
    sameLayout(a.positiveSpans, b.positiveSpans) && sameLayout(a.negativeSpans, b.negativeSpans) &&
    sameBits(a.positiveBuckets, b.positiveBuckets) &&
    sameBits(a.negativeBuckets, b.negativeBuckets);
}

function sameBits(a: Float64Array, b: Float64Array): boolean {
  if (a.length !== b.length) return false;
  const x = bitsOf(a);
  const y = bitsOf(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

function sameNumbers(a: Float64Array, b: Float64Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** True when the counter was reset between `previous` and `current`. */
export function detectReset(current: FloatHistogram, previous: FloatHistogram): boolean {
  if (current.counterResetHint === "reset") return true;
  if (current.counterResetHint === "not_reset") return false;
  if (current.count < previous.count) return true;
  const custom = usesCustomBuckets(current);
  if (custom !== usesCustomBuckets(previous)) return true;
  if (custom) return customReset(current, previous);
  if (current.schema > previous.schema) return true;
  let zeroCount = previous.zeroCount;
  if (current.zeroThreshold !== previous.zeroThreshold) {
    if (current.zeroThreshold < previous.zeroThreshold) return true;
    const wider = widerZero(previous, current.zeroThreshold);
    // The new threshold lies within a populated bucket of the previous histogram.
    if (wider.threshold !== current.zeroThreshold) return true;
    zeroCount = wider.count;
  }
  if (current.zeroCount < zeroCount) return true;
  const plain = current.schema === previous.schema &&
    current.zeroThreshold === previous.zeroThreshold;
  return sideReset(current, previous, true, plain) || sideReset(current, previous, false, plain);
}

/** `plain`: the layouts can be compared as they are. */
function sideReset(
  current: FloatHistogram,
  previous: FloatHistogram,
  positive: boolean,
  plain: boolean,
): boolean {
  const oldBuckets = positive ? previous.positiveBuckets : previous.negativeBuckets;
  if (oldBuckets.length === 0) return false;
  const buckets = positive ? current.positiveBuckets : current.negativeBuckets;
  const spans = positive ? current.positiveSpans : current.negativeSpans;
  const oldSpans = positive ? previous.positiveSpans : previous.negativeSpans;
  if (plain && sameSpans(spans, oldSpans)) return anyLower(buckets, oldBuckets);
  const indexes = bucketIndexes(spans);
  const old = bucketIndexes(oldSpans);
  if (current.schema !== previous.schema) {
    for (let i = 0; i < old.length; i++) {
      old[i] = coarserIndex(old[i]!, previous.schema, current.schema);
    }
  }
  let j = 0;
  for (let i = 0; i < old.length;) {
    const index = old[i]!;
    let count = 0;
    while (i < old.length && old[i] === index) count += oldBuckets[i++]!;
    if (count === 0) continue;
    if (!plain && exponentialBound(index, current.schema) <= current.zeroThreshold) continue;
    while (j < indexes.length && indexes[j]! < index) j++;
    if (j === indexes.length || indexes[j] !== index || buckets[j]! < count) return true;
  }
  return false;
}

function anyLower(buckets: Float64Array, oldBuckets: Float64Array): boolean {
  for (let i = 0; i < buckets.length; i++) if (buckets[i]! < oldBuckets[i]!) return true;
  return false;
}

function customReset(current: FloatHistogram, previous: FloatHistogram): boolean {
  if (!sameNumbers(current.customValues, previous.customValues)) {
    const bounds = commonBounds(current.customValues, previous.customValues);
    current = { ...current };
    previous = { ...previous };
    coarsenCustom(current, bounds);
    coarsenCustom(previous, bounds);
  }
  return sideReset(current, previous, true, true);
}

/**
 * Says what is wrong with a histogram that came from outside, undefined when it is sound. Words as
 * Prometheus uses them, so that writers see the same refusal.
 */
export function histogramFault(h: FloatHistogram): string | undefined {
  const custom = usesCustomBuckets(h);
  if (!custom && !(Number.isInteger(h.schema) && h.schema >= -4 && h.schema <= 8)) {
    return "histogram has an invalid schema, which must be between -4 and 8 for exponential " +
      `buckets, or -53 for custom buckets, got schema ${h.schema}`;
  }
  if (custom) {
    const fault = customFault(h);
    if (fault !== undefined) return `custom buckets: ${fault}`;
  } else {
    const positive = spansFault(h.positiveSpans, h.positiveBuckets.length);
    if (positive !== undefined) return `positive side: ${positive}`;
    const negative = spansFault(h.negativeSpans, h.negativeBuckets.length);
    if (negative !== undefined) return `negative side: ${negative}`;
    if (h.customValues.length > 0) {
      return "histogram with exponential schema must not have custom bounds";
    }
    const below = bucketsFault(h.negativeBuckets);
    if (below !== undefined) return `negative side: ${below}`;
  }
  const above = bucketsFault(h.positiveBuckets);
  if (above !== undefined) return `positive side: ${above}`;
  if (h.zeroCount < 0) {
    return `zero bucket has observation count of ${h.zeroCount}: histogram has a bucket whose ` +
      "observation count is negative";
  }
  if (h.count < 0) {
    return `observation count is ${h.count}: histogram's observation count is negative`;
  }
  return undefined;
}

function customFault(h: FloatHistogram): string | undefined {
  let previous = -Infinity;
  for (let i = 0; i < h.customValues.length; i++) {
    const bound = h.customValues[i]!;
    if (bound !== bound) return "histogram custom bounds must not be NaN";
    if (i > 0 && bound <= previous) {
      return `previous bound is ${previous.toFixed(6)} and current is ${bound.toFixed(6)}: ` +
        "histogram custom bounds must be in strictly increasing order";
    }
    previous = bound;
  }
  if (previous === Infinity) {
    return "last +Inf bound must not be explicitly defined: histogram custom bounds must be finite";
  }
  let reach = 0;
  for (const span of h.positiveSpans) reach += span.offset + span.length;
  const fault = spansFault(h.positiveSpans, h.positiveBuckets.length, true);
  if (fault !== undefined) return fault;
  if (h.customValues.length + 1 < reach) {
    return `only ${h.customValues.length} custom bounds defined which is insufficient to cover ` +
      `total span length of ${reach}: histogram custom bounds are too few`;
  }
  if (h.zeroCount !== 0) return "must have zero count of 0";
  if (h.zeroThreshold !== 0) return "must have zero threshold of 0";
  if (h.negativeSpans.length > 0) return "must not have negative spans";
  if (h.negativeBuckets.length > 0) return "must not have negative buckets";
  return undefined;
}

function spansFault(
  spans: readonly Span[],
  buckets: number,
  firstToo = false,
): string | undefined {
  let need = 0;
  for (let i = 0; i < spans.length; i++) {
    const span = spans[i]!;
    if (span.offset < 0 && (i > 0 || firstToo)) {
      return `span number ${i + 1} with offset ${span.offset}: histogram has a span whose offset ` +
        "is negative";
    }
    need += span.length;
  }
  if (need === buckets) return undefined;
  return `spans need ${need} buckets, have ${buckets} buckets: histogram spans specify different ` +
    "number of buckets than provided";
}

function bucketsFault(buckets: Float64Array): string | undefined {
  for (let i = 0; i < buckets.length; i++) {
    if (buckets[i]! < 0) {
      return `bucket number ${i + 1} has observation count of ${buckets[i]}: histogram has a ` +
        "bucket whose observation count is negative";
    }
  }
  return undefined;
}
