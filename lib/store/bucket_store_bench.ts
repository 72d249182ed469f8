/** A day of series out of two-hour blocks in memory: the store gateway without disk and network. */
import { type Bench, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { labelsFromRecord, makeMatcher, type Matcher, SampleBatch } from "../model/mod.ts";
import { MemoryBucket } from "../objstore/mod.ts";
import {
  callContext,
  labelsRequest,
  type SeriesData,
  seriesRequest,
} from "../storeapi/testing/fixtures.ts";
import type { BucketStore } from "./bucket_store.ts";
import { MemoryIndexCache } from "./cache/index_cache.ts";
import { addBlock, blockId, makeStore } from "./testing/small_bucket.ts";

const T0 = 1_790_208_000_000;
const SCRAPE = 15_000;
const SPAN = 2 * 3_600_000;
const METRICS = 5;

/** `blocks` blocks of two hours with `series` counters each. */
async function makeBucket(random: Random, blocks: number, series: number): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  const samplesEach = SPAN / SCRAPE;
  for (let n = 0; n < blocks; n++) {
    const start = T0 + n * SPAN;
    const data: SeriesData[] = [];
    for (let i = 0; i < series; i++) {
      const samples = new SampleBatch(samplesEach);
      let value = random.below(1000);
      for (let k = 0; k < samplesEach; k++) {
        samples.t[k] = start + k * SCRAPE;
        samples.v[k] = value += random.below(20);
      }
      samples.length = samplesEach;
      const labels = labelsFromRecord({
        __name__: `bench_${i % METRICS}_total`,
        instance: `instance-${Math.floor(i / METRICS)}`,
        job: `job-${i % 4}`,
        path: `/api/${i % 10}`,
      });
      data.push({ labels, samples });
    }
    await addBlock(bucket, {
      id: blockId(n),
      series: data,
      minTime: start,
      maxTime: start + SPAN,
    });
  }
  return bucket;
}

async function messages(store: BucketStore, matchers: readonly Matcher[]): Promise<string> {
  const request = seriesRequest({ matchers, responseBatchSize: 64, partialResponse: "abort" });
  const hash = new ResultHash();
  for await (const message of store.seriesMessages(request, callContext())) {
    hash.addText(`${message.length}`);
    hash.addBytes(message.subarray(0, 64));
    store.recycleMessage(message);
  }
  return hash.digest();
}

export const bench: Bench = {
  name: "bucket-store",
  async run(b) {
    const blocks = b.parameter("blocks", 2, 12);
    const series = b.parameter("series", 20, 1000);
    const bucket = await makeBucket(new Random(b.seed), blocks, series);
    const store = makeStore(bucket, {
      cache: new MemoryIndexCache({ maxBytes: 64 * 1024 * 1024, maxItemBytes: 64 * 1024 * 1024 }),
    });
    await store.sync();
    const chunks = blocks * series * 4;
    const all = [makeMatcher("=~", "__name__", "bench_.*")];
    const work = { work: chunks, unit: "chunk" };
    await b.measureAsync("all series to messages", work, () => messages(store, all));
    await b.measureAsync("all series to frames", work, async () => {
      const hash = new ResultHash();
      const request = seriesRequest({ matchers: all });
      for await (const frame of store.series(request, callContext())) {
        hash.addText(`${frame.series.length}`);
        for (const s of frame.series) hash.addText(`${s.chunks.length}`);
      }
      return hash.digest();
    });
    const one = [
      makeMatcher("=", "__name__", "bench_0_total"),
      makeMatcher("=", "instance", "instance-1"),
    ];
    await b.measureAsync(
      "one series, per block",
      { work: blocks, unit: "block" },
      () => messages(store, one),
    );
    await b.measureAsync("label values", { work: blocks, unit: "block" }, async () => {
      const request = { ...labelsRequest(), label: "instance" };
      const { values } = await store.labelValues(request, callContext());
      const hash = new ResultHash();
      for (const value of values) hash.addText(value);
      return hash.digest();
    });
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
