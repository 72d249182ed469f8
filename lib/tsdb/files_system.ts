/** Files over the operating system; the only file of tsdb that touches it. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { compareUtf8, type ErrorKind, errorMessage, MnemeError } from "../base/mod.ts";
import type { FileEntry, Files, FileStat, ReadFile, WriteFile } from "./files.ts";

/** The machine's file system. */
export class SystemFiles implements Files {
  open(path: string): ReadFile {
    return attempt("open", path, () => {
      const fd = openSync(path, "r");
      const stat = fstatSync(fd);
      if (stat.isDirectory()) {
        closeSync(fd);
        throw new MnemeError("bad_data", "is a directory");
      }
      return new SystemReadFile(fd, path, stat.size);
    });
  }
  create(path: string): WriteFile {
    return attempt("create", path, () => new SystemWriteFile(openSync(path, "w", 0o644), path, 0));
  }
  append(path: string): WriteFile {
    return attempt("open", path, () => {
      const fd = openSync(path, "a", 0o644);
      return new SystemWriteFile(fd, path, fstatSync(fd).size);
    });
  }
  rename(from: string, to: string): void {
    attempt("rename", from, () => renameSync(from, to));
  }
  mkdir(path: string): void {
    attempt("make directory", path, () => mkdirSync(path, { recursive: true }));
  }
  remove(path: string): void {
    attempt("remove", path, () => rmSync(path, { recursive: true, force: true }));
  }
  list(path: string): FileEntry[] {
    return attempt("list", path, () =>
      readdirSync(path, { withFileTypes: true })
        .map((e) => ({ name: e.name, isDirectory: e.isDirectory() }))
        .sort((a, b) => compareUtf8(a.name, b.name)));
  }
  stat(path: string): FileStat | undefined {
    return attempt("stat", path, () => {
      const s = statSync(path, { throwIfNoEntry: false });
      if (s === undefined) return undefined;
      return { isDirectory: s.isDirectory(), size: s.size, modified: Math.floor(s.mtimeMs) };
    });
  }
  syncDirectory(path: string): void {
    attempt("sync", path, () => {
      const fd = openSync(path, "r");
      try {
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
  }
}

class SystemReadFile implements ReadFile {
  #fd: number;
  readonly path: string;
  readonly size: number;
  constructor(fd: number, path: string, size: number) {
    this.#fd = fd;
    this.path = path;
    this.size = size;
  }
  readAt(target: Uint8Array, offset: number): number {
    let done = 0;
    try {
      while (done < target.length) {
        const n = readSync(this.#fd, target, done, target.length - done, offset + done);
        if (n === 0) break;
        done += n;
      }
    } catch (error) {
      throw fileError("read", this.path, error);
    }
    return done;
  }
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

class SystemWriteFile implements WriteFile {
  #fd: number;
  #size: number;
  readonly path: string;
  constructor(fd: number, path: string, size: number) {
    this.#fd = fd;
    this.path = path;
    this.#size = size;
  }
  get size(): number {
    return this.#size;
  }
  append(bytes: Uint8Array): void {
    let done = 0;
    try {
      while (done < bytes.length) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done);
      }
    } catch (error) {
      throw fileError("write", this.path, error);
    } finally {
      this.#size += done;
    }
  }
  sync(): void {
    attempt("sync", this.path, () => fsyncSync(this.#fd));
  }
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

function attempt<T>(verb: string, path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw fileError(verb, path, error);
  }
}

const KINDS: Readonly<Record<string, ErrorKind>> = {
  ENOENT: "not_found",
  ENOTDIR: "not_found",
  EACCES: "permission",
  EPERM: "permission",
  EROFS: "permission",
  EISDIR: "bad_data",
};

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENOTDIR: "not a directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EROFS: "read-only file system",
  EISDIR: "is a directory",
  ENOSPC: "no space left on device",
  EMFILE: "too many open files",
};

function fileError(verb: string, path: string, error: unknown): MnemeError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const kind = error instanceof MnemeError
    ? error.kind
    : Object.hasOwn(KINDS, code)
    ? KINDS[code]!
    : error instanceof Error && error.name === "NotCapable"
    ? "permission"
    : "unavailable";
  const reason = Object.hasOwn(REASONS, code) ? REASONS[code]! : errorMessage(error);
  return new MnemeError(kind, `Cannot ${verb} ${path}: ${reason}`, { cause: error });
}
