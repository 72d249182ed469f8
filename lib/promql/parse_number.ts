/** Values of number and duration tokens. */
import { errorMessage, parseDuration, parseGoFloat } from "../base/mod.ts";
import type { NumberLiteral } from "./ast.ts";
import { quoteText } from "./go_quote.ts";
import type { TokenReader } from "./token_reader.ts";

/** Largest duration that 64 bits of nanoseconds hold, seconds. */
const MAX_SECONDS = 9_223_372_036.854775;

/** Takes a number or a duration; undefined when the current token is neither. */
export function takeNumber(reader: TokenReader): NumberLiteral | undefined {
  const kind = reader.peek();
  if (kind !== "number" && kind !== "duration") return undefined;
  const { span, value: text } = reader;
  reader.take();
  const duration = kind === "duration";
  const value = duration ? durationSeconds(reader, text, span) : numberValue(reader, text, span);
  return { type: "NumberLiteral", value, duration, ...span };
}

/** Refuses numbers that are no duration; NaN is none either. */
export function checkDurationRange(reader: TokenReader, literal: NumberLiteral): void {
  if (!(Math.abs(literal.value) <= MAX_SECONDS)) reader.fail("duration out of range", literal);
}

/** A literal in whole ms; fractions below are cut off, after rounding to ns. */
export function literalMs(value: number, duration: boolean): number {
  if (duration) return Math.round(value * 1000) + 0;
  return Math.trunc(Math.round(value * 1e9) / 1e6) + 0;
}

/** The literal with its sign turned, beginning at the sign. */
export function negateLiteral(literal: NumberLiteral, start: number): NumberLiteral {
  return { ...literal, value: -literal.value, start };
}

type Span = { readonly start: number; readonly end: number };

function durationSeconds(reader: TokenReader, text: string, span: Span): number {
  try {
    return parseDuration(text) / 1000;
  } catch (error) {
    return reader.fail(errorMessage(error), span);
  }
}

const INFINITE = /^[iI][nN][fF]$/;
const NOT_A_NUMBER = /^[nN][aA][nN]$/;
const OCTAL = /^0[0-7_]+$/;
const HEX = /^0[xX][0-9a-fA-F_]+$/;
/** Up to 63 bits: 21 octal digits, or 16 hexadecimal ones of which the first is below 8. */
const OCTAL_INT64 = /^0+[0-7]{0,21}$/;
const HEX_INT64 = /^0[xX]0*(?:[0-9a-fA-F]{0,15}|[0-7][0-9a-fA-F]{15})$/;

function numberValue(reader: TokenReader, text: string, span: Span): number {
  if (INFINITE.test(text)) return Infinity;
  if (NOT_A_NUMBER.test(text)) return NaN;
  const bad = (why: string): never =>
    reader.fail(
      `error parsing number: strconv.ParseFloat: parsing ${quoteText(text)}: ${why}`,
      span,
    );
  if (!underscoresSeparateDigits(text)) return bad("invalid syntax");
  const digits = text.replaceAll("_", "");
  if (HEX.test(text)) {
    // A hexadecimal float would need an exponent, which the language has not.
    return HEX_INT64.test(digits) ? Number(digits) : bad("invalid syntax");
  }
  if (OCTAL.test(text)) {
    return Number(OCTAL_INT64.test(digits) ? `0o${digits.slice(1)}` : digits);
  }
  const value = parseGoFloat(digits);
  if (value !== undefined) return value;
  return bad(/^\d*\.?\d*([eE][+-]?\d+)?$/.test(digits) ? "value out of range" : "invalid syntax");
}

/** Underscores are fine between digits, and behind a prefix. */
function underscoresSeparateDigits(text: string): boolean {
  if (!text.includes("_")) return true;
  const hex = /^0[xX]/.test(text);
  return hex
    ? /^0[xX](_?[0-9a-fA-F])+$/.test(text)
    : /^[0-9](_?[0-9])*\.?([0-9](_?[0-9])*)?([eE][+-]?[0-9](_?[0-9])*)?$/.test(text);
}
