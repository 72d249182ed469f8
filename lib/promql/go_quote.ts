/**
 * Go's string literals, read and written.
 *
 * Go strings are bytes. Here they are text, and a byte that is no UTF-8 is kept as a lone surrogate
 * U+DC80 … U+DCFF (its value plus U+DC00), which no valid text contains.
 */
import { quoteGo } from "../model/mod.ts";

const SIMPLE: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
  "\\": 0x5c,
  "'": 0x27,
  '"': 0x22,
};
/** Digits and base of the escapes that give a number. */
const NUMERIC: Readonly<Record<string, readonly [number, number]>> = {
  x: [2, 16],
  u: [4, 16],
  U: [8, 16],
};

/** The meaning of a literal that the lexer let pass, with its quotes. */
export function unquoteLiteral(literal: string): string {
  const body = literal.slice(1, -1);
  if (literal[0] === "`") return body.replaceAll("\r", "");
  if (!body.includes("\\")) return body;
  const parts: string[] = [];
  /** Bytes written by \x and octal escapes that are still to be decoded. */
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) parts.push(decodeLossless(bytes));
    bytes = [];
  };
  for (let i = 0; i < body.length;) {
    const next = body.indexOf("\\", i);
    if (next !== i) {
      const end = next < 0 ? body.length : next;
      const plain = body.slice(i, end);
      // A \x escape may give the first bytes of a character whose rest stands as an escape too, but
      // plain text is always whole characters.
      flush();
      parts.push(plain);
      i = end;
      continue;
    }
    const c = body[i + 1]!;
    const simple = SIMPLE[c];
    const numeric = NUMERIC[c];
    if (simple !== undefined) {
      flush();
      parts.push(String.fromCharCode(simple));
      i += 2;
    } else if (numeric !== undefined) {
      const [digits, base] = numeric;
      const value = parseInt(body.slice(i + 2, i + 2 + digits), base);
      if (c === "x") bytes.push(value);
      else {
        flush();
        parts.push(String.fromCodePoint(value));
      }
      i += 2 + digits;
    } else {
      bytes.push(parseInt(body.slice(i + 1, i + 4), 8));
      i += 4;
    }
  }
  flush();
  return parts.join("");
}

/** UTF-8 to text; bytes that are none become lone surrogates. */
function decodeLossless(bytes: readonly number[]): string {
  const all = new Uint8Array(bytes);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let out = "";
  for (let i = 0; i < all.length;) {
    let taken = 0;
    for (let n = 1; n <= 4 && i + n <= all.length && taken === 0; n++) {
      try {
        out += decoder.decode(all.subarray(i, i + n));
        taken = n;
      } catch {
        // Not a whole character yet, or none at all.
      }
    }
    if (taken === 0) out += String.fromCharCode(0xdc00 + all[i]!);
    i += Math.max(taken, 1);
  }
  return out;
}

/** A text in double quotes as Go prints it, bytes that are no UTF-8 as `\xNN`. */
export function quoteText(text: string): string {
  return quoteGo(text);
}

/** One character in single quotes as Go's `%q` prints it; "" is the end of the input. */
export function quoteChar(char: string): string {
  if (char === "") return "'\ufffd'";
  if (char === "'") return "'\\''";
  if (char === '"') return "'\"'";
  return `'${quoteText(char).slice(1, -1)}'`;
}

/** A character as Go's `%#U` prints it: `U+0063 'c'`. */
export function describeChar(char: string): string {
  const code = (char === "" ? 0xfffd : char.codePointAt(0)!).toString(16).toUpperCase();
  const printable = quoteText(char).slice(1, -1);
  const shown = printable === char || char === '"' || char === "\\" ? ` '${char}'` : "";
  return `U+${code.padStart(4, "0")}${shown}`;
}

/** True when the text has a byte that is no UTF-8. */
export function hasBrokenBytes(text: string): boolean {
  return !text.isWellFormed();
}
