/**
 * model: the nouns of metrics — labels, matchers, samples, histograms. Layer 2; imports base and config.
 *
 * Bare times are ms since the epoch, bare sizes are bytes, minTime/maxTime are inclusive unless a
 * name says otherwise. Main types: Labels, Matcher, SampleBatch, FloatHistogram.
 */
export * from "./histogram.ts";
export * from "./histogram_bounds.ts";
export * from "./histogram_buckets.ts";
export * from "./histogram_compare.ts";
export * from "./histogram_layout.ts";
export * from "./histogram_math.ts";
export * from "./histogram_sum.ts";
export * from "./histogram_text.ts";
export * from "./histogram_trim.ts";
export * from "./labels.ts";
export * from "./matcher.ts";
export * from "./regexp.ts";
export * from "./relabel.ts";
export * from "./resolution.ts";
export * from "./sample_batch.ts";
export * from "./stale.ts";
