/**
 * The simulation from the command line.
 *
 *   deno task sim --seed=7             one seed with all its crashes
 *   deno task sim --seed=7 --runs=200  seeds 7 to 206, on both cores
 *   deno task sim --seed=7 --point=31  one crash of a seed
 *
 * --log prints what the compactors say (with one seed).
 */
import { runParallel } from "./run_parallel.ts";
import { makeParts, runSeed, type SeedReport } from "./simulation.ts";

const options = new Map<string, string>();
for (const arg of Deno.args) {
  const [name = "", value = ""] = arg.replace(/^--/, "").split("=");
  options.set(name, value);
}
const seed = Number(options.get("seed") ?? "1");
const runs = Number(options.get("runs") ?? "1");

function tell(report: SeedReport): void {
  console.log(
    `seed ${report.seed}: ${report.operations} operations, ${report.crashRuns} crash runs ` +
      `(${report.distinct} states), trace ${report.trace}`,
  );
}

try {
  if (runs === 1) {
    performance.now = () => 0;
    const point = options.get("point");
    const log = options.has("log") ? (line: string) => console.log(line) : undefined;
    const only = point === undefined ? {} : { only: Number(point) };
    tell(await runSeed(seed, makeParts(undefined, log), only));
  } else {
    const report = await runParallel({ first: seed, seeds: runs, workers: 2, onSeed: tell });
    console.log(
      `${report.crashRuns} crash runs (${report.distinct} distinct states) in ` +
        `${report.seconds.toFixed(1)} s, ${
          Math.round(report.simulatedHours / 8766)
        } years simulated`,
    );
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  Deno.exit(1);
}
