/** A catalog with every field set, for tests of codecs, proxies and the HTTP API. */
import { labelsFromRecord } from "../../model/mod.ts";
import type {
  AlertingRule,
  Catalog,
  ExemplarData,
  MetricMetadata,
  RecordingRule,
  RuleGroup,
  TargetDiscovery,
  Told,
  TsdbStatistics,
} from "../catalog_types.ts";

const EVALUATED = { seconds: 1_790_000_000, nanos: 123_456_789 };

/** An alert of replica `replica`. */
export function alertOf(replica: string, more: Partial<AlertingRule> = {}): AlertingRule {
  return {
    state: "firing",
    name: "Down",
    query: "up == 0",
    duration: 300,
    labels: labelsFromRecord({ severity: "page", replica }),
    annotations: labelsFromRecord({ summary: "{{ $value }}" }),
    alerts: [{
      labels: labelsFromRecord({ alertname: "Down", job: "é" }),
      annotations: labelsFromRecord({ summary: "0" }),
      state: "firing",
      activeAt: { seconds: 1_789_999_000, nanos: 0 },
      value: "1e+00",
      partialResponse: "abort",
    }],
    health: "ok",
    lastError: "",
    evaluationTime: 0.25,
    lastEvaluation: EVALUATED,
    keepFiringFor: 60,
    ...more,
  };
}

/** A recording rule of replica `replica`. */
export function recordingOf(replica: string, more: Partial<RecordingRule> = {}): RecordingRule {
  return {
    name: "job:up",
    query: "sum by (job) (up)",
    labels: labelsFromRecord({ replica }),
    health: "err",
    lastError: "boom",
    evaluationTime: 0.5,
    lastEvaluation: EVALUATED,
    ...more,
  };
}

/** A group of one alert and one recording rule. */
export function groupOf(replica: string, more: Partial<RuleGroup> = {}): RuleGroup {
  return {
    name: "g",
    file: "/etc/rules.yml",
    rules: [
      { recording: recordingOf(replica), alert: undefined },
      { recording: undefined, alert: alertOf(replica) },
    ],
    interval: 30,
    evaluationTime: 0.75,
    lastEvaluation: EVALUATED,
    partialResponse: "abort",
    limit: 7,
    ...more,
  };
}

/** One active and one dropped target of replica `replica`. */
export function targetsOf(replica: string): TargetDiscovery {
  return {
    activeTargets: [{
      discoveredLabels: labelsFromRecord({ __address__: "h:1", replica }),
      labels: labelsFromRecord({ instance: "h:1", replica }),
      scrapePool: "node",
      scrapeUrl: "http://h:1/metrics",
      globalUrl: "http://host:1/metrics",
      lastError: "refused",
      lastScrape: EVALUATED,
      lastScrapeDuration: 0.125,
      health: "up",
    }],
    droppedTargets: [{ discoveredLabels: labelsFromRecord({ __address__: "d:1", replica }) }],
  };
}

/** Metadata of two metrics. */
export const METADATA: MetricMetadata = new Map([
  ["up", [{ type: "gauge", help: "Is it?", unit: "" }, { type: "unknown", help: "", unit: "s" }]],
  ["__proto__", [{ type: "counter", help: "odd name", unit: "" }]],
]);

/** Exemplars of one series of replica `replica`. */
export function exemplarsOf(replica: string): ExemplarData[] {
  return [{
    seriesLabels: labelsFromRecord({ __name__: "m", replica }),
    exemplars: [
      { labels: labelsFromRecord({ trace_id: "b" }), value: -1.5, time: 1_790_000_000_125 },
      { labels: labelsFromRecord({ trace_id: "a" }), value: 2, time: 1_790_000_000_000 },
    ],
  }];
}

/** Statistics of a small head. */
export const STATISTICS: TsdbStatistics = {
  head: { numSeries: 10, numLabelPairs: 20, chunkCount: 30, minTime: 1000, maxTime: 2000 },
  seriesCountByMetricName: [{ name: "up", value: 4 }, { name: "m", value: 6 }],
  labelValueCountByLabelName: [{ name: "job", value: 3 }],
  memoryInBytesByLabelName: [{ name: "job", value: 99 }],
  seriesCountByLabelValuePair: [{ name: "job=a", value: 5 }],
};

/** A catalog that tells all of it, and a warning. */
export function catalogFixture(replica: string, warnings: readonly string[] = []): Catalog {
  const told = <T>(value: T): Promise<Told<T>> => Promise.resolve({ value, warnings });
  return {
    rules: () => told([groupOf(replica)]),
    targets: () => told(targetsOf(replica)),
    metricMetadata: () => told(METADATA),
    exemplars: () => told(exemplarsOf(replica)),
    tsdbStatistics: () => told(new Map([["", STATISTICS]])),
  };
}
