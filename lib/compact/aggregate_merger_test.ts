/** Aggregates of replicas merged: against what each replica says, and against the truth of counters. */
import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import {
  appendChunk,
  type Chunk,
  CounterReader,
  encodeSamples,
  encodeXorChunk,
  ENCODING_AGGR,
  ENCODING_XOR,
  readAggrChunk,
  writeAggrChunk,
} from "../chunks/mod.ts";
import {
  type FloatHistogram,
  formatLabels,
  labelsFromRecord,
  parseHistogram,
  SampleBatch,
} from "../model/mod.ts";
import { BlockWriter, makeThanosMeta, openBlock, resolutionOf, SystemFiles } from "../tsdb/mod.ts";
import { goldenBlocks } from "../tsdb/testing/golden.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { blockIssues, verifyBlock } from "../block/mod.ts";
import { AggregateMerger } from "./aggregate_merger.ts";
import { downsampleBlock, mergeBlocks } from "./mod.ts";
import type { ClusterChunk } from "./overlap_merger.ts";
import { compactedMeta } from "./result_meta.ts";

const MINUTE = 60_000;
const FIVE = 5 * MINUTE;
const RAW_ULID = "01HF7YAT00E328S0K6HPCEAA7A";
const FIVE_ULID = "01HF7YAT00E328S0K6HPCEAA7B";

type Sample = readonly [t: number, v: number];

/** Chunks of a series at five minutes, as the downsampler makes them. */
async function aggregatesOf(batch: SampleBatch): Promise<Chunk[]> {
  const files = new MemoryFiles();
  files.mkdir("b");
  const writer = new BlockWriter({ files, directory: "b", ulid: RAW_ULID });
  writer.beginSeries(labelsFromRecord({ __name__: "m" }));
  for (const { minTime, maxTime, chunk } of encodeSamples(batch)) {
    const samples = (chunk.data[0]! << 8) | chunk.data[1]!;
    writer.addChunk(chunk.encoding, chunk.data, minTime, maxTime, samples);
  }
  writer.finish({ thanos: makeThanosMeta({ labels: labelsFromRecord({ a: "1" }) }) });
  await downsampleBlock({
    files,
    source: `b/${RAW_ULID}`,
    directory: "b",
    ulid: FIVE_ULID,
    resolution: FIVE,
  });
  const block = openBlock(files, `b/${FIVE_ULID}`);
  const chunks = block.select([]).readChunks(0).map(({ chunk }) => chunk);
  block.close();
  return chunks;
}

function floats(samples: readonly Sample[]): SampleBatch {
  const batch = new SampleBatch(samples.length);
  samples.forEach(([t, v], i) => {
    batch.t[i] = t;
    batch.v[i] = v;
  });
  batch.length = samples.length;
  return batch;
}

function rowsOf(chunk: Chunk): Sample[] {
  const batch = new SampleBatch();
  appendChunk(chunk, batch);
  return Array.from({ length: batch.length }, (_, i) => [batch.t[i]!, batch.v[i]!]);
}

/** Chunks of several sources in the order in which a merge meets them. */
function clusterOf(sources: readonly (readonly Chunk[])[]): ClusterChunk[] {
  const start = (chunk: Chunk) => rowsOf(readAggrChunk(chunk.data).count!)[0]![0];
  return sources.flatMap((chunks, stream) =>
    chunks.map((chunk) => ({ chunk, stream, deleted: undefined }))
  ).sort((a, b) => start(a.chunk) - start(b.chunk) || a.stream - b.stream);
}

/** The points of chunks by the end of their windows: time, count, sum, minimum, maximum. */
function pointsOf(chunks: readonly Chunk[]): Map<number, readonly number[]> {
  const points = new Map<number, readonly number[]>();
  for (const { data } of chunks) {
    const parts = readAggrChunk(data);
    const columns = [parts.count, parts.sum, parts.min, parts.max].map((part) => rowsOf(part!));
    columns[0]!.forEach(([t, count], i) => {
      const end = t - t % FIVE + FIVE - 1;
      assert(!points.has(end), `two points in the window that ends at ${end}`);
      for (const column of columns) assert.equal(column[i]![0], t);
      points.set(end, [t, count, ...columns.slice(1).map((column) => column[i]![1])]);
    });
  }
  return points;
}

/** The counter as queries read it, by the end of the window; and its value at the beginning. */
function counterOf(chunks: readonly Chunk[]): { first: number; totals: Map<number, number> } {
  const reader = new CounterReader();
  const out = new SampleBatch();
  for (const { data } of chunks) reader.append(readAggrChunk(data).counter!, out);
  const totals = new Map<number, number>();
  for (let i = 0; i < out.length; i++) {
    totals.set(out.t[i]! - out.t[i]! % FIVE + FIVE - 1, out.v[i]!);
  }
  return { first: out.v[0]!, totals };
}

/** A counter over some days; `resets`: it starts again now and then. */
function truthOf(random: Random, resets: boolean): Sample[] {
  let value = random.below(1000);
  return Array.from({ length: 2600 }, (_, i) => {
    value = resets && random.chance(0.01) ? random.below(5) : value + random.below(20);
    return [i * MINUTE + random.below(MINUTE), value];
  });
}

/** What a replica saw of it: not the very beginning or end, and not what fell into its gaps. */
function replicaOf(random: Random, truth: readonly Sample[], gaps: number): Sample[] {
  const seen = new Uint8Array(truth.length).fill(1);
  for (let n = 0; n < gaps; n++) {
    const from = random.below(truth.length);
    seen.fill(0, from, from + 1 + random.below(random.chance(0.3) ? 300 : 8));
  }
  return truth.filter((_, i) => seen[i] === 1);
}

/** Sum of what a counter rose by. */
function increaseOf(samples: readonly Sample[]): number {
  let total = 0;
  for (let i = 1; i < samples.length; i++) {
    const [was, is] = [samples[i - 1]![1], samples[i]![1]];
    total += is < was ? is : is - was;
  }
  return total;
}

const merge = (sources: readonly (readonly Chunk[])[]) =>
  new AggregateMerger(FIVE).merge(clusterOf(sources));

Deno.test("AggregateMerger takes each window from the replica with most samples, whole", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const truth = truthOf(random, random.chance(0.5));
    const replicas = Array.from(
      { length: random.between(2, 3) },
      () => replicaOf(random, truth, random.below(12)),
    );
    const sources: Chunk[][] = [];
    for (const replica of replicas) sources.push(await aggregatesOf(floats(replica)));
    const merged = merge(sources);
    let last = -Infinity;
    for (const { minTime, maxTime, chunk } of merged) {
      assert.equal(chunk.encoding, ENCODING_AGGR);
      const times = rowsOf(readAggrChunk(chunk.data).count!).map(([t]) => t);
      assert(times.length <= 120 && minTime > last, `seed ${seed}`);
      assert.deepEqual([minTime, maxTime], [times[0], times.at(-1)]);
      last = maxTime;
    }
    const given = sources.map((chunks) => pointsOf(chunks));
    const found = pointsOf(merged.map(({ chunk }) => chunk));
    const windows = new Set(given.flatMap((points) => [...points.keys()]));
    assert.deepEqual([...found.keys()], [...windows].sort((a, b) => a - b), `seed ${seed}`);
    for (const [end, point] of found) {
      const there = given.flatMap((points) => points.get(end) ?? []) as unknown;
      const candidates = given.map((points) => points.get(end)).filter((p) => p !== undefined);
      const most = Math.max(...candidates.map((p) => p[1]!));
      assert.equal(point[1], most, `seed ${seed}: window ${end} of ${there}`);
      assert(
        candidates.some((p) => String(p) === String(point)),
        `seed ${seed}: ${point} is of no replica`,
      );
    }
  }
});

Deno.test("AggregateMerger: a counter without resets is the truth, whoever tells of it", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new Random(seed);
    const truth = truthOf(random, false);
    const replicas = [0, 1].map(() => replicaOf(random, truth, random.below(12)));
    const sources: Chunk[][] = [];
    for (const replica of replicas) sources.push(await aggregatesOf(floats(replica)));
    const { totals } = counterOf(merge(sources).map(({ chunk }) => chunk));
    // Values never fall, so a total is the last value that the chosen replica saw in the window.
    const lastSeen = replicas.map((replica) =>
      new Map(replica.map(([t, v]) => [t - t % FIVE + FIVE - 1, v]))
    );
    for (const [end, total] of totals) {
      const seen = lastSeen.map((values) => values.get(end));
      assert(seen.includes(total), `seed ${seed}: ${total} at ${end}, seen ${seen}`);
    }
  }
});

Deno.test("AggregateMerger: resets are counted once, and never made up", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Random(seed);
    const truth = truthOf(random, true);
    // Replicas that saw the same: the answer is that of each.
    const same = await aggregatesOf(floats(truth));
    const alone = counterOf(same);
    const both = counterOf(merge([same, same]).map(({ chunk }) => chunk));
    assert.deepEqual(both, alone, `seed ${seed}`);
    // With gaps nothing is counted that was not there, and not much less than one of them knows.
    const replicas = [0, 1].map(() => replicaOf(random, truth, 4));
    const sources: Chunk[][] = [];
    for (const replica of replicas) sources.push(await aggregatesOf(floats(replica)));
    const { first, totals } = counterOf(merge(sources).map(({ chunk }) => chunk));
    const increase = [...totals.values()].at(-1)! - first;
    const best = Math.max(...replicas.map((replica) => increaseOf(replica)));
    assert(increase <= increaseOf(truth), `seed ${seed}: ${increase} of ${increaseOf(truth)}`);
    assert(increase >= 0.95 * best, `seed ${seed}: ${increase}, a replica knows ${best}`);
    const values = [...totals.values()];
    assert(values.every((v, i) => i === 0 || v >= values[i - 1]!), `seed ${seed}`);
  }
});

Deno.test("AggregateMerger: what follows the merged chunks goes on from the true last value", async () => {
  const random = new Random(5);
  const truth = truthOf(random, true);
  const whole = await aggregatesOf(floats(truth));
  const begun = await aggregatesOf(floats(truth.slice(0, 500)));
  assert(whole.length > 2 && begun.length >= 1);
  // The second replica ends within the first chunk of the other one, or soon after.
  const end = rowsOf(readAggrChunk(begun.at(-1)!.data).count!).at(-1)![0];
  const starts = whole.map((chunk) => rowsOf(readAggrChunk(chunk.data).count!)[0]![0]);
  const inside = whole.filter((_, i) => starts[i]! <= end);
  const after = whole.slice(inside.length);
  assert(after.length > 0);
  const merged = merge([inside, begun]).map(({ chunk }) => chunk);
  const { first, totals } = counterOf([...merged, ...after]);
  assert.equal([...totals.values()].at(-1)! - first, increaseOf(truth));
});

Deno.test("AggregateMerger leaves deleted windows out, and refuses what is no aggregate", () => {
  const chunk = (times: readonly number[]): Chunk => {
    const rows = floats(times.map((t) => [t, 1]));
    const part = { encoding: ENCODING_XOR, data: encodeXorChunk(rows) };
    const parts = { count: part, sum: part, min: part, max: part, counter: part };
    return { encoding: ENCODING_AGGR, data: writeAggrChunk(parts) };
  };
  const windows = [1, 2, 3, 4].map((n) => n * FIVE - 1);
  const [merged] = new AggregateMerger(FIVE).merge([
    { chunk: chunk(windows), stream: 0, deleted: Float64Array.of(windows[1]!, windows[2]! - 1) },
  ]);
  assert.deepEqual(
    rowsOf(readAggrChunk(merged!.chunk.data).count!).map(([t]) => t),
    [windows[0], windows[2], windows[3]],
  );
  const data = chunk(windows).data;
  for (let size = 0; size < data.length; size++) {
    assert.throws(() =>
      new AggregateMerger(FIVE).merge([
        {
          chunk: { encoding: ENCODING_AGGR, data: data.slice(0, size) },
          stream: 0,
          deleted: undefined,
        },
      ])
    );
  }
});

/** A histogram whose counts grow with `n`. */
function histogram(n: number, schema = 1): FloatHistogram {
  return parseHistogram(
    `{{schema:${schema} count:${3 * n} sum:${7 * n} offset:1 buckets:[${n} ${2 * n}]}}`,
  );
}

Deno.test("AggregateMerger: native histograms keep their counts, and the counter its truth", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new Random(seed);
    const truth = truthOf(random, false);
    const gauge = random.chance(0.3);
    const replicas = [0, 1].map(() => replicaOf(random, truth, random.below(8)));
    const sources: Chunk[][] = [];
    for (const replica of replicas) {
      const batch = new SampleBatch();
      for (const [t, n] of replica) {
        batch.appendHistogram(t, {
          ...histogram(n),
          counterResetHint: gauge ? "gauge" : "unknown",
        });
      }
      sources.push(await aggregatesOf(batch));
    }
    const merged = merge(sources);
    const lastSeen = replicas.map((replica) =>
      new Map(replica.map(([t, v]) => [t - t % FIVE + FIVE - 1, v]))
    );
    const windows = new Set(lastSeen.flatMap((values) => [...values.keys()]));
    let points = 0;
    for (const { chunk } of merged) {
      const parts = readAggrChunk(chunk.data);
      assert.equal(parts.min, undefined);
      const [count, counter, sum] = [rowsOf(parts.count!), new SampleBatch(), new SampleBatch()];
      appendChunk(parts.counter!, counter);
      appendChunk(parts.sum!, sum);
      assert.deepEqual([counter.length, sum.length], [count.length, count.length]);
      points += count.length;
      for (let i = 0; i < count.length; i++) {
        const t = counter.t[i]!;
        const { count: total, counterResetHint } = counter.h![i]!;
        const seen = lastSeen.map((values) => 3 * (values.get(t - t % FIVE + FIVE - 1) ?? NaN));
        assert(seen.includes(total), `seed ${seed}: ${total} at ${t}, seen ${seen}`);
        assert.equal(counterResetHint === "gauge", gauge);
        assert.equal(sum.h![i]!.counterResetHint, "gauge");
      }
    }
    assert.equal(points, windows.size, `seed ${seed}`);
  }
});

Deno.test("mergeBlocks() merges five-minute blocks of two golden replicas to what raw ones come to", async () => {
  const files = new SystemFiles();
  const fiveMinutes = (bucket: string) =>
    goldenBlocks([bucket]).filter((directory) => {
      const block = openBlock(files, directory);
      block.close();
      return resolutionOf(block.meta) === FIVE;
    });
  const sources = fiveMinutes("bucket-compacted");
  const [theirs] = fiveMinutes("bucket-compacted-dedup");
  if (theirs === undefined) return;
  assert.equal(sources.length, 2);
  const directory = await Deno.makeTempDir({ prefix: "mneme-aggregates-" });
  try {
    const group = {
      labels: labelsFromRecord({ cluster: "eu1" }),
      resolution: FIVE,
      extensions: undefined,
    };
    const order = { sources, directory, ulid: RAW_ULID } as const;
    const describe = (
      metas: Parameters<typeof compactedMeta>[1],
      counted: Parameters<typeof compactedMeta>[2],
    ) => compactedMeta(RAW_ULID, metas, counted, group);
    assert.throws(
      () => mergeBlocks(files, { ...order, dedup: "" }, describe),
      /downsampled data overlap.*--deduplication\.func=penalty/,
    );
    const report = mergeBlocks(files, { ...order, dedup: "penalty" }, describe);
    assert.ok(report.merged > 0);
    assert.deepEqual(blockIssues(await verifyBlock(files, `${directory}/${RAW_ULID}`)), []);
    // Both replicas' raw blocks merged first and then downsampled: the same series, and nearly the
    // same counts, as merging of raw chunks loses a few samples where it changes replicas.
    const mine = countsOf(files, `${directory}/${RAW_ULID}`);
    const expected = countsOf(files, theirs);
    const replicas = sources.map((source) => countsOf(files, source));
    assert.deepEqual([...mine.keys()], [...expected.keys()]);
    for (const [series, [points, samples]] of mine) {
      const [wantedPoints, wanted] = expected.get(series)!;
      const most = Math.max(...replicas.map((replica) => replica.get(series)?.[1] ?? 0));
      assert.equal(points, wantedPoints, series);
      assert.ok(samples >= most, `${series}: ${samples}, a replica has ${most}`);
      // What both replicas saw of odd values is more than raw merging, which drops one of them, keeps.
      assert.ok(samples <= wanted || series.includes("weird_values"), `${series}: ${samples}`);
    }
    // A change of replicas is no reset, though these counters are no copies of each other.
    const risen = increasesOf(files, `${directory}/${RAW_ULID}`);
    const alone = sources.map((source) => increasesOf(files, source));
    assert.ok(risen.size > 10);
    for (const [series, increase] of risen) {
      const known = alone.map((increases) => increases.get(series)!);
      assert.ok(
        increase >= 0.99 * Math.min(...known) && increase <= 1.02 * Math.max(...known),
        `${series}: ${increase}, the replicas say ${known}`,
      );
    }
    // The result can be downsampled on.
    const hour = await downsampleBlock({
      files,
      source: `${directory}/${RAW_ULID}`,
      directory,
      ulid: FIVE_ULID,
      resolution: 12 * FIVE,
    });
    assert.equal(hour!.stats.numSeries, mine.size);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Points and samples that the counts of each series tell. */
function countsOf(files: SystemFiles, directory: string): Map<string, readonly [number, number]> {
  const block = openBlock(files, directory);
  try {
    const selection = block.select([]);
    const counts = new Map<string, readonly [number, number]>();
    for (let i = 0; i < selection.length; i++) {
      const rows = selection.readChunks(i).flatMap(({ chunk }) =>
        rowsOf(readAggrChunk(chunk.data).count!)
      );
      const samples = rows.reduce((sum, [, count]) => sum + count, 0);
      counts.set(formatLabels(selection.labels[i]!), [rows.length, samples]);
    }
    return counts;
  } finally {
    block.close();
  }
}

/** What the counters of each series rose by, as queries read them. */
function increasesOf(files: SystemFiles, directory: string): Map<string, number> {
  const block = openBlock(files, directory);
  try {
    const selection = block.select([]);
    const increases = new Map<string, number>();
    for (let i = 0; i < selection.length; i++) {
      const series = formatLabels(selection.labels[i]!);
      if (!/__name__="[a-z_]+_total"/.test(series)) continue;
      const { first, totals } = counterOf(selection.readChunks(i).map(({ chunk }) => chunk));
      increases.set(series, [...totals.values()].at(-1)! - first);
    }
    return increases;
  } finally {
    block.close();
  }
}
