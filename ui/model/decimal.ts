/** Decimal numbers in bytes, read without a string for each: the value `Number()` would give. */
import { parseSample } from "./numbers.ts";

const ZERO = 0x30;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;

/** Powers of ten that a double holds exactly. */
const POWERS = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

/** Splits a double into two halves of 26 bits, so that products of halves are exact. */
const SPLIT = 134_217_729;

/** The number written in `bytes[from, to)`, `+Inf`, `-Inf` and `NaN` included; a short text. */
export function readDecimal(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  const negative = bytes[at] === MINUS;
  if (negative) at++;
  // Up to 18 digits as two whole numbers of 9: both stay small integers.
  let high = 0;
  let low = 0;
  let digits = 0;
  let scale = 0;
  let dot = -1;
  const first = at;
  for (; at < to; at++) {
    const c = bytes[at]!;
    const digit = c - ZERO;
    if (digit >= 0 && digit <= 9) {
      if (digits < 9) high = high * 10 + digit;
      else if (digits < 18) low = low * 10 + digit;
      // Leading zeros are no digits.
      if (digit !== 0 || digits > 0) digits++;
    } else if (c === DOT && dot < 0) dot = at;
    else break;
  }
  if (digits > 18 || at - first - (dot < 0 ? 0 : 1) === 0) return slow(bytes, from, to);
  if (dot >= 0) scale = dot + 1 - at;
  if (at < to) {
    const exponent = readExponent(bytes, at, to);
    if (exponent === undefined) return slow(bytes, from, to);
    scale += exponent;
  }
  if (scale < -22 || scale > 22) return slow(bytes, from, to);
  // 10^9 = 2^9 × 5^9 and 5^9 < 2^21: this product is exact.
  const top = digits > 9 ? high * POWERS[digits - 9]! : high;
  const whole = top + low;
  let value: number;
  if (digits <= 15) value = scale < 0 ? whole / POWERS[-scale]! : whole * POWERS[scale]!;
  else if (scale > 0) return slow(bytes, from, to);
  else {
    value = divide(whole, low - (whole - top), POWERS[-scale]!);
    if (Number.isNaN(value)) return slow(bytes, from, to);
  }
  return negative ? -value : value;
}

/** (a + b) / p rounded once, with |b| at most half a unit of `a`; NaN when that cannot be told. */
function divide(a: number, b: number, p: number): number {
  const q = a / p;
  // a − q·p exactly: q·p as a sum of two doubles.
  const product = q * p;
  const qs = q * SPLIT;
  const q1 = qs - (qs - q);
  const q2 = q - q1;
  const ps = p * SPLIT;
  const p1 = ps - (ps - p);
  const p2 = p - p1;
  const rest = ((q1 * p1 - product) + q1 * p2 + q2 * p1) + q2 * p2;
  const error = ((a - product) - rest + b) / p;
  // The error is known to far more than 40 bits: where both ends round alike, so does the truth.
  const value = q + error * (1 - 2 ** -40);
  return value === q + error * (1 + 2 ** -40) ? value : NaN;
}

/** The exponent from its `e` on; undefined for anything else. */
function readExponent(bytes: Uint8Array, from: number, to: number): number | undefined {
  if ((bytes[from]! | 0x20) !== 0x65 || to - from > 5) return undefined;
  let at = from + 1;
  const negative = bytes[at] === MINUS;
  if (negative || bytes[at] === PLUS) at++;
  if (at === to) return undefined;
  let value = 0;
  for (; at < to; at++) {
    const digit = bytes[at]! - ZERO;
    if (!(digit >= 0 && digit <= 9)) return undefined;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

function slow(bytes: Uint8Array, from: number, to: number): number {
  return parseSample(String.fromCharCode(...bytes.subarray(from, to)));
}
