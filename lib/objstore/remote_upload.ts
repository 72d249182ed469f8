/** Uploads in parts: a bounded number of parts in memory, and no trace of an upload that failed. */
import { throwIfAborted } from "../base/mod.ts";
import { bodyPieces, bodySize } from "./body.ts";
import type { UploadBody } from "./bucket.ts";
import type { PartSizes, RemoteParts } from "./remote_bucket.ts";

/** Memory for parts on their way, bytes. */
const IN_FLIGHT_BYTES = 64 * 1024 * 1024;
/** Parts on their way at most. */
const IN_FLIGHT = 4;

/** What an upload needs. */
export interface PartsContext {
  readonly sizes: PartSizes;
  start(): Promise<RemoteParts>;
  /** Tries a request until it succeeds or fails for good. */
  retry<T>(work: () => Promise<T>): Promise<T>;
  readonly signal?: AbortSignal;
}

/** Sends a body in parts; on failure the parts are given up, so that nobody pays for them. */
export async function uploadInParts(
  name: string,
  body: UploadBody,
  context: PartsContext,
): Promise<void> {
  const { sizes, signal, retry } = context;
  const size = bodySize(body);
  const partSize = Math.max(sizes.part, Math.ceil(size / sizes.maxParts));
  const upload = await context.start();
  const fitting = Math.floor(IN_FLIGHT_BYTES / partSize);
  const width = Math.max(1, Math.min(upload.width ?? IN_FLIGHT, IN_FLIGHT, fitting));
  const tags: string[] = [];
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  try {
    let number = 0;
    for await (const part of partsOf(name, body, partSize)) {
      throwIfAborted(signal);
      if (failure !== undefined) break;
      const at = number++;
      const sending: Promise<void> = retry(() => upload.part(at + 1, part, signal)).then(
        (tag) => {
          tags[at] = tag;
        },
        (error) => {
          failure ??= { error };
        },
      ).finally(() => running.delete(sending));
      running.add(sending);
      if (running.size >= width) await Promise.race(running);
    }
    await Promise.all(running);
    if (failure !== undefined) throw failure.error;
    await retry(() => upload.complete(tags, signal));
  } catch (error) {
    await Promise.all(running);
    await upload.abort().catch(() => {
      // The first error says what went wrong; `tools bucket cleanup` finds what stays behind.
    });
    throw error;
  }
}

/** Cuts a body into parts of one size, the last one shorter. */
async function* partsOf(
  name: string,
  body: UploadBody,
  partSize: number,
): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    for (let at = 0; at < body.length; at += partSize) yield body.subarray(at, at + partSize);
    return;
  }
  let part = new Uint8Array(Math.min(partSize, body.size));
  let filled = 0;
  let sent = 0;
  for await (const piece of bodyPieces(name, body)) {
    for (let at = 0; at < piece.length;) {
      const n = Math.min(piece.length - at, part.length - filled);
      part.set(piece.subarray(at, at + n), filled);
      at += n;
      filled += n;
      if (filled < part.length) continue;
      sent += filled;
      yield part;
      filled = 0;
      part = new Uint8Array(Math.min(partSize, body.size - sent));
    }
  }
}
