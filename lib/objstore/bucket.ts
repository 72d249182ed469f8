/**
 * Bucket: what Mneme asks of object storage. Every implementation passes `acceptance.ts`.
 *
 * Names use "/" and never start with it, contain no empty, "." or ".." part; a name that does is
 * refused with bad_data before anything is touched. Source: objstore's contract as Thanos uses it.
 */

/** What is known about an object without reading it. */
export interface ObjectAttributes {
  readonly size: number;
  /** Last modification, ms since the epoch. */
  readonly lastModified: number;
}

/** One entry of a listing. */
export interface BucketEntry {
  /** Full name; sub-directories end in "/". */
  readonly name: string;
  /** Known when asked for with `attributes` and the provider tells it in listings. */
  readonly attributes?: ObjectAttributes;
}

/** How to list. */
export interface IterOptions {
  /** List every object below, and no directories. */
  readonly recursive?: boolean;
  /** Also tell size and modification time. */
  readonly attributes?: boolean;
  /**
   * Names about which the caller needs to know no more than that they exist; folders end in "/". A
   * bucket that saves work by it tells them without attributes, and such folders in place of what
   * lies below; others list everything.
   */
  readonly brief?: (name: string) => boolean;
  readonly signal?: AbortSignal;
}

/** What may be uploaded: bytes, or a stream whose length is known. */
export type UploadBody =
  | Uint8Array
  | { readonly stream: ReadableStream<Uint8Array>; readonly size: number };

/** Options of a single call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Read past caches, which then hold what was read: for bytes that turned out to be damaged. */
  readonly fresh?: boolean;
}

/** Options of upload(). */
export interface UploadOptions extends CallOptions {
  /**
   * Only write where no object is: of several writers one succeeds, the others get `conflict`. Some
   * servers of the S3 kind ignore it.
   */
  readonly ifAbsent?: boolean;
}

/** Options of getRange(). */
export interface RangeCallOptions extends CallOptions {
  /**
   * Memory to read into. A bucket may use it, when it is large enough: the result is then a view of
   * it. One that cannot ignores it.
   */
  readonly into?: Uint8Array;
}

/**
 * Object storage.
 *
 * Errors: a missing object is MnemeError `not_found`, a refused one `permission`, an outage
 * `unavailable`; messages name the object, never a secret.
 */
export interface Bucket {
  /** Name for metrics and messages, such as `fs: /data/bucket`. */
  readonly name: string;
  /** Provider as in the configuration, such as `FILESYSTEM`. */
  readonly provider: string;
  /** Entries directly below `dir` ("" = root) in byte order; a missing dir yields nothing. */
  iter(dir: string, options?: IterOptions): AsyncIterable<BucketEntry>;
  /** The whole object. */
  get(name: string, options?: CallOptions): Promise<Uint8Array>;
  /** The object as a stream, for large ones; the caller must read or cancel it. */
  getStream(name: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>>;
  /**
   * Bytes [offset, offset + length); length -1 reads to the end. Fewer bytes than asked come back
   * only when the object ends there. The result is owned by the caller.
   */
  getRange(
    name: string,
    offset: number,
    length: number,
    options?: RangeCallOptions,
  ): Promise<Uint8Array>;
  exists(name: string, options?: CallOptions): Promise<boolean>;
  attributes(name: string, options?: CallOptions): Promise<ObjectAttributes>;
  /** Writes or overwrites the object; readers see the old or the new one, never a part. */
  upload(name: string, body: UploadBody, options?: UploadOptions): Promise<void>;
  /**
   * Makes a finished local file the object without copying it; false when that is not possible, then
   * upload() is. Only buckets on a local disk have it. The file must never change afterwards.
   */
  linkFrom?(name: string, path: string, options?: CallOptions): Promise<boolean>;
  /**
   * Makes a local file of the object without copying it; false when that is not possible. The file
   * shares its bytes with the object and must never be written to. Throws: not_found.
   */
  linkTo?(name: string, path: string, options?: CallOptions): Promise<boolean>;
  /** Deletes the object; deleting a missing one may succeed. */
  delete(name: string, options?: CallOptions): Promise<void>;
  close(): Promise<void>;
}
