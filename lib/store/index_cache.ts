/** Postings lists in memory, across requests: blocks never change, so nothing ever expires. */

/** Keeps decoded postings lists. */
export interface PostingsCache {
  /** The list at `offset` of a block's index; borrowed, not to be changed. */
  get(ulid: string, offset: number): Uint32Array | undefined;
  put(ulid: string, offset: number, refs: Uint32Array): void;
}

/** Told about the cache; the metrics of the component implement it. */
export interface CacheObserver {
  request(hit: boolean): void;
  added(): void;
  evicted(): void;
  overflowed(): void;
}

const SILENT: CacheObserver = { request() {}, added() {}, evicted() {}, overflowed() {} };

/** What an entry takes beside its references, bytes. */
const ENTRY_OVERHEAD = 160;

/** A least-recently-used cache with an exact budget of bytes. */
export class MemoryPostingsCache implements PostingsCache {
  readonly maxBytes: number;
  readonly maxItemBytes: number;
  readonly #observer: CacheObserver;
  readonly #entries = new Map<string, Uint32Array>();
  #bytes = 0;

  constructor(
    options: {
      readonly maxBytes: number;
      readonly maxItemBytes?: number;
      readonly observer?: CacheObserver;
    },
  ) {
    this.maxBytes = options.maxBytes;
    this.maxItemBytes = options.maxItemBytes ?? options.maxBytes / 2;
    this.#observer = options.observer ?? SILENT;
  }

  /** Bytes and entries held. */
  get bytes(): number {
    return this.#bytes;
  }
  get count(): number {
    return this.#entries.size;
  }

  get(ulid: string, offset: number): Uint32Array | undefined {
    const key = `${ulid}${offset}`;
    const refs = this.#entries.get(key);
    this.#observer.request(refs !== undefined);
    if (refs === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, refs);
    return refs;
  }

  put(ulid: string, offset: number, refs: Uint32Array): void {
    const key = `${ulid}${offset}`;
    const size = refs.byteLength + ENTRY_OVERHEAD;
    if (size > this.maxItemBytes || size > this.maxBytes) {
      this.#observer.overflowed();
      return;
    }
    if (this.#entries.has(key)) return;
    this.#entries.set(key, refs);
    this.#bytes += size;
    this.#observer.added();
    for (const [oldest, held] of this.#entries) {
      if (this.#bytes <= this.maxBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= held.byteLength + ENTRY_OVERHEAD;
      this.#observer.evicted();
    }
  }
}
