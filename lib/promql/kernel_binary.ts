/** Binary operators over runs of cells. */
import { power } from "./kernel_math.ts";

/** Operators between numbers. */
export type ArithmeticOperator = "+" | "-" | "*" | "/" | "%" | "^" | "atan2";
/** Operators that filter or, with `bool`, yield 0 or 1. */
export type ComparisonOperator = "==" | "!=" | "<" | "<=" | ">" | ">=";
/** Operators that cut histograms; between floats they have no meaning. */
export type TrimOperator = "</" | ">/";
/** Operators between two values. */
export type ValueOperator = ArithmeticOperator | ComparisonOperator | TrimOperator;

/** True for `==`, `!=`, `<`, `<=`, `>`, `>=`. */
export function isComparison(op: string): op is ComparisonOperator {
  return op === "==" || op === "!=" || op === "<" || op === "<=" || op === ">" || op === ">=";
}

/** True for the operators that cut histograms. */
export function isTrim(op: string): op is TrimOperator {
  return op === "</" || op === ">/";
}

/** out[o + k] = a[ai + k] op b[bi + k] for k in [0, count). `out` may be `a` or `b`. */
export function arithmetic(
  op: ArithmeticOperator,
  a: Float64Array,
  ai: number,
  b: Float64Array,
  bi: number,
  out: Float64Array,
  o: number,
  count: number,
): void {
  switch (op) {
    case "+":
      for (let k = 0; k < count; k++) out[o + k] = a[ai + k]! + b[bi + k]!;
      break;
    case "-":
      for (let k = 0; k < count; k++) out[o + k] = a[ai + k]! - b[bi + k]!;
      break;
    case "*":
      for (let k = 0; k < count; k++) out[o + k] = a[ai + k]! * b[bi + k]!;
      break;
    case "/":
      for (let k = 0; k < count; k++) out[o + k] = a[ai + k]! / b[bi + k]!;
      break;
    case "%":
      for (let k = 0; k < count; k++) out[o + k] = a[ai + k]! % b[bi + k]!;
      break;
    case "^":
      for (let k = 0; k < count; k++) out[o + k] = power(a[ai + k]!, b[bi + k]!);
      break;
    case "atan2":
      for (let k = 0; k < count; k++) out[o + k] = Math.atan2(a[ai + k]!, b[bi + k]!);
      break;
  }
}

/** mask[m + k] = 1 where a[ai + k] op b[bi + k] holds, else 0. */
export function compare(
  op: ComparisonOperator,
  a: Float64Array,
  ai: number,
  b: Float64Array,
  bi: number,
  mask: Uint8Array,
  m: number,
  count: number,
): void {
  switch (op) {
    case "==":
      for (let k = 0; k < count; k++) mask[m + k] = a[ai + k]! === b[bi + k]! ? 1 : 0;
      break;
    case "!=":
      for (let k = 0; k < count; k++) mask[m + k] = a[ai + k]! !== b[bi + k]! ? 1 : 0;
      break;
    case "<":
      for (let k = 0; k < count; k++) mask[m + k] = a[ai + k]! < b[bi + k]! ? 1 : 0;
      break;
    case "<=":
      for (let k = 0; k < count; k++) mask[m + k] = a[ai + k]! <= b[bi + k]! ? 1 : 0;
      break;
    case ">":
      for (let k = 0; k < count; k++) mask[m + k] = a[ai + k]! > b[bi + k]! ? 1 : 0;
      break;
    case ">=":
      for (let k = 0; k < count; k++) mask[m + k] = a[ai + k]! >= b[bi + k]! ? 1 : 0;
      break;
  }
}

/** One value of an arithmetic operator. */
export function arithmeticValue(op: ArithmeticOperator, a: number, b: number): number {
  switch (op) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
    case "^":
      return power(a, b);
    case "atan2":
      return Math.atan2(a, b);
  }
}

/** One value of a comparison. */
export function compareValue(op: ComparisonOperator, a: number, b: number): boolean {
  switch (op) {
    case "==":
      return a === b;
    case "!=":
      return a !== b;
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
  }
}
