/**
 * Thanos' aggregate chunk (encoding 255 in downsampled blocks), and how its counter part is read.
 *
 * ```
 * five times, in the order count, sum, min, max, counter:
 *   uvarint length of data (0 = absent, nothing follows), u8 encoding, data
 * ```
 *
 * Source: docs/formats/chunks.md, section 6.
 */
import { ByteWriter, CorruptionError } from "../base/mod.ts";
import { SampleBatch } from "../model/mod.ts";
import { appendChunk } from "./append.ts";
import type { Chunk } from "./chunk.ts";

/** The parts of an aggregate chunk; absent ones are undefined. */
export interface AggrParts {
  readonly count?: Chunk;
  readonly sum?: Chunk;
  readonly min?: Chunk;
  readonly max?: Chunk;
  readonly counter?: Chunk;
}

const PART_NAMES = ["count", "sum", "min", "max", "counter"] as const;

/** Numbers that each part takes in what findAggrParts() fills in. */
export const PLACE_SIZE = 3;
/** Size of an array for all parts of a chunk. */
export const PLACES_SIZE = PART_NAMES.length * PLACE_SIZE;

/**
 * Finds the parts of the aggregate chunk in bytes [start, end), without a view of any.
 *
 * Shape: `places` gets first byte, length and encoding of count, sum, min, max and counter; the
 *   length of an absent part is -1.
 * Throws: CorruptionError when a part is cut off or bytes are left over.
 */
export function findAggrParts(
  bytes: Uint8Array,
  start: number,
  end: number,
  places: Int32Array,
): void {
  let at = start;
  for (let part = 0; part < PART_NAMES.length; part++) {
    let length = 0;
    let scale = 1;
    for (;;) {
      // Chunks are far smaller than five bytes of length can say.
      if (at >= end || scale > 2 ** 28) throw brokenPart(part, at - start);
      const b = bytes[at++]!;
      length += (b & 0x7f) * scale;
      if (b < 0x80) break;
      scale *= 128;
    }
    const k = part * PLACE_SIZE;
    if (length === 0) {
      places[k + 1] = -1;
      continue;
    }
    if (length >= end - at) throw brokenPart(part, at - start);
    places[k] = at + 1;
    places[k + 1] = length;
    places[k + 2] = bytes[at]!;
    at += 1 + length;
  }
  if (at !== end) {
    throw new CorruptionError(`aggregate chunk: ${end - at} bytes left over`, {
      offset: at - start,
    });
  }
}

function brokenPart(part: number, offset: number): CorruptionError {
  return new CorruptionError(`${PART_NAMES[part]} of an aggregate chunk is cut off`, { offset });
}

/**
 * Takes an aggregate chunk apart.
 *
 * Owner: the parts are views of `data`.
 * Throws: CorruptionError as findAggrParts().
 */
export function readAggrChunk(data: Uint8Array): AggrParts {
  const places = new Int32Array(PLACES_SIZE);
  findAggrParts(data, 0, data.length, places);
  const parts: { -readonly [K in keyof AggrParts]: AggrParts[K] } = {};
  for (let part = 0; part < PART_NAMES.length; part++) {
    const k = part * PLACE_SIZE;
    if (places[k + 1]! < 0) continue;
    const at = places[k]!;
    parts[PART_NAMES[part]!] = {
      encoding: places[k + 2]!,
      data: data.subarray(at, at + places[k + 1]!),
    };
  }
  return parts;
}

/**
 * Puts an aggregate chunk together.
 *
 * Thanos cannot read a chunk whose counter is absent, so write one wherever it shall be read there.
 */
export function writeAggrChunk(parts: AggrParts): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const name of PART_NAMES) size += 12 + (parts[name]?.data.length ?? 0);
  const w = new ByteWriter(size);
  for (const name of PART_NAMES) {
    const part = parts[name];
    if (part === undefined || part.data.length === 0) {
      w.uvarint(0);
      continue;
    }
    w.uvarint(part.data.length);
    w.u8(part.encoding);
    w.append(part.data);
  }
  return w.copy();
}

/**
 * Turns the counter chunks of a series (and raw ones among them) into one running total.
 *
 * A sample lower than the one before is a reset; the total goes on. A sample at the time of the one
 * before is the true last raw value of a downsampled chunk: it is compared with next, but not
 * handed out. NaNs, staleness markers included, and samples that go back in time are skipped.
 * Histogram samples pass through.
 *
 * Source: docs/formats/chunks.md, section 6.2. The additions are made in the same order as there,
 * so that the sums have the same bits.
 */
export class CounterReader {
  readonly #raw = new SampleBatch();
  #started = false;
  #lastTime = -Infinity;
  #lastValue = 0;
  #total = 0;

  /** Time of the newest sample handed out, -Infinity before the first. */
  get lastTime(): number {
    return this.#lastTime;
  }
  /** The newest raw value seen; what a counter chunk ends with. */
  get lastValue(): number {
    return this.#lastValue;
  }

  /** Forgets everything; for the next series. */
  reset(): void {
    this.#started = false;
    this.#lastTime = -Infinity;
    this.#lastValue = 0;
    this.#total = 0;
  }

  /** Appends the corrected samples of the next chunk; throws CorruptionError as appendChunk(). */
  append(chunk: Chunk, out: SampleBatch): void {
    this.#raw.clear();
    appendChunk(chunk, this.#raw);
    this.appendSamples(this.#raw, out);
  }

  /** Appends the corrected samples of the next chunk, already decoded. */
  appendSamples(raw: SampleBatch, out: SampleBatch): void {
    if (raw.h !== null) return this.#appendMixed(raw, out);
    out.reserve(raw.length);
    const from = out.length;
    out.length = this.#correct(raw, 0, raw.length, out, from);
    if (out.h !== null) { for (let i = from; i < out.length; i++) out.h[i] = undefined; }
    if (out.st !== null) out.ensureStartTimes().fill(0, from, out.length);
  }

  /** Corrects float samples [i, end) into out's columns at `at`; returns the new length. */
  #correct(raw: SampleBatch, i: number, end: number, out: SampleBatch, at: number): number {
    const { t: rawT, v: rawV } = raw;
    const { t, v } = out;
    // Every sample of every rate() over raw data passes here: the state lives in locals.
    let lastTime = this.#lastTime;
    let lastValue = this.#lastValue;
    let total = this.#total;
    for (; i < end; i++) {
      const time = rawT[i]!;
      const value = rawV[i]!;
      if (value !== value) continue;
      if (time > lastTime) {
        if (this.#started) total += value >= lastValue ? value - lastValue : value;
        else {
          // A histogram may have come before; the counter starts behind it.
          this.#started = true;
          total = value;
        }
        lastTime = time;
        lastValue = value;
        t[at] = time;
        v[at++] = total;
      } else if (time === lastTime && this.#started) {
        lastValue = value;
      }
    }
    this.#lastTime = lastTime;
    this.#lastValue = lastValue;
    this.#total = total;
    return at;
  }

  #appendMixed(raw: SampleBatch, out: SampleBatch): void {
    for (let i = 0; i < raw.length; i++) {
      const h = raw.h![i];
      const time = raw.t[i]!;
      const before = out.length;
      if (h === undefined) {
        out.reserve(1);
        out.length = this.#correct(raw, i, i + 1, out, before);
        if (out.length > before) out.ensureHistograms()[before] = undefined;
      } else if (time > this.#lastTime) {
        out.appendHistogram(time, h);
        this.#lastTime = time;
      }
      if (out.st !== null && out.length > before) out.ensureStartTimes()[before] = 0;
    }
  }
}

/** Number of samples of the count part, which is what an aggregate chunk counts as its own. */
export function aggrSampleCount(data: Uint8Array): number {
  const { count } = readAggrChunk(data);
  if (count === undefined) return 0;
  if (count.data.length < 2) throw new CorruptionError("aggregate count without its sample count");
  return (count.data[0]! << 8) | count.data[1]!;
}
