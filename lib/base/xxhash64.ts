/** xxHash64 with seed 0, equal to Go's; xxhash-wasm behind one file. */
import xxhash from "xxhash-wasm";

const api = await xxhash();
/** One hash on its way to its halves; little-endian, as float_bits.ts asserts. */
const scratch = new BigUint64Array(1);
const scratchHalves = new Uint32Array(scratch.buffer);

/** Decimal text of the hash of `bytes`, as Go prints a uint64. */
export function xxhash64Text(bytes: Uint8Array): string {
  return api.h64Raw(bytes).toString();
}

/** The hash of `bytes` as two unsigned 32-bit halves, high first, written into `out` at `at`. */
export function xxhash64Into(bytes: Uint8Array, out: Uint32Array, at = 0): void {
  // Through an array: shifting a BigInt makes new ones.
  scratch[0] = api.h64Raw(bytes);
  out[at] = scratchHalves[1]!;
  out[at + 1] = scratchHalves[0]!;
}

/** hash(bytes) mod `n`, for 0 < n <= 2^53. */
export function xxhash64Mod(bytes: Uint8Array, n: number): number {
  return Number(api.h64Raw(bytes) % BigInt(n));
}

/** hash(bytes) / (2^64 - 1) as Go's float64 division gives it. */
export function xxhash64Ratio(bytes: Uint8Array): number {
  return Number(api.h64Raw(bytes)) / 18446744073709551615;
}
