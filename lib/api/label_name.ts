/** Label names in paths. */
import { decodeUtf8Strict, MnemeError } from "../base/mod.ts";
import { quoteGo } from "../model/mod.ts";

/**
 * The label name in `/label/<name>/values`, percent-decoded; undefined for one with an encoded
 * slash. Names in Prometheus 3's `U__` escaping are decoded.
 */
export function labelName(url: string): string | undefined {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/, "").split(/[?#]/, 1)[0]!;
  const raw = /\/label\/([^/]*)\/values$/.exec(path)?.[1];
  if (raw === undefined || /%2f/i.test(raw)) return undefined;
  const bytes: number[] = [];
  const encoded = new TextEncoder().encode(raw);
  for (let i = 0; i < encoded.length; i++) {
    const hex = encoded[i] === 0x25 ? raw.slice(i + 1, i + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(parseInt(hex, 16));
      i += 2;
    } else bytes.push(encoded[i]!);
  }
  let name: string;
  try {
    name = decodeUtf8Strict(new Uint8Array(bytes));
  } catch {
    const quoted = bytes.map((b) =>
      b >= 0x80 ? `\\x${b.toString(16)}` : quoteGo(String.fromCharCode(b)).slice(1, -1)
    ).join("");
    throw new MnemeError("bad_data", `invalid label name: "${quoted}"`);
  }
  return unescapeName(name);
}

/** `U__a_2e_b` → `a.b`, `U__a__b` → `a_b`; anything else stays as it is. */
function unescapeName(name: string): string {
  if (!name.startsWith("U__")) return name;
  let out = "";
  for (let i = 3; i < name.length;) {
    if (name[i] !== "_") {
      out += name[i++];
      continue;
    }
    if (name[i + 1] === "_") {
      out += "_";
      i += 2;
      continue;
    }
    const m = /^_([0-9a-fA-F]{1,6})_/.exec(name.slice(i));
    const code = m === null ? NaN : parseInt(m[1]!, 16);
    if (m === null || code > 0x10ffff) return name;
    out += String.fromCodePoint(code);
    i += m[0].length;
  }
  return out;
}
