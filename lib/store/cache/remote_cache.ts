/**
 * RemoteCache: what all cache servers need on this side. Time-outs, bounded concurrency and a bounded
 * queue of writes; a server that does not answer is left alone for a while, so that it slows down a
 * few requests and not every one.
 */
import { type Clock, errorMessage, Gate, systemClock } from "../../base/mod.ts";
import type { ByteCache, CachedValues } from "./byte_cache.ts";

/** The client of one kind of cache server; its calls may fail, and may take for ever. */
export interface CacheClient {
  get(keys: readonly string[]): Promise<CachedValues>;
  set(key: string, value: Uint8Array, ttl: number): Promise<void>;
  delete(key: string): Promise<void>;
  /** Called after a failure; the next call must find a connection that is in order. */
  reset(): void;
  close(): Promise<void>;
}

/** When a failing server is left alone. */
export interface BreakerOptions {
  /** Failures in a row. */
  readonly consecutiveFailures: number;
  /** How long, ms. */
  readonly openDuration: number;
}

/** Settings of a remote cache. */
export interface RemoteCacheOptions {
  /** Time a read may take, ms. */
  readonly getTimeout: number;
  /** Time a write may take, ms. */
  readonly setTimeout: number;
  /** Batches of keys read at once, and keys of a batch; 0 = no limit. */
  readonly getConcurrency: number;
  readonly getBatch: number;
  /** Writes at once, and those that wait at most; more are skipped. */
  readonly setConcurrency: number;
  readonly setBuffer: number;
  /** Larger values are not sent. */
  readonly maxItemBytes: number;
  readonly breaker: BreakerOptions;
  readonly clock?: Clock;
  readonly observer?: RemoteCacheObserver;
}

/** Operations of a cache server. */
export type CacheOperation = "getmulti" | "set" | "delete";

/** Told about calls; metrics implement it. */
export interface RemoteCacheObserver {
  request(keys: number, hits: number): void;
  called(operation: CacheOperation, seconds: number): void;
  failed(operation: CacheOperation, reason: "timeout" | "other", message: string): void;
  skipped(operation: CacheOperation, reason: "max-item-size" | "buffer-full" | "unavailable"): void;
}

const SILENT: RemoteCacheObserver = { request() {}, called() {}, failed() {}, skipped() {} };

/** A cache on a server. */
export class RemoteCache implements ByteCache {
  readonly #client: CacheClient;
  readonly #options: RemoteCacheOptions;
  readonly #clock: Clock;
  readonly #observer: RemoteCacheObserver;
  readonly #gets: Gate;
  readonly #sets: Gate;
  /** Bytes of waiting writes are bounded, too: an entry holds its value. */
  #waiting = 0;
  #failures = 0;
  #closedUntil = -Infinity;
  #closed = false;

  constructor(client: CacheClient, options: RemoteCacheOptions) {
    this.#client = client;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#observer = options.observer ?? SILENT;
    this.#gets = new Gate(options.getConcurrency);
    this.#sets = new Gate(options.setConcurrency);
  }

  async get(keys: readonly string[], signal?: AbortSignal): Promise<CachedValues> {
    const { getBatch } = this.#options;
    const size = getBatch > 0 ? getBatch : Math.max(1, keys.length);
    const batches: Promise<CachedValues>[] = [];
    for (let from = 0; from < keys.length; from += size) {
      batches.push(this.#getBatch(keys.slice(from, from + size), signal));
    }
    const values = (await Promise.all(batches)).flat();
    this.#observer.request(keys.length, values.filter((v) => v !== undefined).length);
    return values;
  }

  async #getBatch(keys: readonly string[], signal: AbortSignal | undefined): Promise<CachedValues> {
    const nothing = () => keys.map(() => undefined);
    try {
      if (!this.#usable("getmulti")) return nothing();
      const release = await this.#gets.enter(signal);
      try {
        if (!this.#usable("getmulti")) return nothing();
        const call = () => this.#client.get(keys);
        return await this.#call("getmulti", this.#options.getTimeout, call) ?? nothing();
      } finally {
        release();
      }
    } catch {
      // The request was canceled while it waited; whoever asked finds out by the same signal.
      return nothing();
    }
  }

  set(key: string, value: Uint8Array, ttl: number): void {
    if (ttl <= 0) return;
    if (value.length > this.#options.maxItemBytes) {
      this.#observer.skipped("set", "max-item-size");
      return;
    }
    this.#later("set", () => this.#client.set(key, value, ttl));
  }
  delete(key: string): void {
    this.#later("delete", () => this.#client.delete(key));
  }

  #later(operation: "set" | "delete", call: () => Promise<void>): void {
    if (!this.#usable(operation)) return;
    if (this.#waiting >= this.#options.setBuffer) {
      this.#observer.skipped(operation, "buffer-full");
      return;
    }
    this.#waiting++;
    void this.#sets.run(async () => {
      if (!this.#usable(operation)) return;
      await this.#call(operation, this.#options.setTimeout, call);
    }).finally(() => this.#waiting--);
  }

  #usable(operation: CacheOperation): boolean {
    if (!this.#closed && this.#clock.now() >= this.#closedUntil) return true;
    this.#observer.skipped(operation, "unavailable");
    return false;
  }

  /** The result of a call, undefined when it failed or took too long. */
  async #call<T>(
    operation: CacheOperation,
    timeout: number,
    call: () => Promise<T>,
  ): Promise<T | undefined> {
    const began = this.#clock.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let late = false;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        late = true;
        reject(new Error(`no answer within ${timeout} ms`));
      }, timeout);
    });
    try {
      const result = await Promise.race([call(), limit]);
      this.#failures = 0;
      return result;
    } catch (error) {
      this.#failed(operation, late ? "timeout" : "other", error);
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#observer.called(operation, (this.#clock.now() - began) / 1000);
    }
  }

  #failed(operation: CacheOperation, reason: "timeout" | "other", error: unknown): void {
    if (this.#closed) return;
    this.#observer.failed(operation, reason, errorMessage(error));
    const { consecutiveFailures, openDuration } = this.#options.breaker;
    if (++this.#failures >= consecutiveFailures) {
      this.#failures = 0;
      this.#closedUntil = this.#clock.now() + openDuration;
    }
    this.#client.reset();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client.close();
  }
}
