import { strict as assert } from "node:assert";
import { FakeClock } from "../base/mod.ts";
import { Metrics } from "../telemetry/mod.ts";
import { bucketAcceptance } from "./acceptance.ts";
import { readAll, streamOf } from "./body.ts";
import { MemoryBucket } from "./bucket_memory.ts";
import { meterBucket } from "./bucket_metered.ts";
import { FaultyBucket } from "./testing/bucket_faulty.ts";

bucketAcceptance(
  "metered",
  () => ({ bucket: meterBucket(new MemoryBucket(), { metrics: new Metrics() }) }),
  Deno.test,
);

/** Lines of one metric without buckets, `operation value` each. */
async function values(metrics: Metrics, name: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const line of (await metrics.expose()).split("\n")) {
    const m = /^([a-z_]+)\{bucket="memory"(?:,operation="([a-z_]+)")?\} (.+)$/.exec(line);
    if (m !== null && m[1] === `thanos_objstore_bucket_${name}`) found[m[2] ?? ""] = Number(m[3]);
  }
  return found;
}

Deno.test("meterBucket() shows every operation from the start", async () => {
  const metrics = new Metrics();
  meterBucket(new MemoryBucket(), { metrics });
  const all = {
    iter: 0,
    get: 0,
    get_range: 0,
    exists: 0,
    upload: 0,
    delete: 0,
    attributes: 0,
  };
  assert.deepEqual(await values(metrics, "operations_total"), all);
  assert.deepEqual(await values(metrics, "operation_failures_total"), all);
  assert.deepEqual(await values(metrics, "operation_duration_seconds_count"), all);
  const transfers = { get: 0, get_range: 0, upload: 0 };
  assert.deepEqual(await values(metrics, "operation_fetched_bytes_total"), transfers);
  assert.deepEqual(await values(metrics, "operation_transferred_bytes_count"), transfers);
  assert.deepEqual(await values(metrics, "last_successful_upload_time"), { "": 0 });
});

Deno.test("meterBucket() counts operations, bytes and the last upload", async () => {
  const metrics = new Metrics();
  const clock = new FakeClock(1_700_000_000_500);
  const bucket = meterBucket(new MemoryBucket(), { metrics, clock });
  await bucket.upload("a", new Uint8Array(100));
  await bucket.upload("b", { stream: streamOf(new Uint8Array(50)), size: 50 });
  await bucket.get("a");
  await readAll(await bucket.getStream("a"));
  await (await bucket.getStream("a")).cancel();
  await bucket.getRange("a", 10, 7);
  await bucket.exists("a");
  await bucket.attributes("a");
  await Array.fromAsync(bucket.iter(""));
  await bucket.delete("a");
  const counts = {
    iter: 1,
    get: 3,
    get_range: 1,
    exists: 1,
    upload: 2,
    delete: 1,
    attributes: 1,
  };
  assert.deepEqual(await values(metrics, "operations_total"), counts);
  assert.deepEqual(await values(metrics, "operation_duration_seconds_count"), counts);
  assert.deepEqual(await values(metrics, "operation_fetched_bytes_total"), {
    get: 200,
    get_range: 7,
    upload: 0,
  });
  assert.deepEqual(await values(metrics, "operation_transferred_bytes_sum"), {
    get: 200,
    get_range: 7,
    upload: 150,
  });
  assert.deepEqual(await values(metrics, "last_successful_upload_time"), { "": 1_700_000_000.5 });
});

Deno.test("meterBucket() counts failures, but not answers", async () => {
  const metrics = new Metrics();
  const inner = new FaultyBucket(new MemoryBucket());
  const bucket = meterBucket(inner, { metrics });
  await assert.rejects(() => bucket.get("missing"));
  await assert.rejects(() => bucket.attributes("missing"));
  await assert.rejects(() => bucket.get("missing", { signal: AbortSignal.abort() }));
  assert.deepEqual(Object.values(await values(metrics, "operation_failures_total")), [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  await assert.rejects(() => bucket.getRange("missing", 0, 1));
  inner.setRules([{ fault: { type: "error", kind: "unavailable" } }]);
  await assert.rejects(() => bucket.get("a"));
  await assert.rejects(() => bucket.upload("a", new Uint8Array(1)));
  await assert.rejects(() => Array.fromAsync(bucket.iter("")));
  const failures = await values(metrics, "operation_failures_total");
  assert.deepEqual(failures, {
    iter: 1,
    get: 1,
    get_range: 1,
    exists: 0,
    upload: 1,
    delete: 0,
    attributes: 0,
  });
});
