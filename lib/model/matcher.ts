/** Matchers: one condition on one label. */
import { MnemeError } from "../base/mod.ts";
import { type AnchoredPattern, compileAnchored } from "./regexp.ts";
import { isLegacyLabelName, type Labels, labelValue, quoteGo } from "./labels.ts";

/** Operator of a matcher, as written in PromQL. */
export type MatchType = "=" | "!=" | "=~" | "!~";

/** One condition; a label that is absent counts as "". */
export interface Matcher {
  readonly type: MatchType;
  readonly name: string;
  readonly value: string;
  /** The compiled pattern of `=~` and `!~`. */
  readonly pattern: AnchoredPattern | undefined;
  matches(value: string): boolean;
}

/** Makes a matcher; throws bad_data when the pattern is no RE2 expression. */
export function makeMatcher(type: MatchType, name: string, value: string): Matcher {
  switch (type) {
    case "=":
      return { type, name, value, pattern: undefined, matches: (v) => v === value };
    case "!=":
      return { type, name, value, pattern: undefined, matches: (v) => v !== value };
    case "=~": {
      const pattern = compileAnchored(value);
      return { type, name, value, pattern, matches: (v) => pattern.matches(v) };
    }
    case "!~": {
      const pattern = compileAnchored(value);
      return { type, name, value, pattern, matches: (v) => !pattern.matches(v) };
    }
    default:
      throw new MnemeError("bad_data", `unknown match type ${String(type)}`);
  }
}

/** True when all matchers hold for `labels`. */
export function matchesLabels(matchers: readonly Matcher[], labels: Labels): boolean {
  for (const m of matchers) if (!m.matches(labelValue(labels, m.name))) return false;
  return true;
}

/** `name="value"` with the operator in between, quoted as Go does. */
export function formatMatcher(m: Matcher): string {
  return `${isLegacyLabelName(m.name) ? m.name : quoteGo(m.name)}${m.type}${quoteGo(m.value)}`;
}
