/** Snappy block format; snappyjs behind one file. */
import snappy from "snappyjs";
import { CorruptionError, errorMessage } from "./errors.ts";
import { ByteReader } from "./byte_reader.ts";

/** Compresses to the raw block format. */
export function snappyCompress(data: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return snappy.compress(data);
}

/**
 * Decompresses a raw block; refuses one whose announced size is over `maxBytes` before allocating.
 */
export function snappyDecompress(
  data: Uint8Array<ArrayBuffer>,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const announced = new ByteReader(data).uvarint();
  if (announced > maxBytes) {
    throw new CorruptionError(
      `snappy block announces ${announced} bytes, at most ${maxBytes} allowed`,
    );
  }
  try {
    return snappy.uncompress(data, maxBytes);
  } catch (error) {
    throw new CorruptionError(`snappy: ${errorMessage(error)}`, { cause: error });
  }
}
