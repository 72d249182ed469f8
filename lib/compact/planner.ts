/**
 * Which blocks of a group are compacted next: overlapping ones first, then small ones that fill a
 * range of 2h, 8h, 2d or 14d, then blocks with many deletions.
 */
import type { BlockMeta } from "../tsdb/mod.ts";
import { compactionTargets, tombstoneSpan } from "./ranges.ts";

/** Share of deleted series above which a block is written again. */
const TOMBSTONE_SHARE = 0.05;

/** Stretches without data shorter than this hold no block that is worth waiting for, ms. */
const HOLE = 3_600_000;

/** Why blocks are planned together. */
export type PlanKind = "overlap" | "range" | "tombstones";

/** Blocks to compact into one. */
export interface CompactionPlan {
  readonly kind: PlanKind;
  readonly blocks: readonly BlockMeta[];
}

/** The order the planner works on: by start, then end, then id. */
export function compareStarts(a: BlockMeta, b: BlockMeta): number {
  return a.minTime - b.minTime || a.maxTime - b.maxTime || (a.ulid < b.ulid ? -1 : 1);
}

/** Metas in the order of compareStarts(). */
export function byStart(metas: Iterable<BlockMeta>): BlockMeta[] {
  return [...metas].sort(compareStarts);
}

/**
 * The next blocks to compact; undefined when there is nothing to do.
 *
 * Shape: `metas` = all blocks of the group by start; `excluded` those that must stay as they are;
 *   `cautious` = leave ranges with holes alone, as a block that cannot be read may belong there.
 */
export function planGroup(
  metas: readonly BlockMeta[],
  excluded: { has(ulid: string): boolean },
  maxLevel: number,
  cautious = false,
): CompactionPlan | undefined {
  return planAll(metas, excluded, maxLevel, cautious)[0];
}

/**
 * The next blocks to compact, and all plans of the same kind and range that would follow one by one:
 * none of them takes a block of another, nor changes what another would take.
 */
export function planAll(
  metas: readonly BlockMeta[],
  excluded: { has(ulid: string): boolean },
  maxLevel: number,
  cautious = false,
): CompactionPlan[] {
  const live = metas.filter((meta) => !excluded.has(meta.ulid));
  const clusters = overlapClusters(live);
  if (clusters.length > 0) return clusters.map((blocks) => ({ kind: "overlap", blocks }));
  const settled = metas.slice(0, -1);
  const newest = metas[metas.length - 1];
  const liveSettled = newest === undefined || excluded.has(newest.ulid) ? live : live.slice(0, -1);
  const newestSettled = settled[settled.length - 1];
  if (newestSettled === undefined) return [];
  for (const range of compactionTargets(maxLevel)) {
    const plans = splitByRange(settled, range).flatMap((part) =>
      runsOf(part, range, newestSettled.minTime, excluded, cautious)
    );
    if (plans.length > 0) return plans.map((blocks) => ({ kind: "range", blocks }));
  }
  for (let i = liveSettled.length - 1; i >= 0; i--) {
    const meta = liveSettled[i]!;
    if (meta.maxTime - meta.minTime < tombstoneSpan(maxLevel)) break;
    const { numTombstones, numSeries } = meta.stats;
    if (numTombstones / (numSeries + 1) > TOMBSTONE_SHARE) {
      return [{ kind: "tombstones", blocks: [meta] }];
    }
  }
  return [];
}

/** The runs of blocks of a range that may be joined. */
function runsOf(
  part: readonly BlockMeta[],
  range: number,
  newestStart: number,
  excluded: { has(ulid: string): boolean },
  cautious: boolean,
): BlockMeta[][] {
  if (part.length < 2 || part.some((meta) => meta.compaction.failed)) return [];
  const start = part[0]!.minTime;
  const end = part[part.length - 1]!.maxTime;
  if (end - start !== range && end > newestStart) return [];
  if (cautious && hasHole(part, rangeStart(start, range), range)) return [];
  const runs: BlockMeta[][] = [[]];
  for (const meta of part) {
    if (excluded.has(meta.ulid)) runs.push([]);
    else runs[runs.length - 1]!.push(meta);
  }
  return runs.filter((run) => run.length >= 2);
}

/** True when a part of a range that could hold a block is covered by none. Blocks are by start. */
function hasHole(part: readonly BlockMeta[], start: number, range: number): boolean {
  let covered = start;
  for (const meta of part) {
    if (meta.minTime - covered >= HOLE) return true;
    covered = Math.max(covered, meta.maxTime);
  }
  return start + range - covered >= HOLE;
}

/** Start of the range that a time is in. */
function rangeStart(time: number, range: number): number {
  return time >= 0
    ? range * Math.floor(time / range)
    : range * Math.trunc((time - range + 1) / range);
}

/** Groups of consecutive blocks that lie in one range; larger and misaligned blocks are left out. */
export function splitByRange(metas: readonly BlockMeta[], range: number): BlockMeta[][] {
  const parts: BlockMeta[][] = [];
  for (let i = 0; i < metas.length;) {
    const end = rangeStart(metas[i]!.minTime, range) + range;
    if (metas[i]!.maxTime > end) {
      i++;
      continue;
    }
    const part: BlockMeta[] = [];
    while (i < metas.length && metas[i]!.maxTime <= end) part.push(metas[i++]!);
    parts.push(part);
  }
  return parts;
}

/** The first cluster of overlapping blocks; empty when none overlap. Metas are by start. */
export function overlapping(metas: readonly BlockMeta[]): BlockMeta[] {
  return overlapClusters(metas)[0] ?? [];
}

/** Blocks that overlap, cluster by cluster. Metas are by start. */
function overlapClusters(metas: readonly BlockMeta[]): BlockMeta[][] {
  const clusters: BlockMeta[][] = [];
  let current: BlockMeta[] = [];
  let end = -Infinity;
  for (let i = 0; i < metas.length; i++) {
    const meta = metas[i]!;
    if (i > 0 && meta.minTime < end) {
      if (current.length === 0) clusters.push(current = [metas[i - 1]!]);
      current.push(meta);
    } else current = [];
    end = Math.max(end, meta.maxTime);
  }
  return clusters;
}
