import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { FakeClock, MnemeError } from "../base/mod.ts";
import { type Labels, labelsFromRecord, labelsToRecord } from "../model/mod.ts";
import { type Bucket, MemoryBucket } from "../objstore/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import {
  type BlockMeta,
  externalLabelsOf,
  parseBlockMeta,
  printBlockMeta,
  SystemFiles,
} from "../tsdb/mod.ts";
import { smallSeries, writeSmallBlock } from "../tsdb/testing/small_block.ts";
import { Shipper, type ShipperProgress, type ShipperSettings } from "./shipper.ts";

const files = new SystemFiles();
const A = "01HF7YAT00E328S0K6HPCEAA7A";
const B = "01HF7YAT00E328S0K6HPCEAA7B";
const C = "01HF7YAT00E328S0K6HPCEAA7C";
const HOURS = 3_600_000;
const signal = new AbortController().signal;
const EXTERNAL = labelsFromRecord({ cluster: "eu1", replica: "0" });

/** A folder as Prometheus leaves it, gone at the end. */
class DataFolder implements Disposable {
  readonly path = mkdtempSync(`${tmpdir()}/mneme-shipper-`);
  block(ulid: string, change: (meta: BlockMeta) => BlockMeta = (meta) => meta): void {
    const directory = `${this.path}/${ulid}`;
    const meta = writeSmallBlock(files, this.path, smallSeries(), { ulid, segmentSize: 700 });
    writeFileSync(`${directory}/meta.json`, printBlockMeta(change(meta)));
  }
  get memory(): unknown {
    return JSON.parse(readFileSync(`${this.path}/thanos.shipper.json`, "utf8")).uploaded;
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

/** Places a block `n` times two hours later. */
function later(n: number) {
  return (meta: BlockMeta): BlockMeta => ({
    ...meta,
    minTime: meta.minTime + 2 * HOURS * n,
    maxTime: meta.maxTime + 2 * HOURS * n,
  });
}

function compacted(meta: BlockMeta): BlockMeta {
  return { ...meta, compaction: { ...meta.compaction, level: 2 } };
}

function shipperOf(
  folder: DataFolder,
  bucket: Bucket,
  settings: Partial<ShipperSettings> = {},
  externalLabels: Labels = EXTERNAL,
) {
  const counts: Record<string, number> = {};
  const counter = (name: string) => ({
    inc: (by = 1) => void (counts[name] = (counts[name] ?? 0) + by),
    set: (x: number) => void (counts[name] = x),
  });
  const progress: ShipperProgress[] = [];
  const shipper = new Shipper({
    folder: folder.path,
    metaFileName: "thanos.shipper.json",
    uploadCompacted: false,
    allowOutOfOrder: false,
    skipCorrupted: false,
    hash: "SHA256",
    concurrency: 0,
    source: "sidecar",
    ...settings,
  }, {
    bucket,
    files,
    externalLabels: () => externalLabels,
    clock: new FakeClock(Date.parse("2026-01-02T03:04:05Z")),
    log: () => {},
    progress: (p) => void progress.push(p),
    metrics: {
      dirSyncs: counter("syncs"),
      dirSyncFailures: counter("failures"),
      uploads: counter("uploads"),
      uploadFailures: counter("uploadFailures"),
      corruptedBlocks: counter("corrupted"),
      uploadedCompacted: counter("done"),
      uploadedBytes: counter("bytes"),
      pendingBlocks: counter("pending"),
    },
  });
  return { shipper, counts, progress };
}

async function objects(bucket: Bucket): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { name } of bucket.iter("", { recursive: true })) {
    const bytes = await bucket.get(name);
    found.set(name, new TextDecoder("latin1").decode(bytes));
  }
  return found;
}

function metaIn(all: Map<string, string>, ulid: string): BlockMeta {
  return parseBlockMeta(new TextEncoder().encode(all.get(`${ulid}/meta.json`)!), ulid, ulid);
}

function blocksIn(all: Map<string, string>): string[] {
  return [...all.keys()].filter((n) => n.endsWith("/meta.json")).map((n) => n.slice(0, 26)).sort();
}

Deno.test("sync() uploads oldest first, meta.json last, with the external labels of the moment", async () => {
  using folder = new DataFolder();
  folder.block(A, later(2));
  folder.block(B, later(1));
  folder.block(C, (meta) => ({
    ...later(3)(meta),
    thanos: undefined!,
  }));
  const bucket = new FaultyBucket(new MemoryBucket());
  const { shipper, counts, progress } = shipperOf(folder, bucket);
  assert.deepEqual(await shipper.sync(signal), { uploaded: 3, errors: [] });

  const uploads = bucket.calls.filter((c) => c.operation === "upload").map((c) => c.name);
  const segments = readdirSync(`${folder.path}/${A}/chunks`).sort();
  assert.ok(segments.length > 1);
  const expected = [B, A, C].flatMap((ulid) => [
    ...segments.map((name) => `${ulid}/chunks/${name}`),
    `${ulid}/index`,
    `${ulid}/meta.json`,
  ]);
  assert.deepEqual(uploads, expected);

  const all = await objects(bucket);
  const meta = metaIn(all, A);
  assert.deepEqual({ ...labelsToRecord(externalLabelsOf(meta)) }, { cluster: "eu1", replica: "0" });
  assert.equal(meta.thanos!.source, "sidecar");
  assert.equal(meta.thanos!.resolution, 0);
  assert.deepEqual(meta.thanos!.segmentFiles, segments);
  assert.equal(Date.parse(meta.thanos!.uploadTime!), Date.parse("2026-01-02T03:04:05Z"));
  for (const file of meta.thanos!.files!) {
    if (file.relPath === "meta.json") assert.equal(file.sizeBytes, 0);
    else {
      assert.equal(file.sizeBytes, all.get(`${A}/${file.relPath}`)!.length);
      assert.equal(file.hash?.func, "SHA256");
    }
  }
  assert.equal(
    all.get(`${A}/index`),
    new TextDecoder("latin1").decode(readFileSync(`${folder.path}/${A}/index`)),
  );
  // The local block is as it was, nothing is left of the staging, and the memory is ordered.
  assert.ok(!readFileSync(`${folder.path}/${A}/meta.json`, "utf8").includes("eu1"));
  assert.deepEqual(readdirSync(`${folder.path}/thanos/upload`), []);
  assert.deepEqual(folder.memory, [B, A, C]);
  assert.equal(counts.pending, 0);
  assert.equal(counts.uploads, 3);
  const last = progress.at(-1)!;
  assert.deepEqual([last.block, last.blocks, last.bytes], [3, 3, last.totalBytes]);
  assert.equal(counts.bytes, 3 * last.totalBytes);

  // A second pass does nothing.
  const before = bucket.calls.length;
  assert.deepEqual(await shipper.sync(signal), { uploaded: 0, errors: [] });
  assert.equal(bucket.calls.length, before);
});

Deno.test("sync() after an interruption at any step gives the same objects and no second block", async () => {
  using reference = new DataFolder();
  reference.block(A);
  reference.block(B, later(1));
  const clean = new MemoryBucket();
  await shipperOf(reference, clean).shipper.sync(signal);
  const wanted = await objects(clean);
  const steps = wanted.size;

  for (const type of ["error", "error_after"] as const) {
    for (let step = 0; step < steps; step++) {
      using folder = new DataFolder();
      folder.block(A);
      folder.block(B, later(1));
      const bucket = new FaultyBucket(new MemoryBucket());
      bucket.setRules([{
        fault: { type, kind: "unavailable" },
        operations: ["upload"],
        skip: step,
        times: 1,
      }]);
      const first = await shipperOf(folder, bucket).shipper.sync(signal);
      assert.equal(first.errors.length, 1, `${type} at ${step}`);
      // What is visible is whole.
      const seen = await objects(bucket);
      for (const ulid of blocksIn(seen)) {
        for (const name of [...wanted.keys()].filter((n) => n.startsWith(ulid))) {
          assert.equal(seen.get(name), wanted.get(name));
        }
      }
      // A new process, with leftovers of the old one.
      files.mkdir(`${folder.path}/thanos/upload/${A}/chunks`);
      writeFileSync(`${folder.path}/thanos/upload/${A}/chunks/000009`, "left over");
      const second = await shipperOf(folder, bucket).shipper.sync(signal);
      assert.deepEqual(second.errors, []);
      assert.deepEqual(await objects(bucket), wanted, `${type} at ${step}`);
      assert.deepEqual(folder.memory, [A, B]);
      assert.ok(!existsSync(`${folder.path}/thanos/upload/${A}`));
    }
  }
});

Deno.test("sync() asks the bucket when its memory is missing or garbage", async () => {
  using folder = new DataFolder();
  folder.block(A);
  const bucket = new FaultyBucket(new MemoryBucket());
  await shipperOf(folder, bucket).shipper.sync(signal);
  const uploads = bucket.count("upload");
  for (const text of ["", "{", "[]", '{"version":2,"uploaded":[]}', '{"version":1,"uploaded":7}']) {
    writeFileSync(`${folder.path}/thanos.shipper.json`, text);
    assert.deepEqual(await shipperOf(folder, bucket).shipper.sync(signal), {
      uploaded: 0,
      errors: [],
    });
    assert.deepEqual(folder.memory, [A], text);
  }
  rmSync(`${folder.path}/thanos.shipper.json`);
  await shipperOf(folder, bucket).shipper.sync(signal);
  assert.equal(
    readFileSync(`${folder.path}/thanos.shipper.json`, "utf8"),
    `{\n\t"version": 1,\n\t"uploaded": [\n\t\t"${A}"\n\t]\n}\n`,
  );
  assert.equal(bucket.count("upload"), uploads);
  assert.ok(!existsSync(`${folder.path}/thanos.shipper.json.tmp`));
});

Deno.test("sync() forgets blocks that Prometheus deleted", async () => {
  using folder = new DataFolder();
  folder.block(A);
  folder.block(B, later(1));
  const bucket = new MemoryBucket();
  const { shipper } = shipperOf(folder, bucket);
  await shipper.sync(signal);
  rmSync(`${folder.path}/${A}`, { recursive: true });
  await shipper.sync(signal);
  assert.deepEqual(folder.memory, [B]);
  assert.deepEqual(blocksIn(await objects(bucket)), [A, B]);
});

Deno.test("sync() passes over what is no readable block and ships the rest", async () => {
  const spoil: Record<string, (path: string) => void> = {
    "no meta": (path) => rmSync(`${path}/meta.json`),
    "garbage meta": (path) => writeFileSync(`${path}/meta.json`, "{]"),
    "empty segment": (path) => writeFileSync(`${path}/chunks/000001`, ""),
    "wrong segment": (path) => writeFileSync(`${path}/chunks/000001`, "no segment at all"),
    "cut index": (path) =>
      writeFileSync(`${path}/index`, readFileSync(`${path}/index`).subarray(0, -9)),
  };
  for (const [what, damage] of Object.entries(spoil)) {
    using folder = new DataFolder();
    folder.block(A);
    folder.block(B, later(1));
    damage(`${folder.path}/${A}`);
    const bucket = new MemoryBucket();
    const { shipper, counts } = shipperOf(folder, bucket, { uploadCompacted: true });
    const { uploaded, errors } = await shipper.sync(signal);
    assert.equal(uploaded, 1, what);
    assert.equal(errors.length, 1, what);
    assert.match(errors[0]!.message, new RegExp(A), what);
    assert.deepEqual([counts.corrupted, counts.failures, counts.done], [1, 1, 0], what);
    assert.deepEqual(blocksIn(await objects(bucket)), [B], what);
    assert.deepEqual(folder.memory, [B], what);
  }
});

Deno.test("sync() leaves out empty blocks and, unless told, compacted ones", async () => {
  using folder = new DataFolder();
  folder.block(A, (meta) => ({ ...meta, stats: { ...meta.stats, numSamples: 0 } }));
  folder.block(B, (meta) => compacted(later(1)(meta)));
  folder.block(C, later(2));
  const bucket = new MemoryBucket();
  assert.equal((await shipperOf(folder, bucket).shipper.sync(signal)).uploaded, 1);
  assert.deepEqual(folder.memory, [C]);
  const { shipper, counts } = shipperOf(folder, bucket, { uploadCompacted: true });
  assert.equal((await shipper.sync(signal)).uploaded, 1);
  assert.deepEqual(folder.memory, [B, C]);
  assert.equal(counts.done, 1);
});

Deno.test("sync() refuses compacted blocks that overlap the bucket's, by exact labels", async () => {
  using folder = new DataFolder();
  folder.block(A);
  const bucket = new MemoryBucket();
  await shipperOf(folder, bucket).shipper.sync(signal);
  rmSync(`${folder.path}/${A}`, { recursive: true });
  folder.block(B, compacted);

  const compact = { uploadCompacted: true };
  const refused = await shipperOf(folder, bucket, compact).shipper.sync(signal);
  assert.equal(refused.uploaded, 0);
  assert.match(refused.errors[0]!.message, new RegExp(`overlap spotted with block ${A}`));

  // Another replica's data are no overlap, and neither is checked with out-of-order uploads.
  const other = labelsFromRecord({ cluster: "eu1", replica: "1" });
  assert.equal((await shipperOf(folder, bucket, compact, other).shipper.sync(signal)).uploaded, 1);
  using again = new DataFolder();
  again.block(C, compacted);
  const forced = { ...compact, allowOutOfOrder: true };
  assert.equal((await shipperOf(again, bucket, forced).shipper.sync(signal)).uploaded, 1);
});

Deno.test("sync() of two replicas into one bucket does not collide", async () => {
  using first = new DataFolder();
  using second = new DataFolder();
  first.block(A);
  second.block(B);
  const bucket = new MemoryBucket();
  const replica = (r: string) => labelsFromRecord({ cluster: "us1", replica: r });
  const results = await Promise.all([
    shipperOf(first, bucket, {}, replica("0")).shipper.sync(signal),
    shipperOf(second, bucket, {}, replica("1")).shipper.sync(signal),
  ]);
  assert.deepEqual(results.map((r) => r.uploaded), [1, 1]);
  const all = await objects(bucket);
  const labels = [A, B].map((u) => labelsToRecord(externalLabelsOf(metaIn(all, u))).replica);
  assert.deepEqual(labels, ["0", "1"]);
});

Deno.test("sync() finishes a block that Prometheus deletes during its upload", async () => {
  using folder = new DataFolder();
  folder.block(A);
  const inner = new MemoryBucket();
  const bucket = new Proxy(inner, {
    get(target, name) {
      if (name === "upload") {
        return async (...args: Parameters<Bucket["upload"]>) => {
          rmSync(`${folder.path}/${A}`, { recursive: true, force: true });
          await target.upload(...args);
        };
      }
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  assert.deepEqual(await shipperOf(folder, bucket).shipper.sync(signal), {
    uploaded: 1,
    errors: [],
  });
  const all = await objects(inner);
  assert.ok(all.has(`${A}/index`) && all.has(`${A}/meta.json`));
});

Deno.test("sync() waits out a bucket that is away, then ships everything once and in order", async () => {
  using folder = new DataFolder();
  for (const [i, ulid] of [A, B, C].entries()) folder.block(ulid, later(i));
  const bucket = new FaultyBucket(new MemoryBucket());
  bucket.setRules([{ fault: { type: "error", kind: "unavailable" } }]);
  const { shipper, counts } = shipperOf(folder, bucket);
  for (let i = 0; i < 3; i++) assert.equal((await shipper.sync(signal)).uploaded, 0);
  assert.equal(counts.uploadFailures, 3);
  assert.equal(counts.pending, 3);
  bucket.setRules([]);
  assert.equal((await shipper.sync(signal)).uploaded, 3);
  const metas = bucket.calls.filter((c) => c.operation === "upload" && c.name.endsWith(".json"));
  assert.deepEqual(metas.map((c) => c.name.slice(0, 26)), [A, B, C]);
});

Deno.test("sync() refuses to ship without external labels", async () => {
  using folder = new DataFolder();
  folder.block(A);
  const bucket = new MemoryBucket();
  const { shipper } = shipperOf(folder, bucket, {}, labelsFromRecord({}));
  const { errors } = await shipper.sync(signal);
  assert.match(errors[0]!.message, /empty external labels are not allowed/);
  assert.equal(bucket.objectCount, 0);
});

Deno.test("sync() stops when it is aborted", async () => {
  using folder = new DataFolder();
  folder.block(A);
  const stop = new AbortController();
  const bucket = new FaultyBucket(new MemoryBucket(), {
    rules: [{ fault: { type: "stall" }, operations: ["upload"] }],
  });
  const { shipper } = shipperOf(folder, bucket);
  const running = shipper.sync(stop.signal);
  stop.abort();
  await assert.rejects(running, (e) => e instanceof MnemeError || e instanceof DOMException);
  assert.ok(!existsSync(`${folder.path}/thanos/upload/${A}`));
});
