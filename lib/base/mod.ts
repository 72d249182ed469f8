/**
 * base: bytes, bits, strings, time, errors and small algorithms. Layer 0.
 *
 * Knows no word of the domain (no labels, no blocks); imports nothing of ours.
 * Main types: MnemeError, CorruptionError, ByteReader, ByteWriter, Clock, Gate, LoserTree.
 */
export * from "./assert.ts";
export * from "./async_pool.ts";
export * from "./backoff.ts";
export * from "./breathe.ts";
export * from "./arena.ts";
export * from "./buffer_pool.ts";
export * from "./byte_reader.ts";
export * from "./byte_writer.ts";
export * from "./clock.ts";
export * from "./crc32c.ts";
export * from "./duration.ts";
export * from "./errors.ts";
export * from "./float_bits.ts";
export * from "./gate.ts";
export * from "./go_float.ts";
export * from "./loser_tree.ts";
export * from "./snappy.ts";
export * from "./ulid.ts";
export * from "./utf8.ts";
export * from "./xxhash64.ts";
