/** Constants and framing of the index file that its reader, writer and header share. */
import { CorruptionError, crc32c } from "../base/mod.ts";

/** First four bytes of an index. */
export const INDEX_MAGIC = 0xbaaad700;
/** Bytes before the symbol table. */
export const INDEX_HEADER_SIZE = 5;
/** Six offsets and a checksum at the end of an index. */
export const TOC_SIZE = 6 * 8 + 4;
/** Series entries of version 2 start at multiples of this; a series reference is offset / 16. */
export const SERIES_ALIGNMENT = 16;

/** Where the sections of an index start; 0 = absent. */
export interface IndexToc {
  readonly symbols: number;
  readonly series: number;
  readonly labelIndices: number;
  readonly labelOffsetTable: number;
  readonly postings: number;
  readonly postingsTable: number;
}

/** Reads a big-endian u32. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>>
    0;
}

/** Reads a big-endian u64 that must be a safe integer; NaN when it is none. */
export function readU64(bytes: Uint8Array, at: number): number {
  const high = readU32(bytes, at);
  return high > 0x1fffff ? NaN : high * 4294967296 + readU32(bytes, at + 4);
}

/** Throws unless the u32 at `end` is the checksum of bytes [start, end). */
export function verifyChecksum(
  bytes: Uint8Array,
  start: number,
  end: number,
  what: string,
  file: string,
  base: number,
): void {
  const stored = readU32(bytes, end);
  const computed = crc32c(bytes, start, end);
  if (stored !== computed) throw checksumError(what, stored, computed, file, base + start);
}

/** The error of a checksum that differs. */
export function checksumError(
  what: string,
  stored: number,
  computed: number,
  file: string,
  offset: number,
): CorruptionError {
  const hex = (x: number) => x.toString(16).padStart(8, "0");
  return new CorruptionError(
    `checksum of ${what} is ${hex(computed)}, ${hex(stored)} expected`,
    { file, offset },
  );
}

/** Checks magic number and version of an index; returns 1 or 2 (3 is read as 2). */
export function parseIndexHeader(bytes: Uint8Array, file: string): 1 | 2 {
  if (bytes.length < INDEX_HEADER_SIZE) {
    throw new CorruptionError(`index of ${bytes.length} bytes has no header`, { file });
  }
  const magic = readU32(bytes, 0);
  if (magic !== INDEX_MAGIC) {
    throw new CorruptionError(`magic number ${magic.toString(16)} is wrong`, { file });
  }
  const version = bytes[4]!;
  if (version < 1 || version > 3) {
    throw new CorruptionError(`index version ${version} is not supported`, { file, offset: 4 });
  }
  return version === 1 ? 1 : 2;
}

/**
 * Reads the table of contents from the last 52 bytes of an index of `size` bytes.
 *
 * Throws: CorruptionError when the checksum differs or sections are out of order or bounds.
 */
export function parseToc(bytes: Uint8Array, size: number, file: string): IndexToc {
  const base = size - TOC_SIZE;
  if (bytes.length !== TOC_SIZE || base < INDEX_HEADER_SIZE) {
    throw new CorruptionError(`index of ${size} bytes has no table of contents`, { file });
  }
  verifyChecksum(bytes, 0, TOC_SIZE - 4, "table of contents", file, base);
  const at = (i: number) => readU64(bytes, i * 8);
  const toc: IndexToc = {
    symbols: at(0),
    series: at(1),
    labelIndices: at(2),
    labelOffsetTable: at(3),
    postings: at(4),
    postingsTable: at(5),
  };
  for (const [name, offset] of Object.entries(toc) as [keyof IndexToc, number][]) {
    if (!(offset <= base) || (offset !== 0 && offset < INDEX_HEADER_SIZE)) {
      throw new CorruptionError(`table of contents: ${name} is at ${offset}`, {
        file,
        offset: base,
      });
    }
  }
  if (
    toc.symbols === 0 || toc.series < toc.symbols || toc.postingsTable < toc.series ||
    (toc.postings !== 0 && (toc.postings < toc.series || toc.postings > toc.postingsTable))
  ) {
    throw new CorruptionError("table of contents: sections are out of order", {
      file,
      offset: base,
    });
  }
  return toc;
}
