/**
 * chunks: encodings of samples, raw and aggregated. Layer 3; imports base and model.
 *
 * Reading: appendChunk() for samples, readAggrChunk() and CounterReader for downsampled data.
 * Writing: encodeSamples() for any samples; encodeXor() straight into a buffer where speed counts.
 * Knows no files and no blocks. Formats: docs/formats/chunks.md.
 */
export * from "./aggr.ts";
export * from "./append.ts";
export * from "./chunk.ts";
export * from "./encode.ts";
export { decodeFloatHistogramSamples, encodeFloatHistogramSamples } from "./float_histogram.ts";
export { decodeHistogramSamples, encodeHistogramSamples } from "./histogram.ts";
export type { ChunkResetHeader, HistogramSamples } from "./histogram_layout.ts";
export { decodeXor, encodeXor, encodeXorChunk, XOR_BYTES_PER_SAMPLE, XOR_SLACK } from "./xor.ts";
