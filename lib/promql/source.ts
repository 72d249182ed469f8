/** Sources: what a query selects from storage, fetched once and read by one or more operators. */
import {
  bitsOf,
  detectReset,
  type FloatHistogram,
  type Labels,
  type Matcher,
  SampleBatch,
  STALE_HIGH,
  STALE_LOW,
  withResetHint,
} from "../model/mod.ts";
import type { QueryContext } from "./query_context.ts";
import type { SelectedSeries, SelectHints } from "./storage.ts";

/** One select of a query; equal selects are one spec. */
export interface SelectSpec {
  readonly matchers: readonly Matcher[];
  readonly hints: SelectHints;
}

/** A select that was sent to storage; shared by the operators that read it. */
export class Source {
  readonly spec: SelectSpec;
  #selected: SelectedSeries | undefined;
  #opening: Promise<SelectedSeries> | undefined;
  #users = 0;

  constructor(spec: SelectSpec) {
    this.spec = spec;
  }

  /** Announces one more reader. */
  retain(): this {
    this.#users++;
    return this;
  }

  /** Sends the select, once. */
  open(context: QueryContext): Promise<SelectedSeries> {
    this.#opening ??= this.#open(context);
    return this.#opening;
  }

  async #open(context: QueryContext): Promise<SelectedSeries> {
    const { storage, signal } = context;
    const selected = await storage.select(this.spec.matchers, this.spec.hints, signal);
    for (const w of selected.warnings) context.annotations.storageWarning(w);
    for (const i of selected.infos ?? []) context.annotations.storageInfo(i);
    this.#selected = selected;
    return selected;
  }

  /** One reader is done; the last one closes the storage's series. */
  release(): void {
    this.#users--;
    if (this.#users <= 0) this.close();
  }

  /** Closes the storage's series. */
  close(): void {
    this.#selected?.close();
    this.#selected = undefined;
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

/** Removes stale markers; returns how many samples are left. */
export function dropStale(batch: SampleBatch): number {
  const { t, v, h, st } = batch;
  const n = batch.length;
  const bits = bitsOf(v);
  let i = 0;
  while (i < n && !(bits[2 * i + 1] === STALE_HIGH && bits[2 * i] === STALE_LOW)) i++;
  if (i === n) return n;
  let to = i;
  for (; i < n; i++) {
    if (bits[2 * i + 1] === STALE_HIGH && bits[2 * i] === STALE_LOW) continue;
    t[to] = t[i]!;
    v[to] = v[i]!;
    if (h !== null) h[to] = h[i];
    if (st !== null) st[to] = st[i]!;
    to++;
  }
  batch.length = to;
  return to;
}

/**
 * Makes counter reset hints that storage left open explicit, by comparing with the sample before.
 *
 * Prometheus does so where a query wants only count and sum of histograms, and its warnings about
 * conflicting hints show it.
 */
export function resolveHints(batch: SampleBatch): void {
  const { h, length } = batch;
  if (h === null) return;
  for (let i = 1; i < length; i++) {
    const current = h[i];
    const previous = h[i - 1];
    if (current === undefined || previous === undefined) continue;
    if (current.counterResetHint !== "unknown") continue;
    h[i] = withResetHint(current, detectReset(current, previous) ? "reset" : "not_reset");
  }
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
    const batch = this.#batch;
    batch.clear();
    selected.read(this.#next++, batch);
    const n = dropStale(batch);
    if (this.#statsOnly) resolveHints(batch);
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
    this.#context.release(this.#held);
    this.#source.release();
  }
}
