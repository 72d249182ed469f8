/** Subquery: the rows of an inner plan on its own grid, as samples for a range function. */
import type { FloatHistogram, Labels } from "../model/mod.ts";
import { type Operator, tileFor } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import type { SampleColumns, SampleReader } from "./source.ts";
import { ROW_FULL, ROW_HISTOGRAM, type Tile } from "./tile.ts";

/** Reads the rows of an operator as series of samples. */
export class SubqueryReader implements SampleReader {
  readonly #child: Operator;
  readonly #context: QueryContext;
  readonly #times: Float64Array<ArrayBuffer>;
  #tile: Tile | undefined;
  #row = 0;
  #rows = 0;
  /** Columns of rows with gaps. */
  #t = new Float64Array(0);
  #v = new Float64Array(0);
  #held = 0;

  constructor(child: Operator, context: QueryContext) {
    this.#child = child;
    this.#context = context;
    const { start, step, count } = child.grid;
    // A fine step over a long range must meet the limit before it meets the end of memory.
    context.touch(count);
    this.#times = new Float64Array(count);
    for (let k = 0; k < count; k++) this.#times[k] = start + k * step;
  }

  async series(): Promise<{ labels: readonly Labels[]; dropName: Uint8Array | null }> {
    return await this.#child.series();
  }

  next(columns: SampleColumns): boolean | Promise<boolean> {
    if (this.#row < this.#rows) return this.#emit(columns);
    if (this.#tile === undefined) {
      this.#tile = tileFor(this.#child.grid);
      this.#held = this.#tile.v.length;
      this.#context.hold(this.#held);
    }
    const result = this.#child.next(this.#tile);
    return typeof result === "number"
      ? this.#start(result, columns)
      : result.then((rows) => this.#start(rows, columns));
  }

  #start(rows: number, columns: SampleColumns): boolean {
    this.#row = 0;
    this.#rows = rows;
    return rows === 0 ? false : this.#emit(columns);
  }

  #emit(columns: SampleColumns): boolean {
    const tile = this.#tile!;
    const row = this.#row++;
    const count = tile.steps;
    const at = row * count;
    columns.st = null;
    columns.h = null;
    if (tile.kind[row] === ROW_FULL) {
      columns.t = this.#times;
      columns.v = tile.v.subarray(at, at + count);
      columns.n = count;
      return true;
    }
    if (this.#t.length < count) {
      this.#t = new Float64Array(count);
      this.#v = new Float64Array(count);
    }
    const histograms = tile.kind[row] === ROW_HISTOGRAM ? tile.h! : null;
    const column: (FloatHistogram | undefined)[] | null = histograms === null ? null : [];
    let n = 0;
    for (let k = 0; k < count; k++) {
      if (tile.has[at + k] === 0) continue;
      this.#t[n] = this.#times[k]!;
      this.#v[n] = tile.v[at + k]!;
      if (column !== null) column[n] = withoutExplicitHint(histograms![at + k]);
      n++;
    }
    columns.t = this.#t;
    columns.v = this.#v;
    columns.n = n;
    columns.h = column;
    return true;
  }

  close(): void {
    this.#child.close();
    this.#context.release(this.#held);
    this.#held = 0;
  }
}

/**
 * A subquery skips or repeats samples, so that what a hint says about the sample before no longer
 * holds: such hints become unknown.
 */
function withoutExplicitHint(h: FloatHistogram | undefined): FloatHistogram | undefined {
  if (h === undefined || h.counterResetHint === "gauge" || h.counterResetHint === "unknown") {
    return h;
  }
  return { ...h, counterResetHint: "unknown" };
}
