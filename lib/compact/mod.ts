/**
 * compact: what turns many small blocks of a bucket into few large ones. Layer 6.
 */
export * from "./group.ts";
export * from "./merge_blocks.ts";
export * from "./overlap_merger.ts";
export * from "./planner.ts";
export * from "./ranges.ts";
export * from "./result_meta.ts";
