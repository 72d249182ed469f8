/** Blocks that Mneme compacted, read by real promtool and served by a real Prometheus. */
import assert from "node:assert/strict";
import { systemClock } from "../../lib/base/mod.ts";
import { makeCompactor } from "../../lib/compact/testing/compactor_fixture.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { parseBlockMeta, readWholeFile, resolutionOf, SystemFiles } from "../../lib/tsdb/mod.ts";
import { goldenBlocks } from "../../lib/tsdb/testing/golden.ts";
import { copyTree, Stage } from "../mneme.ts";

const files = new SystemFiles();
const DAY = 24 * 3_600_000;

interface Vector {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly histogram?: unknown;
}

async function query(http: string, text: string, time: number): Promise<string[]> {
  const url = `${http}/api/v1/query?time=${time / 1000}&query=${encodeURIComponent(text)}`;
  const body = await (await fetch(url)).json();
  assert.equal(body.status, "success", JSON.stringify(body));
  return (body.data.result as Vector[])
    .map(({ metric, value, histogram }) =>
      `${JSON.stringify(Object.entries(metric).sort())} ${JSON.stringify(value ?? histogram)}`
    )
    .sort();
}

function metaOf(directory: string) {
  return parseBlockMeta(readWholeFile(files, `${directory}/meta.json`), directory);
}

Deno.test("promtool and Prometheus read compacted blocks as they read their sources", async () => {
  for (const program of ["promtool", "prometheus"]) {
    if (await isOnPath(program)) continue;
    console.log(`skipped: ${program} is not installed`);
    return;
  }
  // Two days of one replica, and what is needed to make them the past.
  const sources = goldenBlocks(["bucket-in"]).filter((directory) =>
    metaOf(directory).thanos!.labels.at(-1) === "0"
  );
  if (sources.length === 0) return;
  const start = Math.min(...sources.map((d) => metaOf(d).minTime));
  await using stage = await Stage.open();
  const bucket = `${stage.folder}/bucket`;
  const raw = `${stage.folder}/raw`;
  for (const directory of sources) {
    const { ulid, minTime } = metaOf(directory);
    if (minTime >= start + 2.5 * DAY) continue;
    await copyTree(directory, `${bucket}/${ulid}`);
    await copyTree(directory, `${raw}/${ulid}`);
  }
  await Deno.mkdir(`${stage.folder}/data`);
  const { compactor } = makeCompactor({
    bucket: new FilesystemBucket(bucket),
    files,
    dataDirectory: `${stage.folder}/data`,
    clock: systemClock,
    options: { mergeConcurrency: 1 },
  });
  const report = await compactor.iterate();
  assert.deepEqual([report.errors, report.setAside], [[], []]);
  await compactor.iterate(); // Deletes the sources.
  const blocks = files.list(bucket).filter((e) => e.name !== "debug").map((e) => e.name);
  const metas = blocks.map((name) => metaOf(`${bucket}/${name}`));
  assert(metas.some((meta) => meta.maxTime - meta.minTime > 1.9 * DAY));
  assert(metas.every((meta) => resolutionOf(meta) === 0));
  await Deno.mkdir(`${bucket}/wal`, { recursive: true });
  const promtool = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("promtool", { args }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  const listed = await promtool("tsdb", "list", bucket);
  for (const { ulid, stats } of metas) {
    assert.match(
      listed,
      new RegExp(`${ulid}.* ${stats.numSamples} +${stats.numChunks} +${stats.numSeries}`),
    );
    assert.match(
      await promtool("tsdb", "analyze", bucket, ulid),
      new RegExp(`(?:Series|Total Series): ${stats.numSeries}\n`),
    );
  }
  const before = await stage.prometheus(raw);
  const after = await stage.prometheus(bucket);
  const body = await (await fetch(`${before}/api/v1/label/__name__/values`)).json();
  const names = body.data as string[];
  let answers = 0;
  for (const name of names) {
    const series = `{__name__=${JSON.stringify(name)}}`;
    for (
      const [text, time] of [
        [`count_over_time(${series}[2d])`, start + 2 * DAY],
        [`sum_over_time(${series}[2d])`, start + 2 * DAY],
        [`rate(${series}[1h])`, start + DAY],
        [series, start + 1.5 * DAY],
      ] as const
    ) {
      const expected = await query(before, text, time);
      assert.deepEqual(await query(after, text, time), expected, text);
      answers += expected.length;
    }
  }
  assert(answers > 20, `only ${answers} series were compared`);
});
