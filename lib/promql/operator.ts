/** Operator: one node of a running query. */
import { compareLabels, dropLabels, type Labels, labelsKey, METRIC_NAME } from "../model/mod.ts";
import { MnemeError } from "../base/mod.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, rowsPerTile, Tile } from "./tile.ts";

/** The output rows of an operator. */
export interface SeriesList {
  readonly labels: readonly Labels[];
  /**
   * Per row: the metric name (with type and unit) is to be removed at the very end; null when no
   * row is marked. Only used with delayed name removal.
   */
  readonly dropName: Uint8Array | null;
}

/**
 * A pull operator over whole series.
 *
 * series() is called once, before the first next(); next() then fills tiles with rows in the order
 * of series() and returns the number of rows, 0 at the end. A number comes back without a microtask
 * when no waiting is needed. Tiles have the operator's grid.count steps.
 */
export interface Operator {
  readonly grid: Grid;
  series(): Promise<SeriesList>;
  next(tile: Tile): number | Promise<number>;
  /** Gives back what it holds; may be called more than once. */
  close(): void;
}

/** Labels that functions remove when they change what a value means. */
export const NAME_LABELS: ReadonlySet<string> = new Set([METRIC_NAME, "__type__", "__unit__"]);

/** The labels without metric name, type and unit. */
export function dropName(labels: Labels): Labels {
  return dropLabels(labels, NAME_LABELS);
}

/** Error of two results with the same labels at one step. */
export function sameLabelset(): MnemeError {
  return new MnemeError("execution", "vector cannot contain metrics with the same labelset");
}

/**
 * The rows of a function that takes the metric name off: at once, or marked for the end.
 */
export function withoutNames(list: SeriesList, context: QueryContext): SeriesList {
  if (context.features.delayedNameRemoval) {
    return { labels: list.labels, dropName: new Uint8Array(list.labels.length).fill(1) };
  }
  return { labels: list.labels.map(dropName), dropName: null };
}

/** A tile for reading a child with this grid. */
export function tileFor(grid: Grid): Tile {
  return new Tile(grid.count, rowsPerTile(grid.count));
}

/** Calls `then` with the result of a next(), at once when it is there. */
export function whenRows<T>(
  result: number | Promise<number>,
  then: (rows: number) => T,
): T | Promise<T> {
  return typeof result === "number" ? then(result) : result.then(then);
}

/**
 * Groups rows with equal labels: undefined when all differ (the usual case), else the distinct rows
 * in order of first appearance and, per input row, the number of its output row.
 */
export function groupEqualRows(
  list: SeriesList,
): { list: SeriesList; target: Uint32Array } | undefined {
  const n = list.labels.length;
  if (n < 2 || ascending(list.labels)) return undefined;
  const index = new Map<string, number>();
  const target = new Uint32Array(n);
  const labels: Labels[] = [];
  const first: number[] = [];
  for (let i = 0; i < n; i++) {
    const key = labelsKey(list.labels[i]!);
    let at = index.get(key);
    if (at === undefined) {
      at = labels.length;
      index.set(key, at);
      labels.push(list.labels[i]!);
      first.push(i);
    }
    target[i] = at;
  }
  if (labels.length === n) return undefined;
  const marks = list.dropName === null
    ? null
    : Uint8Array.from(first, (row) => list.dropName![row]!);
  return { list: { labels, dropName: marks }, target };
}

/** True when the labels ascend strictly: a cheap proof that no two are equal. */
function ascending(labels: readonly Labels[]): boolean {
  for (let i = 1; i < labels.length; i++) {
    if (compareLabels(labels[i - 1]!, labels[i]!) >= 0) return false;
  }
  return true;
}

/**
 * Rows kept whole, all steps each: what blocking operators buffer. Counted against the query.
 *
 * Shape: row r lies in page(r) at row index(r) of that tile; its first cell is offset(r).
 */
export class RowStore {
  readonly steps: number;
  readonly context: QueryContext;
  readonly #perPage: number;
  #pages: (Tile | undefined)[] = [];
  #live: number[] = [];
  #length = 0;

  constructor(steps: number, context: QueryContext) {
    this.steps = steps;
    this.context = context;
    this.#perPage = Math.max(1, Math.min(rowsPerTile(steps), 128));
  }

  get length(): number {
    return this.#length;
  }

  /** Keeps a copy of a tile's row as the next row; returns its number. */
  append(tile: Tile, row: number): number {
    const number = this.#length++;
    const page = Math.floor(number / this.#perPage);
    let target = this.#pages[page];
    if (target === undefined) {
      this.context.hold(this.#perPage * this.steps);
      target = new Tile(this.steps, this.#perPage);
      this.#pages[page] = target;
      this.#live[page] = this.#perPage;
    }
    target.copyRow(number % this.#perPage, tile, row);
    return number;
  }

  /** The tile that holds a row. The row must not have been dropped. */
  page(row: number): Tile {
    return this.#pages[Math.floor(row / this.#perPage)]!;
  }

  /** Row number inside page(row). */
  index(row: number): number {
    return row % this.#perPage;
  }

  /** Element number of the row's first cell inside page(row). */
  offset(row: number): number {
    return (row % this.#perPage) * this.steps;
  }

  /** Writes a kept row into a tile. */
  copyTo(row: number, tile: Tile, tileRow: number): void {
    tile.copyRow(tileRow, this.page(row), this.index(row));
  }

  /** Forgets one row; memory comes back page by page. */
  drop(row: number): void {
    const page = Math.floor(row / this.#perPage);
    const live = this.#live[page]! - 1;
    this.#live[page] = live;
    if (live === 0) {
      this.#pages[page] = undefined;
      this.context.release(this.#perPage * this.steps);
    }
  }

  /** Forgets all rows. */
  close(): void {
    for (const page of this.#pages) {
      if (page !== undefined) this.context.release(this.#perPage * this.steps);
    }
    this.#pages = [];
    this.#length = 0;
  }
}

/** Reads a child to its end into a store. */
export async function readAll(child: Operator, context: QueryContext): Promise<RowStore> {
  const store = new RowStore(child.grid.count, context);
  const tile = tileFor(child.grid);
  for (;;) {
    const result = child.next(tile);
    const rows = typeof result === "number" ? result : await result;
    if (rows === 0) return store;
    for (let r = 0; r < rows; r++) store.append(tile, r);
  }
}

/** The values of a scalar operator, one per step; series() was called. */
export async function readScalar(op: Operator): Promise<Float64Array<ArrayBuffer>> {
  const tile = new Tile(op.grid.count, 1);
  await op.next(tile);
  return tile.v;
}
