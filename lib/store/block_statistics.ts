/**
 * Which labels and metrics make the series of a bucket's blocks, out of index headers alone: the
 * length of a label pair's list of series follows from where the next one begins.
 */
import { throwIfAborted } from "../base/mod.ts";
import { type Labels, labelsKey, METRIC_NAME } from "../model/mod.ts";
import type { Statistic, TsdbStatistics } from "../storeapi/mod.ts";
import type { OpenHeader } from "./header_pool.ts";

/** A block as far as it is counted. */
export interface CountedBlock {
  readonly labels: Labels;
  readonly resolution: number;
  readonly minTime: number;
  /** EXCLUSIVE, ms. */
  readonly maxTime: number;
  readonly meta: { readonly stats: { readonly numSeries: number; readonly numChunks: number } };
  header(): Promise<OpenHeader>;
}

/** Entries of a block's lists that are kept while blocks are joined, by entry that is asked for. */
const KEPT = 10;
/** Bytes of a list beside its references: length, count, checksum. */
const LIST_FRAME = 12;
const REFERENCE = 4;

/**
 * Statistics of the blocks that touch [start, end], ms.
 *
 * The blocks of one set of external labels hold the same series again and again: of each number, the
 * largest of them counts, and of several resolutions the finest. Sets are added up.
 */
export async function blockStatistics(
  blocks: readonly CountedBlock[],
  limit: number,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<TsdbStatistics | undefined> {
  const sets = new Map<string, CountedBlock[]>();
  for (const block of blocks) {
    if (block.minTime > end || block.maxTime <= start) continue;
    const key = labelsKey(block.labels);
    const set = sets.get(key);
    if (set === undefined) sets.set(key, [block]);
    else set.push(block);
  }
  if (sets.size === 0) return undefined;
  const all = new Counts();
  for (const set of sets.values()) {
    const finest = Math.min(...set.map((block) => block.resolution));
    const one = new Counts();
    for (const block of set) {
      if (block.resolution !== finest) continue;
      throwIfAborted(signal);
      one.max(await countBlock(block, limit * KEPT, signal));
    }
    all.add(one);
  }
  return all.result(limit);
}

async function countBlock(block: CountedBlock, kept: number, signal: AbortSignal): Promise<Counts> {
  const counts = new Counts();
  counts.series = block.meta.stats.numSeries;
  counts.chunks = block.meta.stats.numChunks;
  counts.minTime = block.minTime;
  counts.maxTime = block.maxTime - 1;
  const header = await block.header();
  try {
    const { tables } = header;
    for (const name of tables.labelNames()) {
      throwIfAborted(signal);
      let bytes = 0;
      let values = 0;
      tables.visitValues(name, "", (value, offset, end) => {
        const series = Math.max(0, Math.floor((end - offset - LIST_FRAME) / REFERENCE));
        values++;
        bytes += value.length * series;
        if (name === METRIC_NAME) counts.metrics.set(value, series);
        counts.pairs.set(`${name}=${value}`, series);
        // A label with a value a series would fill the memory otherwise.
        for (const list of [counts.metrics, counts.pairs]) {
          if (list.size > 4 * kept) cut(list, kept);
        }
      });
      counts.labelPairs += values;
      counts.values.set(name, values);
      counts.memory.set(name, bytes);
    }
  } finally {
    header.release();
  }
  return counts;
}

function cut(list: Map<string, number>, most: number): void {
  const sorted = [...list].sort(([, a], [, b]) => b - a);
  for (const [name] of sorted.slice(most)) list.delete(name);
}

/** Numbers that can be joined. */
class Counts {
  series = 0;
  chunks = 0;
  labelPairs = 0;
  minTime = Infinity;
  maxTime = -Infinity;
  readonly metrics = new Map<string, number>();
  readonly values = new Map<string, number>();
  readonly memory = new Map<string, number>();
  readonly pairs = new Map<string, number>();

  max(other: Counts): void {
    this.#join(other, Math.max);
  }
  add(other: Counts): void {
    this.#join(other, (a, b) => a + b);
  }
  #join(other: Counts, join: (a: number, b: number) => number): void {
    this.series = join(this.series, other.series);
    this.chunks = join(this.chunks, other.chunks);
    this.labelPairs = join(this.labelPairs, other.labelPairs);
    this.minTime = Math.min(this.minTime, other.minTime);
    this.maxTime = Math.max(this.maxTime, other.maxTime);
    const lists = (of: Counts) => [of.metrics, of.memory, of.pairs];
    lists(this).forEach((own, i) => {
      for (const [name, n] of lists(other)[i]!) own.set(name, join(own.get(name) ?? 0, n));
    });
    // Values of two sets are mostly the same ones.
    for (const [name, n] of other.values) {
      this.values.set(name, Math.max(this.values.get(name) ?? 0, n));
    }
  }

  result(limit: number): TsdbStatistics {
    return {
      head: {
        numSeries: this.series,
        numLabelPairs: this.labelPairs,
        chunkCount: this.chunks,
        minTime: this.minTime,
        maxTime: this.maxTime,
      },
      seriesCountByMetricName: top(this.metrics, limit),
      labelValueCountByLabelName: top(this.values, limit),
      memoryInBytesByLabelName: top(this.memory, limit),
      seriesCountByLabelValuePair: top(this.pairs, limit),
    };
  }
}

function top(list: ReadonlyMap<string, number>, limit: number): Statistic[] {
  return [...list].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, limit)
    .map(([name, value]) => ({ name, value }));
}
