/**
 * Whole blocks between a local folder and a bucket.
 *
 * Up: chunks, index, then meta.json, so that a block becomes visible when it is complete. Away:
 * meta.json first, the deletion mark last, so that an interrupted deletion is a partial block that
 * still carries its mark.
 */
import { createHash } from "node:crypto";
import {
  assert,
  type Clock,
  CorruptionError,
  encodeUtf8,
  isUlid,
  mapPool,
  MnemeError,
  systemClock,
  throwIfAborted,
} from "../base/mod.ts";
import type { Bucket, UploadBody } from "../objstore/mod.ts";
import {
  type BlockFile,
  type BlockMeta,
  externalLabelsOf,
  type Files,
  makeThanosMeta,
  META_FILE,
  parseBlockMeta,
  printBlockMeta,
  type ReadFile,
  segmentNames,
  SystemFiles,
} from "../tsdb/mod.ts";
import { DELETION_MARK_FILE, markObject } from "./markers.ts";

const INDEX_FILE = "index";
const CHUNKS_FOLDER = "chunks";
const PIECE = 1024 * 1024;
/** Files up to this size are sent as one array. */
const SMALL_FILE = 16 * 1024 * 1024;

/** Hash functions of files; "" = none. */
export type HashFunction = "" | "SHA256";

/** How to upload. */
export interface UploadOptions {
  /** Noted in meta.json for each file. */
  readonly hash?: HashFunction;
  /** Chunk files at once. */
  readonly concurrency?: number;
  /** Allow a block without external labels (plain Prometheus blocks uploaded by hand). */
  readonly allowEmptyLabels?: boolean;
  /** Ask the bucket for the size of each file afterwards. */
  readonly verifySizes?: boolean;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
  /** Called as bytes leave. */
  readonly progress?: (bytes: number) => void;
}

/**
 * Uploads the block in `folder` (whose name is its ULID); returns the meta as uploaded.
 *
 * Files, sizes, hashes and the upload time are filled in the uploaded meta.json only.
 * Throws: bad_data when the folder is no block or has no external labels; the bucket's errors. What
 * was uploaded by then stays and is overwritten by the next attempt.
 */
export async function uploadBlock(
  bucket: Bucket,
  files: Files,
  folder: string,
  options: UploadOptions = {},
): Promise<BlockMeta> {
  const ulid = folder.slice(folder.lastIndexOf("/") + 1);
  if (!isUlid(ulid)) {
    throw new MnemeError("bad_data", `Cannot upload ${folder}: its name is no block id`);
  }
  const meta = parseBlockMeta(readWhole(files, `${folder}/${META_FILE}`), META_FILE, ulid);
  if (options.allowEmptyLabels !== true && externalLabelsOf(meta).length === 0) {
    throw new MnemeError(
      "bad_data",
      `Cannot upload block ${ulid}: it has no external labels, set some to tell its origin`,
    );
  }
  const chunks = segmentNames(
    files.list(`${folder}/${CHUNKS_FOLDER}`).filter((e) => !e.isDirectory).map((e) => e.name),
  );
  const uploaded: BlockFile[] = [];
  const send = async (relPath: string): Promise<void> => {
    throwIfAborted(options.signal);
    uploaded.push(await uploadFile(bucket, files, folder, ulid, relPath, options));
  };
  const paths = chunks.map((name) => `${CHUNKS_FOLDER}/${name}`);
  await mapPool(paths, options.concurrency ?? 1, send);
  await send(INDEX_FILE);
  uploaded.push({ relPath: META_FILE, sizeBytes: 0 });
  uploaded.sort((a, b) => a.relPath < b.relPath ? -1 : 1);

  const clock = options.clock ?? systemClock;
  const complete: BlockMeta = {
    ...meta,
    thanos: {
      ...(meta.thanos ?? makeThanosMeta({ labels: externalLabelsOf(meta) })),
      segmentFiles: chunks,
      files: uploaded,
      uploadTime: new Date(clock.now()).toISOString(),
    },
  };
  throwIfAborted(options.signal);
  await bucket.upload(
    `${ulid}/${META_FILE}`,
    encodeUtf8(printBlockMeta(complete)),
    callOptions(options.signal),
  );
  return complete;
}

async function uploadFile(
  bucket: Bucket,
  files: Files,
  folder: string,
  ulid: string,
  relPath: string,
  options: UploadOptions,
): Promise<BlockFile> {
  const object = `${ulid}/${relPath}`;
  const file = files.open(`${folder}/${relPath}`);
  try {
    const hash = options.hash === "SHA256" ? createHash("sha256") : undefined;
    const linked = hash === undefined && files instanceof SystemFiles &&
      await bucket.linkFrom?.(object, file.path, callOptions(options.signal)) === true;
    if (linked) {
      options.progress?.(file.size);
      if (options.verifySizes === true) await verifySize(bucket, object, file.size, options.signal);
      return { relPath, sizeBytes: file.size };
    }
    const body = fileBody(file, (piece) => {
      hash?.update(piece);
      options.progress?.(piece.length);
    });
    await bucket.upload(object, body, callOptions(options.signal));
    if (options.verifySizes === true) await verifySize(bucket, object, file.size, options.signal);
    return {
      relPath,
      sizeBytes: file.size,
      ...(hash === undefined ? {} : { hash: { func: "SHA256", value: hash.digest("hex") } }),
    };
  } finally {
    file.close();
  }
}

async function verifySize(
  bucket: Bucket,
  object: string,
  expected: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { size } = await bucket.attributes(object, callOptions(signal));
  if (size === expected) return;
  throw new MnemeError(
    "unavailable",
    `Cannot upload object ${object}: the bucket holds ${size} of ${expected} bytes`,
  );
}

/** A file as the body of an upload; `seen` gets every piece in order. */
function fileBody(file: ReadFile, seen: (piece: Uint8Array) => void): UploadBody {
  if (file.size <= SMALL_FILE) {
    const bytes = new Uint8Array(file.size);
    const read = file.readAt(bytes, 0);
    assert(read === file.size, "a block's files do not change");
    seen(bytes);
    return bytes;
  }
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = new Uint8Array(Math.min(PIECE, file.size - at));
      const read = file.readAt(piece, at);
      if (read === 0) {
        controller.close();
        return;
      }
      at += read;
      const bytes = piece.subarray(0, read);
      seen(bytes);
      controller.enqueue(bytes);
    },
  }, { highWaterMark: 0 });
  return { stream, size: file.size };
}

function readWhole(files: Files, path: string): Uint8Array {
  const file = files.open(path);
  try {
    const bytes = new Uint8Array(file.size);
    return bytes.subarray(0, file.readAt(bytes, 0));
  } finally {
    file.close();
  }
}

/** How to download. */
export interface DownloadOptions {
  /** Files at once. */
  readonly concurrency?: number;
  /** Wait for the disk; true unless the copy is of no use after a crash. */
  readonly sync?: boolean;
  /**
   * The files will only be read: those of a bucket on the same disk are linked instead of copied.
   */
  readonly link?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Downloads a block into `folder`; returns its meta.
 *
 * A file that is there already with the hash that meta.json tells is kept. Each file is written
 * beside its place and renamed. On failure everything that was fetched is removed.
 * Throws: not_found without meta.json; CorruptionError when a file has not the announced size.
 */
export async function downloadBlock(
  bucket: Bucket,
  files: Files,
  ulid: string,
  folder: string,
  options: DownloadOptions = {},
): Promise<BlockMeta> {
  const call = callOptions(options.signal);
  const metaBytes = await bucket.get(`${ulid}/${META_FILE}`, call);
  const meta = parseBlockMeta(metaBytes, `${ulid}/${META_FILE}`, ulid);
  const announced = new Map((meta.thanos?.files ?? []).map((f) => [f.relPath, f]));
  const paths = [INDEX_FILE, ...await segmentPaths(bucket, meta, call)];
  const fetched: string[] = [];
  files.mkdir(`${folder}/${CHUNKS_FOLDER}`);
  try {
    await mapPool(paths, options.concurrency ?? 1, async (relPath) => {
      throwIfAborted(options.signal);
      const path = `${folder}/${relPath}`;
      const expected = announced.get(relPath);
      if (expected?.hash?.func === "SHA256" && sameHash(files, path, expected.hash.value)) return;
      fetched.push(path);
      await downloadFile(bucket, files, `${ulid}/${relPath}`, path, expected, options);
    });
    fetched.push(`${folder}/${META_FILE}`);
    writeWhole(files, `${folder}/${META_FILE}`, metaBytes, options.sync !== false);
    if (options.sync !== false) {
      files.syncDirectory(`${folder}/${CHUNKS_FOLDER}`);
      files.syncDirectory(folder);
    }
  } catch (error) {
    for (const path of fetched) files.remove(path);
    throw error;
  }
  return meta;
}

/** The segments that meta.json tells; blocks that tell none are listed. */
async function segmentPaths(
  bucket: Bucket,
  meta: BlockMeta,
  call: { readonly signal?: AbortSignal },
): Promise<string[]> {
  const told = (meta.thanos?.files ?? []).map((f) => f.relPath)
    .filter((path) => /^chunks\/[0-9]+$/.test(path));
  if (told.length > 0) return told;
  const paths: string[] = [];
  for await (const { name } of bucket.iter(`${meta.ulid}/${CHUNKS_FOLDER}`, call)) {
    const base = name.slice(name.lastIndexOf("/") + 1);
    if (/^[0-9]+$/.test(base)) paths.push(`${CHUNKS_FOLDER}/${base}`);
  }
  return paths;
}

async function downloadFile(
  bucket: Bucket,
  files: Files,
  object: string,
  path: string,
  expected: BlockFile | undefined,
  options: DownloadOptions,
): Promise<void> {
  const temporary = `${path}.tmp`;
  if (
    files instanceof SystemFiles && options.link === true &&
    await linkFile(bucket, files, object, path, expected, options.signal)
  ) return;
  const file = files.create(temporary);
  try {
    let size = 0;
    for await (const piece of await bucket.getStream(object, callOptions(options.signal))) {
      size += piece.length;
      file.append(piece);
    }
    if (expected !== undefined && expected.sizeBytes !== 0 && expected.sizeBytes !== size) {
      throw new CorruptionError(
        `the object has ${size} bytes, meta.json tells ${expected.sizeBytes}`,
        { file: object },
      );
    }
    if (options.sync !== false) file.sync();
    file.close();
    files.rename(temporary, path);
  } catch (error) {
    file.close();
    files.remove(temporary);
    throw error;
  }
}

/** Takes a file of the bucket's own disk as it is; false when it has to be copied. */
async function linkFile(
  bucket: Bucket,
  files: Files,
  object: string,
  path: string,
  expected: BlockFile | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  files.remove(path);
  if (await bucket.linkTo?.(object, path, callOptions(signal)) !== true) return false;
  const size = files.stat(path)?.size;
  if (expected === undefined || expected.sizeBytes === 0 || expected.sizeBytes === size) {
    return true;
  }
  files.remove(path);
  throw new CorruptionError(
    `the object has ${size} bytes, meta.json tells ${expected.sizeBytes}`,
    { file: object },
  );
}

function sameHash(files: Files, path: string, value: string): boolean {
  if (files.stat(path) === undefined) return false;
  const file = files.open(path);
  try {
    const hash = createHash("sha256");
    const piece = new Uint8Array(PIECE);
    for (let at = 0;;) {
      const read = file.readAt(piece, at);
      if (read === 0) return hash.digest("hex") === value;
      hash.update(piece.subarray(0, read));
      at += read;
    }
  } finally {
    file.close();
  }
}

function writeWhole(files: Files, path: string, bytes: Uint8Array, sync: boolean): void {
  const file = files.create(`${path}.tmp`);
  try {
    file.append(bytes);
    if (sync) file.sync();
  } finally {
    file.close();
  }
  files.rename(`${path}.tmp`, path);
}

/**
 * Deletes a block: meta.json, then everything but the deletion mark, then the mark.
 *
 * Repeatable: after an interruption a second call finishes the work.
 */
export async function deleteBlock(
  bucket: Bucket,
  ulid: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  if (!isUlid(ulid)) throw new MnemeError("bad_data", `Cannot delete block "${ulid}": no block id`);
  const call = callOptions(options.signal);
  const meta = `${ulid}/${META_FILE}`;
  const mark = markObject(ulid, DELETION_MARK_FILE);
  const names = (await Array.fromAsync(bucket.iter(ulid, { ...call, recursive: true })))
    .map((entry) => entry.name);
  if (names.includes(meta)) await bucket.delete(meta, call);
  for (const name of names) {
    if (name !== meta && name !== mark) await bucket.delete(name, call);
  }
  if (names.includes(mark)) await bucket.delete(mark, call);
}

function callOptions(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
