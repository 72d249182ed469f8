import { strict as assert } from "node:assert";
import { Hono } from "hono";
import { FakeClock } from "../base/mod.ts";
import { DELETION_MARK_FILE, NO_COMPACT_MARK_FILE, readMark } from "../block/mod.ts";
import { labelsFromRecord } from "../model/mod.ts";
import { MemoryBucket } from "../objstore/mod.ts";
import { type BlockMeta, makeThanosMeta } from "../tsdb/mod.ts";
import { addBlockRoutes, type BlockRoutesParts } from "./api_blocks.ts";
import { errorResponse } from "./envelope.ts";

const ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const NOW = 1_790_208_000_000;

const meta: BlockMeta = {
  ulid: ULID,
  minTime: 0,
  maxTime: 100,
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
    sources: [ULID],
    deletable: false,
    parents: [],
    failed: false,
    hints: [],
  },
  thanos: makeThanosMeta({ labels: labelsFromRecord({ cluster: "eu1" }) }),
};

function setUp(changes: Partial<BlockRoutesParts> = {}): { app: Hono; bucket: MemoryBucket } {
  const bucket = new MemoryBucket();
  const app = new Hono();
  addBlockRoutes(app, {
    bucket,
    clock: new FakeClock(NOW),
    label: "cluster",
    adminDisabled: false,
    loaded: () => ({ blocks: [meta], refreshedAt: NOW, error: new Error("incomplete view") }),
    ...changes,
  });
  app.onError(errorResponse);
  return { app, bucket };
}

function post(app: Hono, form: Record<string, string>, headers: Record<string, string> = {}) {
  return app.request("http://store:10902/api/v1/blocks/mark", {
    method: "POST",
    body: new URLSearchParams(form),
    headers,
  });
}

Deno.test("GET blocks shows what is loaded, when, and what went wrong since", async () => {
  const { app } = setUp();
  const body = await (await app.request("/api/v1/blocks?view=loaded")).json();
  assert.equal(body.status, "success");
  assert.equal(body.data.label, "cluster");
  assert.equal(body.data.refreshedAt, new Date(NOW).toISOString());
  assert.equal(body.data.err, "incomplete view");
  assert.equal(body.data.blocks.length, 1);
  assert.equal(body.data.blocks[0].ulid, ULID);
  assert.deepEqual(body.data.blocks[0].thanos.labels, { cluster: "eu1" });
});

Deno.test("GET blocks of any other view is the global one, empty where there is none", async () => {
  const body = await (await setUp().app.request("/api/v1/blocks")).json();
  assert.deepEqual(body.data, {
    label: "cluster",
    blocks: [],
    refreshedAt: "0001-01-01T00:00:00Z",
    err: null,
  });
});

Deno.test("POST blocks/mark writes marks once", async () => {
  const { app, bucket } = setUp();
  const form = { id: ULID, action: "DELETION", detail: "not needed" };
  assert.equal((await post(app, form)).status, 204);
  assert.equal((await post(app, { ...form, detail: "again" })).status, 204);
  assert.deepEqual(await readMark(bucket, ULID, DELETION_MARK_FILE), {
    ulid: ULID,
    time: NOW,
    details: "not needed",
    reason: "",
  });
  assert.equal((await post(app, { id: ULID, action: "NO_COMPACTION" })).status, 204);
  assert.equal((await readMark(bucket, ULID, NO_COMPACT_MARK_FILE))!.reason, "manual");
});

Deno.test("POST blocks/mark says what is wrong with the request", async () => {
  const { app, bucket } = setUp();
  const rows: [Record<string, string>, RegExp][] = [
    [{}, /^ID cannot be empty$/],
    [{ id: "x", action: "DELETION" }, /^ULID "x" is not valid: /],
    [{ id: "../../etc/passwd", action: "DELETION" }, /is not valid/],
    [{ id: ULID, action: "" }, /^Action cannot be empty$/],
    [{ id: ULID, action: "FOO" }, /^not supported marker FOO$/],
    [{ id: ULID, action: "constructor" }, /^not supported marker constructor$/],
  ];
  for (const [form, expected] of rows) {
    const response = await post(app, form);
    assert.equal(response.status, 400);
    const { errorType, error } = await response.json();
    assert.equal(errorType, "bad_data");
    assert.match(error, expected);
  }
  assert.equal((await app.request("/api/v1/blocks/mark")).status, 405);
  assert.equal(bucket.objectCount, 0);
});

Deno.test("POST blocks/mark is refused for other sites and when it is disabled", async () => {
  const form = { id: ULID, action: "DELETION" };
  const { app, bucket } = setUp();
  for (const origin of ["https://elsewhere.example", "null"]) {
    const response = await post(app, form, { origin, host: "store:10902" });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error, /refused for pages of/);
  }
  assert.equal(bucket.objectCount, 0);
  const own = { origin: "http://store:10902", host: "store:10902" };
  assert.equal((await post(app, form, own)).status, 204);
  const disabled = setUp({ adminDisabled: true });
  const response = await post(disabled.app, form);
  assert.equal(response.status, 400);
  assert.equal((await response.json()).error, "Admin operations are disabled");
  assert.equal(disabled.bucket.objectCount, 0);
});
