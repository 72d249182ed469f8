/** From the chunks of one series, as stores sent them, to its samples. */
import { SampleBatch } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { mergeAdaptive } from "./adaptive.ts";
import { type Aggregate, ReplicaReader, sampleCount } from "./aggregate.ts";
import { mergeChain } from "./chain.ts";
import { splitOverlap } from "./overlap_split.ts";
import { mergeCursors, mergePenalty } from "./penalty.ts";
import { ReplicaCursor } from "./replica_cursor.ts";

/** How replicas become one. */
export type DedupFunction = "penalty" | "chain" | "adaptive";

/** What a series is read for. */
export interface ReadOptions {
  readonly aggregate: Aggregate;
  /** Undefined: the chunks are of one replica (deduplication is off). */
  readonly dedup: DedupFunction | undefined;
  /** A switch of replicas must not look like a counter reset. */
  readonly counterCorrected: boolean;
  /** Bounds of the whole query, ms, inclusive. */
  readonly minTime: number;
  readonly maxTime: number;
}

/** Reads series one after the other, reusing its columns. */
export class SeriesReader {
  readonly #reader = new ReplicaReader();
  readonly #replicas: SampleBatch[] = [];
  readonly #cursors: ReplicaCursor[] = [];

  /** Gives the memory of its columns back. */
  release(): void {
    for (const replica of this.#replicas) replica.release();
    for (const cursor of this.#cursors) cursor.release();
  }

  /**
   * Replaces `batch` with the samples of one series.
   *
   * Shape: chunks ascending by minTime; with `dedup`, chunks of all replicas mixed.
   * Owner: `batch` is the caller's; chunks are only read.
   */
  read(chunks: readonly AggrChunk[], options: ReadOptions, batch: SampleBatch): void {
    const { aggregate, dedup, minTime, maxTime } = options;
    const split = dedup === undefined ? [chunks] : splitOverlap(chunks);
    if (split.length === 1) {
      this.#reader.read(split[0]!, aggregate, minTime, maxTime, batch);
      return;
    }
    if (dedup === "penalty" && this.#mergeOnTheWay(split, options, batch)) return;
    while (this.#replicas.length < split.length) this.#replicas.push(new SampleBatch());
    const replicas = this.#replicas.slice(0, split.length);
    for (let i = 0; i < split.length; i++) {
      this.#reader.read(split[i]!, aggregate, minTime, maxTime, replicas[i]!);
    }
    if (dedup === "chain") mergeChain(replicas, batch);
    else if (dedup === "adaptive") mergeAdaptive(replicas, aggregate === "counter", batch);
    else mergePenalty(replicas, options.counterCorrected, batch);
  }
  /** Merges by penalty without decoding what cannot be chosen; false when chunks tell wrong times. */
  #mergeOnTheWay(
    split: readonly (readonly AggrChunk[])[],
    { aggregate, counterCorrected, minTime, maxTime }: ReadOptions,
    batch: SampleBatch,
  ): boolean {
    const cursors = this.#cursors;
    batch.clear();
    for (let i = 0; i < split.length; i++) {
      if (i === cursors.length) cursors.push(new ReplicaCursor(this.#reader));
      cursors[i]!.openChunks(split[i]!, aggregate, minTime, maxTime);
      batch.reserve(sampleCount(split[i]!));
    }
    const used = cursors.slice(0, split.length);
    mergeCursors(used, counterCorrected, batch, this.#replicas);
    return used.every((cursor) => !cursor.wrong);
  }
}
