/**
 * Marker files of blocks in a bucket: `deletion-mark.json`, `no-compact-mark.json`,
 * `no-downsample-mark.json`, and our own `quarantine-mark.json`.
 *
 * Compact JSON with the keys in fixed order; times are Unix seconds on disk and ms here. A mark that
 * exists is never overwritten.
 */
import { CorruptionError, decodeUtf8Strict, encodeUtf8, errorKind, isUlid } from "../base/mod.ts";
import type { Bucket, CallOptions } from "../objstore/mod.ts";

/** Names of the marker files. */
export const DELETION_MARK_FILE = "deletion-mark.json";
export const NO_COMPACT_MARK_FILE = "no-compact-mark.json";
export const NO_DOWNSAMPLE_MARK_FILE = "no-downsample-mark.json";

/** Ours: a block whose meta.json cannot be read; only a person deletes it. */
export const QUARANTINE_MARK_FILE = "quarantine-mark.json";

/** A marker file's name. */
export type MarkFile =
  | typeof QUARANTINE_MARK_FILE
  | typeof DELETION_MARK_FILE
  | typeof NO_COMPACT_MARK_FILE
  | typeof NO_DOWNSAMPLE_MARK_FILE;

/** All marker files. */
export const MARK_FILES: readonly MarkFile[] = [
  DELETION_MARK_FILE,
  NO_COMPACT_MARK_FILE,
  NO_DOWNSAMPLE_MARK_FILE,
  QUARANTINE_MARK_FILE,
];

/** What a marker file says. */
export interface BlockMark {
  /** The block. */
  readonly ulid: string;
  /** When it was marked, ms (whole seconds). */
  readonly time: number;
  /** For people, "" when there is nothing to say. */
  readonly details: string;
  /** Why, "" for deletion marks. */
  readonly reason: string;
}

/** Reasons that Thanos writes into no-compact marks. */
export const NO_COMPACT_MANUAL = "manual";
export const NO_COMPACT_INDEX_SIZE = "index-size-exceeding";
export const NO_COMPACT_OUT_OF_ORDER = "block-index-out-of-order-chunk";
export const NO_COMPACT_DOWNSAMPLE_VERTICAL = "downsample-vertical-compaction";

const TIME_KEYS: Readonly<Record<MarkFile, string>> = {
  [DELETION_MARK_FILE]: "deletion_time",
  [NO_COMPACT_MARK_FILE]: "no_compact_time",
  [NO_DOWNSAMPLE_MARK_FILE]: "no_downsample_time",
  [QUARANTINE_MARK_FILE]: "quarantine_time",
};

/** Name of the object of a block's marker. */
export function markObject(ulid: string, file: MarkFile): string {
  return `${ulid}/${file}`;
}

/** Prints a marker as Thanos does. */
export function printMark(mark: BlockMark, file: MarkFile): string {
  const seconds = Math.floor(mark.time / 1000);
  return JSON.stringify({
    id: mark.ulid,
    version: 1,
    ...(mark.details === "" ? {} : { details: mark.details }),
    [TIME_KEYS[file]]: seconds,
    ...(file === DELETION_MARK_FILE ? {} : { reason: mark.reason }),
  });
}

/**
 * Parses a marker.
 *
 * Throws: CorruptionError that names `object` when it is no JSON, of another version, or of another
 * block; it may be an upload of a system whose writes are not atomic.
 */
export function parseMark(bytes: Uint8Array, ulid: string, file: MarkFile): BlockMark {
  const object = markObject(ulid, file);
  const fail = (reason: string, cause?: unknown): never => {
    throw new CorruptionError(reason, { file: object, cause });
  };
  let json: unknown;
  try {
    json = JSON.parse(decodeUtf8Strict(bytes));
  } catch (error) {
    return fail("not a JSON document", error);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return fail("not a JSON object");
  }
  const map = json as Record<string, unknown>;
  if (map.version !== 1) return fail(`unexpected version ${String(map.version)}, 1 is supported`);
  if (typeof map.id !== "string" || !isUlid(map.id)) return fail("id is no ULID");
  if (map.id !== ulid) return fail(`it is the mark of block ${map.id}`);
  const seconds = map[TIME_KEYS[file]] ?? 0;
  if (typeof seconds !== "number" || !Number.isSafeInteger(seconds * 1000)) {
    return fail(`${TIME_KEYS[file]} is no Unix time`);
  }
  return {
    ulid,
    time: seconds * 1000,
    details: typeof map.details === "string" ? map.details : "",
    reason: typeof map.reason === "string" ? map.reason : "",
  };
}

/**
 * Reads a block's marker; undefined when there is none.
 *
 * Throws: CorruptionError when it cannot be parsed (callers treat it as not marked and say so), and
 * the bucket's errors.
 */
export async function readMark(
  bucket: Bucket,
  ulid: string,
  file: MarkFile,
  options?: CallOptions,
): Promise<BlockMark | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await bucket.get(markObject(ulid, file), options);
  } catch (error) {
    if (errorKind(error) === "not_found") return undefined;
    throw error;
  }
  return parseMark(bytes, ulid, file);
}

/** Writes a marker unless one exists; false when it did. */
export async function writeMark(
  bucket: Bucket,
  mark: BlockMark,
  file: MarkFile,
  options?: CallOptions,
): Promise<boolean> {
  const object = markObject(mark.ulid, file);
  if (await bucket.exists(object, options)) return false;
  await bucket.upload(object, encodeUtf8(printMark(mark, file)), options);
  return true;
}

/** Removes a marker; false when there was none. */
export async function removeMark(
  bucket: Bucket,
  ulid: string,
  file: MarkFile,
  options?: CallOptions,
): Promise<boolean> {
  const object = markObject(ulid, file);
  if (!await bucket.exists(object, options)) return false;
  await bucket.delete(object, options);
  return true;
}
