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
  const countsOf = (lower: number, upper: number) => {
    const key = `${lower} ${upper}`;
    let cell = cells.get(key);
    if (cell === undefined) {
      cells.set(key, cell = { lower, upper, counts: new Float64Array(width) });
    }
    return cell.counts;
  };
  for (const { histograms } of series) {
    for (const [time, histogram] of histograms ?? []) {
      const at = column(time);
      if (!(at >= 0 && at < width)) continue;
      for (const [, lower, upper, text] of histogram.buckets ?? []) {
        const count = parseSample(text);
        if (isCount(count)) countsOf(parseSample(lower), parseSample(upper))[at]! += count;
      }
    }
  }
  if (cells.size === 0) addClassic(series, column, width, countsOf);
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

function isCount(value: number): boolean {
  return value > 0 && value < Infinity;
}

/** Classic buckets are cumulative: each is the difference to the next lower bound. */
function addClassic(
  series: readonly SeriesColumns[],
  column: (seconds: number) => number,
  width: number,
  countsOf: (lower: number, upper: number) => Float64Array,
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
      let counts: Float64Array | undefined;
      for (let i = 0; i < width; i++) {
        const count = values[i]! - (below === undefined ? 0 : below.values[i]!);
        if (!isCount(count)) continue;
        // A bucket in which nothing ever was has no row.
        counts ??= countsOf(below?.le ?? (le > 0 ? 0 : -Infinity), le);
        counts[i]! += count;
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

/**
 * Cells as a picture, a pixel each and the highest bucket first; where there are more cells than
 * pixels, a pixel shows the largest of its cells.
 *
 * Shape: RGBA, `width` × `height`; `colors` are RGB triples from the least to the most.
 */
export function heatPixels(
  heat: Heatmap,
  width: number,
  height: number,
  colors: Uint8Array,
): Uint8ClampedArray<ArrayBuffer> {
  const rows = heat.lower.length;
  const columns = heat.times.length;
  const steps = colors.length / 3;
  const pixels = new Uint8ClampedArray(width * height * 4);
  const largest = new Float64Array(width);
  for (let y = 0, row = rows - 1; y < height; y++) {
    largest.fill(0);
    for (const last = Math.floor((height - 1 - y) * rows / height); row >= last; row--) {
      for (let i = 0; i < columns; i++) {
        const x = columns === width ? i : Math.floor(i * width / columns);
        const count = heat.counts[row * columns + i]!;
        if (count > largest[x]!) largest[x] = count;
      }
    }
    for (let x = 0; x < width; x++) {
      const count = largest[x]!;
      if (count === 0) continue;
      const color = Math.min(steps - 1, Math.floor(count / heat.max * steps)) * 3;
      const at = (y * width + x) * 4;
      pixels[at] = colors[color]!;
      pixels[at + 1] = colors[color + 1]!;
      pixels[at + 2] = colors[color + 2]!;
      pixels[at + 3] = 255;
    }
  }
  return pixels;
}
