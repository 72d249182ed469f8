/** Matchers in braces, label lists, and what may stand behind a binary operator. */
import { errorMessage } from "../base/mod.ts";
import { makeMatcher, type Matcher, type MatchType, METRIC_NAME } from "../model/mod.ts";
import type { MatchCardinality, Span, VectorMatching } from "./ast.ts";
import { hasBrokenBytes, quoteText, unquoteLiteral } from "./go_quote.ts";
import type { TokenKind } from "./lexer.ts";
import { negateLiteral, takeNumber } from "./parse_number.ts";
import type { TokenReader } from "./token_reader.ts";

const MATCH_TYPES: ReadonlySet<TokenKind> = new Set<TokenKind>(["=", "!=", "=~", "!~"]);

/** Words that may stand for a metric name. */
export const METRIC_WORDS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  "identifier",
  "metric identifier",
  "aggregate",
  "and",
  "or",
  "unless",
  "by",
  "without",
  "offset",
  "anchored",
  "smoothed",
  "fill",
  "fill_left",
  "fill_right",
  "start",
  "end",
  "step",
  "range",
  "min_of",
  "max_of",
]);

/** Words that may stand in a list of labels; `without` may not. */
const LABEL_WORDS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  ...[...METRIC_WORDS].filter((kind) => kind !== "without"),
  "atan2",
  "bool",
  "on",
  "ignoring",
  "group_left",
  "group_right",
]);

const EXPRESSION_STARTS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  ...METRIC_WORDS,
  "number",
  "duration",
  "string",
  "(",
  "{",
  "+",
  "-",
]);

/** True when an expression may begin with the current token. */
export function startsExpression(reader: TokenReader): boolean {
  return EXPRESSION_STARTS.has(reader.peek());
}

/** Matchers from `{` to `}`. */
export function parseMatchers(reader: TokenReader): Matcher[] {
  const where = "label matching";
  const matchers: Matcher[] = [];
  reader.takeKind("{");
  while (reader.peek() !== "}") {
    matchers.push(parseMatcher(reader));
    if (reader.peek() === ",") reader.take();
    else if (reader.peek() !== "}") reader.unexpected(where, '"," or "}"');
  }
  reader.take();
  return matchers;
}

function parseMatcher(reader: TokenReader): Matcher {
  const where = "label matching";
  const kind = reader.peek();
  const { value, span } = reader;
  if (kind !== "identifier" && kind !== "string") {
    reader.unexpected(where, 'identifier or "}"');
  }
  reader.take();
  const name = kind === "string" ? unquoteLiteral(value) : value;
  const type = reader.peek();
  if (!MATCH_TYPES.has(type)) {
    // A quoted text alone is the metric name.
    if (kind === "string") return makeMatcher("=", METRIC_NAME, name);
    reader.unexpected(where, "label matching operator");
  }
  reader.take();
  if (reader.peek() !== "string") reader.unexpected(where, "string");
  const text = unquoteLiteral(reader.value);
  const { end } = reader;
  reader.take();
  try {
    return makeMatcher(type as MatchType, name, text);
  } catch (error) {
    return reader.fail(errorMessage(error), { start: span.start, end });
  }
}

/** Labels from `(` to `)`. */
export function parseLabelList(reader: TokenReader): string[] {
  const where = "grouping opts";
  const labels: string[] = [];
  if (reader.peek() !== "(") reader.unexpected(where, '"("');
  reader.take();
  while (reader.peek() !== ")") {
    const kind = reader.peek();
    const { value, span } = reader;
    if (kind === "string") {
      const label = unquoteLiteral(value);
      reader.take();
      if (label === "" || hasBrokenBytes(label)) {
        reader.fail(`invalid label name for grouping: ${quoteText(label)}`, span);
      }
      labels.push(label);
    } else if (LABEL_WORDS.has(kind)) {
      labels.push(value);
      reader.take();
    } else reader.unexpected(where, "label");
    if (reader.peek() === ",") reader.take();
    else if (reader.peek() !== ")") reader.unexpected(where, '"," or ")"');
  }
  reader.take();
  return labels;
}

/** What stands between a binary operator and its right operand. */
export interface BinaryModifiers {
  readonly returnBool: boolean;
  readonly matching: VectorMatching;
  /** Where the first fill modifier stands, if there is one. */
  readonly fill: Span | undefined;
}

const NO_MODIFIERS: BinaryModifiers = {
  returnBool: false,
  matching: {
    cardinality: "one-to-one",
    labels: [],
    on: false,
    include: [],
    fillLeft: undefined,
    fillRight: undefined,
  },
  fill: undefined,
};

/** Modifiers in their fixed order: bool, on or ignoring, grouping, fill. */
export function parseBinaryModifiers(reader: TokenReader): BinaryModifiers {
  switch (reader.peek()) {
    case "bool":
    case "on":
    case "ignoring":
    case "fill":
    case "fill_left":
    case "fill_right":
      break;
    default:
      return NO_MODIFIERS;
  }
  let returnBool = false;
  if (reader.peek() === "bool") {
    returnBool = true;
    reader.take();
  }
  let labels: string[] = [];
  let include: string[] = [];
  let cardinality: MatchCardinality = "one-to-one";
  const on = reader.peek() === "on";
  if (on || reader.peek() === "ignoring") {
    reader.take();
    labels = parseLabelList(reader);
    const side = reader.peek();
    if (side === "group_left" || side === "group_right") {
      cardinality = side === "group_left" ? "many-to-one" : "one-to-many";
      reader.take();
      if (reader.peek() === "(" || !startsExpression(reader)) include = parseLabelList(reader);
    }
  }
  const { fillLeft, fillRight, fill } = parseFills(reader);
  return {
    returnBool,
    matching: { cardinality, labels, on, include, fillLeft, fillRight },
    fill,
  };
}

interface Fills {
  readonly fillLeft: number | undefined;
  readonly fillRight: number | undefined;
  readonly fill: Span | undefined;
}

function parseFills(reader: TokenReader): Fills {
  let fillLeft: number | undefined;
  let fillRight: number | undefined;
  let fill: Span | undefined;
  for (;;) {
    const kind = reader.peek();
    const fits = kind === "fill"
      ? fill === undefined
      : kind === "fill_left"
      ? fillLeft === undefined
      : kind === "fill_right" && fillRight === undefined;
    if (!fits) return { fillLeft, fillRight, fill };
    fill ??= reader.span;
    reader.take();
    const value = parseFillValue(reader);
    if (kind !== "fill_right") fillLeft = value;
    if (kind !== "fill_left") fillRight = value;
  }
}

function parseFillValue(reader: TokenReader): number {
  reader.takeKind("(");
  const kind = reader.peek();
  const { start } = reader;
  if (kind === "+" || kind === "-") reader.take();
  const literal = takeNumber(reader) ?? reader.unexpected();
  reader.takeKind(")");
  return kind === "-" ? negateLiteral(literal, start).value : literal.value;
}
