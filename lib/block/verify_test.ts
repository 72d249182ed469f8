import { strict as assert } from "node:assert";
import { ByteWriter, crc32c } from "../base/mod.ts";
import { goldenBlocks } from "../tsdb/testing/golden.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import {
  SMALL_BLOCK,
  SMALL_BLOCK_START,
  smallSeries,
  writeSmallBlock,
} from "../tsdb/testing/small_block.ts";
import { IndexWriter, printBlockMeta, SystemFiles } from "../tsdb/mod.ts";
import { type BlockHealth, blockIssues, verifyBlock, type VerifyOptions } from "./mod.ts";

const DIRECTORY = `blocks/${SMALL_BLOCK}`;
const INDEX = `${DIRECTORY}/index`;
const SEGMENT = `${DIRECTORY}/chunks/000001`;

function smallBlock(): MemoryFiles {
  const files = new MemoryFiles();
  files.mkdir("blocks");
  writeSmallBlock(files, "blocks", smallSeries());
  return files;
}

type Range = readonly [number, number];

/** A block whose index holds these chunk ranges, one list a series; no samples behind them. */
function indexOnly(series: readonly (readonly Range[])[], labelsOf?: (i: number) => number[]) {
  const files = smallBlock();
  const file = files.create(INDEX);
  const index = new IndexWriter(file);
  index.writeSymbols(["a", "b", ...series.map((_, i) => `v${i}`)]);
  let ref = 8;
  series.forEach((ranges, i) => {
    const w = new ByteWriter(256);
    w.uvarint(ranges.length);
    let last = 0;
    ranges.forEach(([min, max], k) => {
      if (k === 0) {
        w.varint(min);
        difference(w, max - min);
        w.uvarint(ref);
      } else {
        difference(w, min - last);
        difference(w, max - min);
        w.varint(100);
        ref += 100;
      }
      last = max;
    });
    ref += 50;
    const labels = labelsOf?.(i) ?? [0, 2 + i];
    index.addSeries(Uint32Array.from(labels), labels.length, w.copy());
  });
  index.finish();
  file.close();
  return files;
}

/** Unsigned 64-bit numbers wrap round when a difference is negative. */
function difference(w: ByteWriter, x: number): void {
  if (x >= 0) return w.uvarint(x);
  let rest = BigInt.asUintN(64, BigInt(x));
  for (; rest > 127n; rest >>= 7n) w.u8(Number(rest & 127n) | 128);
  w.u8(Number(rest));
}

const T0 = SMALL_BLOCK_START;
/** The range that verification is told, ms. */
const RANGE: VerifyOptions = { minTime: T0, maxTime: T0 + 1000 };

async function kindsOf(files: MemoryFiles, options: VerifyOptions): Promise<string[]> {
  return blockIssues(await verifyBlock(files, DIRECTORY, options))
    .map((i) => i.kind).filter((k) => k !== "wrong-counts");
}

Deno.test("verifyBlock() finds nothing in a sound block, at every depth", async () => {
  const files = smallBlock();
  for (const depth of ["index", "chunks", "samples"] as const) {
    const health = await verifyBlock(files, DIRECTORY, { depth });
    assert.deepEqual(blockIssues(health), []);
    assert.equal(health.totalSeries, 7);
    assert.equal(health.totalChunks, 21);
    assert.equal(health.totalSamples, depth === "index" ? undefined : 350);
    assert.equal(health.examples.size, 0);
  }
});

Deno.test("verifyBlock() counts and measures golden blocks as Thanos did", async () => {
  for (const directory of goldenBlocks(["bucket-compacted", "bucket-compacted-dedup"])) {
    const health = await verifyBlock(new SystemFiles(), directory, { depth: "samples" });
    assert.deepEqual(blockIssues(health), [], directory);
    const { compaction, thanos, stats } = health.meta;
    assert.equal(health.totalSeries, stats.numSeries);
    assert.equal(health.totalChunks, stats.numChunks);
    assert.equal(health.totalSamples, stats.numSamples);
    if (compaction.level === 1) continue; // Made by another program, which does not measure.
    assert.equal(health.seriesMaxSize, thanos!.indexStats.seriesMaxSize);
    assert.equal(health.chunkMaxSize, thanos!.indexStats.chunkMaxSize);
  }
});

Deno.test("verifyBlock() tells chunks outside of the range by how far they are", async () => {
  const cases: [Range, string[], Partial<BlockHealth>][] = [
    [[T0, T0 + 1000], [], { outsideChunks: 0 }],
    [[T0 + 1000, T0 + 1000], [], { outsideChunks: 0 }],
    [[T0 - 1, T0 + 5], ["outside-chunks"], { outsideChunks: 1, completelyOutsideChunks: 0 }],
    [[T0 + 5, T0 + 1001], ["outside-chunks"], { outsideChunks: 1, completelyOutsideChunks: 0 }],
    [[T0 + 1001, T0 + 1002], ["outside-chunks"], { completelyOutsideChunks: 1 }],
    [[T0 - 9, T0 - 1], ["outside-chunks"], { completelyOutsideChunks: 1 }],
    [[T0 + 1000, T0 + 1001], ["issue-347-chunks"], { outsideChunks: 1, issue347Chunks: 1 }],
  ];
  for (const [range, kinds, counts] of cases) {
    const health = await verifyBlock(indexOnly([[range]]), DIRECTORY, RANGE);
    assert.deepEqual(
      blockIssues(health).map((i) => i.kind).filter((k) => k !== "wrong-counts"),
      kinds,
      `${range}`,
    );
    for (const [key, count] of Object.entries(counts)) {
      assert.equal(health[key as keyof BlockHealth], count, `${key} of ${range}`);
    }
  }
});

Deno.test("verifyBlock() tells doubles from chunks out of order", async () => {
  const health = await verifyBlock(
    indexOnly([
      [[T0, T0 + 10], [T0 + 11, T0 + 20]],
      [[T0, T0 + 10], [T0, T0 + 10]],
      [[T0, T0 + 10], [T0 + 10, T0 + 20], [T0 + 15, T0 + 16]],
      [[T0 + 50, T0 + 60], [T0, T0 + 10]],
      [[T0 + 50, T0 + 40]],
    ]),
    DIRECTORY,
    RANGE,
  );
  assert.equal(health.duplicatedChunks, 1);
  assert.equal(health.outOfOrderChunks, 4);
  assert.equal(health.outOfOrderChunkSeries, 3);
  const issue = blockIssues(health).find((i) => i.kind === "out-of-order-chunks")!;
  assert.match(issue.message, /^4 of 10 chunks out of order, in 3 series, first: chunk .*a="v2"/);
});

Deno.test("verifyBlock() finds series without labels and without chunks", async () => {
  const labels = (i: number) => i === 0 ? [] : [0, 2 + i];
  const health = await verifyBlock(
    indexOnly([[[T0, T0 + 10]], [], [[T0, T0 + 10]]], labels),
    DIRECTORY,
    RANGE,
  );
  assert.equal(health.unlabelledSeries, 1);
  assert.equal(health.emptySeries, 1);
  assert.match(blockIssues(health)[0]!.message, /1 series without labels.*1 series without chunks/);
});

/** Changes the bytes of the series whose entry begins at a multiple of 16 and repairs the checksum. */
function patchSeries(files: MemoryFiles, n: number, patch: (entry: Uint8Array) => void): void {
  const bytes = files.content.get(INDEX)!;
  let at = 16;
  for (let i = -1;; at += 16) {
    const size = bytes[at]!;
    const crc = (bytes[at + 1 + size]! << 24 | bytes[at + 2 + size]! << 16 |
      bytes[at + 3 + size]! << 8 | bytes[at + 4 + size]!) >>> 0;
    if (size < 4 || crc32c(bytes, at + 1, at + 1 + size) !== crc) continue;
    if (++i < n) continue;
    patch(bytes.subarray(at + 1, at + 1 + size));
    const next = crc32c(bytes, at + 1, at + 1 + size);
    bytes.set([next >>> 24, next >>> 16, next >>> 8, next], at + 1 + size);
    return;
  }
}

Deno.test("verifyBlock() finds label names and series out of order", async () => {
  const two: readonly Range[][] = [[[T0, T0 + 1]], [[T0, T0 + 1]], [[T0, T0 + 1]]];
  const names = indexOnly(two, (i) => [0, 2 + i, 1, 2]);
  patchSeries(names, 1, (entry) => entry.set([1, 2, 0, 3], 1));
  const health = await verifyBlock(names, DIRECTORY, RANGE);
  assert.equal(health.outOfOrderLabels, 1);
  // It is no longer between its neighbours either.
  assert.equal(health.outOfOrderSeries, 1);

  const same = indexOnly(two);
  patchSeries(same, 2, (entry) => entry[2] = 3);
  assert.deepEqual(await kindsOf(same, RANGE), ["broken"]);
});

Deno.test("verifyBlock() finds a flipped bit wherever it is, and what lies behind it", async () => {
  const files = smallBlock();
  const size = files.content.get(SEGMENT)!.length;
  for (let at = 8; at < size; at++) {
    const bytes = files.content.get(SEGMENT)!.slice();
    bytes[at]! ^= 1 << (at % 8);
    const damaged = smallBlock();
    damaged.content.set(SEGMENT, bytes);
    const health = await verifyBlock(damaged, DIRECTORY, { depth: "chunks" });
    assert.ok(health.damagedChunks >= 1, `byte ${at}`);
    assert.equal(health.damagedIndex, 0);
    assert.equal(health.totalSeries, 7);
    assert.match(blockIssues(health)[0]!.message, /000001 at offset/);
  }
});

Deno.test("verifyBlock() survives every damage of the index with an error or a finding", async () => {
  const sound = smallBlock().content.get(INDEX)!;
  const files = smallBlock();
  let silent = 0;
  for (let at = 0; at < sound.length; at++) {
    for (const damaged of [flip(sound, at), sound.slice(0, at)]) {
      files.content.set(INDEX, damaged);
      try {
        const health = await verifyBlock(files, DIRECTORY, { depth: "chunks" });
        if (blockIssues(health).length === 0) silent++;
      } catch (error) {
        assert.equal((error as { kind?: string }).kind, "corruption", String(error));
      }
    }
  }
  // Padding between the parts, and offsets of parts that nobody reads any more.
  assert.ok(silent < 160, `${silent} damages were not noticed`);
});

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at]! ^= 0x10;
  return copy;
}

Deno.test("verifyBlock() compares samples with the index, and counts with meta.json", async () => {
  const files = smallBlock();
  // Chunk lists of other times over the true chunks.
  const health = await verifyBlock(files, DIRECTORY, { depth: "samples" });
  const { meta } = health;
  files.content.set(
    `${DIRECTORY}/meta.json`,
    new TextEncoder().encode(
      printBlockMeta({ ...meta, stats: { ...meta.stats, numSamples: 351, numSeries: 8 } }),
    ),
  );
  assert.deepEqual(blockIssues(await verifyBlock(files, DIRECTORY, { depth: "chunks" })), [{
    kind: "wrong-counts",
    message: "meta.json tells 8 series, there are 7; meta.json tells 351 samples, there are 350",
  }]);
  const moved = indexOnly([[[T0 + 1, T0 + 2]]]);
  const found = await verifyBlock(moved, DIRECTORY, { ...RANGE, depth: "samples" });
  assert.equal(found.damagedChunks, 1);
  assert.match(found.examples.get("damagedChunks")!, /samples from \d+ to \d+ in a chunk of/);
});

Deno.test("verifyBlock() stops when it is canceled", async () => {
  await assert.rejects(
    verifyBlock(smallBlock(), DIRECTORY, { signal: AbortSignal.abort() }),
    { kind: "canceled" },
  );
});
