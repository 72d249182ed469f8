import { strict as assert } from "node:assert";
import { errorKind, FakeClock } from "../base/mod.ts";
import { MemoryBucket } from "../objstore/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import { floatSeries } from "../storeapi/testing/fixtures.ts";
import { type Files, INDEX_HEADER_FILE, type WriteFile } from "../tsdb/mod.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { type HeaderObserver, HeaderPool, type HeaderPoolOptions } from "./header_pool.ts";
import { addBlock, blockId } from "./testing/small_bucket.ts";

const T0 = 1_790_208_000_000;

class Recorder implements HeaderObserver {
  builds = 0;
  loads = 0;
  failures = 0;
  unloads = 0;
  readonly warnings: string[] = [];
  built(): void {
    this.builds++;
  }
  loaded(): void {
    this.loads++;
  }
  loadFailed(): void {
    this.failures++;
  }
  unloaded(): void {
    this.unloads++;
  }
  warn(message: string): void {
    this.warnings.push(message);
  }
}

interface Stage {
  readonly inner: MemoryBucket;
  readonly bucket: FaultyBucket;
  readonly files: MemoryFiles;
  readonly observer: Recorder;
  readonly clock: FakeClock;
  pool(options?: Partial<HeaderPoolOptions>): HeaderPool;
}
async function stage(blocks = 1): Promise<Stage> {
  const inner = new MemoryBucket();
  for (let n = 1; n <= blocks; n++) {
    // Values of one length, so that headers of all blocks have the same size.
    const series = [floatSeries({ __name__: "m", value: `v${n}` }, T0, 5)];
    await addBlock(inner, { id: blockId(n), series });
  }
  const bucket = new FaultyBucket(inner);
  const files = new MemoryFiles();
  const observer = new Recorder();
  const clock = new FakeClock(T0);
  const pool = (options: Partial<HeaderPoolOptions> = {}) =>
    new HeaderPool({ bucket, files, dataDirectory: "/data", clock, observer, ...options });
  return { inner, bucket, files, observer, clock, pool };
}
const index = (n: number, indexSize = 0) => ({ ulid: blockId(n), indexSize });
const path = (n: number) => `/data/${blockId(n)}/${INDEX_HEADER_FILE}`;

Deno.test("HeaderPool builds a header once, for all that ask at the same time", async () => {
  const { bucket, files, observer, pool } = await stage();
  const headers = pool();
  const all = await Promise.all([1, 2, 3].map(() => headers.acquire(index(1))));
  assert.equal(observer.builds, 1);
  assert.deepEqual(all[0]!.tables.labelValues("value"), ["v1"]);
  const { size } = await bucket.attributes(`${blockId(1)}/index`);
  assert.equal(all[0]!.indexSize, size);
  assert.deepEqual([...files.content.keys()], [path(1)]);
  all.forEach((header) => header.release());
  assert.equal(headers.openCount, 1);
  headers.close();
  assert.equal(headers.openCount, 0);
  assert.equal(observer.unloads, 1);
});

Deno.test("HeaderPool uses the header on the disk after one look at the index's end", async () => {
  const { bucket, observer, pool } = await stage();
  (await pool().acquire(index(1))).release();
  const before = bucket.calls.length;
  const again = pool();
  (await again.acquire(index(1))).release();
  assert.equal(observer.builds, 1);
  assert.equal(bucket.calls.length - before, 1);
  // Once known to fit, it is opened again without any request.
  again.close();
  (await again.acquire(index(1))).release();
  assert.equal(bucket.calls.length - before, 1);
});

Deno.test("HeaderPool builds anew what is broken, torn, empty or of another block", async () => {
  const { files, observer, pool } = await stage(2);
  for (const n of [1, 2]) (await pool().acquire(index(n))).release();
  const good = files.content.get(path(1))!.slice();
  assert.equal(good.length, files.content.get(path(2))!.length);
  const flipped = good.slice();
  flipped[20]! ^= 1;
  const bad = [
    flipped,
    good.slice(0, good.length - 1),
    new Uint8Array(0),
    files.content.get(path(2))!.slice(),
  ];
  for (const bytes of bad) {
    files.content.set(path(1), bytes.slice());
    const { builds } = observer;
    const warnings = observer.warnings.length;
    const header = await pool().acquire(index(1));
    assert.deepEqual(header.tables.labelValues("value"), ["v1"]);
    header.release();
    assert.equal(observer.builds, builds + 1);
    assert.equal(observer.warnings.length, warnings + 1);
    assert.deepEqual(files.content.get(path(1)), good);
  }
});

Deno.test("HeaderPool works from memory when the disk refuses, and tries the disk again", async () => {
  const { files, observer, pool } = await stage(3);
  let full = true;
  const refusing: Files = {
    open: (name) => files.open(name),
    append: (name) => files.append(name),
    rename: (from, to) => files.rename(from, to),
    mkdir: (name) => files.mkdir(name),
    remove: (name) => files.remove(name),
    list: (name) => files.list(name),
    stat: (name) => files.stat(name),
    syncDirectory: (name) => files.syncDirectory(name),
    create: (name): WriteFile => {
      const file = files.create(name);
      return {
        path: name,
        size: 0,
        append(bytes) {
          if (full) throw new Error("no space left on device");
          file.append(bytes);
        },
        sync: () => file.sync(),
        close: () => file.close(),
      };
    },
  };
  const headers = pool({ files: refusing });
  for (const n of [1, 2]) {
    const header = await headers.acquire(index(n));
    assert.deepEqual(header.tables.labelValues("value"), [`v${n}`]);
    header.release();
  }
  assert.deepEqual(observer.warnings, [
    "cannot keep index headers on disk; keeping them in memory",
  ]);
  assert.deepEqual([...files.content.keys()], []);
  full = false;
  headers.closeIdle(1e9);
  (await headers.acquire(index(3))).release();
  assert.deepEqual([...files.content.keys()], [path(3)]);
});

Deno.test("HeaderPool does not take a failing bucket for a failing disk", async () => {
  const { bucket, files, observer, pool } = await stage();
  bucket.setRules([{ operations: ["get_range"], fault: { type: "error", kind: "unavailable" } }]);
  const headers = pool();
  await assert.rejects(
    () => headers.acquire(index(1)),
    (e: unknown) => errorKind(e) === "unavailable",
  );
  assert.deepEqual(observer.warnings, []);
  assert.equal(observer.failures, 1);
  assert.deepEqual([...files.content.keys()], []);
  // An outage is not remembered.
  bucket.setRules([]);
  (await headers.acquire(index(1))).release();
});

Deno.test("HeaderPool asks the bucket when meta.json tells a wrong size", async () => {
  const { bucket, observer, pool } = await stage();
  const { size } = await bucket.attributes(`${blockId(1)}/index`);
  for (const told of [size - 1, size + 100, 5]) {
    const header = await pool({ dataDirectory: `/data${told}` }).acquire(index(1, told));
    assert.equal(header.indexSize, size);
    header.release();
  }
  const before = bucket.count("attributes");
  (await pool({ dataDirectory: "/right" }).acquire(index(1, size))).release();
  assert.equal(bucket.count("attributes"), before);
  assert.equal(observer.failures, 0);
});

Deno.test("HeaderPool waits longer and longer before it looks at a broken index again", async () => {
  const { inner, bucket, clock, pool } = await stage();
  const object = `${blockId(1)}/index`;
  const good = await inner.get(object);
  await inner.upload(object, good.slice(0, 10));
  const headers = pool();
  const attempts: number[] = [];
  for (let minute = 0; minute < 30; minute++) {
    const before = bucket.calls.length;
    await assert.rejects(
      () => headers.acquire(index(1)),
      (e: unknown) => errorKind(e) === "corruption" && (e as Error).message.includes(object),
    );
    if (bucket.calls.length > before) attempts.push(minute);
    await clock.advance(60_000);
  }
  assert.deepEqual(attempts.slice(0, 3), [0, 1, 2]);
  assert.ok(attempts.length < 12, `${attempts}`);
  const pauses = attempts.map((m, i) => m - (attempts[i - 1] ?? 0));
  assert.equal(Math.max(...pauses), 5);
  await inner.upload(object, good);
  await clock.advance(5 * 60_000);
  (await headers.acquire(index(1))).release();
});

Deno.test("HeaderPool closes what nobody uses: the oldest beyond the budget, the idle in time", async () => {
  const { clock, pool } = await stage(6);
  const headers = pool({ budget: 3 * 34_000 });
  const held = await headers.acquire(index(1));
  for (const n of [2, 3, 4, 5, 6]) (await headers.acquire(index(n))).release();
  assert.ok(headers.openCount <= 3, `${headers.openCount} are open`);
  // One in use stays whatever its age.
  assert.deepEqual(held.tables.labelValues("value"), ["v1"]);
  await clock.advance(60_000);
  (await headers.acquire(index(6))).release();
  headers.closeIdle(30_000);
  assert.equal(headers.openCount, 2);
  held.release();
  await clock.advance(60_000);
  headers.closeIdle(30_000);
  assert.equal(headers.openCount, 0);
});

Deno.test("HeaderPool drops a block's header and file; its users keep theirs to the end", async () => {
  const { files, observer, pool } = await stage(2);
  const headers = pool();
  const held = await headers.acquire(index(1));
  headers.drop(blockId(1));
  assert.deepEqual([...files.content.keys()], []);
  assert.deepEqual(held.tables.labelValues("value"), ["v1"]);
  assert.equal(observer.unloads, 0);
  held.release();
  held.release();
  assert.equal(observer.unloads, 1);
});

Deno.test("HeaderPool removes leftovers of blocks that are gone, and nothing else", async () => {
  const { files, pool } = await stage(3);
  const headers = pool();
  for (const n of [1, 2, 3]) (await headers.acquire(index(n))).release();
  files.create("/data/meta-syncer/x/meta.json");
  files.create("/data/other/file");
  headers.removeLeftovers(new Set([blockId(2)]));
  assert.deepEqual(
    [...files.content.keys()].sort(),
    [
      path(2),
      "/data/meta-syncer/x/meta.json",
      "/data/other/file",
    ].sort(),
  );
});

Deno.test("HeaderPool reads both ends of a remote index at once, and builds the same header", async () => {
  for (const [count, most] of [[3, 1], [1500, 2], [20_000, 4]] as const) {
    const inner = new MemoryBucket();
    const series = Array.from(
      { length: count },
      (_, i) => floatSeries({ __name__: "m", value: `some-longer-value-${i * 7919}` }, T0, 1),
    );
    await addBlock(inner, { id: blockId(1), series });
    const headerOf = async (bucket: FaultyBucket) => {
      const files = new MemoryFiles();
      const pool = new HeaderPool({ bucket, files, dataDirectory: "/data" });
      (await pool.acquire(index(1, (await inner.attributes(`${blockId(1)}/index`)).size)))
        .release();
      pool.close();
      return files.content.get(path(1))!;
    };
    const local = await headerOf(new FaultyBucket(inner));
    const remote = new FaultyBucket(inner);
    Object.defineProperty(remote, "provider", { value: "S3" });
    assert.deepEqual(await headerOf(remote), local);
    assert.ok(remote.count("get_range") <= most, `${count}: ${remote.count("get_range")} requests`);
  }
});
