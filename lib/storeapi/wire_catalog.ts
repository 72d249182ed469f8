/** Protobuf codecs of rules, targets, metadata, exemplars and TSDB statistics (package thanos). */
import { ProtoReader, ProtoWriter } from "../rpc/mod.ts";
import {
  type ActiveTarget,
  ALERT_STATES,
  type AlertingRule,
  type AlertInstance,
  type DroppedTarget,
  type Exemplar,
  type ExemplarData,
  type ExemplarsRequest,
  type HeadStatistics,
  type MetricMeta,
  type MetricMetadataRequest,
  type RecordingRule,
  type Rule,
  RULE_TYPES,
  type RuleGroup,
  type RulesRequest,
  type Statistic,
  TARGET_HEALTHS,
  TARGET_STATES,
  type TargetDiscovery,
  type TargetsRequest,
  type Timestamp,
  type TsdbStatistics,
  type TsdbStatisticsRequest,
} from "./catalog_types.ts";
import {
  choice,
  double,
  type Field,
  int32,
  int64,
  labelSet,
  many,
  mapOf,
  type Message,
  message,
  one,
  text,
  textOption,
  texts,
  uint64,
} from "./message.ts";
import { readMatcher, writeMatchers } from "./wire_store.ts";

const STRATEGIES = ["warn", "abort"] as const;
const timestamp = message<Timestamp>({ seconds: int64(1), nanos: int32(2) });

const alertInstance = message<AlertInstance>({
  labels: labelSet(1),
  annotations: labelSet(2),
  state: choice(3, ALERT_STATES),
  activeAt: one(4, timestamp),
  value: text(5),
  partialResponse: choice(6, STRATEGIES),
});
const alertingRule = message<AlertingRule>({
  state: choice(1, ALERT_STATES),
  name: text(2),
  query: text(3),
  duration: double(4),
  labels: labelSet(5),
  annotations: labelSet(6),
  alerts: many(7, alertInstance),
  health: text(8),
  lastError: text(9),
  evaluationTime: double(10),
  lastEvaluation: one(11, timestamp),
  keepFiringFor: double(12),
});
const recordingRule = message<RecordingRule>({
  name: text(1),
  query: text(2),
  labels: labelSet(3),
  health: text(4),
  lastError: text(5),
  evaluationTime: double(6),
  lastEvaluation: one(7, timestamp),
});
const ruleGroup = message<RuleGroup>({
  name: text(1),
  file: text(2),
  rules: many(3, message<Rule>({ recording: one(1, recordingRule), alert: one(2, alertingRule) })),
  interval: double(4),
  evaluationTime: double(5),
  lastEvaluation: one(6, timestamp),
  partialResponse: choice(8, STRATEGIES),
  limit: int64(9),
});

const activeTarget = message<ActiveTarget>({
  discoveredLabels: labelSet(1),
  labels: labelSet(2),
  scrapePool: text(3),
  scrapeUrl: text(4),
  globalUrl: text(5),
  lastError: text(6),
  lastScrape: one(7, timestamp),
  lastScrapeDuration: double(8),
  health: choice(9, TARGET_HEALTHS),
});
const targetDiscovery = message<TargetDiscovery>({
  activeTargets: many(1, activeTarget),
  droppedTargets: many(2, message<DroppedTarget>({ discoveredLabels: labelSet(1) })),
});

const metricMeta = message<MetricMeta>({ type: text(1), help: text(2), unit: text(3) });
const metaEntry = message<{ metas: readonly MetricMeta[] }>({ metas: many(2, metricMeta) });
const metricMetadata = message<{ metadata: ReadonlyMap<string, { metas: readonly MetricMeta[] }> }>(
  { metadata: mapOf(1, metaEntry) },
);

const exemplar = message<Exemplar>({ labels: labelSet(1), value: double(2), time: int64(3) });
const exemplarData = message<ExemplarData>({
  seriesLabels: labelSet(1),
  exemplars: many(2, exemplar),
});

const NO_HEAD: HeadStatistics = {
  numSeries: 0,
  numLabelPairs: 0,
  chunkCount: 0,
  minTime: 0,
  maxTime: 0,
};
const headStatistics = message<HeadStatistics>({
  numSeries: uint64(1),
  numLabelPairs: int64(2),
  chunkCount: int64(3),
  minTime: int64(4),
  maxTime: int64(5),
});
const statistics = message<Statistic>({ name: text(1), value: uint64(2) });
const statisticsEntry = message<TsdbStatistics>({
  head: always(one(1, headStatistics), NO_HEAD),
  seriesCountByMetricName: many(2, statistics),
  labelValueCountByLabelName: many(3, statistics),
  memoryInBytesByLabelName: many(4, statistics),
  seriesCountByLabelValuePair: many(5, statistics),
});
const tsdbStatistics = message<{ statistics: ReadonlyMap<string, TsdbStatistics> }>({
  statistics: mapOf(1, statisticsEntry),
});

/** A message that means `absent` when it is absent. */
function always<T>(field: Field<T | undefined>, absent: T): Field<T> {
  return {
    number: field.number,
    initial: () => absent,
    write: (w, value) => field.write(w, value),
    read: (r, so) => field.read(r, so) ?? absent,
  };
}

/** A streamed answer is a value or a warning. */
interface Piece<T> {
  readonly value: T | undefined;
  readonly warning: string | undefined;
}

function piece<T extends object>(of: Message<T>): Message<Piece<T>> {
  return message<Piece<T>>({ value: one(1, of), warning: textOption(2) });
}

export const RULES_RESPONSE = piece(ruleGroup);
export const TARGETS_RESPONSE = piece(targetDiscovery);
export const METADATA_RESPONSE = piece(metricMetadata);
export const EXEMPLARS_RESPONSE = piece(exemplarData);
export const STATISTICS_RESPONSE = piece(tsdbStatistics);

export const RULES_REQUEST = message<RulesRequest>({
  type: choice(1, RULE_TYPES),
  partialResponse: choice(2, STRATEGIES),
  matchers: texts(3),
  ruleNames: texts(4),
  ruleGroups: texts(5),
  files: texts(6),
});
export const TARGETS_REQUEST = message<TargetsRequest>({
  state: choice(1, TARGET_STATES),
  partialResponse: choice(2, STRATEGIES),
});
export const METADATA_REQUEST = message<MetricMetadataRequest>({
  metric: text(1),
  limit: int32(2),
  partialResponse: choice(3, STRATEGIES),
});
export const EXEMPLARS_REQUEST = message<ExemplarsRequest>({
  query: text(1),
  start: int64(2),
  end: int64(3),
  partialResponse: choice(4, STRATEGIES),
});
export const STATISTICS_REQUEST = message<TsdbStatisticsRequest>({
  tenant: text(1),
  limit: int32(2),
  partialResponse: choice(3, STRATEGIES),
  matchers: {
    number: 4,
    initial: () => [],
    write: (w: ProtoWriter, value) => writeMatchers(w, 4, value),
    read: (r: ProtoReader, so) => [...so, readMatcher(r)],
  },
  start: ownTime(1000),
  end: ownTime(1001),
});

/** A time that others skip as an unknown field; absent is 0. */
function ownTime(number: number): Field<number> {
  return {
    number,
    initial: () => 0,
    write: (w, value: number | undefined) => w.int64(number, value ?? 0),
    read: (r) => r.int64(),
  };
}
