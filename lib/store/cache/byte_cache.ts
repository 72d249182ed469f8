/**
 * ByteCache: bytes by key, in memory or on a server. A cache may lose anything at any time and never
 * fails: what cannot be had is a miss.
 */
import { crc32c, encodeUtf8 } from "../../base/mod.ts";

/** Value of each key, undefined where there is none. */
export type CachedValues = readonly (Uint8Array | undefined)[];

/** Keeps bytes for a while. */
export interface ByteCache {
  /**
   * The values of `keys`, in their order. Never rejects.
   *
   * Owner: borrowed, not to be changed.
   */
  get(keys: readonly string[], signal?: AbortSignal): CachedValues | Promise<CachedValues>;
  /** Stores a value for `ttl` ms, some time soon; the value must not change afterwards. */
  set(key: string, value: Uint8Array, ttl: number): void;
  /** Forgets a value, some time soon. */
  delete(key: string): void;
  close(): Promise<void>;
}

const SEAL_SIZE = 4;

/**
 * Puts a checksum over key and value before what is stored: a server that others write to, or that
 * mixes things up, then gives misses and never wrong bytes.
 */
export function sealCache(inner: ByteCache, damaged: () => void = () => {}): ByteCache {
  return {
    async get(keys, signal) {
      const sealed = await inner.get(keys, signal);
      return sealed.map((bytes, i) => {
        if (bytes === undefined) return undefined;
        const value = unseal(keys[i]!, bytes);
        if (value === undefined) damaged();
        return value;
      });
    },
    set: (key, value, ttl) => inner.set(key, seal(key, value), ttl),
    delete: (key) => inner.delete(key),
    close: () => inner.close(),
  };
}

function seal(key: string, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(SEAL_SIZE + value.length);
  sealed.set(value, SEAL_SIZE);
  new DataView(sealed.buffer).setUint32(0, sumOf(key, value));
  return sealed;
}

function unseal(key: string, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < SEAL_SIZE) return undefined;
  const value = sealed.subarray(SEAL_SIZE);
  const stored = new DataView(sealed.buffer, sealed.byteOffset).getUint32(0);
  return stored === sumOf(key, value) ? value : undefined;
}

function sumOf(key: string, value: Uint8Array): number {
  const name = encodeUtf8(key);
  return crc32c(value, 0, value.length, crc32c(name, 0, name.length));
}

/** Asks a small cache first and a larger one for the rest, which is then kept in the small one. */
export function tieredCache(near: ByteCache, far: ByteCache, ttl: number): ByteCache {
  return {
    async get(keys, signal) {
      const values = [...await near.get(keys, signal)];
      const missing = keys.flatMap((_, i) => values[i] === undefined ? [i] : []);
      if (missing.length === 0) return values;
      const found = await far.get(missing.map((i) => keys[i]!), signal);
      missing.forEach((i, k) => {
        const value = found[k];
        if (value === undefined) return;
        values[i] = value;
        near.set(keys[i]!, value, ttl);
      });
      return values;
    },
    set(key, value, life) {
      near.set(key, value, Math.min(life, ttl));
      far.set(key, value, life);
    },
    delete(key) {
      near.delete(key);
      far.delete(key);
    },
    async close() {
      await near.close();
      await far.close();
    },
  };
}
