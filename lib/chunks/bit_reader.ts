/**
 * Reads a stream of bits, most significant first.
 *
 * Reads past the end give zeros and are remembered: `check()` throws then. So a caller checks once
 * a sample, and loops whose length comes from the data are bounded by `remaining` beforehand.
 */
import { CorruptionError } from "../base/mod.ts";

/** A bit cursor; owner: the caller keeps the bytes alive and unchanged. */
export class BitReader {
  readonly data: Uint8Array;
  #pos: number;
  #acc = 0; // the low #nb bits are unread
  #nb = 0;

  constructor(data: Uint8Array, start = 0) {
    this.data = data;
    this.#pos = start;
  }

  /** Bits left; negative after a read past the end. */
  get remaining(): number {
    return (this.data.length - this.#pos) * 8 + this.#nb;
  }

  /** Takes 16 more bits, zeros behind the end. */
  #refill(): void {
    const p = this.#pos;
    const d = this.data;
    this.#acc = p + 1 < d.length
      ? (this.#acc << 16) | (d[p]! << 8) | d[p + 1]!
      : (this.#acc << 16) | (p < d.length ? d[p]! << 8 : 0);
    this.#pos = p + 2;
    this.#nb += 16;
  }

  /** One bit. */
  bit(): number {
    return this.piece(1);
  }
  /** 1 to 16 bits. */
  piece(n: number): number {
    if (this.#nb < n) this.#refill();
    this.#nb -= n;
    return (this.#acc >>> this.#nb) & ((1 << n) - 1);
  }
  /** 0 to 32 bits as an unsigned number. */
  bits(n: number): number {
    if (n === 0) return 0;
    return n <= 16 ? this.piece(n) : this.piece(n - 16) * 65536 + this.piece(16);
  }
  /** 32 bits as a signed number. */
  word(): number {
    return (this.piece(16) << 16) | this.piece(16);
  }
  /** Counts one bits up to the first zero, at most `max` (up to 8); the zero is consumed, too. */
  ones(max: number): number {
    if (this.#nb < 9) this.#refill();
    const n = Math.clz32(~(this.#acc << (32 - this.#nb)));
    if (n >= max) {
      this.#nb -= max;
      return max;
    }
    this.#nb -= n + 1;
    return n;
  }
  /** Zig-zag varint in groups of eight bits; beyond ±2^53 it is rounded. */
  varint(): number {
    let low = 0;
    let rest = 0;
    for (let i = 0; i < 10; i++) {
      const c = this.piece(8);
      if (i < 4) low |= (c & 0x7f) << (7 * i);
      else rest += (c & 0x7f) * Math.pow(128, i - 4);
      if (c < 0x80) {
        const x = (low >>> 1) + rest * 134217728;
        return (low & 1) === 0 ? x : -x - 1;
      }
    }
    throw new CorruptionError("varint longer than 10 bytes", { offset: this.offset });
  }
  /** Varint of 64 wrapping bits, read as a signed number; beyond ±2^53 it is rounded. */
  uvarintWrapped(): number {
    let low = 0;
    let top = 0;
    for (let i = 0; i < 10; i++) {
      const c = this.piece(8);
      if (i < 7) low += (c & 0x7f) * Math.pow(128, i);
      else top += (c & 0x7f) * Math.pow(128, i - 7);
      if (c < 0x80) return (top >= 16384 ? top - 32768 : top) * 562949953421312 + low;
    }
    throw new CorruptionError("varint longer than 10 bytes", { offset: this.offset });
  }

  /** Byte that holds the next bit. */
  get offset(): number {
    return Math.min(this.data.length, this.#pos - Math.ceil(this.#nb / 8));
  }
  /** Throws when something was read past the end; `what` names what was being read. */
  check(what: string): void {
    if (this.remaining < 0) {
      throw new CorruptionError(`${what} ends inside its samples`, { offset: this.data.length });
    }
  }
}
