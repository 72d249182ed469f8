/**
 * YAML documents behind one function: npm `yaml` checks the syntax, the result is a plain tree whose
 * scalars keep their text and their line. Types are given by the reader (`schema.ts`), as in Go's
 * typed decoding, so that `id: 007` read as a string stays `007`.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  stringify,
} from "yaml";
import { MnemeError } from "../base/mod.ts";

/** A value in a document; `line` counts from 1. */
export type YamlNode = YamlScalar | YamlList | YamlMap;

/** Text, a number, a truth value or nothing: the reader decides. */
export interface YamlScalar {
  readonly kind: "scalar";
  /** Text as written, unquoted and with escapes resolved. */
  readonly text: string;
  /** Written without quotes, so that `true`, `1` and `null` may mean more than their text. */
  readonly plain: boolean;
  readonly line: number;
}

export interface YamlList {
  readonly kind: "list";
  readonly items: readonly YamlNode[];
  readonly line: number;
}

export interface YamlMap {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, YamlNode>;
  readonly line: number;
}

/** Bounds of a document from outside. */
export interface YamlLimits {
  /** Name for error messages: a flag or a file. */
  readonly name?: string;
  /** Largest text, UTF-16 units; default 16 Mi. */
  readonly maxLength?: number;
  /** Deepest nesting; default 64. */
  readonly maxDepth?: number;
  /** Most values once aliases are followed; default 2 million. */
  readonly maxNodes?: number;
  /** Most aliases; default 100. */
  readonly maxAliases?: number;
  /** Line at which the text starts in its file; default 1. */
  readonly firstLine?: number;
}

const DEFAULT_MAX_LENGTH = 16 * 1024 * 1024;
const DEFAULT_MAX_DEPTH = 64;
const DEFAULT_MAX_NODES = 2_000_000;
const DEFAULT_MAX_ALIASES = 100;
/** Token of the lexer in front of a scalar's text. */
const SCALAR_FOLLOWS = "\x1f";
/** Keys that would change an object's nature if they ever became its property. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__"]);

/**
 * Parses the first document of a text; undefined when it is empty.
 *
 * Throws: bad_data, one line with name and line number, for wrong syntax, duplicate keys, tags,
 * `__proto__`, and anything beyond the limits.
 */
export function parseYaml(text: string, limits: YamlLimits = {}): YamlNode | undefined {
  const fail = (line: number | undefined, message: string): MnemeError => {
    const name = limits.name === undefined ? "" : `${limits.name}: `;
    const where = line === undefined ? "" : `line ${line}: `;
    return new MnemeError("bad_data", `${name}${where}${message}`);
  };
  const maxLength = limits.maxLength ?? DEFAULT_MAX_LENGTH;
  if (text.length > maxLength) throw fail(undefined, `document is longer than ${maxLength} bytes`);
  const maxDepth = limits.maxDepth ?? DEFAULT_MAX_DEPTH;
  const lines = new LineCounter();
  const base = (limits.firstLine ?? 1) - 1;
  const lineAt = (offset: number) => base + Math.max(1, lines.linePos(offset).line);
  const maxAliases = limits.maxAliases ?? DEFAULT_MAX_ALIASES;
  const first = firstDocument(text);
  const tooMany = aliasBeyond(first, maxAliases);
  if (tooMany !== undefined) throw fail(base + tooMany, "document has too many aliases");
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(first, {
      lineCounter: lines,
      prettyErrors: false,
      schema: "failsafe",
      strict: true,
      // Looked for below: the library compares each key with every other one.
      uniqueKeys: false,
      keepSourceTokens: false,
      logLevel: "silent",
    });
  } catch (cause) {
    // The library composes by recursion: only nesting far beyond any limit ends here.
    if (cause instanceof RangeError) throw fail(undefined, "document is nested too deeply");
    throw cause;
  }
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    if (/call stack/.test(problem.message)) throw fail(undefined, "document is nested too deeply");
    const message = problem.message.split("\n")[0]!.replace(/ at line \d+, column \d+:?$/, "");
    throw fail(lineAt(problem.pos[0]), message);
  }
  let nodes = limits.maxNodes ?? DEFAULT_MAX_NODES;
  let aliases = maxAliases;
  // The library looks through the whole document for each alias; here the walk in document order
  // knows the latest anchor of a name, and what an alias meant when it was first met.
  const anchors = new Map<string, Node>();
  const targets = new Map<unknown, Node>();
  let expanding = 0;
  const convert = (source: unknown, depth: number, lineOfParent: number): YamlNode => {
    const offset = (source as { range?: [number, number, number] } | null)?.range?.[0];
    const line = offset === undefined ? lineOfParent : lineAt(offset);
    if (--nodes < 0) throw fail(line, "document has too many values");
    if (depth > maxDepth) throw fail(line, `document is nested more than ${maxDepth} levels deep`);
    if (isAlias(source)) {
      if (--aliases < 0) throw fail(line, "document has too many aliases");
      const target = targets.get(source) ?? anchors.get(source.source);
      if (target === undefined) throw fail(line, `unknown anchor '${source.source}'`);
      targets.set(source, target);
      expanding++;
      const value = convert(target, depth + 1, line);
      expanding--;
      return value;
    }
    const anchor = (source as { anchor?: string } | null)?.anchor;
    if (anchor !== undefined && expanding === 0) anchors.set(anchor, source as Node);
    if (isMap(source)) {
      const entries = new Map<string, YamlNode>();
      for (const pair of source.items) {
        if (!isScalar(pair.key)) throw fail(line, "keys must be plain text");
        const key = String(pair.key.value);
        const keyOffset = pair.key.range?.[0];
        const keyLine = keyOffset === undefined ? line : lineAt(keyOffset);
        if (FORBIDDEN_KEYS.has(key)) throw fail(keyLine, `key '${key}' is not allowed`);
        if (entries.has(key)) throw fail(keyLine, `key '${key}' is given twice`);
        entries.set(key, convert(pair.value, depth + 1, keyLine));
      }
      return { kind: "map", entries, line };
    }
    if (isSeq(source)) {
      return { kind: "list", items: source.items.map((i) => convert(i, depth + 1, line)), line };
    }
    if (isScalar(source)) {
      return {
        kind: "scalar",
        text: source.value === null || source.value === undefined ? "" : String(source.value),
        plain: source.type === "PLAIN" || source.type === undefined,
        line,
      };
    }
    // A key without a value.
    return { kind: "scalar", text: "", plain: true, line };
  };
  if (document.contents === null) return undefined;
  const root = convert(document.contents, 0, base + 1);
  return root.kind === "scalar" && isYamlNull(root) ? undefined : root;
}

/** The line of the first alias beyond `most`; undefined when there are no more than that. */
function aliasBeyond(text: string, most: number): number | undefined {
  // Nearly every document has fewer asterisks than it may have aliases.
  let stars = 0;
  for (let at = text.indexOf("*"); at >= 0 && stars <= most; at = text.indexOf("*", at + 1)) {
    stars++;
  }
  if (stars <= most) return undefined;
  let [aliases, line, isScalarNext] = [0, 1, false];
  for (const token of new Lexer().lex(text)) {
    if (token[0] === "*" && !isScalarNext && ++aliases > most) return line;
    isScalarNext = token === SCALAR_FOLLOWS;
    for (let at = token.indexOf("\n"); at >= 0; at = token.indexOf("\n", at + 1)) line++;
  }
  return undefined;
}

/** Text up to the marker that starts a second document. */
function firstDocument(text: string): string {
  const first = /^(?:[ \t]*(?:#.*)?\r?\n|%.*\r?\n)*---(?:[ \t\r\n]|$)/.exec(text);
  const from = first === null ? 0 : first[0].length;
  const next = /^(?:---|\.\.\.)(?=[ \t\r\n]|$)/m.exec(text.slice(from));
  return next === null ? text : text.slice(0, from + next.index);
}

/** True for a plain scalar that stands for nothing. */
export function isYamlNull(node: YamlNode): boolean {
  return node.kind === "scalar" && node.plain && /^(?:~|null|Null|NULL)?$/.test(node.text);
}

/** One document of a stream and the line it starts at. */
export interface YamlText {
  readonly text: string;
  readonly firstLine: number;
}

/**
 * Splits a stream of text at `---` lines, one document at a time, so that a long stream is never held
 * whole. Documents of blanks and comments only are left out.
 *
 * Throws: bad_data when a document grows beyond `maxLength`.
 */
export async function* splitYamlStream(
  chunks: AsyncIterable<string>,
  maxLength = DEFAULT_MAX_LENGTH,
): AsyncGenerator<YamlText> {
  let lines: string[] = [];
  let length = 0;
  let firstLine = 1;
  let line = 0;
  let partial = "";
  const take = (): YamlText | undefined => {
    const text = lines.join("\n");
    const found = /^[ \t]*[^\s#]/m.test(text) ? { text, firstLine } : undefined;
    lines = [];
    length = 0;
    return found;
  };
  const addLine = (text: string): YamlText | undefined => {
    line++;
    let done: YamlText | undefined;
    if (/^(?:---|\.\.\.)(?:[ \t\r]|$)/.test(text)) {
      done = take();
      firstLine = line;
      // What follows the marker on its line belongs to the next document.
      text = text.slice(3).replace(/^[ \t]*#.*$/, "");
    }
    length += text.length + 1;
    if (length > maxLength) {
      throw new MnemeError(
        "bad_data",
        `line ${firstLine}: document is longer than ${maxLength} bytes`,
      );
    }
    lines.push(text);
    return done;
  };
  for await (const chunk of chunks) {
    const pieces = chunk.split("\n");
    pieces[0] = partial + pieces[0]!;
    partial = pieces.pop()!;
    if (partial.length > maxLength) {
      throw new MnemeError("bad_data", `line ${line + 1} is longer than ${maxLength} bytes`);
    }
    for (const piece of pieces) {
      const done = addLine(piece);
      if (done !== undefined) yield done;
    }
  }
  if (partial !== "") {
    const done = addLine(partial);
    if (done !== undefined) yield done;
  }
  const last = take();
  if (last !== undefined) yield last;
}

/** The tree as plain values, plain scalars typed by YAML 1.2's core rules. */
export function yamlToPlain(node: YamlNode): unknown {
  if (node.kind === "list") return node.items.map(yamlToPlain);
  if (node.kind === "map") {
    return Object.fromEntries([...node.entries].map(([key, value]) => [key, yamlToPlain(value)]));
  }
  if (!node.plain) return node.text;
  if (isYamlNull(node)) return null;
  if (/^(?:true|True|TRUE)$/.test(node.text)) return true;
  if (/^(?:false|False|FALSE)$/.test(node.text)) return false;
  if (/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(node.text)) return Number(node.text);
  if (/^0x[0-9a-fA-F]+$|^0o[0-7]+$/.test(node.text)) return Number(node.text);
  if (/^[-+]?\.(?:inf|Inf|INF)$/.test(node.text)) {
    return node.text.startsWith("-") ? -Infinity : Infinity;
  }
  return /^\.(?:nan|NaN|NAN)$/.test(node.text) ? NaN : node.text;
}

/** Plain values as a YAML document in block style. */
export function printYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
