/** Computed durations: `[step() * 2]`, `offset (range() / 4)`. */
import { MnemeError, utf8Length } from "../base/mod.ts";
import type { DurationNode } from "./ast.ts";

/** What step() and range() stand for. Units: ms. */
export interface DurationContext {
  readonly query: string;
  readonly step: number;
  readonly range: number;
}

/** Largest duration in nanoseconds that a 64-bit integer holds, in seconds. */
const MAX_SECONDS = 9_223_372_036;

/** The duration in whole ms; throws bad_data when it is none, or not positive where it must be. */
export function evaluateDuration(
  node: DurationNode,
  context: DurationContext,
  allowNegative: boolean,
): number {
  const seconds = evaluate(node, context);
  if (!Number.isFinite(seconds)) throw fault(node, context, "duration is NaN or infinite");
  if (seconds <= 0 && !allowNegative) {
    throw fault(node, context, "duration must be greater than 0");
  }
  if (Math.abs(seconds) > MAX_SECONDS) throw fault(node, context, "duration out of range");
  return Math.trunc(seconds * 1000) + 0;
}

function evaluate(node: DurationNode, context: DurationContext): number {
  if (node.type === "NumberLiteral") return node.value;
  const left = node.lhs === null ? 0 : evaluate(node.lhs, context);
  const right = node.rhs === null ? 0 : evaluate(node.rhs, context);
  switch (node.op) {
    case "step":
      return context.step / 1000;
    case "range":
      return context.range / 1000;
    case "min_of":
      return Math.min(left, right);
    case "max_of":
      return Math.max(left, right);
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      if (right === 0) throw fault(node, context, "division by zero");
      return left / right;
    case "%":
      if (right === 0) throw fault(node, context, "modulo by zero");
      return left % right;
    case "^":
      return Math.pow(left, right);
    case "":
      return right;
  }
}

/** Prometheus gives these with byte offsets, not with line and column. */
function fault(node: DurationNode, context: DurationContext, text: string): MnemeError {
  const start = utf8Length(context.query.slice(0, node.start));
  const end = utf8Length(context.query.slice(0, node.end));
  return new MnemeError("bad_data", `${start}:${end}: ${text}`);
}
