/** Settings of a compactor. */
import type { HashFunction } from "../block/mod.ts";
import type { RelabelRule } from "../model/mod.ts";
import type { CompactionDedup } from "./overlap_merger.ts";
import { MAX_COMPACTION_LEVEL } from "./ranges.ts";

/** What a compactor does and does not do; every member has a default. */
export interface CompactorOptions {
  /** Blocks uploaded less than this ago are left alone, ms. */
  readonly consistencyDelay: number;
  /** From mark to deletion, ms. */
  readonly deleteDelay: number;
  /** How long blocks of each resolution are kept after their end, ms; 0 = for ever. */
  readonly retention: {
    readonly raw: number;
    readonly fiveMinutes: number;
    readonly oneHour: number;
  };
  readonly dedup: CompactionDedup;
  /** Labels that only tell replicas apart. */
  readonly replicaLabels: readonly string[];
  /** Merge overlapping blocks; implied by replica labels. */
  readonly vertical: boolean;
  readonly maxLevel: number;
  /** Blocks are not joined when their indexes together come near this, bytes. */
  readonly maxIndexSize: number;
  /** Blocks with out-of-order chunks get a no-compact mark instead of being repaired on the way. */
  readonly skipOutOfOrder: boolean;
  readonly acceptMalformedIndex: boolean;
  readonly hash: HashFunction;
  /** Groups worked on at once. */
  readonly groupConcurrency: number;
  /** Merges at once, over all groups. */
  readonly mergeConcurrency: number;
  /** Blocks of a plan downloaded at once. */
  readonly fetchConcurrency: number;
  /** Files of a block transferred at once. */
  readonly fileConcurrency: number;
  readonly metaConcurrency: number;
  /** Only blocks that reach into this range, asked at every sync; ms. */
  readonly minTime: () => number;
  readonly maxTime: () => number;
  /** Only blocks whose labels pass. */
  readonly relabel: readonly RelabelRule[];
  /** False: blocks are not downsampled, and retention does not wait for it. */
  readonly downsampling: boolean;
  /**
   * Nothing is deleted and no retention applied while this clock and the bucket's differ by more, ms;
   * 0 = not compared.
   */
  readonly clockTolerance: number;
  /** Longest time of one look at the bucket, ms; 0 = no limit. */
  readonly syncTimeout: number;
}

const HOUR = 3_600_000;

/** The defaults. */
export const DEFAULT_COMPACTOR_OPTIONS: CompactorOptions = {
  consistencyDelay: HOUR / 2,
  deleteDelay: 48 * HOUR,
  retention: { raw: 0, fiveMinutes: 0, oneHour: 0 },
  dedup: "",
  replicaLabels: [],
  vertical: false,
  maxLevel: MAX_COMPACTION_LEVEL,
  maxIndexSize: 64 * 1024 ** 3,
  skipOutOfOrder: false,
  acceptMalformedIndex: false,
  hash: "",
  groupConcurrency: 1,
  mergeConcurrency: 2,
  fetchConcurrency: 1,
  fileConcurrency: 1,
  metaConcurrency: 32,
  minTime: () => Number.MIN_SAFE_INTEGER,
  maxTime: () => Number.MAX_SAFE_INTEGER,
  relabel: [],
  downsampling: true,
  clockTolerance: 5 * 60_000,
  syncTimeout: 0,
};
