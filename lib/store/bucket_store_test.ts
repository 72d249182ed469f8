import { strict as assert } from "node:assert";
import { errorKind, errorMessage, FakeClock } from "../base/mod.ts";
import { runBench } from "../base/testing/bench.ts";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import { appendChunk } from "../chunks/mod.ts";
import {
  formatLabels,
  type Labels,
  labelsFromRecord,
  makeMatcher,
  SampleBatch,
} from "../model/mod.ts";
import { type Bucket, MemoryBucket } from "../objstore/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import {
  decodeSeriesFrame,
  encodeFrames,
  type SeriesFrame,
  type SeriesRequest,
  type Store,
} from "../storeapi/mod.ts";
import { storeAcceptance } from "../storeapi/acceptance.ts";
import {
  callContext,
  floatSeries,
  labelsRequest,
  type SeriesData,
  seriesRequest,
} from "../storeapi/testing/fixtures.ts";
import { Metrics } from "../telemetry/mod.ts";
import type { BucketStore } from "./bucket_store.ts";
import { bench } from "./bucket_store_bench.ts";
import { ChunkMemory } from "./memory_budget.ts";
import { addBlock, blockId, makeStore, type SmallStoreOptions } from "./testing/small_bucket.ts";

const T0 = 1_790_208_000_000;
const HOUR = 3_600_000;

/** The part of a series in [from, to). */
function cut(series: SeriesData, from: number, to: number): SeriesData | undefined {
  const samples = new SampleBatch();
  for (let i = 0; i < series.samples.length; i++) {
    const t = series.samples.t[i]!;
    if (t < from || t >= to) continue;
    samples.reserve(samples.length + 1);
    samples.t[samples.length] = t;
    samples.v.set(series.samples.v.subarray(i, i + 1), samples.length);
    samples.length++;
  }
  return samples.length === 0 ? undefined : { labels: series.labels, samples };
}

/** A bucket with the data cut into blocks of `span` ms. */
async function bucketOf(
  data: readonly SeriesData[],
  span: number,
  labels: Readonly<Record<string, string>>,
  samplesPerChunk = 120,
): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  let n = 0;
  for (let from = T0 - HOUR; from < T0 + 4 * HOUR; from += span) {
    const series = data.flatMap((s) => cut(s, from, from + span) ?? []);
    if (series.length === 0) continue;
    const block = { id: blockId(n++), series, labels, samplesPerChunk };
    await addBlock(bucket, { ...block, minTime: from, maxTime: from + span });
  }
  return bucket;
}

async function synced(bucket: Bucket, options: SmallStoreOptions = {}): Promise<BucketStore> {
  const store = makeStore(bucket, options);
  await store.sync();
  return store;
}

const recordOf = (labels: Labels) =>
  Object.fromEntries(
    Array.from({ length: labels.length / 2 }, (_, i) => [labels[2 * i]!, labels[2 * i + 1]!]),
  );

// ---- The contract of every Store ------------------------------------------------------------

storeAcceptance({
  name: "BucketStore",
  make: async ({ series, externalLabels }) => {
    const bucket = await bucketOf(series, 5 * HOUR, recordOf(externalLabels));
    return { store: await synced(bucket), close: () => {} };
  },
});

storeAcceptance({
  name: "BucketStore over many blocks in small batches",
  make: async ({ series, externalLabels }) => {
    const bucket = await bucketOf(series, HOUR / 4, recordOf(externalLabels), 7);
    const store = await synced(bucket, {
      batchSeries: 2,
      seriesEstimate: 16,
      chunkEstimate: 16,
    });
    return { store, close: () => {} };
  },
});

storeAcceptance({
  name: "BucketStore by messages",
  make: async ({ series, externalLabels }) => {
    const bucket = await bucketOf(series, HOUR, recordOf(externalLabels), 30);
    const inner = await synced(bucket);
    const store: Store = {
      async *series(request, context) {
        for await (const message of inner.seriesMessages(request, context)) {
          yield decodeSeriesFrame([message.slice()]);
          inner.recycleMessage(message.fill(0xff));
        }
      },
      labelNames: (request, context) => inner.labelNames(request, context),
      labelValues: (request, context) => inner.labelValues(request, context),
    };
    return { store, close: () => {} };
  },
});

// ---- Helpers for what follows ---------------------------------------------------------------

const all = [makeMatcher("!=", "__name__", "")];

async function ask(store: Store, changes: Partial<SeriesRequest> = {}): Promise<SeriesFrame[]> {
  const request = seriesRequest({ matchers: all, ...changes });
  return await Array.fromAsync(store.series(request, callContext()));
}
/** Every series with its samples, one line each. */
function content(frames: readonly SeriesFrame[]): string {
  const lines: string[] = [];
  for (const frame of frames) {
    for (const { labels, chunks } of frame.series) {
      const samples = new SampleBatch();
      for (const chunk of chunks) appendChunk(chunk.raw!, samples);
      lines.push(`${formatLabels(labels)} ${dump(samples)}`);
    }
  }
  return lines.join("\n");
}
const warningsOf = (frames: readonly SeriesFrame[]) => frames.flatMap((f) => f.warnings);
async function failure(work: () => Promise<unknown>): Promise<Error & { kind: string }> {
  try {
    await work();
  } catch (error) {
    return error as Error & { kind: string };
  }
  return assert.fail("nothing was thrown");
}

function smallSeries(count = 5): SeriesData[] {
  return Array.from(
    { length: count },
    (_, i) => floatSeries({ __name__: "m", pod: `p${i}` }, T0, 30, { value: i, stale: i === 1 }),
  );
}

// ---- Answers --------------------------------------------------------------------------------

Deno.test("series() and seriesMessages() say the same, whatever the blocks", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    const random = new Random(seed);
    const bucket = new MemoryBucket();
    const names = ["a", "b", "c", "zz"];
    for (let n = 0; n < 4; n++) {
      // Overlapping blocks of two replicas, with series whose labels begin those of others.
      const series = new Map<string, SeriesData>();
      for (let i = 0; i < 6; i++) {
        const record: Record<string, string> = { __name__: `m${random.below(2)}` };
        for (const name of names) if (random.chance(0.4)) record[name] = `v${random.below(2)}`;
        const start = T0 + random.below(3) * HOUR / 2;
        series.set(JSON.stringify(record), floatSeries(record, start, 20 + random.below(40)));
      }
      await addBlock(bucket, {
        id: blockId(n),
        series: [...series.values()],
        samplesPerChunk: 1 + random.below(20),
        labels: { b: "external", replica: String(random.below(2)) },
      });
    }
    const store = await synced(bucket, { batchSeries: 1 + random.below(3), filters: [] });
    for (const withoutReplicaLabels of [[], ["replica"], ["replica", "zz"]]) {
      for (const responseBatchSize of [0, 1, 3, 64]) {
        const changes = { withoutReplicaLabels, responseBatchSize };
        const request = seriesRequest({ matchers: all, ...changes });
        const frames = encodeFrames(store.series(request, callContext()), responseBatchSize);
        const expected = await Array.fromAsync(frames, (m) => m.slice());
        const messages = store.seriesMessages(request, callContext());
        const actual = await Array.fromAsync(messages, (m) => m.slice());
        assert.deepEqual(actual, expected, `seed ${seed}`);
        const whole = decodeSeriesFrame(expected).series.map((s) => formatLabels(s.labels));
        assert.equal(new Set(whole).size, whole.length, `seed ${seed}: a series came twice`);
      }
    }
  }
});

Deno.test("duplicate chunks of overlapping blocks are sent once, in order of time", async () => {
  const bucket = new MemoryBucket();
  const series = smallSeries(2);
  await addBlock(bucket, { id: blockId(1), series, samplesPerChunk: 10 });
  await addBlock(bucket, { id: blockId(2), series, samplesPerChunk: 10 });
  const store = await synced(bucket, { filters: [] });
  const frames = await ask(store);
  const chunks = frames[0]!.series[0]!.chunks;
  assert.equal(chunks.length, 3);
  assert.deepEqual(chunks.map((c) => c.minTime), [T0, T0 + 150_000, T0 + 300_000]);
});

Deno.test("a series longer than a message is sent in parts", async () => {
  const bucket = new MemoryBucket();
  const random = new Random(1);
  const series = floatSeries({ __name__: "long" }, T0, 150_000, { step: 1000 });
  for (let i = 0; i < series.samples.length; i++) series.samples.v[i] = random.float();
  await addBlock(bucket, { id: blockId(1), series: [series, ...smallSeries()] });
  const store = await synced(bucket);
  const request = seriesRequest({ matchers: all, responseBatchSize: 64 });
  const messages = await Array.fromAsync(
    store.seriesMessages(request, callContext()),
    (m) => m.slice(),
  );
  assert.ok(messages.length >= 2, `${messages.length} messages`);
  for (const message of messages) assert.ok(message.length < 1.2 * 1024 * 1024);
  const samples = new SampleBatch();
  for (const { labels, chunks } of decodeSeriesFrame(messages).series) {
    if (labels.includes("long")) { for (const chunk of chunks) appendChunk(chunk.raw!, samples); }
  }
  assert.equal(dump(samples), dump(series.samples));
});

Deno.test("blocks are chosen by id and external labels through hints", async () => {
  const bucket = new MemoryBucket();
  for (const n of [1, 2, 3]) {
    const labels = { cluster: `c${n}` };
    await addBlock(bucket, { id: blockId(n), series: smallSeries(1), labels });
  }
  const store = await synced(bucket);
  // SeriesRequestHints { block_matchers: [{ RE __block_id <ids> }] }, written by hand.
  const text = new TextEncoder();
  const value = text.encode(`${blockId(1)}|${blockId(3)}`);
  const name = text.encode("__block_id");
  const matcher = [0x08, 2, 0x12, name.length, ...name, 0x1a, value.length, ...value];
  const hints = {
    typeUrl: "type.googleapis.com/hintspb.SeriesRequestHints",
    value: Uint8Array.from([0x0a, matcher.length, ...matcher, 0x10, 1]),
  };
  const found = (await ask(store, { hints })).flatMap((f) => f.series);
  assert.deepEqual(found.map((s) => s.labels.join(",")), [
    "__name__,m,cluster,c1,pod,p0",
    "__name__,m,cluster,c3,pod,p0",
  ]);
});

Deno.test("--min-time and --max-time cut requests, and what is announced", async () => {
  const bucket = await bucketOf(smallSeries(), HOUR / 20, { cluster: "eu1" });
  const minTime = T0 + 60_000;
  const maxTime = T0 + 120_000;
  const store = await synced(bucket, { minTime: () => minTime, maxTime: () => maxTime });
  const times = (await ask(store)).flatMap((f) => f.series.flatMap((s) => s.chunks));
  assert.ok(times.length > 0);
  assert.ok(times.every((c) => c.maxTime >= minTime && c.minTime <= maxTime));
  assert.equal(store.info().store!.minTime, minTime);
  assert.equal(store.info().store!.maxTime, maxTime);
});

Deno.test("info() joins touching blocks and leaves gaps", async () => {
  const bucket = new MemoryBucket();
  assert.deepEqual((await synced(bucket)).info(), {
    labelSets: [],
    componentType: "store",
    status: true,
    store: {
      minTime: Number.MAX_SAFE_INTEGER,
      maxTime: -Number.MAX_SAFE_INTEGER,
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
      tsdbInfos: [],
      fillsWithCoarser: true,
    },
  });
  const rows: [number, string, number, number][] = [
    [1, "b", 0, 100],
    [2, "b", 100, 200],
    [3, "b", 201, 300],
    [4, "a", 50, 60],
  ];
  for (const [n, cluster, from, to] of rows) {
    const times = { minTime: T0 + from, maxTime: T0 + to };
    const series = [floatSeries({ __name__: "m" }, T0 + from, 1)];
    await addBlock(bucket, { id: blockId(n), series, labels: { cluster }, ...times });
  }
  const info = (await synced(bucket)).info();
  const [a, b] = [labelsFromRecord({ cluster: "a" }), labelsFromRecord({ cluster: "b" })];
  assert.deepEqual(info.labelSets, [a, b]);
  assert.deepEqual([info.store!.minTime, info.store!.maxTime], [T0, T0 + 300]);
  assert.deepEqual(info.store!.tsdbInfos, [
    { labels: a, minTime: T0 + 50, maxTime: T0 + 60 },
    { labels: b, minTime: T0, maxTime: T0 + 200 },
    { labels: b, minTime: T0 + 201, maxTime: T0 + 300 },
  ]);
});

// ---- Blocks come and go ---------------------------------------------------------------------

Deno.test("sync() serves new blocks and drops gone ones after their readers", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(3), samplesPerChunk: 5 });
  const store = await synced(bucket, { batchSeries: 1 });
  const running = store.series(seriesRequest({ matchers: all }), callContext());
  const iterator = running[Symbol.asyncIterator]();
  await iterator.next();
  await addBlock(bucket, { id: blockId(2), series: smallSeries(1), labels: { cluster: "new" } });
  const gone = await Array.fromAsync(bucket.iter(blockId(1), { recursive: true }));
  await bucket.delete(`${blockId(1)}/meta.json`);
  await store.sync();
  assert.deepEqual(store.blocks.map((m) => m.ulid), [blockId(2)]);
  assert.equal((await ask(store)).flatMap((f) => f.series).length, 1);
  assert.equal((await iterator.next()).done, true);
  for (const { name } of gone) await bucket.delete(name).catch(() => {});
});

Deno.test("an incomplete view adds blocks and drops none", async () => {
  const inner = new MemoryBucket();
  await addBlock(inner, { id: blockId(1), series: smallSeries(1) });
  const bucket = new FaultyBucket(inner);
  const store = await synced(bucket);
  await inner.delete(`${blockId(1)}/meta.json`);
  for (const n of [2, 3]) {
    await addBlock(inner, { id: blockId(n), series: smallSeries(1), labels: { n: `${n}` } });
  }
  const name = new RegExp(`${blockId(3)}/meta.json`);
  bucket.setRules([{ name, fault: { type: "error", kind: "unavailable" } }]);
  const error = await failure(() => store.sync());
  assert.match(error.message, /^incomplete view: 1 blocks could not be read, .*injected/);
  assert.deepEqual(store.blocks.map((m) => m.ulid).sort(), [1, 2].map(blockId));
  assert.equal(store.lastSync.error, error);
  bucket.setRules([]);
  await store.sync();
  assert.deepEqual(store.blocks.map((m) => m.ulid).sort(), [2, 3].map(blockId));
  assert.equal(store.lastSync.error, undefined);
});

Deno.test("a block of an unknown resolution is not loaded", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(1), resolution: 42 });
  const metrics = new Metrics();
  const store = await synced(bucket, { registry: metrics });
  assert.equal(store.blocks.length, 0);
  assert.match(await metrics.expose(), /thanos_bucket_store_block_load_failures_total 1\n/);
});

// ---- Limits ---------------------------------------------------------------------------------

Deno.test("requests beyond a limit fail in Thanos' words and are counted", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(5), samplesPerChunk: 10 });
  await addBlock(bucket, { id: blockId(2), series: smallSeries(5), labels: { cluster: "2" } });
  const rows = [
    [{ series: 10, samples: 0, bytes: 0 }, undefined],
    [{ series: 9, samples: 0, bytes: 0 }, /exceeded series limit: limit 9 violated \(got 10\)$/],
    [{ series: 0, samples: 20 * 120, bytes: 0 }, undefined],
    [
      { series: 0, samples: 20 * 120 - 1, bytes: 0 },
      /exceeded chunks limit: limit 19 violated \(got 20\)$/,
    ],
    [{ series: 0, samples: 119, bytes: 0 }, undefined],
    [{ series: 0, samples: 0, bytes: 1_000_000 }, undefined],
    [
      { series: 0, samples: 0, bytes: 10 },
      /exceeded bytes limit while fetching postings: limit 10 violated/,
    ],
  ] as const;
  for (const [limits, expected] of rows) {
    const metrics = new Metrics();
    const store = await synced(bucket, { limits, registry: metrics });
    if (expected === undefined) {
      assert.equal((await ask(store)).flatMap((f) => f.series).length, 10);
      continue;
    }
    // Also where partial answers are wanted: the limit is the request's own fault.
    const error = await failure(() => ask(store, { partialResponse: "warn" }));
    assert.equal(error.kind, "limit");
    assert.match(error.message, expected);
    const dropped = (await metrics.expose()).match(/queries_dropped_total\{.*\} \d+/g)!;
    const reason = /exceeded (\w+) limit/.exec(error.message)![1];
    for (const line of dropped) {
      assert.equal(line.endsWith(" 1"), line.includes(`"${reason}"`), line);
    }
  }
  const store = await synced(bucket, { limits: { series: 0, samples: 0, bytes: 10 } });
  const request = labelsRequest({ matchers: all });
  assert.equal((await failure(() => store.labelNames(request, callContext()))).kind, "limit");
});

Deno.test("chunks beyond --chunk-pool-size fail a request, and what they held is given back", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(3), samplesPerChunk: 10 });
  const none = new ChunkMemory(100);
  const error = await failure(async () => ask(await synced(bucket, { chunkMemory: none })));
  assert.equal(errorKind(error), "limit");
  assert.match(error.message, /^load chunks for block .*: allocate chunk bytes: pool exhausted/);
  assert.equal(none.held, 0);
  const some = new ChunkMemory(1024 * 1024);
  const store = await synced(bucket, { chunkMemory: some });
  assert.equal(content(await ask(store)), content(await ask(await synced(bucket))));
  assert.equal(some.held, 0);
  // A reader that stops early, too.
  for await (const _ of store.series(seriesRequest({ matchers: all }), callContext())) break;
  for (let i = 0; i < 50 && some.held > 0; i++) await new Promise((r) => setTimeout(r, 1));
  assert.equal(some.held, 0);
});

Deno.test("Series calls wait for each other beyond --store.grpc.series-max-concurrency", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(2) });
  const store = await synced(bucket, { maxConcurrency: 1 });
  const request = seriesRequest({ matchers: all });
  const first = store.series(request, callContext())[Symbol.asyncIterator]();
  await first.next();
  let answered = false;
  const second = ask(store).then(() => answered = true);
  for (let i = 0; i < 100; i++) await Promise.resolve();
  assert.equal(answered, false);
  await first.return!();
  await second;
});

// ---- Faults ---------------------------------------------------------------------------------

Deno.test("a block that fails is named: in a warning, or as the error where all is wanted", async () => {
  const inner = new MemoryBucket();
  await addBlock(inner, { id: blockId(1), series: smallSeries(2), labels: { cluster: "1" } });
  await addBlock(inner, { id: blockId(2), series: smallSeries(2), labels: { cluster: "2" } });
  const healthy = content((await ask(await synced(inner))).map((f) => ({
    ...f,
    series: f.series.filter((s) => s.labels.includes("2")),
  })));
  const objects: [string, RegExp][] = [
    ["chunks/000001", /^load chunks for block BLOCK: .*chunks\/000001/],
    ["index", /^load index header for block BLOCK: .*index/],
  ];
  const faults = [
    { type: "error", kind: "unavailable" },
    { type: "error", kind: "not_found" },
    { type: "short", share: 0.3 },
  ] as const;
  for (const [object, expected] of objects) {
    for (const fault of faults) {
      const bucket = new FaultyBucket(inner, {
        rules: [{ operations: ["get_range"], name: new RegExp(`${blockId(1)}/${object}`), fault }],
      });
      const store = await synced(bucket);
      const pattern = new RegExp(expected.source.replace("BLOCK", blockId(1)));
      const frames = await ask(store, { partialResponse: "warn" });
      assert.equal(content(frames), healthy);
      assert.equal(warningsOf(frames).length, 1);
      assert.match(warningsOf(frames)[0]!, pattern);
      const error = await failure(() => ask(store, { partialResponse: "abort" }));
      assert.match(error.message, pattern);
      assert.ok(!error.message.includes("\n"));
    }
  }
});

Deno.test("a damaged chunk costs itself only, and is counted", async () => {
  const bucket = new MemoryBucket();
  const series = smallSeries(3);
  await addBlock(bucket, { id: blockId(1), series, samplesPerChunk: 10 });
  const before = content(await ask(await synced(bucket)));
  const object = `${blockId(1)}/chunks/000001`;
  const bytes = await bucket.get(object);
  bytes[14]! ^= 1;
  await bucket.upload(object, bytes);
  const metrics = new Metrics();
  const store = await synced(bucket, { registry: metrics });
  const frames = await ask(store);
  const [warning, ...more] = warningsOf(frames);
  assert.deepEqual(more, []);
  assert.match(
    warning!,
    new RegExp(`^load chunks for block ${blockId(1)}: .*${object} at offset 8: checksum`),
  );
  const lost = before.split("\n");
  lost[0] = lost[0]!.replace(/ (\d+:[^ ]+ ){10}/, " ");
  assert.equal(content(frames), lost.join("\n"));
  assert.match(await metrics.expose(), /thanos_bucket_store_corrupt_chunks_total 1\n/);
});

Deno.test("blocks whose meta.json cannot be read are told to queries of their time", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(1) });
  await bucket.upload(`${blockId(2)}/meta.json`, new TextEncoder().encode("{"));
  const store = await synced(bucket);
  const [warning] = warningsOf(await ask(store));
  assert.match(warning!, new RegExp(`^block ${blockId(2)} cannot be read: .*meta.json`));
  const later = { minTime: T0 + HOUR, maxTime: T0 + 2 * HOUR };
  assert.deepEqual(warningsOf(await ask(store, later)), []);
  const silent = await synced(bucket, { warnUnreadable: false });
  assert.deepEqual(warningsOf(await ask(silent)), []);
});

Deno.test("a broken index is not read at every query, but looked at again", async () => {
  const inner = new MemoryBucket();
  await addBlock(inner, { id: blockId(1), series: smallSeries(1) });
  const object = `${blockId(1)}/index`;
  const good = await inner.get(object);
  await inner.upload(object, new Uint8Array(0));
  const bucket = new FaultyBucket(inner);
  const clock = new FakeClock(T0);
  const store = await synced(bucket, { clock });
  const expected = new RegExp(`load index header for block ${blockId(1)}: .*${object}`);
  assert.match(warningsOf(await ask(store))[0]!, expected);
  const reads = bucket.count("get_range", "attributes");
  for (let i = 0; i < 5; i++) assert.match(warningsOf(await ask(store))[0]!, expected);
  assert.equal(bucket.count("get_range", "attributes"), reads);
  await inner.upload(object, good);
  await clock.advance(10_000);
  assert.deepEqual(warningsOf(await ask(store)), []);
});

Deno.test("every flipped byte of a block is an error that names it, or does no harm", async () => {
  const bucket = new MemoryBucket();
  const series = [
    ...smallSeries(2),
    floatSeries({ __name__: "m", pod: "q", zone: "\u{1F600}" }, T0, 12),
  ];
  await addBlock(bucket, { id: blockId(1), series, samplesPerChunk: 10 });
  const expected = content(await ask(await synced(bucket)));
  let told = 0;
  for (const name of ["index", "chunks/000001"]) {
    const object = `${blockId(1)}/${name}`;
    const good = await bucket.get(object);
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at]! ^= 1 << (at % 8);
      await bucket.upload(object, bad);
      const what = `${name}, byte ${at}`;
      const frames = await ask(await synced(bucket));
      const warnings = warningsOf(frames);
      if (warnings.length === 0) {
        assert.equal(content(frames), expected, what);
        continue;
      }
      told++;
      assert.ok(warnings.every((w) => w.includes(blockId(1))), `${what}: ${warnings}`);
      // What is left of the answer is true.
      const lines = content(frames).split("\n");
      for (const line of lines) {
        const [labels = "", ...samples] = line.split(/(?<=\}) /);
        const whole = expected.split("\n").find((l) => l.startsWith(labels));
        assert.ok(whole !== undefined, `${what}: ${line}`);
        for (const sample of samples.join(" ").split(" ").filter((s) => s !== "")) {
          assert.ok(` ${whole} `.includes(` ${sample} `), `${what}: ${sample}`);
        }
      }
      const strict = await synced(bucket);
      const error = await failure(() => ask(strict, { partialResponse: "abort" }));
      assert.equal(errorKind(error), "corruption", `${what}: ${errorMessage(error)}`);
      assert.ok(error.message.includes(blockId(1)), what);
    }
    await bucket.upload(object, good);
  }
  assert.ok(told > 500, `${told} flips were told`);
});

Deno.test("every truncation of a block's files is an error that names it, or does no harm", async () => {
  const bucket = new MemoryBucket();
  await addBlock(bucket, { id: blockId(1), series: smallSeries(2), samplesPerChunk: 10 });
  const expected = content(await ask(await synced(bucket)));
  for (const name of ["index", "chunks/000001"]) {
    const object = `${blockId(1)}/${name}`;
    const good = await bucket.get(object);
    for (let size = 0; size < good.length; size++) {
      await bucket.upload(object, good.slice(0, size));
      const frames = await ask(await synced(bucket));
      const warnings = warningsOf(frames);
      assert.equal(warnings.length, 1, `${name} of ${size} bytes`);
      assert.ok(warnings[0]!.includes(blockId(1)));
      for (const line of content(frames).split("\n")) {
        for (const sample of line.split(" ")) assert.ok(expected.includes(sample), sample);
      }
    }
    await bucket.upload(object, good);
  }
});

Deno.test("random faults never make a wrong answer", async () => {
  const inner = await bucketOf(smallSeries(4), HOUR / 20, { cluster: "eu1" }, 5);
  const expected = content(await ask(await synced(inner)));
  const lines = new Map(expected.split("\n").map((l) => [l.split("} ")[0]!, ` ${l} `]));
  for (let seed = 1; seed <= 60; seed++) {
    const bucket = new FaultyBucket(inner, {
      seed,
      rules: [
        { operations: ["get_range"], probability: 0.1, fault: { type: "corrupt" } },
        { operations: ["get_range"], probability: 0.1, fault: { type: "short", share: 0.7 } },
        {
          operations: ["get_range"],
          probability: 0.1,
          fault: { type: "error", kind: "unavailable" },
        },
      ],
    });
    const store = await synced(bucket);
    for (let i = 0; i < 3; i++) {
      const frames = await ask(store);
      const answer = content(frames);
      if (warningsOf(frames).length === 0) assert.equal(answer, expected, `seed ${seed}`);
      for (const line of answer.split("\n").filter((l) => l !== "")) {
        const whole = lines.get(line.split("} ")[0]!);
        assert.ok(whole !== undefined, `seed ${seed}: ${line}`);
        for (const sample of line.split("} ")[1]!.split(" ")) {
          assert.ok(whole.includes(` ${sample} `), `seed ${seed}: ${sample}`);
        }
      }
    }
  }
});

Deno.test("the benchmark runs at its small size", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 4);
});
