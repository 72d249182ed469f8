import assert from "node:assert/strict";
import { MnemeError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { coarseChunk } from "../dedup/testing/coarse.ts";
import { formatLabels, labelsFromRecord, makeMatcher, SampleBatch } from "../model/mod.ts";
import type { SelectHints } from "../promql/mod.ts";
import type { Series, Store } from "../storeapi/mod.ts";
import { encodeSeriesData, floatSeries } from "../storeapi/testing/fixtures.ts";
import { MemoryStore } from "../storeapi/testing/memory_store.ts";
import { QueryRecorder } from "./query_recorder.ts";
import { type QuerierOptions, QuerierStorage } from "./storage_adapter.ts";

const T0 = 1_790_208_000_000;
const MATCHERS = [makeMatcher("=", "__name__", "up")];
const signal = new AbortController().signal;

function options(changes: Partial<QuerierOptions> = {}): QuerierOptions {
  return {
    deduplicate: true,
    dedupFunction: "penalty",
    replicaLabels: ["replica"],
    partialResponse: "warn",
    maxResolution: 0,
    tenant: "t",
    batchSize: 64,
    ...changes,
  };
}

function hints(changes: Partial<SelectHints> = {}): SelectHints {
  const start = changes.start ?? T0;
  const end = changes.end ?? T0 + 3_600_000;
  return {
    start,
    end,
    step: 60_000,
    range: 0,
    func: "",
    grouping: [],
    by: false,
    queryStart: start,
    queryEnd: end,
    ...changes,
  };
}

/** Two replicas, the second 5 s later and one sample short; the last sample of each is stale. */
function replicas(): MemoryStore {
  const data = ["a", "b"].map((replica, i) =>
    floatSeries({ __name__: "up", replica }, T0 + i * 5000, 40 - i, { step: 60_000, stale: true })
  );
  return new MemoryStore({ series: data.map((d) => encodeSeriesData(d, 10)) });
}

Deno.test("replicas are read as one series, staleness markers kept by their bits", async () => {
  const found = await new QuerierStorage(replicas(), options()).select(MATCHERS, hints(), signal);
  assert.deepEqual(found.labels.map(formatLabels), ['{__name__="up"}']);
  const batch = new SampleBatch();
  found.read(0, batch);
  const text = dump(batch);
  assert.ok(text.endsWith(`${T0 + 39 * 60_000}:stale`), text.slice(-100));
  const again = new SampleBatch();
  found.read(0, again);
  assert.equal(dump(again), text, "reading twice gives the same");
  found.close();
});

Deno.test("without deduplication every replica is its own series", async () => {
  for (const changes of [{ deduplicate: false }, { replicaLabels: [] }]) {
    const store = replicas();
    const found = await new QuerierStorage(store, options(changes))
      .select(MATCHERS, hints(), signal);
    assert.equal(found.labels.length, 2);
    assert.deepEqual(store.requests[0]!.withoutReplicaLabels, []);
    const batch = new SampleBatch();
    found.read(1, batch);
    assert.equal(batch.length, 39);
  }
});

Deno.test("the request says what the selector is for", async () => {
  const store = replicas();
  const storage = new QuerierStorage(store, options({ maxResolution: 3_600_000 }));
  await storage.select(MATCHERS, hints({ func: "rate", range: 600_000 }), signal);
  await storage.select(MATCHERS, hints({ func: "max", grouping: ["job"], by: true }), signal);
  await storage.select(MATCHERS, hints({ func: "sum", skipSamples: true }), signal);
  const [rate, max, sum] = store.requests;
  assert.deepEqual(rate!.aggregates, [5]);
  assert.equal(rate!.maxResolutionWindow, 300_000, "two windows fit into the range");
  assert.equal(rate!.queryHints!.rangeMillis, 600_000);
  assert.deepEqual(max!.aggregates, [4]);
  assert.equal(max!.maxResolutionWindow, 3_600_000);
  assert.deepEqual(max!.queryHints!.grouping, { by: true, labels: ["job"] });
  assert.deepEqual(sum!.aggregates, [1, 2]);
  assert.equal(sum!.skipChunks, true);
  assert.deepEqual(rate!.withoutReplicaLabels, ["replica"]);
  assert.deepEqual([rate!.minTime, rate!.maxTime], [T0, T0 + 3_600_000]);
});

Deno.test("samples are bounded by the whole query, not by the selector", async () => {
  const store = replicas();
  const storage = new QuerierStorage(store, options({ deduplicate: false }));
  const narrow = hints({ start: T0 + 1_500_000, end: T0 + 1_600_000, queryStart: T0 + 1_300_000 });
  const found = await storage.select(MATCHERS, narrow, signal);
  const batch = new SampleBatch();
  found.read(0, batch);
  assert.equal(batch.t[0], T0 + 1_320_000);
  assert.equal(batch.t[batch.length - 1], T0 + 1_560_000);
});

/** A store that sends exactly these frames. */
function fixed(...frames: Series[][]): Store {
  return {
    async *series() {
      for (const series of frames) {
        await Promise.resolve();
        yield { series, warnings: [], bytes: 10 };
      }
    },
    labelNames: () => Promise.resolve({ values: [], warnings: [] }),
    labelValues: () => Promise.resolve({ values: [], warnings: [] }),
  };
}

Deno.test("a series that goes on in the next frame is one; what stores sent is not changed", async () => {
  const labels = labelsFromRecord({ __name__: "up" });
  const whole = encodeSeriesData(floatSeries({ __name__: "up" }, T0, 60), 10);
  const late = Object.freeze(whole.chunks.slice(3));
  const early = Object.freeze(whole.chunks.slice(0, 3));
  const storage = new QuerierStorage(
    fixed([{ labels, chunks: late }], [{ labels, chunks: early }]),
    options({ deduplicate: false }),
  );
  const found = await storage.select(MATCHERS, hints(), signal);
  assert.equal(found.labels.length, 1);
  const batch = new SampleBatch();
  found.read(0, batch);
  assert.equal(batch.length, 60);
  for (let i = 1; i < 60; i++) assert.ok(batch.t[i]! > batch.t[i - 1]!);
  assert.deepEqual(storage.stats, { series: 1, chunks: 6, bytes: 20 });
  assert.equal(found.bytes, 20);
});

Deno.test("warnings of stores come with the series; failures name the call", async () => {
  const warned = new MemoryStore({ series: [], warnings: ["partly"] });
  const found = await new QuerierStorage(warned, options()).select(MATCHERS, hints(), signal);
  assert.deepEqual(found.warnings, ["partly"]);
  const failing = (error: unknown) =>
    new QuerierStorage(
      new MemoryStore({
        series: [encodeSeriesData(floatSeries({ __name__: "up" }, T0, 3))],
        beforeFrame: () => {
          throw error;
        },
      }),
      options(),
    );
  await assert.rejects(
    failing(new MnemeError("unavailable", "fetch series for x")).select(MATCHERS, hints(), signal),
    {
      kind: "execution",
      message: "expanding series: proxy Series(): fetch series for x",
    },
  );
  const canceled = new MnemeError("canceled", "context canceled");
  await assert.rejects(failing(canceled).select(MATCHERS, hints(), signal), { kind: "canceled" });
  const late = new AbortController();
  late.abort(new MnemeError("timeout", "context deadline exceeded"));
  await assert.rejects(
    new QuerierStorage(replicas(), options()).select(MATCHERS, hints(), late.signal),
    { kind: "execution", message: "expanding series: context deadline exceeded" },
  );
});

Deno.test("coarser data are wished for unless the querier is strict, and told where they serve", async () => {
  const { samples, labels } = floatSeries({ __name__: "up" }, T0, 600, { step: 60_000 });
  const series: Series[] = [{ labels, chunks: [coarseChunk(samples, 300_000)] }];
  const store = new MemoryStore({ series });
  const recorder = new QueryRecorder();
  const storage = new QuerierStorage(store, options({ recorder }));
  const end = T0 + 7_200_000;
  const found = await storage.select(MATCHERS, hints({ end, window: 120_000 }), signal);
  assert.equal(store.requests[0]!.coarserWhereMissing, true);
  assert.deepEqual(found.infos, [
    "5m downsampled data used from 2026-09-24T00:00:00Z to 2026-09-24T02:00:00Z: " +
    "nothing as fine as asked for is kept there",
  ]);
  assert.deepEqual(recorder.coverage(), [{ resolution: 300_000, minTime: T0, maxTime: end }]);
  const batch = new SampleBatch();
  found.read(0, batch);
  for (let i = 1; i < batch.length; i++) assert.ok(batch.t[i]! - batch.t[i - 1]! <= 120_000);

  await storage.select(MATCHERS, hints({ skipSamples: true }), signal);
  assert.equal(store.requests[1]!.maxResolutionWindow, Number.MAX_SAFE_INTEGER);
  const strict = new QuerierStorage(store, options({ strictResolution: true }));
  const asIs = await strict.select(MATCHERS, hints({ end, window: 120_000 }), signal);
  assert.equal(store.requests[2]!.coarserWhereMissing, undefined);
  assert.deepEqual(asIs.infos, []);
});

Deno.test("raw data leave no word", async () => {
  const recorder = new QueryRecorder();
  const storage = new QuerierStorage(replicas(), options({ recorder }));
  const found = await storage.select(MATCHERS, hints(), signal);
  assert.deepEqual(found.infos, []);
  const last = T0 + 39 * 60_000;
  assert.deepEqual(recorder.coverage(), [{ resolution: 0, minTime: T0, maxTime: last }]);
});
