/**
 * Chain merging: every sample of every replica in time order, one of those with equal times.
 */
import { assert } from "../base/mod.ts";
import type { SampleBatch } from "../model/mod.ts";

/**
 * Replaces `out` with the union of `replicas` (each ascending in time).
 *
 * One replica is read from, the others wait in a heap by time. At equal times the waiting one takes
 * over, so of two replicas in step the second one's samples come through.
 * Owner: inputs are only read; `out` must be none of them.
 * Source: the order that Prometheus' chained series merge gives.
 */
export function mergeChain(replicas: readonly SampleBatch[], out: SampleBatch): void {
  assert(!replicas.includes(out), "the target of a merge is not one of its inputs");
  out.clear();
  if (replicas.length === 0) return;
  let total = 0;
  for (const replica of replicas) total += replica.length;
  out.reserve(total);
  const plain = replicas.every((r) => r.h === null && r.st === null);
  const waiting = new Waiting(replicas);
  for (let r = 1; r < replicas.length; r++) if (replicas[r]!.length > 0) waiting.push(r);
  const { at } = waiting;
  let current = 0;
  let last = -Infinity;
  // The one read from stands before its next sample, those that wait stand on theirs.
  at[0] = -1;
  for (;;) {
    const source = replicas[current]!;
    const { t, length } = source;
    let i = at[current]! + 1;
    while (i < length && t[i]! <= last) i++;
    // Up to the first time of those that wait, its samples are copied at once.
    const limit = waiting.size === 0 ? Infinity : waiting.firstTime();
    let end = i;
    while (end < length && t[end]! < limit) end++;
    if (end > i) {
      append(source, i, end, out, plain);
      last = t[end - 1]!;
    }
    if (waiting.size === 0) return;
    at[current] = end;
    if (end < length) waiting.push(current);
    current = waiting.pop();
    const next = at[current]!;
    const time = replicas[current]!.t[next]!;
    if (time > last) {
      append(replicas[current]!, next, next + 1, out, plain);
      last = time;
    }
  }
}

/** Appends samples [from, to); the target has room for them. */
function append(
  source: SampleBatch,
  from: number,
  to: number,
  out: SampleBatch,
  plain: boolean,
): void {
  if (!plain || to - from > 16) {
    out.appendRange(source, from, to);
    return;
  }
  const { t, v } = out;
  let n = out.length;
  for (let i = from; i < to; i++, n++) {
    t[n] = source.t[i]!;
    v[n] = source.v[i]!;
  }
  out.length = n;
}

/** A binary heap of replicas by the time of their current sample. */
class Waiting {
  readonly #replicas: readonly SampleBatch[];
  readonly #heap: Int32Array;
  /** Index of each replica's current sample. */
  readonly at: Int32Array;
  size = 0;

  constructor(replicas: readonly SampleBatch[]) {
    this.#replicas = replicas;
    this.#heap = new Int32Array(replicas.length);
    this.at = new Int32Array(replicas.length);
  }

  #time(slot: number): number {
    const r = this.#heap[slot]!;
    return this.#replicas[r]!.t[this.at[r]!]!;
  }
  firstTime(): number {
    return this.#time(0);
  }
  #swap(i: number, j: number): void {
    const r = this.#heap[i]!;
    this.#heap[i] = this.#heap[j]!;
    this.#heap[j] = r;
  }

  push(replica: number): void {
    let i = this.size++;
    this.#heap[i] = replica;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (this.#time(i) >= this.#time(parent)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  pop(): number {
    this.#swap(0, --this.size);
    for (let i = 0;;) {
      let child = 2 * i + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.#time(child + 1) < this.#time(child)) child++;
      if (this.#time(child) >= this.#time(i)) break;
      this.#swap(i, child);
      i = child;
    }
    return this.#heap[this.size]!;
  }
}
