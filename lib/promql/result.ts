/** From the rows of the root operator to a Value. */
import { compareLabels, type FloatHistogram, type Labels } from "../model/mod.ts";
import { MnemeError } from "../base/mod.ts";
import { MergeOperator } from "./op_merge.ts";
import { dropName, type Operator, type SeriesList, tileFor } from "./operator.ts";
import { histogramWeight, type QueryContext } from "./query_context.ts";
import { findWindows } from "./range_row.ts";
import type { SampleColumns, SampleReader } from "./source.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, type Tile } from "./tile.ts";
import type { MatrixSeries, MatrixValue, VectorValue } from "./value.ts";

/** Takes the names off the rows that are marked for it; rows may come to have equal labels. */
class FinalNamesOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;

  constructor(child: Operator) {
    this.grid = child.grid;
    this.#child = child;
  }

  async series(): Promise<SeriesList> {
    const { labels, dropName: marks } = await this.#child.series();
    if (marks === null) return { labels, dropName: null };
    return { labels: labels.map((l, i) => marks[i] === 1 ? dropName(l) : l), dropName: null };
  }

  next(tile: Tile): number | Promise<number> {
    return this.#child.next(tile);
  }

  close(): void {
    this.#child.close();
  }
}

/** The root as the user sees it: with delayed name removal, the names go here. */
export function finishNames(root: Operator, context: QueryContext): Operator {
  if (!context.features.delayedNameRemoval) return root;
  return new MergeOperator(new FinalNamesOperator(root), context);
}

/** Rows over a grid as a matrix, ascending by labels; rows without samples are left out. */
export async function collectMatrix(root: Operator, context: QueryContext): Promise<MatrixValue> {
  const list = await root.series();
  const { start, step, count } = root.grid;
  const times = new Float64Array(count);
  for (let k = 0; k < count; k++) times[k] = start + k * step;
  const series: MatrixSeries[] = [];
  const tile = tileFor(root.grid);
  let row = 0;
  for (;;) {
    const result = root.next(tile);
    const rows = typeof result === "number" ? result : await result;
    if (rows === 0) break;
    for (let r = 0; r < rows; r++) {
      const one = matrixSeries(tile, r, list.labels[row++]!, times);
      if (one === undefined) continue;
      context.hold(weightOf(one.t.length, one.h));
      series.push(one);
    }
    const pause = context.breathe();
    if (pause !== undefined) await pause;
  }
  sortSeries(series);
  return { type: "matrix", series };
}

function sortSeries(series: MatrixSeries[]): void {
  for (let i = 1; i < series.length; i++) {
    if (compareLabels(series[i - 1]!.labels, series[i]!.labels) > 0) {
      series.sort((a, b) => compareLabels(a.labels, b.labels));
      return;
    }
  }
}

function weightOf(n: number, h: readonly (FloatHistogram | undefined)[] | null): number {
  if (h === null) return n;
  let weight = 0;
  for (const one of h) weight += one === undefined ? 1 : histogramWeight(one);
  return weight;
}

function matrixSeries(
  tile: Tile,
  row: number,
  labels: Labels,
  times: Float64Array,
): MatrixSeries | undefined {
  const count = tile.steps;
  const at = row * count;
  if (tile.kind[row] === ROW_FULL) {
    return { labels, t: times, v: tile.v.slice(at, at + count), h: null };
  }
  let n = 0;
  for (let k = at; k < at + count; k++) n += tile.has[k]!;
  if (n === 0) return undefined;
  const t = n === count ? times : new Float64Array(n);
  const v = new Float64Array(n);
  const from = tile.kind[row] === ROW_HISTOGRAM ? tile.h! : null;
  const column: (FloatHistogram | undefined)[] | null = from === null ? null : [];
  let any = false;
  let i = 0;
  for (let k = 0; k < count; k++) {
    if (tile.has[at + k] === 0) continue;
    if (n !== count) t[i] = times[k]!;
    v[i] = tile.v[at + k]!;
    if (column !== null) {
      column[i] = from![at + k];
      any ||= column[i] !== undefined;
    }
    i++;
  }
  return { labels, t, v, h: any ? column : null };
}

/** Rows at one step as a vector, in the order in which they came. */
export async function collectVector(root: Operator, context: QueryContext): Promise<VectorValue> {
  const list = await root.series();
  const labels: Labels[] = [];
  let v = new Float64Array(Math.min(list.labels.length, 1024));
  let h: (FloatHistogram | undefined)[] | null = null;
  const tile = tileFor(root.grid);
  let row = 0;
  for (;;) {
    const result = root.next(tile);
    const rows = typeof result === "number" ? result : await result;
    if (rows === 0) break;
    for (let r = 0; r < rows; r++, row++) {
      if (tile.has[r] === 0) continue;
      const i = labels.length;
      if (i === v.length) {
        const grown = new Float64Array(Math.max(16, i * 2));
        grown.set(v);
        v = grown;
      }
      v[i] = tile.v[r]!;
      labels.push(list.labels[row]!);
      const histogram = tile.kind[r] === ROW_HISTOGRAM ? tile.h![r] : undefined;
      if (histogram !== undefined) {
        h ??= [];
        h[i] = histogram;
        context.hold(histogramWeight(histogram));
      } else context.hold(1);
    }
    const pause = context.breathe();
    if (pause !== undefined) await pause;
  }
  if (h !== null) { for (let i = 0; i < labels.length; i++) h[i] ??= undefined; }
  return {
    type: "vector",
    time: root.grid.start,
    labels,
    v: v.subarray(0, labels.length),
    h,
  };
}

/** The value of a scalar operator at its only step. */
export async function collectScalar(root: Operator): Promise<number> {
  await root.series();
  const tile = tileFor(root.grid);
  const rows = await root.next(tile);
  if (rows !== 1) throw new MnemeError("internal", "a scalar has one row");
  return tile.v[0]!;
}

/** The raw samples of a range selector at one step, ascending by labels. */
export async function collectSamples(
  reader: SampleReader,
  reference: number,
  range: number,
  context: QueryContext,
): Promise<MatrixValue> {
  const list = await reader.series();
  const columns: SampleColumns = { t: EMPTY, v: EMPTY, n: 0, h: null, st: null };
  const lo = new Int32Array(1);
  const hi = new Int32Array(1);
  const series: MatrixSeries[] = [];
  for (let row = 0;; row++) {
    const more = reader.next(columns);
    if (!(typeof more === "boolean" ? more : await more)) break;
    const n = findWindows(columns.t, columns.n, reference, 1, range, lo, hi, 1);
    if (n > 0) {
      const from = lo[0]!;
      const to = hi[0]!;
      const part = columns.h === null ? null : columns.h.slice(from, to);
      const h = part !== null && part.some((x) => x !== undefined) ? part : null;
      const weight = weightOf(n, h);
      context.hold(weight);
      context.total += weight;
      series.push({
        labels: list.labels[row]!,
        t: columns.t.slice(from, to),
        v: columns.v.slice(from, to),
        h,
      });
    }
    const pause = context.breathe();
    if (pause !== undefined) await pause;
  }
  sortSeries(series);
  return { type: "matrix", series };
}

const EMPTY = new Float64Array(0);
