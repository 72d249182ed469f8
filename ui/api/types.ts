/** Shapes of the API's answers, as the servers of the field give them. Times in seconds or RFC 3339. */
import type { LabelRecord } from "../model/labels.ts";

/** Rule of the bounds, lower, upper, count. */
export type Bucket = readonly [number, string, string, string];

export interface HistogramJson {
  readonly count: string;
  readonly sum: string;
  readonly buckets?: readonly Bucket[];
}

export interface VectorSeries {
  readonly metric: LabelRecord;
  readonly value?: readonly [number, string];
  readonly histogram?: readonly [number, HistogramJson];
}

export interface MatrixSeries {
  readonly metric: LabelRecord;
  readonly values?: readonly (readonly [number, string])[];
  readonly histograms?: readonly (readonly [number, HistogramJson])[];
}

/** A series of a range as columns. Units: s. Shape: `times` and `values` are equally long. */
export interface SeriesColumns {
  readonly metric: LabelRecord;
  /** Series may share one array. */
  readonly times: Float64Array;
  readonly values: Float64Array;
  readonly histograms?: readonly (readonly [number, HistogramJson])[];
}

/** What one store did for a query. Units: ms unless text says otherwise; bytes. */
export interface FanoutEntry {
  readonly endpointAddr: string;
  readonly duration?: number | string;
  readonly firstByte?: number | string;
  readonly bytesProcessed?: number;
  readonly numResponses?: number;
  readonly series?: number;
  readonly chunks?: number;
  readonly samples?: number;
  readonly error?: string;
}

/** A stretch that data of one resolution served. Units: ms. */
export interface CoverageEntry {
  readonly resolution: number;
  readonly minTime: number;
  readonly maxTime: number;
}

/** An operator with what it did. */
export interface AnalysisNode {
  readonly name?: string;
  readonly executionTime?: string;
  readonly peakSamples?: number;
  readonly totalSamples?: number;
  readonly children?: readonly AnalysisNode[] | null;
  readonly fanout?: readonly FanoutEntry[] | null;
  readonly coverage?: readonly CoverageEntry[] | null;
}

/** Data of a query; of a range with its series as columns, `RangeData`. */
export type QueryData<Series = MatrixSeries> =
  & { readonly analysis?: AnalysisNode | null; readonly stats?: unknown }
  & (
    | { readonly resultType: "vector"; readonly result: readonly VectorSeries[] }
    | { readonly resultType: "matrix"; readonly result: readonly Series[] }
    | { readonly resultType: "scalar" | "string"; readonly result: readonly [number, string] }
  );

export type RangeData = QueryData<SeriesColumns>;

export interface StoreJson {
  readonly name: string;
  readonly lastCheck: string;
  readonly lastError: string | null;
  readonly labelSets: readonly LabelRecord[] | null;
  readonly minTime: number;
  readonly maxTime: number;
  /** Duration of the last health check, ms; not every server tells it. */
  readonly roundTrip?: number;
}

export type StoresJson = Readonly<Record<string, readonly StoreJson[]>>;

/** A marker file beside a block; `time` in RFC 3339. */
export interface BlockMark {
  readonly file: string;
  readonly reason?: string;
  readonly details?: string;
  readonly time?: string | null;
  readonly readable?: boolean;
}

/** meta.json. */
export interface BlockJson {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly version?: number;
  readonly stats?: {
    readonly numSamples?: number;
    readonly numSeries?: number;
    readonly numChunks?: number;
  };
  readonly compaction?: {
    readonly level?: number;
    readonly sources?: readonly string[];
    readonly parents?: readonly { readonly ulid: string }[];
  };
  readonly thanos?: {
    readonly labels?: LabelRecord;
    readonly downsample?: { readonly resolution?: number };
    readonly source?: string;
    readonly files?: readonly { readonly rel_path: string; readonly size_bytes?: number }[] | null;
  };
}

/** A compaction that is about to be made. Units: ms, bytes. */
export interface PlannedJson {
  readonly group: string;
  readonly kind: string;
  readonly blocks: readonly string[];
  readonly minTime: number;
  readonly maxTime: number;
  readonly level: number;
  readonly bytes: number;
}

/** A group that the compactor leaves alone until its cause is gone. */
export interface SetAsideJson {
  readonly key: string;
  readonly labels: string;
  readonly resolution: number;
  readonly reason: string;
  readonly message: string;
  readonly blocks: readonly string[];
  readonly waitingBlocks: number;
  readonly waitingBytes: number;
  readonly since: string;
  readonly tries: number;
}

/** The list of blocks; a compactor adds marks, plan and reasons. */
export interface BlocksJson {
  readonly label: string;
  readonly blocks: readonly BlockJson[] | null;
  readonly refreshedAt: string;
  readonly err: unknown;
  readonly markers?: Readonly<Record<string, readonly BlockMark[]>>;
  /** Why each block is as it is, in words. */
  readonly waits?: Readonly<Record<string, string>>;
  readonly plan?: readonly PlannedJson[];
  readonly setAside?: readonly SetAsideJson[];
}

export interface AlertJson {
  readonly labels: LabelRecord;
  readonly annotations: LabelRecord;
  readonly state: string;
  readonly activeAt?: string;
  readonly value: string | number;
}

export interface RuleJson {
  readonly type: string;
  readonly name: string;
  readonly query: string;
  readonly labels: LabelRecord | null;
  readonly health: string;
  readonly lastError?: string;
  readonly evaluationTime: number;
  readonly lastEvaluation: string;
  readonly state?: string;
  readonly duration?: number;
  readonly keepFiringFor?: number;
  readonly annotations?: LabelRecord | null;
  readonly alerts?: readonly AlertJson[] | null;
}

export interface RuleGroupJson {
  readonly name: string;
  readonly file: string;
  readonly interval: number;
  readonly evaluationTime: number;
  readonly lastEvaluation: string;
  readonly partialResponseStrategy?: string;
  readonly rules: readonly RuleJson[] | null;
}

export interface TargetJson {
  readonly labels: LabelRecord;
  readonly discoveredLabels: LabelRecord;
  readonly scrapePool: string;
  readonly scrapeUrl: string;
  readonly lastError: string;
  readonly lastScrape: string;
  readonly lastScrapeDuration: number;
  readonly health: string;
}

export interface StatCount {
  readonly name: string;
  readonly value: number;
}

export interface TsdbStatsJson {
  readonly tenant?: string;
  readonly headStats: {
    readonly numSeries?: number;
    readonly numLabelPairs?: number;
    readonly chunkCount?: number;
    readonly minTime?: number;
    readonly maxTime?: number;
  };
  readonly seriesCountByMetricName: readonly StatCount[] | null;
  readonly labelValueCountByLabelName: readonly StatCount[] | null;
  readonly memoryInBytesByLabelName: readonly StatCount[] | null;
  readonly seriesCountByLabelValuePair: readonly StatCount[] | null;
}

/** A query that waits or runs. Units: seconds. */
export interface RunningQuery {
  readonly id: string | number;
  readonly query: string;
  readonly start?: number;
  readonly end?: number;
  readonly step?: number;
  readonly tenant?: string;
  readonly elapsed?: number;
  readonly samples?: number;
  readonly state?: string;
}

export interface ExemplarsJson {
  readonly seriesLabels: LabelRecord;
  readonly exemplars: readonly {
    readonly labels: LabelRecord;
    readonly value: string;
    readonly timestamp: number;
  }[];
}
