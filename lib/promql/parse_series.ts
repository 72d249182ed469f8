/**
 * Series descriptions of test scripts: `metric{a="b"} 1 2+3x2 _ stale {{count:1}}x3`, and lines of
 * start times: `metric{a="b"}@st _ -30s-1mx2`.
 */
import { MnemeError, parseDuration, parseGoFloat } from "../base/mod.ts";
import {
  addHistogram,
  bitsOf,
  copyHistogram,
  type FloatHistogram,
  type Labels,
  labelsFromPairs,
  MERGE_INCOMPATIBLE,
  METRIC_NAME,
  parseHistogram,
  setStaleAt,
  subtractHistogram,
} from "../model/mod.ts";

/** What a slot of a sequence holds. */
export const SLOT_EMPTY = 0;
export const SLOT_FLOAT = 1;
export const SLOT_HISTOGRAM = 2;

/**
 * Values of a series in script order, one slot per step.
 *
 * Shape: slot i is told by kind[i]; v is bit-exact (stale markers); columns have `length` elements.
 */
export interface SeriesValues {
  readonly length: number;
  readonly kind: Uint8Array;
  readonly v: Float64Array;
  readonly h: readonly (FloatHistogram | undefined)[];
  /** 1 where the description names the counter reset hint. */
  readonly hinted: Uint8Array;
}

/** One line of a script. */
export interface SeriesDescription {
  readonly labels: Labels;
  /** The values are start times relative to the sample's time, ms. */
  readonly startTimes: boolean;
  readonly values: SeriesValues;
}

/** Collects slots. */
class Slots {
  #kind: number[] = [];
  #v = new Float64Array(16);
  #h: (FloatHistogram | undefined)[] = [];
  #hinted: number[] = [];

  #push(kind: number): number {
    const i = this.#kind.length;
    if (i >= MAX_VALUES) {
      throw new MnemeError("bad_data", `a series description has more than ${MAX_VALUES} values`);
    }
    this.#kind.push(kind);
    this.#hinted.push(0);
    this.#h.push(undefined);
    if (i === this.#v.length) {
      const grown = new Float64Array(i * 2);
      grown.set(this.#v);
      this.#v = grown;
    }
    return i;
  }

  empty(): void {
    this.#push(SLOT_EMPTY);
  }

  float(x: number): void {
    const i = this.#push(SLOT_FLOAT);
    this.#v[i] = x;
  }

  stale(): void {
    const i = this.#push(SLOT_FLOAT);
    setStaleAt(bitsOf(this.#v), i);
  }

  histogram(h: FloatHistogram, hinted: boolean): void {
    const i = this.#push(SLOT_HISTOGRAM);
    this.#h[i] = h;
    this.#hinted[i] = hinted ? 1 : 0;
  }

  finish(): SeriesValues {
    const length = this.#kind.length;
    return {
      length,
      kind: Uint8Array.from(this.#kind),
      v: this.#v.slice(0, length),
      h: this.#h,
      hinted: Uint8Array.from(this.#hinted),
    };
  }
}

/** Most values that one description may stand for. */
const MAX_VALUES = 1_000_000;

/** Reads one description. Throws: bad_data with what could not be read. */
export function parseSeriesDescription(text: string): SeriesDescription {
  const { labels, rest } = parseMetric(text);
  const startTimes = rest.startsWith("@st");
  const values = startTimes ? rest.slice(3) : rest;
  if (values !== "" && !/^\s/.test(values)) throw fault(`cannot read "${values}"`);
  return { labels, startTimes, values: startTimes ? parseOffsets(values) : parseValues(values) };
}

function fault(what: string): MnemeError {
  return new MnemeError("bad_data", `series description: ${what}`);
}

/** Reads a metric and its labels from the front of `text`. */
export function parseMetric(text: string): { labels: Labels; rest: string } {
  const pairs: [string, string][] = [];
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(text)?.[0] ?? "";
  let at = name.length;
  if (name !== "") pairs.push([METRIC_NAME, name]);
  const space = () => {
    while (at < text.length && /\s/.test(text[at]!)) at++;
  };
  if (text[at] !== "{") {
    if (name === "") throw fault(`a metric is expected, got "${text}"`);
    return { labels: labelsFromPairs(pairs), rest: text.slice(at) };
  }
  at++;
  for (;;) {
    space();
    if (text[at] === "}") break;
    let label: string;
    const quote = text[at];
    if (quote === '"' || quote === "'" || quote === "`") {
      const end = endOfString(text, at);
      label = unquote(text.slice(at, end));
      at = end;
    } else {
      label = /^[a-zA-Z_][a-zA-Z0-9_]*/.exec(text.slice(at))?.[0] ?? "";
      if (label === "") throw fault(`a label name is expected at "${text.slice(at)}"`);
      at += label.length;
    }
    space();
    if (text[at] === "=") {
      at++;
      space();
      const end = endOfString(text, at);
      pairs.push([label, unquote(text.slice(at, end))]);
      at = end;
    } else pairs.push([METRIC_NAME, label]);
    space();
    if (text[at] === ",") at++;
    else if (text[at] !== "}") throw fault(`"," or "}" is expected at "${text.slice(at)}"`);
  }
  return { labels: labelsFromPairs(pairs), rest: text.slice(at + 1) };
}

function endOfString(text: string, from: number): number {
  const quote = text[from];
  if (quote !== '"' && quote !== "'" && quote !== "`") {
    throw fault(`a quoted string is expected at "${text.slice(from)}"`);
  }
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === "\\" && quote !== "`") i++;
    else if (text[i] === quote) return i + 1;
  }
  throw fault(`unterminated string ${text.slice(from)}`);
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** The text of a string literal with Go's escapes; bytes given as \x or octal are read as UTF-8. */
export function unquote(literal: string): string {
  if (literal.startsWith("`")) return literal.slice(1, -1);
  const body = literal.slice(1, -1);
  if (!body.includes("\\")) return body;
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  const pattern =
    /\\x([0-9a-fA-F]{2})|\\([0-7]{3})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|([^\\]+)/gsu;
  for (const m of body.matchAll(pattern)) {
    if (m[1] !== undefined) bytes.push(parseInt(m[1], 16));
    else if (m[2] !== undefined) bytes.push(parseInt(m[2], 8) & 0xff);
    else if (m[3] !== undefined || m[4] !== undefined) {
      bytes.push(...encoder.encode(String.fromCodePoint(parseInt(m[3] ?? m[4]!, 16))));
    } else if (m[5] !== undefined) {
      const char = ESCAPES[m[5]];
      if (char === undefined) throw fault(`unknown escape \\${m[5]} in ${literal}`);
      bytes.push(char.charCodeAt(0));
    } else bytes.push(...encoder.encode(m[6]!));
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** `_`, `stale`, numbers and histograms, each with `xN`, numbers and histograms with `±stepxN`. */
function parseValues(text: string): SeriesValues {
  const slots = new Slots();
  let rest = text.trim();
  while (rest !== "") {
    const item = rest.startsWith("{{") ? histogramItem(rest, slots) : plainItem(rest, slots);
    rest = rest.slice(item);
    if (rest !== "" && !/^\s/.test(rest)) throw fault(`cannot read "${rest}"`);
    rest = rest.trimStart();
  }
  return slots.finish();
}

function histogramItem(text: string, slots: Slots): number {
  const m = /^(\{\{[^}]*\}\})(?:([+-])(\{\{[^}]*\}\}))?(?:x(\d+))?/.exec(text);
  if (m === null) throw fault(`cannot read "${text}"`);
  const base = parseHistogram(m[1]!);
  const hinted = m[1]!.includes("counter_reset_hint");
  if (m[3] === undefined) {
    const times = m[4] === undefined ? 0 : Number(m[4]);
    for (let i = 0; i <= times; i++) slots.histogram(copyHistogram(base), hinted);
    return m[0].length;
  }
  if (m[4] === undefined) throw fault(`"x" and a count are expected behind "${m[0]}"`);
  const step = parseHistogram(m[3]);
  const merge = m[2] === "+" ? addHistogram : subtractHistogram;
  let current = base;
  slots.histogram(base, hinted);
  for (let i = 0; i < Number(m[4]); i++) {
    if (current.schema > step.schema) {
      throw fault(
        `error combining histograms: cannot merge from schema ${step.schema} to ${current.schema}`,
      );
    }
    current = copyHistogram(current);
    if ((merge(current, step) & MERGE_INCOMPATIBLE) !== 0) {
      throw fault("error combining histograms: exponential and custom buckets");
    }
    slots.histogram(current, hinted);
  }
  return m[0].length;
}

// No hexadecimal numbers: `0x10` means eleven zeros.
const NUMBER = String.raw`(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI][nN][fF]|[nN][aA][nN])`;
const PLAIN = new RegExp(
  String.raw`^(?:(_)|(stale)|([+-]?${NUMBER})(?:([+-])(${NUMBER})(?=x))?)(?:x(\d+))?`,
);

function plainItem(text: string, slots: Slots): number {
  const m = PLAIN.exec(text);
  if (m === null) throw fault(`cannot read "${text}"`);
  const [whole, missing, stale, base, sign, step, count] = m;
  if (missing !== undefined || stale !== undefined) {
    const times = count === undefined ? 1 : Number(count);
    // `_x3` are three gaps; `stalex3` is three after the first, as with numbers.
    const extra = stale !== undefined && count !== undefined ? 1 : 0;
    for (let i = 0; i < times + extra; i++) {
      if (stale !== undefined) slots.stale();
      else slots.empty();
    }
    return whole.length;
  }
  let x = numberOf(base!);
  const delta = step === undefined ? 0 : numberOf(step) * (sign === "-" ? -1 : 1);
  const times = count === undefined ? 0 : Number(count);
  for (let i = 0; i <= times; i++) {
    slots.float(x);
    x += delta;
  }
  return whole.length;
}

function numberOf(text: string): number {
  const x = parseGoFloat(text);
  if (x !== undefined) return x;
  if (/nan$/i.test(text)) return NaN;
  throw fault(`"${text}" is not a number`);
}

const OFFSET = /^(?:(_)|([+-]?)([0-9][0-9a-z]*?)(?:([+-])([0-9][0-9a-z]*?))?)(?:x(\d+))?(?=\s|$)/;

/** `_` (unknown) and durations relative to the sample's time. */
function parseOffsets(text: string): SeriesValues {
  const slots = new Slots();
  let rest = text.trim();
  while (rest !== "") {
    const m = OFFSET.exec(rest);
    if (m === null) throw fault(`cannot read start time "${rest}"`);
    const [whole, missing, sign, base, stepSign, step, count] = m;
    const times = count === undefined ? 0 : Number(count);
    if (missing !== undefined) {
      for (let i = 0; i < Math.max(1, times); i++) slots.empty();
    } else {
      let x = parseDuration(base!) * (sign === "-" ? -1 : 1);
      const delta = step === undefined ? 0 : parseDuration(step) * (stepSign === "-" ? -1 : 1);
      for (let i = 0; i <= times; i++) {
        slots.float(x);
        x += delta;
      }
    }
    rest = rest.slice(whole.length).trimStart();
  }
  return slots.finish();
}
