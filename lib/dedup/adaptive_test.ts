import assert from "node:assert/strict";
import { dump } from "../base/testing/dump.ts";
import { Random } from "../base/testing/random.ts";
import { bitsOf, isStaleAt, parseHistogram, SampleBatch } from "../model/mod.ts";
import { mergeAdaptive } from "./adaptive.ts";
import { mergePenalty } from "./penalty.ts";
import { batchOf } from "./testing/coarse.ts";
import { type HaOptions, haPair, totalsOf } from "./testing/ha_pair.ts";

function merged(replicas: readonly SampleBatch[], counter: boolean): SampleBatch {
  const out = new SampleBatch();
  mergeAdaptive(replicas, counter, out);
  return out;
}

/** Samples every `step` from `from` to `to`; `value` of the time. */
function every(step: number, from: number, to: number, value: (t: number) => number): SampleBatch {
  const times: number[] = [];
  for (let t = from; t <= to; t += step) times.push(t);
  return batchOf(times, times.map(value));
}

Deno.test("without gaps one replica's samples come out, and no other's", () => {
  const a = every(15, 0, 600, (t) => t);
  const b = every(15, 7, 607, (t) => t + 1000);
  for (const counter of [false, true]) {
    assert.equal(dump(merged([a, b], counter)), dump(a));
    assert.equal(dump(merged([b, a], counter)), dump(a), "the one that starts first");
  }
});

Deno.test("a gap is filled from the other replica, which stays in use", () => {
  const a = every(15, 0, 600, (t) => t);
  const holed = new SampleBatch();
  holed.appendRange(a, 0, 11);
  holed.appendRange(a, 20, a.length);
  const b = every(15, 7, 607, (t) => 5000 + t);
  const out = merged([holed, b], false);
  assert.deepEqual([...out.t.subarray(9, 14)], [135, 150, 172, 187, 202]);
  assert.equal(out.t[out.length - 1], 607);
});

Deno.test("a counter goes on over a switch as if nothing had happened", () => {
  // One replica starts from a total that is 5000 less: it began later.
  const a = every(15, 0, 600, (t) => 10_000 + 2 * t);
  const holed = new SampleBatch();
  holed.appendRange(a, 0, 11);
  const b = every(15, 7, 607, (t) => 5000 + 2 * t);
  const out = merged([holed, b], true);
  for (let i = 0; i < out.length; i++) assert.equal(out.v[i], 10_000 + 2 * out.t[i]!);
});

Deno.test("a replica that starts when the other ends goes on by its raw value, or by the slope", () => {
  const a = every(15, 0, 300, (t) => 1000 + 2 * t);
  const same = every(15, 322, 600, (t) => 1000 + 2 * t);
  const out = merged([a, same], true);
  for (let i = 0; i < out.length; i++) assert.equal(out.v[i], 1000 + 2 * out.t[i]!);
  // Before, the first one had seen a reset: totals do not compare.
  const other = every(15, 322, 600, (t) => 2 * t);
  const joined = merged([a, other], true);
  for (let i = 0; i < joined.length; i++) assert.equal(joined.v[i], 1000 + 2 * joined.t[i]!);
});

Deno.test("staleness counts only when every replica says so", () => {
  const stale = (batch: SampleBatch, ...at: number[]) => {
    for (const i of at) new Uint32Array(batch.v.buffer).set([2, 0x7ff00000], 2 * i);
    return batch;
  };
  const a = stale(every(15, 0, 150, (t) => t), 4);
  const b = every(15, 7, 157, (t) => t);
  assert.ok(!dump(merged([a, b], false)).includes("stale"));
  const last = every(15, 0, 60, (t) => t);
  const lastToo = every(15, 7, 67, (t) => t);
  const gone = dump(merged([stale(last, 4), stale(lastToo, 4)], false));
  assert.ok(gone.endsWith(" 60:stale"), gone);
  const only = stale(every(15, 0, 60, (t) => t), 0, 1, 2, 3, 4);
  assert.equal(dump(merged([only, batchOf([], [])], false)), dump(only));
  assert.equal(merged([only, only], false).length, 5);
});

Deno.test("one interval is learned for each replica, and again when it changes", () => {
  const slow = every(60, 0, 3000, (t) => t);
  const fast = every(10, 5, 3005, (t) => t);
  assert.equal(dump(merged([slow, fast], false)), dump(slow));
  const changing = new SampleBatch();
  changing.appendRange(every(15, 0, 600, (t) => t), 0, 41);
  const later = every(60, 660, 6000, (t) => t);
  changing.appendRange(later, 0, later.length);
  const other = every(60, 630, 6030, (t) => t);
  const out = merged([changing, other], false);
  let extra = 0;
  for (let i = 1; i < out.length; i++) if (out.t[i]! - out.t[i - 1]! === 30) extra++;
  assert.ok(extra <= 3, `${extra} samples where nothing was missing`);
});

Deno.test("histograms pass; after a switch nothing is said of a reset", () => {
  const histogram = (count: number) =>
    parseHistogram(`{{schema:0 sum:${count} count:${count} buckets:[${count}]}}`);
  const make = (from: number, to: number) => {
    const batch = new SampleBatch();
    for (let t = from; t <= to; t += 15) {
      batch.appendHistogram(t, { ...histogram(100 + t), counterResetHint: "reset" });
    }
    return batch;
  };
  const out = merged([make(0, 150), make(7, 307)], true);
  const hints = Array.from({ length: out.length }, (_, i) => out.h![i]!.counterResetHint);
  const at = out.t.subarray(0, out.length).indexOf(172);
  assert.ok(at > 0);
  assert.equal(hints[at], "unknown");
  assert.equal(hints.filter((h) => h === "unknown").length, 1);
  for (let i = 1; i < out.length; i++) assert.ok(out.h![i]!.count > out.h![i - 1]!.count);
});

Deno.test("any number of replicas, empty ones too", () => {
  const a = every(15, 0, 300, (t) => t);
  const empty = new SampleBatch();
  assert.equal(merged([], false).length, 0);
  assert.equal(merged([empty, empty], true).length, 0);
  assert.equal(dump(merged([empty, a, empty], true)), dump(a));
  assert.equal(dump(merged([batchOf([0], [1]), batchOf([100_000], [2])], false)), "0:1 100000:2");
});

const TROUBLE: HaOptions = {
  interval: 15_000,
  duration: 3 * 3_600_000,
  replicas: 2,
  outages: 2,
  outageLength: 20,
  jitter: 0.1,
  missed: 0.02,
  resets: 2,
};

/** The longest time without a sample, ms, while some replica had one. */
function worstHole(batch: SampleBatch, seenNear: (time: number, reach: number) => boolean): number {
  let worst = 0;
  for (let i = 1; i < batch.length; i++) {
    const gap = batch.t[i]! - batch.t[i - 1]!;
    const middle = (batch.t[i]! + batch.t[i - 1]!) / 2;
    if (gap > worst && seenNear(middle, gap / 2 - 15_001)) worst = gap;
  }
  return worst;
}

Deno.test("simulated pairs: what any replica saw is there, counters keep the true increase", () => {
  let ours = 0;
  let theirs = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const pair = haPair(random, { ...TROUBLE, replicas: 2 + random.below(2) });
    const totals = totalsOf(pair.counters);
    const out = merged(totals, true);
    for (let i = 1; i < out.length; i++) {
      const where = `seed ${seed}: ${dump(out, i - 1, i + 1)}`;
      assert.ok(out.t[i]! > out.t[i - 1]!, where);
      // Halves of a sum may round.
      assert.ok(out.v[i]! >= out.v[i - 1]! - 1e-6, where);
    }
    assert.ok(worstHole(out, pair.seenNear) <= 45_000, `seed ${seed}`);
    const real = pair.trueCount(out.t[out.length - 1]!) - pair.trueCount(out.t[0]!);
    const off = (batch: SampleBatch) =>
      Math.abs((batch.v[batch.length - 1]! - batch.v[0]!) / real - 1);
    ours += off(out);
    const penalty = new SampleBatch();
    mergePenalty(totals, true, penalty);
    theirs += off(penalty);
  }
  assert.ok(ours / 300 < 0.01, `mean error of the whole increase: ${ours / 300}`);
  assert.ok(ours <= theirs, `${ours} against ${theirs} of penalty`);
});

Deno.test("simulated pairs: gauges have the true values, and markers only where all failed", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const pair = haPair(new Random(seed), { ...TROUBLE, missed: 0.1 });
    const out = merged(pair.gauges, false);
    const bits = bitsOf(out.v);
    for (let i = 0; i < out.length; i++) {
      if (i > 0) assert.ok(out.t[i]! > out.t[i - 1]!, `seed ${seed}`);
      if (isStaleAt(bits, i)) {
        assert.ok(!pair.gauges.some((g) => hasValue(g, out.t[i]!, 5000)), `seed ${seed} at ${i}`);
      } else assert.equal(out.v[i], pair.trueGauge(out.t[i]!), `seed ${seed}`);
    }
    assert.ok(worstHole(out, pair.seenNear) <= 45_000, `seed ${seed}`);
  }
});

/** A value after `time` within `reach` ms, no marker. */
function hasValue(batch: SampleBatch, time: number, reach: number): boolean {
  const bits = bitsOf(batch.v);
  for (let i = 0; i < batch.length; i++) {
    const later = batch.t[i]! - time;
    if (later > 0 && later <= reach && !isStaleAt(bits, i)) return true;
  }
  return false;
}
