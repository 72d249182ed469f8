/** The band between lowest and highest raw sample around a line that is drawn from averages. */
import type { Frame } from "./frame.ts";
import type { LabelRecord } from "./labels.ts";
import { printNode, type SyntaxNode } from "./syntax.ts";

/** One row's band on the grid of its frame; NaN where there is none. */
export interface Band {
  readonly low: Float64Array;
  readonly high: Float64Array;
}

/** With more lines than these, bands would hide one another. */
export const MAX_BANDS = 12;

/**
 * The two queries whose answers are the edges of a band: only a plain selector has one, whatever is
 * computed has averages no more. Units: ms.
 */
export function bandQueries(
  tree: SyntaxNode,
  window: number,
): { readonly low: string; readonly high: string } | undefined {
  if (tree.type === "parenExpr") return bandQueries(tree.expr as SyntaxNode, window);
  if (tree.type !== "vectorSelector") return undefined;
  const range = printNode({ ...tree, type: "matrixSelector", range: window });
  return { low: `min_over_time(${range})`, high: `max_over_time(${range})` };
}

/** Bands by row of the lines; undefined where an edge is missing. */
export function joinBands(lines: Frame, low: Frame, high: Frame): (Band | undefined)[] {
  const lows = rowsByLabels(low);
  const highs = rowsByLabels(high);
  return lines.labels.map((labels) => {
    const key = keyOf(labels);
    const [a, b] = [lows.get(key), highs.get(key)];
    return a === undefined || b === undefined ? undefined : { low: a, high: b };
  });
}

function rowsByLabels(frame: Frame): Map<string, Float64Array> {
  return new Map(frame.labels.map((labels, i) => [keyOf(labels), frame.rows[i]!]));
}

/** Functions over time drop the name. */
function keyOf({ __name__: _, ...rest }: LabelRecord): string {
  return JSON.stringify(Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1));
}
