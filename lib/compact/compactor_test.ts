/** The compactor over a bucket in memory, with a clock that stands still and faults on purpose. */
import assert from "node:assert/strict";
import { encodeUtf8, FakeClock, MnemeError } from "../base/mod.ts";
import {
  DELETION_MARK_FILE,
  NO_COMPACT_MANUAL,
  NO_COMPACT_MARK_FILE,
  QUARANTINE_MARK_FILE,
  readMark,
  uploadBlock,
  writeMark,
} from "../block/mod.ts";
import { dropLabels, labelsFromRecord } from "../model/mod.ts";
import { type Bucket, MemoryBucket, type UploadOptions } from "../objstore/mod.ts";
import { type FaultRule, FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import { makeThanosMeta, printBlockMeta } from "../tsdb/mod.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { compactorNotes, DEFAULT_COMPACTOR_OPTIONS } from "./mod.ts";
import type { CompactorOptions } from "./options.ts";
import {
  blocksOf,
  HOUR,
  nextUlid,
  objectsOf,
  putBlock,
  putTwoHours,
  samplesOf,
  shapeOf,
  START,
} from "./testing/blocks.ts";
import { makeCompactor } from "./testing/compactor_fixture.ts";
import { chunkOf, writeWildBlock } from "./testing/wild_block.ts";

const NOW = START + 1000 * HOUR;

function setUp(options: Partial<CompactorOptions> = {}, rules: readonly FaultRule[] = []) {
  const clock = new FakeClock(NOW);
  const inner = new MemoryBucket({ clock });
  const bucket = new FaultyBucket(inner, { clock, rules });
  const files = new MemoryFiles();
  files.mkdir("/data");
  const start = (more: Partial<CompactorOptions> = {}, over: Bucket = bucket) =>
    makeCompactor({
      bucket: over,
      files,
      dataDirectory: "/data",
      clock,
      seed: clock.now() % 1000 + bucket.calls.length + 1,
      options: { deleteDelay: 48 * HOUR, ...options, ...more },
    });
  return { clock, inner, bucket, files, start, ...start() };
}

/** Uploads a block's meta.json again with changes. */
async function rewriteMeta(bucket: Bucket, ulid: string, text: string): Promise<void> {
  await bucket.upload(`${ulid}/meta.json`, encodeUtf8(text));
}

Deno.test("iterate() compacts, marks the sources, and has nothing left to do", async () => {
  const { bucket, compactor, value, clock, inner } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  const before = await samplesOf(bucket);
  const report = await compactor.iterate();
  assert.deepEqual(report.errors, []);
  assert.equal(report.compactions, 1);
  assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"]);
  assert.deepEqual(await samplesOf(bucket), before);
  const made = [...(await blocksOf(bucket)).values()].find((b) => b.meta.compaction.level === 2)!;
  assert.deepEqual(made.meta.compaction.sources, metas.slice(0, 4).map((m) => m.ulid).sort());
  assert.deepEqual(
    made.meta.compaction.parents.map((p) => p.ulid),
    metas.slice(0, 4).map((m) => m.ulid),
  );
  assert.equal(made.meta.thanos!.source, "compactor");
  assert.deepEqual(made.meta.thanos!.files.map((f) => f.relPath), [
    "chunks/000001",
    "index",
    "meta.json",
  ]);
  const mark = await readMark(bucket, metas[0]!.ulid, DELETION_MARK_FILE);
  assert.equal(mark!.details, "source of compacted block");
  assert.equal(await value('thanos_compact_group_compactions_total{resolution="0"}'), 1);
  assert.equal(
    await value('thanos_compact_group_compaction_runs_started_total{resolution="0"}'),
    2,
  );
  assert.equal(
    await value('thanos_compact_group_compaction_runs_completed_total{resolution="0"}'),
    2,
  );
  assert.equal(await value("thanos_compact_garbage_collected_blocks_total"), 4);
  assert.equal(await value("thanos_compact_halted"), 0);
  // The next iterations write nothing; after the delay the sources go.
  const objects = await objectsOf(inner);
  assert.equal((await compactor.iterate()).compactions, 0);
  assert.deepEqual(await objectsOf(inner), objects);
  await clock.advance(48 * HOUR);
  await compactor.iterate();
  assert.equal((await blocksOf(bucket)).size, 6);
  await clock.advance(1000);
  await compactor.iterate();
  assert.equal((await blocksOf(bucket)).size, 2);
  assert.equal(await value("thanos_compact_blocks_cleaned_total"), 4);
  assert.deepEqual(await samplesOf(bucket), before);
});

Deno.test("plans that follow from each other make one block with the level of all steps", async () => {
  const { bucket, compactor, value } = setUp();
  await putTwoHours(bucket, Array.from({ length: 26 }, (_, i) => i * 2));
  const before = await samplesOf(bucket);
  await compactor.iterate();
  assert.deepEqual(await shapeOf(bucket), ["0-48 L3", "48-50 L1", "50-52 L1"]);
  assert.equal(await value('thanos_compact_group_compactions_total{resolution="0"}'), 1);
  assert.deepEqual(await samplesOf(bucket), before);
});

Deno.test("CO1: overlapping blocks set their group aside, the others and deletion go on", async () => {
  const { bucket, compactor, value, log, inner } = setUp();
  await putTwoHours(bucket, [0, 2, 4, 6, 8], { labels: { cluster: "good" } });
  const bad = await putTwoHours(bucket, [0, 2, 4], { labels: { cluster: "bad" } });
  await putBlock(bucket, { from: 3, to: 5, labels: { cluster: "bad" } });
  const doomed = await putBlock(bucket, { from: 0, to: 2, labels: { cluster: "old" } });
  await writeMark(
    inner,
    { ulid: doomed.ulid, time: NOW - 49 * HOUR, details: "", reason: "" },
    DELETION_MARK_FILE,
  );
  // The bucket's own time counts, too: the mark was only put there now.
  const report = await compactor.iterate();
  assert.equal((await blocksOf(bucket)).has(doomed.ulid), true);
  assert.equal(report.compactions, 1);
  assert.equal(report.setAside.length, 1);
  const [aside] = report.setAside;
  assert.equal(aside!.reason, "overlap");
  assert.equal(aside!.labels, '{cluster="bad"}');
  assert.equal(aside!.waitingBlocks, 4);
  assert.match(
    aside!.message,
    /^pre compaction overlap check: overlaps found while gathering blocks\. \[mint/,
  );
  assert(aside!.blocks.includes(bad[1]!.ulid));
  assert.equal(await value("thanos_compact_halted"), 1);
  assert.equal(
    await value(`mneme_compact_group_set_aside{group="${aside!.key}",reason="overlap"}`),
    1,
  );
  assert(log.some((line) => line.includes("group is set aside; all others go on")));
  for (const { ulid } of bad) {
    assert.deepEqual((await objectsOf(bucket)).filter((n) => n.startsWith(ulid)).length, 3);
  }
  // Once the overlap is gone, so is the trouble.
  await writeMark(
    inner,
    { ulid: (aside!.blocks.at(-2))!, time: NOW, details: "", reason: "" },
    DELETION_MARK_FILE,
  );
  await compactor.iterate();
  assert.equal(await value("thanos_compact_halted"), 0);
});

Deno.test("CO2: of two blocks with the same sources one is garbage", async () => {
  const { bucket, compactor, value } = setUp();
  const [first] = await putTwoHours(bucket, [0]);
  const before = await samplesOf(bucket);
  const copy = await putBlock(bucket, {
    from: 0,
    to: 2,
    details: { compaction: { sources: [first!.ulid] } },
  });
  await compactor.iterate();
  const mark = await readMark(bucket, copy.ulid, DELETION_MARK_FILE) ??
    await readMark(bucket, first!.ulid, DELETION_MARK_FILE);
  assert.equal(mark!.details, "outdated block");
  assert.deepEqual(await samplesOf(bucket), before);
  assert.equal(await value("thanos_compact_garbage_collected_blocks_total"), 1);
});

Deno.test("CO3: nothing is planned across a block whose meta.json is garbage", async () => {
  const { bucket, compactor, clock } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8, 10, 12, 14, 16]);
  await rewriteMeta(bucket, metas[1]!.ulid, '{"version": 1, "ulid": ');
  const report = await compactor.iterate();
  assert.deepEqual(report.errors, []);
  // The first eight hours are left alone, the next ones are not.
  assert.deepEqual(await shapeOf(bucket), ["0-2 L1", "16-18 L1", "4-6 L1", "6-8 L1", "8-16 L2"]);
  // Restored, it takes part again.
  await clock.advance(1);
  await rewriteMeta(bucket, metas[1]!.ulid, printBlockMeta(metas[1]!));
  await compactor.iterate();
  assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "16-18 L1", "8-16 L2"]);
});

Deno.test("CO4: a block whose meta.json is garbage for long is kept in quarantine", async () => {
  const { bucket, compactor, clock, value } = setUp();
  const metas = await putTwoHours(bucket, [0, 2]);
  await rewriteMeta(bucket, metas[0]!.ulid, "garbage");
  await compactor.iterate();
  assert.equal(await value("mneme_compact_quarantined_blocks"), 1);
  assert.equal(await readMark(bucket, metas[0]!.ulid, QUARANTINE_MARK_FILE), undefined);
  await clock.advance(1000 * HOUR);
  await compactor.iterate();
  await compactor.iterate();
  const names = await objectsOf(bucket);
  for (const file of ["index", "meta.json", "chunks/000001", QUARANTINE_MARK_FILE]) {
    assert(names.includes(`${metas[0]!.ulid}/${file}`), file);
  }
  // Only a person deletes it.
  await writeMark(
    bucket,
    { ulid: metas[0]!.ulid, time: clock.now(), details: "", reason: "" },
    DELETION_MARK_FILE,
  );
  await clock.advance(49 * HOUR);
  await compactor.iterate();
  assert(!(await objectsOf(bucket)).some((name) => name.startsWith(metas[0]!.ulid)));
});

Deno.test("CO5, CO6: a broken block sets its group aside and is named; all other plans go on", async () => {
  const damages: [string, (bucket: Bucket, ulid: string) => Promise<void>][] = [
    ["index missing", (bucket, ulid) => bucket.delete(`${ulid}/index`)],
    ["index truncated", async (bucket, ulid) => {
      const bytes = await bucket.get(`${ulid}/index`);
      await bucket.upload(`${ulid}/index`, bytes.slice(0, bytes.length - 30));
    }],
    ["segment missing", (bucket, ulid) => bucket.delete(`${ulid}/chunks/000001`)],
    ["segment short", async (bucket, ulid) => {
      const bytes = await bucket.get(`${ulid}/chunks/000001`);
      await bucket.upload(`${ulid}/chunks/000001`, bytes.slice(0, bytes.length - 3));
    }],
    ["bit flip", async (bucket, ulid) => {
      const bytes = (await bucket.get(`${ulid}/chunks/000001`)).slice();
      bytes[40]! ^= 4;
      await bucket.upload(`${ulid}/chunks/000001`, bytes);
    }],
  ];
  for (const [name, damage] of damages) {
    const { bucket, compactor, start, value } = setUp();
    const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8, 10, 12, 14, 16]);
    await putTwoHours(bucket, [0, 2, 4, 6, 8], { labels: { cluster: "other" } });
    const broken = metas[2]!.ulid;
    await damage(bucket, broken);
    for (let i = 1; i <= 2; i++) {
      const report = await compactor.iterate();
      assert.deepEqual(report.errors, [], name);
      assert.deepEqual(
        report.setAside.map((g) => [g.reason, g.blocks.join(), g.tries]),
        [["broken-block", broken, i]],
        name,
      );
      assert(report.setAside[0]!.message.includes(broken), report.setAside[0]!.message);
      assert.equal(await value("thanos_compact_halted"), 1, name);
    }
    const shape = await shapeOf(bucket);
    assert(shape.includes("8-16 L2"), `${name}: the sound range of the group: ${shape}`);
    assert.equal(shape.filter((s) => s === "0-8 L2").length, 1, `${name}: the other group`);
    // Its siblings are untouched.
    for (const i of [0, 1, 3]) {
      assert.equal(await readMark(bucket, metas[i]!.ulid, DELETION_MARK_FILE), undefined, name);
    }
    // Marked against compaction it holds up nothing any more.
    await writeMark(
      bucket,
      { ulid: broken, time: NOW, details: "", reason: NO_COMPACT_MANUAL },
      NO_COMPACT_MARK_FILE,
    );
    const again = await start().compactor.iterate();
    assert.deepEqual(again.setAside, [], name);
    assert.deepEqual(again.errors, [], name);
  }
});

Deno.test("a group that is set aside is not tried for ever while its blocks stay the same", async () => {
  const { bucket, compactor } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  const bytes = (await bucket.get(`${metas[1]!.ulid}/chunks/000001`)).slice();
  bytes[30]! ^= 1;
  await bucket.upload(`${metas[1]!.ulid}/chunks/000001`, bytes);
  for (let i = 0; i < 6; i++) await compactor.iterate();
  const calls = bucket.count("get");
  const report = await compactor.iterate();
  assert.equal(report.setAside[0]!.tries, 3);
  assert.equal(bucket.count("get"), calls);
  // A new block is a new chance.
  await bucket.upload(
    `${metas[1]!.ulid}/chunks/000001`,
    (() => {
      bytes[30]! ^= 1;
      return bytes;
    })(),
  );
  await putTwoHours(bucket, [10]);
  assert.deepEqual((await compactor.iterate()).setAside, []);
  assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "10-12 L1", "8-10 L1"]);
});

Deno.test("CO7: a block of another version is skipped, not the whole bucket", async () => {
  const { bucket, compactor } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8, 10, 12, 14, 16]);
  await rewriteMeta(
    bucket,
    metas[0]!.ulid,
    printBlockMeta(metas[0]!).replace('"version": 1,', '"version": 2,'),
  );
  const report = await compactor.iterate();
  assert.deepEqual(report.errors, []);
  assert((await shapeOf(bucket)).includes("8-16 L2"));
});

Deno.test("CO12: a full disk is tried again, and leaves neither rest nor half a block", async () => {
  const { bucket, compactor, files, value } = setUp();
  await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  const objects = await objectsOf(bucket);
  const create = files.create.bind(files);
  let full = true;
  files.create = (path) => {
    if (full && path.includes("tmp-for-creation")) {
      throw new MnemeError("unavailable", `Cannot create ${path}: no space left on device`);
    }
    return create(path);
  };
  const report = await compactor.iterate();
  assert.equal(report.errors.length, 1);
  assert.match(report.errors[0]!.message, /no space left/);
  assert.deepEqual(report.setAside, []);
  assert.equal(await value("mneme_compact_disk_full_total"), 1);
  assert.deepEqual(await objectsOf(bucket), objects);
  assert.deepEqual([...files.content.keys()].filter((path) => path.includes("/compact/")), []);
  full = false;
  assert.deepEqual((await compactor.iterate()).errors, []);
  assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"]);
});

Deno.test("CO13: an outage while uploading, marking or deleting is tried again without a loss", async () => {
  const cases: [string, FaultRule][] = [
    ["upload", {
      fault: { type: "error", kind: "unavailable" },
      operations: ["upload"],
      name: /index$/,
      times: 1,
    }],
    ["meta, answer lost", {
      fault: { type: "error_after", kind: "unavailable" },
      operations: ["upload"],
      name: /meta\.json$/,
      times: 1,
    }],
    ["mark", {
      fault: { type: "error", kind: "unavailable" },
      operations: ["upload"],
      name: /deletion-mark/,
      skip: 2,
      times: 1,
    }],
    ["listing", {
      fault: { type: "error", kind: "unavailable" },
      operations: ["iter"],
      skip: 1,
      times: 1,
    }],
    ["download", {
      fault: { type: "error", kind: "unavailable" },
      operations: ["get"],
      name: /chunks/,
      times: 1,
    }],
    ["short download", {
      fault: { type: "short", share: 0.5 },
      operations: ["get"],
      name: /chunks/,
      times: 1,
    }],
  ];
  for (const [name, rule] of cases) {
    const { bucket, compactor } = setUp();
    await putTwoHours(bucket, [0, 2, 4, 6, 8]);
    const before = await samplesOf(bucket);
    bucket.setRules([rule]);
    await compactor.iterate();
    bucket.setRules([]);
    assert.deepEqual(await samplesOf(bucket), before, name);
    for (let i = 0; i < 2; i++) {
      const report = await compactor.iterate();
      assert.deepEqual(report.errors, [], name);
    }
    assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"], name);
    assert.deepEqual(await samplesOf(bucket), before, name);
  }
});

Deno.test("CO15: a source that is deleted while it is fetched is planned anew", async () => {
  const { bucket, inner, compactor } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8, 10]);
  const gone = metas[3]!.ulid;
  const stream = inner.getStream.bind(inner);
  inner.getStream = async (name, options) => {
    if (name === `${gone}/index`) {
      for (const object of await objectsOf(inner)) {
        if (object.startsWith(gone)) await inner.delete(object);
      }
    }
    return await stream(name, options);
  };
  const report = await compactor.iterate();
  assert.equal(report.errors.length, 1);
  assert.deepEqual(report.setAside, []);
  await compactor.iterate();
  assert.deepEqual(await shapeOf(bucket), ["0-6 L2", "10-12 L1", "8-10 L1"]);
});

Deno.test("CO14: an upload that the bucket cut short is noticed before a source is marked", async () => {
  const { bucket, inner, start } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  let lying = true;
  const liar: Bucket = new Proxy(inner, {
    get(target, key) {
      if (key !== "upload") {
        const member = Reflect.get(target, key) as unknown;
        return typeof member === "function" ? member.bind(target) : member;
      }
      return (name: string, body: Uint8Array) =>
        target.upload(
          name,
          lying && name.includes("/chunks/") ? body.slice(0, body.length - 7) : body,
        );
    },
  });
  const { compactor } = start({}, liar);
  const report = await compactor.iterate();
  assert.match(report.errors[0]!.message, /the bucket holds \d+ of \d+ bytes/);
  for (const { ulid } of metas) {
    assert.equal(await readMark(bucket, ulid, DELETION_MARK_FILE), undefined);
  }
  assert.deepEqual(await shapeOf(bucket), metas.map((_, i) => `${i * 2}-${i * 2 + 2} L1`).sort());
  lying = false;
  assert.deepEqual((await compactor.iterate()).errors, []);
  assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"]);
});

Deno.test("CO16: nothing is deleted while this clock and the bucket's differ", async () => {
  const { bucket, clock, inner, value } = setUp();
  const doomed = await putBlock(bucket, { from: 0, to: 2 });
  await writeMark(
    inner,
    { ulid: doomed.ulid, time: NOW, details: "", reason: "" },
    DELETION_MARK_FILE,
  );
  await putBlock(bucket, { from: 2, to: 4 });
  const ahead = new FakeClock(clock.now() + 72 * HOUR);
  const files = new MemoryFiles();
  files.mkdir("/data");
  const fixture = makeCompactor({
    bucket,
    files,
    dataDirectory: "/data",
    clock: ahead,
    options: {
      deleteDelay: 48 * HOUR,
      clockTolerance: 300_000,
      retention: { raw: 50 * HOUR, fiveMinutes: 0, oneHour: 0 },
    },
  });
  const report = await fixture.compactor.iterate();
  assert(report.errors.some((e) => /259200 s ahead of the bucket's/.test(e.message)));
  assert.equal((await blocksOf(bucket)).size, 2);
  assert.equal(
    [...(await blocksOf(bucket)).values()].filter((block) => block.marked).length,
    1,
    "retention marks nothing either",
  );
  assert.equal(await fixture.value("mneme_compact_clock_skew_seconds"), 72 * 3600);
  assert.equal(await value("thanos_compact_blocks_cleaned_total"), 0);
});

Deno.test("CO18: retention marks whole blocks by resolution, raw ones only once they are downsampled", async () => {
  const { bucket, clock, files } = setUp();
  const old = await putBlock(bucket, { from: 0, to: 48 });
  const short = await putBlock(bucket, { from: 48, to: 50 });
  const fresh = await putBlock(bucket, { from: 960, to: 962 });
  const options = { retention: { raw: 100 * HOUR, fiveMinutes: 0, oneHour: 0 } };
  const make = () =>
    makeCompactor({
      bucket,
      files,
      dataDirectory: "/data",
      clock,
      options: { ...options, deleteDelay: 48 * HOUR },
      downsample: { run: () => Promise.resolve([]), countDue: () => 0 },
    });
  const first = make();
  await first.compactor.iterate();
  const marks = async () => {
    const out: string[] = [];
    for (const { ulid } of [old, short, fresh]) {
      out.push((await readMark(bucket, ulid, DELETION_MARK_FILE))?.details ?? "");
    }
    return out;
  };
  assert.deepEqual(await marks(), ["", "block exceeding retention of 100h0m0s", ""]);
  assert.equal(await first.value("mneme_compact_retention_waiting_blocks"), 1);
  assert(first.log.some((line) => line.includes("expired block is kept until it is downsampled")));
  await putBlock(bucket, {
    from: 0,
    to: 48,
    details: {
      compaction: { sources: [old.ulid] },
      thanos: makeThanosMeta({ labels: old.thanos!.labels, resolution: 300_000 }),
    },
  });
  await make().compactor.iterate();
  assert.equal((await marks())[0], "block exceeding retention of 100h0m0s");
});

/** Uploads a block with series `a` of these chunks between hours. */
async function putWild(
  bucket: Bucket,
  [from, to]: readonly [number, number],
  chunks: readonly (readonly (readonly [minutes: number, value: number])[])[],
): Promise<string> {
  const files = new MemoryFiles();
  const ulid = nextUlid();
  const at = (minutes: number) => START + from * HOUR + minutes * 60_000;
  writeWildBlock(files, "/wild", ulid, [{
    labels: labelsFromRecord({ __name__: "a" }),
    chunks: chunks.map((samples) => chunkOf(samples.map(([m, v]) => [at(m), v] as const))),
  }], {
    minTime: START + from * HOUR,
    maxTime: START + to * HOUR,
    labels: labelsFromRecord({ cluster: "eu1" }),
  });
  await uploadBlock(bucket, files, `/wild/${ulid}`, { clock: new FakeClock(START + to * HOUR) });
  return ulid;
}

Deno.test("CO8: a block with out-of-order chunks is marked where it shall be skipped, and repaired else", async () => {
  for (const skipOutOfOrder of [true, false]) {
    const { bucket, compactor, value } = setUp({ skipOutOfOrder });
    await putTwoHours(bucket, [0, 2], { series: ["a"] });
    const odd = await putWild(bucket, [4, 6], [[[30, 1], [60, 2]], [[10, 3], [40, 4]]]);
    await putTwoHours(bucket, [6, 8], { series: ["a"] });
    const before = await samplesOf(bucket);
    const report = await compactor.iterate();
    assert.deepEqual([report.errors, report.setAside], [[], []]);
    const mark = await readMark(bucket, odd, NO_COMPACT_MARK_FILE);
    const marked = "thanos_compact_blocks_marked_total" +
      '{marker="no-compact-mark.json",reason="block-index-out-of-order-chunk"}';
    if (skipOutOfOrder) {
      assert.equal(mark!.reason, "block-index-out-of-order-chunk");
      assert.equal(await value(marked), 1);
      assert.deepEqual(await shapeOf(bucket), ["0-4 L2", "4-6 L1", "6-8 L1", "8-10 L1"]);
    } else {
      assert.equal(mark, undefined);
      assert.equal(await value("mneme_compact_repaired_series_total"), 1);
      assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"]);
    }
    assert.deepEqual(await samplesOf(bucket), before);
  }
});

Deno.test("CO9: a block with chunks of the next one is written again without them, the old one marked", async () => {
  const { bucket, compactor } = setUp();
  await putTwoHours(bucket, [0, 2], { series: ["a"] });
  const odd = await putWild(bucket, [4, 6], [[[10, 1], [20, 2]], [[120, 3], [130, 4]]]);
  await putTwoHours(bucket, [6, 8], { series: ["a"] });
  const report = await compactor.iterate();
  assert.deepEqual([report.errors, report.setAside], [[], []]);
  const mark = await readMark(bucket, odd, DELETION_MARK_FILE);
  assert.equal(mark!.details, "source of repaired block");
  const repaired = [...(await blocksOf(bucket)).values()].find(({ meta }) =>
    meta.thanos!.source === "compactor.repair"
  )!;
  assert.deepEqual(repaired.meta.compaction.sources, [odd]);
  assert.equal(repaired.meta.stats.numSamples, 2);
  assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "8-10 L1"]);
});

Deno.test("CO19: a mark that cannot be read counts as a mark, and deletes nothing", async () => {
  const { bucket, compactor, clock } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  await bucket.upload(`${metas[1]!.ulid}/${NO_COMPACT_MARK_FILE}`, encodeUtf8("{"));
  await compactor.iterate();
  assert((await shapeOf(bucket)).includes("2-4 L1"));
  await bucket.upload(`${metas[4]!.ulid}/${DELETION_MARK_FILE}`, encodeUtf8("{"));
  await clock.advance(1000 * HOUR);
  await compactor.iterate();
  await compactor.iterate();
  assert((await blocksOf(bucket)).has(metas[4]!.ulid));
});

Deno.test("CO20: a mark that was begun is finished when the process is told to stop", async () => {
  const { bucket, inner, start } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  const stop = new AbortController();
  const stopping: Bucket = new Proxy(inner, {
    get(target, key) {
      const member = Reflect.get(target, key) as unknown;
      if (key !== "upload") return typeof member === "function" ? member.bind(target) : member;
      return async (name: string, body: Uint8Array, options: { signal?: AbortSignal } = {}) => {
        if (name.endsWith(DELETION_MARK_FILE)) {
          stop.abort();
          assert.equal(options.signal, undefined);
        }
        await target.upload(name, body, options);
      };
    },
  });
  await assert.rejects(() => start({}, stopping).compactor.iterate(stop.signal), /canceled/);
  let marked = 0;
  for (const { ulid } of metas) {
    if (await readMark(bucket, ulid, DELETION_MARK_FILE) !== undefined) marked++;
  }
  assert.equal(marked, 4);
});

Deno.test("partial uploads go 48h after their newest object, not before", async () => {
  const { bucket, compactor, clock, value } = setUp();
  const ulid = nextUlid();
  await bucket.upload(`${ulid}/chunks/000001`, new Uint8Array(9));
  await clock.advance(40 * HOUR);
  await bucket.upload(`${ulid}/index`, new Uint8Array(9));
  await clock.advance(48 * HOUR);
  await compactor.iterate();
  assert.equal((await objectsOf(bucket)).length, 2);
  await clock.advance(1);
  await compactor.cleanPartialUploads();
  assert.deepEqual(await objectsOf(bucket), []);
  assert.equal(await value("thanos_compact_aborted_partial_uploads_deletion_attempts_total"), 1);
  assert.equal(await value("thanos_compact_block_cleanup_loops_total"), 1);
});

Deno.test("replicas are merged into one block without their label", async () => {
  for (const dedup of ["", "penalty"] as const) {
    const { bucket, compactor, value } = setUp({
      vertical: true,
      dedup,
      replicaLabels: ["replica"],
    });
    await putTwoHours(bucket, [0, 2], { labels: { cluster: "eu1", replica: "a" } });
    await putTwoHours(bucket, [0, 2], {
      labels: { cluster: "eu1", replica: "b" },
      shift: 7000,
    });
    const strip = new Set(["replica"]);
    const before = await samplesOf(bucket, (labels) => dropLabels(labels, strip));
    await compactor.iterate();
    const after = await samplesOf(bucket, (labels) => dropLabels(labels, strip));
    if (dedup === "") assert.deepEqual(new Set(after.keys()), new Set(before.keys()));
    else {
      // One replica's samples at a time; where chunks end the other one may step in.
      assert(Math.abs(after.size - before.size / 2) < before.size / 40, `${after.size}`);
    }
    for (const [key, v] of after) assert.equal(v, before.get(key));
    for (const { meta, marked } of (await blocksOf(bucket)).values()) {
      if (!marked) assert(!meta.thanos!.labels.includes("replica"));
    }
    assert.equal(await value('thanos_compact_group_vertical_compactions_total{resolution="0"}'), 2);
  }
});

Deno.test("downsampled blocks of replicas are merged by penalty deduplication, and nothing is left to do", async () => {
  const { bucket, clock, files } = setUp();
  const metas = [];
  for (const replica of ["a", "b"]) {
    const labels = { cluster: "eu1", replica };
    metas.push(
      await putBlock(bucket, { from: 0, to: 336, labels, shift: replica === "a" ? 0 : 7 }),
    );
  }
  const run = async (options: Partial<CompactorOptions>) => {
    const fixture = makeCompactor({
      bucket,
      files,
      dataDirectory: "/data",
      clock,
      seed: clock.now() % 1000,
      options: { deleteDelay: 48 * HOUR, ...options },
      downsample: "real",
    });
    const report = await fixture.compactor.iterate();
    assert.deepEqual([report.errors, report.setAside], [[], []]);
    await clock.advance(1000);
    return fixture;
  };
  const left = async () =>
    [...(await blocksOf(bucket)).values()].filter((block) => !block.marked).map(({ meta }) =>
      [
        meta.thanos!.resolution,
        meta.thanos!.labels.join("="),
        `L${meta.compaction.level}`,
        meta.compaction.sources.length,
        meta.stats.numSamples,
      ].join(" ")
    ).sort();
  // Downsampled before anyone thought of merging replicas.
  await run({});
  const samples = 336 * 60 * 2;
  assert.deepEqual(
    await left(),
    [0, 300_000, 3_600_000].flatMap((resolution) =>
      ["a", "b"].map((replica) => {
        const points = resolution === 0 ? samples : samples * 60_000 / resolution;
        return `${resolution} cluster=eu1=replica=${replica} L1 1 ${points}`;
      })
    ).sort(),
  );
  const dedup = { replicaLabels: ["replica"], vertical: true, dedup: "penalty" } as const;
  const { value } = await run(dedup);
  const merged = await left();
  assert.deepEqual(merged.slice(1), [
    `300000 cluster=eu1 L2 2 ${samples / 5}`,
    `3600000 cluster=eu1 L2 2 ${samples / 60}`,
  ]);
  assert.match(merged[0]!, /^0 cluster=eu1 L2 2 \d+$/);
  assert.equal(
    await value('thanos_compact_group_vertical_compactions_total{resolution="300000"}'),
    1,
  );
  for (const name of await objectsOf(bucket)) assert(!name.endsWith(NO_COMPACT_MARK_FILE), name);
  const objects = await objectsOf(bucket);
  await run(dedup);
  assert.deepEqual(await objectsOf(bucket), objects);
});

Deno.test("overlapping downsampled blocks are marked and never merged", async () => {
  const { bucket, compactor } = setUp({ vertical: true });
  const thanos = makeThanosMeta({ labels: ["cluster", "eu1"] as never, resolution: 300_000 });
  const a = await putBlock(bucket, { from: 0, to: 2, details: { thanos } });
  const b = await putBlock(bucket, { from: 1, to: 3, details: { thanos } });
  await compactor.iterate();
  for (const { ulid } of [a, b]) {
    const mark = await readMark(bucket, ulid, NO_COMPACT_MARK_FILE);
    assert.equal(mark!.reason, "downsample-vertical-compaction");
  }
  assert.equal((await blocksOf(bucket)).size, 2);
});

Deno.test("blocks whose indexes together are too large are marked, the largest first", async () => {
  const { bucket, start, inner } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  const large = metas[2]!.ulid;
  const { size } = await inner.attributes(`${metas[0]!.ulid}/index`);
  await rewriteMeta(
    bucket,
    large,
    printBlockMeta({
      ...metas[2]!,
      thanos: {
        ...metas[2]!.thanos!,
        files: metas[2]!.thanos!.files.map((f) =>
          f.relPath === "index" ? { relPath: "index", sizeBytes: size * 10 } : f
        ),
      },
    }),
  );
  await start({ maxIndexSize: size * 8 }).compactor.iterate();
  assert.equal(
    (await readMark(bucket, large, NO_COMPACT_MARK_FILE))!.reason,
    "index-size-exceeding",
  );
  assert.deepEqual(await shapeOf(bucket), ["0-4 L2", "4-6 L1", "6-8 L1", "8-10 L1"]);
});

Deno.test("a block marked for deletion is no input, and a marked result hides nothing", async () => {
  const { bucket, compactor } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  await writeMark(
    bucket,
    { ulid: metas[1]!.ulid, time: NOW, details: "by hand", reason: "" },
    DELETION_MARK_FILE,
  );
  await compactor.iterate();
  const made = [...(await blocksOf(bucket)).values()].find((b) => b.meta.compaction.level === 2)!;
  assert(!made.meta.compaction.sources.includes(metas[1]!.ulid));
});

Deno.test("stray folders of the work directory are removed, and no others", async () => {
  const { bucket, compactor, files } = setUp();
  await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  files.content.set("/data/compact/group/ITISAVERYRANDULIDFORTESTS0/index", new Uint8Array(1));
  files.content.set("/data/other/file", new Uint8Array(1));
  await compactor.iterate();
  assert.deepEqual(
    [...files.content.keys()].filter((path) => path.startsWith("/data/compact")),
    [],
  );
  assert(files.content.has("/data/other/file"));
});

Deno.test("CO11: two compactors at once lose nothing, say so, and come to one result", async () => {
  let told = 0;
  for (let seed = 1; seed <= 5; seed++) {
    const { bucket, start, clock } = setUp();
    await putTwoHours(bucket, [0, 2, 4, 6, 8, 10, 12, 14, 16]);
    const before = await samplesOf(bucket);
    const one = start();
    // The second one has its result ready when the first one has marked the sources.
    const late: Bucket = new Proxy(bucket, {
      get(target, key) {
        const member = Reflect.get(target, key) as unknown;
        if (key !== "upload") return typeof member === "function" ? member.bind(target) : member;
        return async (name: string, body: Uint8Array, options?: UploadOptions) => {
          const isMarked = async () =>
            (await objectsOf(bucket)).some((object) => object.endsWith(DELETION_MARK_FILE));
          if (name.endsWith("/meta.json")) {
            while (!await isMarked()) await new Promise((resolve) => setTimeout(resolve, 0));
          }
          await target.upload(name, body, options);
        };
      },
    });
    const other = makeCompactor({
      bucket: late,
      files: (() => {
        const files = new MemoryFiles();
        files.mkdir("/data");
        return files;
      })(),
      dataDirectory: "/data",
      clock,
      seed: seed * 1000,
      options: { deleteDelay: 48 * HOUR },
    });
    await Promise.all([one.compactor.iterate(), other.compactor.iterate()]);
    assert.deepEqual(await samplesOf(bucket), before);
    told += [...one.log, ...other.log].filter((line) =>
      line.includes("another compactor may be at work")
    ).length;
    for (let i = 0; i < 2; i++) {
      assert.deepEqual((await one.compactor.iterate()).setAside, []);
      assert.deepEqual((await other.compactor.iterate()).setAside, []);
    }
    assert.deepEqual(await shapeOf(bucket), ["0-8 L2", "16-18 L1", "8-16 L2"]);
    assert.deepEqual(await samplesOf(bucket), before);
  }
  assert(told > 0, "who finds marks that it wanted to write says so");
});

Deno.test("compactorNotes() tell markers, plan and why each block waits", async () => {
  const { bucket, compactor, clock } = setUp();
  const metas = await putTwoHours(bucket, [0, 2, 4, 6, 8]);
  await writeMark(
    bucket,
    { ulid: metas[4]!.ulid, time: NOW, details: "for a reason", reason: NO_COMPACT_MANUAL },
    NO_COMPACT_MARK_FILE,
  );
  await compactor.updateProgress();
  const notes = () => compactorNotes(compactor.status, DEFAULT_COMPACTOR_OPTIONS, clock.now());
  let waits = notes().waits as Record<string, string>;
  assert.equal(waits[metas[0]!.ulid], "will be compacted");
  assert.match(waits[metas[4]!.ulid]!, /marked as not to be compacted: manual/);
  assert.equal((notes().plan as unknown[]).length, 1);
  assert.deepEqual(Object.keys(notes().markers as object), [metas[4]!.ulid]);
  await compactor.iterate();
  waits = notes().waits as Record<string, string>;
  assert.match(Object.values(waits).join(), /newest of its group|no other block/);
});
