/**
 * A year of blocks as the generator makes it: downsampled to the last sample, then expired. Once with
 * every clock fixed, and once by the command at today's time, when blocks may be compacted as well.
 */
import assert from "node:assert/strict";
import { FakeClock } from "../../lib/base/mod.ts";
import { blocksOf, objectsOf } from "../../lib/compact/testing/blocks.ts";
import { makeCompactor } from "../../lib/compact/testing/compactor_fixture.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { resolutionOf, SystemFiles } from "../../lib/tsdb/mod.ts";
import { runCommand, Stage } from "../mneme.ts";

const END = Date.UTC(2026, 10, 22, 20);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Raw samples of the year, and their distance. */
const SAMPLES = 10_509_600;
const STEP = 15_000;

/** The year that ends at a time, in a bucket. */
async function makeYear(folder: string, end: number): Promise<void> {
  const plan = await runCommand([
    "cmd/main.ts",
    "bench",
    "block",
    "plan",
    "--profile=continuous-365d-tiny",
    '--labels=cluster="one"',
    `--max-time=${new Date(end).toISOString()}`,
  ]);
  assert.equal(plan.code, 0, plan.stderr);
  const gen = await runCommand(
    ["cmd/main.ts", "bench", "block", "gen", `--output.dir=${folder}`],
    plan.stdout,
  );
  assert.equal(gen.code, 0, gen.stderr);
}

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
  await makeYear(folder, END);
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

Deno.test("at today's time the compact command keeps every sample of the year; its flags delete what has passed", async () => {
  await using stage = await Stage.open();
  const folder = `${stage.folder}/bucket`;
  const now = Date.now();
  await makeYear(folder, now);
  const bucket = new FilesystemBucket(folder);
  const compact = async (...flags: string[]) => {
    const { code, stderr } = await runCommand([
      "cmd/main.ts",
      "compact",
      `--objstore.config=${JSON.stringify({ type: "FILESYSTEM", config: { directory: folder } })}`,
      `--data-dir=${stage.folder}/data`,
      "--http-address=127.0.0.1:0",
      "--consistency-delay=0s",
      "--delete-delay=0s",
      ...flags,
    ]);
    assert.equal(code, 0, stderr);
  };
  /** Blocks of a resolution that are not marked, by start. */
  const left = async (resolution: number) =>
    [...(await blocksOf(bucket)).values()].filter((block) =>
      !block.marked && resolutionOf(block.meta) === resolution
    ).map((block) => block.meta).sort((a, b) => a.minTime - b.minTime);
  const samples = (metas: readonly { readonly stats: { readonly numSamples: number } }[]) =>
    metas.reduce((sum, meta) => sum + meta.stats.numSamples, 0);

  await compact();
  const raw = await left(0);
  assert.equal(samples(raw), SAMPLES);
  for (const [i, meta] of raw.slice(1).entries()) {
    const gap = meta.minTime - raw[i]!.maxTime;
    assert(gap >= 0 && gap <= STEP, `${gap} ms between blocks ${i} and ${i + 1}`);
  }
  assert(raw.at(-1)!.maxTime - raw[0]!.minTime > 365 * DAY - 3 * HOUR);
  // The nine long ones, and what blocks of the last days were compacted to if that is two days long.
  const five = await left(300_000);
  assert(five.length >= 9, `${five.length} blocks at five minutes`);
  assert.equal((await left(3_600_000)).length, 5);

  const before = await blocksOf(bucket);
  const objects = await objectsOf(bucket);
  const periods: Readonly<Record<number, number>> = {
    0: 60 * DAY,
    300_000: 200 * DAY,
    3_600_000: Infinity,
  };
  const flags = ["--retention.resolution-raw=60d", "--retention.resolution-5m=200d"];
  await compact(...flags);
  await compact(...flags);
  const kept = [...before].filter(([, { meta, marked }]) =>
    !marked && meta.maxTime + periods[resolutionOf(meta)]! > now
  );
  assert(kept.length < [...before].filter(([, { marked }]) => !marked).length);
  assert.deepEqual([...(await blocksOf(bucket)).keys()].sort(), kept.map(([id]) => id).sort());
  const ids = new Set(kept.map(([id]) => id));
  assert.deepEqual(
    (await objectsOf(bucket)).sort(),
    [...objects.filter((name) => ids.has(name.slice(0, 26))), "debug/mneme-clock"].sort(),
  );
});
