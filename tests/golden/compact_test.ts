/** The golden bucket compacted by Mneme against what Thanos made of it. */
import assert from "node:assert/strict";
import { isUlid, systemClock } from "../../lib/base/mod.ts";
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

const GOLDEN = new URL("../../../shared/golden/", import.meta.url).pathname;
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
async function goldenBucket(): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
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

async function compareWithGolden(
  golden: string,
  options: Partial<CompactorOptions>,
): Promise<void> {
  if (files.stat(`${GOLDEN}bucket-in`) === undefined) {
    console.log("skipped: bucket-in is not in ../shared/golden");
    return;
  }
  const folder = await Deno.makeTempDir({ prefix: "mneme-golden-" });
  try {
    await Deno.mkdir(`${folder}/data`);
    const bucket = await goldenBucket();
    const { compactor } = makeCompactor({
      bucket,
      files,
      dataDirectory: `${folder}/data`,
      clock: systemClock,
      options,
      downsample: "real",
    });
    const report = await compactor.iterate();
    assert.deepEqual(report.errors.map((e) => e.message), []);
    assert.deepEqual(report.setAside, []);
    await writeOut(bucket, `${folder}/result`);
    const mine = shapes(`${folder}/result`);
    const theirs = shapes(GOLDEN + golden);
    assert.deepEqual([...mine.keys()].sort(), [...theirs.keys()].sort());
    for (const [shape, meta] of theirs) {
      assert.deepEqual(
        content(`${folder}/result/${mine.get(shape)!.ulid}`),
        content(`${GOLDEN}${golden}/${meta.ulid}`),
      );
    }
    // Nothing is left to do, and a second iteration writes nothing.
    const before = bucket.objectCount;
    assert.equal((await compactor.iterate()).compactions, 0);
    assert.equal(bucket.objectCount, before);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the golden bucket compacted has the blocks of Thanos, chunk by chunk", () =>
  compareWithGolden("bucket-compacted", {}));

Deno.test("with deduplication the golden bucket has the blocks of Thanos, chunk by chunk", () =>
  compareWithGolden("bucket-compacted-dedup", {
    dedup: "penalty",
    vertical: true,
    replicaLabels: ["replica"],
  }));
