/** Sizes of blocks as their meta.json tells them. */
import { type BlockMeta, INDEX_FILE } from "../tsdb/mod.ts";

/** Bytes per sample where a block does not tell the sizes of its files. */
const TYPICAL_SAMPLE = 1.5;

/** Bytes of a block; estimated when it does not tell. */
export function bytesOf(meta: BlockMeta): number {
  const files = meta.thanos?.files ?? [];
  if (files.length === 0) return Math.ceil(meta.stats.numSamples * TYPICAL_SAMPLE);
  return files.reduce((sum, file) => sum + file.sizeBytes, 0);
}

/** Bytes of a block's index, undefined when it does not tell. */
export function indexBytesOf(meta: BlockMeta): number | undefined {
  const size = meta.thanos?.files.find((file) => file.relPath === INDEX_FILE)?.sizeBytes;
  return size === undefined || size === 0 ? undefined : size;
}
