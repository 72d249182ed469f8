/** Aggregations that need all values of a group at once: quantile, and count_values. */
import { formatFloatPlain, MnemeError } from "../base/mod.ts";
import { type Labels, labelsKey, withLabel } from "../model/mod.ts";
import { textIgnoredInAggregation, textInvalidQuantile } from "./annotations.ts";
import { assignGroups, type Grouping, groupLabels, type Groups } from "./op_aggregate.ts";
import {
  type Operator,
  readAll,
  readScalar,
  type RowStore,
  type SeriesList,
  tileFor,
} from "./operator.ts";
import { quoteText } from "./go_quote.ts";
import { quantileOf } from "./quantile.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** quantile(φ, v). */
export class QuantileOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #param: Operator;
  readonly #grouping: Grouping;
  readonly #position: number;
  readonly #paramPosition: number;
  readonly #context: QueryContext;
  #phi: Float64Array = new Float64Array(0);
  #groups: Groups | undefined;
  #members: number[][] = [];
  #store: RowStore | undefined;
  #scratch = new Float64Array(16);
  #next = 0;

  constructor(
    child: Operator,
    param: Operator,
    grouping: Grouping,
    position: number,
    paramPosition: number,
    context: QueryContext,
  ) {
    this.grid = child.grid;
    this.#child = child;
    this.#param = param;
    this.#grouping = grouping;
    this.#position = position;
    this.#paramPosition = paramPosition;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    const groups = assignGroups(await this.#child.series(), this.#grouping);
    this.#groups = groups;
    await this.#param.series();
    this.#phi = await readScalar(this.#param);
    this.#checkPhi();
    this.#members = groups.labels.map(() => []);
    for (let i = 0; i < groups.of.length; i++) this.#members[groups.of[i]!]!.push(i);
    return { labels: groups.labels, dropName: groups.dropName };
  }

  #checkPhi(): void {
    let min = 0;
    let max = 1;
    let nan = false;
    for (const q of this.#phi) {
      if (q !== q) nan = true;
      else if (q < min) min = q;
      else if (q > max) max = q;
    }
    const { annotations } = this.#context;
    if (nan) annotations.warn(textInvalidQuantile(NaN), this.#paramPosition);
    if (max > 1) annotations.warn(textInvalidQuantile(max), this.#paramPosition);
    if (min < 0) annotations.warn(textInvalidQuantile(min), this.#paramPosition);
  }

  next(tile: Tile): number | Promise<number> {
    return this.#store === undefined ? this.#read().then(() => this.#emit(tile)) : this.#emit(tile);
  }

  async #read(): Promise<void> {
    this.#store = await readAll(this.#child, this.#context);
    this.#child.close();
  }

  #emit(tile: Tile): number | Promise<number> {
    const pause = this.#context.breathe();
    if (pause !== undefined) return pause.then(() => this.#emit(tile));
    const groups = this.#groups!.labels.length;
    let row = 0;
    for (; row < tile.capacity && this.#next < groups; row++) this.#group(tile, row, this.#next++);
    tile.rows = row;
    if (row === 0) this.close();
    return row;
  }

  #group(tile: Tile, row: number, group: number): void {
    const store = this.#store!;
    const members = this.#members[group]!;
    const count = this.grid.count;
    const at = row * count;
    if (this.#scratch.length < members.length) this.#scratch = new Float64Array(members.length);
    const scratch = this.#scratch;
    const columns = members.map((m) => {
      const page = store.page(m);
      const h = page.kind[store.index(m)] === ROW_HISTOGRAM ? page.h : null;
      return { v: page.v, has: page.has, h, at: store.offset(m) };
    });
    tile.clearRow(row);
    for (let k = 0; k < count; k++) {
      let n = 0;
      for (let m = 0; m < columns.length; m++) {
        const column = columns[m]!;
        const cell = column.at + k;
        if (column.has[cell] === 0) continue;
        if (column.h !== null && column.h[cell] !== undefined) {
          this.#context.annotations.info(textIgnoredInAggregation("quantile"), this.#position);
          continue;
        }
        scratch[n++] = column.v[cell]!;
      }
      if (n === 0) continue;
      tile.v[at + k] = quantileOf(scratch, n, this.#phi[k]!);
      tile.has[at + k] = 1;
    }
    for (const m of members) store.drop(m);
  }

  close(): void {
    this.#child.close();
    this.#param.close();
    this.#store?.close();
  }
}

/** count_values("label", v): one row per distinct value; they are known only at the end. */
export class CountValuesOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #label: string;
  readonly #grouping: Grouping;
  readonly #context: QueryContext;
  readonly #format: (h: import("../model/mod.ts").FloatHistogram) => string;
  #counts: Float64Array<ArrayBuffer>[] = [];
  #next = 0;
  #held = 0;

  constructor(
    child: Operator,
    label: string,
    grouping: Grouping,
    formatHistogram: (h: import("../model/mod.ts").FloatHistogram) => string,
    context: QueryContext,
  ) {
    this.grid = child.grid;
    this.#child = child;
    this.#label = label;
    this.#grouping = grouping;
    this.#format = formatHistogram;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    if (this.#label === "" || !this.#label.isWellFormed()) {
      throw new MnemeError("execution", `invalid label name ${quoteText(this.#label)}`);
    }
    const list = await this.#child.series();
    const grouping = this.#grouping.without
      ? this.#grouping
      : { labels: [...this.#grouping.labels, this.#label], without: false };
    const take = groupLabels(grouping);
    const index = new Map<string, number>();
    const labels: Labels[] = [];
    const tile = tileFor(this.grid);
    const count = this.grid.count;
    let row = 0;
    for (;;) {
      const result = this.#child.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++, row++) {
        const own = list.labels[row]!;
        const h = tile.kind[r] === ROW_HISTOGRAM ? tile.h : null;
        let last: number | undefined;
        let target = -1;
        for (let k = 0; k < count; k++) {
          const cell = r * count + k;
          if (tile.has[cell] === 0) continue;
          const histogram = h === null ? undefined : h[cell];
          const x = tile.v[cell]!;
          if (histogram !== undefined || last === undefined || !Object.is(x, last)) {
            const text = histogram === undefined ? formatFloatPlain(x) : this.#format(histogram);
            const group = take(withLabel(own, this.#label, text));
            const key = labelsKey(group);
            const known = index.get(key);
            if (known === undefined) {
              target = labels.length;
              index.set(key, target);
              labels.push(group);
              this.#context.hold(count);
              this.#held += count;
              this.#counts.push(new Float64Array(count));
            } else target = known;
            last = histogram === undefined ? x : undefined;
          }
          this.#counts[target]![k]! += 1;
        }
      }
    }
    this.#child.close();
    return { labels, dropName: null };
  }

  next(tile: Tile): number {
    const count = this.grid.count;
    let row = 0;
    for (; row < tile.capacity && this.#next < this.#counts.length; row++) {
      const counts = this.#counts[this.#next++]!;
      const at = row * count;
      tile.kind[row] = ROW_SPARSE;
      for (let k = 0; k < count; k++) {
        tile.v[at + k] = counts[k]!;
        tile.has[at + k] = counts[k]! > 0 ? 1 : 0;
      }
    }
    tile.rows = row;
    return row;
  }

  close(): void {
    this.#child.close();
    this.#context.release(this.#held);
    this.#held = 0;
    this.#counts = [];
  }
}
