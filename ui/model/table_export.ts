/** Results as CSV, and requests as `curl` commands. */
import type { LabelRecord } from "./labels.ts";

/** Quotes a cell where it needs it; what a spreadsheet would run as a formula gets a quote mark. */
export function csvCell(text: string): string {
  const safe = /^[=@\t\r]|^[+-](?![\d.]|Inf$)/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows of labels and samples: a column per label name, then time and value. */
export function toCsv(
  series: readonly {
    readonly labels: LabelRecord;
    readonly samples: readonly (readonly [number, string])[];
  }[],
): string {
  const names = [...new Set(series.flatMap(({ labels }) => Object.keys(labels)))].sort();
  const lines = [[...names, "timestamp", "value"].map(csvCell).join(",")];
  for (const { labels, samples } of series) {
    const head = names.map((name) => csvCell(labels[name] ?? ""));
    for (const [time, value] of samples) {
      lines.push([...head, String(time), csvCell(value)].join(","));
    }
  }
  return `${lines.join("\r\n")}\r\n`;
}

/** A command for a POSIX shell that asks the same. */
export function toCurl(url: string, form: readonly (readonly [string, string])[]): string {
  const shell = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  return [
    `curl -sS ${shell(url)}`,
    ...form.map(([name, value]) => `  --data-urlencode ${shell(`${name}=${value}`)}`),
  ].join(" \\\n");
}
