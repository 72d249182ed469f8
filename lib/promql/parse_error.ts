/** Errors of the parser, with their place in the query. */
import { MnemeError, utf8Length } from "../base/mod.ts";

/**
 * A query that is not PromQL. The message has line and column (in bytes, from 1), as Prometheus
 * prints them; `text` is the bare cause.
 */
export class ParseError extends MnemeError {
  readonly query: string;
  readonly text: string;
  /** UTF-16 offsets into `query`. */
  readonly start: number;
  readonly end: number;

  constructor(text: string, query: string, start: number, end: number) {
    super("bad_data", `${formatPosition(query, start)}: parse error: ${text}`, {
      attrs: { start, end },
    });
    this.name = "ParseError";
    this.query = query;
    this.text = text;
    this.start = start;
    this.end = end;
  }
}

/** Bytes of UTF-8 before a UTF-16 offset; a byte that was no UTF-8 (now U+FFFD) counts as one. */
export function byteOffset(query: string, offset: number): number {
  const before = query.slice(0, offset);
  let broken = 0;
  for (let i = before.indexOf("\ufffd"); i >= 0; i = before.indexOf("\ufffd", i + 1)) broken++;
  return utf8Length(before) - 2 * broken;
}

/** `LINE:COLUMN` of a UTF-16 offset, both from 1, columns in bytes. */
export function formatPosition(query: string, offset: number): string {
  if (query === "" || offset < 0 || offset > query.length) return "unknown position";
  let line = 1;
  let lineStart = 0;
  for (let i = query.indexOf("\n"); i >= 0 && i < offset; i = query.indexOf("\n", i + 1)) {
    line++;
    lineStart = i + 1;
  }
  return `${line}:${byteOffset(query, offset) - byteOffset(query, lineStart) + 1}`;
}
