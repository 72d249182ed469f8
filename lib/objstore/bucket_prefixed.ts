/** A bucket whose objects all live under a prefix of another one. */
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  RangeCallOptions,
  UploadBody,
  UploadOptions,
} from "./bucket.ts";
import { checkObjectName, dirPrefix } from "./object_name.ts";

/**
 * Puts every object below `prefix`; a prefix of nothing but slashes changes nothing.
 *
 * The name (a metrics label) stays that of the inner bucket, as in Thanos.
 */
export function prefixBucket(inner: Bucket, prefix: string): Bucket {
  const trimmed = prefix.replace(/^\/+|\/+$/g, "");
  if (trimmed === "") return inner;
  checkObjectName(trimmed);
  return new PrefixedBucket(inner, trimmed + "/");
}

class PrefixedBucket implements Bucket {
  readonly name: string;
  readonly provider: string;
  readonly #inner: Bucket;
  readonly #prefix: string;

  constructor(inner: Bucket, prefix: string) {
    this.name = inner.name;
    this.provider = inner.provider;
    this.#inner = inner;
    this.#prefix = prefix;
  }

  async *iter(dir: string, options?: IterOptions): AsyncIterable<BucketEntry> {
    const cut = this.#prefix.length;
    for await (const entry of this.#inner.iter(this.#prefix + dirPrefix(dir), options)) {
      const name = entry.name.slice(cut);
      yield entry.attributes === undefined ? { name } : { name, attributes: entry.attributes };
    }
  }
  async get(name: string, options?: CallOptions): Promise<Uint8Array> {
    return await this.#inner.get(this.#full(name), options);
  }
  async getStream(name: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>> {
    return await this.#inner.getStream(this.#full(name), options);
  }
  async getRange(
    name: string,
    offset: number,
    length: number,
    options?: RangeCallOptions,
  ): Promise<Uint8Array> {
    return await this.#inner.getRange(this.#full(name), offset, length, options);
  }
  async exists(name: string, options?: CallOptions): Promise<boolean> {
    return await this.#inner.exists(this.#full(name), options);
  }
  async attributes(name: string, options?: CallOptions): Promise<ObjectAttributes> {
    return await this.#inner.attributes(this.#full(name), options);
  }
  async upload(name: string, body: UploadBody, options?: UploadOptions): Promise<void> {
    await this.#inner.upload(this.#full(name), body, options);
  }
  async linkFrom(name: string, path: string, options?: CallOptions): Promise<boolean> {
    return await this.#inner.linkFrom?.(this.#full(name), path, options) ?? false;
  }
  async linkTo(name: string, path: string, options?: CallOptions): Promise<boolean> {
    return await this.#inner.linkTo?.(this.#full(name), path, options) ?? false;
  }
  async delete(name: string, options?: CallOptions): Promise<void> {
    await this.#inner.delete(this.#full(name), options);
  }
  async close(): Promise<void> {
    await this.#inner.close();
  }

  /** The name is checked before the prefix is put in front: `../x` must not eat into the prefix. */
  #full(name: string): string {
    checkObjectName(name);
    return this.#prefix + name;
  }
}
