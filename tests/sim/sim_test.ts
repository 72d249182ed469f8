import { strict as assert } from "node:assert";
import { MUTANTS } from "./mutants.ts";
import { runParallel } from "./run_parallel.ts";
import { makeParts, runSeed, SimulationError } from "./simulation.ts";

/** Seeds that failed once. */
const REGRESSIONS: readonly number[] = [];
/** Crash runs that are enough, and the longest time for them in seconds. */
const CRASH_RUNS = 12_000;
const BOX_SECONDS = 100;

Deno.test("the simulation is the same for the same seed", async () => {
  for (const seed of [1, 7, 13]) {
    const once = await runSeed(seed, makeParts(), { crashes: false });
    const twice = await runSeed(seed, makeParts(), { crashes: false });
    assert.deepEqual(once, twice);
    assert.notEqual(once.trace, "00000000");
  }
});

Deno.test("the simulation finds every planted bug", async () => {
  assert.ok(MUTANTS.length >= 35);
  const rules = new Map<string, number>();
  for (const mutant of MUTANTS) {
    let found: SimulationError | undefined;
    for (let seed = 1; seed <= 150 && found === undefined; seed++) {
      try {
        await runSeed(seed, makeParts(mutant), { crashes: false });
      } catch (error) {
        if (!(error instanceof SimulationError)) throw error;
        found = error;
      }
    }
    assert.ok(found !== undefined, `not found: ${mutant.name}`);
    assert.match(found.rule, /^I\d+$/, `${mutant.name}: ${found.message}`);
    assert.ok(
      mutant.rule === undefined || mutant.rule === found.rule,
      `${mutant.name}: found by ${found.message}`,
    );
    rules.set(found.rule, (rules.get(found.rule) ?? 0) + 1);
  }
  console.log(
    `${MUTANTS.length} of ${MUTANTS.length} planted bugs found, by rule: ` +
      [...rules].sort().map(([rule, n]) => `${rule} ${n}`).join(", "),
  );
});

Deno.test("CO10: no crash loses or makes up a sample, and every one is recovered from", async () => {
  for (const seed of REGRESSIONS) await runSeed(seed, makeParts());
  const report = await runParallel({
    first: 1,
    seeds: 10_000,
    workers: 2,
    enough: CRASH_RUNS,
    box: BOX_SECONDS * 1000,
  });
  console.log(
    `${report.crashRuns} crash runs (${report.distinct} distinct states) of ${report.seeds} seeds ` +
      `in ${report.seconds.toFixed(0)} s, ${Math.round(report.simulatedHours / 8766)} years ` +
      "simulated, no violation; readers got " +
      `${report.answers.whole} whole answers and ${report.answers.partial} that said they were not`,
  );
  assert.ok(report.crashRuns >= 300, "a crash run takes milliseconds");
  assert.ok(report.answers.whole > report.answers.partial, "readers get answers");
});
