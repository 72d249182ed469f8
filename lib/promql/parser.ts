/**
 * The parser of PromQL: precedence climbing over the lexer's tokens, one function per construct.
 *
 * Texts and places of errors are Prometheus'. Where one construct stands inside another, an error
 * names the innermost one that has a name (`in aggregation`, `in offset, expected …`).
 */
import { LimitError, utf8Length } from "../base/mod.ts";
import { formatFloatPlain } from "../base/mod.ts";
import { makeMatcher, type Matcher, METRIC_NAME } from "../model/mod.ts";
import type {
  AggregateExpr,
  AggregateOp,
  BinaryExpr,
  BinaryOp,
  Expr,
  Span,
  VectorSelector,
} from "./ast.ts";
import { checkExpr, checkSelector, checkTreeDepth } from "./ast_check.ts";
import { AGGREGATES_WITH_PARAM, EXPERIMENTAL_AGGREGATES, functionByName } from "./functions.ts";
import { quoteText, unquoteLiteral } from "./go_quote.ts";
import {
  METRIC_WORDS,
  parseBinaryModifiers,
  parseLabelList,
  parseMatchers,
  startsExpression,
} from "./parse_labels.ts";
import { type Duration, parseOffset, parseRange, parseStep } from "./parse_duration.ts";
import { negateLiteral, takeNumber } from "./parse_number.ts";
import {
  DEFAULT_MAX_QUERY_DEPTH,
  DEFAULT_MAX_QUERY_LENGTH,
  type ParseOptions,
} from "./parse_options.ts";
import { type Construct, TokenReader } from "./token_reader.ts";

const IN_AGGREGATION: Construct = { name: "aggregation", expected: "" };
const IN_AT: Construct = { name: "@", expected: "timestamp" };

/** Binary operators by how tightly they bind; `^` is the only one that groups to the right. */
const PRECEDENCE: Readonly<Record<string, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  "==": 3,
  "!=": 3,
  "<": 3,
  "<=": 3,
  ">": 3,
  ">=": 3,
  "</": 3,
  ">/": 3,
  "+": 4,
  "-": 4,
  "*": 5,
  "/": 5,
  "%": 5,
  atan2: 5,
  "^": 6,
};
/** A sign binds as `*` does: what it stands before may contain `^` only. */
const SIGNED = 6;

/**
 * Parses and checks a query.
 *
 * Throws: ParseError with place and Prometheus' text; LimitError when the text is too long.
 */
export function parseExpr(query: string, options: ParseOptions = {}): Expr {
  const reader = readerFor(query, options);
  if (reader.peek() === "eof") reader.fail("no expression found in input", { start: 0, end: 0 });
  const parser = new Parser(reader);
  const expr = parser.expression();
  if (reader.peek() !== "eof") reader.unexpected();
  checkTreeDepth(expr, query, options.maxDepth ?? DEFAULT_MAX_QUERY_DEPTH);
  checkExpr(expr, query);
  return expr;
}

/**
 * Parses a series selector as `match[]` has it: a name, braces, or both, without modifiers.
 *
 * Throws: ParseError. A selector whose matchers all match "" is refused unless `allowEmpty`.
 */
export function parseSelector(text: string, allowEmpty = false): Matcher[] {
  const reader = readerFor(text, {});
  if (!METRIC_WORDS.has(reader.peek()) && reader.peek() !== "{") reader.unexpected();
  const selector = new Parser(reader).selectorOnly();
  if (reader.peek() !== "eof") reader.unexpected();
  checkSelector(selector, text, allowEmpty);
  return [...selector.matchers];
}

function readerFor(query: string, options: ParseOptions): TokenReader {
  const limit = options.maxLength ?? DEFAULT_MAX_QUERY_LENGTH;
  // A character is one to three bytes per UTF-16 unit.
  if (query.length * 3 > limit) {
    const length = utf8Length(query);
    if (length > limit) {
      throw new LimitError(
        `query is too long: ${length} bytes, the limit is ${limit} bytes`,
        limit,
        length,
      );
    }
  }
  return new TokenReader(query, options, options.maxDepth ?? DEFAULT_MAX_QUERY_DEPTH);
}

class Parser {
  readonly #reader: TokenReader;

  constructor(reader: TokenReader) {
    this.#reader = reader;
  }

  expression(): Expr {
    return this.#binary(1);
  }

  /** A selector, and nothing behind it. */
  selectorOnly(): VectorSelector {
    const reader = this.#reader;
    if (reader.peek() === "{") return this.#selector("", reader.start, reader.start);
    const { value, span } = reader;
    reader.take();
    return this.#selector(value, span.start, span.end);
  }

  #binary(least: number): Expr {
    const reader = this.#reader;
    reader.enter();
    let lhs = this.#signed();
    for (;;) {
      const op = reader.peek();
      const precedence = PRECEDENCE[op];
      if (precedence === undefined || precedence < least) break;
      reader.take();
      const { returnBool, matching, fill } = parseBinaryModifiers(reader);
      const rhs = this.#binary(op === "^" ? precedence : precedence + 1);
      const span = { start: lhs.start, end: rhs.end };
      if (fill !== undefined && reader.options.fillModifiers !== true) {
        reader.fail("binop fill modifiers are experimental and not enabled", span);
      }
      const expr: BinaryExpr = {
        type: "BinaryExpr",
        op: op as BinaryOp,
        lhs,
        rhs,
        matching,
        returnBool,
        ...span,
      };
      lhs = expr;
    }
    reader.leave();
    return lhs;
  }

  #signed(): Expr {
    const reader = this.#reader;
    const kind = reader.peek();
    if (kind !== "+" && kind !== "-") return this.#postfix(this.#primary());
    const { start } = reader;
    reader.take();
    const operand = this.#binary(SIGNED);
    if (operand.type === "NumberLiteral") {
      return kind === "-" ? negateLiteral(operand, start) : { ...operand, start };
    }
    return { type: "UnaryExpr", op: kind, expr: operand, start, end: operand.end };
  }

  #primary(): Expr {
    const reader = this.#reader;
    const kind = reader.peek();
    switch (kind) {
      case "number":
      case "duration":
        return takeNumber(reader)!;
      case "string": {
        const { span, value } = reader;
        reader.take();
        return { type: "StringLiteral", value: unquoteLiteral(value), ...span };
      }
      case "(": {
        const { start } = reader;
        reader.take();
        const expr = this.#binary(1);
        reader.takeKind(")");
        return { type: "ParenExpr", expr, start, end: reader.lastClosing };
      }
      case "{":
        return this.#selector("", reader.start, reader.start);
      default:
        break;
    }
    if (!METRIC_WORDS.has(kind)) reader.unexpected();
    const { value, span } = reader;
    reader.take();
    switch (kind) {
      case "aggregate":
        if (reader.peek() === "(" || reader.peek() === "by" || reader.peek() === "without") {
          return reader.within(
            IN_AGGREGATION,
            () => this.#aggregate(value.toLowerCase() as AggregateOp, span),
          );
        }
        break;
      case "identifier":
      case "start":
      case "end":
      case "step":
      case "range":
      case "min_of":
      case "max_of":
        if (reader.peek() === "(") return this.#call(value, span);
        break;
      default:
        break;
    }
    return this.#selector(value, span.start, span.end);
  }

  /** A selector whose name, if any, was taken. */
  #selector(name: string, start: number, nameEnd: number): VectorSelector {
    const reader = this.#reader;
    let end = nameEnd;
    let matchers: Matcher[] = [];
    if (reader.peek() === "{") {
      matchers = parseMatchers(reader);
      end = reader.lastClosing;
    }
    if (name !== "") matchers.push(makeMatcher("=", METRIC_NAME, name));
    return {
      type: "VectorSelector",
      name,
      matchers,
      offset: 0,
      offsetExpr: null,
      timestamp: null,
      startOrEnd: null,
      anchored: false,
      smoothed: false,
      start,
      end,
    };
  }

  /** Arguments from `(` to `)`. */
  #args(): Expr[] {
    const reader = this.#reader;
    const args: Expr[] = [];
    reader.takeKind("(");
    if (reader.peek() === ")") {
      reader.take();
      return args;
    }
    for (;;) {
      args.push(this.#binary(1));
      if (reader.peek() !== ",") break;
      const { span } = reader;
      reader.take();
      if (!startsExpression(reader)) {
        reader.fail("trailing commas not allowed in function call args", span);
      }
    }
    reader.takeKind(")");
    return args;
  }

  #call(name: string, at: Span): Expr {
    const reader = this.#reader;
    const args = this.#args();
    const func = functionByName(name);
    if (func === undefined || (func.flag === "x-functions" && reader.options.xFunctions !== true)) {
      return reader.fail(`unknown function with name ${quoteText(name)}`, at);
    }
    if (func.flag === "experimental" && reader.options.experimentalFunctions !== true) {
      reader.fail(`function ${quoteText(name)} is not enabled`, at);
    }
    return { type: "Call", func: name, args, start: at.start, end: reader.lastClosing };
  }

  /** An aggregation whose name was taken. */
  #aggregate(op: AggregateOp, at: Span): Expr {
    const reader = this.#reader;
    let grouping: string[] = [];
    let without = false;
    let args: Expr[];
    const modifier = () => {
      without = reader.peek() === "without";
      reader.take();
      grouping = parseLabelList(reader);
    };
    if (reader.peek() === "(") {
      args = this.#args();
      if (reader.peek() === "by" || reader.peek() === "without") modifier();
    } else {
      modifier();
      args = this.#args();
    }
    const span = { start: at.start, end: reader.lastClosing };
    if (args.length === 0) {
      reader.fail("no arguments for aggregate expression provided", span);
    }
    if (EXPERIMENTAL_AGGREGATES.has(op) && reader.options.experimentalFunctions !== true) {
      reader.fail(
        `${op}() is experimental and must be enabled with ` +
          "--enable-feature=promql-experimental-functions",
        span,
      );
    }
    const wanted = AGGREGATES_WITH_PARAM.has(op) ? 2 : 1;
    if (args.length !== wanted) {
      reader.fail(
        "wrong number of arguments for aggregate expression provided, " +
          `expected ${wanted}, got ${args.length}`,
        span,
      );
    }
    const expr: AggregateExpr = {
      type: "AggregateExpr",
      op,
      expr: args[wanted - 1]!,
      param: wanted === 2 ? args[0]! : null,
      grouping,
      without,
      ...span,
    };
    return expr;
  }

  /** Ranges, subqueries and modifiers behind an expression. */
  #postfix(primary: Expr): Expr {
    const reader = this.#reader;
    let expr = primary;
    for (;;) {
      const kind = reader.peek();
      switch (kind) {
        case "[":
          expr = this.#brackets(expr);
          break;
        case "offset":
          reader.take();
          expr = this.#withOffset(expr, parseOffset(reader));
          break;
        case "@":
          reader.take();
          expr = reader.within(IN_AT, () => this.#at(expr));
          break;
        case "anchored":
        case "smoothed":
          expr = this.#withExtension(expr, kind);
          break;
        default:
          return expr;
      }
    }
  }

  #brackets(expr: Expr): Expr {
    const reader = this.#reader;
    const { start } = reader;
    reader.take();
    const range = parseRange(reader);
    if (reader.peek() === ":") {
      reader.take();
      const step = parseStep(reader);
      if (reader.peek() !== "]") reader.unexpected("subquery selector", '"]"');
      reader.take();
      return {
        type: "SubqueryExpr",
        expr,
        range: range.ms,
        rangeExpr: range.expr,
        step: step.ms,
        stepExpr: step.expr,
        offset: 0,
        offsetExpr: null,
        timestamp: null,
        startOrEnd: null,
        start: expr.start,
        end: reader.lastClosing,
      };
    }
    if (reader.peek() !== "]") reader.unexpected("subquery or range", '":" or "]"');
    reader.take();
    const brackets = { start, end: reader.lastClosing };
    if (expr.type !== "VectorSelector") {
      return reader.fail("ranges only allowed for vector selectors", brackets);
    }
    if (expr.offset !== 0 || expr.offsetExpr !== null) {
      reader.fail("no offset modifiers allowed before range", brackets);
    }
    if (expr.timestamp !== null || expr.startOrEnd !== null) {
      reader.fail("no @ modifiers allowed before range", brackets);
    }
    return {
      type: "MatrixSelector",
      selector: expr,
      range: range.ms,
      rangeExpr: range.expr,
      start: expr.start,
      end: brackets.end,
    };
  }

  #withOffset(expr: Expr, { ms, expr: offsetExpr }: Duration): Expr {
    const reader = this.#reader;
    const selector = selectorIn(expr);
    if (selector === undefined) {
      return reader.fail(
        "offset modifier must be preceded by an instant vector selector " +
          "or range vector selector or a subquery",
        expr,
      );
    }
    if (selector.offset !== 0 || selector.offsetExpr !== null) {
      reader.fail("offset may not be set multiple times", expr);
    }
    return modified(expr, { offset: ms, offsetExpr }, reader.lastClosing);
  }

  #at(expr: Expr): Expr {
    const reader = this.#reader;
    const kind = reader.peek();
    if (kind === "start" || kind === "end") {
      reader.take();
      reader.takeKind("(");
      reader.takeKind(")");
      this.#checkAt(expr);
      return modified(expr, { startOrEnd: kind }, reader.lastClosing);
    }
    const { start } = reader;
    if (kind === "+" || kind === "-") reader.take();
    let literal = takeNumber(reader) ?? reader.unexpected();
    if (kind === "-") literal = negateLiteral(literal, start);
    const ms = literal.value * 1000;
    if (!(Math.abs(ms) < 2 ** 63)) {
      const shown = Number.isFinite(literal.value)
        ? fixed(literal.value)
        : formatFloatPlain(literal.value);
      reader.fail(`timestamp out of bounds for @ modifier: ${shown}`, expr);
    }
    this.#checkAt(expr);
    // Halves are rounded away from zero.
    const timestamp = Math.sign(ms) * Math.round(Math.abs(ms)) + 0;
    return modified(expr, { timestamp }, reader.lastClosing);
  }

  #checkAt(expr: Expr): void {
    const selector = selectorIn(expr);
    if (selector === undefined) {
      this.#reader.fail(
        "@ modifier must be preceded by an instant vector selector " +
          "or range vector selector or a subquery",
        expr,
      );
    }
    if (selector.timestamp !== null || selector.startOrEnd !== null) {
      this.#reader.fail("@ <timestamp> may not be set multiple times", expr);
    }
  }

  #withExtension(expr: Expr, kind: "anchored" | "smoothed"): Expr {
    const reader = this.#reader;
    const { end } = reader;
    reader.take();
    if (reader.options.extendedRangeSelectors !== true) {
      reader.fail(`${kind} modifier is experimental and not enabled`, expr);
    }
    if (expr.type === "SubqueryExpr") {
      reader.fail(`${kind} modifier is not supported for subqueries`, expr);
    }
    const selector = selectorIn(expr);
    if (selector === undefined || selector.type !== "VectorSelector") {
      return reader.fail(`${kind} modifier not implemented`, expr);
    }
    if (kind === "anchored" ? selector.smoothed : selector.anchored) {
      reader.fail("anchored and smoothed modifiers cannot be used together", expr);
    }
    return modified(expr, { [kind]: true }, end);
  }
}

/** A finite number as `%f` prints it. */
function fixed(x: number): string {
  const size = Math.abs(x);
  if (size < 1e21) return x.toFixed(6);
  // 53 bits and a power of two, in limbs of six decimal digits, the lowest first.
  let whole = size;
  let doublings = 0;
  while (whole >= 2 ** 53) {
    whole /= 2;
    doublings++;
  }
  const limbs: number[] = [];
  for (; whole > 0; whole = Math.floor(whole / 1e6)) limbs.push(whole % 1e6);
  for (; doublings > 0; doublings--) {
    let carry = 0;
    for (let i = 0; i < limbs.length; i++) {
      const twice = limbs[i]! * 2 + carry;
      limbs[i] = twice % 1e6;
      carry = twice >= 1e6 ? 1 : 0;
    }
    if (carry > 0) limbs.push(carry);
  }
  const digits = limbs.map((limb, i) =>
    i === limbs.length - 1 ? String(limb) : String(limb).padStart(6, "0")
  );
  return `${x < 0 ? "-" : ""}${digits.reverse().join("")}.000000`;
}

/** The node that carries offset and `@`. */
function selectorIn(expr: Expr): VectorSelector | (Expr & { type: "SubqueryExpr" }) | undefined {
  switch (expr.type) {
    case "VectorSelector":
    case "SubqueryExpr":
      return expr;
    case "MatrixSelector":
      return expr.selector;
    default:
      return undefined;
  }
}

/** A copy of a selector with some of its modifiers set. */
function modified(expr: Expr, change: Partial<VectorSelector>, end: number): Expr {
  if (expr.type === "MatrixSelector") {
    return { ...expr, selector: { ...expr.selector, ...change }, end };
  }
  return { ...expr, ...change, end } as Expr;
}
