/**
 * The simulated world: a clock that is told what time it is, a bucket and disks in memory whose state
 * can be copied at every operation.
 *
 * A crash is a copy of the state at some operation with which everything is started anew: what the
 * program held in memory is gone, what it had not synced to disk is torn.
 */
import { type Clock, compareUtf8, MnemeError } from "../../lib/base/mod.ts";
import { Random } from "../../lib/base/testing/random.ts";
import {
  type Bucket,
  type BucketEntry,
  type IterOptions,
  type ObjectAttributes,
  type RangeCallOptions,
  readAll,
  streamOf,
  type UploadBody,
  type UploadOptions,
} from "../../lib/objstore/mod.ts";
import type { FileEntry, Files, FileStat, ReadFile, WriteFile } from "../../lib/tsdb/mod.ts";

/** An object: bytes never change, a new upload makes a new one. */
export interface StoredObject {
  readonly bytes: Uint8Array;
  readonly modified: number;
}

/** Objects by name. */
export type Objects = ReadonlyMap<string, StoredObject>;

/** Time as the world tells it; every bucket operation takes a little. */
export class SimClock implements Clock {
  time: number;
  constructor(time: number) {
    this.time = time;
  }
  now(): number {
    return this.time;
  }
  sleep(ms: number): Promise<void> {
    this.time += ms;
    return Promise.resolve();
  }
}

/** What happens to an operation of the bucket, besides taking its course. */
export type BucketFault = "error-before" | "error-after" | "missing";

/** How often calls go wrong. */
export interface FaultRates {
  readonly before: number;
  readonly after: number;
  /** A read of an object that is there answers that it is not, once. */
  readonly missing: number;
  /** A listing tells what was there some writes ago. */
  readonly stale: number;
}

/** No faults. */
export const NO_FAULTS: FaultRates = { before: 0, after: 0, missing: 0, stale: 0 };

/** Told about every operation; the oracle and the recorder of crash points listen. */
export interface BucketListener {
  /** Before and after each operation. */
  operation(kind: string, name: string, phase: "before" | "after"): void;
  /** An upload stopped half-way: the object would hold these bytes. */
  torn(name: string, object: StoredObject): void;
  /** The object changed; undefined = it is not there. */
  changed(name: string, before: StoredObject | undefined, after: StoredObject | undefined): void;
}

const SILENT: BucketListener = { operation() {}, torn() {}, changed() {} };

/** The bucket. Calls of several actors take turns in an order that the seed decides. */
export class SimBucket implements Bucket {
  readonly name = "sim";
  readonly provider = "SIM";
  readonly #clock: SimClock;
  readonly #random: Random;
  #objects: Map<string, StoredObject>;
  #copy: Objects | undefined;
  /** The last states, for stale listings. */
  readonly #past: Objects[] = [];
  listener: BucketListener = SILENT;
  faults: FaultRates = NO_FAULTS;
  /** Objects written or deleted so far. */
  writes = 0;

  constructor(clock: SimClock, random: Random, objects: Objects = new Map()) {
    this.#clock = clock;
    this.#random = random;
    this.#objects = new Map(objects);
  }

  get objects(): Objects {
    return this.#objects;
  }
  /** The state now; the copy does not change any more. */
  copy(): Objects {
    return this.#copy ??= new Map(this.#objects);
  }

  /** Lets others go first, and passes the time. */
  async #begin(kind: string, name: string): Promise<boolean> {
    for (let n = this.#random.below(4); n > 0; n--) await null;
    this.#clock.time += 1 + this.#random.below(40);
    this.listener.operation(kind, name, "before");
    if (this.#random.chance(this.faults.before)) throw outage(kind, name);
    return this.#random.chance(this.faults.after);
  }
  async #end(kind: string, name: string, lost: boolean): Promise<void> {
    this.listener.operation(kind, name, "after");
    for (let n = this.#random.below(3); n > 0; n--) await null;
    if (lost) throw outage(kind, name);
  }

  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    const lost = await this.#begin("iter", dir);
    const { stale } = this.faults;
    const seen = stale > 0 && this.#random.chance(stale) && this.#past.length > 0
      ? this.#random.pick(this.#past)
      : this.#objects;
    const entries = listNames(seen, dir, options);
    await this.#end("iter", dir, lost);
    yield* entries;
  }

  async get(name: string): Promise<Uint8Array> {
    const lost = await this.#begin("get", name);
    const object = this.#find(name);
    await this.#end("get", name, lost);
    return object.bytes.slice();
  }
  async getStream(name: string): Promise<ReadableStream<Uint8Array>> {
    return streamOf(await this.get(name));
  }
  async getRange(
    name: string,
    offset: number,
    length: number,
    _options?: RangeCallOptions,
  ): Promise<Uint8Array> {
    const bytes = await this.get(name);
    return bytes.subarray(offset, length < 0 ? undefined : offset + length);
  }
  async exists(name: string): Promise<boolean> {
    const lost = await this.#begin("exists", name);
    const found = this.#objects.has(name);
    await this.#end("exists", name, lost);
    return found;
  }
  async attributes(name: string): Promise<ObjectAttributes> {
    const lost = await this.#begin("attributes", name);
    const object = this.#find(name);
    await this.#end("attributes", name, lost);
    return attributesOf(object);
  }
  async upload(name: string, body: UploadBody, options: UploadOptions = {}): Promise<void> {
    const given = body instanceof Uint8Array ? body.slice() : await readAll(body.stream);
    const lost = await this.#begin("upload", name);
    if (options.ifAbsent === true && this.#objects.has(name)) {
      throw new MnemeError("conflict", `object ${name} exists`);
    }
    const object = { bytes: given, modified: this.#clock.time };
    const half = given.subarray(0, this.#random.below(given.length + 1));
    this.listener.torn(name, { bytes: half, modified: object.modified });
    this.put(name, object);
    await this.#end("upload", name, lost);
  }
  async delete(name: string): Promise<void> {
    const lost = await this.#begin("delete", name);
    this.put(name, undefined);
    await this.#end("delete", name, lost);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Changes an object at once. */
  put(name: string, object: StoredObject | undefined): void {
    const before = this.#objects.get(name);
    if (this.faults.stale > 0) {
      this.#past.push(this.copy());
      if (this.#past.length > 8) this.#past.shift();
    }
    if (object === undefined) this.#objects.delete(name);
    else this.#objects.set(name, object);
    this.writes++;
    this.#copy = undefined;
    this.listener.changed(name, before, object);
  }

  #find(name: string): StoredObject {
    const object = this.#objects.get(name);
    if (object === undefined || this.#random.chance(this.faults.missing)) {
      throw new MnemeError("not_found", `object ${name} does not exist`);
    }
    return object;
  }
}

/** What a listing of a folder tells. */
export function listNames(objects: Objects, dir: string, options: IterOptions): BucketEntry[] {
  const prefix = dir === "" ? "" : dir.replace(/\/*$/, "/");
  const names = new Set<string>();
  for (const name of objects.keys()) {
    if (!name.startsWith(prefix)) continue;
    const slash = options.recursive === true ? -1 : name.indexOf("/", prefix.length);
    names.add(slash < 0 ? name : name.slice(0, slash + 1));
  }
  return [...names].sort(compareUtf8).map((name) => {
    const object = objects.get(name);
    return options.attributes === true && object !== undefined
      ? { name, attributes: attributesOf(object) }
      : { name };
  });
}

function outage(kind: string, name: string): MnemeError {
  return new MnemeError("unavailable", `simulated outage in ${kind} of ${name}`);
}

function attributesOf(object: StoredObject): ObjectAttributes {
  return { size: object.bytes.length, lastModified: object.modified };
}

/** A file: what is written, and what of it is on the disk. */
interface SimFile {
  readonly bytes: Uint8Array;
  readonly synced: number;
}

/** The state of a disk. */
export interface DiskState {
  readonly files: ReadonlyMap<string, SimFile>;
  readonly directories: ReadonlySet<string>;
}

/** An empty disk. */
export const EMPTY_DISK: DiskState = { files: new Map(), directories: new Set() };

/** A disk after the power came back: of what was not synced a random part is there. */
export function rebooted(state: DiskState, random: Random): DiskState {
  const files = new Map<string, SimFile>();
  for (const [path, { bytes, synced }] of state.files) {
    const kept = synced + random.below(bytes.length - synced + 1);
    // A name that never got to the disk may be missing altogether.
    if (synced === 0 && random.chance(0.3)) continue;
    files.set(path, { bytes: bytes.subarray(0, kept), synced: kept });
  }
  return { files, directories: state.directories };
}

/** A disk. */
export class SimDisk implements Files {
  #files: Map<string, SimFile>;
  #directories: Set<string>;
  #copy: DiskState | undefined;
  /** Called after each operation that changes something. */
  changed: (operation: string, path: string) => void = () => {};

  constructor(state: DiskState = EMPTY_DISK) {
    this.#files = new Map(state.files);
    this.#directories = new Set(state.directories);
  }

  copy(): DiskState {
    return this.#copy ??= { files: new Map(this.#files), directories: new Set(this.#directories) };
  }

  #change(operation: string, path: string): void {
    this.#copy = undefined;
    this.changed(operation, path);
  }

  open(path: string): ReadFile {
    const file = this.#files.get(path);
    if (file === undefined) throw missing("open", path);
    const { bytes } = file;
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
    this.#files.set(path, { bytes: new Uint8Array(0), synced: 0 });
    this.#change("create", path);
    return this.#writer(path);
  }
  append(path: string): WriteFile {
    if (!this.#files.has(path)) return this.create(path);
    return this.#writer(path);
  }
  #writer(path: string): WriteFile {
    const get = () => this.#files.get(path) ?? { bytes: new Uint8Array(0), synced: 0 };
    return {
      path,
      get size() {
        return get().bytes.length;
      },
      append: (bytes) => {
        const before = get();
        const joined = new Uint8Array(before.bytes.length + bytes.length);
        joined.set(before.bytes);
        joined.set(bytes, before.bytes.length);
        this.#files.set(path, { bytes: joined, synced: before.synced });
        this.#change("append", path);
      },
      sync: () => {
        const { bytes } = get();
        this.#files.set(path, { bytes, synced: bytes.length });
        this.#change("sync", path);
      },
      close() {},
    };
  }
  /** Gives a file a second name. */
  link(from: string, to: string): void {
    const file = this.#files.get(from);
    if (file === undefined) throw missing("link", from);
    this.#files.set(to, file);
    this.#change("link", to);
  }
  rename(from: string, to: string): void {
    let found = false;
    for (const [path, file] of [...this.#files]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      found = true;
      this.#files.delete(path);
      this.#files.set(to + path.slice(from.length), file);
    }
    for (const path of [...this.#directories]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      found = true;
      this.#directories.delete(path);
      this.#directories.add(to + path.slice(from.length));
    }
    if (!found) throw missing("rename", from);
    this.#change("rename", to);
  }
  mkdir(path: string): void {
    this.#directories.add(path);
    this.#change("mkdir", path);
  }
  remove(path: string): void {
    let found = false;
    for (const known of [...this.#files.keys()]) {
      if (known !== path && !known.startsWith(`${path}/`)) continue;
      this.#files.delete(known);
      found = true;
    }
    for (const known of [...this.#directories]) {
      if (known !== path && !known.startsWith(`${path}/`)) continue;
      this.#directories.delete(known);
      found = true;
    }
    if (found) this.#change("remove", path);
  }
  list(path: string): FileEntry[] {
    const prefix = `${path}/`;
    const entries = new Map<string, boolean>();
    for (const known of this.#files.keys()) {
      if (!known.startsWith(prefix)) continue;
      const rest = known.slice(prefix.length);
      const slash = rest.indexOf("/");
      entries.set(slash < 0 ? rest : rest.slice(0, slash), slash >= 0);
    }
    for (const known of this.#directories) {
      if (known.startsWith(prefix)) entries.set(known.slice(prefix.length).split("/")[0]!, true);
    }
    if (entries.size === 0 && this.stat(path) === undefined) throw missing("list", path);
    return [...entries].sort(([a], [b]) => compareUtf8(a, b))
      .map(([name, isDirectory]) => ({ name, isDirectory }));
  }
  stat(path: string): FileStat | undefined {
    const file = this.#files.get(path);
    if (file !== undefined) return { isDirectory: false, size: file.bytes.length, modified: 0 };
    if (this.#directories.has(path)) return { isDirectory: true, size: 0, modified: 0 };
    for (const known of [...this.#files.keys(), ...this.#directories]) {
      if (known.startsWith(`${path}/`)) return { isDirectory: true, size: 0, modified: 0 };
    }
    return undefined;
  }
  syncDirectory(path: string): void {
    this.#change("syncDirectory", path);
  }
}

function missing(what: string, path: string): MnemeError {
  return new MnemeError("not_found", `cannot ${what} ${path}: no such file`);
}
