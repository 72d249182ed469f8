/** Evaluates a subtree at one step and repeats the result over the grid. */
import { type Operator, type SeriesList, whenRows } from "./operator.ts";
import { type Grid, Tile } from "./tile.ts";

/** See the file comment. The child has a grid of one step. */
export class StepInvariantOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  #input: Tile | undefined;

  constructor(child: Operator, grid: Grid) {
    this.grid = grid;
    this.#child = child;
  }

  series(): Promise<SeriesList> {
    return this.#child.series();
  }

  next(tile: Tile): number | Promise<number> {
    const input = this.#input ??= new Tile(1, tile.capacity);
    return whenRows(this.#child.next(input), (rows) => {
      for (let r = 0; r < rows; r++) tile.repeatRow(r, input, r);
      return tile.rows = rows;
    });
  }

  close(): void {
    this.#child.close();
  }
}
