/**
 * The golden bucket compacted by Mneme against what Thanos made of it: the blocks chunk by chunk, and
 * what a querier answers over them.
 */
import assert from "node:assert/strict";
import { FakeClock, isUlid } from "../../lib/base/mod.ts";
import { downloadBlock } from "../../lib/block/mod.ts";
import { makeCompactor } from "../../lib/compact/testing/compactor_fixture.ts";
import type { CompactorOptions } from "../../lib/compact/mod.ts";
import { formatLabels } from "../../lib/model/mod.ts";
import { MemoryBucket } from "../../lib/objstore/mod.ts";
import {
  type BlockMeta,
  externalLabelsOf,
  openBlock,
  parseBlockMeta,
  readWholeFile,
  resolutionOf,
  SystemFiles,
} from "../../lib/tsdb/mod.ts";
import { copyTree, Stage } from "../mneme.ts";
import { ask, differenceOf, GOLDEN, readCalls, serve } from "./recorded_calls.ts";

/** When the compactor looks at the bucket: after every block of it was uploaded. */
const NOW = Date.UTC(2028, 0, 1);
const files = new SystemFiles();

/** Blocks of a bucket in a folder, by what they are like. */
function shapes(bucket: string): Map<string, BlockMeta> {
  const found = new Map<string, BlockMeta>();
  for (const { name } of files.list(bucket)) {
    const path = `${bucket}/${name}/meta.json`;
    if (files.stat(path) === undefined) continue;
    const meta = parseBlockMeta(readWholeFile(files, path), path, name);
    found.set(shapeOf(meta), meta);
  }
  return found;
}

function shapeOf(meta: BlockMeta): string {
  const { stats, compaction } = meta;
  return [
    formatLabels(externalLabelsOf(meta)),
    resolutionOf(meta),
    meta.minTime,
    meta.maxTime,
    `level ${compaction.level}`,
    `${stats.numSeries} series, ${stats.numSamples} samples, ${stats.numChunks} chunks, ` +
    `${stats.numFloatSamples} floats, ${stats.numHistogramSamples} histograms`,
    compaction.sources.join(","),
  ].join(" ");
}

/** Every chunk of every series as text; differences then show the series. */
function content(directory: string): Map<string, string> {
  const block = openBlock(files, directory);
  try {
    const selection = block.select([]);
    const series = new Map<string, string>();
    for (let i = 0; i < selection.length; i++) {
      const chunks = selection.readChunks(i).map(({ minTime, maxTime, chunk }) =>
        `${minTime}-${maxTime} ${chunk.encoding} ${chunk.data.toHex()}`
      );
      series.set(formatLabels(selection.labels[i]!), chunks.join("\n"));
    }
    return series;
  } finally {
    block.close();
  }
}

/** The golden input in memory, which needs no disk to wait for. */
async function goldenBucket(clock: FakeClock): Promise<MemoryBucket> {
  const bucket = new MemoryBucket({ clock });
  const upload = async (folder: string, prefix: string): Promise<void> => {
    for (const { name, isDirectory } of files.list(folder)) {
      const path = `${folder}/${name}`;
      if (isDirectory) await upload(path, `${prefix}${name}/`);
      else await bucket.upload(prefix + name, readWholeFile(files, path));
    }
  };
  await upload(`${GOLDEN}bucket-in`, "");
  return bucket;
}

/** Writes all blocks of a bucket into a folder. */
async function writeOut(bucket: MemoryBucket, folder: string): Promise<void> {
  for await (const { name } of bucket.iter("")) {
    if (!isUlid(name.slice(0, -1))) continue;
    const ulid = name.slice(0, -1);
    await downloadBlock(bucket, files, ulid, `${folder}/${ulid}`, { sync: false });
  }
}

/** Compacts the golden input into `<stage>/result` and compares it with a bucket of Thanos. */
async function compareWithGolden(
  stage: Stage,
  golden: string,
  options: Partial<CompactorOptions>,
): Promise<string> {
  await Deno.mkdir(`${stage.folder}/data`);
  const clock = new FakeClock(NOW);
  const bucket = await goldenBucket(clock);
  const { compactor } = makeCompactor({
    bucket,
    files,
    dataDirectory: `${stage.folder}/data`,
    clock,
    options,
    downsample: "real",
  });
  const iterate = async () => {
    const report = await compactor.iterate();
    assert.deepEqual(report.errors.map((e) => e.message), []);
    assert.deepEqual(report.setAside, []);
    return report.compactions;
  };
  assert.ok(await iterate() > 0);
  // Without a delay of deletion the sources go as soon as time has passed.
  await clock.advance(1000);
  assert.equal(await iterate(), 0);
  const result = `${stage.folder}/result`;
  await writeOut(bucket, result);
  const mine = shapes(result);
  const theirs = shapes(GOLDEN + golden);
  assert.deepEqual([...mine.keys()].sort(), [...theirs.keys()].sort());
  for (const [shape, meta] of theirs) {
    assert.deepEqual(
      content(`${result}/${mine.get(shape)!.ulid}`),
      content(`${GOLDEN}${golden}/${meta.ulid}`),
    );
  }
  // Nothing is left to do, and another iteration writes nothing.
  const before = bucket.objectCount;
  assert.equal(await iterate(), 0);
  assert.equal(bucket.objectCount, before);
  return result;
}

Deno.test("the golden bucket compacted has the blocks of Thanos, chunk by chunk, and the recorded answers", async () => {
  const calls = await readCalls();
  if (calls === undefined) return;
  await using stage = await Stage.open();
  const querier = await serve(stage, await compareWithGolden(stage, "bucket-compacted", {}));
  const failures: string[] = [];
  for (const call of calls) {
    const difference = differenceOf(call, await ask(querier, call));
    if (difference !== undefined) failures.push(`${call.name}: ${difference}`);
  }
  assert.deepEqual(failures, []);
  console.log(`${calls.length} of ${calls.length} recorded answers hold over our compaction`);
});

Deno.test("with deduplication the golden bucket has the blocks of Thanos, chunk by chunk, and their answers", async () => {
  const calls = await readCalls();
  if (calls === undefined) return;
  await using stage = await Stage.open();
  const mine = await serve(
    stage,
    await compareWithGolden(stage, "bucket-compacted-dedup", {
      dedup: "penalty",
      vertical: true,
      replicaLabels: ["replica"],
    }),
  );
  await copyTree(`${GOLDEN}bucket-compacted-dedup`, `${stage.folder}/theirs`);
  const theirs = await serve(stage, `${stage.folder}/theirs`);
  const failures: string[] = [];
  let recorded = 0;
  for (const call of calls) {
    const [expected, actual] = [await ask(theirs, call), await ask(mine, call)];
    const difference = differenceOf(expected, actual);
    if (difference !== undefined) failures.push(`${call.name}: ${difference}`);
    if (differenceOf(call, actual) === undefined) recorded++;
  }
  assert.deepEqual(failures, []);
  console.log(
    `${calls.length} answers are those over Thanos' deduplicated blocks, ${recorded} of them as ` +
      "recorded over blocks with replicas",
  );
  assert.ok(recorded >= 217, `${recorded}`);
});
