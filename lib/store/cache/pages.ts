/**
 * Range reads through a cache of aligned pages: what is cached is not read again, and what is missing
 * is read in few requests.
 */
import type { ByteCache } from "./byte_cache.ts";

/** Reads bytes [offset, offset + length) of an object, fewer only where it ends; they are owned. */
export type ReadBytes = (offset: number, length: number) => Promise<Uint8Array>;

/** Where the pages of one object are kept. */
export interface PageStore {
  readonly cache: ByteCache;
  /** Key of the page [start, start + pageSize). */
  key(start: number): string;
  readonly pageSize: number;
  readonly ttl: number;
  /** Most requests for one range; 0 = no limit. */
  readonly maxRequests: number;
  readonly observer?: PageObserver;
  /** Nothing is taken from the cache; what is read replaces what it holds. */
  readonly fresh?: boolean;
}

/** Told about each range that was read. */
export interface PageObserver {
  pages(wanted: number, hits: number): void;
  /** Bytes asked for, read from the bucket, and read again though they were cached. */
  bytes(requested: number, fromCache: number, fromBucket: number, refetched: number): void;
}

/** Pages of one range at most; a longer one is read past the cache. */
const MAX_PAGES = 4096;

/**
 * Reads [offset, offset + length) through the pages.
 *
 * Owner: the result is owned, in `into` when that is large enough. A page shorter than the others is
 * the object's last one, so that the size of an object need not be known.
 */
export async function readPages(
  store: PageStore,
  read: ReadBytes,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const { cache, pageSize, ttl, observer } = store;
  const first = Math.floor(offset / pageSize);
  const count = Math.ceil((offset + length) / pageSize) - first;
  if (length <= 0 || count > MAX_PAGES) return await read(offset, length);
  const keys = Array.from({ length: count }, (_, i) => store.key((first + i) * pageSize));
  const pages: (Uint8Array | undefined)[] = store.fresh === true
    ? keys.map(() => undefined)
    : [...await cache.get(keys, signal)];
  let hits = 0;
  let cached = 0;
  // Where the object ends, once a short page says so.
  let last = count;
  for (let i = 0; i < count; i++) {
    const page = pages[i];
    if (page === undefined) continue;
    if (page.length > pageSize) {
      pages[i] = undefined; // Of another page size.
      continue;
    }
    hits++;
    cached += page.length;
    if (page.length < pageSize) last = Math.min(last, i + 1);
  }
  observer?.pages(count, hits);
  let fetched = 0;
  let refetched = 0;
  const out = into !== undefined && into.length >= length ? into : new Uint8Array(length);
  const runs = missingRuns(pages, last, store.maxRequests);
  await Promise.all(runs.map(async ({ from, to }) => {
    const start = (first + from) * pageSize;
    const bytes = await read(start, (to - from) * pageSize);
    fetched += bytes.length;
    for (let i = from; i < to; i++) {
      const at = (i - from) * pageSize;
      if (pages[i] !== undefined) {
        refetched += pages[i]!.length;
        continue;
      }
      const page = bytes.slice(at, Math.min(bytes.length, at + pageSize));
      pages[i] = page;
      if (page.length === 0) continue;
      cache.set(keys[i]!, page, ttl);
    }
    // Pages are copies. The collector would find out late: the heap is small beside these bytes.
    if (bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength === bytes.length) {
      bytes.buffer.transfer(0);
    }
  }));
  observer?.bytes(length, cached, fetched, refetched);
  let end = 0;
  for (let i = 0; i < count; i++) {
    const page = pages[i];
    if (page === undefined) break;
    const start = (first + i) * pageSize;
    const from = Math.max(0, offset - start);
    const to = Math.min(page.length, offset + length - start);
    if (to > from) {
      out.set(page.subarray(from, to), start + from - offset);
      end = start + to - offset;
    }
    if (page.length < pageSize) break;
  }
  return out.subarray(0, end);
}

/** Runs of pages to read, joined over cached ones until there are few enough. */
function missingRuns(
  pages: readonly (Uint8Array | undefined)[],
  end: number,
  maxRequests: number,
): { from: number; to: number }[] {
  let runs: { from: number; to: number }[] = [];
  for (let i = 0; i < end; i++) {
    if (pages[i] !== undefined) continue;
    const run = runs.at(-1);
    if (run !== undefined && run.to === i) run.to++;
    else runs.push({ from: i, to: i + 1 });
  }
  for (let gap = 1; maxRequests > 0 && runs.length > maxRequests; gap *= 2) {
    const joined: { from: number; to: number }[] = [];
    for (const run of runs) {
      const before = joined.at(-1);
      if (before !== undefined && run.from - before.to <= gap) before.to = run.to;
      else joined.push({ ...run });
    }
    runs = joined;
  }
  return runs;
}
