/** Binary operators with at least one scalar side, and unary minus. */
import type { FloatHistogram } from "../model/mod.ts";
import { type BinaryResult, histogramBinary } from "./binary_histogram.ts";
import { arithmetic, compare, isComparison, isTrim, type ValueOperator } from "./kernel_binary.ts";
import { negate } from "./kernel_math.ts";
import { type Operator, readScalar, type SeriesList, withoutNames } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { negateHistogram } from "./binary_histogram.ts";
import { type Grid, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** scalar op scalar: one row, every step. Comparisons yield 0 or 1. */
export class ScalarBinaryOperator implements Operator {
  readonly grid: Grid;
  readonly #left: Operator;
  readonly #right: Operator;
  readonly #op: ValueOperator;
  #done = false;

  constructor(left: Operator, right: Operator, op: ValueOperator) {
    this.grid = left.grid;
    this.#left = left;
    this.#right = right;
    this.#op = op;
  }

  async series(): Promise<SeriesList> {
    const list = await this.#left.series();
    await this.#right.series();
    return list;
  }

  next(tile: Tile): number | Promise<number> {
    if (this.#done) return tile.rows = 0;
    this.#done = true;
    return this.#compute(tile);
  }

  async #compute(tile: Tile): Promise<number> {
    const a = await readScalar(this.#left);
    const b = await readScalar(this.#right);
    const count = this.grid.count;
    const op = this.#op;
    tile.fullRow(0);
    if (isComparison(op)) {
      const mask = new Uint8Array(count);
      compare(op, a, 0, b, 0, mask, 0, count);
      for (let k = 0; k < count; k++) tile.v[k] = mask[k]!;
    } else if (isTrim(op)) {
      tile.v.fill(NaN, 0, count);
    } else {
      arithmetic(op, a, 0, b, 0, tile.v, 0, count);
    }
    return tile.rows = 1;
  }

  close(): void {
    this.#left.close();
    this.#right.close();
  }
}

/** How an operator with a vector and a scalar side is written. */
export interface VectorScalarOptions {
  readonly op: ValueOperator;
  readonly scalarOnLeft: boolean;
  readonly returnBool: boolean;
  readonly position: number;
}

/** vector op scalar and scalar op vector, in place on the vector's tile. */
export class VectorScalarOperator implements Operator {
  readonly grid: Grid;
  readonly #vector: Operator;
  readonly #scalar: Operator;
  readonly #options: VectorScalarOptions;
  readonly #context: QueryContext;
  readonly #mask: Uint8Array;
  readonly #result: BinaryResult = { value: 0, histogram: undefined };
  #values: Float64Array = new Float64Array(0);

  constructor(
    vector: Operator,
    scalar: Operator,
    options: VectorScalarOptions,
    context: QueryContext,
  ) {
    this.grid = vector.grid;
    this.#vector = vector;
    this.#scalar = scalar;
    this.#options = options;
    this.#context = context;
    this.#mask = new Uint8Array(vector.grid.count);
  }

  async series(): Promise<SeriesList> {
    await this.#scalar.series();
    this.#values = await readScalar(this.#scalar);
    const list = await this.#vector.series();
    const { op, returnBool } = this.#options;
    const filters = isComparison(op) && !returnBool;
    return filters || isTrim(op) ? list : withoutNames(list, this.#context);
  }

  next(tile: Tile): number | Promise<number> {
    const result = this.#vector.next(tile);
    return typeof result === "number"
      ? this.#apply(tile, result)
      : result.then((rows) => this.#apply(tile, rows));
  }

  #apply(tile: Tile, rows: number): number {
    const { op, scalarOnLeft, returnBool } = this.#options;
    const count = this.grid.count;
    const s = this.#values;
    const v = tile.v;
    for (let row = 0; row < rows; row++) {
      const at = row * count;
      if (tile.kind[row] === ROW_HISTOGRAM || isTrim(op)) {
        this.#mixedRow(tile, row);
      } else if (isComparison(op)) {
        if (scalarOnLeft) compare(op, s, 0, v, at, this.#mask, 0, count);
        else compare(op, v, at, s, 0, this.#mask, 0, count);
        if (returnBool) { for (let k = 0; k < count; k++) v[at + k] = this.#mask[k]!; }
        else this.#filter(tile, row);
      } else if (scalarOnLeft) {
        arithmetic(op, s, 0, v, at, v, at, count);
      } else {
        arithmetic(op, v, at, s, 0, v, at, count);
      }
    }
    return rows;
  }

  #filter(tile: Tile, row: number): void {
    const count = this.grid.count;
    const at = row * count;
    const mask = this.#mask;
    const has = tile.has;
    for (let k = 0; k < count; k++) has[at + k]! &= mask[k]!;
    tile.kind[row] = ROW_SPARSE;
  }

  /** Cell by cell, for rows with histograms. */
  #mixedRow(tile: Tile, row: number): void {
    const { op, scalarOnLeft, returnBool, position } = this.#options;
    const count = this.grid.count;
    const at = row * count;
    const h = tile.kind[row] === ROW_HISTOGRAM ? tile.h! : tile.histogramRow(row);
    const result = this.#result;
    const filters = isComparison(op) && !returnBool;
    for (let k = 0; k < count; k++) {
      const i = at + k;
      if (tile.has[i] === 0) continue;
      const x = tile.v[i]!;
      const histogram = h[i];
      const s = this.#values[k]!;
      const keep = scalarOnLeft
        ? histogramBinary(op, s, undefined, x, histogram, result, position, this.#context)
        : histogramBinary(op, x, histogram, s, undefined, result, position, this.#context);
      if (!keep.valid || (!keep.holds && !returnBool)) {
        tile.has[i] = 0;
        h[i] = undefined;
      } else if (returnBool) {
        tile.v[i] = keep.holds ? 1 : 0;
        h[i] = undefined;
      } else if (!filters) {
        tile.v[i] = result.value;
        h[i] = result.histogram;
      }
    }
  }

  close(): void {
    this.#vector.close();
    this.#scalar.close();
  }
}

/** Unary minus, in place. */
export class NegateOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #context: QueryContext;

  constructor(child: Operator, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    return withoutNames(await this.#child.series(), this.#context);
  }

  next(tile: Tile): number | Promise<number> {
    const result = this.#child.next(tile);
    return typeof result === "number"
      ? this.#apply(tile, result)
      : result.then((rows) => this.#apply(tile, rows));
  }

  #apply(tile: Tile, rows: number): number {
    const count = this.grid.count;
    negate(tile.v, 0, rows * count);
    if (tile.h === null) return rows;
    for (let row = 0; row < rows; row++) {
      if (tile.kind[row] !== ROW_HISTOGRAM) continue;
      for (let i = row * count; i < (row + 1) * count; i++) {
        const h: FloatHistogram | undefined = tile.h[i];
        if (h !== undefined) tile.h[i] = negateHistogram(h);
      }
    }
    return rows;
  }

  close(): void {
    this.#child.close();
  }
}
