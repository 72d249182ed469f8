/**
 * Range function over a selector or subquery, fused: per series the samples are decoded once, the
 * windows of all steps are found in one pass, and a kernel fills the row.
 */
import { MnemeError } from "../base/mod.ts";
import { type Labels, labelValue, METRIC_NAME } from "../model/mod.ts";
import {
  TEXT_START_TIME_OVERLAP,
  textInvalidQuantile,
  textPossibleNonCounter,
  textPossibleNonCounterType,
} from "./annotations.ts";
import { overlaps } from "./kernel_start_time.ts";
import { type Operator, readScalar, type SeriesList, withoutNames } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import {
  extendedKernel,
  RANGE_FUNCTIONS,
  type RangeFunction,
  type RangeModifier,
  startTimeKernel,
} from "./range_kernels.ts";
import { findWindows, type RangeKernel, RangeRow } from "./range_row.ts";
import { RangeHistograms } from "./range_histogram.ts";
import type { SampleColumns, SampleReader } from "./source.ts";
import { type Grid, ROW_FULL, ROW_SPARSE, type Tile } from "./tile.ts";

/** Settings of a range function. Units: ms; positions are offsets into the query. */
export interface RangeOptions {
  readonly func: string;
  readonly grid: Grid;
  /** Reference time (end of the window) of step 0 and distance of reference times. */
  readonly refStart: number;
  readonly refStep: number;
  readonly range: number;
  readonly modifier: RangeModifier;
  readonly lookback: number;
  /** Place of the range argument, and of the first argument. */
  readonly rangePosition: number;
  readonly firstPosition: number;
}

/** Functions that keep the metric name. */
const KEEPS_NAME: ReadonlySet<string> = new Set([
  "last_over_time",
  "first_over_time",
  "absent_over_time",
]);
const COUNTER_SUFFIX = /_(total|sum|count|bucket)$/;

/** See the file comment. */
export class RangeOperator implements Operator {
  readonly grid: Grid;
  readonly #reader: SampleReader;
  readonly #params: readonly Operator[];
  readonly #options: RangeOptions;
  readonly #function: RangeFunction;
  readonly #kernel: RangeKernel;
  /** For samples with start timestamps; null when they are not wanted. */
  readonly #startTimeKernel: RangeKernel | null;
  readonly #context: QueryContext;
  readonly #row: RangeRow;
  readonly #columns: SampleColumns = { t: EMPTY, v: EMPTY, n: 0, h: null, st: null };
  readonly #histograms: RangeHistograms;
  #labels: readonly Labels[] = [];
  #next = 0;
  #badQuantile = false;

  constructor(
    reader: SampleReader,
    params: readonly Operator[],
    options: RangeOptions,
    context: QueryContext,
  ) {
    this.grid = options.grid;
    this.#reader = reader;
    this.#params = params;
    this.#options = options;
    this.#function = RANGE_FUNCTIONS[options.func]!;
    this.#context = context;
    const { func, modifier } = options;
    this.#kernel = modifier === "" ? this.#function.kernel : extendedKernel(func, modifier);
    this.#startTimeKernel = context.features.startTimestamps && modifier === ""
      ? startTimeKernel(func)
      : null;
    const row = new RangeRow(options.grid.count);
    row.start = options.refStart;
    row.step = options.refStep;
    row.range = options.range;
    row.lookback = options.lookback;
    row.evalStart = options.grid.start;
    row.evalStep = options.grid.step;
    this.#row = row;
    this.#histograms = new RangeHistograms(options, this.#function, context);
  }

  async series(): Promise<SeriesList> {
    for (const param of this.#params) {
      await param.series();
      this.#row.params.push(await readScalar(param));
    }
    if (this.#options.func === "quantile_over_time") {
      this.#badQuantile = this.#row.params[0]!.some((q) => !(q >= 0 && q <= 1));
    }
    const list = await this.#reader.series();
    this.#labels = list.labels;
    return KEEPS_NAME.has(this.#options.func) ? list : withoutNames(list, this.#context);
  }

  next(tile: Tile): number | Promise<number> {
    return this.#fill(tile, 0);
  }

  #fill(tile: Tile, from: number): number | Promise<number> {
    let row = from;
    while (row < tile.capacity) {
      const pause = this.#context.breathe();
      if (pause !== undefined) return pause.then(() => this.#fill(tile, row));
      const more = this.#reader.next(this.#columns);
      if (typeof more !== "boolean") return this.#fillLater(tile, row, more);
      if (!more) break;
      const late = this.#compute(tile, row++);
      if (late !== undefined) return late.then(() => this.#fill(tile, row));
    }
    tile.rows = row;
    return row;
  }

  async #fillLater(tile: Tile, row: number, more: Promise<boolean>): Promise<number> {
    if (!(await more)) return tile.rows = row;
    await this.#compute(tile, row);
    return await this.#fill(tile, row + 1);
  }

  /** Fills a row of cells; a promise where the work is so long that others must have a turn. */
  #compute(tile: Tile, tileRow: number): Promise<void> | undefined {
    const row = this.#row;
    const columns = this.#columns;
    const labels = this.#labels[this.#next++]!;
    const count = row.count;
    row.t = columns.t;
    row.v = columns.v;
    row.n = columns.n;
    row.st = this.#startTimeKernel === null ? null : columns.st;
    row.out = tile.v;
    row.has = tile.has;
    row.at = tileRow * count;
    const samples = findWindows(
      row.t,
      row.n,
      row.start,
      row.step,
      row.range,
      row.lo,
      row.hi,
      count,
    );
    if (columns.h !== null) {
      this.#histograms.fill(row, columns.h, tile, tileRow, labels);
      if (this.#badQuantile) this.#warnQuantiles(tile, tileRow);
      this.#checkCounterName(tile, tileRow, labels);
      return;
    }
    this.#context.total += samples;
    if (samples > 0) this.#checkParams();
    const kernel = row.st === null ? this.#kernel : this.#startTimeKernel!;
    const { readsWindows } = this.#function;
    if (samples > PART_SAMPLES && kernel === this.#function.kernel && readsWindows?.(row)) {
      return this.#inParts(kernel).then((present) => this.#finish(tile, tileRow, labels, present));
    }
    this.#finish(tile, tileRow, labels, kernel(row));
  }

  #finish(tile: Tile, tileRow: number, labels: Labels, present: number): void {
    if (this.#row.st !== null) this.#checkOverlap();
    tile.kind[tileRow] = present === this.#row.count ? ROW_FULL : ROW_SPARSE;
    if (present > 0) this.#checkCounterName(tile, tileRow, labels);
    if (this.#badQuantile) this.#warnQuantiles(tile, tileRow);
  }

  /** Runs the kernel over some steps at a time, with a pause wherever one is due. */
  async #inParts(kernel: RangeKernel): Promise<number> {
    const row = this.#row;
    let present = 0;
    for (let from = 0; from < row.count;) {
      let to = from;
      for (let samples = 0; to < row.count && samples < PART_SAMPLES; to++) {
        samples += row.hi[to]! - row.lo[to]!;
      }
      present += kernel(row.part(from, to));
      from = to;
      await this.#context.breathe();
    }
    return present;
  }

  #checkParams(): void {
    if (this.#options.func !== "double_exponential_smoothing") return;
    const { lo, hi, params, count } = this.#row;
    for (let k = 0; k < count; k++) {
      if (lo[k] === hi[k]) continue;
      const sf = params[0]![k]!;
      const tf = params[1]![k]!;
      if (sf <= 0 || sf >= 1) throw badFactor("smoothing", "sf", sf);
      if (tf <= 0 || tf >= 1) throw badFactor("trend", "tf", tf);
    }
  }

  /** Start times that reach behind the sample before are doubtful. */
  #checkOverlap(): void {
    const { func, rangePosition } = this.#options;
    if (func !== "rate" && func !== "increase" && func !== "irate" && func !== "resets") return;
    const { t, st, n } = this.#row;
    for (let i = 1; i < n; i++) {
      if (overlaps(t, st!, i)) {
        this.#context.annotations.warn(TEXT_START_TIME_OVERLAP, rangePosition);
        return;
      }
    }
  }

  #warnQuantiles(tile: Tile, tileRow: number): void {
    const phi = this.#row.params[0]!;
    const at = tileRow * phi.length;
    let last = 0;
    for (let k = 0; k < phi.length; k++) {
      const q = phi[k]!;
      if (tile.has[at + k] === 0 || (q >= 0 && q <= 1) || q === last) continue;
      last = q;
      this.#context.annotations.warn(textInvalidQuantile(q), this.#options.firstPosition);
    }
  }

  #checkCounterName(tile: Tile, tileRow: number, labels: Labels): void {
    const { func, rangePosition } = this.#options;
    if (func !== "rate" && func !== "increase") return;
    const name = labelValue(labels, METRIC_NAME);
    if (name === "") return;
    const { annotations, features } = this.#context;
    if (features.typeAndUnitLabels) {
      const type = labelValue(labels, "__type__");
      if (type === "counter" || type === "histogram" || !hasFloats(tile, tileRow)) return;
      annotations.info(textPossibleNonCounterType(name, type), rangePosition);
    } else if (!COUNTER_SUFFIX.test(name) && hasFloats(tile, tileRow)) {
      annotations.info(textPossibleNonCounter(name), rangePosition);
    }
  }

  close(): void {
    this.#reader.close();
    for (const param of this.#params) param.close();
  }
}

const EMPTY = new Float64Array(0);

/** Samples of windows that are read in one go: some milliseconds of work. */
const PART_SAMPLES = 2_000_000;

function hasFloats(tile: Tile, row: number): boolean {
  const at = row * tile.steps;
  const histograms = tile.kind[row] === 2 ? tile.h : null;
  for (let k = at; k < at + tile.steps; k++) {
    if (tile.has[k] === 1 && (histograms === null || histograms[k] === undefined)) return true;
  }
  return false;
}

function badFactor(kind: string, name: string, value: number): MnemeError {
  return new MnemeError(
    "execution",
    `invalid ${kind} factor. Expected: 0 < ${name} < 1, got: ${value.toFixed(6)}`,
  );
}
