/**
 * Copies of meta.json on the local disk, `<data-dir>/meta-syncer/<ULID>/meta.json`, so that a restart
 * does not read every one from the bucket again. A cache: what cannot be read or written is only a
 * miss.
 */
import { encodeUtf8, isUlid } from "../base/mod.ts";
import { type BlockMeta, type Files, META_FILE, parseBlockMeta } from "../tsdb/mod.ts";

/** Folder of the cache inside a data directory. */
export const META_CACHE_FOLDER = "meta-syncer";

/** Longest meta.json that is read from disk, bytes. */
const MAX_META_SIZE = 256 * 1024 * 1024;

/** File systems stamp files with a clock that lags by up to a tick of the kernel, ms. */
const CLOCK_GRAIN = 20;

/** The on-disk cache of metas. */
export class MetaCache {
  readonly #files: Files;
  readonly #folder: string;

  constructor(files: Files, dataDirectory: string) {
    this.#files = files;
    this.#folder = `${dataDirectory}/${META_CACHE_FOLDER}`;
  }

  /**
   * The cached meta, unless the bucket's copy was modified (ms, 0 = not known) after it was stored.
   */
  get(ulid: string, modified: number): BlockMeta | undefined {
    const path = `${this.#folder}/${ulid}/${META_FILE}`;
    try {
      const stat = this.#files.stat(path);
      if (stat === undefined || stat.isDirectory || stat.size > MAX_META_SIZE) return undefined;
      if (modified !== 0 && stat.modified + CLOCK_GRAIN < modified) return undefined;
      const file = this.#files.open(path);
      try {
        const bytes = new Uint8Array(stat.size);
        return parseBlockMeta(bytes.subarray(0, file.readAt(bytes, 0)), path, ulid);
      } finally {
        file.close();
      }
    } catch {
      // Damaged or unreadable: the bucket has the truth.
      return undefined;
    }
  }

  /** Stores a copy. Throws when the disk refuses; the caller may go on without it. */
  put(ulid: string, text: string): void {
    const folder = `${this.#folder}/${ulid}`;
    this.#files.mkdir(folder);
    const temporary = `${folder}/${META_FILE}.tmp`;
    const file = this.#files.create(temporary);
    try {
      file.append(encodeUtf8(text));
    } finally {
      file.close();
    }
    // Without a sync: after a crash a torn copy does not parse, and is read again.
    this.#files.rename(temporary, `${folder}/${META_FILE}`);
  }

  /** Removes copies of blocks that are not in `keep`. */
  retain(keep: { has(ulid: string): boolean }): void {
    if (this.#files.stat(this.#folder) === undefined) return;
    for (const { name } of this.#files.list(this.#folder)) {
      if (isUlid(name) && !keep.has(name)) this.#files.remove(`${this.#folder}/${name}`);
    }
  }
}
