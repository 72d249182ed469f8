/** What a loop makes of an iteration's report. */
import assert from "node:assert/strict";
import { MnemeError, systemClock } from "../base/mod.ts";
import { Metrics, silentLogger } from "../telemetry/mod.ts";
import type { Compactor, IterationReport } from "./compactor.ts";
import { CompactLoop } from "./loop.ts";
import { CompactMetrics } from "./metrics.ts";

Deno.test("CompactLoop.once() names each reason once, with all stages that it stopped", async () => {
  const failed = (stage: string, reason: string) => {
    const cause = new Error(reason);
    return new MnemeError("unavailable", `${stage}: ${reason}`, { cause });
  };
  const report: IterationReport = {
    compactions: 0,
    errors: [
      failed("compaction", "no network"),
      failed("downsampling, pass 1", "no network"),
      failed("retention", "denied"),
      new MnemeError("corruption", "block: bad index"),
    ],
    setAside: [],
  };
  const compactor = { iterate: () => Promise.resolve(report) } as unknown as Compactor;
  const loop = new CompactLoop(compactor, {
    clock: systemClock,
    logger: silentLogger,
    metrics: new CompactMetrics(new Metrics()),
    interval: 0,
    haltOnError: true,
  });
  await assert.rejects(loop.once(new AbortController().signal), {
    message: "compaction; downsampling, pass 1: no network; retention: denied; block: bad index",
  });
});
