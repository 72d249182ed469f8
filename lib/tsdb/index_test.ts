import assert from "node:assert/strict";
import { ByteWriter, compareUtf8, CorruptionError, crc32c } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { formatLabels, labelsFromRecord } from "../model/mod.ts";
import {
  buildIndexHeaderBytes,
  type ByteSource,
  bytesSource,
  ChunkListEncoder,
  decodePostings,
  decodeSeries,
  fileSource,
  IndexReader,
  IndexWriter,
  LabelReader,
  openIndexHeader,
  SeriesEntry,
  seriesEntrySize,
} from "./mod.ts";
import { MemoryFiles } from "./testing/memory_files.ts";

/** The worked example of the format notes: two series, three chunks, 268 bytes. */
const EXAMPLE_HEX = [
  "baaad70002",
  "0000001800000005085f5f6e616d655f5f016101620" + "36a6f62027570f0b315e7",
  "0000000000000000000000",
  "0f0200040301" + "02d00f987508" + "9875002e" + "ea245253",
  "000000000000000000000000",
  "0a0200040302" + "01d00f0032" + "87030d85",
  "00",
  "0000000c000000020000000300000005bb33cbd4",
  "0000000c000000020000000300000005bb33cbd4",
  "000000080000000100000003a7692ed2",
  "00000008000000010000000581c8c93a",
  "00000028000000040200006002085f5f6e616d655f5f02757074",
  "02036a6f62016188" + "0102036a6f6201629801675899e0",
  "00000000000000050000000000000025000000000000005f",
  "00000000000000a8000000000000005f00000000000000a875100f79",
].join("");
const EXAMPLE = Uint8Array.fromHex(EXAMPLE_HEX);

interface TestSeries {
  readonly labels: readonly string[];
  readonly chunks: readonly (readonly [number, number, number])[];
}

function writeIndex(symbols: readonly string[], series: readonly TestSeries[]): Uint8Array {
  const files = new MemoryFiles();
  const writer = new IndexWriter(files.create("index"));
  writer.writeSymbols(symbols);
  const ids = new Map(symbols.map((s, i) => [s, i]));
  const encoder = new ChunkListEncoder();
  for (const { labels, chunks } of series) {
    writer.addSeries(
      Uint32Array.from(labels, (s) => ids.get(s) ?? 99),
      labels.length,
      encoder.encode(
        chunks.map((c) => c[0]),
        chunks.map((c) => c[1]),
        chunks.map((c) => c[2]),
        chunks.length,
      ),
    );
  }
  writer.finish();
  return files.content.get("index")!;
}

const EXAMPLE_SERIES: TestSeries[] = [
  { labels: ["__name__", "up", "job", "a"], chunks: [[1000, 16000, 8], [31000, 31000, 31]] },
  { labels: ["__name__", "up", "job", "b"], chunks: [[1000, 1000, 50]] },
];

Deno.test("IndexWriter writes the worked example byte for byte", () => {
  const bytes = writeIndex(["__name__", "a", "b", "job", "up"], EXAMPLE_SERIES);
  assert.equal(bytes.toHex(), EXAMPLE_HEX);
});

Deno.test("IndexReader reads the worked example", () => {
  const index = new IndexReader(bytesSource(EXAMPLE, "index"));
  assert.deepEqual(index.tables.allSymbols(), ["__name__", "a", "b", "job", "up"]);
  assert.deepEqual(index.tables.labelNames(), ["__name__", "job"]);
  assert.deepEqual(index.tables.labelValues("job"), ["a", "b"]);
  assert.deepEqual(index.tables.labelValues(""), []);
  assert.deepEqual([...index.allPostings()], [3, 5]);
  assert.deepEqual([...index.postings("job", "b")], [5]);
  assert.deepEqual([...index.postings("job", "c")], []);
  assert.deepEqual([...index.postings("nope", "c")], []);
  const entry = new SeriesEntry();
  index.readSeries(3, entry);
  assert.equal(formatLabels(index.labels(entry)), '{__name__="up", job="a"}');
  assert.equal(entry.chunkCount, 2);
  assert.deepEqual([...entry.minTimes.subarray(0, 2)], [1000, 31000]);
  assert.deepEqual([...entry.maxTimes.subarray(0, 2)], [16000, 31000]);
  assert.deepEqual([...entry.refs.subarray(0, 2)], [8, 31]);
  assert.throws(() => index.readSeries(4, entry), CorruptionError);
  assert.throws(() => index.readSeries(1, entry), /outside of the series section/);
  assert.throws(() => index.readSeries(0xffffffff, entry), /outside of the series section/);
});

function readerOf(bytes: Uint8Array) {
  return (offset: number, length: number) => Promise.resolve(bytes.slice(offset, offset + length));
}

Deno.test("buildIndexHeader() makes the example of the bucket notes byte for byte", async () => {
  const header = await buildIndexHeaderBytes(EXAMPLE.length, readerOf(EXAMPLE), "index");
  assert.equal(
    header.toHex(),
    "baaad792010200000000000000a8" + EXAMPLE.subarray(5, 0x25).toHex() +
      EXAMPLE.subarray(0xa8).toHex() + "000000000000000e000000000000002e459841d6",
  );
  const tables = openIndexHeader(bytesSource(header, "index-header"));
  assert.deepEqual(tables.postings("job", "a"), { offset: 0x88, end: 0x98 });
  assert.deepEqual(tables.postings("job", "b"), { offset: 0x98, end: 0xa8 });
  assert.deepEqual(tables.allPostings(), { offset: 0x60, end: 0x74 });
  assert.deepEqual(tables.allSymbols(), ["__name__", "a", "b", "job", "up"]);
});

Deno.test("index header: every truncation and bit flip is an error or reads the same", async () => {
  const header = await buildIndexHeaderBytes(EXAMPLE.length, readerOf(EXAMPLE), "index");
  const describe = (bytes: Uint8Array) => {
    const tables = openIndexHeader(bytesSource(bytes, "index-header"));
    return JSON.stringify([
      tables.allSymbols(),
      tables.labelNames().map((n) =>
        tables.labelValues(n).map((v) => [n, v, tables.postings(n, v)])
      ),
    ]);
  };
  const right = describe(header);
  for (let n = 0; n < header.length; n++) {
    assert.throws(() => describe(header.slice(0, n)), CorruptionError, `${n} bytes`);
  }
  for (let i = 0; i < header.length; i++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = header.slice();
      bad[i]! ^= 1 << bit;
      try {
        assert.equal(describe(bad), right, `byte ${i} bit ${bit}`);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        assert.equal(error.file, "index-header");
      }
    }
  }
});

Deno.test("buildIndexHeader() refuses a damaged index and one that ends early", async () => {
  for (const at of [0, 4, 0x10, 0x22, 0xaa, 0xd2, 0xe0, EXAMPLE.length - 1]) {
    const bad = EXAMPLE.slice();
    bad[at]! ^= 0x44;
    await assert.rejects(
      buildIndexHeaderBytes(bad.length, readerOf(bad), "B/index"),
      (e: unknown) => e instanceof CorruptionError && e.file === "B/index",
      `byte ${at}`,
    );
  }
  for (let n = 0; n < EXAMPLE.length; n++) {
    const short = EXAMPLE.slice(0, n);
    await assert.rejects(buildIndexHeaderBytes(n, readerOf(short), "i"), CorruptionError);
    await assert.rejects(
      buildIndexHeaderBytes(EXAMPLE.length, readerOf(short), "i"),
      CorruptionError,
    );
  }
});

/** Symbols, series and expectation of a random index with many values. */
function randomIndex(random: Random, seriesCount: number) {
  const values = Array.from(
    { length: 100 },
    () => random.pick(["", "a", "é", "\uff5e", "\u{1F600}", "x"]) + random.below(90),
  );
  const names = ["__name__", "b", "pod", "ü", "z".repeat(200)];
  const all: string[][] = [];
  for (let s = 0; s < seriesCount; s++) {
    const pairs: string[] = [];
    for (const name of names) if (random.chance(0.8)) pairs.push(name, random.pick(values));
    pairs.push("{", String(s).padStart(4, "0"));
    const record: Record<string, string> = {};
    for (let i = 0; i < pairs.length; i += 2) record[pairs[i]!] = pairs[i + 1]!;
    all.push([...labelsFromRecord(record)]);
  }
  all.sort((a, b) => {
    for (let i = 0; i < a.length && i < b.length; i++) {
      if (a[i] !== b[i]) return compareUtf8(a[i]!, b[i]!);
    }
    return a.length - b.length;
  });
  const symbols = [...new Set(["", "unused", ...all.flat()])].sort(compareUtf8);
  const series = all.map((labels, s) => ({
    labels,
    chunks: Array.from(
      { length: random.below(4) },
      (_, i) =>
        [s + i * 1e12 - 1e15, s + i * 1e12 - 1e15 + random.below(1e9), s * 1e8 + i * 10] as const,
    ),
  }));
  return { symbols, series };
}

Deno.test("index tables answer as the plain data do, from memory and from a file's windows", () => {
  const random = new Random(7);
  for (const count of [0, 1, 40, 700]) {
    const { symbols, series } = randomIndex(random, count);
    const bytes = writeIndex(symbols, series);
    const files = new MemoryFiles();
    files.content.set("index", bytes);
    const sources: ByteSource[] = [bytesSource(bytes), fileSource(files.open("index"))];
    for (const source of sources) {
      const index = new IndexReader(source);
      const { tables } = index;
      assert.deepEqual(tables.allSymbols(), symbols);
      for (let i = 0; i < symbols.length; i += 7) assert.equal(tables.symbol(i), symbols[i]);
      assert.throws(() => tables.symbol(symbols.length), CorruptionError);
      const entry = new SeriesEntry();
      const refs = index.allPostings();
      assert.equal(refs.length, count);
      const expected = new Map<string, Map<string, number[]>>();
      for (let s = 0; s < count; s++) {
        index.readSeries(refs[s]!, entry);
        const { labels, chunks } = series[s]!;
        assert.deepEqual([...index.labels(entry)], labels);
        const read = chunks.map((_, i) => [entry.minTimes[i], entry.maxTimes[i], entry.refs[i]]);
        assert.deepEqual(read, chunks);
        for (let i = 0; i < labels.length; i += 2) {
          const of = expected.get(labels[i]!) ?? new Map<string, number[]>();
          expected.set(labels[i]!, of);
          of.set(labels[i + 1]!, [...of.get(labels[i + 1]!) ?? [], refs[s]!]);
        }
      }
      assert.deepEqual(tables.labelNames(), [...expected.keys()].sort(compareUtf8));
      for (const [name, of] of expected) {
        const values = [...of.keys()].sort(compareUtf8);
        assert.equal(tables.valueCount(name), values.length);
        assert.deepEqual(tables.labelValues(name), values);
        for (const value of values) {
          assert.deepEqual([...index.postings(name, value)], of.get(value));
          assert.equal(tables.postings(name, value + "\0"), undefined);
        }
        for (const prefix of ["", "a", "é1", "\u{1F600}", "zz", "0"]) {
          const seen: string[] = [];
          tables.visitValues(name, prefix, (value, offset, end) => {
            seen.push(value);
            assert.deepEqual(tables.postings(name, value), { offset, end });
          });
          assert.deepEqual(seen, values.filter((v) => v.startsWith(prefix)), `${name} ${prefix}`);
        }
      }
    }
  }
});

Deno.test("IndexWriter writes sections larger than its buffer", () => {
  const n = 60_000;
  const symbols = ["n", ...Array.from({ length: n }, (_, i) => `v${String(i).padStart(30, "0")}`)];
  const series = symbols.slice(1).map((value) => ({ labels: ["n", value], chunks: [] }));
  const bytes = writeIndex(symbols, series);
  const index = new IndexReader(bytesSource(bytes));
  assert.equal(index.allPostings().length, n);
  assert.deepEqual(index.tables.labelValues("n"), symbols.slice(1));
  assert.deepEqual(index.postings("n", symbols[n]!), index.allPostings().slice(n - 1));
});

Deno.test("IndexWriter refuses disorder", () => {
  const up = EXAMPLE_SERIES[0]!;
  const cases: [string, string[], TestSeries[], RegExp][] = [
    ["symbols", ["b", "a"], [], /symbols ascend/],
    ["equal symbols", ["a", "a"], [], /symbols ascend/],
    ["series", ["__name__", "a", "job", "up"], [up, { ...up, chunks: [] }], /series ascend/],
    [
      "shorter series after",
      ["__name__", "a", "job", "up"],
      [up, { labels: ["__name__", "up"], chunks: [] }],
      /series ascend/,
    ],
    [
      "label names",
      ["__name__", "a", "job", "up"],
      [{ labels: ["job", "a", "__name__", "up"], chunks: [] }],
      /names ascend/,
    ],
    ["no symbol", ["__name__", "job", "up"], [up], /not in the table/],
    ["chunk range", ["__name__", "a", "job", "up"], [{ ...up, chunks: [[2, 1, 8]] }], /ends/],
    [
      "chunk overlap",
      ["__name__", "a", "job", "up"],
      [{ ...up, chunks: [[1, 5, 8], [5, 6, 9]] }],
      /inside the one before/,
    ],
    [
      "chunk references",
      ["__name__", "a", "job", "up"],
      [{ ...up, chunks: [[1, 5, 8], [6, 6, 7]] }],
      /below the one before/,
    ],
  ];
  for (const [name, symbols, series, message] of cases) {
    assert.throws(() => writeIndex(symbols, series), message, name);
  }
});

/** An index of version 1: references are byte offsets, the offset table is not sorted. */
function versionOneIndex(): Uint8Array {
  const w = new ByteWriter();
  w.u32(0xbaaad700);
  w.u8(1);
  const symbols = ["__name__", "a", "b", "job", "up"];
  const section = (body: () => void) => {
    const at = w.length;
    w.u32(0);
    body();
    new DataView(w.bytes.buffer).setUint32(at, w.length - at - 4);
    w.u32(crc32c(w.bytes, at + 4, w.length));
    return at;
  };
  const offsets = new Map<string, number>();
  const symbolsAt = section(() => {
    w.u32(symbols.length);
    for (const s of symbols) {
      offsets.set(s, w.length);
      w.string(s);
    }
  });
  const seriesAt = w.length;
  const refs: number[] = [];
  const encoder = new ChunkListEncoder();
  for (const { labels, chunks } of EXAMPLE_SERIES) {
    const body = new ByteWriter();
    body.uvarint(labels.length / 2);
    for (const l of labels) body.uvarint(offsets.get(l)!);
    const of = (k: number) => chunks.map((c) => c[k]!);
    body.append(encoder.encode(of(0), of(1), of(2), chunks.length));
    refs.push(w.length);
    w.uvarint(body.length);
    w.append(body.view());
    w.u32(crc32c(body.view()));
  }
  const postingsAt = w.length;
  const lists: [string, string, number[], number][] = [
    ["job", "b", [refs[1]!], 0],
    ["job", "a", [refs[0]!], 0],
    ["", "", refs, 0],
    ["__name__", "up", refs, 0],
  ];
  for (const list of lists) {
    list[3] = section(() => {
      w.u32(list[2].length);
      for (const ref of list[2]) w.u32(ref);
    });
  }
  const tableAt = section(() => {
    w.u32(lists.length);
    for (const i of [3, 1, 0, 2]) {
      w.uvarint(2);
      w.string(lists[i]![0]);
      w.string(lists[i]![1]);
      w.uvarint(lists[i]![3]);
    }
  });
  const toc = w.length;
  for (const at of [symbolsAt, seriesAt, postingsAt, tableAt, postingsAt, tableAt]) w.u64(at);
  w.u32(crc32c(w.bytes, toc, w.length));
  return w.copy();
}

Deno.test("IndexReader reads version 1, also out of its index header", async () => {
  const bytes = versionOneIndex();
  const index = new IndexReader(bytesSource(bytes, "index"));
  assert.equal(index.version, 1);
  assert.deepEqual(index.tables.labelNames(), ["__name__", "job"]);
  assert.deepEqual(index.tables.labelValues("job"), ["a", "b"]);
  assert.deepEqual(index.tables.allSymbols(), ["__name__", "a", "b", "job", "up"]);
  const entry = new SeriesEntry();
  const text: string[] = [];
  for (const ref of index.allPostings()) {
    index.readSeries(ref, entry);
    text.push(formatLabels(index.labels(entry)) + entry.refs.subarray(0, entry.chunkCount));
  }
  assert.deepEqual(text, ['{__name__="up", job="a"}8,31', '{__name__="up", job="b"}50']);
  assert.deepEqual(index.postings("job", "a"), index.allPostings().slice(0, 1));
  assert.throws(() => index.tables.symbol(3), CorruptionError);
  const header = await buildIndexHeaderBytes(bytes.length, readerOf(bytes), "index");
  const tables = openIndexHeader(bytesSource(header));
  index.readSeries(index.allPostings()[1]!, entry);
  assert.equal(formatLabels(new LabelReader(tables).labels(entry)), '{__name__="up", job="b"}');
  assert.deepEqual(tables.postings("job", "a"), index.tables.postings("job", "a"));
});

Deno.test("version 3 is read as version 2, other versions are refused", () => {
  const bytes = EXAMPLE.slice();
  bytes[4] = 3;
  assert.deepEqual(
    [...new IndexReader(bytesSource(bytes, "index")).postings("job", "b")],
    [5],
  );
  for (const version of [0, 4, 255]) {
    bytes[4] = version;
    assert.throws(
      () => new IndexReader(bytesSource(bytes, "B/index")),
      (e: unknown) => e instanceof CorruptionError && e.offset === 4 && e.file === "B/index",
    );
  }
});

/** A series entry around a body. */
function entryOf(body: ByteWriter): Uint8Array {
  const w = new ByteWriter();
  w.uvarint(body.length);
  w.append(body.view());
  w.u32(crc32c(body.view()));
  return w.copy();
}

Deno.test("decodeSeries() bounds what an entry claims by what it holds", () => {
  const cases: [string, (w: ByteWriter) => void, RegExp][] = [
    ["labels", (w) => w.uvarint(2 ** 40), /labels do not fit/],
    ["chunks", (w) => (w.uvarint(0), w.uvarint(2 ** 50)), /chunks do not fit/],
    ["left over", (w) => (w.uvarint(0), w.uvarint(0), w.u8(1)), /left over/],
    ["symbol", (w) => (w.uvarint(1), w.uvarint(2 ** 33), w.uvarint(0)), /too large/],
    [
      "reference",
      (w) => {
        w.append(Uint8Array.of(0, 2, 0, 0, 5, 1, 0));
        w.varint(-6);
      },
      /negative chunk reference/,
    ],
    [
      "varint",
      (w) => w.append(Uint8Array.of(...new Array<number>(12).fill(0x80))),
      /longer than 10 bytes|beyond/,
    ],
    ["empty", () => {}, /ends inside a number/],
  ];
  for (const [name, fill, message] of cases) {
    const body = new ByteWriter();
    fill(body);
    assert.throws(() => decodeSeries(entryOf(body), 0, new SeriesEntry(), "f", 100), (e) => {
      assert(e instanceof CorruptionError, name);
      assert.match(e.message, message);
      assert.equal(e.file, "f");
      assert(e.offset >= 100);
      return true;
    });
  }
  assert.throws(() => seriesEntrySize(new Uint8Array(9).fill(0xff), 0), CorruptionError);
  assert.equal(seriesEntrySize(Uint8Array.of(0x80), 0), undefined);
});

Deno.test("decodeSeries() reads chunks that overlap or go back, as damaged blocks have them", () => {
  const body = new ByteWriter();
  body.uvarint(0);
  body.uvarint(3);
  body.varint(1000);
  body.uvarint(500);
  body.uvarint(8);
  // 1200 - 1500 = -300 and 1100 - 1800 = -700 as unsigned 64-bit numbers.
  const wrapped = (n: number) => {
    let x = BigInt.asUintN(64, BigInt(n));
    for (; x > 127n; x >>= 7n) body.u8(Number(x & 127n) | 128);
    body.u8(Number(x));
  };
  wrapped(-300);
  body.uvarint(600);
  body.varint(5);
  wrapped(-700);
  body.uvarint(1);
  body.varint(5);
  const entry = new SeriesEntry();
  const bytes = entryOf(body);
  decodeSeries(bytes, 0, entry);
  assert.equal(entry.ordered, false);
  assert.equal(entry.size, bytes.length);
  assert.deepEqual([...entry.minTimes.subarray(0, 3)], [1000, 1200, 1100]);
  assert.deepEqual([...entry.maxTimes.subarray(0, 3)], [1500, 1800, 1101]);
  assert.deepEqual([...entry.refs.subarray(0, 3)], [8, 13, 18]);
});

Deno.test("decodePostings() refuses lists that are cut off, changed or do not ascend", () => {
  const list = (refs: number[]) => {
    const w = new ByteWriter();
    w.u32(4 + refs.length * 4);
    w.u32(refs.length);
    for (const ref of refs) w.u32(ref);
    w.u32(crc32c(w.bytes, 4, w.length));
    return w.copy();
  };
  const good = list([1, 5, 0xfffffff0]);
  assert.deepEqual([...decodePostings(good)], [1, 5, 0xfffffff0]);
  assert.deepEqual([...decodePostings(list([]))], []);
  for (let n = 0; n < good.length; n++) {
    assert.throws(() => decodePostings(good.slice(0, n)), CorruptionError);
  }
  for (let i = 0; i < good.length; i++) {
    const bad = good.slice();
    bad[i]! ^= 0x10;
    assert.throws(() => decodePostings(bad), CorruptionError, `byte ${i}`);
  }
  assert.throws(() => decodePostings(list([5, 5])), /does not ascend/);
  assert.throws(() => decodePostings(list([6, 5])), /does not ascend/);
});

Deno.test("changed bytes behind right checksums are an error or an answer, never a crash", () => {
  const fix = (bytes: Uint8Array, start: number, end: number) =>
    new DataView(bytes.buffer).setUint32(end, crc32c(bytes, start, end));
  // [first byte covered, end] of every checksum in the worked example, the contents table last.
  const covered = [
    [0x09, 0x21],
    [0x31, 0x40],
    [0x51, 0x5b],
    [0x64, 0x70],
    [0x78, 0x84],
    [0x8c, 0x94],
    [0x9c, 0xa4],
    [0xac, 0xd4],
    [0xd8, 0x108],
  ] as const;
  for (const [start, end] of covered) {
    assert.equal(crc32c(EXAMPLE, start, end), new DataView(EXAMPLE.buffer).getUint32(end));
  }
  const random = new Random(21);
  let answers = 0;
  for (let round = 0; round < 4000; round++) {
    const bytes = EXAMPLE.slice();
    for (let k = random.between(1, 4); k > 0; k--) {
      const [start, end] = random.pick(covered);
      const at = random.between(start - (random.chance(0.2) ? 4 : 0), end - 1);
      bytes[at] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff, random.below(256)]);
    }
    for (const [start, end] of covered) fix(bytes, start, end);
    try {
      const index = new IndexReader(bytesSource(bytes, "index"));
      const entry = new SeriesEntry();
      index.tables.allSymbols();
      for (const name of index.tables.labelNames()) {
        for (const value of index.tables.labelValues(name)) {
          for (const ref of index.postings(name, value)) {
            index.readSeries(ref, entry);
            index.labels(entry);
          }
        }
      }
      answers++;
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      assert.equal(error.file, "index");
    }
  }
  assert(answers > 100 && answers < 3900, `${answers} of 4000 were read`);
});

Deno.test("openIndexHeader() answers the same however few postings offsets it holds", async () => {
  const { symbols, series } = randomIndex(new Random(9), 700);
  const bytes = writeIndex(symbols, series);
  const read = (offset: number, length: number) =>
    Promise.resolve(bytes.slice(offset, offset + length));
  const header = await buildIndexHeaderBytes(bytes.length, read, "index");
  const { tables: expected } = new IndexReader(bytesSource(bytes));
  for (const postingSampling of [1, 2, 7, 32, 100_000]) {
    const tables = openIndexHeader(bytesSource(header), { postingSampling });
    for (const name of expected.labelNames()) {
      assert.deepEqual(tables.labelValues(name), expected.labelValues(name));
      for (const value of expected.labelValues(name)) {
        assert.equal(
          tables.postings(name, value)!.offset,
          expected.postings(name, value)!.offset,
        );
      }
      assert.equal(tables.postings(name, "no such value"), undefined);
    }
  }
});
