/**
 * compact: what turns many small blocks of a bucket into few large ones. Layer 6.
 *
 * Compactor is the loop's body; planGroup() decides, mergeBlocks() does the work on local
 * directories. Everything goes through the bucket, files, clock and job runner that are passed in.
 */
export * from "./block_viewer.ts";
export * from "./bucket_view.ts";
export * from "./cleanup.ts";
export * from "./compact_job.ts";
export * from "./compactor.ts";
export { downsampleBlock, type DownsampleOptions } from "./downsample_block.ts";
export * from "./downsample_job.ts";
export * from "./downsample_loop.ts";
export * from "./downsample_metrics.ts";
export * from "./downsample_pass.ts";
export * from "./downsample_selection.ts";
export * from "./group.ts";
export * from "./job_runner.ts";
export * from "./loop.ts";
export * from "./merge_blocks.ts";
export * from "./metrics.ts";
export * from "./notes.ts";
export * from "./options.ts";
export * from "./outlook.ts";
export * from "./overlap_merger.ts";
export * from "./planner.ts";
export * from "./ranges.ts";
export * from "./result_meta.ts";
export * from "./retention.ts";
export * from "./set_aside.ts";
