/** IndexReader: a whole index file, in memory or on disk. */
import { CorruptionError } from "../base/mod.ts";
import type { Labels } from "../model/mod.ts";
import type { ByteSource } from "./files.ts";
import { decodePostings, decodeSeries, type SeriesEntry, seriesEntrySize } from "./index_decode.ts";
import {
  INDEX_HEADER_SIZE,
  type IndexToc,
  parseIndexHeader,
  parseToc,
  readU32,
  SERIES_ALIGNMENT,
  TOC_SIZE,
} from "./index_format.ts";
import { IndexTables, LabelReader, type PostingsRange } from "./index_tables.ts";

/** The offset in the index of the series with this reference. */
export function seriesOffset(version: 1 | 2, ref: number): number {
  return version === 1 ? ref : ref * SERIES_ALIGNMENT;
}

const NO_REFS = new Uint32Array(0);
/** Read for a series before its length is known: the longest length prefix. */
const LENGTH_SIZE = 5;

/** Reads an index by random access. */
export class IndexReader {
  readonly toc: IndexToc;
  readonly version: 1 | 2;
  readonly tables: IndexTables;
  readonly #source: ByteSource;
  readonly #labels: LabelReader;

  /**
   * Checks header and table of contents, walks and verifies symbols and postings offset table.
   *
   * `tableSource` may be a second source over the same bytes: file sources remember one window
   * each, and tables and series lie apart.
   * Owner: sources are kept; the caller closes what is behind them.
   * Throws: CorruptionError that names the source and the offset.
   */
  constructor(source: ByteSource, tableSource: ByteSource = source) {
    const size = source.size;
    this.version = parseIndexHeader(source.view(0, INDEX_HEADER_SIZE), source.name);
    const tail = Math.max(0, size - TOC_SIZE);
    this.toc = parseToc(source.view(tail, TOC_SIZE), size, source.name);
    this.#source = source;
    this.tables = new IndexTables(tableSource, {
      version: this.version,
      symbols: this.toc.symbols,
      postingsTable: this.toc.postingsTable,
      end: tail,
      postingsEnd: this.toc.postingsTable,
      symbolShift: 0,
    });
    this.#labels = new LabelReader(this.tables);
  }

  /** References of the series with this label pair; owned. */
  postings(name: string, value: string): Uint32Array {
    const range = this.tables.postings(name, value);
    return range === undefined ? NO_REFS : this.readPostings(range);
  }
  /** References of all series, in label order; owned. */
  allPostings(): Uint32Array {
    const range = this.tables.allPostings();
    return range === undefined ? NO_REFS : this.readPostings(range);
  }
  /** The list at a range that the tables gave; owned. */
  readPostings({ offset, end }: PostingsRange): Uint32Array {
    const { name } = this.#source;
    // The range may reach further than the list (padding, sections of old files).
    const head = this.#source.view(offset, 8);
    const size = head.length < 8 ? 8 : 8 + readU32(head, 0);
    const bytes = this.#source.view(offset, Math.min(size, end - offset));
    return decodePostings(bytes, 0, name, offset);
  }

  /** Decodes the series with this reference into `into`. */
  readSeries(ref: number, into: SeriesEntry): void {
    const offset = seriesOffset(this.version, ref);
    const { name } = this.#source;
    const end = this.toc.labelIndices > this.toc.series
      ? this.toc.labelIndices
      : this.toc.postingsTable;
    if (offset < this.toc.series || offset >= end) {
      throw new CorruptionError(`series ${ref} is outside of the series section`, {
        file: name,
        offset,
      });
    }
    const size = seriesEntrySize(this.#source.view(offset, LENGTH_SIZE), 0, name, offset);
    const wanted = size === undefined ? LENGTH_SIZE : Math.min(size, end - offset);
    decodeSeries(this.#source.view(offset, wanted), 0, into, name, offset);
  }

  /** The labels of a decoded entry. */
  labels(entry: SeriesEntry): Labels {
    return this.#labels.labels(entry);
  }
}
