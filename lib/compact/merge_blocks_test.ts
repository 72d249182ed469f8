import assert from "node:assert/strict";
import { errorKind } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import { encodeSamples, writeAggrChunk } from "../chunks/mod.ts";
import { mergePenalty } from "../dedup/mod.ts";
import {
  bitsOf,
  formatLabels,
  type Labels,
  labelsFromRecord,
  SampleBatch,
  setStaleAt,
} from "../model/mod.ts";
import {
  ChunkSegmentReader,
  openBlock,
  SEGMENT_SIZE,
  SystemFiles,
  TOMBSTONES_FILE,
  writeTombstones,
} from "../tsdb/mod.ts";
import { goldenBlocks } from "../tsdb/testing/golden.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { compactBlocks, type CompactOrder } from "./compact_job.ts";
import { countSamples, mergeBlocks, type MergeReport } from "./merge_blocks.ts";
import { PenaltyFold } from "./penalty_fold.ts";
import { compactedMeta } from "./result_meta.ts";
import { chunkOf, type WildSeries, writeWildBlock } from "./testing/wild_block.ts";

const EXTERNAL = labelsFromRecord({ cluster: "eu1" });
const A = labelsFromRecord({ __name__: "a" });
const B = labelsFromRecord({ __name__: "b", z: "é" });
const RESULT = "01HF7YAT00E328S0K6HPCEAA7Z";
const GROUP = { labels: EXTERNAL, resolution: 0, extensions: undefined };

const idOf = (n: number) => `01HF7YAT00E328S0K6HPCEAA${String(n).padStart(2, "0")}`;

function setUp(
  blocks: readonly (readonly WildSeries[])[],
  ranges: readonly (readonly [number, number])[] = blocks.map(() => [0, 1000]),
) {
  const files = new MemoryFiles();
  files.mkdir("/out");
  const sources = blocks.map((series, i) => {
    const [minTime, maxTime] = ranges[i]!;
    writeWildBlock(files, "/in", idOf(i), series, { minTime, maxTime, labels: EXTERNAL });
    return `/in/${idOf(i)}`;
  });
  return { files, sources };
}

function merge(
  files: MemoryFiles,
  sources: readonly string[],
  more: Partial<Parameters<typeof mergeBlocks>[1]> = {},
): MergeReport {
  return mergeBlocks(
    files,
    { sources, directory: "/out", ulid: RESULT, dedup: "", ...more },
    (metas, counted) => compactedMeta(RESULT, metas, counted, GROUP),
  );
}

/** Series of the result: labels, ranges of its chunks, samples. */
function content(files: MemoryFiles): Record<string, [string, string]> {
  const block = openBlock(files, `/out/${RESULT}`);
  const selection = block.select([]);
  const batch = new SampleBatch();
  const out: Record<string, [string, string]> = {};
  for (let i = 0; i < selection.length; i++) {
    selection.read(i, batch);
    const ranges = selection.readChunks(i).map((c) => `${c.minTime}-${c.maxTime}`).join(" ");
    out[formatLabels(selection.labels[i]!)] = [ranges, dump(batch)];
  }
  block.close();
  return out;
}

Deno.test("mergeBlocks() copies chunks that do not overlap, series by series", () => {
  const { files, sources } = setUp([
    [{ labels: A, chunks: [chunkOf([[1, 1], [2, 2]]), chunkOf([[5, 5]])] }],
    [
      { labels: A, chunks: [chunkOf([[7, 7]])] },
      { labels: B, chunks: [chunkOf([[6, -0], [8, NaN]])] },
    ],
  ], [[0, 6], [6, 10]]);
  const report = merge(files, sources);
  assert.deepEqual(content(files), {
    '{__name__="a"}': ["1-2 5-5 7-7", "1:1 2:2 5:5 7:7"],
    '{__name__="b", z="é"}': ["6-8", "6:-0 8:NaN"],
  });
  const { meta } = report;
  assert.deepEqual([meta!.minTime, meta!.maxTime], [0, 10]);
  assert.deepEqual(
    { ...meta!.stats },
    {
      numSamples: 6,
      numFloatSamples: 6,
      numHistogramSamples: 0,
      numSeries: 2,
      numChunks: 4,
      numTombstones: 0,
    },
  );
  assert.deepEqual(
    [report.copied, report.merged, report.samplesRead, report.samplesWritten],
    [4, 0, 6, 6],
  );
  assert.equal(countSamples(files, `/out/${RESULT}`), 6);
});

Deno.test("mergeBlocks() drops equal chunks and merges overlapping ones only", () => {
  const same = chunkOf([[1, 1], [3, 3]]);
  const { files, sources } = setUp([
    [{ labels: A, chunks: [same, chunkOf([[10, 10], [20, 20]]), chunkOf([[30, 30]])] }],
    [{ labels: A, chunks: [same, chunkOf([[15, 15], [20, 21], [25, 25]]), chunkOf([[40, 40]])] }],
  ]);
  const report = merge(files, sources);
  const [ranges, samples] = content(files)['{__name__="a"}']!;
  assert.equal(ranges, "1-3 10-25 30-30 40-40");
  assert.match(samples, /^1:1 3:3 10:10 15:15 20:2[01] 25:25 30:30 40:40$/);
  assert.deepEqual([report.duplicates, report.merged, report.copied], [1, 2, 3]);
});

Deno.test("merged samples make chunks of 120", () => {
  const samples = (shift: number) =>
    Array.from({ length: 200 }, (_, i) => [i * 10 + shift, i] as const);
  const { files, sources } = setUp([
    [{ labels: A, chunks: [chunkOf(samples(0).slice(0, 120)), chunkOf(samples(0).slice(120))] }],
    [{ labels: A, chunks: [chunkOf(samples(5).slice(0, 120)), chunkOf(samples(5).slice(120))] }],
  ], [[0, 5000], [0, 5000]]);
  merge(files, sources);
  const block = openBlock(files, `/out/${RESULT}`);
  const counts = block.select([]).readChunks(0).map((c) =>
    (c.chunk.data[0]! << 8) | c.chunk.data[1]!
  );
  assert.deepEqual(counts, [120, 120, 120, 40]);
  block.close();
});

Deno.test("mergeBlocks() puts chunks of one block in order and merges those that overlap", () => {
  const { files, sources } = setUp([[
    {
      labels: A,
      chunks: [
        chunkOf([[50, 5], [60, 6]]),
        chunkOf([[10, 1], [20, 2]]),
        chunkOf([[15, 9], [20, 2]]),
        chunkOf([[10, 1], [20, 2]]),
      ],
    },
    { labels: B, chunks: [chunkOf([[1, 1]])] },
  ]]);
  const report = merge(files, sources);
  assert.deepEqual(content(files)['{__name__="a"}'], ["10-20 50-60", "10:1 15:9 20:2 50:5 60:6"]);
  assert.equal(report.repaired, 1);
});

Deno.test("mergeBlocks() trims to its range and leaves out what was deleted", () => {
  const { files, sources } = setUp([[
    {
      labels: A,
      chunks: [
        chunkOf([[-5, 1], [0, 2]]),
        chunkOf([[40, 4], [50, 5]]),
        chunkOf([[990, 6], [1000, 7]]),
      ],
    },
    { labels: B, chunks: [chunkOf([[10, 1], [20, 2]]), chunkOf([[30, 3]])] },
  ]]);
  const block = openBlock(files, sources[0]!);
  const refs = [...block.postings([])];
  block.close();
  files.content.set(
    `${sources[0]!}/${TOMBSTONES_FILE}`,
    writeTombstones(new Map([[refs[1]!, Float64Array.of(15, 35)]])),
  );
  merge(files, sources);
  assert.deepEqual(content(files), {
    '{__name__="a"}': ["0-0 40-50 990-990", "0:2 40:4 50:5 990:6"],
    '{__name__="b", z="é"}': ["10-10", "10:1"],
  });
  // All of it deleted: no block appears.
  files.remove(`/out/${RESULT}`);
  files.content.set(
    `${sources[0]!}/${TOMBSTONES_FILE}`,
    writeTombstones(new Map(refs.map((ref) => [ref, Float64Array.of(-100, 2000)]))),
  );
  assert.equal(merge(files, sources).meta, undefined);
  assert.deepEqual(files.list("/out"), []);
});

Deno.test("staleness markers survive copying and merging bit by bit", () => {
  const stale = (times: readonly number[]) => {
    const batch = new SampleBatch();
    batch.reserve(times.length);
    times.forEach((t, i) => {
      batch.t[i] = t;
      batch.v[i] = t;
    });
    batch.length = times.length;
    setStaleAt(bitsOf(batch.v), times.length - 1);
    return encodeSamples(batch)[0]!;
  };
  const { files, sources } = setUp([
    [{ labels: A, chunks: [stale([1, 2]), stale([10, 20])] }],
    [{ labels: A, chunks: [stale([15, 25])] }],
  ]);
  merge(files, sources);
  assert.equal(content(files)['{__name__="a"}']![1], "1:1 2:stale 10:10 15:15 20:stale 25:stale");
});

Deno.test("equal chunks of downsampled blocks are one; overlapping ones are refused", () => {
  const aggregate = (t: number, v: number) => {
    const { chunk } = chunkOf([[t, v], [t + 10, v]]);
    const parts = { count: chunk, sum: chunk, min: chunk, max: chunk, counter: chunk };
    return {
      minTime: t,
      maxTime: t + 10,
      chunk: { encoding: 255, data: writeAggrChunk(parts) },
    };
  };
  const good = setUp([
    [{ labels: A, chunks: [aggregate(0, 1), aggregate(20, 2)] }],
    [{ labels: A, chunks: [aggregate(0, 1), aggregate(40, 3)] }],
  ]);
  const report = merge(good.files, good.sources);
  assert.equal(report.duplicates, 1);
  assert.equal(report.meta!.stats.numSamples, 6);
  assert.equal(report.meta!.stats.numFloatSamples, 0);
  const bad = setUp([
    [{ labels: A, chunks: [aggregate(0, 1)] }],
    [{ labels: A, chunks: [aggregate(5, 1)] }],
  ]);
  assert.throws(() => merge(bad.files, bad.sources), /downsampled data overlap/);
});

Deno.test("segments are cut at their size, and every chunk is found again", () => {
  const { files, sources } = setUp([
    [
      { labels: A, chunks: [chunkOf([[1, 1]]), chunkOf([[2, 2]]), chunkOf([[3, 3]])] },
      { labels: B, chunks: [chunkOf([[1, 1]]), chunkOf([[2, 2]])] },
    ],
  ]);
  const report = merge(files, sources, { segmentSize: 60 });
  assert.deepEqual(report.meta!.thanos!.segmentFiles, ["000001", "000002", "000003"]);
  assert.equal(new ChunkSegmentReader(files, `/out/${RESULT}/chunks`).segmentCount, 3);
  assert.equal(countSamples(files, `/out/${RESULT}`), 5);
  assert(SEGMENT_SIZE > 60);
});

Deno.test("any bit of a source that flips is refused or changes nothing, and leaves no rest", () => {
  const { files, sources } = setUp([
    [{ labels: A, chunks: [chunkOf([[1, 1], [2, 2]])] }, {
      labels: B,
      chunks: [chunkOf([[1, 3]])],
    }],
    [{ labels: A, chunks: [chunkOf([[5, 5]])] }],
  ]);
  merge(files, sources);
  const expected = content(files);
  for (const name of ["index", "chunks/000001"]) {
    const path = `${sources[0]!}/${name}`;
    const sound = files.content.get(path)!;
    for (let at = 0; at < sound.length; at++) {
      files.remove(`/out/${RESULT}`);
      const bytes = sound.slice();
      bytes[at]! ^= 1 << (at % 8);
      files.content.set(path, bytes);
      try {
        merge(files, sources);
        assert.deepEqual(content(files), expected, `${name} ${at}`);
      } catch (error) {
        assert.equal(errorKind(error), "corruption", `${name} ${at}: ${error}`);
        assert.deepEqual(files.list("/out"), []);
      }
    }
    for (let size = 0; size < sound.length; size++) {
      files.remove(`/out/${RESULT}`);
      files.content.set(path, sound.slice(0, size));
      assert.throws(() => merge(files, sources), (error) => errorKind(error) === "corruption");
    }
    files.content.set(path, sound);
  }
});

function order(sources: readonly string[], more: Partial<CompactOrder> = {}): CompactOrder {
  return {
    sources,
    directory: "/out",
    ulid: RESULT,
    dedup: "",
    group: GROUP,
    level: 2,
    repair: false,
    skipOutOfOrder: false,
    acceptMalformedIndex: false,
    ...more,
  };
}

Deno.test("CO8: compactBlocks() reports out-of-order chunks, or puts them in order", async () => {
  const { files, sources } = setUp([
    [{ labels: A, chunks: [chunkOf([[1, 1]])] }],
    [{ labels: A, chunks: [chunkOf([[50, 5], [60, 6]]), chunkOf([[10, 1], [55, 2]])] }],
  ]);
  const reported = await compactBlocks(files, order(sources, { skipOutOfOrder: true }));
  assert(reported.kind === "out-of-order");
  assert.equal(reported.source, 1);
  const done = await compactBlocks(files, order(sources));
  assert(done.kind === "compacted");
  assert.equal(done.report.meta!.stats.numSamples, 5);
  assert.equal(done.report.repaired, 1);
});

Deno.test("CO9: compactBlocks() reports chunks at the end, and a repair leaves them out", async () => {
  const { files, sources } = setUp([
    [{ labels: A, chunks: [chunkOf([[1, 1]]), chunkOf([[1000, 2], [1010, 3]])] }],
  ]);
  const reported = await compactBlocks(files, order(sources));
  assert(reported.kind === "end-chunks", JSON.stringify(reported));
  const repaired = await compactBlocks(
    files,
    order(sources, { repair: true, dropEndChunks: true }),
  );
  assert(repaired.kind === "compacted");
  assert.equal(repaired.report.dropped, 1);
  const { meta } = repaired.report;
  assert.equal(meta!.thanos!.source, "compactor.repair");
  assert.deepEqual(meta!.compaction.sources, [idOf(0)]);
  assert.deepEqual(content(files)['{__name__="a"}'], ["1-1", "1:1"]);
});

Deno.test("compactBlocks() refuses samples outside of a block, and names the block", async () => {
  const { files, sources } = setUp([
    [{ labels: A, chunks: [chunkOf([[1, 1]])] }],
    [{ labels: A, chunks: [chunkOf([[2000, 1], [2001, 2]])] }],
  ]);
  const outcome = await compactBlocks(files, order(sources));
  assert(outcome.kind === "refused");
  assert.deepEqual([outcome.source, outcome.reason], [1, "outside-chunks"]);
});

Deno.test("compactBlocks() of golden blocks keeps every sample, histograms included", async () => {
  const system = new SystemFiles();
  const blocks = goldenBlocks(["bucket-in"]).slice(0, 6);
  if (blocks.length === 0) return;
  const folder = await Deno.makeTempDir({ prefix: "mneme-merge-" });
  try {
    const outcome = await compactBlocks(system, {
      ...order(blocks),
      directory: folder,
    });
    assert(outcome.kind === "compacted");
    const expected = blocks.reduce((sum, directory) => sum + countSamples(system, directory), 0);
    assert.equal(outcome.report.samplesWritten, expected);
    assert(outcome.report.meta!.stats.numHistogramSamples > 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function randomBatch(random: Random, from: number): SampleBatch {
  const batch = new SampleBatch();
  const n = 1 + random.below(30);
  batch.reserve(n);
  let t = from;
  for (let i = 0; i < n; i++) {
    batch.t[i] = t;
    batch.v[i] = random.below(1000);
    t += random.chance(0.1) ? 1 + random.below(100_000) : 1 + random.below(30_000);
  }
  batch.length = n;
  return batch;
}

Deno.test("PenaltyFold gives what folding all chunks from the left gives", () => {
  for (let seed = 1; seed <= 400; seed++) {
    const random = new Random(seed);
    const batches = Array.from(
      { length: 2 + random.below(6) },
      () => randomBatch(random, random.below(600_000)),
    ).sort((a, b) => a.t[0]! - b.t[0]!);
    const expected = new SampleBatch();
    mergePenalty(batches, false, expected);
    const merged = new SampleBatch();
    const fold = new PenaltyFold();
    for (const batch of batches) fold.fold(merged, batch);
    assert.equal(dump(merged), dump(expected), `seed ${seed}`);
  }
});

Deno.test("mergeBlocks() of random blocks has every sample once, in the order of labels", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const expected = new Map<string, Map<number, number>>();
    const blocks = Array.from({ length: 1 + random.below(5) }, () => {
      const series = new Map<string, WildSeries>();
      for (let s = 0; s < 1 + random.below(6); s++) {
        const labels: Labels = labelsFromRecord({
          __name__: `m${random.below(4)}`,
          ...(random.chance(0.5) ? { x: `${random.below(3)}\u{1F600}` } : {}),
        });
        const key = formatLabels(labels);
        if (series.has(key)) continue;
        const chunks = [];
        let t = random.below(300);
        for (let c = 0; c < random.below(4); c++) {
          const samples: [number, number][] = [];
          for (let i = 0; i < 1 + random.below(6); i++) {
            samples.push([t, t * 3]);
            t += 1 + random.below(20);
          }
          chunks.push(chunkOf(samples));
          const held = expected.get(key) ?? new Map<number, number>();
          for (const [time, v] of samples) held.set(time, v);
          expected.set(key, held);
        }
        if (chunks.length > 0) series.set(key, { labels, chunks });
      }
      return [...series.values()];
    });
    const { files, sources } = setUp(blocks);
    const report = merge(files, sources);
    if (report.meta === undefined) {
      assert.equal(expected.size, 0);
      continue;
    }
    const found = content(files);
    const text = (held: Map<number, number>) =>
      [...held].sort(([a], [b]) => a - b).map(([t, v]) => `${t}:${v}`).join(" ");
    assert.deepEqual(
      Object.fromEntries(Object.entries(found).map(([key, [, samples]]) => [key, samples])),
      Object.fromEntries([...expected].map(([key, held]) => [key, text(held)])),
      `seed ${seed}`,
    );
  }
});
