/** Which kernel computes which range function over floats. */
import { anchorWindows, extendedRate, xRate } from "./kernel_extended.ts";
import * as over from "./kernel_over_time.ts";
import * as rate from "./kernel_rate.ts";
import { startTimeIrate, startTimeRate, startTimeResets } from "./kernel_start_time.ts";
import type { RangeKernel, RangeRow } from "./range_row.ts";

/** How a range function treats histograms among its samples. */
export type HistogramRule =
  /** Only floats count; a mixed window earns an info. */
  | "ignore"
  /** Any sample counts, whatever its type. */
  | "any"
  /** Histograms alone are computed with, a mixed window yields nothing and earns a warning. */
  | "either";

/** A range function as the engine runs it. */
export interface RangeFunction {
  readonly kernel: RangeKernel;
  readonly histograms: HistogramRule;
  /**
   * Tells that the kernel reads every sample of every window, so that it costs the sum of their
   * lengths and may be run over some steps at a time. Undefined: one pass serves all steps.
   */
  readonly readsWindows?: (row: RangeRow) => boolean;
}

const always = () => true;

/** Range functions by PromQL name. */
export const RANGE_FUNCTIONS: Readonly<Record<string, RangeFunction>> = {
  rate: { kernel: rate.kernelRate, histograms: "either" },
  increase: { kernel: rate.kernelIncrease, histograms: "either" },
  delta: { kernel: rate.kernelDelta, histograms: "either" },
  irate: { kernel: rate.kernelIrate, histograms: "either" },
  idelta: { kernel: rate.kernelIdelta, histograms: "either" },
  sum_over_time: {
    kernel: over.kernelSum,
    histograms: "either",
    readsWindows: (row) => !over.exactPrefix(row),
  },
  avg_over_time: { kernel: over.kernelAvg, histograms: "either", readsWindows: always },
  count_over_time: { kernel: over.kernelCount, histograms: "any" },
  present_over_time: { kernel: over.kernelPresent, histograms: "any" },
  /** As present_over_time, under the names of the series: what absent_over_time looks at. */
  absent_over_time: { kernel: over.kernelPresent, histograms: "any" },
  last_over_time: { kernel: over.kernelLast, histograms: "any" },
  first_over_time: { kernel: over.kernelFirst, histograms: "any" },
  ts_of_first_over_time: { kernel: over.kernelTimeOfFirst, histograms: "any" },
  ts_of_last_over_time: { kernel: over.kernelTimeOfLast, histograms: "any" },
  changes: { kernel: over.kernelChanges, histograms: "any" },
  resets: { kernel: over.kernelResets, histograms: "any" },
  min_over_time: { kernel: over.kernelMin, histograms: "ignore" },
  max_over_time: { kernel: over.kernelMax, histograms: "ignore" },
  ts_of_min_over_time: { kernel: over.kernelTimeOfMin, histograms: "ignore" },
  ts_of_max_over_time: { kernel: over.kernelTimeOfMax, histograms: "ignore" },
  stddev_over_time: { kernel: over.kernelStddev, histograms: "ignore", readsWindows: always },
  stdvar_over_time: { kernel: over.kernelStdvar, histograms: "ignore", readsWindows: always },
  quantile_over_time: { kernel: over.kernelQuantile, histograms: "ignore" },
  mad_over_time: { kernel: over.kernelMad, histograms: "ignore", readsWindows: always },
  deriv: { kernel: over.kernelDeriv, histograms: "ignore", readsWindows: always },
  predict_linear: { kernel: over.kernelPredictLinear, histograms: "ignore", readsWindows: always },
  xrate: { kernel: (row) => xRate(row, true, true), histograms: "either", readsWindows: always },
  xincrease: {
    kernel: (row) => xRate(row, true, false),
    histograms: "either",
    readsWindows: always,
  },
  xdelta: { kernel: (row) => xRate(row, false, false), histograms: "either" },
  double_exponential_smoothing: {
    kernel: over.kernelDoubleExponentialSmoothing,
    histograms: "ignore",
    readsWindows: always,
  },
};

/** `anchored` and `smoothed` behind a range. */
export type RangeModifier = "" | "anchored" | "smoothed";

/** The kernel of a function over an anchored or smoothed range. */
export function extendedKernel(func: string, modifier: "anchored" | "smoothed"): RangeKernel {
  const smoothed = modifier === "smoothed";
  switch (func) {
    case "rate":
      return (row) => extendedRate(row, smoothed, true, true);
    case "increase":
      return (row) => extendedRate(row, smoothed, true, false);
    case "delta":
      return (row) => extendedRate(row, smoothed, false, false);
    default: {
      const { kernel } = RANGE_FUNCTIONS[func]!;
      return (row) => {
        anchorWindows(row);
        return kernel(row);
      };
    }
  }
}

/** The kernel of a function over samples with start timestamps; the plain one where they mean nothing. */
export function startTimeKernel(func: string): RangeKernel {
  switch (func) {
    case "rate":
      return (row: RangeRow) => startTimeRate(row, true);
    case "increase":
      return (row: RangeRow) => startTimeRate(row, false);
    case "irate":
      return startTimeIrate;
    case "resets":
      return startTimeResets;
    default:
      return RANGE_FUNCTIONS[func]!.kernel;
  }
}
