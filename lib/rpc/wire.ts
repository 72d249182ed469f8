/**
 * Protobuf primitives for hand-written codecs: a reader over bytes and a writer into one growable
 * buffer. Codecs ask for fields by number; unknown fields are skipped, packed and unpacked repeated
 * numbers are both read, defaults are not written (proto3).
 *
 * 64-bit integers are numbers: what lies beyond ±(2^53 - 1) is read as ±(2^53 - 1), and those two
 * values are written as the extremes of int64, since the wire uses the extremes for "no bound".
 */
import {
  CorruptionError,
  decodeUtf8,
  encodeUtf8Into,
  MnemeError,
  utf8Length,
} from "../base/mod.ts";

/** Wire types. */
export const WIRE_VARINT = 0;
export const WIRE_I64 = 1;
export const WIRE_LEN = 2;
export const WIRE_GROUP_START = 3;
export const WIRE_GROUP_END = 4;
export const WIRE_I32 = 5;

/** Deepest nesting of unknown groups that is skipped. */
const MAX_GROUP_DEPTH = 64;
const MAX = Number.MAX_SAFE_INTEGER;
const TWO_28 = 268435456;
const TWO_56 = 72057594037927936;

/**
 * Reads one message; nested messages narrow `end` and widen it again.
 *
 * ```ts
 * while (r.next()) {
 *   switch (r.field) {
 *     case 1: name = r.string(); break;
 *     default: r.skip();
 *   }
 * }
 * ```
 *
 * Owner: the caller keeps the bytes unchanged while views of them live.
 * Throws: CorruptionError with the offset for lengths past the end, overlong varints and values of
 *   another wire type than the codec asks for.
 */
export class ProtoReader {
  readonly bytes: Uint8Array;
  offset: number;
  end: number;
  /** Number and wire type of the field that next() found. */
  field = 0;
  wireType = 0;
  #view: DataView | undefined;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
  }

  /** Reads the next tag; false at the end of the message. */
  next(): boolean {
    if (this.offset >= this.end) return false;
    const c = this.bytes[this.offset]!;
    let tag: number;
    if (c < 0x80) {
      this.offset++;
      tag = c;
    } else tag = this.#varint32();
    this.field = tag >>> 3;
    this.wireType = tag & 7;
    if (this.field === 0) throw this.corrupt("field number 0");
    return true;
  }

  /** An error at the current offset. */
  corrupt(reason: string): CorruptionError {
    return new CorruptionError(`protobuf: ${reason}`, { offset: this.offset });
  }

  #expect(wireType: number): void {
    if (this.wireType !== wireType) {
      throw this.corrupt(`field ${this.field} has wire type ${this.wireType}, not ${wireType}`);
    }
  }

  /** A varint cut to 32 bits. */
  #varint32(): number {
    const b = this.bytes;
    let o = this.offset;
    let x = 0;
    for (let i = 0; i < 10; i++) {
      if (o >= this.end) throw this.corrupt("varint runs past the end");
      const c = b[o++]!;
      if (i < 5) x |= (c & 0x7f) << (7 * i);
      if (c < 0x80) {
        this.offset = o;
        return x >>> 0;
      }
    }
    throw this.corrupt("varint longer than 10 bytes");
  }

  // A 64-bit varint is taken apart into 28 + 28 + 8 bits.
  #low = 0;
  #mid = 0;
  #top = 0;
  #varint64(): void {
    const b = this.bytes;
    const end = this.end;
    let o = this.offset;
    if (end - o >= 10) {
      // Without checks of the end; unrolled, as most of the time of a frame is spent here.
      let c = b[o++]!;
      let low = c & 0x7f;
      let mid = 0;
      let top = 0;
      done: {
        if (c < 0x80) break done;
        low |= ((c = b[o++]!) & 0x7f) << 7;
        if (c < 0x80) break done;
        low |= ((c = b[o++]!) & 0x7f) << 14;
        if (c < 0x80) break done;
        low |= ((c = b[o++]!) & 0x7f) << 21;
        if (c < 0x80) break done;
        mid = (c = b[o++]!) & 0x7f;
        if (c < 0x80) break done;
        mid |= ((c = b[o++]!) & 0x7f) << 7;
        if (c < 0x80) break done;
        mid |= ((c = b[o++]!) & 0x7f) << 14;
        if (c < 0x80) break done;
        mid |= ((c = b[o++]!) & 0x7f) << 21;
        if (c < 0x80) break done;
        top = (c = b[o++]!) & 0x7f;
        if (c < 0x80) break done;
        top |= ((c = b[o++]!) & 1) << 7;
        if (c >= 0x80) throw this.corrupt("varint longer than 10 bytes");
      }
      this.offset = o;
      this.#low = low;
      this.#mid = mid;
      this.#top = top;
      return;
    }
    let low = 0;
    let mid = 0;
    let top = 0;
    let i = 0;
    for (;; i++) {
      if (o >= end) throw this.corrupt("varint runs past the end");
      const c = b[o++]!;
      if (i < 4) low |= (c & 0x7f) << (7 * i);
      else if (i < 8) mid |= (c & 0x7f) << (7 * i - 28);
      else if (i === 8) top = c & 0x7f;
      else if (i === 9) top |= (c & 1) << 7;
      else throw this.corrupt("varint longer than 10 bytes");
      if (c < 0x80) break;
    }
    this.offset = o;
    this.#low = low;
    this.#mid = mid;
    this.#top = top;
  }

  /** int64 within ±(2^53 - 1), clamped. */
  int64(): number {
    this.#expect(WIRE_VARINT);
    return this.#int64();
  }
  /** An int64 without looking at the wire type, for codecs that know the bytes before it. */
  rawInt64(): number {
    return this.#int64();
  }
  #int64(): number {
    if (this.offset < this.end && this.bytes[this.offset]! < 0x80) {
      return this.bytes[this.offset++]!;
    }
    this.#varint64();
    if (this.#top < 128) {
      const x = this.#low + this.#mid * TWO_28 + this.#top * TWO_56;
      return x > MAX ? MAX : x;
    }
    const m = (~this.#low & (TWO_28 - 1)) + (~this.#mid & (TWO_28 - 1)) * TWO_28 +
      (~this.#top & 0xff) * TWO_56;
    return m >= MAX ? -MAX : -m - 1;
  }
  /** uint64 up to 2^53 - 1, clamped. */
  uint64(): number {
    this.#expect(WIRE_VARINT);
    return this.#uint64();
  }
  #uint64(): number {
    this.#varint64();
    const x = this.#low + this.#mid * TWO_28 + this.#top * TWO_56;
    return x > MAX ? MAX : x;
  }
  /** uint64 as unsigned halves, high first, written into `out` at `at`. */
  uint64Into(out: Uint32Array | number[], at: number): void {
    this.#expect(WIRE_VARINT);
    this.#varint64();
    out[at] = ((this.#mid >>> 4) | (this.#top << 24)) >>> 0;
    out[at + 1] = (this.#low | (this.#mid << 28)) >>> 0;
  }
  /** sint64 (zig-zag) within ±(2^53 - 1), clamped. */
  sint64(): number {
    this.#expect(WIRE_VARINT);
    return this.#sint64();
  }
  #sint64(): number {
    this.#varint64();
    // Half of the zig-zag number, exact before the sum: up to 2^63.
    const half = (this.#low >>> 1) + this.#mid * (TWO_28 / 2) + this.#top * (TWO_56 / 2);
    if ((this.#low & 1) === 0) return half > MAX ? MAX : half;
    return half >= MAX ? -MAX : -half - 1;
  }
  /** int32, enum. */
  int32(): number {
    this.#expect(WIRE_VARINT);
    return this.#varint32() | 0;
  }
  uint32(): number {
    this.#expect(WIRE_VARINT);
    return this.#varint32();
  }
  /** sint32 (zig-zag). */
  sint32(): number {
    this.#expect(WIRE_VARINT);
    const x = this.#varint32();
    return (x >>> 1) ^ -(x & 1);
  }
  bool(): boolean {
    this.#expect(WIRE_VARINT);
    this.#varint64();
    return (this.#low | this.#mid | this.#top) !== 0;
  }

  #dataView(): DataView {
    return this.#view ??= new DataView(
      this.bytes.buffer,
      this.bytes.byteOffset,
      this.bytes.byteLength,
    );
  }
  #need(n: number): void {
    if (n > this.end - this.offset) {
      throw this.corrupt(`${n} more bytes expected, ${this.end - this.offset} left`);
    }
  }
  /** A double as a number: NaN payloads are lost, so samples use doubleInto(). */
  double(): number {
    this.#expect(WIRE_I64);
    this.#need(8);
    const x = this.#dataView().getFloat64(this.offset, true);
    this.offset += 8;
    return x;
  }
  /** A double, bit for bit, into element `at` of an array seen as 32-bit halves. */
  doubleInto(halves: Uint32Array, at: number): void {
    this.#expect(WIRE_I64);
    this.#need(8);
    const view = this.#dataView();
    halves[2 * at] = view.getUint32(this.offset, true);
    halves[2 * at + 1] = view.getUint32(this.offset + 4, true);
    this.offset += 8;
  }

  /** Length of the length-delimited value that starts here; checked against what is left. */
  length(): number {
    this.#expect(WIRE_LEN);
    const c = this.offset < this.end ? this.bytes[this.offset]! : 0x80;
    let n: number;
    if (c < 0x80) {
      this.offset++;
      n = c;
    } else n = this.#uint64();
    this.#need(n);
    return n;
  }
  /** Bytes as a view of the source. */
  view(): Uint8Array {
    const n = this.length();
    const at = this.offset;
    this.offset = at + n;
    return this.bytes.subarray(at, at + n);
  }
  string(): string {
    const n = this.length();
    const at = this.offset;
    this.offset = at + n;
    return decodeUtf8(this.bytes, at, at + n);
  }
  /** Enters a nested message; pass the result to leave(). */
  enter(): number {
    const n = this.length();
    const outer = this.end;
    this.end = this.offset + n;
    return outer;
  }
  /** Leaves a nested message that next() has read to its end. */
  leave(outer: number): void {
    this.offset = this.end;
    this.end = outer;
  }

  /**
   * Reads a nested message: `read` gets each field's number and must consume its value, or return
   * false to have it skipped. Hot paths use enter() and leave() themselves.
   */
  message(read: (field: number) => void | false): void {
    const outer = this.enter();
    this.fields(read);
    this.leave(outer);
  }
  /** Like message(), for all that is left up to `end`. */
  fields(read: (field: number) => void | false): void {
    while (this.next()) if (read(this.field) === false) this.skip();
  }

  /** Appends one value, or a packed run of them, to `out`. */
  repeatedInt64(out: number[]): void {
    this.#repeated(out, () => this.#int64());
  }
  repeatedInt32(out: number[]): void {
    this.#repeated(out, () => this.#varint32() | 0);
  }
  repeatedUint32(out: number[]): void {
    this.#repeated(out, () => this.#varint32());
  }
  repeatedSint64(out: number[]): void {
    this.#repeated(out, () => this.#sint64());
  }
  #repeated(out: number[], read: () => number): void {
    if (this.wireType !== WIRE_LEN) {
      this.#expect(WIRE_VARINT);
      out.push(read());
      return;
    }
    const outer = this.enter();
    while (this.offset < this.end) out.push(read());
    this.end = outer;
  }
  /** Appends one double, or a packed run of them, to `out`; NaN payloads are lost. */
  repeatedDouble(out: number[]): void {
    if (this.wireType !== WIRE_LEN) {
      out.push(this.double());
      return;
    }
    const n = this.length();
    if (n % 8 !== 0) throw this.corrupt(`packed doubles of ${n} bytes`);
    const view = this.#dataView();
    for (const end = this.offset + n; this.offset < end; this.offset += 8) {
      out.push(view.getFloat64(this.offset, true));
    }
  }

  /** Skips the value of the field that next() found. */
  skip(): void {
    this.#skip(0);
  }
  #skip(depth: number): void {
    switch (this.wireType) {
      case WIRE_VARINT:
        this.#varint64();
        return;
      case WIRE_I64:
        this.#need(8);
        this.offset += 8;
        return;
      case WIRE_LEN: {
        const n = this.length();
        this.offset += n;
        return;
      }
      case WIRE_I32:
        this.#need(4);
        this.offset += 4;
        return;
      case WIRE_GROUP_START: {
        if (depth >= MAX_GROUP_DEPTH) throw this.corrupt("groups nested too deeply");
        const group = this.field;
        for (;;) {
          if (!this.next()) throw this.corrupt("group without an end");
          if ((this.wireType as number) === WIRE_GROUP_END) {
            if (this.field !== group) throw this.corrupt("group ends with another number");
            return;
          }
          this.#skip(depth + 1);
        }
      }
      default:
        throw this.corrupt(`wire type ${this.wireType}`);
    }
  }
}

/** Number of bytes of an unsigned varint. */
export function varintSize(x: number): number {
  let n = 1;
  for (; x >= 0x80; x = Math.floor(x / 128)) n++;
  return n;
}

/**
 * Writes messages front to back into one growable buffer.
 *
 * A nested message is opened with a guess of its size, which only decides how much room its length
 * gets; a wrong guess costs a move of its bytes at close(), never a wrong result. Fields with their
 * default value are left out; the `…Always` forms are for members of a oneof.
 * Owner: the writer, until finish() hands the bytes over.
 */
export class ProtoWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;

  /** `memory` is a first capacity, or memory to write into as long as there is room. */
  constructor(memory: number | Uint8Array<ArrayBuffer> = 256) {
    this.#bytes = typeof memory === "number" ? new Uint8Array(Math.max(64, memory)) : memory;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }
  /** What was written; the writer must not be used after it, except for a new beginning. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew in the same memory; what finish() gave must be done with. */
  reset(): void {
    this.#length = 0;
  }

  /** Makes room for `n` more bytes. */
  reserve(n: number): void {
    const need = this.#length + n;
    if (need <= this.#bytes.length) return;
    if (need > 0x7fffffff) {
      throw new MnemeError("limit", "message longer than 2 GiB");
    }
    let size = this.#bytes.length * 2;
    while (size < need) size *= 2;
    const next = new Uint8Array(size);
    next.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = next;
    this.#view = new DataView(next.buffer);
  }

  /** An unsigned varint without a tag. */
  rawVarint(x: number): void {
    this.reserve(10);
    const b = this.#bytes;
    let o = this.#length;
    while (x > 0x7fffffff) {
      b[o++] = (x % 128) | 0x80;
      x = Math.floor(x / 128);
    }
    while (x > 0x7f) {
      b[o++] = (x & 0x7f) | 0x80;
      x >>>= 7;
    }
    b[o++] = x;
    this.#length = o;
  }
  /** 64 bits as a varint without a tag, from unsigned halves. */
  rawVarintHalves(high: number, low: number): void {
    this.reserve(10);
    const b = this.#bytes;
    let o = this.#length;
    high >>>= 0;
    low >>>= 0;
    while (high !== 0 || low > 0x7f) {
      b[o++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    b[o++] = low;
    this.#length = o;
  }
  #tag(field: number, wireType: number): void {
    if (field < 16) {
      this.reserve(1);
      this.#bytes[this.#length++] = (field << 3) | wireType;
    } else this.rawVarint(field * 8 + wireType);
  }

  /** An int64; ±(2^53 - 1) become the extremes of int64. */
  int64(field: number, x: number): void {
    if (x !== 0) this.int64Always(field, x);
  }
  int64Always(field: number, x: number): void {
    this.#tag(field, WIRE_VARINT);
    this.#rawInt64(x);
  }
  #rawInt64(x: number): void {
    if (x >= 0) {
      if (x >= MAX) this.rawVarintHalves(0x7fffffff, 0xffffffff);
      else this.rawVarint(x);
    } else if (x <= -MAX) this.rawVarintHalves(0x80000000, 0);
    else {
      const m = -(x + 1);
      this.rawVarintHalves(~Math.floor(m / 4294967296), ~(m % 4294967296));
    }
  }
  uint64(field: number, x: number): void {
    if (x !== 0) this.uint64Always(field, x);
  }
  uint64Always(field: number, x: number): void {
    this.#tag(field, WIRE_VARINT);
    this.rawVarint(x);
  }
  /** A uint64 from unsigned halves; left out when zero. */
  uint64Halves(field: number, high: number, low: number): void {
    if (high === 0 && low === 0) return;
    this.#tag(field, WIRE_VARINT);
    this.rawVarintHalves(high, low);
  }
  /** int32 and enums. */
  int32(field: number, x: number): void {
    if (x === 0) return;
    this.#tag(field, WIRE_VARINT);
    this.#rawInt64(x);
  }
  uint32(field: number, x: number): void {
    this.uint64(field, x);
  }
  sint32(field: number, x: number): void {
    if (x === 0) return;
    this.#tag(field, WIRE_VARINT);
    this.rawVarint(((x << 1) ^ (x >> 31)) >>> 0);
  }
  #rawSint64(x: number): void {
    const m = x >= 0 ? x : -(x + 1);
    const high = Math.floor(m / 4294967296);
    const low = (m % 4294967296) >>> 0;
    this.rawVarintHalves((high << 1) | (low >>> 31), (low << 1) | (x >= 0 ? 0 : 1));
  }
  bool(field: number, x: boolean): void {
    if (!x) return;
    this.#tag(field, WIRE_VARINT);
    this.rawVarint(1);
  }
  double(field: number, x: number): void {
    if (!Object.is(x, 0)) this.doubleAlways(field, x);
  }
  doubleAlways(field: number, x: number): void {
    this.#tag(field, WIRE_I64);
    this.reserve(8);
    this.#view.setFloat64(this.#length, x, true);
    this.#length += 8;
  }
  /** A double by its halves, bit for bit; left out when all bits are zero. */
  doubleHalves(field: number, high: number, low: number): void {
    if (high === 0 && low === 0) return;
    this.#tag(field, WIRE_I64);
    this.reserve(8);
    this.#view.setUint32(this.#length, low, true);
    this.#view.setUint32(this.#length + 4, high, true);
    this.#length += 8;
  }

  string(field: number, text: string): void {
    if (text !== "") this.stringAlways(field, text);
  }
  stringAlways(field: number, text: string): void {
    this.#tag(field, WIRE_LEN);
    const n = text.length;
    if (n > 64) {
      const size = utf8Length(text);
      this.rawVarint(size);
      this.reserve(size);
      encodeUtf8Into(text, this.#bytes, this.#length);
      this.#length += size;
      return;
    }
    this.reserve(1 + 3 * n);
    const b = this.#bytes;
    const at = this.#length;
    for (let i = 0; i < n; i++) {
      const c = text.charCodeAt(i);
      if (c >= 0x80) {
        const size = utf8Length(text);
        this.rawVarint(size);
        encodeUtf8Into(text, this.#bytes, this.#length);
        this.#length += size;
        return;
      }
      b[at + 1 + i] = c;
    }
    b[at] = n;
    this.#length = at + 1 + n;
  }
  strings(field: number, texts: readonly string[]): void {
    for (const text of texts) this.stringAlways(field, text);
  }
  bytes(field: number, data: Uint8Array): void {
    if (data.length > 0) this.bytesAlways(field, data);
  }
  bytesAlways(field: number, data: Uint8Array): void {
    this.#tag(field, WIRE_LEN);
    this.rawVarint(data.length);
    this.reserve(data.length);
    this.#bytes.set(data, this.#length);
    this.#length += data.length;
  }

  /** Opens a nested message of about `guess` bytes; pass the result to close(). */
  open(field: number, guess = 0): number {
    this.#tag(field, WIRE_LEN);
    const width = varintSize(guess);
    this.reserve(width);
    this.#length += width;
    return this.#length * 8 + width;
  }
  close(token: number): void {
    const width = token % 8;
    const start = (token - width) / 8;
    const size = this.#length - start;
    const needed = varintSize(size);
    // Room first: once length is set back, growing would lose the body.
    this.reserve(10);
    if (needed !== width) {
      this.#bytes.copyWithin(start - width + needed, start, this.#length);
    }
    this.#length = start - width;
    this.rawVarint(size);
    this.#length += size;
  }
  /** Starts a nested message of exactly `size` bytes; there is nothing to close. */
  openExact(field: number, size: number): void {
    this.#tag(field, WIRE_LEN);
    this.rawVarint(size);
  }
  /** A nested message without fields. */
  empty(field: number): void {
    this.#tag(field, WIRE_LEN);
    this.rawVarint(0);
  }

  packedInt32(field: number, values: readonly number[]): void {
    this.#packed(field, values, (x) => this.#rawInt64(x));
  }
  packedUint32(field: number, values: readonly number[]): void {
    this.#packed(field, values, (x) => this.rawVarint(x));
  }
  packedSint64(field: number, values: ArrayLike<number>): void {
    this.#packed(field, values, (x) => this.#rawSint64(x));
  }
  packedDouble(field: number, values: ArrayLike<number>): void {
    this.#packed(field, values, (x) => {
      this.reserve(8);
      this.#view.setFloat64(this.#length, x, true);
      this.#length += 8;
    });
  }
  #packed(field: number, values: ArrayLike<number>, write: (x: number) => void): void {
    if (values.length === 0) return;
    const token = this.open(field, values.length);
    for (let i = 0; i < values.length; i++) write(values[i]!);
    this.close(token);
  }
}
