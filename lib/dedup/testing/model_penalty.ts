/** Merging by penalty as the rules say, one step after the other; and replicas to merge. */
import type { Random } from "../../base/testing/random.ts";
import { bitsOf, type FloatHistogram, SampleBatch, setStaleAt } from "../../model/mod.ts";

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

/** The merge of replicas as the rules say. */
export function modelPenalty(replicas: readonly SampleBatch[], counter: boolean): SampleBatch {
  const out = new SampleBatch();
  const [first, ...rest] = replicas.map((r): Input => new ModelReplica(r, counter));
  let merged = first!;
  for (const next of rest) merged = new ModelPair(merged, next);
  while (merged.next()) merged.emit(out);
  return out;
}

/** A replica of one of three scrape intervals, with gaps, jitter, resets and staleness markers. */
export function randomReplica(random: Random, kind: "floats" | "counter" | "mixed"): SampleBatch {
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
