import assert from "node:assert/strict";
import {
  Breather,
  FakeClock,
  Gate,
  LoserTree,
  mapPool,
  MnemeError,
  retry,
  snappyCompress,
  snappyDecompress,
} from "./mod.ts";

Deno.test("LoserTree merges every split of a sequence, ties by input", () => {
  for (let k = 0; k <= 7; k++) {
    const inputs: number[][] = Array.from({ length: k }, () => []);
    for (let x = 0; x < 60; x++) if (k > 0) inputs[(x * x + 3 * x) % k]!.push(x >> 1);
    const at = new Array<number>(k).fill(0);
    const empty = inputs.map((_, i) => i).filter((i) => inputs[i]!.length === 0);
    const tree = new LoserTree(k, (a, b) => inputs[a]![at[a]!]! < inputs[b]![at[b]!]!, empty);
    const got: number[] = [];
    let previousInput = -1;
    for (let w = tree.winner(); w >= 0; w = tree.winner()) {
      const x = inputs[w]![at[w]!]!;
      if (got.length > 0 && got.at(-1) === x) assert(w >= previousInput, "ties come by input");
      got.push(x);
      previousInput = w;
      at[w]!++;
      if (at[w] === inputs[w]!.length) tree.close();
      else tree.replay();
    }
    assert.deepEqual(got, inputs.flat().sort((a, b) => a - b));
    assert.equal(tree.open, 0);
  }
});

Deno.test("Gate admits in order, and an aborted waiter leaves the queue", async () => {
  const gate = new Gate(1);
  const first = await gate.enter();
  const aborted = new AbortController();
  const second = gate.enter(aborted.signal);
  const third = gate.enter();
  assert.equal(gate.waiting, 2);
  aborted.abort();
  await assert.rejects(second, (e: unknown) => e instanceof MnemeError && e.kind === "canceled");
  first();
  first();
  const release = await third;
  assert.equal(gate.inFlight, 1);
  release();
  assert.equal(gate.inFlight, 0);
});

Deno.test("mapPool() keeps order, bounds concurrency and throws the first error", async () => {
  let running = 0;
  let most = 0;
  const out = await mapPool([5, 1, 4, 2], 2, async (x) => {
    most = Math.max(most, ++running);
    for (let i = 0; i < x; i++) await Promise.resolve();
    running--;
    return x * 2;
  });
  assert.deepEqual(out, [10, 2, 8, 4]);
  assert.equal(most, 2);
  const seen: number[] = [];
  await assert.rejects(
    mapPool([1, 2, 3, 4, 5], 1, (x) => {
      seen.push(x);
      return x === 2 ? Promise.reject(new Error("two")) : Promise.resolve(x);
    }),
    /two/,
  );
  assert.deepEqual(seen, [1, 2]);
});

Deno.test("retry() doubles its pauses and gives up after the attempts", async () => {
  const clock = new FakeClock();
  const at: number[] = [];
  const result = retry(
    () => {
      at.push(clock.now());
      return Promise.reject(new Error("no"));
    },
    () => true,
    { attempts: 4, baseMs: 100, maxMs: 300, clock, random: () => 1 },
  );
  const failed = assert.rejects(result, /no/);
  for (let i = 0; i < 10; i++) await clock.advance(100);
  await failed;
  assert.deepEqual(at, [0, 100, 300, 600]);
});

Deno.test("snappy round trip, and a bomb is refused by its announced size", () => {
  const data = new Uint8Array(10_000).fill(97);
  const packed = snappyCompress(data);
  assert(packed.length < 1000);
  assert.deepEqual(snappyDecompress(packed, 10_000), data);
  assert.throws(() => snappyDecompress(packed, 9_999), /at most 9999/);
  assert.throws(() => snappyDecompress(packed.slice(0, 5), 10_000), /snappy/);
});

Deno.test("Breather lets other events run between slices", async () => {
  const breather = new Breather(0);
  assert.equal(breather.due, true);
  let turns = 0;
  let ran = false;
  setTimeout(() => ran = true, 0);
  // Without a turn of the event loop the timer would never run.
  while (!ran && turns < 1_000_000) {
    await breather.pause();
    turns++;
  }
  assert.equal(ran, true);
  assert.equal(new Breather(1e9).due, false);
});
