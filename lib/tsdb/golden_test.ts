/** Readers and writers against blocks made by real Prometheus and Thanos. */
import assert from "node:assert/strict";
import { compareLabels, type Labels } from "../model/mod.ts";
import type { Chunk } from "../chunks/mod.ts";
import {
  buildIndexHeaderBytes,
  bytesSource,
  ChunkListEncoder,
  ChunkSegmentReader,
  ChunkSegmentWriter,
  IndexReader,
  IndexWriter,
  openBlock,
  openIndexHeader,
  parseBlockMeta,
  printBlockMeta,
  readTombstones,
  readWholeFile,
  SeriesEntry,
  SystemFiles,
  writeTombstones,
} from "./mod.ts";
import { goldenBlocks } from "./testing/golden.ts";
import { MemoryFiles } from "./testing/memory_files.ts";

const files = new SystemFiles();

/** An index written from what was read of another. */
function rewriteIndex(bytes: Uint8Array): Uint8Array {
  const reader = new IndexReader(bytesSource(bytes, "index"));
  const memory = new MemoryFiles();
  const writer = new IndexWriter(memory.create("index"));
  writer.writeSymbols(reader.tables.allSymbols());
  const encoder = new ChunkListEncoder();
  const entry = new SeriesEntry();
  for (const ref of reader.allPostings()) {
    reader.readSeries(ref, entry);
    const { minTimes, maxTimes, refs, chunkCount } = entry;
    const list = encoder.encode(minTimes, maxTimes, refs, chunkCount);
    assert.equal(writer.addSeries(entry.labels, entry.labelLength, list), ref);
  }
  assert.equal(writer.finish(), bytes.length);
  return memory.content.get("index")!;
}

Deno.test("every golden index rewritten from its own content has the same bytes", () => {
  for (const block of goldenBlocks()) {
    const bytes = readWholeFile(files, `${block}/index`);
    assert.deepEqual(rewriteIndex(bytes), bytes, block);
  }
});

Deno.test("every golden segment rewritten chunk by chunk has the same bytes and references", () => {
  for (const block of goldenBlocks()) {
    const bytes = readWholeFile(files, `${block}/chunks/000001`);
    const index = new IndexReader(bytesSource(readWholeFile(files, `${block}/index`)));
    const reader = new ChunkSegmentReader(files, `${block}/chunks`);
    const memory = new MemoryFiles();
    memory.mkdir("chunks");
    const writer = new ChunkSegmentWriter(memory, "chunks");
    const entry = new SeriesEntry();
    for (const ref of index.allPostings()) {
      index.readSeries(ref, entry);
      const chunks: Chunk[] = [];
      reader.readMany(entry.refs, 0, entry.chunkCount, chunks);
      for (let i = 0; i < chunks.length; i++) {
        assert.equal(writer.append(chunks[i]!.encoding, chunks[i]!.data), entry.refs[i]!);
        assert.deepEqual(reader.read(entry.refs[i]!), chunks[i]);
      }
    }
    reader.close();
    writer.close();
    assert.deepEqual(memory.content.get("chunks/000001"), bytes, block);
  }
});

Deno.test("every golden meta.json is read; those that Thanos wrote are printed byte for byte", () => {
  for (const block of goldenBlocks()) {
    const bytes = readWholeFile(files, `${block}/meta.json`);
    const meta = parseBlockMeta(bytes, "meta.json", block.slice(-26));
    const text = new TextDecoder().decode(bytes);
    const printed = printBlockMeta(meta);
    // The others were laid out by a script, with keys in another order.
    if (text.endsWith("\n")) assert.equal(printed, text, block);
    assert.deepEqual(parseBlockMeta(new TextEncoder().encode(printed), "meta.json"), meta, block);
  }
});

Deno.test("golden tombstones are read and written byte for byte", () => {
  for (const block of goldenBlocks(["bucket-in"])) {
    const bytes = readWholeFile(files, `${block}/tombstones`);
    assert.deepEqual(writeTombstones(readTombstones(bytes, "tombstones")), bytes);
  }
});

Deno.test("counts of golden raw blocks agree with their meta.json", () => {
  for (const directory of goldenBlocks()) {
    const block = openBlock(files, directory);
    const { stats } = block.meta;
    const found = block.select([]);
    assert.equal(found.length, stats.numSeries, directory);
    assert.equal(found.chunkCount, stats.numChunks, directory);
    let before: Labels | undefined;
    for (const labels of found.labels) {
      if (before !== undefined) assert(compareLabels(before, labels) < 0, directory);
      before = labels;
    }
    block.close();
  }
});

Deno.test("tables out of a golden index header agree with those of its index", async () => {
  for (const block of goldenBlocks(["bucket-compacted"])) {
    const bytes = readWholeFile(files, `${block}/index`);
    const whole = new IndexReader(bytesSource(bytes)).tables;
    const header = await buildIndexHeaderBytes(
      bytes.length,
      (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)),
      "index",
    );
    const tables = openIndexHeader(bytesSource(header));
    assert.deepEqual(tables.allSymbols(), whole.allSymbols());
    assert.deepEqual(tables.labelNames(), whole.labelNames());
    assert.deepEqual(tables.allPostings(), whole.allPostings());
    for (const name of whole.labelNames()) {
      assert.deepEqual(tables.labelValues(name), whole.labelValues(name));
      for (const value of whole.labelValues(name)) {
        assert.deepEqual(tables.postings(name, value), whole.postings(name, value));
      }
    }
  }
});
