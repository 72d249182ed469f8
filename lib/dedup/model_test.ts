/** The merges against slow models that follow the written rules step by step. */
import assert from "node:assert/strict";
import { runBench } from "../base/testing/bench.ts";
import { dump } from "../base/testing/dump.ts";
import { permutations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import { compareLabels, type Labels, labelsFromRecord, SampleBatch } from "../model/mod.ts";
import { bench } from "./dedup_bench.ts";
import { modelPenalty, randomReplica } from "./testing/model_penalty.ts";
import { mergeChain, mergePenalty, splitOverlap, stripReplicaLabels } from "./mod.ts";

Deno.test("mergePenalty() follows the written rules for floats, counters and histograms", () => {
  for (let seed = 1; seed <= 1500; seed++) {
    const random = new Random(seed);
    const kind = random.pick(["floats", "counter", "mixed"] as const);
    const counter = kind !== "floats" && random.chance(0.7);
    const replicas = Array.from(
      { length: random.between(1, 4) },
      () => randomReplica(random, kind),
    );
    const before = replicas.map((r) => dump(r));
    const out = new SampleBatch();
    mergePenalty(replicas, counter, out);
    const what = `seed ${seed}: ${replicas.length} replicas, ${kind}, counter ${counter}`;
    assert(dump(out) === dump(modelPenalty(replicas, counter)), what);
    assert.deepEqual(replicas.map((r) => dump(r)), before, "inputs are only read");
  }
});

/** Chain merging step by step; the replicas that wait are at most one here. */
function modelChain(first: SampleBatch, second: SampleBatch): SampleBatch {
  const out = new SampleBatch();
  const pair = [first, second];
  const at = [-1, 0];
  const time = (r: number) => pair[r]!.t[at[r]!]!;
  let waiting = second.length > 0 ? 1 : undefined;
  let current = 0;
  let last = -Infinity;
  for (;;) {
    at[current]!++;
    if (at[current]! >= pair[current]!.length) {
      if (waiting === undefined) return out;
      current = waiting;
      waiting = undefined;
      if (time(current) === last) continue;
    } else {
      if (time(current) === last) continue;
      if (waiting !== undefined && time(current) >= time(waiting)) {
        [current, waiting] = [waiting, current];
        if (time(current) === last) continue;
      }
    }
    last = time(current);
    out.appendRange(pair[current]!, at[current]!, at[current]! + 1);
  }
}

Deno.test("mergeChain() of up to two replicas follows the written rules", () => {
  for (let seed = 1; seed <= 500; seed++) {
    const random = new Random(seed);
    const kind = random.pick(["floats", "mixed"] as const);
    const first = randomReplica(random, kind);
    const second = random.chance(0.5) ? randomReplica(random, kind) : new SampleBatch();
    if (second.length === 0) {
      // In step for stretches, with other values: which sample wins is visible.
      for (let i = 0; i < first.length; i++) {
        if (random.chance(0.1)) continue;
        const at = second.length;
        second.appendRange(first, i, i + 1);
        if (first.h?.[i] === undefined) second.v[at] = -i - 1;
      }
    }
    const out = new SampleBatch();
    mergeChain([first, second], out);
    assert(dump(out) === dump(modelChain(first, second)), `seed ${seed}`);
  }
});

Deno.test("mergeChain() of more replicas has every time once, with a sample of that time", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const replicas = Array.from({ length: 4 }, () => randomReplica(random, "floats"));
    const out = new SampleBatch();
    mergeChain(replicas, out);
    const samples = new Set(replicas.flatMap((r) => dump(r).split(" ")));
    const times = new Set(replicas.flatMap((r) => [...r.t.subarray(0, r.length)]));
    assert.deepEqual([...out.t.subarray(0, out.length)], [...times].sort((a, b) => a - b));
    for (const sample of dump(out).split(" ")) assert(samples.has(sample));
  }
});

Deno.test("splitOverlap() gives replicas without overlap, and one when nothing overlaps", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const chunks = Array.from({ length: random.below(12) }, () => {
      const minTime = random.below(60);
      return { minTime, maxTime: minTime + random.below(15) };
    }).sort((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
    const replicas = splitOverlap(chunks);
    // The rule itself: the first replica that ended before the chunk starts, else a new one.
    const expected: (typeof chunks)[] = [];
    for (const chunk of chunks) {
      const free = expected.find((r) => r.at(-1)!.maxTime < chunk.minTime);
      if (free === undefined) expected.push([chunk]);
      else free.push(chunk);
    }
    assert.deepEqual(replicas, expected.length === 0 ? [[]] : expected, `seed ${seed}`);
    if (expected.length <= 1) assert.equal(replicas[0], chunks);
  }
});

Deno.test("stripReplicaLabels() restores the order that taking labels off destroys", () => {
  const all: { labels: Labels; id: number }[] = [];
  for (const a of ["", "1", "2"]) {
    for (const replica of ["", "x", "y"]) {
      for (const z of ["", "1", "2"]) {
        all.push({ labels: labelsFromRecord({ b: a, replica, z }), id: all.length });
      }
    }
  }
  all.sort((x, y) => compareLabels(x.labels, y.labels));
  const stripped = stripReplicaLabels(all, new Set(["replica"]));
  assert.equal(stripped.length, all.length);
  for (let i = 0; i < stripped.length; i++) {
    assert(!stripped[i]!.labels.includes("replica"));
    if (i === 0) continue;
    const order = compareLabels(stripped[i - 1]!.labels, stripped[i]!.labels);
    const position = (k: number) => all.findIndex((s) => s.id === stripped[k]!.id);
    assert(order < 0 || (order === 0 && position(i - 1) < position(i)));
  }
  assert.equal(stripReplicaLabels(all, new Set(["none"])), all);
  for (const three of permutations(["p", "q", "r"])) {
    const items = three.map((r, i) => ({
      labels: labelsFromRecord({ a: "1", replica: r, z: String(i) }),
    })).sort((x, y) => compareLabels(x.labels, y.labels));
    const out = stripReplicaLabels(items, new Set(["replica"]));
    assert.deepEqual(out.map((s) => s.labels.at(-1)), ["0", "1", "2"]);
  }
});

Deno.test("the benchmark runs at its small size", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 8);
});
