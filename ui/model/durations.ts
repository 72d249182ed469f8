/** Durations as PromQL writes them (`1h30m`), in ms. */

const UNITS: readonly (readonly [string, number])[] = [
  ["y", 31_536_000_000],
  ["w", 604_800_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

/** Reads `1h30m`, `90s`, or plain seconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (/^\d+(?:\.\d+)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1000);
  if (trimmed === "" || !/^(?:\d+(?:ms|[ywdhms]))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, digits, unit] of trimmed.matchAll(/(\d+)(ms|[ywdhms])/g)) {
    total += Number(digits) * UNITS.find(([name]) => name === unit)![1];
  }
  return Number.isSafeInteger(total) ? total : undefined;
}

/** Prints a duration in the largest whole units; days and weeks only where they come out even. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  let rest = Math.round(Math.abs(ms));
  let text = ms < 0 ? "-" : "";
  for (const [name, size] of UNITS) {
    // 8 days read better as 8d than as 1w1d.
    if ((name === "y" || name === "w") && rest % size !== 0) continue;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${name}`;
    rest -= count * size;
  }
  return text;
}

/** A duration for people, two units at most: `3d 4h`, `84 ms`, `1.2 s`. */
export function roughDuration(ms: number): string {
  const abs = Math.abs(ms);
  if (abs < 1) return `${Number(ms.toPrecision(2))} ms`;
  if (abs < 1000) return `${Math.round(ms)} ms`;
  if (abs < 60_000) return `${Number((ms / 1000).toPrecision(3))} s`;
  const parts: string[] = [];
  let rest = Math.round(abs / 1000) * 1000;
  for (const [name, size] of UNITS.filter(([name]) => name !== "w")) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${name}`);
    rest -= count * size;
    if (parts.length === 2) break;
  }
  return `${ms < 0 ? "-" : ""}${parts.join(" ")}`;
}
