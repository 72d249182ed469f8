/** The steps of a range query, and the ranges that the buttons go through. */
/** How many points a graph gets when no step is given. */
export type Density = "low" | "medium" | "high";

const POINTS: Readonly<Record<Density, number>> = { low: 100, medium: 250, high: 750 };

/** Steps that caches and people like, seconds. */
const NICE = [1, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];

/** Rounds up to a nice step; beyond the largest, to whole multiples of it. */
export function niceStep(seconds: number): number {
  const found = NICE.find((step) => step >= seconds);
  const largest = NICE.at(-1)!;
  return found ?? Math.ceil(seconds / largest) * largest;
}

/** The automatic step of a range, seconds. */
export function autoStep(rangeMs: number, density: Density, defaultStep = 1): number {
  return niceStep(Math.max(Math.floor(rangeMs / (POINTS[density] * 1000)), defaultStep));
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Ranges of the `-` and `+` buttons, ms. */
export const RANGES: readonly number[] = [
  SECOND,
  10 * SECOND,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
  28 * DAY,
  56 * DAY,
  112 * DAY,
  182 * DAY,
  365 * DAY,
  730 * DAY,
];

/** The next longer range. */
export function longerRange(ms: number): number {
  return RANGES.find((range) => range > ms) ?? ms;
}

/** The next shorter range. */
export function shorterRange(ms: number): number {
  return RANGES.findLast((range) => range < ms) ?? ms;
}
