/**
 * Text of a tree: canonical on one line, as Prometheus prints expressions everywhere. Reading the
 * text gives the same tree again.
 */
import { compareUtf8, formatDuration, formatFloatPlain } from "../base/mod.ts";
import { isLegacyLabelName, type Matcher, METRIC_NAME } from "../model/mod.ts";
import type {
  AggregateExpr,
  BinaryExpr,
  DurationExpr,
  DurationNode,
  Expr,
  MatrixSelector,
  Modifiers,
  NumberLiteral,
  SubqueryExpr,
  VectorMatching,
  VectorSelector,
} from "./ast.ts";
import { SET_OPS } from "./ast.ts";
import { quoteText } from "./go_quote.ts";

/** The canonical text. */
export function printExpr(expr: Expr): string {
  switch (expr.type) {
    case "NumberLiteral":
      return printNumber(expr);
    case "StringLiteral":
      return quoteText(expr.value);
    case "VectorSelector":
      return printSelector(expr);
    case "MatrixSelector":
      return printMatrix(expr);
    case "SubqueryExpr":
      return printExpr(expr.expr) + printSubqueryBrackets(expr) + printModifiers(expr);
    case "Call":
      return `${expr.func}(${expr.args.map(printExpr).join(", ")})`;
    case "AggregateExpr": {
      const param = expr.param === null ? "" : `${printExpr(expr.param)}, `;
      return `${printAggregateHead(expr)}(${param}${printExpr(expr.expr)})`;
    }
    case "BinaryExpr":
      return `${printExpr(expr.lhs)} ${printBinaryHead(expr)} ${printExpr(expr.rhs)}`;
    case "UnaryExpr":
      return expr.op + printExpr(expr.expr);
    case "ParenExpr":
      return `(${printExpr(expr.expr)})`;
    case "StepInvariantExpr":
      return printExpr(expr.expr);
  }
}

/** A number, as a duration when it was written as one. */
export function printNumber(literal: NumberLiteral): string {
  const { value, duration } = literal;
  if (!duration) return formatFloatPlain(value);
  return (value < 0 ? "-" : "") + formatDuration(Math.round(Math.abs(value) * 1000));
}

/** `sum by (a, b) ` with its blank, or just `sum`. */
export function printAggregateHead(expr: AggregateExpr): string {
  if (expr.without) return `${expr.op} without (${printLabelNames(expr.grouping)}) `;
  return expr.grouping.length === 0
    ? expr.op
    : `${expr.op} by (${printLabelNames(expr.grouping)}) `;
}

/** The operator with its modifiers. */
export function printBinaryHead(expr: BinaryExpr): string {
  return expr.op + (expr.returnBool ? " bool" : "") +
    (expr.matching === null ? "" : printMatching(expr.matching, SET_OPS.has(expr.op)));
}

function printMatching(m: VectorMatching, set: boolean): string {
  let text = "";
  if (m.labels.length > 0 || m.on) {
    text += ` ${m.on ? "on" : "ignoring"} (${printLabelNames(m.labels)})`;
  }
  const grouped = m.cardinality === "many-to-one" || m.cardinality === "one-to-many";
  if (grouped && !set) {
    const side = m.cardinality === "many-to-one" ? "group_left" : "group_right";
    text += ` ${side} (${printLabelNames(m.include)})`;
  }
  const { fillLeft, fillRight } = m;
  if (fillLeft !== undefined && fillLeft === fillRight) {
    return `${text} fill (${printFill(fillLeft)})`;
  }
  if (fillLeft !== undefined) text += ` fill_left (${printFill(fillLeft)})`;
  if (fillRight !== undefined) text += ` fill_right (${printFill(fillRight)})`;
  return text;
}

function printFill(value: number): string {
  return formatFloatPlain(value);
}

function printLabelNames(names: readonly string[]): string {
  return names.map(printLabelName).join(", ");
}

function printLabelName(name: string): string {
  return isLegacyLabelName(name) ? name : quoteText(name);
}

/** Name, matchers and modifiers of a selector. */
function printSelector(selector: VectorSelector): string {
  return printSelectorHead(selector) + printAt(selector) + printExtension(selector) +
    printOffset(selector);
}

/** Name and matchers, these ascending by their text. */
function printSelectorHead(selector: VectorSelector): string {
  const { name, matchers } = selector;
  const shown = matchers.filter((m, i) =>
    !(name !== "" && i === matchers.length - 1 && m.name === METRIC_NAME)
  );
  const texts = shown.map(printMatcher).sort(compareUtf8);
  if (texts.length === 0) return name === "" ? "{}" : name;
  return `${name}{${texts.join(",")}}`;
}

function printMatcher(m: Matcher): string {
  return `${printLabelName(m.name)}${m.type}${quoteText(m.value)}`;
}

function printExtension(selector: VectorSelector): string {
  return selector.anchored ? " anchored" : selector.smoothed ? " smoothed" : "";
}

function printMatrix(expr: MatrixSelector): string {
  const { selector } = expr;
  return `${printSelectorHead(selector)}[${printDuration(expr.range, expr.rangeExpr)}]` +
    printExtension(selector) + printModifiers(selector);
}

/** `[range:step]`. */
export function printSubqueryBrackets(expr: SubqueryExpr): string {
  const step = expr.stepExpr === null && expr.step === 0
    ? ""
    : printDuration(expr.step, expr.stepExpr);
  return `[${printDuration(expr.range, expr.rangeExpr)}:${step}]`;
}

/** ` @ …` and ` offset …`, in this order. */
export function printModifiers(node: Modifiers): string {
  return printAt(node) + printOffset(node);
}

function printAt(node: Modifiers): string {
  if (node.timestamp !== null) return ` @ ${printSeconds(node.timestamp)}`;
  return node.startOrEnd === null ? "" : ` @ ${node.startOrEnd}()`;
}

function printOffset(node: Modifiers): string {
  if (node.offsetExpr !== null) return ` offset ${printDurationNode(node.offsetExpr)}`;
  return node.offset === 0 ? "" : ` offset ${formatDuration(node.offset)}`;
}

/** ms as seconds with three decimals. */
function printSeconds(ms: number): string {
  const digits = String(Math.abs(ms)).padStart(4, "0");
  return `${ms < 0 ? "-" : ""}${digits.slice(0, -3)}.${digits.slice(-3)}`;
}

function printDuration(ms: number, expr: DurationExpr | null): string {
  return expr === null ? formatDuration(ms) : printDurationNode(expr);
}

function printDurationNode(node: DurationNode): string {
  if (node.type === "NumberLiteral") return printNumber(node);
  const text = printBareDuration(node);
  return node.wrapped ? `(${text})` : text;
}

function printBareDuration(node: DurationExpr): string {
  const { op, lhs, rhs } = node;
  const left = lhs === null ? "" : printDurationNode(lhs);
  const right = rhs === null ? "" : printDurationNode(rhs);
  switch (op) {
    case "":
      return right;
    case "step":
    case "range":
      return `${op}()`;
    case "min_of":
    case "max_of":
      return `${op}(${left}, ${right})`;
    default:
      if (lhs !== null) return `${left} ${op} ${right}`;
      return op === "-" ? `-${right}` : right;
  }
}
