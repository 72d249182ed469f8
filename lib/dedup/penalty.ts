/**
 * Penalty merging: stays on one replica while it delivers and switches when it falls behind by
 * twice its own interval. Thanos' default.
 *
 * Replicas are folded left: merge(merge(r0, r1), r2) … For counters each input carries an
 * adjustment that grows when a switch would make the value fall, so that the switch does not look
 * like a counter reset.
 */
import { assert } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";

/** Time until the other replica may be used after the very first sample, ms. */
const INITIAL_PENALTY = 5000;

/**
 * Replaces `out` with the merge of `replicas` (each ascending in time).
 *
 * Owner: inputs are only read; `out` must be none of them.
 */
export function mergePenalty(
  replicas: readonly SampleBatch[],
  counter: boolean,
  out: SampleBatch,
): void {
  assert(!replicas.includes(out), "the target of a merge is not one of its inputs");
  out.clear();
  if (replicas.length === 0) return;
  if (replicas.length === 1) {
    out.appendRange(replicas[0]!, 0, replicas[0]!.length);
    return;
  }
  const plain = replicas.every((r) => r.h === null && r.st === null);
  if (replicas.length === 2 && plain) mergeTwo(replicas[0]!, replicas[1]!, counter, out);
  else mergeMany(replicas, counter, out);
}

/** The usual case: two replicas of floats, all state in locals. */
function mergeTwo(a: SampleBatch, b: SampleBatch, counter: boolean, out: SampleBatch): void {
  const aCount = a.length;
  const bCount = b.length;
  out.reserve(aCount + bCount);
  const { t: at, v: av } = a;
  const { t: bt, v: bv } = b;
  const { t, v } = out;
  let i = 0;
  let j = 0;
  let n = 0;
  let lastTime = -Infinity;
  let penaltyA = 0;
  let penaltyB = 0;
  let useA = true;
  let adjustA = 0;
  let adjustB = 0;
  for (;;) {
    const hadA: boolean = useA;
    // The value under the cursor in use, read before it moves.
    const hadLast = hadA ? i < aCount : j < bCount;
    const last = hadLast ? (hadA ? av[i]! + adjustA : bv[j]! + adjustB) : 0;
    const fromA = lastTime + 1 + penaltyA;
    while (i < aCount && at[i]! < fromA) i++;
    const fromB = lastTime + 1 + penaltyB;
    while (j < bCount && bt[j]! < fromB) j++;
    if (i >= aCount) {
      if (j >= bCount) break;
      useA = false;
      lastTime = bt[j]!;
      penaltyB = 0;
    } else if (j >= bCount) {
      useA = true;
      lastTime = at[i]!;
      penaltyA = 0;
    } else {
      useA = at[i]! <= bt[j]!;
      const time = useA ? at[i]! : bt[j]!;
      const penalty = lastTime === -Infinity ? INITIAL_PENALTY : 2 * (time - lastTime);
      if (useA) {
        penaltyB = penalty;
        penaltyA = 0;
      } else {
        penaltyA = penalty;
        penaltyB = 0;
      }
      lastTime = time;
    }
    if (counter && useA !== hadA && hadLast) {
      if (i < aCount && last > av[i]! + adjustA) adjustA += last - (av[i]! + adjustA);
      if (j < bCount && last > bv[j]! + adjustB) adjustB += last - (bv[j]! + adjustB);
    }
    t[n] = lastTime;
    // Element to element keeps every bit; an adjustment is added only where there is one.
    if (useA) v[n] = adjustA === 0 ? av[i]! : av[i]! + adjustA;
    else v[n] = adjustB === 0 ? bv[j]! : bv[j]! + adjustB;
    n++;
  }
  out.length = n;
}

/** A position in the fold: a replica, or the merge of two positions. */
interface Cursor {
  /** Time under the cursor; only while alive. */
  time(): number;
  alive(): boolean;
  seek(time: number): void;
  /** True when the current sample is no histogram; only while alive. */
  isFloat(): boolean;
  /** The replica that the current sample comes from. */
  source(): Leaf;
  /** Forwards a counter correction to every input below. */
  adjustAt(last: number): void;
}

class Leaf implements Cursor {
  readonly batch: SampleBatch;
  index = 0;
  adjust = 0;
  constructor(batch: SampleBatch) {
    this.batch = batch;
  }
  time(): number {
    return this.batch.t[this.index]!;
  }
  alive(): boolean {
    return this.index < this.batch.length;
  }
  seek(time: number): void {
    const { t, length } = this.batch;
    let i = this.index;
    while (i < length && t[i]! < time) i++;
    this.index = i;
  }
  source(): Leaf {
    return this;
  }
  isFloat(): boolean {
    return this.batch.h?.[this.index] === undefined;
  }
  value(): number {
    return this.batch.v[this.index]! + this.adjust;
  }
  adjustAt(last: number): void {
    if (this.alive() && this.isFloat() && last > this.value()) this.adjust += last - this.value();
  }
}

class Pair implements Cursor {
  readonly #a: Cursor;
  readonly #b: Cursor;
  readonly #counter: boolean;
  #lastTime = -Infinity;
  #penaltyA = 0;
  #penaltyB = 0;
  #useA = true;
  constructor(a: Cursor, b: Cursor, counter: boolean) {
    this.#a = a;
    this.#b = b;
    this.#counter = counter;
  }
  #chosen(): Cursor {
    return this.#useA ? this.#a : this.#b;
  }
  time(): number {
    return this.#chosen().time();
  }
  alive(): boolean {
    return this.#chosen().alive();
  }
  isFloat(): boolean {
    return this.#chosen().isFloat();
  }
  source(): Leaf {
    return this.#chosen().source();
  }
  adjustAt(last: number): void {
    if (this.#a.alive() && this.#a.isFloat()) this.#a.adjustAt(last);
    if (this.#b.alive() && this.#b.isFloat()) this.#b.adjustAt(last);
  }
  /** Moves to the next sample; false at the end. */
  next(): boolean {
    const a = this.#a;
    const b = this.#b;
    const hadA = this.#useA;
    const before = this.#chosen();
    const leaf = before.alive() ? before.source() : undefined;
    const hadFloat = leaf !== undefined && leaf.isFloat();
    const last = hadFloat ? leaf.value() : 0;
    if (a.alive()) a.seek(this.#lastTime + 1 + this.#penaltyA);
    if (b.alive()) b.seek(this.#lastTime + 1 + this.#penaltyB);
    if (!a.alive()) {
      this.#useA = false;
      if (b.alive()) {
        this.#lastTime = b.time();
        this.#penaltyB = 0;
      }
    } else if (!b.alive()) {
      this.#useA = true;
      this.#lastTime = a.time();
      this.#penaltyA = 0;
    } else {
      this.#useA = a.time() <= b.time();
      const time = this.#chosen().time();
      const penalty = this.#lastTime === -Infinity ? INITIAL_PENALTY : 2 * (time - this.#lastTime);
      this.#penaltyA = this.#useA ? 0 : penalty;
      this.#penaltyB = this.#useA ? penalty : 0;
      this.#lastTime = time;
    }
    if (this.#counter && this.#useA !== hadA && hadFloat) this.adjustAt(last);
    return this.alive();
  }
  seek(time: number): void {
    while (this.alive() && this.time() < time) {
      if (!this.next()) return;
    }
  }
}

function mergeMany(replicas: readonly SampleBatch[], counter: boolean, out: SampleBatch): void {
  let merged: Cursor = new Leaf(replicas[0]!);
  let top: Pair | undefined;
  for (const replica of replicas.slice(1)) {
    top = new Pair(merged, new Leaf(replica), counter);
    // An inner merge stands on its first sample before the outer one looks at it.
    if (merged instanceof Pair) merged.next();
    merged = top;
  }
  const plain = replicas.every((r) => r.h === null && r.st === null);
  let total = 0;
  for (const replica of replicas) total += replica.length;
  out.reserve(total);
  const { t, v } = out;
  while (top!.next()) {
    const leaf = top!.source();
    const { batch, index } = leaf;
    const at = out.length;
    if (plain) {
      t[at] = batch.t[index]!;
      v[at] = batch.v[index]!;
      out.length = at + 1;
    } else out.appendRange(batch, index, index + 1);
    if (leaf.adjust !== 0 && leaf.isFloat()) out.v[at] = leaf.value();
  }
}
