/**
 * Penalty merging: stays on one replica while it delivers and switches when it falls behind by
 * twice its own interval. Thanos' default.
 *
 * Replicas are folded left: merge(merge(r0, r1), r2) … For counters each input carries an
 * adjustment that grows when a switch would make the value fall, so that the switch does not look
 * like a counter reset.
 *
 * The rule asks for the place of both inputs at every step. That of the input not in use is the
 * first sample at or after the latest of all times it was ever moved to, whenever it is looked for;
 * so it is looked for only where it can win or where its value counts, and nothing is decoded for a
 * comparison that a bound decides.
 */
import { assert } from "../base/mod.ts";
import { SampleBatch } from "../model/mod.ts";
import { ReplicaCursor } from "./replica_cursor.ts";

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
  if (replicas.length === 1) {
    out.clear();
    out.appendRange(replicas[0]!, 0, replicas[0]!.length);
    return;
  }
  mergeCursors(
    replicas.map((replica) => {
      const cursor = new ReplicaCursor();
      cursor.openBatch(replica);
      return cursor;
    }),
    counter,
    out,
  );
}

/**
 * mergePenalty() of two or more replicas, decoded on the way; each stands before its first sample.
 *
 * Owner: `scratch` is lent for the call and may grow; it must not hold `out`.
 */
export function mergeCursors(
  replicas: readonly ReplicaCursor[],
  counter: boolean,
  out: SampleBatch,
  scratch: SampleBatch[] = [],
): void {
  out.clear();
  if (replicas.length === 0) return;
  // Corrections reach down to every input: then no part of the fold can be made by itself.
  if (counter && replicas.length > 2) return mergeNested(replicas, out);
  let merged = replicas[0]!;
  for (let i = 1; i < replicas.length; i++) {
    let target = out;
    if (i < replicas.length - 1) {
      target = scratch[(i - 1) % 2] ??= new SampleBatch();
      target.clear();
    }
    new TwoMerge(merged, replicas[i]!, counter, target).run();
    if (target === out) return;
    merged = new ReplicaCursor();
    merged.openBatch(target);
  }
}

/** The fold as one position that moves; with counter corrections. */
function mergeNested(replicas: readonly ReplicaCursor[], out: SampleBatch): void {
  let merged: Cursor = new Leaf(replicas[0]!);
  for (const replica of replicas.slice(1)) merged = new Pair(merged, new Leaf(replica));
  for (let alive = merged.start(); alive; alive = merged.seek(merged.time() + 1)) {
    const { cursor } = merged.source();
    append(cursor, cursor.index, cursor.index + 1, out);
  }
}

/** Appends samples [from, to) of the decoded ones. */
function append(cursor: ReplicaCursor, from: number, to: number, out: SampleBatch): void {
  const { batch } = cursor;
  const at = out.length;
  if (batch.h !== null || batch.st !== null || out.h !== null || out.st !== null) {
    out.appendRange(batch, from, to);
  } else {
    out.reserve(to - from);
    const { t, v } = out;
    const { t: fromT, v: fromV } = batch;
    for (let i = from, n = at; i < to; i++, n++) {
      // Element to element keeps every bit.
      t[n] = fromT[i]!;
      v[n] = fromV[i]!;
    }
    out.length = at + to - from;
  }
  addAdjustment(cursor, at, out);
}

/** Adds to floats from `from` on what is added to the values of their replica. */
function addAdjustment({ adjust }: ReplicaCursor, from: number, out: SampleBatch): void {
  if (adjust === 0) return;
  const { v, h, length } = out;
  for (let n = from; n < length; n++) if (h?.[n] === undefined) v[n] = v[n]! + adjust;
}

/** Lets a counter's values go on from the one before a switch. */
function adjustAt(cursor: ReplicaCursor, last: number): void {
  if (!cursor.alive() || !cursor.isFloat()) return;
  if (last > cursor.value()) cursor.adjust += last - cursor.value();
}

/** The usual case: two replicas, of which one gives long runs. */
class TwoMerge {
  readonly #a: ReplicaCursor;
  readonly #counter: boolean;
  readonly #out: SampleBatch;
  #own: ReplicaCursor;
  #other: ReplicaCursor;
  /** Time of the newest sample of `out`, and its distance from the one before. */
  #lastTime = -Infinity;
  #gap = 0;
  /** The other is moved to this time, by all samples of `out` before #waited. */
  #wait = -Infinity;
  #waited = 0;

  constructor(a: ReplicaCursor, b: ReplicaCursor, counter: boolean, out: SampleBatch) {
    this.#a = a;
    this.#own = a;
    this.#other = b;
    this.#counter = counter;
    this.#out = out;
  }

  run(): void {
    this.#own.seek(-Infinity);
    while (this.#step()) this.#goOn();
  }

  /** Chooses one sample, and those decoded with it that follow at once; false at the end. */
  #step(): boolean {
    const out = this.#out;
    const own = this.#own;
    const n = out.length;
    // The value in use, before the step; at first that of the first replica.
    const hadFloat = n > 0 ? out.h?.[n - 1] === undefined : own.alive() && own.isFloat();
    const last = hadFloat ? (n > 0 ? out.v[n - 1]! : own.value()) : 0;
    const alive = own.seek(this.#lastTime + 1);
    if (!this.#isFirst(alive ? own.time() : Infinity)) {
      if (this.#wait === Infinity) return false;
      this.#own = this.#other;
      this.#other = own;
      this.#wait = alive ? own.time() : Infinity;
      if (this.#counter && hadFloat) {
        adjustAt(this.#own, last);
        adjustAt(own, last);
      }
    }
    const chosen = this.#own;
    const from = chosen.index;
    const { t, length } = chosen.batch;
    this.#take(t[from]!);
    const end = this.#follow(t, from + 1, length);
    append(chosen, from, end, out);
    chosen.index = end;
    return true;
  }

  /** Takes whole chunks while their samples follow; they are decoded to where they belong. */
  #goOn(): void {
    const out = this.#out;
    const own = this.#own;
    while (own.index === own.batch.length && own.appendNext(out)) {
      const { t, length } = out;
      const from = length - own.appended;
      let i = from;
      for (;;) {
        i = this.#follow(t, i, length);
        if (i === length) break;
        if (t[i]! < this.#lastTime + 1 || !this.#isFirst(t[i]!, i)) break;
        this.#take(t[i++]!);
      }
      if (i < length) own.takeBack(out, i);
      addAdjustment(own, from, out);
    }
  }

  #take(time: number): void {
    this.#gap = this.#lastTime === -Infinity ? INITIAL_PENALTY / 2 : time - this.#lastTime;
    this.#lastTime = time;
  }

  /**
   * Takes samples from `i` on that come before any of the other by the last penalty alone; returns
   * the index of the first that may not.
   */
  #follow(t: Float64Array, i: number, end: number): number {
    let last = this.#lastTime;
    let gap = this.#gap;
    for (; i < end; i++) {
      const time = t[i]!;
      const next = time - last;
      if (next < 1 || next > 2 * gap) break;
      gap = next;
      last = time;
    }
    this.#lastTime = last;
    this.#gap = gap;
    return i;
  }

  /** Moves the other's time on by what the samples of `out` before `end` demand. */
  #catchUp(end: number): void {
    const { t } = this.#out;
    let wait = this.#wait;
    for (let i = this.#waited; i < end; i++) {
      const penalty = i === 0 ? INITIAL_PENALTY : 2 * (t[i]! - t[i - 1]!);
      const need = t[i]! + 1 + penalty;
      if (need > wait) wait = need;
    }
    this.#wait = wait;
    this.#waited = end;
  }

  /**
   * True when a sample at `time` (Infinity = none) of the one in use comes before the other's next;
   * samples of `out` before `end` are chosen. Looks no closer at the other than it takes to tell; when false, the
   * other stands on its sample, or has none and #wait is Infinity.
   */
  #isFirst(time: number, end: number = this.#out.length): boolean {
    const other = this.#other;
    const ties = this.#own === this.#a && time !== Infinity;
    this.#wait = Math.max(this.#wait, this.#lastTime + 1 + 2 * this.#gap);
    if (isFirst(time, this.#wait, ties)) return true;
    this.#wait = other.lowerBound(this.#wait);
    if (isFirst(time, this.#wait, ties)) return true;
    if (this.#wait === Infinity) return false;
    this.#catchUp(end);
    if (isFirst(time, this.#wait, ties)) return true;
    this.#wait = other.lowerBound(this.#wait);
    if (isFirst(time, this.#wait, ties)) return true;
    this.#wait = other.seek(this.#wait) ? other.time() : Infinity;
    return isFirst(time, this.#wait, ties);
  }
}

/** True when a sample at `time` comes before any of the other input, which has none before `bound`. */
function isFirst(time: number, bound: number, ties: boolean): boolean {
  return time < bound || (ties && time === bound);
}

/** A position in the fold: a replica, or the merge of two positions. */
interface Cursor {
  /** Moves to the first sample; false when there is none. */
  start(): boolean;
  /** Moves on to the first sample of `time` or later; false when there is none. */
  seek(time: number): boolean;
  /** See ReplicaCursor. */
  lowerBound(time: number): number;
  alive(): boolean;
  /** Time under the cursor; only while alive. */
  time(): number;
  /** The replica that the current sample comes from; only while alive. */
  source(): Leaf;
  /** Forwards a counter correction to every input below. */
  adjustAt(last: number): void;
}

class Leaf implements Cursor {
  readonly cursor: ReplicaCursor;
  constructor(cursor: ReplicaCursor) {
    this.cursor = cursor;
  }
  start(): boolean {
    return this.cursor.seek(-Infinity);
  }
  seek(time: number): boolean {
    return this.cursor.seek(time);
  }
  lowerBound(time: number): number {
    return this.cursor.lowerBound(time);
  }
  alive(): boolean {
    return this.cursor.alive();
  }
  time(): number {
    return this.cursor.time();
  }
  source(): Leaf {
    return this;
  }
  adjustAt(last: number): void {
    adjustAt(this.cursor, last);
  }
}

class Pair implements Cursor {
  readonly #a: Cursor;
  readonly #b: Cursor;
  #own: Cursor;
  #other: Cursor;
  #lastTime = -Infinity;
  /** The other's: the newest one, and the latest time that it was moved to. */
  #penalty = 0;
  #wait = -Infinity;

  constructor(a: Cursor, b: Cursor) {
    this.#a = a;
    this.#b = b;
    this.#own = a;
    this.#other = b;
  }
  start(): boolean {
    this.#own.start();
    return this.#next();
  }
  seek(time: number): boolean {
    while (this.alive() && this.time() < time) if (!this.#next()) return false;
    return this.alive();
  }
  lowerBound(time: number): number {
    return this.alive() ? Math.max(time, this.time()) : Infinity;
  }
  alive(): boolean {
    return this.#own.alive();
  }
  time(): number {
    return this.#own.time();
  }
  source(): Leaf {
    return this.#own.source();
  }
  adjustAt(last: number): void {
    // Its value counts, so its place does.
    this.#other.seek(this.#wait);
    for (const input of [this.#a, this.#b]) {
      if (input.alive() && input.source().cursor.isFloat()) input.adjustAt(last);
    }
  }
  #next(): boolean {
    const own = this.#own;
    const leaf = own.alive() ? own.source().cursor : undefined;
    const hadFloat = leaf !== undefined && leaf.isFloat();
    const last = hadFloat ? leaf.value() : 0;
    this.#wait = Math.max(this.#wait, this.#lastTime + 1 + this.#penalty);
    const alive = own.alive() && own.seek(this.#lastTime + 1);
    let switched = !alive;
    if (!alive) {
      if (this.#other.lowerBound(this.#wait) === Infinity) return false;
      if (!this.#other.seek(this.#wait)) return false;
    } else {
      const ties = own === this.#a;
      const time = own.time();
      if (!isFirst(time, this.#wait, ties)) {
        this.#wait = this.#other.lowerBound(this.#wait);
        if (!isFirst(time, this.#wait, ties)) {
          this.#wait = this.#other.seek(this.#wait) ? this.#other.time() : Infinity;
          switched = !isFirst(time, this.#wait, ties);
        }
      }
    }
    if (switched) {
      this.#own = this.#other;
      this.#other = own;
      this.#wait = -Infinity;
      if (hadFloat) this.adjustAt(last);
    }
    const time = this.#own.time();
    this.#penalty = this.#lastTime === -Infinity ? INITIAL_PENALTY : 2 * (time - this.#lastTime);
    this.#lastTime = time;
    return true;
  }
}
