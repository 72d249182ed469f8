/** The manual page of a program in roff, made from the same tables as the parser. */
import type { FlagTable } from "./flag.ts";
import { printOption } from "./flag_help.ts";
import type { CommandNode } from "./flag_parse.ts";

/** A manual page of section 1: flags of the program, then every command with its flags. */
export function printMan(root: CommandNode, version: string): string {
  const name = root.name;
  const out = [
    `.TH ${name} 1 "" "${text(version)}" "${name}"`,
    ".SH NAME",
    text(`${name} - ${root.help}`),
    ".SH SYNOPSIS",
    `.B ${name}`,
    text(root.commands === undefined ? "[<flags>]" : "[<flags>] <command> [<args> ...]"),
    ".SH DESCRIPTION",
    text(root.help),
    ".SH OPTIONS",
    ".TP",
    bold("-h, --help"),
    "Show context-sensitive help (also try --help-long).",
    ".TP",
    bold("--version"),
    "Show application version.",
    ...options(root.flags),
  ];
  if (root.commands !== undefined) {
    out.push(".SH COMMANDS");
    for (const command of root.commands) out.push(...commandLines(command, ""));
  }
  out.push(
    ".SH EXIT STATUS",
    "0 done or stopped by a signal; 1 failed, or the command line was not understood; 2 a value on " +
      "the command line is wrong or missing.",
  );
  return out.join("\n") + "\n";
}

function commandLines(node: CommandNode, before: string): string[] {
  const words = `${before}${node.name}`;
  if (node.commands !== undefined) {
    return node.commands.flatMap((command) => commandLines(command, `${words} `));
  }
  const rest = node.rest === undefined ? "" : ` [<${node.rest.name}> ...]`;
  return [`.SS ${bold(`${words} [<flags>]${rest}`)}`, text(node.help), ...options(node.flags)];
}

function options(table: FlagTable): string[] {
  return Object.values(table).flatMap((entry) => entry.options).filter((o) => !o.isHidden)
    .flatMap((o) => {
      const note = o.noEffect === undefined ? "" : ` Accepted, without effect: ${o.noEffect}.`;
      return [".TP", bold(printOption(o).trim()), text(o.help + note)];
    });
}

function bold(words: string): string {
  return `\\fB${escape(words)}\\fR`;
}

/** Text that roff takes as text: no line of it is a request. */
function text(words: string): string {
  return escape(words.replace(/\s+/g, " ")).replace(/^(?=[.'])/, "\\&");
}

function escape(words: string): string {
  return words.replaceAll("\\", "\\e").replaceAll("-", "\\-");
}
