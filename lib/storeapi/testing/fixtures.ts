/** Makers of series for tests of Stores. */
import { encodeSamples } from "../../chunks/mod.ts";
import { type Labels, labelsFromRecord, SampleBatch } from "../../model/mod.ts";
import type { CallContext } from "../store.ts";
import type { AggrChunk, LabelNamesRequest, Series, SeriesRequest } from "../types.ts";

/** Samples of one series as the acceptance suite gives them to a maker of Stores. */
export interface SeriesData {
  readonly labels: Labels;
  /** Owner: the caller; only read. */
  readonly samples: SampleBatch;
}

/** A float series: `count` samples every `step` ms; the last one is a stale marker when asked. */
export function floatSeries(
  record: Readonly<Record<string, string>>,
  start: number,
  count: number,
  options: { step?: number; value?: number; stale?: boolean } = {},
): SeriesData {
  const { step = 15_000, value = 1, stale = false } = options;
  const samples = new SampleBatch(count);
  for (let i = 0; i < count; i++) {
    samples.t[i] = start + i * step;
    samples.v[i] = value + i;
  }
  if (stale) new Uint32Array(samples.v.buffer).set([2, 0x7ff00000], 2 * (count - 1));
  samples.length = count;
  return { labels: labelsFromRecord(record), samples };
}

/** The data encoded into raw chunks of at most `perChunk` samples. */
export function encodeSeriesData(data: SeriesData, perChunk = 120): Series {
  const chunks: AggrChunk[] = encodeSamples(data.samples, 0, data.samples.length, perChunk)
    .map((c) => ({ minTime: c.minTime, maxTime: c.maxTime, raw: c.chunk }));
  return { labels: data.labels, chunks };
}

/** A Series request with the given members changed. */
export function seriesRequest(changes: Partial<SeriesRequest> = {}): SeriesRequest {
  return {
    minTime: Number.MIN_SAFE_INTEGER,
    maxTime: Number.MAX_SAFE_INTEGER,
    matchers: [],
    maxResolutionWindow: 0,
    aggregates: [0],
    partialResponse: "warn",
    skipChunks: false,
    withoutReplicaLabels: [],
    limit: 0,
    responseBatchSize: 0,
    ...changes,
  };
}

/** A LabelNames request with the given members changed. */
export function labelsRequest(changes: Partial<LabelNamesRequest> = {}): LabelNamesRequest {
  return {
    start: Number.MIN_SAFE_INTEGER,
    end: Number.MAX_SAFE_INTEGER,
    matchers: [],
    partialResponse: "warn",
    withoutReplicaLabels: [],
    limit: 0,
    ...changes,
  };
}

/** A context that nobody aborts, or that follows `signal`. */
export function callContext(signal = new AbortController().signal): CallContext {
  return { signal, tenant: "default-tenant" };
}
