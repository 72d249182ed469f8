/** Sums and means of histograms, per cell of an aggregation. */
import {
  compactHistogram,
  type FloatHistogram,
  HistogramMean,
  HistogramSum,
  MERGE_BOUNDS_RECONCILED,
  MERGE_INCOMPATIBLE,
} from "../model/mod.ts";
import {
  textMismatchedCustomBuckets,
  textMixedExponentialCustom,
  textResetCollision,
} from "./annotations.ts";
import { histogramWeight, type QueryContext } from "./query_context.ts";

/** One cell: what was added so far, or that it cannot be added up. */
type Cell = HistogramSum | HistogramMean | "incompatible" | undefined;

/** Accumulators of the cells that got histograms; counted against the query. */
export class HistogramFold {
  readonly #cells: Cell[];
  readonly #position: number;
  readonly #context: QueryContext;
  #held = 0;

  constructor(cells: number, position: number, context: QueryContext) {
    this.#cells = new Array<Cell>(cells).fill(undefined);
    this.#position = position;
    this.#context = context;
  }

  /** Adds to the cell's sum or mean; `name` is the metric, for messages. */
  add(cell: number, h: FloatHistogram, mean: boolean, name: string): void {
    const known = this.#cells[cell];
    if (known === undefined) {
      this.#cells[cell] = mean ? new HistogramMean(h) : new HistogramSum(h);
      const weight = histogramWeight(h);
      this.#held += weight;
      this.#context.hold(weight);
      return;
    }
    if (known === "incompatible") return;
    const outcome = known.add(h);
    const { annotations } = this.#context;
    if ((outcome & MERGE_INCOMPATIBLE) !== 0) {
      annotations.warn(textMixedExponentialCustom(name), this.#position);
      this.#cells[cell] = "incompatible";
    } else if ((outcome & MERGE_BOUNDS_RECONCILED) !== 0) {
      annotations.info(textMismatchedCustomBuckets("aggregation"), this.#position);
    }
  }

  /** True when the cell got a histogram. */
  has(cell: number): boolean {
    return this.#cells[cell] !== undefined;
  }

  /** The cell's result, undefined when it cannot be added up. To be called once. */
  take(cell: number): FloatHistogram | undefined {
    const known = this.#cells[cell];
    if (known === undefined || known === "incompatible") return undefined;
    if (known.conflictingResets) {
      this.#context.annotations.warn(textResetCollision("aggregation"), this.#position);
    }
    return compactHistogram(known.result());
  }

  close(): void {
    this.#context.release(this.#held);
    this.#held = 0;
  }
}
