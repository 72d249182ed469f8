/**
 * Joins what many components tell about themselves: replicas' rules, targets and exemplars become
 * one when they differ in replica labels only.
 */
import { compareUtf8 } from "../base/mod.ts";
import { compareLabels, dropLabels, equalLabels, labelsKey } from "../model/mod.ts";
import {
  type ActiveTarget,
  type AlertingRule,
  type AlertState,
  compareTimestamps,
  type ExemplarData,
  type MetricMeta,
  type MetricMetadata,
  type RecordingRule,
  type Rule,
  type RuleGroup,
  type Statistic,
  type TargetDiscovery,
  type TsdbStatistics,
} from "../storeapi/mod.ts";

/** Among equal alerts the one that needs more attention is kept. */
const URGENCY: Readonly<Record<AlertState, number>> = {
  firing: 0,
  pending: 1,
  inactive: 2,
  unknown: 3,
};

/** Groups of the same file and name become one; replica labels go; equal rules become one. */
export function mergeRuleGroups(
  groups: readonly RuleGroup[],
  replicaLabels: ReadonlySet<string>,
): RuleGroup[] {
  const merged = new Map<string, RuleGroup>();
  const keyOf = (group: RuleGroup) => `${group.file};${group.name}`;
  for (const group of groups) {
    const key = keyOf(group);
    const known = merged.get(key);
    merged.set(
      key,
      known === undefined ? group : { ...known, rules: [...known.rules, ...group.rules] },
    );
  }
  return [...merged.values()]
    .sort((a, b) => compareUtf8(keyOf(a), keyOf(b)))
    .map((group) => ({ ...group, rules: mergeRules(group.rules, replicaLabels) }));
}

function mergeRules(rules: readonly Rule[], replicaLabels: ReadonlySet<string>): Rule[] {
  const without = rules.map((rule): Rule => ({
    recording: rule.recording && withoutLabels(rule.recording, replicaLabels),
    alert: rule.alert && withoutLabels(rule.alert, replicaLabels),
  }));
  without.sort((a, b) => compareRules(a, b) || preferred(a, b));
  return without.filter((rule, i) => i === 0 || compareRules(without[i - 1]!, rule) !== 0);
}

function withoutLabels<T extends AlertingRule | RecordingRule>(
  rule: T,
  names: ReadonlySet<string>,
): T {
  return names.size === 0 ? rule : { ...rule, labels: dropLabels(rule.labels, names) };
}

/** Alerts before recordings, then name, labels, query and duration. */
function compareRules(a: Rule, b: Rule): number {
  const kind = (rule: Rule) => rule.alert === undefined ? 1 : 0;
  const x = a.alert ?? a.recording!;
  const y = b.alert ?? b.recording!;
  return kind(a) - kind(b) || compareUtf8(x.name, y.name) || compareLabels(x.labels, y.labels) ||
    compareUtf8(x.query, y.query) || (a.alert?.duration ?? 0) - (b.alert?.duration ?? 0);
}

function preferred(a: Rule, b: Rule): number {
  const x = a.alert ?? a.recording!;
  const y = b.alert ?? b.recording!;
  const urgency = a.alert === undefined || b.alert === undefined
    ? 0
    : URGENCY[a.alert.state] - URGENCY[b.alert.state];
  return urgency || compareTimestamps(y.lastEvaluation, x.lastEvaluation);
}

const HEALTH = ["down", "up", "unknown"];

/** Equal targets become one; the one in worse health, then the one scraped later, is kept. */
export function mergeTargets(
  parts: readonly TargetDiscovery[],
  replicaLabels: ReadonlySet<string>,
): TargetDiscovery {
  const active = parts.flatMap((part) => part.activeTargets).map((target): ActiveTarget => ({
    ...target,
    labels: dropLabels(target.labels, replicaLabels),
    discoveredLabels: dropLabels(target.discoveredLabels, replicaLabels),
  }));
  const compare = (a: ActiveTarget, b: ActiveTarget) =>
    compareLabels(a.discoveredLabels, b.discoveredLabels) || compareLabels(a.labels, b.labels) ||
    compareUtf8(a.scrapePool, b.scrapePool) || compareUtf8(a.scrapeUrl, b.scrapeUrl) ||
    compareUtf8(a.globalUrl, b.globalUrl);
  active.sort((a, b) =>
    compare(a, b) || HEALTH.indexOf(a.health) - HEALTH.indexOf(b.health) ||
    compareTimestamps(b.lastScrape, a.lastScrape)
  );
  const dropped = parts.flatMap((part) => part.droppedTargets)
    .map((target) => ({ discoveredLabels: dropLabels(target.discoveredLabels, replicaLabels) }))
    .sort((a, b) => compareLabels(a.discoveredLabels, b.discoveredLabels));
  return {
    activeTargets: active.filter((t, i) => i === 0 || compare(active[i - 1]!, t) !== 0),
    droppedTargets: dropped.filter((t, i) =>
      i === 0 || !equalLabels(dropped[i - 1]!.discoveredLabels, t.discoveredLabels)
    ),
  };
}

/** Each metric's different entries; at most `limit` metrics, negative = all. */
export function mergeMetadata(parts: readonly MetricMetadata[], limit: number): MetricMetadata {
  const merged = new Map<string, MetricMeta[]>();
  for (const part of parts) {
    for (const [name, metas] of part) {
      let list = merged.get(name);
      if (list === undefined) {
        if (limit >= 0 && merged.size >= limit) continue;
        merged.set(name, list = []);
      }
      for (const meta of metas) {
        const same = (m: MetricMeta) =>
          m.type === meta.type && m.help === meta.help && m.unit === meta.unit;
        if (!list.some(same)) list.push(meta);
      }
    }
  }
  return new Map([...merged].sort(([a], [b]) => compareUtf8(a, b)));
}

/** Series that are equal without replica labels become one; exemplars in order of time, unique. */
export function mergeExemplars(
  parts: readonly ExemplarData[],
  replicaLabels: ReadonlySet<string>,
): ExemplarData[] {
  const merged = new Map<string, ExemplarData>();
  for (const part of parts) {
    const seriesLabels = dropLabels(part.seriesLabels, replicaLabels);
    const key = labelsKey(seriesLabels);
    const known = merged.get(key)?.exemplars ?? [];
    merged.set(key, { seriesLabels, exemplars: [...known, ...part.exemplars] });
  }
  return [...merged.values()]
    .sort((a, b) => compareLabels(a.seriesLabels, b.seriesLabels))
    .map(({ seriesLabels, exemplars }) => {
      const sorted = [...exemplars].sort((a, b) =>
        a.time - b.time || compareLabels(a.labels, b.labels) || a.value - b.value
      );
      return {
        seriesLabels,
        exemplars: sorted.filter((e, i) => {
          const last = sorted[i - 1];
          return last === undefined || last.time !== e.time || !Object.is(last.value, e.value) ||
            !equalLabels(last.labels, e.labels);
        }),
      };
    });
}

/** Sums by tenant; numbers of label values are the largest, times the widest. */
export function mergeStatistics(
  parts: readonly ReadonlyMap<string, TsdbStatistics>[],
  limit: number,
): Map<string, TsdbStatistics> {
  const sum = (a: number, b: number) => a + b;
  const merged = new Map<string, TsdbStatistics>();
  for (const [tenant, s] of parts.flatMap((part) => [...part])) {
    const known = merged.get(tenant);
    merged.set(
      tenant,
      known === undefined ? s : {
        head: {
          numSeries: known.head.numSeries + s.head.numSeries,
          numLabelPairs: known.head.numLabelPairs + s.head.numLabelPairs,
          chunkCount: known.head.chunkCount + s.head.chunkCount,
          minTime: Math.min(known.head.minTime, s.head.minTime),
          maxTime: Math.max(known.head.maxTime, s.head.maxTime),
        },
        seriesCountByMetricName: joined(known, s, "seriesCountByMetricName", sum),
        labelValueCountByLabelName: joined(known, s, "labelValueCountByLabelName", Math.max),
        memoryInBytesByLabelName: joined(known, s, "memoryInBytesByLabelName", sum),
        seriesCountByLabelValuePair: joined(known, s, "seriesCountByLabelValuePair", sum),
      },
    );
  }
  const top = (list: readonly Statistic[]) =>
    [...list].sort((a, b) => b.value - a.value || compareUtf8(a.name, b.name)).slice(0, limit);
  for (const [tenant, s] of merged) {
    merged.set(tenant, {
      head: s.head,
      seriesCountByMetricName: top(s.seriesCountByMetricName),
      labelValueCountByLabelName: top(s.labelValueCountByLabelName),
      memoryInBytesByLabelName: top(s.memoryInBytesByLabelName),
      seriesCountByLabelValuePair: top(s.seriesCountByLabelValuePair),
    });
  }
  return merged;
}

type StatisticLists = Exclude<keyof TsdbStatistics, "head">;

function joined(
  a: TsdbStatistics,
  b: TsdbStatistics,
  list: StatisticLists,
  join: (x: number, y: number) => number,
): Statistic[] {
  const values = new Map<string, number>();
  for (const { name, value } of [...a[list], ...b[list]]) {
    const known = values.get(name);
    values.set(name, known === undefined ? value : join(known, value));
  }
  return [...values].map(([name, value]) => ({ name, value }));
}
