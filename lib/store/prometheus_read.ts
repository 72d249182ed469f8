/**
 * Remote read of a Prometheus for a Series call: what to ask so that the order of the answer is
 * known, and series in their final order out of the frames that come.
 *
 * Prometheus sends series in the order of their own labels. External labels are put on all of them,
 * which keeps that order but for series whose labels begin those that follow, unless a series has a
 * label of that name itself: it loses it and may go anywhere. So those are asked for first, in
 * queries of their own that nearly always find nothing, and wait; all the others pass through.
 */
import { type BufferPool, MnemeError } from "../base/mod.ts";
import {
  compareLabels,
  dropLabels,
  equalLabels,
  type Labels,
  makeMatcher,
  type Matcher,
} from "../model/mod.ts";
import { type RemoteSeries, visitRemoteChunks } from "../storeapi/mod.ts";
import { DAMAGED, SeriesBatch, SPECIAL } from "./series_batch.ts";

/** With more names than this that series may not have, everything is asked at once and sorted. */
const MOST_NAMES = 6;

/** The queries of one request; the last one's series come in an order that can be foretold. */
export interface ReadPlan {
  readonly queries: readonly (readonly Matcher[])[];
  /** Index of the query whose series pass through; -1 = all must wait. */
  readonly ordered: number;
  /** Labels that change: external ones, and those that are taken away. */
  readonly names: ReadonlySet<string>;
}

/** Splits the series that match into those with labels of their own by these names, and the rest. */
export function planRead(
  matchers: readonly Matcher[],
  changed: Iterable<string>,
  sortsAll: boolean,
): ReadPlan {
  const names = new Set(changed);
  if (sortsAll || names.size > MOST_NAMES) return { queries: [matchers], ordered: -1, names };
  const queries: Matcher[][] = [];
  // Prometheus drops "equals nothing" for labels that are not external; this says the same.
  const absent: Matcher[] = [];
  for (const name of names) {
    queries.push([...matchers, ...absent, makeMatcher("!=", name, "")]);
    absent.push(makeMatcher("=~", name, ""));
  }
  queries.push([...matchers, ...absent]);
  return { queries, ordered: names.size, names };
}

/** A frame of an answer as a batch, of which each series is used up once. */
export class ReceivedFrame {
  readonly batch: SeriesBatch;
  #left: number;

  /** `bytes` is the frame; `pool` takes its memory back. */
  constructor(series: readonly RemoteSeries[], bytes: Uint8Array, pool: BufferPool | undefined) {
    const batch = new SeriesBatch(series.reduce((n, { chunkCount }) => n + chunkCount, 0), pool);
    batch.regions.push(bytes);
    let k = 0;
    for (const one of series) {
      visitRemoteChunks(one, (minTime, maxTime, encoding, start, end) => {
        if (encoding <= DAMAGED || encoding >= SPECIAL) {
          throw new MnemeError("execution", `Prometheus sent a chunk of encoding ${encoding}`);
        }
        batch.minTimes[k] = minTime;
        batch.maxTimes[k] = maxTime;
        batch.encodings[k] = encoding;
        batch.dataAt[k] = one.body.byteOffset - bytes.byteOffset + start;
        batch.dataLength[k++] = end - start;
      });
      batch.labels.push(one.labels);
      batch.starts.push(k);
    }
    this.batch = batch;
    this.#left = series.length;
  }

  /** A series of it was sent or is not wanted. */
  readonly used = (): void => {
    if (--this.#left === 0) this.batch.release();
  };
}

/** A series that waits for its turn, in the pieces in which it came. */
export class WaitingSeries {
  /** Final labels. */
  readonly labels: Labels;
  /** Labels without those that change. */
  readonly own: Labels;
  readonly batches: SeriesBatch[] = [];
  readonly indexes: number[] = [];
  readonly #used: (() => void)[] = [];

  constructor(labels: Labels, own: Labels) {
    this.labels = labels;
    this.own = own;
  }

  add(batch: SeriesBatch, index: number, used: () => void): void {
    this.batches.push(batch);
    this.indexes.push(index);
    this.#used.push(used);
  }
  /** Takes over the pieces of a series that became equal. */
  join(other: WaitingSeries): void {
    this.batches.push(...other.batches);
    this.indexes.push(...other.indexes);
    this.#used.push(...other.#used);
  }
  get chunkCount(): number {
    let count = 0;
    for (let p = 0; p < this.batches.length; p++) {
      const { starts } = this.batches[p]!;
      count += starts[this.indexes[p]! + 1]! - starts[this.indexes[p]!]!;
    }
    return count;
  }
  /** Gives its memory back. */
  used(): void {
    for (const used of this.#used) used();
  }
}

/** Puts complete series into the order of their final labels; next() gives what can go. */
export class FinalOrder {
  /** Series that must wait for all others, sorted from the first passing series on. */
  readonly #waiting: WaitingSeries[] = [];
  #next = 0;
  #sorted = false;
  #finished = false;
  /** Passing series whose labels begin those of the next, and those that can go. */
  #held: WaitingSeries[] = [];
  readonly #ready: WaitingSeries[] = [];
  #last: Labels | undefined;

  /** Takes a series that may belong anywhere; all of them come before those that pass. */
  wait(series: WaitingSeries): void {
    if (this.#sorted) throw new OrderError();
    this.#waiting.push(series);
  }

  /** Takes a series that comes in the order of own labels. */
  pass(series: WaitingSeries): void {
    this.#sort();
    const ready: WaitingSeries[] = [];
    const stay: WaitingSeries[] = [];
    for (const held of this.#held) {
      const waits = isBeginning(held.own, series.own) &&
        compareLabels(held.labels, series.labels) > 0;
      (waits ? stay : ready).push(held);
    }
    stay.push(series);
    this.#held = stay;
    if (ready.length > 1) ready.sort((a, b) => compareLabels(a.labels, b.labels));
    this.#ready.push(...ready);
  }

  /** No more series come. */
  finish(): void {
    this.#sort();
    this.#ready.push(...this.#held.sort((a, b) => compareLabels(a.labels, b.labels)));
    this.#held = [];
    this.#finished = true;
  }

  /** The next series that can go; undefined when none can. */
  next(): WaitingSeries | undefined {
    const waiting = this.#waiting[this.#next];
    const ready = this.#ready[0];
    if (ready === undefined) {
      if (!this.#finished || waiting === undefined) return undefined;
      this.#next++;
      return this.#checked(waiting);
    }
    const order = waiting === undefined ? 1 : compareLabels(waiting.labels, ready.labels);
    if (order <= 0) this.#next++;
    if (order < 0) return this.#checked(waiting!);
    if (order === 0) ready.join(waiting!);
    this.#ready.shift();
    return this.#checked(ready);
  }

  #checked(series: WaitingSeries): WaitingSeries {
    if (this.#last !== undefined && compareLabels(this.#last, series.labels) >= 0) {
      throw new OrderError();
    }
    this.#last = series.labels;
    return series;
  }

  #sort(): void {
    if (this.#sorted) return;
    this.#sorted = true;
    const waiting = this.#waiting;
    waiting.sort((a, b) => compareLabels(a.labels, b.labels));
    // Series that became equal by their new labels are one.
    let n = 0;
    for (const series of waiting) {
      const last = waiting[n - 1];
      if (last !== undefined && equalLabels(last.labels, series.labels)) last.join(series);
      else waiting[n++] = series;
    }
    waiting.length = n;
  }
}

/** Series did not come in the order that their labels foretold; then all must be sorted. */
export class OrderError extends MnemeError {
  constructor() {
    super(
      "unavailable",
      "Prometheus sent series in another order than their labels; it may have changed its external " +
        "labels just now. Ask again",
    );
  }
}

/** The labels that no change touches. */
export function ownLabels(labels: Labels, plan: ReadPlan): Labels {
  return plan.ordered < 0 ? labels : dropLabels(labels, plan.names);
}

/** True when `a` is the beginning of `b`. */
function isBeginning(a: Labels, b: Labels): boolean {
  if (a.length > b.length) return false;
  for (let i = a.length - 1; i >= 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
