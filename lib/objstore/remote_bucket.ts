/**
 * What buckets behind a network have in common: names, tries, ranges, streams that go on after a cut,
 * sorted listings, uploads in parts. A provider adds a RemoteDriver, one request per method.
 */
import {
  type Clock,
  compareUtf8,
  errorMessage,
  MnemeError,
  systemClock,
  throwIfAborted,
} from "../base/mod.ts";
import { bodyPieces, bodySize } from "./body.ts";
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
import {
  checkObjectName,
  checkRange,
  dirPrefix,
  isObjectName,
  objectNotFound,
} from "./object_name.ts";
import { DEFAULT_RETRIES, RemoteError, type RetryPolicy, withRetries } from "./remote_error.ts";
import { uploadInParts } from "./remote_upload.ts";

/** One page of a listing. */
export interface RemotePage {
  readonly objects: readonly { readonly name: string; readonly attributes: ObjectAttributes }[];
  /** Folders, with their slash. */
  readonly folders: readonly string[];
  /** Where the next page starts; absent on the last one. */
  readonly next?: string | undefined;
}

/** An object that is being read. */
export interface RemoteRead {
  /** Bytes to come when the server keeps its word. */
  readonly length: number | undefined;
  /** Version of the object, to go on with the same one. */
  readonly etag: string | undefined;
  all(options: CallOptions & { readonly into?: Uint8Array }): Promise<Uint8Array>;
  pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array, void>;
}

/** What to read. */
export interface RemoteReadOptions extends CallOptions {
  readonly offset: number;
  /** -1 reads to the end. */
  readonly length: number;
  /** Fail with `conflict` when the object is another one by now. */
  readonly etag?: string | undefined;
}

/** An upload in parts; nothing is visible before complete(). */
export interface RemoteParts {
  /** Parts on their way at most, where the provider cannot take as many as others do. */
  readonly width?: number;
  /** Sends part `number`, counted from 1; gives its tag. */
  part(number: number, bytes: Uint8Array, signal?: AbortSignal): Promise<string>;
  complete(tags: readonly string[], signal?: AbortSignal): Promise<void>;
  abort(): Promise<void>;
}

/** How an upload is cut. */
export interface PartSizes {
  /** Larger bodies go in parts. */
  readonly single: number;
  /** Size of a part; grows where the provider's number of parts would not do. */
  readonly part: number;
  readonly maxParts: number;
}

/** One request per method; errors are RemoteError whose message is the reason only. */
export interface RemoteDriver {
  readonly name: string;
  readonly provider: string;
  readonly parts: PartSizes;
  list(
    options: CallOptions & {
      readonly prefix: string;
      readonly recursive: boolean;
      readonly token: string | undefined;
    },
  ): Promise<RemotePage>;
  /** Undefined when the range starts at or behind the object's end. */
  read(name: string, options: RemoteReadOptions): Promise<RemoteRead | undefined>;
  head(name: string, options: CallOptions): Promise<ObjectAttributes>;
  put(name: string, bytes: Uint8Array, options: UploadOptions): Promise<void>;
  startParts(name: string, options: UploadOptions, size: number): Promise<RemoteParts>;
  delete(name: string, options: CallOptions): Promise<void>;
  close(): Promise<void>;
}

/** What a bucket needs from outside. */
export interface RemoteEnv {
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly retries?: RetryPolicy;
  /** Texts that no message may hold. */
  readonly secrets?: readonly string[];
  /** Told of every request that is tried again. */
  readonly retried?: (operation: string, error: RemoteError) => void;
}

/** A bucket over a driver. */
export class RemoteBucket implements Bucket {
  readonly name: string;
  readonly provider: string;
  readonly #driver: RemoteDriver;
  readonly #env: RemoteEnv;
  readonly #clock: Clock;
  readonly #retries: RetryPolicy;
  readonly #secrets: readonly string[];

  constructor(driver: RemoteDriver, env: RemoteEnv = {}) {
    this.name = driver.name;
    this.provider = driver.provider;
    this.#driver = driver;
    this.#env = env;
    this.#clock = env.clock ?? systemClock;
    this.#retries = env.retries ?? DEFAULT_RETRIES;
    this.#secrets = (env.secrets ?? []).filter((secret) => secret.length >= 4);
  }

  async *iter(dir: string, options: IterOptions = {}): AsyncIterable<BucketEntry> {
    const prefix = dirPrefix(dir);
    const recursive = options.recursive === true;
    let token: string | undefined;
    let previous: ReadonlySet<string> = new Set();
    do {
      const page: RemotePage = await this.#try("list", prefix, options.signal, () => {
        const { signal } = options;
        return this.#driver.list({ prefix, recursive, token, ...(signal && { signal }) });
      });
      const entries = pageEntries(page, prefix, options.attributes === true);
      const seen = new Set<string>();
      for (const entry of entries) {
        throwIfAborted(options.signal);
        // A server may repeat at the start of a page what ended the one before.
        if (previous.has(entry.name) || seen.has(entry.name)) continue;
        seen.add(entry.name);
        yield entry;
      }
      previous = seen;
      if (page.next !== undefined && page.next === token) {
        throw this.#failure(
          "list",
          prefix,
          new RemoteError("unavailable", "the server gives the same page again and again"),
        );
      }
      token = page.next;
    } while (token !== undefined);
  }

  async get(name: string, options: CallOptions = {}): Promise<Uint8Array> {
    checkObjectName(name);
    return await this.#try("read", name, options.signal, async () => {
      const read = await this.#driver.read(name, { ...options, offset: 0, length: -1 });
      return read === undefined ? new Uint8Array(0) : await read.all(options);
    });
  }

  async getStream(name: string, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
    checkObjectName(name);
    const first = await this.#try(
      "read",
      name,
      options.signal,
      () => this.#driver.read(name, { ...options, offset: 0, length: -1 }),
    );
    const pieces = this.#resumed(name, first, options);
    return new ReadableStream({
      async pull(controller) {
        try {
          const { done, value } = await pieces.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(error);
        }
      },
      async cancel() {
        await pieces.return();
      },
    }, { highWaterMark: 0 });
  }

  /** The pieces of an object; after a cut it goes on where it ended, with the same version. */
  async *#resumed(
    name: string,
    first: RemoteRead | undefined,
    options: CallOptions,
  ): AsyncGenerator<Uint8Array, void> {
    let read = first;
    let at = 0;
    let end = first?.length;
    for (let failures = 0; read !== undefined;) {
      let failed: unknown;
      try {
        for await (const piece of read.pieces(options.signal)) {
          at += piece.length;
          failures = 0;
          yield piece;
        }
        if (end === undefined || at === end) return;
        failed = new RemoteError("unavailable", `the body ended after ${at} of ${end} bytes`);
      } catch (error) {
        failed = error;
      }
      const retryable = failed instanceof RemoteError && failed.retryable;
      if (!retryable || ++failures >= this.#retries.attempts) {
        throw this.#failure("read", name, failed);
      }
      const { etag } = read;
      await this.#clock.sleep(
        this.#retries.base * 2 ** failures * (this.#env.random ?? Math.random)(),
        options.signal,
      );
      read = await this.#try(
        "read",
        name,
        options.signal,
        () => this.#driver.read(name, { ...options, offset: at, length: -1, etag }),
      );
      end ??= read?.length === undefined ? undefined : at + read.length;
    }
    if (end !== undefined && at !== end) {
      throw this.#failure(
        "read",
        name,
        new RemoteError("unavailable", `the object has ${at} of the announced ${end} bytes`),
      );
    }
  }

  async getRange(
    name: string,
    offset: number,
    length: number,
    options: RangeCallOptions = {},
  ): Promise<Uint8Array> {
    checkObjectName(name);
    checkRange(name, offset, length);
    if (length === 0) {
      // HTTP has no empty ranges, but a missing object must be told all the same.
      await this.attributes(name, options);
      return new Uint8Array(0);
    }
    const { signal, into } = options;
    return await this.#try("read", name, signal, async () => {
      const read = await this.#driver.read(name, { offset, length, ...(signal && { signal }) });
      if (read === undefined) return new Uint8Array(0);
      return await read.all({ ...(signal && { signal }), ...(into && { into }) });
    });
  }

  async exists(name: string, options: CallOptions = {}): Promise<boolean> {
    try {
      await this.attributes(name, options);
      return true;
    } catch (error) {
      if (error instanceof MnemeError && error.kind === "not_found") return false;
      throw error;
    }
  }

  async attributes(name: string, options: CallOptions = {}): Promise<ObjectAttributes> {
    checkObjectName(name);
    return await this.#try("stat", name, options.signal, () => this.#driver.head(name, options));
  }

  async upload(name: string, body: UploadBody, options: UploadOptions = {}): Promise<void> {
    checkObjectName(name);
    throwIfAborted(options.signal);
    const sizes = this.#driver.parts;
    if (bodySize(body) > sizes.single) {
      await uploadInParts(name, body, {
        sizes,
        start: () =>
          this.#try(
            "upload",
            name,
            options.signal,
            () => this.#driver.startParts(name, options, bodySize(body)),
          ),
        retry: (work) => this.#try("upload", name, options.signal, work),
        ...(options.signal && { signal: options.signal }),
      });
      return;
    }
    const bytes = await collect(name, body, options.signal);
    let tries = 0;
    try {
      await this.#try("upload", name, options.signal, () => {
        tries++;
        return this.#driver.put(name, bytes, options);
      });
    } catch (error) {
      if (tries < 2 || !(error instanceof MnemeError) || error.kind !== "conflict") throw error;
      // The answer to an earlier try may have got lost: then the object is the one just written.
      const there = await this.get(name, options.signal ? { signal: options.signal } : {});
      if (there.length !== bytes.length || there.some((byte, i) => byte !== bytes[i])) throw error;
    }
  }

  async delete(name: string, options: CallOptions = {}): Promise<void> {
    checkObjectName(name);
    await this.#try("delete", name, options.signal, () => this.#driver.delete(name, options));
  }

  async close(): Promise<void> {
    await this.#driver.close();
  }

  async #try<T>(
    verb: string,
    name: string,
    signal: AbortSignal | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await withRetries(work, this.#retries, {
        clock: this.#clock,
        random: this.#env.random ?? Math.random,
        signal,
        retried: (error) => this.#env.retried?.(verb, error),
      });
    } catch (error) {
      throwIfAborted(signal);
      throw this.#failure(verb, name, error);
    }
  }

  /** The error as callers see it: what was to be done, to what, and why not; no secret. */
  #failure(verb: string, name: string, error: unknown): unknown {
    if (!(error instanceof RemoteError)) {
      if (error instanceof MnemeError) return error;
      return new MnemeError(
        "internal",
        this.#redact(`Cannot ${verb} ${name}: ${errorMessage(error)}`),
      );
    }
    if (error.kind === "not_found") return objectNotFound(name, this.name);
    const what = verb !== "list" ? `object ${name}` : name === "" ? "the objects" : `"${name}"`;
    const reason = this.#redact(error.message).replace(/\s+/g, " ").slice(0, 500);
    return new MnemeError(
      error.kind,
      `Cannot ${verb} ${what} in bucket ${this.name}: ${reason}`,
      { attrs: { object: name } },
    );
  }

  #redact(text: string): string {
    let shown = text;
    for (const secret of this.#secrets) shown = shown.replaceAll(secret, "<secret>");
    return shown;
  }
}

/** Entries of a page in byte order; names that no bucket of ours may hold are left out. */
function pageEntries(page: RemotePage, prefix: string, attributes: boolean): BucketEntry[] {
  const entries: BucketEntry[] = [];
  for (const object of page.objects) {
    if (!object.name.startsWith(prefix) || !isObjectName(object.name)) continue;
    entries.push(
      attributes ? { name: object.name, attributes: object.attributes } : {
        name: object.name,
      },
    );
  }
  for (const name of page.folders) {
    if (name.startsWith(prefix) && isObjectName(name.slice(0, -1))) entries.push({ name });
  }
  return entries.sort((a, b) => compareUtf8(a.name, b.name));
}

async function collect(
  name: string,
  body: UploadBody,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const bytes = new Uint8Array(body.size);
  let at = 0;
  for await (const piece of bodyPieces(name, body)) {
    throwIfAborted(signal);
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
