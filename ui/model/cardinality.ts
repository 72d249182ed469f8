/** Counts of series by metric, label and pair, and how they differ between two days. */
import type { StatCount, TsdbStatsJson } from "../api/types.ts";
import type { LabelRecord } from "./labels.ts";

/** A name with its count, and the count at the other time where there is one. */
export interface Count {
  readonly name: string;
  readonly value: number;
  readonly before?: number;
}

/** The tables of the page. */
export interface Cardinality {
  readonly series: number;
  readonly metrics: readonly Count[];
  /** Distinct values of each label. */
  readonly labels: readonly Count[];
  /** Series of each `name=value`. */
  readonly pairs: readonly Count[];
}

/** Counts over the label sets of series. */
export function countSeries(all: readonly LabelRecord[]): Cardinality {
  const metrics = new Map<string, number>();
  const values = new Map<string, Set<string>>();
  const pairs = new Map<string, number>();
  for (const labels of all) {
    for (const [name, value] of Object.entries(labels)) {
      if (name === "__name__") metrics.set(value, (metrics.get(value) ?? 0) + 1);
      const known = values.get(name);
      if (known === undefined) values.set(name, new Set([value]));
      else known.add(value);
      const pair = `${name}=${value}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
    }
  }
  return {
    series: all.length,
    metrics: sorted(metrics),
    labels: sorted(new Map([...values].map(([name, set]) => [name, set.size]))),
    pairs: sorted(pairs),
  };
}

/** The same tables out of statistics that servers counted, all tenants together. */
export function countsOfBlocks(all: readonly TsdbStatsJson[]): Cardinality {
  const sum = (of: (stats: TsdbStatsJson) => readonly StatCount[] | null) => {
    const counts = new Map<string, number>();
    for (const stats of all) {
      for (const { name, value } of of(stats) ?? []) {
        counts.set(name, (counts.get(name) ?? 0) + value);
      }
    }
    return sorted(counts);
  };
  return {
    series: all.reduce((n, { headStats }) => n + (headStats.numSeries ?? 0), 0),
    metrics: sum((s) => s.seriesCountByMetricName),
    labels: sum((s) => s.labelValueCountByLabelName),
    pairs: sum((s) => s.seriesCountByLabelValuePair),
  };
}

function sorted(counts: ReadonlyMap<string, number>): Count[] {
  return [...counts]
    .map(([name, value]) => ({ name, value }))
    .sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
}

/** Both times side by side, what changed most first. */
export function compareCounts(now: readonly Count[], before: readonly Count[]): Count[] {
  const old = new Map(before.map(({ name, value }) => [name, value]));
  const joined: Count[] = now.map(({ name, value }) => ({
    name,
    value,
    before: old.get(name) ?? 0,
  }));
  const known = new Set(now.map(({ name }) => name));
  for (const { name, value } of before) {
    if (!known.has(name)) joined.push({ name, value: 0, before: value });
  }
  const change = ({ value, before = 0 }: Count) => Math.abs(value - before);
  return joined.sort((a, b) =>
    change(b) - change(a) || b.value - a.value || (a.name < b.name ? -1 : 1)
  );
}
