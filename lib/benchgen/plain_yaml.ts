/**
 * A short way through the YAML that plans consist of: block maps and lists of one-line values.
 *
 * Plans have up to a million such lines, and a full parser takes 20 times as long over them. What is
 * not plainly of this kind (quotes with escapes, flow collections, comments, anchors, tabs, doubled
 * keys, odd indentation) is left to the full parser, errors included.
 */
import type { YamlNode } from "../config/mod.ts";

const LINE = /^( *)((?:- )?)(?:([A-Za-z_][A-Za-z0-9_]*):(?: (.*))?|(.+))$/;
/** A plain value that means the same to every parser. */
const PLAIN = /^(?:[A-Za-z0-9_/.]|-[0-9])(?:[^:#\s]|:(?! |$)|[ ](?! |#|$)|(?<! )#)*$/;
const QUOTED = /^"[^"\\]*"$/;
const MAX_DEPTH = 32;

/** The tree of a plain document; undefined when it needs the full parser. */
export function parsePlainYaml(text: string, firstLine: number): YamlNode | undefined {
  const lines = text.split("\n");
  while (lines.length > 0 && lines[lines.length - 1] === "") lines.pop();
  let start = 0;
  while (start < lines.length && lines[start] === "") start++;
  const reader = new PlainReader(lines, start, firstLine);
  try {
    const tree = reader.block(0, 0);
    return reader.atEnd ? tree : undefined;
  } catch (error) {
    if (error === NOT_PLAIN) return undefined;
    throw error;
  }
}

/** Thrown inside only: the document is not of the plain kind. */
const NOT_PLAIN = new Error("not plain");

class PlainReader {
  readonly #lines: readonly string[];
  readonly #base: number;
  #at: number;
  // The current line, taken apart; #item is true as long as its "- " is not consumed.
  #indent = -1;
  #item = false;
  #key: string | undefined;
  #value = "";

  constructor(lines: readonly string[], start: number, firstLine: number) {
    this.#lines = lines;
    this.#base = firstLine;
    this.#at = start - 1;
    this.#advance();
  }

  get atEnd(): boolean {
    return this.#at >= this.#lines.length;
  }

  #advance(): void {
    this.#at++;
    if (this.atEnd) {
      this.#indent = -1;
      return;
    }
    const m = LINE.exec(this.#lines[this.#at]!);
    if (m === null) throw NOT_PLAIN;
    this.#indent = m[1]!.length;
    this.#item = m[2] !== "";
    this.#key = m[3];
    this.#value = m[3] === undefined ? m[5]! : m[4] ?? "";
  }

  /** The list or map that starts at the current line. */
  block(indent: number, depth: number): YamlNode {
    if (this.atEnd || this.#indent !== indent || depth > MAX_DEPTH) throw NOT_PLAIN;
    return this.#item ? this.#list(indent, depth) : this.#map(indent, depth);
  }

  #list(indent: number, depth: number): YamlNode {
    const line = this.#base + this.#at;
    const items: YamlNode[] = [];
    while (this.#indent === indent && this.#item) {
      if (this.#key === undefined) {
        items.push(this.#scalar());
        this.#advance();
        continue;
      }
      // What follows "- " is the first line of a map two columns further in.
      this.#item = false;
      this.#indent = indent + 2;
      items.push(this.#map(indent + 2, depth + 1));
    }
    if (this.#indent > indent) throw NOT_PLAIN;
    return { kind: "list", items, line };
  }

  #map(indent: number, depth: number): YamlNode {
    const line = this.#base + this.#at;
    const entries = new Map<string, YamlNode>();
    while (this.#indent === indent && !this.#item) {
      const key = this.#key;
      if (key === undefined || key === "__proto__" || entries.has(key)) throw NOT_PLAIN;
      if (this.#value !== "") {
        entries.set(key, this.#scalar());
        this.#advance();
        continue;
      }
      const keyLine = this.#base + this.#at;
      this.#advance();
      // A list may stand at the indentation of its key.
      const nested = this.#indent > indent || (this.#indent === indent && this.#item);
      entries.set(
        key,
        nested
          ? this.block(this.#indent, depth + 1)
          : { kind: "scalar", text: "", plain: true, line: keyLine },
      );
    }
    if (this.#indent > indent) throw NOT_PLAIN;
    return { kind: "map", entries, line };
  }

  #scalar(): YamlNode {
    const text = this.#value;
    const line = this.#base + this.#at;
    if (PLAIN.test(text)) return { kind: "scalar", text, plain: true, line };
    if (QUOTED.test(text)) return { kind: "scalar", text: text.slice(1, -1), plain: false, line };
    if (text === "[]") return { kind: "list", items: [], line };
    if (text === "{}") return { kind: "map", entries: new Map(), line };
    throw NOT_PLAIN;
  }
}
