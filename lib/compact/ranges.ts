/** The time ranges that blocks grow into. */

const HOUR = 3_600_000;
/** By level; the first one is never a target. */
const RANGES: readonly number[] = [HOUR, 2 * HOUR, 8 * HOUR, 48 * HOUR, 336 * HOUR];

/** Highest value of `--debug.max-compaction-level`. */
export const MAX_COMPACTION_LEVEL = RANGES.length - 1;

/** Spans that blocks are compacted to, ascending, ms. */
export function compactionTargets(maxLevel: number): readonly number[] {
  return RANGES.slice(1, maxLevel + 1);
}

/** Blocks shorter than this are not written again for their tombstones, ms. */
export function tombstoneSpan(maxLevel: number): number {
  const ranges = RANGES.slice(0, maxLevel + 1);
  return ranges[ranges.length >> 1]!;
}
