/**
 * The block that a merge writes. The symbols are known before the first series, so index and chunks
 * go straight to their files.
 */
import { encodeUtf8 } from "../base/mod.ts";
import {
  type BlockMeta,
  type BlockStats,
  ChunkListEncoder,
  CHUNKS_DIRECTORY,
  ChunkSegmentWriter,
  CREATION_SUFFIX,
  type Files,
  INDEX_FILE,
  IndexWriter,
  META_FILE,
  printBlockMeta,
  type WriteFile,
} from "../tsdb/mod.ts";
import { ENCODING_AGGR, ENCODING_XOR, ENCODING_XOR2 } from "../chunks/mod.ts";

/** Where to write, and how. */
export interface MergeOutputOptions {
  readonly files: Files;
  /** The directory in which `<ulid>/` shall appear. */
  readonly directory: string;
  readonly ulid: string;
  readonly symbols: readonly string[];
  readonly segmentSize?: number;
}

/** Writes one block; nothing appears before finish(). */
export class MergeOutput {
  readonly #files: Files;
  readonly #final: string;
  readonly #directory: string;
  readonly #chunks: ChunkSegmentWriter;
  readonly #indexFile: WriteFile;
  readonly #index: IndexWriter;
  readonly #list = new ChunkListEncoder();
  // Chunks of the current series.
  #count = 0;
  #minTimes = new Float64Array(64);
  #maxTimes = new Float64Array(64);
  #refs = new Float64Array(64);
  #series = 0;
  #chunkCount = 0;
  #samples = 0;
  #floats = 0;
  #histograms = 0;
  #lastSeriesRef = 0;
  #seriesMaxSize = 0;
  #chunkMaxSize = 0;
  #done = false;

  constructor(options: MergeOutputOptions) {
    const { files, directory, ulid } = options;
    this.#files = files;
    this.#final = `${directory}/${ulid}`;
    this.#directory = this.#final + CREATION_SUFFIX;
    files.remove(this.#directory);
    files.mkdir(`${this.#directory}/${CHUNKS_DIRECTORY}`);
    // Work that is done again after a crash need not wait for the disk.
    this.#chunks = new ChunkSegmentWriter(files, `${this.#directory}/${CHUNKS_DIRECTORY}`, {
      sync: false,
      ...(options.segmentSize === undefined ? {} : { segmentSize: options.segmentSize }),
    });
    this.#indexFile = files.create(`${this.#directory}/${INDEX_FILE}`);
    this.#index = new IndexWriter(this.#indexFile);
    this.#index.writeSymbols(options.symbols);
  }

  /** Adds a verified record [start, end) of another block to the current series. */
  addRecord(
    bytes: Uint8Array,
    start: number,
    end: number,
    dataStart: number,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void {
    const encoding = bytes[dataStart - 1]!;
    const ref = this.#chunks.appendRecord(bytes, start, end, end - 4 - dataStart);
    this.#note(ref, end - start, encoding, minTime, maxTime, samples);
  }

  /** Adds an encoded chunk to the current series. */
  addChunk(
    encoding: number,
    data: Uint8Array,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void {
    const ref = this.#chunks.append(encoding, data);
    this.#note(ref, data.length + 10, encoding, minTime, maxTime, samples);
  }

  #note(
    ref: number,
    size: number,
    encoding: number,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void {
    const i = this.#count++;
    if (i === this.#refs.length) {
      this.#minTimes = doubled(this.#minTimes);
      this.#maxTimes = doubled(this.#maxTimes);
      this.#refs = doubled(this.#refs);
    }
    this.#minTimes[i] = minTime;
    this.#maxTimes[i] = maxTime;
    this.#refs[i] = ref;
    this.#samples += samples;
    if (encoding === ENCODING_XOR || encoding === ENCODING_XOR2) this.#floats += samples;
    else if (encoding !== ENCODING_AGGR) this.#histograms += samples;
    if (size > this.#chunkMaxSize) this.#chunkMaxSize = size;
  }

  /** Ends the current series, whose labels are places in the symbol table; one without chunks is left out. */
  endSeries(labels: Uint32Array, length: number): void {
    if (this.#count === 0) return;
    const list = this.#list.encode(this.#minTimes, this.#maxTimes, this.#refs, this.#count);
    const ref = this.#index.addSeries(labels, length, list);
    if (this.#series > 0) {
      this.#seriesMaxSize = Math.max(this.#seriesMaxSize, (ref - this.#lastSeriesRef) * 16);
    } else this.#seriesMaxSize = list.length + length * 5 + 9;
    this.#lastSeriesRef = ref;
    this.#series++;
    this.#chunkCount += this.#count;
    this.#count = 0;
  }

  /** Samples written so far. */
  get samples(): number {
    return this.#samples;
  }

  /**
   * Completes the block; `describe` makes its meta.json from what was counted. Without a single
   * series nothing appears and the result is undefined.
   */
  finish(
    describe: (counted: {
      readonly stats: BlockStats;
      readonly segments: readonly string[];
      readonly indexStats: { readonly seriesMaxSize: number; readonly chunkMaxSize: number };
    }) => BlockMeta,
  ): BlockMeta | undefined {
    this.#chunks.close();
    if (this.#series === 0) {
      this.abort();
      return undefined;
    }
    this.#index.finish();
    this.#indexFile.close();
    const meta = describe({
      stats: {
        numSamples: this.#samples,
        numFloatSamples: this.#floats,
        numHistogramSamples: this.#histograms,
        numSeries: this.#series,
        numChunks: this.#chunkCount,
        numTombstones: 0,
      },
      segments: this.#chunks.segments,
      indexStats: { seriesMaxSize: this.#seriesMaxSize, chunkMaxSize: this.#chunkMaxSize },
    });
    const file = this.#files.create(`${this.#directory}/${META_FILE}`);
    try {
      file.append(encodeUtf8(printBlockMeta(meta)));
    } finally {
      file.close();
    }
    this.#files.remove(this.#final);
    this.#files.rename(this.#directory, this.#final);
    this.#done = true;
    return meta;
  }

  /** Removes what was written; does nothing after a finish() that made a block. */
  abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#chunks.abort();
    this.#indexFile.close();
    this.#files.remove(this.#directory);
  }
}

function doubled(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const next = new Float64Array(column.length * 2);
  next.set(column);
  return next;
}
