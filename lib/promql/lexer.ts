/**
 * The lexer of PromQL: one token at a time, as kind, start and end over the query text.
 *
 * The text inside `[ ]` and `{ }` has rules of its own; what is refused there, and with which words,
 * is as in Prometheus, so that a parser sees the same first error.
 */
import { utf8Length } from "../base/mod.ts";
import { describeChar, quoteChar, quoteText } from "./go_quote.ts";
import { ParseError } from "./parse_error.ts";

/** Kinds of tokens: classes, then symbols and keywords that stand for themselves. */
export type TokenKind =
  | "eof"
  | "identifier"
  | "metric identifier"
  | "string"
  | "number"
  | "duration"
  | "aggregate"
  | "("
  | ")"
  | "{"
  | "}"
  | "["
  | "]"
  | ","
  | ":"
  | "="
  | "=~"
  | "!="
  | "!~"
  | "=="
  | "<"
  | "<="
  | ">"
  | ">="
  | "</"
  | ">/"
  | "+"
  | "-"
  | "*"
  | "/"
  | "%"
  | "^"
  | "@"
  | "and"
  | "or"
  | "unless"
  | "atan2"
  | Keyword;

/** Words with a meaning of their own; most may also be metric names. */
export type Keyword =
  | "by"
  | "without"
  | "on"
  | "ignoring"
  | "group_left"
  | "group_right"
  | "bool"
  | "offset"
  | "anchored"
  | "smoothed"
  | "fill"
  | "fill_left"
  | "fill_right"
  | "start"
  | "end"
  | "step"
  | "range"
  | "min_of"
  | "max_of";

const AGGREGATES = [
  "sum",
  "avg",
  "count",
  "min",
  "max",
  "group",
  "stddev",
  "stdvar",
  "topk",
  "bottomk",
  "count_values",
  "quantile",
  "limitk",
  "limit_ratio",
];
const KEYWORDS: readonly TokenKind[] = [
  "and",
  "or",
  "unless",
  "atan2",
  "by",
  "without",
  "on",
  "ignoring",
  "group_left",
  "group_right",
  "bool",
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
];
/** Lower-case word to kind. */
const WORDS: ReadonlyMap<string, TokenKind> = new Map<string, TokenKind>([
  ...AGGREGATES.map((word): [string, TokenKind] => [word, "aggregate"]),
  ...KEYWORDS.map((word): [string, TokenKind] => [word, word]),
  ["inf", "number"],
  ["nan", "number"],
]);
/** Words with a meaning inside `[ ]`. */
const DURATION_WORDS: ReadonlySet<string> = new Set(["step", "range", "min_of", "max_of"]);

/** Kinds that are printed bare in messages, in angle brackets. */
const ANGLED: ReadonlySet<TokenKind> = new Set<TokenKind>([
  "by",
  "without",
  "on",
  "ignoring",
  "group_left",
  "group_right",
  "bool",
  "offset",
  "anchored",
  "smoothed",
  "fill",
  "fill_left",
  "fill_right",
]);
/** Words with a meaning only in front of `(`. */
const FILLS: ReadonlySet<TokenKind> = new Set<TokenKind>(["fill", "fill_left", "fill_right"]);
const OPERATORS: ReadonlySet<TokenKind> = new Set<TokenKind>([
  "=~",
  "!=",
  "!~",
  "==",
  "<",
  "<=",
  ">",
  ">=",
  "</",
  ">/",
  "+",
  "-",
  "*",
  "/",
  "%",
  "^",
  "@",
  "and",
  "or",
  "unless",
  "atan2",
]);

/** Where the lexer is. */
const enum Mode {
  Statement,
  /** Inside `{ }`. */
  Braces,
  /** Inside `[ ]`, before the first number. */
  Duration,
  /** Inside `[ ]`, after it. */
  Brackets,
}

/** See the file comment. Fields hold the current token; `next()` moves on. */
export class Lexer {
  readonly text: string;
  kind: TokenKind = "eof";
  start = 0;
  end = 0;
  #pos = 0;
  #mode = Mode.Statement;
  /** The mode to return to after `}`. */
  #outer = Mode.Statement;
  #parens = 0;
  #colon = false;

  constructor(text: string, at = 0) {
    this.text = text;
    this.#pos = at;
  }

  /** The text of the current token. */
  get value(): string {
    return this.text.slice(this.start, this.end);
  }

  /** Moves to the next token. Throws ParseError. */
  next(): void {
    switch (this.#mode) {
      case Mode.Braces:
        return this.#inBraces();
      case Mode.Duration:
        return this.#inDuration();
      default:
        return this.#inStatement();
    }
  }

  /** The current token for a message. */
  describe(): string {
    const { kind } = this;
    if (kind === "eof") return "end of input";
    const { value } = this;
    if (kind === "aggregate") return `<aggr:${value}>`;
    if (ANGLED.has(kind)) return `<${value}>`;
    if (OPERATORS.has(kind)) return `<op:${value}>`;
    const quoted = cutQuote(value);
    switch (kind) {
      case "identifier":
      case "metric identifier":
        return `${kind} ${quoteText(value)}`;
      case "string":
      case "number":
      case "duration":
        return `${kind} ${quoted}`;
      default:
        return quoted;
    }
  }

  #fail(text: string, start = this.start): never {
    throw new ParseError(text, this.text, start, this.text.length);
  }

  #emit(kind: TokenKind, length: number): void {
    this.kind = kind;
    this.#pos = this.start + length;
    this.end = this.#pos;
  }

  /** The whole character at an offset, "" at the end. */
  #char(at: number): string {
    const code = this.text.codePointAt(at);
    return code === undefined ? "" : String.fromCodePoint(code);
  }

  #skipSpace(): void {
    while (isSpace(this.text.charCodeAt(this.#pos))) this.#pos++;
    this.start = this.#pos;
  }

  #skipSpaceAndComments(): void {
    for (;;) {
      this.#skipSpace();
      if (this.text.charCodeAt(this.#pos) !== 0x23) return;
      const end = this.text.indexOf("\n", this.#pos);
      this.#pos = end < 0 ? this.text.length : end;
    }
  }

  #inStatement(): void {
    this.#skipSpaceAndComments();
    const { text, start } = this;
    const inBrackets = this.#mode === Mode.Brackets;
    const c = text[start];
    const after = text[start + 1];
    switch (c) {
      case undefined:
        if (this.#parens > 0) this.#fail("unclosed left parenthesis");
        if (inBrackets) this.#fail("unclosed left bracket");
        return this.#emit("eof", 0);
      case ",":
      case "*":
      case "/":
      case "%":
      case "+":
      case "-":
      case "^":
      case "@":
        return this.#emit(c, 1);
      case "=":
        if (after === "=") return this.#emit("==", 2);
        if (after === "~") this.#fail(`unexpected character after '=': '~'`);
        return this.#emit("=", 1);
      case "!":
        if (after === "=") return this.#emit("!=", 2);
        return this.#fail(`unexpected character after '!': ${quoteChar(this.#char(start + 1))}`);
      case "<":
        if (after === "=") return this.#emit("<=", 2);
        return after === "/" ? this.#emit("</", 2) : this.#emit("<", 1);
      case ">":
        if (after === "=") return this.#emit(">=", 2);
        return after === "/" ? this.#emit(">/", 2) : this.#emit(">", 1);
      case "(":
        this.#parens++;
        return this.#emit("(", 1);
      case ")":
        return this.#closeParen();
      case "{":
        this.#outer = this.#mode;
        this.#mode = Mode.Braces;
        return this.#emit("{", 1);
      case "[":
        if (inBrackets) this.#fail("unexpected left bracket '['");
        this.#mode = Mode.Duration;
        this.#colon = false;
        return this.#emit("[", 1);
      case "]":
        if (!inBrackets) this.#fail("unexpected right bracket ']'");
        this.#mode = Mode.Statement;
        return this.#emit("]", 1);
      case '"':
      case "'":
      case "`":
        return this.#string(c);
      case ":":
        if (inBrackets) {
          if (this.#colon) this.#fail("unexpected colon ':'");
          this.#colon = true;
          return this.#emit(":", 1);
        }
        return this.#word();
      case ".":
        if (isDigit(text.charCodeAt(start + 1))) return this.#number();
        return this.#fail("unexpected character: '.'");
      default: {
        const code = c.charCodeAt(0);
        if (isDigit(code)) return this.#number();
        if (!isAlpha(code)) {
          this.#fail(`unexpected character: ${quoteChar(this.#char(start))}`);
        }
        if (!inBrackets) return this.#word();
        if (this.#durationWord()) return;
        this.#fail(`unexpected character: ${quoteChar(c)}, expected ':'`);
      }
    }
  }

  /** Before the first number of a duration: what stands for a duration, and operators. */
  #inDuration(): void {
    this.#skipSpace();
    const { text, start } = this;
    const c = text[start];
    switch (c) {
      case undefined:
        return this.#fail("unexpected end of input in duration expression");
      case ",":
      case "*":
      case "/":
      case "%":
      case "+":
      case "-":
      case "^":
        return this.#emit(c, 1);
      case "(":
        this.#parens++;
        return this.#emit("(", 1);
      case ")":
        return this.#closeParen();
      case "]":
        this.#mode = Mode.Statement;
        return this.#emit("]", 1);
      case ":":
        return this.#fail("unexpected colon before duration in duration expression", start + 1);
      default: {
        const code = c.charCodeAt(0);
        if (isDigit(code) || (c === "." && isDigit(text.charCodeAt(start + 1)))) {
          this.#mode = Mode.Brackets;
          return this.#number();
        }
        if (isAlpha(code) && this.#durationWord()) return;
        this.#fail(
          `unexpected character in duration expression: ${quoteChar(this.#char(start))}`,
        );
      }
    }
  }

  #inBraces(): void {
    this.#skipSpaceAndComments();
    const { text, start } = this;
    const c = text[start];
    const after = text[start + 1];
    switch (c) {
      case undefined:
        return this.#fail("unexpected end of input inside braces");
      case ",":
        return this.#emit(",", 1);
      case '"':
      case "'":
      case "`":
        return this.#string(c);
      case "=":
        return after === "~" ? this.#emit("=~", 2) : this.#emit("=", 1);
      case "!":
        if (after === "~") return this.#emit("!~", 2);
        if (after === "=") return this.#emit("!=", 2);
        return this.#fail(
          `unexpected character after '!' inside braces: ${quoteChar(this.#char(start + 1))}`,
        );
      case "{":
        return this.#fail("unexpected left brace '{'");
      case "}":
        this.#mode = this.#outer;
        return this.#emit("}", 1);
      default:
        if (!isAlpha(c.charCodeAt(0))) {
          this.#fail(`unexpected character inside braces: ${quoteChar(this.#char(start))}`);
        }
        return this.#emit("identifier", wordEnd(text, start, false) - start);
    }
  }

  #closeParen(): void {
    this.#parens--;
    if (this.#parens < 0) this.#fail("unexpected right parenthesis ')'", this.start + 1);
    this.#emit(")", 1);
  }

  #word(): void {
    const { text, start } = this;
    const end = wordEnd(text, start, true);
    const word = text.slice(start, end);
    let kind = WORDS.get(word.toLowerCase()) ??
      (word.includes(":") ? "metric identifier" : "identifier");
    if (FILLS.has(kind)) {
      let next = end;
      while (isSpace(text.charCodeAt(next))) next++;
      if (text[next] !== "(") kind = "identifier";
    }
    this.#emit(kind, end - start);
  }

  #durationWord(): boolean {
    // Digits and colons end these words.
    let end = this.start;
    while (isAlpha(this.text.charCodeAt(end))) end++;
    const word = this.text.slice(this.start, end).toLowerCase();
    if (!DURATION_WORDS.has(word)) return false;
    this.#emit(word as TokenKind, end - this.start);
    return true;
  }

  /** A number or a duration; which of the two is only known behind it. */
  #number(): void {
    const { text, start } = this;
    const number = scanNumber(text, start);
    if (number > 0) return this.#emit("number", number - start);
    const duration = scanDuration(text, -number);
    if (duration > 0) return this.#emit("duration", duration - start);
    this.#fail(`bad number or duration syntax: ${quoteText(text.slice(start, -duration))}`);
  }

  #string(quote: string): void {
    const { text, start } = this;
    let i = start + 1;
    for (;;) {
      const c = text[i];
      if (c === undefined) {
        this.#fail(quote === "`" ? "unterminated raw string" : "unterminated quoted string");
      }
      if (c === quote) return this.#emit("string", i + 1 - start);
      if (c === "\ufffd" || isLoneSurrogate(text, i)) this.#fail("invalid UTF-8 rune");
      if (c === "\n" && quote !== "`") this.#fail("unterminated quoted string");
      i = c === "\\" && quote !== "`" ? this.#escape(i + 1, quote) : i + 1;
    }
  }

  /** Checks the escape whose backslash stands before `at`; returns where it ends. */
  #escape(at: number, quote: string): number {
    const c = this.#char(at);
    if (c === "") this.#fail("escape sequence not terminated");
    if (c === quote || /^[abfnrtv\\]$/.test(c)) return at + 1;
    let digits: number, base: number, max: number, first = at + 1;
    if (/^[0-7]$/.test(c)) [digits, base, max, first] = [3, 8, 0xff, at];
    else if (c === "x") [digits, base, max] = [2, 16, 0xff];
    else if (c === "u") [digits, base, max] = [4, 16, 0x10ffff];
    else if (c === "U") [digits, base, max] = [8, 16, 0x10ffff];
    else this.#fail(`unknown escape sequence ${describeChar(c)}`);
    let value = 0;
    for (let i = first; i < first + digits; i++) {
      const d = this.#char(i);
      if (d === "") this.#fail("escape sequence not terminated");
      const digit = d.length === 1 ? parseInt(d, base) : NaN;
      if (digit !== digit) this.#fail(`illegal character ${describeChar(d)} in escape sequence`);
      value = value * base + digit;
    }
    if (value > max || (value >= 0xd800 && value < 0xe000)) {
      this.#fail("escape sequence is an invalid Unicode code point");
    }
    return first + digits;
  }
}

function cutQuote(value: string): string {
  if (utf8Length(value) <= 10) return quoteText(value);
  return `${quoteText([...value].slice(0, 10).join(""))}...`;
}

function isLoneSurrogate(text: string, at: number): boolean {
  const c = text.charCodeAt(at);
  if (c < 0xd800 || c > 0xdfff) return false;
  if (c < 0xdc00) {
    const low = text.charCodeAt(at + 1);
    return !(low >= 0xdc00 && low <= 0xdfff);
  }
  const high = text.charCodeAt(at - 1);
  return !(high >= 0xd800 && high < 0xdc00);
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x09 || c === 0x0a || c === 0x0d;
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

function isAlpha(c: number): boolean {
  return c === 0x5f || (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a);
}

/** The end of the identifier that begins at `at`. */
function wordEnd(text: string, at: number, colons: boolean): number {
  let i = at;
  for (;; i++) {
    const c = text.charCodeAt(i);
    if (!isAlpha(c) && !isDigit(c) && !(colons && c === 0x3a)) return i;
  }
}

const DECIMAL = /[0-9]/;
const HEX = /[0-9a-fA-F]/;

/**
 * The end of the number at `at`; when there is none, minus the offset at which that became clear.
 * A lone `e` or `_` at the end of the input ends no number; elsewhere the reader of the value says so.
 */
export function scanNumber(text: string, at: number): number {
  let i = at;
  let digit = DECIMAL;
  if (text[i] === "0") {
    i++;
    if (text[i] === "x" || text[i] === "X") {
      digit = HEX;
      i++;
      if (text[i] === "_") i++;
    }
  }
  const isDigitAt = (k: number) => k < text.length && digit.test(text[k]!);
  if (text[i] === ".") i++;
  if (isDigitAt(i)) i++;
  let dot = false;
  let exponent = false;
  for (;;) {
    const c = text[i];
    if (c === ".") {
      i++;
      if (dot) return -i;
      if (text[i] === "." || text[i] === "_") return -(i + 1);
      if (digit === HEX) return -i;
      dot = true;
    } else if (c === "e" || c === "E") {
      i++;
      if (exponent) return -i;
      exponent = true;
      if (text[i] === "+" || text[i] === "-") i++;
      if (i < text.length && "._eE".includes(text[i]!)) return -(i + 1);
      if (i === text.length) return -i;
    } else if (c === "_") {
      i++;
      if (i < text.length && "._eE".includes(text[i]!)) return -(i + 1);
      if (i === text.length) return -i;
    } else if (isDigitAt(i)) {
      while (isDigitAt(i)) i++;
    } else break;
  }
  if (i === at) return -i;
  const after = text.charCodeAt(i);
  return isAlpha(after) || isDigit(after) ? -i : i;
}

/** The end of the duration whose first number ends at `at`; else minus where that became clear. */
export function scanDuration(text: string, at: number): number {
  let i = at;
  let units = "smhdwy";
  for (;;) {
    if (i >= text.length || !units.includes(text[i]!)) return -i;
    i++;
    if (text[i] === "s") i++;
    if (!isDigit(text.charCodeAt(i))) break;
    while (isDigit(text.charCodeAt(i))) i++;
    units = "smhdw"; // Years come first or not at all.
  }
  const after = text.charCodeAt(i);
  return isAlpha(after) ? -(i + 1) : i;
}
