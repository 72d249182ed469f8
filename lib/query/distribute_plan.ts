/**
 * What of a query other queriers can evaluate: the tree with pushed-down parts taken out, and these
 * parts as queries of their own.
 *
 * A part may be pushed when its result over all series is the union of its results over the series
 * of each engine. Engines differ in the partition labels, so whatever keeps these labels may be; an
 * aggregation that drops them is pushed with them added to its grouping and aggregated again here.
 * Source: the rules of Thanos' distributed mode.
 */
import { makeMatcher } from "../model/mod.ts";
import {
  type AggregateExpr,
  type BinaryExpr,
  type Call,
  type Expr,
  type Modifiers,
  printExpr,
  typeOfExpr,
  type VectorSelector,
  walkExpr,
} from "../promql/mod.ts";

/** Stands for the result of part i in the local tree. */
export const REMOTE_LABEL = "__remote_query__";

/** A query for other queriers. */
export interface PushedPart {
  readonly expr: Expr;
  readonly query: string;
  /** How far before a step it looks: ranges, lookback and offsets together, ms. */
  readonly reach: number;
}

/** A query split in two. */
export interface SplitQuery {
  /** The rest, to be evaluated here over the parts' results. */
  readonly query: string;
  readonly parts: readonly PushedPart[];
}

/** Aggregations that can be aggregated again, each with the operator for that. */
const AGAIN: Readonly<Record<string, AggregateExpr["op"]>> = {
  sum: "sum",
  min: "min",
  max: "max",
  count: "sum",
  group: "group",
  topk: "topk",
  bottomk: "bottomk",
};

/** Functions whose result depends on more than the series they are given one by one. */
const WHOLE = new Set([
  "absent",
  "absent_over_time",
  "scalar",
  "vector",
  "sort",
  "sort_desc",
  "sort_by_label",
  "sort_by_label_desc",
  "info",
]);
const RELABELLING = new Set(["label_replace", "label_join"]);

/** Splits a query over engines that differ in `partition`; undefined when nothing can be pushed. */
export function splitQuery(
  expr: Expr,
  partition: readonly string[],
  lookback: number,
): SplitQuery | undefined {
  const splitter = new Splitter(partition, lookback);
  const rest = splitter.split(expr);
  return splitter.parts.length === 0
    ? undefined
    : { query: printExpr(rest), parts: splitter.parts };
}

class Splitter {
  readonly parts: PushedPart[] = [];
  readonly #partition: ReadonlySet<string>;
  readonly #lookback: number;

  constructor(partition: readonly string[], lookback: number) {
    this.#partition = new Set(partition);
    this.#lookback = lookback;
  }

  split(expr: Expr): Expr {
    if (!hasSelector(expr) || typeOfExpr(expr) !== "vector") {
      return typeOfExpr(expr) === "matrix" ? expr : this.#children(expr);
    }
    if (this.#isDistributive(expr)) return this.#push(expr);
    if (expr.type === "AggregateExpr") {
      const again = this.#aggregation(expr);
      if (again !== undefined) return again;
    }
    // Labels of the answer come from the selector's text, which must stay.
    if (expr.type === "Call" && WHOLE.has(expr.func) && expr.func.startsWith("absent")) return expr;
    return this.#children(expr);
  }

  #children(expr: Expr): Expr {
    switch (expr.type) {
      case "Call":
        return { ...expr, args: expr.args.map((arg) => this.split(arg)) };
      case "AggregateExpr":
        return {
          ...expr,
          expr: this.split(expr.expr),
          param: expr.param === null ? null : this.split(expr.param),
        };
      case "BinaryExpr":
        return { ...expr, lhs: this.split(expr.lhs), rhs: this.split(expr.rhs) };
      case "UnaryExpr":
      case "ParenExpr":
      case "StepInvariantExpr":
        return { ...expr, expr: this.split(expr.expr) };
      default:
        return expr;
    }
  }

  /** An aggregation over distributive series, pushed with the partition labels kept. */
  #aggregation(expr: AggregateExpr): Expr | undefined {
    if (!this.#isDistributive(expr.expr)) return undefined;
    if (expr.param !== null && hasSelector(expr.param)) return undefined;
    const grouping = expr.without
      ? expr.grouping.filter((label) => !this.#partition.has(label))
      : [...new Set([...expr.grouping, ...this.#partition])];
    if (expr.op === "avg") {
      const total = (op: "sum" | "count"): Expr => ({
        ...expr,
        op: "sum",
        expr: this.#push({ ...expr, op, grouping }),
      });
      return {
        type: "ParenExpr",
        start: expr.start,
        end: expr.end,
        expr: {
          type: "BinaryExpr",
          op: "/",
          start: expr.start,
          end: expr.end,
          lhs: total("sum"),
          rhs: total("count"),
          matching: {
            cardinality: "one-to-one",
            labels: [],
            on: false,
            include: [],
            fillLeft: undefined,
            fillRight: undefined,
          },
          returnBool: false,
        },
      };
    }
    const op = AGAIN[expr.op];
    if (op === undefined) return undefined;
    return { ...expr, op, expr: this.#push({ ...expr, grouping }) };
  }

  #push(expr: Expr): VectorSelector {
    const index = this.parts.length;
    this.parts.push({ expr, query: printExpr(expr), reach: reachOf(expr, this.#lookback) });
    return {
      type: "VectorSelector",
      name: "",
      matchers: [makeMatcher("=", REMOTE_LABEL, String(index))],
      anchored: false,
      smoothed: false,
      offset: 0,
      offsetExpr: null,
      timestamp: null,
      startOrEnd: null,
      start: expr.start,
      end: expr.end,
    };
  }

  #isDistributive(expr: Expr): boolean {
    switch (expr.type) {
      case "NumberLiteral":
      case "StringLiteral":
        return true;
      case "VectorSelector":
        return hasPlainTimes(expr) && !expr.anchored && !expr.smoothed;
      case "MatrixSelector":
        return expr.rangeExpr === null && this.#isDistributive(expr.selector);
      case "SubqueryExpr":
        return expr.rangeExpr === null && expr.stepExpr === null && hasPlainTimes(expr) &&
          this.#isDistributive(expr.expr);
      case "UnaryExpr":
      case "ParenExpr":
      case "StepInvariantExpr":
        return this.#isDistributive(expr.expr);
      case "Call":
        return this.#isDistributiveCall(expr);
      case "AggregateExpr":
        return this.#keepsPartition(expr) && this.#isDistributive(expr.expr) &&
          (expr.param === null || !hasSelector(expr.param));
      case "BinaryExpr":
        return this.#isDistributiveBinary(expr);
    }
  }

  #isDistributiveCall(call: Call): boolean {
    if (WHOLE.has(call.func)) return !hasSelector(call);
    if (RELABELLING.has(call.func)) {
      const target = call.args[1];
      if (target?.type !== "StringLiteral" || this.#partition.has(target.value)) return false;
    }
    return call.args.every((arg) =>
      typeOfExpr(arg) === "scalar" ? !hasSelector(arg) : this.#isDistributive(arg)
    );
  }

  #keepsPartition({ grouping, without }: AggregateExpr): boolean {
    const named = new Set(grouping);
    return [...this.#partition].every((label) => named.has(label) !== without);
  }

  #isDistributiveBinary(expr: BinaryExpr): boolean {
    const { lhs, rhs, matching } = expr;
    if (typeOfExpr(lhs) === "scalar") return !hasSelector(lhs) && this.#isDistributive(rhs);
    if (typeOfExpr(rhs) === "scalar") return !hasSelector(rhs) && this.#isDistributive(lhs);
    if (matching !== null) {
      if (matching.fillLeft !== undefined || matching.fillRight !== undefined) return false;
      const named = new Set(matching.labels);
      if (![...this.#partition].every((label) => named.has(label) === matching.on)) return false;
    }
    // A side without series, such as vector(1), belongs to no engine.
    return hasSelector(lhs) && hasSelector(rhs) && this.#isDistributive(lhs) &&
      this.#isDistributive(rhs);
  }
}

function hasSelector(expr: Expr): boolean {
  let found = false;
  walkExpr(expr, (node) => {
    if (node.type === "VectorSelector") found = true;
    return !found;
  });
  return found;
}

/** Evaluated at the steps or before them: `@` and negative offsets look elsewhere. */
function hasPlainTimes(of: Modifiers): boolean {
  return of.timestamp === null && of.startOrEnd === null && of.offsetExpr === null &&
    of.offset >= 0;
}

/** How far before a step an expression looks, ms. */
function reachOf(expr: Expr, lookback: number): number {
  switch (expr.type) {
    case "VectorSelector":
      return expr.offset + lookback;
    case "MatrixSelector":
      return expr.selector.offset + expr.range;
    case "SubqueryExpr":
      return expr.offset + expr.range + reachOf(expr.expr, lookback);
    case "UnaryExpr":
    case "ParenExpr":
    case "StepInvariantExpr":
      return reachOf(expr.expr, lookback);
    case "Call":
      return Math.max(0, ...expr.args.map((arg) => reachOf(arg, lookback)));
    case "AggregateExpr":
      return reachOf(expr.expr, lookback);
    case "BinaryExpr":
      return Math.max(reachOf(expr.lhs, lookback), reachOf(expr.rhs, lookback));
    default:
      return 0;
  }
}
