/**
 * Reads big-endian integers, varints and strings from a byte array.
 *
 * Errors latch: after the first read past the end (or malformed varint) every further read returns
 * zero values, and `finish()` or `check()` throws one CorruptionError that carries the offset of
 * that first failure. Twenty reads need one check.
 */
import { CorruptionError } from "./errors.ts";
import { decodeUtf8 } from "./utf8.ts";

/** A cursor over `bytes`; owner: the caller keeps the bytes alive and unchanged. */
export class ByteReader {
  readonly bytes: Uint8Array;
  /** Next byte to read. */
  offset: number;
  /** Reads stop here (exclusive). */
  readonly end: number;
  /** Offset of the first failed read, or -1. */
  failedAt = -1;
  #reason = "";

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = start;
    this.end = end > bytes.length ? bytes.length : end;
  }

  get remaining(): number {
    return this.failedAt >= 0 ? 0 : this.end - this.offset;
  }
  get ok(): boolean {
    return this.failedAt < 0;
  }

  /** Latches a failure at the current offset; the first one wins. */
  fail(reason: string): void {
    if (this.failedAt >= 0) return;
    this.failedAt = this.offset;
    this.#reason = reason;
    this.offset = this.end;
  }

  /** True when `n` more bytes are there; latches otherwise. */
  #need(n: number): boolean {
    if (this.failedAt >= 0) return false;
    if (n < 0 || this.end - this.offset < n) {
      this.fail(`${n} more bytes expected, ${this.end - this.offset} left`);
      return false;
    }
    return true;
  }

  u8(): number {
    return this.#need(1) ? this.bytes[this.offset++]! : 0;
  }
  u16(): number {
    if (!this.#need(2)) return 0;
    const b = this.bytes;
    const o = this.offset;
    this.offset = o + 2;
    return (b[o]! << 8) | b[o + 1]!;
  }
  u32(): number {
    if (!this.#need(4)) return 0;
    const b = this.bytes;
    const o = this.offset;
    this.offset = o + 4;
    return ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0;
  }
  /** Unsigned 64 bits as a number; latches beyond 2^53 - 1. */
  u64(): number {
    const at = this.offset;
    const high = this.u32();
    const low = this.u32();
    if (high > 0x1fffff) {
      this.offset = at;
      this.fail("64-bit number beyond 2^53");
      return 0;
    }
    return high * 4294967296 + low;
  }
  f64(): number {
    if (!this.#need(8)) return 0;
    const v = new DataView(this.bytes.buffer, this.bytes.byteOffset + this.offset, 8).getFloat64(0);
    this.offset += 8;
    return v;
  }

  /** Unsigned varint up to 2^53 - 1; latches on longer ones and on more than 10 bytes. */
  uvarint(): number {
    if (this.failedAt >= 0) return 0;
    const b = this.bytes;
    let o = this.offset;
    if (o < this.end && b[o]! < 0x80) {
      this.offset = o + 1;
      return b[o]!;
    }
    let result = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (o >= this.end) {
        this.fail("varint runs past the end");
        return 0;
      }
      const c = b[o++]!;
      result += (c & 0x7f) * scale;
      if (c < 0x80) {
        if (result > Number.MAX_SAFE_INTEGER) {
          this.fail("varint beyond 2^53");
          return 0;
        }
        this.offset = o;
        return result;
      }
      scale *= 128;
    }
    this.fail("varint longer than 10 bytes");
    return 0;
  }

  /** Zig-zag varint within ±(2^53 - 1). */
  varint(): number {
    if (this.failedAt >= 0) return 0;
    // The zig-zag form of a value near 2^52 already passes 2^53, so the halves are kept apart.
    const b = this.bytes;
    let o = this.offset;
    let low = 0; // bits 0..27
    let high = 0; // the rest
    for (let i = 0; i < 10; i++) {
      if (o >= this.end) {
        this.fail("varint runs past the end");
        return 0;
      }
      const c = b[o++]!;
      if (i < 4) low += (c & 0x7f) * (1 << (7 * i));
      else high += (c & 0x7f) * Math.pow(128, i - 4);
      if (c < 0x80) {
        const negative = (low & 1) === 1;
        const half = (low - (low & 1)) / 2 + high * 134217728;
        if (half > Number.MAX_SAFE_INTEGER) {
          this.fail("varint beyond 2^53");
          return 0;
        }
        this.offset = o;
        return negative ? -half - 1 : half;
      }
    }
    this.fail("varint longer than 10 bytes");
    return 0;
  }

  /** The next `n` bytes as a view (dies with its source). */
  view(n: number): Uint8Array {
    if (!this.#need(n)) return this.bytes.subarray(0, 0);
    const v = this.bytes.subarray(this.offset, this.offset + n);
    this.offset += n;
    return v;
  }
  /** A string behind its uvarint byte length. */
  string(): string {
    const n = this.uvarint();
    if (!this.#need(n)) return "";
    const s = decodeUtf8(this.bytes, this.offset, this.offset + n);
    this.offset += n;
    return s;
  }
  skip(n: number): void {
    if (this.#need(n)) this.offset += n;
  }

  /** Throws the latched failure, if any; `what` names the structure being read. */
  check(what: string, file = "", base = 0): void {
    if (this.failedAt < 0) return;
    throw new CorruptionError(`${what}: ${this.#reason}`, { file, offset: base + this.failedAt });
  }
  /** Like check(), and also throws when bytes are left over. */
  finish(what: string, file = "", base = 0): void {
    this.check(what, file, base);
    if (this.offset !== this.end) {
      throw new CorruptionError(`${what}: ${this.end - this.offset} bytes left over`, {
        file,
        offset: base + this.offset,
      });
    }
  }
}
