/** Binary operators between values of which at least one may be a histogram. */
import {
  addHistogram,
  compactHistogram,
  copyHistogram,
  divideHistogram,
  equalHistograms,
  type FloatHistogram,
  MERGE_BOUNDS_RECONCILED,
  MERGE_INCOMPATIBLE,
  MERGE_RESET_CONFLICT,
  scaleHistogram,
  subtractHistogram,
  trimHistogram,
} from "../model/mod.ts";
import {
  textIncompatibleLayout,
  textIncompatibleTypes,
  textMismatchedCustomBuckets,
  textResetCollision,
} from "./annotations.ts";
import type { ValueOperator } from "./kernel_binary.ts";
import type { QueryContext } from "./query_context.ts";

/** Where a result goes; a histogram when `histogram` is set. Reused from cell to cell. */
export interface BinaryResult {
  value: number;
  histogram: FloatHistogram | undefined;
}

/** Whether the operator knows the pair, and whether the pair passes it. */
export interface Verdict {
  readonly valid: boolean;
  readonly holds: boolean;
}

const DROPPED: Verdict = { valid: false, holds: false };
const HOLDS: Verdict = { valid: true, holds: true };
const FAILS: Verdict = { valid: true, holds: false };

/** Applies `op` to two values of which one or both are histograms, or which are to be trimmed. */
export function histogramBinary(
  op: ValueOperator,
  leftValue: number,
  left: FloatHistogram | undefined,
  rightValue: number,
  right: FloatHistogram | undefined,
  result: BinaryResult,
  position: number,
  context: QueryContext,
): Verdict {
  if (left !== undefined && right !== undefined) {
    return bothHistograms(op, left, right, result, position, context);
  }
  if (left !== undefined) {
    switch (op) {
      case "*":
        result.histogram = compactHistogram(scaleHistogram(copyHistogram(left), rightValue));
        return HOLDS;
      case "/":
        result.histogram = compactHistogram(divideHistogram(copyHistogram(left), rightValue));
        return HOLDS;
      case "</":
      case ">/":
        result.histogram = trimHistogram(left, rightValue, op === "</");
        return HOLDS;
    }
  } else if (right !== undefined && op === "*") {
    result.histogram = compactHistogram(scaleHistogram(copyHistogram(right), leftValue));
    return HOLDS;
  }
  context.annotations.info(
    textIncompatibleTypes(typeName(left), op, typeName(right)),
    position,
  );
  return DROPPED;
}

function typeName(h: FloatHistogram | undefined): string {
  return h === undefined ? "float" : "histogram";
}

function bothHistograms(
  op: ValueOperator,
  left: FloatHistogram,
  right: FloatHistogram,
  result: BinaryResult,
  position: number,
  context: QueryContext,
): Verdict {
  const { annotations } = context;
  switch (op) {
    case "+":
    case "-": {
      const sum = copyHistogram(left);
      const outcome = op === "+" ? addHistogram(sum, right) : subtractHistogram(sum, right);
      const operation = op === "+" ? "addition" : "subtraction";
      if ((outcome & MERGE_INCOMPATIBLE) !== 0) {
        annotations.warn(textIncompatibleLayout(op), position);
        return DROPPED;
      }
      if ((outcome & MERGE_RESET_CONFLICT) !== 0) {
        annotations.warn(textResetCollision(operation), position);
        return DROPPED;
      }
      if ((outcome & MERGE_BOUNDS_RECONCILED) !== 0) {
        annotations.info(textMismatchedCustomBuckets(operation), position);
      }
      if (op === "-") sum.counterResetHint = "gauge";
      result.histogram = compactHistogram(sum);
      return HOLDS;
    }
    case "==":
    case "!=": {
      const equal = equalHistograms(
        compactHistogram(copyHistogram(left)),
        compactHistogram(copyHistogram(right)),
      );
      result.histogram = left;
      return equal === (op === "==") ? HOLDS : FAILS;
    }
    default:
      annotations.info(textIncompatibleTypes("histogram", op, "histogram"), position);
      return DROPPED;
  }
}

/** The histogram times −1. */
export function negateHistogram(h: FloatHistogram): FloatHistogram {
  return scaleHistogram(copyHistogram(h), -1);
}
