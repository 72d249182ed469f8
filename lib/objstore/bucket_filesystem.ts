/**
 * A bucket in a folder: an object is a file below it.
 *
 * Writes go to a hidden temporary file in the object's own folder, are synced, renamed over the
 * object, and the folder is synced, so readers see the old object or the new one and a crash leaves
 * at worst a temporary file that no listing shows. Reads are synchronous: one takes about a
 * microsecond from the page cache where an asynchronous one takes thirty.
 *
 * Symbolic links are resolved; what lies outside the folder then counts as not there. Linked folders
 * are not listed (a link may point back up).
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { Breather, compareUtf8, errorMessage, MnemeError, throwIfAborted } from "../base/mod.ts";
import { bodyPieces } from "./body.ts";
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  RangeCallOptions,
  UploadBody,
  UploadOptions,
} from "./bucket.ts";
import {
  checkObjectName,
  checkRange,
  dirPrefix,
  objectExists,
  objectNotFound,
} from "./object_name.ts";

/** Start of the names of unfinished uploads; such names are hidden and cannot be objects. */
const TEMPORARY = ".mneme-upload-";
/** A temporary file older than this was left by a process that died. */
const ABANDONED_MS = 24 * 3_600_000;
const STREAM_PIECE = 256 * 1024;

/** Objects as files below one folder. */
export class FilesystemBucket implements Bucket {
  readonly name: string;
  readonly provider = "FILESYSTEM";
  readonly #directory: string;
  /** The folder without links; known once it exists. */
  #realRoot = "";
  readonly #open = new OpenFiles();

  constructor(directory: string) {
    this.#directory = path.resolve(directory);
    this.name = `fs: ${this.#directory}`;
  }

  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    const prefix = dirPrefix(dir);
    const folder = this.#resolve(prefix.slice(0, -1));
    if (folder === undefined) return;
    const breather = new Breather();
    for (const entry of this.#list(folder, prefix, options)) {
      yield entry;
      if (breather.due) await breather.pause();
    }
  }

  *#list(folder: string, prefix: string, options: IterOptions): Iterable<BucketEntry> {
    throwIfAborted(options.signal);
    const found = this.#children(folder);
    // Folders sort with their slash, so a walk in this order is the byte order of full names.
    found.sort((a, b) => compareUtf8(a.name, b.name));
    for (const child of found) {
      const name = prefix + child.name;
      if (options.brief?.(name) === true) {
        yield { name };
        continue;
      }
      const file = `${folder}/${child.name}`;
      if (child.folder) {
        if (options.recursive === true) yield* this.#list(file, name, options);
        else if (this.#holdsObject(file)) yield { name };
      } else if (options.attributes === true) {
        const attributes = this.#statFile(file);
        if (attributes !== undefined) yield { name, attributes };
      } else {
        yield { name };
      }
    }
  }

  /** Entries of a folder that exist for users; folders end in "/". */
  #children(folder: string): { name: string; folder: boolean }[] {
    let entries: fs.Dirent[];
    try {
      entries = fs.readdirSync(folder, { withFileTypes: true });
    } catch (error) {
      if (isMissing(error)) return [];
      throw failure("list", this.#nameOf(folder), error);
    }
    const found: { name: string; folder: boolean }[] = [];
    for (const entry of entries) {
      const name = entry.name;
      if (name.startsWith(TEMPORARY)) continue;
      if (entry.isDirectory()) found.push({ name: name + "/", folder: true });
      else if (entry.isFile() || (entry.isSymbolicLink() && this.#linksToFile(folder, name))) {
        found.push({ name, folder: false });
      }
    }
    return found;
  }

  #linksToFile(folder: string, name: string): boolean {
    const target = this.#resolvePath(path.join(folder, name));
    return target !== undefined && this.#statFile(target) !== undefined;
  }

  /** True when some object lies below: a folder without objects is not listed. */
  #holdsObject(folder: string): boolean {
    const children = this.#children(folder);
    if (children.some((child) => !child.folder)) return true;
    return children.some((child) => this.#holdsObject(path.join(folder, child.name)));
  }

  async get(name: string, options: CallOptions = {}): Promise<Uint8Array> {
    return this.#withFile(name, options, (fd, size) => readAt(fd, 0, size));
  }

  async getStream(name: string, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    const { fd } = this.#openFile(name, options);
    let at = 0;
    const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      try {
        throwIfAborted(options.signal);
        const piece = readAt(fd, at, STREAM_PIECE);
        at += piece.length;
        if (piece.length > 0) {
          controller.enqueue(piece);
          return;
        }
      } catch (error) {
        fs.closeSync(fd);
        controller.error(error instanceof MnemeError ? error : failure("read", name, error));
        return;
      }
      fs.closeSync(fd);
      controller.close();
    };
    return new ReadableStream({ pull, cancel: () => fs.closeSync(fd) }, { highWaterMark: 0 });
  }

  async getRange(
    name: string,
    offset: number,
    length: number,
    options: RangeCallOptions = {},
  ): Promise<Uint8Array> {
    checkRange(name, offset, length);
    throwIfAborted(options.signal);
    const now = Date.now();
    let file = this.#open.fresh(name, now);
    if (file === undefined) {
      const { real, stat } = this.#find(name, options);
      try {
        file = this.#open.open(name, real, stat, now);
      } catch (error) {
        if (isMissing(error)) throw objectNotFound(name, this.name, error);
        throw failure("read", name, error);
      }
    }
    // The file's size bounds the allocation: a wrong length from a damaged index costs nothing.
    const rest = Math.max(0, file.size - offset);
    try {
      return readAt(file.fd, offset, length < 0 ? rest : Math.min(length, rest), options.into);
    } catch (error) {
      throw failure("read", name, error);
    }
  }

  async exists(name: string, options: CallOptions = {}): Promise<boolean> {
    const file = this.#objectFile(name, options);
    return file !== undefined && this.#statFile(file) !== undefined;
  }

  async attributes(name: string, options: CallOptions = {}): Promise<ObjectAttributes> {
    const file = this.#objectFile(name, options);
    const attributes = file === undefined ? undefined : this.#statFile(file);
    if (attributes === undefined) throw objectNotFound(name, this.name);
    return attributes;
  }

  async upload(name: string, body: UploadBody, options: UploadOptions = {}): Promise<void> {
    this.#checkName(name);
    throwIfAborted(options.signal);
    try {
      await this.#write(name, body, options);
    } catch (error) {
      throw error instanceof MnemeError ? error : failure("upload", name, error);
    }
  }

  async #write(name: string, body: UploadBody, options: UploadOptions): Promise<void> {
    const { signal } = options;
    const target = path.join(this.#directory, name);
    const folder = path.dirname(target);
    const temporary = path.join(folder, TEMPORARY + crypto.randomUUID());
    const file = await this.#createFile(folder, temporary, name);
    try {
      try {
        for await (const piece of bodyPieces(name, body)) {
          throwIfAborted(signal);
          await writeFully(file, piece);
        }
        await file.sync();
      } finally {
        file.close();
      }
      throwIfAborted(signal);
      if (options.ifAbsent === true) await this.#linkNew(temporary, target, name);
      else await Deno.rename(temporary, target);
      this.#open.forget(name);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {
        // The cause is being thrown already; a temporary that stays is hidden and is swept later.
      });
      throw error;
    }
    await syncFolder(folder);
  }

  /** Gives a file its name unless the name is taken; a rename would replace what is there. */
  async #linkNew(temporary: string, target: string, name: string): Promise<void> {
    try {
      await Deno.link(temporary, target);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) throw objectExists(name, this.name);
      throw error;
    }
    await Deno.remove(temporary);
  }

  async linkFrom(name: string, file: string, options: CallOptions = {}): Promise<boolean> {
    this.#checkName(name);
    throwIfAborted(options.signal);
    const target = path.join(this.#directory, name);
    const folder = path.dirname(target);
    const temporary = path.join(folder, TEMPORARY + crypto.randomUUID());
    try {
      this.#checkInside(folder, name);
      await this.#makeFolder(folder);
      await Deno.link(file, temporary);
    } catch {
      // Another file system, or one without links, or a folder pruned at this moment: copied then.
      return false;
    }
    try {
      using open = await Deno.open(temporary, { read: true });
      await open.sync();
      await Deno.rename(temporary, target);
      this.#open.forget(name);
    } catch (error) {
      await Deno.remove(temporary).catch(() => {
        // The cause is being thrown already; a temporary that stays is hidden and is swept later.
      });
      throw failure("upload", name, error);
    }
    await syncFolder(folder);
    return true;
  }

  async linkTo(name: string, file: string, options: CallOptions = {}): Promise<boolean> {
    const real = this.#objectFile(name, options);
    if (real === undefined || this.#statFile(real) === undefined) {
      throw objectNotFound(name, this.name);
    }
    try {
      await Deno.link(real, file);
      return true;
    } catch {
      // Another file system, or one without links: copied then, and what else is wrong is told there.
      return false;
    }
  }

  /** Makes the folder and the file in it; a delete() at the same time may prune the folder again. */
  async #createFile(folder: string, file: string, name: string): Promise<Deno.FsFile> {
    for (let attempt = 0;; attempt++) {
      this.#checkInside(folder, name);
      await this.#makeFolder(folder);
      try {
        return await Deno.open(file, { write: true, createNew: true });
      } catch (error) {
        if (!isMissing(error) || attempt >= 10) throw error;
      }
    }
  }

  /** Makes a folder and its parents, and makes the new entries durable. */
  async #makeFolder(folder: string): Promise<void> {
    const created = fs.mkdirSync(folder, { recursive: true });
    if (created === undefined) return;
    for (let at = folder; at.length >= created.length; at = path.dirname(at)) {
      await syncFolder(path.dirname(at));
    }
  }

  /** Refuses a folder that a link leads out of the bucket, before anything is made in it. */
  #checkInside(folder: string, name: string): void {
    for (let at = folder; at.length > this.#directory.length; at = path.dirname(at)) {
      if (this.#resolvePath(at) !== undefined) return;
      if (fs.lstatSync(at, { throwIfNoEntry: false }) === undefined) continue;
      throw new MnemeError(
        "bad_data",
        `Cannot upload object ${name}: ${this.#nameOf(at)} is a link that leads out of the bucket`,
      );
    }
  }

  async delete(name: string, options: CallOptions = {}): Promise<void> {
    const file = this.#objectFile(name, options);
    if (file === undefined || this.#statFile(file) === undefined) return;
    // The entry itself is removed: of a link the link, not what it points to.
    const entry = path.join(this.#directory, name);
    this.#open.forget(name);
    try {
      await Deno.remove(entry);
    } catch (error) {
      if (isMissing(error)) return;
      throw failure("delete", name, error);
    }
    this.#prune(path.dirname(entry));
  }

  /** Removes folders that became empty, up to the root, which stays. */
  #prune(folder: string): void {
    for (let at = folder; at.length > this.#directory.length; at = path.dirname(at)) {
      removeAbandoned(at);
      try {
        fs.rmdirSync(at);
      } catch {
        // Not empty, or another process was faster: either way there is nothing more to do.
        return;
      }
    }
  }

  async close(): Promise<void> {
    this.#open.close();
  }

  #withFile(
    name: string,
    options: CallOptions,
    read: (fd: number, size: number) => Uint8Array,
  ): Uint8Array {
    const { fd, size } = this.#openFile(name, options);
    try {
      return read(fd, size);
    } catch (error) {
      throw failure("read", name, error);
    } finally {
      fs.closeSync(fd);
    }
  }

  #openFile(name: string, options: CallOptions): { fd: number; size: number } {
    const { real, stat } = this.#find(name, options);
    try {
      return { fd: fs.openSync(real, "r"), size: stat.size };
    } catch (error) {
      if (isMissing(error)) throw objectNotFound(name, this.name, error);
      throw failure("read", name, error);
    }
  }

  /** The regular file of an object; looked at before it is opened: a pipe waits for its writer. */
  #find(name: string, options: CallOptions): { real: string; stat: Deno.FileInfo } {
    const real = this.#objectFile(name, options);
    const stat = real === undefined ? undefined : this.#statInfo(real);
    if (real === undefined || stat === undefined) throw objectNotFound(name, this.name);
    return { real, stat };
  }

  /** Size and time of a regular file, undefined when there is none. */
  #statFile(file: string): ObjectAttributes | undefined {
    const stat = this.#statInfo(file);
    if (stat === undefined) return undefined;
    return { size: stat.size, lastModified: stat.mtime?.getTime() ?? 0 };
  }

  #statInfo(file: string): Deno.FileInfo | undefined {
    try {
      const stat = Deno.statSync(file);
      return stat.isFile ? stat : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw failure("stat", this.#nameOf(file), error);
    }
  }

  #checkName(name: string): void {
    checkObjectName(name);
    if (name.slice(name.lastIndexOf("/") + 1).startsWith(TEMPORARY)) {
      throw new MnemeError("bad_data", `Cannot use object name "${name}": it is a reserved name`);
    }
  }

  #objectFile(name: string, options: CallOptions): string | undefined {
    this.#checkName(name);
    throwIfAborted(options.signal);
    return this.#resolve(name);
  }

  /** The path of `name` without links; undefined when it is missing or outside the folder. */
  #resolve(name: string): string | undefined {
    return this.#resolvePath(name === "" ? this.#directory : path.join(this.#directory, name));
  }

  #resolvePath(file: string): string | undefined {
    let real: string;
    try {
      if (this.#realRoot === "") this.#realRoot = Deno.realPathSync(this.#directory);
      real = Deno.realPathSync(file);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw failure("resolve", this.#nameOf(file), error);
    }
    const root = this.#realRoot;
    return real === root || real.startsWith(root.endsWith("/") ? root : root + "/")
      ? real
      : undefined;
  }

  #nameOf(file: string): string {
    return path.relative(this.#directory, file);
  }
}

/** A file kept open for range reads. */
interface OpenFile {
  readonly fd: number;
  readonly size: number;
  readonly stat: Deno.FileInfo;
  /** When it was last seen to be the object's file, ms. */
  checked: number;
}

/** Open files at most. */
const MAX_OPEN = 512;
/** A file is taken to be its object's for this long before the name is looked up again, ms. */
const TRUST_MS = 1000;
/** An open file keeps a deleted object on the disk: unused ones are closed after this, ms. */
const UNUSED_MS = 10_000;

/**
 * Files open for range reads. Finding and opening a file costs ten times what reading a few KiB of it
 * does, and a store gateway reads the same indexes and segments over and over.
 */
class OpenFiles {
  /** By object, least recently used first. */
  readonly #files = new Map<string, OpenFile>();
  #swept = 0;

  /** The open file of an object that was looked up a moment ago. */
  fresh(name: string, now: number): OpenFile | undefined {
    if (now - this.#swept > UNUSED_MS) this.#sweep(now);
    const file = this.#files.get(name);
    if (file === undefined || now - file.checked > TRUST_MS || now < file.checked) return undefined;
    return file;
  }

  /** The open file of an object that was just looked up; opens it when it is another one now. */
  open(name: string, path: string, stat: Deno.FileInfo, now: number): OpenFile {
    const known = this.#files.get(name);
    if (known !== undefined) {
      const { ino, dev, size, mtime } = known.stat;
      if (
        stat.ino === ino && stat.dev === dev && stat.size === size &&
        stat.mtime?.getTime() === mtime?.getTime()
      ) {
        known.checked = now;
        this.#files.delete(name);
        this.#files.set(name, known);
        return known;
      }
      this.forget(name);
    }
    const file = { fd: fs.openSync(path, "r"), size: stat.size, stat, checked: now };
    this.#files.set(name, file);
    if (this.#files.size > MAX_OPEN) this.forget(this.#files.keys().next().value!);
    return file;
  }

  /** Closes the file of an object that changed or is gone. */
  forget(name: string): void {
    const file = this.#files.get(name);
    if (file === undefined) return;
    this.#files.delete(name);
    fs.closeSync(file.fd);
  }

  #sweep(now: number): void {
    this.#swept = now;
    for (const [name, file] of this.#files) if (now - file.checked > UNUSED_MS) this.forget(name);
  }

  close(): void {
    for (const name of [...this.#files.keys()]) this.forget(name);
  }
}

/** Reads up to `length` bytes at `offset`; fewer when the file ends there. */
function readAt(fd: number, offset: number, length: number, into?: Uint8Array): Uint8Array {
  const bytes = into !== undefined && into.length >= length
    ? into.subarray(0, length)
    : new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const n = fs.readSync(fd, bytes, done, length - done, offset + done);
    if (n === 0) break;
    done += n;
  }
  return done === length ? bytes : bytes.subarray(0, done);
}

async function writeFully(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  let at = 0;
  while (at < bytes.length) at += await file.write(bytes.subarray(at));
}

/** Makes renames and new entries of a folder durable. */
async function syncFolder(folder: string): Promise<void> {
  const file = await Deno.open(folder, { read: true });
  try {
    await file.sync();
  } finally {
    file.close();
  }
}

/** Removes temporaries of processes that died, when nothing else is left in the folder. */
function removeAbandoned(folder: string): void {
  let names: string[];
  try {
    names = fs.readdirSync(folder);
  } catch {
    return; // Already gone.
  }
  if (!names.every((name) => name.startsWith(TEMPORARY))) return;
  for (const name of names) {
    const file = path.join(folder, name);
    try {
      if (Date.now() - fs.statSync(file).mtimeMs > ABANDONED_MS) fs.unlinkSync(file);
    } catch {
      // Gone, or not ours to remove: the folder then stays.
    }
  }
}

function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "";
}

function isMissing(error: unknown): boolean {
  if (error instanceof Deno.errors.NotFound) return true;
  if (error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.FilesystemLoop) {
    return true;
  }
  const code = errorCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP";
}

/** Turns an error of the file system into ours; the message names the object, not the folder. */
function failure(verb: string, name: string, error: unknown): MnemeError {
  const code = errorCode(error);
  const kind = code === "EACCES" || code === "EPERM" || code === "EROFS" ||
      error instanceof Deno.errors.PermissionDenied
    ? "permission"
    : code === "ENAMETOOLONG" || code === "EISDIR" || error instanceof Deno.errors.IsADirectory
    ? "bad_data"
    : "unavailable";
  return new MnemeError(kind, `Cannot ${verb} object ${name}: ${errorMessage(error)}`, {
    cause: error,
    attrs: { object: name },
  });
}
