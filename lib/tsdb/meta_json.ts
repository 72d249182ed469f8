/** Strict reading of a JSON document by key, and printing it as Go's encoder does. */
import { compareUtf8, CorruptionError } from "../base/mod.ts";

/** An object whose keys are printed in insertion order (plain JS objects move "1" to the front). */
export type JsonMap = Map<string, unknown>;

/** One value of a document, with its path; null and absent read as the zero value. */
export class JsonReader {
  readonly value: unknown;
  readonly #path: string;
  readonly #file: string;

  constructor(value: unknown, path: string, file: string) {
    this.value = value;
    this.#path = path;
    this.#file = file;
  }

  /** Throws a CorruptionError that names the key. */
  fail(key: string, reason: string): never {
    const path = this.#pathOf(key);
    throw new CorruptionError(path === "" ? reason : `${path}: ${reason}`, { file: this.#file });
  }
  #pathOf(key: string): string {
    return key === "" ? this.#path : this.#path === "" ? key : `${this.#path}.${key}`;
  }

  /** The member `key`, undefined when absent or null; "" is the value itself. */
  raw(key: string): unknown {
    if (key === "") return this.value ?? undefined;
    const value = this.value;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.fail("", `${kindOf(value)} instead of an object`);
    }
    // Own members only: a document may hold "__proto__" and must not see Object's own.
    const member = Object.hasOwn(value, key)
      ? (value as Readonly<Record<string, unknown>>)[key]
      : undefined;
    return member ?? undefined;
  }
  has(key: string): boolean {
    return this.raw(key) !== undefined;
  }
  string(key: string): string {
    const value = this.raw(key);
    if (value === undefined) return "";
    return typeof value === "string" ? value : this.#wrong(key, value, "a string");
  }
  boolean(key: string): boolean {
    const value = this.raw(key);
    if (value === undefined) return false;
    return typeof value === "boolean" ? value : this.#wrong(key, value, "true or false");
  }
  integer(key: string): number {
    const value = this.raw(key);
    if (value === undefined) return 0;
    if (typeof value !== "number") return this.#wrong(key, value, "a number");
    if (!Number.isInteger(value)) return this.fail(key, `${value} is no whole number`);
    if (!Number.isSafeInteger(value)) return this.fail(key, `${value} is beyond 2^53`);
    return value;
  }
  /** A whole number of 0 and more. */
  count(key: string): number {
    const value = this.integer(key);
    return value < 0 ? this.fail(key, `${value} is negative`) : value;
  }
  object(key: string): JsonReader {
    const value = this.raw(key) ?? {};
    if (typeof value !== "object" || Array.isArray(value)) this.#wrong(key, value, "an object");
    return new JsonReader(value, this.#pathOf(key), this.#file);
  }
  array<T>(key: string, read: (item: JsonReader) => T): T[] {
    const value = this.raw(key) ?? [];
    if (!Array.isArray(value)) this.#wrong(key, value, "a list");
    return (value as unknown[]).map((item, i) =>
      read(new JsonReader(item, `${this.#pathOf(key)}[${i}]`, this.#file))
    );
  }
  /** Members of an object of strings. */
  stringMap(key: string): Map<string, string> {
    const value = this.object(key).value as Readonly<Record<string, unknown>>;
    const map = new Map<string, string>();
    for (const [name, member] of Object.entries(value)) {
      map.set(
        name,
        typeof member === "string" ? member : this.#wrong(`${key}.${name}`, member, "a string"),
      );
    }
    return map;
  }
  #wrong(key: string, value: unknown, wanted: string): never {
    return this.fail(key, `${kindOf(value)} instead of ${wanted}`);
  }
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Prints a document with TABs; foreign objects get their keys in byte order. */
export function printJson(value: unknown, indent = ""): string {
  const inner = indent + "\t";
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    const items = value.map((item) => inner + printJson(item, inner));
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  if (typeof value === "object" && value !== null) {
    const entries = value instanceof Map
      ? [...value as JsonMap]
      : Object.entries(value).sort((a, b) => compareUtf8(a[0], b[0]));
    if (entries.length === 0) return "{}";
    const items = entries.map(([k, v]) => `${inner}${printString(k)}: ${printJson(v, inner)}`);
    return `{\n${items.join(",\n")}\n${indent}}`;
  }
  return typeof value === "string" ? printString(value) : JSON.stringify(value);
}

function printString(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}
