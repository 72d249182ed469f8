/**
 * K-way merge of the series of many blocks.
 *
 * Blocks mostly hold the same series, and equal label sets are mostly one object (SymbolSpace), so
 * the heap holds distinct label sets, each with the blocks that stand at it: moving a block on costs
 * a look-up by identity, and labels are compared only when a label set joins the heap.
 */
import { Breather, throwIfAborted } from "../base/mod.ts";
import { compareLabels, equalLabels, type Labels } from "../model/mod.ts";
import type { SeriesBatch } from "./series_batch.ts";

/** The series of one block, batch by batch; series with equal labels are in one batch. */
export type BatchSource = AsyncIterable<SeriesBatch>;

/** Takes merged series one after the other and makes something to send of them. */
export interface SeriesSink<T> {
  /**
   * Adds one series: the series `indexes[p]` of `batches[p]` together, in the order of blocks.
   *
   * Owner: the arrays are borrowed until the call returns; so is the memory of the chunks, where
   *   batches came with a pool.
   */
  add(labels: Labels, batches: readonly SeriesBatch[], indexes: readonly number[]): void;
  /** What is ready to be sent, if anything. */
  next(): T | undefined;
  /** Call at the end: everything left becomes ready. */
  flush(): void;
  /** Call when done with it, also after a failure. */
  close(): void;
}

/** One block: its current batch and the series it stands at. */
class Cursor {
  readonly #iterator: AsyncIterator<SeriesBatch>;
  batch: SeriesBatch | undefined;
  at = 0;
  #open = true;

  constructor(source: BatchSource) {
    this.#iterator = source[Symbol.asyncIterator]();
  }
  get labels(): Labels {
    return this.batch!.labels[this.at]!;
  }
  /** Moves on within the batch; false at its end. */
  step(): boolean {
    return ++this.at < this.batch!.count;
  }
  /** Gives the batch back and gets the next one with series; false at the end. */
  async refill(): Promise<boolean> {
    this.batch?.release();
    this.batch = undefined;
    for (;;) {
      const { done, value } = await this.#iterator.next();
      if (done === true) {
        this.#open = false;
        return false;
      }
      if (value.count > 0) {
        this.batch = value;
        this.at = 0;
        return true;
      }
      value.release();
    }
  }
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    // Nobody waits for the clean-up of a reader that is told to stop; it has no failure to tell.
    this.#iterator.return?.()?.catch(() => {});
  }
}

/** Figures of a merge. */
export interface MergeFigures {
  mergedSeries: number;
  /** Milliseconds until every source had its first batch. */
  firstMs: number;
}

/**
 * Merges sorted sources into `sink`, yielding what it makes.
 *
 * Throws: what a source throws; all sources are closed then, as when the reader stops early.
 */
export async function* mergeBlocks<T>(
  sources: readonly BatchSource[],
  sink: SeriesSink<T>,
  options: { readonly limit: number; readonly signal: AbortSignal; readonly figures: MergeFigures },
): AsyncIterable<T> {
  const { limit, signal, figures } = options;
  const cursors = sources.map((source) => new Cursor(source));
  const started = performance.now();
  const breather = new Breather();
  try {
    const heads = new Heads();
    const open = await Promise.all(cursors.map((cursor) => cursor.refill()));
    figures.firstMs = performance.now() - started;
    for (let c = 0; c < cursors.length; c++) if (open[c]) heads.add(cursors[c]!.labels, c);
    const batches: SeriesBatch[] = [];
    const indexes: number[] = [];
    const empty: number[] = [];
    for (;;) {
      const group = heads.pop();
      if (group === undefined) break;
      const { labels, cursors: standing } = group;
      batches.length = 0;
      indexes.length = 0;
      for (const c of standing) {
        const cursor = cursors[c]!;
        let more = true;
        // A block has the same labels twice when replica labels were taken away.
        do {
          batches.push(cursor.batch!);
          indexes.push(cursor.at);
          more = cursor.step();
        } while (more && sameLabels(cursor.labels, labels));
        if (more) heads.add(cursor.labels, c);
        else empty.push(c);
      }
      sink.add(labels, batches, indexes);
      if (empty.length > 0) {
        // A series never goes on in the next batch of its block, so this one is complete.
        const more = empty.length === 1
          ? [await cursors[empty[0]!]!.refill()]
          : await Promise.all(empty.map((c) => cursors[c]!.refill()));
        for (let i = 0; i < empty.length; i++) {
          if (more[i]) heads.add(cursors[empty[i]!]!.labels, empty[i]!);
        }
        empty.length = 0;
      }
      figures.mergedSeries++;
      for (let item = sink.next(); item !== undefined; item = sink.next()) {
        throwIfAborted(signal);
        yield item;
      }
      if (limit > 0 && figures.mergedSeries >= limit) break;
      if (breather.due) {
        await breather.pause();
        throwIfAborted(signal);
      }
    }
    sink.flush();
    for (let item = sink.next(); item !== undefined; item = sink.next()) yield item;
  } finally {
    for (const cursor of cursors) cursor.close();
    sink.close();
  }
}

function sameLabels(a: Labels, b: Labels): boolean {
  return a === b || equalLabels(a, b);
}

/** Distinct label sets at which cursors stand, smallest first. */
class Heads {
  /** By identity of the label set. */
  readonly #groups = new Map<Labels, number[]>();
  /** Binary heap of the keys of #groups. */
  readonly #heap: Labels[] = [];

  add(labels: Labels, cursor: number): void {
    const group = this.#groups.get(labels);
    if (group !== undefined) {
      group.push(cursor);
      return;
    }
    this.#groups.set(labels, [cursor]);
    const heap = this.#heap;
    let at = heap.length;
    heap.push(labels);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compareLabels(heap[parent]!, labels) <= 0) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = labels;
  }

  /** Takes out the smallest label set with all cursors at it, in their order. */
  pop(): { labels: Labels; cursors: readonly number[] } | undefined {
    const labels = this.#take();
    if (labels === undefined) return undefined;
    const cursors = this.#groups.get(labels)!;
    this.#groups.delete(labels);
    // Equal label sets of other symbol tables are other objects.
    while (this.#heap.length > 0 && equalLabels(this.#heap[0]!, labels)) {
      const same = this.#take()!;
      cursors.push(...this.#groups.get(same)!);
      this.#groups.delete(same);
    }
    for (let i = 1; i < cursors.length; i++) {
      if (cursors[i]! < cursors[i - 1]!) {
        cursors.sort((a, b) => a - b);
        break;
      }
    }
    return { labels, cursors };
  }

  #take(): Labels | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    const size = heap.length;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && compareLabels(heap[child + 1]!, heap[child]!) < 0) child++;
      if (compareLabels(last, heap[child]!) <= 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
