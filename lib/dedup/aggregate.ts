/**
 * Which part of downsampled data answers which PromQL function, and how a run of chunks of one
 * replica becomes samples.
 */
import { appendChunk, type Chunk, CounterReader } from "../chunks/mod.ts";
import { MnemeError } from "../base/mod.ts";
import { divideHistogram, SampleBatch } from "../model/mod.ts";
import {
  AGGR_COUNT,
  AGGR_COUNTER,
  AGGR_MAX,
  AGGR_MIN,
  AGGR_SUM,
  type AggrChunk,
  RawChunk,
} from "../storeapi/mod.ts";

/** How downsampled chunks are read; raw chunks are always read as they are (but for counters). */
export type Aggregate = "avg" | "count" | "sum" | "min" | "max" | "counter";

const COUNTER_FUNCTIONS = new Set(["increase", "rate", "irate", "resets", "xincrease", "xrate"]);
const COUNTER_CORRECTED = new Set(["increase", "rate", "irate", "resets"]);

/** The aggregate for the function or aggregation around a selector ("" = none). */
export function aggregateOf(func: string): Aggregate {
  if (func === "min" || func.startsWith("min_")) return "min";
  if (func === "max" || func.startsWith("max_")) return "max";
  if (func === "count" || func.startsWith("count_")) return "count";
  if (func.startsWith("sum_")) return "sum";
  if (COUNTER_FUNCTIONS.has(func)) return "counter";
  return "avg";
}

/** True when a switch between replicas must not look like a counter reset. */
export function isCounterCorrected(func: string): boolean {
  return COUNTER_CORRECTED.has(func);
}

/** AGGR_ numbers to ask stores for. */
export function requestedAggregates(aggregate: Aggregate): readonly number[] {
  switch (aggregate) {
    case "min":
      return [AGGR_MIN];
    case "max":
      return [AGGR_MAX];
    case "count":
      return [AGGR_COUNT];
    case "sum":
      return [AGGR_SUM];
    case "counter":
      return [AGGR_COUNTER];
    case "avg":
      return [AGGR_COUNT, AGGR_SUM];
  }
}

/** Decodes chunks of one replica; keeps its scratch columns between series. */
export class ReplicaReader {
  readonly #left = new SampleBatch();
  readonly #right = new SampleBatch();
  readonly #counter = new CounterReader();

  /**
   * Replaces `out` with the samples of `chunks` (ascending minTime) within [minTime, maxTime].
   *
   * Chunks may overlap: samples not newer than the last one are skipped.
   * Throws: CorruptionError for broken chunks; `execution` when a chunk has no usable part.
   */
  read(
    chunks: readonly AggrChunk[],
    aggregate: Aggregate,
    minTime: number,
    maxTime: number,
    out: SampleBatch,
  ): void {
    out.clear();
    out.reserve(sampleCount(chunks));
    if (aggregate === "counter") {
      this.#readCounter(chunks, maxTime, out);
    } else {
      for (const chunk of chunks) {
        if (chunk.maxTime < minTime || chunk.minTime > maxTime) continue;
        const from = out.length;
        this.append(chunk, aggregate, out);
        dropOverlap(out, from);
      }
    }
    trim(out, minTime, maxTime);
  }

  /**
   * Appends all samples of one chunk, which is not read as a counter.
   *
   * Throws: as read().
   */
  append(chunk: AggrChunk, aggregate: Aggregate, out: SampleBatch): void {
    if (chunk.raw !== undefined) appendChunk(chunk.raw, out);
    else if (aggregate === "avg") this.#appendAverage(chunk, out);
    else appendChunk(requirePart(chunk, aggregate), out);
  }

  /** Sum divided by count, point by point; a histogram sum is divided by the count. */
  #appendAverage(chunk: AggrChunk, out: SampleBatch): void {
    const sum = requirePart(chunk, "avg");
    const count = requirePart(chunk, "count");
    const sums = this.#left;
    const counts = this.#right;
    sums.clear();
    counts.clear();
    appendChunk(sum, sums);
    appendChunk(count, counts);
    const n = sums.length;
    if (counts.length !== n) throw notAligned();
    for (let i = 0; i < n; i++) if (sums.t[i] !== counts.t[i]) throw notAligned();
    if (sums.h !== null) {
      for (let i = 0; i < n; i++) {
        const h = sums.h[i];
        if (h === undefined) throw notAligned();
        out.appendHistogram(sums.t[i]!, divideHistogram(h, counts.v[i]!));
      }
      return;
    }
    out.reserve(n);
    const { t, v } = out;
    const at = out.length;
    for (let i = 0; i < n; i++) {
      t[at + i] = sums.t[i]!;
      v[at + i] = sums.v[i]! / counts.v[i]!;
    }
    if (out.h !== null) out.h.length = at + n;
    out.length = at + n;
  }

  /** One running total without resets over all chunks. */
  #readCounter(chunks: readonly AggrChunk[], maxTime: number, out: SampleBatch): void {
    this.#counter.reset();
    for (const chunk of chunks) {
      if (chunk.minTime > maxTime) break;
      this.#counter.append(chunk.raw ?? requirePart(chunk, "counter"), out);
    }
  }
}

/** About how many samples raw chunks hold: columns that grow step by step leave garbage behind. */
export function sampleCount(chunks: readonly AggrChunk[]): number {
  let count = 0;
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i]!;
    // No sample takes less than two bits, whatever the chunk says.
    if (chunk instanceof RawChunk) count += Math.min(chunk.samples, 4 * (chunk.end - chunk.start));
  }
  return count;
}

/**
 * The part of a downsampled chunk that an aggregate is read from; of averages, the sum.
 *
 * Throws: `execution` when it has none.
 */
export function requirePart(chunk: AggrChunk, aggregate: Aggregate): Chunk {
  const found = aggregate === "avg" ? chunk.sum : chunk[aggregate];
  if (found === undefined || (aggregate === "avg" && chunk.count === undefined)) {
    throw noValidChunk(chunk);
  }
  return found;
}

function noValidChunk(chunk: AggrChunk): MnemeError {
  return new MnemeError(
    "execution",
    `no valid chunk found for the asked aggregate between ${chunk.minTime} and ${chunk.maxTime}`,
  );
}

function notAligned(): MnemeError {
  return new MnemeError("execution", "sum and count timestamps not aligned");
}

/** Removes samples at and after `from` that are not newer than the one before `from`. */
function dropOverlap(batch: SampleBatch, from: number): void {
  if (from === 0 || from >= batch.length) return;
  const last = batch.t[from - 1]!;
  if (batch.t[from]! > last) return;
  let keep = from;
  while (keep < batch.length && batch.t[keep]! <= last) keep++;
  removeRange(batch, from, keep);
}

function removeRange(batch: SampleBatch, from: number, to: number): void {
  batch.t.copyWithin(from, to, batch.length);
  batch.v.copyWithin(from, to, batch.length);
  batch.st?.copyWithin(from, to, batch.length);
  batch.h?.splice(from, to - from);
  batch.length -= to - from;
}

/** Keeps the samples within [minTime, maxTime]. */
export function trim(batch: SampleBatch, minTime: number, maxTime: number): void {
  let end = batch.length;
  while (end > 0 && batch.t[end - 1]! > maxTime) end--;
  batch.length = end;
  if (batch.h !== null) batch.h.length = end;
  let start = 0;
  while (start < end && batch.t[start]! < minTime) start++;
  batch.dropFirst(start);
}
