/** What the parts of the parser share: the current token, errors, nesting. */
import type { Span } from "./ast.ts";
import { Lexer, type TokenKind } from "./lexer.ts";
import { ParseError } from "./parse_error.ts";
import type { ParseOptions } from "./parse_options.ts";

/** How an error names the construct it stands in; "" when it has no name. */
export interface Construct {
  readonly name: string;
  readonly expected: string;
}

const NOWHERE: Construct = { name: "", expected: "" };

/** Tokens that may be the last one of an expression. */
const CLOSING: ReadonlySet<TokenKind> = new Set<TokenKind>(["}", ")", "]", "duration", "number"]);

/**
 * Reads tokens. The next token is looked at only when it is asked for, so that what is wrong with
 * the text before it is found first.
 */
export class TokenReader {
  readonly query: string;
  readonly options: ParseOptions;
  readonly #lexer: Lexer;
  readonly #maxDepth: number;
  #taken = true;
  #inside = NOWHERE;
  #depth = 0;
  /** End of the last taken token that may end an expression. */
  lastClosing = 0;

  constructor(query: string, options: ParseOptions, maxDepth: number) {
    this.query = query;
    this.options = options;
    this.#maxDepth = maxDepth;
    this.#lexer = new Lexer(query);
  }

  #look(): Lexer {
    if (this.#taken) {
      this.#lexer.next();
      this.#taken = false;
    }
    return this.#lexer;
  }

  /** Kind of the current token. */
  peek(): TokenKind {
    return this.#look().kind;
  }

  /** Text of the current token. */
  get value(): string {
    return this.#look().value;
  }

  /** Place of the current token. */
  get span(): Span {
    const { start, end } = this.#look();
    return { start, end };
  }

  get start(): number {
    return this.#look().start;
  }

  get end(): number {
    return this.#look().end;
  }

  /** Takes the current token; the next one becomes the current one. */
  take(): void {
    const { kind, end } = this.#look();
    if (CLOSING.has(kind)) this.lastClosing = end;
    this.#taken = true;
  }

  /** Takes a token of this kind; anything else is unexpected. */
  takeKind(kind: TokenKind): void {
    if (this.peek() !== kind) this.unexpected();
    this.take();
  }

  /** Runs `parse` inside a construct, for the texts of errors. */
  within<T>(construct: Construct, parse: () => T): T {
    const outer = this.#inside;
    this.#inside = construct;
    const result = parse();
    this.#inside = outer;
    return result;
  }

  /** One level deeper; throws when that is too deep. */
  enter(): void {
    if (++this.#depth > this.#maxDepth) throw tooDeep(this.query, this.start, this.#maxDepth);
  }

  /** One level back. */
  leave(): void {
    this.#depth--;
  }

  /** The current token does not belong here. */
  unexpected(name = this.#inside.name, expected = this.#inside.expected): never {
    let text = `unexpected ${this.#look().describe()}`;
    if (name !== "") text += ` in ${name}`;
    if (expected !== "") text += `, expected ${expected}`;
    this.fail(text, this.span);
  }

  /** Refuses the query because of what stands at `span`. */
  fail(text: string, span: Span): never {
    throw new ParseError(text, this.query, span.start, span.end);
  }
}

/** The error of an expression with more levels than allowed. */
export function tooDeep(query: string, at: number, limit: number): Error {
  const cause = new ParseError(
    `expression is nested more than ${limit} levels deep`,
    query,
    at,
    at,
  );
  return cause;
}
