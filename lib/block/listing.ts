/** What one listing of a bucket tells about its blocks, before any of them is read. */
import { isUlid } from "../base/mod.ts";
import type { Bucket, CallOptions } from "../objstore/mod.ts";
import { CHUNKS_DIRECTORY, INDEX_FILE, META_FILE } from "../tsdb/mod.ts";
import { DELETION_MARK_FILE, MARK_FILES, type MarkFile } from "./markers.ts";

/** A block as listed. */
export interface ListedBlock {
  readonly ulid: string;
  /** It has a meta.json; without one it is an unfinished upload or deletion. */
  complete: boolean;
  /** Modification time of its meta.json, ms; 0 when the provider does not tell it in listings. */
  metaModified: number;
  /** Newest modification time among its objects, ms; 0 when not told. */
  newestModified: number;
  /** Markers it carries. */
  readonly marks: Set<MarkFile>;
  /** Modification time of its deletion mark, ms; 0 when there is none or it is not told. */
  deletionMarkModified: number;
  /** Names inside `chunks/`, in byte order. */
  readonly segments: string[];
}

/** How to list blocks. */
export interface ListBlocksOptions extends CallOptions {
  /**
   * Only metas and markers are of interest: a bucket that saves work by it leaves out the rest, and
   * `segments` and `newestModified` may lack it.
   */
  readonly brief?: boolean;
}

const INDEX_END = `/${INDEX_FILE}`;
const CHUNKS_END = `/${CHUNKS_DIRECTORY}/`;
const isBulk = (name: string) => name.endsWith(CHUNKS_END) || name.endsWith(INDEX_END);

/**
 * Lists a bucket's blocks by one recursive listing: it tells completeness, markers and segment files
 * at once, where asking block by block would take two to three requests for each.
 *
 * Objects at the top level and folders whose name is no ULID are ignored.
 */
export async function listBlocks(
  bucket: Bucket,
  options: ListBlocksOptions = {},
): Promise<Map<string, ListedBlock>> {
  const blocks = new Map<string, ListedBlock>();
  let current: ListedBlock | undefined;
  for await (
    const { name, attributes } of bucket.iter("", {
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      recursive: true,
      attributes: true,
      ...(options.brief === true ? { brief: isBulk } : {}),
    })
  ) {
    const slash = name.indexOf("/");
    if (slash !== 26 || !isUlid(name.slice(0, 26))) continue;
    const ulid = name.slice(0, 26);
    if (current?.ulid !== ulid) {
      current = blocks.get(ulid) ?? {
        ulid,
        complete: false,
        metaModified: 0,
        newestModified: 0,
        marks: new Set(),
        deletionMarkModified: 0,
        segments: [],
      };
      blocks.set(ulid, current);
    }
    const file = name.slice(27);
    const modified = attributes?.lastModified ?? 0;
    if (modified > current.newestModified) current.newestModified = modified;
    if (file === META_FILE) {
      current.complete = true;
      current.metaModified = modified;
    } else if ((MARK_FILES as readonly string[]).includes(file)) {
      current.marks.add(file as MarkFile);
      if (file === DELETION_MARK_FILE) current.deletionMarkModified = modified;
    } else if (file.startsWith("chunks/") && /^[0-9]+$/.test(file.slice(7))) {
      current.segments.push(file.slice(7));
    }
  }
  return blocks;
}
