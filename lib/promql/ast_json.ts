/** A tree as plain objects: the answer of `/api/v1/parse_query`, members in Prometheus' order. */
import { formatFloatPlain } from "../base/mod.ts";
import type { Matcher } from "../model/mod.ts";
import type { DurationExpr, DurationNode, Expr, Modifiers, VectorSelector } from "./ast.ts";
import { functionByName } from "./functions.ts";

/** A value that JSON can hold. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** The tree as JSON values. */
export function exprToJson(expr: Expr): JsonValue {
  switch (expr.type) {
    case "NumberLiteral":
      return { type: "numberLiteral", val: formatFloatPlain(expr.value) };
    case "StringLiteral":
      return { type: "stringLiteral", val: expr.value.toWellFormed() };
    case "VectorSelector":
      return { ...selectorHead(expr), ...selectorTail(expr), type: "vectorSelector" };
    case "MatrixSelector": {
      const { selector } = expr;
      return {
        ...selectorHead(selector),
        ...range("range", expr.range, expr.rangeExpr),
        ...selectorTail(selector),
        type: "matrixSelector",
      };
    }
    case "SubqueryExpr":
      return {
        expr: exprToJson(expr.expr),
        ...range("offset", expr.offset, expr.offsetExpr),
        ...range("range", expr.range, expr.rangeExpr),
        startOrEnd: expr.startOrEnd,
        ...range("step", expr.step, expr.stepExpr),
        timestamp: expr.timestamp,
        type: "subquery",
      };
    case "Call": {
      const func = functionByName(expr.func)!;
      return {
        args: expr.args.map(exprToJson),
        func: {
          argTypes: func.args,
          name: func.name,
          returnType: func.returns,
          variadic: func.variadic,
        },
        type: "call",
      };
    }
    case "AggregateExpr":
      return {
        expr: exprToJson(expr.expr),
        grouping: expr.grouping,
        op: expr.op,
        param: expr.param === null ? null : exprToJson(expr.param),
        type: "aggregation",
        without: expr.without,
      };
    case "BinaryExpr": {
      const m = expr.matching;
      return {
        bool: expr.returnBool,
        lhs: exprToJson(expr.lhs),
        matching: m === null ? null : {
          card: m.cardinality,
          fillValues: { lhs: fillValue(m.fillLeft), rhs: fillValue(m.fillRight) },
          include: m.include,
          labels: m.labels,
          on: m.on,
        },
        op: expr.op,
        rhs: exprToJson(expr.rhs),
        type: "binaryExpr",
      };
    }
    case "UnaryExpr":
      return { expr: exprToJson(expr.expr), op: expr.op, type: "unaryExpr" };
    case "ParenExpr":
      return { expr: exprToJson(expr.expr), type: "parenExpr" };
    case "StepInvariantExpr":
      return exprToJson(expr.expr);
  }
}

/** JSON has no infinities; they are given as text. */
function fillValue(value: number | undefined): JsonValue {
  if (value === undefined) return null;
  return Number.isFinite(value) ? value : formatFloatPlain(value);
}

function matcherToJson({ name, type, value }: Matcher): JsonValue {
  return { name: name.toWellFormed(), type, value: value.toWellFormed() };
}

function selectorHead(selector: VectorSelector): Record<string, JsonValue> {
  return {
    anchored: selector.anchored,
    matchers: selector.matchers.map(matcherToJson),
    name: selector.name,
    ...range("offset", selector.offset, selector.offsetExpr),
  };
}

function selectorTail(selector: VectorSelector): Record<string, JsonValue> {
  const { smoothed, startOrEnd, timestamp }: VectorSelector & Modifiers = selector;
  return { smoothed, startOrEnd, timestamp };
}

/** A duration under `name`; what is known now is given as ms, the rest as an expression. */
function range(name: string, ms: number, expr: DurationExpr | null): Record<string, JsonValue> {
  const open = expr !== null && !isConstant(expr);
  return { [name]: ms, [`${name}Expr`]: open ? durationToJson(expr) : null };
}

/** A literal in parentheses or behind signs. */
function isConstant(expr: DurationExpr): boolean {
  let node: DurationNode = expr;
  while (node.type === "DurationExpr" && node.lhs === null && node.rhs !== null) node = node.rhs;
  return node.type === "NumberLiteral";
}

function durationToJson(node: DurationNode | null): JsonValue {
  if (node === null) return null;
  if (node.type === "NumberLiteral") {
    return {
      duration: node.duration,
      type: "numberLiteral",
      val: formatFloatPlain(node.value),
    };
  }
  if (node.op === "") return durationToJson(node.rhs);
  return {
    lhs: durationToJson(node.lhs),
    op: node.op,
    rhs: durationToJson(node.rhs),
    type: "durationExpr",
    wrapped: node.wrapped,
  };
}
