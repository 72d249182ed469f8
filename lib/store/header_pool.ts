/**
 * Index headers of blocks: built by range reads on first use, kept on the local disk, open while they
 * are used and a while longer.
 *
 * A header that does not verify is built anew. When the disk refuses, the header lives in memory. A
 * block whose index is broken is not tried again at every query.
 */
import {
  type Clock,
  CorruptionError,
  errorKind,
  errorMessage,
  isUlid,
  systemClock,
} from "../base/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import {
  buildIndexHeader,
  buildIndexHeaderBytes,
  type ByteSource,
  bytesSource,
  type Files,
  fileSource,
  INDEX_FILE,
  INDEX_HEADER_FILE,
  type IndexTables,
  type IndexToc,
  openIndexHeader,
  parseToc,
  type ReadFile,
  type ReadRange,
  readU64,
  TOC_SIZE,
} from "../tsdb/mod.ts";
import { isLocal } from "./range_reader.ts";
import { type SymbolSpace, SymbolSpaces } from "./symbol_space.ts";

/** A header in use. */
export interface OpenHeader {
  readonly tables: IndexTables;
  /** Where the sections of the index itself lie. */
  readonly toc: IndexToc;
  /** Size of the index, bytes. */
  readonly indexSize: number;
  /** Label sets, shared with other blocks of the same symbols. */
  readonly space: SymbolSpace;
  /** Must be called once when the header is no longer used. */
  release(): void;
}

/** The index of a block in the bucket. */
export interface IndexObject {
  readonly ulid: string;
  /** Size as meta.json tells it, 0 when it does not. */
  readonly indexSize: number;
}

/** Told about headers; the metrics of the component implement it. */
export interface HeaderObserver {
  /** A header was built from the bucket. */
  built(seconds: number): void;
  loaded(seconds: number): void;
  loadFailed(): void;
  unloaded(): void;
  warn(message: string, fields: Readonly<Record<string, string>>): void;
}

const SILENT: HeaderObserver = {
  built() {},
  loaded() {},
  loadFailed() {},
  unloaded() {},
  warn() {},
};

/** Settings of a pool. */
export interface HeaderPoolOptions {
  readonly bucket: Bucket;
  readonly files: Files;
  /** Headers lie in `<dataDirectory>/<ULID>/index-header`; absent = in memory only. */
  readonly dataDirectory?: string;
  /** Memory of open headers that nobody uses right now, bytes. */
  readonly budget?: number;
  /** Open files of headers that nobody uses right now. */
  readonly maxFiles?: number;
  /** One of this many postings offsets of a label is held in memory. */
  readonly postingSampling?: number;
  readonly clock?: Clock;
  readonly observer?: HeaderObserver;
}

const DEFAULT_BUDGET = 64 * 1024 * 1024;
const DEFAULT_MAX_FILES = 256;
/** Read at each end of an index that lies behind a network, bytes. */
const READ_AHEAD = 64 * 1024;
/** Headers up to this size are held in memory, larger ones are read from the disk in windows. */
const SMALL_HEADER = 128 * 1024;
/** What an open header takes beside its bytes, about. */
const OVERHEAD = 32 * 1024;
/** First and longest pause before a broken index is looked at again, ms. */
const RETRY_FIRST = 10_000;
const RETRY_MAX = 5 * 60_000;

interface Loaded {
  readonly ulid: string;
  readonly tables: IndexTables;
  readonly toc: IndexToc;
  readonly indexSize: number;
  readonly space: SymbolSpace;
  readonly spaceKey: string;
  readonly file: ReadFile | undefined;
  /** The last bytes of the index: a checksum, and its table of contents. */
  readonly tail: Uint8Array;
  readonly bytes: number;
  users: number;
  lastUsed: number;
}

/** Opens, keeps and closes index headers. */
export class HeaderPool {
  readonly #bucket: Bucket;
  readonly #files: Files;
  readonly #directory: string | undefined;
  readonly #budget: number;
  readonly #maxFiles: number;
  readonly #tableOptions: { readonly postingSampling?: number };
  readonly #clock: Clock;
  readonly #observer: HeaderObserver;
  readonly #spaces = new SymbolSpaces();
  /** Open headers, least recently used first. */
  readonly #open = new Map<string, Loaded>();
  readonly #opening = new Map<string, Promise<Loaded>>();
  /** Blocks whose header on the disk is known to be theirs. */
  readonly #checked = new Set<string>();
  readonly #broken = new Map<string, { error: Error; until: number; pause: number }>();
  #bytes = 0;
  #openFiles = 0;
  #diskRefused = false;

  constructor(options: HeaderPoolOptions) {
    this.#bucket = options.bucket;
    this.#files = options.files;
    this.#directory = options.dataDirectory;
    this.#budget = options.budget ?? DEFAULT_BUDGET;
    this.#maxFiles = options.maxFiles ?? DEFAULT_MAX_FILES;
    this.#tableOptions = options.postingSampling === undefined
      ? {}
      : { postingSampling: options.postingSampling };
    this.#clock = options.clock ?? systemClock;
    this.#observer = options.observer ?? SILENT;
  }

  /** Number of open headers. */
  get openCount(): number {
    return this.#open.size;
  }

  /**
   * The header of a block's index.
   *
   * Throws: CorruptionError when the index is broken (the same error until it is time to look
   * again), the bucket's errors otherwise.
   */
  async acquire(index: IndexObject): Promise<OpenHeader> {
    const { ulid } = index;
    let loaded = this.#open.get(ulid);
    if (loaded === undefined) {
      const broken = this.#broken.get(ulid);
      if (broken !== undefined && this.#clock.now() < broken.until) throw broken.error;
      // One load for all that ask at the same time; it does not end with the first asker's request.
      let opening = this.#opening.get(ulid);
      if (opening === undefined) {
        opening = this.#load(index).finally(() => this.#opening.delete(ulid));
        this.#opening.set(ulid, opening);
      }
      loaded = await opening;
    }
    return this.#lend(loaded);
  }

  #lend(loaded: Loaded): OpenHeader {
    loaded.users++;
    loaded.lastUsed = this.#clock.now();
    this.#open.delete(loaded.ulid);
    this.#open.set(loaded.ulid, loaded);
    this.#spaces.touch(loaded.space);
    let held = true;
    return {
      tables: loaded.tables,
      toc: loaded.toc,
      indexSize: loaded.indexSize,
      space: loaded.space,
      release: () => {
        if (!held) return;
        held = false;
        loaded.users--;
        if (this.#open.get(loaded.ulid) !== loaded) this.#close(loaded);
        else this.#shrink();
      },
    };
  }

  async #load(index: IndexObject): Promise<Loaded> {
    const { ulid } = index;
    const start = this.#clock.now();
    try {
      let loaded = this.#stored(ulid);
      if (loaded !== undefined && !await this.#fitsIndex(loaded)) loaded = undefined;
      loaded ??= await this.#build(index);
      this.#checked.add(ulid);
      this.#open.set(ulid, loaded);
      this.#broken.delete(ulid);
      this.#observer.loaded((this.#clock.now() - start) / 1000);
      this.#shrink(loaded);
      return loaded;
    } catch (error) {
      this.#observer.loadFailed();
      const kind = errorKind(error);
      if (error instanceof Error && (kind === "corruption" || kind === "not_found")) {
        const pause = Math.min(RETRY_MAX, (this.#broken.get(ulid)?.pause ?? RETRY_FIRST / 2) * 2);
        this.#broken.set(ulid, { error, until: this.#clock.now() + pause, pause });
      }
      throw error;
    }
  }

  /**
   * Whether a header from the disk belongs to the block's index: one of another block verifies just
   * as well. The end of the index, with the checksum of its postings offset table, tells them apart.
   */
  async #fitsIndex(loaded: Loaded): Promise<boolean> {
    const { ulid, indexSize, tail } = loaded;
    if (this.#checked.has(ulid)) return true;
    let bytes: Uint8Array;
    try {
      const from = indexSize - tail.length;
      bytes = await this.#bucket.getRange(`${ulid}/${INDEX_FILE}`, from, tail.length + 1);
    } catch (error) {
      this.#close(loaded);
      throw error;
    }
    if (bytes.length === tail.length && bytes.every((b, i) => b === tail[i])) return true;
    this.#close(loaded);
    this.#observer.warn("index header on disk is of another index; building it again", {
      block: ulid,
    });
    return false;
  }

  /** The header on the disk, when there is one that verifies. */
  #stored(ulid: string): Loaded | undefined {
    if (this.#directory === undefined) return undefined;
    const path = `${this.#directory}/${ulid}/${INDEX_HEADER_FILE}`;
    let file: ReadFile | undefined;
    try {
      if (this.#files.stat(path) === undefined) return undefined;
      file = this.#files.open(path);
      if (file.size > SMALL_HEADER) return this.#opened(ulid, fileSource(file), file);
      const bytes = new Uint8Array(file.size);
      const source = bytesSource(bytes.subarray(0, file.readAt(bytes, 0)), path);
      const loaded = this.#opened(ulid, source, undefined);
      file.close();
      return loaded;
    } catch (error) {
      file?.close();
      this.#observer.warn("index header on disk is broken; building it again", {
        block: ulid,
        err: errorMessage(error),
      });
      return undefined;
    }
  }

  async #build(index: IndexObject): Promise<Loaded> {
    const object = `${index.ulid}/${INDEX_FILE}`;
    const start = this.#clock.now();
    const attempt = async (size: number): Promise<Loaded> => {
      const read = this.#readAhead(
        size,
        (offset, length) => this.#bucket.getRange(object, offset, length),
      );
      if (this.#directory !== undefined && !this.#diskRefused) {
        const loaded = await this.#buildOnDisk(index.ulid, size, read, object);
        if (loaded !== undefined) return loaded;
      }
      const bytes = await buildIndexHeaderBytes(size, read, object);
      return this.#opened(index.ulid, bytesSource(bytes, object), undefined);
    };
    const told = index.indexSize;
    try {
      if (told === 0) return await attempt((await this.#bucket.attributes(object)).size);
      try {
        return await attempt(told);
      } catch (error) {
        // meta.json may tell a wrong size; the bucket knows the right one.
        if (!(error instanceof CorruptionError)) throw error;
        const { size } = await this.#bucket.attributes(object);
        if (size === told) throw error;
        return await attempt(size);
      }
    } finally {
      this.#observer.built((this.#clock.now() - start) / 1000);
    }
  }

  /**
   * Reads a little more than asked at both ends of an index: where a request costs more than some
   * KiB, the symbols and the postings offset table mostly come with the first two.
   */
  #readAhead(size: number, read: ReadRange): ReadRange {
    if (isLocal(this.#bucket)) return read;
    const whole = size <= 2 * READ_AHEAD;
    const ends: { start: number; bytes: Promise<Uint8Array> }[] = [];
    return async (offset, length) => {
      const known = ends.find(({ start }) =>
        offset >= start && offset + length <= Math.min(size, start + (whole ? size : READ_AHEAD))
      );
      if (known !== undefined) {
        const bytes = await known.bytes;
        return bytes.subarray(offset - known.start, offset - known.start + length);
      }
      const start = whole || offset === 0 ? 0 : size - READ_AHEAD;
      const extent = whole ? size : READ_AHEAD;
      const atEnd = offset >= start && offset + length <= start + extent;
      if (!atEnd || length > READ_AHEAD || ends.length === 2) return await read(offset, length);
      const end = { start, bytes: read(start, extent) };
      ends.push(end);
      const bytes = await end.bytes;
      return bytes.subarray(offset - start, offset - start + length);
    };
  }

  /** Builds the header into its file; undefined when the disk refuses. */
  async #buildOnDisk(
    ulid: string,
    size: number,
    read: ReadRange,
    object: string,
  ): Promise<Loaded | undefined> {
    const folder = `${this.#directory!}/${ulid}`;
    const path = `${folder}/${INDEX_HEADER_FILE}`;
    const temporary = `${path}.tmp`;
    let bucketFailed = false;
    const watched: ReadRange = async (offset, length) => {
      try {
        return await read(offset, length);
      } catch (error) {
        bucketFailed = true;
        throw error;
      }
    };
    try {
      this.#files.mkdir(folder);
      const file = this.#files.create(temporary);
      try {
        await buildIndexHeader(size, watched, (bytes) => file.append(bytes), object);
      } finally {
        file.close();
      }
      // Not synced: after a power cut a torn header does not verify, and is built again.
      this.#files.rename(temporary, path);
    } catch (error) {
      try {
        this.#files.remove(temporary);
      } catch {
        // The next build overwrites it.
      }
      if (bucketFailed || error instanceof CorruptionError) throw error;
      this.#diskRefused = true;
      this.#observer.warn("cannot keep index headers on disk; keeping them in memory", {
        err: errorMessage(error),
      });
      return undefined;
    }
    return this.#stored(ulid);
  }

  /** Verifies and opens a header; the file stays open until the header is closed. */
  #opened(ulid: string, source: ByteSource, file: ReadFile | undefined): Loaded {
    const tables = openIndexHeader(source, this.#tableOptions);
    const end = source.size - HEADER_TOC;
    const toc = source.view(end, HEADER_TOC);
    const symbols = readU64(toc, 0);
    const table = readU64(toc, 8);
    const tail = source.view(end - TOC_SIZE - 4, TOC_SIZE + 4).slice();
    const indexToc = tail.subarray(4);
    // The table is copied from its offset in the index to the index's end.
    const indexSize = readU64(indexToc, 40) + (end - table);
    const parsed = parseToc(indexToc, indexSize, source.name);
    const { key, space } = this.#spaces.acquire(pieces(source, symbols, table));
    const bytes = OVERHEAD + (file === undefined ? source.size : 0);
    this.#bytes += bytes;
    if (file !== undefined) this.#openFiles++;
    return {
      ulid,
      tables,
      toc: parsed,
      indexSize,
      space,
      spaceKey: key,
      file,
      tail,
      bytes,
      users: 0,
      lastUsed: this.#clock.now(),
    };
  }

  /** Closes unused headers, least recently used first, until the rest fits. */
  #shrink(keep?: Loaded): void {
    for (const loaded of this.#open.values()) {
      if (this.#bytes <= this.#budget && this.#openFiles <= this.#maxFiles) return;
      if (loaded.users > 0 || loaded === keep) continue;
      this.#open.delete(loaded.ulid);
      this.#close(loaded);
    }
  }

  #close(loaded: Loaded): void {
    if (loaded.users > 0) return; // Its last user closes it.
    this.#bytes -= loaded.bytes;
    if (loaded.file !== undefined) {
      this.#openFiles--;
      loaded.file.close();
    }
    this.#spaces.release(loaded.spaceKey);
    this.#observer.unloaded();
  }

  /** Closes headers that were not used for `idle` ms, and tries the disk again if it refused. */
  closeIdle(idle: number): void {
    this.#diskRefused = false;
    const now = this.#clock.now();
    for (const loaded of this.#open.values()) {
      if (loaded.users > 0 || now - loaded.lastUsed < idle) continue;
      this.#open.delete(loaded.ulid);
      this.#close(loaded);
    }
  }

  /** Closes a block's header and removes its file; running users keep theirs to the end. */
  drop(ulid: string): void {
    const loaded = this.#open.get(ulid);
    if (loaded !== undefined) {
      this.#open.delete(ulid);
      this.#close(loaded);
    }
    this.#broken.delete(ulid);
    this.#checked.delete(ulid);
    if (this.#directory !== undefined) this.#files.remove(`${this.#directory}/${ulid}`);
  }

  /** Removes the folders of blocks that are not in `keep`; for the start. */
  removeLeftovers(keep: { has(ulid: string): boolean }): void {
    if (this.#directory === undefined || this.#files.stat(this.#directory) === undefined) return;
    for (const { name, isDirectory } of this.#files.list(this.#directory)) {
      if (isDirectory && isUlid(name) && !keep.has(name)) {
        this.#files.remove(`${this.#directory}/${name}`);
      }
    }
  }

  /** Closes all headers that nobody uses. */
  close(): void {
    for (const loaded of [...this.#open.values()]) {
      this.#open.delete(loaded.ulid);
      this.#close(loaded);
    }
  }
}

/** The header's own table of contents: two offsets and a checksum. */
const HEADER_TOC = 20;

function* pieces(source: ByteSource, start: number, end: number): Iterable<Uint8Array> {
  for (let at = start; at < end;) {
    const bytes = source.view(at, Math.min(64 * 1024, end - at));
    if (bytes.length === 0) return;
    yield bytes;
    at += bytes.length;
  }
}
