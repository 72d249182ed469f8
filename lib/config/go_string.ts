/** Go's quoted strings, the form in which label values stand on command lines. */
import { MnemeError } from "../base/mod.ts";

const SIMPLE: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 0x5c,
  '"': 0x22,
};

/**
 * Reads a quoted Go string: `"…"` with escapes, or a raw string in backquotes.
 *
 * Throws: bad_data when the quotes are missing, an escape is wrong or the bytes are not UTF-8.
 */
export function unquoteGo(text: string): string {
  const quote = text[0];
  if (text.length < 2 || (quote !== '"' && quote !== "`") || text.at(-1) !== quote) {
    throw invalid(text);
  }
  const body = text.slice(1, -1);
  if (quote === "`") {
    if (body.includes("`")) throw invalid(text);
    return body.replaceAll("\r", "");
  }
  if (!body.includes("\\")) {
    if (/["\n]/.test(body)) throw invalid(text);
    return body;
  }
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  const push = (s: string) => {
    for (const byte of encoder.encode(s)) bytes.push(byte);
  };
  for (let i = 0; i < body.length;) {
    const plain = /^[^\\"\n]+/.exec(body.slice(i))?.[0];
    if (plain !== undefined) {
      push(plain);
      i += plain.length;
      continue;
    }
    const escape = /^\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))/s
      .exec(body.slice(i));
    if (escape === null) throw invalid(text);
    const [whole, hex, octal, short, long, letter] = escape;
    if (hex !== undefined) bytes.push(parseInt(hex, 16));
    else if (octal !== undefined) {
      const byte = parseInt(octal, 8);
      if (byte > 255) throw invalid(text);
      bytes.push(byte);
    } else if (letter !== undefined) {
      const byte = Object.hasOwn(SIMPLE, letter) ? SIMPLE[letter] : undefined;
      if (byte === undefined) throw invalid(text);
      bytes.push(byte);
    } else {
      const code = parseInt((short ?? long)!, 16);
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) throw invalid(text);
      push(String.fromCodePoint(code));
    }
    i += whole.length;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(bytes),
    );
  } catch (cause) {
    throw new MnemeError("bad_data", `string is not valid UTF-8: ${shorten(text)}`, { cause });
  }
}

function invalid(text: string): MnemeError {
  return new MnemeError("bad_data", `not a quoted string: ${shorten(text)}`);
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}…` : text);
}
