/**
 * Writes an index file (version 2) front to back: symbols, series, postings, their offset table and
 * the table of contents. The same input gives the same bytes as Prometheus' own writer.
 *
 * Memory: the symbols, four bytes a series and eight bytes a label of a series.
 */
import { assert, ByteWriter, compareUtf8, crc32c, LimitError, utf8Length } from "../base/mod.ts";
import type { WriteFile } from "./files.ts";
import { INDEX_MAGIC, SERIES_ALIGNMENT } from "./index_format.ts";

const VERSION = 2;
const FLUSH_SIZE = 256 * 1024;
const MAX_U32 = 0xffffffff;

/** Appends the chunk part of a series entry and checks the order of chunks. */
export class ChunkListEncoder {
  readonly #w = new ByteWriter(512);
  #lastRef = 0;

  /**
   * Encodes `count` chunks of one series: their number, then time ranges and references.
   *
   * Shape: min > the max before it, max >= min; references never go down, over all series.
   * Owner: borrowed until the next call.
   */
  encode(
    minTimes: ArrayLike<number>,
    maxTimes: ArrayLike<number>,
    refs: ArrayLike<number>,
    count: number,
  ): Uint8Array<ArrayBuffer> {
    const w = this.#w;
    w.reset();
    w.uvarint(count);
    let lastMax = 0;
    let lastRef = this.#lastRef;
    for (let i = 0; i < count; i++) {
      const mint = minTimes[i]!;
      const maxt = maxTimes[i]!;
      const ref = refs[i]!;
      assert(maxt >= mint, `chunk ends at ${maxt}, before its start ${mint}`);
      assert(i === 0 || mint > lastMax, `chunk starts at ${mint}, inside the one before`);
      assert(ref >= lastRef, `chunk reference ${ref} is below the one before`);
      if (i === 0) {
        w.varint(mint);
        w.uvarint(maxt - mint);
        w.uvarint(ref);
      } else {
        w.uvarint(mint - lastMax);
        w.uvarint(maxt - mint);
        w.varint(ref - lastRef);
      }
      lastMax = maxt;
      lastRef = ref;
    }
    this.#lastRef = lastRef;
    return w.view();
  }
}

/** The writer; call writeSymbols(), then addSeries() in label order, then finish(). */
export class IndexWriter {
  readonly #file: WriteFile;
  readonly #out = new ByteWriter(64 * 1024);
  /** Bytes already handed to the file. */
  #flushed = 0;
  #symbols: readonly string[] = [];
  #symbolsOffset = 0;
  #seriesOffset = 0;
  /** Symbol refs of the last series, for the order check. */
  #lastLabels = new Uint32Array(64);
  #lastLength = -1;
  readonly #head = new ByteWriter(512);
  readonly #postings = new PostingsBuilder();

  /** `file` must be empty; the caller syncs and closes it. */
  constructor(file: WriteFile) {
    this.#file = file;
    this.#out.u32(INDEX_MAGIC);
    this.#out.u8(VERSION);
  }

  get #offset(): number {
    return this.#flushed + this.#out.length;
  }
  #flush(): void {
    this.#file.append(this.#out.view());
    this.#flushed += this.#out.length;
    this.#out.reset();
  }
  #align(n: number): void {
    while (this.#offset % n !== 0) this.#out.u8(0);
  }

  /**
   * Writes the symbol table.
   *
   * Shape: ascending by bytes, unique; holds every label name and value of the series to come. The
   *   position of a string is its reference.
   * Owner: kept until finish() and must not change.
   */
  writeSymbols(symbols: readonly string[]): void {
    assert(this.#seriesOffset === 0, "symbols are written once, before any series");
    let size = 4;
    for (let i = 0; i < symbols.length; i++) {
      assert(i === 0 || compareUtf8(symbols[i - 1]!, symbols[i]!) < 0, "symbols ascend");
      const n = utf8Length(symbols[i]!);
      size += uvarintSize(n) + n;
    }
    checkSize("symbol table", size, MAX_U32);
    this.#symbols = symbols;
    this.#symbolsOffset = this.#offset;
    this.#out.u32(size);
    const section = new SectionCrc(this.#out);
    this.#out.u32(symbols.length);
    for (const symbol of symbols) {
      this.#out.string(symbol);
      if (this.#out.length >= FLUSH_SIZE) {
        section.update();
        this.#flush();
        section.restart();
      }
    }
    section.update();
    this.#out.u32(section.crc);
    this.#seriesOffset = this.#offset;
  }

  /**
   * Writes one series; returns its reference.
   *
   * Shape: `labels` = symbol refs [name0, value0, …] with `length` elements, names ascending; series
   *   ascend strictly. `chunkList` comes from a ChunkListEncoder.
   */
  addSeries(labels: Uint32Array, length: number, chunkList: Uint8Array): number {
    assert(this.#seriesOffset !== 0, "symbols are written before series");
    this.#checkOrder(labels, length);
    this.#align(SERIES_ALIGNMENT);
    const ref = this.#offset / SERIES_ALIGNMENT;
    if (ref > MAX_U32) {
      throw new LimitError("index is larger than 64 GiB", MAX_U32 * 16, this.#offset);
    }
    const head = this.#head;
    head.reset();
    head.uvarint(length / 2);
    for (let i = 0; i < length; i++) head.uvarint(labels[i]!);
    const out = this.#out;
    out.uvarint(head.length + chunkList.length);
    const start = out.length;
    out.append(head.view());
    out.append(chunkList);
    out.u32(crc32c(out.bytes, start, out.length));
    if (out.length >= FLUSH_SIZE) this.#flush();
    this.#postings.add(ref, labels, length);
    return ref;
  }

  #checkOrder(labels: Uint32Array, length: number): void {
    const last = this.#lastLabels;
    const symbolCount = this.#symbols.length;
    let order = 0;
    for (let i = 0; i < length; i++) {
      assert(labels[i]! < symbolCount, `symbol ${labels[i]!} is not in the table`);
      assert(i < 2 || (i & 1) === 1 || labels[i]! > labels[i - 2]!, "label names ascend");
      if (order === 0 && i < this.#lastLength) order = labels[i]! - last[i]!;
    }
    if (order === 0) order = length - this.#lastLength;
    assert(order > 0, "series ascend by their labels");
    if (last.length < length) this.#lastLabels = new Uint32Array(length * 2);
    for (let i = 0; i < length; i++) this.#lastLabels[i] = labels[i]!;
    this.#lastLength = length;
  }

  /** Writes postings, their offset table and the table of contents; returns the index's size. */
  finish(): number {
    assert(this.#seriesOffset !== 0, "symbols are written before the end");
    const out = this.#out;
    const labelIndices = this.#offset;
    const all = this.#postings;
    all.sort();
    const count = all.pairCount;
    // Element 0 is the list of all series, element k + 1 the k-th pair.
    const offsets = new Float64Array(count + 1);
    for (let k = -1; k < count; k++) {
      this.#align(4);
      offsets[k + 1] = this.#offset;
      this.#writeList(k < 0 ? all.series() : all.list(k));
      if (out.length >= FLUSH_SIZE) this.#flush();
    }
    const postingsTable = this.#offset;
    this.#writeTable(offsets);
    const toc = out.length;
    out.u64(this.#symbolsOffset);
    out.u64(this.#seriesOffset);
    out.u64(labelIndices);
    out.u64(postingsTable);
    out.u64(labelIndices);
    out.u64(postingsTable);
    out.u32(crc32c(out.bytes, toc, out.length));
    this.#flush();
    return this.#flushed;
  }

  #writeList(refs: Uint32Array): void {
    const out = this.#out;
    checkSize("postings list", 4 + refs.length * 4, MAX_U32);
    out.u32(4 + refs.length * 4);
    const section = new SectionCrc(out);
    out.u32(refs.length);
    for (let i = 0; i < refs.length;) {
      const end = Math.min(refs.length, i + FLUSH_SIZE / 4);
      out.reserve((end - i) * 4);
      const b = out.bytes;
      let at = out.length;
      for (; i < end; i++) {
        const ref = refs[i]!;
        b[at] = ref >>> 24;
        b[at + 1] = ref >>> 16;
        b[at + 2] = ref >>> 8;
        b[at + 3] = ref;
        at += 4;
      }
      out.length = at;
      section.update();
      if (out.length >= FLUSH_SIZE) {
        this.#flush();
        section.restart();
      }
    }
    section.update();
    out.u32(section.crc);
  }

  #writeTable(offsets: Float64Array): void {
    const out = this.#out;
    const pairs = this.#postings;
    const count = pairs.pairCount;
    let size = 4;
    for (let k = -1; k < count; k++) {
      const name = utf8Length(k < 0 ? "" : this.#symbols[pairs.name(k)]!);
      const value = utf8Length(k < 0 ? "" : this.#symbols[pairs.value(k)]!);
      size += 1 + uvarintSize(name) + name + uvarintSize(value) + value +
        uvarintSize(offsets[k + 1]!);
    }
    checkSize("postings offset table", size, MAX_U32);
    out.u32(size);
    const section = new SectionCrc(out);
    out.u32(count + 1);
    for (let k = -1; k < count; k++) {
      out.u8(2);
      out.string(k < 0 ? "" : this.#symbols[pairs.name(k)]!);
      out.string(k < 0 ? "" : this.#symbols[pairs.value(k)]!);
      out.uvarint(offsets[k + 1]!);
      if (out.length >= FLUSH_SIZE) {
        section.update();
        this.#flush();
        section.restart();
      }
    }
    section.update();
    out.u32(section.crc);
  }
}

/** Checksum of a section while the buffer is emptied in between. */
class SectionCrc {
  crc = 0;
  readonly #out: ByteWriter;
  #from: number;
  constructor(out: ByteWriter) {
    this.#out = out;
    this.#from = out.length;
  }
  /** Takes in what was written since the last call. */
  update(): void {
    this.crc = crc32c(this.#out.bytes, this.#from, this.#out.length, this.crc);
    this.#from = this.#out.length;
  }
  /** The buffer was emptied. */
  restart(): void {
    this.#from = 0;
  }
}

/** Collects which series has which pair, in typed arrays, and turns that round at the end. */
class PostingsBuilder {
  readonly #pairs = new Map<number, Map<number, number>>();
  readonly #names = new GrowingU32();
  readonly #values = new GrowingU32();
  readonly #counts = new GrowingU32();
  readonly #refs = new GrowingU32();
  readonly #labelCounts = new GrowingU32();
  /** Pair of each label of each series, in order. */
  readonly #occurrences = new GrowingU32();
  /** Name, value and pair last seen at each label position: neighbours share most labels. */
  #last = new Int32Array(3 * 64).fill(-1);
  #order = new Uint32Array(0);
  #starts = new Float64Array(0);
  #lists = new Uint32Array(0);

  get pairCount(): number {
    return this.#names.length;
  }
  series(): Uint32Array {
    return this.#refs.view();
  }
  name(k: number): number {
    return this.#names.at(this.#order[k]!);
  }
  value(k: number): number {
    return this.#values.at(this.#order[k]!);
  }
  list(k: number): Uint32Array {
    return this.#lists.subarray(this.#starts[k]!, this.#starts[k + 1]!);
  }

  add(ref: number, labels: Uint32Array, length: number): void {
    if (this.#last.length < length * 2) {
      const next = new Int32Array(length * 4).fill(-1);
      next.set(this.#last);
      this.#last = next;
    }
    const last = this.#last;
    for (let i = 0, j = 0; i < length; i += 2, j += 3) {
      const name = labels[i]!;
      const value = labels[i + 1]!;
      // Refs of 2^31 and more never equal a signed element, so they only miss this short cut.
      let pair = last[j] === name && last[j + 1] === value ? last[j + 2]! : -1;
      if (pair < 0) {
        pair = this.#pair(name, value);
        last[j] = name;
        last[j + 1] = value;
        last[j + 2] = pair;
      }
      this.#occurrences.push(pair);
      this.#counts.increment(pair);
    }
    this.#refs.push(ref);
    this.#labelCounts.push(length / 2);
  }

  #pair(name: number, value: number): number {
    let values = this.#pairs.get(name);
    if (values === undefined) this.#pairs.set(name, values = new Map());
    let pair = values.get(value);
    if (pair === undefined) {
      pair = this.#names.length;
      values.set(value, pair);
      this.#names.push(name);
      this.#values.push(value);
      this.#counts.push(0);
    }
    return pair;
  }

  /** Orders the pairs and builds their lists; nothing is added afterwards. */
  sort(): void {
    this.#pairs.clear();
    const n = this.pairCount;
    const names = this.#names.view();
    const values = this.#values.view();
    this.#order = new Uint32Array(n);
    for (let k = 0; k < n; k++) this.#order[k] = k;
    this.#order.sort((a, b) => names[a]! - names[b]! || values[a]! - values[b]!);
    this.#starts = new Float64Array(n + 1);
    const next = new Float64Array(n);
    for (let k = 0; k < n; k++) {
      const pair = this.#order[k]!;
      next[pair] = this.#starts[k]!;
      this.#starts[k + 1] = this.#starts[k]! + this.#counts.at(pair);
    }
    const refs = this.#refs.view();
    const labelCounts = this.#labelCounts.view();
    const occurrences = this.#occurrences.view();
    this.#lists = new Uint32Array(occurrences.length);
    let at = 0;
    for (let i = 0; i < refs.length; i++) {
      const end = at + labelCounts[i]!;
      for (; at < end; at++) {
        this.#lists[next[occurrences[at]!]!++] = refs[i]!;
      }
    }
  }
}

/** A list of unsigned 32-bit numbers. */
class GrowingU32 {
  #items = new Uint32Array(1024);
  length = 0;
  push(x: number): void {
    if (this.length === this.#items.length) {
      const next = new Uint32Array(this.length * 2);
      next.set(this.#items);
      this.#items = next;
    }
    this.#items[this.length++] = x;
  }
  at(i: number): number {
    return this.#items[i]!;
  }
  increment(i: number): void {
    this.#items[i]!++;
  }
  view(): Uint32Array {
    return this.#items.subarray(0, this.length);
  }
}

function checkSize(what: string, size: number, limit: number): void {
  if (size > limit) throw new LimitError(`${what} of ${size} bytes is too large`, limit, size);
}

function uvarintSize(x: number): number {
  let n = 1;
  for (; x >= 128; x = Math.floor(x / 128)) n++;
  return n;
}
