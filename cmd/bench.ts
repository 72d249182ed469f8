/** `bench`: synthetic data to try things with. */
import { genFlags, planFlags, runBlockGen, runBlockPlan } from "./bench_block.ts";
import { defineCommand, defineGroup, runMain } from "./command.ts";

const plan = defineCommand({
  name: "plan",
  help: "Prints the plan of a bucket, which 'block gen' makes real, as YAML to standard output.",
  flags: planFlags,
  run: runBlockPlan,
});

const gen = defineCommand({
  name: "gen",
  help: "Generates the blocks of a plan, which is read from standard input or from --config-file.",
  flags: genFlags,
  run: runBlockGen,
});

export const bench = defineGroup({
  name: "bench",
  help: "Generates data for benchmarks and demonstrations.",
  commands: [
    defineGroup({
      name: "block",
      help: "Plans and generates TSDB blocks.",
      commands: [plan, gen],
    }),
  ],
});

if (import.meta.main) await runMain(bench);
