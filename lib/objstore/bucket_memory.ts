/** A bucket in memory, for tests and examples. */
import { type Clock, compareUtf8, systemClock, throwIfAborted } from "../base/mod.ts";
import { bodyPieces, bodySize, streamOf } from "./body.ts";
import type {
  Bucket,
  BucketEntry,
  CallOptions,
  IterOptions,
  ObjectAttributes,
  UploadBody,
  UploadOptions,
} from "./bucket.ts";
import {
  checkObjectName,
  checkRange,
  dirPrefix,
  objectExists,
  objectNotFound,
} from "./object_name.ts";

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly lastModified: number;
}

/** Objects in a map; every read and write copies, so that callers own what they hold. */
export class MemoryBucket implements Bucket {
  readonly name: string;
  readonly provider = "MEMORY";
  readonly #clock: Clock;
  readonly #objects = new Map<string, StoredObject>();

  constructor(options: { readonly name?: string; readonly clock?: Clock } = {}) {
    this.name = options.name ?? "memory";
    this.#clock = options.clock ?? systemClock;
  }

  /** Number of objects. */
  get objectCount(): number {
    return this.#objects.size;
  }

  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    const prefix = dirPrefix(dir);
    const entries = new Map<string, StoredObject | undefined>();
    for (const [name, object] of this.#objects) {
      if (!name.startsWith(prefix)) continue;
      const slash = options.recursive === true ? -1 : name.indexOf("/", prefix.length);
      if (slash < 0) entries.set(name, object);
      else entries.set(name.slice(0, slash + 1), undefined);
    }
    for (const name of [...entries.keys()].sort(compareUtf8)) {
      throwIfAborted(options.signal);
      const object = entries.get(name);
      if (options.attributes === true && object !== undefined) {
        yield { name, attributes: attributesOf(object) };
      } else {
        yield { name };
      }
    }
  }

  async get(name: string, options: CallOptions = {}): Promise<Uint8Array> {
    return this.#object(name, options).bytes.slice();
  }

  async getStream(name: string, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return streamOf(this.#object(name, options).bytes.slice());
  }

  async getRange(
    name: string,
    offset: number,
    length: number,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    checkRange(name, offset, length);
    const { bytes } = this.#object(name, options);
    return bytes.slice(offset, length < 0 ? bytes.length : Math.min(bytes.length, offset + length));
  }

  async exists(name: string, options: CallOptions = {}): Promise<boolean> {
    checkObjectName(name);
    throwIfAborted(options.signal);
    return this.#objects.has(name);
  }

  async attributes(name: string, options: CallOptions = {}): Promise<ObjectAttributes> {
    return attributesOf(this.#object(name, options));
  }

  async upload(name: string, body: UploadBody, options: UploadOptions = {}): Promise<void> {
    checkObjectName(name);
    const bytes = new Uint8Array(bodySize(body));
    let at = 0;
    for await (const piece of bodyPieces(name, body)) {
      throwIfAborted(options.signal);
      bytes.set(piece, at);
      at += piece.length;
    }
    throwIfAborted(options.signal);
    if (options.ifAbsent === true && this.#objects.has(name)) throw objectExists(name, this.name);
    this.#objects.set(name, { bytes, lastModified: this.#clock.now() });
  }

  async delete(name: string, options: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    throwIfAborted(options.signal);
    this.#objects.delete(name);
  }

  async close(): Promise<void> {}

  #object(name: string, options: CallOptions): StoredObject {
    checkObjectName(name);
    throwIfAborted(options.signal);
    const object = this.#objects.get(name);
    if (object === undefined) throw objectNotFound(name, this.name);
    return object;
  }
}

function attributesOf(object: StoredObject): ObjectAttributes {
  return { size: object.bytes.length, lastModified: object.lastModified };
}
