/** Files in memory, for tests that damage them. */
import { compareUtf8, MnemeError } from "../../base/mod.ts";
import type { FileEntry, Files, FileStat, ReadFile, WriteFile } from "../files.ts";

/** A file system without directories of its own: a directory is what paths say it is. */
export class MemoryFiles implements Files {
  readonly content = new Map<string, Uint8Array>();
  /** Paths in the order in which their content was made durable. */
  readonly synced: string[] = [];
  readonly #directories = new Set<string>();

  open(path: string): ReadFile {
    const bytes = this.content.get(path);
    if (bytes === undefined) throw missing("open", path);
    return {
      path,
      size: bytes.length,
      readAt(target, offset) {
        const part = bytes.subarray(offset, offset + target.length);
        target.set(part);
        return part.length;
      },
      close() {},
    };
  }
  create(path: string): WriteFile {
    this.content.set(path, new Uint8Array(0));
    return this.append(path);
  }
  append(path: string): WriteFile {
    const files = this.content;
    const synced = this.synced;
    if (!files.has(path)) files.set(path, new Uint8Array(0));
    // Room grows by doubling, as a real file takes appends in constant time.
    let room = files.get(path)!;
    let length = room.length;
    return {
      path,
      get size() {
        return length;
      },
      append(bytes) {
        if (length + bytes.length > room.length) {
          const next = new Uint8Array(Math.max(room.length * 2, length + bytes.length));
          next.set(room.subarray(0, length));
          room = next;
        }
        room.set(bytes, length);
        length += bytes.length;
        files.set(path, room.subarray(0, length));
      },
      sync() {
        synced.push(path);
      },
      close() {},
    };
  }
  rename(from: string, to: string): void {
    let found = false;
    for (const path of [...this.#directories]) {
      if (path !== from && !path.startsWith(from + "/")) continue;
      found = true;
      this.#directories.delete(path);
      this.#directories.add(to + path.slice(from.length));
    }
    for (const [path, bytes] of [...this.content]) {
      if (path !== from && !path.startsWith(from + "/")) continue;
      found = true;
      this.content.delete(path);
      this.content.set(to + path.slice(from.length), bytes);
    }
    if (!found) throw missing("rename", from);
  }
  mkdir(path: string): void {
    this.#directories.add(path);
  }
  remove(path: string): void {
    for (const names of [this.#directories, this.content]) {
      for (const name of [...names.keys()]) {
        if (name === path || name.startsWith(path + "/")) names.delete(name);
      }
    }
  }
  list(path: string): FileEntry[] {
    const entries = new Map<string, boolean>();
    for (const name of [...this.content.keys(), ...this.#directories]) {
      if (!name.startsWith(path + "/")) continue;
      const [first, ...rest] = name.slice(path.length + 1).split("/");
      entries.set(first!, rest.length > 0 || this.#directories.has(name));
    }
    if (entries.size === 0 && !this.#directories.has(path)) throw missing("list", path);
    return [...entries].map(([name, isDirectory]) => ({ name, isDirectory }))
      .sort((a, b) => compareUtf8(a.name, b.name));
  }
  stat(path: string): FileStat | undefined {
    const bytes = this.content.get(path);
    if (bytes !== undefined) return { isDirectory: false, size: bytes.length, modified: 0 };
    const inside = this.#directories.has(path) ||
      [...this.content.keys()].some((name) => name.startsWith(path + "/"));
    return inside ? { isDirectory: true, size: 0, modified: 0 } : undefined;
  }
  syncDirectory(path: string): void {
    this.synced.push(path);
  }
}

function missing(verb: string, path: string): MnemeError {
  return new MnemeError("not_found", `Cannot ${verb} ${path}: no such file or directory`);
}
