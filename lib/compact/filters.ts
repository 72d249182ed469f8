/** Filters of block metas that only a compactor needs. */
import {
  type Clock,
  errorKind,
  errorMessage,
  mapPool,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";
import {
  BLOCK_ID_LABEL,
  type BlockMark,
  DELETION_MARK_FILE,
  type FilterContext,
  type MarkFile,
  type MetaFilter,
  NO_COMPACT_MARK_FILE,
  readMark,
} from "../block/mod.ts";
import { dropLabels, labelsFromPairs, relabel, type RelabelRule, withLabel } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { externalLabelsOf, makeThanosMeta } from "../tsdb/mod.ts";

/** Value of the replica label that a block gets when nothing else is left. */
const DEDUPED = "deduped";

/** Takes replica labels off the metas, in memory; told how many were changed. */
export function replicaLabelFilter(
  names: readonly string[],
  modified: (count: number) => void,
): MetaFilter {
  const set = new Set(names);
  return {
    filter({ metas }) {
      if (set.size === 0) return;
      let count = 0;
      for (const [ulid, meta] of metas) {
        const before = externalLabelsOf(meta);
        let labels = dropLabels(before, set);
        if (labels === before) continue;
        if (labels.length === 0) labels = labelsFromPairs([[names[0]!, DEDUPED]]);
        metas.set(ulid, {
          ...meta,
          thanos: { ...(meta.thanos ?? makeThanosMeta({ labels })), labels },
        });
        count++;
      }
      modified(count);
    },
  };
}

/** Keeps blocks whose external labels, without replica labels, pass relabelling. */
export function relabelShardFilter(
  rules: readonly RelabelRule[],
  replicaLabels: readonly string[],
): MetaFilter {
  const replicas = new Set(replicaLabels);
  return {
    filter({ metas, exclude }) {
      if (rules.length === 0) return;
      for (const [ulid, meta] of metas) {
        const labels = dropLabels(externalLabelsOf(meta), replicas);
        const out = relabel(withLabel(labels, BLOCK_ID_LABEL, ulid), rules);
        if (out === undefined || out.length === 0) exclude(ulid, "label-excluded");
      }
    },
  };
}

/** A mark that the compactor honours. */
export interface HonouredMark extends BlockMark {
  /**
   * False: the file is there but cannot be read. The block counts as marked, which changes nothing
   * for it; it is not deleted.
   */
  readonly readable: boolean;
}

/**
 * The marks of one kind on the blocks that are left, collected anew at each sync. With `hideAfter`,
 * blocks marked longer ago are left out.
 */
export class MarkCollector implements MetaFilter {
  readonly #bucket: Bucket;
  readonly #file: MarkFile;
  readonly #concurrency: number;
  readonly #hide: { readonly after: number; readonly clock: Clock } | undefined;
  /** Marks never change, so each is read once. */
  #marks = new Map<string, HonouredMark>();

  constructor(
    bucket: Bucket,
    file: MarkFile,
    concurrency: number,
    hide?: { readonly after: number; readonly clock: Clock },
  ) {
    this.#bucket = bucket;
    this.#file = file;
    this.#concurrency = concurrency;
    this.#hide = hide;
  }

  /** The marks of the last sync. */
  get marks(): ReadonlyMap<string, HonouredMark> {
    return this.#marks;
  }

  async filter(context: FilterContext): Promise<void> {
    const marked = [...context.metas.keys()].filter((ulid) =>
      context.listing.get(ulid)?.marks.has(this.#file) === true
    );
    const known = this.#marks;
    const marks = new Map<string, HonouredMark>();
    await mapPool(marked, this.#concurrency, async (ulid) => {
      const before = known.get(ulid);
      if (before?.readable === true) {
        marks.set(ulid, before);
        return;
      }
      const mark = await this.#read(ulid, context);
      if (mark !== undefined) marks.set(ulid, mark);
    });
    this.#marks = marks;
    this.#tell(context);
  }

  async #read(ulid: string, context: FilterContext): Promise<HonouredMark | undefined> {
    try {
      const mark = await readMark(
        this.#bucket,
        ulid,
        this.#file,
        context.signal === undefined ? {} : { signal: context.signal },
      );
      return mark === undefined ? undefined : { ...mark, readable: true };
    } catch (error) {
      throwIfAborted(context.signal);
      const kind = errorKind(error);
      if (kind === "not_found") return undefined;
      if (kind !== "corruption") throw error;
      context.warn(
        `${this.#file} of block ${ulid} cannot be read; the block counts as marked`,
        error,
      );
      return { ulid, time: Infinity, details: errorMessage(error), reason: "", readable: false };
    }
  }

  #tell(context: FilterContext): void {
    if (this.#file === DELETION_MARK_FILE) {
      if (this.#hide === undefined) return;
      const now = this.#hide.clock.now();
      for (const [ulid, mark] of this.#marks) {
        if (now - mark.time > this.#hide.after) context.exclude(ulid, "marked-for-deletion");
      }
      return;
    }
    const state = this.#file === NO_COMPACT_MARK_FILE
      ? "marked-for-no-compact"
      : "marked-for-no-downsample";
    for (const ulid of this.#marks.keys()) context.note(ulid, state);
  }
}

/** Thrown when a sync saw only a part of the blocks. */
export function incompleteView(failed: ReadonlyMap<string, Error>): MnemeError {
  const [ulid, error] = failed.entries().next().value!;
  return new MnemeError(
    "unavailable",
    `incomplete view: cannot read meta.json of ${failed.size} blocks, such as ${ulid}: ` +
      errorMessage(error),
    { cause: error },
  );
}
