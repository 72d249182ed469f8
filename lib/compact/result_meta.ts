/** What a block that the compactor made says about itself. */
import type { Labels } from "../model/mod.ts";
import { type BlockMeta, type BlockStats, makeThanosMeta, type ThanosMeta } from "../tsdb/mod.ts";

/** What a merge counted. */
export interface MergedCounts {
  readonly stats: BlockStats;
  readonly segments: readonly string[];
  readonly indexStats: ThanosMeta["indexStats"];
}

/** What the blocks of a group share. */
export interface GroupIdentity {
  /** External labels without replica labels. */
  readonly labels: Labels;
  readonly resolution: number;
  /** Any JSON, undefined when absent. */
  readonly extensions: unknown;
}

/**
 * The meta of the block that was compacted out of `sources`; its level is one more than theirs, or
 * `level` when steps between were left out.
 */
export function compactedMeta(
  ulid: string,
  sources: readonly BlockMeta[],
  counted: MergedCounts,
  group: GroupIdentity,
  level?: number,
): BlockMeta {
  const origins = new Set<string>();
  let minTime = Infinity;
  let maxTime = -Infinity;
  let highest = 0;
  for (const meta of sources) {
    for (const source of meta.compaction.sources) origins.add(source);
    minTime = Math.min(minTime, meta.minTime);
    maxTime = Math.max(maxTime, meta.maxTime);
    highest = Math.max(highest, meta.compaction.level);
  }
  return {
    ulid,
    minTime,
    maxTime,
    stats: counted.stats,
    compaction: {
      level: level ?? highest + 1,
      sources: [...origins].sort(),
      deletable: false,
      parents: sources.map((m) => ({ ulid: m.ulid, minTime: m.minTime, maxTime: m.maxTime })),
      failed: false,
      hints: [],
    },
    thanos: makeThanosMeta({
      labels: group.labels,
      resolution: group.resolution,
      source: "compactor",
      segmentFiles: counted.segments,
      indexStats: counted.indexStats,
      extensions: group.extensions,
    }),
  };
}

/** The meta of a block that was repaired: the old one's, with new counts. */
export function repairedMeta(ulid: string, old: BlockMeta, counted: MergedCounts): BlockMeta {
  return {
    ...old,
    ulid,
    stats: counted.stats,
    thanos: {
      ...(old.thanos ?? makeThanosMeta({ labels: [] as unknown as Labels })),
      source: "compactor.repair",
      segmentFiles: counted.segments,
      files: [],
      indexStats: counted.indexStats,
    },
  };
}
