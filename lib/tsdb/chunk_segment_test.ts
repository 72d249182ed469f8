import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import type { Chunk } from "../chunks/mod.ts";
import {
  chunkRecordSize,
  ChunkSegmentReader,
  ChunkSegmentWriter,
  decodeChunkRecord,
  offsetOfRef,
  segmentNames,
  segmentOfRef,
} from "./mod.ts";
import { MemoryFiles } from "./testing/memory_files.ts";

const DATA = [
  "0002d00f3ff00000000000009875c25fff",
  "0001b0e4034000000000000000",
  "0001d00f401c000000000000",
];
/** The segment of the format notes' worked example. */
const EXAMPLE_HEX = "85bd40dd01000000" +
  "1101" + DATA[0] + "f0a57d33" + "0d01" + DATA[1] + "6ba4c175" + "0c01" + DATA[2] + "c3d85771";

function writer(files: MemoryFiles, segmentSize?: number): ChunkSegmentWriter {
  files.mkdir("chunks");
  return new ChunkSegmentWriter(
    files,
    "chunks",
    segmentSize === undefined ? {} : { segmentSize },
  );
}

Deno.test("ChunkSegmentWriter writes the worked example byte for byte", () => {
  const files = new MemoryFiles();
  const w = writer(files);
  assert.deepEqual(DATA.map((d) => w.append(1, Uint8Array.fromHex(d))), [8, 31, 50]);
  w.close();
  assert.equal(files.content.get("chunks/000001")!.toHex(), EXAMPLE_HEX);
  assert.deepEqual(w.sizes, [EXAMPLE_HEX.length / 2]);
  assert.deepEqual(files.synced, ["chunks/000001"]);
});

Deno.test("chunks encoded in place and appended ones give the same file", () => {
  const random = new Random(5);
  const sizes = [0, 1, 126, 127, 128, 129, 16383, 16384, 16385, 2_100_000, 300, 3];
  const chunks = sizes.map((size) => {
    const data = new Uint8Array(size);
    for (let i = 0; i < size; i += 17) data[i] = random.below(256);
    return { encoding: 1 + random.below(6), data };
  });
  const a = new MemoryFiles();
  const b = new MemoryFiles();
  const appended = writer(a);
  const inPlace = writer(b);
  for (const { encoding, data } of chunks) {
    const ref = appended.append(encoding, data);
    inPlace.claim(data.length + 50);
    inPlace.buffer.set(data, inPlace.dataOffset);
    assert.equal(inPlace.commit(encoding, data.length), ref);
  }
  appended.close();
  inPlace.close();
  assert.deepEqual(a.content, b.content);
});

Deno.test("a segment ends before the chunk that would cross the limit; a larger chunk goes in whole", () => {
  const random = new Random(9);
  const files = new MemoryFiles();
  const w = writer(files, 1000);
  const chunks: Chunk[] = [];
  const refs: number[] = [];
  for (let i = 0; i < 200; i++) {
    const data = new Uint8Array(i === 50 ? 5000 : random.below(200));
    for (let k = 0; k < data.length; k++) data[k] = random.below(256);
    chunks.push({ encoding: 1 + random.below(3), data });
    refs.push(w.append(chunks[i]!.encoding, data));
  }
  w.close();
  const names = segmentNames(files.list("chunks").map((e) => e.name));
  assert.deepEqual(names, w.segments);
  assert(names.length > 10);
  for (const [i, name] of names.entries()) {
    const size = files.content.get(`chunks/${name}`)!.length;
    assert.equal(size, w.sizes[i]);
    const inside = refs.filter((ref) => segmentOfRef(ref) === i);
    assert(size <= 1000 || inside.length === 1, `${name} has ${size} bytes`);
    // Sized as 5 + 1 + length + 4, the first chunk of the next segment does not fit.
    const next = refs.findIndex((ref) => segmentOfRef(ref) === i + 1);
    if (next >= 0) assert(size + 10 + chunks[next]!.data.length > 1000);
  }
  const reader = new ChunkSegmentReader(files, "chunks");
  assert.equal(reader.segmentCount, names.length);
  const all: Chunk[] = [];
  reader.readMany(refs, 0, refs.length, all);
  assert.deepEqual(all, chunks);
  for (const i of [199, 0, 50, 51, 100]) assert.deepEqual(reader.read(refs[i]!), chunks[i]);
  const backwards: Chunk[] = [];
  reader.readMany(refs.toReversed(), 0, refs.length, backwards);
  assert.deepEqual(backwards, chunks.toReversed());
});

Deno.test("segmentNames() takes names of digits only, in order", () => {
  assert.deepEqual(segmentNames(["000010", "000002", "000001.tmp", "x", "-1", ""]), [
    "000002",
    "000010",
  ]);
});

Deno.test("decodeChunkRecord(): every truncation and every flip is an error", () => {
  const bytes = Uint8Array.fromHex(EXAMPLE_HEX);
  const record = bytes.slice(8, 31);
  assert.equal(chunkRecordSize(record, 0), record.length);
  assert.equal(decodeChunkRecord(bytes, 31).data.toHex(), DATA[1]);
  for (let n = 0; n < record.length; n++) {
    assert.throws(() => decodeChunkRecord(record.slice(0, n), 0, "s", 8), (e: unknown) => {
      assert(e instanceof CorruptionError);
      assert.equal(e.file, "s");
      assert.equal(e.offset, 8);
      return true;
    });
  }
  for (let i = 0; i < record.length; i++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = record.slice();
      bad[i]! ^= 1 << bit;
      assert.throws(() => decodeChunkRecord(bad, 0), CorruptionError, `byte ${i} bit ${bit}`);
    }
  }
});

Deno.test("ChunkSegmentReader refuses references and lengths that the file does not hold", () => {
  const files = new MemoryFiles();
  const bytes = Uint8Array.fromHex(EXAMPLE_HEX);
  files.content.set("b/chunks/000001", bytes);
  const read = (ref: number) => new ChunkSegmentReader(files, "b/chunks").read(ref);
  const cases: [string, number, RegExp][] = [
    ["inside the header", 3, /outside of the segment/],
    ["at the end", bytes.length, /outside of the segment/],
    ["far behind", 0xffffffff, /outside of the segment/],
    ["next segment", 4294967296 + 8, /in segment 2, there are 1/],
    ["far segment", 4294967296 * 1000000 + 8, /there are 1/],
    ["between records", 9, /checksum|cut off/],
  ];
  for (const [name, ref, message] of cases) assert.throws(() => read(ref), message, name);
  // A length of 2^35 - 1 must not be allocated.
  const hostile = bytes.slice();
  hostile.set([0xff, 0xff, 0xff, 0xff, 0x7f], 31);
  files.content.set("b/chunks/000001", hostile);
  assert.throws(() => read(31), (e: unknown) => {
    assert(e instanceof CorruptionError);
    assert.equal(e.file, "b/chunks/000001");
    assert.equal(e.offset, 31);
    assert.match(e.message, /cut off/);
    return true;
  });
  hostile.fill(0xff, 31, 40);
  assert.throws(() => read(31), /no varint of up to 5 bytes/);
  for (const [at, message] of [[0, /magic/], [4, /version/]] as const) {
    const bad = bytes.slice();
    bad[at]! ^= 1;
    files.content.set("b/chunks/000001", bad);
    assert.throws(() => read(8), message);
  }
  files.content.set("b/chunks/000001", bytes.slice(0, 7));
  assert.throws(() => read(8), /no header/);
  assert.equal(offsetOfRef(4294967296 * 3 + 77), 77);
});
