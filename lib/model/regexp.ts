/**
 * Regular expressions of users: RE2 syntax and linear time, through re2js; the only place where a
 * user's pattern is compiled. `RegExp` is never used on one: its syntax differs silently and some
 * patterns take exponential time.
 */
import { RE2JS } from "re2js";
import { errorMessage, MnemeError } from "../base/mod.ts";

/** A compiled pattern that must match the whole text; `.` also matches newlines. */
export interface AnchoredPattern {
  readonly source: string;
  matches(text: string): boolean;
  /** The exact values it can match when it is a plain alternation of literals, else undefined. */
  readonly literals: readonly string[] | undefined;
  /** A literal that every match starts with, "" when there is none. */
  readonly prefix: string;
}

const META = /[\\.+*?()|[\]{}^$]/;
/** Longest pattern that is compiled, UTF-16 units; plain alternations of literals may be longer. */
const MAX_PATTERN_LENGTH = 16 * 1024;
const CACHE_SIZE = 512;

/** Compiles `^(?s:source)$`; throws bad_data with RE2's reason. */
export function compileAnchored(source: string): AnchoredPattern {
  const literals = literalAlternatives(source);
  if (literals !== undefined) {
    // A syntax check is not needed: no metacharacter but `|` and one enclosing group is left.
    const set = new Set(literals);
    return {
      source,
      literals,
      prefix: literals.length === 1 ? literals[0]! : "",
      matches: (t) => set.has(t),
    };
  }
  if (source === ".*") return { source, literals: undefined, prefix: "", matches: () => true };
  if (source === ".+") return { source, literals: undefined, prefix: "", matches: (t) => t !== "" };
  const affix = literalWithDots(source);
  if (affix !== undefined) {
    return { source, literals: undefined, prefix: affix.prefix, matches: affix.matches };
  }
  const re = compileRe2(source);
  const prefix = leadingLiteral(source);
  const cache = new Map<string, boolean>();
  return {
    source,
    literals: undefined,
    prefix,
    matches(text) {
      if (prefix !== "" && !text.startsWith(prefix)) return false;
      let hit = cache.get(text);
      if (hit === undefined) {
        hit = re.testExact(text);
        if (cache.size >= CACHE_SIZE) cache.clear();
        cache.set(text, hit);
      }
      return hit;
    },
  };
}

/** A compiled pattern for replacement (`label_replace`, relabelling): anchored, with submatches. */
export interface ReplacePattern {
  /** Submatch texts by number of a full match of `text`, or undefined when it does not match. */
  match(text: string): readonly string[] | undefined;
  /** Name of each group, "" when unnamed; index 0 is the whole match. */
  readonly groupNames: readonly string[];
}

/** Compiles `^(?s:source)$` for replacement; throws bad_data with RE2's reason. */
export function compileReplace(source: string): ReplacePattern {
  const re = compileRe2(source);
  const count = re.groupCount();
  const groupNames = new Array<string>(count + 1).fill("");
  for (const [name, index] of Object.entries(re.namedGroups())) groupNames[index as number] = name;
  return {
    groupNames,
    match(text) {
      const m = re.matcher(text);
      if (!m.matches()) return undefined;
      const groups = new Array<string>(count + 1);
      for (let i = 0; i <= count; i++) groups[i] = m.group(i) ?? "";
      return groups;
    },
  };
}

/** Fills `$1`, `${1}`, `$name`, `${name}` and `$$` of a template; a stray `$` stays. */
export function expandTemplate(
  template: string,
  groups: readonly string[],
  names: readonly string[],
): string {
  let out = "";
  let at = 0;
  while (at < template.length) {
    const dollar = template.indexOf("$", at);
    if (dollar < 0) return out + template.slice(at);
    out += template.slice(at, dollar);
    at = dollar + 1;
    if (template[at] === "$") {
      out += "$";
      at++;
      continue;
    }
    const m = /^(?:\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/u.exec(template.slice(at));
    if (m === null) {
      out += "$";
      continue;
    }
    at += m[0].length;
    const name = m[1] ?? m[2]!;
    if (/^(0|[1-9][0-9]*)$/.test(name)) out += groups[Number(name)] ?? "";
    else {
      const index = names.indexOf(name);
      if (index > 0) out += groups[index] ?? "";
    }
  }
  return out;
}

function compileRe2(source: string): RE2JS {
  if (source.length > MAX_PATTERN_LENGTH) {
    throw new MnemeError(
      "bad_data",
      `regular expression of ${source.length} characters, at most ${MAX_PATTERN_LENGTH} are allowed`,
    );
  }
  try {
    return RE2JS.compile(source, RE2JS.DOTALL);
  } catch (error) {
    throw new MnemeError("bad_data", `error parsing regexp: ${faultOf(source, error)}`);
  }
}

/** RE2's reason, about the pattern as its author wrote it: the flag would stand in front of it. */
function faultOf(source: string, error: unknown): string {
  let fault = error;
  try {
    RE2JS.compile(source);
  } catch (plain) {
    fault = plain;
  }
  return errorMessage(fault).replace(/^error parsing regexp: /, "");
}

/** `a|b|c` or `(a|b)` without any other metacharacter, as its literals. */
function literalAlternatives(source: string): string[] | undefined {
  let body = source;
  if (body.startsWith("(?:") && body.endsWith(")")) body = body.slice(3, -1);
  else if (body.startsWith("(") && body.endsWith(")")) body = body.slice(1, -1);
  const parts = body.split("|");
  for (const part of parts) if (META.test(part)) return undefined;
  return [...new Set(parts)];
}

/** `lit.*`, `.*lit`, `.*lit.*` and the same with `.+`. */
function literalWithDots(
  source: string,
): { prefix: string; matches: (t: string) => boolean } | undefined {
  const m = /^(\.\*|\.\+)?([^\\.+*?()|[\]{}^$]+)(\.\*|\.\+)?$/.exec(source);
  if (m === null || (m[1] === undefined && m[3] === undefined)) return undefined;
  const literal = m[2]!;
  const before = m[1] === undefined ? -1 : m[1] === ".+" ? 1 : 0;
  const after = m[3] === undefined ? -1 : m[3] === ".+" ? 1 : 0;
  if (before < 0) {
    return {
      prefix: literal,
      matches: (t) => t.startsWith(literal) && t.length >= literal.length + after,
    };
  }
  if (after < 0) {
    return {
      prefix: "",
      matches: (t) => t.endsWith(literal) && t.length >= literal.length + before,
    };
  }
  return {
    prefix: "",
    matches(t) {
      const at = t.indexOf(literal, before);
      return at >= 0 && t.length - at - literal.length >= after;
    },
  };
}

/** The literal text before the first metacharacter, minus the character a quantifier may apply to. */
function leadingLiteral(source: string): string {
  if (source.includes("|")) return "";
  const m = META.exec(source);
  if (m === null) return source;
  const end = "*?{".includes(m[0])
    ? [...source.slice(0, m.index)].slice(0, -1).join("").length
    : m.index;
  return source.slice(0, end);
}
