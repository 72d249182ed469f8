/** Help texts and documentation pages, made from the same tables as the parser. */
import type { FlagOption, FlagTable } from "./flag.ts";
import type { CommandNode } from "./flag_parse.ts";

const WIDTH = 80;
/** A left column wider than this puts the description on the next line. */
const MAX_LEFT = 30;

const HELP_OPTION_ROWS: readonly (readonly [string, string])[] = [
  ["-h, --help", "Show context-sensitive help (also try --help-long)."],
  ["    --version", "Show application version."],
];

/** Breaks text into lines of at most `width` characters; long words stay whole. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(/\s+/).filter((w) => w !== "")) {
      if (line !== "" && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}

function twoColumns(rows: readonly (readonly [string, string])[], indent = 2): string {
  const gap = 2;
  const left = Math.max(
    0,
    ...rows.map(([text]) => text.length).filter((length) => length < MAX_LEFT),
  );
  const pad = " ".repeat(indent + left + gap);
  const lines: string[] = [];
  for (const [text, description] of rows) {
    const wrapped = wrapText(description, WIDTH - pad.length);
    const head = " ".repeat(indent) + text;
    if (text.length >= MAX_LEFT) {
      lines.push(head, ...wrapped.map((line) => pad + line));
    } else {
      lines.push(
        head.padEnd(pad.length) + wrapped[0]!,
        ...wrapped.slice(1).map((line) => pad + line),
      );
    }
  }
  return lines.map((line) => line.trimEnd()).join("\n");
}

/** A flag as help shows it: `-p, --profile=<profile>`, `--[no-]wait`, `--endpoint=<endpoint> ...`. */
export function printOption(option: FlagOption): string {
  const short = option.short === undefined ? "    " : `-${option.short}, `;
  if (option.isSwitch) return `${short}--[no-]${option.name}`;
  return `${short}--${option.name}=${option.placeholder}${option.isRepeated ? " ..." : ""}`;
}

function visible(table: FlagTable): FlagOption[] {
  return Object.values(table).flatMap((entry) => entry.options).filter((o) => !o.isHidden);
}

function flagRows(tables: readonly FlagTable[]): (readonly [string, string])[] {
  return [
    ...HELP_OPTION_ROWS,
    ...tables.flatMap(visible).map((o): [string, string] => [printOption(o), o.help]),
  ];
}

function usageLine(path: readonly CommandNode[]): string {
  const command = path.at(-1)!;
  const words = path.map((node) => node.name).join(" ");
  if (command.commands !== undefined) return `usage: ${words} [<flags>] <command> [<args> ...]`;
  const rest = command.rest === undefined ? "" : ` [<${command.rest.name}> ...]`;
  return `usage: ${words} [<flags>]${rest}`;
}

/** Commands that can be run, with the words that name them. */
function leaves(node: CommandNode, words: string): [string, CommandNode][] {
  if (node.commands === undefined) return [[words, node]];
  return node.commands.flatMap((c) => leaves(c, words === "" ? c.name : `${words} ${c.name}`));
}

/** The help text of the last node of `path`; `long` adds the flags of every command below it. */
export function printHelp(path: readonly CommandNode[], long = false): string {
  const command = path.at(-1)!;
  const parts = [usageLine(path), "", ...wrapText(command.help, WIDTH), ""];
  if (path.length === 1) parts.push("");
  parts.push("Flags:", twoColumns(flagRows(path.map((node) => node.flags))), "");
  if (command.rest !== undefined) {
    parts.push("Args:", twoColumns([[`[<${command.rest.name}>]`, command.rest.help]]), "");
  }
  if (command.commands !== undefined) {
    parts.push("Commands:");
    for (const [words, leaf] of leaves(command, path.slice(1).map((n) => n.name).join(" "))) {
      parts.push(`  ${words} [<flags>]`, ...wrapText(leaf.help, WIDTH - 4).map((l) => `    ${l}`));
      if (long) {
        const rows = visible(leaf.flags).map((o): [string, string] => [printOption(o), o.help]);
        if (rows.length > 0) parts.push("", twoColumns(rows, 4));
      }
      parts.push("");
    }
  }
  return parts.join("\n").replace(/\n+$/, "\n");
}

/** The documentation page of a command: every visible flag in a markdown table. */
export function printMarkdown(path: readonly CommandNode[]): string {
  const command = path.at(-1)!;
  const lines = [`# ${path.slice(1).map((node) => node.name).join(" ")}`, "", command.help, ""];
  const table = (title: string, flags: FlagTable) => {
    const options = visible(flags);
    if (options.length === 0) return;
    lines.push(
      `## ${title}`,
      "",
      "| flag | type | default | meaning |",
      "| --- | --- | --- | --- |",
    );
    for (const o of options) {
      const name = o.isSwitch ? `--[no-]${o.name}` : `--${o.name}`;
      const short = o.short === undefined ? "" : `\`-${o.short}\`, `;
      const word = o.isRepeated ? `${o.word}, repeatable` : o.word;
      const def = o.isRequired ? "required" : o.defaultText === "" ? "" : `\`${o.defaultText}\``;
      const note = o.noEffect === undefined ? "" : ` Accepted, without effect: ${o.noEffect}.`;
      lines.push(`| ${short}\`${name}\` | ${cell(word)} | ${cell(def)} | ${cell(o.help + note)} |`);
    }
    lines.push("");
  };
  for (const node of [...path.slice(1)].reverse()) table(`Flags of ${node.name}`, node.flags);
  if (path.length > 1) table("Flags of every command", path[0]!.flags);
  return lines.join("\n").replace(/\n+$/, "\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
