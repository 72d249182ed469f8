/**
 * Reads a matrix answer while it still arrives: samples go from the bytes into columns, and
 * `JSON.parse` sees only what stands around them.
 *
 * Each `"values":[…]` of `data.result[…]` is cut out and its place gets the number of its columns.
 * Whatever is not written as the field's servers write it, the scanner gives up: `finish()` says so,
 * and the caller reads the whole text.
 */
import { readDecimal } from "./decimal.ts";

/** Samples of one series. Shape: equally long. Units: s. Series may share `times`. */
export interface Columns {
  readonly times: Float64Array;
  readonly values: Float64Array;
}

/** What an answer was made of: the JSON around the samples, which name columns by their number. */
export interface ScannedMatrix {
  readonly envelope: unknown;
  readonly columns: readonly Columns[];
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The way to the samples, by depth: the key under which it goes on, and what opens there. */
const KEYS = ["", "data", "result", "", "values"];
const OPENS = [OPEN_OBJECT, OPEN_OBJECT, OPEN_ARRAY, OPEN_OBJECT, OPEN_ARRAY];
const IN_RESULT = 3;
const IN_SERIES = 4;
/** Longest text of a sample. */
const MAX_SAMPLE = 512;
/** Digits of a time that a double holds exactly. */
const MAX_DIGITS = 15;
const POWERS = Array.from({ length: MAX_DIGITS + 1 }, (_, i) => 10 ** i);

/** One answer; bytes go in as they come. */
export class MatrixScanner {
  #bytes = new Uint8Array(256 * 1024);
  #end = 0;
  #at = 0;
  #place: "around" | "string" | "samples" | "strange" = "around";
  /** Open brackets around us, and how many of them lie on the way to the samples. */
  #depth = 0;
  #onWay = 0;
  /** The last key goes on with the way. */
  #keyed = false;
  #stringFrom = 0;
  #stringTo = 0;
  /** Where the text around samples goes on. */
  #restFrom = 0;
  readonly #rest: string[] = [];
  readonly #columns: Columns[] = [];
  #times = new Float64Array(1024);
  #values = new Float64Array(1024);
  #count = 0;
  /** Times of the series before, and whether those of this one are the same so far. */
  #before = new Float64Array(0);
  #asBefore = true;

  /** Takes the next bytes of the answer. */
  push(chunk: Uint8Array): void {
    this.#append(chunk);
    while (this.#at < this.#end) {
      switch (this.#place) {
        case "around":
          this.#around();
          break;
        case "string":
          this.#string();
          break;
        case "samples":
          // The last sample may not be there as a whole.
          if (!this.#samples()) return;
          break;
        case "strange":
          return;
      }
    }
  }

  /** The answer; undefined when it has to be read as plain JSON. */
  finish(): ScannedMatrix | undefined {
    if (this.#place !== "around") return undefined;
    this.#cut(this.#end);
    try {
      return { envelope: JSON.parse(this.#rest.join("")), columns: this.#columns };
    } catch {
      // The whole text tells what is wrong.
      return undefined;
    }
  }

  /** Bytes so far. */
  get length(): number {
    return this.#end;
  }

  /** Everything that came, as text. */
  text(): string {
    return new TextDecoder().decode(this.#bytes.subarray(0, this.#end));
  }

  #append(chunk: Uint8Array): void {
    const need = this.#end + chunk.length;
    // One byte stays free: a zero that no rule expects ends every loop.
    if (need >= this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need + 1, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end = need;
  }

  /** Keeps what stands before `to` as JSON. */
  #cut(to: number): void {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.#rest.push(decoder.decode(this.#bytes.subarray(this.#restFrom, to)));
  }

  #around(): void {
    while (this.#at < this.#end) {
      const c = this.#bytes[this.#at++]!;
      switch (c) {
        case QUOTE:
          this.#stringFrom = this.#at;
          this.#place = "string";
          return;
        case COLON:
          this.#key();
          break;
        case OPEN_ARRAY:
        case OPEN_OBJECT:
          if (this.#open(c)) return;
          break;
        case COMMA:
          if (this.#plainSamples()) return;
          break;
        case CLOSE_ARRAY:
        case CLOSE_OBJECT:
          if (this.#plainSamples()) return;
          this.#depth--;
          this.#onWay = Math.min(this.#onWay, this.#depth);
          break;
      }
    }
  }

  /** A number where samples should be would pass for that of columns. */
  #plainSamples(): boolean {
    if (!this.#keyed || this.#depth !== IN_SERIES) return false;
    this.#place = "strange";
    return true;
  }

  /** Goes one bracket deeper; true when samples begin. */
  #open(c: number): boolean {
    const depth = this.#depth++;
    const named = depth === 0 || depth === IN_RESULT || this.#keyed;
    this.#keyed = false;
    if (depth !== this.#onWay || !named || c !== OPENS[depth]) return false;
    if (depth < IN_SERIES) {
      this.#onWay++;
      return false;
    }
    this.#depth--;
    this.#cut(this.#at - 1);
    this.#rest.push(String(this.#columns.length));
    this.#count = 0;
    this.#asBefore = true;
    this.#place = "samples";
    return true;
  }

  /** A colon: the string before it was a key. */
  #key(): void {
    const depth = this.#depth;
    this.#keyed = depth === this.#onWay && depth >= 1 && depth <= IN_SERIES &&
      this.#stringIs(KEYS[depth]!);
  }

  #stringIs(text: string): boolean {
    if (this.#stringTo - this.#stringFrom !== text.length) return false;
    for (let i = 0; i < text.length; i++) {
      if (this.#bytes[this.#stringFrom + i] !== text.charCodeAt(i)) return false;
    }
    return true;
  }

  #string(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (let c = bytes[at]; at < this.#end && c !== QUOTE; c = bytes[at]) {
      if (c === BACKSLASH) {
        // A key may hide behind an escape; what stands for columns must not be mistaken.
        if (this.#onWay === IN_SERIES && this.#depth === IN_SERIES) {
          this.#place = "strange";
          return;
        }
        at += 2;
      } else at++;
    }
    this.#at = at;
    if (at >= this.#end) return;
    this.#stringTo = at;
    this.#at++;
    this.#place = "around";
  }

  /** Reads whole samples; false when the next one is not there yet or is not one. */
  #samples(): boolean {
    const bytes = this.#bytes;
    for (;;) {
      const start = this.#at;
      let at = start;
      if (bytes[at] === CLOSE_ARRAY) {
        this.#close();
        return true;
      }
      if (this.#count > 0 && bytes[at++] !== COMMA) return this.#odd(start, at - 1);
      if (bytes[at] !== OPEN_ARRAY) return this.#odd(start, at);
      // The time: a JSON number without exponent.
      at++;
      const negative = bytes[at] === MINUS;
      if (negative) at++;
      const whole = at;
      let time = 0;
      for (let d = bytes[at]! - ZERO; d >= 0 && d <= 9; d = bytes[at]! - ZERO) {
        time = time * 10 + d;
        at++;
      }
      if (at === whole || at - whole > 1 && bytes[whole] === ZERO) return this.#odd(start, at);
      let digits = at - whole;
      if (bytes[at] === DOT) {
        const dot = at++;
        for (let d = bytes[at]! - ZERO; d >= 0 && d <= 9; d = bytes[at]! - ZERO) {
          time = time * 10 + d;
          at++;
        }
        const decimals = at - dot - 1;
        digits += decimals;
        if (decimals === 0 || digits > MAX_DIGITS) return this.#odd(start, at);
        time /= POWERS[decimals]!;
      }
      if (digits > MAX_DIGITS || bytes[at] !== COMMA) return this.#odd(start, at);
      if (bytes[++at] !== QUOTE) return this.#odd(start, at);
      const from = ++at;
      for (let c = bytes[at]!; c !== QUOTE; c = bytes[++at]!) {
        if (c <= 0x20 || c === BACKSLASH || c >= 0x7f || at - from > MAX_SAMPLE) {
          return this.#odd(start, at);
        }
      }
      if (bytes[at + 1] !== CLOSE_ARRAY) return this.#odd(start, at + 1);
      this.#add(negative ? -time : time, readDecimal(bytes, from, at));
      this.#at = at + 2;
    }
  }

  /** Not a sample at `at`: its bytes are still to come, or it is something else. */
  #odd(start: number, at: number): false {
    if (at < this.#end || this.#end - start > 2 * MAX_SAMPLE) this.#place = "strange";
    return false;
  }

  #add(time: number, value: number): void {
    const i = this.#count;
    if (i === this.#times.length) {
      this.#times = grown(this.#times);
      this.#values = grown(this.#values);
    }
    this.#times[i] = time;
    this.#values[i] = value;
    this.#asBefore &&= this.#before[i] === time;
    this.#count++;
  }

  #close(): void {
    const count = this.#count;
    if (!this.#asBefore || this.#before.length !== count) {
      this.#before = this.#times.slice(0, count);
    }
    this.#columns.push({ times: this.#before, values: this.#values.slice(0, count) });
    this.#at++;
    this.#restFrom = this.#at;
    this.#place = "around";
  }
}

function grown(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const next = new Float64Array(column.length * 2);
  next.set(column);
  return next;
}
