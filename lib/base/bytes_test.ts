import assert from "node:assert/strict";
import { ByteReader, ByteWriter, CorruptionError, crc32c, encodeUtf8 } from "./mod.ts";

const EDGES: number[] = [];
for (let n = 0; n <= 52; n++) EDGES.push(2 ** n - 1, 2 ** n, 2 ** n + 1);
EDGES.push(Number.MAX_SAFE_INTEGER);

Deno.test("ByteWriter and ByteReader mirror each other on every power-of-two edge", () => {
  const w = new ByteWriter(16);
  for (const x of EDGES) {
    w.uvarint(x);
    w.varint(x);
    w.varint(-x);
    w.u64(x);
  }
  const r = new ByteReader(w.view());
  for (const x of EDGES) {
    assert.equal(r.uvarint(), x);
    assert.equal(r.varint(), x);
    assert.equal(r.varint(), x === 0 ? 0 : -x);
    assert.equal(r.u64(), x);
  }
  r.finish("edges");
});

Deno.test("varint() agrees with the zig-zag definition", () => {
  const w = new ByteWriter();
  const cases: [number, string][] = [
    [0, "00"],
    [-1, "01"],
    [1, "02"],
    [1000, "d00f"],
    [-(2 ** 31), "ffffffff0f"],
    [2 ** 31, "8080808010"],
    [-(2 ** 40), "ffffffffff3f"],
    [2 ** 40, "808080808040"],
  ];
  for (const [x, hex] of cases) {
    w.reset();
    w.varint(x);
    assert.equal(w.view().toHex(), hex, String(x));
  }
});

Deno.test("ByteReader latches the first error and reports its offset once", () => {
  const r = new ByteReader(new Uint8Array([1, 2, 3]));
  assert.equal(r.u16(), 0x0102);
  assert.equal(r.u32(), 0);
  assert.equal(r.u8(), 0, "reads after a failure give zero");
  assert.throws(() => r.check("header", "file", 100), (e: unknown) => {
    assert(e instanceof CorruptionError);
    assert.equal(e.offset, 102);
    assert.equal(e.file, "file");
    return true;
  });
});

Deno.test("ByteReader refuses varints that are too long or too large", () => {
  for (
    const hex of ["ffffffffffffffffffff01", "80808080808080808080", "ffffffffffffffffff01", "80"]
  ) {
    const r = new ByteReader(Uint8Array.fromHex(hex));
    r.uvarint();
    assert.equal(r.ok, false, hex);
    const s = new ByteReader(Uint8Array.fromHex(hex));
    s.varint();
    assert.equal(s.ok, false, hex);
  }
});

Deno.test("ByteReader.string() never reads past the end whatever the length says", () => {
  const r = new ByteReader(Uint8Array.fromHex("ffffffff0f61"));
  assert.equal(r.string(), "");
  assert.throws(() => r.finish("string"), CorruptionError);
});

Deno.test("crc32c() gives the check value and continues from a seed", () => {
  const text = encodeUtf8("123456789");
  assert.equal(crc32c(text), 0xe3069283);
  for (let cut = 0; cut <= 9; cut++) {
    assert.equal(crc32c(text, cut, 9, crc32c(text, 0, cut)), 0xe3069283);
  }
  const long = new Uint8Array(1000).map((_, i) => i * 7);
  let bytewise = 0;
  for (let i = 0; i < long.length; i++) bytewise = crc32c(long, i, i + 1, bytewise);
  assert.equal(crc32c(long), bytewise);
  // Whole words are taken from 512 bytes on: wherever they start, and wherever the memory does.
  const memory = new Uint8Array(1700).map((_, i) => (i * i * 31) >>> 3);
  for (const length of [495, 511, 512, 513, 515, 527, 528, 1024, 1611]) {
    for (let start = 0; start < 9; start++) {
      const view = memory.subarray(start, start + length + 40);
      for (const from of [0, 1, 2, 3, 7]) {
        let expected = 77;
        for (let i = from; i < from + length; i++) expected = crc32c(view, i, i + 1, expected);
        assert.equal(crc32c(view, from, from + length, 77), expected, `${length} ${start} ${from}`);
      }
    }
  }
});
