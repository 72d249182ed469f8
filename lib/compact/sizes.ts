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

/** A size for people: `3.4 MiB`. */
export function roughSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes;
  let unit = 0;
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024;
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]!}`;
}
