import { strict as assert } from "node:assert";
import { errorKind, FakeClock } from "../../base/mod.ts";
import { bucketAcceptance } from "../acceptance.ts";
import { MemoryBucket } from "../bucket_memory.ts";
import { type FaultRule, FaultyBucket } from "./bucket_faulty.ts";

bucketAcceptance(
  "faultless faulty",
  () => ({ bucket: new FaultyBucket(new MemoryBucket()) }),
  Deno.test,
);

async function filled(
  rules: readonly FaultRule[],
  seed = 7,
  clock = new FakeClock(),
): Promise<FaultyBucket> {
  const inner = new MemoryBucket();
  for (let i = 0; i < 50; i++) await inner.upload(`o${i}`, new Uint8Array(100));
  return new FaultyBucket(inner, { rules, seed, clock });
}

Deno.test("FaultyBucket does the same for the same seed", async () => {
  const outcomes = async (seed: number): Promise<string> => {
    const bucket = await filled([
      { fault: { type: "error", kind: "unavailable" }, probability: 0.3 },
      { fault: { type: "corrupt" }, probability: 0.3 },
    ], seed);
    const seen: string[] = [];
    for (let i = 0; i < 50; i++) {
      seen.push(await bucket.get(`o${i}`).then(String, errorKind));
    }
    return seen.join("\n");
  };
  assert.equal(await outcomes(1), await outcomes(1));
  assert.notEqual(await outcomes(1), await outcomes(2));
});

Deno.test("FaultyBucket hits the calls that a rule names", async () => {
  const bucket = await filled([
    {
      fault: { type: "error", kind: "unavailable" },
      operations: ["get_range"],
      name: /^o1$/,
      skip: 1,
      times: 2,
    },
  ]);
  await bucket.get("o1");
  await bucket.getRange("o2", 0, 1);
  await bucket.getRange("o1", 0, 1);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(
      () => bucket.getRange("o1", 0, 1),
      (e: unknown) => errorKind(e) === "unavailable",
    );
  }
  await bucket.getRange("o1", 0, 1);
  assert.equal(bucket.count("get_range"), 5);
  assert.equal(bucket.calls.filter((call) => call.fault !== undefined).length, 2);
});

Deno.test("FaultyBucket shortens, corrupts, delays and loses answers", async () => {
  const short = await filled([{ fault: { type: "short", share: 0.5 } }]);
  assert.equal((await short.get("o1")).length, 50);
  const corrupt = await filled([{ fault: { type: "corrupt" } }]);
  const bytes = await corrupt.getRange("o1", 0, 100);
  assert.equal(bytes.length, 100);
  const flipped = Array.from(bytes).filter((byte) => byte !== 0);
  assert.equal(flipped.length, 1);
  assert.ok([1, 2, 4, 8, 16, 32, 64, 128].includes(flipped[0]!));
  const clock = new FakeClock();
  const slow = await filled([{ fault: { type: "slow", ms: 5000 } }], 1, clock);
  let done = false;
  const call = slow.get("o1").then(() => done = true);
  await clock.advance(4999);
  assert.equal(done, false);
  await clock.advance(1);
  await call;
  const lost = await filled([{ fault: { type: "error_after", kind: "unavailable" }, times: 1 }]);
  await assert.rejects(() => lost.upload("new", new Uint8Array(1)));
  assert.equal(await lost.exists("new"), true);
  const stalled = await filled([{ fault: { type: "stall" } }]);
  const abort = new AbortController();
  const waiting = stalled.get("o1", { signal: abort.signal });
  abort.abort();
  await assert.rejects(() => waiting, (e: unknown) => errorKind(e) === "canceled");
});
