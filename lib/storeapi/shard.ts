/** Sharding: keeps the series whose hash over some labels falls into one of n classes. */
import { xxhash64Mod } from "../base/mod.ts";
import { type Labels, labelsFromSorted, labelsHashInput } from "../model/mod.ts";
import type { SeriesFrame, ShardInfo } from "./types.ts";

/**
 * A test for series labels, or undefined when `shard` selects all.
 *
 * Hash: xxHash64 over `name 0xFF value 0xFF` of the selected labels in label order, after external
 * labels were added and replica labels removed.
 */
export function shardFilter(
  shard: ShardInfo | undefined,
): ((labels: Labels) => boolean) | undefined {
  if (shard === undefined || shard.totalShards < 1) return undefined;
  const { by, shardIndex, totalShards } = shard;
  const names = new Set(shard.labels);
  return (labels) => {
    const selected: string[] = [];
    for (let i = 0; i < labels.length; i += 2) {
      if (names.has(labels[i]!) === by) selected.push(labels[i]!, labels[i + 1]!);
    }
    return xxhash64Mod(labelsHashInput(labelsFromSorted(selected)), totalShards) === shardIndex;
  };
}

/** Applies shardFilter() to frames of a store that cannot shard by itself. */
export async function* filterShard(
  frames: AsyncIterable<SeriesFrame>,
  shard: ShardInfo | undefined,
): AsyncIterable<SeriesFrame> {
  const keep = shardFilter(shard);
  for await (const frame of frames) {
    yield keep === undefined
      ? frame
      : { ...frame, series: frame.series.filter((s) => keep(s.labels)) };
  }
}
