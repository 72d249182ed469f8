/**
 * benchgen: plans of synthetic buckets and the blocks made of them. Layer 6.
 *
 * A plan is made from a profile (planProfile) or read from YAML (readPlanStream, readPlanList), and
 * generateBlocks() makes it real with one worker a core. The same plan gives the same bytes, but for
 * block ids.
 */
export { type BlockTarget, generateBlock, plannedSamples } from "./block_gen.ts";
export * from "./gen.ts";
export * from "./plan.ts";
export * from "./plan_read.ts";
export * from "./plan_text.ts";
export * from "./profiles.ts";
export * from "./progress.ts";
