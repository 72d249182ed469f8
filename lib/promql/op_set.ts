/** Set operators: and, or, unless. Rows stream; only presence per match key is kept. */
import { type Matching, matchKey } from "./matching.ts";
import { type Operator, type SeriesList, tileFor } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

/** Set operators by name. */
export type SetName = "and" | "or" | "unless";

/** See the file comment. */
export class SetOperator implements Operator {
  readonly grid: Grid;
  readonly #left: Operator;
  readonly #right: Operator;
  readonly #name: SetName;
  readonly #matching: Matching;
  readonly #context: QueryContext;
  /** Match key of every left and right row, −1 when the other side has no such key. */
  #leftKey = new Int32Array(0);
  #rightKey = new Int32Array(0);
  /** Presence per key and step: of the right side, for `or` of the left side. */
  #present = new Uint8Array(0);
  #held = 0;
  #consumed = false;
  #nextLeft = 0;
  #nextRight = 0;
  #leftDone = false;

  constructor(
    left: Operator,
    right: Operator,
    name: SetName,
    matching: Matching,
    context: QueryContext,
  ) {
    this.grid = left.grid;
    this.#left = left;
    this.#right = right;
    this.#name = name;
    this.#matching = matching;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    const left = await this.#left.series();
    const right = await this.#right.series();
    const key = matchKey(this.#matching);
    const index = new Map<string, number>();
    const rightTexts = right.labels.map(key);
    const leftTexts = left.labels.map(key);
    const shared = new Set(rightTexts);
    for (const text of leftTexts) {
      if (shared.has(text) && !index.has(text)) index.set(text, index.size);
    }
    this.#leftKey = Int32Array.from(leftTexts, (text) => index.get(text) ?? -1);
    this.#rightKey = Int32Array.from(rightTexts, (text) => index.get(text) ?? -1);
    const cells = index.size * this.grid.count;
    this.#held = Math.ceil(cells / 8);
    this.#context.hold(this.#held);
    this.#present = new Uint8Array(cells);
    if (this.#name !== "or") return left;
    const labels = [...left.labels, ...right.labels];
    if (left.dropName === null && right.dropName === null) return { labels, dropName: null };
    const marks = new Uint8Array(labels.length);
    if (left.dropName !== null) marks.set(left.dropName);
    if (right.dropName !== null) marks.set(right.dropName, left.labels.length);
    return { labels, dropName: marks };
  }

  next(tile: Tile): number | Promise<number> {
    if (this.#name === "or") return this.#nextOr(tile);
    if (!this.#consumed) return this.#consumeRight().then(() => this.#nextFiltered(tile));
    return this.#nextFiltered(tile);
  }

  async #consumeRight(): Promise<void> {
    this.#consumed = true;
    const tile = tileFor(this.grid);
    let row = 0;
    for (;;) {
      const result = this.#right.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++) this.#note(tile, r, this.#rightKey[row++]!);
    }
    this.#right.close();
  }

  #note(tile: Tile, row: number, key: number): void {
    if (key < 0) return;
    const count = this.grid.count;
    const at = row * count;
    const to = key * count;
    for (let k = 0; k < count; k++) this.#present[to + k]! |= tile.has[at + k]!;
  }

  #nextFiltered(tile: Tile): number | Promise<number> {
    const result = this.#left.next(tile);
    return typeof result === "number"
      ? this.#filterLeft(tile, result)
      : result.then((rows) => this.#filterLeft(tile, rows));
  }

  #filterLeft(tile: Tile, rows: number): number {
    for (let r = 0; r < rows; r++) {
      const key = this.#leftKey[this.#nextLeft++]!;
      this.#mask(tile, r, key, this.#name === "and");
    }
    return rows;
  }

  /** Keeps the cells whose key is present (or absent, for `wanted` false). */
  #mask(tile: Tile, row: number, key: number, wanted: boolean): void {
    if (key < 0) {
      if (wanted) tile.clearRow(row);
      return;
    }
    const count = this.grid.count;
    const at = row * count;
    const from = key * count;
    const flip = wanted ? 0 : 1;
    const { has } = tile;
    for (let k = 0; k < count; k++) has[at + k]! &= this.#present[from + k]! ^ flip;
    if (tile.kind[row] === ROW_FULL) tile.kind[row] = ROW_SPARSE;
    else if (tile.kind[row] === ROW_HISTOGRAM) {
      for (let k = at; k < at + count; k++) if (has[k] === 0) tile.h![k] = undefined;
    }
  }

  #nextOr(tile: Tile): number | Promise<number> {
    if (this.#leftDone) return this.#nextOrRight(tile);
    const result = this.#left.next(tile);
    return typeof result === "number"
      ? this.#passLeft(tile, result)
      : result.then((rows) => this.#passLeft(tile, rows));
  }

  #passLeft(tile: Tile, rows: number): number | Promise<number> {
    if (rows === 0) {
      this.#leftDone = true;
      return this.#nextOrRight(tile);
    }
    for (let r = 0; r < rows; r++) this.#note(tile, r, this.#leftKey[this.#nextLeft++]!);
    return rows;
  }

  #nextOrRight(tile: Tile): number | Promise<number> {
    const result = this.#right.next(tile);
    return typeof result === "number"
      ? this.#filterRight(tile, result)
      : result.then((rows) => this.#filterRight(tile, rows));
  }

  #filterRight(tile: Tile, rows: number): number {
    for (let r = 0; r < rows; r++) {
      const key = this.#rightKey[this.#nextRight++]!;
      if (key >= 0) this.#mask(tile, r, key, false);
    }
    return rows;
  }

  close(): void {
    this.#left.close();
    this.#right.close();
    this.#context.release(this.#held);
    this.#held = 0;
    this.#present = new Uint8Array(0);
  }
}
