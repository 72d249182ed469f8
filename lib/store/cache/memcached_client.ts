/** Memcached by memjs, one client for each server; keys are spread over them by their hash. */
import { Buffer } from "node:buffer";
import { encodeUtf8, errorMessage, MnemeError, xxhash64Into } from "../../base/mod.ts";
import type { CachedValues } from "./byte_cache.ts";
import type { CacheClient } from "./remote_cache.ts";

/** Settings of Memcached clients; times in ms. */
export interface MemcachedOptions {
  readonly addresses: readonly string[];
  readonly timeout: number;
  /** The servers behind an address with a `dns+` or `dnssrv+` prefix. */
  readonly resolve: (address: string) => Promise<readonly string[]>;
  /** Time between two lookups. */
  readonly resolveInterval: number;
  readonly now?: () => number;
}

/** What is used of memjs. */
interface MemjsClient {
  get(key: string): Promise<{ readonly value: Uint8Array | null }>;
  set(key: string, value: Uint8Array, options: { readonly expires: number }): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  close(): void;
}
type MakeClient = (address: string) => MemjsClient;

/** Memcached counts longer times as dates. */
const MAX_EXPIRY_S = 30 * 24 * 3600;
/** How long one of several servers is left alone after a failure, ms. */
const DOWN_MS = 5000;

/** Loads memjs and makes the client; connects when it is first used. */
export async function memcachedClient(options: MemcachedOptions): Promise<CacheClient> {
  if (options.addresses.length === 0) {
    throw new MnemeError("bad_data", "no memcached addresses provided");
  }
  const { default: memjs } = await import("memjs");
  // A little less than the caller waits: then one slow server of several is told from the others.
  const seconds = options.timeout * 0.9 / 1000;
  const make: MakeClient = (address) => {
    const { host, port } = splitAddress(address);
    const settings = {
      timeout: seconds,
      conntimeout: seconds,
      retries: 1,
      failover: false,
      keepAlive: true,
      // Failures are counted and logged by who asked.
      logger: { log() {} },
    };
    const server = new memjs.Server(host, port, undefined, undefined, settings);
    return new memjs.Client([server], settings) as unknown as MemjsClient;
  };
  return new MemcachedClient(options, make);
}

function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  if (colon <= 0 || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new MnemeError("bad_data", `memcached address ${address} is not <host>:<port>`);
  }
  return { host, port };
}

class MemcachedClient implements CacheClient {
  readonly #options: MemcachedOptions;
  readonly #make: MakeClient;
  readonly #now: () => number;
  #addresses: readonly string[];
  #resolveAt = -Infinity;
  #resolving: Promise<void> | undefined;
  readonly #clients = new Map<string, MemjsClient>();
  /** Servers left alone until some time, ms. */
  readonly #down = new Map<string, number>();

  constructor(options: MemcachedOptions, make: MakeClient) {
    this.#options = options;
    this.#make = make;
    this.#now = options.now ?? Date.now;
    const plain = options.addresses.filter((address) => !address.includes("+"));
    for (const address of plain) splitAddress(address);
    this.#addresses = plain.toSorted();
    if (plain.length === options.addresses.length) this.#resolveAt = Infinity;
  }

  async #addressOf(key: string): Promise<string> {
    if (this.#now() >= this.#resolveAt) {
      this.#resolving ??= this.#resolve().finally(() => this.#resolving = undefined);
      // Only the first lookup is waited for.
      if (this.#addresses.length === 0) await this.#resolving;
    }
    const addresses = this.#addresses;
    if (addresses.length === 0) throw new MnemeError("unavailable", "no memcached server is known");
    return addresses[bucketOf(key, addresses.length)]!;
  }

  /** Calls the server of a key; one that failed is left alone for a while. */
  async #call<T>(key: string, call: (client: MemjsClient) => Promise<T>): Promise<T> {
    const address = await this.#addressOf(key);
    if (this.#now() < (this.#down.get(address) ?? -Infinity)) {
      throw new MnemeError("unavailable", `memcached ${address} did not answer a moment ago`);
    }
    let client = this.#clients.get(address);
    if (client === undefined) this.#clients.set(address, client = this.#make(address));
    try {
      return await call(client);
    } catch (error) {
      if (this.#clients.get(address) === client) {
        // A client that lost its place in the stream of answers does not find it again.
        this.#clients.delete(address);
        client.close();
        if (this.#addresses.length > 1) this.#down.set(address, this.#now() + DOWN_MS);
      }
      throw new MnemeError("unavailable", `memcached ${address}: ${errorMessage(error)}`);
    }
  }

  async #resolve(): Promise<void> {
    this.#resolveAt = this.#now() + this.#options.resolveInterval;
    const lists = await Promise.all(this.#options.addresses.map(async (address) => {
      if (!address.includes("+")) return [address];
      try {
        return await this.#options.resolve(address);
      } catch {
        // A lookup that fails keeps what is known; without any server the calls fail and are told.
        return [];
      }
    }));
    const found = [...new Set(lists.flat())].toSorted();
    if (found.length > 0) this.#addresses = found;
  }

  async get(keys: readonly string[]): Promise<CachedValues> {
    let failed = 0;
    let failure: unknown;
    const values = await Promise.all(keys.map(async (key) => {
      try {
        const { value } = await this.#call(key, (client) => client.get(key));
        return value === null ? undefined : value;
      } catch (error) {
        failed++;
        failure = error;
        return undefined;
      }
    }));
    // One of several servers being down costs its own keys only.
    if (failed > 0 && failed === keys.length) throw failure;
    return values;
  }

  async set(key: string, value: Uint8Array, ttl: number): Promise<void> {
    const expires = Math.min(MAX_EXPIRY_S, Math.max(1, Math.round(ttl / 1000)));
    const buffer = Buffer.from(value.buffer, value.byteOffset, value.length);
    await this.#call(key, (client) => client.set(key, buffer, { expires }));
  }
  async delete(key: string): Promise<void> {
    await this.#call(key, (client) => client.delete(key));
  }

  /** After calls that took too long: their answers may still come, to nobody. */
  reset(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
  async close(): Promise<void> {
    this.reset();
  }
}

/** Jump consistent hash: when servers are added, few keys move. */
function bucketOf(key: string, buckets: number): number {
  if (buckets === 1) return 0;
  const hash = new Uint32Array(2);
  xxhash64Into(encodeUtf8(key), hash, 0);
  let state = hash[0]!;
  let bucket = 0;
  for (let next = 0; next < buckets;) {
    bucket = next;
    state = (Math.imul(state, 0x9e3779b1) + 0x7f4a7c15) >>> 0;
    next = Math.floor((bucket + 1) / ((state + 1) / 2 ** 32));
  }
  return bucket;
}
