/** Prints plans as YAML, byte for byte as thanosbench does; our own keys follow when they are set. */
import { compareUtf8, formatFloatGeneral, formatGoDuration } from "../base/mod.ts";
import type { Labels } from "../model/mod.ts";
import type { BlockSpec, SeriesSpec } from "./plan.ts";

/** One block as a YAML document, without a separator. */
export function printBlockSpec(block: BlockSpec): string {
  let s = `meta:
  blockmeta:
    ulid: "00000000000000000000000000"
    mintime: ${block.minTime}
    maxtime: ${block.maxTime}
    stats:
      numsamples: 0
      numseries: 0
      numchunks: 0
      numtombstones: 0
    compaction:
      level: 1
      sources: []
      deletable: false
      parents: []
      failed: false
    version: 1
  thanos:
    version: 0
    labels:${printLabels(block.externalLabels, "      ")}
    downsample:
      resolution: ${block.resolution}
    source: ${printText(block.source)}
    segmentfiles: []
    files: []
    rewrites: []
`;
  s += block.series.length === 0 ? "series: []\n" : "series:\n";
  for (const series of block.series) s += printSeries(series);
  return s;
}

/** All blocks, separated by `---` lines. */
export function* printPlan(blocks: Iterable<BlockSpec>): Iterable<string> {
  let first = true;
  for (const block of blocks) {
    yield (first ? "" : "---\n") + printBlockSpec(block);
    first = false;
  }
}

function printSeries(x: SeriesSpec): string {
  let s = `- labels:${printLabels(x.labels, "    ")}
  targets: ${x.targets}
  type: ${x.type}
  mintime: ${x.minTime}
  maxtime: ${x.maxTime}
  jitter: ${formatFloatGeneral(x.jitter)}
  scrapeInterval: ${formatGoDuration(x.scrapeInterval)}
  changeInterval: ${formatGoDuration(x.changeInterval)}
  max: ${formatFloatGeneral(x.max)}
  min: ${formatFloatGeneral(x.min)}
`;
  if (x.targetLabels !== undefined) {
    s += "  targetLabels:\n";
    for (const name of Object.keys(x.targetLabels).sort(compareUtf8)) {
      const value = x.targetLabels[name]!;
      s += `    ${printText(name)}:`;
      if (typeof value === "string") s += ` ${printText(value)}\n`;
      else s += "\n" + value.map((v) => `    - ${printText(v)}\n`).join("");
    }
  }
  if (x.late !== undefined) s += `  late: ${formatGoDuration(x.late)}\n`;
  if (x.lateShare !== undefined) s += `  lateShare: ${formatFloatGeneral(x.lateShare)}\n`;
  if (x.resetInterval !== undefined) {
    s += `  resetInterval: ${formatGoDuration(x.resetInterval)}\n`;
  }
  if (x.decimals !== undefined) s += `  decimals: ${x.decimals}\n`;
  return s;
}

function printLabels(labels: Labels, indent: string): string {
  if (labels.length === 0) return " {}";
  let s = "";
  for (let i = 0; i < labels.length; i += 2) {
    s += `\n${indent}${printText(labels[i]!)}: ${printText(labels[i + 1]!)}`;
  }
  return s;
}

/** Texts that YAML would read as something else when written plain. */
const RESOLVES = new RegExp(
  "^(?:|~|null|Null|NULL|true|True|TRUE|false|False|FALSE|y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON" +
    "|off|Off|OFF|<<|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)" +
    "|[-+]?[0-9][0-9_]*(?:\\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|[-+]?\\.[0-9_]+(?:[eE][-+]?[0-9]+)?" +
    "|0[xXob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\\.[0-9_]*)?" +
    "|\\d{4}-\\d\\d?-\\d\\d?(?:[Tt ].*)?)$",
);
const GO_TIME = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \+0000 UTC$/;

/** A scalar in the style Go's YAML library picks: plain, 'single' or "double". */
function printText(text: string): string {
  if (RESOLVES.test(text) && !GO_TIME.test(text)) return quoteDouble(text);
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]/.test(text)) return quoteDouble(text);
  if (
    /^[-?:,[\]{}#&*!|>'"%@`]/.test(text) && !/^[-?:][^\s,[\]{}]/.test(text) ||
    /:(?:\s|$)|\s#|^\s|\s$|^(?:---|\.\.\.)/.test(text)
  ) return `'${text.replaceAll("'", "''")}'`;
  return text;
}

function quoteDouble(text: string): string {
  let s = '"';
  for (const ch of text) {
    const c = ch.codePointAt(0)!;
    if (ch === '"' || ch === "\\") s += "\\" + ch;
    else if (ch === "\n") s += "\\n";
    else if (ch === "\t") s += "\\t";
    else if (ch === "\r") s += "\\r";
    else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) s += "\\x" + c.toString(16).padStart(2, "0");
    else if (c === 0x2028 || c === 0x2029 || c === 0xfeff) {
      s += "\\u" + c.toString(16).padStart(4, "0");
    } else s += ch;
  }
  return s + '"';
}
