/** Results of a query: columns, never an object per sample. */
import type { FloatHistogram, Labels } from "../model/mod.ts";

/** One number at one time. Units: time in ms. */
export interface ScalarValue {
  readonly type: "scalar";
  readonly time: number;
  readonly value: number;
}

/** One text at one time. */
export interface StringValue {
  readonly type: "string";
  readonly time: number;
  readonly value: string;
}

/**
 * Series with one sample each, all at `time`.
 *
 * Shape: element i belongs to labels[i]; it is a histogram when h is present and h[i] is set.
 */
export interface VectorValue {
  readonly type: "vector";
  readonly time: number;
  readonly labels: readonly Labels[];
  readonly v: Float64Array;
  readonly h: readonly (FloatHistogram | undefined)[] | null;
}

/**
 * Samples of one series in ascending time.
 *
 * Shape: t, v and h have the same length; sample i is a histogram when h is present and h[i] is
 * set. `t` may be shared between series: do not write to it.
 */
export interface MatrixSeries {
  readonly labels: Labels;
  readonly t: Float64Array;
  readonly v: Float64Array;
  readonly h: readonly (FloatHistogram | undefined)[] | null;
}

/** Series with their samples, ascending by compareLabels. */
export interface MatrixValue {
  readonly type: "matrix";
  readonly series: readonly MatrixSeries[];
}

/** What a query evaluates to. */
export type Value = ScalarValue | StringValue | VectorValue | MatrixValue;
