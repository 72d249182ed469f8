/** A matrix as columns for drawing: one row of values per series over a shared time axis. */
import type { SeriesColumns } from "../api/types.ts";
import type { LabelRecord } from "./labels.ts";

/** Series on a grid of steps. Units: ms. NaN = no sample, or one that cannot be drawn. */
export interface Frame {
  readonly times: Float64Array;
  /** Owner: some are the answer's own columns; nobody writes to them. */
  readonly rows: readonly Float64Array[];
  readonly labels: readonly LabelRecord[];
  /** Lowest and highest value of each row: Infinity and -Infinity where it has none. */
  readonly lowest: Float64Array;
  readonly highest: Float64Array;
}

/** Most series that are drawn at once: beyond, lines hide one another and the browser stalls. */
export const MAX_DRAWN = 1000;

/** The grid of a range. Units: ms. */
export function gridTimes(start: number, end: number, stepSeconds: number): Float64Array {
  const step = Math.max(1, stepSeconds * 1000);
  const count = Math.floor((end - start) / step + 1e-9) + 1;
  return Float64Array.from({ length: count }, (_, i) => start + i * step);
}

/** Puts series on their grid; samples off the grid go to the nearest step. */
export function toFrame(
  series: readonly SeriesColumns[],
  start: number,
  end: number,
  stepSeconds: number,
): Frame {
  const step = Math.max(1, stepSeconds * 1000);
  const times = gridTimes(start, end, stepSeconds);
  const drawn = series.filter((s) => s.times.length > 0).slice(0, MAX_DRAWN);
  // Most series have the same times: where they lie on the grid is found out once.
  let known: Float64Array | undefined;
  let places = new Int32Array(0);
  let whole = false;
  const lowest = new Float64Array(drawn.length).fill(Infinity);
  const highest = new Float64Array(drawn.length).fill(-Infinity);
  const rows = drawn.map((s, r) => {
    if (s.times !== known) {
      known = s.times;
      places = Int32Array.from(known, (time) => Math.round((time * 1000 - start) / step));
      whole = places.length === times.length && places.every((place, i) => place === i);
    }
    const row = whole && allFinite(s.values) ? s.values : spread(s.values, places, times.length);
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < row.length; i++) {
      const value = row[i]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    lowest[r] = low;
    highest[r] = high;
    return row;
  });
  return { times, rows, labels: drawn.map(({ metric }) => metric), lowest, highest };
}

function allFinite(values: Float64Array): boolean {
  // A sum is finite only if all its terms are; where large ones overflow it, a copy does no harm.
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return Number.isFinite(sum);
}

/** Values at their places of a row, the rest holes. */
function spread(values: Float64Array, places: Int32Array, width: number): Float64Array {
  const row = new Float64Array(width).fill(NaN);
  for (let i = 0; i < places.length; i++) {
    const place = places[i]!;
    const value = values[i]!;
    if (place >= 0 && place < width && Number.isFinite(value)) row[place] = value;
  }
  return row;
}

/** The lowest and highest value of the shown rows; undefined when they have none. */
export function frameRange(
  { lowest, highest }: Frame,
  shown: readonly boolean[],
): { readonly min: number; readonly max: number } | undefined {
  let min = Infinity;
  let max = -Infinity;
  shown.forEach((on, r) => {
    if (!on) return;
    min = Math.min(min, lowest[r]!);
    max = Math.max(max, highest[r]!);
  });
  return min <= max ? { min, max } : undefined;
}

/** Running sums over the shown rows, for stacked areas: a missing sample counts as nothing. */
export function stackRows(
  rows: readonly Float64Array[],
  shown: readonly boolean[],
): (number | null)[][] {
  const width = rows[0]?.length ?? 0;
  const sums = new Float64Array(width);
  // Where no series has a sample there is a hole, not a sum of zero.
  const any = new Uint8Array(width);
  rows.forEach((row, r) => {
    if (shown[r]) row.forEach((value, i) => any[i]! |= Number(!Number.isNaN(value)));
  });
  return rows.map((row, r) => {
    const stacked = new Array<number | null>(width).fill(null);
    if (!shown[r]) return stacked;
    for (let i = 0; i < width; i++) {
      if (any[i] === 0) continue;
      const value = row[i]!;
      stacked[i] = sums[i] = sums[i]! + (Number.isNaN(value) ? 0 : value);
    }
    return stacked;
  });
}
