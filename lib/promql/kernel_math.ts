/** Element-wise functions over a row's values. */

/** One float to one float. */
export type FloatFunction = (x: number) => number;

/** Raises as IEEE 754-2008 and Go do: 1^y and (−1)^±Inf are 1 even where JavaScript says NaN. */
export function power(x: number, y: number): number {
  if (x === 1) return 1;
  if (x === -1 && (y === Infinity || y === -Infinity)) return 1;
  return Math.pow(x, y);
}

/** −1, 0 or 1; zero and NaN pass. */
function sign(x: number): number {
  return x < 0 ? -1 : x > 0 ? 1 : x;
}

/** Functions of one value, by PromQL name. */
export const FLOAT_FUNCTIONS: Readonly<Record<string, FloatFunction>> = {
  abs: Math.abs,
  ceil: Math.ceil,
  floor: Math.floor,
  exp: Math.exp,
  ln: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  sqrt: Math.sqrt,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  deg: (x) => x * 180 / Math.PI,
  rad: (x) => x * Math.PI / 180,
  sgn: sign,
  minute: (x) => Math.floor(mod(unixSeconds(x), 3600) / 60),
  hour: (x) => Math.floor(mod(unixSeconds(x), 86400) / 3600),
  day_of_week: (x) => mod(unixDays(x) + 4, 7),
  day_of_month: (x) => civil(x).day,
  day_of_year: (x) => civil(x).dayOfYear,
  days_in_month: (x) => {
    const { year, month } = civil(x);
    return daysInMonth(year, month);
  },
  month: (x) => civil(x).month,
  year: (x) => civil(x).year,
};

/** Applies `f` to elements [from, to) in place. */
export function applyFloat(f: FloatFunction, v: Float64Array, from: number, to: number): void {
  for (let i = from; i < to; i++) v[i] = f(v[i]!);
}

/** Negates elements [from, to) in place. */
export function negate(v: Float64Array, from: number, to: number): void {
  for (let i = from; i < to; i++) v[i] = -v[i]!;
}

/** Rounds elements to multiples of 1/inverse, ties up; `toNearest` has one value per step. */
export function roundRow(
  v: Float64Array,
  at: number,
  count: number,
  toNearest: Float64Array,
): void {
  for (let k = 0; k < count; k++) {
    // The inverse is more accurate: 1/0.1 is exactly 10 while 0.1 is not exact.
    const inverse = 1 / toNearest[k]!;
    v[at + k] = Math.floor(v[at + k]! * inverse + 0.5) / inverse;
  }
}

/** The greater one; +Inf beats NaN, as in Go. */
export function greater(a: number, b: number): number {
  return a === Infinity || b === Infinity ? Infinity : Math.max(a, b);
}

/** The smaller one; −Inf beats NaN, as in Go. */
export function smaller(a: number, b: number): number {
  return a === -Infinity || b === -Infinity ? -Infinity : Math.min(a, b);
}

/**
 * Whole seconds of a float time as Go's 64-bit arithmetic sees them: what fits no integer counts as
 * the smallest one, and what lies before the first year Go can count wraps around.
 */
function unixSeconds(x: number): number {
  const seconds = x >= -9223372036854775808 && x < 9223372036854775808
    ? Math.trunc(x) + 0
    : -9223372036854775808;
  return seconds < -9223371966579724800 ? seconds + 18446744073709551616 : seconds;
}

/** Days since 1970, exact over the whole range of times. */
function unixDays(x: number): number {
  const seconds = unixSeconds(x);
  return Math.round((seconds - mod(seconds, 86400)) / 86400);
}

function mod(a: number, b: number): number {
  const r = a % b;
  return r < 0 ? r + b : r;
}

interface Civil {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly dayOfYear: number;
}

/** Gregorian date in UTC of a Unix time in seconds; months and days count from 1. */
function civil(x: number): Civil {
  // Days since 0000-03-01, split into 400-year cycles of 146097 days.
  const days = unixDays(x) + 719468;
  const cycle = Math.floor(days / 146097);
  const inCycle = days - cycle * 146097;
  const yearInCycle = Math.floor(
    (inCycle - Math.floor(inCycle / 1460) + Math.floor(inCycle / 36524) -
      Math.floor(inCycle / 146096)) / 365,
  );
  const inYear = inCycle -
    (365 * yearInCycle + Math.floor(yearInCycle / 4) - Math.floor(yearInCycle / 100));
  const shifted = Math.floor((5 * inYear + 2) / 153);
  const day = inYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearInCycle + cycle * 400 + (month <= 2 ? 1 : 0);
  let dayOfYear = day;
  for (let m = 1; m < month; m++) dayOfYear += daysInMonth(year, m);
  return { year, month, day, dayOfYear };
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) {
    return mod(year, 4) === 0 && (mod(year, 100) !== 0 || mod(year, 400) === 0) ? 29 : 28;
  }
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
