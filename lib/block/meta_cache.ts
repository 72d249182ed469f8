/**
 * Copies of meta.json on the local disk, so that a restart does not read every one from the bucket
 * again: one file `<data-dir>/meta-syncer/metas`, read and written as a whole, with a checksum in
 * every line. Copies that another program left as `meta-syncer/<ULID>/meta.json` are used, too.
 *
 * A cache: what cannot be read is only a miss.
 */
import { ByteWriter, crc32c, decodeUtf8, encodeUtf8, isUlid } from "../base/mod.ts";
import {
  type BlockMeta,
  type Files,
  META_FILE,
  parseBlockMeta,
  printBlockMeta,
} from "../tsdb/mod.ts";

/** Folder of the cache inside a data directory. */
export const META_CACHE_FOLDER = "meta-syncer";
/** The file with all metas. */
const METAS_FILE = "metas";

/** Longest file of metas that is read, bytes; a million blocks fit. */
const MAX_SIZE = 1024 * 1024 * 1024;

/** File systems stamp files with a clock that lags by up to a tick of the kernel, ms. */
const CLOCK_GRAIN = 20;
const NEWLINE = 0x0a;
/** `<8 hex digits> <26 characters> `, then the modification time. */
const PREFIX = 36;

/** A meta and the modification time (ms) of the object it was read from; 0 when not known. */
export interface KnownMeta {
  readonly meta: BlockMeta;
  readonly modified: number;
}

interface Line {
  readonly start: number;
  readonly end: number;
}

/** The on-disk cache of metas. */
export class MetaCache {
  readonly #files: Files;
  readonly #folder: string;
  #bytes = new Uint8Array(0);
  /** Lines of the file by block; undefined until they are first asked for. */
  #lines: Map<string, Line> | undefined;
  #stored = 0;
  /** Blocks with a file of their own. */
  #single: Set<string> | undefined;

  constructor(files: Files, dataDirectory: string) {
    this.#files = files;
    this.#folder = `${dataDirectory}/${META_CACHE_FOLDER}`;
  }

  /** Number of metas in the file. */
  get stored(): number {
    this.#lines ??= this.#load();
    return this.#stored;
  }

  /** The cached meta, unless the bucket's copy has another modification time (ms, 0 = not known). */
  get(ulid: string, modified: number): BlockMeta | undefined {
    this.#lines ??= this.#load();
    const line = this.#lines.get(ulid);
    return (line === undefined ? undefined : this.#parse(ulid, modified, line)) ??
      this.#singleMeta(ulid, modified);
  }

  #load(): Map<string, Line> {
    const lines = new Map<string, Line>();
    try {
      this.#single = new Set(
        this.#files.stat(this.#folder) === undefined
          ? []
          : this.#files.list(this.#folder).map((entry) => entry.name).filter(isUlid),
      );
      const bytes = this.#read(`${this.#folder}/${METAS_FILE}`);
      if (bytes === undefined) return lines;
      this.#bytes = bytes;
      for (let start = 0; start < bytes.length;) {
        const found = bytes.indexOf(NEWLINE, start);
        const end = found < 0 ? bytes.length : found;
        const ulid = decodeUtf8(bytes, Math.min(end, start + 9), Math.min(end, start + 35));
        if (isUlid(ulid)) lines.set(ulid, { start, end });
        start = end + 1;
      }
      this.#stored = lines.size;
    } catch {
      // Unreadable: the bucket has the truth.
    }
    return lines;
  }

  #read(path: string): Uint8Array<ArrayBuffer> | undefined {
    const stat = this.#files.stat(path);
    if (stat === undefined || stat.isDirectory || stat.size > MAX_SIZE) return undefined;
    const file = this.#files.open(path);
    try {
      const bytes = new Uint8Array(stat.size);
      return bytes.subarray(0, file.readAt(bytes, 0));
    } finally {
      file.close();
    }
  }

  #parse(ulid: string, modified: number, { start, end }: Line): BlockMeta | undefined {
    const bytes = this.#bytes;
    if (end - start < PREFIX) return undefined;
    const stored = parseInt(decodeUtf8(bytes, start, start + 8), 16);
    if (crc32c(bytes, start + 9, end) !== stored) return undefined;
    const space = bytes.indexOf(0x20, start + PREFIX);
    if (space < 0 || space >= end) return undefined;
    if (Number(decodeUtf8(bytes, start + PREFIX, space)) !== modified) return undefined;
    try {
      return parseBlockMeta(bytes.subarray(space + 1, end), METAS_FILE, ulid);
    } catch {
      // Written by a version that knew other metas.
      return undefined;
    }
  }

  #singleMeta(ulid: string, modified: number): BlockMeta | undefined {
    if (this.#single?.has(ulid) !== true) return undefined;
    const path = `${this.#folder}/${ulid}/${META_FILE}`;
    try {
      const stat = this.#files.stat(path);
      if (stat === undefined) return undefined;
      if (modified !== 0 && stat.modified + CLOCK_GRAIN < modified) return undefined;
      const bytes = this.#read(path);
      return bytes === undefined ? undefined : parseBlockMeta(bytes, path, ulid);
    } catch {
      // Damaged or unreadable: the bucket has the truth.
      return undefined;
    }
  }

  /**
   * Stores all metas; single files of other blocks are removed.
   *
   * Throws: when the disk refuses; the caller may go on without it.
   */
  save(metas: ReadonlyMap<string, KnownMeta>): void {
    this.#files.mkdir(this.#folder);
    const path = `${this.#folder}/${METAS_FILE}`;
    const file = this.#files.create(`${path}.tmp`);
    try {
      const w = new ByteWriter(1024 * 1024);
      for (const { meta, modified } of metas.values()) {
        const start = w.length;
        // JSON has line breaks and tabs between its tokens only.
        const text = printBlockMeta(meta).replace(/[\n\t]+/g, "");
        w.append(encodeUtf8(`00000000 ${meta.ulid} ${modified} ${text}\n`));
        const sum = crc32c(w.bytes, start + 9, w.length - 1).toString(16).padStart(8, "0");
        for (let i = 0; i < 8; i++) w.bytes[start + i] = sum.charCodeAt(i);
        if (w.length < 1024 * 1024) continue;
        file.append(w.view());
        w.reset();
      }
      file.append(w.view());
    } finally {
      file.close();
    }
    // Without a sync: after a crash a torn line does not verify, and its meta is read again.
    this.#files.rename(`${path}.tmp`, path);
    // From now on the caller has the metas in memory.
    this.#stored = metas.size;
    this.#lines = new Map();
    this.#bytes = new Uint8Array(0);
    for (const ulid of this.#single ?? []) {
      if (metas.has(ulid)) continue;
      this.#files.remove(`${this.#folder}/${ulid}`);
      this.#single!.delete(ulid);
    }
  }
}
