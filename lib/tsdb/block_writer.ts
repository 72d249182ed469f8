/**
 * Writes a complete block directory: series in label order with their encoded chunks in, `<ULID>/`
 * with chunks, index and meta.json out.
 *
 * Everything is built in `<ULID>.tmp-for-creation` and renamed at the end, so nothing half-written
 * is ever visible as a block. Memory stays small: chunks go straight to their segment, the series
 * part of the index waits in a spool (a file when it is large), because the symbol table in front of
 * it is known only at the end.
 */
import { assert, ByteReader, ByteWriter, compareUtf8, isUlid, MnemeError } from "../base/mod.ts";
import {
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_FLOAT_HISTOGRAM_ST,
  ENCODING_HISTOGRAM,
  ENCODING_HISTOGRAM_ST,
  ENCODING_XOR,
  ENCODING_XOR2,
} from "../chunks/mod.ts";
import { compareLabels, formatLabels, type Labels } from "../model/mod.ts";
import {
  type BlockCompaction,
  type BlockMeta,
  type BlockStats,
  META_FILE,
  printBlockMeta,
  type ThanosMeta,
} from "./block_meta.ts";
import { ChunkSegmentWriter } from "./chunk_segment.ts";
import type { Files } from "./files.ts";
import { ChunkListEncoder, IndexWriter } from "./index_writer.ts";
import { SpoolReader, SpoolWriter } from "./spool.ts";

/** Suffix of a directory in which a block is being built. */
export const CREATION_SUFFIX = ".tmp-for-creation";
/** Name of the index inside a block's directory. */
export const INDEX_FILE = "index";
/** Name of the directory of segments inside a block's directory. */
export const CHUNKS_DIRECTORY = "chunks";

/** Where and how to write a block. */
export interface BlockWriterOptions {
  readonly files: Files;
  /** The directory in which `<ULID>/` shall appear; must exist. */
  readonly directory: string;
  readonly ulid: string;
  /** Size of a segment, bytes. */
  readonly segmentSize?: number;
  /** Wait for the disk before the block appears; true unless the block can be made again. */
  readonly sync?: boolean;
}

/** What only the maker of a block knows of its description. */
export interface BlockDetails {
  /** First time covered, ms; the first sample's when absent. */
  readonly minTime?: number;
  /** End of the time covered, ms, exclusive; the last sample's + 1 when absent. */
  readonly maxTime?: number;
  /** Samples at the very end are no fault: made of a block that had them. */
  readonly endIncluded?: boolean;
  /** Level 1 with itself as source when absent. */
  readonly compaction?: Partial<BlockCompaction>;
  readonly thanos?: ThanosMeta;
  /** Counts to print instead of those counted here. */
  readonly stats?: Partial<BlockStats>;
}

/**
 * The writer of one block.
 *
 * Per series: beginSeries(), then addChunk() (or claimChunk() and commitChunk()) for each chunk in
 * time order. At the end finish(), or abort() after an error.
 */
export class BlockWriter {
  readonly #files: Files;
  readonly #final: string;
  readonly #directory: string;
  readonly #ulid: string;
  readonly #sync: boolean;
  readonly #chunks: ChunkSegmentWriter;
  readonly #spool: SpoolWriter;
  readonly #symbolIds = new Map<string, number>();
  readonly #symbols: string[] = [];
  readonly #chunkList = new ChunkListEncoder();
  readonly #entry = new ByteWriter(1024);
  #labels: Labels | undefined;
  #written: Labels | undefined;
  // Chunks of the current series.
  #count = 0;
  #minTimes = new Float64Array(16);
  #maxTimes = new Float64Array(16);
  #refs = new Float64Array(16);
  // Totals.
  #numSeries = 0;
  #numChunks = 0;
  #numSamples = 0;
  #numFloats = 0;
  #numHistograms = 0;
  #minTime = Infinity;
  #maxTime = -Infinity;
  #indexSize = 0;
  #done = false;

  constructor(options: BlockWriterOptions) {
    const { files, directory, ulid } = options;
    assert(isUlid(ulid), `"${ulid}" is a ULID`);
    this.#files = files;
    this.#ulid = ulid;
    this.#sync = options.sync ?? true;
    this.#final = `${directory}/${ulid}`;
    this.#directory = this.#final + CREATION_SUFFIX;
    if (files.stat(this.#final) !== undefined) {
      throw new MnemeError("conflict", `Cannot write block ${this.#final}: it exists`);
    }
    files.remove(this.#directory);
    files.mkdir(`${this.#directory}/${CHUNKS_DIRECTORY}`);
    this.#chunks = new ChunkSegmentWriter(files, `${this.#directory}/${CHUNKS_DIRECTORY}`, {
      sync: this.#sync,
      ...(options.segmentSize === undefined ? {} : { segmentSize: options.segmentSize }),
    });
    this.#spool = new SpoolWriter(files, `${this.#directory}/series.spool`);
  }

  /** Names of the segments, complete after finish(). */
  get segments(): readonly string[] {
    return this.#chunks.segments;
  }
  /** Size of each segment in bytes, complete after finish(). */
  get segmentSizes(): readonly number[] {
    return this.#chunks.sizes;
  }
  /** Size of the index in bytes, known after finish(). */
  get indexSize(): number {
    return this.#indexSize;
  }

  /** Puts symbols into the table that no series may use (a copied table). */
  addSymbols(symbols: Iterable<string>): void {
    for (const symbol of symbols) this.#symbolId(symbol);
  }

  #symbolId(symbol: string): number {
    let id = this.#symbolIds.get(symbol);
    if (id === undefined) {
      id = this.#symbols.length;
      this.#symbolIds.set(symbol, id);
      this.#symbols.push(symbol);
    }
    return id;
  }

  /**
   * Starts the next series; series ascend by compareLabels. One without chunks is left out.
   *
   * Throws: bad_data when the order is violated.
   */
  beginSeries(labels: Labels): void {
    assert(!this.#done, "block is being written");
    this.#endSeries();
    const before = this.#written;
    if (before !== undefined && compareLabels(before, labels) >= 0) {
      throw new MnemeError(
        "bad_data",
        `Cannot write series ${formatLabels(labels)}: it must come after ${formatLabels(before)}`,
      );
    }
    this.#labels = labels;
  }

  /**
   * Adds a chunk to the current series; `data` is copied once, into the write buffer.
   *
   * Units: times of first and last sample in ms; `samples` = their number.
   */
  addChunk(
    encoding: number,
    data: Uint8Array,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void {
    this.#noteChunk(encoding, minTime, maxTime, samples);
    this.#refs[this.#count++] = this.#chunks.append(encoding, data);
  }

  /**
   * Makes room for the data of the next chunk, to encode it in place.
   *
   * Write up to `size` bytes at `chunkOffset` of `chunkBuffer`, then call commitChunk(). Both are
   * borrowed until then; read them again after each claim.
   */
  claimChunk(size: number): void {
    this.#chunks.claim(size);
  }
  get chunkBuffer(): Uint8Array<ArrayBuffer> {
    return this.#chunks.buffer;
  }
  get chunkOffset(): number {
    return this.#chunks.dataOffset;
  }
  /** Adds the `size` bytes written in place as a chunk of the current series. */
  commitChunk(
    encoding: number,
    size: number,
    minTime: number,
    maxTime: number,
    samples: number,
  ): void {
    this.#noteChunk(encoding, minTime, maxTime, samples);
    this.#refs[this.#count++] = this.#chunks.commit(encoding, size);
  }

  #noteChunk(encoding: number, minTime: number, maxTime: number, samples: number): void {
    assert(this.#labels !== undefined, "beginSeries() comes before chunks");
    const i = this.#count;
    if (maxTime < minTime || (i > 0 && minTime <= this.#maxTimes[i - 1]!)) {
      throw new MnemeError(
        "bad_data",
        `Cannot write chunk ${minTime}-${maxTime} of series ${formatLabels(this.#labels)}: ` +
          (maxTime < minTime ? "it ends before it starts" : "it overlaps the one before"),
      );
    }
    if (i === this.#refs.length) {
      this.#minTimes = doubled(this.#minTimes);
      this.#maxTimes = doubled(this.#maxTimes);
      this.#refs = doubled(this.#refs);
    }
    this.#minTimes[i] = minTime;
    this.#maxTimes[i] = maxTime;
    if (minTime < this.#minTime) this.#minTime = minTime;
    if (maxTime > this.#maxTime) this.#maxTime = maxTime;
    this.#numSamples += samples;
    switch (encoding) {
      case ENCODING_XOR:
      case ENCODING_XOR2:
        this.#numFloats += samples;
        break;
      case ENCODING_HISTOGRAM:
      case ENCODING_FLOAT_HISTOGRAM:
      case ENCODING_HISTOGRAM_ST:
      case ENCODING_FLOAT_HISTOGRAM_ST:
        this.#numHistograms += samples;
    }
  }

  #endSeries(): void {
    const labels = this.#labels;
    this.#labels = undefined;
    if (labels === undefined || this.#count === 0) return;
    this.#written = labels;
    const entry = this.#entry;
    entry.reset();
    entry.uvarint(labels.length);
    for (let i = 0; i < labels.length; i++) entry.uvarint(this.#symbolId(labels[i]!));
    entry.append(
      this.#chunkList.encode(this.#minTimes, this.#maxTimes, this.#refs, this.#count),
    );
    this.#spool.append(entry.view());
    this.#numSeries++;
    this.#numChunks += this.#count;
    this.#count = 0;
  }

  /**
   * Completes the block and makes it appear; returns its description.
   *
   * A block without any sample does not appear: the result is undefined. After an error here or
   * before, call abort().
   */
  finish(details: BlockDetails = {}): BlockMeta | undefined {
    assert(!this.#done, "block is being written");
    this.#endSeries();
    this.#chunks.close();
    if (this.#numSeries === 0) {
      this.abort();
      return undefined;
    }
    this.#writeIndex();
    const meta = this.#meta(details);
    const bytes = new TextEncoder().encode(printBlockMeta(meta));
    const files = this.#files;
    const file = files.create(`${this.#directory}/${META_FILE}`);
    try {
      file.append(bytes);
      if (this.#sync) file.sync();
    } finally {
      file.close();
    }
    if (this.#sync) {
      files.syncDirectory(`${this.#directory}/${CHUNKS_DIRECTORY}`);
      files.syncDirectory(this.#directory);
    }
    files.rename(this.#directory, this.#final);
    this.#done = true;
    if (this.#sync) files.syncDirectory(this.#final.slice(0, this.#final.lastIndexOf("/")));
    return meta;
  }

  #writeIndex(): void {
    const order = this.#symbols.map((_, i) => i);
    order.sort((a, b) => compareUtf8(this.#symbols[a]!, this.#symbols[b]!));
    const rank = new Uint32Array(order.length);
    for (let i = 0; i < order.length; i++) rank[order[i]!] = i;
    const sorted = order.map((id) => this.#symbols[id]!);
    const spool = this.#spool.finish();
    const file = this.#files.create(`${this.#directory}/${INDEX_FILE}`);
    try {
      const index = new IndexWriter(file);
      index.writeSymbols(sorted);
      copySeries(spool, rank, index);
      this.#indexSize = index.finish();
      if (this.#sync) file.sync();
    } finally {
      file.close();
      spool.close();
    }
  }

  #meta(details: BlockDetails): BlockMeta {
    const minTime = details.minTime ?? this.#minTime;
    const maxTime = details.maxTime ?? this.#maxTime + 1;
    const end = details.endIncluded === true ? maxTime + 1 : maxTime;
    if (this.#minTime < minTime || this.#maxTime >= end) {
      throw new MnemeError(
        "bad_data",
        `Cannot write block ${this.#ulid}: samples ${this.#minTime} to ${this.#maxTime} are not ` +
          `within [${minTime}, ${maxTime})`,
      );
    }
    return {
      ulid: this.#ulid,
      minTime,
      maxTime,
      stats: {
        numSamples: this.#numSamples,
        numFloatSamples: this.#numFloats,
        numHistogramSamples: this.#numHistograms,
        numSeries: this.#numSeries,
        numChunks: this.#numChunks,
        numTombstones: 0,
        ...details.stats,
      },
      compaction: {
        level: 1,
        sources: [this.#ulid],
        deletable: false,
        parents: [],
        failed: false,
        hints: [],
        ...details.compaction,
      },
      thanos: details.thanos,
    };
  }

  /** Removes what was written; does nothing after a finish() that succeeded. */
  abort(): void {
    if (this.#done) return;
    this.#done = true;
    this.#chunks.abort();
    this.#spool.abort();
    this.#files.remove(this.#directory);
  }
}

/** Replaces provisional symbol ids by final references on the way from the spool to the index. */
function copySeries(spool: SpoolReader, rank: Uint32Array, index: IndexWriter): void {
  let refs = new Uint32Array(64);
  for (let entry = spool.next(); entry !== undefined; entry = spool.next()) {
    const r = new ByteReader(entry);
    const length = r.uvarint();
    if (length > refs.length) refs = new Uint32Array(length * 2);
    for (let i = 0; i < length; i++) refs[i] = rank[r.uvarint()]!;
    index.addSeries(refs, length, entry.subarray(r.offset));
  }
}

function doubled(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const next = new Float64Array(column.length * 2);
  next.set(column);
  return next;
}
