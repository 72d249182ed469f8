/** Measures operators one by one, for `analyze`. */
import { formatGoDuration } from "../base/mod.ts";
import type { Operator, SeriesList } from "./operator.ts";
import type { Plan } from "./plan.ts";
import { describeNode } from "./plan_print.ts";
import type { QueryContext } from "./query_context.ts";
import type { Grid, Tile } from "./tile.ts";

/** What an operator did, in the shape of Thanos' `analysis`. */
export interface AnalysisNode {
  readonly name: string;
  /** Children included, as a Go duration. */
  readonly executionTime: string;
  readonly peakSamples: number;
  /** Samples it handed up, over all steps. */
  readonly totalSamples: number;
  readonly series: number;
  readonly children: readonly AnalysisNode[];
}

/** The figures of one operator while it runs. Units: ms. */
export class OperatorFigures {
  readonly name: string;
  readonly children: OperatorFigures[] = [];
  time = 0;
  peak = 0;
  samples = 0;
  series = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The figures so far. */
  result(): AnalysisNode {
    return {
      name: this.name,
      executionTime: formatGoDuration(this.time),
      peakSamples: this.peak,
      totalSamples: this.samples,
      series: this.series,
      children: this.children.map((c) => c.result()),
    };
  }
}

/** Collects the operators of a query in the shape of its plan. */
export class OperatorMeter {
  readonly #root = new OperatorFigures("query");
  readonly #path: OperatorFigures[] = [this.#root];

  /** Opens a node under the current one. */
  enter(plan: Plan): OperatorFigures {
    const child = new OperatorFigures(describeNode(plan));
    this.#path.at(-1)!.children.push(child);
    this.#path.push(child);
    return child;
  }

  /** Closes the current node. */
  leave(): void {
    this.#path.pop();
  }

  /** The measured tree. */
  result(): AnalysisNode {
    const [only] = this.#root.children;
    return (only !== undefined && this.#root.children.length === 1 ? only : this.#root).result();
  }
}

/** Passes everything through and notes time and samples. */
export class MeteredOperator implements Operator {
  readonly grid: Grid;
  readonly #inner: Operator;
  readonly #figures: OperatorFigures;
  readonly #context: QueryContext;

  constructor(inner: Operator, figures: OperatorFigures, context: QueryContext) {
    this.grid = inner.grid;
    this.#inner = inner;
    this.#figures = figures;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    const start = performance.now();
    const list = await this.#inner.series();
    this.#figures.time += performance.now() - start;
    this.#figures.series = list.labels.length;
    return list;
  }

  next(tile: Tile): number | Promise<number> {
    const start = performance.now();
    const result = this.#inner.next(tile);
    if (typeof result === "number") return this.#note(start, tile, result);
    return result.then((rows) => this.#note(start, tile, rows));
  }

  #note(start: number, tile: Tile, rows: number): number {
    this.#figures.time += performance.now() - start;
    const cells = rows * tile.steps;
    let samples = 0;
    for (let i = 0; i < cells; i++) samples += tile.has[i]!;
    this.#figures.samples += samples;
    this.#figures.peak = Math.max(this.#figures.peak, this.#context.current);
    return rows;
  }

  close(): void {
    this.#inner.close();
  }
}
