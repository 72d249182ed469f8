/**
 * Doubles as two 32-bit halves, without BigInt.
 *
 * A view over one Float64Array element keeps every bit, signalling NaNs included; a number that
 * went through an object property or a plain array may not.
 */
import { assert } from "./assert.ts";

const f64 = new Float64Array(1);
const u32 = new Uint32Array(f64.buffer);
f64[0] = 1;
assert(u32[1] === 0x3ff00000, "a little-endian machine");

/** High 32 bits of `x`. */
export function floatHigh(x: number): number {
  f64[0] = x;
  return u32[1]!;
}

/** Low 32 bits of `x`. */
export function floatLow(x: number): number {
  f64[0] = x;
  return u32[0]!;
}

/** The double with these halves; NaN payloads survive only until the value leaves a typed array. */
export function floatFromHalves(high: number, low: number): number {
  u32[1] = high;
  u32[0] = low;
  return f64[0]!;
}
