/**
 * The syntax tree of PromQL: a discriminated union on `type`, with Prometheus' names.
 *
 * `start` and `end` are UTF-16 offsets into the query text (end exclusive). Trees are plain values;
 * passes make new ones. Times and durations are ms.
 */
import type { Matcher } from "../model/mod.ts";

/** What an expression evaluates to, in the words of Prometheus' messages. */
export type ValueType = "none" | "scalar" | "string" | "vector" | "matrix";

/** A place in the query text. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A number; also a duration standing where a number may (then the value is in seconds). */
export interface NumberLiteral extends Span {
  readonly type: "NumberLiteral";
  readonly value: number;
  /** Written as a duration (`5m`): printed as one. */
  readonly duration: boolean;
}

/** A text. Bytes that are no UTF-8 are kept as lone surrogates U+DC80 … U+DCFF. */
export interface StringLiteral extends Span {
  readonly type: "StringLiteral";
  readonly value: string;
}

/** Names of the operators of duration expressions; "" is a pair of parentheses around `rhs`. */
export type DurationOp =
  | "+"
  | "-"
  | "*"
  | "/"
  | "%"
  | "^"
  | "step"
  | "range"
  | "min_of"
  | "max_of"
  | "";

/** A computed duration; a missing `lhs` makes `+` and `-` signs. Leaves are seconds. */
export interface DurationExpr extends Span {
  readonly type: "DurationExpr";
  readonly op: DurationOp;
  readonly lhs: DurationNode | null;
  readonly rhs: DurationNode | null;
  /** Stands in parentheses. */
  readonly wrapped: boolean;
}

/** A node of a duration expression. */
export type DurationNode = DurationExpr | NumberLiteral;

/** `offset` and `@`, on selectors and subqueries. */
export interface Modifiers {
  /** As written, ms; 0 while `offsetExpr` is not computed. */
  readonly offset: number;
  readonly offsetExpr: DurationExpr | null;
  /** Time after `@`, ms. */
  readonly timestamp: number | null;
  /** `@ start()` or `@ end()`. */
  readonly startOrEnd: "start" | "end" | null;
}

/** An instant selector. */
export interface VectorSelector extends Span, Modifiers {
  readonly type: "VectorSelector";
  /** The name in front of the braces; "" when it stands inside them. */
  readonly name: string;
  /** All matchers; that of `name` is the last one. */
  readonly matchers: readonly Matcher[];
  readonly anchored: boolean;
  readonly smoothed: boolean;
}

/** A range selector; offset and `@` are those of `selector`. */
export interface MatrixSelector extends Span {
  readonly type: "MatrixSelector";
  readonly selector: VectorSelector;
  /** ms; 0 while `rangeExpr` is not computed. */
  readonly range: number;
  readonly rangeExpr: DurationExpr | null;
}

/** `expr[range:step]`. */
export interface SubqueryExpr extends Span, Modifiers {
  readonly type: "SubqueryExpr";
  readonly expr: Expr;
  readonly range: number;
  readonly rangeExpr: DurationExpr | null;
  /** ms; 0 when left out or while `stepExpr` is not computed. */
  readonly step: number;
  readonly stepExpr: DurationExpr | null;
}

/** A function call. `func` is a name of the function table. */
export interface Call extends Span {
  readonly type: "Call";
  readonly func: string;
  readonly args: readonly Expr[];
}

/** Names of the aggregations. */
export type AggregateOp =
  | "sum"
  | "avg"
  | "count"
  | "min"
  | "max"
  | "group"
  | "stddev"
  | "stdvar"
  | "topk"
  | "bottomk"
  | "count_values"
  | "quantile"
  | "limitk"
  | "limit_ratio";

/** An aggregation. */
export interface AggregateExpr extends Span {
  readonly type: "AggregateExpr";
  readonly op: AggregateOp;
  readonly expr: Expr;
  /** The first argument of the operators that have two. */
  readonly param: Expr | null;
  readonly grouping: readonly string[];
  readonly without: boolean;
}

/** Names of the binary operators. */
export type BinaryOp =
  | "+"
  | "-"
  | "*"
  | "/"
  | "%"
  | "^"
  | "atan2"
  | "=="
  | "!="
  | "<"
  | "<="
  | ">"
  | ">="
  | "</"
  | ">/"
  | "and"
  | "or"
  | "unless";

/** How many elements of each side may belong together. */
export type MatchCardinality = "one-to-one" | "many-to-one" | "one-to-many" | "many-to-many";

/** The matching clause of an operator between two vectors. */
export interface VectorMatching {
  readonly cardinality: MatchCardinality;
  readonly labels: readonly string[];
  readonly on: boolean;
  /** Labels of group_left(…) or group_right(…). */
  readonly include: readonly string[];
  readonly fillLeft: number | undefined;
  readonly fillRight: number | undefined;
}

/** Two operands; `matching` is set between two vectors only. */
export interface BinaryExpr extends Span {
  readonly type: "BinaryExpr";
  readonly op: BinaryOp;
  readonly lhs: Expr;
  readonly rhs: Expr;
  readonly matching: VectorMatching | null;
  readonly returnBool: boolean;
}

/** A sign. */
export interface UnaryExpr extends Span {
  readonly type: "UnaryExpr";
  readonly op: "+" | "-";
  readonly expr: Expr;
}

/** Parentheses; kept, because they show in the canonical text. */
export interface ParenExpr extends Span {
  readonly type: "ParenExpr";
  readonly expr: Expr;
}

/** An expression with one and the same value at every step; made by the planner, never parsed. */
export interface StepInvariantExpr extends Span {
  readonly type: "StepInvariantExpr";
  readonly expr: Expr;
}

/** A node of the tree. */
export type Expr =
  | NumberLiteral
  | StringLiteral
  | VectorSelector
  | MatrixSelector
  | SubqueryExpr
  | Call
  | AggregateExpr
  | BinaryExpr
  | UnaryExpr
  | ParenExpr
  | StepInvariantExpr;

/** Operators that compare. */
export const COMPARISON_OPS: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);

/** Operators on sets of series. */
export const SET_OPS: ReadonlySet<string> = new Set(["and", "or", "unless"]);

/** The direct children of a node, in the order of the text's meaning (parameter before vector). */
export function childrenOfExpr(expr: Expr): readonly Expr[] {
  switch (expr.type) {
    case "MatrixSelector":
      return [expr.selector];
    case "SubqueryExpr":
    case "UnaryExpr":
    case "ParenExpr":
    case "StepInvariantExpr":
      return [expr.expr];
    case "Call":
      return expr.args;
    case "AggregateExpr":
      return expr.param === null ? [expr.expr] : [expr.param, expr.expr];
    case "BinaryExpr":
      return [expr.lhs, expr.rhs];
    default:
      return [];
  }
}

/**
 * Visits every node, parents first; children of a node for which `visit` gives false are skipped.
 * Works on trees of any depth. `path` has the ancestors, outermost first; it is borrowed.
 */
export function walkExpr(
  root: Expr,
  visit: (expr: Expr, path: readonly Expr[]) => boolean | void,
): void {
  const path: Expr[] = [];
  const stack: { expr: Expr; depth: number }[] = [{ expr: root, depth: 0 }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    path.length = top.depth;
    if (visit(top.expr, path) === false) continue;
    path.push(top.expr);
    const children = childrenOfExpr(top.expr);
    for (let i = children.length - 1; i >= 0; i--) {
      stack.push({ expr: children[i]!, depth: top.depth + 1 });
    }
  }
}

/** The expression inside parentheses and step-invariant wrappers. */
export function unwrapExpr(expr: Expr): Expr {
  let e = expr;
  while (e.type === "ParenExpr" || e.type === "StepInvariantExpr") e = e.expr;
  return e;
}

/** True when both trees mean the same: places in the text and the order of matchers do not count. */
export function equalExpr(a: Expr, b: Expr): boolean {
  return equalNode(a, b);
}

function equalNode(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  for (const key of Object.keys(left)) {
    if (key === "start" || key === "end") continue;
    if (key === "matchers") {
      if (matcherKey(left) !== matcherKey(right)) return false;
      continue;
    }
    if (!equalNode(left[key], right[key])) return false;
  }
  return Object.keys(left).length === Object.keys(right).length;
}

/** A selector's matchers in one text; their compiled parts do not count. */
function matcherKey(selector: Record<string, unknown>): string {
  const matchers = (selector.matchers ?? []) as readonly Matcher[];
  return JSON.stringify(matchers.map((m) => [m.name, m.type, m.value].join("\u0000")).sort());
}
