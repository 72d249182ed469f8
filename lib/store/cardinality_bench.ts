/** One block with a label of very many values: what lists of values and matchers on them cost. */
import { type Bench, runBenchProgram } from "../base/testing/bench.ts";
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
const MiB = 1024 * 1024;

async function makeBucket(series: number): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  const data: SeriesData[] = [];
  for (let i = 0; i < series; i++) {
    const samples = new SampleBatch(2);
    samples.t.set([T0, T0 + 15_000]);
    samples.v.set([i, i + 1]);
    samples.length = 2;
    const pod = `pod-${String(i * 7919 % series).padStart(8, "0")}`;
    data.push({ labels: labelsFromRecord({ __name__: "up", job: `job-${i % 4}`, pod }), samples });
  }
  await addBlock(bucket, { id: blockId(0), series: data });
  return bucket;
}

/** A gateway that has seen nothing yet, so that no call profits from the one before. */
async function fresh(bucket: MemoryBucket, maxBytes: number): Promise<BucketStore> {
  const cache = new MemoryIndexCache({ maxBytes, maxItemBytes: maxBytes });
  const store = makeStore(bucket, { cache });
  await store.sync();
  return store;
}

async function select(store: BucketStore, matchers: readonly Matcher[]): Promise<string> {
  const request = seriesRequest({ matchers, responseBatchSize: 64, partialResponse: "abort" });
  let bytes = 0;
  for await (const message of store.seriesMessages(request, callContext())) {
    bytes += message.length;
    store.recycleMessage(message);
  }
  return String(bytes);
}

export const bench: Bench = {
  name: "cardinality",
  async run(b) {
    const series = b.parameter("series", 500, 100_000);
    const bucket = await makeBucket(series);
    const call = { work: 1, unit: "call" };
    const kept = await fresh(bucket, 256 * MiB);
    await b.measureAsync("label values", call, async () => {
      const request = { ...labelsRequest(), label: "pod" };
      const { values } = await kept.labelValues(request, callContext());
      const hash = new ResultHash();
      hash.addText(`${values.length} ${values[0]} ${values.at(-1)}`);
      return hash.digest();
    });
    const up = makeMatcher("=", "__name__", "up");
    const rows: [string, Matcher[]][] = [
      ["selector alone", [up]],
      ['with pod!=""', [up, makeMatcher("!=", "pod", "")]],
      ['with pod=~".+"', [up, makeMatcher("=~", "pod", ".+")]],
      ['with pod=~"pod-0+1"', [up, makeMatcher("=~", "pod", "pod-0+1")]],
      ["one pod", [up, makeMatcher("=", "pod", "pod-00000007")]],
    ];
    for (const [name, matchers] of rows) {
      await b.measureAsync(name, call, () => select(kept, matchers));
      // Without a cache every call is a first one.
      const cold = await fresh(bucket, 0);
      await b.measureAsync(`${name}, nothing cached`, call, () => select(cold, matchers));
    }
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
