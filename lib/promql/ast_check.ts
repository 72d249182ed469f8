/** Types, arity and matching rules of a parsed query, in Prometheus' order and words. */
import { type Matcher, METRIC_NAME } from "../model/mod.ts";
import {
  type AggregateExpr,
  type BinaryExpr,
  type Call,
  childrenOfExpr,
  COMPARISON_OPS,
  type Expr,
  SET_OPS,
  type Span,
  type ValueType,
  type VectorMatching,
  type VectorSelector,
} from "./ast.ts";
import { AGGREGATES_WITH_PARAM, functionByName } from "./functions.ts";
import { quoteText } from "./go_quote.ts";
import { ParseError } from "./parse_error.ts";
import { tooDeep } from "./token_reader.ts";

/** The words for a type in messages. */
export function describeType(type: ValueType): string {
  switch (type) {
    case "vector":
      return "instant vector";
    case "matrix":
      return "range vector";
    default:
      return type;
  }
}

/** The type of a checked expression. */
export function typeOfExpr(expr: Expr): ValueType {
  switch (expr.type) {
    case "NumberLiteral":
      return "scalar";
    case "StringLiteral":
      return "string";
    case "VectorSelector":
    case "AggregateExpr":
      return "vector";
    case "MatrixSelector":
    case "SubqueryExpr":
      return "matrix";
    case "Call":
      return functionByName(expr.func)?.returns ?? "none";
    case "BinaryExpr":
      return typeOfExpr(expr.lhs) === "scalar" && typeOfExpr(expr.rhs) === "scalar"
        ? "scalar"
        : "vector";
    case "UnaryExpr":
    case "ParenExpr":
    case "StepInvariantExpr":
      return typeOfExpr(expr.expr);
  }
}

/** Refuses trees with more levels than every later pass can walk. Throws ParseError. */
export function checkTreeDepth(root: Expr, query: string, limit: number): void {
  let level: readonly Expr[] = [root];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > limit) throw tooDeep(query, level[0]!.start, limit);
    const next: Expr[] = [];
    for (const expr of level) for (const child of childrenOfExpr(expr)) next.push(child);
    level = next;
  }
}

/**
 * Checks a freshly parsed tree and settles the matching of its binary operators in place: between
 * two vectors it stays, elsewhere it becomes null. Returns the type. Throws ParseError.
 */
export function checkExpr(expr: Expr, query: string): ValueType {
  return new Checker(query).check(expr);
}

/** Checks a selector that stands alone. Throws ParseError. */
export function checkSelector(selector: VectorSelector, query: string, allowEmpty = false): void {
  new Checker(query).selector(selector, allowEmpty);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

class Checker {
  readonly #query: string;

  constructor(query: string) {
    this.#query = query;
  }

  #fail(text: string, span: Span): never {
    throw new ParseError(text, this.#query, span.start, span.end);
  }

  check(expr: Expr): ValueType {
    switch (expr.type) {
      case "NumberLiteral":
        return "scalar";
      case "StringLiteral":
        return "string";
      case "VectorSelector":
        return this.selector(expr, false);
      case "MatrixSelector":
        this.selector(expr.selector, false);
        return "matrix";
      case "SubqueryExpr": {
        const type = this.check(expr.expr);
        if (type !== "vector") {
          this.#fail(`subquery is only allowed on instant vector, got ${type} instead`, expr);
        }
        return "matrix";
      }
      case "ParenExpr":
      case "StepInvariantExpr":
        return this.check(expr.expr);
      case "UnaryExpr": {
        const type = this.check(expr.expr);
        if (type !== "scalar" && type !== "vector") {
          this.#fail(
            "unary expression only allowed on expressions of type scalar or instant vector, " +
              `got ${quoteText(describeType(type))}`,
            expr,
          );
        }
        return type;
      }
      case "Call":
        return this.#call(expr);
      case "AggregateExpr":
        return this.#aggregate(expr);
      case "BinaryExpr":
        return this.#binary(expr);
    }
  }

  selector(expr: VectorSelector, allowEmpty: boolean): ValueType {
    if (expr.name !== "") {
      const second = expr.matchers.slice(0, -1).find((m) => m.name === METRIC_NAME);
      if (second !== undefined) {
        this.#fail(
          "metric name must not be set twice: " +
            `${quoteText(expr.name)} or ${quoteText(second.value)}`,
          expr,
        );
      }
      return "vector";
    }
    if (!allowEmpty && expr.matchers.every(matchesEmpty)) {
      this.#fail("vector selector must contain at least one non-empty matcher", expr);
    }
    return "vector";
  }

  #expect(expr: Expr, wanted: ValueType, where: string): void {
    const type = this.check(expr);
    if (type !== wanted) {
      this.#fail(
        `expected type ${describeType(wanted)} in ${where}, got ${describeType(type)}`,
        expr,
      );
    }
  }

  #call(expr: Call): ValueType {
    const func = functionByName(expr.func)!;
    const { args } = expr;
    const name = quoteText(expr.func);
    const given = args.length;
    const bad = (wanted: string) =>
      this.#fail(`expected ${wanted} argument(s) in call to ${name}, got ${given}`, expr);
    if (func.variadic === 0) {
      if (given !== func.args.length) bad(String(func.args.length));
    } else {
      const least = func.args.length - 1;
      if (given < least) bad(`at least ${least}`);
      if (func.variadic > 0 && given > least + func.variadic) {
        bad(`at most ${least + func.variadic}`);
      }
    }
    if (expr.func === "info" && given > 1) this.#infoSelector(expr, args[1]!);
    for (let i = 0; i < given; i++) {
      if (expr.func === "info" && i === 1) continue;
      this.#expect(
        args[i]!,
        func.args[Math.min(i, func.args.length - 1)]!,
        `call to function ${name}`,
      );
    }
    return func.returns;
  }

  /** The second argument of info() is a selector without name, and may match everything. */
  #infoSelector(call: Call, arg: Expr): void {
    if (arg.type === "VectorSelector") {
      if (arg.name !== "") {
        this.#fail("expected label selectors only, got vector selector instead", arg);
      }
      return;
    }
    const type = this.check(arg);
    if (type !== "vector") {
      this.#fail(
        `expected type instant vector in call to function "info", got ${describeType(type)}`,
        call,
      );
    }
    this.#fail("expected label selectors only", arg);
  }

  #aggregate(expr: AggregateExpr): ValueType {
    this.#expect(expr.expr, "vector", "aggregation expression");
    if (AGGREGATES_WITH_PARAM.has(expr.op)) {
      const wanted = expr.op === "count_values" ? "string" : "scalar";
      this.#expect(expr.param!, wanted, "aggregation parameter");
    }
    return "vector";
  }

  #binary(expr: BinaryExpr): ValueType {
    const left = this.check(expr.lhs);
    const right = this.check(expr.rhs);
    const matching = expr.matching!;
    const comparison = COMPARISON_OPS.has(expr.op);
    if (expr.returnBool && !comparison) {
      this.#fail("bool modifier can only be used on comparison operators", this.#between(expr));
    }
    if (comparison && !expr.returnBool && left === "scalar" && right === "scalar") {
      this.#fail("comparisons between scalars must use BOOL modifier", this.#between(expr));
    }
    if (matching.on) {
      const twice = matching.labels.find((label) => matching.include.includes(label));
      if (twice !== undefined) {
        this.#fail(
          `label ${quoteText(twice)} must not occur in ON and GROUP clause at once`,
          this.#between(expr),
        );
      }
    }
    for (const [type, side] of [[left, expr.lhs], [right, expr.rhs]] as const) {
      if (type !== "scalar" && type !== "vector") {
        this.#fail("binary expression must contain only scalar and instant vector types", side);
      }
    }
    const set = SET_OPS.has(expr.op);
    const filled = matching.fillLeft !== undefined || matching.fillRight !== undefined;
    if (left !== "vector" || right !== "vector") {
      if (matching.labels.length > 0) {
        this.#fail("vector matching only allowed between instant vectors", expr);
      }
      if (filled) {
        this.#fail("filling in missing series only allowed between instant vectors", expr);
      }
      if (set) {
        this.#fail(
          `set operator ${quoteText(expr.op)} not allowed in binary scalar expression`,
          expr,
        );
      }
      (expr as Mutable<BinaryExpr>).matching = null;
    } else if (set) {
      if (matching.cardinality !== "one-to-one") {
        this.#fail(`no grouping allowed for ${quoteText(expr.op)} operation`, expr);
      }
      if (filled) {
        this.#fail("filling in missing series not allowed for set operators", expr);
      }
      const manyToMany: VectorMatching = { ...matching, cardinality: "many-to-many" };
      (expr as Mutable<BinaryExpr>).matching = manyToMany;
    }
    return left === "scalar" && right === "scalar" ? "scalar" : "vector";
  }

  /** Where the operator stands; the end is that of its last character but one, as Prometheus has it. */
  #between(expr: BinaryExpr): Span {
    const query = this.#query;
    let start = expr.lhs.end;
    while (/\s/.test(query[start] ?? "")) start++;
    let end = expr.rhs.start - 1;
    while (/\s/.test(query[end] ?? "")) end--;
    return { start, end };
  }
}

function matchesEmpty(m: Matcher): boolean {
  return m.matches("");
}
