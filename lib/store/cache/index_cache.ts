/**
 * The index cache: postings lists, results of whole selections, and pages of series entries, across
 * requests. Blocks never change, so nothing in it ever becomes wrong.
 */
import { createHash } from "node:crypto";
import type { Matcher } from "../../model/mod.ts";
import type { ByteCache, CachedValues } from "./byte_cache.ts";
import { Lru } from "./lru.ts";
import { decodeRefs, encodeRefs } from "./refs_codec.ts";

/** Kinds of items; the values of the `item_type` label and of `enabled_items`. */
export const INDEX_ITEMS = ["Postings", "ExpandedPostings", "Series"] as const;
/** One of INDEX_ITEMS. */
export type IndexItem = typeof INDEX_ITEMS[number];

/** Lists found, undefined where there is none. */
export type CachedRefs = readonly (Uint32Array | undefined)[];

/** Keeps parts of indexes. Owner: all arrays are shared and must not be changed. */
export interface IndexCache {
  /** The postings lists at some offsets of a block's index. */
  postings(
    ulid: string,
    offsets: readonly number[],
    signal?: AbortSignal,
  ): CachedRefs | Promise<CachedRefs>;
  putPostings(ulid: string, offset: number, refs: Uint32Array): void;
  /** The series that a selection found before; `key` is of selectionKey(). */
  selection(
    ulid: string,
    key: string,
    signal?: AbortSignal,
  ): Uint32Array | undefined | Promise<Uint32Array | undefined>;
  putSelection(ulid: string, key: string, refs: Uint32Array): void;
  /** Pages of series entries by key; absent when they are not kept. */
  readonly series: ByteCache | undefined;
  close(): Promise<void>;
}

/** Told about the cache; the metrics of the component implement it. */
export interface IndexCacheObserver {
  request(item: IndexItem, requests: number, hits: number): void;
  added(item: IndexItem, bytes: number): void;
  evicted(item: IndexItem, bytes: number): void;
  overflowed(item: IndexItem): void;
}

const SILENT: IndexCacheObserver = { request() {}, added() {}, evicted() {}, overflowed() {} };

/** A key of the matchers of a selection; the order in which they are given does not matter. */
export function selectionKey(matchers: readonly Matcher[]): string {
  const texts = matchers.map((m) => JSON.stringify([m.name, m.type, m.value])).sort();
  return createHash("sha256").update(texts.join(";")).digest("base64url");
}

const PREFIXES: Readonly<Record<string, IndexItem>> = {
  P: "Postings",
  E: "ExpandedPostings",
  S: "Series",
};
const itemOf = (key: string) => PREFIXES[key[0]!]!;
const postingsKey = (ulid: string, offset: number) => `P:${ulid}:${offset}`;
const selectionPath = (ulid: string, key: string) => `EP:${ulid}:${key}`;
/** Key of a page of series entries, for readPages(). */
export const seriesPageKey = (ulid: string, start: number) => `S:${ulid}:${start}`;

/** Settings of a cache in memory. */
export interface MemoryIndexCacheOptions {
  readonly maxBytes: number;
  readonly maxItemBytes: number;
  /** Empty = all. */
  readonly items?: readonly IndexItem[];
  readonly observer?: IndexCacheObserver;
}

/** The cache in memory: one budget of bytes for all items, the least recently used goes first. */
export class MemoryIndexCache implements IndexCache {
  readonly series: ByteCache | undefined;
  readonly #lru: Lru<Uint32Array | Uint8Array>;
  readonly #items: ReadonlySet<IndexItem>;
  readonly #observer: IndexCacheObserver;

  constructor(options: MemoryIndexCacheOptions) {
    const observer = options.observer ?? SILENT;
    this.#observer = observer;
    this.#items = new Set(
      options.items === undefined || options.items.length === 0 ? INDEX_ITEMS : options.items,
    );
    this.#lru = new Lru({
      maxBytes: options.maxBytes,
      maxItemBytes: options.maxItemBytes,
      observer: {
        added: (key, bytes) => observer.added(itemOf(key), bytes),
        evicted: (key, bytes) => observer.evicted(itemOf(key), bytes),
        overflowed: (key) => observer.overflowed(itemOf(key)),
      },
    });
    this.series = this.#items.has("Series") ? this.#pages() : undefined;
  }

  /** Bytes and entries held. */
  get bytes(): number {
    return this.#lru.bytes;
  }
  get count(): number {
    return this.#lru.count;
  }

  postings(ulid: string, offsets: readonly number[]): CachedRefs {
    let hits = 0;
    const found = offsets.map((offset) => {
      const refs = this.#lru.get(postingsKey(ulid, offset), 0) as Uint32Array | undefined;
      if (refs !== undefined) hits++;
      return refs;
    });
    this.#observer.request("Postings", offsets.length, hits);
    return found;
  }
  putPostings(ulid: string, offset: number, refs: Uint32Array): void {
    if (this.#items.has("Postings")) this.#put(postingsKey(ulid, offset), refs);
  }

  selection(ulid: string, key: string): Uint32Array | undefined {
    const refs = this.#lru.get(selectionPath(ulid, key), 0) as Uint32Array | undefined;
    this.#observer.request("ExpandedPostings", 1, refs === undefined ? 0 : 1);
    return refs;
  }
  putSelection(ulid: string, key: string, refs: Uint32Array): void {
    if (this.#items.has("ExpandedPostings")) this.#put(selectionPath(ulid, key), refs);
  }

  #put(key: string, refs: Uint32Array): void {
    // A view of something larger would keep all of it.
    this.#lru.set(key, refs.byteLength === refs.buffer.byteLength ? refs : refs.slice(), Infinity);
  }

  #pages(): ByteCache {
    return {
      get: (keys) => {
        let hits = 0;
        const values = keys.map((key) => {
          const page = this.#lru.get(key, 0) as Uint8Array | undefined;
          if (page !== undefined) hits++;
          return page;
        });
        this.#observer.request("Series", keys.length, hits);
        return values;
      },
      set: (key, value) => this.#lru.set(key, value, Infinity),
      delete: (key) => this.#lru.delete(key),
      close: async () => {},
    };
  }

  async close(): Promise<void> {}
}

/** Settings of a cache on a server. */
export interface RemoteIndexCacheOptions {
  /** Sealed: what it gives is what was put in. */
  readonly cache: ByteCache;
  readonly ttl: number;
  /** Empty = all. */
  readonly items?: readonly IndexItem[];
  readonly observer?: IndexCacheObserver;
}

/** The cache on a server, shared by store gateways and kept over restarts. */
export class RemoteIndexCache implements IndexCache {
  readonly series: ByteCache | undefined;
  readonly #cache: ByteCache;
  readonly #ttl: number;
  readonly #items: ReadonlySet<IndexItem>;
  readonly #observer: IndexCacheObserver;

  constructor(options: RemoteIndexCacheOptions) {
    this.#cache = options.cache;
    this.#ttl = options.ttl;
    this.#observer = options.observer ?? SILENT;
    this.#items = new Set(
      options.items === undefined || options.items.length === 0 ? INDEX_ITEMS : options.items,
    );
    this.series = this.#items.has("Series") ? this.#pages() : undefined;
  }

  async postings(
    ulid: string,
    offsets: readonly number[],
    signal?: AbortSignal,
  ): Promise<CachedRefs> {
    if (!this.#items.has("Postings")) return offsets.map(() => undefined);
    const keys = offsets.map((offset) => postingsKey(ulid, offset));
    return this.#decoded("Postings", await this.#cache.get(keys, signal));
  }
  putPostings(ulid: string, offset: number, refs: Uint32Array): void {
    if (this.#items.has("Postings")) this.#put("Postings", postingsKey(ulid, offset), refs);
  }

  async selection(
    ulid: string,
    key: string,
    signal?: AbortSignal,
  ): Promise<Uint32Array | undefined> {
    if (!this.#items.has("ExpandedPostings")) return undefined;
    const values = await this.#cache.get([selectionPath(ulid, key)], signal);
    return this.#decoded("ExpandedPostings", values)[0];
  }
  putSelection(ulid: string, key: string, refs: Uint32Array): void {
    if (!this.#items.has("ExpandedPostings")) return;
    this.#put("ExpandedPostings", selectionPath(ulid, key), refs);
  }

  #decoded(item: IndexItem, values: CachedValues): CachedRefs {
    const found = values.map((bytes) => bytes === undefined ? undefined : decodeRefs(bytes));
    this.#observer.request(item, found.length, found.filter((refs) => refs !== undefined).length);
    return found;
  }

  #put(item: IndexItem, key: string, refs: Uint32Array): void {
    const bytes = encodeRefs(refs);
    this.#cache.set(key, bytes, this.#ttl);
    this.#observer.added(item, bytes.length);
  }

  #pages(): ByteCache {
    return {
      get: async (keys, signal) => {
        const values = await this.#cache.get(keys, signal);
        const hits = values.filter((value) => value !== undefined).length;
        this.#observer.request("Series", keys.length, hits);
        return values;
      },
      set: (key, value, ttl) => {
        this.#cache.set(key, value, ttl);
        this.#observer.added("Series", value.length);
      },
      delete: (key) => this.#cache.delete(key),
      close: async () => {},
    };
  }

  close(): Promise<void> {
    return this.#cache.close();
  }
}
