/**
 * Many files read in parallel with few of them open: the merge of a thousand small blocks must not
 * need two thousand descriptors, nor a buffer of a megabyte for each.
 */
import { CorruptionError } from "../base/mod.ts";
import type { Files, ReadFile } from "../tsdb/mod.ts";

/** Opens files when they are read and closes those that were not used for longest. */
export class FilePool {
  readonly #files: Files;
  readonly #limit: number;
  readonly #open = new Map<string, ReadFile>();

  constructor(files: Files, limit = 200) {
    this.#files = files;
    this.#limit = limit;
  }

  /** The open file; borrowed until the next call. */
  get(path: string): ReadFile {
    let file = this.#open.get(path);
    if (file !== undefined) {
      this.#open.delete(path);
    } else {
      if (this.#open.size >= this.#limit) {
        const [oldest, idle] = this.#open.entries().next().value!;
        this.#open.delete(oldest);
        idle.close();
      }
      file = this.#files.open(path);
    }
    this.#open.set(path, file);
    return file;
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }
}

/** A window that moves forward over a file. */
export class FileWindow {
  readonly path: string;
  readonly size: number;
  readonly #pool: FilePool;
  readonly #limit: number;
  /** Bytes of the file from `start` on; `length` of them count. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  start = 0;
  length = 0;

  /** `limit` is the size of the window; a longer view makes it larger for good. */
  constructor(pool: FilePool, path: string, limit: number, reuse?: Uint8Array<ArrayBuffer>) {
    this.#pool = pool;
    this.path = path;
    this.size = pool.get(path).size;
    this.#limit = limit;
    if (reuse !== undefined) this.bytes = reuse;
  }

  /**
   * Makes [offset, offset + length) part of the window, less where the file ends; returns the
   * position of `offset` in `bytes`.
   */
  load(offset: number, length: number): number {
    const at = offset - this.start;
    if (at >= 0 && at + length <= this.length) return at;
    const wanted = Math.min(Math.max(length, this.#limit), Math.max(0, this.size - offset));
    if (this.bytes.length < wanted) this.bytes = new Uint8Array(wanted);
    this.start = offset;
    this.length = this.#pool.get(this.path).readAt(this.bytes.subarray(0, wanted), offset);
    return 0;
  }

  /** As load(), but throws when the file ends before `length` bytes. */
  require(offset: number, length: number, what: string): number {
    const at = this.load(offset, length);
    if (this.length - at < length) {
      throw new CorruptionError(`${what} is cut off`, { file: this.path, offset });
    }
    return at;
  }
}
