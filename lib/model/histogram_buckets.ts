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

  /** Moves to the next bucket, empty ones included; false at the end. */
  next(): boolean {
    const h = this.#h!;
    const threshold = h.zeroThreshold;
    for (;;) {
      if (this.#stage === 1) {
        this.#stage = 2;
        this.#enter(!this.#descending);
        if (h.zeroCount > 0) {
          this.lower = -threshold;
          this.upper = threshold;
          this.count = h.zeroCount;
          this.boundary = CLOSED_BOTH;
          return true;
        }
      }
      if (!this.#step()) {
        if (this.#stage === 2) return false;
        this.#stage = 1;
        continue;
      }
      const custom = usesCustomBuckets(h);
      const upper = bucketBound(this.#index, h.schema, h.customValues);
      const lower = bucketBound(this.#index - 1, h.schema, h.customValues);
      this.count = this.#buckets[this.#at]!;
      if ((this.#stage === 2) === !this.#descending) {
        this.lower = !custom && lower < threshold ? threshold : lower;
        this.upper = upper;
        this.boundary = custom && this.#index === 0 ? CLOSED_BOTH : OPEN_LEFT;
      } else {
        this.lower = -upper;
        this.upper = lower < threshold ? -threshold : -lower;
        this.boundary = OPEN_RIGHT;
      }
      return true;
    }
  }
}
