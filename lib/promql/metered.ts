/** Measures operators one by one, for `analyze`. */
import type { Operator, SeriesList } from "./operator.ts";
import type { Plan } from "./plan.ts";
import { describeNode } from "./plan_print.ts";
import type { QueryContext } from "./query_context.ts";
import type { Grid, Tile } from "./tile.ts";

/** What an operator did. Times in ms, children included. */
export interface AnalysisNode {
  readonly name: string;
  executionTime: number;
  /** Series and samples it handed up; selectors count the samples they read over all steps. */
  series: number;
  totalSamples: number;
  peakSamples: number;
  readonly children: AnalysisNode[];
}

/** Collects the nodes of a query in the shape of its plan. */
export class OperatorMeter {
  #root: AnalysisNode = node("query");
  #path: AnalysisNode[] = [this.#root];

  /** The measured tree. */
  result(): AnalysisNode {
    return this.#root.children.length === 1 ? this.#root.children[0]! : this.#root;
  }

  /** Opens a node under the current one. */
  enter(plan: Plan): AnalysisNode {
    const child = node(describeNode(plan));
    this.#path.at(-1)!.children.push(child);
    this.#path.push(child);
    return child;
  }

  /** Closes the current node. */
  leave(): void {
    this.#path.pop();
  }
}

function node(name: string): AnalysisNode {
  return { name, executionTime: 0, series: 0, totalSamples: 0, peakSamples: 0, children: [] };
}

/** Passes everything through and notes time and samples. */
export class MeteredOperator implements Operator {
  readonly grid: Grid;
  readonly #inner: Operator;
  readonly #node: AnalysisNode;
  readonly #context: QueryContext;

  constructor(inner: Operator, analysis: AnalysisNode, context: QueryContext) {
    this.grid = inner.grid;
    this.#inner = inner;
    this.#node = analysis;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    const start = performance.now();
    const list = await this.#inner.series();
    this.#node.executionTime += performance.now() - start;
    this.#node.series = list.labels.length;
    return list;
  }

  next(tile: Tile): number | Promise<number> {
    const start = performance.now();
    const result = this.#inner.next(tile);
    if (typeof result === "number") return this.#note(start, tile, result);
    return result.then((rows) => this.#note(start, tile, rows));
  }

  #note(start: number, tile: Tile, rows: number): number {
    this.#node.executionTime += performance.now() - start;
    const cells = rows * tile.steps;
    let samples = 0;
    for (let i = 0; i < cells; i++) samples += tile.has[i]!;
    this.#node.totalSamples += samples;
    this.#node.peakSamples = Math.max(this.#node.peakSamples, this.#context.current + cells);
    return rows;
  }

  close(): void {
    this.#inner.close();
  }
}
