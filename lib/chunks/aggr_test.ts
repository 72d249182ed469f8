import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { subsets, truncations } from "../base/testing/exhaustive.ts";
import { type FloatHistogram, SampleBatch } from "../model/mod.ts";
import {
  type AggrParts,
  aggrSampleCount,
  appendChunk,
  type Chunk,
  chunkSampleCount,
  CounterReader,
  encodeFloatHistogramSamples,
  encodeXorChunk,
  ENCODING_AGGR,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_XOR,
  readAggrChunk,
  writeAggrChunk,
} from "./mod.ts";
import { floatsOf, hex, STALE } from "./testing/fixtures.ts";

const EXAMPLE = "0d 01 0001becf244000000000000000 | 0d 01 0001becf244008000000000000 | 00 | 00 | " +
  "15 01 0003003ff0000000000000dfa712c267fff5b61080";

function xor(t: number[], v: Float64Array): Chunk {
  const batch = new SampleBatch(t.length);
  batch.t.set(t);
  batch.v.set(v);
  batch.length = t.length;
  return { encoding: ENCODING_XOR, data: encodeXorChunk(batch) };
}

function samples(chunk: Chunk | undefined): string {
  const batch = new SampleBatch();
  appendChunk(chunk!, batch);
  return dump(batch);
}

Deno.test("readAggrChunk() reads the reference chunk, writeAggrChunk() writes it", () => {
  const data = hex(EXAMPLE);
  const parts = readAggrChunk(data);
  assert.equal(samples(parts.count), "299999:2");
  assert.equal(samples(parts.sum), "299999:3");
  assert.equal(parts.min, undefined);
  assert.equal(parts.max, undefined);
  assert.equal(samples(parts.counter), "0:1 299999:3 299999:3");
  assert.equal(writeAggrChunk(parts).toHex(), data.toHex());
  assert.equal(aggrSampleCount(data), 1);
});

Deno.test("aggregate chunks of every set of parts survive", () => {
  const all: Required<AggrParts> = {
    count: xor([1, 2], floatsOf(1, 2)),
    sum: xor([1, 2], floatsOf(3, 4)),
    min: xor([1, 2], floatsOf(5, 6)),
    max: xor([1, 2], new Float64Array(2)),
    counter: xor(Array.from({ length: 300 }, (_, i) => i), new Float64Array(300).fill(1.1)),
  };
  const names = Object.keys(all) as (keyof AggrParts)[];
  for (const chosen of subsets(names)) {
    const parts = Object.fromEntries(chosen.map((n) => [n, all[n]])) as AggrParts;
    assert.deepEqual(readAggrChunk(writeAggrChunk(parts)), parts);
  }
});

Deno.test("readAggrChunk() refuses every truncation, impossible lengths and left-over bytes", () => {
  const data = hex(EXAMPLE);
  for (const part of truncations(data)) assert.throws(() => readAggrChunk(part), CorruptionError);
  assert.throws(() => readAggrChunk(hex("ffffffff0f01")), CorruptionError);
  assert.throws(() => readAggrChunk(hex("ffffffffffffffffffff7f01")), CorruptionError);
  assert.throws(() => readAggrChunk(Uint8Array.of(...data, 0)), /left over/);
});

Deno.test("an aggregate chunk is no raw chunk, and unknown encodings are named", () => {
  const chunk = { encoding: ENCODING_AGGR, data: hex(EXAMPLE) };
  assert.throws(() => appendChunk(chunk, new SampleBatch()), /aggregate chunk where raw samples/);
  assert.throws(() => chunkSampleCount(chunk), /aggregate chunk where raw samples/);
  for (const encoding of [0, 7, 99, 254]) {
    assert.throws(
      () => appendChunk({ encoding, data: hex("0000") }, new SampleBatch()),
      new RegExp(`unknown chunk encoding ${encoding}`),
    );
  }
});

Deno.test("CounterReader joins chunks: resets, true last values, NaN, overlaps", () => {
  const rows: { name: string; chunks: [number[], Float64Array][]; want: string }[] = [
    { name: "plain", chunks: [[[1, 2, 3], floatsOf(5, 6, 8)]], want: "1:5 2:6 3:8" },
    { name: "reset", chunks: [[[1, 2, 3], floatsOf(5, 2, 3)]], want: "1:5 2:7 3:8" },
    {
      name: "the repeated time is the true last value: no reset between chunks",
      chunks: [[[0, 10, 20, 20], floatsOf(5, 9, 12, 3)], [[25, 30, 30], floatsOf(4, 6, 6)]],
      want: "0:5 10:9 20:12 25:13 30:15",
    },
    {
      name: "the repeated time is the true last value: a reset between chunks",
      chunks: [[[0, 10, 10], floatsOf(5, 9, 9)], [[25, 30], floatsOf(4, 6)]],
      want: "0:5 10:9 25:13 30:15",
    },
    {
      name: "NaN and staleness markers are skipped",
      chunks: [[[1, 2, 3, 4], floatsOf(NaN, 2, STALE, 3)]],
      want: "2:2 4:3",
    },
    {
      name: "overlapping chunks do not go back",
      chunks: [[[1, 2, 3], floatsOf(1, 2, 3)], [[2, 3, 4], floatsOf(2, 3, 5)]],
      want: "1:1 2:2 3:3 4:5",
    },
    { name: "negative values", chunks: [[[1, 2], floatsOf(-5, -3)]], want: "1:-5 2:-3" },
  ];
  for (const { name, chunks, want } of rows) {
    const reader = new CounterReader();
    const out = new SampleBatch(1);
    for (const [t, v] of chunks) reader.append(xor(t, v), out);
    assert.equal(dump(out), want, name);
    reader.reset();
    out.clear();
    for (const [t, v] of chunks) reader.append(xor(t, v), out);
    assert.equal(dump(out), want, `${name}, after reset()`);
  }
});

Deno.test("CounterReader lets histograms pass", () => {
  const h: FloatHistogram = {
    counterResetHint: "unknown",
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 1,
    count: 1,
    sum: floatsOf(2),
    positiveSpans: [],
    negativeSpans: [],
    positiveBuckets: floatsOf(),
    negativeBuckets: floatsOf(),
    customValues: floatsOf(),
  };
  const data = encodeFloatHistogramSamples({
    resetHeader: "unknown",
    t: Float64Array.of(5, 6),
    histograms: [h, { ...h, count: 0 }],
  });
  const reader = new CounterReader();
  const out = new SampleBatch(1);
  reader.append(xor([1, 2], floatsOf(3, 1)), out);
  reader.append({ encoding: ENCODING_FLOAT_HISTOGRAM, data }, out);
  reader.append({ encoding: ENCODING_FLOAT_HISTOGRAM, data }, out);
  reader.append(xor([6, 9], floatsOf(9, 5)), out);
  assert.deepEqual([...out.t.subarray(0, out.length)], [1, 2, 5, 6, 9]);
  assert.deepEqual(out.h!.map((x) => x?.count), [undefined, undefined, 1, 0, undefined]);
  assert.equal(out.v[1], 4);
});
