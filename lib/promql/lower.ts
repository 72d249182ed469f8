/**
 * From syntax tree to plan: every `@`, offset, lookback and computed duration becomes an absolute
 * time, and subtrees that do not depend on the step are evaluated at one step only.
 */
import { MnemeError, unreachable } from "../base/mod.ts";
import {
  EMPTY_LABELS,
  type Labels,
  labelsFromPairs,
  makeMatcher,
  METRIC_NAME,
} from "../model/mod.ts";
import {
  type AggregateExpr,
  type BinaryExpr,
  type Call,
  childrenOfExpr,
  type Expr,
  type MatrixSelector,
  type Modifiers,
  SET_OPS,
  type SubqueryExpr,
  unwrapExpr,
  type VectorSelector,
} from "./ast.ts";
import { type DurationContext, evaluateDuration } from "./duration_expr.ts";
import type { ValueOperator } from "./kernel_binary.ts";
import { X_LOOKBACK } from "./kernel_extended.ts";
import type { References, SelectYield } from "./op_select.ts";
import type { SetName } from "./op_set.ts";
import type { Plan, RangePlan } from "./plan.ts";
import { RANGE_FUNCTIONS } from "./range_kernels.ts";
import type { SelectSpec } from "./source.ts";
import type { Grid } from "./tile.ts";

/** When a query is evaluated. Units: ms; an instant query has start = end and step 0. */
export interface QueryTimes {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  readonly instant: boolean;
}

/** What lowering needs to know beside the tree. Units: ms. */
export interface LowerOptions {
  readonly query: string;
  readonly times: QueryTimes;
  readonly lookbackDelta: number;
  /** Step of subqueries that name none. */
  readonly defaultStep: number;
}

/** Functions whose value depends on the evaluation time even when their arguments do not. */
const TIME_DEPENDENT: ReadonlySet<string> = new Set(["time", "timestamp", "predict_linear"]);
/** Functions that take the evaluation time when they have no argument. */
const TIME_BY_DEFAULT: ReadonlySet<string> = new Set([
  "minute",
  "hour",
  "day_of_week",
  "day_of_month",
  "day_of_year",
  "days_in_month",
  "month",
  "year",
]);

/** What stands around a selector, as a hint for storage. */
interface Around {
  readonly func: string;
  readonly grouping: readonly string[];
  readonly by: boolean;
  /** Only count and sum of histograms are asked for. */
  readonly statsOnly: boolean;
}

const ALONE: Around = { func: "", grouping: [], by: false, statsOnly: false };
/** Functions that need count and sum of histograms only, and those that need all of them. */
const STATS_CALLS: ReadonlySet<string> = new Set([
  "histogram_count",
  "histogram_sum",
  "histogram_avg",
]);
const BUCKET_CALLS: ReadonlySet<string> = new Set([
  "histogram_quantile",
  "histogram_quantiles",
  "histogram_fraction",
]);

/** Plans an expression that was checked. */
export function lower(expr: Expr, options: LowerOptions): Plan {
  const { start, end, step } = options.times;
  const count = options.times.instant ? 1 : Math.floor((end - start) / step) + 1;
  return new Lowering(options).root(expr, { start, step, count });
}

class Lowering {
  readonly #options: LowerOptions;
  readonly #durations: DurationContext;
  readonly #invariant = new Map<Expr, boolean>();
  /**
   * How far the enclosing subqueries' grids, aligned as they are, begin after the ranges they
   * cover, ms. Storage is asked for the ranges: deduplication depends on where data begin.
   */
  #aligned = 0;

  constructor(options: LowerOptions) {
    this.#options = options;
    const { start, end, step } = options.times;
    this.#durations = { query: options.query, step, range: end - start };
  }

  root(expr: Expr, grid: Grid): Plan {
    const inner = unwrapExpr(expr);
    if (inner.type === "MatrixSelector" || inner.type === "SubqueryExpr") {
      return this.#range(inner, grid, ALONE);
    }
    return this.#lower(expr, grid, ALONE);
  }

  #lower(expr: Expr, grid: Grid, around: Around): Plan {
    if (grid.count > 1 && !isLiteral(expr) && this.#isInvariant(expr)) {
      const child = this.#node(expr, { start: grid.start, step: grid.step, count: 1 }, around);
      return { kind: "step_invariant", grid, child };
    }
    return this.#node(expr, grid, around);
  }

  #node(expr: Expr, grid: Grid, around: Around): Plan {
    switch (expr.type) {
      case "NumberLiteral":
        return { kind: "constant", grid, value: expr.value };
      case "StringLiteral":
        return { kind: "text", grid, value: expr.value };
      case "ParenExpr":
      case "StepInvariantExpr":
        return this.#lower(expr.expr, grid, within(around));
      case "UnaryExpr": {
        const child = this.#lower(expr.expr, grid, within(around));
        return expr.op === "+" ? child : { kind: "negate", grid, child };
      }
      case "VectorSelector":
        return this.#select(expr, grid, around, "value");
      case "Call":
        return this.#call(expr, grid, around);
      case "AggregateExpr":
        return this.#aggregate(expr, grid, around);
      case "BinaryExpr":
        return this.#binary(expr, grid);
      case "MatrixSelector":
      case "SubqueryExpr":
        throw new MnemeError("internal", "a range stands where none may stand");
      default:
        return unreachable(expr, "expression");
    }
  }

  /** True when the value is the same at every step of any grid. */
  #isInvariant(expr: Expr): boolean {
    const known = this.#invariant.get(expr);
    if (known !== undefined) return known;
    const invariant = this.#computeInvariant(expr);
    this.#invariant.set(expr, invariant);
    return invariant;
  }

  #computeInvariant(expr: Expr): boolean {
    switch (expr.type) {
      case "VectorSelector":
      case "SubqueryExpr":
        return expr.timestamp !== null || expr.startOrEnd !== null;
      case "Call":
        if (expr.func === "timestamp") {
          const arg = unwrapExpr(expr.args[0]!);
          return arg.type === "VectorSelector" && this.#isInvariant(arg);
        }
        if (TIME_DEPENDENT.has(expr.func)) return false;
        if (expr.args.length === 0 && TIME_BY_DEFAULT.has(expr.func)) return false;
        if (expr.func === "info") return this.#isInvariant(expr.args[0]!);
        break;
    }
    return childrenOfExpr(expr).every((child) => this.#isInvariant(child));
  }

  /** Reference times of a selector or subquery. */
  #references(node: Modifiers, grid: Grid): References {
    const { times } = this.#options;
    const offset = this.#offset(node);
    const at = node.timestamp ??
      (node.startOrEnd === "start" ? times.start : node.startOrEnd === "end" ? times.end : null);
    return at === null
      ? { first: grid.start - offset, step: grid.step }
      : { first: at - offset, step: 0 };
  }

  /** What a selector asks for before its first reference time: nothing when that is fixed by @. */
  #early(references: References): number {
    return references.step === 0 ? 0 : this.#aligned;
  }

  #offset(node: Modifiers): number {
    return node.offsetExpr === null
      ? node.offset
      : evaluateDuration(node.offsetExpr, this.#durations, true);
  }

  #select(selector: VectorSelector, grid: Grid, around: Around, yields: SelectYield): Plan {
    const references = this.#references(selector, grid);
    const lookback = this.#options.lookbackDelta;
    const last = references.first + references.step * (grid.count - 1);
    const { smoothed } = selector;
    const spec: SelectSpec = {
      matchers: selector.matchers,
      hints: {
        start: references.first - lookback + 1 - this.#early(references),
        end: smoothed ? last + lookback : last,
        step: grid.step,
        range: 0,
        window: lookback,
        func: around.func,
        grouping: around.grouping,
        by: around.by,
        queryStart: 0,
        queryEnd: 0,
      },
    };
    const position = selector.start;
    const { statsOnly } = around;
    return {
      kind: "select",
      grid,
      spec,
      references,
      lookback,
      yields,
      smoothed,
      statsOnly,
      position,
    };
  }

  #range(expr: MatrixSelector | SubqueryExpr, grid: Grid, around: Around): RangePlan {
    if (expr.type === "SubqueryExpr") return this.#subquery(expr, grid, around);
    const { selector } = expr;
    const range = expr.rangeExpr === null
      ? expr.range
      : evaluateDuration(expr.rangeExpr, this.#durations, false);
    const references = this.#references(selector, grid);
    const lookback = this.#options.lookbackDelta;
    const last = references.first + references.step * (grid.count - 1);
    const before = around.func.startsWith("x")
      ? X_LOOKBACK
      : selector.anchored || selector.smoothed
      ? lookback
      : 0;
    checkExtended(selector, around.func);
    const modifier = selector.anchored ? "anchored" : selector.smoothed ? "smoothed" : "";
    const spec: SelectSpec = {
      matchers: selector.matchers,
      hints: {
        start: references.first - range + 1 - before - this.#early(references),
        end: modifier === "smoothed" ? last + lookback : last,
        step: grid.step,
        range,
        window: range,
        func: around.func,
        grouping: [],
        by: false,
        queryStart: 0,
        queryEnd: 0,
      },
    };
    return {
      kind: "range",
      grid,
      source: spec,
      references,
      range,
      modifier,
      lookback,
      statsOnly: around.statsOnly,
      position: expr.start,
    };
  }

  /**
   * The inner grid is aligned to multiples of its step, whatever the outer grid is, and its first
   * point lies behind the left edge of the first window.
   */
  #subquery(expr: SubqueryExpr, grid: Grid, around: Around): RangePlan {
    const range = expr.rangeExpr === null
      ? expr.range
      : evaluateDuration(expr.rangeExpr, this.#durations, false);
    const step = expr.stepExpr !== null
      ? evaluateDuration(expr.stepExpr, this.#durations, false)
      : expr.step > 0
      ? expr.step
      : this.#options.defaultStep;
    const references = this.#references(expr, grid);
    const low = references.first - range;
    let start = step * Math.trunc(low / step);
    if (start <= low) start += step;
    const last = references.first + references.step * (grid.count - 1);
    const count = Math.floor((last - start) / step) + 1;
    const outer = this.#aligned;
    this.#aligned = start - low + this.#early(references);
    const source: Plan = count <= 0
      ? { kind: "empty", grid: { start, step, count: 1 } }
      : this.#lower(expr.expr, { start, step, count }, within(around));
    this.#aligned = outer;
    return {
      kind: "range",
      grid,
      source,
      references,
      range,
      modifier: "",
      lookback: this.#options.lookbackDelta,
      statsOnly: false,
      position: expr.start,
    };
  }

  #call(expr: Call, grid: Grid, outside: Around): Plan {
    const { func, args } = expr;
    const { times } = this.#options;
    const constant = (value: number): Plan => ({ kind: "constant", grid, value });
    switch (func) {
      case "time":
        return { kind: "time", grid };
      case "pi":
        return constant(Math.PI);
      case "start":
        return constant(times.start / 1000);
      case "end":
        return constant(times.end / 1000);
      case "step":
        return constant(times.step / 1000);
      case "range":
        return constant((times.end - times.start) / 1000);
      case "absent":
      case "absent_over_time":
        return this.#absent(expr, grid, outside);
      case "info":
        return this.#info(expr, grid, outside);
    }
    const rangeArg = args.findIndex((a) => isRange(unwrapExpr(a)));
    if (rangeArg >= 0) return this.#rangeCall(expr, rangeArg, grid, outside);
    const around = inCall(outside, func);
    const plans = args.map((a) => this.#lower(a, grid, around));
    if (func === "timestamp" || func === "start_timestamp") {
      const arg = unwrapExpr(args[0]!);
      if (arg.type === "VectorSelector" && !arg.smoothed) {
        const yields = func === "timestamp" ? "time" : "start_time";
        plans[0] = this.#select(arg, grid, around, yields);
      }
    }
    if (plans.length === 0 && TIME_BY_DEFAULT.has(func)) plans.push({ kind: "time", grid });
    if (func === "round" && plans.length === 1) plans.push(constant(1));
    return {
      kind: "call",
      grid,
      func,
      args: plans,
      position: expr.start,
      argPositions: args.map((a) => a.start),
    };
  }

  #rangeCall(expr: Call, rangeArg: number, grid: Grid, outside: Around): Plan {
    const { func, args } = expr;
    if (RANGE_FUNCTIONS[func] === undefined) {
      throw new MnemeError("internal", `function ${func} has no implementation`);
    }
    const range = this.#range(rangeOf(args[rangeArg]!), grid, inCall(outside, func));
    const params = args.filter((_, i) => i !== rangeArg).map((a) => this.#lower(a, grid, ALONE));
    return {
      kind: "range_call",
      grid,
      func,
      range: { ...range, position: args[rangeArg]!.start },
      params,
      firstPosition: args[0]!.start,
    };
  }

  #absent(expr: Call, grid: Grid, outside: Around): Plan {
    const arg = expr.args[0]!;
    const inner = unwrapExpr(arg);
    if (expr.func === "absent") {
      const child = this.#lower(arg, grid, inCall(outside, "absent"));
      const labels = inner.type === "VectorSelector" ? absentLabels(inner) : EMPTY_LABELS;
      return { kind: "absent", grid, child, labels };
    }
    const child: Plan = {
      kind: "range_call",
      grid,
      func: "absent_over_time",
      range: this.#range(rangeOf(arg), grid, inCall(outside, "absent_over_time")),
      params: [],
      firstPosition: arg.start,
    };
    const labels = inner.type === "MatrixSelector" ? absentLabels(inner.selector) : EMPTY_LABELS;
    return { kind: "absent", grid, child, labels };
  }

  #info(expr: Call, grid: Grid, outside: Around): Plan {
    const { lookbackDelta } = this.#options;
    const child = this.#lower(expr.args[0]!, grid, inCall(outside, "info"));
    const references = this.#infoReferences(expr.args[0]!, grid);
    const second = expr.args[1];
    const matchers = second === undefined ? [] : (unwrapExpr(second) as VectorSelector).matchers;
    const nameMatchers = matchers.filter((m) => m.name === METRIC_NAME);
    if (nameMatchers.length === 0) nameMatchers.push(makeMatcher("=", METRIC_NAME, "target_info"));
    else if (nameMatchers.every((m) => m.type === "!=" || m.type === "!~")) {
      nameMatchers.push(makeMatcher("=~", METRIC_NAME, ".+_info"));
    }
    const last = references.first + references.step * (grid.count - 1);
    return {
      kind: "info",
      grid,
      child,
      references,
      lookback: lookbackDelta,
      nameMatchers,
      labelMatchers: matchers.filter((m) => m.name !== METRIC_NAME),
      hints: {
        start: references.first - lookbackDelta + 1,
        end: last,
        step: grid.step,
        range: 0,
        window: lookbackDelta,
        func: "info",
        grouping: [],
        by: false,
        queryStart: references.first - lookbackDelta + 1,
        queryEnd: last,
      },
    };
  }

  /** info() looks at its info series when the first selector of its argument looks at its own. */
  #infoReferences(arg: Expr, grid: Grid): References {
    const path = pathToSelector(arg);
    let references: References = { first: grid.start, step: grid.step };
    for (const node of path ?? []) {
      if (node.type !== "VectorSelector" && node.type !== "SubqueryExpr") continue;
      const here: Grid = { start: references.first, step: references.step, count: grid.count };
      references = this.#references(node, here);
    }
    return references;
  }

  #aggregate(expr: AggregateExpr, grid: Grid, outside: Around): Plan {
    const grouping = { labels: expr.grouping, without: expr.without };
    const around: Around = {
      func: expr.op,
      grouping: expr.grouping,
      by: !expr.without,
      statsOnly: outside.statsOnly,
    };
    return {
      kind: "aggregate",
      grid,
      op: expr.op,
      child: this.#lower(expr.expr, grid, around),
      param: expr.param === null ? null : this.#param(expr.param, grid),
      grouping,
      position: expr.expr.start,
      paramPosition: expr.param === null ? 0 : unwrapExpr(expr.param).start,
    };
  }

  #param(expr: Expr, grid: Grid): Plan {
    const inner = unwrapExpr(expr);
    return inner.type === "StringLiteral"
      ? { kind: "text", grid, value: inner.value }
      : this.#lower(expr, grid, ALONE);
  }

  #binary(expr: BinaryExpr, grid: Grid): Plan {
    const left = this.#lower(expr.lhs, grid, ALONE);
    const right = this.#lower(expr.rhs, grid, ALONE);
    if (SET_OPS.has(expr.op)) {
      return {
        kind: "set",
        grid,
        op: expr.op as SetName,
        left,
        right,
        matching: expr.matching!,
      };
    }
    return {
      kind: "binary",
      grid,
      op: expr.op as ValueOperator,
      left,
      right,
      matching: expr.matching,
      returnBool: expr.returnBool,
      position: expr.start,
    };
  }
}

/** What stands around the operand of parentheses, a sign or a subquery. */
function within(around: Around): Around {
  return { ...ALONE, func: around.func, statsOnly: around.statsOnly };
}

/** What stands around the arguments of a function. */
function inCall(outside: Around, func: string): Around {
  const statsOnly = STATS_CALLS.has(func) || (outside.statsOnly && !BUCKET_CALLS.has(func));
  return { ...ALONE, func, statsOnly };
}

function isLiteral(expr: Expr): boolean {
  return expr.type === "NumberLiteral" || expr.type === "StringLiteral";
}

function isRange(expr: Expr): boolean {
  return expr.type === "MatrixSelector" || expr.type === "SubqueryExpr";
}

function rangeOf(expr: Expr): MatrixSelector | SubqueryExpr {
  const inner = unwrapExpr(expr);
  if (inner.type === "MatrixSelector" || inner.type === "SubqueryExpr") return inner;
  throw new MnemeError("internal", "a range is expected");
}

const ANCHORED_FUNCTIONS: readonly string[] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED_FUNCTIONS: readonly string[] = ["delta", "increase", "rate"];

function checkExtended(selector: VectorSelector, func: string): void {
  if (func === "") return;
  for (
    const [modifier, used, functions] of [
      ["anchored", selector.anchored, ANCHORED_FUNCTIONS],
      ["smoothed", selector.smoothed, SMOOTHED_FUNCTIONS],
    ] as const
  ) {
    if (!used || functions.includes(func)) continue;
    throw new MnemeError(
      "execution",
      `${modifier} modifier can only be used with: ${functions.join(", ")} - not with ${func}`,
    );
  }
}

/** Nodes from `root` down to its first selector. */
function pathToSelector(root: Expr): Expr[] | undefined {
  if (root.type === "VectorSelector") return [root];
  for (const child of childrenOfExpr(root)) {
    const path = pathToSelector(child);
    if (path !== undefined) return [root, ...path];
  }
  return undefined;
}

/** What absent() calls its row: labels that the selector fixes to one value. */
function absentLabels(selector: VectorSelector): Labels {
  const fixed = new Map<string, string>();
  const seen = new Set<string>();
  for (const m of selector.matchers) {
    if (m.name === METRIC_NAME) continue;
    if (m.type === "=" && !seen.has(m.name)) {
      fixed.set(m.name, m.value);
      seen.add(m.name);
    } else fixed.delete(m.name);
  }
  return labelsFromPairs(fixed);
}
