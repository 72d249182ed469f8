/**
 * The points of one replica's aggregate chunks of a series, side by side: what the five aggregates say
 * of each time, with the counter as one running total.
 */
import { CorruptionError } from "../base/mod.ts";
import {
  type AggrParts,
  appendChunk,
  type Chunk,
  CounterReader,
  ENCODING_FLOAT_HISTOGRAM,
} from "../chunks/mod.ts";
import {
  addHistogram,
  bitsOf,
  copyHistogram,
  detectReset,
  type FloatHistogram,
  isStaleAt,
  SampleBatch,
} from "../model/mod.ts";
import { isDeleted } from "../tsdb/mod.ts";
import { canAddHistograms } from "./downsample_histograms.ts";

/** Which aggregates a point has; bits of AggregateWindows.flags. */
export const HAS_SUM = 1;
export const HAS_MIN = 2;
export const HAS_MAX = 4;
export const HAS_COUNTER = 8;
/** The counter's raw value is known: the point is the last one of its chunk. */
export const HAS_RAW = 16;
/** Sum and counter are histograms. */
export const IS_HISTOGRAM = 32;

/**
 * Points in ascending time, chunk after chunk.
 *
 * Shape: all batches have the same length and the times of `count`; where `flags` lacks a bit, the
 *   element of that batch means nothing. `counter` is a running total over all chunks.
 */
export class AggregateWindows {
  readonly count = new SampleBatch();
  readonly sum = new SampleBatch();
  readonly min = new SampleBatch();
  readonly max = new SampleBatch();
  readonly counter = new SampleBatch();
  /** HAS_… and IS_HISTOGRAM of each point. */
  flags = new Uint8Array(256);
  /** The counter's raw value at a point with HAS_RAW. */
  raw = new Float64Array(256);
  /** The counter's sample before its first point; NaN when there is none. */
  baseTime = NaN;
  baseValue = 0;
  readonly #reader = new CounterReader();
  #lastHistogram: FloatHistogram | undefined;
  /** What was counted before the last reset of the histogram. */
  #carried: FloatHistogram | undefined;
  readonly #parts = [
    new SampleBatch(),
    new SampleBatch(),
    new SampleBatch(),
    new SampleBatch(),
    new SampleBatch(),
  ] as const;

  get length(): number {
    return this.count.length;
  }

  /** Forgets everything; for the next cluster. */
  clear(): void {
    for (const batch of [this.count, this.sum, this.min, this.max, this.counter]) batch.clear();
    this.#reader.reset();
    this.#lastHistogram = this.#carried = undefined;
    this.baseTime = NaN;
  }

  /**
   * Appends the points of a chunk but for those in `deleted`, or not after the last one.
   *
   * Throws: CorruptionError when a part is broken or the chunk does not count its samples.
   */
  append(given: AggrParts, deleted: Float64Array | undefined): void {
    const [count, sum, min, max, counter] = this.#parts;
    if (given.count === undefined) throw new CorruptionError("aggregate chunk without counts");
    read(given.count, count);
    if (count.h !== null) throw new CorruptionError("histograms among the counts of aggregates");
    read(given.sum, sum);
    read(given.min, min);
    read(given.max, max);
    const isHistogram = (given.sum ?? given.counter)?.encoding === ENCODING_FLOAT_HISTOGRAM;
    counter.clear();
    if (isHistogram) this.#readHistograms(given.counter, counter);
    else if (given.counter !== undefined) this.#reader.append(given.counter, counter);
    if (this.length === 0 && !isHistogram && counter.length > 0 && counter.t[0]! < count.t[0]!) {
      this.baseTime = counter.t[0]!;
      this.baseValue = counter.v[0]!;
    }
    this.#reserve(count.length);
    const bits = bitsOf(count.v);
    let last = this.length === 0 ? -Infinity : this.count.t[this.length - 1]!;
    const sources = [sum, min, max, counter] as const;
    const targets = [this.sum, this.min, this.max, this.counter] as const;
    const at = [0, 0, 0, 0];
    for (let i = 0; i < count.length; i++) {
      const time = count.t[i]!;
      if (time <= last || isStaleAt(bits, i)) continue;
      if (deleted !== undefined && isDeleted(deleted, time, time)) continue;
      last = time;
      const point = this.length;
      this.count.appendRange(count, i, i + 1);
      let flags = isHistogram ? IS_HISTOGRAM : 0;
      for (let k = 0; k < sources.length; k++) {
        const source = sources[k]!;
        while (at[k]! < source.length && source.t[at[k]!]! < time) at[k]!++;
        if (source.t[at[k]!] === time && at[k]! < source.length) {
          flags |= 1 << k;
          targets[k]!.appendRange(source, at[k]!, at[k]! + 1);
        } else targets[k]!.appendRange(count, i, i + 1);
      }
      if (!isHistogram && (flags & HAS_COUNTER) !== 0 && i === count.length - 1) {
        flags |= HAS_RAW;
        this.raw[point] = this.#reader.lastValue;
      }
      this.flags[point] = flags;
    }
  }

  /** Histogram chunks begin anew each; one that begins lower than the last one ended was reset. */
  #readHistograms(chunk: Chunk | undefined, counter: SampleBatch): void {
    read(chunk, counter);
    for (let i = 0; i < counter.length; i++) {
      const given = counter.h?.[i];
      if (given === undefined) throw new CorruptionError("floats among histogram aggregates");
      if (given.counterResetHint === "gauge") continue;
      const last = this.#lastHistogram;
      if (last !== undefined && i === 0 && !canAddHistograms(last, given)) {
        this.#carried = undefined;
      } else if (last !== undefined && detectReset(given, last)) {
        const carried = copyHistogram(last);
        if (this.#carried !== undefined) addHistogram(carried, this.#carried);
        this.#carried = carried;
      }
      this.#lastHistogram = given;
      if (this.#carried === undefined) continue;
      const total = copyHistogram(given);
      addHistogram(total, this.#carried);
      counter.h![i] = total;
    }
  }

  #reserve(more: number): void {
    const need = this.length + more;
    if (need <= this.flags.length) return;
    const flags = new Uint8Array(need * 2);
    flags.set(this.flags);
    this.flags = flags;
    const raw = new Float64Array(need * 2);
    raw.set(this.raw);
    this.raw = raw;
  }
}

function read(chunk: Chunk | undefined, batch: SampleBatch): void {
  batch.clear();
  if (chunk !== undefined) appendChunk(chunk, batch);
}
