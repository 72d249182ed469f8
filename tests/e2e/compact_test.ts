/**
 * The compactor as a process over a bucket of many cases, with a store gateway and a querier beside
 * it, as the scenarios of upstream's end-to-end tests have it.
 */
import assert from "node:assert/strict";
import { encodeUtf8 } from "../../lib/base/mod.ts";
import { DELETION_MARK_FILE, NO_COMPACT_MARK_FILE, writeMark } from "../../lib/block/mod.ts";
import { NO_DOWNSAMPLE_MARK_FILE } from "../../lib/block/mod.ts";
import {
  blocksOf,
  HOUR,
  nextUlid,
  objectsOf,
  putBlock,
  putTwoHours,
  START,
} from "../../lib/compact/testing/blocks.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { type Server, Stage, until } from "../mneme.ts";

const DAY = 24 * HOUR;

/** The bucket of row C1: thirty blocks in seven groups, a long one, five without meta.json. */
async function makeBucket(folder: string): Promise<FilesystemBucket> {
  const bucket = new FilesystemBucket(folder);
  const series = ["m"];
  const put = (hours: readonly number[], labels: Record<string, string>, shift = 0) =>
    putTwoHours(bucket, hours, { labels, series, shift, hash: true });
  await put([0, 2, 4], { case: "no-compaction", replica: "1" });
  await put([0, 2, 4, 6, 8], { case: "ready", replica: "1" });
  const marked = await put([0, 2, 4, 6, 8], { case: "ready-with-mark", replica: "1" });
  await writeMark(
    bucket,
    { ulid: marked[1]!.ulid, time: START, details: "", reason: "manual" },
    NO_COMPACT_MARK_FILE,
  );
  await put([0, 4, 8], { case: "ready-after-dedup", replica: "1" });
  await put([2, 6], { case: "ready-after-dedup", replica: "2" });
  await put([0], { case: "partial-overlap", replica: "1" });
  await putBlock(bucket, {
    from: 1,
    to: 3,
    series,
    labels: { case: "partial-overlap", replica: "2" },
    hash: true,
  });
  await put([2], { case: "partial-overlap", replica: "3" });
  await put([4], { case: "partial-overlap", replica: "1" });
  await put([0], { case: "multi-replica", replica: "1", rule_replica: "1" });
  await put([0], { case: "multi-replica", replica: "2", rule_replica: "1" }, 7000);
  await put([0], { case: "multi-replica", replica: "2", rule_replica: "2" }, 11_000);
  await put([2], { case: "multi-replica", replica: "1", rule_replica: "1" });
  await put([0], { case: "full-overlap", replica: "1" });
  await put([0], { case: "full-overlap", replica: "2" });
  await put([2, 4], { case: "full-overlap", replica: "1" });
  await putBlock(bucket, {
    from: 0,
    to: 241,
    step: 15 * 60_000,
    series: ["z"],
    labels: { case: "downsample", replica: "1" },
    hash: true,
  });
  for (const mark of [false, true, false, true, true]) {
    const ulid = nextUlid();
    await bucket.upload(`${ulid}/chunks/000001`, encodeUtf8("not a chunk"));
    if (mark) {
      const time = Date.now();
      await writeMark(bucket, { ulid, time, details: "", reason: "" }, DELETION_MARK_FILE);
    }
  }
  return bucket;
}

function compactArgs(folder: string, more: readonly string[] = []): string[] {
  return [
    `--objstore.config=type: FILESYSTEM\nconfig:\n  directory: ${
      JSON.stringify(`${folder}/bucket`)
    }`,
    `--data-dir=${folder}/data`,
    "--consistency-delay=0s",
    "--wait",
    "--wait-interval=1h",
    ...more,
  ];
}

const DEDUP = ["--deduplication.replica-label=replica,rule_replica"];

async function metric(server: Server, name: string, labels = ""): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  let total = NaN;
  for (const line of text.split("\n")) {
    const m = /^(\w+)(\{[^}]*\})? (\S+)$/.exec(line);
    if (m?.[1] !== name || !(m[2] ?? "").includes(labels)) continue;
    total = (Number.isNaN(total) ? 0 : total) + Number(m[3]);
  }
  return total;
}

/** Several metrics at once, by name. */
async function metrics(server: Server, names: readonly string[]): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (const name of names) out[name] = await metric(server, `thanos_compact_${name}`);
  return out;
}

async function iterated(server: Server): Promise<void> {
  await until(
    "an iteration",
    async () => await metric(server, "thanos_compact_iterations_total") >= 1,
    60_000,
  );
}

type Vector = Record<string, number>;

/** Counts by labels; `without` are taken off and their series added up. */
async function query(server: Server, text: string, at: number, more = ""): Promise<Vector> {
  const url = `${server.http}/api/v1/query?dedup=false&time=${at / 1000}&query=${
    encodeURIComponent(text)
  }${more}`;
  const body = await (await fetch(url)).json();
  assert.equal(body.status, "success", JSON.stringify(body));
  const out: Vector = {};
  for (const { metric: labels, value } of body.data.result) {
    out[JSON.stringify(Object.entries(labels).sort())] = Number(value[1]);
  }
  return out;
}

async function withReaders(
  stage: Stage,
  work: (querier: Server, store: Server) => Promise<void>,
): Promise<void> {
  const store = await stage.store(`${stage.folder}/bucket`, [
    "--ignore-deletion-marks-delay=2s",
    "--sync-block-duration=1s",
  ]);
  const querier = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
  await work(querier, store);
  await querier.child.stop();
  await store.child.stop();
}

/** Waits until the store gateway serves the compacted blocks only. */
async function sourcesHidden(store: Server): Promise<void> {
  await until(
    "the sources to be hidden",
    async () =>
      await metric(store, "thanos_blocks_meta_synced", 'state="marked-for-deletion"') === 18,
  );
}

const COUNT = 'count_over_time({__name__="m"}[13h])';
const END = START + 12 * HOUR;

/** What one-to-one merging must leave: distinct times by group. */
const EXPECTED: Readonly<Record<string, number>> = {
  "no-compaction": 360,
  "ready": 600,
  "ready-with-mark": 600,
  "ready-after-dedup": 600,
  "partial-overlap": 360,
  "multi-replica": 480,
  "full-overlap": 360,
};

function byCase(vector: Vector): Record<string, number> {
  const out: Record<string, number> = {};
  for (const [key, value] of Object.entries(vector)) {
    const name = new Map(JSON.parse(key) as [string, string][]).get("case")!;
    out[name] = (out[name] ?? 0) + value;
  }
  return out;
}

Deno.test("C1, C3, C4, C6, C7: many groups are compacted once, and queries keep every sample", async () => {
  await using stage = await Stage.open();
  const bucket = await makeBucket(`${stage.folder}/bucket`);
  await withReaders(stage, async (querier, store) => {
    await until("36 blocks", async () => await metric(store, "thanos_blocks_meta_synced") === 36);
    assert.equal(await metric(store, "thanos_blocks_meta_sync_failures_total"), 0);
    const raw = await query(querier, COUNT, END);
    // Every external label set by itself.
    assert.equal(Object.keys(raw).length, 13);
    assert.equal(byCase(raw)["full-overlap"], 480);
  });

  const compactor = await stage.mneme("compact", compactArgs(stage.folder, DEDUP));
  await iterated(compactor);
  assert.deepEqual(
    await metrics(compactor, [
      "group_compactions_total",
      "group_vertical_compactions_total",
      "group_compactions_failures_total",
      "group_compaction_runs_started_total",
      "group_compaction_runs_completed_total",
      "blocks_marked_total",
      "blocks_cleaned_total",
      "downsample_total",
      "downsample_failures_total",
      "aborted_partial_uploads_deletion_attempts_total",
      "halted",
    ]),
    {
      group_compactions_total: 6,
      group_vertical_compactions_total: 3,
      group_compactions_failures_total: 0,
      group_compaction_runs_started_total: 14,
      group_compaction_runs_completed_total: 14,
      blocks_marked_total: 18,
      blocks_cleaned_total: 0,
      downsample_total: 2,
      downsample_failures_total: 0,
      aborted_partial_uploads_deletion_attempts_total: 0,
      halted: 0,
    },
  );
  assert(
    await metric(compactor, "thanos_objstore_bucket_operations_total", 'operation="get"') <= 1000,
  );
  const text = async (path: string) => await (await fetch(`${compactor.http}${path}`)).text();
  const loaded = JSON.parse(await text("/api/v1/blocks?view=loaded"));
  assert.equal(loaded.status, "success");
  assert(Array.isArray(loaded.data.blocks) && loaded.data.blocks.length > 0);
  assert.equal(loaded.data.err, null);
  assert.equal(typeof loaded.data.waits, "object");
  await until("the global view", async () => {
    const view = JSON.parse(await text("/api/v1/blocks?view=global"));
    return view.data.blocks.length >= loaded.data.blocks.length;
  });
  await compactor.child.stop();

  let after: Vector = {};
  await withReaders(stage, async (querier, store) => {
    await sourcesHidden(store);
    after = await query(querier, COUNT, END);
    assert.deepEqual(byCase(after), EXPECTED);
  });

  const again = await stage.mneme(
    "compact",
    compactArgs(stage.folder, [...DEDUP, "--delete-delay=0s"]),
  );
  await iterated(again);
  assert.deepEqual(
    await metrics(again, [
      "blocks_cleaned_total",
      "block_cleanup_failures_total",
      "group_compactions_total",
      "group_compaction_runs_started_total",
      "group_compaction_runs_completed_total",
      "downsample_total",
      "halted",
    ]),
    {
      blocks_cleaned_total: 18,
      block_cleanup_failures_total: 0,
      group_compactions_total: 0,
      group_compaction_runs_started_total: 7,
      group_compaction_runs_completed_total: 7,
      downsample_total: 0,
      halted: 0,
    },
  );
  await again.child.stop();
  // 31 - 18 + 6 + 2 blocks are left.
  assert.equal((await blocksOf(bucket)).size, 21);

  // The downsampled blocks answer in the place of the raw one.
  const difference = "last_over_time(z[2h]) - last_over_time(z[2h])";
  const at = START + 240 * HOUR;
  await withReaders(stage, async (querier, store) => {
    assert.deepEqual(await query(querier, COUNT, END), after);
    // The raw block has its replica label still, those made of it have not.
    assert.deepEqual(Object.values(await query(querier, difference, at)), [0, 0]);
    const long = [...(await blocksOf(bucket)).values()].find(({ meta }) =>
      meta.maxTime - meta.minTime > 9 * DAY && meta.thanos!.resolution === 0
    )!;
    for (const name of await objectsOf(bucket)) {
      if (name.startsWith(`${long.meta.ulid}/`)) await bucket.delete(name);
    }
    await until(
      "20 blocks",
      async () => await metric(store, "thanos_blocks_meta_synced", 'state="loaded"') === 20,
    );
    assert.deepEqual(
      Object.values(await query(querier, difference, at, "&max_source_resolution=1h")),
      [0],
    );
  });
});

Deno.test("C2: without replica labels the overlapping groups are set aside, nothing else waits", async () => {
  await using stage = await Stage.open();
  const bucket = await makeBucket(`${stage.folder}/bucket`);
  // Two blocks of one label set that overlap.
  await putBlock(bucket, {
    from: 1,
    to: 3,
    series: ["m"],
    labels: { case: "no-compaction", replica: "1" },
  });
  const stray = `${stage.folder}/data/compact/group/ITISAVERYRANDULIDFORTESTS0`;
  await Deno.mkdir(stray, { recursive: true });
  await Deno.writeTextFile(`${stray}/index`, "x");
  const compactor = await stage.mneme("compact", compactArgs(stage.folder));
  await iterated(compactor);
  assert.deepEqual(
    await metrics(compactor, [
      "halted",
      "group_compactions_failures_total",
      "group_compactions_total",
    ]),
    // "ready" is compacted; "ready-with-mark" has a run of three; two more groups have nothing to do.
    { halted: 1, group_compactions_failures_total: 1, group_compactions_total: 2 },
  );
  assert.equal(await metric(compactor, "mneme_compact_group_set_aside", 'reason="overlap"'), 1);
  assert.equal(await metric(compactor, "thanos_compact_downsample_total"), 2);
  const blocks = (await (await fetch(`${compactor.http}/api/v1/blocks`)).json()).data;
  assert.equal(blocks.setAside.length, 1);
  assert.match(blocks.setAside[0].message, /pre compaction overlap check: overlaps found/);
  await assert.rejects(() => Deno.stat(stray), Deno.errors.NotFound);
  await until(
    "the cleanup loop",
    async () => await metric(compactor, "thanos_compact_block_cleanup_loops_total") >= 1,
  );
  for (const page of ["/loaded", "/blocks", "/global"]) {
    const answer = await fetch(`${compactor.http}${page}`);
    assert.equal(answer.status, 200, page);
    await answer.body?.cancel();
  }
  // The overlapping blocks are as they were, all four with their three files.
  for (const { meta, marked } of (await blocksOf(bucket)).values()) {
    if (meta.thanos!.labels.includes("no-compaction")) assert(!marked, meta.ulid);
  }
  await compactor.child.stop();
});

Deno.test("C5: penalty deduplication makes the same blocks with one replica's samples", async () => {
  await using stage = await Stage.open();
  await makeBucket(`${stage.folder}/bucket`);
  const compactor = await stage.mneme(
    "compact",
    compactArgs(stage.folder, [...DEDUP, "--deduplication.func=penalty"]),
  );
  await iterated(compactor);
  assert.deepEqual(
    await metrics(compactor, ["group_compactions_total", "blocks_marked_total", "halted"]),
    { group_compactions_total: 6, blocks_marked_total: 18, halted: 0 },
  );
  await compactor.child.stop();
  await withReaders(stage, async (querier, store) => {
    await sourcesHidden(store);
    const found = byCase(await query(querier, COUNT, END));
    for (const [name, count] of Object.entries(EXPECTED)) {
      if (name === "multi-replica") {
        assert(found[name]! < 300 && found[name]! >= 240, `${found[name]}`);
      } else if (name === "partial-overlap") assert(found[name]! <= count && found[name]! > 300);
      else assert.equal(found[name], count, name);
    }
  });
});

Deno.test("C8: a block that is marked against it is never downsampled", async () => {
  await using stage = await Stage.open();
  const bucket = new FilesystemBucket(`${stage.folder}/bucket`);
  const { ulid } = await putBlock(bucket, { from: 0, to: 241, step: 900_000, series: ["z"] });
  await writeMark(
    bucket,
    { ulid, time: START, details: "", reason: "manual" },
    NO_DOWNSAMPLE_MARK_FILE,
  );
  const compactor = await stage.mneme("compact", compactArgs(stage.folder));
  await iterated(compactor);
  assert.equal(await metric(compactor, "thanos_compact_downsample_total"), 0);
  assert.equal((await blocksOf(bucket)).size, 1);
  await compactor.child.stop();
});
