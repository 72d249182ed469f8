/**
 * THE function table: every function of PromQL with what the parser, the planner, the editor and
 * the documentation need to know of it. How a function is computed stands with the kernels, by name.
 */
import type { ValueType } from "./ast.ts";

/** Flags that let otherwise refused functions be used. */
export type FunctionFlag = "experimental" | "x-functions";

/** A function of the language. */
export interface FunctionInfo {
  readonly name: string;
  /** Types of the arguments; the last one holds for all further ones. */
  readonly args: readonly ValueType[];
  /**
   * 0: exactly args.length arguments. n > 0: at least args.length - 1 and at most n more than that.
   * -1: at least args.length - 1, without an upper bound.
   */
  readonly variadic: number;
  readonly returns: ValueType;
  /** Which flag it needs; null when it is always there. */
  readonly flag: FunctionFlag | null;
  /** One sentence for the editor and the documentation. */
  readonly doc: string;
}

const V = "vector";
const M = "matrix";
const S = "scalar";
const T = "string";

function fn(
  name: string,
  args: readonly ValueType[],
  returns: ValueType,
  doc: string,
  more: { variadic?: number; flag?: FunctionFlag } = {},
): FunctionInfo {
  return { name, args, variadic: more.variadic ?? 0, returns, flag: more.flag ?? null, doc };
}

const EXPERIMENTAL = { flag: "experimental" } as const;
const X = { flag: "x-functions" } as const;
const OPTIONAL = { variadic: 1 } as const;

/** All functions, ascending by name. */
export const FUNCTIONS: readonly FunctionInfo[] = [
  fn("abs", [V], V, "Absolute value of each element."),
  fn("absent", [V], V, "1 when the vector is empty, with the labels of the selector."),
  fn(
    "absent_over_time",
    [M],
    V,
    "1 when the range has no samples, with the labels of the selector.",
  ),
  fn("acos", [V], V, "Arc cosine in radians."),
  fn("acosh", [V], V, "Inverse hyperbolic cosine."),
  fn("asin", [V], V, "Arc sine in radians."),
  fn("asinh", [V], V, "Inverse hyperbolic sine."),
  fn("atan", [V], V, "Arc tangent in radians."),
  fn("atanh", [V], V, "Inverse hyperbolic tangent."),
  fn("avg_over_time", [M], V, "Mean of the samples in the range."),
  fn("ceil", [V], V, "Rounds up to the next integer."),
  fn("changes", [M], V, "How often the value changed in the range."),
  fn("clamp", [V, S, S], V, "Limits values to lie between a minimum and a maximum."),
  fn("clamp_max", [V, S], V, "Limits values to a maximum."),
  fn("clamp_min", [V, S], V, "Limits values to a minimum."),
  fn("cos", [V], V, "Cosine of radians."),
  fn("cosh", [V], V, "Hyperbolic cosine."),
  fn("count_over_time", [M], V, "Number of samples in the range."),
  fn("day_of_month", [V], V, "Day of the month in UTC, 1 to 31.", OPTIONAL),
  fn("day_of_week", [V], V, "Day of the week in UTC, 0 is Sunday.", OPTIONAL),
  fn("day_of_year", [V], V, "Day of the year in UTC, 1 to 366.", OPTIONAL),
  fn("days_in_month", [V], V, "Number of days of the month in UTC.", OPTIONAL),
  fn("deg", [V], V, "Radians to degrees."),
  fn("delta", [M], V, "Difference between the ends of the range, extrapolated; for gauges."),
  fn("deriv", [M], V, "Slope per second by least squares."),
  fn(
    "double_exponential_smoothing",
    [M, S, S],
    V,
    "Smoothed value from a smoothing and a trend factor.",
    EXPERIMENTAL,
  ),
  fn("end", [], S, "End of the query in seconds.", EXPERIMENTAL),
  fn("exp", [V], V, "e to the power of each element."),
  fn("first_over_time", [M], V, "Oldest sample in the range."),
  fn("floor", [V], V, "Rounds down to the next integer."),
  fn("histogram_avg", [V], V, "Mean of the observations of native histograms."),
  fn("histogram_count", [V], V, "Number of observations of native histograms."),
  fn("histogram_fraction", [S, S, V], V, "Share of the observations between two bounds."),
  fn("histogram_quantile", [S, V], V, "Quantile of classic or native histograms."),
  fn(
    "histogram_quantiles",
    [V, T, S, S],
    V,
    "Several quantiles at once, told apart by a label.",
    { variadic: 9, ...EXPERIMENTAL },
  ),
  fn("histogram_stddev", [V], V, "Estimated standard deviation of native histograms."),
  fn("histogram_stdvar", [V], V, "Estimated variance of native histograms."),
  fn("histogram_sum", [V], V, "Sum of the observations of native histograms."),
  fn("hour", [V], V, "Hour of the day in UTC, 0 to 23.", OPTIONAL),
  fn("idelta", [M], V, "Difference of the last two samples."),
  fn("increase", [M], V, "Increase of a counter over the range, extrapolated."),
  fn("info", [V, V], V, "Adds labels of matching info series.", { ...OPTIONAL, ...EXPERIMENTAL }),
  fn("irate", [M], V, "Increase per second between the last two samples."),
  fn("label_join", [V, T, T, T], V, "Joins label values into one label.", { variadic: -1 }),
  fn("label_replace", [V, T, T, T, T], V, "Sets a label from a pattern matched on another."),
  fn("last_over_time", [M], V, "Newest sample in the range."),
  fn("ln", [V], V, "Natural logarithm."),
  fn("log10", [V], V, "Decimal logarithm."),
  fn("log2", [V], V, "Binary logarithm."),
  fn("mad_over_time", [M], V, "Median absolute deviation in the range.", EXPERIMENTAL),
  fn("max_of", [S, S], S, "The greater of two numbers.", EXPERIMENTAL),
  fn("max_over_time", [M], V, "Greatest value in the range."),
  fn("min_of", [S, S], S, "The smaller of two numbers.", EXPERIMENTAL),
  fn("min_over_time", [M], V, "Smallest value in the range."),
  fn("minute", [V], V, "Minute of the hour in UTC, 0 to 59.", OPTIONAL),
  fn("month", [V], V, "Month of the year in UTC, 1 to 12.", OPTIONAL),
  fn("pi", [], S, "The number pi."),
  fn("predict_linear", [M, S], V, "Value expected after some seconds, by least squares."),
  fn("present_over_time", [M], V, "1 for each series with a sample in the range."),
  fn("quantile_over_time", [S, M], V, "Quantile of the samples in the range."),
  fn("rad", [V], V, "Degrees to radians."),
  fn("range", [], S, "Length of the query in seconds.", EXPERIMENTAL),
  fn("rate", [M], V, "Increase of a counter per second, extrapolated to the range."),
  fn("resets", [M], V, "How often a counter was reset in the range."),
  fn("round", [V, S], V, "Rounds to the nearest multiple of a number.", OPTIONAL),
  fn("scalar", [V], S, "The value of the only element, else NaN."),
  fn("sgn", [V], V, "Sign of each element: -1, 0 or 1."),
  fn("sin", [V], V, "Sine of radians."),
  fn("sinh", [V], V, "Hyperbolic sine."),
  fn("sort", [V], V, "Ascending by value; instant queries only."),
  fn("sort_by_label", [V, T], V, "Ascending by the given labels, digits by their number.", {
    variadic: -1,
    ...EXPERIMENTAL,
  }),
  fn("sort_by_label_desc", [V, T], V, "Descending by the given labels, digits by their number.", {
    variadic: -1,
    ...EXPERIMENTAL,
  }),
  fn("sort_desc", [V], V, "Descending by value; instant queries only."),
  fn("sqrt", [V], V, "Square root."),
  fn("start", [], S, "Start of the query in seconds.", EXPERIMENTAL),
  fn("start_timestamp", [V], V, "Start timestamp of each sample in seconds.", EXPERIMENTAL),
  fn("stddev_over_time", [M], V, "Standard deviation of the samples in the range."),
  fn("stdvar_over_time", [M], V, "Variance of the samples in the range."),
  fn("step", [], S, "Step of the query in seconds.", EXPERIMENTAL),
  fn("sum_over_time", [M], V, "Sum of the samples in the range."),
  fn("tan", [V], V, "Tangent of radians."),
  fn("tanh", [V], V, "Hyperbolic tangent."),
  fn("time", [], S, "Evaluation time in seconds."),
  fn("timestamp", [V], V, "Timestamp of each sample in seconds."),
  fn("ts_of_first_over_time", [M], V, "Time of the oldest sample in seconds.", EXPERIMENTAL),
  fn("ts_of_last_over_time", [M], V, "Time of the newest sample in seconds.", EXPERIMENTAL),
  fn("ts_of_max_over_time", [M], V, "Time of the last greatest sample in seconds.", EXPERIMENTAL),
  fn("ts_of_min_over_time", [M], V, "Time of the last smallest sample in seconds.", EXPERIMENTAL),
  fn("vector", [S], V, "A number as a vector of one element without labels."),
  fn("xdelta", [M], V, "Difference over the range with the sample before it.", X),
  fn("xincrease", [M], V, "Increase over the range with the sample before it.", X),
  fn("xrate", [M], V, "Increase per second with the sample before the range.", X),
  fn("year", [V], V, "Year in UTC.", OPTIONAL),
];

const BY_NAME: ReadonlyMap<string, FunctionInfo> = new Map(FUNCTIONS.map((f) => [f.name, f]));

/** The function of this name (names are case-sensitive), or undefined. */
export function functionByName(name: string): FunctionInfo | undefined {
  return BY_NAME.get(name);
}

/** Aggregations that take a parameter before the vector. */
export const AGGREGATES_WITH_PARAM: ReadonlySet<string> = new Set([
  "topk",
  "bottomk",
  "count_values",
  "quantile",
  "limitk",
  "limit_ratio",
]);

/** Aggregations that need the flag for experimental functions. */
export const EXPERIMENTAL_AGGREGATES: ReadonlySet<string> = new Set(["limitk", "limit_ratio"]);
