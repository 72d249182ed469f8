/**
 * Chunk segment files (`chunks/000001` …): records of encoded samples back to back.
 *
 *   85 BD 40 DD | 01 | 00 00 00 | record | record | …
 *   record = uvarint data length | u8 encoding | data | be32 CRC-32C of encoding and data
 *
 * A chunk reference is segmentIndex * 2^32 + offset of the record, with the index of `000001` = 0;
 * it is a safe integer here. Checksums are verified on every read.
 */
import { assert, compareUtf8, CorruptionError, crc32c } from "../base/mod.ts";
import type { Chunk } from "../chunks/mod.ts";
import type { Files, ReadFile, WriteFile } from "./files.ts";

const MAGIC = 0x85bd40dd;
const VERSION = 1;
/** Bytes before the first record. */
export const SEGMENT_HEADER_SIZE = 8;
/** Size at which Prometheus starts the next segment, bytes. */
export const SEGMENT_SIZE = 512 * 1024 * 1024;
/** Longest length prefix. */
const MAX_LENGTH_BYTES = 5;
/** Encoding byte and checksum. */
const RECORD_EXTRA = 1 + 4;
const REF_SCALE = 4294967296;

/** The reference of the record at `offset` of segment `index`. */
export function makeChunkRef(index: number, offset: number): number {
  return index * REF_SCALE + offset;
}
/** Which segment a reference is in, counted from 0. */
export function segmentOfRef(ref: number): number {
  return Math.floor(ref / REF_SCALE);
}
/** Where in its segment a reference is. */
export function offsetOfRef(ref: number): number {
  return ref % REF_SCALE;
}
/** Name of the segment with this index. */
export function segmentName(index: number): string {
  return String(index + 1).padStart(6, "0");
}
/** The names that are segments (all digits), in their order. */
export function segmentNames(names: readonly string[]): string[] {
  return names.filter((name) => /^[0-9]+$/.test(name)).sort(compareUtf8);
}

/**
 * Size of the record at `at`, prefix and checksum included; undefined when not even its length is
 * inside `bytes`. May be larger than what is left of `bytes`: then more has to be fetched.
 *
 * `base` is the file offset of bytes[0], for errors.
 */
export function chunkRecordSize(
  bytes: Uint8Array,
  at: number,
  file = "",
  base = 0,
): number | undefined {
  let length = 0;
  let scale = 1;
  for (let i = 0; i < MAX_LENGTH_BYTES; i++) {
    if (at + i >= bytes.length) return undefined;
    const b = bytes[at + i]!;
    length += (b & 0x7f) * scale;
    if (b < 0x80) return i + 1 + length + RECORD_EXTRA;
    scale *= 128;
  }
  throw new CorruptionError("chunk length is no varint of up to 5 bytes", {
    file,
    offset: base + at,
  });
}

/**
 * The chunk of the record at `at`.
 *
 * Owner: a view of `bytes`.
 * Throws: CorruptionError when the record is cut off or its checksum differs.
 */
export function decodeChunkRecord(bytes: Uint8Array, at: number, file = "", base = 0): Chunk {
  const size = chunkRecordSize(bytes, at, file, base);
  if (size === undefined || at + size > bytes.length) {
    throw new CorruptionError(
      size === undefined
        ? "chunk record is cut off"
        : `chunk record of ${size} bytes is cut off after ${bytes.length - at}`,
      { file, offset: base + at },
    );
  }
  let start = at;
  while (bytes[start]! >= 0x80) start++;
  start++;
  const end = at + size - 4;
  const stored = ((bytes[end]! << 24) | (bytes[end + 1]! << 16) | (bytes[end + 2]! << 8) |
    bytes[end + 3]!) >>> 0;
  const computed = crc32c(bytes, start, end);
  if (stored !== computed) {
    throw new CorruptionError(
      `checksum of chunk is ${hex(computed)}, ${hex(stored)} expected`,
      { file, offset: base + at },
    );
  }
  return { encoding: bytes[start]!, data: bytes.subarray(start + 1, end) };
}

function hex(x: number): string {
  return x.toString(16).padStart(8, "0");
}

/** Throws when `header` does not start a segment file. */
export function checkSegmentHeader(header: Uint8Array, file: string): void {
  if (header.length < SEGMENT_HEADER_SIZE) {
    throw new CorruptionError(`segment of ${header.length} bytes has no header`, { file });
  }
  const magic = ((header[0]! << 24) | (header[1]! << 16) | (header[2]! << 8) | header[3]!) >>> 0;
  if (magic !== MAGIC) throw new CorruptionError(`magic number ${hex(magic)} is wrong`, { file });
  if (header[4] !== VERSION) {
    throw new CorruptionError(`segment version ${header[4]} is not supported`, { file, offset: 4 });
  }
}

/** Records nearer than this are read with one call. */
const READ_GAP = 16 * 1024;
/** Read for the last record of a run before its length is known. */
const TAIL_ESTIMATE = 2 * 1024;
/** Read at once when runs follow each other: the next ones are then in memory already. */
const READ_AHEAD = 64 * 1024;
/** One read is at most about this large. */
const MAX_RUN = 8 * 1024 * 1024;

/** Reads chunks of one block by reference. Files are opened on first use. */
export class ChunkSegmentReader {
  readonly #files: Files;
  readonly #directory: string;
  readonly #names: readonly string[];
  readonly #open: (ReadFile | undefined)[];
  /** Where the last run ended, and the bytes around it. Never overwritten: chunks are views of it. */
  #lastIndex = -1;
  #lastEnd = 0;
  #window: Uint8Array = new Uint8Array(0);
  #windowStart = 0;

  /** `directory` is the block's `chunks` directory; it is listed at once. */
  constructor(files: Files, directory: string) {
    this.#files = files;
    this.#directory = directory;
    this.#names = segmentNames(
      files.list(directory).filter((e) => !e.isDirectory).map((e) => e.name),
    );
    this.#open = new Array<ReadFile | undefined>(this.#names.length).fill(undefined);
  }

  get segmentCount(): number {
    return this.#names.length;
  }

  /** File name of a segment; the usual one when there is no such segment. */
  nameOf(index: number): string {
    return this.#names[index] ?? segmentName(index);
  }

  #segment(index: number, ref: number): ReadFile {
    if (index >= this.#names.length) {
      throw new CorruptionError(
        `chunk reference ${ref} is in segment ${index + 1}, there are ${this.#names.length}`,
        { file: this.#directory },
      );
    }
    let file = this.#open[index];
    if (file === undefined) {
      file = this.#files.open(`${this.#directory}/${this.#names[index]!}`);
      try {
        const header = new Uint8Array(SEGMENT_HEADER_SIZE);
        checkSegmentHeader(header.subarray(0, file.readAt(header, 0)), file.path);
      } catch (error) {
        file.close();
        throw error;
      }
      this.#open[index] = file;
    }
    return file;
  }

  /**
   * The chunk at `ref`. Owner: owned, in memory of its own.
   *
   * Throws: CorruptionError that names the segment file and the offset.
   */
  read(ref: number): Chunk {
    const out: Chunk[] = [];
    this.readMany([ref], 0, 1, out);
    return out[0]!;
  }

  /**
   * Appends the chunks at refs [from, to) to `out`; neighbours are read with one call.
   *
   * Owner: owned; chunks read together share one buffer.
   */
  readMany(refs: ArrayLike<number>, from: number, to: number, out: Chunk[]): void {
    for (let i = from; i < to;) {
      const index = segmentOfRef(refs[i]!);
      const start = offsetOfRef(refs[i]!);
      let last = start;
      let end = i + 1;
      while (end < to && segmentOfRef(refs[end]!) === index) {
        const offset = offsetOfRef(refs[end]!);
        if (offset < last || offset - last > READ_GAP || offset - start > MAX_RUN) break;
        last = offset;
        end++;
      }
      this.#readRun(index, refs, i, end, out);
      i = end;
    }
  }

  #readRun(index: number, refs: ArrayLike<number>, from: number, to: number, out: Chunk[]): void {
    const file = this.#segment(index, refs[from]!);
    const start = offsetOfRef(refs[from]!);
    const last = offsetOfRef(refs[to - 1]!);
    if (start < SEGMENT_HEADER_SIZE || last >= file.size) {
      throw new CorruptionError(
        `chunk reference ${refs[from]!} is outside of the segment of ${file.size} bytes`,
        { file: file.path, offset: start < SEGMENT_HEADER_SIZE ? start : last },
      );
    }
    let bytes = this.#bytes(file, index, start, Math.min(file.size, last + TAIL_ESTIMATE) - start);
    // A record may be longer than what was read for it; lengths beyond the file are not believed.
    let needed = 0;
    for (let i = from; i < to; i++) {
      const at = offsetOfRef(refs[i]!) - start;
      const size = chunkRecordSize(bytes, at, file.path, start);
      if (size !== undefined) needed = Math.max(needed, at + size);
    }
    if (needed > bytes.length && start + needed <= file.size) {
      bytes = this.#bytes(file, index, start, needed);
    }
    this.#lastEnd = start + needed;
    for (let i = from; i < to; i++) {
      out.push(decodeChunkRecord(bytes, offsetOfRef(refs[i]!) - start, file.path, start));
    }
  }

  /** Bytes of a segment; runs that follow each other closely share one larger read. */
  #bytes(file: ReadFile, index: number, start: number, length: number): Uint8Array {
    const at = start - this.#windowStart;
    const same = index === this.#lastIndex;
    if (same && at >= 0 && at + length <= this.#window.length) {
      return this.#window.subarray(at, at + length);
    }
    const follows = same && start >= this.#lastEnd && start - this.#lastEnd < READ_AHEAD;
    const size = follows ? Math.min(Math.max(length, READ_AHEAD), file.size - start) : length;
    const bytes = new Uint8Array(size);
    this.#window = bytes.subarray(0, file.readAt(bytes, start));
    this.#windowStart = start;
    this.#lastIndex = index;
    return this.#window.subarray(0, length);
  }

  close(): void {
    this.#window = new Uint8Array(0);
    this.#lastIndex = -1;
    for (const file of this.#open) file?.close();
    this.#open.fill(undefined);
  }
}

/** How segments are written. */
export interface SegmentWriterOptions {
  /** Size at which the next segment starts, bytes. */
  readonly segmentSize?: number;
  /** Wait for the disk when a segment is finished. */
  readonly sync?: boolean;
}

/** Collected before it is handed to the file. */
const WRITE_BUFFER = 1024 * 1024;

/**
 * Writes chunks into segments.
 *
 * Chunks may be appended, or encoded straight into the write buffer: `claim()` room, write the data
 * at `dataOffset` of `buffer`, then `commit()` its length.
 */
export class ChunkSegmentWriter {
  readonly #files: Files;
  readonly #directory: string;
  readonly #segmentSize: number;
  readonly #sync: boolean;
  #file: WriteFile | undefined;
  #index = -1;
  #buffer = new Uint8Array(WRITE_BUFFER);
  #length = 0;
  /** Size of the current segment with what is still in the buffer. */
  #offset = 0;
  readonly #names: string[] = [];
  readonly #sizes: number[] = [];

  /** `directory` must exist and hold no segments. */
  constructor(files: Files, directory: string, options: SegmentWriterOptions = {}) {
    this.#files = files;
    this.#directory = directory;
    this.#segmentSize = options.segmentSize ?? SEGMENT_SIZE;
    this.#sync = options.sync ?? true;
    assert(this.#segmentSize <= 0xffffffff, "segment size fits a reference");
  }

  /** Segments written so far, by name. */
  get segments(): readonly string[] {
    return this.#names;
  }
  /** Size of each segment in bytes; complete after close(). */
  get sizes(): readonly number[] {
    return this.#sizes;
  }

  /** Writes a chunk; returns its reference. `data` is copied. */
  append(encoding: number, data: Uint8Array): number {
    this.claim(data.length);
    this.#buffer.set(data, this.dataOffset);
    return this.commit(encoding, data.length);
  }

  /**
   * Makes room for up to `size` bytes of data.
   *
   * Afterwards `buffer` has at least `size` bytes from `dataOffset` on; both are borrowed until the
   * next call of commit(), append() or claim().
   */
  claim(size: number): void {
    const need = MAX_LENGTH_BYTES + RECORD_EXTRA + size;
    if (this.#buffer.length - this.#length >= need) return;
    this.#flush();
    if (this.#buffer.length < need) this.#buffer = new Uint8Array(need);
  }
  get buffer(): Uint8Array<ArrayBuffer> {
    return this.#buffer;
  }
  /** Where the data of the next chunk go; room for a length of two bytes and the encoding. */
  get dataOffset(): number {
    return this.#length + 3;
  }

  /** Makes a record of the `size` bytes at `dataOffset`; returns its reference. */
  commit(encoding: number, size: number): number {
    if (
      this.#index < 0 ||
      (this.#offset + MAX_LENGTH_BYTES + RECORD_EXTRA + size > this.#segmentSize &&
        this.#offset > SEGMENT_HEADER_SIZE)
    ) {
      this.#cut(this.#length, size);
    }
    const b = this.#buffer;
    const start = this.#length;
    const prefix = uvarintSize(size);
    if (prefix !== 2) b.copyWithin(start + prefix + 1, start + 3, start + 3 + size);
    let at = start;
    let rest = size;
    while (rest > 0x7f) {
      b[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    b[at++] = rest;
    b[at] = encoding;
    const end = at + 1 + size;
    const crc = crc32c(b, at, end);
    b[end] = crc >>> 24;
    b[end + 1] = crc >>> 16;
    b[end + 2] = crc >>> 8;
    b[end + 3] = crc;
    const ref = makeChunkRef(this.#index, this.#offset);
    this.#length = end + 4;
    this.#offset += end + 4 - start;
    return ref;
  }

  /**
   * Writes a whole record [start, end) as another block has it, checksum and all; returns its
   * reference. The caller has verified it; `dataLength` is the length it tells.
   */
  appendRecord(bytes: Uint8Array, start: number, end: number, dataLength: number): number {
    const size = end - start;
    this.claim(size);
    if (
      this.#index < 0 ||
      (this.#offset + MAX_LENGTH_BYTES + RECORD_EXTRA + dataLength > this.#segmentSize &&
        this.#offset > SEGMENT_HEADER_SIZE)
    ) {
      this.#cut(this.#length, 0);
      this.claim(size);
    }
    const ref = makeChunkRef(this.#index, this.#offset);
    this.#buffer.set(bytes.subarray(start, end), this.#length);
    this.#length += size;
    this.#offset += size;
    return ref;
  }

  /** Starts the next segment; keeps `size` claimed bytes that lie behind `length`. */
  #cut(length: number, size: number): void {
    const data = this.#buffer.slice(length + 3, length + 3 + size);
    this.#finishSegment();
    this.#index++;
    const name = segmentName(this.#index);
    this.#file = this.#files.create(`${this.#directory}/${name}`);
    this.#names.push(name);
    const header = [MAGIC >>> 24, (MAGIC >>> 16) & 0xff, (MAGIC >>> 8) & 0xff, MAGIC & 0xff];
    const need = SEGMENT_HEADER_SIZE + MAX_LENGTH_BYTES + RECORD_EXTRA + size;
    if (this.#buffer.length < need) this.#buffer = new Uint8Array(need);
    this.#buffer.set([...header, VERSION, 0, 0, 0], 0);
    this.#length = this.#offset = SEGMENT_HEADER_SIZE;
    this.#buffer.set(data, this.dataOffset);
  }

  #flush(): void {
    if (this.#length === 0) return;
    this.#file!.append(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
  }
  #finishSegment(): void {
    if (this.#file === undefined) return;
    this.#flush();
    this.#sizes.push(this.#offset);
    try {
      if (this.#sync) this.#file.sync();
    } finally {
      this.#file.close();
      this.#file = undefined;
    }
  }

  /** Writes what is left and closes the files. */
  close(): void {
    this.#finishSegment();
  }

  /** Closes the file without writing what is left; for a writer that failed. */
  abort(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#length = 0;
  }
}

function uvarintSize(x: number): number {
  let n = 1;
  while (x > 0x7f) {
    x >>>= 7;
    n++;
  }
  return n;
}
