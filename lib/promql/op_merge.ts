/**
 * Joins rows that came to have equal labels into one row; two values at one step are an error.
 *
 * Passes rows through untouched when all labels differ, which is decided before the first row.
 */
import type { FloatHistogram } from "../model/mod.ts";
import type { MnemeError } from "../base/mod.ts";
import {
  groupEqualRows,
  type Operator,
  readAll,
  type RowStore,
  sameLabelset,
  type SeriesList,
} from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** Words the error of two input rows that meet at one step. */
export type Conflict = (rowA: number, rowB: number) => MnemeError;

/** See the file comment. */
export class MergeOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #context: QueryContext;
  readonly #conflict: Conflict;
  #members: number[][] | null = null;
  #store: RowStore | undefined;
  #next = 0;

  constructor(child: Operator, context: QueryContext, conflict: Conflict = sameLabelset) {
    this.grid = child.grid;
    this.#child = child;
    this.#context = context;
    this.#conflict = conflict;
  }

  async series(): Promise<SeriesList> {
    const list = await this.#child.series();
    const grouped = groupEqualRows(list);
    if (grouped === undefined) return list;
    const members: number[][] = grouped.list.labels.map(() => []);
    for (let i = 0; i < grouped.target.length; i++) members[grouped.target[i]!]!.push(i);
    this.#members = members;
    return grouped.list;
  }

  next(tile: Tile): number | Promise<number> {
    if (this.#members === null) return this.#child.next(tile);
    return this.#store === undefined ? this.#read().then(() => this.#emit(tile)) : this.#emit(tile);
  }

  async #read(): Promise<void> {
    this.#store = await readAll(this.#child, this.#context);
    this.#child.close();
  }

  #emit(tile: Tile): number {
    const members = this.#members!;
    let row = 0;
    for (; row < tile.capacity && this.#next < members.length; row++) {
      this.#merge(tile, row, members[this.#next++]!);
    }
    tile.rows = row;
    return row;
  }

  #merge(tile: Tile, row: number, members: readonly number[]): void {
    const store = this.#store!;
    store.copyTo(members[0]!, tile, row);
    const count = this.grid.count;
    const at = row * count;
    for (let m = 1; m < members.length; m++) {
      const page = store.page(members[m]!);
      const kind = page.kind[store.index(members[m]!)]!;
      const from = store.offset(members[m]!);
      let column: (FloatHistogram | undefined)[] | null = null;
      for (let k = 0; k < count; k++) {
        if (page.has[from + k] === 0) continue;
        if (tile.has[at + k] === 1) throw this.#collision(members, m, k);
        tile.has[at + k] = 1;
        tile.v[at + k] = page.v[from + k]!;
        if (kind === ROW_HISTOGRAM && page.h![from + k] !== undefined) {
          column ??= tile.kind[row] === ROW_HISTOGRAM ? tile.h! : tile.histogramRow(row);
          column[at + k] = page.h![from + k];
        }
      }
    }
    if (tile.kind[row] === ROW_FULL) tile.kind[row] = ROW_SPARSE;
    for (const m of members) store.drop(m);
  }

  #collision(members: readonly number[], m: number, k: number): MnemeError {
    const store = this.#store!;
    for (let i = 0; i < m; i++) {
      const row = members[i]!;
      if (store.page(row).has[store.offset(row) + k] === 1) return this.#conflict(row, members[m]!);
    }
    return sameLabelset();
  }

  close(): void {
    this.#child.close();
    this.#store?.close();
  }
}
