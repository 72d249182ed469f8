/** Compressed messages as clients may send them: gzip, deflate, and snappy in its framed form. */
import { deflateSync, gunzipSync, gzipSync, inflateSync } from "node:zlib";
import {
  CorruptionError,
  crc32c,
  errorMessage,
  snappyCompress,
  snappyDecompress,
} from "../../base/mod.ts";
import {
  RpcError,
  STATUS_INTERNAL,
  STATUS_RESOURCE_EXHAUSTED,
  STATUS_UNIMPLEMENTED,
} from "../status.ts";

/** What decompress() knows, for the header that tells clients. */
export const ACCEPTED_ENCODINGS = "identity,gzip,deflate,snappy";

/** Restores a message; refuses one that would grow beyond `maxBytes`. Throws: RpcError. */
export function decompress(encoding: string, message: Uint8Array, maxBytes: number): Uint8Array {
  try {
    switch (encoding) {
      case "gzip":
        return gunzipSync(message, { maxOutputLength: maxBytes });
      case "deflate":
        return inflateSync(message, { maxOutputLength: maxBytes });
      case "snappy":
        return decompressFramedSnappy(message, maxBytes);
    }
  } catch (error) {
    if (error instanceof RpcError) throw error;
    const { code } = error as { code?: string };
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(maxBytes);
    throw new RpcError(
      STATUS_INTERNAL,
      `cannot decompress the ${encoding} message: ${errorMessage(error)}`,
      { cause: error },
    );
  }
  throw new RpcError(
    STATUS_UNIMPLEMENTED,
    `grpc: Decompressor is not installed for grpc-encoding ${JSON.stringify(encoding)}`,
  );
}

/** Compresses a message; for tests and clients. */
export function compress(
  encoding: "gzip" | "deflate" | "snappy",
  message: Uint8Array<ArrayBuffer>,
): Uint8Array {
  if (encoding === "gzip") return gzipSync(message);
  if (encoding === "deflate") return deflateSync(message);
  return compressFramedSnappy(message);
}

function tooLarge(maxBytes: number): RpcError {
  return new RpcError(
    STATUS_RESOURCE_EXHAUSTED,
    `received message larger than max ${maxBytes} after decompression`,
  );
}

// Framed snappy: chunks of one byte type, three bytes length (little-endian), data. Data chunks
// begin with the masked CRC-32C of their uncompressed bytes.
const STREAM_IDENTIFIER = Uint8Array.of(0xff, 6, 0, 0, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59);
const COMPRESSED = 0;
const UNCOMPRESSED = 1;
const CHUNK_BYTES = 65536;
/** Types from here on may be skipped when unknown. */
const FIRST_SKIPPABLE = 0x80;

function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function decompressFramedSnappy(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let at = 0; at < bytes.length;) {
    if (bytes.length - at < 4) throw new CorruptionError("snappy: chunk header cut off");
    const type = bytes[at]!;
    const size = bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16);
    const start = at + 4;
    const end = start + size;
    if (end > bytes.length) throw new CorruptionError("snappy: chunk runs past the end");
    if (at === 0 && type !== STREAM_IDENTIFIER[0]) {
      throw new CorruptionError("snappy: no stream identifier");
    }
    at = end;
    if (type >= FIRST_SKIPPABLE) continue;
    if (type !== COMPRESSED && type !== UNCOMPRESSED) {
      throw new CorruptionError(`snappy: unknown chunk type ${type}`);
    }
    if (size < 4) throw new CorruptionError("snappy: chunk without its checksum");
    const data = bytes.slice(start + 4, end);
    const plain = type === COMPRESSED ? snappyDecompress(data, CHUNK_BYTES) : data;
    if (mask(crc32c(plain)) !== view.getUint32(start, true)) {
      throw new CorruptionError("snappy: wrong checksum");
    }
    total += plain.length;
    if (total > maxBytes) throw tooLarge(maxBytes);
    parts.push(plain);
  }
  return join(parts, total);
}

function compressFramedSnappy(message: Uint8Array<ArrayBuffer>): Uint8Array {
  const parts: Uint8Array[] = [STREAM_IDENTIFIER];
  let total = STREAM_IDENTIFIER.length;
  for (let at = 0; at < message.length; at += CHUNK_BYTES) {
    const plain = message.subarray(at, at + CHUNK_BYTES);
    const data = snappyCompress(plain);
    const chunk = new Uint8Array(8 + data.length);
    const n = 4 + data.length;
    chunk.set([COMPRESSED, n, n >>> 8, n >>> 16]);
    new DataView(chunk.buffer).setUint32(4, mask(crc32c(plain)), true);
    chunk.set(data, 8);
    parts.push(chunk);
    total += chunk.length;
  }
  return join(parts, total);
}

function join(parts: readonly Uint8Array[], total: number): Uint8Array {
  const out = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
