/** Redis by ioredis: one server, the master that sentinels name, or a cluster. */
import { Buffer } from "node:buffer";
import { MnemeError } from "../../base/mod.ts";
import type { CachedValues } from "./byte_cache.ts";
import type { CacheClient } from "./remote_cache.ts";

/** Certificates of a TLS connection, as text. */
export interface RedisTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
  readonly insecureSkipVerify: boolean;
}

/** Settings of a Redis client; times in ms. */
export interface RedisOptions {
  /** `host:port`; several, separated by commas, are a cluster, or sentinels with `masterName`. */
  readonly addr: string;
  readonly username: string;
  readonly password: string;
  readonly db: number;
  readonly masterName: string;
  readonly prefix: string;
  readonly dialTimeout: number;
  readonly readTimeout: number;
  readonly tls?: RedisTls;
}

/** What is used of ioredis. */
interface RedisClient {
  mgetBuffer(...keys: string[]): Promise<(Uint8Array | null)[]>;
  getBuffer(key: string): Promise<Uint8Array | null>;
  set(key: string, value: Uint8Array, unit: "PX", ttl: number): Promise<unknown>;
  del(key: string): Promise<unknown>;
  on(event: "error", listener: (error: unknown) => void): unknown;
  disconnect(): void;
}

/** Longest pause between attempts to connect, ms. */
const MAX_RECONNECT = 2000;

/** Loads ioredis and makes the client; connects when it is first used. */
export async function redisClient(options: RedisOptions): Promise<CacheClient> {
  const addresses = options.addr.split(",").map((a) => a.trim()).filter((a) => a !== "");
  if (addresses.length === 0) throw new MnemeError("bad_data", "no redis addr provided");
  const hosts = addresses.map(splitAddress);
  const { Cluster, Redis } = await import("ioredis");
  const tls = options.tls === undefined ? {} : {
    tls: {
      ...(options.tls.ca === undefined ? {} : { ca: options.tls.ca }),
      ...(options.tls.cert === undefined ? {} : { cert: options.tls.cert }),
      ...(options.tls.key === undefined ? {} : { key: options.tls.key }),
      ...(options.tls.serverName === undefined ? {} : { servername: options.tls.serverName }),
      rejectUnauthorized: !options.tls.insecureSkipVerify,
    },
  };
  const settings = {
    ...(options.username === "" ? {} : { username: options.username }),
    ...(options.password === "" ? {} : { password: options.password }),
    db: options.db,
    connectTimeout: options.dialTimeout,
    commandTimeout: options.readTimeout,
    // Calls fail with the connection, at once; it is made again in the background.
    maxRetriesPerRequest: 0,
    retryStrategy: (times: number) => Math.min(times * 100, MAX_RECONNECT),
    lazyConnect: true,
    keyPrefix: options.prefix,
    ...tls,
  };
  const cluster = hosts.length > 1 && options.masterName === "";
  const client = cluster
    ? new Cluster(hosts, {
      redisOptions: settings,
      lazyConnect: true,
      clusterRetryStrategy: settings.retryStrategy,
      keyPrefix: options.prefix,
    })
    : options.masterName === ""
    ? new Redis({ ...settings, ...hosts[0]! })
    : new Redis({ ...settings, sentinels: hosts, name: options.masterName });
  return new RedisCacheClient(client as unknown as RedisClient, cluster);
}

function splitAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  if (colon <= 0 || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw new MnemeError("bad_data", `redis addr ${address} is not <host>:<port>`);
  }
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port };
}

class RedisCacheClient implements CacheClient {
  readonly #client: RedisClient;
  readonly #cluster: boolean;

  constructor(client: RedisClient, cluster: boolean) {
    this.#client = client;
    this.#cluster = cluster;
    // Every failed call is told by itself; without a listener the event would end the process.
    client.on("error", () => {});
  }

  async get(keys: readonly string[]): Promise<CachedValues> {
    // The keys of a cluster lie on several servers.
    const values = this.#cluster
      ? await Promise.all(keys.map((key) => this.#client.getBuffer(key)))
      : await this.#client.mgetBuffer(...keys);
    return values.map((value) => value ?? undefined);
  }
  async set(key: string, value: Uint8Array, ttl: number): Promise<void> {
    const buffer = Buffer.from(value.buffer, value.byteOffset, value.length);
    await this.#client.set(key, buffer, "PX", Math.max(1, Math.round(ttl)));
  }
  async delete(key: string): Promise<void> {
    await this.#client.del(key);
  }
  /** The client connects again by itself. */
  reset(): void {}
  async close(): Promise<void> {
    this.#client.disconnect();
  }
}
