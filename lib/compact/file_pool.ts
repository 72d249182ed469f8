/**
 * Many files read in parallel with few of them open: the merge of a thousand small blocks must not
 * need two thousand descriptors, nor a buffer of a megabyte for each.
 */
import { CorruptionError } from "../base/mod.ts";
import type { ByteSource, Files, ReadFile } from "../tsdb/mod.ts";

/** Buffers of windows that are used from merge to merge. */
export class WindowMemory {
  readonly #free: Uint8Array<ArrayBuffer>[] = [];

  /** A buffer of at least `size` bytes; its content is anything. */
  take(size: number): Uint8Array<ArrayBuffer> {
    for (let i = 0; i < this.#free.length; i++) {
      const buffer = this.#free[i]!;
      // Much larger ones wait for larger windows.
      if (buffer.length < size || buffer.length > size * 4) continue;
      this.#free[i] = this.#free[this.#free.length - 1]!;
      this.#free.pop();
      return buffer;
    }
    return new Uint8Array(size);
  }

  /** Gives buffers back; they must not be used afterwards. */
  give(buffers: readonly Uint8Array<ArrayBuffer>[]): void {
    let held = this.#free.reduce((sum, buffer) => sum + buffer.length, 0);
    for (const buffer of buffers) {
      held += buffer.length;
      if (held > MAX_HELD) return;
      if (buffer.length > 0) this.#free.push(buffer);
    }
  }
}

/** Bytes that are kept for later. */
const MAX_HELD = 16 * 1024 * 1024;

/** Opens files when they are read and closes those that were not used for longest. */
export class FilePool {
  readonly #files: Files;
  readonly #limit: number;
  readonly #open = new Map<string, ReadFile>();
  readonly #memory: WindowMemory;
  readonly #windows: FileWindow[] = [];

  constructor(files: Files, memory = new WindowMemory(), limit = 200) {
    this.#files = files;
    this.#memory = memory;
    this.#limit = limit;
  }

  /** A window of `limit` bytes over a file; it ends with the pool. */
  window(path: string, limit: number): FileWindow {
    const window = new FileWindow(this, path, limit, this.#memory);
    this.#windows.push(window);
    return window;
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
    for (const window of this.#windows) window.close();
    this.#windows.length = 0;
  }
}

/** A window that moves forward over a file. */
export class FileWindow {
  readonly path: string;
  readonly size: number;
  readonly #pool: FilePool;
  readonly #limit: number;
  readonly #memory: WindowMemory;
  /** Bytes of the file from `start` on; `length` of them count. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  start = 0;
  length = 0;

  /** `limit` is the size of the window; a longer view makes it larger for good. */
  constructor(pool: FilePool, path: string, limit: number, memory: WindowMemory) {
    this.#pool = pool;
    this.path = path;
    this.size = pool.get(path).size;
    this.#limit = limit;
    this.#memory = memory;
  }

  /** Gives the memory back. */
  close(): void {
    this.#memory.give([this.bytes]);
    this.bytes = new Uint8Array(0);
    this.length = 0;
  }

  /**
   * Makes [offset, offset + length) part of the window, less where the file ends; returns the
   * position of `offset` in `bytes`.
   */
  load(offset: number, length: number): number {
    const at = offset - this.start;
    if (at >= 0 && at + length <= this.length) return at;
    const wanted = Math.min(Math.max(length, this.#limit), Math.max(0, this.size - offset));
    if (this.bytes.length < wanted) {
      this.#memory.give([this.bytes]);
      this.bytes = this.#memory.take(wanted);
    }
    this.start = offset;
    this.length = this.#pool.get(this.path).readAt(this.bytes.subarray(0, wanted), offset);
    return 0;
  }

  /** The file as a source of views, each borrowed until the next one. */
  source(): ByteSource {
    return {
      name: this.path,
      size: this.size,
      view: (offset, length) => {
        const wanted = Math.max(0, Math.min(length, this.size - offset));
        const at = this.load(offset, wanted);
        return this.bytes.subarray(at, Math.min(at + wanted, this.length));
      },
    };
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
