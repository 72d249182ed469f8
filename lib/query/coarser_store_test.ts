import assert from "node:assert/strict";
import { MnemeError } from "../base/mod.ts";
import { coarseChunk, rawChunks } from "../dedup/testing/coarse.ts";
import { labelsFromRecord, makeMatcher, RESOLUTION_1H, RESOLUTION_5M } from "../model/mod.ts";
import {
  type CallContext,
  type ComponentInfo,
  type ProxyOptions,
  type SeriesFrame,
  type SeriesRequest,
  type Store,
  type StoreInfo,
  StoreProxy,
} from "../storeapi/mod.ts";
import { callContext, floatSeries, seriesRequest } from "../storeapi/testing/fixtures.ts";
import { CoarserStore } from "./coarser_store.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const T0 = 1_790_208_000_000;
const LABELS = labelsFromRecord({ __name__: "m", cluster: "eu1" });

/** A store with 5m data of days 0 to 4, hourly ones of days 0 to 2 alone, and raw ones after. */
class Stranger implements Store {
  readonly requests: SeriesRequest[] = [];
  failAt = Infinity;
  /** Number of the answer after whose frames nothing more comes, not even its end. */
  hangAfter = Infinity;

  async *series(
    request: SeriesRequest,
    { signal }: CallContext = callContext(),
  ): AsyncIterable<SeriesFrame> {
    await Promise.resolve();
    this.requests.push(request);
    if (this.requests.length >= this.failAt) throw new MnemeError("unavailable", "gone");
    const spans: [number, number, number][] = [
      [RESOLUTION_1H, 0, 2],
      [RESOLUTION_5M, 2, 4],
      [0, 4, 5],
    ];
    const chunks = spans.flatMap(([resolution, from, to]) => {
      if (resolution > request.maxResolutionWindow) return [];
      const { samples } = floatSeries({}, T0 + from * DAY, (to - from) * 1440, { step: 60_000 });
      return resolution === 0 ? rawChunks(samples) : [coarseChunk(samples, resolution)];
    }).filter((c) => c.maxTime >= request.minTime && c.minTime <= request.maxTime);
    yield {
      series: chunks.length === 0 ? [] : [{ labels: LABELS, chunks }],
      warnings: [],
      bytes: 9,
    };
    if (this.requests.length < this.hangAfter) return;
    await new Promise((_, reject) =>
      signal.aborted
        ? reject(signal.reason)
        : signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
  }
  labelNames = () => Promise.resolve({ values: [], warnings: [] });
  labelValues = () => Promise.resolve({ values: [], warnings: [] });
}

function info(changes: Partial<StoreInfo> = {}, componentType = "store"): ComponentInfo {
  const labels = labelsFromRecord({ cluster: "eu1" });
  const times = { minTime: T0, maxTime: T0 + 5 * DAY };
  return {
    labelSets: [labels],
    componentType,
    store: {
      ...times,
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
      tsdbInfos: [{ labels, ...times }],
      ...changes,
    },
  };
}

async function ask(stranger: Stranger, told: ComponentInfo, changes: Partial<SeriesRequest>) {
  const store = new CoarserStore(stranger, () => told);
  const request = seriesRequest({ coarserWhereMissing: true, ...changes });
  const frames: SeriesFrame[] = [];
  for await (const frame of store.series(request, callContext())) frames.push(frame);
  const chunks = frames.flatMap((f) => f.series.flatMap((s) => s.chunks));
  return { chunks, bytes: frames.reduce((n, f) => n + (f.bytes ?? 0), 0) };
}

const days = (from: number, to: number) => ({ minTime: T0 + from * DAY, maxTime: T0 + to * DAY });

Deno.test("what a store keeps but did not answer is asked for again, coarser and coarser", async () => {
  const rows: [number, number, number, number[]][] = [
    // from day, to day, allowed resolution, resolutions asked for
    [4.2, 4.8, 0, [0]],
    [3.2, 4.8, 0, [0, RESOLUTION_5M]],
    [2.2, 2.3, 0, [0, RESOLUTION_5M]],
    [1.2, 1.3, 0, [0, RESOLUTION_5M, RESOLUTION_1H]],
    [0, 5, 0, [0, RESOLUTION_5M, RESOLUTION_1H]],
    [0, 5, RESOLUTION_5M, [RESOLUTION_5M, RESOLUTION_1H]],
    [0, 5, RESOLUTION_1H, [RESOLUTION_1H]],
    // Nothing is kept there.
    [-3, -2, 0, [0]],
    [6, 7, 0, [0]],
  ];
  for (const [from, to, allowed, resolutions] of rows) {
    const stranger = new Stranger();
    const { chunks, bytes } = await ask(stranger, info(), {
      ...days(from, to),
      maxResolutionWindow: allowed,
    });
    const what = `${from} ${to} ${allowed}`;
    assert.deepEqual(stranger.requests.map((r) => r.maxResolutionWindow), resolutions, what);
    assert.equal(bytes, 9 * resolutions.length, what);
    assert.equal(chunks.length > 0, to > 0 && from < 5, what);
    // Raw chunks that came twice are there once.
    const raw = chunks.filter((c) => c.raw !== undefined).map((c) => c.minTime);
    assert.equal(new Set(raw).size, raw.length, what);
  }
});

Deno.test("only the open stretch is asked for again, with the points beside it", async () => {
  const stranger = new Stranger();
  await ask(stranger, info(), days(3, 5));
  const again = stranger.requests[1]!;
  assert.equal(again.minTime, T0 + 3 * DAY - 2 * RESOLUTION_5M);
  assert.equal(again.maxTime, T0 + 4 * DAY - 1 + RESOLUTION_5M);
});

Deno.test("stores that need no second question get none", async () => {
  const cases: [ComponentInfo, Partial<SeriesRequest>][] = [
    [info({ fillsWithCoarser: true }), {}],
    [info({}, "sidecar"), {}],
    [info(), { coarserWhereMissing: false }],
    [info(), { skipChunks: true }],
    [info(), { limit: 3 }],
    [info(), { matchers: [makeMatcher("=", "cluster", "us1")] }],
  ];
  for (const [told, changes] of cases) {
    const stranger = new Stranger();
    await ask(stranger, told, { ...days(0, 5), ...changes });
    assert.equal(stranger.requests.length, 1, JSON.stringify(changes));
  }
});

Deno.test("a store that does not tell its stretches is asked by its times", async () => {
  const stranger = new Stranger();
  const { chunks } = await ask(stranger, info({ tsdbInfos: [] }), days(1, 1.5));
  assert.equal(stranger.requests.length, 3);
  assert.equal(chunks.length, 1);
});

Deno.test("a second question that fails fails the call, after what had come", async () => {
  const stranger = new Stranger();
  stranger.failAt = 2;
  const store = new CoarserStore(stranger, () => info());
  const stream = store.series(
    seriesRequest({ coarserWhereMissing: true, ...days(3, 5) }),
    callContext(),
  );
  let series = 0;
  await assert.rejects(async () => {
    for await (const frame of stream) series += frame.series.length;
  }, { kind: "unavailable" });
  assert.equal(series, 1);
});

Deno.test("frames that had come before a store fell silent are part of the answer, with a warning", async () => {
  const limits: [Partial<ProxyOptions>, RegExp][] = [
    [{ responseTimeout: 20 }, /failed to receive any data in 20ms from Addr: stranger:1 /],
    [{ requestTimeout: 40 }, /receive series from Addr: stranger:1 .*DeadlineExceeded/],
    [
      { silence: 10, probeTimeout: 10 },
      /receive series from Addr: stranger:1 .*no data for 10ms and no answer to a health probe/,
    ],
  ];
  const told = info();
  const asked = async (
    hangAfter: number,
    limit: Partial<ProxyOptions>,
    partialResponse: "warn" | "abort",
  ) => {
    const stranger = new Stranger();
    stranger.hangAfter = hangAfter;
    const proxy = new StoreProxy({
      stores: () => [{
        address: "stranger:1",
        store: new CoarserStore(stranger, () => told),
        labelSets: told.labelSets,
        info: told.store!,
        unhealthy: undefined,
        probe: () => new Promise(() => {}),
      }],
      ...limit,
    });
    const request = seriesRequest({
      coarserWhereMissing: true,
      matchers: [makeMatcher("=", "__name__", "m")],
      partialResponse,
      ...days(3, 5),
    });
    const frames: SeriesFrame[] = [];
    for await (const frame of proxy.series(request, callContext())) frames.push(frame);
    return {
      warnings: frames.flatMap((f) => f.warnings),
      minutes: frames.flatMap((f) => f.series.flatMap((s) => s.chunks))
        .filter((c) => c.raw === undefined).length,
      series: frames.flatMap((f) => f.series).length,
    };
  };
  for (const [limit, warning] of limits) {
    // In the middle of the first answer, and of the second one.
    for (const [hangAfter, minutes] of [[1, 0], [2, 1]] as const) {
      const partial = await asked(hangAfter, limit, "warn");
      assert.equal(partial.warnings.length, 1, String(partial.warnings));
      assert.match(partial.warnings[0]!, warning);
      assert.deepEqual([partial.series, partial.minutes], [1, minutes]);
      await assert.rejects(asked(hangAfter, limit, "abort"), warning);
    }
  }
});
