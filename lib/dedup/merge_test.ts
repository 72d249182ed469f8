import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import { bitsOf, isStaleAt, SampleBatch, setStaleAt } from "../model/mod.ts";
import { mergeChain } from "./chain.ts";
import { mergePenalty } from "./penalty.ts";

function batchOf(samples: readonly (readonly [number, number])[]): SampleBatch {
  const batch = new SampleBatch();
  for (const [t, v] of samples) {
    batch.reserve(1);
    batch.t[batch.length] = t;
    batch.v[batch.length] = v;
    batch.length++;
  }
  return batch;
}

function pairs(batch: SampleBatch): [number, number][] {
  return Array.from({ length: batch.length }, (_, i) => [batch.t[i]!, batch.v[i]!]);
}

/** A replica that scrapes each `interval` from `start`, with outages given as [from, to). */
function scrapes(start: number, end: number, interval: number, outages: [number, number][] = []) {
  const out: [number, number][] = [];
  for (let t = start; t < end; t += interval) {
    if (!outages.some(([a, b]) => t >= a && t < b)) out.push([t, t / 1000]);
  }
  return out;
}

Deno.test("mergePenalty() stays on one replica while it delivers", () => {
  const a = batchOf(scrapes(0, 600_000, 15_000));
  const b = batchOf(scrapes(7_000, 600_000, 15_000));
  const out = new SampleBatch();
  mergePenalty([a, b], false, out);
  // The very first penalty is only 5 s, so the second replica takes over at once, and for good.
  assert.deepEqual(pairs(out).slice(0, 3), [[0, 0], [7_000, 7], [22_000, 22]]);
  for (let i = 2; i < out.length; i++) assert.equal(out.t[i]! - out.t[i - 1]!, 15_000);
});

Deno.test("mergePenalty() fills an outage from the other replica and comes back only after it", () => {
  const a = batchOf(scrapes(0, 1_200_000, 15_000, [[300_000, 600_000]]));
  const b = batchOf(scrapes(0, 1_200_000, 15_000));
  const out = new SampleBatch();
  mergePenalty([a, b], false, out);
  for (let i = 1; i < out.length; i++) {
    assert(out.t[i]! - out.t[i - 1]! <= 45_000, `gap after ${out.t[i - 1]}`);
  }
  assert.equal(out.t[out.length - 1], 1_185_000);
});

Deno.test("mergePenalty() keeps staleness markers by their bits", () => {
  for (const extra of [[], [batchOf([[1_000, 1]])]]) {
    const a = batchOf([[0, 1], [15_000, 2], [30_000, 0]]);
    setStaleAt(bitsOf(a.v), 2);
    const out = new SampleBatch();
    mergePenalty([a, new SampleBatch(), ...extra], false, out);
    assert(isStaleAt(bitsOf(out.v), out.length - 1), `${2 + extra.length} replicas`);
  }
});

Deno.test("mergePenalty() lifts a counter when a switch would make it fall", () => {
  const a = batchOf([[0, 100], [15_000, 110], [30_000, 120]]);
  const b = batchOf([[1_000, 50], [16_000, 60], [120_000, 70], [135_000, 80]]);
  const out = new SampleBatch();
  mergePenalty([a, b], true, out);
  for (let i = 1; i < out.length; i++) {
    assert(out.v[i]! >= out.v[i - 1]!, JSON.stringify(pairs(out)));
  }
  assert.equal(out.v[out.length - 1]! - out.v[out.length - 2]!, 10, "slopes stay");
});

Deno.test("mergePenalty() of two and of three replicas agree when the third is empty", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const make = () => {
      const samples: [number, number][] = [];
      let t = random.below(20_000);
      let v = random.below(1000);
      for (let i = 0; i < 60; i++) {
        t += random.chance(0.1) ? 200_000 : 14_000 + random.below(2_000);
        v = random.chance(0.05) ? 0 : v + random.below(50);
        samples.push([t, v]);
      }
      return batchOf(samples);
    };
    const a = make();
    const b = make();
    for (const counter of [false, true]) {
      const two = new SampleBatch();
      const three = new SampleBatch();
      mergePenalty([a, b], counter, two);
      mergePenalty([a, b, new SampleBatch()], counter, three);
      assert.deepEqual(pairs(three), pairs(two), `seed ${seed}, counter ${counter}`);
      for (let i = 1; i < two.length; i++) assert(two.t[i]! > two.t[i - 1]!);
    }
  }
});

Deno.test("mergeChain() is the union in time order for every split of the samples", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = new Random(seed);
    const count = random.between(1, 4);
    const parts: [number, number][][] = Array.from({ length: count }, () => []);
    const all = new Map<number, number>();
    let t = 0;
    for (let i = 0; i < 80; i++) {
      t += random.between(1, 20);
      all.set(t, i);
      parts[random.below(count)]!.push([t, i]);
      if (random.chance(0.3)) {
        const other = parts[random.below(count)]!;
        if (other.at(-1)?.[0] !== t) other.push([t, i]);
      }
    }
    const out = new SampleBatch();
    mergeChain(parts.map(batchOf), out);
    assert.deepEqual(pairs(out), [...all], `seed ${seed}`);
  }
});

Deno.test("mergeChain() lets the second of two replicas in step through", () => {
  const a = batchOf([[0, 1], [10, 1], [20, 1]]);
  const b = batchOf([[0, 2], [10, 2], [20, 2]]);
  const out = new SampleBatch();
  mergeChain([a, b], out);
  assert.deepEqual(pairs(out), [[0, 2], [10, 2], [20, 2]]);
});
