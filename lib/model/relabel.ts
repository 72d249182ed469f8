/**
 * Relabelling: rules that change or drop a label set, read from YAML as Prometheus has them.
 *
 * Source: Prometheus' `relabel_config`; hashes are the last eight bytes of MD5, as there.
 */
import { createHash } from "node:crypto";
import { MnemeError } from "../base/mod.ts";
import { readConfig, schema } from "../config/mod.ts";
import { EMPTY_LABELS, type Labels, labelsFromPairs, labelValue, withLabel } from "./labels.ts";
import { compileReplace, expandTemplate, type ReplacePattern } from "./regexp.ts";

/** What a rule does. */
export const RELABEL_ACTIONS = [
  "replace",
  "keep",
  "drop",
  "keepequal",
  "dropequal",
  "hashmod",
  "labelmap",
  "labeldrop",
  "labelkeep",
  "lowercase",
  "uppercase",
] as const;

/** One of the actions. */
export type RelabelAction = typeof RELABEL_ACTIONS[number];

/** A checked rule. */
export interface RelabelRule {
  readonly action: RelabelAction;
  readonly sourceLabels: readonly string[];
  readonly separator: string;
  readonly pattern: ReplacePattern;
  /** Divisor of `hashmod`, 0 elsewhere. */
  readonly modulus: number;
  readonly targetLabel: string;
  readonly replacement: string;
}

/** Settings of a rule as written; absent ones have Prometheus' defaults. */
export interface RelabelSettings {
  readonly action?: string;
  readonly sourceLabels?: readonly string[];
  readonly separator?: string;
  readonly regex?: string;
  readonly modulus?: number;
  readonly targetLabel?: string;
  readonly replacement?: string;
}

const DEFAULT_SEPARATOR = ";";
const DEFAULT_REGEX = "(.*)";
const DEFAULT_REPLACEMENT = "$1";
/** Largest modulus. */
const MAX_MODULUS = Number.MAX_SAFE_INTEGER;

const RULE = schema.object({
  action: schema.string("replace"),
  source_labels: schema.list(schema.string()),
  separator: schema.optional(schema.string()),
  regex: schema.optional(schema.string()),
  modulus: schema.int(0, { min: 0, max: MAX_MODULUS }),
  target_label: schema.string(""),
  replacement: schema.optional(schema.string()),
});

const RULES = schema.list(
  schema.transform(RULE, (read) =>
    makeRelabelRule({
      action: read.action,
      sourceLabels: read.source_labels,
      modulus: read.modulus,
      targetLabel: read.target_label,
      ...(read.separator === undefined ? {} : { separator: read.separator }),
      ...(read.regex === undefined ? {} : { regex: read.regex }),
      ...(read.replacement === undefined ? {} : { replacement: read.replacement }),
    })),
);

/**
 * Reads a YAML list of rules; `allowed` limits the actions (block selection takes `keep`, `drop` and
 * `hashmod` only).
 *
 * Throws: bad_data that names `name`, the line and the key.
 */
export function parseRelabelRules(
  text: string,
  name: string,
  allowed: readonly RelabelAction[] = RELABEL_ACTIONS,
): readonly RelabelRule[] {
  const rules = readConfig(RULES, text, { name });
  for (const { action } of rules) {
    if (!allowed.includes(action)) {
      throw new MnemeError(
        "bad_data",
        `${name}: action "${action}" is not supported here, use one of ${allowed.join(", ")}`,
      );
    }
  }
  return rules;
}

/** Checks settings and fills in the defaults. Throws: bad_data with the reason. */
export function makeRelabelRule(settings: RelabelSettings): RelabelRule {
  const name = (settings.action ?? "replace").toLowerCase();
  const action = RELABEL_ACTIONS.find((known) => known === name);
  const fail = (reason: string): never => {
    throw new MnemeError("bad_data", reason);
  };
  if (action === undefined) return fail(`unknown relabel action "${settings.action}"`);
  const { sourceLabels = [], modulus = 0, targetLabel = "" } = settings;
  const needsTarget = ["replace", "keepequal", "dropequal", "hashmod", "lowercase", "uppercase"];
  if (needsTarget.includes(action) && targetLabel === "") {
    fail(`relabel action "${action}" needs a target_label`);
  }
  if (action === "hashmod" && modulus === 0) fail('relabel action "hashmod" needs a modulus');
  const onlyRegex = action === "labeldrop" || action === "labelkeep";
  const equality = action === "keepequal" || action === "dropequal";
  if (
    (onlyRegex && (sourceLabels.length > 0 || targetLabel !== "")) ||
    ((onlyRegex || equality) && (modulus !== 0 ||
      differs(settings.separator, DEFAULT_SEPARATOR) ||
      differs(settings.replacement, DEFAULT_REPLACEMENT))) ||
    (equality && differs(settings.regex, DEFAULT_REGEX))
  ) {
    fail(
      `relabel action "${action}" takes only ${
        onlyRegex ? "regex" : "source_labels and target_label"
      }`,
    );
  }
  return {
    action,
    sourceLabels,
    separator: settings.separator ?? DEFAULT_SEPARATOR,
    pattern: compileReplace(settings.regex ?? DEFAULT_REGEX),
    modulus,
    targetLabel,
    replacement: settings.replacement ?? DEFAULT_REPLACEMENT,
  };
}

function differs(value: string | undefined, standard: string): boolean {
  return value !== undefined && value !== standard;
}

/** Applies the rules in order; undefined when one of them drops the label set. */
export function relabel(labels: Labels, rules: readonly RelabelRule[]): Labels | undefined {
  let current: Labels | undefined = labels;
  for (const rule of rules) {
    current = applyRule(current, rule);
    if (current === undefined) return undefined;
  }
  return current;
}

function applyRule(labels: Labels, rule: RelabelRule): Labels | undefined {
  const { action, pattern, targetLabel } = rule;
  if (action === "labelmap" || action === "labeldrop" || action === "labelkeep") {
    return applyToNames(labels, rule);
  }
  const value = rule.sourceLabels.map((name) => labelValue(labels, name)).join(rule.separator);
  switch (action) {
    case "keep":
      return pattern.match(value) === undefined ? undefined : labels;
    case "drop":
      return pattern.match(value) === undefined ? labels : undefined;
    case "keepequal":
      return labelValue(labels, targetLabel) === value ? labels : undefined;
    case "dropequal":
      return labelValue(labels, targetLabel) === value ? undefined : labels;
    case "lowercase":
      return withLabel(labels, targetLabel, value.toLowerCase());
    case "uppercase":
      return withLabel(labels, targetLabel, value.toUpperCase());
    case "hashmod":
      return withLabel(labels, targetLabel, String(hashModulo(value, rule.modulus)));
    case "replace": {
      const groups = pattern.match(value);
      if (groups === undefined) return labels;
      const target = expandTemplate(targetLabel, groups, pattern.groupNames);
      if (target === "") return labels;
      const text = expandTemplate(rule.replacement, groups, pattern.groupNames);
      return withLabel(labels, target, text);
    }
  }
}

function applyToNames(labels: Labels, rule: RelabelRule): Labels {
  const pairs: [string, string][] = [];
  const mapped: [string, string][] = [];
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i]!;
    const value = labels[i + 1]!;
    const groups = rule.pattern.match(name);
    if (rule.action === "labelmap") {
      pairs.push([name, value]);
      if (groups === undefined) continue;
      const target = expandTemplate(rule.replacement, groups, rule.pattern.groupNames);
      if (target !== "") mapped.push([target, value]);
    } else if ((groups !== undefined) === (rule.action === "labelkeep")) pairs.push([name, value]);
  }
  if (mapped.length === 0 && pairs.length * 2 === labels.length) return labels;
  return pairs.length === 0 ? EMPTY_LABELS : labelsFromPairs([...pairs, ...mapped]);
}

/** The last eight bytes of the MD5 of a text, modulo `modulus` */
function hashModulo(text: string, modulus: number): number {
  const digest = createHash("md5").update(text, "utf8").digest();
  // Exact for every modulus: 2^64 does not fit a number.
  let hash = 0n;
  for (let i = 8; i < 16; i++) hash = hash * 256n + BigInt(digest[i]!);
  return Number(hash % BigInt(modulus));
}
