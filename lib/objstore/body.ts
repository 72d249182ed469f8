/** Bodies of uploads and downloads, as bytes and as streams. */
import { MnemeError } from "../base/mod.ts";
import type { UploadBody } from "./bucket.ts";

/** Size of an upload in bytes. */
export function bodySize(body: UploadBody): number {
  return body instanceof Uint8Array ? body.length : body.size;
}

/**
 * The pieces of an upload, whose sum is exactly its announced size.
 *
 * Throws: bad_data when a stream ends early or goes on; nothing may be kept of the upload then.
 */
export async function* bodyPieces(name: string, body: UploadBody): AsyncIterable<Uint8Array> {
  if (body instanceof Uint8Array) {
    yield body;
    return;
  }
  let received = 0;
  for await (const piece of body.stream) {
    received += piece.length;
    if (received > body.size) break;
    yield piece;
  }
  if (received !== body.size) {
    throw new MnemeError(
      "bad_data",
      `Cannot upload object ${name}: its body has ${
        received > body.size ? "more than" : `${received} of`
      } the announced ${body.size} bytes`,
    );
  }
}

/** A stream over bytes, in pieces of at most 256 KiB. */
export function streamOf(bytes: Uint8Array, pieceSize = 256 * 1024): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) {
        controller.close();
        return;
      }
      const end = Math.min(bytes.length, at + pieceSize);
      controller.enqueue(bytes.subarray(at, end));
      at = end;
    },
  });
}

/** All bytes of a stream; `sizeHint` spares copies when it is right. */
export async function readAll(
  stream: ReadableStream<Uint8Array>,
  sizeHint = 0,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    size += piece.length;
  }
  if (pieces.length === 1 && (sizeHint === 0 || sizeHint === size)) return pieces[0]!;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
