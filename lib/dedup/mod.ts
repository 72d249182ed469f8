/**
 * dedup: one series of samples out of the chunks of its replicas and resolutions. Layer 5.
 *
 * Decodes chunks into a SampleBatch and merges replicas; knows no network and no PromQL. Main
 * function: readSeries(). Rules: Thanos' querier (aggregates, penalty and chain merging).
 */
export * from "./adaptive.ts";
export * from "./aggregate.ts";
export * from "./chain.ts";
export * from "./chunk_resolution.ts";
export * from "./layers.ts";
export * from "./overlap_split.ts";
export * from "./penalty.ts";
export * from "./read_series.ts";
export * from "./refine.ts";
export * from "./replica_cursor.ts";
export * from "./replica_labels.ts";
export * from "./time_ranges.ts";
