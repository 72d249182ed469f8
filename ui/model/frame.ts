/** A matrix as columns for drawing: one row of values per series over a shared time axis. */
import type { MatrixSeries } from "../api/types.ts";
import type { LabelRecord } from "./labels.ts";
import { parseSample } from "./numbers.ts";

/** Series on a grid of steps. Units: ms. Null = no sample, or one that cannot be drawn. */
export interface Frame {
  readonly times: number[];
  readonly rows: (number | null)[][];
  readonly labels: readonly LabelRecord[];
}

/** Most series that are drawn at once: beyond, lines hide one another and the browser stalls. */
export const MAX_DRAWN = 1000;

/** Puts series on their grid; samples off the grid go to the nearest step. */
export function toFrame(
  series: readonly MatrixSeries[],
  start: number,
  end: number,
  stepSeconds: number,
): Frame {
  const step = Math.max(1, stepSeconds * 1000);
  const count = Math.floor((end - start) / step + 1e-9) + 1;
  const times = Array.from({ length: count }, (_, i) => start + i * step);
  const drawn = series.filter(({ values }) => values !== undefined).slice(0, MAX_DRAWN);
  const rows = drawn.map(({ values }) => {
    const row: (number | null)[] = new Array(count).fill(null);
    for (const [time, text] of values!) {
      const i = Math.round((time * 1000 - start) / step);
      const value = parseSample(text);
      if (i >= 0 && i < count && Number.isFinite(value)) row[i] = value;
    }
    return row;
  });
  return { times, rows, labels: drawn.map(({ metric }) => metric) };
}

/** Running sums over the shown rows, for stacked areas: a missing sample counts as nothing. */
export function stackRows(
  rows: readonly (number | null)[][],
  shown: readonly boolean[],
): (number | null)[][] {
  const width = rows[0]?.length ?? 0;
  const sums = new Float64Array(width);
  // Where no series has a sample there is a hole, not a sum of zero.
  const any = new Uint8Array(width);
  rows.forEach((row, r) => {
    if (shown[r]) row.forEach((value, i) => any[i]! |= Number(value !== null));
  });
  return rows.map((row, r) => {
    if (!shown[r]) return new Array<number | null>(width).fill(null);
    return row.map((value, i) => any[i] === 0 ? null : sums[i] = sums[i]! + (value ?? 0));
  });
}
