/** Walking the buckets of a histogram in ascending or descending order of value. */
import type { FloatHistogram, Span } from "./histogram.ts";
import { bucketBound } from "./histogram_bounds.ts";
import { usesCustomBuckets } from "./histogram_math.ts";

/** How a bucket's bounds belong to it; the numbers that JSON answers use. */
export const OPEN_LEFT = 0;
export const OPEN_RIGHT = 1;
export const OPEN_BOTH = 2;
export const CLOSED_BOTH = 3;

/**
 * A cursor over all buckets, negative, zero and positive ones; the zero bucket only when populated.
 *
 * Bounds are clipped to the zero threshold. One cursor serves many histograms: reset() it. While
 * next() returns true, the fields describe the current bucket.
 */
export class BucketCursor {
  lower = 0;
  upper = 0;
  count = 0;
  /** OPEN_… or CLOSED_…, as JSON answers name it. */
  boundary = OPEN_LEFT;
  #h: FloatHistogram | null = null;
  #descending = false;
  /** 0 first side, 1 zero bucket, 2 second side. */
  #stage = 0;
  #spans: readonly Span[] = [];
  #buckets: Float64Array = new Float64Array(0);
  #span = 0;
  #inSpan = 0;
  #at = 0;
  #index = 0;
  #up = true;
  #positive = false;
  /** What advance() last found: the zero bucket, or the index and side of another one. */
  #zero = false;
  #found = 0;
  #foundPositive = false;

  /** Starts over with `h`, which must not change until the walk ends. */
  reset(h: FloatHistogram, descending = false): this {
    this.#h = h;
    this.#descending = descending;
    this.#stage = 0;
    this.#enter(descending);
    return this;
  }

  #enter(positive: boolean): void {
    const h = this.#h!;
    this.#positive = positive;
    this.#spans = positive ? h.positiveSpans : h.negativeSpans;
    this.#buckets = positive ? h.positiveBuckets : h.negativeBuckets;
    // Ascending values: negative buckets from the highest index down, positive ones upwards.
    this.#up = positive !== this.#descending;
    if (this.#up) {
      this.#span = 0;
      this.#at = -1;
      this.#index = this.#spans.length > 0 ? this.#spans[0]!.offset - 1 : 0;
      this.#inSpan = 0;
    } else {
      this.#span = this.#spans.length - 1;
      this.#at = this.#buckets.length;
      let end = 0;
      for (const span of this.#spans) end += span.offset + span.length;
      this.#index = end;
      this.#inSpan = this.#span >= 0 ? this.#spans[this.#span]!.length : 0;
    }
  }

  #step(): boolean {
    const spans = this.#spans;
    if (this.#up) {
      if (++this.#at >= this.#buckets.length) return false;
      this.#index++;
      while (this.#inSpan === spans[this.#span]!.length) {
        this.#index += spans[++this.#span]!.offset;
        this.#inSpan = 0;
      }
      this.#inSpan++;
      return true;
    }
    if (--this.#at < 0) return false;
    this.#index--;
    while (this.#inSpan === 0) {
      this.#index -= spans[this.#span]!.offset;
      this.#inSpan = spans[--this.#span]!.length;
    }
    this.#inSpan--;
    return true;
  }

  /** Moves to the next bucket, empty ones included, and finds its bounds; false at the end. */
  next(): boolean {
    if (!this.advance()) return false;
    this.locate();
    return true;
  }

  /** Moves to the next bucket and sets `count` only; false at the end. */
  advance(): boolean {
    for (;;) {
      if (this.#stage === 1) {
        this.#stage = 2;
        this.#enter(!this.#descending);
        if (this.#h!.zeroCount > 0) {
          this.count = this.#h!.zeroCount;
          this.#zero = true;
          return true;
        }
      }
      if (this.#step()) {
        this.count = this.#buckets[this.#at]!;
        this.#zero = false;
        this.#found = this.#index;
        this.#foundPositive = this.#positive;
        return true;
      }
      if (this.#stage === 2) return false;
      this.#stage = 1;
    }
  }

  /** Sets the bounds of the bucket that advance() last moved to. */
  locate(): void {
    const h = this.#h!;
    const threshold = h.zeroThreshold;
    if (this.#zero) {
      this.lower = -threshold;
      this.upper = threshold;
      this.boundary = CLOSED_BOTH;
      return;
    }
    const index = this.#found;
    const custom = usesCustomBuckets(h);
    const upper = bucketBound(index, h.schema, h.customValues);
    const lower = bucketBound(index - 1, h.schema, h.customValues);
    if (this.#foundPositive) {
      this.lower = !custom && lower < threshold ? threshold : lower;
      this.upper = upper;
      this.boundary = custom && index === 0 ? CLOSED_BOTH : OPEN_LEFT;
    } else {
      this.lower = -upper;
      this.upper = lower < threshold ? -threshold : -lower;
      this.boundary = OPEN_RIGHT;
    }
  }
}
