/**
 * A place in the samples of one replica that decodes its chunks only as far as somebody looks.
 *
 * Merging by penalty stays with one replica for long; what the others have in that time is never
 * chosen, and mostly need not even be decoded.
 */
import { CounterReader } from "../chunks/mod.ts";
import { SampleBatch } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { type Aggregate, type ReplicaReader, requirePart, trim } from "./aggregate.ts";

/** A place in one replica; reused from series to series. */
export class ReplicaCursor {
  /** Decoded samples around the place: those before are gone, those after are still chunks. */
  batch: SampleBatch;
  /** The place in `batch`; at its end only before the first seek() and after the last sample. */
  index = 0;
  /** What is added to the values of floats. */
  adjust = 0;
  /** A chunk held samples outside the times that it tells of itself: the place cannot be relied on. */
  wrong = false;
  /** How many samples appendNext() gave. */
  appended = 0;
  readonly #window = new SampleBatch();
  readonly #counter = new CounterReader();
  readonly #reader: ReplicaReader | undefined;
  #aggregate: Aggregate = "avg";
  #chunks: readonly AggrChunk[] = NO_CHUNKS;
  /** Next chunk to decode, and the first one that may hold what lowerBound() was asked for. */
  #next = 0;
  #bound = 0;
  #minTime = 0;
  #maxTime = 0;

  /** `reader` decodes chunks; without it only openBatch() can be used. */
  constructor(reader?: ReplicaReader) {
    this.#reader = reader;
    this.batch = this.#window;
  }

  /** Stands before all samples of a batch, which is only read. */
  openBatch(batch: SampleBatch): void {
    this.#open(batch, NO_CHUNKS);
  }

  /**
   * Stands before all samples within [minTime, maxTime] of chunks, ascending and without overlap.
   *
   * Throws: `execution` when a chunk has no usable part.
   */
  openChunks(
    chunks: readonly AggrChunk[],
    aggregate: Aggregate,
    minTime: number,
    maxTime: number,
  ): void {
    this.#window.clear();
    this.#open(this.#window, chunks);
    this.#aggregate = aggregate;
    this.#minTime = minTime;
    this.#maxTime = maxTime;
    this.#counter.reset();
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      if (chunk.raw === undefined && this.#isRead(chunk)) requirePart(chunk, aggregate);
    }
  }

  #open(batch: SampleBatch, chunks: readonly AggrChunk[]): void {
    this.batch = batch;
    this.index = 0;
    this.adjust = 0;
    this.wrong = false;
    this.#chunks = chunks;
    this.#next = 0;
    this.#bound = 0;
  }

  /** Gives the memory of its columns back. */
  release(): void {
    this.#window.release();
    this.openBatch(this.#window);
  }

  /** True when it stands on a sample. */
  alive(): boolean {
    return this.index < this.batch.length;
  }

  /** Time of the current sample; only while alive. */
  time(): number {
    return this.batch.t[this.index]!;
  }

  /** True when the current sample is no histogram; only while alive. */
  isFloat(): boolean {
    return this.batch.h?.[this.index] === undefined;
  }

  /** The current sample's value with what is added to it; only while alive. */
  value(): number {
    return this.batch.v[this.index]! + this.adjust;
  }

  /** Moves on to the first sample of `time` or later; false when there is none. */
  seek(time: number): boolean {
    for (;;) {
      const { t, length } = this.batch;
      let i = this.index;
      while (i < length && t[i]! < time) i++;
      this.index = i;
      if (i < length) return true;
      if (!this.#decodeNext(time)) return false;
    }
  }

  /** A time that seek(time) will not end before, without decoding; Infinity when it would find none. */
  lowerBound(time: number): number {
    const { t, length } = this.batch;
    if (this.index < length && t[length - 1]! >= time) return Math.max(time, t[this.index]!);
    const chunks = this.#chunks;
    let k = Math.max(this.#bound, this.#next);
    while (k < chunks.length && (chunks[k]!.maxTime < time || !this.#matters(chunks[k]!))) k++;
    this.#bound = k;
    if (k === chunks.length) return Infinity;
    const bound = Math.max(time, this.#minTime, this.#earliest(chunks[k]!));
    return bound > this.#maxTime ? Infinity : bound;
  }

  /** True for chunks that are decoded when all are; a running total needs those before, too. */
  #isRead(chunk: AggrChunk): boolean {
    return chunk.minTime <= this.#maxTime &&
      (this.#aggregate === "counter" || chunk.maxTime >= this.#minTime);
  }

  /** False for chunks outside the time that is read. */
  #matters(chunk: AggrChunk): boolean {
    return chunk.minTime <= this.#maxTime && chunk.maxTime >= this.#minTime;
  }

  /** Downsampled counters begin with the first raw sample, which is older than their first window. */
  #earliest(chunk: AggrChunk): number {
    return this.#aggregate === "counter" && chunk.raw === undefined ? -Infinity : chunk.minTime;
  }

  /**
   * Appends the samples of the next chunk to `out`, whole; false when there is none, or when it goes
   * on after the time that is read. Only when nothing is left of what was decoded, all of which lay
   * inside that time.
   */
  appendNext(out: SampleBatch): boolean {
    const chunk = this.#chunks[this.#next];
    if (chunk === undefined || chunk.maxTime > this.#maxTime) return false;
    this.#next++;
    const before = out.length;
    this.#decode(chunk, out);
    this.appended = out.length - before;
    return true;
  }

  /** Takes the samples from `from` on off the end of what appendNext() gave. */
  takeBack(out: SampleBatch, from: number): void {
    const window = this.#window;
    window.clear();
    window.appendRange(out, from, out.length);
    out.length = from;
    if (out.h !== null) out.h.length = from;
    this.index = 0;
  }

  #decode(chunk: AggrChunk, out: SampleBatch): void {
    const from = out.length;
    if (this.#aggregate !== "counter") this.#reader!.append(chunk, this.#aggregate, out);
    else this.#counter.append(chunk.raw ?? requirePart(chunk, "counter"), out);
    const { t, length } = out;
    if (length === from) return;
    if (t[from]! < this.#earliest(chunk) || t[length - 1]! > chunk.maxTime) this.wrong = true;
  }

  /** Replaces the batch with the samples of the next chunk; false at the end. */
  #decodeNext(time: number): boolean {
    const chunks = this.#chunks;
    const counter = this.#aggregate === "counter";
    while (this.#next < chunks.length) {
      const chunk = chunks[this.#next]!;
      if (chunk.minTime > this.#maxTime) break;
      this.#next++;
      if (!this.#isRead(chunk) || (!counter && chunk.maxTime < time)) continue;
      const batch = this.batch;
      batch.clear();
      this.index = 0;
      this.#decode(chunk, batch);
      const { t, length } = batch;
      if (length === 0) continue;
      if (t[0]! < this.#minTime || t[length - 1]! > this.#maxTime) {
        trim(batch, this.#minTime, this.#maxTime);
      }
      return true;
    }
    this.#next = chunks.length;
    return false;
  }
}

const NO_CHUNKS: readonly AggrChunk[] = [];
