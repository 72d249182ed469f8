/** sort, sort_desc, sort_by_label, sort_by_label_desc: an order of rows, at a single step only. */
import { compareUtf8 } from "../base/mod.ts";
import { compareLabels, type Labels, labelValue } from "../model/mod.ts";
import { removeHistograms } from "./op_call.ts";
import { type Operator, RowStore, type SeriesList, tileFor } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_HISTOGRAM, type Tile } from "./tile.ts";

/** By value, or by labels (all labels when none are named). */
export type SortKey = "value" | { readonly labels: readonly string[] };

/** See the file comment. The child has a single step. */
export class SortOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #key: SortKey;
  readonly #descending: boolean;
  readonly #store: RowStore;
  #order: number[] = [];
  #next = 0;

  constructor(child: Operator, key: SortKey, descending: boolean, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#key = key;
    this.#descending = descending;
    this.#store = new RowStore(1, context);
  }

  async series(): Promise<SeriesList> {
    const list = await this.#child.series();
    const labels: Labels[] = [];
    const marks: number[] = [];
    const tile = tileFor(this.grid);
    let row = 0;
    for (;;) {
      const result = this.#child.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++, row++) {
        if (this.#key === "value" && tile.kind[r] === ROW_HISTOGRAM) removeHistograms(tile, r);
        if (tile.has[r] === 0) continue;
        this.#store.append(tile, r);
        labels.push(list.labels[row]!);
        marks.push(list.dropName?.[row] ?? 0);
      }
    }
    this.#child.close();
    this.#order = labels.map((_, i) => i).sort(this.#compare(labels));
    return {
      labels: this.#order.map((i) => labels[i]!),
      dropName: list.dropName === null ? null : Uint8Array.from(this.#order, (i) => marks[i]!),
    };
  }

  #compare(labels: readonly Labels[]): (a: number, b: number) => number {
    const sign = this.#descending ? -1 : 1;
    const key = this.#key;
    if (key === "value") {
      const store = this.#store;
      return (a, b) => {
        const x = store.page(a).v[store.offset(a)]!;
        const y = store.page(b).v[store.offset(b)]!;
        if (x !== x || y !== y) return x === x ? -1 : y === y ? 1 : 0;
        return x < y ? -sign : x > y ? sign : 0;
      };
    }
    return (a, b) => {
      for (const name of key.labels) {
        const x = labelValue(labels[a]!, name);
        const y = labelValue(labels[b]!, name);
        if (x !== y) return sign * compareNatural(x, y);
      }
      return sign * compareLabels(labels[a]!, labels[b]!);
    };
  }

  next(tile: Tile): number {
    let row = 0;
    for (; row < tile.capacity && this.#next < this.#order.length; row++) {
      this.#store.copyTo(this.#order[this.#next++]!, tile, row);
    }
    tile.rows = row;
    return row;
  }

  close(): void {
    this.#child.close();
    this.#store.close();
  }
}

/** Compares texts run by run, runs of digits by their number. */
export function compareNatural(a: string, b: string): number {
  const x = a.match(/[0-9]+|[^0-9]+/g) ?? [];
  const y = b.match(/[0-9]+|[^0-9]+/g) ?? [];
  for (let i = 0; i < x.length && i < y.length; i++) {
    const p = x[i]!;
    const q = y[i]!;
    const bothNumbers = isNumberRun(p) && isNumberRun(q);
    const order = bothNumbers ? compareNumberRuns(p, q) : compareUtf8(p, q);
    if (order !== 0) return order;
  }
  return x.length - y.length || compareUtf8(a, b);
}

function isNumberRun(run: string): boolean {
  const c = run.charCodeAt(0);
  return c >= 48 && c <= 57;
}

function compareNumberRuns(a: string, b: string): number {
  const x = a.replace(/^0+/, "");
  const y = b.replace(/^0+/, "");
  return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
}
