/**
 * `selector smoothed`: the value on the line between the samples around each step; the sample before
 * alone when none follows within the lookback.
 */
import {
  addHistogram,
  copyHistogram,
  type FloatHistogram,
  labelValue,
  MERGE_INCOMPATIBLE,
  METRIC_NAME,
  scaleHistogram,
  subtractHistogram,
} from "../model/mod.ts";
import { textMixedExponentialCustom, textMixedFloatsHistograms } from "./annotations.ts";
import type { Operator, SeriesList } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import type { References } from "./op_select.ts";
import type { SampleColumns, SampleReader } from "./source.ts";
import { type Grid, ROW_FULL, ROW_SPARSE, type Tile } from "./tile.ts";

/** Settings of a smoothed selector. Units: ms. */
export interface SmoothOptions {
  readonly grid: Grid;
  readonly references: References;
  readonly lookback: number;
  readonly position: number;
}

/** See the file comment. */
export class SmoothOperator implements Operator {
  readonly grid: Grid;
  readonly #reader: SampleReader;
  readonly #options: SmoothOptions;
  readonly #context: QueryContext;
  readonly #columns: SampleColumns = { t: EMPTY, v: EMPTY, n: 0, h: null, st: null };
  #list: SeriesList = { labels: [], dropName: null };
  #next = 0;

  constructor(reader: SampleReader, options: SmoothOptions, context: QueryContext) {
    this.grid = options.grid;
    this.#reader = reader;
    this.#options = options;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    this.#list = await this.#reader.series();
    return this.#list;
  }

  next(tile: Tile): number | Promise<number> {
    return this.#fill(tile);
  }

  async #fill(tile: Tile): Promise<number> {
    const pause = this.#context.breathe();
    if (pause !== undefined) await pause;
    let row = 0;
    while (row < tile.capacity && await this.#reader.next(this.#columns)) {
      const name = labelValue(this.#list.labels[this.#next++]!, METRIC_NAME);
      this.#row(tile, row++, name);
    }
    return tile.rows = row;
  }

  #row(tile: Tile, row: number, name: string): void {
    const { first, step } = this.#options.references;
    const { lookback, position } = this.#options;
    const { t, v, n, h } = this.#columns;
    const { annotations } = this.#context;
    const count = this.grid.count;
    const at = row * count;
    let column: (FloatHistogram | undefined)[] | null = null;
    let present = 0;
    let i = 0;
    tile.clearRow(row);
    for (let k = 0; k < count; k++) {
      const ref = first + k * step;
      while (i < n && t[i]! <= ref) i++;
      const before = i - 1;
      if (before < 0 || t[before]! <= ref - lookback) continue;
      const exact = t[before] === ref || i >= n || t[i]! > ref + lookback;
      const a = h === null ? undefined : h[before];
      const b = exact || h === null ? a : h[i];
      if ((a === undefined) !== (b === undefined)) {
        annotations.warn(textMixedFloatsHistograms(name), position);
        continue;
      }
      const share = exact ? 0 : (ref - t[before]!) / (t[i]! - t[before]!);
      if (a === undefined) {
        tile.v[at + k] = exact ? v[before]! : v[before]! + (v[i]! - v[before]!) *
            (ref - t[before]!) / (t[i]! - t[before]!);
      } else {
        const value = exact ? a : interpolate(a, b!, share);
        if (value === undefined) {
          annotations.warn(textMixedExponentialCustom(name), position);
          continue;
        }
        column ??= tile.histogramRow(row);
        column[at + k] = value;
      }
      tile.has[at + k] = 1;
      present++;
    }
    this.#context.total += present;
    if (column === null) tile.kind[row] = present === count ? ROW_FULL : ROW_SPARSE;
  }

  close(): void {
    this.#reader.close();
  }
}

const EMPTY = new Float64Array(0);

function interpolate(
  a: FloatHistogram,
  b: FloatHistogram,
  share: number,
): FloatHistogram | undefined {
  const way = copyHistogram(b);
  if ((subtractHistogram(way, a) & MERGE_INCOMPATIBLE) !== 0) return undefined;
  scaleHistogram(way, share);
  return (addHistogram(way, a) & MERGE_INCOMPATIBLE) !== 0 ? undefined : way;
}
