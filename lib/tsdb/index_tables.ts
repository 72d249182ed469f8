/**
 * IndexTables: the symbols and the postings offset table of an index, out of an index file or out
 * of an index header.
 *
 * Both sections are walked and verified once; afterwards only every 32nd position is in memory and
 * the entries between are read from the source again. Version 1, whose table is not sorted, is
 * loaded whole.
 */
import { compareUtf8, CorruptionError, crc32c, decodeUtf8, encodeUtf8 } from "../base/mod.ts";
import { EMPTY_LABELS, type Labels, labelsFromPairs, labelsFromSorted } from "../model/mod.ts";
import type { ByteSource } from "./files.ts";
import type { SeriesEntry } from "./index_decode.ts";
import { checksumError, readU32 } from "./index_format.ts";

/** Where the two sections lie in a source. */
export interface TablesLayout {
  readonly version: 1 | 2;
  /** Offset of the symbol section in the source. */
  readonly symbols: number;
  /** Offset of the postings offset table in the source. */
  readonly postingsTable: number;
  /** The sections end here at the latest. */
  readonly end: number;
  /** Offset in the INDEX at which the last postings list ends at the latest. */
  readonly postingsEnd: number;
  /** One of this many postings offsets of a label is held in memory; 32 when absent. */
  readonly postingSampling?: number;
  /** Added to a version 1 symbol reference (an offset in the index) to get one in the source. */
  readonly symbolShift: number;
}

/** Where a postings list lies in the index. */
export interface PostingsRange {
  /** Offset of its length word. */
  readonly offset: number;
  /** It ends here at the latest, checksum included. */
  readonly end: number;
}

/** Called for each value; the range lies in the index. */
export type ValueVisitor = (value: string, offset: number, end: number) => void;

/** Entries from one remembered position to the next. */
const SAMPLING = 32;
const NO_VALUES: ReadonlyMap<string, PostingsRange> = new Map();

/** The tables; see the file comment. */
export class IndexTables {
  readonly version: 1 | 2;
  /** Number of symbols. */
  readonly symbolCount: number;
  readonly #source: ByteSource;
  readonly #layout: TablesLayout;
  /** Source offset of every 32nd symbol relative to the section, then of the end. */
  readonly #symbolGroups: Uint32Array;
  readonly #postings: SortedPostings | LoadedPostings;

  /**
   * Walks and verifies both sections.
   *
   * Owner: `source` is kept and read from on later calls; the caller closes it.
   * Throws: CorruptionError that names the source and the offset.
   */
  constructor(source: ByteSource, layout: TablesLayout) {
    this.version = layout.version;
    this.#source = source;
    this.#layout = layout;
    const symbols = new Section(source, layout.symbols, layout.end, "symbol table");
    this.symbolCount = symbols.count;
    const groups = new Uint32Array(Math.ceil(symbols.count / SAMPLING) + 1);
    for (let i = 0; i < symbols.count; i++) {
      if (i % SAMPLING === 0) groups[i / SAMPLING] = symbols.offset - layout.symbols;
      symbols.skip(symbols.uvarint());
    }
    groups[groups.length - 1] = symbols.offset - layout.symbols;
    symbols.finish();
    this.#symbolGroups = groups;
    this.#postings = layout.version === 1
      ? new LoadedPostings(source, layout)
      : new SortedPostings(source, layout);
  }

  /**
   * The string of a symbol reference.
   *
   * Throws: CorruptionError when there is no such symbol.
   */
  symbol(ref: number): string {
    if (this.version === 1) return this.#symbolAt(ref);
    if (ref >= this.symbolCount) throw this.#noSymbol(ref);
    const group = ref >>> 5;
    const start = this.#symbolGroups[group]!;
    const bytes = this.#source.view(
      this.#layout.symbols + start,
      this.#symbolGroups[group + 1]! - start,
    );
    const r = new EntryReader(bytes, this.#source.name, this.#layout.symbols + start);
    for (let i = ref & (SAMPLING - 1); i > 0; i--) r.skipString();
    return r.string();
  }

  #symbolAt(ref: number): string {
    const { symbols, symbolShift } = this.#layout;
    const at = ref + symbolShift;
    const end = symbols + this.#symbolGroups[this.#symbolGroups.length - 1]!;
    if (at < symbols + 8 || at >= end) throw this.#noSymbol(ref);
    const head = this.#source.view(at, Math.min(10, end - at));
    const r = new EntryReader(head, this.#source.name, at);
    const length = r.uvarint();
    if (at + r.pos + length > end) throw this.#noSymbol(ref);
    const bytes = this.#source.view(at + r.pos, length);
    return decodeUtf8(bytes, 0, length);
  }

  #noSymbol(ref: number): CorruptionError {
    return new CorruptionError(`there is no symbol ${ref}`, {
      file: this.#source.name,
      offset: this.#layout.symbols,
    });
  }

  /** The symbols of references [32 * group, 32 * group + 32), fewer at the end. */
  symbolGroup(group: number): string[] {
    const start = this.#symbolGroups[group]!;
    const bytes = this.#source.view(
      this.#layout.symbols + start,
      this.#symbolGroups[group + 1]! - start,
    );
    const r = new EntryReader(bytes, this.#source.name, this.#layout.symbols + start);
    const out: string[] = [];
    while (r.pos < bytes.length) out.push(r.string());
    return out;
  }

  /** All symbols in table order. */
  allSymbols(): string[] {
    const out: string[] = [];
    for (let g = 0; g + 1 < this.#symbolGroups.length; g++) {
      for (const symbol of this.symbolGroup(g)) out.push(symbol);
    }
    return out;
  }

  /** Names of labels, ascending by bytes. */
  labelNames(): readonly string[] {
    return this.#postings.names.filter((name) => name !== "");
  }
  /** Number of values of a label. */
  valueCount(name: string): number {
    return this.#postings.valueCount(name);
  }
  /** Values of a label, ascending by bytes. */
  labelValues(name: string): string[] {
    const out: string[] = [];
    if (name !== "") this.visitValues(name, "", (value) => out.push(value));
    return out;
  }
  /** Calls `visit` for each value of `name` that starts with `prefix`, ascending. */
  visitValues(name: string, prefix: string, visit: ValueVisitor): void {
    this.#postings.visit(name, prefix, visit);
  }
  /** Where the list of a label pair is; undefined when no series has it. */
  postings(name: string, value: string): PostingsRange | undefined {
    return this.#postings.find(name, value);
  }
  /** Where the list of all series is. */
  allPostings(): PostingsRange | undefined {
    return this.#postings.find("", "");
  }
}

/** A framed section (length, count, entries, checksum), read front to back in windows. */
class Section {
  readonly count: number;
  /** Source offset of the next byte. */
  offset: number;
  readonly #end: number;
  readonly #source: ByteSource;
  readonly #what: string;
  readonly #start: number;
  #window = new Uint8Array(0);
  #windowStart = 0;
  #crc = 0;
  #crcFrom: number;

  constructor(source: ByteSource, start: number, end: number, what: string) {
    this.#source = source;
    this.#what = what;
    this.#start = start;
    const head = source.view(start, 8);
    if (start + 12 > end || head.length < 8) throw this.#error("it is cut off", start);
    const length = readU32(head, 0);
    this.#end = start + 4 + length;
    if (length < 4 || this.#end + 4 > end) {
      throw this.#error(`${length} bytes do not fit the file`, start);
    }
    this.count = readU32(head, 4);
    if (this.count > length - 4) throw this.#error(`${this.count} entries do not fit it`, start);
    this.offset = start + 8;
    this.#crcFrom = start + 4;
    this.#load(start + 4, 4);
  }

  #error(reason: string, offset: number): CorruptionError {
    return new CorruptionError(`${this.#what}: ${reason}`, { file: this.#source.name, offset });
  }

  /** Takes the bytes up to `offset` into the checksum and moves the window there. */
  #load(offset: number, size: number): void {
    this.#digest(offset);
    const wanted = Math.min(Math.max(size, 64 * 1024), this.#end - offset);
    this.#window = this.#source.view(offset, wanted) as Uint8Array<ArrayBuffer>;
    this.#windowStart = offset;
    if (this.#window.length < wanted) throw this.#error("it is cut off", offset);
  }
  #digest(upTo: number): void {
    const from = this.#crcFrom - this.#windowStart;
    this.#crc = crc32c(this.#window, from, upTo - this.#windowStart, this.#crc);
    this.#crcFrom = upTo;
  }

  uvarint(): number {
    let x = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++, scale *= 128) {
      if (this.offset >= this.#end) throw this.#error("it ends inside a number", this.offset);
      let at = this.offset - this.#windowStart;
      if (at >= this.#window.length) {
        this.#load(this.offset, 1);
        at = 0;
      }
      const b = this.#window[at]!;
      this.offset++;
      x += (b & 0x7f) * scale;
      if (b < 0x80) {
        if (x > Number.MAX_SAFE_INTEGER) throw this.#error("number beyond 2^53", this.offset);
        return x;
      }
    }
    throw this.#error("varint longer than 10 bytes", this.offset);
  }

  /** The next `n` bytes; borrowed until the next call. */
  bytes(n: number): Uint8Array {
    if (n > this.#end - this.offset) throw this.#error("a string runs past its end", this.offset);
    let at = this.offset - this.#windowStart;
    if (at + n > this.#window.length) {
      this.#load(this.offset, n);
      at = 0;
    }
    this.offset += n;
    return this.#window.subarray(at, at + n);
  }

  skip(n: number): void {
    if (n > this.#end - this.offset) throw this.#error("a string runs past its end", this.offset);
    if (this.offset + n - this.#windowStart > this.#window.length) this.#load(this.offset, n);
    this.offset += n;
  }

  /** Throws unless everything was read and the checksum is right. */
  finish(): void {
    if (this.offset !== this.#end) {
      throw this.#error(`${this.#end - this.offset} bytes are left over`, this.offset);
    }
    this.#digest(this.#end);
    const tail = this.#source.view(this.#end, 4);
    if (tail.length < 4) throw this.#error("it is cut off", this.#end);
    const stored = readU32(tail, 0);
    if (stored !== this.#crc) {
      throw checksumError(this.#what, stored, this.#crc, this.#source.name, this.#start);
    }
  }
}

/** Entries inside one verified group. */
class EntryReader {
  readonly bytes: Uint8Array;
  pos = 0;
  readonly #file: string;
  readonly #base: number;
  constructor(bytes: Uint8Array, file: string, base: number) {
    this.bytes = bytes;
    this.#file = file;
    this.#base = base;
  }
  fail(): never {
    throw new CorruptionError("index changed after it was opened", {
      file: this.#file,
      offset: this.#base + this.pos,
    });
  }
  uvarint(): number {
    let x = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++, scale *= 128) {
      const b = this.bytes[this.pos++];
      if (b === undefined) this.fail();
      x += (b & 0x7f) * scale;
      if (b < 0x80) return x;
    }
    return this.fail();
  }
  skipString(): void {
    const length = this.uvarint();
    this.pos += length;
    if (this.pos > this.bytes.length) this.fail();
  }
  string(): string {
    const length = this.uvarint();
    const start = this.pos;
    this.pos += length;
    if (this.pos > this.bytes.length) this.fail();
    return decodeUtf8(this.bytes, start, this.pos);
  }
  /** Start of the string's bytes; `pos` moves behind it. */
  stringStart(): number {
    const length = this.uvarint();
    const start = this.pos;
    this.pos += length;
    if (this.pos > this.bytes.length) this.fail();
    return start;
  }
}

/** The sorted table of version 2, sampled. */
class SortedPostings {
  readonly names: readonly string[];
  readonly #source: ByteSource;
  readonly #layout: TablesLayout;
  readonly #nameIndex: ReadonlyMap<string, number>;
  /** First group of each name, then the number of groups. */
  readonly #firstGroup: readonly number[];
  readonly #valueCounts: readonly number[];
  /** Position of each group's first entry relative to the table, then of the end. */
  readonly #positions: readonly number[];
  /** Offset of each group's first list in the index, then the end of the last list. */
  readonly #offsets: readonly number[];

  constructor(source: ByteSource, layout: TablesLayout) {
    this.#source = source;
    this.#layout = layout;
    const what = "postings offset table";
    const sampling = layout.postingSampling ?? SAMPLING;
    const table = new Section(source, layout.postingsTable, layout.end, what);
    const names: string[] = [];
    const firstGroup: number[] = [];
    const valueCounts: number[] = [];
    const positions: number[] = [];
    const offsets: number[] = [];
    let lastName = new Uint8Array(64);
    let lastNameLength = -1;
    let lastValue = new Uint8Array(256);
    let lastValueLength = 0;
    let lastOffset = 0;
    let inName = 0;
    const fail = (reason: string) => {
      throw new CorruptionError(`${what}: ${reason}`, { file: source.name, offset: table.offset });
    };
    for (let i = 0; i < table.count; i++) {
      const position = table.offset - layout.postingsTable;
      const keys = table.uvarint();
      if (keys !== 2) fail(`an entry of ${keys} strings`);
      const name = table.bytes(table.uvarint());
      const sameName = name.length === lastNameLength &&
        compareBytes(name, 0, name.length, lastName, lastNameLength) === 0;
      if (!sameName) {
        if (
          lastNameLength >= 0 &&
          compareBytes(name, 0, name.length, lastName, lastNameLength) < 0
        ) fail("names are not sorted");
        if (names.length > 0) valueCounts.push(inName);
        names.push(decodeUtf8(name));
        firstGroup.push(positions.length);
        if (lastName.length < name.length) lastName = new Uint8Array(name.length * 2);
        lastName.set(name);
        lastNameLength = name.length;
        inName = 0;
      }
      const value = table.bytes(table.uvarint());
      if (
        sameName && compareBytes(value, 0, value.length, lastValue, lastValueLength) <= 0
      ) fail("values are not sorted");
      if (lastValue.length < value.length) lastValue = new Uint8Array(value.length * 2);
      for (let k = 0; k < value.length; k++) lastValue[k] = value[k]!;
      lastValueLength = value.length;
      const offset = table.uvarint();
      if (offset <= lastOffset || offset >= layout.postingsEnd) {
        fail(`a list at ${offset} is out of order`);
      }
      lastOffset = offset;
      if (inName % sampling === 0) {
        positions.push(position);
        offsets.push(offset);
      }
      inName++;
    }
    if (names.length > 0) valueCounts.push(inName);
    firstGroup.push(positions.length);
    positions.push(table.offset - layout.postingsTable);
    offsets.push(layout.postingsEnd);
    table.finish();
    this.names = names;
    this.#nameIndex = new Map(names.map((name, i) => [name, i]));
    this.#firstGroup = firstGroup;
    this.#valueCounts = valueCounts;
    this.#positions = positions;
    this.#offsets = offsets;
  }

  valueCount(name: string): number {
    const i = this.#nameIndex.get(name);
    return i === undefined ? 0 : this.#valueCounts[i]!;
  }

  #group(group: number): EntryReader {
    const start = this.#positions[group]!;
    const at = this.#layout.postingsTable + start;
    const bytes = this.#source.view(at, this.#positions[group + 1]! - start);
    return new EntryReader(bytes, this.#source.name, at);
  }

  /** The last group of [low, high) whose first value is not after `wanted`; `low` when none is. */
  #seek(low: number, high: number, wanted: Uint8Array): number {
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const r = this.#group(middle);
      r.uvarint();
      r.skipString();
      const start = r.stringStart();
      if (compareBytes(r.bytes, start, r.pos, wanted, wanted.length) <= 0) low = middle;
      else high = middle;
    }
    return low;
  }

  find(name: string, value: string): PostingsRange | undefined {
    const i = this.#nameIndex.get(name);
    if (i === undefined) return undefined;
    const wanted = encodeUtf8(value);
    const group = this.#seek(this.#firstGroup[i]!, this.#firstGroup[i + 1]!, wanted);
    const r = this.#group(group);
    while (r.pos < r.bytes.length) {
      r.uvarint();
      r.skipString();
      const start = r.stringStart();
      const order = compareBytes(r.bytes, start, r.pos, wanted, wanted.length);
      if (order > 0) return undefined;
      const offset = r.uvarint();
      if (order < 0) continue;
      return { offset, end: this.#nextOffset(r, group) };
    }
    return undefined;
  }

  /** Offset of the list behind the entry just read. */
  #nextOffset(r: EntryReader, group: number): number {
    if (r.pos >= r.bytes.length) return this.#offsets[group + 1]!;
    const at = r.pos;
    r.uvarint();
    r.skipString();
    r.skipString();
    const offset = r.uvarint();
    r.pos = at;
    return offset;
  }

  visit(name: string, prefix: string, visit: ValueVisitor): void {
    const i = this.#nameIndex.get(name);
    if (i === undefined) return;
    const end = this.#firstGroup[i + 1]!;
    const wanted = encodeUtf8(prefix);
    let group = this.#firstGroup[i]!;
    if (prefix !== "") group = this.#seek(group, end, wanted);
    for (; group < end; group++) {
      const r = this.#group(group);
      // The visitor may ask for other entries, which moves a file's window: take the group apart first.
      const values: string[] = [];
      const offsets: number[] = [];
      let behind = false;
      while (r.pos < r.bytes.length) {
        r.uvarint();
        r.skipString();
        const start = r.stringStart();
        const stop = r.pos;
        const offset = r.uvarint();
        const size = Math.min(stop - start, wanted.length);
        const order = compareBytes(r.bytes, start, start + size, wanted, wanted.length);
        if (order < 0) continue;
        offsets.push(offset);
        if (order > 0) {
          behind = true;
          break;
        }
        values.push(decodeUtf8(r.bytes, start, stop));
      }
      offsets.push(this.#offsets[group + 1]!);
      for (let k = 0; k < values.length; k++) visit(values[k]!, offsets[k]!, offsets[k + 1]!);
      if (behind) return;
    }
  }
}

/** The table of version 1, in memory. */
class LoadedPostings {
  readonly names: readonly string[];
  readonly #values: ReadonlyMap<string, ReadonlyMap<string, PostingsRange>>;

  constructor(source: ByteSource, layout: TablesLayout) {
    const table = new Section(source, layout.postingsTable, layout.end, "postings offset table");
    const entries: { name: string; value: string; offset: number }[] = [];
    for (let i = 0; i < table.count; i++) {
      const keys = table.uvarint();
      const name = keys === 2 ? decodeUtf8(table.bytes(table.uvarint())) : "";
      const value = keys === 2 ? decodeUtf8(table.bytes(table.uvarint())) : "";
      const offset = table.uvarint();
      if (keys !== 2 || offset >= layout.postingsEnd) {
        throw new CorruptionError(
          keys !== 2
            ? `postings offset table: an entry of ${keys} strings`
            : `postings offset table: a list at ${offset}`,
          { file: source.name, offset: table.offset },
        );
      }
      entries.push({ name, value, offset });
    }
    table.finish();
    const offsets = Float64Array.from(entries, (e) => e.offset).sort();
    const ends = new Map<number, number>();
    for (let i = 0; i < offsets.length; i++) {
      ends.set(offsets[i]!, offsets[i + 1] ?? layout.postingsEnd);
    }
    entries.sort((a, b) => compareUtf8(a.name, b.name) || compareUtf8(a.value, b.value));
    const values = new Map<string, Map<string, PostingsRange>>();
    for (const { name, value, offset } of entries) {
      let of = values.get(name);
      if (of === undefined) values.set(name, of = new Map());
      of.set(value, { offset, end: ends.get(offset)! });
    }
    this.names = [...values.keys()];
    this.#values = values;
  }

  valueCount(name: string): number {
    return (this.#values.get(name) ?? NO_VALUES).size;
  }
  find(name: string, value: string): PostingsRange | undefined {
    return (this.#values.get(name) ?? NO_VALUES).get(value);
  }
  visit(name: string, prefix: string, visit: ValueVisitor): void {
    for (const [value, range] of this.#values.get(name) ?? NO_VALUES) {
      if (value.startsWith(prefix)) visit(value, range.offset, range.end);
    }
  }
}

/** Compares a[start, end) with b[0, length). */
function compareBytes(
  a: Uint8Array,
  start: number,
  end: number,
  b: Uint8Array,
  length: number,
): number {
  const size = end - start;
  const n = size < length ? size : length;
  for (let i = 0; i < n; i++) {
    const difference = a[start + i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return size - length;
}

/**
 * Turns symbol references into labels; keeps the strings it has met, 32 neighbours at a time, as
 * series that are read together use neighbouring values. Make one a request.
 */
export class LabelReader {
  readonly #tables: IndexTables;
  readonly #groups: (readonly string[] | undefined)[] = [];
  /** Strings of version 1, by offset. */
  readonly #strings = new Map<number, string>();

  constructor(tables: IndexTables) {
    this.#tables = tables;
    if (tables.version !== 1) {
      this.#groups = new Array<readonly string[] | undefined>(
        Math.ceil(tables.symbolCount / SAMPLING),
      ).fill(undefined);
    }
  }

  /** The string of a symbol reference. */
  symbol(ref: number): string {
    if (this.#tables.version === 1) return this.#symbolAt(ref);
    const group = ref >>> 5;
    const known = this.#groups[group];
    if (known !== undefined && (ref & 31) < known.length) return known[ref & 31]!;
    if (ref >= this.#tables.symbolCount) return this.#tables.symbol(ref);
    return (this.#groups[group] = this.#tables.symbolGroup(group))[ref & 31]!;
  }

  #symbolAt(ref: number): string {
    let text = this.#strings.get(ref);
    if (text === undefined) {
      text = this.#tables.symbol(ref);
      this.#strings.set(ref, text);
    }
    return text;
  }

  /** The labels of an entry; sorted here if an old writer left them unsorted. */
  labels(entry: SeriesEntry): Labels {
    const n = entry.labelLength;
    if (n === 0) return EMPTY_LABELS;
    const flat = new Array<string>(n);
    for (let i = 0; i < n; i++) flat[i] = this.symbol(entry.labels[i]!);
    for (let i = 0; i < n; i += 2) {
      if (flat[i + 1] === "" || (i > 0 && compareUtf8(flat[i - 2]!, flat[i]!) >= 0)) {
        const pairs: [string, string][] = [];
        for (let k = 0; k < n; k += 2) pairs.push([flat[k]!, flat[k + 1]!]);
        return labelsFromPairs(pairs);
      }
    }
    return labelsFromSorted(flat);
  }
}
