/**
 * Tile: the unit that operators hand upwards — a few output series over all steps of a grid.
 *
 * Rows lie one after another, so a kernel runs along contiguous memory. Absence has its own byte:
 * NaN is a legal value. Histograms ride in a side column that float rows never touch.
 */
import type { FloatHistogram } from "../model/mod.ts";

/** Evaluation times start, start+step, …; count of them. Units: ms. */
export interface Grid {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** Some cells may be absent; no histograms. */
export const ROW_SPARSE = 0;
/** Every cell holds a float. */
export const ROW_FULL = 1;
/** Some cell holds a histogram; cells are told apart by `h`. */
export const ROW_HISTOGRAM = 2;

/** Cells that a tile aims to hold at most: values and presence stay in the second-level cache. */
const CELLS = 16 * 1024;
const MAX_ROWS = 512;

/** How many rows of `count` steps a tile should have. */
export function rowsPerTile(count: number): number {
  return Math.max(1, Math.min(MAX_ROWS, Math.floor(CELLS / count)));
}

/**
 * Rows × steps of values.
 *
 * Shape: cell (row, k) is element row * steps + k of `v`, `has` and `h`. `has` is valid for every
 * row; `kind` says what a row may contain. `h` is meaningful in rows of kind ROW_HISTOGRAM only:
 * there a cell is a histogram when h is set, and then v holds no meaning.
 * Owner: the operator that asked for it; the callee fills it, nothing survives the next call.
 */
export class Tile {
  /** Rows filled by the last next(). */
  rows = 0;
  readonly capacity: number;
  readonly steps: number;
  readonly v: Float64Array<ArrayBuffer>;
  readonly has: Uint8Array<ArrayBuffer>;
  readonly kind: Uint8Array<ArrayBuffer>;
  h: (FloatHistogram | undefined)[] | null = null;

  constructor(steps: number, capacity: number = rowsPerTile(steps)) {
    this.steps = steps;
    this.capacity = capacity;
    this.v = new Float64Array(steps * capacity);
    this.has = new Uint8Array(steps * capacity);
    this.kind = new Uint8Array(capacity);
  }

  /** Declares `row` a histogram row and returns the side column with the row's cells cleared. */
  histogramRow(row: number): (FloatHistogram | undefined)[] {
    this.h ??= new Array<FloatHistogram | undefined>(this.v.length).fill(undefined);
    this.kind[row] = ROW_HISTOGRAM;
    this.h.fill(undefined, row * this.steps, (row + 1) * this.steps);
    return this.h;
  }

  /** Marks all cells of `row` absent. */
  clearRow(row: number): void {
    this.has.fill(0, row * this.steps, (row + 1) * this.steps);
    this.kind[row] = ROW_SPARSE;
  }

  /** Marks all cells of `row` present floats. */
  fullRow(row: number): void {
    this.has.fill(1, row * this.steps, (row + 1) * this.steps);
    this.kind[row] = ROW_FULL;
  }

  /** Copies one row of another tile with the same number of steps. */
  copyRow(row: number, from: Tile, fromRow: number): void {
    const n = this.steps;
    const a = row * n;
    const b = fromRow * n;
    if (n === 1) {
      this.v[a] = from.v[b]!;
      this.has[a] = from.has[b]!;
    } else {
      this.v.set(from.v.subarray(b, b + n), a);
      this.has.set(from.has.subarray(b, b + n), a);
    }
    const kind = from.kind[fromRow]!;
    if (kind === ROW_HISTOGRAM) {
      const h = this.histogramRow(row);
      for (let k = 0; k < n; k++) h[a + k] = from.h![b + k];
    }
    this.kind[row] = kind;
  }

  /** Repeats cell 0 of a one-step tile's row over all steps of `row`. */
  repeatRow(row: number, from: Tile, fromRow: number): void {
    const n = this.steps;
    const a = row * n;
    this.kind[row] = from.kind[fromRow]!;
    this.has.fill(from.has[fromRow]!, a, a + n);
    const value = from.v[fromRow]!;
    this.v.fill(value, a, a + n);
    if (from.kind[fromRow] === ROW_HISTOGRAM) {
      this.histogramRow(row).fill(from.h![fromRow], a, a + n);
    }
  }

  /** Bytes held by the columns. */
  get bytes(): number {
    return this.v.byteLength + this.has.byteLength + this.kind.byteLength;
  }
}
