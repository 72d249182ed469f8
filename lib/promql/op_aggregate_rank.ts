/**
 * Aggregations that choose among rows and keep their labels: topk, bottomk, limitk, limit_ratio.
 */
import { formatFloatGeneral, MnemeError, xxhash64Ratio } from "../base/mod.ts";
import { encodeUtf8Into, utf8Length } from "../base/mod.ts";
import type { Labels } from "../model/mod.ts";
import { textIgnoredInAggregation, textInvalidRatio } from "./annotations.ts";
import { assignGroups, type Grouping, type Groups } from "./op_aggregate.ts";
import { type Operator, readScalar, type SeriesList, tileFor } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** The parameter of a k-aggregation, per step, checked and cut to whole numbers. */
async function readCounts(param: Operator): Promise<Float64Array> {
  await param.series();
  const k = await readScalar(param);
  let min = Infinity;
  let max = -Infinity;
  for (let i = 0; i < k.length; i++) {
    const x = k[i]!;
    if (x !== x) throw new MnemeError("execution", "Parameter value is NaN");
    if (x < min) min = x;
    if (x > max) max = x;
  }
  if (max < 1) return k.fill(0);
  if (min <= -9223372036854775808) {
    throw new MnemeError(
      "execution",
      `Scalar value ${formatFloatGeneral(min)} underflows int64`,
    );
  }
  if (max >= 9223372036854775807) {
    throw new MnemeError("execution", `Scalar value ${formatFloatGeneral(max)} overflows int64`);
  }
  for (let i = 0; i < k.length; i++) k[i] = Math.max(0, Math.trunc(k[i]!));
  return k;
}

/** Ranks b below a: true when `a` leaves the heap before `b`. NaN leaves first. */
type Less = (a: number, b: number) => boolean;

const lessTop: Less = (a, b) => a !== a || a < b;
const lessBottom: Less = (a, b) => a !== a || a > b;

/**
 * topk and bottomk: a binary heap of at most k rows per group and step.
 *
 * In a range query every input row is an output row, mostly with gaps; at a single step the rows
 * come out by group, best value first.
 */
export class RankOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #param: Operator;
  readonly #name: "topk" | "bottomk";
  readonly #grouping: Grouping;
  readonly #position: number;
  readonly #context: QueryContext;
  readonly #less: Less;
  #k: Float64Array = new Float64Array(0);
  #list: SeriesList = { labels: [], dropName: null };
  #groups: Groups | undefined;
  #held = 0;
  /** Per group: first heap element, slots per step. */
  #base: number[] = [];
  #slots: number[] = [];
  #sizes = new Int32Array(0);
  #values = new Float64Array(0);
  #rows = new Int32Array(0);
  /** Heap entries sorted by row: cell numbers (step) and values, and where each row starts. */
  #entryStart = new Int32Array(0);
  #entryStep = new Int32Array(0);
  #entryValue = new Float64Array(0);
  #order: Int32Array | null = null;
  #next = -1;

  constructor(
    child: Operator,
    param: Operator,
    name: "topk" | "bottomk",
    grouping: Grouping,
    position: number,
    context: QueryContext,
  ) {
    this.grid = child.grid;
    this.#child = child;
    this.#param = param;
    this.#name = name;
    this.#less = name === "topk" ? lessTop : lessBottom;
    this.#grouping = grouping;
    this.#position = position;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    this.#list = await this.#child.series();
    this.#k = await readCounts(this.#param);
    if (this.grid.count !== 1) return this.#list;
    await this.#consume();
    return this.#ordered();
  }

  next(tile: Tile): number | Promise<number> {
    return this.#next < 0 ? this.#consume().then(() => this.#emit(tile)) : this.#emit(tile);
  }

  async #consume(): Promise<void> {
    const groups = assignGroups(this.#list, this.#grouping);
    this.#groups = groups;
    this.#next = 0;
    const count = this.grid.count;
    const kMax = this.#k.reduce((a, b) => Math.max(a, b), 0);
    const members = new Uint32Array(groups.labels.length);
    for (let i = 0; i < groups.of.length; i++) members[groups.of[i]!]!++;
    let total = 0;
    for (let g = 0; g < members.length; g++) {
      const slots = Math.min(kMax, members[g]!);
      this.#base.push(total);
      this.#slots.push(slots);
      total += slots * count;
    }
    if (kMax === 0) return;
    this.#context.hold(total);
    this.#held = total;
    this.#sizes = new Int32Array(members.length * count);
    this.#values = new Float64Array(total);
    this.#rows = new Int32Array(total);
    const tile = tileFor(this.grid);
    let row = 0;
    for (;;) {
      const result = this.#child.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++, row++) this.#offer(tile, r, row, groups.of[row]!);
    }
    this.#child.close();
    this.#sortEntries(total);
  }

  /** Offers a row's floats to the heaps of its group. */
  #offer(tile: Tile, tileRow: number, row: number, group: number): void {
    const count = this.grid.count;
    const at = tileRow * count;
    const { v, has } = tile;
    const h = tile.kind[tileRow] === ROW_HISTOGRAM ? tile.h : null;
    const slots = this.#slots[group]!;
    const base = this.#base[group]!;
    const less = this.#less;
    for (let k = 0; k < count; k++) {
      if (has[at + k] === 0) continue;
      if (h !== null && h[at + k] !== undefined) {
        this.#context.annotations.info(textIgnoredInAggregation(this.#name), this.#position);
        continue;
      }
      const limit = Math.min(this.#k[k]!, slots);
      if (limit === 0) continue;
      const x = v[at + k]!;
      const cell = group * count + k;
      const size = this.#sizes[cell]!;
      const from = base + k * slots;
      if (size < limit) {
        this.#sizes[cell] = size + 1;
        this.#siftUp(from, size, x, row);
      } else {
        const least = this.#values[from]!;
        if (less(least, x) && !(x !== x)) this.#siftDown(from, limit, x, row);
      }
    }
  }

  #siftUp(from: number, place: number, x: number, row: number): void {
    const values = this.#values;
    const rows = this.#rows;
    let i = place;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#less(x, values[from + parent]!)) break;
      values[from + i] = values[from + parent]!;
      rows[from + i] = rows[from + parent]!;
      i = parent;
    }
    values[from + i] = x;
    rows[from + i] = row;
  }

  #siftDown(from: number, size: number, x: number, row: number): void {
    const values = this.#values;
    const rows = this.#rows;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#less(values[from + child + 1]!, values[from + child]!)) child++;
      if (!this.#less(values[from + child]!, x)) break;
      values[from + i] = values[from + child]!;
      rows[from + i] = rows[from + child]!;
      i = child;
    }
    values[from + i] = x;
    rows[from + i] = row;
  }

  /** Brings the heaps' entries into row order by counting. */
  #sortEntries(total: number): void {
    const count = this.grid.count;
    const inputRows = this.#list.labels.length;
    const start = new Int32Array(inputRows + 1);
    const groups = this.#slots.length;
    for (let g = 0; g < groups; g++) {
      const slots = this.#slots[g]!;
      for (let k = 0; k < count; k++) {
        const from = this.#base[g]! + k * slots;
        const size = this.#sizes[g * count + k]!;
        for (let i = 0; i < size; i++) start[this.#rows[from + i]! + 1]!++;
      }
    }
    for (let r = 0; r < inputRows; r++) start[r + 1]! += start[r]!;
    const next = start.slice();
    this.#context.hold(total);
    this.#held += total;
    this.#entryStep = new Int32Array(total);
    this.#entryValue = new Float64Array(total);
    for (let g = 0; g < groups; g++) {
      const slots = this.#slots[g]!;
      for (let k = 0; k < count; k++) {
        const from = this.#base[g]! + k * slots;
        const size = this.#sizes[g * count + k]!;
        for (let i = 0; i < size; i++) {
          const to = next[this.#rows[from + i]!]!++;
          this.#entryStep[to] = k;
          this.#entryValue[to] = this.#values[from + i]!;
        }
      }
    }
    this.#entryStart = start;
  }

  /** At a single step: rows by group, best first; only the chosen ones. */
  #ordered(): SeriesList {
    const order: number[] = [];
    for (let g = 0; g < this.#slots.length; g++) {
      const from = this.#base[g]!;
      const size = this.#sizes[g] ?? 0;
      const places = Array.from({ length: size }, (_, i) => from + i);
      const values = this.#values;
      places.sort((a, b) =>
        this.#less(values[b]!, values[a]!)
          ? this.#less(values[a]!, values[b]!) ? 0 : -1
          : this.#less(values[a]!, values[b]!)
          ? 1
          : 0
      );
      for (const p of places) order.push(this.#rows[p]!);
    }
    this.#order = Int32Array.from(order);
    const { labels, dropName } = this.#list;
    return {
      labels: order.map((r) => labels[r]!),
      dropName: dropName === null ? null : Uint8Array.from(order, (r) => dropName[r]!),
    };
  }

  #emit(tile: Tile): number {
    const count = this.grid.count;
    const rows = this.#order === null ? this.#list.labels.length : this.#order.length;
    let row = 0;
    for (; row < tile.capacity && this.#next < rows; row++) {
      const input = this.#order === null ? this.#next : this.#order[this.#next]!;
      this.#next++;
      tile.clearRow(row);
      if (this.#entryStart.length === 0) continue;
      const at = row * count;
      for (let e = this.#entryStart[input]!; e < this.#entryStart[input + 1]!; e++) {
        const k = this.#entryStep[e]!;
        tile.v[at + k] = this.#entryValue[e]!;
        tile.has[at + k] = 1;
      }
    }
    tile.rows = row;
    if (row === 0) this.close();
    return row;
  }

  close(): void {
    this.#child.close();
    this.#param.close();
    this.#context.release(this.#held);
    this.#held = 0;
    this.#values = new Float64Array(0);
    this.#entryValue = new Float64Array(0);
  }
}

/** limitk: the first k present rows of each group, per step. Streams. */
export class LimitOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #param: Operator;
  readonly #grouping: Grouping;
  #k: Float64Array = new Float64Array(0);
  #groups: Groups | undefined;
  #taken = new Float64Array(0);
  #next = 0;

  constructor(child: Operator, param: Operator, grouping: Grouping) {
    this.grid = child.grid;
    this.#child = child;
    this.#param = param;
    this.#grouping = grouping;
  }

  async series(): Promise<SeriesList> {
    const list = await this.#child.series();
    this.#k = await readCounts(this.#param);
    this.#groups = assignGroups(list, this.#grouping);
    this.#taken = new Float64Array(this.#groups.labels.length * this.grid.count);
    return list;
  }

  next(tile: Tile): number | Promise<number> {
    const result = this.#child.next(tile);
    return typeof result === "number"
      ? this.#limit(tile, result)
      : result.then((rows) => this.#limit(tile, rows));
  }

  #limit(tile: Tile, rows: number): number {
    const count = this.grid.count;
    for (let r = 0; r < rows; r++) {
      const from = this.#groups!.of[this.#next++]! * count;
      const at = r * count;
      let cut = false;
      for (let k = 0; k < count; k++) {
        if (tile.has[at + k] === 0) continue;
        if (this.#taken[from + k]! >= this.#k[k]!) {
          tile.has[at + k] = 0;
          cut = true;
        } else this.#taken[from + k]! += 1;
      }
      if (cut && tile.kind[r] !== ROW_HISTOGRAM) tile.kind[r] = ROW_SPARSE;
    }
    return rows;
  }

  close(): void {
    this.#child.close();
    this.#param.close();
  }
}

/** limit_ratio: rows whose label hash falls into the share asked for, per step. Streams. */
export class LimitRatioOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #param: Operator;
  readonly #position: number;
  readonly #context: QueryContext;
  #ratio: Float64Array = new Float64Array(0);
  #labels: readonly Labels[] = [];
  #next = 0;

  constructor(child: Operator, param: Operator, paramPosition: number, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#param = param;
    this.#position = paramPosition;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    const list = await this.#child.series();
    this.#labels = list.labels;
    await this.#param.series();
    const ratio = await readScalar(this.#param);
    let min = 0;
    let max = 0;
    for (let k = 0; k < ratio.length; k++) {
      const r = ratio[k]!;
      if (r !== r) throw new MnemeError("execution", "Ratio value is NaN");
      min = Math.min(min, r);
      max = Math.max(max, r);
      ratio[k] = Math.max(-1, Math.min(1, r));
    }
    if (max > 1) this.#context.annotations.warn(textInvalidRatio(max, 1), this.#position);
    if (min < -1) this.#context.annotations.warn(textInvalidRatio(min, -1), this.#position);
    this.#ratio = ratio;
    return list;
  }

  next(tile: Tile): number | Promise<number> {
    const result = this.#child.next(tile);
    return typeof result === "number"
      ? this.#limit(tile, result)
      : result.then((rows) => this.#limit(tile, rows));
  }

  #limit(tile: Tile, rows: number): number {
    const count = this.grid.count;
    for (let row = 0; row < rows; row++) {
      const offset = ratioOffset(this.#labels[this.#next++]!);
      const at = row * count;
      let cut = false;
      for (let k = 0; k < count; k++) {
        const r = this.#ratio[k]!;
        if (r >= 0 ? offset < r : offset >= 1 + r) continue;
        if (tile.has[at + k] === 1) cut = true;
        tile.has[at + k] = 0;
      }
      if (cut && tile.kind[row] !== ROW_HISTOGRAM) tile.kind[row] = ROW_SPARSE;
    }
    return rows;
  }

  close(): void {
    this.#child.close();
    this.#param.close();
  }
}

/**
 * Where a label set falls in [0, 1): its hash over the encoding that Prometheus hashes, each text
 * preceded by its length (one byte, or 0xff and three little-endian bytes).
 */
function ratioOffset(labels: Labels): number {
  let size = 0;
  for (const text of labels) size += utf8Length(text) + 4;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const text of labels) {
    const n = utf8Length(text);
    if (n < 255) bytes[at++] = n;
    else {
      bytes[at++] = 0xff;
      bytes[at++] = n & 0xff;
      bytes[at++] = (n >> 8) & 0xff;
      bytes[at++] = (n >> 16) & 0xff;
    }
    at += encodeUtf8Into(text, bytes, at);
  }
  return xxhash64Ratio(bytes.subarray(0, at));
}
