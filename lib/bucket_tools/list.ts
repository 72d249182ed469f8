/** Lists the blocks of a bucket. */
import { compareUtf8, formatGoDuration, MnemeError } from "../base/mod.ts";
import { type FetcherObserver, MetaFetcher, type MetaFilter } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { type BlockMeta, printBlockMeta, resolutionOf } from "../tsdb/mod.ts";

/** Forms of a listing: the ids, a line a block, the meta.json of each. */
export type ListOutput = "" | "wide" | "json";

/**
 * The metas of a bucket's blocks that pass the filters, by id. Partial blocks are left out.
 *
 * Throws: unavailable when some could not be read: the list would be wrong without a word.
 */
export async function readMetas(
  bucket: Bucket,
  filters: readonly MetaFilter[],
  observer: FetcherObserver,
  signal?: AbortSignal,
): Promise<BlockMeta[]> {
  const result = await new MetaFetcher({ bucket, filters, observer }).fetch(signal);
  for (const [ulid, error] of result.failed) {
    throw new MnemeError("unavailable", `Cannot read block ${ulid}: ${error.message}`, {
      cause: error,
    });
  }
  return [...result.metas.values()].sort((a, b) => compareUtf8(a.ulid, b.ulid));
}

/** Text of a listing. */
export function printBlocks(metas: readonly BlockMeta[], output: ListOutput): string {
  return metas.map((meta) => {
    if (output === "json") return printBlockMeta(meta);
    if (output === "") return `${meta.ulid}\n`;
    return `${meta.ulid} -- ${printTime(meta.minTime)} - ${printTime(meta.maxTime)} ` +
      `Diff: ${formatGoDuration(meta.maxTime - meta.minTime)}, ` +
      `Compaction: ${meta.compaction.level}, Downsample: ${resolutionOf(meta)}, ` +
      `Source: ${meta.thanos?.source ?? ""}\n`;
  }).join("");
}

/** RFC 3339 in UTC with whole seconds. */
export function printTime(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
}
