/** A year of blocks as the generator makes it: downsampled to the last sample, then expired. */
import assert from "node:assert/strict";
import { FakeClock } from "../../lib/base/mod.ts";
import { blocksOf } from "../../lib/compact/testing/blocks.ts";
import { makeCompactor } from "../../lib/compact/testing/compactor_fixture.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { resolutionOf, SystemFiles } from "../../lib/tsdb/mod.ts";
import { runCommand, Stage } from "../mneme.ts";

const END = Date.UTC(2026, 10, 22, 20);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Blocks that are not marked: resolution, hours, samples and chunks, with their number. */
async function census(bucket: FilesystemBucket): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const { meta, marked } of (await blocksOf(bucket)).values()) {
    if (marked) continue;
    const hours = Math.round((meta.maxTime - meta.minTime) / HOUR);
    const { numSamples, numChunks } = meta.stats;
    const chunks = resolutionOf(meta) === 0 ? "" : ` ${numChunks} chunks`;
    const key = `${resolutionOf(meta)} ${hours}h ${numSamples}${chunks}`;
    out[key] = (out[key] ?? 0) + 1;
  }
  return out;
}

Deno.test("a year is downsampled as Thanos does it; retention takes what has passed, nothing else", async () => {
  await using stage = await Stage.open();
  const folder = `${stage.folder}/bucket`;
  const plan = await runCommand([
    "cmd/main.ts",
    "bench",
    "block",
    "plan",
    "--profile=continuous-365d-tiny",
    '--labels=cluster="one"',
    `--max-time=${new Date(END).toISOString()}`,
  ]);
  assert.equal(plan.code, 0, plan.stderr);
  const gen = await runCommand(
    ["cmd/main.ts", "bench", "block", "gen", `--output.dir=${folder}`],
    plan.stdout,
  );
  assert.equal(gen.code, 0, gen.stderr);
  await Deno.mkdir(`${stage.folder}/data`);
  const bucket = new FilesystemBucket(folder);
  const run = async (retention: { raw: number; fiveMinutes: number; oneHour: number }) => {
    const { compactor } = makeCompactor({
      bucket,
      files: new SystemFiles(),
      dataDirectory: `${stage.folder}/data`,
      clock: new FakeClock(END + HOUR),
      downsample: "real",
      // Blocks without an upload time are as old as their id, which the generator takes from today.
      options: { retention, deleteDelay: 48 * HOUR, consistencyDelay: -100 * 365 * DAY },
    });
    const report = await compactor.iterate();
    assert.deepEqual([report.errors, report.setAside], [[], []]);
  };
  await run({ raw: 0, fiveMinutes: 0, oneHour: 0 });
  const raw = {
    "0 2h 2400": 3,
    "0 8h 9600": 1,
    "0 176h 211200": 4,
    "0 1608h 1929600": 5,
  };
  const oneHour = { "3600000 1608h 8090 65 chunks": 5 };
  assert.deepEqual(await census(bucket), {
    ...raw,
    "300000 176h 10565 75 chunks": 4,
    "300000 1608h 96485 685 chunks": 5,
    ...oneHour,
  });
  // Raw for 60 days, 5m for 200 days, 1h for ever: ends lie 2h, …, 31, 98, 165, 232, 299 days ago.
  await run({ raw: 60 * DAY, fiveMinutes: 200 * DAY, oneHour: 0 });
  for (const [resolution, period] of [[0, 60 * DAY], [300_000, 200 * DAY]] as const) {
    for (const { meta, marked } of (await blocksOf(bucket)).values()) {
      if (resolutionOf(meta) !== resolution) continue;
      assert.equal(marked, meta.maxTime + period < END + HOUR, meta.ulid);
    }
  }
  const after = await census(bucket);
  assert.equal(after["0 1608h 1929600"], 1);
  assert.equal(after["300000 1608h 96485 685 chunks"], 3);
  assert.equal(after["3600000 1608h 8090 65 chunks"], 5);
});
