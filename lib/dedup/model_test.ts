/** The merges against slow models that follow the written rules step by step. */
import assert from "node:assert/strict";
import { runBench } from "../base/testing/bench.ts";
import { dump } from "../base/testing/dump.ts";
import { permutations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import {
  bitsOf,
  compareLabels,
  type FloatHistogram,
  type Labels,
  labelsFromRecord,
  SampleBatch,
  setStaleAt,
} from "../model/mod.ts";
import { bench } from "./dedup_bench.ts";
import { mergeChain, mergePenalty, splitOverlap, stripReplicaLabels } from "./mod.ts";

function histogram(sum: number): FloatHistogram {
  return {
    counterResetHint: "unknown",
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0,
    count: 1,
    sum: Float64Array.of(sum),
    positiveSpans: [],
    negativeSpans: [],
    positiveBuckets: new Float64Array(0),
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
  };
}

interface Input {
  alive(): boolean;
  time(): number;
  isFloat(): boolean;
  value(): number;
  adjust(last: number): void;
  next(): boolean;
  seek(time: number): boolean;
  /** Appends the current sample as it is to be emitted. */
  emit(out: SampleBatch): void;
}

/** One replica as an iterator. */
class ModelReplica implements Input {
  i = -1;
  offset = 0;
  constructor(readonly batch: SampleBatch, readonly counter: boolean) {}
  alive = () => this.i < this.batch.length;
  time = () => this.batch.t[this.i]!;
  isFloat = () => this.batch.h?.[this.i] === undefined;
  value = () => this.batch.v[this.i]! + this.offset;
  adjust(last: number) {
    if (this.counter && last > this.value()) this.offset += last - this.value();
  }
  next() {
    this.i++;
    return this.alive();
  }
  seek(time: number) {
    while (this.alive() && this.time() < time) this.i++;
    return this.alive();
  }
  emit(out: SampleBatch) {
    const at = out.length;
    out.appendRange(this.batch, this.i, this.i + 1);
    if (this.offset !== 0 && this.isFloat()) out.v[at] = this.value();
  }
}

/** The pairwise merge of the rules. */
class ModelPair implements Input {
  lastT = -Infinity;
  penA = 0;
  penB = 0;
  useA = true;
  constructor(readonly a: Input, readonly b: Input) {
    a.next();
    b.next();
  }
  chosen = () => this.useA ? this.a : this.b;
  alive = () => this.chosen().alive();
  time = () => this.chosen().time();
  isFloat = () => this.chosen().isFloat();
  value = () => this.chosen().value();
  emit = (out: SampleBatch) => this.chosen().emit(out);
  adjust(last: number) {
    if (this.a.alive() && this.a.isFloat()) this.a.adjust(last);
    if (this.b.alive() && this.b.isFloat()) this.b.adjust(last);
  }
  next(): boolean {
    const { a, b } = this;
    const before = this.useA;
    const known = this.alive() && this.isFloat();
    const last = known ? this.value() : 0;
    const alive = this.step(a, b);
    if (before !== this.useA && known) this.adjust(last);
    return alive;
  }
  step(a: Input, b: Input): boolean {
    if (a.alive()) a.seek(this.lastT + 1 + this.penA);
    if (b.alive()) b.seek(this.lastT + 1 + this.penB);
    if (!a.alive()) {
      this.useA = false;
      if (b.alive()) {
        this.lastT = b.time();
        this.penB = 0;
      }
      return b.alive();
    }
    if (!b.alive()) {
      this.useA = true;
      this.lastT = a.time();
      this.penA = 0;
      return true;
    }
    this.useA = a.time() <= b.time();
    const time = this.time();
    const penalty = this.lastT === -Infinity ? 5000 : 2 * (time - this.lastT);
    this.penA = this.useA ? 0 : penalty;
    this.penB = this.useA ? penalty : 0;
    this.lastT = time;
    return true;
  }
  seek(time: number): boolean {
    while (this.time() < time) if (!this.next()) return false;
    return true;
  }
}

function modelPenalty(replicas: readonly SampleBatch[], counter: boolean): SampleBatch {
  const out = new SampleBatch();
  const [first, ...rest] = replicas.map((r): Input => new ModelReplica(r, counter));
  let merged = first!;
  for (const next of rest) merged = new ModelPair(merged, next);
  while (merged.next()) merged.emit(out);
  return out;
}

function randomReplica(random: Random, kind: "floats" | "counter" | "mixed"): SampleBatch {
  const batch = new SampleBatch();
  const interval = random.pick([1000, 15_000, 60_000]);
  let t = random.below(interval * 2);
  let v = random.below(1000);
  for (let i = random.pick([0, 1, 2, 30, 120]); i > 0; i--) {
    t += random.chance(0.05)
      ? interval * random.between(2, 20)
      : interval + (random.chance(0.3) ? random.between(-200, 200) : 0);
    v = random.chance(0.05) ? random.below(20) : v + random.below(100);
    if (kind === "mixed" && random.chance(0.4)) {
      batch.appendHistogram(t, histogram(v));
      continue;
    }
    batch.reserve(1);
    batch.t[batch.length] = t;
    batch.v[batch.length] = v;
    if (kind !== "counter" && random.chance(0.1)) setStaleAt(bitsOf(batch.v), batch.length);
    if (batch.h !== null) batch.h[batch.length] = undefined;
    batch.length++;
  }
  return batch;
}

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
