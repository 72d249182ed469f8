/**
 * model: the nouns of metrics — labels, matchers, samples, histograms. Layer 2; imports base only.
 *
 * Bare times are ms since the epoch, bare sizes are bytes, minTime/maxTime are inclusive unless a
 * name says otherwise. Main types: Labels, Matcher, SampleBatch, FloatHistogram.
 */
export * from "./histogram.ts";
export * from "./labels.ts";
export * from "./matcher.ts";
export * from "./regexp.ts";
export * from "./resolution.ts";
export * from "./sample_batch.ts";
export * from "./stale.ts";
