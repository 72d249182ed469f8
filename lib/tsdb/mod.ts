/**
 * tsdb: Prometheus' block format on disk — meta.json, index, chunk segments, tombstones. Layer 4.
 *
 * Knows no network and no PromQL; reads and writes files only through the Files interface.
 * Main types: Block, BlockWriter, BlockMeta, IndexReader, IndexTables. Formats: docs/formats/.
 */
export * from "./block_meta.ts";
export * from "./block_reader.ts";
export * from "./block_writer.ts";
export * from "./chunk_segment.ts";
export * from "./files.ts";
export * from "./files_system.ts";
export * from "./index_decode.ts";
export * from "./index_format.ts";
export * from "./index_header.ts";
export * from "./index_reader.ts";
export * from "./index_tables.ts";
export * from "./index_writer.ts";
export * from "./postings.ts";
export * from "./tombstones.ts";
