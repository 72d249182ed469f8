/** What the loop around a compactor counts, tells and does next. */
import assert from "node:assert/strict";
import { FakeClock, MnemeError } from "../base/mod.ts";
import { createLogger, Metrics } from "../telemetry/mod.ts";
import type { Compactor, IterationReport } from "./compactor.ts";
import { CompactLoop } from "./loop.ts";
import { CompactMetrics } from "./metrics.ts";
import type { SetAsideGroup } from "./set_aside.ts";

const MINUTE = 60_000;
const FINE: IterationReport = { compactions: 0, errors: [], setAside: [] };
const OUTAGE: IterationReport = {
  ...FINE,
  errors: [new MnemeError("unavailable", "compaction: simulated outage")],
};

function setAside(key: string, waitingBytes: number): SetAsideGroup {
  return {
    key,
    labels: `{group="${key}"}`,
    resolution: 0,
    reason: "overlap",
    message: `blocks of ${key} overlap`,
    blocks: ["01HF7YAT00E328S0K6HPCEAA7A"],
    waitingBlocks: 2,
    waitingBytes,
    since: 0,
    tries: 1,
  };
}

/** A loop over a compactor that reports these, one after the other, then stops. */
function loopOver(
  reports: readonly (IterationReport | ((clock: FakeClock) => Promise<IterationReport>))[],
  haltOnError = true,
) {
  const clock = new FakeClock(1000);
  const metrics = new Metrics();
  const log: string[] = [];
  const stop = new AbortController();
  const begun: number[] = [];
  const compactor = {
    iterate: (): Promise<IterationReport> => {
      begun.push(clock.now() - 1000);
      const next = reports[begun.length - 1];
      if (next === undefined) {
        stop.abort();
        throw new MnemeError("canceled", "stopped");
      }
      return typeof next === "function" ? next(clock) : Promise.resolve(next);
    },
  } as unknown as Compactor;
  const loop = new CompactLoop(compactor, {
    clock,
    logger: createLogger({
      level: "info",
      format: "logfmt",
      sink: (line) => log.push(line),
      now: () => clock.now(),
    }),
    metrics: new CompactMetrics(metrics),
    interval: 5 * MINUTE,
    haltOnError,
  });
  const value = async (name: string) =>
    Number(
      (await metrics.expose()).split("\n").find((l) => l.startsWith(`${name} `))!.split(" ")[1],
    );
  return { loop, clock, stop, begun, log, value };
}

/** Lets time pass until the loop has ended. */
async function run(clock: FakeClock, ending: Promise<void>): Promise<void> {
  let ended = false;
  const end = () => void (ended = true);
  ending.then(end, end);
  while (!ended) {
    await clock.advance(MINUTE);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  await ending;
}

Deno.test("CO13: forEver() counts what failed as a retry, and tries again with the next tick", async () => {
  const { loop, clock, stop, begun, log, value } = loopOver([OUTAGE, OUTAGE, FINE]);
  await run(clock, loop.forEver(stop.signal));
  assert.deepEqual(begun, [0, 5, 10, 15].map((minutes) => minutes * MINUTE));
  assert.equal(await value("thanos_compact_retries_total"), 2);
  assert.equal(await value("thanos_compact_iterations_total"), 1);
  assert.equal(log.filter((line) => line.includes("simulated outage")).length, 2);
});

Deno.test("forEver() begins no iteration while one runs; ticks that passed are left out", async () => {
  const slow = async (clock: FakeClock) => {
    await clock.sleep(12 * MINUTE);
    return FINE;
  };
  const { loop, clock, stop, begun } = loopOver([slow, FINE]);
  await run(clock, loop.forEver(stop.signal));
  assert.deepEqual(begun, [0, 15, 20].map((minutes) => minutes * MINUTE));
});

Deno.test("groups that are set aside are told in the order of what they hold up; the loop goes on", async () => {
  const report = { ...FINE, setAside: [setAside("large", 2000), setAside("small", 10)] };
  const { loop, clock, stop, begun, log, value } = loopOver([report, FINE]);
  await run(clock, loop.forEver(stop.signal));
  assert.equal(begun.length, 3);
  assert.equal(await value("thanos_compact_iterations_total"), 2);
  const ranked = log.filter((line) => line.includes("rank="));
  assert.match(ranked[0]!, /rank=1 group=large .*waiting_bytes=2000/);
  assert.match(ranked[1]!, /rank=2 group=small .*waiting_bytes=10/);
  // With --no-debug.halt-on-error the process ends, and says why.
  const halting = loopOver([report], false);
  await assert.rejects(
    run(halting.clock, halting.loop.forEver(halting.stop.signal)),
    /group large .* is set aside \(overlap\): blocks of large overlap; group small/,
  );
});

Deno.test("once() does all that can be done, then fails with every reason", async () => {
  const report = { ...OUTAGE, compactions: 3, setAside: [setAside("bad", 1)] };
  const { loop, stop } = loopOver([report]);
  await assert.rejects(loop.once(stop.signal), /simulated outage; group bad/);
  const fine = loopOver([FINE]);
  await fine.loop.once(fine.stop.signal);
  assert.match(fine.log.join("\n"), /everything is compacted/);
});
