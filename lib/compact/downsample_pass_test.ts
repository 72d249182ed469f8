import { strict as assert } from "node:assert";
import { FakeClock, makeUlid } from "../base/mod.ts";
import { listBlocks, verifyBlock } from "../block/mod.ts";
import { labelsFromRecord } from "../model/mod.ts";
import { type Bucket, FilesystemBucket, MemoryBucket } from "../objstore/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import { Metrics, silentLogger } from "../telemetry/mod.ts";
import {
  type BlockMeta,
  makeThanosMeta,
  parseBlockMeta,
  printBlockMeta,
  readWholeFile,
  resolutionOf,
  SystemFiles,
} from "../tsdb/mod.ts";
import { goldenBlocks } from "../tsdb/testing/golden.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { makeCompactor } from "./testing/compactor_fixture.ts";
import {
  downsampleCandidates,
  DownsampleMetrics,
  Downsampling,
  InlineJobs,
  type JobRunner,
  WorkerJobs,
} from "./mod.ts";

const NOW = Date.parse("2026-12-01T00:00:00Z");
const HOUR = 3_600_000;
const system = new SystemFiles();

function id(n: number): string {
  return makeUlid(NOW + n, (target) => target.fill(1));
}

function meta(n: number, hours: number, resolution: number, sources: readonly number[]): BlockMeta {
  return {
    ulid: id(n),
    minTime: 0,
    maxTime: hours * HOUR,
    stats: {
      numSamples: 1,
      numFloatSamples: 1,
      numHistogramSamples: 0,
      numSeries: 1,
      numChunks: 1,
      numTombstones: 0,
    },
    compaction: {
      level: 1,
      sources: sources.map(id),
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
    thanos: makeThanosMeta({ labels: labelsFromRecord({ a: "1" }), resolution }),
  };
}

function candidates(
  metas: readonly BlockMeta[],
  kept: (resolution: number) => boolean = () => true,
) {
  return downsampleCandidates(metas, metas, (_, resolution) => kept(resolution))
    .map(({ meta, resolution }) => [meta.ulid, resolution]);
}

Deno.test("downsampleCandidates() takes long blocks whose sources are not downsampled yet", () => {
  assert.deepEqual(candidates([meta(2, 40, 0, [2]), meta(1, 48, 0, [1]), meta(3, 39.9, 0, [3])]), [
    [id(1), 300_000],
    [id(2), 300_000],
  ]);
  // Some of the sources are not enough, and blocks of an hour say nothing about raw ones.
  const raw = meta(9, 48, 0, [1, 2]);
  assert.equal(candidates([raw, meta(5, 48, 300_000, [1])]).length, 1);
  assert.equal(candidates([raw, meta(5, 48, 300_000, [1]), meta(6, 48, 300_000, [2])]).length, 0);
  assert.equal(candidates([raw, meta(5, 48, 3_600_000, [1, 2])]).length, 1);
  assert.deepEqual(candidates([meta(5, 240, 300_000, [1])]), [[id(5), 3_600_000]]);
  assert.deepEqual(candidates([meta(5, 239, 300_000, [1]), meta(6, 999, 3_600_000, [2])]), []);
});

Deno.test("downsampleCandidates() makes nothing that would expire at once, but for what comes of it", () => {
  const raw = meta(1, 240, 0, [1]);
  const only1h = (resolution: number) => resolution === 3_600_000;
  assert.deepEqual(candidates([meta(1, 239, 0, [1])], only1h), []);
  assert.deepEqual(candidates([raw], only1h), [[id(1), 300_000]]);
  assert.deepEqual(candidates([raw, meta(2, 240, 3_600_000, [1])], only1h), []);
  assert.deepEqual(candidates([raw], () => false), []);
});

/** Copies the golden blocks of some resolutions into a bucket. */
async function fill(bucket: Bucket, resolutions: readonly number[]): Promise<string[]> {
  const copied: string[] = [];
  for (const directory of goldenBlocks(["bucket-compacted"])) {
    const found = parseBlockMeta(readWholeFile(system, `${directory}/meta.json`), "meta.json");
    const days = (found.maxTime - found.minTime) / (24 * HOUR);
    if (!resolutions.includes(resolutionOf(found)) || days < 1.6) continue;
    copied.push(found.ulid);
    const files = ["index", ...found.thanos!.segmentFiles.map((f) => `chunks/${f}`)];
    for (const name of [...files, "meta.json"]) {
      await bucket.upload(`${found.ulid}/${name}`, readWholeFile(system, `${directory}/${name}`));
    }
  }
  return copied;
}

async function metasOf(bucket: Bucket): Promise<BlockMeta[]> {
  const blocks = [...await listBlocks(bucket)].filter(([, block]) => block.complete);
  const metas: BlockMeta[] = [];
  for (const [ulid] of blocks) {
    metas.push(parseBlockMeta(await bucket.get(`${ulid}/meta.json`), ulid, ulid));
  }
  return metas;
}

function parts(
  bucket: Bucket,
  files: MemoryFiles | SystemFiles,
  jobs: JobRunner,
  directory: string,
) {
  const metrics = new Metrics();
  let n = 0;
  const clock = new FakeClock(NOW);
  const downsample = new Downsampling({
    bucket,
    files,
    dataDirectory: directory,
    clock,
    makeUlid: () => id(++n),
    logger: silentLogger,
    metrics: new DownsampleMetrics(metrics),
    jobs,
    concurrency: 2,
    fileConcurrency: 1,
    hash: "",
    acceptMalformedIndex: false,
    retention: { raw: 0, fiveMinutes: 0, oneHour: 0 },
  });
  const made = makeCompactor({ bucket, files, dataDirectory: directory, clock, downsample });
  return { ...made, metrics };
}

async function total(metrics: Metrics, name: string): Promise<string[]> {
  return (await metrics.expose()).split("\n").filter((line) => line.startsWith(name));
}

Deno.test("Downsampling.run() makes both resolutions of a bucket in workers, as Thanos did, and rests", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "mneme-downsample-" });
  const jobs = new WorkerJobs();
  try {
    Deno.mkdirSync(`${directory}/bucket`);
    const bucket = new FilesystemBucket(`${directory}/bucket`);
    const copied = await fill(bucket, [0]);
    if (copied.length === 0) return;
    const { compactor, metrics } = parts(bucket, system, jobs, directory);
    const report = await compactor.iterate();
    assert.deepEqual(report.errors, []);
    const metas = await metasOf(bucket);
    assert.deepEqual(metas.map(resolutionOf).sort(), [
      0,
      0,
      300_000,
      300_000,
      3_600_000,
      3_600_000,
    ]);
    for (const made of metas.filter((m) => resolutionOf(m) > 0)) {
      const block = `${directory}/bucket/${made.ulid}`;
      const golden = goldenBlocks(["bucket-compacted"]).find((candidate) => {
        const wanted = parseBlockMeta(readWholeFile(system, `${candidate}/meta.json`), "");
        return resolutionOf(wanted) === resolutionOf(made) &&
          JSON.stringify(wanted.thanos!.labels) === JSON.stringify(made.thanos!.labels);
      })!;
      for (const name of ["index", "chunks/000001"]) {
        assert.deepEqual(
          readWholeFile(system, `${block}/${name}`),
          readWholeFile(system, `${golden}/${name}`),
        );
      }
      const wanted = parseBlockMeta(readWholeFile(system, `${golden}/meta.json`), "");
      // But for its id and the moment it is the same description.
      assert.equal(
        printBlockMeta({
          ...made,
          ulid: wanted.ulid,
          thanos: { ...made.thanos!, uploadTime: wanted.thanos!.uploadTime },
        }),
        printBlockMeta(wanted),
      );
      assert.equal((await verifyBlock(system, block, { depth: "samples" })).damagedChunks, 0);
    }
    assert.deepEqual(await total(metrics, "thanos_compact_downsample_total"), [
      'thanos_compact_downsample_total{resolution="0"} 2',
      'thanos_compact_downsample_total{resolution="300000"} 2',
    ]);
    assert.equal(system.stat(`${directory}/downsample`), undefined);
    await compactor.iterate();
    assert.equal((await metasOf(bucket)).length, 6);
  } finally {
    jobs.close();
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("Downsampling.run() tells what fails, goes on with the rest and does not read damage twice", async () => {
  const memory = new MemoryBucket();
  const copied = await fill(memory, [300_000]);
  if (copied.length === 0) return;
  const segment = `${copied[0]}/chunks/000001`;
  const bytes = (await memory.get(segment)).slice();
  bytes[5000]! ^= 1;
  await memory.upload(segment, bytes);
  const files = new MemoryFiles();
  files.mkdir("data");
  const bucket = new FaultyBucket(memory, { rules: [] });
  const { compactor, metrics } = parts(bucket, files, new InlineJobs(files), "data");
  const report = await compactor.iterate();
  assert.equal(report.errors.length, 2); // Once for each pass.
  assert.match(
    report.errors[0]!.message,
    new RegExp(`block ${copied[0]} to 3600000 ms: .*checksum`),
  );
  assert.deepEqual((await metasOf(bucket)).map(resolutionOf).sort(), [300_000, 300_000, 3_600_000]);
  const reads = () => bucket.calls.filter((c) => c.name === segment).length;
  const before = reads();
  assert.equal((await compactor.iterate()).errors.length, 2);
  assert.equal(reads(), before);
  assert.deepEqual(await total(metrics, "thanos_compact_downsample_failures_total"), [
    'thanos_compact_downsample_failures_total{resolution="0"} 0',
    'thanos_compact_downsample_failures_total{resolution="300000"} 1',
  ]);
});
