/**
 * Few range reads for many small items of one object: neighbours are read together when the gap
 * between them is cheaper to read than a request is to make.
 */
import { CorruptionError, mapPool } from "../base/mod.ts";

/** Reads bytes [offset, offset + length) of an object, fewer where it ends. */
export type ReadBytes = (offset: number, length: number) => Promise<Uint8Array>;

/** How to cut reads; sizes in bytes. */
export interface RangeOptions {
  /** Items this near to each other are read with one request. */
  readonly gap: number;
  /** A request grows no further beyond this size. */
  readonly maxSize: number;
  /** Requests at once. */
  readonly concurrency: number;
}

/** Thanos' rule for object stores: reading half a MiB more is cheaper than another request. */
export const REMOTE_RANGES: RangeOptions = {
  gap: 512 * 1024,
  maxSize: 16 * 1024 * 1024,
  concurrency: 8,
};
/** For a local disk, where a request costs about as much as reading 32 KiB. */
export const LOCAL_RANGES: RangeOptions = {
  gap: 32 * 1024,
  maxSize: 16 * 1024 * 1024,
  concurrency: 1,
};

/** Whether a request to a bucket costs about nothing. */
export function isLocal(bucket: { readonly provider: string }): boolean {
  return bucket.provider === "FILESYSTEM" || bucket.provider === "MEMORY";
}

/** A longer item is not believed: its length is damaged, and its decoder will say so. */
const MAX_ITEM = 64 * 1024 * 1024;

/** Figures of fetches, added to by each. */
export interface FetchFigures {
  /** Requests made, second reads of items that were longer than thought included. */
  requests: number;
  /** Second reads. */
  refetches: number;
  /** Bytes received. */
  fetchedBytes: number;
}

/** Fetched bytes: region r starts at `offsets[r]` of the object; item i lies in `regionOf[i]`. */
export interface FetchedItems {
  readonly regions: Uint8Array[];
  readonly offsets: number[];
  readonly regionOf: Uint32Array;
}

/** What the items are and how their size is told. */
export interface ItemShape {
  /** Bytes that an item is thought to take at most. */
  readonly estimate: number;
  /** Where each item ends, when that is known better. */
  readonly ends?: ArrayLike<number>;
  /** The object has no items from here on. */
  readonly end: number;
  /** Size of the item at `at`, undefined when its length is cut off. */
  size(bytes: Uint8Array, at: number, base: number): number | undefined;
  /** Name of the object, for errors. */
  readonly file: string;
}

/**
 * Fetches the items that start at `starts` (ascending); on return every item is complete in its
 * region, or the object ends before it does (the item's decoder then reports it as cut off).
 *
 * Throws: CorruptionError when an item starts outside of the object; what `read` throws.
 */
export async function fetchItems(
  read: ReadBytes,
  starts: ArrayLike<number>,
  shape: ItemShape,
  options: RangeOptions,
  figures: FetchFigures,
): Promise<FetchedItems> {
  const count = starts.length;
  const regionOf = new Uint32Array(count);
  const offsets: number[] = [];
  const ends: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = starts[i]!;
    if (!(start >= 0 && start < shape.end)) {
      throw new CorruptionError(`a reference to offset ${start} is outside of its file`, {
        file: shape.file,
        offset: start,
      });
    }
    const end = Math.min(shape.end, shape.ends?.[i] ?? start + shape.estimate);
    const r = offsets.length - 1;
    if (r >= 0 && start - ends[r]! <= options.gap && end - offsets[r]! <= options.maxSize) {
      if (end > ends[r]!) ends[r] = end;
    } else {
      offsets.push(start);
      ends.push(end);
    }
    regionOf[i] = offsets.length - 1;
  }
  const fetch = async (start: number, end: number): Promise<Uint8Array> => {
    const bytes = await read(start, end - start);
    figures.requests++;
    figures.fetchedBytes += bytes.length;
    return bytes;
  };
  const regions = offsets.length === 1
    ? [await fetch(offsets[0]!, ends[0]!)]
    : await mapPool(offsets, options.concurrency, (start, r) => fetch(start, ends[r]!));

  // What turned out to be longer than estimated is read again, alone and as long as it says.
  for (let i = 0; i < count; i++) {
    const r = regionOf[i]!;
    const bytes = regions[r]!;
    const at = starts[i]! - offsets[r]!;
    const size = shape.size(bytes, at, offsets[r]!);
    if (size !== undefined && at + size <= bytes.length) continue;
    if (offsets[r]! + bytes.length < ends[r]!) continue; // The object ends here.
    const wanted = size ?? shape.estimate * 2;
    const end = Math.min(shape.end, starts[i]! + wanted);
    if (end <= ends[r]! || wanted > MAX_ITEM) continue;
    figures.refetches++;
    offsets.push(starts[i]!);
    ends.push(end);
    regions.push(await fetch(starts[i]!, end));
    regionOf[i] = regions.length - 1;
  }
  return { regions, offsets, regionOf };
}
