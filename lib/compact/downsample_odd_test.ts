import { strict as assert } from "node:assert";
import {
  aggrSampleCount,
  appendChunk,
  type Chunk,
  encodeSamples,
  encodeXorChunk,
  ENCODING_AGGR,
  readAggrChunk,
} from "../chunks/mod.ts";
import {
  bitsOf,
  type FloatHistogram,
  labelsFromRecord,
  parseHistogram,
  SampleBatch,
  setStaleAt,
} from "../model/mod.ts";
import { BlockWriter, makeThanosMeta, openBlock, type TimedChunk } from "../tsdb/mod.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { downsampleBlock } from "./mod.ts";

const RAW = "01HF7YAT00E328S0K6HPCEAA7A";
const FIVE = "01HF7YAT00E328S0K6HPCEAA7B";
const HOUR = "01HF7YAT00E328S0K6HPCEAA7C";
const LABELS = labelsFromRecord({ __name__: "m" });

interface RawChunk {
  readonly encoding: number;
  readonly data: Uint8Array;
  readonly minTime: number;
  readonly maxTime: number;
  readonly samples: number;
}

/** A block with one series of these chunks. */
function blockOf(chunks: readonly RawChunk[], resolution = 0): MemoryFiles {
  const files = new MemoryFiles();
  files.mkdir("blocks");
  const writer = new BlockWriter({ files, directory: "blocks", ulid: RAW });
  writer.beginSeries(LABELS);
  for (const c of chunks) {
    writer.addChunk(c.encoding, c.data, c.minTime, c.maxTime, c.samples);
  }
  writer.finish({
    thanos: makeThanosMeta({ labels: labelsFromRecord({ a: "1" }), resolution }),
  });
  return files;
}

function floats(samples: readonly (readonly [number, number | "stale"])[]): SampleBatch {
  const batch = new SampleBatch(samples.length);
  samples.forEach(([t, v], i) => {
    batch.t[i] = t;
    if (v === "stale") setStaleAt(bitsOf(batch.v), i);
    else batch.v[i] = v;
  });
  batch.length = samples.length;
  return batch;
}

function histograms(samples: readonly (readonly [number, FloatHistogram])[]): SampleBatch {
  const batch = new SampleBatch();
  for (const [t, h] of samples) batch.appendHistogram(t, h);
  return batch;
}

function chunksOf(batch: SampleBatch): RawChunk[] {
  return encodeSamples(batch).map(({ minTime, maxTime, chunk }) => ({
    ...chunk,
    minTime,
    maxTime,
    samples: (chunk.data[0]! << 8) | chunk.data[1]!,
  }));
}

async function downsample(files: MemoryFiles, resolution = 300_000): Promise<TimedChunk[]> {
  const meta = await downsampleBlock({
    files,
    source: `blocks/${
      resolution === 300_000 || files.stat(`blocks/${FIVE}`) === undefined ? RAW : FIVE
    }`,
    directory: "blocks",
    ulid: resolution === 300_000 ? FIVE : HOUR,
    resolution,
  });
  if (meta === undefined) return [];
  const block = openBlock(files, `blocks/${meta.ulid}`);
  const chunks = block.select([]).readChunks(0);
  block.close();
  return chunks;
}

type Rows = Record<string, (readonly [number, number])[]>;

/** The parts of a float aggregate as rows. */
function rowsOf(chunk: Chunk): Rows {
  const rows: Rows = {};
  for (const [name, part] of Object.entries(readAggrChunk(chunk.data))) {
    const batch = new SampleBatch();
    appendChunk(part as Chunk, batch);
    rows[name] = Array.from({ length: batch.length }, (_, i) => [batch.t[i]!, batch.v[i]!]);
  }
  return rows;
}

function histogramRows(chunk: Chunk, part: "sum" | "counter"): (readonly [number, string])[] {
  const batch = new SampleBatch();
  appendChunk(readAggrChunk(chunk.data)[part]!, batch);
  return Array.from({ length: batch.length }, (_, i) => {
    const { counterResetHint, count, schema, zeroCount, positiveBuckets } = batch.h![i]!;
    return [
      batch.t[i]!,
      `${counterResetHint} s${schema} n${count} z${zeroCount} [${[...positiveBuckets]}]`,
    ];
  });
}

const MAX = Number.MAX_VALUE;

Deno.test("downsampleBlock() makes windows, the counter with resets and its two extra samples", async () => {
  const files = blockOf(chunksOf(floats([
    [1_000, 5],
    [200_000, 7],
    [299_999, 3],
    [300_000, 4],
    [400_000, "stale"],
    [650_000, NaN],
    [700_000, 1],
  ])));
  const [chunk] = await downsample(files);
  assert.deepEqual([chunk!.minTime, chunk!.maxTime], [299_999, 700_000]);
  assert.deepEqual(rowsOf(chunk!.chunk), {
    count: [[299_999, 3], [599_999, 1], [700_000, 1]],
    sum: [[299_999, 15], [599_999, 4], [700_000, 1]],
    min: [[299_999, 3], [599_999, 4], [700_000, 1]],
    max: [[299_999, 7], [599_999, 4], [700_000, 1]],
    counter: [[1_000, 5], [299_999, 10], [599_999, 11], [700_000, 12], [700_000, 1]],
  });
});

Deno.test("downsampleBlock() gives windows of infinities and -0 the values that others give them", async () => {
  const files = blockOf(chunksOf(floats([
    [0, Infinity],
    [300_000, -Infinity],
    [600_000, -0],
    [900_000, Infinity],
    [900_001, -Infinity],
  ])));
  const [chunk] = await downsample(files);
  const rows = rowsOf(chunk!.chunk);
  assert.deepEqual(rows.min!.map((r) => r[1]), [MAX, -Infinity, -0, -Infinity]);
  assert.deepEqual(rows.max!.map((r) => r[1]), [Infinity, -MAX, -0, Infinity]);
  assert.ok(Object.is(rows.sum![2]![1], 0));
  const sums = new SampleBatch();
  appendChunk(readAggrChunk(chunk!.chunk.data).sum!, sums);
  assert.deepEqual([...bitsOf(sums.v).subarray(6, 8)], [0, 0xfff80000]);
});

Deno.test("downsampleBlock() keeps samples before 1970 in windows of their own", async () => {
  const files = blockOf(chunksOf(floats([[-300_001, 1], [-300_000, 2], [-1, 3], [0, 4]])));
  const [chunk] = await downsample(files);
  assert.deepEqual(rowsOf(chunk!.chunk).sum, [[-300_001, 1], [-1, 5], [0, 4]]);
});

Deno.test("downsampleBlock() leaves out series of nothing but NaN and blocks of nothing else", async () => {
  const files = blockOf(chunksOf(floats([[0, NaN], [1, "stale"]])));
  assert.deepEqual(await downsample(files), []);
  assert.deepEqual(files.list("blocks").map((e) => e.name), [RAW]);
});

Deno.test("downsampleBlock() keeps a NaN sum of five minutes in the sum of the hour", async () => {
  const files = blockOf(chunksOf(floats([[0, Infinity], [1, -Infinity], [300_000, 5]])));
  await downsample(files);
  const [chunk] = await downsample(files, 3_600_000);
  const rows = rowsOf(chunk!.chunk);
  assert.deepEqual(rows.count, [[300_000, 3]]);
  assert.deepEqual(rows.min, [[300_000, -Infinity]]);
  const sums = new SampleBatch();
  appendChunk(readAggrChunk(chunk!.chunk.data).sum!, sums);
  assert.deepEqual([...bitsOf(sums.v).subarray(0, 2)], [0, 0xfff80000]);
  assert.deepEqual(rows.counter!.at(-1), [300_000, 5]);
});

Deno.test("downsampleBlock() brings histograms of a batch to the coarsest schema without a false reset", async () => {
  const fine = (n: number) =>
    parseHistogram(`{{schema:1 count:${n} sum:${n} offset:1 buckets:[${n / 2} ${n / 2}]}}`);
  const coarse = (n: number) =>
    parseHistogram(`{{schema:0 count:${n} sum:${n} offset:1 buckets:[${n}]}}`);
  const files = blockOf([
    ...chunksOf(histograms([[0, coarse(4)], [1, coarse(6)]])),
    ...chunksOf(histograms([[2, fine(8)], [3, fine(10)]])),
    ...chunksOf(histograms([[300_000, fine(4)]])),
  ]);
  const [chunk] = await downsample(files);
  assert.equal(aggrSampleCount(chunk!.chunk.data), 2);
  assert.deepEqual(histogramRows(chunk!.chunk, "sum"), [
    [299_999, "gauge s0 n28 z0 [28]"],
    [300_000, "gauge s0 n4 z0 [4]"],
  ]);
  // 10 grew out of 4, then the counter was reset.
  assert.deepEqual(histogramRows(chunk!.chunk, "counter"), [
    [299_999, "unknown s0 n10 z0 [10]"],
    [300_000, "not_reset s0 n14 z0 [14]"],
  ]);
});

Deno.test("downsampleBlock() loses no window where the zero threshold changes", async () => {
  const narrow = parseHistogram(
    "{{schema:0 count:3 sum:3 z_bucket:1 z_bucket_w:0.001 offset:-1 buckets:[2]}}",
  );
  const wide = parseHistogram(
    "{{schema:0 count:5 sum:5 z_bucket:3 z_bucket_w:0.5 offset:1 buckets:[2]}}",
  );
  const files = blockOf([
    ...chunksOf(histograms([[0, narrow]])),
    ...chunksOf(histograms([[300_000, wide]])),
  ]);
  const [chunk] = await downsample(files);
  const rows = histogramRows(chunk!.chunk, "sum");
  assert.deepEqual(rows.map((r) => r[0]), [299_999, 300_000]);
  assert.deepEqual(rows.map((r) => /n\d+ z\d+/.exec(r[1])![0]), ["n3 z3", "n5 z3"]);
});

Deno.test("downsampleBlock() adds up custom buckets and cuts where their bounds change", async () => {
  const of = (bound: number, n: number) =>
    parseHistogram(
      `{{schema:-53 count:${n} sum:${n} custom_values:[${bound} 9] buckets:[${n} 0 0]}}`,
    );
  const files = blockOf([
    ...chunksOf(histograms([[0, of(1, 2)], [1, of(1, 3)]])),
    ...chunksOf(histograms([[300_000, of(2, 4)]])),
  ]);
  const chunks = await downsample(files);
  assert.equal(chunks.length, 2);
  assert.match(histogramRows(chunks[0]!.chunk, "counter")[0]![1], /s-53 n3 .*\[3,0,0\]/);
  assert.match(histogramRows(chunks[1]!.chunk, "counter")[0]![1], /s-53 n4 .*\[4,0,0\]/);
  const hours = await downsample(files, 3_600_000);
  assert.deepEqual(hours.map((c) => histogramRows(c.chunk, "sum")[0]![1].slice(0, 12)), [
    "gauge s-53 n",
    "gauge s-53 n",
  ]);
});

Deno.test("CO17: downsampleBlock() of series in which floats, histograms and empty chunks take turns", async () => {
  const h = (n: number) => parseHistogram(`{{schema:0 count:${n} sum:${n} buckets:[${n}]}}`);
  const at = (window: number, n: number) => window * 300_000 + n;
  const files = blockOf([
    ...chunksOf(floats([[at(0, 0), 5], [at(0, 1), 9]])),
    // A counter that was reset between two chunks, and one without a sample.
    ...chunksOf(floats([[at(1, 0), 2], [at(1, 1), "stale"], [at(1, 2), NaN]])),
    {
      encoding: 1,
      data: new Uint8Array(2),
      minTime: at(2, 0),
      maxTime: at(2, 1),
      samples: 0,
    },
    ...chunksOf(histograms([[at(3, 0), h(4)], [at(4, 0), h(6)]])),
    ...chunksOf(floats([[at(5, 0), 7], [at(5, 1), 8]])),
  ]);
  const chunks = await downsample(files);
  assert.deepEqual(chunks.map((c) => [c.minTime, c.maxTime]), [
    [at(1, -1), at(1, 0)],
    [at(4, -1), at(4, 0)],
    [at(5, 1), at(5, 1)],
  ]);
  assert.deepEqual(rowsOf(chunks[0]!.chunk), {
    count: [[at(1, -1), 2], [at(1, 0), 1]],
    sum: [[at(1, -1), 14], [at(1, 0), 2]],
    min: [[at(1, -1), 5], [at(1, 0), 2]],
    max: [[at(1, -1), 9], [at(1, 0), 2]],
    counter: [[at(0, 0), 5], [at(1, -1), 9], [at(1, 0), 11], [at(1, 0), 2]],
  });
  assert.deepEqual(histogramRows(chunks[1]!.chunk, "counter"), [
    [at(4, -1), "unknown s0 n4 z0 [4]"],
    [at(4, 0), "not_reset s0 n6 z0 [6]"],
  ]);
  assert.deepEqual(rowsOf(chunks[2]!.chunk).counter, [
    [at(5, 0), 7],
    [at(5, 1), 8],
    [at(5, 1), 8],
  ]);
});

Deno.test("downsampleBlock() converts raw chunks that it meets among aggregates", async () => {
  const files = blockOf(
    [
      { encoding: 1, data: encodeXorChunk(new SampleBatch(0)), minTime: 0, maxTime: 0, samples: 0 },
      ...chunksOf(floats([[10, 1], [300_010, 2], [3_600_000, 3]])),
    ],
    300_000,
  );
  const [chunk] = await downsample(files, 3_600_000);
  assert.deepEqual(rowsOf(chunk!.chunk).sum, [[3_599_999, 3], [3_600_000, 3]]);
});

Deno.test("downsampleBlock() refuses broken chunks with the place, and leaves nothing behind", async () => {
  const batch = floats(Array.from({ length: 40 }, (_, i) => [i * 60_000, i * i] as const));
  const [raw] = chunksOf(batch);
  const files = blockOf([raw!]);
  const [aggregate] = await downsample(files);
  const cases: [RawChunk, number][] = [
    [raw!, 0],
    [{ ...raw!, ...aggregate!, ...aggregate!.chunk }, 300_000],
  ];
  for (const [chunk, resolution] of cases) {
    for (let size = 0; size < chunk.data.length; size++) {
      const damaged = blockOf([{ ...chunk, data: chunk.data.slice(0, size) }], resolution);
      await assert.rejects(
        downsample(damaged, resolution === 0 ? 300_000 : 3_600_000),
        { kind: "corruption", message: /chunks\/000001 at offset/ },
        `${size} of ${chunk.data.length} bytes at ${resolution} ms`,
      );
      assert.deepEqual(damaged.list("blocks").map((e) => e.name), [RAW]);
    }
  }
});

Deno.test("downsampleBlock() refuses chunks whose samples are not where the index says", async () => {
  const [chunk] = chunksOf(floats([[0, 1], [10, 2]]));
  await assert.rejects(downsample(blockOf([{ ...chunk!, maxTime: 5 }])), { kind: "corruption" });
  await assert.rejects(
    downsample(blockOf([{ ...chunk!, encoding: ENCODING_AGGR }])),
    { kind: "corruption" },
  );
});

Deno.test("downsampleBlock() stops when it is canceled", async () => {
  const files = blockOf(chunksOf(floats([[0, 1]])));
  await assert.rejects(
    downsampleBlock({
      files,
      source: `blocks/${RAW}`,
      directory: "blocks",
      ulid: FIVE,
      resolution: 300_000,
      signal: AbortSignal.abort(),
    }),
    { kind: "canceled" },
  );
  assert.deepEqual(files.list("blocks").map((e) => e.name), [RAW]);
});
