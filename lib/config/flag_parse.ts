/**
 * Command lines after kingpin's rules: `--a=b`, `--a b`, `--x` and `--no-x`, repeated flags, `@file`.
 *
 * Two families of errors: a line that does not fit the commands and flags (exit code 1), and a value
 * that is wrong or missing (exit code 2). Every message is one line.
 */
import { errorMessage, MnemeError } from "../base/mod.ts";
import { type Shell, SHELLS } from "./completion.ts";
import { didYouMean } from "./did_you_mean.ts";
import { type ConfigOf, type FlagOption, type FlagTable, printFlags } from "./flag.ts";
import type { FlagHost } from "./path_or_content.ts";

/** A command with its flags, or a group of commands. */
export interface CommandNode {
  readonly name: string;
  readonly help: string;
  readonly flags: FlagTable;
  /** Commands below this one; one of them must be named. */
  readonly commands?: readonly CommandNode[];
  /** Words after the flags, such as file names; without it they are refused. */
  readonly rest?: { readonly name: string; readonly help: string };
}

/** What a command line asks for. `path` leads from the program's root node to the chosen command. */
export type CommandLine =
  | {
    readonly kind: "run";
    readonly path: readonly CommandNode[];
    /** Values by config field: the root's flags, and those of the chosen command. */
    readonly globals: Readonly<Record<string, unknown>>;
    readonly config: Readonly<Record<string, unknown>>;
    /** The command's flags as the flags API shows them. */
    readonly shown: Readonly<Record<string, string>>;
    /** One line for each flag that was given but has no effect. */
    readonly warnings: readonly string[];
    readonly rest: readonly string[];
  }
  | { readonly kind: "help"; readonly path: readonly CommandNode[]; readonly long: boolean }
  /** The manual page, or the completion script of a shell, of the whole program. */
  | { readonly kind: "man" }
  | { readonly kind: "completion"; readonly shell: Shell }
  | { readonly kind: "version" };

/** Flags that ask for a text about the whole program, whatever else is on the line. */
export const WHOLE_PROGRAM_FLAGS: readonly string[] = [
  "--help-long",
  "--help-man",
  ...SHELLS.map((shell) => `--completion-script-${shell}`),
];

/** A command line that cannot be run, with the exit code it asks for. */
export class CommandLineError extends MnemeError {
  /** 1: not understood; 2: a value is wrong or missing. */
  readonly exitCode: 1 | 2;
  constructor(exitCode: 1 | 2, message: string, cause?: unknown) {
    super("bad_data", message, { cause });
    this.name = "CommandLineError";
    this.exitCode = exitCode;
  }
}

const MAX_ARGS = 100_000;
const MAX_FILE_DEPTH = 8;

/**
 * Replaces every `@file` word before `--` by the file's lines, leaving out blank ones and comments.
 *
 * Throws: CommandLineError 1.
 */
export function expandArgFiles(args: readonly string[], host: FlagHost): string[] {
  const out: string[] = [];
  let wordsOnly = false;
  const add = (words: readonly string[], depth: number) => {
    for (const word of words) {
      if (out.length >= MAX_ARGS) throw new CommandLineError(1, "too many arguments");
      if (!word.startsWith("@") || wordsOnly) {
        wordsOnly ||= word === "--";
        out.push(word);
        continue;
      }
      if (depth >= MAX_FILE_DEPTH) {
        throw new CommandLineError(1, `argument files nest too deeply at '${word}'`);
      }
      let text: string;
      try {
        text = host.readText(word.slice(1));
      } catch (cause) {
        throw new CommandLineError(
          1,
          `cannot read argument file '${word.slice(1)}': ${errorMessage(cause)}`,
          cause,
        );
      }
      const lines = text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
      add(lines, depth + 1);
    }
  };
  add(args, 0);
  return out;
}

/** Where an option is kept: its table key and its place among the entry's options. */
interface Slot {
  readonly key: string;
  readonly index: number;
  readonly option: FlagOption;
  readonly texts: string[];
  /** Names under which it was given, to refuse a repeated one. */
  readonly used: Set<string>;
}

/** The options of one node, found by any of their names. */
class Scope {
  readonly node: CommandNode;
  readonly slots: Slot[] = [];
  readonly #long = new Map<string, Slot>();
  readonly #short = new Map<string, Slot>();

  constructor(node: CommandNode) {
    this.node = node;
    for (const [key, entry] of Object.entries(node.flags)) {
      entry.options.forEach((option, index) => {
        const slot: Slot = { key, index, option, texts: [], used: new Set() };
        this.slots.push(slot);
        for (const name of [option.name, ...option.aliases]) this.#long.set(name, slot);
        if (option.short !== undefined) this.#short.set(option.short, slot);
      });
    }
  }
  long(name: string): Slot | undefined {
    return this.#long.get(name);
  }
  short(letter: string): Slot | undefined {
    return this.#short.get(letter);
  }
  /** Names worth suggesting. */
  *visibleNames(): Generator<string> {
    for (const { option } of this.slots) {
      if (option.isHidden) continue;
      yield option.name;
      yield* option.aliases;
      if (option.isSwitch) yield `no-${option.name}`;
    }
  }
  /** The texts of each option of a table entry. */
  given(key: string): string[][] {
    const texts: string[][] = [];
    for (const slot of this.slots) if (slot.key === key) texts[slot.index] = slot.texts;
    return texts;
  }
}

/** Walks the words; the state of one parse. */
class Walk {
  readonly scopes: Scope[];
  readonly rest: string[] = [];
  help: "short" | "long" | undefined;
  version = false;
  man = false;
  completion: Shell | undefined;
  readonly #args: readonly string[];
  readonly #stopAtCommand: boolean;
  #at = 0;
  /** Index of the first word that is not a flag of the root, once seen. */
  commandAt: number | undefined;

  constructor(root: CommandNode, args: readonly string[], stopAtCommand = false) {
    this.scopes = [new Scope(root)];
    this.#args = args;
    this.#stopAtCommand = stopAtCommand;
  }

  get path(): CommandNode[] {
    return this.scopes.map((scope) => scope.node);
  }

  run(): void {
    while (this.#at < this.#args.length) {
      const arg = this.#args[this.#at++]!;
      if (arg === "--") {
        for (const word of this.#args.slice(this.#at)) this.#word(word);
        return;
      }
      if (arg.startsWith("--")) this.#longFlag(arg.slice(2));
      else if (arg.startsWith("-") && arg.length > 1) this.#shortFlags(arg.slice(1));
      else {
        if (this.#stopAtCommand) {
          this.commandAt = this.#at - 1;
          return;
        }
        this.#word(arg);
      }
    }
  }

  #word(word: string): void {
    const { node } = this.scopes.at(-1)!;
    if (node.commands !== undefined) {
      if (word === "help" && this.scopes.length === 1 && this.help === undefined) {
        this.help = "short";
        return;
      }
      const command = node.commands.find((c) => c.name === word);
      if (command === undefined) {
        const names = node.commands.map((c) => c.name);
        throw new CommandLineError(
          1,
          `expected command but got '${word}'${didYouMean(word, names)}`,
        );
      }
      this.scopes.push(new Scope(command));
      return;
    }
    if (node.rest === undefined) throw new CommandLineError(1, `unexpected '${word}'`);
    this.rest.push(word);
  }

  #longFlag(text: string): void {
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    const value = equals < 0 ? undefined : text.slice(equals + 1);
    if (name === "help" || name === "help-long") {
      this.help = name === "help" ? this.help ?? "short" : "long";
      return;
    }
    if (name === "version") {
      this.version = true;
      return;
    }
    if (name === "help-man") {
      this.man = true;
      return;
    }
    const shell = SHELLS.find((s) => name === `completion-script-${s}`);
    if (shell !== undefined) {
      this.completion = shell;
      return;
    }
    let slot = this.#find((scope) => scope.long(name));
    let negated = false;
    if (slot === undefined && name.startsWith("no-")) {
      const positive = this.#find((scope) => scope.long(name.slice(3)));
      if (positive?.option.isSwitch) {
        slot = positive;
        negated = true;
      }
    }
    if (slot === undefined) {
      const known = this.scopes.flatMap((scope) => [...scope.visibleNames()]);
      throw new CommandLineError(
        1,
        `unknown long flag '--${name}'${didYouMean(name, known, "--")}`,
      );
    }
    if (slot.option.isSwitch) {
      if (value !== undefined) {
        const plain = name.replace(/^no-/, "");
        throw new CommandLineError(
          1,
          `unexpected '${value}': '--${name}' is a switch, write --${plain} or --no-${plain}`,
        );
      }
      this.#give(slot, slot.option.name, String(!negated));
      return;
    }
    this.#give(slot, name, value ?? this.#value(`--${name}`));
  }

  /** `-p value`, `-pvalue`, and several switches joined. */
  #shortFlags(letters: string): void {
    for (let i = 0; i < letters.length; i++) {
      const letter = letters[i]!;
      if (letter === "h") {
        this.help ??= "short";
        continue;
      }
      const slot = this.#find((scope) => scope.short(letter));
      if (slot === undefined) throw new CommandLineError(1, `unknown short flag '-${letter}'`);
      if (slot.option.isSwitch) {
        this.#give(slot, slot.option.name, "true");
        continue;
      }
      const joined = letters.slice(i + 1);
      this.#give(slot, slot.option.name, joined === "" ? this.#value(`-${letter}`) : joined);
      return;
    }
  }

  #find(pick: (scope: Scope) => Slot | undefined): Slot | undefined {
    for (let i = this.scopes.length - 1; i >= 0; i--) {
      const slot = pick(this.scopes[i]!);
      if (slot !== undefined) return slot;
    }
    return undefined;
  }

  #value(flagText: string): string {
    const next = this.#args[this.#at];
    if (next === undefined || (next.startsWith("-") && next.length > 1)) {
      const hint = next !== undefined && /^-[\d.]/.test(next)
        ? `, write ${flagText}=${next} for a value that starts with '-'`
        : "";
      throw new CommandLineError(1, `expected argument for flag '${flagText}'${hint}`);
    }
    this.#at++;
    return next;
  }

  #give(slot: Slot, name: string, text: string): void {
    if (!slot.option.isRepeated && slot.used.has(name)) {
      throw new CommandLineError(2, `flag '${name}' cannot be repeated`);
    }
    slot.used.add(name);
    slot.texts.push(text);
  }
}

/**
 * Index of the word that names the command, so that only this command need be loaded; undefined when
 * there is none. Understands the root's flags before it.
 *
 * Throws: CommandLineError for a wrong flag before the word.
 */
export function findCommandWord(root: CommandNode, args: readonly string[]): number | undefined {
  const walk = new Walk(root, args, true);
  walk.run();
  return walk.commandAt;
}

/**
 * Reads a command line against the program's root node, whose flags may stand anywhere.
 *
 * No arguments at all ask for help. Throws: CommandLineError.
 */
export function parseCommandLine(
  root: CommandNode,
  args: readonly string[],
  host: FlagHost,
): CommandLine {
  const words = expandArgFiles(args, host);
  const walk = new Walk(root, words);
  walk.run();
  if (walk.version) return { kind: "version" };
  if (walk.man) return { kind: "man" };
  if (walk.completion !== undefined) return { kind: "completion", shell: walk.completion };
  const { path } = walk;
  const command = path.at(-1)!;
  if (walk.help !== undefined || (words.length === 0 && command.commands !== undefined)) {
    return { kind: "help", path, long: walk.help === "long" };
  }
  if (command.commands !== undefined) {
    const names = command.commands.map((c) => c.name).join(", ");
    throw new CommandLineError(1, `command not specified: expected one of ${names}`);
  }
  try {
    const globals = readScope(walk.scopes[0]!, host);
    const config: Record<string, unknown> = {};
    const shown: Record<string, string> = {};
    for (const scope of walk.scopes.slice(1)) {
      const values = readScope(scope, host);
      Object.assign(config, values);
      Object.assign(shown, printFlags(scope.node.flags, values));
    }
    const warnings = walk.scopes.flatMap((scope) => noEffectWarnings(scope));
    return { kind: "run", path, globals, config, shown, warnings, rest: walk.rest };
  } catch (error) {
    if (error instanceof CommandLineError) throw error;
    throw new CommandLineError(2, errorMessage(error), error);
  }
}

/**
 * Reads flags that a program gives to one of its parts, in the same words as on a command line.
 *
 * Throws: CommandLineError.
 */
export function readFlags<F extends FlagTable>(
  name: string,
  flags: F,
  words: readonly string[],
  host: FlagHost,
): {
  readonly config: ConfigOf<F>;
  readonly shown: Readonly<Record<string, string>>;
  readonly warnings: readonly string[];
} {
  const root = { name: "", help: "", flags: {}, commands: [{ name, help: "", flags }] };
  const line = parseCommandLine(root, [name, ...words], host);
  if (line.kind !== "run") {
    throw new CommandLineError(1, `flags of ${name} cannot ask for ${line.kind}`);
  }
  return { config: line.config as ConfigOf<F>, shown: line.shown, warnings: line.warnings };
}

function readScope(scope: Scope, host: FlagHost): Record<string, unknown> {
  for (const { option, texts } of scope.slots) {
    if (option.isRequired && texts.length === 0) {
      throw new CommandLineError(2, `required flag --${option.name} not provided`);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(scope.node.flags)) {
    values[key] = entry.read(scope.given(key), host);
  }
  return values;
}

function noEffectWarnings(scope: Scope): string[] {
  return scope.slots
    .filter(({ option, texts }) => option.noEffect !== undefined && texts.length > 0)
    .map(({ option }) => `--${option.name} has no effect: ${option.noEffect}`);
}

const SHOWN_ARG_LENGTH = 80;

/**
 * The arguments on one line for an error message: control characters escaped, long ones cut, values
 * of secret flags of any node below `root` left out.
 */
export function printArgs(root: CommandNode, args: readonly string[]): string {
  const secret = new Set<string>();
  const visit = (node: CommandNode) => {
    for (const entry of Object.values(node.flags)) {
      for (const option of entry.options) {
        if (option.isSecret) [option.name, ...option.aliases].forEach((name) => secret.add(name));
      }
    }
    node.commands?.forEach(visit);
  };
  visit(root);
  let hideNext = false;
  const words = args.map((arg) => {
    const m = /^--([^=]*)(=?)/.exec(arg);
    const isSecret = m !== null && secret.has(m[1]!);
    const hidden = hideNext;
    hideNext = isSecret && m![2] === "";
    if (hidden) return "<REDACTED>";
    if (isSecret && m![2] === "=") return `--${m![1]}=<REDACTED>`;
    const cut = arg.length > SHOWN_ARG_LENGTH ? `${arg.slice(0, SHOWN_ARG_LENGTH - 1)}…` : arg;
    // deno-lint-ignore no-control-regex
    return cut.replace(/[\x00-\x1f\x7f]/g, (c) => JSON.stringify(c).slice(1, -1));
  });
  return `[${words.join(" ")}]`;
}
