/** Chunk-level reading: any encoding into a SampleBatch. */
import { CorruptionError } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";
import {
  type Chunk,
  ENCODING_AGGR,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_FLOAT_HISTOGRAM_ST,
  ENCODING_HISTOGRAM,
  ENCODING_HISTOGRAM_ST,
  ENCODING_XOR,
  ENCODING_XOR2,
} from "./chunk.ts";
import { decodeFloatHistogram } from "./float_histogram.ts";
import { decodeHistogram } from "./histogram.ts";
import { decodeXor } from "./xor.ts";
import { decodeXor2 } from "./xor2.ts";

/**
 * Appends all samples of a chunk to `batch`; histograms come as FloatHistogram, start times in
 * `batch.st` when the encoding has them.
 *
 * Owner: the chunk is only read. On an error the batch holds what it held before.
 * Throws: CorruptionError for broken data, for an unknown encoding, and for an aggregate chunk,
 *   whose parts are chunks of their own (readAggrChunk).
 */
export function appendChunk(chunk: Chunk, batch: SampleBatch): void {
  const { encoding, data } = chunk;
  switch (encoding) {
    case ENCODING_XOR:
      return decodeXor(data, batch);
    case ENCODING_HISTOGRAM:
      return decodeHistogram(data, batch);
    case ENCODING_FLOAT_HISTOGRAM:
      return decodeFloatHistogram(data, batch);
    case ENCODING_XOR2:
      return decodeXor2(data, batch);
    case ENCODING_HISTOGRAM_ST:
      return decodeHistogram(data, batch, true);
    case ENCODING_FLOAT_HISTOGRAM_ST:
      return decodeFloatHistogram(data, batch, true);
    default:
      throw unknownEncoding(encoding);
  }
}

/**
 * Number of samples that the header of a raw chunk tells, without decoding.
 *
 * Throws: CorruptionError when the header is cut off or the encoding has none.
 */
export function chunkSampleCount(chunk: Chunk): number {
  const { encoding, data } = chunk;
  if (encoding < ENCODING_XOR || encoding > ENCODING_FLOAT_HISTOGRAM_ST) {
    throw unknownEncoding(encoding);
  }
  if (data.length < 2) {
    throw new CorruptionError("chunk without its sample count", { offset: data.length });
  }
  const high = encoding >= ENCODING_HISTOGRAM_ST ? data[0]! & 0x3f : data[0]!;
  return (high << 8) | data[1]!;
}

function unknownEncoding(encoding: number): CorruptionError {
  return new CorruptionError(
    encoding === ENCODING_AGGR
      ? "an aggregate chunk where raw samples are expected"
      : `unknown chunk encoding ${encoding}`,
  );
}
