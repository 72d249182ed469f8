import { strict as assert } from "node:assert";
import { encodeUtf8, errorKind, FakeClock, makeUlid } from "../base/mod.ts";
import { permutations } from "../base/testing/exhaustive.ts";
import { labelsFromRecord, labelValue } from "../model/mod.ts";
import { type Bucket, FilesystemBucket, MemoryBucket } from "../objstore/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import {
  type BlockMeta,
  makeThanosMeta,
  parseBlockMeta,
  printBlockMeta,
  SystemFiles,
  UNSET_UPLOAD_TIME,
} from "../tsdb/mod.ts";
import { Metrics, silentLogger } from "../telemetry/mod.ts";
import {
  type BlockState,
  consistencyDelayFilter,
  deleteBlock,
  DELETION_MARK_FILE,
  DeletionMarkFilter,
  downloadBlock,
  DuplicateFilter,
  fetcherMetrics,
  type FetcherObserver,
  labelShardFilter,
  listBlocks,
  MarkGatherer,
  MetaCache,
  MetaFetcher,
  type MetaFilter,
  NO_COMPACT_MANUAL,
  NO_COMPACT_MARK_FILE,
  NO_DOWNSAMPLE_MARK_FILE,
  parseMark,
  printMark,
  readMark,
  removeMark,
  timePartitionFilter,
  uploadBlock,
  writeMark,
} from "./mod.ts";

const NOW = 1_790_208_000_000;
const files = new SystemFiles();
let counter = 0;
/** A distinct id for each number. */
function id(n: number): string {
  return makeUlid(NOW + n * 1000, (target) => target.fill(1));
}

interface MetaParts {
  readonly n?: number;
  readonly minTime?: number;
  readonly maxTime?: number;
  readonly sources?: readonly string[];
  readonly labels?: Record<string, string>;
  readonly resolution?: number;
  readonly source?: string;
  readonly uploadTime?: string;
}
function meta(parts: MetaParts): BlockMeta {
  const ulid = id(parts.n ?? counter++);
  return {
    ulid,
    minTime: parts.minTime ?? 0,
    maxTime: parts.maxTime ?? 100,
    stats: {
      numSamples: 1,
      numFloatSamples: 1,
      numHistogramSamples: 0,
      numSeries: 1,
      numChunks: 1,
      numTombstones: 0,
    },
    compaction: {
      level: 1,
      sources: parts.sources ?? [ulid],
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
    thanos: makeThanosMeta({
      labels: labelsFromRecord(parts.labels ?? { cluster: "eu1" }),
      resolution: parts.resolution ?? 0,
      source: parts.source ?? "sidecar",
      uploadTime: parts.uploadTime ?? UNSET_UPLOAD_TIME,
    }),
  };
}
async function put(bucket: Bucket, block: BlockMeta): Promise<void> {
  await bucket.upload(`${block.ulid}/chunks/000001`, new Uint8Array(8));
  await bucket.upload(`${block.ulid}/index`, new Uint8Array(8));
  await bucket.upload(`${block.ulid}/meta.json`, encodeUtf8(printBlockMeta(block)));
}
class Recorder implements FetcherObserver {
  counts: Record<string, number> = {};
  failed: boolean | undefined;
  busts = 0;
  readonly warnings: string[] = [];
  synced(counts: ReadonlyMap<BlockState, number>, _seconds: number, failed: boolean): void {
    this.counts = Object.fromEntries(counts);
    this.failed = failed;
  }
  cacheBust(): void {
    this.busts++;
  }
  warn(message: string, fields: Readonly<Record<string, string>>): void {
    this.warnings.push(`${message}: ${fields.err ?? ""}`);
  }
}
/** The ids that stay when `blocks` pass one filter. */
async function kept(blocks: readonly BlockMeta[], filter: MetaFilter): Promise<string[]> {
  const bucket = new MemoryBucket();
  for (const block of blocks) await put(bucket, block);
  const result = await new MetaFetcher({ bucket, filters: [filter] }).fetch();
  return [...result.metas.keys()];
}

Deno.test("marks are printed as Thanos prints them and parsed back", () => {
  const ulid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  const rows = [
    [
      DELETION_MARK_FILE,
      { ulid, time: 1_700_000_000_999, details: "source of compacted block", reason: "" },
      `{"id":"${ulid}","version":1,"details":"source of compacted block","deletion_time":1700000000}`,
    ],
    [
      NO_COMPACT_MARK_FILE,
      { ulid, time: 1_700_000_000_000, details: "", reason: NO_COMPACT_MANUAL },
      `{"id":"${ulid}","version":1,"no_compact_time":1700000000,"reason":"manual"}`,
    ],
    [
      NO_DOWNSAMPLE_MARK_FILE,
      { ulid, time: 1_700_000_000_000, details: "x", reason: "manual" },
      `{"id":"${ulid}","version":1,"details":"x","no_downsample_time":1700000000,"reason":"manual"}`,
    ],
  ] as const;
  for (const [file, mark, text] of rows) {
    assert.equal(printMark(mark, file), text);
    const time = Math.floor(mark.time / 1000) * 1000;
    assert.deepEqual(parseMark(encodeUtf8(text), ulid, file), { ...mark, time });
  }
});

Deno.test("parseMark() names the object of a damaged mark", () => {
  const ulid = id(1);
  const bad = [
    "",
    "null",
    "[]",
    `{"id":"${ulid}"`,
    `{"id":"${ulid}","version":2}`,
    `{"id":"../x","version":1}`,
    `{"id":"${id(2)}","version":1}`,
    `{"id":"${ulid}","version":1,"deletion_time":"x"}`,
    `{"id":"${ulid}","version":1,"deletion_time":1e300}`,
  ];
  for (const text of bad) {
    assert.throws(
      () => parseMark(encodeUtf8(text), ulid, DELETION_MARK_FILE),
      new RegExp(`${ulid}/deletion-mark.json`),
      text,
    );
  }
});

Deno.test("writeMark() never overwrites a mark", async () => {
  const bucket = new MemoryBucket();
  const ulid = id(1);
  const mark = { ulid, time: NOW, details: "first", reason: "" };
  assert.equal(await readMark(bucket, ulid, DELETION_MARK_FILE), undefined);
  assert.equal(await writeMark(bucket, mark, DELETION_MARK_FILE), true);
  const second = { ...mark, details: "second" };
  assert.equal(await writeMark(bucket, second, DELETION_MARK_FILE), false);
  assert.deepEqual(await readMark(bucket, ulid, DELETION_MARK_FILE), mark);
  assert.equal(await removeMark(bucket, ulid, DELETION_MARK_FILE), true);
  assert.equal(await removeMark(bucket, ulid, DELETION_MARK_FILE), false);
});

Deno.test("listBlocks() tells completeness, marks and segments by one listing", async () => {
  const clock = new FakeClock(1000);
  const inner = new MemoryBucket({ clock });
  await put(inner, meta({ n: 1 }));
  await clock.advance(500);
  await inner.upload(`${id(1)}/deletion-mark.json`, new Uint8Array(1));
  await inner.upload(`${id(2)}/chunks/000001`, new Uint8Array(1));
  await inner.upload(`${id(2)}/chunks/000010`, new Uint8Array(1));
  await inner.upload(`${id(2)}/chunks/notes.txt`, new Uint8Array(1));
  for (const name of ["debug/metas/x", "notes", `x${id(3)}/meta.json`, `${id(3)}x/meta.json`]) {
    await inner.upload(name, new Uint8Array(1));
  }
  await inner.upload("7ZZZZZZZZZZZZZZZZZZZZZZZZU/meta.json", new Uint8Array(1));
  const bucket = new FaultyBucket(inner);
  assert.deepEqual(
    await listBlocks(bucket),
    new Map([
      [id(1), {
        ulid: id(1),
        complete: true,
        metaModified: 1000,
        newestModified: 1500,
        marks: new Set([DELETION_MARK_FILE]),
        deletionMarkModified: 1500,
        segments: ["000001"],
      }],
      [id(2), {
        ulid: id(2),
        complete: false,
        metaModified: 0,
        newestModified: 1500,
        marks: new Set(),
        deletionMarkModified: 0,
        segments: ["000001", "000010"],
      }],
    ]),
  );
  assert.equal(bucket.calls.length, 1);
});

Deno.test("listBlocks() sees unfinished blocks in a brief listing, too", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-block-" });
  try {
    const bucket = new FilesystemBucket(folder);
    for (const n of [1, 2, 3]) await bucket.upload(`${id(n)}/chunks/000001`, new Uint8Array(3));
    for (const n of [2, 3]) await bucket.upload(`${id(n)}/index`, new Uint8Array(3));
    await bucket.upload(`${id(3)}/meta.json`, new Uint8Array(3));
    await bucket.upload(`${id(3)}/deletion-mark.json`, new Uint8Array(3));
    const blocks = await listBlocks(bucket, { brief: true });
    assert.deepEqual([...blocks.keys()], [id(1), id(2), id(3)]);
    assert.deepEqual([...blocks.values()].map((b) => b.complete), [false, false, true]);
    assert.deepEqual([...blocks.get(id(3))!.marks], ["deletion-mark.json"]);
    assert.ok(blocks.get(id(3))!.metaModified > 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("timePartitionFilter() keeps what touches the range and asks the limits anew", async () => {
  const blocks = [[0, 99], [0, 100], [50, 150], [200, 300], [201, 300]].map(([minTime, maxTime]) =>
    meta({ minTime: minTime!, maxTime: maxTime! })
  );
  let min = 100;
  const filter = timePartitionFilter(() => min, () => 200);
  assert.deepEqual(await kept(blocks, filter), blocks.slice(1, 4).map((m) => m.ulid));
  min = 300;
  assert.deepEqual(await kept(blocks, filter), [blocks[3]!.ulid]);
});

Deno.test("labelShardFilter() sees external labels and the block's id", async () => {
  const blocks = [meta({ labels: { cluster: "a" } }), meta({ labels: { cluster: "b" } })];
  const filter = labelShardFilter((labels) =>
    labelValue(labels, "cluster") === "b" && labelValue(labels, "__block_id") === blocks[1]!.ulid
  );
  assert.deepEqual(await kept(blocks, filter), [blocks[1]!.ulid]);
});

Deno.test("consistencyDelayFilter() hides fresh uploads except those that replace blocks", async () => {
  const clock = new FakeClock(NOW + 3_600_000);
  const at = (ms: number) => new Date(NOW + 3_600_000 - ms).toISOString();
  const blocks = [
    meta({ n: 0, uploadTime: at(600_000) }),
    meta({ n: 1, uploadTime: at(599_999) }),
    meta({ n: 2, uploadTime: at(1), source: "compactor" }),
    meta({ n: 3, uploadTime: at(1), source: "compactor.repair" }),
    meta({ n: 4, uploadTime: at(1), source: "bucket.repair" }),
    meta({ n: 5, uploadTime: at(1), source: "receive" }),
    meta({ n: 6 }), // No upload time: the id's own, an hour ago.
    meta({ n: 3599 }), // As above, a second ago.
  ];
  assert.deepEqual(
    await kept(blocks, consistencyDelayFilter(600_000, clock)),
    [0, 2, 3, 4, 6].map(id),
  );
});

Deno.test("DeletionMarkFilter hides blocks after the delay and survives damaged marks", async () => {
  const clock = new FakeClock(NOW);
  const inner = new MemoryBucket();
  for (const n of [1, 2, 3, 4]) await put(inner, meta({ n }));
  const mark = (n: number, age: number) =>
    writeMark(
      inner,
      { ulid: id(n), time: NOW - age, details: "", reason: "" },
      DELETION_MARK_FILE,
    );
  await mark(1, 86_401_000);
  await mark(2, 86_400_000);
  await inner.upload(`${id(3)}/deletion-mark.json`, encodeUtf8("{torn"));
  const bucket = new FaultyBucket(inner);
  const filter = new DeletionMarkFilter(bucket, 86_400_000, clock);
  const observer = new Recorder();
  const fetcher = new MetaFetcher({ bucket, filters: [filter], observer });
  const result = await fetcher.fetch();
  assert.deepEqual([...result.metas.keys()], [2, 3, 4].map(id));
  assert.deepEqual(result.excluded, new Map([[id(1), "marked-for-deletion"]]));
  assert.deepEqual([...filter.marks.keys()], [1, 2].map(id));
  assert.match(observer.warnings.join(), /found partial deletion-mark.json.*Corrupt data/);
  assert.deepEqual(observer.counts, { "marked-for-deletion": 1, loaded: 3 });
  // Only existing marks are read: 4 metas and 3 marks.
  assert.equal(bucket.count("get"), 7);
});

Deno.test("a mark that cannot be read fails the sync instead of showing the block", async () => {
  const inner = new MemoryBucket();
  await put(inner, meta({ n: 1 }));
  await writeMark(inner, { ulid: id(1), time: 0, details: "", reason: "" }, DELETION_MARK_FILE);
  const bucket = new FaultyBucket(inner, {
    rules: [{ name: /deletion-mark/, fault: { type: "error", kind: "unavailable" } }],
  });
  const filters = [new DeletionMarkFilter(bucket, 0, new FakeClock(NOW))];
  const observer = new Recorder();
  await assert.rejects(() => new MetaFetcher({ bucket, filters, observer }).fetch(), /unavailable/);
  assert.equal(observer.failed, true);
});

Deno.test("MarkGatherer collects marks and keeps the blocks", async () => {
  const bucket = new MemoryBucket();
  for (const n of [1, 2]) await put(bucket, meta({ n }));
  const mark = { ulid: id(2), time: NOW, details: "", reason: NO_COMPACT_MANUAL };
  await writeMark(bucket, mark, NO_COMPACT_MARK_FILE);
  const gatherer = new MarkGatherer(bucket, NO_COMPACT_MARK_FILE);
  const observer = new Recorder();
  const { metas } = await new MetaFetcher({ bucket, filters: [gatherer], observer }).fetch();
  assert.equal(metas.size, 2);
  assert.deepEqual(gatherer.marks, new Map([[id(2), mark]]));
  assert.deepEqual(observer.counts, { "marked-for-no-compact": 1, loaded: 2 });
});

Deno.test("DuplicateFilter hides blocks that are contained in another", async () => {
  const s = (...n: number[]) => n.map(id);
  const rows: [string, MetaParts[], number[]][] = [
    ["compacted beside its sources", [
      { n: 1, sources: s(1) },
      { n: 2, sources: s(2) },
      { n: 3, sources: s(1, 2) },
    ], [3]],
    ["the same sources: the older id stays", [
      { n: 4, sources: s(1, 2) },
      { n: 3, sources: s(2, 1) },
    ], [3]],
    ["overlapping but not contained", [
      { n: 3, sources: s(1, 2) },
      { n: 4, sources: s(2, 5) },
    ], [3, 4]],
    ["other labels or resolution", [
      { n: 1, sources: s(1) },
      { n: 3, sources: s(1, 2), labels: { cluster: "us1" } },
      { n: 4, sources: s(1, 2), resolution: 300_000 },
    ], [1, 3, 4]],
    ["a chain", [
      { n: 1, sources: s(1) },
      { n: 3, sources: s(1, 2) },
      { n: 5, sources: s(1, 2, 4) },
    ], [5]],
    ["nothing known about the origin", [
      { n: 1, sources: [] },
      { n: 3, sources: s(1, 2) },
    ], [1, 3]],
  ];
  for (const [name, parts, expected] of rows) {
    for (const order of permutations(parts)) {
      assert.deepEqual(
        await kept(order.map(meta), new DuplicateFilter()),
        expected.map(id),
        name,
      );
    }
  }
});

Deno.test("MetaFetcher tells damaged, partial, future and unreadable metas apart", async () => {
  const clock = new FakeClock(NOW);
  const inner = new MemoryBucket({ clock });
  for (const n of [1, 2]) await put(inner, meta({ n }));
  await inner.upload(`${id(3)}/index`, new Uint8Array(1));
  await inner.upload(`${id(4)}/meta.json`, encodeUtf8("{"));
  const future = printBlockMeta(meta({ n: 5 })).replace(/"version": 1/, '"version": 2');
  await inner.upload(`${id(5)}/meta.json`, encodeUtf8(future));
  await inner.upload(`${id(6)}/meta.json`, encodeUtf8(printBlockMeta(meta({ n: 7 }))));
  const bucket = new FaultyBucket(inner);
  const observer = new Recorder();
  const fetcher = new MetaFetcher({ bucket, filters: [], observer });
  const result = await fetcher.fetch();
  assert.deepEqual([...result.metas.keys()], [1, 2].map(id));
  assert.deepEqual([...result.partial], [id(3)]);
  assert.deepEqual([...result.corrupted.keys()].sort(), [4, 5, 6].map(id));
  assert.match(result.corrupted.get(id(5))!.message, /version 2/);
  assert.equal(result.failed.size, 0);
  assert.deepEqual(observer.counts, {
    "no-meta-json": 1,
    "corrupted-meta-json": 3,
    loaded: 2,
  });
  assert.equal(observer.failed, false);
  // The second sync reads nothing again, not even the damaged ones.
  const before = bucket.count("get");
  await fetcher.fetch();
  assert.equal(bucket.count("get"), before);
  // A repaired meta is seen.
  await clock.advance(1000);
  await put(inner, meta({ n: 4 }));
  assert.deepEqual([...(await fetcher.fetch()).metas.keys()], [1, 2, 4].map(id));
});

Deno.test("MetaFetcher keeps an incomplete view apart and forgets nothing then", async () => {
  const inner = new MemoryBucket();
  for (const n of [1, 2]) await put(inner, meta({ n }));
  const bucket = new FaultyBucket(inner);
  const observer = new Recorder();
  const fetcher = new MetaFetcher({ bucket, filters: [], observer });
  bucket.setRules([{
    operations: ["get"],
    name: new RegExp(id(2)),
    fault: { type: "error", kind: "unavailable" },
  }]);
  const first = await fetcher.fetch();
  assert.deepEqual([...first.metas.keys()], [id(1)]);
  assert.deepEqual([...first.failed.keys()], [id(2)]);
  assert.equal(observer.failed, true);
  assert.equal(observer.counts.failed, 1);
  bucket.setRules([]);
  assert.deepEqual([...(await fetcher.fetch()).metas.keys()], [1, 2].map(id));
  assert.equal(observer.failed, false);
});

Deno.test("MetaFetcher treats a meta that vanished since the listing as partial", async () => {
  const inner = new MemoryBucket();
  await put(inner, meta({ n: 1 }));
  const bucket = new FaultyBucket(inner, {
    rules: [{ operations: ["get"], fault: { type: "error", kind: "not_found" } }],
  });
  const result = await new MetaFetcher({ bucket, filters: [] }).fetch();
  assert.deepEqual([...result.partial], [id(1)]);
  assert.equal(result.failed.size, 0);
});

Deno.test("MetaFetcher fails as a whole when the listing fails", async () => {
  const bucket = new FaultyBucket(new MemoryBucket(), {
    rules: [{ operations: ["iter"], fault: { type: "error", kind: "unavailable" } }],
  });
  await assert.rejects(() => new MetaFetcher({ bucket, filters: [] }).fetch(), /injected/);
});

Deno.test("the on-disk meta cache spares reads after a restart", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-block-" });
  try {
    const inner = new MemoryBucket();
    for (const n of [1, 2, 3]) await put(inner, meta({ n }));
    const bucket = new FaultyBucket(inner);
    const start = () =>
      new MetaFetcher({ bucket, filters: [], cache: new MetaCache(files, folder) });
    const expected = (await start().fetch()).metas;
    assert.equal(bucket.count("get"), 3);
    assert.deepEqual((await start().fetch()).metas, expected);
    assert.equal(bucket.count("get"), 3);
    // Damage, and a copy of another version of the object, are misses.
    const path = `${folder}/meta-syncer/metas`;
    const lines = (await Deno.readTextFile(path)).split("\n");
    const torn = lines.map((line) =>
      line.includes(id(1)) ? line.replace('"minTime":', '"minTime":1') : line
    );
    await Deno.writeTextFile(path, torn.join("\n"));
    await put(inner, meta({ n: 2 }));
    assert.deepEqual((await start().fetch()).metas, expected);
    assert.equal(bucket.count("get"), 5);
    for (let cut = 0; cut < lines[0]!.length; cut += 7) {
      await Deno.writeTextFile(path, lines.join("\n").slice(0, -cut - 1));
      assert.deepEqual((await start().fetch()).metas, expected);
    }
    // What left the bucket leaves the cache.
    await deleteBlock(inner, id(3));
    await start().fetch();
    assert.ok(!(await Deno.readTextFile(path)).includes(id(3)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the meta cache uses the files that another program left", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-block-" });
  try {
    const inner = new MemoryBucket();
    for (const n of [1, 2]) await put(inner, meta({ n }));
    for (const n of [1, 2, 3]) {
      await Deno.mkdir(`${folder}/meta-syncer/${id(n)}`, { recursive: true });
      await Deno.writeTextFile(
        `${folder}/meta-syncer/${id(n)}/meta.json`,
        printBlockMeta(meta({ n })),
      );
    }
    await Deno.writeTextFile(`${folder}/meta-syncer/${id(1)}/meta.json`, "{torn");
    await Deno.mkdir(`${folder}/meta-syncer/other`);
    const bucket = new FaultyBucket(inner);
    const cache = new MetaCache(files, folder);
    assert.equal((await new MetaFetcher({ bucket, filters: [], cache }).fetch()).metas.size, 2);
    assert.equal(bucket.count("get"), 1);
    // Blocks that are gone lose their file; what is not ours stays.
    const left = [...Deno.readDirSync(`${folder}/meta-syncer`)].map((e) => e.name).sort();
    assert.deepEqual(left, [id(1), id(2), "metas", "other"].sort());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a meta cache that cannot be written is told once and does not stop the sync", async () => {
  const bucket = new MemoryBucket();
  for (const n of [1, 2, 3]) await put(bucket, meta({ n }));
  const observer = new Recorder();
  const cache = new MetaCache(files, "/dev/null");
  const { metas } = await new MetaFetcher({ bucket, filters: [], cache, observer }).fetch();
  assert.equal(metas.size, 3);
  assert.equal(observer.warnings.filter((w) => w.startsWith("cannot write")).length, 1);
});

/** A block folder with known bytes. */
async function withBlock(run: (folder: string, root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "mneme-block-" });
  try {
    const folder = `${root}/${id(9)}`;
    await Deno.mkdir(`${folder}/chunks`, { recursive: true });
    await Deno.writeTextFile(`${folder}/chunks/000001`, "chunk one");
    await Deno.writeTextFile(`${folder}/chunks/000002`, "chunk two!");
    await Deno.writeTextFile(`${folder}/index`, "the index");
    await Deno.writeTextFile(`${folder}/tombstones`, "local only");
    await Deno.writeTextFile(`${folder}/meta.json`, printBlockMeta(meta({ n: 9 })));
    await run(folder, root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("uploadBlock() sends meta.json last, with sizes, hashes and upload time", async () => {
  await withBlock(async (folder) => {
    const inner = new MemoryBucket();
    const bucket = new FaultyBucket(inner);
    let sent = 0;
    const uploaded = await uploadBlock(bucket, files, folder, {
      hash: "SHA256",
      clock: new FakeClock(NOW),
      verifySizes: true,
      progress: (bytes) => sent += bytes,
    });
    assert.equal(sent, 9 + 10 + 9);
    assert.deepEqual(
      bucket.calls.filter((c) => c.operation === "upload").map((c) => c.name.slice(27)),
      ["chunks/000001", "chunks/000002", "index", "meta.json"],
    );
    assert.equal(await inner.exists(`${id(9)}/tombstones`), false);
    const read = parseBlockMeta(await inner.get(`${id(9)}/meta.json`), "meta.json", id(9));
    assert.deepEqual(read, uploaded);
    assert.equal(read.thanos!.uploadTime, new Date(NOW).toISOString());
    assert.deepEqual(read.thanos!.segmentFiles, ["000001", "000002"]);
    assert.deepEqual(read.thanos!.files.map((f) => [f.relPath, f.sizeBytes]), [
      ["chunks/000001", 9],
      ["chunks/000002", 10],
      ["index", 9],
      ["meta.json", 0],
    ]);
    const digest = new Uint8Array(
      await crypto.subtle.digest("SHA-256", encodeUtf8("the index")),
    );
    assert.deepEqual(read.thanos!.files[2]!.hash, { func: "SHA256", value: digest.toHex() });
    assert.equal(read.thanos!.files[3]!.hash, undefined);
  });
});

Deno.test("an upload that stops anywhere is invisible, and its repetition complete", async () => {
  await withBlock(async (folder) => {
    for (let step = 0; step < 4; step++) {
      for (const type of ["error", "error_after"] as const) {
        const inner = new MemoryBucket();
        const bucket = new FaultyBucket(inner, {
          rules: [{
            operations: ["upload"],
            skip: step,
            times: 1,
            fault: { type, kind: "unavailable" },
          }],
        });
        await assert.rejects(() => uploadBlock(bucket, files, folder));
        const complete = (await listBlocks(inner)).get(id(9))?.complete ?? false;
        assert.equal(complete, step === 3 && type === "error_after");
        await uploadBlock(bucket, files, folder);
        assert.equal((await listBlocks(inner)).get(id(9))!.complete, true);
        assert.equal(inner.objectCount, 4);
      }
    }
  });
});

Deno.test("uploadBlock() refuses what is no block or has no external labels", async () => {
  await withBlock(async (folder, root) => {
    const bucket = new MemoryBucket();
    await assert.rejects(() => uploadBlock(bucket, files, root), /its name is no block id/);
    const bare = printBlockMeta(meta({ n: 9, labels: {} }));
    await Deno.writeTextFile(`${folder}/meta.json`, bare);
    await assert.rejects(() => uploadBlock(bucket, files, folder), /no external labels/);
    await uploadBlock(bucket, files, folder, { allowEmptyLabels: true });
    await Deno.writeTextFile(`${folder}/meta.json`, printBlockMeta(meta({ n: 8 })));
    await assert.rejects(() => uploadBlock(bucket, files, folder), /not the name of the directory/);
  });
});

Deno.test("uploadBlock() notices a bucket that keeps less than it was given", async () => {
  await withBlock(async (folder) => {
    const bucket = new MemoryBucket();
    const upload = bucket.upload.bind(bucket);
    bucket.upload = (name, body, options) =>
      upload(
        name,
        body instanceof Uint8Array && name.endsWith("index") ? body.slice(1) : body,
        options,
      );
    await assert.rejects(
      () => uploadBlock(bucket, files, folder, { verifySizes: true }),
      /the bucket holds 8 of 9 bytes/,
    );
    assert.equal((await listBlocks(bucket)).get(id(9))!.complete, false);
  });
});

Deno.test("downloadBlock() brings a block back and keeps files with the right hash", async () => {
  await withBlock(async (folder, root) => {
    const inner = new MemoryBucket();
    await uploadBlock(inner, files, folder, { hash: "SHA256" });
    const bucket = new FaultyBucket(inner);
    const target = `${root}/copy/${id(9)}`;
    await downloadBlock(bucket, files, id(9), target);
    for (const name of ["chunks/000001", "chunks/000002", "index"]) {
      assert.deepEqual(
        await Deno.readFile(`${target}/${name}`),
        await Deno.readFile(`${folder}/${name}`),
      );
    }
    assert.deepEqual(
      await Deno.readFile(`${target}/meta.json`),
      await inner.get(`${id(9)}/meta.json`),
    );
    await Deno.writeTextFile(`${target}/index`, "THE INDEX");
    const before = bucket.count("get");
    await downloadBlock(bucket, files, id(9), target);
    assert.equal(bucket.count("get") - before, 2); // meta.json, and the index that had changed.
    assert.equal(await Deno.readTextFile(`${target}/index`), "the index");
  });
});

Deno.test("downloadBlock() leaves nothing behind when it fails", async () => {
  await withBlock(async (folder, root) => {
    const inner = new MemoryBucket();
    await uploadBlock(inner, files, folder);
    const target = `${root}/copy/${id(9)}`;
    const rules = [
      { fault: { type: "error", kind: "unavailable" }, name: /000002/ },
      { fault: { type: "short", share: 0.5 }, name: /index/ },
      { fault: { type: "error", kind: "not_found" }, name: /meta.json/ },
    ] as const;
    for (const rule of rules) {
      const bucket = new FaultyBucket(inner, { rules: [rule] });
      await assert.rejects(() => downloadBlock(bucket, files, id(9), target));
      const left: string[] = [];
      for (const dir of [target, `${target}/chunks`]) {
        if (files.stat(dir) === undefined) continue;
        left.push(...files.list(dir).filter((e) => !e.isDirectory).map((e) => e.name));
      }
      assert.deepEqual(left, []);
    }
  });
});

Deno.test("deleteBlock() removes meta.json first and the mark last, from any interruption", async () => {
  const setUp = async (): Promise<MemoryBucket> => {
    const inner = new MemoryBucket();
    await put(inner, meta({ n: 1 }));
    await put(inner, meta({ n: 2 }));
    await inner.upload(`${id(1)}/extra/file`, new Uint8Array(1));
    await writeMark(inner, { ulid: id(1), time: 0, details: "", reason: "" }, DELETION_MARK_FILE);
    return inner;
  };
  const bucket = new FaultyBucket(await setUp());
  await deleteBlock(bucket, id(1));
  const order = bucket.calls.filter((c) => c.operation === "delete").map((c) => c.name.slice(27));
  assert.deepEqual(order, [
    "meta.json",
    "chunks/000001",
    "extra/file",
    "index",
    "deletion-mark.json",
  ]);
  for (let step = 0; step < order.length; step++) {
    const inner = await setUp();
    const broken = new FaultyBucket(inner, {
      rules: [{
        operations: ["delete"],
        skip: step,
        times: 1,
        fault: { type: "error", kind: "unavailable" },
      }],
    });
    await assert.rejects(() => deleteBlock(broken, id(1)));
    const left = (await listBlocks(inner)).get(id(1))!;
    assert.equal(left.complete, step === 0);
    assert.equal(left.marks.has(DELETION_MARK_FILE), true);
    await deleteBlock(broken, id(1));
    assert.deepEqual([...(await listBlocks(inner)).keys()], [id(2)]);
  }
  await assert.rejects(
    () => deleteBlock(bucket, ".."),
    (e: unknown) => errorKind(e) === "bad_data",
  );
});

Deno.test("fetcherMetrics() shows every state and counts failed syncs", async () => {
  const metrics = new Metrics();
  const observer = fetcherMetrics({ metrics, logger: silentLogger });
  const inner = new MemoryBucket();
  for (const n of [1, 2]) await put(inner, meta({ n }));
  await inner.upload(`${id(3)}/index`, new Uint8Array(1));
  const bucket = new FaultyBucket(inner);
  const fetcher = new MetaFetcher({ bucket, filters: [new DuplicateFilter()], observer });
  await fetcher.fetch();
  bucket.setRules([{ fault: { type: "error", kind: "unavailable" }, operations: ["iter"] }]);
  await assert.rejects(() => fetcher.fetch());
  bucket.setRules([]);
  await fetcher.fetch();
  const text = await metrics.expose();
  for (
    const line of [
      'thanos_blocks_meta_synced{state="loaded"} 2',
      'thanos_blocks_meta_synced{state="no-meta-json"} 1',
      'thanos_blocks_meta_synced{state="too-fresh"} 0',
      "thanos_blocks_meta_syncs_total 3",
      "thanos_blocks_meta_sync_failures_total 1",
      "thanos_blocks_meta_sync_duration_seconds_count 3",
      "thanos_blocks_meta_base_cache_busts_total 0",
      'thanos_blocks_meta_modified{modified="replica-label-removed"} 0',
    ]
  ) assert.ok(text.includes(`${line}\n`), line);
});
