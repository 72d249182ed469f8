/**
 * JSON as bytes: results go straight from typed arrays into a buffer, without a string or object
 * per sample.
 */
import { encodeUtf8Into, formatFloatJson, utf8Length } from "../base/mod.ts";

const DIGIT_0 = 0x30;

/** Growable output; `take()` hands over what was written so far. */
export class JsonBytes {
  #bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = 64 * 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  #reserve(n: number): void {
    const need = this.length + n;
    if (need <= this.#bytes.length) return;
    let size = this.#bytes.length * 2;
    while (size < need) size *= 2;
    const next = new Uint8Array(size);
    next.set(this.#bytes.subarray(0, this.length));
    this.#bytes = next;
  }

  /** Everything written since the last call, as bytes of their own. */
  take(): Uint8Array<ArrayBuffer> {
    const out = this.#bytes.slice(0, this.length);
    this.length = 0;
    return out;
  }

  /** Text that is JSON already. */
  raw(text: string): void {
    this.#reserve(text.length * 3);
    this.length += encodeUtf8Into(text, this.#bytes, this.length);
  }

  byte(code: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = code;
  }

  /** A JSON string. */
  string(text: string): void {
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c < 0x20 || c === 0x22 || c === 0x5c || (c >= 0xd800 && c < 0xe000)) {
        this.raw(JSON.stringify(text));
        return;
      }
    }
    this.#reserve(utf8Length(text) + 2);
    this.#bytes[this.length++] = 0x22;
    this.length += encodeUtf8Into(text, this.#bytes, this.length);
    this.#bytes[this.length++] = 0x22;
  }

  /** A whole number below 2^53. */
  integer(x: number): void {
    this.#reserve(20);
    const b = this.#bytes;
    let at = this.length;
    if (x < 0) {
      b[at++] = 0x2d;
      x = -x;
    }
    let high = 0;
    let low = x;
    if (x >= 1_000_000_000) {
      high = Math.floor(x / 1_000_000_000);
      low = x - high * 1_000_000_000;
    }
    if (high > 0) {
      at = smallInteger(b, at, high);
      for (let scale = 100_000_000; scale >= 1; scale = (scale / 10) | 0) {
        b[at++] = DIGIT_0 + (((low / scale) | 0) % 10);
      }
    } else {
      at = smallInteger(b, at, low);
    }
    this.length = at;
  }

  /** A time in ms as seconds: whole, or with exactly three decimals. */
  seconds(ms: number): void {
    let t = ms;
    if (t < 0) {
      this.byte(0x2d);
      t = -t;
    }
    const whole = Math.floor(t / 1000);
    const rest = t - whole * 1000;
    this.integer(whole);
    if (rest === 0) return;
    this.#reserve(4);
    const b = this.#bytes;
    b[this.length++] = 0x2e;
    b[this.length++] = DIGIT_0 + ((rest / 100) | 0);
    b[this.length++] = DIGIT_0 + (((rest / 10) | 0) % 10);
    b[this.length++] = DIGIT_0 + (rest % 10 | 0);
  }

  /** A sample value in quotes, as Go prints it. */
  value(x: number): void {
    this.byte(0x22);
    if (x === (x | 0) && (x !== 0 || 1 / x > 0)) this.integer(x);
    else this.raw(formatFloatJson(x));
    this.byte(0x22);
  }
}

/** Writes a whole number below 2^32 (high parts below 10^7) and returns the new offset. */
function smallInteger(b: Uint8Array, at: number, x: number): number {
  let digits = 1;
  for (let y = x; y >= 10; y = Math.floor(y / 10)) digits++;
  let i = at + digits;
  const end = i;
  let rest = x;
  do {
    const q = Math.floor(rest / 10);
    b[--i] = DIGIT_0 + (rest - q * 10);
    rest = q;
  } while (i > at);
  return end;
}
