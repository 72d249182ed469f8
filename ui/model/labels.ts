/** Label sets as people read and write them. */

export type LabelRecord = Readonly<Record<string, string>>;

/** Quotes as PromQL does. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

const LEGACY_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const LEGACY_METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** `up{job="x"}`; what is not a plain name is quoted. */
export function formatSeries(labels: LabelRecord): string {
  const { __name__: name = "", ...rest } = labels;
  const plain = LEGACY_METRIC.test(name);
  const pairs = Object.entries(rest).map(([k, v]) => `${formatName(k)}=${quote(v)}`);
  if (name !== "" && !plain) pairs.unshift(quote(name));
  if (pairs.length === 0) return plain ? name : "{}";
  return `${plain ? name : ""}{${pairs.join(", ")}}`;
}

/** A label name, quoted where the grammar asks for it. */
export function formatName(name: string): string {
  return LEGACY_NAME.test(name) ? name : quote(name);
}

/** A selector of the metric with the given matchers, for links. */
export function selectorOf(labels: LabelRecord): string {
  return `{${Object.entries(labels).map(([k, v]) => `${formatName(k)}=${quote(v)}`).join(",")}}`;
}

/** The labels that differ among series, in order; `__name__` first. */
export function differingLabels(all: readonly LabelRecord[]): string[] {
  const names = new Map<string, { value: string; count: number; differs: boolean }>();
  for (const labels of all) {
    for (const [name, value] of Object.entries(labels)) {
      const known = names.get(name);
      if (known === undefined) names.set(name, { value, count: 1, differs: false });
      else {
        known.count++;
        if (known.value !== value) known.differs = true;
      }
    }
  }
  return [...names]
    .filter(([, { count, differs }]) => differs || count !== all.length)
    .map(([name]) => name)
    .sort((a, b) => a === "__name__" ? -1 : b === "__name__" ? 1 : a < b ? -1 : 1);
}
