/** Rewriting a query so that it no longer depends on the evaluation time. */
import { type Expr, walkExpr } from "./ast.ts";
import type { LanguageFeatures } from "./engine.ts";
import { parseExpr } from "./parser.ts";

/** Functions whose value depends on the evaluation time even when their arguments do not. */
const UNSAFE: ReadonlySet<string> = new Set([
  "day_of_month",
  "day_of_week",
  "day_of_year",
  "days_in_month",
  "hour",
  "minute",
  "month",
  "year",
  "predict_linear",
  "time",
  "timestamp",
  "start_timestamp",
  "start",
  "end",
  "step",
  "range",
]);

/**
 * The query with `@ time` (ms) behind every selector that has none, or undefined when it depends on
 * the evaluation time in other ways, or does not depend on it at all.
 */
export function pinSelectors(
  query: string,
  time: number,
  features: LanguageFeatures,
): string | undefined {
  const expr = parseExpr(query, features);
  let safe = true;
  const ends: number[] = [];
  walkExpr(expr, (node, path) => {
    if (node.type === "Call" && UNSAFE.has(node.func)) safe = false;
    // What stands inside a subquery with a time of its own is left alone.
    if (path.some((p) => p.type === "SubqueryExpr" && p.timestamp !== null)) return;
    const parent = path[path.length - 1];
    const selector = node.type === "MatrixSelector"
      ? node.selector
      : node.type === "SubqueryExpr" || node.type === "VectorSelector"
      ? node
      : undefined;
    if (selector === undefined || parent?.type === "MatrixSelector") return;
    if (selector.type === "VectorSelector" && (selector.anchored || selector.smoothed)) {
      safe = false;
    }
    if (selector.startOrEnd !== null || hasDurationExpr(node)) safe = false;
    if (selector.timestamp !== null) return;
    // A subquery gets the time for all that stands inside it.
    if (path.some((p) => p.type === "SubqueryExpr")) return;
    ends.push(node.end);
  });
  if (!safe || ends.length === 0) return undefined;
  let text = query;
  for (const end of ends.sort((a, b) => b - a)) {
    text = `${text.slice(0, end)} @ ${(time / 1000).toFixed(3)}${text.slice(end)}`;
  }
  return text;
}

function hasDurationExpr(node: Expr): boolean {
  return (node.type === "MatrixSelector" && node.rangeExpr !== null) ||
    (node.type === "SubqueryExpr" && (node.rangeExpr !== null || node.stepExpr !== null)) ||
    ((node.type === "VectorSelector" || node.type === "SubqueryExpr") && node.offsetExpr !== null);
}
