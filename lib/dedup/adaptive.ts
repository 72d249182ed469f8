/**
 * Adaptive merging: learns how often each replica has samples, stays with one replica while it has
 * them, and fills what it misses from the others.
 *
 * Of counters, whose running totals differ from replica to replica, the part that another replica
 * fills goes on where the one before stood: its total at that moment lies on the line between its
 * own samples. So a switch shows neither as a reset nor as a jump, and what was counted while one
 * replica was away is not lost.
 *
 * Other than penalty merging, it needs no time to notice a gap (the next sample of the replica in use
 * is known), and adds no samples where nothing is missing.
 */
import { assert } from "../base/mod.ts";
import { bitsOf, isStaleAt, type SampleBatch, withResetHint } from "../model/mod.ts";

/** A replica misses a sample when the next one comes after this many of its intervals. */
const MISSED = 1.5;
/** The replica that takes over starts at least this part of an interval after the last sample. */
const APART = 0.75;
/** A first sample that is this many times more than expected is no continuation of a counter. */
const IMPLAUSIBLE = 4;
/** Intervals that are looked at to learn the usual one. */
const LEARNED = 33;
/** Where only one sample is known, ms. */
const UNKNOWN_INTERVAL = 60_000;

/**
 * Replaces `out` with the merge of `replicas` (each ascending in time); `counter`: floats are running
 * totals without resets.
 *
 * Owner: inputs are only read; `out` must be none of them.
 */
export function mergeAdaptive(
  replicas: readonly SampleBatch[],
  counter: boolean,
  out: SampleBatch,
): void {
  assert(!replicas.includes(out), "the target of a merge is not one of its inputs");
  out.clear();
  const some = replicas.filter((r) => r.length > 0);
  if (some.length === 0) return;
  if (some.length === 1) {
    out.appendRange(some[0]!, 0, some[0]!.length);
    return;
  }
  const intervals = learnIntervals(some);
  out.reserve(some.reduce((n, r) => Math.max(n, r.length), 0) + 16);
  const merge = new Merge(some, intervals, counter, out);
  merge.run();
}

/** Each replica's usual distance of samples, ms. */
function learnIntervals(replicas: readonly SampleBatch[]): Float64Array {
  const intervals = new Float64Array(replicas.length);
  const deltas = new Float64Array(LEARNED);
  let shortest = Infinity;
  for (let r = 0; r < replicas.length; r++) {
    const { t, length } = replicas[r]!;
    const count = Math.min(LEARNED, length - 1);
    if (count <= 0) continue;
    for (let k = 0; k < count; k++) {
      const i = 1 + Math.floor((k * (length - 1)) / count);
      deltas[k] = t[i]! - t[i - 1]!;
    }
    intervals[r] = deltas.subarray(0, count).sort()[count >> 1]!;
    shortest = Math.min(shortest, intervals[r]!);
  }
  for (let r = 0; r < replicas.length; r++) {
    if (intervals[r] === 0) intervals[r] = shortest === Infinity ? UNKNOWN_INTERVAL : shortest;
  }
  return intervals;
}

class Merge {
  readonly #replicas: readonly SampleBatch[];
  readonly #intervals: Float64Array;
  readonly #counter: boolean;
  readonly #out: SampleBatch;
  readonly #bits: readonly Uint32Array[];
  /** Where the search for a replica's next sample goes on. */
  readonly #next: Int32Array;
  /** Added to the totals of the replica in use. */
  #offset = 0;

  constructor(
    replicas: readonly SampleBatch[],
    intervals: Float64Array,
    counter: boolean,
    out: SampleBatch,
  ) {
    this.#replicas = replicas;
    this.#intervals = intervals;
    this.#counter = counter;
    this.#out = out;
    this.#bits = replicas.map((r) => bitsOf(r.v));
    this.#next = new Int32Array(replicas.length);
  }

  run(): void {
    const replicas = this.#replicas;
    let current = 0;
    for (let r = 1; r < replicas.length; r++) {
      if (replicas[r]!.t[0]! < replicas[current]!.t[0]!) current = r;
    }
    let at = 0;
    let switched = false;
    for (;;) {
      const { t, length } = replicas[current]!;
      const end = this.#runEnd(current, at);
      if (end > at) {
        this.#append(current, at, end, switched);
        switched = false;
      }
      // A run is empty only where a staleness marker ends it.
      const last = this.#out.length === 0
        ? t[at]! - this.#intervals[current]!
        : this.#out.t[this.#out.length - 1]!;
      const resume = end < length ? t[end]! : Infinity;
      const isMarker = end < length && this.#isStale(current, end);
      const limit = isMarker ? resume + MISSED * this.#intervals[current]! : resume;
      const other = this.#takeOver(current, last, limit);
      if (other >= 0) {
        if (this.#counter) this.#goOn(other, last);
        current = other;
        at = this.#next[other]!;
        switched = true;
      } else if (end < length) {
        // All are away, or the target is: the marker counts.
        at = end;
        if (isMarker) {
          this.#append(current, at, at + 1, false);
          at++;
          const after = this.#takeOver(current, resume, at < length ? t[at]! : Infinity);
          if (after >= 0) {
            current = after;
            at = this.#next[after]!;
            switched = true;
          } else if (at >= length) return;
        }
      } else return;
    }
  }

  #isStale(r: number, i: number): boolean {
    const value = this.#replicas[r]!.v[i]!;
    return value !== value && isStaleAt(this.#bits[r]!, i);
  }

  /** End of the samples from `at` on that follow each other without one missing. */
  #runEnd(r: number, at: number): number {
    const { t, v, length } = this.#replicas[r]!;
    const interval = this.#intervals[r]!;
    const bits = this.#bits[r]!;
    const counter = this.#counter;
    if (!counter && this.#isStale(r, at)) return at;
    let before = interval;
    let beforeThat = interval;
    let end = at + 1;
    for (; end < length; end++) {
      const delta = t[end]! - t[end - 1]!;
      // Scrapes that became rarer are told from a gap by their second time.
      if (delta > MISSED * interval) {
        if (delta > MISSED * Math.max(interval, Math.min(before, beforeThat))) break;
      }
      const value = v[end]!;
      if (value !== value && !counter && isStaleAt(bits, end)) break;
      beforeThat = before;
      before = delta;
    }
    return end;
  }

  /**
   * The replica that has the first sample after `last` (but not right after it) and before `limit`;
   * -1 when none has. #next of it stands on that sample.
   */
  #takeOver(current: number, last: number, limit: number): number {
    const from = last + APART * this.#intervals[current]!;
    let best = -1;
    let bestTime = limit;
    for (let r = 0; r < this.#replicas.length; r++) {
      if (r === current) continue;
      const { t, length } = this.#replicas[r]!;
      let i = seek(t, length, this.#next[r]!, from);
      while (i < length && !this.#counter && this.#isStale(r, i)) i++;
      this.#next[r] = i;
      if (i < length && t[i]! < bestTime) {
        best = r;
        bestTime = t[i]!;
      }
    }
    return best;
  }

  /** Chooses the offset with which replica `r` goes on from what was written last, at `time`. */
  #goOn(r: number, time: number): void {
    const out = this.#out;
    const n = out.length;
    const { t, v, h, length } = this.#replicas[r]!;
    if (n === 0 || out.h?.[n - 1] !== undefined) return;
    const stands = out.v[n - 1]!;
    const next = seek(t, length, 0, time + 1);
    if (next > 0 && h?.[next] === undefined && h?.[next - 1] === undefined) {
      const part = next < length ? (time - t[next - 1]!) / (t[next]! - t[next - 1]!) : 0;
      const then = next < length ? v[next - 1]! + (v[next]! - v[next - 1]!) * part : v[length - 1]!;
      this.#offset = stands - then;
      return;
    }
    // It was not there yet: its first value counts from the counter's own zero.
    const first = this.#next[r]!;
    const expected = slopeOf(out) * (t[first]! - time);
    const increase = v[first]! - stands;
    const plausible = increase >= 0 && increase <= IMPLAUSIBLE * expected + 1;
    this.#offset = plausible ? 0 : stands + expected - v[first]!;
  }

  #append(r: number, from: number, to: number, switched: boolean): void {
    const source = this.#replicas[r]!;
    const out = this.#out;
    const at = out.length;
    out.appendRange(source, from, to);
    const offset = this.#offset;
    if (this.#counter && offset !== 0) {
      const { v, h } = out;
      for (let i = at; i < out.length; i++) if (h?.[i] === undefined) v[i] = v[i]! + offset;
    }
    // What a histogram says of a reset before it is about a sample that is not there.
    const first = switched ? out.h?.[at] : undefined;
    if (first !== undefined && first.counterResetHint !== "gauge") {
      out.h![at] = withResetHint(first, "unknown");
    }
  }
}

/** Increase in a ms over the last samples of a counter. */
function slopeOf({ t, v, length }: SampleBatch): number {
  const from = Math.max(0, length - 5);
  const span = t[length - 1]! - t[from]!;
  return span > 0 ? Math.max(0, (v[length - 1]! - v[from]!) / span) : 0;
}

/** Index of the first time of `from` or later, at `start` or after it. */
function seek(t: Float64Array, length: number, start: number, from: number): number {
  let step = 1;
  let low = start;
  while (low + step < length && t[low + step]! < from) {
    low += step;
    step *= 2;
  }
  let high = Math.min(length, low + step + 1);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (t[middle]! < from) low = middle + 1;
    else high = middle;
  }
  return low;
}
