/**
 * Merges block directories into one: k-way by series, chunks copied as they are where they do not
 * overlap and decoded, merged and encoded again where they do.
 *
 * Memory: the symbols, a window into the index and one into the chunks of each block, out of a fixed
 * budget, and the chunks of one series that overlap. Synchronous: meant for a worker.
 */
import { assert, CorruptionError, LoserTree } from "../base/mod.ts";
import { aggrSampleCount, chunkSampleCount, ENCODING_AGGR, ENCODING_XOR } from "../chunks/mod.ts";
import { type BlockMeta, type Files, mergeRanges, resolutionOf } from "../tsdb/mod.ts";
import { BlockInput, compareLabelPlaces } from "./block_input.ts";
import { windowEnd } from "./downsample_windows.ts";
import { FilePool, type WindowMemory } from "./file_pool.ts";
import { MergeOutput } from "./merge_output.ts";
import { type ClusterChunk, type CompactionDedup, OverlapMerger } from "./overlap_merger.ts";
import { SymbolUnion } from "./symbol_union.ts";
import type { MergedCounts } from "./result_meta.ts";

/** Bytes of all windows together, and the bounds of one. */
const WINDOW_BUDGET = 4 * 1024 * 1024;
const MIN_WINDOW = 4 * 1024;
const MAX_WINDOW = 128 * 1024;
const MAX_INDEX_WINDOW = 32 * 1024;

/** What to merge. */
export interface MergeOrder {
  /** Directories of the blocks in the order of the plan. */
  readonly sources: readonly string[];
  /** The directory in which `<ulid>/` shall appear; must exist. */
  readonly directory: string;
  readonly ulid: string;
  readonly dedup: CompactionDedup;
  /** Leave out chunks that start at the very end of their block (Thanos' issue 347). */
  readonly dropEndChunks?: boolean;
  readonly segmentSize?: number;
}

/** What a merge did. */
export interface MergeReport {
  /** Undefined when no sample was left. */
  readonly meta: BlockMeta | undefined;
  /** Samples that the chunks of the sources tell. */
  readonly samplesRead: number;
  readonly samplesWritten: number;
  /** Chunks that were copied as they are. */
  readonly copied: number;
  /** Chunks that were dropped because an equal one is there. */
  readonly duplicates: number;
  /** Chunks that were decoded because they overlap or had to be cut. */
  readonly merged: number;
  /** Series of a source whose chunks overlapped or were out of order. */
  readonly repaired: number;
  /** Chunks left out at the end of their block. */
  readonly dropped: number;
}

/**
 * Merges; `describe` makes the meta.json of the result.
 *
 * Throws: CorruptionError when a source is broken; what was written is removed.
 */
export function mergeBlocks(
  files: Files,
  order: MergeOrder,
  describe: (sources: readonly BlockMeta[], counted: MergedCounts) => BlockMeta,
  memory?: WindowMemory,
): MergeReport {
  assert(order.sources.length > 0, "a merge has a source");
  const pool = new FilePool(files, memory);
  try {
    return new BlockMerge(files, pool, order).run(describe);
  } finally {
    pool.close();
  }
}

/** One merge at work. */
class BlockMerge {
  readonly #files: Files;
  readonly #order: MergeOrder;
  readonly #inputs: readonly BlockInput[];
  readonly #symbols: readonly string[];
  readonly #minTime: number;
  readonly #lastTime: number;
  readonly #merger: OverlapMerger;
  readonly #resolution: number;
  /** Which replica each source is taken for. */
  readonly #streams: Uint32Array;
  // The chunks of the current series, in the order of the sources.
  #count = 0;
  #minTimes = new Float64Array(256);
  #maxTimes = new Float64Array(256);
  #refs = new Float64Array(256);
  #owners = new Uint32Array(256);
  readonly #deleted: (Float64Array | undefined)[];
  #labels = new Uint32Array(64);
  #length = 0;
  // Report.
  #samplesRead = 0;
  #copied = 0;
  #duplicates = 0;
  #merged = 0;
  #repaired = 0;
  #dropped = 0;

  constructor(files: Files, pool: FilePool, order: MergeOrder) {
    this.#files = files;
    this.#order = order;
    const share = Math.floor(WINDOW_BUDGET / order.sources.length);
    const clamp = (size: number, max: number) => Math.max(MIN_WINDOW, Math.min(max, size));
    const windows = {
      index: clamp(Math.floor(share / 4), MAX_INDEX_WINDOW),
      chunks: clamp(Math.floor(share * 3 / 4), MAX_WINDOW),
    };
    const union = new SymbolUnion();
    this.#inputs = order.sources.map((directory) =>
      new BlockInput(files, pool, directory, union, windows)
    );
    const { symbols, ranks } = union.sort();
    const empty = symbols[0] === "" ? 0 : -1;
    for (const input of this.#inputs) input.resolve(ranks, empty);
    this.#symbols = symbols;
    this.#minTime = Math.min(...this.#inputs.map((b) => b.meta.minTime));
    this.#lastTime = Math.max(...this.#inputs.map((b) => b.meta.maxTime)) - 1;
    this.#resolution = resolutionOf(this.#inputs[0]!.meta);
    this.#streams = streamsOf(this.#inputs.map((input) => input.meta));
    this.#merger = new OverlapMerger(order.dedup, this.#resolution);
    this.#deleted = this.#inputs.map(() => undefined);
  }

  run(
    describe: (sources: readonly BlockMeta[], counted: MergedCounts) => BlockMeta,
  ): MergeReport {
    const inputs = this.#inputs;
    const { directory, ulid, segmentSize } = this.#order;
    const output = new MergeOutput({
      files: this.#files,
      directory,
      ulid,
      symbols: this.#symbols,
      ...(segmentSize === undefined ? {} : { segmentSize }),
    });
    try {
      const closed: number[] = [];
      for (let i = 0; i < inputs.length; i++) if (!inputs[i]!.next()) closed.push(i);
      const tree = new LoserTree(
        inputs.length,
        (a, b) =>
          compareLabelPlaces(
            inputs[a]!.labels,
            inputs[a]!.labelLength,
            inputs[b]!.labels,
            inputs[b]!.labelLength,
          ) < 0,
        closed,
      );
      for (let w = tree.winner(); w >= 0;) {
        this.#begin(inputs[w]!);
        // Equal heads win in the order of the sources.
        do {
          const input = inputs[w]!;
          this.#gather(input, w);
          if (input.next()) tree.replay();
          else tree.close();
          w = tree.winner();
        } while (w >= 0 && this.#isCurrent(inputs[w]!));
        this.#write(output);
        output.endSeries(this.#labels, this.#length);
      }
      const meta = output.finish((counted) => describe(inputs.map((b) => b.meta), counted));
      return {
        meta,
        samplesRead: this.#samplesRead,
        samplesWritten: output.samples,
        copied: this.#copied,
        duplicates: this.#duplicates,
        merged: this.#merged,
        repaired: this.#repaired,
        dropped: this.#dropped,
      };
    } catch (error) {
      output.abort();
      throw error;
    }
  }

  #begin(input: BlockInput): void {
    const n = input.labelLength;
    if (n > this.#labels.length) this.#labels = new Uint32Array(n * 2);
    this.#labels.set(input.labels.subarray(0, n));
    this.#length = n;
    this.#count = 0;
  }

  #isCurrent(input: BlockInput): boolean {
    return compareLabelPlaces(this.#labels, this.#length, input.labels, input.labelLength) === 0;
  }

  #gather(input: BlockInput, owner: number): void {
    const { entry } = input;
    if (!entry.ordered) this.#repaired++;
    const need = this.#count + entry.chunkCount;
    if (need > this.#refs.length) this.#grow(need * 2);
    this.#deleted[owner] = input.deleted;
    const end = this.#order.dropEndChunks === true ? input.meta.maxTime : Infinity;
    for (let i = 0; i < entry.chunkCount; i++) {
      const at = this.#count;
      if (entry.minTimes[i] === end) {
        this.#dropped++;
        continue;
      }
      this.#minTimes[at] = entry.minTimes[i]!;
      this.#maxTimes[at] = entry.maxTimes[i]!;
      this.#refs[at] = entry.refs[i]!;
      this.#owners[at] = owner;
      this.#count++;
    }
  }

  #grow(size: number): void {
    const grown = (column: Float64Array<ArrayBuffer>) => {
      const next = new Float64Array(size);
      next.set(column.subarray(0, this.#count));
      return next;
    };
    this.#minTimes = grown(this.#minTimes);
    this.#maxTimes = grown(this.#maxTimes);
    this.#refs = grown(this.#refs);
    const owners = new Uint32Array(size);
    owners.set(this.#owners.subarray(0, this.#count));
    this.#owners = owners;
  }

  /** Writes the chunks of the current series. */
  #write(output: MergeOutput): void {
    const minTimes = this.#minTimes;
    const maxTimes = this.#maxTimes;
    const n = this.#count;
    let simple = true;
    for (let i = 0; i < n; i++) {
      if (
        maxTimes[i]! < minTimes[i]! || (i > 0 && this.#joins(i, i - 1, maxTimes[i - 1]!)) ||
        this.#mustCut(i)
      ) {
        simple = false;
        break;
      }
    }
    if (simple) {
      for (let i = 0; i < n; i++) this.#copy(output, i);
      return;
    }
    this.#writeClusters(output);
  }

  /** True when samples of the chunk lie outside of the result, or were deleted. */
  #mustCut(i: number): boolean {
    const from = this.#minTimes[i]!;
    const to = this.#maxTimes[i]!;
    if (from < this.#minTime || to > this.#lastTime) return true;
    const deleted = this.#deleted[this.#owners[i]!];
    if (deleted === undefined) return false;
    for (let k = 0; k < deleted.length; k += 2) {
      if (from <= deleted[k + 1]! && to >= deleted[k]!) return true;
    }
    return false;
  }

  #copy(output: MergeOutput, i: number): void {
    const input = this.#inputs[this.#owners[i]!]!;
    input.record(this.#refs[i]!);
    const samples = samplesOf(input);
    this.#samplesRead += samples;
    this.#copied++;
    output.addRecord(
      input.recordBytes,
      input.recordStart,
      input.recordEnd,
      input.dataStart,
      this.#minTimes[i]!,
      this.#maxTimes[i]!,
      samples,
    );
  }

  /** The general case: chunks in the order of their times, clusters of overlapping ones merged. */
  #writeClusters(output: MergeOutput): void {
    const n = this.#count;
    const order: number[] = [];
    for (let i = 0; i < n; i++) {
      if (this.#maxTimes[i]! < this.#minTimes[i]!) {
        throw new CorruptionError("a chunk ends before it starts", {
          file: this.#inputs[this.#owners[i]!]!.directory,
        });
      }
      order.push(i);
    }
    order.sort((a, b) =>
      this.#minTimes[a]! - this.#minTimes[b]! || this.#maxTimes[a]! - this.#maxTimes[b]! || a - b
    );
    const whole = this.#isMergedWhole(n);
    for (let i = 0; i < n;) {
      const base = order[i]!;
      let end = this.#maxTimes[base]!;
      let last = base;
      let next = i + 1;
      let cut = this.#mustCut(base);
      while (next < n && (whole || this.#joins(order[next]!, last, end))) {
        if (this.#maxTimes[order[next]!]! > end) end = this.#maxTimes[last = order[next]!]!;
        if (this.#mustCut(order[next]!)) cut = true;
        next++;
      }
      if (next === i + 1 && !cut) this.#copy(output, base);
      else this.#mergeCluster(output, order.slice(i, next), cut);
      i = next;
    }
  }

  /** Counters of replicas are told apart by all that is known of both, so aggregates go together. */
  #isMergedWhole(n: number): boolean {
    if (this.#resolution === 0 || this.#order.dedup !== "penalty") return false;
    const first = this.#streams[this.#owners[0]!];
    for (let i = 1; i < n; i++) if (this.#streams[this.#owners[i]!] !== first) return true;
    return false;
  }

  /**
   * True when chunk `i` belongs to a cluster that ends with chunk `last` at `end`: they overlap, or
   * tell of the same window of different replicas.
   */
  #joins(i: number, last: number, end: number): boolean {
    const start = this.#minTimes[i]!;
    if (start <= end) return true;
    if (this.#resolution === 0 || start > windowEnd(end, this.#resolution)) return false;
    return this.#streams[this.#owners[i]!] !== this.#streams[this.#owners[last]!];
  }

  #mergeCluster(output: MergeOutput, members: readonly number[], cut: boolean): void {
    const cluster: (ClusterChunk & { readonly index: number })[] = [];
    for (const i of members) {
      const input = this.#inputs[this.#owners[i]!]!;
      input.record(this.#refs[i]!);
      this.#samplesRead += samplesOf(input);
      const data = input.recordBytes.slice(input.dataStart, input.recordEnd - 4);
      const previous = cluster[cluster.length - 1];
      if (
        previous !== undefined && this.#minTimes[previous.index] === this.#minTimes[i] &&
        this.#maxTimes[previous.index] === this.#maxTimes[i] &&
        previous.chunk.encoding === input.encoding && equalBytes(previous.chunk.data, data) &&
        !cut
      ) {
        this.#duplicates++;
        continue;
      }
      cluster.push({
        index: i,
        stream: this.#streams[this.#owners[i]!]!,
        chunk: { encoding: input.encoding, data },
        deleted: cut ? this.#rangesToDrop(i) : undefined,
      });
    }
    if (cluster.length === 1 && !cut) {
      // All were copies of the first one.
      this.#copy(output, cluster[0]!.index);
      this.#samplesRead -= samplesOf(this.#inputs[this.#owners[cluster[0]!.index]!]!);
      return;
    }
    this.#merged += cluster.length;
    let encoded;
    try {
      encoded = this.#merger.merge(cluster);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      throw error.in(this.#inputs[this.#owners[members[0]!]!]!.directory);
    }
    for (const { chunk, minTime, maxTime } of encoded) {
      const samples = chunk.encoding === ENCODING_AGGR
        ? aggrSampleCount(chunk.data)
        : chunkSampleCount(chunk);
      output.addChunk(chunk.encoding, chunk.data, minTime, maxTime, samples);
    }
  }

  /** Everything outside of the result, and what was deleted from chunk `i`. */
  #rangesToDrop(i: number): Float64Array {
    const ranges = [
      Number.MIN_SAFE_INTEGER,
      this.#minTime - 1,
      this.#lastTime + 1,
      Number.MAX_SAFE_INTEGER,
      ...(this.#deleted[this.#owners[i]!] ?? []),
    ];
    return mergeRanges(ranges);
  }
}

/** Blocks by replica: blocks of one do not overlap. Shape: one number for each block. */
function streamsOf(metas: readonly BlockMeta[]): Uint32Array {
  const streams = new Uint32Array(metas.length);
  const ends: number[] = [];
  const order = metas.map((_, i) => i).sort((a, b) => metas[a]!.minTime - metas[b]!.minTime);
  for (const i of order) {
    let stream = ends.findIndex((end) => end <= metas[i]!.minTime);
    if (stream < 0) stream = ends.length;
    ends[stream] = metas[i]!.maxTime;
    streams[i] = stream;
  }
  return streams;
}

/** Number of samples of the record that was found last. */
function samplesOf(input: BlockInput): number {
  const { recordBytes: bytes, dataStart: at } = input;
  // The usual kind without a view of its data: this is asked for every chunk.
  if (input.encoding === ENCODING_XOR && input.recordEnd - 4 - at >= 2) {
    return (bytes[at]! << 8) | bytes[at + 1]!;
  }
  const data = bytes.subarray(at, input.recordEnd - 4);
  if (input.encoding === ENCODING_AGGR) return aggrSampleCount(data);
  return chunkSampleCount({ encoding: input.encoding, data });
}

/**
 * Reads every chunk of a block and verifies its checksum; returns the number of samples.
 *
 * Throws: CorruptionError that names the place.
 */
export function countSamples(files: Files, directory: string, memory?: WindowMemory): number {
  const pool = new FilePool(files, memory);
  try {
    const union = new SymbolUnion();
    const windows = { index: MAX_INDEX_WINDOW, chunks: MAX_WINDOW };
    const input = new BlockInput(files, pool, directory, union, windows);
    const { symbols, ranks } = union.sort();
    input.resolve(ranks, symbols[0] === "" ? 0 : -1);
    let samples = 0;
    while (input.next()) {
      for (let i = 0; i < input.entry.chunkCount; i++) {
        input.record(input.entry.refs[i]!);
        samples += samplesOf(input);
      }
    }
    return samples;
  } finally {
    pool.close();
  }
}

/**
 * True when every series of a block is where it must be and as it must be, as far as the index alone
 * tells; false calls for a closer look.
 *
 * Throws: CorruptionError, not_found.
 */
export function looksSound(files: Files, directory: string, memory?: WindowMemory): boolean {
  const pool = new FilePool(files, memory);
  try {
    const union = new SymbolUnion();
    const windows = { index: MAX_INDEX_WINDOW, chunks: MAX_INDEX_WINDOW };
    const input = new BlockInput(files, pool, directory, union, windows);
    const { symbols, ranks } = union.sort();
    input.resolve(ranks, symbols[0] === "" ? 0 : -1);
    const { minTime, maxTime } = input.meta;
    let chunks = 0;
    let series = 0;
    for (; input.next(); series++) {
      const { entry } = input;
      const n = entry.chunkCount;
      if (n === 0 || !entry.ordered) return false;
      // Ordered: the first and the last chunk tell for all. The end may be reached, not begun at.
      if (entry.minTimes[0]! < minTime || entry.maxTimes[n - 1]! > maxTime) return false;
      if (entry.minTimes[n - 1]! >= maxTime) return false;
      chunks += n;
    }
    const { numSeries, numChunks } = input.meta.stats;
    return input.disordered === 0 && (numSeries === 0 || numSeries === series) &&
      (numChunks === 0 || numChunks === chunks);
  } finally {
    pool.close();
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
