/**
 * How a command is put together: a flag table, a run function, and the process around them.
 *
 *   export const store = defineCommand({ name: "store", help: "…", flags: {…}, async run(config, env) {…} });
 *   if (import.meta.main) await runMain(store);
 */
import { errorMessage } from "../lib/base/mod.ts";
import { type Command, type ProgramHost, runProgram } from "../lib/runtime/mod.ts";

export { type Command, type CommandEnv, defineCommand, defineGroup } from "../lib/runtime/mod.ts";

const decoder = new TextDecoder();

/** The process itself. */
export const processHost: ProgramHost = {
  readText: (path) => decoder.decode(Deno.readFileSync(path)),
  env: (name) => Deno.env.get(name),
  stdout: (text) => console.log(text),
  stderr: (text) => console.error(text),
};

/** Runs one command as a program of its own and ends the process. */
export async function runMain(command: Command): Promise<never> {
  return await exitWith(runProgram([command], [command.name, ...Deno.args], processHost));
}

/** Ends the process with a program's exit code; a rejection nobody awaited ends it with 1. */
export async function exitWith(code: Promise<number>): Promise<never> {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    const stack = event.reason instanceof Error ? event.reason.stack : undefined;
    processHost.stderr(`mneme: internal error: ${stack ?? errorMessage(event.reason)}`);
    Deno.exit(1);
  });
  Deno.exit(await code);
}
