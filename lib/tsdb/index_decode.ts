/**
 * Decoding of the two kinds of index entries that are fetched piecewise: series and postings lists.
 *
 * Pure functions over bytes, so a local file and byte ranges out of a bucket share them. Every
 * checksum is verified.
 */
import { CorruptionError } from "../base/mod.ts";
import { readU32, verifyChecksum } from "./index_format.ts";

/** One series entry; reused from decode to decode. */
export class SeriesEntry {
  /** Elements of `labels` in use: two a label. */
  labelLength = 0;
  /** Symbol refs [name0, value0, …]. */
  labels: Uint32Array = new Uint32Array(32);
  chunkCount = 0;
  /** Time range of each chunk, ms, closed. */
  minTimes: Float64Array = new Float64Array(16);
  maxTimes: Float64Array = new Float64Array(16);
  /** Chunk references; safe integers. */
  refs: Float64Array = new Float64Array(16);
  /** False when chunks overlap or go back in time, which sound writers never let happen. */
  ordered = true;
  /** Bytes of the entry with length and checksum. */
  size = 0;
}

/** A varint reader that throws; `pos` stays within `end`. */
class Cursor {
  readonly bytes: Uint8Array;
  pos: number;
  readonly end: number;
  readonly #file: string;
  readonly #base: number;
  constructor(bytes: Uint8Array, pos: number, end: number, file: string, base: number) {
    this.bytes = bytes;
    this.pos = pos;
    this.end = end;
    this.#file = file;
    this.#base = base;
  }
  fail(reason: string): never {
    throw new CorruptionError(`series entry: ${reason}`, {
      file: this.#file,
      offset: this.#base + this.pos,
    });
  }
  uvarint(): number {
    const b = this.bytes;
    const end = this.end;
    let p = this.pos;
    if (p < end && b[p]! < 0x80) {
      this.pos = p + 1;
      return b[p]!;
    }
    let x = 0;
    let scale = 1;
    for (; p < end; scale *= 128) {
      const c = b[p++]!;
      x += (c & 0x7f) * scale;
      if (c < 0x80) {
        if (x > Number.MAX_SAFE_INTEGER) this.fail("number beyond 2^53");
        this.pos = p;
        return x;
      }
      if (scale > 4e18) break;
    }
    return this.fail(p < end ? "varint longer than 10 bytes" : "it ends inside a number");
  }
  /**
   * A difference of times. It is written unsigned, so in blocks whose chunks overlap it wraps round
   * 2^64; such ten-byte numbers are read as what is missing to 2^64.
   */
  difference(): number {
    const b = this.bytes;
    const p = this.pos;
    if (p + 10 > this.end || b[p + 9] !== 1) return this.uvarint();
    let missing = 1;
    for (let i = 0, scale = 1; i < 9; i++, scale *= 128) {
      if (b[p + i]! < 0x80) return this.uvarint();
      missing += (0x7f - (b[p + i]! & 0x7f)) * scale;
    }
    if (missing > Number.MAX_SAFE_INTEGER) this.fail("number beyond 2^53");
    this.pos = p + 10;
    return -missing;
  }
  varint(): number {
    // The lowest seven bits apart, as the zig-zag form may pass 2^53 where the value does not.
    const b = this.bytes;
    if (this.pos >= this.end) this.fail("it ends inside a number");
    const low = b[this.pos]!;
    if (low < 0x80) {
      this.pos++;
      return (low & 1) === 0 ? low >> 1 : -(low >> 1) - 1;
    }
    this.pos++;
    const half = this.uvarint() * 64 + ((low & 0x7f) >> 1);
    if (half > Number.MAX_SAFE_INTEGER) this.fail("number beyond 2^53");
    return (low & 1) === 0 ? half : -half - 1;
  }
}

/**
 * Size of the series entry at `at` with length and checksum; undefined when its length is cut off.
 * May be larger than what is left of `bytes`: then more has to be fetched.
 */
export function seriesEntrySize(
  bytes: Uint8Array,
  at: number,
  file = "",
  base = 0,
): number | undefined {
  let length = 0;
  let scale = 1;
  for (let i = 0; i < 5; i++, scale *= 128) {
    if (at + i >= bytes.length) return undefined;
    const b = bytes[at + i]!;
    length += (b & 0x7f) * scale;
    if (b < 0x80) return i + 1 + length + 4;
  }
  throw new CorruptionError("length of series entry is no varint of up to 5 bytes", {
    file,
    offset: base + at,
  });
}

/**
 * Decodes the series entry at `at` into `into`, replacing its contents.
 *
 * Shape: columns of `into` grow to what the entry really holds; `base` is the index offset of
 *   bytes[0], for errors.
 * Throws: CorruptionError when the entry is cut off, malformed, or its checksum differs.
 */
export function decodeSeries(
  bytes: Uint8Array,
  at: number,
  into: SeriesEntry,
  file = "",
  base = 0,
): void {
  const size = seriesEntrySize(bytes, at, file, base);
  if (size === undefined || at + size > bytes.length) {
    throw new CorruptionError("series entry is cut off", { file, offset: base + at });
  }
  const end = at + size - 4;
  let start = at + 1;
  while (bytes[start - 1]! >= 0x80) start++;
  verifyChecksum(bytes, start, end, "series entry", file, base);
  const c = new Cursor(bytes, start, end, file, base);
  const labelLength = c.uvarint() * 2;
  if (labelLength > end - c.pos) c.fail(`${labelLength / 2} labels do not fit it`);
  if (labelLength > into.labels.length) into.labels = new Uint32Array(labelLength * 2);
  const labels = into.labels;
  for (let i = 0; i < labelLength; i++) {
    const ref = c.uvarint();
    if (ref > 0xffffffff) c.fail(`symbol reference ${ref} is too large`);
    labels[i] = ref;
  }
  const count = c.uvarint();
  if (count * 3 > end - c.pos) c.fail(`${count} chunks do not fit it`);
  if (count > into.refs.length) {
    into.minTimes = new Float64Array(count * 2);
    into.maxTimes = new Float64Array(count * 2);
    into.refs = new Float64Array(count * 2);
  }
  const { minTimes, maxTimes, refs } = into;
  let ordered = true;
  if (count > 0) {
    let mint = c.varint();
    let maxt = mint + c.difference();
    let ref = c.uvarint();
    ordered = maxt >= mint;
    minTimes[0] = mint;
    maxTimes[0] = maxt;
    refs[0] = ref;
    for (let i = 1; i < count; i++) {
      const before = maxt;
      mint = before + c.difference();
      maxt = mint + c.difference();
      ref += c.varint();
      if (mint <= before || maxt < mint) ordered = false;
      minTimes[i] = mint;
      maxTimes[i] = maxt;
      refs[i] = ref;
      if (ref < 0) c.fail("negative chunk reference");
    }
    if (!Number.isSafeInteger(maxt) || !Number.isSafeInteger(ref)) c.fail("number beyond 2^53");
  }
  if (c.pos !== end) c.fail(`${end - c.pos} bytes are left over`);
  into.labelLength = labelLength;
  into.chunkCount = count;
  into.ordered = ordered;
  into.size = size;
}

/** Smallest postings list: length, count 0, checksum. */
const EMPTY_LIST_SIZE = 12;

/**
 * Decodes the postings list whose length word is at `at`; bytes behind it are ignored.
 *
 * Owner: owned. Shape: series references, ascending, unique.
 * Throws: CorruptionError when the list is cut off, its checksum differs or it does not ascend.
 */
export function decodePostings(bytes: Uint8Array, at = 0, file = "", base = 0): Uint32Array {
  const left = bytes.length - at;
  if (left < EMPTY_LIST_SIZE) {
    throw new CorruptionError("postings list is cut off", { file, offset: base + at });
  }
  const length = readU32(bytes, at);
  const count = readU32(bytes, at + 4);
  if (length !== 4 + count * 4 || 8 + length > left) {
    throw new CorruptionError(
      length !== 4 + count * 4
        ? `postings list of ${length} bytes and ${count} entries`
        : `postings list of ${count} entries is cut off`,
      { file, offset: base + at },
    );
  }
  verifyChecksum(bytes, at + 4, at + 4 + length, "postings list", file, base);
  const refs = new Uint32Array(count);
  let last = -1;
  for (let i = 0, p = at + 8; i < count; i++, p += 4) {
    const ref =
      ((bytes[p]! << 24) | (bytes[p + 1]! << 16) | (bytes[p + 2]! << 8) | bytes[p + 3]!) >>>
      0;
    if (ref <= last) {
      throw new CorruptionError("postings list does not ascend", { file, offset: base + p });
    }
    refs[i] = last = ref;
  }
  return refs;
}
