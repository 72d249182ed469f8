import { strict as assert } from "node:assert";
import { FakeClock, makeUlid } from "../base/mod.ts";
import { uploadBlock } from "../block/mod.ts";
import { appendChunk, encodeSamples, readAggrChunk } from "../chunks/mod.ts";
import { labelsFromRecord, parseHistogram, SampleBatch } from "../model/mod.ts";
import { MemoryBucket } from "../objstore/mod.ts";
import { Metrics, silentLogger } from "../telemetry/mod.ts";
import {
  BlockWriter,
  makeThanosMeta,
  openBlock,
  parseBlockMeta,
  resolutionOf,
} from "../tsdb/mod.ts";
import { downloadBlock, listBlocks } from "../block/mod.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { makeCompactor } from "./testing/compactor_fixture.ts";
import {
  BucketSync,
  DEFAULT_COMPACTOR_OPTIONS,
  DownsampleLoop,
  DownsampleMetrics,
  Downsampling,
  InlineJobs,
} from "./mod.ts";

const HOUR = 3_600_000;
const NOW = Date.parse("2026-12-01T00:00:00Z");
const START = Math.floor(NOW / (336 * HOUR)) * 336 * HOUR - 336 * HOUR;
let made = 0;

function nextUlid(): string {
  return makeUlid(NOW + ++made, (target) => target.fill(1));
}

function world() {
  const clock = new FakeClock(NOW);
  const bucket = new MemoryBucket({ clock });
  const files = new MemoryFiles();
  files.mkdir("data");
  files.mkdir("made");
  const metrics = new Metrics();
  const options = { ...DEFAULT_COMPACTOR_OPTIONS, consistencyDelay: 0, deleteDelay: Infinity };
  const observer = { synced() {}, cacheBust() {}, warn() {} };
  const downsampling = new Downsampling({
    ...options,
    bucket,
    files,
    dataDirectory: "data",
    clock,
    makeUlid: nextUlid,
    logger: silentLogger,
    metrics: new DownsampleMetrics(metrics),
    jobs: new InlineJobs(files),
    concurrency: 1,
  });
  const loop = new DownsampleLoop({
    sync: new BucketSync({ bucket, clock, options, observer, labelsRemoved() {} }),
    downsampling,
    clock,
    logger: silentLogger,
    interval: 300_000,
  });
  return { clock, bucket, files, metrics, loop };
}

type World = ReturnType<typeof world>;

async function addBlock(
  { bucket, files, clock }: World,
  maxTime: number,
  series: readonly (readonly [name: string, batch: SampleBatch])[],
): Promise<void> {
  const ulid = nextUlid();
  const writer = new BlockWriter({ files, directory: "made", ulid });
  for (const [name, batch] of series) {
    writer.beginSeries(labelsFromRecord({ __name__: name }));
    for (const { minTime, maxTime, chunk } of encodeSamples(batch)) {
      const samples = (chunk.data[0]! << 8) | chunk.data[1]!;
      writer.addChunk(chunk.encoding, chunk.data, minTime, maxTime, samples);
    }
  }
  writer.finish({
    minTime: START,
    maxTime,
    thanos: makeThanosMeta({ labels: labelsFromRecord({ cluster: "one" }), source: "sidecar" }),
  });
  await uploadBlock(bucket, files, `made/${ulid}`, { clock });
}

function floats(n: number, step: number): SampleBatch {
  const batch = new SampleBatch(n);
  for (let i = 0; i < n; i++) {
    batch.t[i] = START + i * step;
    batch.v[i] = i;
  }
  batch.length = n;
  return batch;
}

async function metasOf({ bucket }: World) {
  const metas = [];
  for (const [ulid, { complete }] of await listBlocks(bucket)) {
    if (complete) metas.push(parseBlockMeta(await bucket.get(`${ulid}/meta.json`), ulid));
  }
  return metas;
}

Deno.test("C9: two overlapping raw blocks are downsampled, and the compactor goes on over the results", async () => {
  const w = world();
  await addBlock(w, START + 48 * HOUR, [["m", floats(1200, 120_000)]]);
  await addBlock(w, START + 48 * HOUR, [["m", floats(1201, 120_000)]]);
  assert.deepEqual(await w.loop.once(), []);
  const text = await w.metrics.expose();
  assert.match(text, /thanos_compact_downsample_duration_seconds_count\{resolution="0"\} 2\n/);
  assert.deepEqual((await metasOf(w)).map(resolutionOf).sort(), [0, 0, 300_000, 300_000]);

  const { compactor } = makeCompactor({
    bucket: w.bucket,
    files: w.files,
    dataDirectory: "data",
    clock: w.clock,
    options: { vertical: true },
  });
  const report = await compactor.iterate();
  assert.deepEqual(report.errors, []);
  assert.deepEqual(report.setAside, []);
  const raw = (await metasOf(w)).filter((meta) => resolutionOf(meta) === 0);
  assert.equal(Math.max(...raw.map((meta) => meta.stats.numSamples)), 1201);
});

Deno.test("C10: a week of histograms, float histograms and floats keeps its counts at five minutes", async () => {
  const w = world();
  const n = 7 * 24 * 12;
  const histograms = (integer: boolean) => {
    const batch = new SampleBatch();
    for (let i = 1; i <= n; i++) {
      const h = parseHistogram(`{{schema:0 count:${3 * i} sum:${i} buckets:[${i} ${2 * i}]}}`);
      if (integer) h.integer = true;
      batch.appendHistogram(START + i * 300_000 - 1, h);
    }
    return batch;
  };
  await addBlock(w, START + 168 * HOUR, [
    ["float", floats(n, 300_000)],
    ["float_histogram", histograms(false)],
    ["histogram", histograms(true)],
  ]);
  assert.deepEqual(await w.loop.once(), []);
  const five = (await metasOf(w)).find((meta) => resolutionOf(meta) === 300_000)!;
  assert.equal(five.stats.numSeries, 3);
  await downloadBlock(w.bucket, w.files, five.ulid, `made/${five.ulid}`);
  const block = openBlock(w.files, `made/${five.ulid}`);
  const selection = block.select([]);
  for (let i = 1; i < 3; i++) {
    const chunks = selection.readChunks(i);
    const last = new SampleBatch();
    appendChunk(readAggrChunk(chunks.at(-1)!.chunk.data).counter!, last);
    assert.equal(last.h!.at(-1)!.count, 3 * n, "the counter ends with all observations");
    const points = chunks.reduce((sum, { chunk }) => {
      const counts = new SampleBatch();
      appendChunk(readAggrChunk(chunk.data).count!, counts);
      return sum + counts.v.subarray(0, counts.length).reduce((a, b) => a + b, 0);
    }, 0);
    assert.equal(points, n);
  }
  block.close();
});
