/**
 * Labels: the sorted, flat list of name/value pairs that names a series.
 *
 * Shape: [name0, value0, name1, value1, …], names ascending in UTF-8 byte order, no duplicate
 * names, no empty values. The brand keeps unsorted arrays from passing as labels.
 */
import { compareUtf8, encodeUtf8Into, utf8Length } from "../base/mod.ts";

declare const brand: unique symbol;
/** A label set; immutable. */
export type Labels = readonly string[] & { readonly [brand]: true };

/** The label that carries the metric name. */
export const METRIC_NAME = "__name__";
/** The label of a classic histogram bucket's upper bound. */
export const BUCKET_LABEL = "le";

/** The empty label set. */
export const EMPTY_LABELS: Labels = Object.freeze([]) as unknown as Labels;

/** Declares that a flat array already has the shape of Labels; the array must not change later. */
export function labelsFromSorted(flat: readonly string[]): Labels {
  return flat as Labels;
}

/** Labels from name/value pairs in any order; the last of equal names wins, empty values are dropped. */
export function labelsFromPairs(pairs: Iterable<readonly [string, string]>): Labels {
  const map = new Map<string, string>();
  for (const [name, value] of pairs) map.set(name, value);
  const names = [...map.keys()].filter((n) => map.get(n) !== "").sort(compareUtf8);
  const flat: string[] = [];
  for (const n of names) flat.push(n, map.get(n)!);
  return flat as unknown as Labels;
}

/** Labels from an object. */
export function labelsFromRecord(record: Readonly<Record<string, string>>): Labels {
  return labelsFromPairs(Object.entries(record));
}

/** Number of labels. */
export function labelCount(labels: Labels): number {
  return labels.length >> 1;
}

/** Value of `name`, "" when absent (which means the same in this field). */
export function labelValue(labels: Labels, name: string): string {
  for (let i = 0; i < labels.length; i += 2) if (labels[i] === name) return labels[i + 1]!;
  return "";
}

/** True when `name` is present. */
export function hasLabel(labels: Labels, name: string): boolean {
  for (let i = 0; i < labels.length; i += 2) if (labels[i] === name) return true;
  return false;
}

/** Pairs in name order. */
export function* labelPairs(labels: Labels): IterableIterator<readonly [string, string]> {
  for (let i = 0; i < labels.length; i += 2) yield [labels[i]!, labels[i + 1]!];
}

/** An object with a null prototype, for JSON. */
export function labelsToRecord(labels: Labels): Record<string, string> {
  const record: Record<string, string> = Object.create(null);
  for (let i = 0; i < labels.length; i += 2) record[labels[i]!] = labels[i + 1]!;
  return record;
}

/** Orders label sets as Prometheus does: pair by pair by bytes, a prefix first. */
export function compareLabels(a: Labels, b: Labels): number {
  const n = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < n; i++) {
    if (a[i] !== b[i]) return compareUtf8(a[i]!, b[i]!);
  }
  return a.length - b.length;
}

/** True when both hold the same pairs. */
export function equalLabels(a: Labels, b: Labels): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A string that is equal exactly for equal label sets; for use as a map key. */
export function labelsKey(labels: Labels): string {
  let key = "";
  for (let i = 0; i < labels.length; i++) key += labels[i]!.length + ":" + labels[i]!;
  return key;
}

/** The key of the labels named in `names` (sorted or not, absent ones count as ""). */
export function labelsKeyBy(labels: Labels, names: readonly string[]): string {
  let key = "";
  for (let i = 0; i < names.length; i++) {
    const v = labelValue(labels, names[i]!);
    key += v.length + ":" + v;
  }
  return key;
}

/** Keeps only the labels in `names`. */
export function keepLabels(labels: Labels, names: ReadonlySet<string>): Labels {
  const out: string[] = [];
  for (let i = 0; i < labels.length; i += 2) {
    if (names.has(labels[i]!)) out.push(labels[i]!, labels[i + 1]!);
  }
  return out.length === labels.length ? labels : out as unknown as Labels;
}

/** Drops the labels in `names`; returns the same object when none is present. */
export function dropLabels(labels: Labels, names: ReadonlySet<string>): Labels {
  let i = 0;
  while (i < labels.length && !names.has(labels[i]!)) i += 2;
  if (i >= labels.length) return labels;
  const out = labels.slice(0, i);
  for (i += 2; i < labels.length; i += 2) {
    if (!names.has(labels[i]!)) out.push(labels[i]!, labels[i + 1]!);
  }
  return out as unknown as Labels;
}

/** Sets one label ("" removes it). */
export function withLabel(labels: Labels, name: string, value: string): Labels {
  const out: string[] = [];
  let placed = value === "";
  for (let i = 0; i < labels.length; i += 2) {
    const n = labels[i]!;
    if (n === name) continue;
    if (!placed && compareUtf8(n, name) > 0) {
      out.push(name, value);
      placed = true;
    }
    out.push(n, labels[i + 1]!);
  }
  if (!placed) out.push(name, value);
  return out as unknown as Labels;
}

/** Merges two label sets; on equal names `over` wins. Used to add external labels. */
export function mergeLabels(base: Labels, over: Labels): Labels {
  if (over.length === 0) return base;
  if (base.length === 0) return over;
  const out: string[] = [];
  let i = 0;
  let j = 0;
  while (i < base.length && j < over.length) {
    const a = base[i]!;
    const b = over[j]!;
    if (a === b) {
      out.push(b, over[j + 1]!);
      i += 2;
      j += 2;
    } else if (compareUtf8(a, b) < 0) {
      out.push(a, base[i + 1]!);
      i += 2;
    } else {
      out.push(b, over[j + 1]!);
      j += 2;
    }
  }
  for (; i < base.length; i++) out.push(base[i]!);
  for (; j < over.length; j++) out.push(over[j]!);
  return out as unknown as Labels;
}

/** Text as Prometheus prints a label set: `{__name__="up", job="a"}`. */
export function formatLabels(labels: Labels): string {
  let s = "{";
  for (let i = 0; i < labels.length; i += 2) {
    if (i > 0) s += ", ";
    const name = labels[i]!;
    s += `${isLegacyLabelName(name) ? name : quoteGo(name)}=${quoteGo(labels[i + 1]!)}`;
  }
  return s + "}";
}

/** `[a-zA-Z_][a-zA-Z0-9_]*`: a label name that needs no quotes. */
export function isLegacyLabelName(name: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);
}

/** `[a-zA-Z_:][a-zA-Z0-9_:]*`: a metric name that needs no quotes. */
export function isLegacyMetricName(name: string): boolean {
  return /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name);
}

/** Quotes as Go's strconv.Quote: printable characters stay, control characters are escaped. */
export function quoteGo(text: string): string {
  let s = '"';
  for (const ch of text) {
    const c = ch.codePointAt(0)!;
    if (ch === '"') s += '\\"';
    else if (ch === "\\") s += "\\\\";
    else if (c >= 0x20 && c < 0x7f) s += ch;
    else if (c === 0x07) s += "\\a";
    else if (c === 0x08) s += "\\b";
    else if (c === 0x0c) s += "\\f";
    else if (c === 0x0a) s += "\\n";
    else if (c === 0x0d) s += "\\r";
    else if (c === 0x09) s += "\\t";
    else if (c === 0x0b) s += "\\v";
    else if (c < 0x20 || c === 0x7f) s += "\\x" + c.toString(16).padStart(2, "0");
    // A byte that is no UTF-8, kept as a lone surrogate.
    else if (c >= 0xdc80 && c <= 0xdcff) s += "\\x" + (c - 0xdc00).toString(16);
    else if (/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(ch)) s += ch;
    else if (c < 0x10000) s += "\\u" + c.toString(16).padStart(4, "0");
    else s += "\\U" + c.toString(16).padStart(8, "0");
  }
  return s + '"';
}

/** Bytes `name 0xFF value 0xFF …` in label order: the input of the hashes Thanos uses. */
export function labelsHashInput(labels: Labels): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (let i = 0; i < labels.length; i++) size += utf8Length(labels[i]!) + 1;
  const bytes = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < labels.length; i++) {
    at += encodeUtf8Into(labels[i]!, bytes, at);
    bytes[at++] = 0xff;
  }
  return bytes;
}
