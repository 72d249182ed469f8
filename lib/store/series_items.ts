/**
 * Series of one block on their way to the reader: labels and chunk references in columns, and the
 * order in which they come once external labels are in place.
 */
import { compareLabels, equalLabels, type Labels } from "../model/mod.ts";
import type { SeriesEntry } from "../tsdb/mod.ts";

/** Selected series in columns; item i has chunks [starts[i], starts[i + 1]). */
export class SeriesItems {
  readonly labels: Labels[] = [];
  /** Labels as the block has them, without external ones. */
  readonly raw: Labels[] = [];
  readonly starts: number[] = [0];
  minTimes: Float64Array;
  maxTimes: Float64Array;
  refs: Float64Array;
  /** No items of the block follow these. */
  last = false;

  /** `chunks` is the number of chunks to make room for at first. */
  constructor(chunks = 16) {
    this.minTimes = new Float64Array(chunks);
    this.maxTimes = new Float64Array(chunks);
    this.refs = new Float64Array(chunks);
  }

  get count(): number {
    return this.labels.length;
  }
  get chunkCount(): number {
    return this.starts[this.labels.length]!;
  }

  /** Adds a series with its chunks that touch [minTime, maxTime]; false when none does. */
  add(
    labels: Labels,
    raw: Labels,
    entry: SeriesEntry,
    minTime: number,
    maxTime: number,
  ): boolean {
    const start = this.starts[this.labels.length]!;
    this.#reserve(start + entry.chunkCount);
    const { minTimes, maxTimes, refs } = this;
    let at = start;
    for (let i = 0; i < entry.chunkCount; i++) {
      const from = entry.minTimes[i]!;
      const to = entry.maxTimes[i]!;
      if (from > maxTime || to < minTime) continue;
      minTimes[at] = from;
      maxTimes[at] = to;
      refs[at++] = entry.refs[i]!;
    }
    if (at === start) return false;
    this.labels.push(labels);
    this.raw.push(raw);
    this.starts.push(at);
    return true;
  }

  /** Copies item `i` of another buffer to the end of this one. */
  copy(from: SeriesItems, i: number): void {
    const start = from.starts[i]!;
    const end = from.starts[i + 1]!;
    const at = this.starts[this.labels.length]!;
    this.#reserve(at + end - start);
    this.minTimes.set(from.minTimes.subarray(start, end), at);
    this.maxTimes.set(from.maxTimes.subarray(start, end), at);
    this.refs.set(from.refs.subarray(start, end), at);
    this.labels.push(from.labels[i]!);
    this.raw.push(from.raw[i]!);
    this.starts.push(at + end - start);
  }

  #reserve(chunks: number): void {
    if (chunks <= this.refs.length) return;
    const size = Math.max(chunks, this.refs.length * 2);
    const grow = (column: Float64Array): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(size);
      larger.set(column);
      return larger;
    };
    this.minTimes = grow(this.minTimes);
    this.maxTimes = grow(this.maxTimes);
    this.refs = grow(this.refs);
  }
}

/** Puts series into the order of their final labels, batch after batch. */
export interface SeriesOrder {
  /**
   * Items that can go out now, in order; the rest is kept for later. After the last batch nothing
   * is left.
   */
  take(batch: SeriesItems): { items: SeriesItems; order: readonly number[] };
}

const NOTHING: readonly number[] = [];
const sequence = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Labels do not change: the block's own order. */
export class SameOrder implements SeriesOrder {
  take(batch: SeriesItems): { items: SeriesItems; order: readonly number[] } {
    return { items: batch, order: sequence(batch.count) };
  }
}

/** Labels change in ways that may move any series: everything is read, then sorted. */
export class FullSort implements SeriesOrder {
  #all: SeriesItems | undefined;

  take(batch: SeriesItems): { items: SeriesItems; order: readonly number[] } {
    let items = batch;
    if (this.#all !== undefined || !batch.last) {
      items = this.#all ??= new SeriesItems();
      for (let i = 0; i < batch.count; i++) items.copy(batch, i);
    }
    if (!batch.last) return { items, order: NOTHING };
    const { labels } = items;
    const order = sequence(labels.length);
    order.sort((a, b) => compareLabels(labels[a]!, labels[b]!) || a - b);
    return { items, order };
  }
}

/**
 * The same labels are added to every series, none replaced. Then two series change places only when
 * the labels of one are the beginning of the other's: `{a="1"}` and `{a="1", b="2"}` become
 * `{a="1", c="x"}` and `{a="1", b="2", c="x"}`. So it is enough to hold back series whose labels
 * begin those that follow; nearly always that is none but the newest.
 */
export class HoldBack implements SeriesOrder {
  #held: SeriesItems | undefined;
  /** Items held, each the beginning of the next. */
  #stack: number[] = [];

  take(batch: SeriesItems): { items: SeriesItems; order: readonly number[] } {
    let items = batch;
    let next = 0;
    if (this.#held !== undefined && this.#held.count > 0) {
      items = this.#held;
      next = items.count;
      for (let i = 0; i < batch.count; i++) items.copy(batch, i);
    }
    const order: number[] = [];
    const { raw, labels } = items;
    let stack = this.#stack;
    for (let i = next; i < items.count; i++) {
      if (stack.length === 1 && !isBeginning(raw[stack[0]!]!, raw[i]!)) {
        order.push(stack[0]!);
        stack[0] = i;
        continue;
      }
      const out: number[] = [];
      const stay: number[] = [];
      for (const held of stack) {
        const waits = isBeginning(raw[held]!, raw[i]!) &&
          compareLabels(labels[held]!, labels[i]!) > 0;
        (waits ? stay : out).push(held);
      }
      out.sort((a, b) => compareLabels(labels[a]!, labels[b]!));
      order.push(...out);
      stay.push(i);
      stack = stay;
    }
    if (batch.last) {
      order.push(...stack.sort((a, b) => compareLabels(labels[a]!, labels[b]!)));
      this.#held = undefined;
      this.#stack = [];
      return { items, order };
    }
    // What is held moves to a small buffer of its own, so that the batch can be let go.
    const held = new SeriesItems();
    for (const i of stack) held.copy(items, i);
    this.#held = held;
    this.#stack = sequence(stack.length);
    return { items, order };
  }
}

/** True when `a` is the beginning of `b` (or equal to it). */
function isBeginning(a: Labels, b: Labels): boolean {
  if (a.length > b.length) return false;
  if (a.length === b.length) return equalLabels(a, b);
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
