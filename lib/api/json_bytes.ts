/**
 * JSON as bytes: results go straight from typed arrays into a buffer, without a string or object
 * per sample.
 */
import { encodeUtf8Into, formatFloatJson, utf8Length } from "../base/mod.ts";

const DIGIT_0 = 0x30;
const MAX_SAFE = Number.MAX_SAFE_INTEGER;

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
        this.raw(JSON.stringify(text.toWellFormed()));
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
    if (x < 0) this.#bytes[this.length++] = 0x2d;
    this.length = integerAt(this.#bytes, this.length, Math.abs(x));
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

  /**
   * Samples [from, to) of a series as `[time,"value"]`, with a comma before each but the first when
   * `first` is set. `times` are the texts of the times, one per sample.
   */
  samples(times: TimeTexts, v: Float64Array, from: number, to: number, first: boolean): void {
    this.#reserve(
      times.ends[to - 1]! - (from === 0 ? 0 : times.ends[from - 1]!) + (to - from) * 32,
    );
    const { bytes, ends } = times;
    const b = this.#bytes;
    let at = this.length;
    let read = from === 0 ? 0 : ends[from - 1]!;
    let last = NaN;
    let lastAt = 0;
    let lastEnd = 0;
    for (let i = from; i < to; i++) {
      if (!first || i > from) b[at++] = 0x2c;
      for (const end = ends[i]!; read < end; read++) b[at++] = bytes[read]!;
      const x = v[i]!;
      if (x >= 0 && x <= MAX_SAFE && x === Math.floor(x) && (x !== 0 || 1 / x > 0)) {
        at = integerAt(b, at, x);
      } else if (x === last) {
        // Gauges often stand still; a text is made once.
        for (let k = lastAt; k < lastEnd; k++) b[at++] = b[k]!;
      } else {
        const text = formatFloatJson(x);
        last = x;
        lastAt = at;
        for (let k = 0; k < text.length; k++) b[at++] = text.charCodeAt(k);
        lastEnd = at;
      }
      b[at++] = 0x22;
      b[at++] = 0x5d;
    }
    this.length = at;
  }

  /** A sample value in quotes, as Go prints it. */
  value(x: number): void {
    this.byte(0x22);
    if (x === (x | 0) && (x !== 0 || 1 / x > 0)) this.integer(x);
    else this.raw(formatFloatJson(x));
    this.byte(0x22);
  }
}

/** Texts `[seconds,"` of many times, made once and copied for every series that has these times. */
export interface TimeTexts {
  readonly bytes: Uint8Array;
  /** Where each text ends. */
  readonly ends: Int32Array;
}

/** The texts of the times in `t`, ms. */
export function timeTexts(t: Float64Array): TimeTexts {
  const out = new JsonBytes(t.length * 18 + 32);
  const ends = new Int32Array(t.length);
  for (let i = 0; i < t.length; i++) {
    out.byte(0x5b);
    out.seconds(t[i]!);
    out.byte(0x2c);
    out.byte(0x22);
    ends[i] = out.length;
  }
  return { bytes: out.take(), ends };
}

/** Writes a whole number from 0 to 2^53 - 1 and returns the new offset. */
function integerAt(b: Uint8Array, at: number, x: number): number {
  if (x < 1_000_000_000) return smallInteger(b, at, x);
  const high = Math.floor(x / 1_000_000_000);
  let low = x - high * 1_000_000_000;
  const end = smallInteger(b, at, high) + 9;
  for (let i = end - 1; i >= end - 9; i--) {
    const q = (low / 10) >>> 0;
    b[i] = DIGIT_0 + (low - q * 10);
    low = q;
  }
  return end;
}

/** Writes a whole number below 2^32 and returns the new offset. */
function smallInteger(b: Uint8Array, at: number, x: number): number {
  let rest = x >>> 0;
  let digits = 1;
  for (let limit = 10; limit <= rest; limit *= 10) digits++;
  const end = at + digits;
  for (let i = end - 1; i >= at; i--) {
    const q = (rest / 10) >>> 0;
    b[i] = DIGIT_0 + (rest - q * 10);
    rest = q;
  }
  return end;
}
