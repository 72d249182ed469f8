/**
 * Completion scripts for shells, made from the same tables as the parser. They are complete in
 * themselves: the shell does not start the program at each key.
 *
 *   eval "$(mneme --completion-script-bash)"
 */
import type { FlagOption, FlagTable } from "./flag.ts";
import type { CommandNode } from "./flag_parse.ts";

/** Shells with a script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = typeof SHELLS[number];

/** A command that can be run, by the words that name it. */
interface Leaf {
  readonly words: readonly string[];
  readonly help: string;
  readonly options: readonly FlagOption[];
}

/** The script that completes this program in `shell`. */
export function printCompletion(root: CommandNode, shell: Shell): string {
  switch (shell) {
    case "bash":
      return bash(root);
    case "zsh":
      return `#compdef ${root.name}\nautoload -U +X bashcompinit && bashcompinit\n${bash(root)}`;
    case "fish":
      return fish(root);
  }
}

function visible(table: FlagTable): FlagOption[] {
  return Object.values(table).flatMap((entry) => entry.options).filter((o) => !o.isHidden);
}

function leavesOf(node: CommandNode, words: readonly string[] = []): Leaf[] {
  return (node.commands ?? []).flatMap((command) => {
    const path = [...words, command.name];
    return command.commands === undefined
      ? [{ words: path, help: command.help, options: visible(command.flags) }]
      : leavesOf(command, path);
  });
}

/** The values an option takes, when they are few and known. */
function valuesOf(option: FlagOption): string[] {
  return /^[\w.]+(?:\|[\w.]*)+$/.test(option.word) ? option.word.split("|").filter(Boolean) : [];
}

function isFile(option: FlagOption): boolean {
  return option.word === "path";
}

const HELP_WORDS = ["--help", "--help-long", "--version"];

function wordsOf(options: readonly FlagOption[]): string[] {
  return options.flatMap((o) => o.isSwitch ? [`--${o.name}`, `--no-${o.name}`] : [`--${o.name}=`]);
}

/** Words that may follow each sequence of command words, from none on. */
function nextWords(root: CommandNode): Map<string, string[]> {
  const next = new Map<string, string[]>();
  const visit = (node: CommandNode, path: string) => {
    if (node.commands === undefined) return;
    next.set(path, node.commands.map((c) => c.name));
    for (const c of node.commands) visit(c, path === "" ? c.name : `${path} ${c.name}`);
  };
  visit(root, "");
  return next;
}

function bash(root: CommandNode): string {
  const { name } = root;
  const fn = `_${name}_completion`;
  const globals = visible(root.flags);
  const leaves = leavesOf(root);
  const all = [...globals, ...leaves.flatMap((leaf) => leaf.options)];
  const enums = new Map<string, Set<string>>();
  for (const o of all) {
    for (const value of valuesOf(o)) {
      const known = enums.get(o.name) ?? new Set();
      enums.set(o.name, known.add(value));
    }
  }
  const files = [...new Set(all.filter(isFile).map((o) => `--${o.name}`))];
  const known = [...nextWords(root)].filter(([path]) => path !== "");
  const cases = [
    ...known.map(([path, words]) => `    "${path}") choices="${words.join(" ")}" ;;`),
    ...leaves.map(({ words, options }) =>
      `    "${words.join(" ")}") choices="${wordsOf(options).join(" ")}" ;;`
    ),
    `    *) choices="${(nextWords(root).get("") ?? []).join(" ")} help" ;;`,
  ];
  const values = [
    ...[...enums].map(([flag, set]) => `    --${flag}) choices="${[...set].join(" ")}" ;;`),
    ...(files.length === 0 ? [] : [`    ${files.join("|")}) compopt -o filenames 2>/dev/null
      COMPREPLY=($(compgen -f -- "$value")); return ;;`]),
  ];
  const commandWords = [...new Set(leaves.flatMap((leaf) => leaf.words))];
  return `${fn}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" named="" word choices="" value flag=""
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case " ${commandWords.join(" ")} " in *" $word "*) named="\${named:+$named }$word" ;; esac
  done
  # "--flag=value" arrives in one word, or in three when "=" breaks words.
  if [[ "$cur" == --*=* ]]; then flag="\${cur%%=*}"; value="\${cur#*=}"
  elif [[ "$cur" == "=" ]]; then flag="$prev"; value=""
  elif [[ "$prev" == "=" ]]; then flag="\${COMP_WORDS[COMP_CWORD-2]}"; value="$cur"
  elif [[ "$prev" == --* && "$prev" != *=* && "$cur" != -* ]]; then flag="$prev"; value="$cur"
  fi
  if [[ -n "$flag" ]]; then
    case "$flag" in
${values.join("\n")}
    esac
    if [[ -n "$choices" ]]; then COMPREPLY=($(compgen -W "$choices" -- "$value")); return; fi
    [[ "$cur" == --*=* || "$cur" == "=" || "$prev" == "=" ]] && return
  fi
  case "$named" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$choices ${[...wordsOf(globals), ...HELP_WORDS].join(" ")}" -- "$cur"))
  [[ "\${COMPREPLY[0]}" == *= ]] && compopt -o nospace 2>/dev/null
}
complete -F ${fn} ${name}
`;
}

function fish(root: CommandNode): string {
  const { name } = root;
  const lines = [`complete -c ${name} -f`];
  const add = (condition: string, rest: string) =>
    lines.push(`complete -c ${name}${condition === "" ? "" : ` -n ${quote(condition)}`} ${rest}`);
  const flagLines = (options: readonly FlagOption[], condition: string) => {
    for (const o of options) {
      const short = o.short === undefined ? "" : ` -s ${o.short}`;
      const values = valuesOf(o);
      const takes = o.isSwitch
        ? ""
        : isFile(o)
        ? " -r -F"
        : values.length > 0
        ? ` -x -a ${quote(values.join(" "))}`
        : " -x";
      add(condition, `-l ${o.name}${short}${takes} -d ${quote(firstSentence(o.help))}`);
      if (o.isSwitch) {
        add(condition, `-l no-${o.name} -d ${quote(`Not: ${firstSentence(o.help)}`)}`);
      }
    }
  };
  const seen = (words: readonly string[]) =>
    words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
  for (const [path, words] of nextWords(root)) {
    const parents = path === "" ? [] : path.split(" ");
    const none = `not __fish_seen_subcommand_from ${words.join(" ")}`;
    const condition = parents.length === 0 ? none : `${seen(parents)}; and ${none}`;
    for (const word of words) add(condition, `-a ${word}`);
  }
  for (const { words, options } of leavesOf(root)) flagLines(options, seen(words));
  flagLines(visible(root.flags), "");
  for (const word of HELP_WORDS) add("", `-l ${word.slice(2)}`);
  return lines.join("\n") + "\n";
}

function firstSentence(help: string): string {
  return /^.*?[.](?=\s|$)/s.exec(help)?.[0] ?? help;
}

function quote(words: string): string {
  return `'${words.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", " ")}'`;
}
