/**
 * Downsamples a block directory: raw samples to five-minute aggregates, those to hourly ones.
 *
 * Series by series; memory is the symbols and the samples of the largest series. The result keeps
 * times, sources and level of its source, so that everyone can tell what it stands for.
 *
 * Source: docs/formats/chunks.md, section 6.1.
 */
import { assert, Breather, CorruptionError, throwIfAborted } from "../base/mod.ts";
import {
  type AggrParts,
  appendChunk,
  type Chunk,
  chunkSampleCount,
  ENCODING_AGGR,
  ENCODING_XOR,
  ENCODING_XOR2,
  readAggrChunk,
} from "../chunks/mod.ts";
import {
  EMPTY_LABELS,
  formatLabels,
  type Labels,
  RESOLUTION_1H,
  RESOLUTION_5M,
  RESOLUTION_RAW,
  SampleBatch,
} from "../model/mod.ts";
import {
  type BlockMeta,
  BlockWriter,
  CHUNKS_DIRECTORY,
  ChunkSegmentReader,
  type Files,
  fileSource,
  INDEX_FILE,
  IndexReader,
  makeThanosMeta,
  META_FILE,
  offsetOfRef,
  parseBlockMeta,
  printBlockMeta,
  readWholeFile,
  replaceFile,
  resolutionOf,
  segmentOfRef,
  SeriesEntry,
} from "../tsdb/mod.ts";
import { AggregateDownsampler } from "./downsample_aggregates.ts";
import { FloatDownsampler } from "./downsample_floats.ts";
import { downsampleHistogramAggregates, downsampleHistograms } from "./downsample_histograms.ts";
import { type ChunkSink, targetChunkCount } from "./downsample_windows.ts";

/** What to downsample, and where to. */
export interface DownsampleOptions {
  readonly files: Files;
  /** Directory of the block. */
  readonly source: string;
  /** The directory in which `<ulid>/` shall appear; must exist. */
  readonly directory: string;
  readonly ulid: string;
  /** External labels of the result; those of the source when absent. */
  readonly labels?: Labels;
  /** Resolution of the result, ms: five minutes from raw blocks, an hour from five-minute ones. */
  readonly resolution: number;
  readonly signal?: AbortSignal;
  /** Size of a segment, bytes. */
  readonly segmentSize?: number;
  /** Wait for the disk before the block appears; true unless the block can be made again. */
  readonly sync?: boolean;
}

/**
 * Downsamples a block; returns the meta of the new one, undefined when no sample is left.
 *
 * Throws: CorruptionError when the source is broken or chunks of a series overlap, bad_data when its
 *   resolution does not fit. What was written is removed then.
 */
export async function downsampleBlock(options: DownsampleOptions): Promise<BlockMeta | undefined> {
  const { files, source, resolution } = options;
  const metaPath = `${source}/${META_FILE}`;
  const meta = parseBlockMeta(readWholeFile(files, metaPath), metaPath);
  const expected = resolution === RESOLUTION_5M ? RESOLUTION_RAW : RESOLUTION_5M;
  assert(
    (resolution === RESOLUTION_5M || resolution === RESOLUTION_1H) &&
      resolutionOf(meta) === expected,
    `blocks of ${resolutionOf(meta)} ms are not downsampled to ${resolution} ms`,
  );
  const indexFile = files.open(`${source}/${INDEX_FILE}`);
  const segments = new ChunkSegmentReader(files, `${source}/${CHUNKS_DIRECTORY}`);
  const writer = new BlockWriter(options);
  try {
    const index = new IndexReader(fileSource(indexFile), fileSource(indexFile));
    writer.addSymbols(index.tables.allSymbols());
    const series = new SeriesDownsampler(source, segments, resolution, writer);
    const entry = new SeriesEntry();
    const breather = new Breather();
    for (const ref of index.allPostings()) {
      if (breather.due) {
        await breather.pause();
        throwIfAborted(options.signal);
      }
      index.readSeries(ref, entry);
      const labels = index.labels(entry);
      checkOrder(entry, () => `${formatLabels(labels)} in ${source}`);
      writer.beginSeries(labels);
      series.write(entry);
    }
    throwIfAborted(options.signal);
    return finish(options, writer, meta);
  } catch (error) {
    writer.abort();
    throw error;
  } finally {
    segments.close();
    indexFile.close();
  }
}

function finish(
  options: DownsampleOptions,
  writer: BlockWriter,
  meta: BlockMeta,
): BlockMeta | undefined {
  const { files, directory, ulid, resolution } = options;
  const thanos = meta.thanos ?? makeThanosMeta({ labels: EMPTY_LABELS });
  const { numFloatSamples, numHistogramSamples, numTombstones } = meta.stats;
  const written = writer.finish({
    minTime: meta.minTime,
    maxTime: meta.maxTime,
    endIncluded: true,
    compaction: meta.compaction,
    stats: { numFloatSamples, numHistogramSamples, numTombstones },
    thanos: makeThanosMeta({
      labels: options.labels ?? thanos.labels,
      version: thanos.version,
      resolution,
      source: "compactor",
      rewrites: thanos.rewrites,
      extensions: thanos.extensions,
    }),
  });
  if (written === undefined) return undefined;
  // Only now are the names of all segments known.
  const complete: BlockMeta = {
    ...written,
    thanos: { ...written.thanos!, segmentFiles: writer.segments },
  };
  writeMeta(files, `${directory}/${ulid}`, complete, options.sync ?? true);
  return complete;
}

/** Replaces the meta.json of a block that is being made. */
export function writeMeta(files: Files, directory: string, meta: BlockMeta, sync = true): void {
  const bytes = new TextEncoder().encode(printBlockMeta(meta));
  replaceFile(files, `${directory}/${META_FILE}`, bytes, sync);
}

function checkOrder(entry: SeriesEntry, name: () => string): void {
  if (entry.ordered) return;
  throw new CorruptionError(`found overlapping chunks within series ${name()}`);
}

/** Downsamples one series after the other; keeps its buffers. */
class SeriesDownsampler {
  readonly #source: string;
  readonly #segments: ChunkSegmentReader;
  readonly #resolution: number;
  readonly #writer: ChunkSink;
  readonly #batch = new SampleBatch(4096);
  readonly #floats = new FloatDownsampler();
  readonly #aggregates = new AggregateDownsampler();

  constructor(
    source: string,
    segments: ChunkSegmentReader,
    resolution: number,
    writer: ChunkSink,
  ) {
    this.#source = source;
    this.#segments = segments;
    this.#resolution = resolution;
    this.#writer = writer;
  }

  /** Writes the chunks of the series; its labels were told to the writer. */
  write(entry: SeriesEntry): void {
    const chunks: Chunk[] = [];
    this.#segments.readMany(entry.refs, 0, entry.chunkCount, chunks);
    if (this.#resolution === RESOLUTION_5M) this.#writeRaw(entry, chunks);
    else this.#writeAggregates(entry, chunks);
  }

  /** Samples of each stretch of chunks of one kind. */
  #writeRaw(entry: SeriesEntry, chunks: readonly Chunk[]): void {
    const batch = this.#batch;
    for (let i = 0; i < chunks.length;) {
      const floats = isFloat(chunks[i]!);
      batch.clear();
      for (; i < chunks.length && isFloat(chunks[i]!) === floats; i++) {
        this.#decode(entry, i, chunks[i]!);
      }
      this.#writeSamples(floats, this.#resolution, this.#writer);
    }
  }

  #writeSamples(floats: boolean, resolution: number, sink: ChunkSink): void {
    if (this.#batch.length === 0) return;
    if (floats) this.#floats.write(this.#batch, resolution, sink);
    else downsampleHistograms(this.#batch, resolution, sink);
  }

  /** Appends the samples of chunk `i` to the batch. */
  #decode(entry: SeriesEntry, i: number, chunk: Chunk): void {
    const batch = this.#batch;
    const from = batch.length;
    try {
      appendChunk(chunk, batch);
      const { t, length } = batch;
      if (
        length > from && (t[from]! < entry.minTimes[i]! || t[length - 1]! > entry.maxTimes[i]!)
      ) {
        throw new CorruptionError(
          `samples from ${t[from]} to ${t[length - 1]} in a chunk of ` +
            `${entry.minTimes[i]} to ${entry.maxTimes[i]}`,
        );
      }
    } catch (error) {
      throw this.#located(error, entry.refs[i]!);
    }
  }

  /** Groups of aggregate chunks. */
  #writeAggregates(entry: SeriesEntry, chunks: readonly Chunk[]): void {
    const parts: AggrParts[] = [];
    const minTimes: number[] = [];
    const maxTimes: number[] = [];
    chunks.forEach((chunk, i) => {
      try {
        if (chunk.encoding === ENCODING_AGGR) {
          parts.push(readAggrChunk(chunk.data));
          minTimes.push(entry.minTimes[i]!);
          maxTimes.push(entry.maxTimes[i]!);
        } else {
          this.#batch.clear();
          this.#decode(entry, i, chunk);
          const raw = new PartsSink(parts, minTimes, maxTimes);
          this.#writeSamples(isFloat(chunk), RESOLUTION_5M, raw);
        }
      } catch (error) {
        throw this.#located(error, entry.refs[i]!);
      }
    });
    for (let from = 0; from < parts.length;) {
      const floats = isFloatAggregate(parts[from]!);
      let to = from + 1;
      while (to < parts.length && isFloatAggregate(parts[to]!) === floats) to++;
      const points = parts.slice(from, to).reduce((sum, { count }) => sum + samplesOf(count), 0);
      const target = targetChunkCount(
        minTimes[from]!,
        maxTimes[to - 1]!,
        RESOLUTION_5M,
        this.#resolution,
        points,
      );
      const size = Math.max(1, Math.floor((to - from) / target));
      for (; from < to; from += size) {
        const group = parts.slice(from, Math.min(to, from + size));
        try {
          if (floats) this.#aggregates.write(group, this.#resolution, this.#writer);
          else downsampleHistogramAggregates(group, this.#resolution, this.#writer);
        } catch (error) {
          if (!(error instanceof CorruptionError)) throw error;
          throw error.in(`${this.#source}/${CHUNKS_DIRECTORY}`);
        }
      }
      from = to;
    }
  }

  #located(error: unknown, ref: number): unknown {
    if (!(error instanceof CorruptionError)) return error;
    const name = this.#segments.nameOf(segmentOfRef(ref));
    return error.in(`${this.#source}/${CHUNKS_DIRECTORY}/${name}`, offsetOfRef(ref));
  }
}

function isFloat(chunk: Chunk): boolean {
  return chunk.encoding === ENCODING_XOR || chunk.encoding === ENCODING_XOR2;
}

/** Histograms are told by their counter. */
function isFloatAggregate(parts: AggrParts): boolean {
  const part = parts.counter ?? parts.sum;
  return part === undefined || isFloat(part);
}

function samplesOf(chunk: Chunk | undefined): number {
  return chunk === undefined ? 0 : chunkSampleCount(chunk);
}

/** Takes chunks apart again: raw chunks that are met among aggregates. */
class PartsSink implements ChunkSink {
  readonly chunkOffset = 0;
  chunkBuffer = new Uint8Array(0);
  readonly #parts: AggrParts[];
  readonly #minTimes: number[];
  readonly #maxTimes: number[];

  constructor(parts: AggrParts[], minTimes: number[], maxTimes: number[]) {
    this.#parts = parts;
    this.#minTimes = minTimes;
    this.#maxTimes = maxTimes;
  }
  claimChunk(size: number): void {
    this.chunkBuffer = new Uint8Array(size);
  }
  commitChunk(encoding: number, size: number, minTime: number, maxTime: number): void {
    this.addChunk(encoding, this.chunkBuffer.subarray(0, size), minTime, maxTime);
  }
  addChunk(_encoding: number, data: Uint8Array, minTime: number, maxTime: number): void {
    this.#parts.push(readAggrChunk(data.slice()));
    this.#minTimes.push(minTime);
    this.#maxTimes.push(maxTime);
  }
}
