/** Chunk-level reading: any encoding into a SampleBatch. */
import { CorruptionError } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";
import { type Chunk, ENCODING_XOR } from "./chunk.ts";
import { decodeXor } from "./xor.ts";

/**
 * Appends all samples of a chunk to `batch`; histograms come as FloatHistogram.
 *
 * Throws: CorruptionError for broken data and for an unknown encoding.
 */
export function appendChunk(chunk: Chunk, batch: SampleBatch): void {
  switch (chunk.encoding) {
    case ENCODING_XOR:
      return decodeXor(chunk.data, batch);
    default:
      throw new CorruptionError(`unknown chunk encoding ${chunk.encoding}`);
  }
}

/**
 * Number of samples the chunk's header tells, without decoding.
 *
 * Throws: CorruptionError when the header is cut off or the encoding is unknown.
 */
export function chunkSampleCount(chunk: Chunk): number {
  const { encoding, data } = chunk;
  if (data.length < 2) throw new CorruptionError("chunk without its sample count");
  switch (encoding) {
    case ENCODING_XOR:
      return (data[0]! << 8) | data[1]!;
    default:
      throw new CorruptionError(`unknown chunk encoding ${encoding}`);
  }
}
