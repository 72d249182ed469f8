/** `main.ts <command>`: loads only the file of the command that is named. */
import {
  CommandLineError,
  type CommandNode,
  expandArgFiles,
  findCommandWord,
  WHOLE_PROGRAM_FLAGS,
} from "../lib/config/mod.ts";
import {
  type Command,
  printCommandLineError,
  type ProgramHost,
  programRoot,
  runProgram,
} from "../lib/runtime/mod.ts";
import { exitWith, processHost } from "./command.ts";

interface Entry {
  readonly name: string;
  readonly help: string;
  readonly load: () => Promise<Command>;
}

/** Every command in the order of the help text. */
export const COMMANDS: readonly Entry[] = [
  {
    name: "sidecar",
    help: "Sidecar for Prometheus server.",
    load: async () => (await import("./sidecar.ts")).sidecar,
  },
  {
    name: "store",
    help: "Store gateway: answers queries from the blocks of a bucket.",
    load: async () => (await import("./store.ts")).store,
  },
  {
    name: "query",
    help:
      "Query node exposing PromQL enabled Query API with data retrieved from multiple store nodes.",
    load: async () => (await import("./query.ts")).query,
  },
  {
    name: "compact",
    help: "Compacts, downsamples and deletes blocks of an object store bucket.",
    load: async () => (await import("./compact.ts")).compact,
  },
  {
    name: "standalone",
    help: "Store, compactor, querier and sidecars in one process over one bucket.",
    load: async () => (await import("./standalone.ts")).standalone,
  },
  {
    name: "tools",
    help: "Tools utility commands.",
    load: async () => (await import("./tools.ts")).tools,
  },
  {
    name: "doctor",
    help:
      "Checks configuration, bucket, clocks, names, labels, blocks and data folders, and explains how to mend what is wrong. Exit code 1: there is something to mend.",
    load: async () => (await import("./doctor.ts")).doctor,
  },
  {
    name: "bench",
    help: "Generates data for benchmarks and demonstrations.",
    load: async () => (await import("./bench.ts")).bench,
  },
];

/** Runs the program: the exit code. */
export async function runMneme(
  args: readonly string[],
  host: ProgramHost = processHost,
): Promise<number> {
  const listed: readonly CommandNode[] = COMMANDS.map(({ name, help }) => ({
    name,
    help,
    flags: {},
  }));
  const root = programRoot(listed);
  let words: readonly string[] = args;
  try {
    words = expandArgFiles(args, host);
    const wantsAll = words.some((word) => WHOLE_PROGRAM_FLAGS.includes(word));
    const at = commandWord(root, words);
    const named = at === undefined ? undefined : COMMANDS.find((c) => c.name === words[at]);
    const commands: CommandNode[] = [];
    for (const [i, entry] of COMMANDS.entries()) {
      const needed = entry === named ||
        (wantsAll && (named === undefined || !words.includes("--help-long")));
      commands.push(needed ? await entry.load() : listed[i]!);
    }
    return await runProgram(commands, words, { ...host, readText: host.readText });
  } catch (error) {
    if (!(error instanceof CommandLineError)) throw error;
    host.stderr(printCommandLineError(error, root, words));
    return error.exitCode;
  }
}

/** Index of the word that names a command, also after `help`. */
function commandWord(root: CommandNode, words: readonly string[]): number | undefined {
  const at = findCommandWord(root, words);
  if (at === undefined || words[at] !== "help") return at;
  const next = findCommandWord(root, words.slice(at + 1));
  return next === undefined ? undefined : at + 1 + next;
}

if (import.meta.main) await exitWith(runMneme(Deno.args));
