/** Constants, time, row-wise functions, scalar(), absent(). */
import { EMPTY_LABELS, type Labels } from "../model/mod.ts";
import { applyFloat, type FloatFunction, greater, roundRow, smaller } from "./kernel_math.ts";
import {
  type Operator,
  readScalar,
  type SeriesList,
  tileFor,
  whenRows,
  withoutNames,
} from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** The rows of a scalar: one, without labels. */
const SCALAR_ROWS: SeriesList = { labels: [EMPTY_LABELS], dropName: null };

/** A scalar given by a function of the evaluation time in ms. */
export class ScalarOperator implements Operator {
  readonly grid: Grid;
  readonly #value: (time: number) => number;
  #done = false;

  constructor(grid: Grid, value: (time: number) => number) {
    this.grid = grid;
    this.#value = value;
  }

  series(): Promise<SeriesList> {
    return Promise.resolve(SCALAR_ROWS);
  }

  next(tile: Tile): number {
    if (this.#done) return tile.rows = 0;
    this.#done = true;
    const { start, step, count } = this.grid;
    tile.fullRow(0);
    for (let k = 0; k < count; k++) tile.v[k] = this.#value(start + k * step);
    return tile.rows = 1;
  }

  close(): void {}
}

/** Two scalars to one: min_of, max_of. */
export class ScalarPairOperator implements Operator {
  readonly grid: Grid;
  readonly #left: Operator;
  readonly #right: Operator;
  readonly #value: (a: number, b: number) => number;
  #done = false;

  constructor(left: Operator, right: Operator, value: (a: number, b: number) => number) {
    this.grid = left.grid;
    this.#left = left;
    this.#right = right;
    this.#value = value;
  }

  async series(): Promise<SeriesList> {
    await this.#left.series();
    await this.#right.series();
    return SCALAR_ROWS;
  }

  next(tile: Tile): number | Promise<number> {
    if (this.#done) return tile.rows = 0;
    this.#done = true;
    return this.#compute(tile);
  }

  async #compute(tile: Tile): Promise<number> {
    const a = await readScalar(this.#left);
    const b = await readScalar(this.#right);
    tile.fullRow(0);
    for (let k = 0; k < this.grid.count; k++) tile.v[k] = this.#value(a[k]!, b[k]!);
    return tile.rows = 1;
  }

  close(): void {
    this.#left.close();
    this.#right.close();
  }
}

/** Nothing at any step. */
export class EmptyOperator implements Operator {
  readonly grid: Grid;

  constructor(grid: Grid) {
    this.grid = grid;
  }

  series(): Promise<SeriesList> {
    return Promise.resolve({ labels: [], dropName: null });
  }

  next(tile: Tile): number {
    return tile.rows = 0;
  }

  close(): void {}
}

/** What is done to the floats of a row. */
export type RowFunction =
  | { readonly kind: "float"; readonly apply: FloatFunction }
  /** The values as they are; only the name goes. */
  | { readonly kind: "none" }
  | { readonly kind: "round" }
  | { readonly kind: "clamp" }
  | { readonly kind: "clamp_min" }
  | { readonly kind: "clamp_max" }
  /** The evaluation time in seconds, for any sample. */
  | { readonly kind: "evaluation_time" };

/** A function of each float by itself, in place; histograms are left out. */
export class RowOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #params: readonly Operator[];
  readonly #function: RowFunction;
  readonly #context: QueryContext;
  #values: Float64Array[] = [];

  constructor(
    child: Operator,
    params: readonly Operator[],
    rowFunction: RowFunction,
    context: QueryContext,
  ) {
    this.grid = child.grid;
    this.#child = child;
    this.#params = params;
    this.#function = rowFunction;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    for (const param of this.#params) {
      await param.series();
      this.#values.push(await readScalar(param));
    }
    return withoutNames(await this.#child.series(), this.#context);
  }

  next(tile: Tile): number | Promise<number> {
    return whenRows(this.#child.next(tile), (rows) => this.#apply(tile, rows));
  }

  #apply(tile: Tile, rows: number): number {
    const count = this.grid.count;
    const f = this.#function;
    for (let row = 0; row < rows; row++) {
      const at = row * count;
      if (f.kind === "evaluation_time") {
        const { start, step } = this.grid;
        for (let k = 0; k < count; k++) tile.v[at + k] = (start + k * step) / 1000;
        if (tile.kind[row] === ROW_HISTOGRAM) tile.kind[row] = ROW_SPARSE;
        continue;
      }
      if (tile.kind[row] === ROW_HISTOGRAM) removeHistograms(tile, row);
      switch (f.kind) {
        case "float":
          applyFloat(f.apply, tile.v, at, at + count);
          break;
        case "round":
          roundRow(tile.v, at, count, this.#values[0]!);
          break;
        case "clamp":
          this.#clamp(tile, row);
          break;
        case "clamp_min":
          for (let k = 0; k < count; k++) {
            tile.v[at + k] = greater(tile.v[at + k]!, this.#values[0]![k]!);
          }
          break;
        case "clamp_max":
          for (let k = 0; k < count; k++) {
            tile.v[at + k] = smaller(tile.v[at + k]!, this.#values[0]![k]!);
          }
          break;
      }
    }
    return rows;
  }

  #clamp(tile: Tile, row: number): void {
    const count = this.grid.count;
    const at = row * count;
    const low = this.#values[0]!;
    const high = this.#values[1]!;
    for (let k = 0; k < count; k++) {
      if (high[k]! < low[k]!) {
        tile.has[at + k] = 0;
        tile.kind[row] = ROW_SPARSE;
      } else tile.v[at + k] = greater(low[k]!, smaller(high[k]!, tile.v[at + k]!));
    }
  }

  close(): void {
    this.#child.close();
    for (const param of this.#params) param.close();
  }
}

/** Turns a histogram row into a sparse float row. */
export function removeHistograms(tile: Tile, row: number): void {
  const at = row * tile.steps;
  for (let i = at; i < at + tile.steps; i++) if (tile.h![i] !== undefined) tile.has[i] = 0;
  tile.kind[row] = ROW_SPARSE;
}

/** scalar(v): the value of the only float at a step, else NaN. */
export class ScalarOfVectorOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  #done = false;

  constructor(child: Operator) {
    this.grid = child.grid;
    this.#child = child;
  }

  async series(): Promise<SeriesList> {
    await this.#child.series();
    return SCALAR_ROWS;
  }

  next(tile: Tile): number | Promise<number> {
    if (this.#done) return tile.rows = 0;
    this.#done = true;
    return this.#compute(tile);
  }

  async #compute(tile: Tile): Promise<number> {
    const count = this.grid.count;
    const seen = new Uint8Array(count);
    const value = new Float64Array(count);
    const input = tileFor(this.grid);
    for (;;) {
      const result = this.#child.next(input);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++) {
        if (input.kind[r] === ROW_HISTOGRAM) removeHistograms(input, r);
        for (let k = 0; k < count; k++) {
          if (input.has[r * count + k] === 0) continue;
          value[k] = input.v[r * count + k]!;
          if (seen[k]! < 2) seen[k]!++;
        }
      }
    }
    tile.fullRow(0);
    for (let k = 0; k < count; k++) tile.v[k] = seen[k] === 1 ? value[k]! : NaN;
    return tile.rows = 1;
  }

  close(): void {
    this.#child.close();
  }
}

/** absent(v): one row with 1 where v has nothing. */
export class AbsentOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #labels: Labels;
  #done = false;

  constructor(child: Operator, labels: Labels) {
    this.grid = child.grid;
    this.#child = child;
    this.#labels = labels;
  }

  async series(): Promise<SeriesList> {
    await this.#child.series();
    return { labels: [this.#labels], dropName: null };
  }

  next(tile: Tile): number | Promise<number> {
    if (this.#done) return tile.rows = 0;
    this.#done = true;
    return this.#compute(tile);
  }

  async #compute(tile: Tile): Promise<number> {
    const count = this.grid.count;
    const present = new Uint8Array(count);
    const input = tileFor(this.grid);
    for (;;) {
      const result = this.#child.next(input);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++) {
        for (let k = 0; k < count; k++) present[k]! |= input.has[r * count + k]!;
      }
    }
    let absent = 0;
    for (let k = 0; k < count; k++) {
      tile.v[k] = 1;
      tile.has[k] = present[k]! ^ 1;
      absent += tile.has[k]!;
    }
    tile.kind[0] = absent === count ? ROW_FULL : ROW_SPARSE;
    return tile.rows = 1;
  }

  close(): void {
    this.#child.close();
  }
}
