/** Storage in memory, for tests and examples: series are added as columns and selected by matchers. */
import {
  compareLabels,
  type Labels,
  labelsKey,
  type Matcher,
  matchesLabels,
  SampleBatch,
} from "../model/mod.ts";
import type { SelectedSeries, SelectHints, Storage } from "./storage.ts";

/** See the file comment. Samples are given in ascending time. */
export class MemoryStorage implements Storage {
  #series = new Map<string, { labels: Labels; batch: SampleBatch }>();
  /** Hints of every select, for tests. */
  readonly selects: { matchers: readonly Matcher[]; hints: SelectHints }[] = [];
  /** How many series were decoded. */
  reads = 0;

  /** The samples of a series, to append to; made when new. */
  batch(labels: Labels): SampleBatch {
    const key = labelsKey(labels);
    let entry = this.#series.get(key);
    if (entry === undefined) {
      entry = { labels, batch: new SampleBatch() };
      this.#series.set(key, entry);
    }
    return entry.batch;
  }

  /** Appends float samples; values are copied bit for bit. */
  add(labels: Labels, t: ArrayLike<number>, v: Float64Array): void {
    const batch = this.batch(labels);
    const n = t.length;
    batch.reserve(n);
    for (let i = 0; i < n; i++) batch.t[batch.length + i] = t[i]!;
    batch.v.set(v.subarray(0, n), batch.length);
    if (batch.h !== null) { for (let i = 0; i < n; i++) batch.h.push(undefined); }
    batch.length += n;
  }

  /** Forgets everything. */
  clear(): void {
    this.#series.clear();
  }

  select(matchers: readonly Matcher[], hints: SelectHints): Promise<SelectedSeries> {
    this.selects.push({ matchers, hints });
    const found = [...this.#series.values()]
      .filter((s) => s.batch.length > 0 && matchesLabels(matchers, s.labels))
      .sort((a, b) => compareLabels(a.labels, b.labels));
    return Promise.resolve({
      labels: found.map((s) => s.labels),
      warnings: [],
      bytes: 0,
      read: (i: number, batch: SampleBatch) => {
        this.reads++;
        const from = found[i]!.batch;
        batch.clear();
        batch.appendRange(from, firstAt(from, hints.start), firstAt(from, hints.end + 1));
      },
      close: () => {},
    });
  }
}

/** Index of the first sample at or after `time`. */
function firstAt(batch: SampleBatch, time: number): number {
  let low = 0;
  let high = batch.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (batch.t[middle]! < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
