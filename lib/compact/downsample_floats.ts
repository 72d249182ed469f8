/**
 * Float samples of one series into aggregate chunks of a coarser resolution.
 *
 * The loops run over columns and keep their state in locals: this is where compaction spends its
 * time. Sums are made in the order of the samples, so that their bits are those of other makers.
 *
 * Source: docs/formats/chunks.md, section 6.1.
 */
import { bitsOf, isStaleAt, type SampleBatch } from "../model/mod.ts";
import {
  type ChunkSink,
  FloatWindows,
  MAX_WINDOWS,
  setInvalidNan,
  targetChunkCount,
  windowEnd,
  writeFloatWindows,
} from "./downsample_windows.ts";

/** Distance of raw samples that is taken as usual, ms. */
const RAW_RESOLUTION = 60_000;
const MAX_FLOAT = Number.MAX_VALUE;

/** Turns float samples into chunks; keeps its columns from series to series. */
export class FloatDownsampler {
  readonly #windows = new FloatWindows();
  #t = new Float64Array(0);
  #v = new Float64Array(0);

  /**
   * Writes the samples of consecutive raw chunks as chunks of the writer's current series.
   *
   * Shape: `batch` ascends except where a chunk itself goes back; it is changed.
   */
  write(batch: SampleBatch, resolution: number, writer: ChunkSink): void {
    const hasNan = cleanSamples(batch);
    const { t, v, length } = batch;
    if (length === 0) return;
    const chunks = targetChunkCount(
      t[0]!,
      t[length - 1]!,
      RAW_RESOLUTION,
      resolution,
      length,
    );
    const size = Math.floor(length / chunks) + 1;
    for (let from = 0; from < length;) {
      const to = batchEnd(t, from, Math.min(length, from + size), length, resolution);
      if (!hasNan) this.#writeBatch(t, v, from, to, resolution, writer);
      else {
        const n = this.#withoutNan(t, v, from, to);
        if (n > 0) this.#writeBatch(this.#t, this.#v, 0, n, resolution, writer);
      }
      from = to;
    }
  }

  #withoutNan(t: Float64Array, v: Float64Array, from: number, to: number): number {
    if (this.#t.length < to - from) {
      this.#t = new Float64Array((to - from) * 2);
      this.#v = new Float64Array((to - from) * 2);
    }
    let n = 0;
    for (let i = from; i < to; i++) {
      const x = v[i]!;
      if (x !== x) continue;
      this.#t[n] = t[i]!;
      this.#v[n++] = x;
    }
    return n;
  }

  #writeBatch(
    t: Float64Array,
    v: Float64Array,
    from: number,
    to: number,
    resolution: number,
    writer: ChunkSink,
  ): void {
    aggregateFloats(t, v, from, to, resolution, this.#windows);
    writeFloatWindows(writer, this.#windows);
  }
}

/**
 * Removes staleness markers and samples that go back in time; true when NaNs are left.
 */
function cleanSamples(batch: SampleBatch): boolean {
  const { t, v, length } = batch;
  let last = -Infinity;
  let sound = 0;
  // A NaN is no number that is equal to itself, and what comes after a lower time goes back.
  while (sound < length && v[sound]! === v[sound]! && t[sound]! >= last) last = t[sound++]!;
  if (sound === length) return false;
  const bits = bitsOf(v);
  let n = sound;
  let left = false;
  for (let i = sound; i < length; i++) {
    if (isStaleAt(bits, i) || t[i]! < last) continue;
    if (v[i] !== v[i]) left = true;
    last = t[n] = t[i]!;
    bits[2 * n] = bits[2 * i]!;
    bits[2 * n + 1] = bits[2 * i + 1]!;
    n++;
  }
  batch.length = n;
  return left;
}

/** Where a batch ends that is to hold samples [from, end) and shall not end within a window. */
export function batchEnd(
  t: Float64Array,
  from: number,
  end: number,
  length: number,
  resolution: number,
): number {
  const last = windowEnd(t[end - 1]!, resolution);
  while (end < length && t[end]! <= last) end++;
  if (end - from <= MAX_WINDOWS) return end;
  // So many windows do not fit a chunk.
  const limit = windowEnd(t[from]!, resolution) + (MAX_WINDOWS - 1) * resolution;
  while (t[end - 1]! > limit) end--;
  return end;
}

/**
 * Aggregates samples [from, to), none of them NaN, into `out`.
 *
 * The last window ends with the last sample. Minimum and maximum start from the largest finite
 * numbers, as everyone's do.
 */
export function aggregateFloats(
  t: Float64Array,
  v: Float64Array,
  from: number,
  to: number,
  resolution: number,
  out: FloatWindows,
): void {
  // No more windows than samples, nor than fit between the first and the last one.
  const fit = Math.floor((t[to - 1]! - t[from]!) / resolution) + 2;
  out.reserve(Math.min(to - from, fit));
  const outT = out.t;
  const outCount = out.count;
  const outSum = out.sum;
  const outMin = out.min;
  const outMax = out.max;
  const outCounter = out.counter;
  const lastTime = t[to - 1]!;
  const first = v[from]!;
  outT[0] = t[from]!;
  outCounter[0] = first;
  let counter = first;
  let last = first;
  let end = windowEnd(t[from]!, resolution);
  let n = 0;
  for (let i = from; i < to;) {
    const time = t[i]!;
    if (time > end) {
      end += resolution;
      if (time > end) end = windowEnd(time, resolution);
    }
    const start = i;
    let x = v[i]!;
    if (i > from) {
      counter += x < last ? x : x - last;
      last = x;
    }
    let sum = 0 + x;
    let min = x < MAX_FLOAT ? x : MAX_FLOAT;
    let max = x > -MAX_FLOAT ? x : -MAX_FLOAT;
    const before = counter;
    for (i++; i < to && t[i]! <= end; i++) {
      x = v[i]!;
      // x < last ? x : x - last, without a branch that gauges make unpredictable.
      counter += x - last * +(x >= last);
      last = x;
      sum += x;
      if (x < min) min = x;
      if (x > max) max = x;
    }
    n++;
    outT[n] = end < lastTime ? end : lastTime;
    outCount[n] = i - start;
    outSum[n] = sum;
    outMin[n] = min;
    outMax[n] = max;
    // Infinity times nothing is not nothing.
    if (counter !== counter) counter = countFrom(before, v, start, i);
    outCounter[n] = counter;
    if (sum !== sum) setInvalidNan(out.sumBits, n);
    if (counter !== counter) setInvalidNan(out.counterBits, n);
  }
  outT[n + 1] = outT[n]!;
  outCounter[n + 1] = last;
  out.length = n;
}

/** Adds the increases of samples (from, to) to `counter`; a lower value counts as a reset. */
function countFrom(counter: number, v: Float64Array, from: number, to: number): number {
  for (let i = from + 1; i < to; i++) {
    const x = v[i]!;
    const last = v[i - 1]!;
    counter += x < last ? x : x - last;
  }
  return counter;
}
