/**
 * The staleness marker: a NaN with one fixed bit pattern, told from ordinary NaNs by bits only.
 */
/** High and low half of the marker's bits (0x7FF0000000000002). */
export const STALE_HIGH = 0x7ff00000;
export const STALE_LOW = 0x00000002;
/** Halves of the ordinary NaN that Prometheus writes (0x7FF8000000000001). */
export const NORMAL_NAN_HIGH = 0x7ff80000;
export const NORMAL_NAN_LOW = 0x00000001;

/** A 32-bit view of a column, for bit tests; element i has its low half at 2i, high at 2i+1. */
export function bitsOf(values: Float64Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length * 2);
}

/** True when element `i` of the viewed column is a staleness marker. */
export function isStaleAt(bits: Uint32Array, i: number): boolean {
  return bits[2 * i] === STALE_LOW && bits[2 * i + 1] === STALE_HIGH;
}

/** Writes the marker as element `i` of the viewed column. */
export function setStaleAt(bits: Uint32Array, i: number): void {
  bits[2 * i] = STALE_LOW;
  bits[2 * i + 1] = STALE_HIGH;
}
