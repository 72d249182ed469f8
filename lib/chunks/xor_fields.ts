/**
 * XOR-coded floats inside other chunks: every field has its own window and last value.
 *
 * Source: docs/formats/chunks.md, section 2 (`XV`).
 */
import { CorruptionError } from "../base/mod.ts";
import type { BitReader } from "./bit_reader.ts";
import type { BitWriter } from "./bit_writer.ts";

/** Window state that a writer starts with: nothing fits, the first change opens one. */
const NO_WINDOW = 255;

/** The state of `n` fields; values are read and written through `values`, by bits. */
export class XorFields {
  /** Last value of each field. */
  readonly values: Float64Array<ArrayBuffer>;
  /** The same as 32-bit halves, low at 2i, high at 2i + 1. */
  readonly halves: Int32Array<ArrayBuffer>;
  readonly #leading: Uint8Array;
  readonly #trailing: Uint8Array;

  /** `window` says how the state starts: a reader with (0, 0), a writer without one. */
  constructor(n: number, window: "reader" | "writer") {
    this.values = new Float64Array(n);
    this.halves = new Int32Array(this.values.buffer);
    this.#leading = new Uint8Array(n);
    this.#trailing = new Uint8Array(n);
    if (window === "writer") this.#leading.fill(NO_WINDOW);
  }

  /** Reads 64 plain bits into field `i`. */
  readPlain(r: BitReader, i: number): void {
    this.halves[2 * i + 1] = r.word();
    this.halves[2 * i] = r.word();
  }
  /** Reads the next value of field `i`. */
  read(r: BitReader, i: number): void {
    if (r.bit() === 0) return;
    if (r.bit() === 1) this.readWindow(r, i);
    this.readSignificant(r, i);
  }
  /** Reads a new window of field `i`: 5 bits leading, 6 bits length. */
  readWindow(r: BitReader, i: number): void {
    const leading = r.piece(5);
    const length = r.piece(6) || 64;
    if (leading + length > 64) {
      throw new CorruptionError(`XOR window of ${leading} + ${length} bits`, { offset: r.offset });
    }
    this.#leading[i] = leading;
    this.#trailing[i] = 64 - leading - length;
  }
  /** Reads the bits of the current window of field `i` and applies them. */
  readSignificant(r: BitReader, i: number): void {
    const h = this.halves;
    const trailing = this.#trailing[i]!;
    const length = 64 - this.#leading[i]! - trailing;
    const high = length > 32 ? r.bits(length - 32) : 0;
    const low = r.bits(length > 32 ? 32 : length);
    if (trailing >= 32) h[2 * i + 1]! ^= low << (trailing - 32);
    else if (trailing === 0) {
      h[2 * i]! ^= low;
      h[2 * i + 1]! ^= high;
    } else {
      h[2 * i]! ^= low << trailing;
      h[2 * i + 1]! ^= (high << trailing) | (low >>> (32 - trailing));
    }
  }

  /** Writes 64 plain bits: element `j` of `source` becomes field `i`. */
  writePlain(w: BitWriter, i: number, source: Float64Array, j: number): void {
    this.values[i] = source[j]!;
    w.halves(this.halves[2 * i + 1]!, this.halves[2 * i]!);
  }
  /** Writes element `j` of `source` as the next value of field `i`. */
  write(w: BitWriter, i: number, source: Float64Array, j: number): void {
    const lastLow = this.halves[2 * i]!;
    const lastHigh = this.halves[2 * i + 1]!;
    this.values[i] = source[j]!;
    const low = this.halves[2 * i]! ^ lastLow;
    const high = this.halves[2 * i + 1]! ^ lastHigh;
    if ((low | high) === 0) return w.bits(0, 1);
    const zeros = high !== 0 ? Math.clz32(high) : 32;
    const leading = zeros > 31 ? 31 : zeros;
    const trailing = low !== 0 ? 31 - Math.clz32(low & -low) : 63 - Math.clz32(high & -high);
    if (leading >= this.#leading[i]! && trailing >= this.#trailing[i]!) w.bits(2, 2);
    else {
      this.#leading[i] = leading;
      this.#trailing[i] = trailing;
      w.bits((3 << 11) | (leading << 6) | ((64 - leading - trailing) & 63), 13);
    }
    const shift = this.#trailing[i]!;
    const length = 64 - this.#leading[i]! - shift;
    if (length > 32) w.bits(shift === 0 ? high : high >>> shift, length - 32);
    const field = shift >= 32
      ? high >>> (shift - 32)
      : shift === 0
      ? low
      : (low >>> shift) | (high << (32 - shift));
    w.bits(field, length > 32 ? 32 : length);
  }
}
