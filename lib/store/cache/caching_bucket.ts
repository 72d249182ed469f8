/**
 * A bucket behind a cache: parts of chunk segments, metas and markers, and the listing of the root.
 * Blocks never change; what may change (metas, markers, listings) is kept for short times only.
 */
import { decodeUtf8, encodeUtf8, errorKind } from "../../base/mod.ts";
import { DELETION_MARK_FILE } from "../../block/mod.ts";
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  RangeCallOptions,
  UploadBody,
} from "../../objstore/mod.ts";
import { META_FILE } from "../../tsdb/mod.ts";
import type { ByteCache } from "./byte_cache.ts";
import { type PageObserver, type PageStore, readPages } from "./pages.ts";

/** What is cached for how long; times in ms, sizes in bytes. 0 = not cached. */
export interface CachingBucketSettings {
  readonly chunkSubrangeSize: number;
  readonly maxChunksGetRangeRequests: number;
  readonly chunkObjectAttrsTtl: number;
  readonly chunkSubrangeTtl: number;
  readonly blocksIterTtl: number;
  readonly metafileExistsTtl: number;
  readonly metafileDoesntExistTtl: number;
  readonly metafileContentTtl: number;
  readonly metafileMaxSize: number;
}

/** Cached operations, and which kind of object they were for. */
export type CachedOperation = "get" | "getrange" | "iter" | "exists" | "attributes";
/** Groups of objects. */
export type CachedConfig = "chunks" | "metafile" | "blocks-iter";

/** Told about cached operations; metrics implement it. */
export interface CachingBucketObserver {
  operation(operation: CachedOperation, config: CachedConfig, requests: number, hits: number): void;
  range: Pick<PageObserver, "bytes">;
}

const SILENT: CachingBucketObserver = { operation() {}, range: { bytes() {} } };
const CHUNKS = /^[^/]+\/chunks\/[0-9]+$/;
const META_NAMES: readonly string[] = [META_FILE, DELETION_MARK_FILE];
/** Key of the listings of the root; the rest tells which. */
const ROOT = "iter::";

function isMetaFile(name: string): boolean {
  return META_NAMES.includes(name.slice(name.lastIndexOf("/") + 1)) && name.includes("/");
}

/** Reads of `inner` through a cache. */
export class CachingBucket implements Bucket {
  readonly name: string;
  readonly provider: string;
  readonly #inner: Bucket;
  readonly #cache: ByteCache;
  readonly #settings: CachingBucketSettings;
  readonly #observer: CachingBucketObserver;

  constructor(
    inner: Bucket,
    cache: ByteCache,
    settings: CachingBucketSettings,
    observer: CachingBucketObserver = SILENT,
  ) {
    this.name = inner.name;
    this.provider = inner.provider;
    this.#inner = inner;
    this.#cache = cache;
    this.#settings = settings;
    this.#observer = observer;
  }

  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    const ttl = this.#settings.blocksIterTtl;
    if (dir !== "" || ttl <= 0) {
      yield* this.#inner.iter(dir, options);
      return;
    }
    const key = ROOT + (options.recursive === true ? "r" : "") +
      (options.attributes === true ? "a" : "") + (options.brief === undefined ? "" : "s");
    const cached = await this.#one(key, "iter", "blocks-iter", options.signal);
    const known = cached === undefined ? undefined : decodeEntries(cached);
    if (known !== undefined) {
      yield* known;
      return;
    }
    const entries: BucketEntry[] = [];
    for await (const entry of this.#inner.iter(dir, options)) {
      entries.push(entry);
      yield entry;
    }
    this.#cache.set(key, encodeEntries(entries), ttl);
  }

  async get(name: string, options: CallOptions = {}): Promise<Uint8Array> {
    const ttl = this.#settings.metafileContentTtl;
    if (!isMetaFile(name) || ttl <= 0) return await this.#inner.get(name, options);
    const key = `content:${name}`;
    const cached = options.fresh === true
      ? undefined
      : await this.#one(key, "get", "metafile", options.signal);
    if (cached !== undefined) return cached.slice();
    let bytes: Uint8Array;
    try {
      bytes = await this.#inner.get(name, options);
    } catch (error) {
      if (errorKind(error) === "not_found") this.#storeExists(name, false);
      throw error;
    }
    if (bytes.length <= this.#settings.metafileMaxSize) this.#cache.set(key, bytes.slice(), ttl);
    this.#storeExists(name, true);
    return bytes;
  }

  /** Streams are for large objects, which are not cached. */
  getStream(name: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>> {
    return this.#inner.getStream(name, options);
  }

  async getRange(
    name: string,
    offset: number,
    length: number,
    options: RangeCallOptions = {},
  ): Promise<Uint8Array> {
    const { chunkSubrangeTtl, chunkSubrangeSize, maxChunksGetRangeRequests } = this.#settings;
    if (chunkSubrangeTtl <= 0 || length < 0 || !CHUNKS.test(name)) {
      return await this.#inner.getRange(name, offset, length, options);
    }
    const { signal, into, fresh = false } = options;
    const store: PageStore = {
      cache: this.#cache,
      key: (start) => `subrange:${name}:${start}:${start + chunkSubrangeSize}`,
      pageSize: chunkSubrangeSize,
      ttl: chunkSubrangeTtl,
      maxRequests: maxChunksGetRangeRequests,
      fresh,
      observer: {
        pages: (wanted, hits) => this.#observer.operation("getrange", "chunks", wanted, hits),
        bytes: this.#observer.range.bytes.bind(this.#observer.range),
      },
    };
    const read = (from: number, size: number) =>
      this.#inner.getRange(name, from, size, signal === undefined ? {} : { signal });
    return await readPages(store, read, offset, length, signal, into);
  }

  async exists(name: string, options: CallOptions = {}): Promise<boolean> {
    if (!isMetaFile(name)) return await this.#inner.exists(name, options);
    const cached = await this.#one(`exists:${name}`, "exists", "metafile", options.signal);
    if (cached?.length === 1) return cached[0] === 1;
    const exists = await this.#inner.exists(name, options);
    this.#storeExists(name, exists);
    return exists;
  }

  #storeExists(name: string, exists: boolean): void {
    const { metafileExistsTtl, metafileDoesntExistTtl } = this.#settings;
    const ttl = exists ? metafileExistsTtl : metafileDoesntExistTtl;
    if (ttl > 0) this.#cache.set(`exists:${name}`, Uint8Array.of(exists ? 1 : 0), ttl);
  }

  async attributes(name: string, options: CallOptions = {}): Promise<ObjectAttributes> {
    const ttl = this.#settings.chunkObjectAttrsTtl;
    if (ttl <= 0 || !CHUNKS.test(name)) return await this.#inner.attributes(name, options);
    const key = `attrs:${name}`;
    const cached = await this.#one(key, "attributes", "chunks", options.signal);
    if (cached?.length === 16) {
      const [size, lastModified] = new Float64Array(cached.slice().buffer);
      return { size: size!, lastModified: lastModified! };
    }
    const attributes = await this.#inner.attributes(name, options);
    const values = Float64Array.of(attributes.size, attributes.lastModified);
    this.#cache.set(key, new Uint8Array(values.buffer), ttl);
    return attributes;
  }

  async upload(name: string, body: UploadBody, options?: CallOptions): Promise<void> {
    await this.#inner.upload(name, body, options);
    this.#changed(name);
  }
  async delete(name: string, options?: CallOptions): Promise<void> {
    await this.#inner.delete(name, options);
    this.#changed(name);
  }

  /** What this process itself changes it sees at once. */
  #changed(name: string): void {
    if (isMetaFile(name)) {
      this.#cache.delete(`content:${name}`);
      this.#cache.delete(`exists:${name}`);
    }
    if (this.#settings.blocksIterTtl > 0) {
      for (const kind of ["", "r", "a", "ra", "ras"]) this.#cache.delete(ROOT + kind);
    }
  }

  async #one(
    key: string,
    operation: CachedOperation,
    config: CachedConfig,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array | undefined> {
    const [value] = await this.#cache.get([key], signal);
    this.#observer.operation(operation, config, 1, value === undefined ? 0 : 1);
    return value;
  }

  async close(): Promise<void> {
    await this.#cache.close();
    await this.#inner.close();
  }
}

/** One line for each entry: name, then size and time where they are known. */
function encodeEntries(entries: readonly BucketEntry[]): Uint8Array {
  const lines = entries.map(({ name, attributes }) =>
    attributes === undefined
      ? JSON.stringify([name])
      : JSON.stringify([name, attributes.size, attributes.lastModified])
  );
  return encodeUtf8(lines.join("\n"));
}

function decodeEntries(bytes: Uint8Array): BucketEntry[] | undefined {
  const text = decodeUtf8(bytes);
  if (text === "") return [];
  try {
    return text.split("\n").map((line) => {
      const [name, size, lastModified] = JSON.parse(line) as [string, number?, number?];
      return size === undefined || lastModified === undefined
        ? { name }
        : { name, attributes: { size, lastModified } };
    });
  } catch {
    // Not one of ours: the bucket is listed.
    return undefined;
  }
}
