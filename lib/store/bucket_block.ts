/** One block of the bucket as the store gateway holds it: what it is, and how its parts are read. */
import type { BufferPool, Gate } from "../base/mod.ts";
import type { Labels } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import {
  type BlockMeta,
  CHUNKS_DIRECTORY,
  externalLabelsOf,
  INDEX_FILE,
  resolutionOf,
  segmentName,
} from "../tsdb/mod.ts";
import type { HeaderPool, IndexObject, OpenHeader } from "./header_pool.ts";
import type { ReadBytes } from "./range_reader.ts";

/** Largest segment: offsets in chunk references have 32 bits. */
const MAX_SEGMENT = 2 ** 32;

/** A block that may be queried; it stays readable until the last user is gone. */
export class BucketBlock implements IndexObject {
  readonly meta: BlockMeta;
  readonly ulid: string;
  readonly labels: Labels;
  readonly resolution: number;
  readonly minTime: number;
  /** EXCLUSIVE, ms. */
  readonly maxTime: number;
  /** Size of the index as meta.json tells it, 0 when it does not. */
  readonly indexSize: number;
  readonly #bucket: Bucket;
  readonly #headers: HeaderPool;
  readonly #segments: readonly string[];
  readonly #segmentSizes: ReadonlyMap<string, number>;
  #users = 0;
  #onIdle: (() => void) | undefined;

  readonly #reads: Gate | undefined;

  /**
   * `segments` are the names listed in `chunks/`, used when meta.json names none; `reads` bounds
   * the reads at once of all blocks.
   */
  constructor(
    meta: BlockMeta,
    bucket: Bucket,
    headers: HeaderPool,
    segments: readonly string[] = [],
    reads?: Gate,
  ) {
    this.#reads = reads;
    this.meta = meta;
    this.ulid = meta.ulid;
    this.labels = externalLabelsOf(meta);
    this.resolution = resolutionOf(meta);
    this.minTime = meta.minTime;
    this.maxTime = meta.maxTime;
    this.#bucket = bucket;
    this.#headers = headers;
    const named = meta.thanos?.segmentFiles ?? [];
    this.#segments = named.length > 0 ? named : segments;
    const sizes = new Map<string, number>();
    for (const file of meta.thanos?.files ?? []) sizes.set(file.relPath, file.sizeBytes);
    this.indexSize = sizes.get(INDEX_FILE) ?? 0;
    this.#segmentSizes = sizes;
  }

  /** Opens the block's index header; the caller releases it. */
  header(): Promise<OpenHeader> {
    return this.#headers.acquire(this);
  }

  /** Name of the index object. */
  get indexObject(): string {
    return `${this.ulid}/${INDEX_FILE}`;
  }
  /** Name of the object of a segment, counted from 0. */
  segmentObject(index: number): string {
    const name = this.#segments[index] ?? segmentName(index);
    return `${this.ulid}/${CHUNKS_DIRECTORY}/${name}`;
  }
  /** Size of a segment as meta.json tells it, else the largest there can be. */
  segmentEnd(index: number): number {
    const name = this.#segments[index] ?? segmentName(index);
    return this.#segmentSizes.get(`${CHUNKS_DIRECTORY}/${name}`) || MAX_SEGMENT;
  }
  /**
   * Range reads of one of the block's objects, into memory of `pool` where the bucket can; `fresh`
   * ones go past caches.
   */
  reader(
    object: string,
    signal: AbortSignal,
    pool: BufferPool | undefined,
    fresh = false,
  ): ReadBytes {
    const options = fresh ? { signal, fresh } : { signal };
    const read: ReadBytes = pool === undefined
      ? (offset, length) => this.#bucket.getRange(object, offset, length, options)
      : async (offset, length) => {
        const into = pool.take(length);
        const bytes = await this.#bucket.getRange(object, offset, length, { ...options, into });
        if (bytes.buffer !== into.buffer) pool.give(into);
        return bytes;
      };
    const gate = this.#reads;
    if (gate === undefined) return read;
    return (offset, length) => gate.run(() => read(offset, length), signal);
  }

  /** Counts a user; call the result once when done. */
  use(): () => void {
    this.#users++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#users === 0) this.#onIdle?.();
    };
  }
  /** Calls `done` once nobody uses the block, at once if that is so now. */
  whenIdle(done: () => void): void {
    if (this.#users === 0) done();
    else this.#onIdle = done;
  }
}
