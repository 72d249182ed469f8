/**
 * chunks: encodings of samples, raw and aggregated. Layer 3; imports base and model.
 *
 * Knows no files and no blocks. Formats: docs/formats/chunks.md.
 */
export * from "./append.ts";
export * from "./chunk.ts";
export * from "./xor.ts";
