/** Durations in `[ ]` and behind `offset`: literals and computed ones. */
import type { DurationExpr, DurationNode, DurationOp, Span } from "./ast.ts";
import { checkDurationRange, literalMs, negateLiteral, takeNumber } from "./parse_number.ts";
import type { Construct, TokenReader } from "./token_reader.ts";

/** A duration: its value in ms when it is known now, and its expression unless it is a literal. */
export interface Duration {
  readonly ms: number;
  readonly expr: DurationExpr | null;
}

const WANTED = "number, duration, step(), or range()";
const IN_BRACKETS: Construct = { name: "subquery or range selector", expected: WANTED };
const IN_STEP: Construct = {
  name: "subquery selector",
  expected: 'number, duration, step(), range(), or "]"',
};
const IN_OFFSET: Construct = { name: "offset", expected: WANTED };

const PRECEDENCE: Readonly<Record<string, number>> = {
  "+": 1,
  "-": 1,
  "*": 2,
  "/": 2,
  "%": 2,
  "^": 3,
};
/** A sign binds as `*` does: what it stands before may contain `^` only. */
const SIGNED = 3;

/** The range in `[range]` or `[range:step]`, without the brackets. */
export function parseRange(reader: TokenReader): Duration {
  return reader.within(IN_BRACKETS, () => positive(reader));
}

/** The step in `[range:step]`, or ms 0 when there is none; the current token is then `]`. */
export function parseStep(reader: TokenReader): Duration {
  return reader.within(
    IN_STEP,
    () => reader.peek() === "]" ? { ms: 0, expr: null } : positive(reader),
  );
}

/** What stands behind `offset`: no operators but signs, unless in parentheses. */
export function parseOffset(reader: TokenReader): Duration {
  return reader.within(IN_OFFSET, () => duration(reader, offsetOperand(reader)));
}

function positive(reader: TokenReader): Duration {
  const node = binary(reader, 1);
  const literal = constant(node);
  if (literal !== undefined && literal.value <= 0) {
    reader.fail("duration must be greater than 0", literal.span);
  }
  return duration(reader, node);
}

function duration(reader: TokenReader, node: DurationNode): Duration {
  const literal = constant(node);
  const ms = literal === undefined ? 0 : literalMs(literal.value, literal.duration);
  if (node.type === "NumberLiteral") return { ms, expr: null };
  if (literal === undefined && reader.options.durationExpressions === false) {
    reader.fail("experimental duration expression is not enabled", node);
  }
  return { ms, expr: node };
}

/** The value of a literal, also in parentheses and with signs. */
function constant(
  node: DurationNode,
): { value: number; duration: boolean; span: Span } | undefined {
  let negative = false;
  let at: number | undefined;
  let n: DurationNode = node;
  while (n.type === "DurationExpr" && n.lhs === null && n.rhs !== null) {
    if (n.op === "-") negative = !negative;
    if (n.op === "-" || n.op === "+") at ??= n.start;
    n = n.rhs;
  }
  if (n.type !== "NumberLiteral") return undefined;
  const span = { start: at ?? n.start, end: n.end };
  return { value: negative ? -n.value : n.value, duration: n.duration, span };
}

function expr(
  op: DurationOp,
  lhs: DurationNode | null,
  rhs: DurationNode | null,
  start: number,
  end: number,
  wrapped = false,
): DurationExpr {
  return { type: "DurationExpr", op, lhs, rhs, wrapped, start, end };
}

function binary(reader: TokenReader, least: number): DurationNode {
  reader.enter();
  const node = climb(reader, signed(reader), least);
  reader.leave();
  return node;
}

/** Operators behind `first` that bind at least as tightly as `least`. */
function climb(reader: TokenReader, first: DurationNode, least: number): DurationNode {
  let lhs = first;
  for (;;) {
    const op = reader.peek();
    const precedence = PRECEDENCE[op];
    if (precedence === undefined || precedence < least) return lhs;
    const at = reader.span;
    reader.take();
    const rhs = binary(reader, op === "^" ? precedence : precedence + 1);
    if ((op === "/" || op === "%") && constant(rhs)?.value === 0) {
      reader.fail(op === "/" ? "division by zero" : "modulo by zero", at);
    }
    lhs = expr(op as DurationOp, lhs, rhs, lhs.start, rhs.end);
  }
}

function signed(reader: TokenReader): DurationNode {
  const kind = reader.peek();
  const { start } = reader;
  if (kind !== "+" && kind !== "-") return primary(reader);
  reader.take();
  return withSign(kind, binary(reader, SIGNED), start, false);
}

/**
 * What stands behind `offset`. One sign and one operand end there, as do plain operands: what follows
 * belongs to the query. Parentheses without a sign, and two signs, begin an expression that takes all
 * operators behind it, as in Prometheus.
 */
function offsetOperand(reader: TokenReader): DurationNode {
  const { start } = reader;
  const kind = reader.peek();
  if (kind === "(") return binary(reader, 1);
  if (kind !== "+" && kind !== "-") return primary(reader);
  reader.take();
  const next = reader.peek();
  if (next === "+" || next === "-") {
    return climb(reader, withSign(kind, binary(reader, SIGNED), start, false), 1);
  }
  return withSign(kind, primary(reader), start, true);
}

function withSign(
  sign: "+" | "-",
  operand: DurationNode,
  start: number,
  keepPlus: boolean,
): DurationNode {
  if (operand.type === "NumberLiteral") {
    return sign === "-" ? negateLiteral(operand, start) : { ...operand, start };
  }
  if (sign === "+" && !keepPlus) return operand;
  return expr(sign, null, operand, start, operand.end);
}

function primary(reader: TokenReader): DurationNode {
  const literal = takeNumber(reader);
  if (literal !== undefined) {
    checkDurationRange(reader, literal);
    return literal;
  }
  const kind = reader.peek();
  const { start } = reader;
  switch (kind) {
    case "(": {
      reader.take();
      const inner = binary(reader, 1);
      reader.takeKind(")");
      const end = reader.lastClosing;
      if (inner.type === "NumberLiteral") return expr("", null, inner, start, end, true);
      return { ...inner, start, end, wrapped: true };
    }
    case "step":
    case "range":
      reader.take();
      reader.takeKind("(");
      reader.takeKind(")");
      return expr(kind, null, null, start, reader.lastClosing);
    case "min_of":
    case "max_of": {
      reader.take();
      reader.takeKind("(");
      const lhs = binary(reader, 1);
      reader.takeKind(",");
      const rhs = binary(reader, 1);
      reader.takeKind(")");
      return expr(kind, lhs, rhs, start, reader.lastClosing);
    }
    default:
      return reader.unexpected();
  }
}
