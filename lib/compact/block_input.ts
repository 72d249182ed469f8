/**
 * One block as an input of a merge: its series one after the other with labels as places in the
 * common symbol table, and its chunk records, verified and otherwise untouched.
 *
 * Both files are read front to back through windows; nothing grows with the number of series.
 */
import { CorruptionError, crc32c } from "../base/mod.ts";
import {
  type BlockMeta,
  checkSegmentHeader,
  CHUNKS_DIRECTORY,
  decodeSeries,
  type Files,
  INDEX_FILE,
  IndexReader,
  LabelReader,
  META_FILE,
  NO_TOMBSTONES,
  offsetOfRef,
  parseBlockMeta,
  readTombstones,
  readWholeFile,
  SEGMENT_HEADER_SIZE,
  segmentNames,
  segmentOfRef,
  SeriesEntry,
  seriesEntrySize,
  type Tombstones,
  TOMBSTONES_FILE,
} from "../tsdb/mod.ts";
import type { FilePool, FileWindow } from "./file_pool.ts";
import type { SymbolUnion } from "./symbol_union.ts";

const SERIES_ALIGNMENT = 16;
/** Encoding and checksum of a chunk record. */
const RECORD_EXTRA = 1 + 4;
/** Longest length prefix of a series entry or of a chunk record. */
const LENGTH_SIZE = 5;

/** An open block; call resolve() once the symbols of all inputs are known, then next(). */
export class BlockInput {
  readonly meta: BlockMeta;
  readonly directory: string;
  /** The current series: its labels as places in the common table. */
  labels = new Uint32Array(32);
  labelLength = 0;
  readonly entry = new SeriesEntry();
  /** Series so far whose labels had to be put in order. */
  disordered = 0;
  /** Deleted ranges of the current series. */
  deleted: Float64Array | undefined;
  // The record that record() found, in the bytes of the chunk window.
  recordStart = 0;
  recordEnd = 0;
  dataStart = 0;
  encoding = 0;
  readonly #pool: FilePool;
  readonly #version: 1 | 2;
  readonly #tombstones: Tombstones;
  readonly #index: FileWindow;
  readonly #segments: readonly string[];
  readonly #chunkWindow: number;
  #chunks: FileWindow | undefined;
  #segment = -1;
  /** Provisional, then final places by symbol reference. */
  #places: Uint32Array;
  /** The same of version 1, whose references are offsets. */
  readonly #offsets = new Map<number, number>();
  readonly #seriesStart: number;
  readonly #seriesEnd: number;
  #position: number;
  readonly #expected: number;
  #seen = 0;
  #last = new Uint32Array(0);
  #lastLength = -1;
  #emptyPlace = -1;

  /**
   * Opens the block in `directory` and adds its symbols.
   *
   * Units: windows in bytes.
   * Throws: not_found when a file is missing, CorruptionError when one is broken.
   */
  constructor(
    files: Files,
    pool: FilePool,
    directory: string,
    symbols: SymbolUnion,
    windows: { readonly index: number; readonly chunks: number },
  ) {
    this.#pool = pool;
    this.directory = directory;
    this.#chunkWindow = windows.chunks;
    const metaPath = `${directory}/${META_FILE}`;
    this.meta = parseBlockMeta(readWholeFile(files, metaPath), metaPath);
    const tombstones = `${directory}/${TOMBSTONES_FILE}`;
    this.#tombstones = files.stat(tombstones) === undefined
      ? NO_TOMBSTONES
      : readTombstones(readWholeFile(files, tombstones), tombstones);
    this.#segments = segmentNames(
      files.list(`${directory}/${CHUNKS_DIRECTORY}`).filter((e) => !e.isDirectory)
        .map((e) => e.name),
    );
    const indexPath = `${directory}/${INDEX_FILE}`;
    const window = pool.window(indexPath, windows.index);
    const source = window.source();
    const reader = new IndexReader(source);
    const { toc } = reader;
    this.#version = reader.version;
    this.#seriesStart = toc.series;
    this.#seriesEnd = toc.labelIndices > toc.series ? toc.labelIndices : toc.postingsTable;
    this.#position = this.#seriesStart;
    const all = reader.tables.allPostings();
    // The list is as long as its first word says; it is verified where blocks are verified.
    this.#expected = all === undefined || all.end - all.offset < 8
      ? 0
      : countOf(source.view(all.offset, 8));
    this.#places = new Uint32Array(this.#version === 1 ? 0 : reader.tables.symbolCount);
    if (this.#version === 1) this.#addOldSymbols(reader, symbols);
    else {
      let i = 0;
      for (const symbol of reader.tables.allSymbols()) this.#places[i++] = symbols.add(symbol);
    }
    this.#index = window;
  }

  #addOldSymbols(reader: IndexReader, symbols: SymbolUnion): void {
    const labels = new LabelReader(reader.tables);
    for (const ref of reader.allPostings()) {
      reader.readSeries(ref, this.entry);
      for (let i = 0; i < this.entry.labelLength; i++) {
        const symbol = this.entry.labels[i]!;
        if (!this.#offsets.has(symbol)) {
          this.#offsets.set(symbol, symbols.add(labels.symbol(symbol)));
        }
      }
    }
  }

  /** Turns provisional numbers into places of the sorted table; `empty` is the place of "". */
  resolve(ranks: Uint32Array, empty: number): void {
    const places = this.#places;
    for (let i = 0; i < places.length; i++) places[i] = ranks[places[i]!]!;
    for (const [offset, id] of this.#offsets) this.#offsets.set(offset, ranks[id]!);
    this.#emptyPlace = empty;
  }

  /**
   * Goes to the next series; false at the end.
   *
   * Throws: CorruptionError when the entry is broken, or does not come after the one before.
   */
  next(): boolean {
    const window = this.#index;
    if (this.#seen >= this.#expected) return false;
    this.#seen++;
    let at = this.#position;
    if (this.#version === 2) at += (SERIES_ALIGNMENT - at % SERIES_ALIGNMENT) % SERIES_ALIGNMENT;
    if (at >= this.#seriesEnd) {
      throw new CorruptionError(
        `there are ${this.#seen - 1} series, the list of all series has ${this.#expected}`,
        { file: window.path, offset: at },
      );
    }
    let place = window.load(at, LENGTH_SIZE);
    const size = seriesEntrySize(
      window.bytes.subarray(0, window.length),
      place,
      window.path,
      window.start,
    );
    if (size === undefined || at + size > this.#seriesEnd) {
      throw new CorruptionError("series entry is cut off", { file: window.path, offset: at });
    }
    place = window.require(at, size, "series entry");
    decodeSeries(window.bytes, place, this.entry, window.path, window.start);
    this.#position = at + size;
    const ref = this.#version === 2 ? at / SERIES_ALIGNMENT : at;
    this.deleted = this.#tombstones.size === 0 ? undefined : this.#tombstones.get(ref);
    this.#mapLabels(at);
    return true;
  }

  #mapLabels(at: number): void {
    const { entry } = this;
    const n = entry.labelLength;
    // What was current is remembered for the check of the order.
    const spare = this.#last;
    this.#last = this.labels;
    this.#lastLength = this.#seen === 1 ? -1 : this.labelLength;
    const labels = this.labels = spare.length >= n ? spare : new Uint32Array(Math.max(32, n * 2));
    const places = this.#places;
    let length = 0;
    let ordered = true;
    for (let i = 0; i < n; i += 2) {
      const name = this.#version === 1
        ? this.#oldPlace(entry.labels[i]!)
        : places[entry.labels[i]!];
      const value = this.#version === 1
        ? this.#oldPlace(entry.labels[i + 1]!)
        : places[entry.labels[i + 1]!];
      if (name === undefined || value === undefined) {
        throw new CorruptionError("series has a label that is no symbol", {
          file: this.#index.path,
          offset: at,
        });
      }
      if (value === this.#emptyPlace) continue;
      if (length > 0 && name <= labels[length - 2]!) ordered = false;
      labels[length] = name;
      labels[length + 1] = value;
      length += 2;
    }
    this.labelLength = length;
    if (!ordered) {
      this.labelLength = sortPairs(labels, length);
      this.disordered++;
    }
    if (this.labelLength === 0) {
      throw new CorruptionError("series without labels", { file: this.#index.path, offset: at });
    }
    if (
      this.#lastLength >= 0 &&
      compareLabelPlaces(this.#last, this.#lastLength, labels, this.labelLength) >= 0
    ) {
      throw new CorruptionError("series are not in the order of their labels", {
        file: this.#index.path,
        offset: at,
      });
    }
  }

  #oldPlace(offset: number): number | undefined {
    return this.#offsets.get(offset);
  }

  /** Bytes that hold the record which record() found; borrowed until its next call. */
  get recordBytes(): Uint8Array<ArrayBuffer> {
    return this.#chunks!.bytes;
  }

  /**
   * Finds the chunk record at `ref` and verifies its checksum.
   *
   * Throws: CorruptionError that names the segment and the offset.
   */
  record(ref: number): void {
    const segment = segmentOfRef(ref);
    if (segment !== this.#segment) this.#openSegment(segment, ref);
    const window = this.#chunks!;
    const offset = offsetOfRef(ref);
    if (offset < SEGMENT_HEADER_SIZE || offset >= window.size) {
      throw new CorruptionError(`chunk reference ${ref} is outside of its segment`, {
        file: window.path,
        offset,
      });
    }
    let at = window.load(offset, LENGTH_SIZE);
    const prefix = prefixSize(window.bytes, at, Math.min(window.length, at + LENGTH_SIZE));
    const size = prefix === 0 ? 0 : prefix + lengthOf(window.bytes, at, prefix) + RECORD_EXTRA;
    // A length beyond the file is not believed, nor given memory.
    if (prefix === 0 || offset + size > window.size) {
      throw new CorruptionError("chunk record is cut off", { file: window.path, offset });
    }
    at = window.require(offset, size, "chunk record");
    const b = window.bytes;
    const start = at + prefix;
    const end = at + size - 4;
    const stored = ((b[end]! << 24) | (b[end + 1]! << 16) | (b[end + 2]! << 8) | b[end + 3]!) >>> 0;
    if (crc32c(b, start, end) !== stored) {
      throw new CorruptionError("checksum of chunk differs", { file: window.path, offset });
    }
    this.recordStart = at;
    this.recordEnd = at + size;
    this.dataStart = start + 1;
    this.encoding = b[start]!;
  }

  #openSegment(segment: number, ref: number): void {
    const name = this.#segments[segment];
    if (name === undefined) {
      throw new CorruptionError(
        `chunk reference ${ref} is in segment ${segment + 1}, there are ${this.#segments.length}`,
        { file: `${this.directory}/${CHUNKS_DIRECTORY}` },
      );
    }
    const path = `${this.directory}/${CHUNKS_DIRECTORY}/${name}`;
    this.#chunks?.close();
    const window = this.#pool.window(path, this.#chunkWindow);
    const at = window.load(0, SEGMENT_HEADER_SIZE);
    checkSegmentHeader(
      window.bytes.subarray(at, Math.min(window.length, SEGMENT_HEADER_SIZE)),
      path,
    );
    this.#chunks = window;
    this.#segment = segment;
  }
}

/** Bytes of the varint at `at`, 0 when it does not end before `end`. */
function prefixSize(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end; i++) if (bytes[i]! < 0x80) return i + 1 - at;
  return 0;
}

/** The number in a varint of `size` bytes. */
function lengthOf(bytes: Uint8Array, at: number, size: number): number {
  let length = 0;
  for (let i = size - 1; i >= 0; i--) length = length * 128 + (bytes[at + i]! & 0x7f);
  return length;
}

function countOf(word: Uint8Array): number {
  if (word.length < 8) return 0;
  return ((word[4]! << 24) | (word[5]! << 16) | (word[6]! << 8) | word[7]!) >>> 0;
}

/** Orders two label sets given as places; the order is that of compareLabels(). */
export function compareLabelPlaces(
  a: Uint32Array,
  aLength: number,
  b: Uint32Array,
  bLength: number,
): number {
  const n = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < n; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** Sorts pairs by name; of equal names the last one stays. Returns the new length. */
function sortPairs(labels: Uint32Array, length: number): number {
  const pairs = new Map<number, number>();
  for (let i = 0; i < length; i += 2) pairs.set(labels[i]!, labels[i + 1]!);
  let at = 0;
  for (const name of [...pairs.keys()].sort((a, b) => a - b)) {
    labels[at++] = name;
    labels[at++] = pairs.get(name)!;
  }
  return at;
}
