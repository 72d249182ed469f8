/**
 * MetaFetcher: which blocks a bucket holds and what their meta.json say, kept up to date by syncs.
 *
 * A sync lists the bucket once, reads the metas it does not know yet (from the local cache, else from
 * the bucket), and runs the filters. One unreadable meta never hides the others.
 */
import {
  type Clock,
  CorruptionError,
  errorKind,
  errorMessage,
  mapPool,
  systemClock,
  throwIfAborted,
} from "../base/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { type BlockMeta, META_FILE, parseBlockMeta } from "../tsdb/mod.ts";
import type { BlockState, MetaFilter } from "./filters.ts";
import { listBlocks, type ListedBlock } from "./listing.ts";
import type { KnownMeta, MetaCache } from "./meta_cache.ts";

/** Told about syncs; the metrics of the component implement it. */
export interface FetcherObserver {
  /** A sync ended; `counts` has the blocks by state. */
  synced(counts: ReadonlyMap<BlockState, number>, seconds: number, failed: boolean): void;
  /** A cached meta was dropped because the bucket's copy changed. */
  cacheBust(): void;
  warn(message: string, fields: Readonly<Record<string, string>>): void;
}

/** Settings of a fetcher. */
export interface MetaFetcherOptions {
  readonly bucket: Bucket;
  readonly filters: readonly MetaFilter[];
  readonly cache?: MetaCache;
  /** Metas read at once. */
  readonly concurrency?: number;
  /** List metas and markers only, where that saves work; see ListBlocksOptions. */
  readonly brief?: boolean;
  readonly clock?: Clock;
  readonly observer?: FetcherObserver;
}

/** Outcome of a sync. */
export interface FetchResult {
  /** Metas that passed the filters. */
  readonly metas: ReadonlyMap<string, BlockMeta>;
  /** Metas that were read, before the filters. */
  readonly all: ReadonlyMap<string, BlockMeta>;
  readonly listing: ReadonlyMap<string, ListedBlock>;
  /** Blocks whose meta.json is damaged or of an unknown version, with the reason. */
  readonly corrupted: ReadonlyMap<string, Error>;
  /** Blocks without a meta.json. */
  readonly partial: ReadonlySet<string>;
  /**
   * Reads that failed for another reason. Not empty = an incomplete view: nothing may be dropped
   * because it is missing here.
   */
  readonly failed: ReadonlyMap<string, Error>;
  /** Why each other block was left out. */
  readonly excluded: ReadonlyMap<string, BlockState>;
}

const SILENT: FetcherObserver = { synced() {}, cacheBust() {}, warn() {} };

/** Keeps the metas of a bucket. */
export class MetaFetcher {
  readonly #bucket: Bucket;
  readonly #filters: readonly MetaFilter[];
  readonly #cache: MetaCache | undefined;
  readonly #concurrency: number;
  readonly #brief: boolean;
  readonly #clock: Clock;
  readonly #observer: FetcherObserver;
  /** Metas by block with the modification time of the object they were read from. */
  #known = new Map<string, KnownMeta>();
  /** Damaged metas are not read again until they change. */
  #damaged = new Map<string, { readonly error: Error; readonly modified: number }>();
  /** Something is known that the cache on the disk does not have, or the other way round. */
  #unsaved = false;

  constructor(options: MetaFetcherOptions) {
    this.#bucket = options.bucket;
    this.#filters = options.filters;
    this.#cache = options.cache;
    this.#concurrency = options.concurrency ?? 32;
    this.#brief = options.brief ?? false;
    this.#clock = options.clock ?? systemClock;
    this.#observer = options.observer ?? SILENT;
  }

  /**
   * Syncs with the bucket.
   *
   * Throws: when the listing or a filter fails; single metas that cannot be read are in the result.
   */
  async fetch(signal?: AbortSignal): Promise<FetchResult> {
    const start = this.#clock.now();
    const counts = new Map<BlockState, number>();
    const count = (state: BlockState) => counts.set(state, (counts.get(state) ?? 0) + 1);
    let failed = true;
    try {
      const result = await this.#sync(signal, count);
      failed = result.failed.size > 0;
      return result;
    } finally {
      this.#save();
      this.#observer.synced(counts, (this.#clock.now() - start) / 1000, failed);
    }
  }

  async #sync(
    signal: AbortSignal | undefined,
    count: (state: BlockState) => void,
  ): Promise<FetchResult> {
    const listing = await listBlocks(this.#bucket, {
      brief: this.#brief,
      ...(signal === undefined ? {} : { signal }),
    });
    const all = new Map<string, BlockMeta>();
    const corrupted = new Map<string, Error>();
    const partial = new Set<string>();
    const failed = new Map<string, Error>();
    await mapPool([...listing.values()], this.#concurrency, async (block) => {
      throwIfAborted(signal);
      const { ulid } = block;
      if (!block.complete) {
        partial.add(ulid);
        return;
      }
      try {
        all.set(ulid, await this.#meta(block, signal));
      } catch (error) {
        throwIfAborted(signal);
        const told = error instanceof Error ? error : new Error(String(error));
        if (error instanceof CorruptionError) {
          corrupted.set(ulid, told);
          this.#damaged.set(ulid, { error: told, modified: block.metaModified });
        } else if (errorKind(error) === "not_found") partial.add(ulid); // Deleted since listed.
        else failed.set(ulid, told);
      }
    });
    for (const [ulid, error] of [...corrupted, ...failed]) {
      this.#observer.warn("cannot read meta.json", { block: ulid, err: errorMessage(error) });
    }
    for (let i = 0; i < partial.size; i++) count("no-meta-json");
    for (let i = 0; i < corrupted.size; i++) count("corrupted-meta-json");
    for (let i = 0; i < failed.size; i++) count("failed");
    if (failed.size === 0) this.#forget(all, listing);

    // Concurrent reads end in any order; the order of ids makes syncs and filters repeatable.
    const metas = new Map([...all].sort(([a], [b]) => a < b ? -1 : 1));
    const excluded = new Map<string, BlockState>();
    for (const filter of this.#filters) {
      throwIfAborted(signal);
      await filter.filter({
        metas,
        listing,
        signal,
        exclude: (ulid, state) => {
          if (!metas.delete(ulid)) return;
          excluded.set(ulid, state);
          count(state);
        },
        note: (_, state) => count(state),
        warn: (message, error) => this.#observer.warn(message, { err: errorMessage(error) }),
      });
    }
    for (let i = 0; i < metas.size; i++) count("loaded");
    return { metas, all, listing, corrupted, partial, failed, excluded };
  }

  async #meta(block: ListedBlock, signal: AbortSignal | undefined): Promise<BlockMeta> {
    const { ulid, metaModified } = block;
    const known = this.#known.get(ulid);
    if (known !== undefined) {
      if (known.modified === metaModified) return known.meta;
      this.#observer.cacheBust();
    }
    const damaged = this.#damaged.get(ulid);
    if (damaged !== undefined && damaged.modified === metaModified && metaModified !== 0) {
      throw damaged.error;
    }
    let meta = known === undefined ? this.#cache?.get(ulid, metaModified) : undefined;
    if (meta === undefined) {
      const object = `${ulid}/${META_FILE}`;
      const read = async (fresh: boolean) => {
        const options = { fresh, ...(signal === undefined ? {} : { signal }) };
        return parseBlockMeta(await this.#bucket.get(object, options), object, ulid);
      };
      try {
        // A copy that changed is not to be had from a cache.
        meta = await read(known !== undefined);
      } catch (error) {
        if (!(error instanceof CorruptionError) || known !== undefined) throw error;
        meta = await read(true);
      }
      this.#unsaved = true;
    }
    this.#damaged.delete(ulid);
    this.#known.set(ulid, { meta, modified: metaModified });
    return meta;
  }

  /** Keeps what was read for the next start, also when the sync failed half-way. */
  #save(): void {
    if (this.#cache === undefined || !this.#unsaved) return;
    this.#unsaved = false;
    try {
      this.#cache.save(this.#known);
    } catch (error) {
      // A full disk costs a slower restart, nothing else.
      this.#observer.warn("cannot write the meta cache", { err: errorMessage(error) });
    }
  }

  /** Drops what is no longer in the bucket; only after a complete view. */
  #forget(
    all: ReadonlyMap<string, BlockMeta>,
    listing: ReadonlyMap<string, ListedBlock>,
  ): void {
    for (const ulid of this.#known.keys()) {
      if (all.has(ulid)) continue;
      this.#known.delete(ulid);
      this.#unsaved = true;
    }
    if (this.#cache !== undefined && this.#cache.stored !== this.#known.size) this.#unsaved = true;
    for (const ulid of this.#damaged.keys()) if (!listing.has(ulid)) this.#damaged.delete(ulid);
  }
}
