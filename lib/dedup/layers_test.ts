import assert from "node:assert/strict";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import { RESOLUTION_1H, RESOLUTION_5M, SampleBatch } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { chunkResolution } from "./chunk_resolution.ts";
import { LayeredReader, splitLayers } from "./layers.ts";
import { SeriesReader } from "./read_series.ts";
import { refine, refinementFor } from "./refine.ts";
import { batchOf, coarseChunk, rawChunks } from "./testing/coarse.ts";
import { TimeRanges } from "./time_ranges.ts";

const HOUR = RESOLUTION_1H;
const MINUTE = 60_000;
const T0 = 1_790_208_000_000;

/** Samples every `step` ms in [from, to); `value` of the time since T0. */
function signal(
  from: number,
  to: number,
  step: number,
  value: (sinceStart: number) => number,
): SampleBatch {
  const times: number[] = [];
  for (let t = from; t < to; t += step) times.push(t);
  return batchOf(times, times.map((t) => value(t - T0)));
}

const text = ({ starts, ends }: TimeRanges) => starts.map((s, i) => `${s}-${ends[i]}`).join(" ");

Deno.test("TimeRanges joins stretches and tells the gaps", () => {
  const ranges = new TimeRanges(5);
  for (const [from, to] of [[100, 200], [10, 20], [300, 400], [24, 30], [206, 210]] as const) {
    ranges.add(from, to);
  }
  assert.equal(text(ranges), "10-30 100-200 206-210 300-400");
  ranges.add(203, 203);
  assert.equal(text(ranges), "10-30 100-210 300-400");
  ranges.add(0, 1000);
  assert.equal(text(ranges), "0-1000");
  const some = new TimeRanges(0);
  some.add(10, 20);
  some.add(40, 50);
  const gaps: string[] = [];
  some.eachGap(0, 60, (from, to) => gaps.push(`${from}-${to}`));
  assert.deepEqual(gaps, ["0-9", "21-39", "51-60"]);
  assert.deepEqual([9, 10, 20, 21, 45].map((t) => some.covers(t)), [
    false,
    true,
    true,
    false,
    true,
  ]);
});

Deno.test("TimeRanges stays small however torn time is", () => {
  const ranges = new TimeRanges(0);
  const random = new Random(7);
  for (let i = 0; i < 50_000; i++) {
    const at = random.below(1_000_000_000);
    ranges.add(at, at + 1);
    if (i % 5000 === 0) assert.ok(ranges.covers(at));
  }
  assert.ok(ranges.size <= 1024, `${ranges.size}`);
});

Deno.test("chunkResolution() tells raw, 5m and 1h chunks apart", () => {
  for (const resolution of [RESOLUTION_5M, HOUR]) {
    for (const start of [T0, T0 + 17 * MINUTE, T0 + 55 * MINUTE]) {
      for (const hours of [3, 20, 100]) {
        const raw = signal(start, start + hours * HOUR + 7 * MINUTE, MINUTE, (t) => t);
        const chunk = coarseChunk(raw, resolution);
        assert.equal(chunkResolution(chunk), resolution, `${resolution} ${start - T0} ${hours}`);
        const { minTime, maxTime, counter } = chunk;
        assert.equal(chunkResolution({ minTime, maxTime, counter: counter! }), resolution);
      }
    }
  }
  assert.equal(chunkResolution(rawChunks(signal(T0, T0 + HOUR, MINUTE, (t) => t))[0]!), 0);
  // A lone last point goes with what came before.
  const lone = coarseChunk(signal(T0 + 1000, T0 + 2000, 500, () => 1), HOUR);
  assert.equal(chunkResolution(lone, HOUR), HOUR);
  assert.equal(chunkResolution(lone, RESOLUTION_5M), RESOLUTION_5M);
});

Deno.test("refine() makes samples a short window can see", () => {
  const coarse = batchOf([T0 + HOUR - 1, T0 + 2 * HOUR - 1], [10, 20]);
  const out = new SampleBatch();
  const times = (filling: "hold" | "line" | "slope" | "split" | "count", spacing: number) => {
    refine(coarse, HOUR, { filling, spacing }, out);
    for (let i = 1; i < out.length; i++) assert.ok(out.t[i]! > out.t[i - 1]!, filling);
    return out.length;
  };
  assert.equal(times("hold", 10 * MINUTE), 14);
  assert.equal(out.t[0], T0, "the first window begins an hour before its point");
  assert.deepEqual([...out.v.subarray(0, 14)], [...Array(7).fill(10), ...Array(7).fill(20)]);
  assert.equal(times("line", 15 * MINUTE), 5);
  assert.deepEqual([...out.v.subarray(0, 5)], [10, 12.5, 15, 17.5, 20]);
  times("slope", 15 * MINUTE);
  assert.deepEqual([out.t[0], Math.round(out.v[0]!)], [T0, 5]);
  assert.equal(Math.round(out.v[out.length - 1]!), 25);
  assert.equal(times("split", 15 * MINUTE), 8);
  assert.deepEqual([...out.v.subarray(0, 8)], [2.5, 2.5, 2.5, 2.5, 5, 5, 5, 5]);
  assert.equal(times("count", 1), 30);
  assert.equal(out.t[29], T0 + 2 * HOUR - 1);
});

Deno.test("refine() draws no line over a gap", () => {
  const coarse = batchOf([T0 + HOUR - 1, T0 + 9 * HOUR - 1], [10, 20]);
  const out = new SampleBatch();
  refine(coarse, HOUR, { filling: "line", spacing: MINUTE }, out);
  assert.equal(out.length, 2);
  refine(coarse, HOUR, { filling: "hold", spacing: MINUTE }, out);
  for (let i = 0; i < out.length; i++) {
    assert.ok(out.t[i]! < T0 + HOUR || out.t[i]! >= T0 + 8 * HOUR);
  }
});

Deno.test("refinementFor() leaves windows alone that see enough", () => {
  assert.equal(refinementFor("rate", 2 * HOUR, HOUR, HOUR), undefined);
  assert.equal(refinementFor("rate", HOUR, HOUR, HOUR)?.filling, "line");
  assert.equal(refinementFor("deriv", HOUR, HOUR, HOUR)?.filling, "slope");
  assert.equal(refinementFor("", HOUR, HOUR, HOUR), undefined);
  assert.equal(refinementFor("", 5 * MINUTE, HOUR, HOUR)?.spacing, 5 * MINUTE);
  assert.equal(refinementFor("sum_over_time", 5 * MINUTE, HOUR, HOUR)?.filling, "split");
  assert.equal(refinementFor("count_over_time", 50 * HOUR, HOUR, HOUR)?.filling, "count");
  const year = 365 * 24 * HOUR;
  assert.ok(year / refinementFor("rate", 3, HOUR, year)!.spacing <= 500_000, "bounded");
});

Deno.test("splitLayers() keeps what is as fine as asked for, and the array when all is", () => {
  const raw = rawChunks(signal(T0, T0 + HOUR, MINUTE, (t) => t));
  assert.equal(splitLayers(raw, 0).asked, raw);
  const minutes = coarseChunk(signal(T0, T0 + 9 * HOUR, MINUTE, (t) => t), RESOLUTION_5M);
  const hours = coarseChunk(signal(T0, T0 + 9 * HOUR, MINUTE, (t) => t), HOUR);
  const all = [raw[0]!, minutes, hours];
  assert.equal(splitLayers(all, HOUR).asked, all);
  assert.deepEqual(splitLayers(all, RESOLUTION_5M), {
    asked: [raw[0], minutes],
    coarse: [{ resolution: HOUR, chunks: [hours] }],
  });
  assert.deepEqual(splitLayers(all, 0), {
    asked: [raw[0]],
    coarse: [
      { resolution: RESOLUTION_5M, chunks: [minutes] },
      { resolution: HOUR, chunks: [hours] },
    ],
  });
});

Deno.test("layers make one counter: each stretch by the finest data, and no false increase", () => {
  // 1 a second, with a reset every three hours; raw data overlap the coarse in the middle of a window.
  const value = (t: number) => (t / 1000) % 10_800;
  const step = 15_000;
  const coarse = signal(T0, T0 + 20 * HOUR, step, value);
  const fine = signal(T0 + 10 * HOUR + 17 * MINUTE, T0 + 30 * HOUR, step, value);
  const reader = new LayeredReader(new SeriesReader());
  const options = {
    aggregate: "counter" as const,
    dedup: undefined,
    counterCorrected: true,
    minTime: T0,
    maxTime: T0 + 30 * HOUR,
  };
  for (const resolution of [RESOLUTION_5M, HOUR]) {
    const layers = {
      asked: rawChunks(fine),
      coarse: [{ resolution, chunks: [coarseChunk(coarse, resolution)] }],
    };
    const batch = new SampleBatch();
    const finer = (r: number) => refinementFor("rate", 5 * MINUTE, r, 30 * HOUR);
    reader.read(layers, options, finer, batch);
    assert.equal(batch.t[0], T0);
    assert.equal(batch.t[batch.length - 1], fine.t[fine.length - 1]);
    // Each reset at a scrape loses the increase of one interval, as it does in raw data.
    for (let i = 1; i < batch.length; i++) {
      const seconds = (batch.t[i]! - batch.t[i - 1]!) / 1000;
      const increase = batch.v[i]! - batch.v[i - 1]!;
      const where = `${resolution}: ${dump(batch, i - 1, i + 1)}`;
      assert.ok(seconds > 0 && seconds <= 100, where);
      assert.ok(increase >= seconds - 16 && increase <= seconds * 1.05, where);
    }
    const whole = batch.v[batch.length - 1]! - batch.v[0]!;
    assert.ok(Math.abs(whole / (30 * 3600) - 1) < 0.005, `${whole}`);
  }
});

Deno.test("layers take each sample of the fine data and the coarse ones in their holes", () => {
  const random = new Random(11);
  for (let round = 0; round < 20; round++) {
    const fine: AggrChunk[] = [];
    const expected = new Map<number, number>();
    const coarse = new TimeRanges(RESOLUTION_5M);
    for (let t = T0 + random.below(HOUR); t < T0 + 20 * HOUR;) {
      const end = t + 4 * MINUTE + random.below(2 * HOUR);
      const batch = signal(t, end, 10_000 + random.below(50_000), (x) => x / 1000);
      for (let i = 0; i < batch.length; i++) expected.set(batch.t[i]!, batch.v[i]!);
      const chunks = rawChunks(batch);
      for (const chunk of chunks) coarse.add(chunk.minTime, chunk.maxTime);
      fine.push(...chunks);
      t = end + MINUTE + random.below(HOUR);
    }
    const points = coarseChunk(signal(T0, T0 + 20 * HOUR, MINUTE, () => -1), RESOLUTION_5M);
    for (let t = T0 + RESOLUTION_5M - 1; t < T0 + 20 * HOUR; t += RESOLUTION_5M) {
      if (!coarse.covers(t) && !expected.has(t)) expected.set(t, -1);
    }
    const out = new SampleBatch();
    new LayeredReader(new SeriesReader()).read(
      { asked: fine, coarse: [{ resolution: RESOLUTION_5M, chunks: [points] }] },
      {
        aggregate: "avg",
        dedup: undefined,
        counterCorrected: false,
        minTime: T0,
        maxTime: T0 + 19 * HOUR,
      },
      () => undefined,
      out,
    );
    assert.deepEqual(
      [...out.t.subarray(0, out.length)].map((t, i) => [t, out.v[i]]),
      [...expected].filter(([t]) => t <= T0 + 19 * HOUR).sort(([a], [b]) => a - b),
    );
  }
});

Deno.test("layers leave a stretch without any data empty", () => {
  const old = signal(T0, T0 + 4 * HOUR, MINUTE, () => 5);
  const young = signal(T0 + 8 * HOUR, T0 + 9 * HOUR, MINUTE, () => 7);
  const reader = new LayeredReader(new SeriesReader());
  const batch = new SampleBatch();
  reader.read(
    {
      asked: rawChunks(young),
      coarse: [{ resolution: HOUR, chunks: [coarseChunk(old, HOUR)] }],
    },
    {
      aggregate: "avg",
      dedup: "penalty",
      counterCorrected: false,
      minTime: T0 + HOUR,
      maxTime: T0 + 9 * HOUR,
    },
    (r) => refinementFor("", 5 * MINUTE, r, 9 * HOUR),
    batch,
  );
  assert.equal(batch.t[0]! >= T0 + HOUR, true);
  for (let i = 0; i < batch.length; i++) {
    const since = batch.t[i]! - T0;
    assert.ok(since < 4 * HOUR || since >= 8 * HOUR, `${since}`);
    assert.equal(batch.v[i], since < 4 * HOUR ? 5 : 7);
  }
});
