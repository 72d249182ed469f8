/**
 * Block: a block directory on disk, opened for reading.
 *
 * select() finds series and their chunks through the index; samples are decoded when they are asked
 * for. Errors name the block's file and the offset in it.
 */
import { CorruptionError, MnemeError } from "../base/mod.ts";
import { appendChunk, type Chunk, ENCODING_AGGR } from "../chunks/mod.ts";
import {
  formatLabels,
  type Labels,
  type Matcher,
  matchesLabels,
  SampleBatch,
} from "../model/mod.ts";
import { type BlockMeta, META_FILE, parseBlockMeta } from "./block_meta.ts";
import { CHUNKS_DIRECTORY, INDEX_FILE } from "./block_writer.ts";
import { ChunkSegmentReader, offsetOfRef, segmentOfRef } from "./chunk_segment.ts";
import { baseName, type Files, fileSource, type ReadFile, readWholeFile } from "./files.ts";
import { SeriesEntry } from "./index_decode.ts";
import { IndexReader } from "./index_reader.ts";
import { deferGroups, planPostings, resolvePostings } from "./postings.ts";
import {
  dropDeleted,
  isDeleted,
  NO_TOMBSTONES,
  readTombstones,
  type Tombstones,
  TOMBSTONES_FILE,
} from "./tombstones.ts";

/** A chunk with its closed time range, ms. */
export interface TimedChunk {
  readonly minTime: number;
  readonly maxTime: number;
  readonly chunk: Chunk;
}

/**
 * Opens the block in `directory`, whose name is its ULID.
 *
 * Owner: the caller closes it.
 * Throws: not_found when a file is missing, CorruptionError when one is broken.
 */
export function openBlock(files: Files, directory: string): Block {
  const path = directory.replace(/\/+$/, "");
  const metaPath = `${path}/${META_FILE}`;
  const meta = parseBlockMeta(readWholeFile(files, metaPath), metaPath, baseName(path));
  const tombstonesPath = `${path}/${TOMBSTONES_FILE}`;
  const tombstones = files.stat(tombstonesPath) === undefined
    ? NO_TOMBSTONES
    : readTombstones(readWholeFile(files, tombstonesPath), tombstonesPath);
  const segments = new ChunkSegmentReader(files, `${path}/${CHUNKS_DIRECTORY}`);
  const indexFile = files.open(`${path}/${INDEX_FILE}`);
  try {
    const index = new IndexReader(fileSource(indexFile), fileSource(indexFile));
    return new Block(path, meta, index, segments, tombstones, indexFile);
  } catch (error) {
    indexFile.close();
    throw error;
  }
}

/** An open block. */
export class Block {
  readonly directory: string;
  readonly meta: BlockMeta;
  readonly index: IndexReader;
  readonly segments: ChunkSegmentReader;
  /** Deleted ranges by series reference. */
  readonly tombstones: Tombstones;
  readonly #indexFile: ReadFile;

  constructor(
    directory: string,
    meta: BlockMeta,
    index: IndexReader,
    segments: ChunkSegmentReader,
    tombstones: Tombstones,
    indexFile: ReadFile,
  ) {
    this.directory = directory;
    this.meta = meta;
    this.index = index;
    this.segments = segments;
    this.tombstones = tombstones;
    this.#indexFile = indexFile;
  }

  /** Names of labels, ascending by bytes. */
  labelNames(): readonly string[] {
    return this.index.tables.labelNames();
  }
  /** Values of a label, ascending by bytes. */
  labelValues(name: string): string[] {
    return this.index.tables.labelValues(name);
  }

  /** References of the series for which all matchers hold, in label order; no matchers: all series. */
  postings(matchers: readonly Matcher[]): Uint32Array {
    return this.#postings(matchers).refs;
  }

  #postings(matchers: readonly Matcher[]) {
    const { index } = this;
    if (matchers.length === 0) return { refs: index.allPostings(), deferred: matchers };
    const { plan, deferred } = deferGroups(
      planPostings(index.tables, matchers, { deferWalks: true }),
      { bySize: true },
    );
    const refs = resolvePostings(plan, (list) => index.readPostings(list));
    return { refs, deferred };
  }

  /**
   * Series for which all matchers hold (no matchers: all series), with the chunks that overlap
   * [minTime, maxTime]; series without such chunks are left out.
   */
  select(
    matchers: readonly Matcher[],
    minTime = -Infinity,
    maxTime = Infinity,
  ): BlockSelection {
    const { refs, deferred } = this.#postings(matchers);
    const labels: Labels[] = [];
    const series: number[] = [];
    const chunks = new ChunkColumns();
    const starts: number[] = [0];
    const entry = new SeriesEntry();
    for (let i = 0; i < refs.length; i++) {
      const ref = refs[i]!;
      this.index.readSeries(ref, entry);
      const before = chunks.length;
      const deleted = this.tombstones.get(ref);
      for (let c = 0; c < entry.chunkCount; c++) {
        const mint = entry.minTimes[c]!;
        const maxt = entry.maxTimes[c]!;
        if (maxt < minTime || mint > maxTime) continue;
        if (deleted !== undefined && isDeleted(deleted, mint, maxt)) continue;
        chunks.push(mint, maxt, entry.refs[c]!);
      }
      if (chunks.length === before) continue;
      const ls = this.index.labels(entry);
      if (deferred.length > 0 && !matchesLabels(deferred, ls)) {
        chunks.length = before;
        continue;
      }
      labels.push(ls);
      series.push(ref);
      starts.push(chunks.length);
    }
    return new BlockSelection(this, labels, series, starts, chunks, minTime, maxTime);
  }

  close(): void {
    this.#indexFile.close();
    this.segments.close();
  }
}

/** Chunks of many series in columns. */
class ChunkColumns {
  length = 0;
  minTimes = new Float64Array(64);
  maxTimes = new Float64Array(64);
  refs = new Float64Array(64);
  push(minTime: number, maxTime: number, ref: number): void {
    const i = this.length++;
    if (i === this.refs.length) {
      this.minTimes = doubled(this.minTimes);
      this.maxTimes = doubled(this.maxTimes);
      this.refs = doubled(this.refs);
    }
    this.minTimes[i] = minTime;
    this.maxTimes[i] = maxTime;
    this.refs[i] = ref;
  }
}

function doubled(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const next = new Float64Array(column.length * 2);
  next.set(column);
  return next;
}

/** The series that a select() found, in label order. */
export class BlockSelection {
  /** Labels of each series, ascending, no duplicates. */
  readonly labels: readonly Labels[];
  readonly #block: Block;
  readonly #series: readonly number[];
  readonly #starts: readonly number[];
  readonly #chunks: ChunkColumns;
  readonly #minTime: number;
  readonly #maxTime: number;

  constructor(
    block: Block,
    labels: readonly Labels[],
    series: readonly number[],
    starts: readonly number[],
    chunks: ChunkColumns,
    minTime: number,
    maxTime: number,
  ) {
    this.#block = block;
    this.labels = labels;
    this.#series = series;
    this.#starts = starts;
    this.#chunks = chunks;
    this.#minTime = minTime;
    this.#maxTime = maxTime;
  }

  /** Number of series. */
  get length(): number {
    return this.labels.length;
  }
  /** Number of chunks of all series. */
  get chunkCount(): number {
    return this.#chunks.length;
  }
  /** Number of chunks of series `i`. */
  chunkCountOf(i: number): number {
    return this.#starts[i + 1]! - this.#starts[i]!;
  }
  /** Deleted ranges of series `i`, see Tombstones; the chunks still hold those samples. */
  deletedOf(i: number): Float64Array | undefined {
    return this.#block.tombstones.get(this.#series[i]!);
  }

  /** The encoded chunks of series `i`, owned. */
  readChunks(i: number): TimedChunk[] {
    const from = this.#starts[i]!;
    const to = this.#starts[i + 1]!;
    const { minTimes, maxTimes, refs } = this.#chunks;
    const chunks: Chunk[] = [];
    this.#block.segments.readMany(refs, from, to, chunks);
    return chunks.map((chunk, k) => ({
      minTime: minTimes[from + k]!,
      maxTime: maxTimes[from + k]!,
      chunk,
    }));
  }

  /**
   * Replaces `batch` with the samples of series `i` within the selected range, deleted ones left
   * out, ascending and unique in time.
   *
   * Throws: CorruptionError; bad_data for a downsampled block, whose chunks are five at a time.
   */
  read(i: number, batch: SampleBatch): void {
    batch.clear();
    this.append(i, batch);
  }

  /**
   * As read(), behind the samples that `batch` holds; false, and nothing is appended, when some are
   * not later than those.
   */
  append(i: number, batch: SampleBatch): boolean {
    const start = batch.length;
    const from = this.#starts[i]!;
    const { refs } = this.#chunks;
    const chunks: Chunk[] = [];
    this.#block.segments.readMany(refs, from, this.#starts[i + 1]!, chunks);
    for (let k = 0; k < chunks.length; k++) {
      const chunk = chunks[k]!;
      if (chunk.encoding === ENCODING_AGGR) {
        throw new MnemeError(
          "bad_data",
          `Cannot read samples of ${formatLabels(this.labels[i]!)} in ${this.#block.directory}: ` +
            "the block is downsampled",
        );
      }
      try {
        appendChunk(chunk, batch);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        const ref = refs[from + k]!;
        throw error.in(
          `${this.#block.directory}/${CHUNKS_DIRECTORY}/` +
            this.#block.segments.nameOf(segmentOfRef(ref)),
          offsetOfRef(ref),
        );
      }
    }
    if (!ascends(batch, start)) sortByTime(batch, start);
    const deleted = this.deletedOf(i);
    if (deleted !== undefined) dropDeleted(batch, start, deleted);
    trim(batch, start, this.#minTime, this.#maxTime);
    if (start === 0 || batch.length === start || batch.t[start]! > batch.t[start - 1]!) return true;
    batch.truncate(start);
    return false;
  }
}

/** True when the samples from `start` on ascend in time. */
function ascends(batch: SampleBatch, start: number): boolean {
  const { t, length } = batch;
  for (let i = start + 1; i < length; i++) if (t[i]! <= t[i - 1]!) return false;
  return true;
}

/** Puts the samples of overlapping chunks, from `start` on, in order; of equal times the first one stays. */
function sortByTime(batch: SampleBatch, start: number): void {
  const order = new Uint32Array(batch.length - start);
  for (let i = 0; i < order.length; i++) order[i] = start + i;
  order.sort((a, b) => batch.t[a]! - batch.t[b]! || a - b);
  const sorted = new SampleBatch(order.length);
  for (let i = 0; i < order.length; i++) {
    const k = order[i]!;
    if (i > 0 && batch.t[k] === sorted.t[sorted.length - 1]) continue;
    sorted.appendRange(batch, k, k + 1);
  }
  batch.truncate(start);
  batch.appendRange(sorted, 0, sorted.length);
}

/** Drops samples from `start` on that lie outside of [minTime, maxTime]. */
function trim(batch: SampleBatch, start: number, minTime: number, maxTime: number): void {
  let end = batch.length;
  while (end > start && batch.t[end - 1]! > maxTime) end--;
  batch.truncate(end);
  let first = start;
  while (first < end && batch.t[first]! < minTime) first++;
  batch.drop(start, first);
}
