/**
 * Files: what tsdb asks of a file system, and sources of bytes to read from.
 *
 * Everything is synchronous on purpose: a positional read of hot data takes about a microsecond,
 * an asynchronous one twenty to fifty times as long. The implementation stands in files_system.ts;
 * everything else in this module takes this interface or bytes.
 */

/** One entry of a directory. */
export interface FileEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** What is known about a file without reading it. */
export interface FileStat {
  readonly isDirectory: boolean;
  readonly size: number;
  /** Last modification, ms since the epoch. */
  readonly modified: number;
}

/** An open file for random reads. */
export interface ReadFile {
  readonly path: string;
  /** Size when it was opened. */
  readonly size: number;
  /**
   * Fills `target` from byte `offset` on; returns the bytes read, fewer only at the end of the file.
   */
  readAt(target: Uint8Array, offset: number): number;
  close(): void;
}

/** An open file for writing at its end. */
export interface WriteFile {
  readonly path: string;
  /** Bytes in the file. */
  readonly size: number;
  append(bytes: Uint8Array): void;
  /** Waits until what was written is on the disk. */
  sync(): void;
  close(): void;
}

/**
 * A file system.
 *
 * Throws: MnemeError `not_found`, `permission` or `unavailable` with the path and the reason.
 */
export interface Files {
  open(path: string): ReadFile;
  /** Makes a file or empties it. */
  create(path: string): WriteFile;
  /** Opens a file to write behind its content, or makes it. */
  append(path: string): WriteFile;
  /** Replaces `to` if it is a file. */
  rename(from: string, to: string): void;
  /** Makes a directory and the missing ones above it. */
  mkdir(path: string): void;
  /** Removes a file, or a directory with all it holds; a missing one is fine. */
  remove(path: string): void;
  /** Entries of a directory in byte order of their names. */
  list(path: string): FileEntry[];
  /** Undefined when there is nothing at `path`. */
  stat(path: string): FileStat | undefined;
  /** Waits until the entries of a directory (made, renamed, removed ones) are on the disk. */
  syncDirectory(path: string): void;
}

/** Bytes that can be looked at in pieces: memory, or an open file. */
export interface ByteSource {
  /** Name for error messages. */
  readonly name: string;
  readonly size: number;
  /**
   * Bytes [offset, offset + length), fewer where the source ends.
   *
   * Owner: borrowed until the next call.
   */
  view(offset: number, length: number): Uint8Array;
}

/** A source over bytes in memory; views stay valid as long as the bytes do. */
export function bytesSource(bytes: Uint8Array, name = ""): ByteSource {
  return {
    name,
    size: bytes.length,
    view(offset, length) {
      return bytes.subarray(offset, Math.min(bytes.length, offset + length));
    },
  };
}

/** Read-ahead of a file source: one positional read costs little more than a small one. */
const WINDOW = 16 * 1024;

/** A source over an open file; keeps one window of it in memory. The caller closes the file. */
export function fileSource(file: ReadFile, name = file.path): ByteSource {
  let window = new Uint8Array(Math.min(WINDOW, file.size));
  let start = 0;
  let end = 0;
  return {
    name,
    size: file.size,
    view(offset, length) {
      if (offset >= file.size) return window.subarray(0, 0);
      const wanted = Math.min(length, file.size - offset);
      if (offset < start || offset + wanted > end) {
        if (wanted > window.length) window = new Uint8Array(wanted);
        const size = Math.min(window.length, file.size - offset);
        start = offset;
        end = offset + file.readAt(window.subarray(0, size), offset);
      }
      return window.subarray(offset - start, Math.min(offset - start + wanted, end - start));
    },
  };
}

/** The whole file. */
export function readWholeFile(files: Files, path: string): Uint8Array<ArrayBuffer> {
  const file = files.open(path);
  try {
    const bytes = new Uint8Array(file.size);
    return bytes.subarray(0, file.readAt(bytes, 0));
  } finally {
    file.close();
  }
}

/**
 * Replaces the file `path` as a whole: readers see the old content or the new one.
 *
 * With `sync`, content and name are on the disk when it returns.
 */
export function replaceFile(files: Files, path: string, bytes: Uint8Array, sync = true): void {
  const temporary = `${path}.tmp`;
  const file = files.create(temporary);
  try {
    file.append(bytes);
    if (sync) file.sync();
  } finally {
    file.close();
  }
  files.rename(temporary, path);
  if (sync) files.syncDirectory(parentOf(path));
}

/** The directory a path is in. */
export function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at < 0 ? "." : at === 0 ? "/" : path.slice(0, at);
}

/** The last part of a path. */
export function baseName(path: string): string {
  const end = path.endsWith("/") ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf("/", end - 1) + 1, end);
}
