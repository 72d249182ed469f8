/** A subtree that occurs more than once in a plan: evaluated once, its rows handed to each reader. */
import { type Operator, RowStore, type SeriesList, tileFor } from "./operator.ts";
import type { QueryContext } from "./query_context.ts";
import type { Grid, Tile } from "./tile.ts";

/** The evaluated subtree; rows are kept until every reader had them. */
export class SharedRows {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #context: QueryContext;
  readonly #store: RowStore;
  readonly #pending: number[] = [];
  #readers = 0;
  #open = 0;
  #list: Promise<SeriesList> | undefined;
  #tile: Tile | undefined;
  #ended = false;
  #reading: Promise<void> | undefined;

  constructor(child: Operator, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#context = context;
    this.#store = new RowStore(child.grid.count, context);
  }

  /** One more reader; all must be made before the first row is read. */
  reader(): Operator {
    this.#readers++;
    this.#open++;
    return new SharedReader(this);
  }

  series(): Promise<SeriesList> {
    this.#list ??= this.#child.series();
    return this.#list;
  }

  /** Copies rows from `from` on into a tile; 0 at the end. */
  rows(from: number, tile: Tile): number | Promise<number> {
    if (from < this.#store.length) return this.#copy(from, tile);
    if (this.#ended) return tile.rows = 0;
    // Several readers may wait for the same rows.
    if (this.#reading !== undefined) return this.#reading.then(() => this.rows(from, tile));
    this.#tile ??= tileFor(this.grid);
    const result = this.#child.next(this.#tile);
    if (typeof result === "number") {
      this.#keep(this.#tile, result);
      return this.rows(from, tile);
    }
    this.#reading = result.then((rows) => {
      this.#reading = undefined;
      this.#keep(this.#tile!, rows);
    });
    return this.#reading.then(() => this.rows(from, tile));
  }

  #keep(tile: Tile, rows: number): void {
    this.#ended = rows === 0;
    for (let r = 0; r < rows; r++) {
      this.#store.append(tile, r);
      this.#pending.push(this.#readers);
    }
  }

  #copy(from: number, tile: Tile): number {
    let row = 0;
    for (; row < tile.capacity && from + row < this.#store.length; row++) {
      this.#store.copyTo(from + row, tile, row);
      if (--this.#pending[from + row]! === 0) this.#store.drop(from + row);
    }
    return tile.rows = row;
  }

  /** A reader is done. */
  close(): void {
    if (--this.#open > 0) return;
    this.#child.close();
    this.#store.close();
  }
}

class SharedReader implements Operator {
  readonly grid: Grid;
  readonly #rows: SharedRows;
  #next = 0;
  #closed = false;

  constructor(rows: SharedRows) {
    this.grid = rows.grid;
    this.#rows = rows;
  }

  series(): Promise<SeriesList> {
    return this.#rows.series();
  }

  next(tile: Tile): number | Promise<number> {
    const result = this.#rows.rows(this.#next, tile);
    if (typeof result === "number") {
      this.#next += result;
      return result;
    }
    return result.then((rows) => {
      this.#next += rows;
      return rows;
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#rows.close();
  }
}
