/**
 * vector op vector, for arithmetic and comparison operators.
 *
 * When no match key has two rows on the "one" side and nothing is filled, rows stream: the many
 * side passes through, partners are read as they are needed. Else both sides are buffered and each
 * step is matched on its own, as the rules are stated.
 */
import { MnemeError } from "../base/mod.ts";
import { formatLabels, type Labels } from "../model/mod.ts";
import { type BinaryResult, histogramBinary } from "./binary_histogram.ts";
import {
  arithmetic,
  arithmeticValue,
  compare,
  compareValue,
  isComparison,
  isTrim,
  type ValueOperator,
} from "./kernel_binary.ts";
import {
  type Matching,
  matchLabels,
  matchRows,
  type MatchTable,
  resultLabels,
  sortedPair,
} from "./matching.ts";
import {
  dropName,
  type Operator,
  readAll,
  RowStore,
  type SeriesList,
  tileFor,
} from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, ROW_SPARSE, Tile } from "./tile.ts";

/** Settings of a vector-vector operator. */
export interface MatchOptions {
  readonly op: ValueOperator;
  readonly matching: Matching;
  readonly returnBool: boolean;
  readonly position: number;
}

/** One output row: its rows on both sides, −1 where the value is filled in. */
interface Pair {
  readonly many: number;
  readonly one: number;
}

/**
 * See the file comment. Output rows may have equal labels; a MergeOperator with conflict() joins
 * them.
 */
export class MatchOperator implements Operator {
  readonly grid: Grid;
  readonly #many: Operator;
  readonly #one: Operator;
  readonly #options: MatchOptions;
  readonly #context: QueryContext;
  /** The written left side is the "one" side. */
  readonly #swapped: boolean;
  readonly #result: BinaryResult = { value: 0, histogram: undefined };
  #table: MatchTable | undefined;
  #pairs: Pair[] = [];
  #keys: number[] = [];
  #manyLabels: readonly Labels[] = [];
  #oneLabels: readonly Labels[] = [];
  #streams = true;
  /** Streaming: rows read from each side so far, and the buffered partners. */
  #manyTile: Tile | undefined;
  #oneTile: Tile | undefined;
  #manyBase = 0;
  #manyRows = 0;
  #oneRead = 0;
  #partners: RowStore | undefined;
  #partnerAt = new Map<number, number>();
  #uses: Uint32Array = new Uint32Array(0);
  #matched = new Map<number, Uint8Array>();
  #mask: Uint8Array;
  #nextPair = 0;
  #drained = false;
  /** Buffered mode. */
  #manyStore: RowStore | undefined;
  #oneStore: RowStore | undefined;
  #manyAny = new Uint8Array(0);
  #oneAny = new Uint8Array(0);

  constructor(left: Operator, right: Operator, options: MatchOptions, context: QueryContext) {
    this.grid = left.grid;
    this.#swapped = options.matching.cardinality === "one-to-many";
    this.#many = this.#swapped ? right : left;
    this.#one = this.#swapped ? left : right;
    this.#options = options;
    this.#context = context;
    this.#mask = new Uint8Array(left.grid.count);
  }

  /** The value that stands in for a missing row of the many side, and of the one side. */
  get #fillMany(): number | undefined {
    const { fillLeft, fillRight } = this.#options.matching;
    return this.#swapped ? fillRight : fillLeft;
  }
  get #fillOne(): number | undefined {
    const { fillLeft, fillRight } = this.#options.matching;
    return this.#swapped ? fillLeft : fillRight;
  }

  async series(): Promise<SeriesList> {
    const many = await this.#many.series();
    const one = await this.#one.series();
    this.#manyLabels = many.labels;
    this.#oneLabels = one.labels;
    const { matching, op, returnBool } = this.#options;
    const table = matchRows(many.labels, one.labels, matching);
    this.#table = table;
    const arithmeticOp = !isComparison(op) && !isTrim(op);
    const delayed = this.#context.features.delayedNameRemoval;
    const result = resultLabels(matching, arithmeticOp);
    const key = matchLabels(matching);
    const fills = this.#fillMany !== undefined || this.#fillOne !== undefined;
    this.#streams = !fills && table.right.every((rows) => rows.length < 2);
    const labels: Labels[] = [];
    const marks: number[] = [];
    const push = (pair: Pair, manyLabels: Labels, oneLabels: Labels, mark: number) => {
      this.#pairs.push(pair);
      let own = result(manyLabels, oneLabels);
      if (returnBool && !delayed) own = dropName(own);
      labels.push(own);
      marks.push(returnBool ? 1 : mark);
    };
    for (let i = 0; i < many.labels.length; i++) {
      const id = table.leftKey[i]!;
      const mark = many.dropName?.[i] ?? 0;
      for (const j of table.right[id]!) {
        push({ many: i, one: j }, many.labels[i]!, one.labels[j]!, mark);
        this.#keys.push(id);
      }
      if (this.#fillOne !== undefined) {
        push({ many: i, one: -1 }, many.labels[i]!, key(many.labels[i]!), mark);
        this.#keys.push(id);
      }
    }
    if (this.#fillMany !== undefined) {
      for (let j = 0; j < one.labels.length; j++) {
        push({ many: -1, one: j }, key(one.labels[j]!), one.labels[j]!, 0);
        this.#keys.push(table.rightKey[j]!);
      }
    }
    if (this.#streams) {
      this.#uses = new Uint32Array(one.labels.length);
      for (const pair of this.#pairs) this.#uses[pair.one]!++;
    }
    return { labels, dropName: delayed ? Uint8Array.from(marks) : null };
  }

  /** The error of two output rows with equal labels at one step. */
  conflict(rowA: number, rowB: number): MnemeError {
    if (this.#keys[rowA] !== this.#keys[rowB]) {
      return new MnemeError(
        "execution",
        "vector cannot contain metrics with the same labelset",
      );
    }
    return this.#options.matching.cardinality === "one-to-one" ? ambiguous() : notUnique();
  }

  next(tile: Tile): number | Promise<number> {
    const pause = this.#context.breathe();
    if (pause !== undefined) return pause.then(() => this.#next(tile));
    return this.#next(tile);
  }

  #next(tile: Tile): number | Promise<number> {
    if (this.#streams) return this.#stream(tile, 0);
    if (this.#manyStore === undefined) return this.#buffer().then(() => this.#emit(tile));
    return this.#emit(tile);
  }

  // Streaming.

  #stream(tile: Tile, from: number): number | Promise<number> {
    let row = from;
    while (row < tile.capacity && this.#nextPair < this.#pairs.length) {
      const pair = this.#pairs[this.#nextPair]!;
      const wait = this.#reach(pair);
      if (wait !== undefined) return wait.then(() => this.#stream(tile, row));
      this.#computePair(tile, row++, pair, this.#keys[this.#nextPair]!);
      this.#nextPair++;
    }
    tile.rows = row;
    return row > 0 || this.#drained ? row : this.#drain(tile);
  }

  /** Reads what is left of both sides: rows without a partner may hold an error, too. */
  #drain(tile: Tile): number | Promise<number> {
    const rest = this.#manyTile ??= tileFor(this.grid);
    for (const side of [this.#many, this.#one]) {
      for (;;) {
        const result = side.next(rest);
        if (result === 0) break;
        if (typeof result !== "number") return result.then(() => this.#drain(tile));
      }
    }
    this.#drained = true;
    this.close();
    return tile.rows = 0;
  }

  /** Reads both sides up to the rows of `pair`; a promise when one has to be waited for. */
  #reach(pair: Pair): Promise<void> | undefined {
    while (pair.many >= this.#manyBase + this.#manyRows) {
      const tile = this.#manyTile ??= tileFor(this.grid);
      this.#manyBase += this.#manyRows;
      this.#manyRows = 0;
      const result = this.#many.next(tile);
      if (typeof result !== "number") {
        return result.then((rows) => {
          this.#manyRows = rows;
        });
      }
      this.#manyRows = result;
      if (result === 0) throw new MnemeError("internal", "binary operator: missing row");
    }
    while (pair.one >= this.#oneRead) {
      const tile = this.#oneTile ??= tileFor(this.grid);
      const result = this.#one.next(tile);
      if (typeof result !== "number") return result.then((rows) => this.#keepPartners(tile, rows));
      if (result === 0) throw new MnemeError("internal", "binary operator: missing row");
      this.#keepPartners(tile, result);
    }
    return undefined;
  }

  #keepPartners(tile: Tile, rows: number): void {
    this.#partners ??= new RowStore(this.grid.count, this.#context);
    for (let r = 0; r < rows; r++) {
      const row = this.#oneRead++;
      if (this.#uses[row]! > 0) this.#partnerAt.set(row, this.#partners.append(tile, r));
    }
  }

  #computePair(tile: Tile, row: number, pair: Pair, key: number): void {
    const many = this.#manyTile!;
    const manyRow = pair.many - this.#manyBase;
    const store = this.#partners!;
    const at = this.#partnerAt.get(pair.one)!;
    this.#combine(tile, row, many, manyRow, store.page(at), store.index(at));
    if (--this.#uses[pair.one]! === 0) {
      store.drop(at);
      this.#partnerAt.delete(pair.one);
    }
    if (
      this.#options.matching.cardinality === "one-to-one" && this.#table!.left[key]!.length > 1
    ) this.#checkUnique(tile, row, key);
  }

  /** One-to-one with several left rows of one key: they must not meet at a step. */
  #checkUnique(tile: Tile, row: number, key: number): void {
    const count = this.grid.count;
    let matched = this.#matched.get(key);
    if (matched === undefined) {
      matched = new Uint8Array(count);
      this.#matched.set(key, matched);
    }
    const at = row * count;
    for (let k = 0; k < count; k++) {
      if (tile.has[at + k] === 0) continue;
      if (matched[k] === 1) throw ambiguous();
      matched[k] = 1;
    }
  }

  /** Computes a whole row from two rows. */
  #combine(
    tile: Tile,
    row: number,
    many: Tile,
    manyRow: number,
    one: Tile,
    oneRow: number,
  ): void {
    const { op, returnBool } = this.#options;
    const count = this.grid.count;
    const at = row * count;
    const a = manyRow * count;
    const b = oneRow * count;
    if (
      many.kind[manyRow] === ROW_HISTOGRAM || one.kind[oneRow] === ROW_HISTOGRAM || isTrim(op)
    ) {
      tile.clearRow(row);
      for (let k = 0; k < count; k++) {
        if (many.has[a + k] === 1 && one.has[b + k] === 1) {
          this.#cell(tile, row, k, many, a + k, manyRow, one, b + k, oneRow);
        }
      }
      return;
    }
    const full = many.kind[manyRow] === ROW_FULL && one.kind[oneRow] === ROW_FULL;
    if (full) tile.fullRow(row);
    else {
      tile.kind[row] = ROW_SPARSE;
      for (let k = 0; k < count; k++) {
        tile.has[at + k] = many.has[a + k]! & one.has[b + k]!;
      }
    }
    const swapped = this.#swapped;
    if (!isComparison(op)) {
      if (swapped) arithmetic(op, one.v, b, many.v, a, tile.v, at, count);
      else arithmetic(op, many.v, a, one.v, b, tile.v, at, count);
      return;
    }
    if (swapped) compare(op, one.v, b, many.v, a, this.#mask, 0, count);
    else compare(op, many.v, a, one.v, b, this.#mask, 0, count);
    const mask = this.#mask;
    if (returnBool) {
      for (let k = 0; k < count; k++) tile.v[at + k] = mask[k]!;
      return;
    }
    const left = swapped ? one.v : many.v;
    const from = swapped ? b : a;
    for (let k = 0; k < count; k++) tile.v[at + k] = left[from + k]!;
    for (let k = 0; k < count; k++) tile.has[at + k]! &= mask[k]!;
    tile.kind[row] = ROW_SPARSE;
  }

  /** Computes one cell; returns whether it is kept. */
  #cell(
    tile: Tile,
    row: number,
    k: number,
    many: Tile,
    a: number,
    manyRow: number,
    one: Tile,
    b: number,
    oneRow: number,
  ): boolean {
    const { op, returnBool, position } = this.#options;
    const at = row * this.grid.count + k;
    const mh = many.kind[manyRow] === ROW_HISTOGRAM ? many.h![a] : undefined;
    const oh = one.kind[oneRow] === ROW_HISTOGRAM ? one.h![b] : undefined;
    const swapped = this.#swapped;
    if (mh === undefined && oh === undefined && !isTrim(op)) {
      const x = swapped ? one.v[b]! : many.v[a]!;
      const y = swapped ? many.v[a]! : one.v[b]!;
      if (!isComparison(op)) tile.v[at] = arithmeticValue(op, x, y);
      else {
        const holds = compareValue(op, x, y);
        if (!holds && !returnBool) return false;
        tile.v[at] = returnBool ? (holds ? 1 : 0) : x;
      }
      tile.has[at] = 1;
      return true;
    }
    const result = this.#result;
    const context = this.#context;
    const keep = swapped
      ? histogramBinary(op, one.v[b]!, oh, many.v[a]!, mh, result, position, context)
      : histogramBinary(op, many.v[a]!, mh, one.v[b]!, oh, result, position, context);
    if (!keep.valid || (!keep.holds && !returnBool)) return false;
    tile.has[at] = 1;
    if (returnBool) {
      tile.v[at] = keep.holds ? 1 : 0;
      return true;
    }
    if (result.histogram === undefined) tile.v[at] = result.value;
    else {
      const column = tile.kind[row] === ROW_HISTOGRAM ? tile.h! : tile.histogramRow(row);
      column[at] = result.histogram;
    }
    return true;
  }

  // Buffered.

  async #buffer(): Promise<void> {
    this.#manyStore = await readAll(this.#many, this.#context);
    this.#many.close();
    this.#oneStore = await readAll(this.#one, this.#context);
    this.#one.close();
    this.#manyAny = presence(this.#manyStore, this.grid.count);
    this.#oneAny = presence(this.#oneStore, this.grid.count);
    this.#checkOneSide();
  }

  /** Two rows of the one side with one key at one step are an error, with or without a partner. */
  #checkOneSide(): void {
    const count = this.grid.count;
    const store = this.#oneStore!;
    const relaxed = this.#fillMany !== undefined;
    let worst = count;
    let found: [number, number] | undefined;
    for (const rows of this.#table!.right) {
      if (rows.length < 2) continue;
      const owner = new Int32Array(count).fill(-1);
      for (const j of rows) {
        const page = store.page(j);
        const from = store.offset(j);
        for (let k = 0; k < worst; k++) {
          if (page.has[from + k] === 0 || (this.#manyAny[k] === 0 && !relaxed)) continue;
          if (owner[k]! >= 0) {
            worst = k;
            found = [owner[k]!, j];
            break;
          }
          owner[k] = j;
        }
      }
    }
    if (found === undefined) return;
    const pair: [Labels, Labels] = [this.#oneLabels[found[1]]!, this.#oneLabels[found[0]]!];
    const [a, b] = this.#context.features.sortedDuplicates ? sortedPair(...pair) : pair;
    const group = formatLabels(matchLabels(this.#options.matching)(this.#oneLabels[found[1]]!));
    throw new MnemeError(
      "execution",
      `found duplicate series for the match group ${group} on the ${
        this.#swapped ? "left" : "right"
      } hand-side of the operation: [${formatLabels(a)}, ${
        formatLabels(b)
      }];many-to-many matching not allowed: matching labels must be unique on one side`,
    );
  }

  #emit(tile: Tile): number {
    let row = 0;
    for (; row < tile.capacity && this.#nextPair < this.#pairs.length; row++) {
      this.#bufferedPair(tile, row, this.#pairs[this.#nextPair]!, this.#keys[this.#nextPair]!);
      this.#nextPair++;
    }
    tile.rows = row;
    if (row === 0) this.close();
    return row;
  }

  #bufferedPair(tile: Tile, row: number, pair: Pair, key: number): void {
    const table = this.#table!;
    const count = this.grid.count;
    tile.clearRow(row);
    const oneToOne = this.#options.matching.cardinality === "one-to-one";
    let matched: Uint8Array | undefined;
    if (oneToOne && table.left[key]!.length > 1) {
      matched = this.#matched.get(key);
      if (matched === undefined) {
        matched = new Uint8Array(count);
        this.#matched.set(key, matched);
      }
    }
    const many = pair.many < 0 ? constantTile(this.#fillMany!) : this.#manyStore!.page(pair.many);
    const manyRow = pair.many < 0 ? 0 : this.#manyStore!.index(pair.many);
    const manyAt = pair.many < 0 ? 0 : this.#manyStore!.offset(pair.many);
    const one = pair.one < 0 ? constantTile(this.#fillOne!) : this.#oneStore!.page(pair.one);
    const oneRow = pair.one < 0 ? 0 : this.#oneStore!.index(pair.one);
    const oneAt = pair.one < 0 ? 0 : this.#oneStore!.offset(pair.one);
    for (let k = 0; k < count; k++) {
      if (pair.many >= 0 && many.has[manyAt + k] === 0) continue;
      if (pair.one >= 0 && one.has[oneAt + k] === 0) continue;
      if (pair.many < 0 && anyAt(this.#manyStore!, table.left[key]!, k)) continue;
      if (pair.one < 0 && anyAt(this.#oneStore!, table.right[key]!, k)) continue;
      const a = pair.many < 0 ? 0 : manyAt + k;
      const b = pair.one < 0 ? 0 : oneAt + k;
      if (!this.#cell(tile, row, k, many, a, manyRow, one, b, oneRow)) continue;
      if (matched !== undefined) {
        if (matched[k] === 1) throw ambiguous();
        matched[k] = 1;
      }
    }
  }

  close(): void {
    this.#many.close();
    this.#one.close();
    this.#partners?.close();
    this.#manyStore?.close();
    this.#oneStore?.close();
  }
}

function ambiguous(): MnemeError {
  return new MnemeError(
    "execution",
    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
  );
}

function notUnique(): MnemeError {
  return new MnemeError(
    "execution",
    "multiple matches for labels: grouping labels must ensure unique matches",
  );
}

/** A one-cell tile that stands for a filled value. */
function constantTile(value: number): Tile {
  const tile = new Tile(1, 1);
  tile.v[0] = value;
  tile.fullRow(0);
  return tile;
}

/** 1 per step at which any row has a value. */
function presence(store: RowStore, count: number): Uint8Array<ArrayBuffer> {
  const any = new Uint8Array(count);
  for (let r = 0; r < store.length; r++) {
    const { has } = store.page(r);
    const from = store.offset(r);
    for (let k = 0; k < count; k++) any[k]! |= has[from + k]!;
  }
  return any;
}

function anyAt(store: RowStore, rows: readonly number[], k: number): boolean {
  for (const r of rows) if (store.page(r).has[store.offset(r) + k] === 1) return true;
  return false;
}
