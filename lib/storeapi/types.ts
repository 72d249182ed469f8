/**
 * Values of the Store API as the program handles them; `wire_*.ts` turn them into protobuf bytes.
 * Source: the field's wire notes, part A (thanos package).
 */
import type { Chunk } from "../chunks/mod.ts";
import type { Labels, Matcher } from "../model/mod.ts";

/** Which parts of downsampled chunks to return. Numbers are those of the wire. */
export const AGGR_RAW = 0;
export const AGGR_COUNT = 1;
export const AGGR_SUM = 2;
export const AGGR_MIN = 3;
export const AGGR_MAX = 4;
export const AGGR_COUNTER = 5;

/** What to do when some store fails: tell it in a warning, or fail the request. */
export type PartialResponseStrategy = "warn" | "abort";

/** A chunk with its closed time range (ms): raw, or any of the five aggregates. */
export interface AggrChunk {
  minTime: number;
  maxTime: number;
  raw?: Chunk;
  count?: Chunk;
  sum?: Chunk;
  min?: Chunk;
  max?: Chunk;
  counter?: Chunk;
  /**
   * xxHash64 of each part by AGGR_ number as [high, low] pairs of unsigned 32 bits; absent or zero =
   * not known. A plain array is cheapest: a typed array of its own costs most of a microsecond.
   */
  hashes?: ArrayLike<number>;
}

/** One series of an answer. */
export interface Series {
  readonly labels: Labels;
  readonly chunks: readonly AggrChunk[];
}

/**
 * Many series, sorted by labels: the unit that crosses the network and every `await`.
 *
 * A series may go on in the next frame (equal labels, later chunks). Chunk data are views of the
 * frame's bytes and stay valid as long as someone holds them.
 */
export interface SeriesFrame {
  readonly series: readonly Series[];
  readonly warnings: readonly string[];
  /** Hints (google.protobuf.Any) as received, if any. */
  readonly hints?: AnyMessage;
  /** Size on the wire in bytes, when it came over one. */
  readonly bytes?: number;
}

/** google.protobuf.Any. */
export interface AnyMessage {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** Selects part of the series by hash of labels. */
export interface ShardInfo {
  readonly shardIndex: number;
  readonly totalShards: number;
  readonly by: boolean;
  readonly labels: readonly string[];
}

/** Best-effort hints about the query. */
export interface QueryHints {
  readonly stepMillis: number;
  readonly func: string;
  readonly grouping?: { readonly by: boolean; readonly labels: readonly string[] };
  readonly rangeMillis: number;
}

/** Request of Series; times are ms and inclusive, clamped to ±(2^53 - 1). */
export interface SeriesRequest {
  readonly minTime: number;
  readonly maxTime: number;
  readonly matchers: readonly Matcher[];
  /** Coarsest acceptable resolution in ms. */
  readonly maxResolutionWindow: number;
  /** AGGR_ numbers. */
  readonly aggregates: readonly number[];
  readonly partialResponse: PartialResponseStrategy;
  readonly skipChunks: boolean;
  readonly hints?: AnyMessage;
  readonly queryHints?: QueryHints;
  readonly shardInfo?: ShardInfo;
  readonly withoutReplicaLabels: readonly string[];
  /** Most series to return, 0 = all. */
  readonly limit: number;
  /** Wished number of series a frame; 0 or 1 = one series a frame. */
  readonly responseBatchSize: number;
  /**
   * The caller makes hashes of chunks itself where it needs them. Our own extension of the wire,
   * which others skip as an unknown field.
   */
  readonly withoutChunkHashes?: boolean;
  /**
   * Where nothing is kept at `maxResolutionWindow` or finer, the next coarser data answer, the finest
   * there are. Our own extension of the wire; only stores that say `fillsWithCoarser` heed it.
   */
  readonly coarserWhereMissing?: boolean;
}

/** Request of LabelNames. */
export interface LabelNamesRequest {
  readonly start: number;
  readonly end: number;
  readonly matchers: readonly Matcher[];
  readonly partialResponse: PartialResponseStrategy;
  readonly withoutReplicaLabels: readonly string[];
  readonly limit: number;
  readonly hints?: AnyMessage;
}

/** Request of LabelValues. */
export interface LabelValuesRequest extends LabelNamesRequest {
  readonly label: string;
}

/** Answer of LabelNames and LabelValues: sorted by bytes, unique. */
export interface StringsResponse {
  readonly values: readonly string[];
  readonly warnings: readonly string[];
  readonly hints?: AnyMessage;
}

/** Time span of one set of external labels. */
export interface TsdbInfo {
  readonly labels: Labels;
  readonly minTime: number;
  readonly maxTime: number;
}

/** What a Store says about itself. */
export interface StoreInfo {
  readonly minTime: number;
  readonly maxTime: number;
  readonly supportsSharding: boolean;
  readonly supportsWithoutReplicaLabels: boolean;
  readonly tsdbInfos: readonly TsdbInfo[];
  /** Heeds `coarserWhereMissing`. Our own extension of the wire. */
  readonly fillsWithCoarser?: boolean;
}

/** Which APIs a component offers, and of what. */
export interface ComponentInfo {
  readonly labelSets: readonly Labels[];
  /** `sidecar`, `store`, `receive`, `rule`, `query`. */
  readonly componentType: string;
  readonly store?: StoreInfo;
  readonly rules?: true;
  readonly metricMetadata?: true;
  readonly targets?: true;
  readonly exemplars?: { readonly minTime: number; readonly maxTime: number };
  readonly query?: true;
  readonly status?: true;
}
