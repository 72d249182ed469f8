/** A queue of byte strings that is written once and read once; a file holds it when it is large. */
import { assert, MnemeError } from "../base/mod.ts";
import type { Files, ReadFile, WriteFile } from "./files.ts";
import { readU32 } from "./index_format.ts";

/** Kept in memory up to this size, bytes. */
const MEMORY_SIZE = 8 * 1024 * 1024;

/** Takes the entries. */
export class SpoolWriter {
  readonly #files: Files;
  readonly #path: string;
  #buffer = new Uint8Array(16 * 1024);
  #length = 0;
  #file: WriteFile | undefined;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  append(entry: Uint8Array): void {
    const need = this.#length + 4 + entry.length;
    if (need > this.#buffer.length) this.#makeRoom(4 + entry.length);
    const b = this.#buffer;
    const at = this.#length;
    b[at] = entry.length >>> 24;
    b[at + 1] = entry.length >>> 16;
    b[at + 2] = entry.length >>> 8;
    b[at + 3] = entry.length;
    b.set(entry, at + 4);
    this.#length = at + 4 + entry.length;
  }

  #makeRoom(size: number): void {
    if (this.#length + size > MEMORY_SIZE && this.#length > 0) {
      this.#file ??= this.#files.create(this.#path);
      this.#file.append(this.#buffer.subarray(0, this.#length));
      this.#length = 0;
    }
    if (this.#length + size <= this.#buffer.length) return;
    const next = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + size));
    next.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = next;
  }

  /** Ends the writing; the reader owns what was kept. */
  finish(): SpoolReader {
    const file = this.#file;
    if (file === undefined) return new SpoolReader(this.#buffer.subarray(0, this.#length));
    file.append(this.#buffer.subarray(0, this.#length));
    file.close();
    this.#file = undefined;
    return new SpoolReader(this.#buffer.subarray(0, 0), this.#files, this.#path);
  }

  /** Closes and forgets the file; the caller removes the directory. */
  abort(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

/** Gives the entries back in order. */
export class SpoolReader {
  readonly #files: Files | undefined;
  readonly #path: string;
  readonly #file: ReadFile | undefined;
  #buffer: Uint8Array;
  #start = 0;
  #end: number;
  #fileOffset = 0;

  constructor(bytes: Uint8Array, files?: Files, path = "") {
    this.#files = files;
    this.#path = path;
    this.#file = files?.open(path);
    this.#buffer = this.#file === undefined ? bytes : new Uint8Array(1024 * 1024);
    this.#end = this.#file === undefined ? bytes.length : 0;
  }

  /** The next entry, borrowed until the next call; undefined at the end. */
  next(): Uint8Array | undefined {
    if (!this.#fill(4)) {
      assert(this.#start === this.#end, "spool ends behind an entry");
      return undefined;
    }
    const size = readU32(this.#buffer, this.#start);
    if (!this.#fill(4 + size)) {
      throw new MnemeError("unavailable", `Cannot read ${this.#path}: it was cut off`);
    }
    const from = this.#start + 4;
    this.#start = from + size;
    return this.#buffer.subarray(from, this.#start);
  }

  /** True when `size` bytes are in the buffer from `start` on. */
  #fill(size: number): boolean {
    if (this.#end - this.#start >= size) return true;
    if (this.#file === undefined) return false;
    const rest = this.#buffer.subarray(this.#start, this.#end);
    if (size > this.#buffer.length) {
      const next = new Uint8Array(size * 2);
      next.set(rest);
      this.#buffer = next;
    } else this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    const n = this.#file.readAt(this.#buffer.subarray(this.#end), this.#fileOffset);
    this.#fileOffset += n;
    this.#end += n;
    return this.#end >= size;
  }

  /** Closes and removes the file. */
  close(): void {
    if (this.#file === undefined) return;
    this.#file.close();
    this.#files!.remove(this.#path);
  }
}
