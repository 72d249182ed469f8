/**
 * Choice of resolution: how coarse data may be for a query, and how far back a sample still counts.
 * Source: Thanos' querier.
 */
import { RESOLUTION_1H, RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";

/** Functions that need two samples inside their range. */
const NEEDS_TWO = new Set([
  "rate",
  "irate",
  "increase",
  "delta",
  "idelta",
  "deriv",
  "predict_linear",
  "holt_winters",
  "double_exponential_smoothing",
]);

/**
 * The resolution window of one selector, ms.
 *
 * A range selector directly inside a function that needs two samples must not ask for windows
 * longer than half its range.
 */
export function selectorResolution(maxResolution: number, func: string, range: number): number {
  return range > 0 && NEEDS_TWO.has(func)
    ? Math.min(maxResolution, Math.floor(range / 2))
    : maxResolution;
}

/** Prometheus' own lookback when nothing is set, ms. */
export const DEFAULT_LOOKBACK = 300_000;

/**
 * Lookback for data of up to `maxResolution` ms: long enough to reach the sample of a coarser
 * window.
 *
 * `configured` is `--query.lookback-delta` in ms, 0 when unset.
 */
export function dynamicLookback(configured: number, maxResolution: number): number {
  const resolutions = [RESOLUTION_RAW, RESOLUTION_5M, RESOLUTION_1H];
  let delta = configured;
  const deltas = resolutions.map((r) => {
    if (configured < r) delta = r;
    return delta;
  });
  for (let i = resolutions.length - 1; i >= 1; i--) {
    if (Math.max(resolutions[i - 1]!, configured) < maxResolution) {
      return deltas[i]! === 0 ? DEFAULT_LOOKBACK : deltas[i]!;
    }
  }
  return deltas[0]! === 0 ? DEFAULT_LOOKBACK : deltas[0]!;
}
