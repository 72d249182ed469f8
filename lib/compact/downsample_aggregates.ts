/**
 * Float aggregates of one resolution into those of a coarser one, some chunks at a time.
 *
 * Counts and sums are added up, minima and maxima compared; the counter goes through the reader that
 * corrects resets and keeps its extra first and last sample. Unlike raw samples, a NaN is data here.
 *
 * Source: docs/formats/chunks.md, section 6.1.
 */
import { CorruptionError } from "../base/mod.ts";
import {
  type AggrParts,
  appendChunk,
  type Chunk,
  CounterReader,
  ENCODING_AGGR,
  XOR_BYTES_PER_SAMPLE,
  XOR_SLACK,
} from "../chunks/mod.ts";
import { bitsOf, isStaleAt, SampleBatch } from "../model/mod.ts";
import {
  type ChunkSink,
  INVALID_NAN_HIGH,
  PART_HEAD,
  putXorPart,
  windowEnd,
} from "./downsample_windows.ts";

/** How the samples of a window become one. */
type Fold = "sum" | "min" | "max" | "counter";
const MAX_FLOAT = Number.MAX_VALUE;
/** What the count of a chunk can tell. */
const MAX_POINTS = 65_535;

/** Points of one aggregate. */
class Points {
  length = 0;
  t = new Float64Array(0);
  v = new Float64Array(0);
  bits: Uint32Array = new Uint32Array(0);

  /** Makes room for `n` points and forgets what there is. */
  start(n: number): void {
    this.length = 0;
    if (this.t.length >= n) return;
    this.t = new Float64Array(n * 2);
    this.v = new Float64Array(n * 2);
    this.bits = bitsOf(this.v);
  }
}

const FOLDS = [["count", "sum"], ["sum", "sum"], ["min", "min"], ["max", "max"]] as const;

/** Turns groups of float aggregate chunks into one each; keeps its columns from group to group. */
export class AggregateDownsampler {
  readonly #batch = new SampleBatch();
  readonly #counterReader = new CounterReader();
  readonly #parts = [new Points(), new Points(), new Points(), new Points(), new Points()];

  /** Writes a group of chunks as one chunk of the writer's current series; nothing if it is empty. */
  write(group: readonly AggrParts[], resolution: number, writer: ChunkSink): void {
    const parts = this.#parts;
    FOLDS.forEach(([name, fold], k) => {
      this.#read(group, name);
      foldPoints(this.#batch, resolution, fold, parts[k]!);
    });
    this.#readCounter(group);
    this.#foldCounter(resolution);

    let minTime = Infinity;
    let maxTime = -Infinity;
    let points = 0;
    parts.forEach((part, k) => {
      points += part.length;
      if (part.length > MAX_POINTS) {
        throw new CorruptionError(`${part.length} points do not fit an aggregate chunk`);
      }
      // The counter's extra samples are no windows; they count when there is nothing else.
      const skip = k < 4 ? 0 : 1;
      if (part.length === 0 || (skip === 1 && maxTime !== -Infinity)) return;
      minTime = Math.min(minTime, part.t[skip]!);
      maxTime = Math.max(maxTime, part.t[part.length - 1]!);
    });
    if (points === 0) return;
    writer.claimChunk(points * XOR_BYTES_PER_SAMPLE + 5 * (XOR_SLACK + PART_HEAD));
    const out = writer.chunkBuffer;
    const start = writer.chunkOffset;
    let at = start;
    for (const part of parts) at = putXorPart(out, at, part.t, part.v, 0, part.length);
    writer.commitChunk(ENCODING_AGGR, at - start, minTime, maxTime, parts[0]!.length);
  }

  /** Concatenates one aggregate of a group. */
  #read(group: readonly AggrParts[], name: "count" | "sum" | "min" | "max"): void {
    const batch = this.#batch;
    batch.clear();
    for (const parts of group) if (parts[name] !== undefined) appendFloats(parts[name], batch);
    dropUnusable(batch);
  }

  #readCounter(group: readonly AggrParts[]): void {
    this.#batch.clear();
    this.#counterReader.reset();
    for (const { counter } of group) {
      if (counter === undefined) continue;
      this.#counterReader.append(counter, this.#batch);
      if (this.#batch.h !== null) throw mixedKinds();
    }
  }

  #foldCounter(resolution: number): void {
    const batch = this.#batch;
    const out = this.#parts[4]!;
    if (batch.length === 0) {
      out.start(0);
      return;
    }
    foldPoints(batch, resolution, "counter", out, 1);
    out.t[0] = batch.t[0]!;
    out.v[0] = batch.v[0]!;
    const n = out.length;
    out.t[n] = out.t[n - 1]!;
    out.v[n] = this.#counterReader.lastValue;
    out.length = n + 1;
  }
}

/** Appends the samples of a chunk of floats. */
export function appendFloats(chunk: Chunk, batch: SampleBatch): void {
  appendChunk(chunk, batch);
  if (batch.h !== null) throw mixedKinds();
}

function mixedKinds(): CorruptionError {
  return new CorruptionError("a histogram among the float aggregates of a series");
}

/** Drops staleness markers and samples that go back in time. */
function dropUnusable(batch: SampleBatch): void {
  const { t, v, length } = batch;
  const bits = bitsOf(v);
  let n = 0;
  let last = -Infinity;
  for (let i = 0; i < length; i++) {
    const time = t[i]!;
    if (time < last || isStaleAt(bits, i)) continue;
    last = time;
    if (n < i) {
      t[n] = time;
      bits[2 * n] = bits[2 * i]!;
      bits[2 * n + 1] = bits[2 * i + 1]!;
    }
    n++;
  }
  batch.length = n;
}

/** Makes one point of each window; they start at element `lead` of `out`. */
function foldPoints(
  batch: SampleBatch,
  resolution: number,
  fold: Fold,
  out: Points,
  lead = 0,
): void {
  const { t, v, length } = batch;
  out.start(length + 2);
  if (length === 0) return;
  const lastTime = t[length - 1]!;
  let counter = v[0]!;
  let last = counter;
  let n = lead;
  for (let i = 0; i < length;) {
    const end = windowEnd(t[i]!, resolution);
    const from = i;
    let x = fold === "min" ? MAX_FLOAT : fold === "max" ? -MAX_FLOAT : 0;
    for (; i < length && t[i]! <= end; i++) {
      const y = v[i]!;
      if (fold === "sum") x += y;
      else if (fold === "min") x = y < x ? y : x;
      else if (fold === "max") x = y > x ? y : x;
      else if (i > 0) {
        counter += y < last ? y : y - last;
        last = y;
      }
    }
    if (fold === "counter") x = counter;
    out.t[n] = end < lastTime ? end : lastTime;
    out.v[n] = x;
    if (x !== x) setNanOfSum(batch, from, fold === "sum" ? i : from, out.bits, n);
    n++;
  }
  out.length = n;
}

/** The bits that a processor gives a sum of [from, to) that is NaN: those of the first NaN in it. */
function setNanOfSum(
  batch: SampleBatch,
  from: number,
  to: number,
  out: Uint32Array,
  at: number,
): void {
  out[2 * at] = 0;
  out[2 * at + 1] = INVALID_NAN_HIGH;
  let sum = 0;
  for (let i = from; i < to; i++) {
    const x = batch.v[i]!;
    if (x !== x) {
      const bits = bitsOf(batch.v);
      out[2 * at] = bits[2 * i]!;
      out[2 * at + 1] = (bits[2 * i + 1]! | 0x80000) >>> 0;
      return;
    }
    sum += x;
    if (sum !== sum) return;
  }
}
