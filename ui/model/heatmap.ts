/** Histograms over time as cells: a row per bucket, a column per step. */
import type { SeriesColumns } from "../api/types.ts";
import { gridTimes } from "./frame.ts";
import { parseSample } from "./numbers.ts";

/** Rows from low to high; `counts[row * width + column]`, 0 = nothing. Units: ms. */
export interface Heatmap {
  readonly times: Float64Array;
  readonly lower: number[];
  readonly upper: number[];
  readonly counts: Float64Array;
  readonly max: number;
}

/** Most rows of a heat map; finer buckets are joined in pairs until they fit. */
const MAX_ROWS = 400;

/**
 * Cells of native histograms, or of classic buckets (`le`); undefined when there are neither.
 * Several series are added up.
 */
export function toHeatmap(
  series: readonly SeriesColumns[],
  start: number,
  end: number,
  stepSeconds: number,
): Heatmap | undefined {
  const step = Math.max(1, stepSeconds * 1000);
  const times = gridTimes(start, end, stepSeconds);
  const width = times.length;
  const column = (seconds: number) => Math.round((seconds * 1000 - start) / step);
  const cells = new Map<string, { lower: number; upper: number; counts: Float64Array }>();
  const add = (lower: number, upper: number, at: number, count: number) => {
    if (!(at >= 0 && at < width) || !(count > 0) || !Number.isFinite(count)) return;
    const key = `${lower} ${upper}`;
    let cell = cells.get(key);
    if (cell === undefined) {
      cells.set(key, cell = { lower, upper, counts: new Float64Array(width) });
    }
    cell.counts[at]! += count;
  };
  for (const { histograms } of series) {
    for (const [time, histogram] of histograms ?? []) {
      for (const [, lower, upper, count] of histogram.buckets ?? []) {
        add(parseSample(lower), parseSample(upper), column(time), parseSample(count));
      }
    }
  }
  if (cells.size === 0) addClassic(series, column, width, add);
  if (cells.size === 0) return undefined;
  let rows = [...cells.values()].sort((a, b) => a.lower - b.lower || a.upper - b.upper);
  while (rows.length > MAX_ROWS) rows = joinPairs(rows);
  const counts = new Float64Array(rows.length * width);
  rows.forEach((row, r) => counts.set(row.counts, r * width));
  return {
    times,
    lower: rows.map((r) => r.lower),
    upper: rows.map((r) => r.upper),
    counts,
    max: counts.reduce((m, v) => Math.max(m, v), 0),
  };
}

/** Classic buckets are cumulative: each is the difference to the next lower bound. */
function addClassic(
  series: readonly SeriesColumns[],
  column: (seconds: number) => number,
  width: number,
  add: (lower: number, upper: number, at: number, count: number) => void,
): void {
  const groups = new Map<string, { le: number; values: Float64Array }[]>();
  for (const { metric, times, values } of series) {
    const { le, ...rest } = metric;
    if (le === undefined || values.length === 0) continue;
    const row = new Float64Array(width).fill(NaN);
    for (let i = 0; i < times.length; i++) {
      const at = column(times[i]!);
      if (at >= 0 && at < width) row[at] = values[i]!;
    }
    const key = JSON.stringify(rest);
    groups.set(key, [...groups.get(key) ?? [], { le: parseSample(le), values: row }]);
  }
  for (const buckets of groups.values()) {
    buckets.sort((a, b) => a.le - b.le);
    buckets.forEach(({ le, values }, b) => {
      const below = buckets[b - 1];
      for (let i = 0; i < width; i++) {
        add(below?.le ?? (le > 0 ? 0 : -Infinity), le, i, values[i]! - (below?.values[i] ?? 0));
      }
    });
  }
}

type Row = { lower: number; upper: number; counts: Float64Array };

function joinPairs(rows: readonly Row[]): Row[] {
  const joined: Row[] = [];
  for (let i = 0; i < rows.length; i += 2) {
    const a = rows[i]!;
    const b = rows[i + 1];
    joined.push(
      b === undefined ? a : {
        lower: a.lower,
        upper: b.upper,
        counts: a.counts.map((count, c) => count + b.counts[c]!),
      },
    );
  }
  return joined;
}
