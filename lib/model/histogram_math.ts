/**
 * Arithmetic of float histograms: copy, compact, add, subtract, scale, coarser resolution.
 *
 * A function that changes its first argument says so; the second one is never changed. Spans and
 * custom bounds are immutable and shared between histograms, bucket columns are owned.
 */
import {
  type CounterResetHint,
  CUSTOM_BUCKETS_SCHEMA,
  type FloatHistogram,
  type Histogram,
  type Span,
} from "./histogram.ts";
import { coarserIndex, exponentialBound } from "./histogram_bounds.ts";
import {
  bucketIndexes,
  NO_BUCKETS,
  NO_SPANS,
  regroupBuckets,
  sameSpans,
  spansOfIndexes,
  spreadBuckets,
  unionOfIndexes,
} from "./histogram_layout.ts";

/** Outcome of adding or subtracting, as bits. */
export const MERGE_OK = 0;
/** One operand says "reset", the other "not reset"; the result says "unknown". */
export const MERGE_RESET_CONFLICT = 1;
/** Custom bounds differed; the result has the common ones. */
export const MERGE_BOUNDS_RECONCILED = 2;
/** Exponential and custom buckets; nothing was changed. */
export const MERGE_INCOMPATIBLE = 4;

/** True for schema −53. */
export function usesCustomBuckets(h: FloatHistogram | Histogram): boolean {
  return h.schema === CUSTOM_BUCKETS_SCHEMA;
}

/** A histogram without observations. */
export function emptyHistogram(
  schema = 0,
  customValues: Float64Array = NO_BUCKETS,
): FloatHistogram {
  return {
    counterResetHint: "unknown",
    schema,
    zeroThreshold: 0,
    zeroCount: 0,
    count: 0,
    sum: new Float64Array(1),
    positiveSpans: NO_SPANS,
    negativeSpans: NO_SPANS,
    positiveBuckets: NO_BUCKETS,
    negativeBuckets: NO_BUCKETS,
    customValues,
  };
}

/** A copy that can be changed; the sum's bits are kept. */
export function copyHistogram(h: FloatHistogram): FloatHistogram {
  return {
    counterResetHint: h.counterResetHint,
    schema: h.schema,
    zeroThreshold: h.zeroThreshold,
    zeroCount: h.zeroCount,
    count: h.count,
    sum: h.sum.slice(),
    positiveSpans: h.positiveSpans,
    negativeSpans: h.negativeSpans,
    positiveBuckets: h.positiveBuckets.slice(),
    negativeBuckets: h.negativeBuckets.slice(),
    customValues: h.customValues,
  };
}

/** The same sample with another counter reset hint; shares all columns with `h`. */
export function withResetHint(h: FloatHistogram, hint: CounterResetHint): FloatHistogram {
  if (h.counterResetHint === hint) return h;
  return {
    counterResetHint: hint,
    schema: h.schema,
    zeroThreshold: h.zeroThreshold,
    zeroCount: h.zeroCount,
    count: h.count,
    sum: h.sum,
    positiveSpans: h.positiveSpans,
    negativeSpans: h.negativeSpans,
    positiveBuckets: h.positiveBuckets,
    negativeBuckets: h.negativeBuckets,
    customValues: h.customValues,
  };
}

/** The integer histogram with absolute float buckets. */
export function floatHistogramOf(h: Histogram): FloatHistogram {
  return {
    counterResetHint: h.counterResetHint,
    schema: h.schema,
    zeroThreshold: h.zeroThreshold,
    zeroCount: h.zeroCount,
    count: h.count,
    sum: h.sum.slice(),
    positiveSpans: h.positiveSpans,
    negativeSpans: h.negativeSpans,
    positiveBuckets: runningSums(h.positiveDeltas),
    negativeBuckets: runningSums(h.negativeDeltas),
    customValues: h.customValues,
  };
}

function runningSums(deltas: Float64Array): Float64Array {
  const out = new Float64Array(deltas.length);
  let sum = 0;
  for (let i = 0; i < deltas.length; i++) out[i] = sum += deltas[i]!;
  return out;
}

/** Removes empty buckets and joins adjacent spans; changes and returns `h`. */
export function compactHistogram(h: FloatHistogram): FloatHistogram {
  if (!isCompact(h.positiveSpans, h.positiveBuckets)) {
    const side = compactSide(h.positiveSpans, h.positiveBuckets);
    h.positiveSpans = side.spans;
    h.positiveBuckets = side.buckets;
  }
  if (!isCompact(h.negativeSpans, h.negativeBuckets)) {
    const side = compactSide(h.negativeSpans, h.negativeBuckets);
    h.negativeSpans = side.spans;
    h.negativeBuckets = side.buckets;
  }
  return h;
}

function isCompact(spans: readonly Span[], buckets: Float64Array): boolean {
  for (let i = 0; i < buckets.length; i++) if (buckets[i] === 0) return false;
  for (let i = 0; i < spans.length; i++) {
    if (spans[i]!.length === 0 || (i > 0 && spans[i]!.offset === 0)) return false;
  }
  return true;
}

function compactSide(
  spans: readonly Span[],
  buckets: Float64Array,
): { spans: readonly Span[]; buckets: Float64Array } {
  const indexes = bucketIndexes(spans);
  const out = new Float64Array(buckets.length);
  let n = 0;
  for (let i = 0; i < buckets.length; i++) {
    if (buckets[i] === 0) continue;
    out[n] = buckets[i]!;
    indexes[n++] = indexes[i]!;
  }
  return { spans: spansOfIndexes(indexes, n), buckets: out.slice(0, n) };
}

/** Adds `other` to `target`; returns MERGE_… bits. */
export function addHistogram(target: FloatHistogram, other: FloatHistogram): number {
  return merge(target, null, other, 1);
}

/** Subtracts `other` from `target`; returns MERGE_… bits. */
export function subtractHistogram(target: FloatHistogram, other: FloatHistogram): number {
  return merge(target, null, other, -1);
}

/**
 * Adds `other` to `target` and what rounding lost to `lost`; returns MERGE_… bits.
 *
 * `lost` has the layout of `target`; both are changed. Start with `lostOf(target)`.
 */
export function addHistogramCompensated(
  target: FloatHistogram,
  lost: FloatHistogram,
  other: FloatHistogram,
): number {
  return merge(target, lost, other, 1);
}

/** A histogram of zeros with the layout of `target`, to collect what rounding lost. */
export function lostOf(target: FloatHistogram): FloatHistogram {
  return {
    counterResetHint: target.counterResetHint,
    schema: target.schema,
    zeroThreshold: target.zeroThreshold,
    zeroCount: 0,
    count: 0,
    sum: new Float64Array(1),
    positiveSpans: target.positiveSpans,
    negativeSpans: target.negativeSpans,
    positiveBuckets: new Float64Array(target.positiveBuckets.length),
    negativeBuckets: new Float64Array(target.negativeBuckets.length),
    customValues: target.customValues,
  };
}

/** Adds what rounding lost back to `target`, element by element; changes and returns `target`. */
export function addLost(target: FloatHistogram, lost: FloatHistogram): FloatHistogram {
  target.zeroCount += lost.zeroCount;
  target.count += lost.count;
  target.sum[0]! += lost.sum[0]!;
  addColumn(target.positiveBuckets, lost.positiveBuckets, 1);
  addColumn(target.negativeBuckets, lost.negativeBuckets, 1);
  return target;
}

function addColumn(target: Float64Array, other: Float64Array, sign: number): void {
  for (let i = 0; i < target.length; i++) target[i]! += sign * other[i]!;
}

function merge(
  target: FloatHistogram,
  lost: FloatHistogram | null,
  other: FloatHistogram,
  sign: number,
): number {
  if (usesCustomBuckets(target) !== usesCustomBuckets(other)) return MERGE_INCOMPATIBLE;
  let outcome = mergeHints(target, other);
  if (usesCustomBuckets(target)) {
    if (sameColumn(target.customValues, other.customValues)) {
      mergeSide(target, lost, true, other.positiveSpans, other.positiveBuckets, sign);
    } else {
      mergeCustom(target, lost, other, sign);
      outcome |= MERGE_BOUNDS_RECONCILED;
    }
    mergeScalars(target, lost, 0, other, sign);
    return outcome;
  }
  let from = other;
  if (target.zeroThreshold !== from.zeroThreshold) {
    from = shallowCopy(from);
    // Widening one side may reach into a populated bucket and go farther than asked.
    while (target.zeroThreshold !== from.zeroThreshold) {
      if (target.zeroThreshold > from.zeroThreshold) widenZero(from, null, target.zeroThreshold);
      else widenZero(target, lost, from.zeroThreshold);
    }
  }
  mergeScalars(target, lost, from.zeroCount, from, sign);
  if (from.schema < target.schema) {
    reduceSides(target, from.schema);
    if (lost !== null) reduceSides(lost, from.schema);
  } else if (from.schema > target.schema) {
    if (from === other) from = shallowCopy(other);
    reduceSides(from, target.schema);
  }
  mergeSide(target, lost, true, from.positiveSpans, from.positiveBuckets, sign);
  mergeSide(target, lost, false, from.negativeSpans, from.negativeBuckets, sign);
  return outcome;
}

/** Works out the hint of a sum; sets it in `target`. */
function mergeHints(target: FloatHistogram, other: FloatHistogram): number {
  const a = target.counterResetHint;
  const b = other.counterResetHint;
  if (a === b || a === "gauge") return MERGE_OK;
  if (b === "gauge") {
    target.counterResetHint = "gauge";
    return MERGE_OK;
  }
  target.counterResetHint = "unknown";
  return a === "unknown" || b === "unknown" ? MERGE_OK : MERGE_RESET_CONFLICT;
}

function mergeScalars(
  target: FloatHistogram,
  lost: FloatHistogram | null,
  zeroCount: number,
  other: FloatHistogram,
  sign: number,
): void {
  if (lost === null) {
    target.zeroCount += sign * zeroCount;
    target.count += sign * other.count;
    target.sum[0]! += sign * other.sum[0]!;
    return;
  }
  lost.zeroCount = lossOf(sign * zeroCount, target.zeroCount, lost.zeroCount);
  target.zeroCount += sign * zeroCount;
  lost.count = lossOf(sign * other.count, target.count, lost.count);
  target.count += sign * other.count;
  lost.sum[0] = lossOf(sign * other.sum[0]!, target.sum[0]!, lost.sum[0]!);
  target.sum[0]! += sign * other.sum[0]!;
}

/** The new compensation when x is added to a sum (Neumaier). */
function lossOf(x: number, sum: number, lost: number): number {
  const t = sum + x;
  if (t === Infinity || t === -Infinity) return 0;
  return Math.abs(sum) >= Math.abs(x) ? lost + ((sum - t) + x) : lost + ((x - t) + sum);
}

function mergeSide(
  target: FloatHistogram,
  lost: FloatHistogram | null,
  positive: boolean,
  spans: readonly Span[],
  buckets: Float64Array,
  sign: number,
): void {
  if (buckets.length === 0) return;
  const own = positive ? target.positiveSpans : target.negativeSpans;
  if (!sameSpans(own, spans)) {
    if (covers(own, spans)) {
      const sums = positive ? target.positiveBuckets : target.negativeBuckets;
      const losses = lost === null ? null : positive ? lost.positiveBuckets : lost.negativeBuckets;
      return mergeCovered(own, sums, losses, spans, buckets, sign);
    }
    const from = bucketIndexes(own);
    const add = bucketIndexes(spans);
    const union = unionOfIndexes(from, add);
    if (union.length !== from.length) relayout(target, lost, positive, from, union);
    if (union.length !== add.length) buckets = spreadBuckets(buckets, add, union);
  }
  const sums = positive ? target.positiveBuckets : target.negativeBuckets;
  if (lost === null) {
    addColumn(sums, buckets, sign);
    return;
  }
  const losses = positive ? lost.positiveBuckets : lost.negativeBuckets;
  for (let i = 0; i < sums.length; i++) {
    const x = sign * buckets[i]!;
    losses[i] = lossOf(x, sums[i]!, losses[i]!);
    sums[i]! += x;
  }
}

/** True when every bucket of `inner` is one of `outer`. */
function covers(outer: readonly Span[], inner: readonly Span[]): boolean {
  let o = 0;
  let from = outer.length > 0 ? outer[0]!.offset : 0;
  let to = outer.length > 0 ? from + outer[0]!.length : 0;
  let index = 0;
  for (let i = 0; i < inner.length; i++) {
    index += inner[i]!.offset;
    const end = index + inner[i]!.length;
    while (index < end) {
      while (o < outer.length && to <= index) {
        if (++o === outer.length) break;
        from = to + outer[o]!.offset;
        to = from + outer[o]!.length;
      }
      if (o === outer.length || index < from) return false;
      index = to < end ? to : end;
    }
  }
  return true;
}

/** Adds buckets into a layout that covers theirs. */
function mergeCovered(
  own: readonly Span[],
  sums: Float64Array,
  losses: Float64Array | null,
  spans: readonly Span[],
  buckets: Float64Array,
  sign: number,
): void {
  let o = 0;
  let from = own[0]!.offset;
  let to = from + own[0]!.length;
  // Place of bucket `from` among the sums.
  let place = 0;
  let index = 0;
  let b = 0;
  for (let i = 0; i < spans.length; i++) {
    index += spans[i]!.offset;
    const end = index + spans[i]!.length;
    while (index < end) {
      while (to <= index) {
        place += own[o]!.length;
        o++;
        from = to + own[o]!.offset;
        to = from + own[o]!.length;
      }
      const stop = to < end ? to : end;
      for (let at = place + index - from; index < stop; index++, at++) {
        const x = sign * buckets[b++]!;
        if (losses !== null) losses[at] = lossOf(x, sums[at]!, losses[at]!);
        sums[at]! += x;
      }
    }
  }
}

function relayout(
  target: FloatHistogram,
  lost: FloatHistogram | null,
  positive: boolean,
  from: Int32Array,
  to: Int32Array,
): void {
  const spans = spansOfIndexes(to);
  for (const h of lost === null ? [target] : [target, lost]) {
    if (positive) {
      h.positiveSpans = spans;
      h.positiveBuckets = spreadBuckets(h.positiveBuckets, from, to);
    } else {
      h.negativeSpans = spans;
      h.negativeBuckets = spreadBuckets(h.negativeBuckets, from, to);
    }
  }
}

/** A copy that shares the columns; for replacing columns without touching the original. */
function shallowCopy(h: FloatHistogram): FloatHistogram {
  return { ...h };
}

/** Merges two adjacent resolutions down to `schema`; changes `h`. */
function reduceSides(h: FloatHistogram, schema: number): void {
  const from = h.schema;
  h.schema = schema;
  if (h.positiveBuckets.length > 0) {
    const side = regroupBuckets(h.positiveBuckets, coarser(h.positiveSpans, from, schema));
    h.positiveSpans = spansOfIndexes(side.indexes);
    h.positiveBuckets = side.buckets;
  }
  if (h.negativeBuckets.length > 0) {
    const side = regroupBuckets(h.negativeBuckets, coarser(h.negativeSpans, from, schema));
    h.negativeSpans = spansOfIndexes(side.indexes);
    h.negativeBuckets = side.buckets;
  }
}

function coarser(spans: readonly Span[], from: number, to: number): Int32Array {
  const indexes = bucketIndexes(spans);
  for (let i = 0; i < indexes.length; i++) indexes[i] = coarserIndex(indexes[i]!, from, to);
  return indexes;
}

/** A copy at a coarser schema; the same schema gives a plain copy. */
export function copyToSchema(h: FloatHistogram, schema: number): FloatHistogram {
  const copy = copyHistogram(h);
  if (schema !== h.schema) reduceSides(copy, schema);
  return copy;
}

/** What a wider zero bucket would hold. */
interface WiderZero {
  count: number;
  threshold: number;
}

/**
 * Count of the zero bucket if it reached to `threshold`, and the threshold it would really get: a
 * populated bucket is taken in whole.
 */
export function widerZero(h: FloatHistogram, threshold: number): WiderZero {
  if (threshold <= h.zeroThreshold) return { count: h.zeroCount, threshold: h.zeroThreshold };
  const positive = bucketIndexes(h.positiveSpans);
  const negative = bucketIndexes(h.negativeSpans);
  for (;;) {
    let count = h.zeroCount;
    let reach = threshold;
    for (let side = 0; side < 2; side++) {
      const indexes = side === 0 ? positive : negative;
      const buckets = side === 0 ? h.positiveBuckets : h.negativeBuckets;
      for (let i = 0; i < indexes.length; i++) {
        if (exponentialBound(indexes[i]! - 1, h.schema) >= reach) break;
        count += buckets[i]!;
        const upper = exponentialBound(indexes[i]!, h.schema);
        if (upper <= reach) continue;
        if (buckets[i] !== 0) reach = upper;
        break;
      }
    }
    // Negative buckets may have pushed it past positive ones already passed by.
    if (reach === threshold) return { count, threshold };
    threshold = reach;
  }
}

/** Widens the zero bucket to at least `threshold`, see widerZero(); changes `h`. */
export function widenZeroBucket(h: FloatHistogram, threshold: number): void {
  if (threshold > h.zeroThreshold) widenZero(h, null, threshold);
}

/** Widens the zero bucket to at least `threshold` and drops the buckets it took in. */
function widenZero(h: FloatHistogram, lost: FloatHistogram | null, threshold: number): void {
  const wider = widerZero(h, threshold);
  if (lost !== null) {
    // The compensation of the buckets taken in goes along with them.
    lost.zeroCount += dropBelow(lost, wider.threshold);
    lost.zeroThreshold = wider.threshold;
  }
  dropBelow(h, wider.threshold);
  h.zeroCount = wider.count;
  h.zeroThreshold = wider.threshold;
}

/** Drops buckets that begin below `threshold`; returns the sum of what they held. */
function dropBelow(h: FloatHistogram, threshold: number): number {
  let sum = 0;
  for (let side = 0; side < 2; side++) {
    const spans = side === 0 ? h.positiveSpans : h.negativeSpans;
    const buckets = side === 0 ? h.positiveBuckets : h.negativeBuckets;
    const indexes = bucketIndexes(spans);
    let n = 0;
    while (n < indexes.length && exponentialBound(indexes[n]! - 1, h.schema) < threshold) {
      sum += buckets[n++]!;
    }
    if (n === 0) continue;
    const rest = spansOfIndexes(indexes.subarray(n));
    if (side === 0) {
      h.positiveSpans = rest;
      h.positiveBuckets = buckets.slice(n);
    } else {
      h.negativeSpans = rest;
      h.negativeBuckets = buckets.slice(n);
    }
  }
  return sum;
}

function sameColumn(a: Float64Array, b: Float64Array): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The bounds that stand in both lists. */
export function commonBounds(a: Float64Array, b: Float64Array): Float64Array {
  const out = new Float64Array(Math.min(a.length, b.length));
  let i = 0;
  let j = 0;
  let n = 0;
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      out[n++] = a[i]!;
      i++;
      j++;
    } else if (a[i]! < b[j]!) i++;
    else j++;
  }
  return out.slice(0, n);
}

/** Index, among the buckets that `bounds` cut, of each bucket of a custom layout. */
function customTargets(
  spans: readonly Span[],
  customValues: Float64Array,
  bounds: Float64Array,
): Int32Array {
  const indexes = bucketIndexes(spans);
  let j = 0;
  for (let i = 0; i < indexes.length; i++) {
    const upper = indexes[i]! < customValues.length ? customValues[indexes[i]!]! : Infinity;
    while (j < bounds.length && bounds[j]! < upper) j++;
    indexes[i] = j;
  }
  return indexes;
}

/** Brings a custom histogram to coarser bounds; changes `h`. */
export function coarsenCustom(h: FloatHistogram, bounds: Float64Array): void {
  const targets = customTargets(h.positiveSpans, h.customValues, bounds);
  const side = regroupBuckets(h.positiveBuckets, targets);
  h.positiveSpans = spansOfIndexes(side.indexes);
  h.positiveBuckets = side.buckets;
  h.customValues = bounds;
}

function mergeCustom(
  target: FloatHistogram,
  lost: FloatHistogram | null,
  other: FloatHistogram,
  sign: number,
): void {
  const bounds = commonBounds(target.customValues, other.customValues);
  coarsenCustom(target, bounds);
  if (lost !== null) coarsenCustom(lost, bounds);
  const from = shallowCopy(other);
  coarsenCustom(from, bounds);
  mergeSide(target, lost, true, from.positiveSpans, from.positiveBuckets, sign);
}

/** Multiplies all counts and the sum; a negative factor makes a gauge. Changes and returns `h`. */
export function scaleHistogram(h: FloatHistogram, factor: number): FloatHistogram {
  h.zeroCount *= factor;
  h.count *= factor;
  h.sum[0]! *= factor;
  for (let i = 0; i < h.positiveBuckets.length; i++) h.positiveBuckets[i]! *= factor;
  for (let i = 0; i < h.negativeBuckets.length; i++) h.negativeBuckets[i]! *= factor;
  if (factor < 0) h.counterResetHint = "gauge";
  return h;
}

/**
 * Divides all counts and the sum; a negative divisor makes a gauge, division by zero leaves no
 * buckets. Changes and returns `h`.
 */
export function divideHistogram(h: FloatHistogram, divisor: number): FloatHistogram {
  h.zeroCount /= divisor;
  h.count /= divisor;
  h.sum[0]! /= divisor;
  if (divisor < 0) h.counterResetHint = "gauge";
  if (divisor === 0) {
    h.positiveSpans = NO_SPANS;
    h.negativeSpans = NO_SPANS;
    h.positiveBuckets = NO_BUCKETS;
    h.negativeBuckets = NO_BUCKETS;
    return h;
  }
  for (let i = 0; i < h.positiveBuckets.length; i++) h.positiveBuckets[i]! /= divisor;
  for (let i = 0; i < h.negativeBuckets.length; i++) h.negativeBuckets[i]! /= divisor;
  return h;
}

/** True when a count, the sum or a bucket is infinite. */
export function hasOverflow(h: FloatHistogram): boolean {
  return isInfinite(h.zeroCount) || isInfinite(h.count) || isInfinite(h.sum[0]!) ||
    anyInfinite(h.positiveBuckets) || anyInfinite(h.negativeBuckets);
}

function isInfinite(x: number): boolean {
  return x === Infinity || x === -Infinity;
}

function anyInfinite(column: Float64Array): boolean {
  for (let i = 0; i < column.length; i++) if (isInfinite(column[i]!)) return true;
  return false;
}
