/** Bucket layouts: spans to indexes and back, and moving buckets between layouts. */
import type { Span } from "./histogram.ts";

/** A shared empty column. */
export const NO_BUCKETS: Float64Array = new Float64Array(0);
/** A shared empty layout. */
export const NO_SPANS: readonly Span[] = Object.freeze([]);

/** Number of buckets that spans cover. */
export function bucketCount(spans: readonly Span[]): number {
  let n = 0;
  for (let i = 0; i < spans.length; i++) n += spans[i]!.length;
  return n;
}

/** Index of every bucket, in order. */
export function bucketIndexes(spans: readonly Span[]): Int32Array {
  const out = new Int32Array(bucketCount(spans));
  let at = 0;
  let index = 0;
  for (let s = 0; s < spans.length; s++) {
    const span = spans[s]!;
    index += span.offset;
    for (let k = 0; k < span.length; k++) out[at++] = index++;
  }
  return out;
}

/** The shortest spans for the first `n` of ascending bucket indexes. */
export function spansOfIndexes(indexes: Int32Array, n: number = indexes.length): readonly Span[] {
  if (n === 0) return NO_SPANS;
  const spans: { offset: number; length: number }[] = [];
  let next = 0;
  for (let i = 0; i < n; i++) {
    const index = indexes[i]!;
    const last = spans[spans.length - 1];
    if (last !== undefined && index === next) last.length++;
    else spans.push({ offset: index - next, length: 1 });
    next = index + 1;
  }
  return spans;
}

/** True when both lists are the same span by span. */
export function sameSpans(a: readonly Span[], b: readonly Span[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (a[i]!.offset !== b[i]!.offset || a[i]!.length !== b[i]!.length) return false;
  }
  return true;
}

/** True when both lists stand for the same buckets, however they are cut into spans. */
export function sameLayout(a: readonly Span[], b: readonly Span[]): boolean {
  if (sameSpans(a, b)) return true;
  if (bucketCount(a) !== bucketCount(b)) return false;
  const x = bucketIndexes(a);
  const y = bucketIndexes(b);
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}

/** All indexes of two ascending lists, ascending, each once. */
export function unionOfIndexes(a: Int32Array, b: Int32Array): Int32Array {
  const out = new Int32Array(a.length + b.length);
  let i = 0;
  let j = 0;
  let n = 0;
  while (i < a.length && j < b.length) {
    const x = a[i]!;
    const y = b[j]!;
    if (x <= y) i++;
    if (y <= x) j++;
    out[n++] = x < y ? x : y;
  }
  while (i < a.length) out[n++] = a[i++]!;
  while (j < b.length) out[n++] = b[j++]!;
  return n === out.length ? out : out.slice(0, n);
}

/** Puts the buckets of layout `from` into the layout `to`, which has all of its indexes. */
export function spreadBuckets(
  buckets: Float64Array,
  from: Int32Array,
  to: Int32Array,
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(to.length);
  let j = 0;
  for (let i = 0; i < from.length; i++) {
    while (to[j] !== from[i]) j++;
    out[j] = buckets[i]!;
  }
  return out;
}

/** One side of a histogram. Owner: whoever made it. */
export interface BucketSide {
  readonly spans: readonly Span[];
  readonly buckets: Float64Array;
}

/**
 * Moves buckets to other indexes, adding up those that meet.
 *
 * `target` gives the new index of each bucket; it must not descend.
 */
export function regroupBuckets(
  buckets: Float64Array,
  target: Int32Array,
): { indexes: Int32Array; buckets: Float64Array } {
  const indexes = new Int32Array(target.length);
  const out = new Float64Array(target.length);
  let n = 0;
  for (let i = 0; i < target.length; i++) {
    if (n === 0 || indexes[n - 1] !== target[i]) indexes[n++] = target[i]!;
    out[n - 1]! += buckets[i]!;
  }
  return { indexes: indexes.slice(0, n), buckets: out.slice(0, n) };
}
