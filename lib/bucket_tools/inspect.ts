/** A table of a bucket's blocks. */
import { compareUtf8, formatGoDuration, MnemeError } from "../base/mod.ts";
import { labelPairs, labelValue, RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";
import { type BlockMeta, externalLabelsOf, resolutionOf } from "../tsdb/mod.ts";
import { printTime } from "./list.ts";

/** Columns by name. */
export const COLUMNS = [
  "ULID",
  "FROM",
  "UNTIL",
  "RANGE",
  "UNTIL-DOWN",
  "#SERIES",
  "#SAMPLES",
  "#CHUNKS",
  "COMP-LEVEL",
  "COMP-FAILED",
  "LABELS",
  "RESOLUTION",
  "SOURCE",
] as const;

const HOUR = 3_600_000;

/** A cell: what is shown, and what it is sorted by. */
interface Cell {
  readonly text: string;
  readonly key: number | string;
}

/** Forms of the table. */
export type TableOutput = "table" | "csv" | "tsv";

/** Blocks whose external labels have all of these values. */
export function selectBlocks(
  metas: readonly BlockMeta[],
  wanted: readonly (readonly [name: string, value: string])[],
): BlockMeta[] {
  return metas.filter((meta) =>
    wanted.every(([name, value]) => labelValue(externalLabelsOf(meta), name) === value)
  );
}

/**
 * Text of the table, sorted by `sortBy`, then by id.
 *
 * Throws: bad_data for a column that does not exist.
 */
export function printTable(
  metas: readonly BlockMeta[],
  sortBy: readonly string[],
  output: TableOutput,
): string {
  const order = sortBy.map((name) => {
    const at = (COLUMNS as readonly string[]).indexOf(name.toUpperCase());
    if (at >= 0) return at;
    throw new MnemeError(
      "bad_data",
      `Cannot sort by "${name}": there are the columns ${COLUMNS.join(", ")}`,
    );
  });
  const rows = metas.map(rowOf);
  rows.sort((a, b) => {
    for (const at of [...order, 0]) {
      const x = a[at]!.key;
      const y = b[at]!.key;
      if (x === y) continue;
      return typeof x === "number" && typeof y === "number"
        ? x - y
        : compareUtf8(String(x), String(y));
    }
    return 0;
  });
  const lines = rows.map((row) => row.map((cell) => cell.text));
  if (output === "table") return drawTable(lines);
  const print = output === "csv"
    ? (cells: readonly string[]) => cells.map((cell) => quoteCell(cell, ",")).join(",")
    : (cells: readonly string[]) => cells.map((cell) => quoteCell(cell, "\t")).join("\t");
  return [COLUMNS, ...lines].map((cells) => print(cells) + "\n").join("");
}

function rowOf(meta: BlockMeta): Cell[] {
  const resolution = resolutionOf(meta);
  const range = meta.maxTime - meta.minTime;
  const text = (value: string): Cell => ({ text: value, key: value });
  const time = (ms: number): Cell => ({ text: printTime(ms), key: ms });
  const duration = (ms: number): Cell => ({ text: formatGoDuration(ms), key: ms });
  const count = (n: number): Cell => ({ text: n.toLocaleString("en-US"), key: n });
  const left = resolution === RESOLUTION_RAW
    ? duration(40 * HOUR - range)
    : resolution === RESOLUTION_5M
    ? duration(240 * HOUR - range)
    : text("-");
  const labels = [...labelPairs(externalLabelsOf(meta))].map(([name, value]) => `${name}=${value}`);
  return [
    text(meta.ulid),
    time(meta.minTime),
    time(meta.maxTime),
    duration(range),
    left,
    count(meta.stats.numSeries),
    count(meta.stats.numSamples),
    count(meta.stats.numChunks),
    count(meta.compaction.level),
    text(String(meta.compaction.failed)),
    text(labels.join(",")),
    duration(resolution),
    text(meta.thanos?.source ?? ""),
  ];
}

function quoteCell(cell: string, separator: string): string {
  return cell.includes(separator) || /["\r\n]/.test(cell)
    ? `"${cell.replaceAll('"', '""')}"`
    : cell;
}

function drawTable(rows: readonly (readonly string[])[]): string {
  const widths = COLUMNS.map((name, i) => Math.max(name.length, ...rows.map((r) => r[i]!.length)));
  const head = COLUMNS.map((name, i) => {
    const room = widths[i]! - name.length;
    return name.padStart(name.length + Math.ceil(room / 2)).padEnd(widths[i]!);
  });
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |\n`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|\n`;
  return line(head) + rule + rows.map(line).join("");
}
