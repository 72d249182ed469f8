/** Sources: what a query selects from storage, fetched once and read by one or more operators. */
import {
  bitsOf,
  detectReset,
  type FloatHistogram,
  isStaleAt,
  type Labels,
  type Matcher,
  SampleBatch,
  withResetHint,
} from "../model/mod.ts";
import type { QueryContext } from "./query_context.ts";
import type { SelectedSeries, SelectHints } from "./storage.ts";

/** One select of a query; equal selects are one spec. */
export interface SelectSpec {
  readonly matchers: readonly Matcher[];
  readonly hints: SelectHints;
}

/** Decoded samples that one source may keep for its other readers, about 64 MiB. */
const KEPT_SAMPLES = 4_000_000;

/**
 * A select that was sent to storage; shared by the operators that read it. With several readers, a
 * series is decoded by the first and kept for the others, as far as the room for that goes.
 */
export class Source {
  readonly spec: SelectSpec;
  #selected: SelectedSeries | undefined;
  #opening: Promise<SelectedSeries> | undefined;
  #context: QueryContext | undefined;
  #readers = 0;
  #closed = 0;
  #kept = new Map<number, { readonly batch: SampleBatch; waiting: number }>();
  #held = 0;

  constructor(spec: SelectSpec) {
    this.spec = spec;
  }

  /** Announces one more reader. All must be announced before the first one reads. */
  retain(): this {
    this.#readers++;
    return this;
  }

  /** Sends the select, once. */
  open(context: QueryContext): Promise<SelectedSeries> {
    this.#opening ??= this.#open(context);
    return this.#opening;
  }

  async #open(context: QueryContext): Promise<SelectedSeries> {
    const { storage, signal } = context;
    this.#context = context;
    const selected = await storage.select(this.spec.matchers, this.spec.hints, signal);
    for (const w of selected.warnings) context.annotations.storageWarning(w);
    for (const i of selected.infos ?? []) context.annotations.storageInfo(i);
    this.#selected = selected;
    return selected;
  }

  /**
   * The samples of series `i`, stale markers included: in `own`, or in a batch that is shared with
   * other readers and must not be changed.
   */
  read(i: number, own: SampleBatch): SampleBatch {
    const kept = this.#kept.get(i);
    if (kept !== undefined) {
      if (--kept.waiting === 0) {
        this.#kept.delete(i);
        this.#give(kept.batch.length);
      }
      return kept.batch;
    }
    own.clear();
    this.#selected!.read(i, own);
    const waiting = this.#readers - this.#closed - 1;
    if (waiting === 0 || this.#held + own.length > KEPT_SAMPLES) return own;
    const batch = new SampleBatch(own.length);
    batch.appendRange(own, 0, own.length);
    this.#context!.hold(batch.length);
    this.#held += batch.length;
    this.#kept.set(i, { batch, waiting });
    return batch;
  }

  #give(samples: number): void {
    this.#held -= samples;
    this.#context!.release(samples);
  }

  /** One reader is done; the last one closes the storage's series. */
  release(): void {
    this.#closed++;
    if (this.#closed >= this.#readers) this.close();
  }

  /** Closes the storage's series. */
  close(): void {
    this.#selected?.close();
    this.#selected = undefined;
    this.#kept.clear();
    if (this.#held > 0) this.#give(this.#held);
  }
}

/**
 * Samples of one series for a range operator.
 *
 * Shape: as SampleBatch, columns may be longer than n. Owner: the reader; borrowed until its next
 * call.
 */
export interface SampleColumns {
  t: Float64Array;
  v: Float64Array;
  n: number;
  h: (FloatHistogram | undefined)[] | null;
  st: Float64Array | null;
}

/** Gives the samples of one series after the other. */
export interface SampleReader {
  /** Labels of the series, and their marks for delayed name removal. */
  series(): Promise<{ labels: readonly Labels[]; dropName: Uint8Array | null }>;
  /** Moves to the next series; false at the end. */
  next(columns: SampleColumns): boolean | Promise<boolean>;
  close(): void;
}

/** Index of the first stale marker, or the number of samples. */
function firstStale(batch: SampleBatch): number {
  const { v, length } = batch;
  const bits = bitsOf(v);
  for (let i = 0; i < length; i++) {
    const x = v[i]!;
    // Only a NaN can be a marker; comparing it with itself is the cheapest test.
    if (x !== x && isStaleAt(bits, i)) return i;
  }
  return length;
}

/** Removes stale markers from sample `from` on. */
function dropStale(batch: SampleBatch, from: number): void {
  const { t, v, h, st } = batch;
  const n = batch.length;
  const bits = bitsOf(v);
  let to = from;
  for (let i = from; i < n; i++) {
    if (isStaleAt(bits, i)) continue;
    t[to] = t[i]!;
    v[to] = v[i]!;
    if (h !== null) h[to] = h[i];
    if (st !== null) st[to] = st[i]!;
    to++;
  }
  batch.length = to;
}

/** A copy of `shared` in `own`, which may be changed. */
function copyInto(shared: SampleBatch, own: SampleBatch): SampleBatch {
  if (shared === own) return own;
  own.clear();
  own.appendRange(shared, 0, shared.length);
  return own;
}

/**
 * Makes counter reset hints that storage left open explicit, by comparing with the sample before;
 * returns `batch`, or `own` with a changed copy.
 *
 * Prometheus does so where a query wants only count and sum of histograms, and its warnings about
 * conflicting hints show it.
 */
export function resolveHints(batch: SampleBatch, own: SampleBatch): SampleBatch {
  if (batch.h === null) return batch;
  copyInto(batch, own);
  const { h, length } = own;
  if (h === null) return own;
  for (let i = 1; i < length; i++) {
    const current = h[i];
    const previous = h[i - 1];
    if (current === undefined || previous === undefined) continue;
    if (current.counterResetHint !== "unknown") continue;
    h[i] = withResetHint(current, detectReset(current, previous) ? "reset" : "not_reset");
  }
  return own;
}

/** Reads the series of a source without stale markers, for range functions. */
export class SelectReader implements SampleReader {
  readonly #source: Source;
  readonly #context: QueryContext;
  readonly #statsOnly: boolean;
  readonly #batch = new SampleBatch(1024);
  #selected: SelectedSeries | undefined;
  #next = 0;
  #held = 0;
  #closed = false;

  constructor(source: Source, statsOnly: boolean, context: QueryContext) {
    this.#source = source.retain();
    this.#statsOnly = statsOnly;
    this.#context = context;
  }

  async series(): Promise<{ labels: readonly Labels[]; dropName: null }> {
    this.#selected = await this.#source.open(this.#context);
    return { labels: this.#selected.labels, dropName: null };
  }

  next(columns: SampleColumns): boolean {
    const selected = this.#selected!;
    if (this.#next >= selected.labels.length) {
      this.close();
      return false;
    }
    let batch = this.#source.read(this.#next++, this.#batch);
    const stale = firstStale(batch);
    if (stale < batch.length) {
      batch = copyInto(batch, this.#batch);
      dropStale(batch, stale);
    }
    if (this.#statsOnly) batch = resolveHints(batch, this.#batch);
    const n = batch.length;
    if (n > this.#held) {
      this.#context.hold(n - this.#held);
      this.#held = n;
    }
    columns.t = batch.t;
    columns.v = batch.v;
    columns.n = n;
    columns.h = batch.h;
    columns.st = batch.st;
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#batch.release();
    this.#context.release(this.#held);
    this.#source.release();
  }
}
