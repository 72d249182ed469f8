/**
 * Filters of block metas: what a component does not look at, each with the reason it is counted
 * under. They run in the order they are given in.
 */
import {
  type Clock,
  CorruptionError,
  errorKind,
  mapPool,
  throwIfAborted,
  ulidTime,
} from "../base/mod.ts";
import { type Labels, labelsKey, withLabel } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { type BlockMeta, externalLabelsOf, resolutionOf, uploadTimeOf } from "../tsdb/mod.ts";
import type { ListedBlock } from "./listing.ts";
import {
  type BlockMark,
  DELETION_MARK_FILE,
  type MarkFile,
  NO_COMPACT_MARK_FILE,
  readMark,
} from "./markers.ts";

/** Why a block was left out; the values of the `state` label of `thanos_blocks_meta_synced`. */
export type BlockState =
  | "corrupted-meta-json"
  | "no-meta-json"
  | "loaded"
  | "too-fresh"
  | "failed"
  | "label-excluded"
  | "time-excluded"
  | "duplicate"
  | "marked-for-deletion"
  | "marked-for-no-compact"
  | "marked-for-no-downsample"
  | "parquet-migrated";

/** All states, for metrics that start at 0. */
export const BLOCK_STATES: readonly BlockState[] = [
  "corrupted-meta-json",
  "no-meta-json",
  "loaded",
  "too-fresh",
  "failed",
  "label-excluded",
  "time-excluded",
  "duplicate",
  "marked-for-deletion",
  "marked-for-no-compact",
  "marked-for-no-downsample",
  "parquet-migrated",
];

/** What filters work on during one sync. */
export interface FilterContext {
  /** The metas; a filter deletes from it. */
  readonly metas: Map<string, BlockMeta>;
  readonly listing: ReadonlyMap<string, ListedBlock>;
  readonly signal: AbortSignal | undefined;
  /** Notes why a block is left out. */
  exclude(ulid: string, state: BlockState): void;
  /** Notes a state of a block that stays. */
  note(ulid: string, state: BlockState): void;
  /** Tells of something odd that does not stop the sync. */
  warn(message: string, error: unknown): void;
}

/** One rule about which blocks to leave out. */
export interface MetaFilter {
  filter(context: FilterContext): Promise<void> | void;
}

/** Keeps blocks that reach into [min, max]; the limits are asked at every sync, they may slide. */
export function timePartitionFilter(minTime: () => number, maxTime: () => number): MetaFilter {
  return {
    filter({ metas, exclude }) {
      const min = minTime();
      const max = maxTime();
      for (const [ulid, meta] of metas) {
        if (meta.maxTime < min || meta.minTime > max) exclude(ulid, "time-excluded");
      }
    },
  };
}

/** Label that relabel rules see the block's id in. */
export const BLOCK_ID_LABEL = "__block_id";

/**
 * Keeps blocks for whose external labels (with `__block_id`) `keep` says so: the place of relabel
 * sharding.
 */
export function labelShardFilter(keep: (labels: Labels) => boolean): MetaFilter {
  return {
    filter({ metas, exclude }) {
      for (const [ulid, meta] of metas) {
        const labels = withLabel(externalLabelsOf(meta), BLOCK_ID_LABEL, ulid);
        if (!keep(labels)) exclude(ulid, "label-excluded");
      }
    },
  };
}

/** Sources whose blocks replace others and must be seen at once. */
const EXEMPT_SOURCES: ReadonlySet<string> = new Set([
  "compactor",
  "compactor.repair",
  "bucket.repair",
]);

/** Leaves out blocks uploaded less than `delay` ms ago: others may still be on their way. */
export function consistencyDelayFilter(delay: number, clock: Clock): MetaFilter {
  return {
    filter({ metas, exclude }) {
      const now = clock.now();
      for (const [ulid, meta] of metas) {
        if (EXEMPT_SOURCES.has(meta.thanos?.source ?? "")) continue;
        const uploaded = uploadTimeOf(meta) ?? ulidTime(ulid);
        if (now - uploaded < delay) exclude(ulid, "too-fresh");
      }
    },
  };
}

/** Reads the markers of one kind that the listing shows; unreadable ones are told and skipped. */
async function readMarks(
  bucket: Bucket,
  context: FilterContext,
  file: MarkFile,
  concurrency: number,
): Promise<Map<string, BlockMark>> {
  const marked = [...context.metas.keys()].filter((ulid) =>
    context.listing.get(ulid)?.marks.has(file) === true
  );
  const marks = new Map<string, BlockMark>();
  await mapPool(marked, concurrency, async (ulid) => {
    try {
      const options = context.signal === undefined ? {} : { signal: context.signal };
      const mark = await readMark(bucket, ulid, file, options);
      if (mark !== undefined) marks.set(ulid, mark);
    } catch (error) {
      throwIfAborted(context.signal);
      if (!(error instanceof CorruptionError) && errorKind(error) !== "not_found") throw error;
      context.warn(`found partial ${file}; ignoring it`, error);
    }
  });
  return marks;
}

/** Leaves out blocks that were marked for deletion more than `delay` ms ago. */
export class DeletionMarkFilter implements MetaFilter {
  readonly #bucket: Bucket;
  readonly #delay: number;
  readonly #clock: Clock;
  readonly #concurrency: number;
  #marks: ReadonlyMap<string, BlockMark> = new Map();

  constructor(bucket: Bucket, delay: number, clock: Clock, concurrency = 32) {
    this.#bucket = bucket;
    this.#delay = delay;
    this.#clock = clock;
    this.#concurrency = concurrency;
  }

  /** All deletion marks of the last sync, also of blocks that are still served. */
  get marks(): ReadonlyMap<string, BlockMark> {
    return this.#marks;
  }

  async filter(context: FilterContext): Promise<void> {
    const marks = await readMarks(this.#bucket, context, DELETION_MARK_FILE, this.#concurrency);
    this.#marks = marks;
    const now = this.#clock.now();
    for (const [ulid, mark] of marks) {
      if (now - mark.time > this.#delay) context.exclude(ulid, "marked-for-deletion");
    }
  }
}

/** Gathers no-compact or no-downsample marks; leaves nothing out. */
export class MarkGatherer implements MetaFilter {
  readonly #bucket: Bucket;
  readonly #file: MarkFile;
  readonly #concurrency: number;
  #marks: ReadonlyMap<string, BlockMark> = new Map();

  constructor(bucket: Bucket, file: MarkFile, concurrency = 32) {
    this.#bucket = bucket;
    this.#file = file;
    this.#concurrency = concurrency;
  }

  /** The marks of the last sync. */
  get marks(): ReadonlyMap<string, BlockMark> {
    return this.#marks;
  }

  async filter(context: FilterContext): Promise<void> {
    this.#marks = await readMarks(this.#bucket, context, this.#file, this.#concurrency);
    const state = this.#file === NO_COMPACT_MARK_FILE
      ? "marked-for-no-compact"
      : "marked-for-no-downsample";
    for (const ulid of this.#marks.keys()) context.note(ulid, state);
  }
}

/**
 * Leaves out blocks all of whose sources are contained in another one of the same external labels
 * and resolution, with more sources, or as many and a smaller id: they were compacted into it.
 */
export class DuplicateFilter implements MetaFilter {
  #duplicates: ReadonlySet<string> = new Set();

  /** The duplicates of the last sync; a compactor deletes them. */
  get duplicates(): ReadonlySet<string> {
    return this.#duplicates;
  }

  filter({ metas, exclude }: FilterContext): void {
    const groups = new Map<string, BlockMeta[]>();
    for (const meta of metas.values()) {
      const key = `${resolutionOf(meta)}@${labelsKey(externalLabelsOf(meta))}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [meta]);
      else group.push(meta);
    }
    const duplicates = new Set<string>();
    for (const group of groups.values()) findDuplicates(group, duplicates);
    for (const ulid of duplicates) exclude(ulid, "duplicate");
    this.#duplicates = duplicates;
  }
}

function findDuplicates(group: BlockMeta[], duplicates: Set<string>): void {
  if (group.length < 2) return;
  group.sort((a, b) =>
    b.compaction.sources.length - a.compaction.sources.length || (a.ulid < b.ulid ? -1 : 1)
  );
  // Which kept blocks contain a source: a duplicate must share its first one with its container.
  const holders = new Map<string, ReadonlySet<string>[]>();
  for (const meta of group) {
    const { sources } = meta.compaction;
    const first = sources[0];
    if (first === undefined) continue; // Nothing is known about its origin.
    const containers = holders.get(first) ?? [];
    if (containers.some((held) => sources.every((source) => held.has(source)))) {
      duplicates.add(meta.ulid);
      continue;
    }
    const held = new Set(sources);
    for (const source of held) {
      const list = holders.get(source);
      if (list === undefined) holders.set(source, [held]);
      else list.push(held);
    }
  }
}
