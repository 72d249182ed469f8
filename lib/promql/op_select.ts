/**
 * Instant selector: the newest sample of each series within the lookback, per step. Lookback and
 * staleness of instant selectors are applied here and nowhere else.
 */
import { bitsOf, type FloatHistogram, SampleBatch, STALE_HIGH, STALE_LOW } from "../model/mod.ts";
import type { Operator, SeriesList } from "./operator.ts";
import { histogramWeight, type QueryContext } from "./query_context.ts";
import { resolveHints, type Source } from "./source.ts";
import type { SelectedSeries } from "./storage.ts";
import { type Grid, ROW_FULL, ROW_SPARSE, type Tile } from "./tile.ts";

/** What a selector yields: the value, or the time or start time of the sample in seconds. */
export type SelectYield = "value" | "time" | "start_time";

/** Reference times of a selector: first + k * step (step 0 when fixed by `@`). Units: ms. */
export interface References {
  readonly first: number;
  readonly step: number;
}

/** Settings of an instant selector. Units: ms. */
export interface SelectOptions {
  readonly grid: Grid;
  readonly references: References;
  readonly lookback: number;
  readonly yields: SelectYield;
  /** Only count and sum of histograms are asked for. */
  readonly statsOnly: boolean;
}

/** See the file comment. */
export class SelectOperator implements Operator {
  readonly grid: Grid;
  readonly #source: Source;
  readonly #context: QueryContext;
  readonly #options: SelectOptions;
  readonly #batch = new SampleBatch(256);
  readonly #picked: Int32Array;
  #selected: SelectedSeries | undefined;
  #next = 0;
  #held = 0;
  #closed = false;

  constructor(source: Source, options: SelectOptions, context: QueryContext) {
    this.grid = options.grid;
    this.#source = source.retain();
    this.#options = options;
    this.#context = context;
    this.#picked = new Int32Array(options.grid.count);
  }

  async series(): Promise<SeriesList> {
    this.#selected = await this.#source.open(this.#context);
    return { labels: this.#selected.labels, dropName: null };
  }

  next(tile: Tile): number | Promise<number> {
    return this.#fill(tile, 0);
  }

  #fill(tile: Tile, from: number): number | Promise<number> {
    const end = this.#selected!.labels.length;
    let row = from;
    for (; row < tile.capacity && this.#next < end; row++) {
      const pause = this.#context.breathe();
      if (pause !== undefined) return pause.then(() => this.#fill(tile, row));
      let batch = this.#source.read(this.#next++, this.#batch);
      if (batch.length > this.#held) {
        this.#context.hold(batch.length - this.#held);
        this.#held = batch.length;
      }
      if (this.#options.statsOnly) batch = resolveHints(batch, this.#batch);
      this.#row(batch, tile, row);
    }
    tile.rows = row;
    if (row === 0) this.close();
    return row;
  }

  #row(batch: SampleBatch, tile: Tile, row: number): void {
    const { lookback, yields } = this.#options;
    const { first: refStart, step: refStep } = this.#options.references;
    const count = this.grid.count;
    const at = row * count;
    const { t, v, h, st } = batch;
    if (h === null && yields === "value") {
      const present = pickValues(
        t,
        v,
        bitsOf(v),
        batch.length,
        refStart,
        refStep,
        count,
        lookback,
        tile.v,
        tile.has,
        at,
      );
      tile.kind[row] = present === count ? ROW_FULL : ROW_SPARSE;
      this.#context.total += present;
      return;
    }
    const picked = this.#picked;
    pickIndexes(t, bitsOf(v), batch.length, refStart, refStep, count, lookback, picked);
    let column: (FloatHistogram | undefined)[] | null = null;
    let present = 0;
    let weight = 0;
    tile.kind[row] = ROW_SPARSE;
    for (let k = 0; k < count; k++) {
      const i = picked[k]!;
      if (i < 0) {
        tile.has[at + k] = 0;
        continue;
      }
      const histogram = h === null ? undefined : h[i];
      tile.has[at + k] = 1;
      present++;
      weight += histogram === undefined ? 1 : histogramWeight(histogram);
      if (yields === "time") tile.v[at + k] = t[i]! / 1000;
      else if (yields === "start_time") {
        tile.v[at + k] = st === null || !this.#context.features.startTimestamps ? 0 : st[i]! / 1000;
      } else if (histogram === undefined) tile.v[at + k] = v[i]!;
      else {
        column ??= tile.histogramRow(row);
        column[at + k] = histogram;
      }
    }
    this.#context.total += weight;
    if (column === null && present === count) tile.kind[row] = ROW_FULL;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#batch.release();
    this.#context.release(this.#held);
    this.#source.release();
  }
}

/** Newest value per step; returns how many steps have one. */
function pickValues(
  t: Float64Array,
  v: Float64Array,
  bits: Uint32Array,
  n: number,
  refStart: number,
  refStep: number,
  count: number,
  lookback: number,
  out: Float64Array,
  has: Uint8Array,
  at: number,
): number {
  let i = 0;
  let present = 0;
  let ref = refStart;
  for (let k = 0; k < count; k++) {
    while (i < n && t[i]! <= ref) i++;
    const j = i - 1;
    if (
      j < 0 || t[j]! <= ref - lookback ||
      (bits[2 * j + 1] === STALE_HIGH && bits[2 * j] === STALE_LOW)
    ) {
      has[at + k] = 0;
    } else {
      out[at + k] = v[j]!;
      has[at + k] = 1;
      present++;
    }
    ref += refStep;
  }
  return present;
}

/** Index of the newest sample per step, −1 where there is none. */
function pickIndexes(
  t: Float64Array,
  bits: Uint32Array,
  n: number,
  refStart: number,
  refStep: number,
  count: number,
  lookback: number,
  picked: Int32Array,
): void {
  let i = 0;
  let ref = refStart;
  for (let k = 0; k < count; k++) {
    while (i < n && t[i]! <= ref) i++;
    const j = i - 1;
    const none = j < 0 || t[j]! <= ref - lookback ||
      (bits[2 * j + 1] === STALE_HIGH && bits[2 * j] === STALE_LOW);
    picked[k] = none ? -1 : j;
    ref += refStep;
  }
}
