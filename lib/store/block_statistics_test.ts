import assert from "node:assert/strict";
import { MemoryBucket } from "../objstore/mod.ts";
import { makeMatcher } from "../model/mod.ts";
import { floatSeries } from "../storeapi/testing/fixtures.ts";
import { addBlock, blockId, makeStore } from "./testing/small_bucket.ts";

const START = 1_790_208_000_000;
const HOUR = 3_600_000;
const signal = new AbortController().signal;

async function setUp() {
  const bucket = new MemoryBucket();
  const series = (count: number, from: number) =>
    Array.from(
      { length: count },
      (_, i) =>
        floatSeries(
          { __name__: i % 4 === 0 ? "up" : "x_total", pod: `p${i % 3}`, i: String(i) },
          from,
          100,
        ),
    );
  const blocks: [Record<string, string>, number, number, number][] = [
    [{ cluster: "a" }, 20, START, 0],
    [{ cluster: "a" }, 24, START + 2 * HOUR, 0],
    [{ cluster: "a" }, 24, START + 2 * HOUR, 300_000],
    [{ cluster: "b" }, 8, START, 0],
  ];
  for (const [n, [labels, count, from, resolution]] of blocks.entries()) {
    await addBlock(bucket, { id: blockId(n), labels, resolution, series: series(count, from) });
  }
  const store = makeStore(bucket);
  await store.sync();
  return store;
}

const request = {
  tenant: "",
  limit: 3,
  partialResponse: "warn" as const,
  matchers: [],
  start: START,
  end: START + 4 * HOUR,
};

Deno.test("statistics of blocks: the largest of each label set, sets added up", async () => {
  const store = await setUp();
  const all = (await store.statistics(request, signal))!;
  assert.deepEqual(all.head, {
    numSeries: 32,
    numLabelPairs: 29 + 13,
    chunkCount: 32,
    minTime: START,
    maxTime: START + 2 * HOUR + 99 * 15_000,
  });
  assert.deepEqual(all.seriesCountByMetricName, [
    { name: "x_total", value: 24 },
    { name: "up", value: 8 },
  ]);
  assert.deepEqual(all.labelValueCountByLabelName, [
    { name: "i", value: 24 },
    { name: "pod", value: 3 },
    { name: "__name__", value: 2 },
  ]);
  assert.deepEqual(all.seriesCountByLabelValuePair[0], { name: "__name__=x_total", value: 24 });
  assert.equal(all.seriesCountByLabelValuePair.length, 3);
});

Deno.test("statistics of blocks go by time and external labels; without times there are none", async () => {
  const store = await setUp();
  const first = (await store.statistics({ ...request, end: START + HOUR }, signal))!;
  assert.equal(first.head.numSeries, 28);
  const b = (await store.statistics({
    ...request,
    matchers: [makeMatcher("=", "cluster", "b")],
  }, signal))!;
  assert.equal(b.head.numSeries, 8);
  assert.equal(await store.statistics({ ...request, start: 1, end: 2 }, signal), undefined);
  assert.equal(await store.statistics({ ...request, start: 0, end: 0 }, signal), undefined);
});
