/** Choice of the stores that can have an answer, and of the matchers to send them. */
import {
  hasLabel,
  labelPairs,
  type Labels,
  labelValue,
  makeMatcher,
  type Matcher,
} from "../model/mod.ts";

/** False when some matcher on a label of the set fails; labels the set lacks never exclude. */
export function canMatch(labels: Labels, matchers: readonly Matcher[]): boolean {
  return matchers.every((m) => !hasLabel(labels, m.name) || m.matches(labelValue(labels, m.name)));
}

/** Matchers that keep only series of the given label sets, label by label. */
export function setMatchers(sets: readonly Labels[]): Matcher[] {
  const values = new Map<string, Set<string>>();
  for (const labels of sets) {
    for (const [name, value] of labelPairs(labels)) {
      const known = values.get(name);
      if (known === undefined) values.set(name, new Set([value]));
      else known.add(value);
    }
  }
  return [...values].map(([name, texts]) => {
    const patterns = [...texts].map((t) => t.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&"));
    if (sets.some((labels) => !hasLabel(labels, name))) patterns.push("^$");
    return makeMatcher("=~", name, patterns.join("|"));
  });
}
