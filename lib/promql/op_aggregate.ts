/**
 * Aggregations that fold rows into groups: sum, avg, min, max, count, group, stddev, stdvar.
 *
 * Accumulators are groups × steps columns; rows are folded in the order of the input series, so
 * that per cell the order of additions is Prometheus'.
 */
import {
  dropLabels,
  type FloatHistogram,
  keepLabels,
  type Labels,
  labelsKey,
  labelValue,
  METRIC_NAME,
} from "../model/mod.ts";
import { TEXT_MIXED_AGGREGATION, textIgnoredInAggregation } from "./annotations.ts";
import { HistogramFold } from "./aggregate_histogram.ts";
import { NAME_LABELS, type Operator, type SeriesList, tileFor } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** How rows are grouped. */
export interface Grouping {
  readonly labels: readonly string[];
  readonly without: boolean;
}

/** Aggregations of this file. */
export type FoldName = "sum" | "avg" | "min" | "max" | "count" | "group" | "stddev" | "stdvar";

/** The group of each input row, and the labels of the groups in order of first appearance. */
export interface Groups {
  readonly of: Uint32Array;
  readonly labels: Labels[];
  readonly dropName: Uint8Array | null;
}

/** The labels that name a series' group. */
export function groupLabels(grouping: Grouping): (labels: Labels) => Labels {
  const names = new Set(grouping.labels);
  if (!grouping.without) return (labels) => keepLabels(labels, names);
  for (const name of NAME_LABELS) names.add(name);
  return (labels) => dropLabels(labels, names);
}

/** Assigns rows to groups. */
export function assignGroups(list: SeriesList, grouping: Grouping): Groups {
  const n = list.labels.length;
  const of = new Uint32Array(n);
  const labels: Labels[] = [];
  const index = new Map<string, number>();
  const take = groupLabels(grouping);
  const marks: number[] = [];
  const namesKept = !grouping.without && grouping.labels.some((l) => NAME_LABELS.has(l));
  for (let i = 0; i < n; i++) {
    const group = take(list.labels[i]!);
    const key = labelsKey(group);
    let at = index.get(key);
    if (at === undefined) {
      at = labels.length;
      index.set(key, at);
      labels.push(group);
      if (list.dropName !== null) marks.push(list.dropName[i]!);
    }
    of[i] = at;
  }
  return {
    of,
    labels,
    dropName: list.dropName !== null && namesKept ? Uint8Array.from(marks) : null,
  };
}

/** See the file comment. */
export class AggregateOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #name: FoldName;
  readonly #grouping: Grouping;
  readonly #position: number;
  readonly #context: QueryContext;
  #groups: Groups | undefined;
  #input: readonly Labels[] = [];
  #held = 0;
  #next = -1;
  /** Sum, mean, extreme or square sum, and its compensation or second state. */
  #a = EMPTY;
  #b = EMPTY;
  /** Samples folded per cell. */
  #n = EMPTY;
  /** Cells of avg that went over to the incremental mean. */
  #incremental: Uint8Array | null = null;
  #histograms: HistogramFold | null = null;

  constructor(
    child: Operator,
    name: FoldName,
    grouping: Grouping,
    position: number,
    context: QueryContext,
  ) {
    this.grid = child.grid;
    this.#child = child;
    this.#name = name;
    this.#grouping = grouping;
    this.#position = position;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    const list = await this.#child.series();
    this.#input = list.labels;
    const groups = assignGroups(list, this.#grouping);
    this.#groups = groups;
    return { labels: groups.labels, dropName: groups.dropName };
  }

  next(tile: Tile): number | Promise<number> {
    return this.#next < 0 ? this.#consume().then(() => this.#emit(tile)) : this.#emit(tile);
  }

  async #consume(): Promise<void> {
    const groups = this.#groups!;
    const count = this.grid.count;
    const cells = groups.labels.length * count;
    const twoColumns = this.#name === "sum" || this.#name === "avg" || this.#name === "stddev" ||
      this.#name === "stdvar";
    this.#context.hold(cells);
    this.#held = cells;
    this.#a = new Float64Array(cells);
    this.#b = twoColumns ? new Float64Array(cells) : EMPTY;
    this.#n = new Float64Array(cells);
    const tile = tileFor(this.grid);
    let row = 0;
    for (;;) {
      const result = this.#child.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++, row++) {
        const to = groups.of[row]! * count;
        if (tile.kind[r] === ROW_HISTOGRAM) this.#foldHistograms(tile, r, to, row);
        else this.#fold(tile, r, to);
      }
    }
    this.#child.close();
    this.#next = 0;
  }

  #fold(tile: Tile, row: number, to: number): void {
    const count = this.grid.count;
    const at = row * count;
    const full = tile.kind[row] === ROW_FULL;
    const { v, has } = tile;
    switch (this.#name) {
      case "sum":
        if (full) foldSumFull(v, at, count, this.#a, this.#b, this.#n, to);
        else foldSum(v, has, at, count, this.#a, this.#b, this.#n, to);
        break;
      case "avg":
        this.#incremental = foldAvg(
          v,
          has,
          at,
          count,
          this.#a,
          this.#b,
          this.#n,
          to,
          this.#incremental,
        );
        break;
      case "min":
        foldMin(v, has, at, count, this.#a, this.#n, to);
        break;
      case "max":
        foldMax(v, has, at, count, this.#a, this.#n, to);
        break;
      case "count":
      case "group":
        foldCount(has, at, count, this.#n, to);
        break;
      case "stddev":
      case "stdvar":
        foldSquares(v, has, at, count, this.#a, this.#b, this.#n, to);
        break;
    }
  }

  /** A row with histograms: those are folded apart, its floats as if they stood alone. */
  #foldHistograms(tile: Tile, tileRow: number, to: number, inputRow: number): void {
    const count = this.grid.count;
    const at = tileRow * count;
    const metric = labelValue(this.#input[inputRow]!, METRIC_NAME);
    const h = tile.h!;
    const name = this.#name;
    if (name === "count" || name === "group") {
      foldCount(tile.has, at, count, this.#n, to);
      return;
    }
    if (name === "sum" || name === "avg") {
      this.#histograms ??= new HistogramFold(this.#n.length, this.#position, this.#context);
    }
    let ignored = false;
    for (let k = 0; k < count; k++) {
      if (tile.has[at + k] === 0) continue;
      const histogram = h[at + k];
      if (histogram === undefined) continue;
      tile.has[at + k] = 0;
      if (name === "sum" || name === "avg") {
        this.#histograms!.add(to + k, histogram, name === "avg", metric);
      } else ignored = true;
    }
    if (ignored) this.#context.annotations.info(textIgnoredInAggregation(name), this.#position);
    for (let k = 0; k < count; k++) {
      if (tile.has[at + k] === 1) {
        tile.kind[tileRow] = ROW_SPARSE;
        this.#fold(tile, tileRow, to);
        return;
      }
    }
  }

  #emit(tile: Tile): number {
    const groups = this.#groups!.labels.length;
    let row = 0;
    for (; row < tile.capacity && this.#next < groups; row++) this.#finish(tile, row, this.#next++);
    tile.rows = row;
    if (row === 0) this.close();
    return row;
  }

  #finish(tile: Tile, row: number, group: number): void {
    const count = this.grid.count;
    const from = group * count;
    const at = row * count;
    const { v, has } = tile;
    const a = this.#a;
    const b = this.#b;
    const n = this.#n;
    const name = this.#name;
    let present = 0;
    for (let k = 0; k < count; k++) {
      const samples = n[from + k]!;
      if (samples === 0) {
        has[at + k] = 0;
        continue;
      }
      has[at + k] = 1;
      present++;
      const x = a[from + k]!;
      switch (name) {
        case "sum":
          v[at + k] = x - x !== 0 ? x : x + b[from + k]!;
          break;
        case "avg":
          v[at + k] = this.#incremental !== null && this.#incremental[from + k] === 1
            ? x + b[from + k]!
            : x / samples + b[from + k]! / samples;
          break;
        case "min":
        case "max":
          v[at + k] = x;
          break;
        case "count":
          v[at + k] = samples;
          break;
        case "group":
          v[at + k] = 1;
          break;
        case "stdvar":
          v[at + k] = b[from + k]! / samples;
          break;
        case "stddev":
          v[at + k] = Math.sqrt(b[from + k]! / samples);
          break;
      }
    }
    tile.kind[row] = present === count ? ROW_FULL : ROW_SPARSE;
    if (this.#histograms !== null) this.#finishHistograms(tile, row, from);
  }

  #finishHistograms(tile: Tile, row: number, from: number): void {
    const fold = this.#histograms!;
    const count = this.grid.count;
    const at = row * count;
    let column: (FloatHistogram | undefined)[] | null = null;
    for (let k = 0; k < count; k++) {
      if (!fold.has(from + k)) continue;
      if (tile.has[at + k] === 1) {
        tile.has[at + k] = 0;
        if (tile.kind[row] === ROW_FULL) tile.kind[row] = ROW_SPARSE;
        this.#context.annotations.warn(TEXT_MIXED_AGGREGATION, this.#position);
        continue;
      }
      const histogram = fold.take(from + k);
      if (histogram === undefined) continue;
      column ??= tile.histogramRow(row);
      column[at + k] = histogram;
      tile.has[at + k] = 1;
    }
  }

  close(): void {
    this.#child.close();
    this.#context.release(this.#held);
    this.#held = 0;
    this.#a = this.#b = this.#n = EMPTY;
    this.#histograms?.close();
    this.#histograms = null;
  }
}

const EMPTY: Float64Array<ArrayBuffer> = new Float64Array(0);

function foldSumFull(
  v: Float64Array,
  at: number,
  count: number,
  sum: Float64Array,
  carry: Float64Array,
  n: Float64Array,
  to: number,
): void {
  for (let k = 0; k < count; k++) {
    const x = v[at + k]!;
    const s = sum[to + k]!;
    const t = s + x;
    if (t - t !== 0 && t === t) carry[to + k] = 0;
    else if (Math.abs(s) >= Math.abs(x)) carry[to + k]! += (s - t) + x;
    else carry[to + k]! += (x - t) + s;
    sum[to + k] = t;
    n[to + k]! += 1;
  }
}

function foldSum(
  v: Float64Array,
  has: Uint8Array,
  at: number,
  count: number,
  sum: Float64Array,
  carry: Float64Array,
  n: Float64Array,
  to: number,
): void {
  for (let k = 0; k < count; k++) {
    if (has[at + k] === 0) continue;
    const x = v[at + k]!;
    const s = sum[to + k]!;
    const t = s + x;
    if (t - t !== 0 && t === t) carry[to + k] = 0;
    else if (Math.abs(s) >= Math.abs(x)) carry[to + k]! += (s - t) + x;
    else carry[to + k]! += (x - t) + s;
    sum[to + k] = t;
    n[to + k]! += 1;
  }
}

/** Sums while sums are finite; a cell whose sum would overflow goes on as an incremental mean. */
function foldAvg(
  v: Float64Array,
  has: Uint8Array,
  at: number,
  count: number,
  sum: Float64Array,
  carry: Float64Array,
  n: Float64Array,
  to: number,
  incremental: Uint8Array | null,
): Uint8Array | null {
  for (let k = 0; k < count; k++) {
    if (has[at + k] === 0) continue;
    const x = v[at + k]!;
    const i = to + k;
    const samples = n[i]! + 1;
    n[i] = samples;
    if (samples === 1) {
      sum[i] = x;
      continue;
    }
    if (incremental === null || incremental[i] === 0) {
      const s = sum[i]!;
      const t = s + x;
      if (t - t === 0 || t !== t) {
        if (Math.abs(s) >= Math.abs(x)) carry[i]! += (s - t) + x;
        else carry[i]! += (x - t) + s;
        sum[i] = t;
        continue;
      }
      incremental ??= new Uint8Array(sum.length);
      incremental[i] = 1;
      sum[i] = s / (samples - 1);
      carry[i]! /= samples - 1;
    }
    const q = (samples - 1) / samples;
    const mean = q * sum[i]!;
    const part = x / samples;
    const t = mean + part;
    let c = carry[i]! * q;
    if (t - t !== 0 && t === t) c = 0;
    else if (Math.abs(mean) >= Math.abs(part)) c += (mean - t) + part;
    else c += (part - t) + mean;
    carry[i] = c;
    sum[i] = t;
  }
  return incremental;
}

function foldMin(
  v: Float64Array,
  has: Uint8Array,
  at: number,
  count: number,
  best: Float64Array,
  n: Float64Array,
  to: number,
): void {
  for (let k = 0; k < count; k++) {
    if (has[at + k] === 0) continue;
    const x = v[at + k]!;
    const y = best[to + k]!;
    if (n[to + k] === 0 || x < y || y !== y) best[to + k] = x;
    n[to + k]! += 1;
  }
}

function foldMax(
  v: Float64Array,
  has: Uint8Array,
  at: number,
  count: number,
  best: Float64Array,
  n: Float64Array,
  to: number,
): void {
  for (let k = 0; k < count; k++) {
    if (has[at + k] === 0) continue;
    const x = v[at + k]!;
    const y = best[to + k]!;
    if (n[to + k] === 0 || x > y || y !== y) best[to + k] = x;
    n[to + k]! += 1;
  }
}

function foldCount(
  has: Uint8Array,
  at: number,
  count: number,
  n: Float64Array,
  to: number,
): void {
  for (let k = 0; k < count; k++) n[to + k]! += has[at + k]!;
}

/** Welford's mean and square sum, without compensation. */
function foldSquares(
  v: Float64Array,
  has: Uint8Array,
  at: number,
  count: number,
  mean: Float64Array,
  square: Float64Array,
  n: Float64Array,
  to: number,
): void {
  for (let k = 0; k < count; k++) {
    if (has[at + k] === 0) continue;
    const x = v[at + k]!;
    const samples = n[to + k]! + 1;
    n[to + k] = samples;
    const delta = x - mean[to + k]!;
    const m = mean[to + k]! + delta / samples;
    mean[to + k] = m;
    square[to + k]! += delta * (x - m);
  }
}
