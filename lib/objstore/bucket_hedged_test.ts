import { strict as assert } from "node:assert";
import { errorKind, FakeClock, MnemeError } from "../base/mod.ts";
import { parseYaml } from "../config/mod.ts";
import { bucketAcceptance } from "./acceptance.ts";
import { hedgeBucket, readHedgingConfig } from "./bucket_hedged.ts";
import { MemoryBucket } from "./bucket_memory.ts";
import { FaultyBucket } from "./testing/bucket_faulty.ts";

const ON = { enabled: true, up_to: 3, quantile: 0.9 };

bucketAcceptance("hedged", () => ({ bucket: hedgeBucket(new MemoryBucket(), ON) }), Deno.test);

/** A bucket that knows its latencies; `fire` lets the time pass after which it asks again. */
async function warmed() {
  const faulty = new FaultyBucket(new MemoryBucket(), { clock: new FakeClock() });
  await faulty.upload("o", new Uint8Array([1, 2, 3]));
  const timers = new Set<() => void>();
  const bucket = hedgeBucket(faulty, ON, {
    now: () => 0,
    after: (_ms, run) => {
      timers.add(run);
      return () => timers.delete(run);
    },
  });
  for (let i = 0; i < 32; i++) await bucket.get("o");
  assert.equal(faulty.count("get"), 32);
  const fire = async () => {
    for (const run of [...timers]) {
      timers.delete(run);
      run();
    }
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  faulty.calls.length = 0;
  return { faulty, bucket, timers, fire };
}

Deno.test("hedgeBucket() asks again when an answer is late, and takes the first one", async () => {
  const { faulty, bucket, timers, fire } = await warmed();
  faulty.setRules([{ fault: { type: "stall" }, times: 1 }]);
  const reading = bucket.getRange("o", 1, 2);
  await fire();
  assert.deepEqual(await reading, new Uint8Array([2, 3]));
  assert.equal(faulty.count("get_range"), 2);
  assert.equal(timers.size, 0);
});

Deno.test("hedgeBucket() asks at most up_to times, and fails when all failed", async () => {
  const { faulty, bucket, timers, fire } = await warmed();
  faulty.setRules([
    { fault: { type: "stall" }, times: 2 },
    { fault: { type: "error", kind: "unavailable" } },
  ]);
  const abort = new AbortController();
  const reading = bucket.get("o", { signal: abort.signal });
  for (let i = 0; i < 5; i++) await fire();
  assert.equal(faulty.count("get"), 3);
  assert.equal(timers.size, 0);
  abort.abort(new MnemeError("canceled", "context canceled"));
  await assert.rejects(reading, (error: unknown) => errorKind(error) === "canceled");
  faulty.setRules([{ fault: { type: "error", kind: "not_found" } }]);
  await assert.rejects(() => bucket.get("o"), (e: unknown) => errorKind(e) === "not_found");
});

Deno.test("readHedgingConfig() has Thanos' defaults and refuses nonsense", () => {
  const read = (text: string) => readHedgingConfig(parseYaml(text));
  assert.deepEqual(read(""), { enabled: false, up_to: 3, quantile: 0.9 });
  assert.deepEqual(read("{enabled: true, up_to: 2}"), { ...ON, up_to: 2 });
  for (const text of ["{quantile: 1}", "{quantile: 0}", "{up_to: 0}", "{enable: true}"]) {
    assert.throws(() => read(text), (error: unknown) => errorKind(error) === "bad_data", text);
  }
  const inner = new MemoryBucket();
  assert.equal(hedgeBucket(inner, read("")), inner);
});
