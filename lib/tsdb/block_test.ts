import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { CorruptionError, MnemeError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { encodeXorChunk } from "../chunks/mod.ts";
import {
  formatLabels,
  labelsFromRecord,
  makeMatcher,
  matchesLabels,
  SampleBatch,
} from "../model/mod.ts";
import {
  type Block,
  BlockWriter,
  CREATION_SUFFIX,
  type Files,
  makeThanosMeta,
  openBlock,
  parseBlockMeta,
  SeriesEntry,
  SystemFiles,
  type WriteFile,
  writeTombstones,
} from "./mod.ts";
import { MemoryFiles } from "./testing/memory_files.ts";
import {
  SMALL_BLOCK,
  SMALL_BLOCK_START,
  smallSeries,
  writeSmallBlock,
} from "./testing/small_block.ts";

const DIRECTORY = `data/${SMALL_BLOCK}`;

/** All series and samples of a block as text. */
function dumpBlock(block: Block, minTime?: number, maxTime?: number): string[] {
  const found = block.select([], minTime, maxTime);
  const batch = new SampleBatch();
  return found.labels.map((labels, i) => {
    found.read(i, batch);
    return `${formatLabels(labels)} ${dump(batch)}`;
  });
}

Deno.test("a written block is read back bit for bit, with its counts", () => {
  const files = new MemoryFiles();
  const series = smallSeries();
  const meta = writeSmallBlock(files, "data", series, { segmentSize: 300 });
  assert.deepEqual(meta.stats, {
    numSamples: 350,
    numFloatSamples: 350,
    numHistogramSamples: 0,
    numSeries: 7,
    numChunks: 21,
    numTombstones: 0,
  });
  assert.deepEqual(meta.compaction.sources, [SMALL_BLOCK]);
  assert.equal(meta.minTime, Math.min(...series.map((s) => s.batch.t[0]!)));
  assert.equal(meta.maxTime, Math.max(...series.map((s) => s.batch.t[49]!)) + 1);
  const block = openBlock(files, DIRECTORY + "/");
  assert.deepEqual(block.meta, meta);
  assert(block.segments.segmentCount > 3);
  assert.deepEqual(
    dumpBlock(block),
    series.map((s) => `${formatLabels(s.labels)} ${dump(s.batch)}`),
  );
  assert.deepEqual(block.labelNames(), ["__name__", "instance", "job", "only"]);
  assert.deepEqual(block.labelValues("job"), ["node", "é", "\uff5e", "\u{1F600}"]);
  block.close();
  assert.deepEqual(
    files.list("data").map((e) => e.name),
    [SMALL_BLOCK],
    "nothing temporary is left",
  );
  assert.deepEqual(files.list(DIRECTORY).map((e) => e.name), ["chunks", "index", "meta.json"]);
});

Deno.test("select() takes the chunks that overlap the range and read() cuts the samples", () => {
  const files = new MemoryFiles();
  const series = smallSeries();
  writeSmallBlock(files, "data", series);
  const block = openBlock(files, DIRECTORY);
  const matchers = [makeMatcher("=~", "instance", "host-00[0-3]"), makeMatcher("!=", "job", "é")];
  for (
    const [from, to] of [
      [-Infinity, Infinity],
      [SMALL_BLOCK_START + 30 * 15000, SMALL_BLOCK_START + 31 * 15000],
      [SMALL_BLOCK_START + 49 * 15000, Infinity],
      [-Infinity, SMALL_BLOCK_START - 1],
      [SMALL_BLOCK_START + 1e9, Infinity],
    ] as const
  ) {
    const found = block.select(matchers, from, to);
    const batch = new SampleBatch();
    const got = found.labels.map((labels, i) => {
      found.read(i, batch);
      for (const { minTime, maxTime } of found.readChunks(i)) {
        assert(maxTime >= from && minTime <= to);
      }
      assert.equal(found.readChunks(i).length, found.chunkCountOf(i));
      return `${formatLabels(labels)} ${dump(batch)}`;
    });
    const expected = series.filter((s) => matchesLabels(matchers, s.labels)).flatMap((s) => {
      const kept = new SampleBatch();
      for (let i = 0; i < s.batch.length; i++) {
        const t = s.batch.t[i]!;
        if (t >= from && t <= to) kept.appendRange(s.batch, i, i + 1);
      }
      return kept.length === 0 ? [] : [`${formatLabels(s.labels)} ${dump(kept)}`];
    });
    assert.deepEqual(got, expected);
  }
});

Deno.test("tombstones hide samples, and whole chunks and series", () => {
  const files = new MemoryFiles();
  const series = smallSeries();
  writeSmallBlock(files, "data", series);
  const refs = openBlock(files, DIRECTORY).postings([]);
  const first = series[0]!.batch;
  files.content.set(
    `${DIRECTORY}/tombstones`,
    writeTombstones(
      new Map([
        [refs[0]!, Float64Array.of(first.t[5]!, first.t[30]!)],
        [refs[1]!, Float64Array.of(0, 1e15)],
      ]),
    ),
  );
  const block = openBlock(files, DIRECTORY);
  const found = block.select([]);
  assert.equal(found.length, series.length - 1);
  const batch = new SampleBatch();
  found.read(0, batch);
  const kept = new SampleBatch();
  kept.appendRange(first, 0, 5);
  kept.appendRange(first, 31, 50);
  assert.equal(dump(batch), dump(kept));
  assert.deepEqual([...found.deletedOf(0)!], [first.t[5]!, first.t[30]!]);
  assert.equal(found.deletedOf(1), undefined);
});

Deno.test("overlapping chunks of a damaged block come out ascending and unique", () => {
  const files = new MemoryFiles();
  const batch = new SampleBatch();
  batch.reserve(6);
  batch.t.set([10, 20, 30, 20, 25, 40]);
  batch.v.set([1, 2, 3, 9, 4, 5]);
  batch.length = 6;
  const writer = new BlockWriter({ files, directory: "data", ulid: SMALL_BLOCK });
  writer.beginSeries(labelsFromRecord({ a: "b" }));
  // The index tells ranges that do not overlap; the chunks do.
  writer.addChunk(1, encodeXorChunk(batch, 0, 3), 10, 11, 3);
  writer.addChunk(1, encodeXorChunk(batch, 3, 6), 20, 40, 3);
  writer.finish();
  const found = openBlock(files, DIRECTORY).select([]);
  found.read(0, batch);
  assert.equal(dump(batch), "10:1 20:2 25:4 30:3 40:5");
});

Deno.test("details of finish() reach meta.json; a range that excludes samples is refused", () => {
  const files = new MemoryFiles();
  const write = (minTime: number, maxTime: number) => {
    const writer = new BlockWriter({ files, directory: "data", ulid: SMALL_BLOCK });
    const { labels, batch } = smallSeries(1)[0]!;
    writer.addSymbols(["unused", "other"]);
    writer.beginSeries(labels);
    writer.addChunk(1, encodeXorChunk(batch), batch.t[0]!, batch.t[49]!, 50);
    try {
      return writer.finish({
        minTime,
        maxTime,
        compaction: { level: 3, hints: ["x"] },
        thanos: makeThanosMeta({ labels: labelsFromRecord({ a: "1" }), source: "compactor" }),
        stats: { numTombstones: 5 },
      });
    } catch (error) {
      writer.abort();
      throw error;
    }
  };
  assert.throws(() => write(SMALL_BLOCK_START + 1000, 1e15), /are not within/);
  assert.throws(() => write(0, SMALL_BLOCK_START + 1000), /are not within/);
  assert.deepEqual([...files.content.keys()], [], "abort() leaves nothing");
  const meta = write(0, 1e15)!;
  const bytes = files.content.get(`${DIRECTORY}/meta.json`)!;
  assert.deepEqual(parseBlockMeta(bytes, "m", SMALL_BLOCK), meta);
  assert.equal(meta.compaction.level, 3);
  assert.deepEqual(meta.compaction.sources, [SMALL_BLOCK]);
  assert.equal(meta.stats.numTombstones, 5);
  assert.equal(meta.stats.numSamples, 50);
  const block = openBlock(files, DIRECTORY);
  assert(block.index.tables.allSymbols().includes("unused"));
  assert.throws(() => write(0, 1e15), /it exists/);
});

Deno.test("BlockWriter refuses disorder and leaves out series without chunks", () => {
  const files = new MemoryFiles();
  const writer = new BlockWriter({ files, directory: "data", ulid: SMALL_BLOCK });
  const [a, b] = [labelsFromRecord({ a: "1" }), labelsFromRecord({ b: "1" })];
  writer.beginSeries(b);
  writer.beginSeries(a);
  writer.addChunk(1, Uint8Array.of(0, 0), 5, 9, 0);
  assert.throws(() => writer.addChunk(1, Uint8Array.of(0, 0), 9, 10, 0), /overlaps the one before/);
  assert.throws(() => writer.addChunk(1, Uint8Array.of(0, 0), 12, 11, 0), /ends before it starts/);
  assert.throws(() => writer.beginSeries(a), /must come after \{a="1"\}/);
  assert.throws(() => writer.beginSeries(labelsFromRecord({})), /must come after/);
  writer.abort();
  const empty = new BlockWriter({ files, directory: "data", ulid: SMALL_BLOCK });
  empty.beginSeries(a);
  assert.equal(empty.finish(), undefined);
  assert.deepEqual([...files.content.keys()], []);
});

Deno.test("the spool and the segments may be larger than their buffers", () => {
  const directory = mkdtempSync(`${tmpdir()}/mneme-tsdb-`);
  try {
    const files = new SystemFiles();
    const writer = new BlockWriter({ files, directory, ulid: SMALL_BLOCK, sync: false });
    const data = new Uint8Array(1500).fill(7);
    const count = 12_000;
    for (let s = 0; s < count; s++) {
      // Long label values fill the spool with ids, many chunks with times.
      writer.beginSeries(labelsFromRecord({ a: String(s).padStart(6, "0"), b: "x" }));
      for (let c = 0; c < 80; c++) {
        if (c === 0) writer.addChunk(2, data, s + c * 1e9, s + c * 1e9 + 5e8, 1);
        else {
          writer.claimChunk(4);
          writer.chunkBuffer.set([s & 255, s >> 8, c, 0], writer.chunkOffset);
          writer.commitChunk(3, 3, s + c * 1e9, s + c * 1e9 + 5e8, 1);
        }
      }
    }
    const meta = writer.finish()!;
    assert.equal(meta.stats.numHistogramSamples, count * 80);
    assert.deepEqual(writer.segments, ["000001"]);
    const block = openBlock(files, `${directory}/${SMALL_BLOCK}`);
    assert.deepEqual(
      files.list(`${directory}/${SMALL_BLOCK}`).map((e) => e.name),
      ["chunks", "index", "meta.json"],
    );
    const found = block.select([]);
    assert.equal(found.length, count);
    for (let s = 0; s < count; s += 1111) {
      assert.equal(found.labels[s]![1], String(s).padStart(6, "0"));
      const chunks = found.readChunks(s);
      assert.equal(chunks.length, 80);
      assert.deepEqual(chunks[0]!.chunk.data, data);
      assert.deepEqual([...chunks[79]!.chunk.data], [s & 255, s >> 8, 79]);
      assert.equal(chunks[79]!.minTime, s + 79e9);
    }
    block.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** Counts operations that change files and fails the n-th one. */
class FailingFiles implements Files {
  readonly inner: MemoryFiles;
  left: number;
  constructor(inner: MemoryFiles, left: number) {
    this.inner = inner;
    this.left = left;
  }
  #step() {
    if (this.left-- === 0) throw new MnemeError("unavailable", "no space left on device");
  }
  #file(file: WriteFile): WriteFile {
    return {
      path: file.path,
      get size() {
        return file.size;
      },
      append: (bytes) => {
        if (this.left === 0) file.append(bytes.subarray(0, bytes.length >> 1));
        this.#step();
        file.append(bytes);
      },
      sync: () => {
        this.#step();
        file.sync();
      },
      close: () => file.close(),
    };
  }
  open(path: string) {
    return this.inner.open(path);
  }
  create(path: string) {
    this.#step();
    return this.#file(this.inner.create(path));
  }
  append(path: string) {
    return this.#file(this.inner.append(path));
  }
  rename(from: string, to: string) {
    this.#step();
    this.inner.rename(from, to);
  }
  mkdir(path: string) {
    this.#step();
    this.inner.mkdir(path);
  }
  remove(path: string) {
    this.inner.remove(path);
  }
  list(path: string) {
    return this.inner.list(path);
  }
  stat(path: string) {
    return this.inner.stat(path);
  }
  syncDirectory(path: string) {
    this.#step();
    this.inner.syncDirectory(path);
  }
}

Deno.test("whichever file operation fails, there is the whole block or none", () => {
  const series = smallSeries(3, 10);
  const whole = new MemoryFiles();
  writeSmallBlock(whole, "data", series, { segmentSize: 200 });
  let failures = 0;
  for (let n = 0;; n++) {
    const memory = new MemoryFiles();
    const files = new FailingFiles(memory, n);
    try {
      writeSmallBlock(files, "data", series, { segmentSize: 200 });
      assert.deepEqual(memory.content, whole.content);
      break;
    } catch (error) {
      assert(error instanceof MnemeError && error.message === "no space left on device");
      failures++;
    }
    const visible = [...memory.content.keys()].filter((path) => path.startsWith(DIRECTORY + "/"));
    if (visible.length > 0) {
      assert.deepEqual(memory.content, whole.content, `after operation ${n}`);
      continue;
    }
    // What is left of the failure is in the way of nobody.
    assert([...memory.content.keys()].every((p) => p.startsWith(DIRECTORY + CREATION_SUFFIX)));
    writeSmallBlock(memory, "data", series, { segmentSize: 200 });
    assert.deepEqual(memory.content, whole.content, `again after operation ${n}`);
  }
  assert(failures > 15, `${failures} operations`);
});

Deno.test("everything is on the disk before the block appears", () => {
  const files = new MemoryFiles();
  const before: string[][] = [];
  const rename = files.rename.bind(files);
  files.rename = (from, to) => {
    before.push([...files.synced]);
    rename(from, to);
  };
  writeSmallBlock(files, "data");
  const inside = `${DIRECTORY}${CREATION_SUFFIX}`;
  assert.deepEqual(before, [[
    `${inside}/chunks/000001`,
    `${inside}/index`,
    `${inside}/meta.json`,
    `${inside}/chunks`,
    inside,
  ]]);
  assert.equal(files.synced.at(-1), "data");
});

Deno.test("SystemFiles tells the path and the reason", () => {
  const files = new SystemFiles();
  const directory = mkdtempSync(`${tmpdir()}/mneme-tsdb-`);
  try {
    const kind = (kind: string, message: RegExp) => (e: unknown) =>
      e instanceof MnemeError && e.kind === kind && message.test(e.message);
    assert.throws(
      () => files.open(`${directory}/x`),
      kind("not_found", /Cannot open .*\/x: no such file or directory/),
    );
    assert.throws(() => files.open(directory), kind("bad_data", /is a directory/));
    assert.throws(() => files.list(`${directory}/x`), kind("not_found", /Cannot list/));
    assert.equal(files.stat(`${directory}/x`), undefined);
    files.remove(`${directory}/x`);
    const file = files.create(`${directory}/f`);
    file.append(Uint8Array.of(1, 2));
    file.close();
    const more = files.append(`${directory}/f`);
    assert.equal(more.size, 2);
    more.append(Uint8Array.of(3));
    more.sync();
    more.close();
    const read = files.open(`${directory}/f`);
    const target = new Uint8Array(9);
    assert.equal(read.readAt(target, 1), 2);
    assert.deepEqual([...target.subarray(0, 3)], [2, 3, 0]);
    read.close();
    read.close();
    assert.throws(() => read.readAt(target, 0), MnemeError);
    files.syncDirectory(directory);
    assert.deepEqual(files.list(directory), [{ name: "f", isDirectory: false }]);
    assert.equal(files.stat(`${directory}/f`)!.size, 3);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** What a block answers, as one text; throws what opening or reading throws. */
function answers(files: Files): string {
  const block = openBlock(files, DIRECTORY);
  try {
    const names = block.labelNames().map((name) =>
      name + block.labelValues(name).map((v) => `\n${v}: ${block.index.postings(name, v)}`)
    );
    const some = block.select([
      makeMatcher("=~", "job", ".*e"),
      makeMatcher("!=", "instance", "host-000"),
      makeMatcher("=", "only", ""),
    ]);
    return [
      JSON.stringify(block.meta),
      ...names,
      ...some.labels.map(formatLabels),
      ...dumpBlock(block),
    ].join("\n");
  } finally {
    block.close();
  }
}

/** Runs `answers` and checks that it is right, or a CorruptionError that names a file of the block. */
function checkDamaged(files: Files, right: string, file: string, what: string): boolean {
  let got: string;
  try {
    got = answers(files);
  } catch (error) {
    assert(error instanceof CorruptionError, `${what}: ${error}`);
    assert(error.file.startsWith(DIRECTORY), `${what} names "${error.file}"`);
    assert(error.message.includes(SMALL_BLOCK), what);
    assert(error.offset >= 0 && Number.isSafeInteger(error.offset), `${what}: ${error.offset}`);
    return true;
  }
  assert.equal(got, right, `${what} of ${file}`);
  return false;
}

function damagedBlock() {
  const files = new MemoryFiles();
  const series = smallSeries(5, 14);
  writeSmallBlock(files, "data", series, { chunkSize: 6 });
  const refs = openBlock(files, DIRECTORY).postings([]);
  files.content.set(
    `${DIRECTORY}/tombstones`,
    writeTombstones(new Map([[refs[2]!, Float64Array.of(0, SMALL_BLOCK_START + 40000)]])),
  );
  return { files, right: answers(files) };
}

Deno.test("every truncation of every file of a block is an error", () => {
  const { files, right } = damagedBlock();
  for (const [path, bytes] of [...files.content]) {
    for (let n = 0; n < bytes.length; n++) {
      files.content.set(path, bytes.slice(0, n));
      assert(checkDamaged(files, right, path, `cut to ${n} bytes`), `${path} cut to ${n} bytes`);
    }
    files.content.set(path, bytes);
  }
  assert.equal(answers(files), right);
});

Deno.test("every flipped bit of index, chunks and tombstones is an error or changes nothing", () => {
  const { files, right } = damagedBlock();
  const harmless: Record<string, number> = {};
  for (const [path, bytes] of [...files.content]) {
    if (path.endsWith("meta.json")) continue;
    harmless[path.slice(DIRECTORY.length + 1)] = 0;
    for (let i = 0; i < bytes.length; i++) {
      for (const mask of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const bad = bytes.slice();
        bad[i]! ^= mask;
        files.content.set(path, bad);
        const failed = checkDamaged(files, right, path, `byte ${i} xor ${mask}`);
        if (!failed) harmless[path.slice(DIRECTORY.length + 1)]!++;
      }
    }
    files.content.set(path, bytes);
  }
  // Harmless are the padding and version 3 of an index, and three bytes of a segment's header.
  const block = openBlock(files, DIRECTORY);
  const { toc } = block.index;
  let used = 5 + (toc.series - toc.symbols);
  const entry = new SeriesEntry();
  for (const ref of block.index.allPostings()) {
    block.index.readSeries(ref, entry);
    used += entry.size;
  }
  used += 12 + block.index.allPostings().length * 4;
  for (const name of block.labelNames()) {
    for (const value of block.labelValues(name)) {
      used += 12 + block.index.postings(name, value).length * 4;
    }
  }
  assert.equal(harmless["index"], (toc.postingsTable - used) * 9 + 1);
  assert.equal(harmless["chunks/000001"], 3 * 9);
  assert.equal(harmless["tombstones"], 0);
});

Deno.test("a missing file of a block is named", () => {
  for (const name of ["meta.json", "index", "chunks/000001"]) {
    const { files } = damagedBlock();
    files.content.delete(`${DIRECTORY}/${name}`);
    assert.throws(() => answers(files), (e: unknown) => {
      assert(e instanceof MnemeError);
      assert(e.kind === "not_found" || e.kind === "corruption");
      return e.message.includes(`${DIRECTORY}/${name.split("/")[0]}`);
    });
  }
});
