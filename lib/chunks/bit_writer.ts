/** Writes a stream of bits, most significant first: the exact mirror of bit_reader.ts. */

/** A growing bit stream. */
export class BitWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  #acc = 0; // filled from the top
  #room = 32; // free low bits of #acc, 1..32

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity < 16 ? 16 : capacity);
  }

  /** The low `n` bits of `x`, 1 to 32. */
  bits(x: number, n: number): void {
    if (n < 32) x &= (1 << n) - 1;
    const over = n - this.#room;
    if (over < 0) {
      this.#room = -over;
      this.#acc |= x << this.#room;
      return;
    }
    this.#flushWord(this.#acc | (x >>> over));
    this.#room = 32 - over;
    this.#acc = over === 0 ? 0 : x << this.#room;
  }
  #flushWord(word: number): void {
    if (this.#length + 4 > this.#bytes.length) {
      const next = new Uint8Array(this.#bytes.length * 2);
      next.set(this.#bytes);
      this.#bytes = next;
    }
    const b = this.#bytes;
    const o = this.#length;
    b[o] = word >>> 24;
    b[o + 1] = word >>> 16;
    b[o + 2] = word >>> 8;
    b[o + 3] = word;
    this.#length = o + 4;
  }
  /** 64 bits in two halves. */
  halves(high: number, low: number): void {
    this.bits(high, 32);
    this.bits(low, 32);
  }
  /** Zig-zag varint of a safe integer. */
  varint(x: number): void {
    const m = x >= 0 ? x : -x - 1;
    let group = (m % 64) * 2 + (x >= 0 ? 0 : 1);
    let rest = Math.floor(m / 64);
    while (rest > 0) {
      this.bits(group | 0x80, 8);
      group = rest % 128;
      rest = Math.floor(rest / 128);
    }
    this.bits(group, 8);
  }
  /** What was written, the last byte padded with zero bits; a copy of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    const used = (32 - this.#room + 7) >> 3;
    const out = new Uint8Array(this.#length + used);
    out.set(this.#bytes.subarray(0, this.#length));
    for (let i = 0; i < used; i++) out[this.#length + i] = this.#acc >>> (24 - 8 * i);
    return out;
  }
}
