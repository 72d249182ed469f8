import assert from "node:assert/strict";
import { CorruptionError, MnemeError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import { type Chunk, encodeXorChunk, ENCODING_XOR } from "../chunks/mod.ts";
import { bitsOf, SampleBatch, setStaleAt } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { aggregateOf, isCounterCorrected, requestedAggregates } from "./aggregate.ts";
import { mergeChain, mergePenalty, type ReadOptions, SeriesReader } from "./mod.ts";

type Sample = readonly [t: number, v: number | "stale"];

function batchOf(samples: readonly Sample[]): SampleBatch {
  const batch = new SampleBatch();
  batch.reserve(samples.length);
  samples.forEach(([t, v], i) => {
    batch.t[i] = t;
    if (v === "stale") setStaleAt(bitsOf(batch.v), i);
    else batch.v[i] = v;
  });
  batch.length = samples.length;
  return batch;
}
function xor(samples: readonly Sample[]): Chunk {
  return { encoding: ENCODING_XOR, data: encodeXorChunk(batchOf(samples)) };
}
function raw(samples: readonly Sample[]): AggrChunk {
  return { minTime: samples[0]![0], maxTime: samples.at(-1)![0], raw: xor(samples) };
}

const WHOLE: ReadOptions = {
  aggregate: "avg",
  dedup: undefined,
  counterCorrected: false,
  minTime: -Infinity,
  maxTime: Infinity,
};
function read(chunks: readonly AggrChunk[], options: Partial<ReadOptions> = {}): string {
  const batch = new SampleBatch();
  batch.ensureStartTimes();
  batch.length = 3;
  new SeriesReader().read(chunks, { ...WHOLE, ...options }, batch);
  return dump(batch);
}

Deno.test("aggregateOf() and requestedAggregates() follow the table", () => {
  const rows: [string, string, number[], boolean][] = [
    ["min", "min", [3], false],
    ["min_over_time", "min", [3], false],
    ["max", "max", [4], false],
    ["max_over_time", "max", [4], false],
    ["count", "count", [1], false],
    ["count_over_time", "count", [1], false],
    ["count_values", "count", [1], false],
    ["sum_over_time", "sum", [2], false],
    ["sum", "avg", [1, 2], false],
    ["avg_over_time", "avg", [1, 2], false],
    ["", "avg", [1, 2], false],
    ["minute", "avg", [1, 2], false],
    ["maximum", "avg", [1, 2], false],
    ["delta", "avg", [1, 2], false],
    ["rate", "counter", [5], true],
    ["increase", "counter", [5], true],
    ["irate", "counter", [5], true],
    ["resets", "counter", [5], true],
    ["xrate", "counter", [5], false],
    ["xincrease", "counter", [5], false],
  ];
  for (const [func, aggregate, requested, corrected] of rows) {
    assert.equal(aggregateOf(func), aggregate, func);
    assert.deepEqual(requestedAggregates(aggregateOf(func)), requested, func);
    assert.equal(isCounterCorrected(func), corrected, func);
  }
});

const AGGREGATED: AggrChunk = {
  minTime: 299_999,
  maxTime: 599_999,
  count: xor([[299_999, 10], [599_999, 4]]),
  sum: xor([[299_999, 25], [599_999, -2]]),
  min: xor([[299_999, 1], [599_999, -5]]),
  max: xor([[299_999, 9], [599_999, 7]]),
  counter: xor([[1000, 100], [299_999, 160], [599_999, 190], [599_999, 30]]),
};

Deno.test("each aggregate is read from its part; raw stands in where there is one", () => {
  const chunks = [AGGREGATED, raw([[600_000, 40], [600_015, "stale"], [600_030, 50]])];
  const tail = " 600000:40 600015:stale 600030:50";
  assert.equal(read(chunks, { aggregate: "count" }), "299999:10 599999:4" + tail);
  assert.equal(read(chunks, { aggregate: "sum" }), "299999:25 599999:-2" + tail);
  assert.equal(read(chunks, { aggregate: "min" }), "299999:1 599999:-5" + tail);
  assert.equal(read(chunks, { aggregate: "max" }), "299999:9 599999:7" + tail);
  assert.equal(read(chunks, { aggregate: "avg" }), "299999:2.5 599999:-0.5" + tail);
  // 190 in the chunk stands for the true 30, so 40 adds 10; stale markers are left out.
  assert.equal(
    read(chunks, { aggregate: "counter" }),
    "1000:100 299999:160 599999:190 600000:200 600030:210",
  );
});

Deno.test("a counter never falls, over resets and chunk borders, raw or not", () => {
  const first = raw([[0, 10], [1000, 30], [2000, 5], [3000, 8]]);
  const second = raw([[2000, 999], [4000, 2], [5000, 2]]);
  assert.equal(
    read([first, second], { aggregate: "counter" }),
    "0:10 1000:30 2000:35 3000:38 4000:40 5000:40",
  );
});

Deno.test("samples of a chunk that are not newer than the last one are skipped", () => {
  const chunks = [
    raw([[10, 1], [20, 2], [30, "stale"]]),
    raw([[20, 7], [30, 7], [40, 4]]),
    raw([[25, 8], [35, 8]]),
    raw([[40, 9], [50, "stale"]]),
  ];
  assert.equal(read(chunks), "10:1 20:2 30:stale 40:4 50:stale");
});

Deno.test("samples are bounded to the range of the query, both ends included", () => {
  const chunks = [raw([[10, 1], [20, 2]]), raw([[30, 3], [40, 4]]), raw([[50, 5], [60, 6]])];
  assert.equal(read(chunks, { minTime: 20, maxTime: 50 }), "20:2 30:3 40:4 50:5");
  assert.equal(read(chunks, { minTime: 21, maxTime: 29 }), "");
  // A counter's total starts with the first chunk that was fetched.
  const falls = [raw([[10, 9], [20, 4]]), raw([[30, 5]])];
  assert.equal(read(falls, { minTime: 15, aggregate: "counter" }), "20:13 30:14");
});

Deno.test("a chunk without the asked part is an error, as are sums and counts out of step", () => {
  const { sum, count, minTime, maxTime } = AGGREGATED;
  const fails = (chunk: AggrChunk, aggregate: ReadOptions["aggregate"], message: RegExp) =>
    assert.throws(() => read([chunk], { aggregate }), (e: unknown) => {
      assert(e instanceof MnemeError && e.kind === "execution");
      assert.match(e.message, message);
      return true;
    });
  const times = { minTime, maxTime };
  for (const aggregate of ["avg", "count", "sum", "min", "max", "counter"] as const) {
    fails(times, aggregate, /no valid chunk found/);
  }
  fails({ ...times, sum: sum! }, "avg", /no valid chunk found/);
  fails({ ...times, sum: sum!, count: xor([[299_999, 1]]) }, "avg", /timestamps not aligned/);
  fails(
    { ...times, sum: sum!, count: xor([[299_999, 1], [599_998, 1]]) },
    "avg",
    /timestamps not aligned/,
  );
  assert.throws(
    () => read([{ ...times, raw: { encoding: 1, data: count!.data.slice(0, 9) } }]),
    CorruptionError,
  );
});

/** Chunks of some replicas mixed as stores send them: sorted, each replica without overlap. */
function replicaChunks(samples: readonly (readonly Sample[])[], size: number): AggrChunk[] {
  const chunks: AggrChunk[] = [];
  for (const replica of samples) {
    for (let i = 0; i < replica.length; i += size) chunks.push(raw(replica.slice(i, i + size)));
  }
  return chunks.sort((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
}

Deno.test("replicas are told apart by their chunks, then merged", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new Random(seed);
    // Chunks of a replica cover it without gaps, so the split finds the replicas again.
    const replicas = Array.from(
      { length: random.between(1, 3) },
      (_, r) =>
        Array.from({ length: 40 }, (_, i): Sample => [
          i * 1000 + r * 10,
          random.chance(0.1) ? "stale" : random.below(100),
        ]),
    );
    const chunks = replicaChunks(replicas, 10);
    for (const dedup of ["penalty", "chain"] as const) {
      const merged = new SampleBatch();
      const inputs = replicas.map(batchOf);
      if (dedup === "chain") mergeChain(inputs, merged);
      else mergePenalty(inputs, false, merged);
      assert.equal(read(chunks, { dedup }), dump(merged), `seed ${seed} ${dedup}`);
    }
  }
});

Deno.test("one reader reads series after series without mixing them", () => {
  const reader = new SeriesReader();
  const batch = new SampleBatch();
  const overlapping = [raw([[1, 1], [9, 9]]), raw([[5, 5], [20, 20]]), raw([[6, 6], [30, 30]])];
  const options: ReadOptions = { ...WHOLE, dedup: "chain" };
  for (let round = 0; round < 2; round++) {
    reader.read(overlapping, options, batch);
    assert.equal(dump(batch), "1:1 5:5 6:6 9:9 20:20 30:30");
    reader.read([raw([[7, 7]])], options, batch);
    assert.equal(dump(batch), "7:7");
    reader.read([], options, batch);
    assert.equal(dump(batch), "");
  }
});
