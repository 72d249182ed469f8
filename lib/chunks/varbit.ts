/**
 * Variable-width integers of the histogram chunks: a unary prefix picks the width.
 *
 * ```
 * prefix     0  10 110 1110 11110 111110 1111110 11111110 11111111
 * bits       0   3   6    9    12     18      25       56       64
 * ```
 *
 * Signed forms are odd: n bits hold −(2^(n−1)−1) … 2^(n−1), so `100…0` is the positive end; only
 * the 64-bit form is two's complement. Writers must take the first width that fits.
 *
 * Source: docs/formats/chunks.md, section 2.
 */
import type { BitReader } from "./bit_reader.ts";
import type { BitWriter } from "./bit_writer.ts";

const WIDTHS: readonly number[] = [0, 3, 6, 9, 12, 18, 25, 56, 64];
/** Prefix length by the number of magnitude bits, 0 to 24 (a width holds one less, for the sign). */
const ONES_BY_BITS: readonly number[] = Array.from(
  { length: 25 },
  (_, n) => WIDTHS.findIndex((width) => width > n),
);
const TWO_32 = 4294967296;

/** Reads a signed integer; beyond ±2^53 it is rounded. */
export function readVarbitInt(r: BitReader): number {
  const ones = r.ones(8);
  if (ones === 0) return 0;
  const width = WIDTHS[ones]!;
  if (width <= 25) {
    const x = r.bits(width);
    const half = 1 << (width - 1);
    return x > half ? x - 2 * half : x;
  }
  if (width === 64) {
    const high = r.word();
    return high * TWO_32 + r.bits(32);
  }
  let high = r.bits(24);
  const low = r.bits(32);
  if (high > 0x800000 || (high === 0x800000 && low > 0)) high -= 0x1000000;
  return high * TWO_32 + low;
}

/** Reads an unsigned integer; beyond 2^53 it is rounded. */
export function readVarbitUint(r: BitReader): number {
  const ones = r.ones(8);
  if (ones === 0) return 0;
  const width = WIDTHS[ones]!;
  if (width <= 25) return r.bits(width);
  const high = r.bits(width - 32);
  return high * TWO_32 + r.bits(32);
}

/** Writes a signed safe integer. */
export function writeVarbitInt(w: BitWriter, x: number): void {
  if (x === 0) return w.bits(0, 1);
  if (x > -16777216 && x <= 16777216) {
    // Bits of the magnitude, one less for the positive end of a range, tell the width.
    const ones = ONES_BY_BITS[32 - Math.clz32(x > 0 ? x - 1 : -x)]!;
    return writeSmall(w, ones, WIDTHS[ones]!, x);
  }
  const high = Math.floor(x / TWO_32);
  const low = (x - high * TWO_32) | 0;
  if (x >= -36028797018963967 && x <= 36028797018963968) {
    w.bits(0xfe, 8);
    w.bits(high, 24);
  } else {
    w.bits(0xff, 8);
    w.bits(high, 32);
  }
  w.bits(low, 32);
}

/** Writes an unsigned safe integer. */
export function writeVarbitUint(w: BitWriter, x: number): void {
  if (x === 0) return w.bits(0, 1);
  for (let ones = 1; ones < 7; ones++) {
    const width = WIDTHS[ones]!;
    if (x < 2 ** width) return writeSmall(w, ones, width, x);
  }
  const high = Math.floor(x / TWO_32);
  if (high < 0x1000000) {
    w.bits(0xfe, 8);
    w.bits(high, 24);
  } else {
    w.bits(0xff, 8);
    w.bits(high, 32);
  }
  w.bits((x - high * TWO_32) | 0, 32);
}

function writeSmall(w: BitWriter, ones: number, width: number, x: number): void {
  // The prefix: `ones` one bits and a zero; with the widest payload exactly 32 bits.
  const prefix = ((1 << ones) - 1) << 1;
  w.bits((prefix << width) | (x & ((1 << width) - 1)), ones + 1 + width);
}
