/**
 * Overlapping aggregate chunks of replicas, merged window by window.
 *
 * Aggregates of two replicas cannot be added up, as both tell of the same samples, nor taken apart.
 * But the windows of one resolution are the same everywhere: of each the replica is taken that has
 * most samples in it, and the one at work stays while another has no more. The counter goes on where
 * it was, see CounterSplice.
 */
import { assert } from "../base/mod.ts";
import {
  type Chunk,
  type EncodedChunk,
  encodeXorChunk,
  ENCODING_AGGR,
  ENCODING_XOR,
  readAggrChunk,
  SAMPLES_PER_CHUNK,
  writeAggrChunk,
} from "../chunks/mod.ts";
import { type FloatHistogram, SampleBatch } from "../model/mod.ts";
import {
  AggregateWindows,
  HAS_COUNTER,
  HAS_MAX,
  HAS_MIN,
  HAS_RAW,
  HAS_SUM,
  IS_HISTOGRAM,
} from "./aggregate_windows.ts";
import { CounterSplice } from "./counter_splice.ts";
import { canAddHistograms, histogramPart } from "./downsample_histograms.ts";
import { windowEnd } from "./downsample_windows.ts";
import type { ClusterChunk } from "./overlap_merger.ts";

/** Merges clusters of aggregate chunks, one after the other, reusing its columns. */
export class AggregateMerger {
  readonly #windows: AggregateWindows[] = [];
  readonly #output: AggregateOutput;
  readonly #resolution: number;

  /** `resolution` is that of the blocks, ms. */
  constructor(resolution: number) {
    this.#resolution = resolution;
    this.#output = new AggregateOutput(resolution);
  }

  /**
   * The chunks of the merged series, each of 120 windows at most.
   *
   * Throws: CorruptionError for broken chunks.
   */
  merge(chunks: readonly ClusterChunk[]): EncodedChunk[] {
    const sources = this.#read(chunks);
    const at = new Uint32Array(sources.length);
    const ends = new Uint32Array(sources.length);
    const output = this.#output;
    output.begin();
    let current = -1;
    for (;;) {
      let end = Infinity;
      for (let s = 0; s < sources.length; s++) {
        const { count } = sources[s]!;
        if (at[s]! >= count.length) continue;
        end = Math.min(end, windowEnd(count.t[at[s]!]!, this.#resolution));
      }
      if (end === Infinity) return output.finish();
      let best = -1;
      let most = 0;
      for (let s = 0; s < sources.length; s++) {
        const { count } = sources[s]!;
        let i = at[s]!;
        let samples = 0;
        while (i < count.length && count.t[i]! <= end) samples += count.v[i++]!;
        ends[s] = i;
        if (i === at[s]) continue;
        if (best < 0 || samples > most || (samples === most && s === current)) {
          best = s;
          most = samples;
        }
      }
      for (let i = at[best]!; i < ends[best]!; i++) output.add(sources[best]!, i);
      current = best;
      at.set(ends);
    }
  }

  /** The points of each replica that has chunks in the cluster. */
  #read(chunks: readonly ClusterChunk[]): AggregateWindows[] {
    const byStream = new Map<number, AggregateWindows>();
    for (const { chunk, stream, deleted } of chunks) {
      let windows = byStream.get(stream);
      if (windows === undefined) {
        windows = this.#windows[byStream.size] ??= new AggregateWindows();
        windows.clear();
        byStream.set(stream, windows);
      }
      windows.append(readAggrChunk(chunk.data), deleted);
    }
    return [...byStream.values()];
  }
}

/** Takes points in ascending time and makes chunks of them. */
class AggregateOutput {
  #chunks: EncodedChunk[] = [];
  readonly #count = new SampleBatch();
  readonly #sum = new SampleBatch();
  readonly #min = new SampleBatch();
  readonly #max = new SampleBatch();
  readonly #counter = new SampleBatch();
  /** The counter since its kind last changed. */
  readonly #splice: CounterSplice;
  #isHistogram = false;
  /** Where the last point came from; set while there is one in the chunk. */
  #source: AggregateWindows | undefined;
  #index = 0;

  constructor(resolution: number) {
    this.#splice = new CounterSplice(resolution);
  }

  begin(): void {
    this.#chunks = [];
    this.#clearChunk();
    this.#splice.reset();
    this.#source = undefined;
  }

  finish(): EncodedChunk[] {
    this.#flush(true);
    return this.#chunks;
  }

  /** Adds point `i` of a source. */
  add(source: AggregateWindows, i: number): void {
    const flags = source.flags[i]!;
    const isHistogram = (flags & IS_HISTOGRAM) !== 0;
    if (isHistogram !== this.#isHistogram || !this.#fits(source, i)) {
      this.#flush(true);
      this.#splice.reset();
      this.#isHistogram = isHistogram;
    } else if (this.#count.length >= SAMPLES_PER_CHUNK) this.#flush(false);
    if ((flags & HAS_COUNTER) !== 0) this.#addCounter(source, i, isHistogram);
    this.#count.appendRange(source.count, i, i + 1);
    if ((flags & HAS_SUM) !== 0) this.#sum.appendRange(source.sum, i, i + 1);
    if ((flags & HAS_MIN) !== 0) this.#min.appendRange(source.min, i, i + 1);
    if ((flags & HAS_MAX) !== 0) this.#max.appendRange(source.max, i, i + 1);
    this.#source = source;
    this.#index = i;
  }

  #addCounter(source: AggregateWindows, i: number, isHistogram: boolean): void {
    const splice = this.#splice;
    const time = source.count.t[i]!;
    if (isHistogram) this.#counter.appendHistogram(time, splice.histogram(source, i));
    else {
      const begins = splice.isEmpty && i === 0 && source.baseTime < time;
      if (begins) put(this.#counter, source.baseTime, source.baseValue);
      put(this.#counter, time, splice.total(source, i));
    }
  }

  /** Histograms of other bounds need a chunk of their own. */
  #fits(source: AggregateWindows, i: number): boolean {
    const fit = (last: FloatHistogram | undefined, next: FloatHistogram | undefined) =>
      last === undefined || next === undefined || canAddHistograms(last, next);
    const sum = this.#sum;
    return fit(sum.h?.[sum.length - 1], source.sum.h?.[i]) &&
      fit(this.#splice.lastHistogram, source.counter.h?.[i]);
  }

  /** Ends the chunk; `final`: what comes next does not go on from this total. */
  #flush(final: boolean): void {
    const count = this.#count;
    if (count.length === 0) return;
    const counter = this.#counter;
    if (!this.#isHistogram && counter.length > 0) {
      const source = this.#source;
      assert(source !== undefined, "a chunk has a source");
      const known = final && (source.flags[this.#index]! & HAS_RAW) !== 0;
      const value = known ? source.raw[this.#index]! : counter.v[counter.length - 1]!;
      put(counter, counter.t[counter.length - 1]!, value);
    }
    const isGauge = counter.h?.[0]?.counterResetHint === "gauge";
    const data = writeAggrChunk({
      count: floats(count),
      ...part("sum", this.#sum, () => histogramPart(this.#sum, "gauge")),
      ...part("min", this.#min, () => floats(this.#min)),
      ...part("max", this.#max, () => floats(this.#max)),
      ...part(
        "counter",
        counter,
        () => histogramPart(counter, isGauge ? "gauge" : "not_reset"),
      ),
    });
    this.#chunks.push({
      minTime: count.t[0]!,
      maxTime: count.t[count.length - 1]!,
      chunk: { encoding: ENCODING_AGGR, data },
    });
    this.#clearChunk();
  }

  #clearChunk(): void {
    for (const batch of [this.#count, this.#sum, this.#min, this.#max, this.#counter]) {
      batch.clear();
    }
  }
}

function put(batch: SampleBatch, time: number, value: number): void {
  batch.reserve(1);
  batch.t[batch.length] = time;
  batch.v[batch.length++] = value;
}

function floats(batch: SampleBatch): Chunk {
  return { encoding: ENCODING_XOR, data: encodeXorChunk(batch) };
}

function part<Name extends string>(
  name: Name,
  batch: SampleBatch,
  histograms: () => Chunk,
): { [K in Name]?: Chunk } {
  if (batch.length === 0) return {};
  return { [name]: batch.h === null ? floats(batch) : histograms() } as { [K in Name]?: Chunk };
}
