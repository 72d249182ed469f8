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

/** Marks that turn text round or hide in it, and control characters. */
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** Text in which such characters stand by their code points: `\u202egnp.exe` is not `exe.png`. */
export function visible(text: string): string {
  return text.replace(
    UNSEEN,
    (c) => `\u27e8U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );
}
