/**
 * The index header that a store gateway keeps on disk: the symbols and the postings offset table of
 * an index, copied as they are.
 *
 *   BA AA D7 92 | 01 | u8 index version | be64 postings end in the index
 *   symbol section | postings offset table and all that follows it in the index, its own table of
 *   contents included | be64 offset of symbols | be64 offset of table | be32 CRC of these 16 bytes
 *
 * Source: Thanos' binary index header, version 1; a file made by either program serves the other.
 */
import { ByteWriter, CorruptionError, crc32c } from "../base/mod.ts";
import type { ByteSource } from "./files.ts";
import {
  checksumError,
  INDEX_HEADER_SIZE,
  parseIndexHeader,
  parseToc,
  readU32,
  readU64,
  TOC_SIZE,
  verifyChecksum,
} from "./index_format.ts";
import { IndexTables } from "./index_tables.ts";

const MAGIC = 0xbaaad792;
const VERSION = 1;
/** Bytes before the symbols. */
const HEAD_SIZE = 14;
const HEADER_TOC_SIZE = 20;
/** Name of the file in a store gateway's directory of a block. */
export const INDEX_HEADER_FILE = "index-header";

/** Fetches bytes [offset, offset + length) of the index. */
export type ReadRange = (offset: number, length: number) => Promise<Uint8Array>;

/** Largest range asked for at once, and how many of them at a time. */
const PART_SIZE = 16 * 1024 * 1024;
const PARTS_AT_ONCE = 3;

/**
 * Builds the header of an index of `size` bytes from a few range reads; parts go to `write` in file
 * order as they arrive.
 *
 * Both sections are verified on the way.
 * Throws: CorruptionError that names `file`; what was written then must be thrown away.
 */
export async function buildIndexHeader(
  size: number,
  readRange: ReadRange,
  write: (bytes: Uint8Array) => void,
  file: string,
): Promise<void> {
  const fetch = async (offset: number, length: number) => {
    const bytes = await readRange(offset, length);
    if (bytes.length !== length) {
      throw new CorruptionError(`${bytes.length} of ${length} bytes are there`, { file, offset });
    }
    return bytes;
  };
  if (size < INDEX_HEADER_SIZE + TOC_SIZE) {
    throw new CorruptionError(`index of ${size} bytes has no table of contents`, { file });
  }
  const [head, tail] = await Promise.all([
    fetch(0, INDEX_HEADER_SIZE),
    fetch(size - TOC_SIZE, TOC_SIZE),
  ]);
  parseIndexHeader(head, file);
  const toc = parseToc(tail, size, file);
  const w = new ByteWriter(64);
  w.u32(MAGIC);
  w.u8(VERSION);
  w.u8(head[4]!);
  w.u64(toc.postingsTable);
  write(w.copy());
  const symbolsSize = toc.series - toc.symbols;
  await copySection(fetch, write, toc.symbols, symbolsSize, "symbol table", file);
  await copySection(
    fetch,
    write,
    toc.postingsTable,
    size - toc.postingsTable,
    "postings offset table",
    file,
  );
  w.reset();
  w.u64(HEAD_SIZE);
  w.u64(HEAD_SIZE + symbolsSize);
  w.u32(crc32c(w.bytes, 0, w.length));
  write(w.copy());
}

/** Copies bytes that begin with a framed section and verifies its checksum. */
async function copySection(
  fetch: ReadRange,
  write: (bytes: Uint8Array) => void,
  start: number,
  size: number,
  what: string,
  file: string,
): Promise<void> {
  const check = new StreamedSection(size, what, file, start);
  for (let at = 0; at < size;) {
    const parts: Promise<Uint8Array>[] = [];
    for (let i = 0; i < PARTS_AT_ONCE && at < size; i++) {
      const length = Math.min(PART_SIZE, size - at);
      parts.push(fetch(start + at, length));
      at += length;
    }
    for (const bytes of await Promise.all(parts)) {
      check.add(bytes);
      write(bytes);
    }
  }
  check.finish();
}

/** Verifies `be32 length | bytes | be32 CRC` at the front of bytes that come in pieces. */
class StreamedSection {
  readonly #size: number;
  readonly #what: string;
  readonly #file: string;
  readonly #start: number;
  #seen = 0;
  #end = -1;
  #crc = 0;
  #stored = 0;
  constructor(size: number, what: string, file: string, start: number) {
    this.#size = size;
    this.#what = what;
    this.#file = file;
    this.#start = start;
  }
  #cutOff(): CorruptionError {
    return new CorruptionError(`${this.#what} is cut off`, {
      file: this.#file,
      offset: this.#start,
    });
  }
  add(bytes: Uint8Array): void {
    let from = 0;
    if (this.#seen === 0) {
      if (bytes.length < 8) throw this.#cutOff();
      this.#end = 4 + readU32(bytes, 0);
      if (this.#end + 4 > this.#size) throw this.#cutOff();
      from = 4;
    }
    const end = Math.min(bytes.length, this.#end - this.#seen);
    if (end > from) this.#crc = crc32c(bytes, from, end, this.#crc);
    for (let i = 0; i < 4; i++) {
      const at = this.#end + i - this.#seen;
      if (at >= 0 && at < bytes.length) this.#stored = ((this.#stored << 8) | bytes[at]!) >>> 0;
    }
    this.#seen += bytes.length;
  }
  finish(): void {
    if (this.#end < 0 || this.#seen < this.#end + 4) throw this.#cutOff();
    if (this.#crc !== this.#stored) {
      throw checksumError(this.#what, this.#stored, this.#crc, this.#file, this.#start);
    }
  }
}

/** Builds the header in memory. */
export async function buildIndexHeaderBytes(
  size: number,
  readRange: ReadRange,
  file: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const w = new ByteWriter(4096);
  await buildIndexHeader(size, readRange, (bytes) => w.append(bytes), file);
  return w.copy();
}

/**
 * Opens an index header: its tables, with postings ranges that lie in the index itself.
 *
 * Owner: `source` is kept.
 * Throws: CorruptionError; the caller then builds the header anew.
 */
export function openIndexHeader(
  source: ByteSource,
  options: { readonly postingSampling?: number } = {},
): IndexTables {
  const { name: file, size } = source;
  const fail = (reason: string, offset: number) => {
    throw new CorruptionError(`index header: ${reason}`, { file, offset });
  };
  if (size < HEAD_SIZE + HEADER_TOC_SIZE) fail(`${size} bytes are too few`, 0);
  const head = source.view(0, HEAD_SIZE);
  if (readU32(head, 0) !== MAGIC) fail("magic number is wrong", 0);
  if (head[4] !== VERSION) fail(`version ${head[4]} is not supported`, 4);
  const version = head[5]!;
  if (version < 1 || version > 3) fail(`index version ${version} is not supported`, 5);
  const postingsEnd = readU64(head, 6);
  if (!(postingsEnd >= 0)) fail("end of postings is beyond 2^53", 6);
  const end = size - HEADER_TOC_SIZE;
  const toc = source.view(end, HEADER_TOC_SIZE);
  if (toc.length < HEADER_TOC_SIZE) fail("it is cut off", end);
  verifyChecksum(toc, 0, 16, "index header's table of contents", file, end);
  const symbols = readU64(toc, 0);
  const postingsTable = readU64(toc, 8);
  if (!(symbols >= HEAD_SIZE && postingsTable > symbols && postingsTable < end - TOC_SIZE)) {
    fail(`sections at ${symbols} and ${postingsTable}`, end);
  }
  // The end of postings stands outside of any checksum; the index's own contents table has it too.
  const indexToc = source.view(end - TOC_SIZE, TOC_SIZE);
  verifyChecksum(indexToc, 0, TOC_SIZE - 4, "index's table of contents", file, end - TOC_SIZE);
  if (readU64(indexToc, 40) !== postingsEnd) fail(`end of postings at ${postingsEnd}`, 6);
  return new IndexTables(source, {
    version: version === 1 ? 1 : 2,
    symbols,
    postingsTable,
    end,
    postingsEnd,
    ...options,
    // The symbols of an index always follow its five-byte header.
    symbolShift: symbols - INDEX_HEADER_SIZE,
  });
}
