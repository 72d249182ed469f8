import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import {
  bitsOf,
  CUSTOM_BUCKETS_SCHEMA,
  type FloatHistogram,
  type Histogram,
  isStaleAt,
  SampleBatch,
  type Span,
} from "../model/mod.ts";
import {
  appendChunk,
  type Chunk,
  chunkSampleCount,
  decodeFloatHistogramSamples,
  decodeHistogramSamples,
  encodeFloatHistogramSamples,
  encodeHistogramSamples,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_FLOAT_HISTOGRAM_ST,
  ENCODING_HISTOGRAM,
  ENCODING_HISTOGRAM_ST,
  type HistogramSamples,
} from "./mod.ts";
import { BitWriter } from "./bit_writer.ts";
import { writeVarbitInt, writeVarbitUint } from "./varbit.ts";
import { bits64, floatsOf, hex, STALE } from "./testing/fixtures.ts";

const LAYOUT = {
  schema: 0,
  zeroThreshold: 2 ** -128,
  positiveSpans: [{ offset: 0, length: 2 }, { offset: 1, length: 1 }],
  negativeSpans: [],
  customValues: new Float64Array(0),
};
const INTEGER = [
  [1, "000100744a48c5e3e8b45009400000000000257880"],
  [2, "000200744a48c5e3e8b450094000000000002578fc1d4c49b04988"],
  [3, "000300744a48c5e3e8b450094000000000002578fc1d4c49b04988317bfee0000000000010"],
] as const;
const FLOAT_ONE =
  "000100744a48c5e3e840180000000000003ff0000000000000402500000000000040000000000000003ff0000000" +
  "0000004000000000000000";
const FLOAT_TWO = "0002" + FLOAT_ONE.slice(4) + "f83a98d41f6c127603c25fffd80c";

Deno.test("integer histogram chunks: the reference bytes, decoded and encoded again", () => {
  for (const [n, bytes] of INTEGER) {
    const samples = decodeHistogramSamples(hex(bytes));
    assert.equal(samples.resetHeader, "unknown");
    assert.deepEqual([...samples.t], [1000, 16000, 31000].slice(0, n));
    const [first, second, third] = samples.histograms;
    assert.deepEqual({ ...first, sum: [...first!.sum] }, {
      counterResetHint: "unknown",
      ...LAYOUT,
      zeroCount: 1,
      count: 6,
      sum: [10.5],
      positiveDeltas: Float64Array.of(2, -1, 1),
      negativeDeltas: new Float64Array(0),
    });
    if (n > 1) {
      assert.equal(second!.counterResetHint, "not_reset");
      assert.equal(second!.count, 8);
      assert.deepEqual([...second!.positiveDeltas], [3, -1, 1]);
    }
    if (n > 2) assert.deepEqual(bits64(third!.sum), ["7ff0000000000002"]);
    assert.equal(encodeHistogramSamples(samples).toHex(), bytes);
    assert.equal(chunkSampleCount({ encoding: ENCODING_HISTOGRAM, data: hex(bytes) }), n);
  }
});

Deno.test("integer histograms come into a batch with absolute buckets and stale sums", () => {
  const batch = new SampleBatch();
  appendChunk({ encoding: ENCODING_HISTOGRAM, data: hex(INTEGER[2][1]) }, batch);
  assert.equal(batch.length, 3);
  assert.deepEqual([...batch.h![0]!.positiveBuckets], [2, 1, 2]);
  assert.deepEqual([...batch.h![1]!.positiveBuckets], [3, 2, 3]);
  assert.equal(batch.h![1]!.count, 8);
  assert.equal(batch.v[1], 14);
  assert(isStaleAt(bitsOf(batch.v), 2));
  assert.equal(batch.h![2]!.positiveBuckets.length, 0);
  assert(batch.h!.every((h) => h!.integer === true));
});

Deno.test("float histogram chunks: the reference bytes, decoded and encoded again", () => {
  for (const bytes of [FLOAT_ONE, FLOAT_TWO]) {
    const samples = decodeFloatHistogramSamples(hex(bytes));
    assert.deepEqual({ ...samples.histograms[0], sum: [...samples.histograms[0]!.sum] }, {
      counterResetHint: "unknown",
      ...LAYOUT,
      zeroCount: 1,
      count: 6,
      sum: [10.5],
      positiveBuckets: Float64Array.of(2, 1, 2),
      negativeBuckets: new Float64Array(0),
    });
    assert.equal(encodeFloatHistogramSamples(samples).toHex(), bytes);
  }
  const batch = new SampleBatch();
  appendChunk({ encoding: ENCODING_FLOAT_HISTOGRAM, data: hex(FLOAT_TWO) }, batch);
  assert.deepEqual([...batch.t.subarray(0, 2)], [1000, 16000]);
  assert.equal(batch.h![1]!.count, 8);
  assert.equal(batch.v[1], 14);
  assert.deepEqual([...batch.h![1]!.positiveBuckets], [3, 2, 3]);
});

Deno.test("custom bucket histograms: the reference bytes", () => {
  const bytes = "00010000ee5c664bbea4000010624dd2f1bf1f44c7ff0000000000001100";
  const samples = decodeHistogramSamples(hex(bytes));
  const h = samples.histograms[0]!;
  assert.equal(h.schema, CUSTOM_BUCKETS_SCHEMA);
  assert.deepEqual([...h.customValues], [0.5, 2.0005]);
  assert.deepEqual([...h.positiveDeltas], [1, 0, 0]);
  assert.equal(h.sum[0], 1.5);
  assert.equal(samples.t[0], 1000);
  assert.equal(encodeHistogramSamples(samples).toHex(), bytes);
});

Deno.test("histogram layouts survive: zero thresholds, schemas, spans, bounds, reset headers", () => {
  const spans: Span[] = [
    { offset: -2147483648, length: 1 },
    { offset: 2147483647, length: 2 },
    { offset: 0, length: 0 },
    { offset: 7, length: 1 },
  ];
  const thresholds = [0, 2 ** -243, 2 ** -244, 2 ** -128, 0.5, 1, 2 ** 10, 2 ** 11, 0.001, 3];
  const bounds = [0, 0.001, 0.5, 2.0005, 1e-7, 33554.43, 33554.431, 33554.432, 1e9, -1, -0.5];
  for (const resetHeader of ["unknown", "reset", "not_reset", "gauge"] as const) {
    for (const zeroThreshold of thresholds) {
      for (const schema of [-9, -4, 0, 8, 52, CUSTOM_BUCKETS_SCHEMA]) {
        const h: Histogram = {
          counterResetHint: "unknown",
          schema,
          zeroThreshold,
          zeroCount: 3,
          count: 9,
          sum: floatsOf(-0),
          positiveSpans: spans,
          negativeSpans: [{ offset: 3, length: 1 }],
          positiveDeltas: Float64Array.of(1, 1, -1, 2 ** 53 - 1),
          negativeDeltas: Float64Array.of(4),
          customValues: schema === CUSTOM_BUCKETS_SCHEMA ? floatsOf(...bounds) : floatsOf(),
        };
        const bytes = encodeHistogramSamples({
          resetHeader,
          t: Float64Array.of(-5),
          histograms: [h],
        });
        const back = decodeHistogramSamples(bytes);
        assert.equal(back.resetHeader, resetHeader);
        const hint = resetHeader === "gauge" ? "gauge" : "unknown";
        assert.deepEqual(back.histograms[0], { ...h, counterResetHint: hint });
        assert.equal(encodeHistogramSamples(back).toHex(), bytes.toHex());
      }
    }
  }
});

Deno.test("histogram chunks survive a round trip with wide and narrow changes", () => {
  const random = new Random(21);
  for (let round = 0; round < 200; round++) {
    const { integer, float } = randomSamples(random, random.between(1, 60));
    const bytes = encodeHistogramSamples(integer);
    const back = decodeHistogramSamples(bytes);
    assert.deepEqual(back.t, integer.t);
    back.histograms.forEach((h, i) => {
      const want = integer.histograms[i]!;
      assert.deepEqual(bits64(h.sum), bits64(want.sum));
      assert.deepEqual(h.positiveDeltas, want.positiveDeltas);
      assert.deepEqual(h.negativeDeltas, want.negativeDeltas);
      assert.equal(h.count, want.count);
      assert.equal(h.zeroCount, want.zeroCount);
    });
    const floatBytes = encodeFloatHistogramSamples(float);
    const floatBack = decodeFloatHistogramSamples(floatBytes);
    assert.deepEqual(floatBack.t, float.t);
    floatBack.histograms.forEach((h, i) => {
      const want = float.histograms[i]!;
      assert.deepEqual(bits64(h.sum), bits64(want.sum));
      assert.deepEqual(bits64(h.positiveBuckets), bits64(want.positiveBuckets));
      assert.deepEqual(bits64(h.negativeBuckets), bits64(want.negativeBuckets));
      assert.equal(h.count, want.count);
    });
    // Both kinds of the same data give the same batch, but for the integer mark.
    const a = new SampleBatch();
    const b = new SampleBatch();
    appendChunk({ encoding: ENCODING_HISTOGRAM, data: bytes }, a);
    appendChunk({ encoding: ENCODING_FLOAT_HISTOGRAM, data: floatBytes }, b);
    for (const h of a.h!) delete h!.integer;
    assert.equal(dump(a), dump(b));
  }
});

Deno.test("schemas finer than 8 are read as 8", () => {
  const h: Histogram = {
    counterResetHint: "unknown",
    ...LAYOUT,
    schema: 10,
    // Indexes -5…2 and 4: of schema 8 they are -1, -1, 0, 0, 0, 0, 1, 1 and 1.
    positiveSpans: [{ offset: -5, length: 8 }, { offset: 1, length: 1 }],
    zeroCount: 0,
    count: 45,
    sum: floatsOf(1),
    positiveDeltas: Float64Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1),
    negativeDeltas: new Float64Array(0),
  };
  const data = encodeHistogramSamples({
    resetHeader: "unknown",
    t: Float64Array.of(1),
    histograms: [h],
  });
  const batch = new SampleBatch();
  appendChunk({ encoding: ENCODING_HISTOGRAM, data }, batch);
  const got = batch.h![0]!;
  assert.equal(got.schema, 8);
  assert.deepEqual(got.positiveSpans, [{ offset: -1, length: 3 }]);
  assert.deepEqual([...got.positiveBuckets], [1 + 2, 3 + 4 + 5 + 6, 7 + 8 + 9]);
});

Deno.test("start times of histogram chunks are read", () => {
  // Header: 2 samples, the first with its start time, and all from sample 1 on.
  const w = new BitWriter();
  w.bits(0b10, 2); // a reset before
  w.bits(2, 14);
  w.bits(0x81, 8);
  w.bits(0, 8); // zero threshold 0
  writeVarbitInt(w, 0);
  writeVarbitUint(w, 0);
  writeVarbitUint(w, 0);
  writeVarbitInt(w, 1000);
  writeVarbitUint(w, 5);
  writeVarbitUint(w, 5);
  w.halves(0x3ff00000, 0);
  w.varint(400); // 1000 - 600
  writeVarbitInt(w, 15000);
  writeVarbitInt(w, 1);
  writeVarbitInt(w, 1);
  w.bits(0, 1);
  writeVarbitInt(w, 100); // 1000 - 900
  const chunk: Chunk = { encoding: ENCODING_HISTOGRAM_ST, data: w.finish() };
  assert.equal(chunkSampleCount(chunk), 2);
  const batch = new SampleBatch();
  appendChunk(chunk, batch);
  assert.deepEqual([...batch.t.subarray(0, 2)], [1000, 16000]);
  assert.deepEqual([...batch.st!.subarray(0, 2)], [600, 900]);
  assert.deepEqual(batch.h!.map((h) => h!.count), [5, 6]);
  refusesTruncations(chunk);

  const f = new BitWriter();
  f.bits(1, 16);
  f.bits(0x80, 8);
  f.bits(0, 8);
  writeVarbitInt(f, 0);
  writeVarbitUint(f, 0);
  writeVarbitUint(f, 0);
  writeVarbitInt(f, 1000);
  for (const x of [0x40140000, 0x40140000, 0x3ff00000]) f.halves(x, 0);
  f.varint(999);
  const float: Chunk = { encoding: ENCODING_FLOAT_HISTOGRAM_ST, data: f.finish() };
  appendChunk(float, batch);
  assert.equal(batch.st![2], 1);
  assert.equal(batch.h![2]!.count, 5);
  refusesTruncations(float);
});

Deno.test("histogram chunks: every truncation is refused, and no count is believed", () => {
  const random = new Random(31);
  for (let round = 0; round < 20; round++) {
    const { integer, float } = randomSamples(random, random.between(1, 8));
    refusesTruncations({ encoding: ENCODING_HISTOGRAM, data: encodeHistogramSamples(integer) });
    refusesTruncations({
      encoding: ENCODING_FLOAT_HISTOGRAM,
      data: encodeFloatHistogramSamples(float),
    });
  }
  // Millions of spans, bounds and buckets announced in a few bytes.
  const bombs: ((w: BitWriter) => void)[] = [
    (w) => writeVarbitUint(w, 2 ** 40),
    (w) => (writeVarbitUint(w, 1), writeVarbitUint(w, 2 ** 31), writeVarbitInt(w, 0)),
  ];
  for (const bomb of bombs) {
    const w = new BitWriter();
    w.bits(1, 16);
    w.bits(0, 16);
    writeVarbitInt(w, 0);
    bomb(w);
    w.halves(0, 0);
    w.halves(0, 0);
    const data = w.finish();
    assert.throws(() => appendChunk({ encoding: ENCODING_HISTOGRAM, data }, new SampleBatch()), {
      name: "CorruptionError",
      message: /spans in|layout of/,
    });
  }
  const w = new BitWriter();
  w.bits(1, 16);
  w.bits(0, 16);
  writeVarbitInt(w, CUSTOM_BUCKETS_SCHEMA);
  writeVarbitUint(w, 0);
  writeVarbitUint(w, 0);
  writeVarbitUint(w, 2 ** 45);
  w.halves(0, 0);
  const data = w.finish();
  assert.throws(() => appendChunk({ encoding: ENCODING_HISTOGRAM, data }, new SampleBatch()), {
    message: /custom bounds in/,
  });
});

Deno.test("histogram chunks: flipped bits give an error or samples, and bad schemas an error", () => {
  const random = new Random(32);
  const { integer, float } = randomSamples(random, 6);
  for (
    const chunk of [
      { encoding: ENCODING_HISTOGRAM, data: encodeHistogramSamples(integer) },
      { encoding: ENCODING_FLOAT_HISTOGRAM, data: encodeFloatHistogramSamples(float) },
    ]
  ) {
    for (let bit = 0; bit < chunk.data.length * 8; bit++) {
      const data = chunk.data.slice();
      data[bit >> 3]! ^= 0x80 >> (bit & 7);
      try {
        appendChunk({ encoding: chunk.encoding, data }, new SampleBatch());
      } catch (error) {
        assert(error instanceof CorruptionError);
      }
    }
  }
  for (const schema of [-10, -52, -54, 53, 1000]) {
    const h = { ...integer.histograms[0]!, schema };
    const data = encodeHistogramSamples({ ...integer, histograms: [h], t: Float64Array.of(1) });
    assert.throws(
      () => appendChunk({ encoding: ENCODING_HISTOGRAM, data }, new SampleBatch()),
      /histogram schema/,
    );
  }
});

function refusesTruncations(chunk: Chunk): void {
  for (const data of truncations(chunk.data)) {
    const batch = new SampleBatch();
    assert.throws(() => appendChunk({ encoding: chunk.encoding, data }, batch), CorruptionError);
    assert.equal(batch.length, 0);
  }
}

/** The same samples as integer and float histograms; the last ones are staleness markers. */
function randomSamples(random: Random, n: number): {
  integer: HistogramSamples<Histogram>;
  float: HistogramSamples<FloatHistogram>;
} {
  const positive = random.between(0, 12);
  const negative = random.between(0, 4);
  const layout = {
    schema: random.between(-4, 8),
    zeroThreshold: random.pick([0, 2 ** -128, 0.001]),
    positiveSpans: positive === 0 ? [] : [{ offset: random.between(-50, 50), length: positive }],
    negativeSpans: negative === 0 ? [] : [{ offset: -3, length: negative }],
    customValues: new Float64Array(0),
  };
  const stale = random.chance(0.5) ? random.below(3) : 0;
  const p = new Float64Array(positive).map(() => random.below(1000));
  const q = new Float64Array(negative).map(() => random.below(10));
  const t: number[] = [];
  const integers: Histogram[] = [];
  const floats: FloatHistogram[] = [];
  let time = random.between(0, 1e9);
  for (let i = 0; i < n; i++) {
    time += random.chance(0.1) ? random.below(2 ** 40) : 15000;
    t.push(time);
    const scale = 2 ** random.below(20);
    const grown = (x: number) => x + (random.chance(0.5) ? random.below(scale) : 0);
    p.set(p.map(grown));
    q.set(q.map(grown));
    const isStale = i >= n - stale && i > 0;
    const common = {
      counterResetHint: i === 0 ? "unknown" as const : "not_reset" as const,
      ...(isStale ? { ...LAYOUT, zeroThreshold: 0, positiveSpans: [] } : layout),
      zeroCount: isStale ? 0 : 7 + i,
      count: isStale ? 0 : p.reduce((a, b) => a + b, 0) + q.reduce((a, b) => a + b, 0) + 7 + i,
      sum: isStale ? floatsOf(STALE) : floatsOf(random.chance(0.2) ? i : random.float() * 1e6),
    };
    integers.push({
      ...common,
      positiveDeltas: isStale ? floatsOf() : p.map((x, k) => x - (k === 0 ? 0 : p[k - 1]!)),
      negativeDeltas: isStale ? floatsOf() : q.map((x, k) => x - (k === 0 ? 0 : q[k - 1]!)),
    });
    floats.push({
      ...common,
      positiveBuckets: isStale ? floatsOf() : p.slice(),
      negativeBuckets: isStale ? floatsOf() : q.slice(),
    });
  }
  const rest = { resetHeader: "unknown" as const, t: Float64Array.from(t) };
  return { integer: { ...rest, histograms: integers }, float: { ...rest, histograms: floats } };
}
