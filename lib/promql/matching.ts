/** Vector matching: which rows of two sides belong together, from labels alone. */
import {
  compareLabels,
  dropLabels,
  keepLabels,
  type Labels,
  labelsKeyBy,
  labelValue,
  METRIC_NAME,
  withLabel,
} from "../model/mod.ts";
import { compareUtf8 } from "../base/mod.ts";
import { NAME_LABELS } from "./operator.ts";

/** How many rows of each side may share a match key. */
export type Cardinality = "one-to-one" | "many-to-one" | "one-to-many" | "many-to-many";

/** The matching clause of a binary operator. */
export interface Matching {
  readonly cardinality: Cardinality;
  /** Labels of on(…) or ignoring(…). */
  readonly labels: readonly string[];
  readonly on: boolean;
  /** Labels of group_left(…) or group_right(…). */
  readonly include: readonly string[];
  /** Values for missing partners, undefined when they stay missing. */
  readonly fillLeft: number | undefined;
  readonly fillRight: number | undefined;
}

/** The key under which rows match. */
export function matchKey(matching: Matching): (labels: Labels) => string {
  if (matching.on) {
    const names = [...new Set(matching.labels)].sort(compareUtf8);
    return (labels) => labelsKeyBy(labels, names);
  }
  const names = new Set([METRIC_NAME, ...matching.labels]);
  return (labels) => keyWithout(labels, names);
}

/** labelsKey() of the labels that are not in `names`, without making them. */
function keyWithout(labels: Labels, names: ReadonlySet<string>): string {
  let key = "";
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i]!;
    if (names.has(name)) continue;
    const value = labels[i + 1]!;
    key += name.length + ":" + name + value.length + ":" + value;
  }
  return key;
}

/** The labels that make up the key, for messages and filled rows. */
export function matchLabels(matching: Matching): (labels: Labels) => Labels {
  if (matching.on) {
    const names = new Set(matching.labels);
    return (labels) => keepLabels(labels, names);
  }
  const names = new Set([METRIC_NAME, ...matching.labels]);
  return (labels) => dropLabels(labels, names);
}

/** Labels of a result from the row of the many (or left) side and its partner. */
export function resultLabels(
  matching: Matching,
  dropNames: boolean,
): (many: Labels, one: Labels) => Labels {
  const names = new Set(matching.labels);
  const oneToOne = matching.cardinality === "one-to-one";
  return (many, one) => {
    let labels = dropNames ? dropLabels(many, NAME_LABELS) : many;
    if (oneToOne) labels = matching.on ? keepLabels(labels, names) : dropLabels(labels, names);
    for (const name of matching.include) labels = withLabel(labels, name, labelValue(one, name));
    return labels;
  };
}

/** Rows of two sides by match key. */
export interface MatchTable {
  /** Key number of each row. */
  readonly leftKey: Uint32Array;
  readonly rightKey: Uint32Array;
  /** Rows per key, ascending. */
  readonly left: readonly number[][];
  readonly right: readonly number[][];
}

/** Builds the table. */
export function matchRows(
  left: readonly Labels[],
  right: readonly Labels[],
  matching: Matching,
): MatchTable {
  const key = matchKey(matching);
  const index = new Map<string, number>();
  const number = (labels: Labels): number => {
    const text = key(labels);
    let at = index.get(text);
    if (at === undefined) {
      at = index.size;
      index.set(text, at);
    }
    return at;
  };
  const leftKey = Uint32Array.from(left, number);
  const rightKey = Uint32Array.from(right, number);
  const leftRows: number[][] = Array.from({ length: index.size }, () => []);
  const rightRows: number[][] = Array.from({ length: index.size }, () => []);
  for (let i = 0; i < left.length; i++) leftRows[leftKey[i]!]!.push(i);
  for (let i = 0; i < right.length; i++) rightRows[rightKey[i]!]!.push(i);
  return { leftKey, rightKey, left: leftRows, right: rightRows };
}

/** Two label sets in the order in which messages name them. */
export function sortedPair(a: Labels, b: Labels): [Labels, Labels] {
  return compareLabels(a, b) <= 0 ? [a, b] : [b, a];
}
