/**
 * What a system tells about itself beside its series: rules, targets, metric metadata, exemplars
 * and statistics of its database. `wire_catalog.ts` turns these values into protobuf bytes.
 * Source: the field's wire notes, parts A5 and A6.
 */
import type { Labels, Matcher } from "../model/mod.ts";
import type { CallContext } from "./store.ts";
import type { PartialResponseStrategy } from "./types.ts";

/** A moment in full precision. */
export interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}

export const ALERT_STATES = ["unknown", "inactive", "pending", "firing"] as const;
export type AlertState = typeof ALERT_STATES[number];

export interface AlertInstance {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly state: AlertState;
  readonly activeAt: Timestamp | undefined;
  readonly value: string;
  readonly partialResponse: PartialResponseStrategy;
}

/** An alerting rule. Durations in seconds. */
export interface AlertingRule {
  readonly state: AlertState;
  readonly name: string;
  readonly query: string;
  readonly duration: number;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly alerts: readonly AlertInstance[];
  readonly health: string;
  readonly lastError: string;
  readonly evaluationTime: number;
  readonly lastEvaluation: Timestamp | undefined;
  readonly keepFiringFor: number;
}

/** A recording rule. Durations in seconds. */
export interface RecordingRule {
  readonly name: string;
  readonly query: string;
  readonly labels: Labels;
  readonly health: string;
  readonly lastError: string;
  readonly evaluationTime: number;
  readonly lastEvaluation: Timestamp | undefined;
}

/** One of both. */
export interface Rule {
  readonly recording: RecordingRule | undefined;
  readonly alert: AlertingRule | undefined;
}

/** Rules that are evaluated one after the other. Durations in seconds. */
export interface RuleGroup {
  readonly name: string;
  readonly file: string;
  readonly rules: readonly Rule[];
  readonly interval: number;
  readonly evaluationTime: number;
  readonly lastEvaluation: Timestamp | undefined;
  readonly partialResponse: PartialResponseStrategy;
  readonly limit: number;
}

export const RULE_TYPES = ["all", "alert", "record"] as const;
export interface RulesRequest {
  readonly type: typeof RULE_TYPES[number];
  readonly partialResponse: PartialResponseStrategy;
  /** Selectors on the rules' labels. */
  readonly matchers: readonly string[];
  readonly ruleNames: readonly string[];
  readonly ruleGroups: readonly string[];
  readonly files: readonly string[];
}

export const TARGET_HEALTHS = ["down", "up", "unknown"] as const;

/** A target that is scraped. Duration in seconds. */
export interface ActiveTarget {
  readonly discoveredLabels: Labels;
  readonly labels: Labels;
  readonly scrapePool: string;
  readonly scrapeUrl: string;
  readonly globalUrl: string;
  readonly lastError: string;
  readonly lastScrape: Timestamp | undefined;
  readonly lastScrapeDuration: number;
  readonly health: typeof TARGET_HEALTHS[number];
}

/** A target that relabelling dropped. */
export interface DroppedTarget {
  readonly discoveredLabels: Labels;
}

export interface TargetDiscovery {
  readonly activeTargets: readonly ActiveTarget[];
  readonly droppedTargets: readonly DroppedTarget[];
}

export const TARGET_STATES = ["any", "active", "dropped"] as const;
export interface TargetsRequest {
  readonly state: typeof TARGET_STATES[number];
  readonly partialResponse: PartialResponseStrategy;
}

/** What a metric's exposition says about it. */
export interface MetricMeta {
  readonly type: string;
  readonly help: string;
  readonly unit: string;
}
/** By metric name. */
export type MetricMetadata = ReadonlyMap<string, readonly MetricMeta[]>;

export interface MetricMetadataRequest {
  /** "" = all metrics. */
  readonly metric: string;
  /** Most metrics; negative = all. */
  readonly limit: number;
  readonly partialResponse: PartialResponseStrategy;
}

/** One exemplar. Time in ms. */
export interface Exemplar {
  readonly labels: Labels;
  readonly value: number;
  readonly time: number;
}
/** Exemplars of one series. */
export interface ExemplarData {
  readonly seriesLabels: Labels;
  readonly exemplars: readonly Exemplar[];
}

/** Exemplars of the series that a query selects. Times in ms. */
export interface ExemplarsRequest {
  readonly query: string;
  readonly start: number;
  readonly end: number;
  readonly partialResponse: PartialResponseStrategy;
}

export interface Statistic {
  readonly name: string;
  readonly value: number;
}

/** Statistics of a database's head. Times in ms. */
export interface TsdbStatistics {
  readonly head: HeadStatistics;
  readonly seriesCountByMetricName: readonly Statistic[];
  readonly labelValueCountByLabelName: readonly Statistic[];
  readonly memoryInBytesByLabelName: readonly Statistic[];
  readonly seriesCountByLabelValuePair: readonly Statistic[];
}

export interface HeadStatistics {
  readonly numSeries: number;
  readonly numLabelPairs: number;
  readonly chunkCount: number;
  readonly minTime: number;
  readonly maxTime: number;
}

export interface TsdbStatisticsRequest {
  /** "" = all tenants. */
  readonly tenant: string;
  /** Longest list. */
  readonly limit: number;
  readonly partialResponse: PartialResponseStrategy;
  /** On external labels. */
  readonly matchers: readonly Matcher[];
  /**
   * Count blocks of a bucket that touch these times (ms, inclusive) instead of heads; both absent
   * or 0 = heads. Our own extension of the wire: only stores and queriers are asked then.
   */
  readonly start?: number;
  readonly end?: number;
}

/** An answer and what went wrong on the way to it. */
export interface Told<T> {
  readonly value: T;
  readonly warnings: readonly string[];
}

/** Everything that tells about itself: a Prometheus, a component elsewhere, or many of them. */
export interface Catalog {
  rules(request: RulesRequest, context: CallContext): Promise<Told<readonly RuleGroup[]>>;
  targets(request: TargetsRequest, context: CallContext): Promise<Told<TargetDiscovery>>;
  metricMetadata(
    request: MetricMetadataRequest,
    context: CallContext,
  ): Promise<Told<MetricMetadata>>;
  exemplars(
    request: ExemplarsRequest,
    context: CallContext,
  ): Promise<Told<readonly ExemplarData[]>>;
  /** By tenant. */
  tsdbStatistics(
    request: TsdbStatisticsRequest,
    context: CallContext,
  ): Promise<Told<ReadonlyMap<string, TsdbStatistics>>>;
}

/** Reads RFC 3339 with up to nine decimals; undefined for anything else. */
export function parseTimestamp(rfc3339: string): Timestamp | undefined {
  const m = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/.exec(rfc3339);
  if (m === null) return undefined;
  const ms = Date.parse(`${m[1]}${m[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return { seconds: ms / 1000, nanos: Number((m[2] ?? "").padEnd(9, "0")) };
}

/** RFC 3339 in UTC with as many decimals as needed; Go's zero time for undefined. */
export function formatTimestamp(time: Timestamp | undefined): string {
  if (time === undefined) return "0001-01-01T00:00:00Z";
  const date = new Date(time.seconds * 1000);
  if (Number.isNaN(date.getTime())) return "0001-01-01T00:00:00Z";
  const decimals = String(time.nanos).padStart(9, "0").replace(/0+$/, "");
  return `${date.toISOString().slice(0, -5)}${decimals === "" ? "" : `.${decimals}`}Z`;
}

/** Order of two moments. */
export function compareTimestamps(a: Timestamp | undefined, b: Timestamp | undefined): number {
  return (a?.seconds ?? 0) - (b?.seconds ?? 0) || (a?.nanos ?? 0) - (b?.nanos ?? 0);
}
