/** A ByteCache in the memory of this process. */
import { type Clock, systemClock } from "../../base/mod.ts";
import type { ByteCache, CachedValues } from "./byte_cache.ts";
import { Lru, type LruObserver } from "./lru.ts";

/** Settings of a memory cache. */
export interface MemoryCacheOptions {
  readonly maxBytes: number;
  readonly maxItemBytes: number;
  readonly clock?: Clock;
  readonly observer?: LruObserver & { request(keys: number, hits: number): void };
}

/** Least recently used bytes within an exact budget. */
export class MemoryCache implements ByteCache {
  readonly #lru: Lru<Uint8Array>;
  readonly #clock: Clock;
  readonly #request: (keys: number, hits: number) => void;

  constructor(options: MemoryCacheOptions) {
    this.#lru = new Lru(options);
    this.#clock = options.clock ?? systemClock;
    this.#request = options.observer?.request.bind(options.observer) ?? (() => {});
  }

  /** Bytes and entries held. */
  get bytes(): number {
    return this.#lru.bytes;
  }
  get count(): number {
    return this.#lru.count;
  }

  get(keys: readonly string[]): CachedValues {
    const now = this.#clock.now();
    let hits = 0;
    const values = keys.map((key) => {
      const value = this.#lru.get(key, now);
      if (value !== undefined) hits++;
      return value;
    });
    this.#request(keys.length, hits);
    return values;
  }

  set(key: string, value: Uint8Array, ttl: number): void {
    // A view of something larger would keep all of it.
    const own = value.buffer.byteLength === value.length ? value : value.slice();
    this.#lru.set(key, own, this.#clock.now() + ttl);
  }
  delete(key: string): void {
    this.#lru.delete(key);
  }
  async close(): Promise<void> {}
}
