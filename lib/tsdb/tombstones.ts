/**
 * Tombstones: deleted time ranges of series, in the file `tombstones` of a local block.
 *
 *   01 30 BA 30 | 01 | entries (uvarint series ref, varint mint, varint maxt) … | be32 CRC of entries
 *
 * Neither the magic number nor the version is covered by the checksum.
 */
import { ByteReader, ByteWriter, CorruptionError, crc32c } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";

/** Name of the file inside a block's directory. */
export const TOMBSTONES_FILE = "tombstones";

const MAGIC = 0x0130ba30;
const VERSION = 1;
const HEADER_SIZE = 5;

/** Deleted closed ranges by series reference: [mint0, maxt0, mint1, maxt1, …], ascending, merged. */
export type Tombstones = ReadonlyMap<number, Float64Array>;

/** No deletions. */
export const NO_TOMBSTONES: Tombstones = new Map();

/** Reads the file; throws CorruptionError. */
export function readTombstones(bytes: Uint8Array, file: string): Tombstones {
  if (bytes.length < HEADER_SIZE + 4) {
    throw new CorruptionError(`tombstones of ${bytes.length} bytes are too short`, { file });
  }
  const r = new ByteReader(bytes, 0, bytes.length - 4);
  const magic = r.u32();
  if (magic !== MAGIC) {
    throw new CorruptionError(`magic number ${magic.toString(16)} is wrong`, { file });
  }
  const version = r.u8();
  if (version !== VERSION) {
    throw new CorruptionError(`tombstones version ${version} is not supported`, {
      file,
      offset: 4,
    });
  }
  const stored = new ByteReader(bytes, bytes.length - 4).u32();
  if (crc32c(bytes, HEADER_SIZE, bytes.length - 4) !== stored) {
    throw new CorruptionError("checksum of tombstones differs", { file, offset: HEADER_SIZE });
  }
  const ranges = new Map<number, number[]>();
  while (r.remaining > 0) {
    const ref = r.uvarint();
    const mint = r.varint();
    const maxt = r.varint();
    r.check("tombstones", file);
    if (maxt < mint) {
      throw new CorruptionError(`deleted range of series ${ref} ends before it starts`, {
        file,
        offset: r.offset,
      });
    }
    const list = ranges.get(ref);
    if (list === undefined) ranges.set(ref, [mint, maxt]);
    else list.push(mint, maxt);
  }
  const merged = new Map<number, Float64Array>();
  for (const [ref, list] of ranges) merged.set(ref, mergeRanges(list));
  return merged;
}

/** Prints the file; series in ascending order. */
export function writeTombstones(tombstones: Tombstones): Uint8Array<ArrayBuffer> {
  const w = new ByteWriter();
  w.u32(MAGIC);
  w.u8(VERSION);
  for (const ref of [...tombstones.keys()].sort((a, b) => a - b)) {
    const ranges = tombstones.get(ref)!;
    for (let i = 0; i < ranges.length; i += 2) {
      w.uvarint(ref);
      w.varint(ranges[i]!);
      w.varint(ranges[i + 1]!);
    }
  }
  w.u32(crc32c(w.bytes, HEADER_SIZE, w.length));
  return w.copy();
}

/** Ranges in any order as ascending ones that neither overlap nor touch. */
export function mergeRanges(flat: readonly number[]): Float64Array {
  const order: number[] = [];
  for (let i = 0; i < flat.length; i += 2) order.push(i);
  order.sort((a, b) => flat[a]! - flat[b]!);
  const out: number[] = [];
  for (const i of order) {
    const mint = flat[i]!;
    const maxt = flat[i + 1]!;
    if (out.length > 0 && mint <= out[out.length - 1]! + 1) {
      if (maxt > out[out.length - 1]!) out[out.length - 1] = maxt;
    } else out.push(mint, maxt);
  }
  return Float64Array.from(out);
}

/** True when [mint, maxt] lies inside one deleted range. */
export function isDeleted(ranges: Float64Array, mint: number, maxt: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (mint >= ranges[i]! && maxt <= ranges[i + 1]!) return true;
  }
  return false;
}

/** Removes the samples at and after index `from` whose time is deleted. */
export function dropDeleted(batch: SampleBatch, from: number, ranges: Float64Array): void {
  const { t, v, st, h, length } = batch;
  let range = 0;
  let kept = from;
  for (let i = from; i < length; i++) {
    const time = t[i]!;
    while (range < ranges.length && ranges[range + 1]! < time) range += 2;
    if (range < ranges.length && time >= ranges[range]!) continue;
    if (kept !== i) {
      // From element to element, so that every bit of a value survives.
      t[kept] = time;
      v[kept] = v[i]!;
      if (st !== null) st[kept] = st[i]!;
      if (h !== null) h[kept] = h[i];
    }
    kept++;
  }
  batch.length = kept;
  if (h !== null) h.length = kept;
}
