import assert from "node:assert/strict";
import { runBench } from "../base/testing/bench.ts";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import {
  type CounterResetHint,
  CUSTOM_BUCKETS_SCHEMA,
  type FloatHistogram,
  SampleBatch,
  type Span,
} from "../model/mod.ts";
import {
  appendChunk,
  type ChunkResetHeader,
  decodeFloatHistogramSamples,
  decodeHistogramSamples,
  encodeSamples,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_HISTOGRAM,
  ENCODING_XOR,
  SAMPLES_PER_CHUNK,
} from "./mod.ts";
import { bench } from "./histogram_bench.ts";
import { bits64, floatsOf, goldenChunks, STALE } from "./testing/fixtures.ts";

interface Shape {
  hint?: CounterResetHint;
  schema?: number;
  zeroThreshold?: number;
  zero?: number;
  /** Buckets as index: count. */
  buckets?: Record<number, number>;
  bounds?: number[];
  stale?: true;
  float?: true;
  count?: number;
}

/** A histogram from a few words, as the decoder hands one out. */
function histogram(shape: Shape): FloatHistogram {
  const spans: { offset: number; length: number }[] = [];
  const counts: number[] = [];
  let next = 0;
  const entries = Object.entries(shape.buckets ?? {}).map(([k, v]) => [Number(k), v] as const);
  for (const [index, count] of entries.sort((a, b) => a[0] - b[0])) {
    const last = spans[spans.length - 1];
    if (last !== undefined && index === next) last.length++;
    else spans.push({ offset: index - (last === undefined ? 0 : next), length: 1 });
    next = index + 1;
    counts.push(count);
  }
  return {
    counterResetHint: shape.hint ?? "unknown",
    schema: shape.bounds !== undefined ? CUSTOM_BUCKETS_SCHEMA : shape.schema ?? 0,
    zeroThreshold: shape.zeroThreshold ?? 0.5,
    zeroCount: shape.zero ?? 0,
    count: shape.count ?? counts.reduce((a, b) => a + b, shape.zero ?? 0),
    sum: shape.stale === true ? floatsOf(STALE) : floatsOf(1.5),
    positiveSpans: spans,
    negativeSpans: [],
    positiveBuckets: floatsOf(...counts),
    negativeBuckets: floatsOf(),
    customValues: floatsOf(...(shape.bounds ?? [])),
    ...(shape.float === true ? {} : { integer: true as const }),
  };
}

function batchOf(shapes: readonly (Shape | number)[]): SampleBatch {
  const batch = new SampleBatch();
  shapes.forEach((shape, i) => {
    if (typeof shape !== "number") return batch.appendHistogram(i * 1000, histogram(shape));
    batch.reserve(1);
    batch.t[batch.length] = i * 1000;
    batch.v[batch.length] = shape;
    if (batch.h !== null) batch.h[batch.length] = undefined;
    batch.length++;
  });
  return batch;
}

/** One text a chunk: encoding, reset header, number of samples, spans. */
function describe(batch: SampleBatch, max?: number): string[] {
  return encodeSamples(batch, 0, batch.length, max).map(({ chunk }) => {
    if (chunk.encoding === ENCODING_XOR) return `xor ${(chunk.data[0]! << 8) | chunk.data[1]!}`;
    const samples = chunk.encoding === ENCODING_HISTOGRAM
      ? decodeHistogramSamples(chunk.data)
      : decodeFloatHistogramSamples(chunk.data);
    const spans = samples.histograms[0]!.positiveSpans.map((s) => `${s.offset}+${s.length}`);
    const kind = chunk.encoding === ENCODING_HISTOGRAM ? "int" : "float";
    return `${kind} ${samples.resetHeader} ${samples.histograms.length} [${spans}]`;
  });
}

Deno.test("encodeSamples() cuts floats at 120 samples and keeps their bits", () => {
  const batch = new SampleBatch();
  batch.reserve(1000);
  for (let i = 0; i < 361; i++) {
    batch.t[i] = i * 15000;
    batch.v[i] = i / 7;
  }
  batch.v.set(floatsOf(STALE), 240);
  batch.length = 361;
  const chunks = encodeSamples(batch);
  assert.equal(SAMPLES_PER_CHUNK, 120);
  assert.deepEqual(chunks.map((c) => [c.minTime, c.maxTime]), [
    [0, 119 * 15000],
    [120 * 15000, 239 * 15000],
    [240 * 15000, 359 * 15000],
    [360 * 15000, 360 * 15000],
  ]);
  const back = new SampleBatch();
  for (const c of chunks) appendChunk(c.chunk, back);
  assert.deepEqual(bits64(back.v, 361), bits64(batch.v, 361));
  assert.equal(encodeSamples(batch, 5, 5).length, 0);
  const part = encodeSamples(batch, 100, 250, 60);
  assert.deepEqual(part.map((c) => c.minTime / 15000), [100, 160, 220]);
  assert.equal(part[2]!.maxTime, 249 * 15000);
});

Deno.test("encodeSamples() cuts histograms by layout, reset and kind", () => {
  const rows: { name: string; shapes: (Shape | number)[]; want: string[]; max?: number }[] = [
    {
      name: "one layout",
      shapes: [{ buckets: { 1: 1 } }, { buckets: { 1: 2 } }, { buckets: { 1: 2 } }],
      want: ["int unknown 3 [1+1]"],
    },
    {
      name: "new buckets widen the layout",
      shapes: [{ buckets: { 1: 1 } }, { buckets: { 1: 1, 2: 1, 5: 1 } }, {
        buckets: { 1: 1, 2: 1, 5: 1, 6: 9 },
      }],
      want: ["int unknown 3 [1+2,2+2]"],
    },
    {
      name: "an empty bucket may vanish",
      shapes: [{ buckets: { 1: 1, 2: 0 } }, { buckets: { 1: 1 } }, { buckets: { 1: 1, 3: 1 } }],
      want: ["int unknown 3 [1+3]"],
    },
    {
      name: "a full bucket that vanishes is a reset",
      shapes: [{ buckets: { 1: 1, 2: 1 } }, { buckets: { 1: 5 } }],
      want: ["int unknown 1 [1+2]", "int reset 1 [1+1]"],
    },
    {
      name: "a lower bucket is a reset",
      shapes: [{ buckets: { 1: 1, 2: 3 } }, { buckets: { 1: 9, 2: 2 } }],
      want: ["int unknown 1 [1+2]", "int reset 1 [1+2]"],
    },
    {
      name: "a lower bucket under other spans is a reset",
      shapes: [{ buckets: { 1: 1, 2: 3 } }, { buckets: { 0: 7, 1: 9, 2: 2 } }],
      want: ["int unknown 1 [1+2]", "int reset 1 [0+3]"],
    },
    {
      name: "a lower count is a reset, also with another schema",
      shapes: [{ zero: 3 }, { zero: 2, schema: 3 }],
      want: ["int unknown 1 []", "int reset 1 []"],
    },
    {
      name: "a lower zero count is a reset",
      shapes: [{ zero: 3, count: 3 }, { zero: 2, count: 4 }],
      want: ["int unknown 1 []", "int reset 1 []"],
    },
    {
      name: "another schema is another layout",
      shapes: [{ zero: 3 }, { zero: 3, schema: 3 }],
      want: ["int unknown 1 []", "int unknown 1 []"],
    },
    {
      name: "another zero threshold is another layout",
      shapes: [{ zero: 3 }, { zero: 3, zeroThreshold: 0.25 }],
      want: ["int unknown 1 []", "int unknown 1 []"],
    },
    {
      name: "other custom bounds are a reset",
      shapes: [{ buckets: { 0: 1 }, bounds: [1] }, { buckets: { 0: 1 }, bounds: [2] }],
      want: ["int unknown 1 [0+1]", "int reset 1 [0+1]"],
    },
    {
      name: "hints",
      shapes: [{ zero: 1, hint: "reset" }, { zero: 2, hint: "not_reset" }, {
        zero: 3,
        hint: "reset",
      }],
      want: ["int reset 2 []", "int reset 1 []"],
    },
    {
      name: "gauges may fall and lose buckets",
      shapes: [
        { buckets: { 1: 5, 2: 5 }, hint: "gauge" },
        { buckets: { 2: 1 }, hint: "gauge" },
        { buckets: { 4: 1 }, hint: "gauge" },
      ],
      want: ["int gauge 3 [1+2,1+1]"],
    },
    {
      name: "gauge and counter do not mix",
      shapes: [{ zero: 1 }, { zero: 2, hint: "gauge" }, { zero: 3 }],
      want: ["int unknown 1 []", "int gauge 1 []", "int unknown 1 []"],
    },
    {
      name: "staleness markers stay in the chunk, what follows does not",
      shapes: [{ buckets: { 1: 1 } }, { stale: true }, { stale: true }, { buckets: { 1: 2 } }],
      want: ["int unknown 3 [1+1]", "int unknown 1 [1+1]"],
    },
    {
      name: "a staleness marker first",
      shapes: [{ stale: true }, { buckets: { 1: 2 } }],
      want: ["int unknown 1 []", "int unknown 1 [1+1]"],
    },
    {
      name: "floats, integers and float histograms",
      shapes: [1, 2, { zero: 1 }, { zero: 1, float: true }, { zero: 1.5 }, 4],
      want: ["xor 2", "int unknown 1 []", "float unknown 2 []", "xor 1"],
    },
    {
      name: "the sample limit",
      shapes: [{ zero: 1 }, { zero: 1 }, { zero: 1 }, { zero: 1, hint: "not_reset" }, { zero: 1 }],
      want: ["int unknown 2 []", "int unknown 2 []", "int unknown 1 []"],
      max: 2,
    },
  ];
  for (const { name, shapes, want, max } of rows) {
    assert.deepEqual(describe(batchOf(shapes), max), want, name);
  }
});

Deno.test("encodeSamples() keeps every bucket of histograms whose layout grows", () => {
  const random = new Random(17);
  for (let round = 0; round < 100; round++) {
    const float = random.chance(0.5);
    const gauge = random.chance(0.5);
    const counts: Record<number, number> = {};
    const shapes: Shape[] = [];
    for (let i = 0; i < 50; i++) {
      for (let k = random.below(3); k > 0; k--) {
        const index = random.between(-6, 6);
        counts[index] = (counts[index] ?? 0) + random.below(9);
      }
      if (gauge && random.chance(0.2)) delete counts[random.between(-6, 6)];
      shapes.push({
        buckets: { ...counts },
        hint: gauge ? "gauge" : "not_reset",
        ...(float ? { float: true as const } : {}),
        ...(random.chance(0.02) ? { stale: true as const } : {}),
      });
    }
    const batch = batchOf(shapes);
    const back = new SampleBatch();
    for (const { chunk, minTime, maxTime } of encodeSamples(batch)) {
      const from = back.length;
      appendChunk(chunk, back);
      assert.equal(back.t[from], minTime);
      assert.equal(back.t[back.length - 1], maxTime);
    }
    assert.equal(back.length, batch.length);
    for (let i = 0; i < batch.length; i++) {
      assert.deepEqual(bits64(back.v, back.length), bits64(batch.v, batch.length));
      if (shapes[i]!.stale === true) continue;
      const want = buckets(batch.h![i]!);
      const got = buckets(back.h![i]!);
      for (const k of new Set([...want.keys(), ...got.keys()])) {
        assert.equal(got.get(k) ?? 0, want.get(k) ?? 0);
      }
      assert.equal(back.h![i]!.count, batch.h![i]!.count);
    }
  }
});

function buckets(h: FloatHistogram): Map<number, number> {
  const out = new Map<number, number>();
  let index = 0;
  let at = 0;
  for (const span of h.positiveSpans as readonly Span[]) {
    index += span.offset;
    for (let k = 0; k < span.length; k++) out.set(index++, h.positiveBuckets[at++]!);
  }
  return out;
}

Deno.test("encodeSamples() makes of the samples of a golden chunk that chunk again", () => {
  const chunks = goldenChunks("bucket-in");
  if (chunks === undefined) {
    console.log("skipped: ../shared/golden/bucket-in is not there");
    return;
  }
  const headers: Partial<Record<ChunkResetHeader, number>> = {};
  const batch = new SampleBatch();
  for (const { where, chunk } of chunks) {
    if (chunk.encoding !== ENCODING_HISTOGRAM && chunk.encoding !== ENCODING_FLOAT_HISTOGRAM) {
      continue;
    }
    batch.clear();
    appendChunk(chunk, batch);
    const again = encodeSamples(batch, 0, batch.length, 65535);
    assert.equal(again.length, 1, where);
    const want = chunk.data.slice();
    const { resetHeader } = chunk.encoding === ENCODING_HISTOGRAM
      ? decodeHistogramSamples(chunk.data)
      : decodeFloatHistogramSamples(chunk.data);
    headers[resetHeader] = (headers[resetHeader] ?? 0) + 1;
    // Samples do not tell whether the chunk before ended higher, so that flag cannot come back.
    if (resetHeader !== "gauge") want[2] = 0;
    assert.equal(again[0]!.chunk.data.toHex(), want.toHex(), `${where} ${dump(batch, 0, 1)}`);
  }
  assert((headers.gauge ?? 0) > 0);
});

Deno.test("histogram_bench.ts runs", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 4);
});
