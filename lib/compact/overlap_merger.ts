/** Chunks of one series that overlap: decoded, merged and encoded again. */
import { assert, CorruptionError } from "../base/mod.ts";
import {
  appendChunk,
  type Chunk,
  type EncodedChunk,
  encodeSamples,
  ENCODING_AGGR,
} from "../chunks/mod.ts";
import { mergeChain } from "../dedup/mod.ts";
import { SampleBatch } from "../model/mod.ts";
import { dropDeleted } from "../tsdb/mod.ts";
import { AggregateMerger } from "./aggregate_merger.ts";
import { PenaltyFold } from "./penalty_fold.ts";

/** How samples of overlapping chunks become one series; "" keeps every sample of every time. */
export type CompactionDedup = "" | "penalty";

/** A chunk of a cluster with its own bytes. */
export interface ClusterChunk {
  readonly chunk: Chunk;
  /** Which replica it is of; blocks of one replica do not overlap. */
  readonly stream: number;
  /** Ranges to leave out, see Tombstones. */
  readonly deleted: Float64Array | undefined;
}

/** Merges clusters one after the other, reusing its columns. */
export class OverlapMerger {
  readonly #dedup: CompactionDedup;
  readonly #aggregates: AggregateMerger;
  readonly #fold = new PenaltyFold();
  readonly #merged = new SampleBatch();
  readonly #batches: SampleBatch[] = [];

  /** `resolution` is that of the blocks, ms. */
  constructor(dedup: CompactionDedup, resolution: number) {
    this.#dedup = dedup;
    this.#aggregates = new AggregateMerger(resolution);
  }

  /**
   * The samples of `chunks` (ascending by start), encoded.
   *
   * One-to-one keeps one sample for each time that any chunk has. Penalty merging picks one chunk's
   * samples at a time. Samples of any kind take part, whatever the kind of the first chunk. Of
   * aggregates penalty merging takes one chunk's windows at a time.
   * Throws: CorruptionError for broken chunks, and one-to-one for aggregates of several chunks: which
   *   of the samples they count are the same is not known any more.
   */
  merge(chunks: readonly ClusterChunk[]): EncodedChunk[] {
    const aggregates = chunks.filter(({ chunk }) => chunk.encoding === ENCODING_AGGR).length;
    if (aggregates > 0) {
      if (aggregates < chunks.length) {
        throw new CorruptionError("chunks of raw and of downsampled data overlap");
      }
      if (aggregates > 1 && this.#dedup !== "penalty") {
        throw new CorruptionError(
          "chunks of downsampled data overlap, and which samples both count cannot be told any " +
            "more; those of replicas are merged with --deduplication.func=penalty",
        );
      }
      return this.#aggregates.merge(chunks);
    }
    const batches: SampleBatch[] = [];
    let longest = 0;
    for (let k = 0; k < chunks.length; k++) {
      const { chunk, deleted } = chunks[k]!;
      const batch = this.#batches[k] ??= new SampleBatch();
      batch.clear();
      appendChunk(chunk, batch);
      if (deleted !== undefined) dropDeleted(batch, 0, deleted);
      forgetReset(batch);
      ascending(batch);
      if (batch.length > longest) longest = batch.length;
      batches.push(batch);
    }
    const merged = this.#merged;
    merged.clear();
    if (batches.length === 1) merged.appendRange(batches[0]!, 0, batches[0]!.length);
    else if (this.#dedup === "penalty") {
      for (const batch of batches) this.#fold.fold(merged, batch);
    } else {
      // The order in which equal times are decided: the first chunk is asked last.
      mergeChain([...batches.slice(1), batches[0]!], merged);
      assert(merged.length >= longest, "a one-to-one merge loses no sample");
    }
    return encodeSamples(merged);
  }
}

/** What a chunk says of its first sample is about a predecessor that may not be its one any more. */
function forgetReset(batch: SampleBatch): void {
  const first = batch.h?.[0];
  if (first === undefined || first.counterResetHint === "gauge") return;
  if (first.counterResetHint !== "unknown") {
    batch.h![0] = { ...first, counterResetHint: "unknown" };
  }
}

/** Drops samples that go back in time or repeat one, which only broken writers make. */
function ascending(batch: SampleBatch): void {
  const { t, length } = batch;
  let i = 1;
  while (i < length && t[i]! > t[i - 1]!) i++;
  if (i >= length) return;
  const order = new Uint32Array(length);
  for (let k = 0; k < length; k++) order[k] = k;
  order.sort((a, b) => t[a]! - t[b]! || a - b);
  const sorted = new SampleBatch(length);
  for (const k of order) {
    if (sorted.length > 0 && t[k] === sorted.t[sorted.length - 1]) continue;
    sorted.appendRange(batch, k, k + 1);
  }
  batch.clear();
  batch.appendRange(sorted, 0, sorted.length);
}
