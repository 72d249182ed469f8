/** Growable byte buffer: the exact mirror of byte_reader.ts. */
import { encodeUtf8Into, utf8Length } from "./utf8.ts";
import { assert } from "./assert.ts";

/** Appends big-endian integers, varints and strings; owner: the writer owns its buffer. */
export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>;
  length = 0;
  #view: DataView;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity < 16 ? 16 : capacity);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `n` more bytes. */
  reserve(n: number): void {
    const need = this.length + n;
    if (need <= this.bytes.length) return;
    let size = this.bytes.length * 2;
    while (size < need) size *= 2;
    const next = new Uint8Array(size);
    next.set(this.bytes.subarray(0, this.length));
    this.bytes = next;
    this.#view = new DataView(next.buffer);
  }
  reset(): void {
    this.length = 0;
  }

  u8(x: number): void {
    this.reserve(1);
    this.bytes[this.length++] = x;
  }
  u16(x: number): void {
    this.reserve(2);
    this.#view.setUint16(this.length, x);
    this.length += 2;
  }
  u32(x: number): void {
    this.reserve(4);
    this.#view.setUint32(this.length, x);
    this.length += 4;
  }
  /** Unsigned 64 bits from a safe integer. */
  u64(x: number): void {
    assert(x >= 0 && x <= Number.MAX_SAFE_INTEGER, "u64 within 2^53");
    this.u32(Math.floor(x / 4294967296));
    this.u32(x % 4294967296);
  }
  f64(x: number): void {
    this.reserve(8);
    this.#view.setFloat64(this.length, x);
    this.length += 8;
  }
  /** Unsigned varint of a safe integer. */
  uvarint(x: number): void {
    this.reserve(10);
    const b = this.bytes;
    let o = this.length;
    while (x > 0x7fffffff) {
      b[o++] = (x % 128) | 0x80;
      x = Math.floor(x / 128);
    }
    while (x > 0x7f) {
      b[o++] = (x & 0x7f) | 0x80;
      x >>>= 7;
    }
    b[o++] = x;
    this.length = o;
  }
  /** Zig-zag varint of a safe integer. */
  varint(x: number): void {
    if (x >= -0x40000000 && x < 0x40000000) {
      this.uvarint(x >= 0 ? x * 2 : -x * 2 - 1);
      return;
    }
    // 2x may pass 2^53: write the lowest seven bits by hand, then the rest of |x|.
    const m = x >= 0 ? x : -x - 1;
    this.u8(((m % 64) * 2 + (x >= 0 ? 0 : 1)) | 0x80);
    this.uvarint(Math.floor(m / 64));
  }
  append(data: Uint8Array): void {
    this.reserve(data.length);
    this.bytes.set(data, this.length);
    this.length += data.length;
  }
  /** A string behind its uvarint byte length. */
  string(s: string): void {
    const n = utf8Length(s);
    this.uvarint(n);
    this.reserve(n);
    encodeUtf8Into(s, this.bytes, this.length);
    this.length += n;
  }
  /** Zero bytes until the length is a multiple of `n`. */
  align(n: number): void {
    const rest = this.length % n;
    if (rest === 0) return;
    this.reserve(n - rest);
    this.bytes.fill(0, this.length, this.length + n - rest);
    this.length += n - rest;
  }
  /** What was written, as a view of the buffer (valid until the next write). */
  view(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }
  /** What was written, as a copy of its own. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}
