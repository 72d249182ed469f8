/**
 * Tiny validators that turn a YAML tree into typed settings: strict keys, defaults, types.
 *
 *   const schema = s.object({ bucket: s.string(), timeout: s.duration("2m"), hosts: s.list(s.string()) });
 *   const config = readConfig(schema, text, { name: "--objstore.config" });
 *
 * Every error is one line: where it comes from, the line, the path of the key, what was expected.
 */
import { errorMessage, MnemeError, parseDuration, parseGoDuration } from "../base/mod.ts";
import { didYouMean } from "./did_you_mean.ts";
import { parseSize } from "./size.ts";
import { isYamlNull, parseYaml, type YamlLimits, type YamlNode } from "./yaml.ts";

/** Reads a node to a T; `undefined` stands for a key that is absent (or null). */
export interface Schema<T> {
  read(node: YamlNode | undefined, path: string): T;
}

/** The type a schema reads. */
export type SchemaType<S> = S extends Schema<infer T> ? T : never;

/** An error at a place in a document. */
export function schemaError(node: YamlNode | undefined, path: string, message: string): MnemeError {
  const where = node === undefined ? "" : `line ${node.line}: `;
  return new MnemeError("bad_data", `${where}${path === "" ? "" : `${path}: `}${message}`);
}

const join = (path: string, key: string) => path === "" ? key : `${path}.${key}`;

const KIND_WORDS = { scalar: "a single value", list: "a list", map: "a map" } as const;

function absent(node: YamlNode | undefined): node is undefined {
  return node === undefined || isYamlNull(node);
}

function textOf(node: YamlNode, path: string, expected: string): string {
  if (node.kind !== "scalar") {
    throw schemaError(node, path, `expected ${expected}, got ${KIND_WORDS[node.kind]}`);
  }
  return node.text;
}

/** A single value: `parse` throws on a wrong text; `fallback` undefined makes the key required. */
function scalar<T>(
  expected: string,
  fallback: T | undefined,
  parse: (text: string) => T,
): Schema<T> {
  return {
    read(node, path) {
      if (absent(node)) {
        if (fallback === undefined) throw schemaError(node, path, `is required: ${expected}`);
        return fallback;
      }
      const text = textOf(node, path, expected);
      try {
        return parse(text);
      } catch (cause) {
        throw schemaError(node, path, errorMessage(cause));
      }
    },
  };
}

function wrong(expected: string, text: string): MnemeError {
  const shown = text.length > 60 ? `${text.slice(0, 59)}…` : text;
  return new MnemeError("bad_data", `expected ${expected}, got ${JSON.stringify(shown)}`);
}

function string(fallback?: string): Schema<string> {
  return scalar("text", fallback, (text) => text);
}

function bool(fallback?: boolean): Schema<boolean> {
  const expected = "true or false";
  return scalar(expected, fallback, (text) => {
    if (/^(?:true|True|TRUE|yes|Yes|YES|on|On|ON|y|Y)$/.test(text)) return true;
    if (/^(?:false|False|FALSE|no|No|NO|off|Off|OFF|n|N)$/.test(text)) return false;
    throw wrong(expected, text);
  });
}

function int(
  fallback?: number,
  range: { readonly min?: number; readonly max?: number } = {},
): Schema<number> {
  const { min, max } = range;
  const expected = min === undefined && max === undefined
    ? "an integer"
    : max === undefined
    ? `an integer of at least ${min}`
    : `an integer from ${min ?? Number.MIN_SAFE_INTEGER} to ${max}`;
  return scalar(expected, fallback, (text) => {
    // 1e9 and 1_000 are integers in the documents people have.
    const plain = text.replaceAll("_", "");
    const value = /^[-+]?\d+(?:\.0*)?(?:[eE]\+?\d{1,2})?$|^0x[0-9a-fA-F]+$/.test(plain)
      ? Number(plain)
      : NaN;
    if (!Number.isSafeInteger(value) || value < (min ?? -Infinity) || value > (max ?? Infinity)) {
      throw wrong(expected, text);
    }
    return value;
  });
}

function float(fallback?: number): Schema<number> {
  return scalar("a number", fallback, (text) => {
    if (/^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text)) return Number(text);
    if (/^[-+]?\.(?:inf|Inf|INF)$/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
    if (/^\.(?:nan|NaN|NAN)$/.test(text)) return NaN;
    throw wrong("a number", text);
  });
}

function oneOf<const V extends string>(values: readonly V[], fallback?: NoInfer<V>): Schema<V> {
  const expected = `one of ${values.map((v) => JSON.stringify(v)).join(", ")}`;
  return scalar<V>(expected, fallback, (text) => {
    const found = values.find((v) => v === text);
    if (found === undefined) {
      throw new MnemeError(
        "bad_data",
        `${wrong(expected, text).message}${didYouMean(text, values)}`,
      );
    }
    return found;
  });
}

const parseOr = (text: string | undefined, parse: (text: string) => number) =>
  text === undefined ? undefined : parse(text);

/** Bytes, written as `250MB` or as a plain number of bytes. */
function size(fallback?: string): Schema<number> {
  const parse = (text: string) => /^\d+$/.test(text) ? parseSize(`${text}B`) : parseSize(text);
  return scalar("a size such as 250MB", parseOr(fallback, parse), parse);
}

/** Prometheus' durations, `1h30m`; ms. */
function duration(fallback?: string): Schema<number> {
  return scalar("a duration such as 1h30m", parseOr(fallback, parseDuration), parseDuration);
}

/** Go's durations, `1.5h`, or a plain number of nanoseconds; ms. */
function goDuration(fallback?: string): Schema<number> {
  const parse = (text: string) => parseGoDuration(/^-?\d+$/.test(text) ? `${text}ns` : text);
  return scalar("a duration such as 1m30s", parseOr(fallback, parse), parse);
}

/** A list; absent is empty. */
function list<T>(item: Schema<T>): Schema<readonly T[]> {
  return {
    read(node, path) {
      if (absent(node)) return [];
      if (node.kind !== "list") {
        throw schemaError(node, path, `expected a list, got ${KIND_WORDS[node.kind]}`);
      }
      return node.items.map((value, i) => item.read(value, `${path}[${i}]`));
    },
  };
}

/** A map with free keys; absent is empty. */
function map<T>(value: Schema<T>): Schema<ReadonlyMap<string, T>> {
  return {
    read(node, path) {
      if (absent(node)) return new Map();
      if (node.kind !== "map") {
        throw schemaError(node, path, `expected a map, got ${KIND_WORDS[node.kind]}`);
      }
      return new Map(
        [...node.entries].map(([key, item]) => [key, value.read(item, join(path, key))]),
      );
    },
  };
}

type Fields = Readonly<Record<string, Schema<unknown>>>;
type ObjectOf<F extends Fields> = { readonly [K in keyof F]: SchemaType<F[K]> };

/** A map with known keys; absent reads as empty, so that defaults apply at every depth. */
function object<F extends Fields>(
  fields: F,
  options: { readonly lenient?: boolean } = {},
): Schema<ObjectOf<F>> {
  return {
    read(node, path) {
      if (!absent(node) && node.kind !== "map") {
        throw schemaError(node, path, `expected a map, got ${KIND_WORDS[node.kind]}`);
      }
      const entries: ReadonlyMap<string, YamlNode> = absent(node)
        ? new Map()
        : (node as { entries: ReadonlyMap<string, YamlNode> }).entries;
      if (options.lenient !== true) {
        for (const [key, value] of entries) {
          if (!Object.hasOwn(fields, key)) {
            const hint = didYouMean(key, Object.keys(fields));
            throw schemaError(value, join(path, key), `unknown key${hint}`);
          }
        }
      }
      const out: Record<string, unknown> = {};
      for (const [key, field] of Object.entries(fields)) {
        const value = entries.get(key);
        // A missing key has no line of its own: the line of its map is the best place to look.
        if (value === undefined && node !== undefined) {
          try {
            out[key] = field.read(undefined, join(path, key));
          } catch (error) {
            throw new MnemeError("bad_data", `line ${node.line}: ${errorMessage(error)}`);
          }
        } else out[key] = field.read(value, join(path, key));
      }
      return out as ObjectOf<F>;
    },
  };
}

/** Absent (or null) reads as undefined. */
function optional<T>(schema: Schema<T>): Schema<T | undefined> {
  return { read: (node, path) => absent(node) ? undefined : schema.read(node, path) };
}

/** The tree itself, for a part that another schema reads later. */
const node: Schema<YamlNode | undefined> = { read: (value) => value };

/** Reads with `schema`, then checks or changes the value; `step` throws with a plain cause. */
function transform<T, U>(schema: Schema<T>, step: (value: T) => U): Schema<U> {
  return {
    read(value, path) {
      const read = schema.read(value, path);
      try {
        return step(read);
      } catch (cause) {
        throw schemaError(value, path, errorMessage(cause));
      }
    },
  };
}

/** Makers of schemas. */
export const schema = {
  string,
  bool,
  int,
  float,
  oneOf,
  size,
  duration,
  goDuration,
  list,
  map,
  object,
  optional,
  node,
  transform,
} as const;

/**
 * Parses a YAML text and reads it with a schema; the name of its source stands before every error.
 *
 * Throws: bad_data.
 */
export function readConfig<T>(of: Schema<T>, text: string, limits: YamlLimits = {}): T {
  return readNode(of, parseYaml(text, limits), limits.name);
}

/** Reads a tree that was parsed before. */
export function readNode<T>(of: Schema<T>, tree: YamlNode | undefined, name?: string): T {
  try {
    return of.read(tree, "");
  } catch (error) {
    if (name === undefined) throw error;
    throw new MnemeError("bad_data", `${name}: ${errorMessage(error)}`, { cause: error });
  }
}
