/**
 * Native histograms: value types. Arithmetic stands in histogram_math.ts.
 *
 * Bucket i of an exponential schema s covers (base^(i-1), base^i] with base = 2^(2^-s); schema -53
 * has custom upper bounds. Spans list runs of buckets: the first offset is an index, later ones are
 * gaps.
 */

/** A run of consecutive buckets. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** What is known about a counter reset just before this sample. */
export type CounterResetHint = "unknown" | "reset" | "not_reset" | "gauge";

/** Schema number of histograms with custom bounds. */
export const CUSTOM_BUCKETS_SCHEMA = -53;

/**
 * A histogram with absolute float bucket counts; what the engine works on.
 *
 * A staleness marker is a histogram whose `sum` element has the stale bits, so `sum` lives in a
 * Float64Array of one element and never in a plain field.
 */
export interface FloatHistogram {
  counterResetHint: CounterResetHint;
  schema: number;
  zeroThreshold: number;
  zeroCount: number;
  count: number;
  /** One element; bit-exact. */
  readonly sum: Float64Array;
  positiveSpans: readonly Span[];
  negativeSpans: readonly Span[];
  positiveBuckets: Float64Array;
  negativeBuckets: Float64Array;
  /** Upper bounds of schema -53, ascending, without +Inf; empty otherwise. */
  customValues: Float64Array;
  /** Set when it was decoded from an integer chunk, so that it is encoded into one again. */
  integer?: true;
}

/** An integer histogram as stored: bucket numbers are deltas to the bucket before. */
export interface Histogram {
  counterResetHint: CounterResetHint;
  schema: number;
  zeroThreshold: number;
  zeroCount: number;
  count: number;
  /** One element; bit-exact. */
  readonly sum: Float64Array;
  positiveSpans: readonly Span[];
  negativeSpans: readonly Span[];
  /** Safe integers; a Float64Array keeps 53 bits. */
  positiveDeltas: Float64Array;
  negativeDeltas: Float64Array;
  customValues: Float64Array;
}
