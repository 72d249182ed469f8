import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { type Plain, ProtobufOracle } from "./testing/protobuf_oracle.ts";
import { ProtoReader, ProtoWriter, varintSize } from "./wire.ts";

const MAX = Number.MAX_SAFE_INTEGER;

/** A message with one field of each scalar type, as the oracle knows it. */
const oracle = ProtobufOracle.of(
  `syntax = "proto3";
  message M {
    int64 a = 1; uint64 b = 2; sint64 c = 3; int32 d = 4; uint32 e = 5; sint32 f = 6; bool g = 7;
    double h = 8; string i = 9; bytes j = 10; repeated int64 k = 11; repeated int32 l = 12;
    repeated sint64 m = 13; repeated double n = 14; repeated uint32 o = 15; M p = 16;
    repeated string q = 2000;
  }`,
);

interface M {
  a: number;
  b: number;
  c: number;
  d: number;
  e: number;
  f: number;
  g: boolean;
  h: number;
  i: string;
  j: Uint8Array;
  k: number[];
  l: number[];
  m: number[];
  n: number[];
  o: number[];
  p: M | undefined;
  q: string[];
}

function encode(w: ProtoWriter, m: M): void {
  w.int64(1, m.a);
  w.uint64(2, m.b);
  w.int32(4, m.d);
  w.uint32(5, m.e);
  w.sint32(6, m.f);
  w.bool(7, m.g);
  w.double(8, m.h);
  w.string(9, m.i);
  w.bytes(10, m.j);
  packedInt64(w, 11, m.k);
  w.packedInt32(12, m.l);
  w.packedSint64(13, m.m);
  w.packedDouble(14, m.n);
  w.packedUint32(15, m.o);
  if (m.p !== undefined) {
    // A guess that is wrong in both directions.
    const token = w.open(16, m.a % 2 === 0 ? 0 : 100000);
    encode(w, m.p);
    w.close(token);
  }
  w.strings(2000, m.q);
}

function packedInt64(w: ProtoWriter, field: number, values: readonly number[]): void {
  if (values.length === 0) return;
  const inner = new ProtoWriter();
  for (const x of values) inner.int64Always(1, x);
  // One tag byte before each value is dropped to get the packed form.
  const r = new ProtoReader(inner.finish());
  const raw: number[] = [];
  while (r.next()) {
    const from = r.offset;
    r.skip();
    raw.push(...r.bytes.subarray(from, r.offset));
  }
  w.bytesAlways(field, Uint8Array.from(raw));
}

function decode(r: ProtoReader): M {
  const m: M = {
    a: 0,
    b: 0,
    c: 0,
    d: 0,
    e: 0,
    f: 0,
    g: false,
    h: 0,
    i: "",
    j: new Uint8Array(0),
    k: [],
    l: [],
    m: [],
    n: [],
    o: [],
    p: undefined,
    q: [],
  };
  r.fields((field) => {
    switch (field) {
      case 1:
        m.a = r.int64();
        break;
      case 2:
        m.b = r.uint64();
        break;
      case 3:
        m.c = r.sint64();
        break;
      case 4:
        m.d = r.int32();
        break;
      case 5:
        m.e = r.uint32();
        break;
      case 6:
        m.f = r.sint32();
        break;
      case 7:
        m.g = r.bool();
        break;
      case 8:
        m.h = r.double();
        break;
      case 9:
        m.i = r.string();
        break;
      case 10:
        m.j = r.view();
        break;
      case 11:
        r.repeatedInt64(m.k);
        break;
      case 12:
        r.repeatedInt32(m.l);
        break;
      case 13:
        r.repeatedSint64(m.m);
        break;
      case 14:
        r.repeatedDouble(m.n);
        break;
      case 15:
        r.repeatedUint32(m.o);
        break;
      case 16: {
        const outer = r.enter();
        m.p = decode(r);
        r.leave(outer);
        break;
      }
      case 2000:
        m.q.push(r.string());
        break;
      default:
        return false;
    }
  });
  return m;
}

/** Edges of every varint length, both signs. */
function int64Edges(): number[] {
  const edges = [0, 1, -1, MAX - 1, -(MAX - 1)];
  for (let bits = 7; bits <= 52; bits++) {
    for (const x of [2 ** bits - 1, 2 ** bits, 2 ** bits + 1]) edges.push(x, -x);
  }
  return edges;
}

function randomMessage(random: Random, depth = 0): M {
  const edges = int64Edges();
  const signed = () => random.pick(edges);
  const list = <T>(make: () => T) => Array.from({ length: random.below(4) }, make);
  const texts = ["", "a", "ü€😀", "x".repeat(63), "x".repeat(64), "y".repeat(65), "é".repeat(200)];
  return {
    a: signed(),
    b: Math.abs(signed()),
    c: 0,
    d: random.bits() | 0,
    e: random.bits(),
    f: random.bits() | 0,
    g: random.chance(0.5),
    h: random.pick([0, -0, 1.5, NaN, Infinity, -Infinity, 5e-324]),
    i: random.pick(texts),
    j: Uint8Array.from(list(() => random.below(256))),
    k: list(signed),
    l: list(() => random.bits() | 0),
    m: list(signed),
    n: list(() => random.float()),
    o: list(() => random.bits()),
    p: depth < 3 && random.chance(0.6) ? randomMessage(random, depth + 1) : undefined,
    q: list(() => random.pick(texts)),
  };
}

Deno.test("ProtoReader and ProtoWriter agree with protobufjs on random messages", () => {
  for (let seed = 0; seed < 400; seed++) {
    const m = randomMessage(new Random(seed));
    const w = new ProtoWriter(seed % 2 === 0 ? 16 : 100000);
    encode(w, m);
    const ours = w.finish();
    const theirs = oracle.encode("M", m as unknown as Plain);
    assert.deepEqual([...ours], [...theirs], `seed ${seed}`);
    assert.deepEqual(decode(new ProtoReader(theirs)), m, `seed ${seed}`);
  }
});

Deno.test("int64 keeps every safe integer and clamps the extremes", () => {
  for (const x of int64Edges()) {
    const w = new ProtoWriter();
    w.int64Always(1, x);
    const r = new ProtoReader(w.finish());
    assert.equal(r.next(), true);
    assert.equal(r.int64(), x);
  }
  const extremes: [string, number][] = [
    ["08ffffffffffffffff7f", MAX],
    ["0880808080808080808001", -MAX],
    ["08ffffffffffffff0f", MAX],
    ["08feffffffffffff0f", MAX - 1],
  ];
  for (const [hex, expected] of extremes) {
    const r = new ProtoReader(bytesOf(hex));
    r.next();
    assert.equal(r.int64(), expected, hex);
  }
  for (const [x, hex] of [[MAX, extremes[0]![0]], [-MAX, extremes[1]![0]]] as const) {
    const w = new ProtoWriter();
    w.int64(1, x);
    assert.equal(hexOf(w.finish()), hex);
  }
});

Deno.test("uint64 halves and double halves survive bit for bit", () => {
  const random = new Random(7);
  for (let i = 0; i < 300; i++) {
    const high = i < 64 ? (2 ** Math.max(0, i - 32)) >>> 0 : random.bits();
    const low = i < 32 ? (2 ** i) >>> 0 : random.bits();
    const w = new ProtoWriter();
    w.uint64Halves(1, high, low);
    w.doubleHalves(2, high, low);
    const r = new ProtoReader(w.finish());
    const out = new Uint32Array(2);
    assert.equal(r.next(), true);
    r.uint64Into(out, 0);
    assert.deepEqual([...out], [high, low]);
    assert.equal(r.next(), true);
    r.doubleInto(out, 0);
    assert.deepEqual([...out], [low, high]);
    assert.equal(r.next(), false);
  }
  const stale = new Float64Array(1);
  const w = new ProtoWriter();
  w.doubleHalves(1, 0x7ff00000, 2);
  const r = new ProtoReader(w.finish());
  r.next();
  r.doubleInto(new Uint32Array(stale.buffer), 0);
  assert.deepEqual([...new Uint32Array(stale.buffer)], [2, 0x7ff00000]);
});

Deno.test("repeated numbers are read unpacked too", () => {
  const r = new ProtoReader(bytesOf("58015802" + "5a03030405" + "710000000000000840"));
  const k: number[] = [];
  const n: number[] = [];
  while (r.next()) {
    if (r.field === 11) r.repeatedInt64(k);
    else r.repeatedDouble(n);
  }
  assert.deepEqual(k, [1, 2, 3, 4, 5]);
  assert.deepEqual(n, [3]);
});

Deno.test("unknown fields of every wire type are skipped", () => {
  // varint, 64-bit, length-delimited, 32-bit, and a group with a group inside.
  const unknown = "e83e8001" + "e93e0102030405060708" + "ea3e03616263" + "ed3e01020304" +
    "eb3e" + "0801" + "f33e" + "0a0161" + "f43e" + "ec3e";
  const r = new ProtoReader(bytesOf(unknown + "0807" + unknown));
  let a = 0;
  while (r.next()) {
    if (r.field === 1) a = r.int64();
    else r.skip();
  }
  assert.equal(a, 7);
});

Deno.test("every truncation of a message throws or ends on a field", () => {
  const m = randomMessage(new Random(3));
  const w = new ProtoWriter();
  encode(w, m);
  const whole = w.finish().slice();
  for (const part of truncations(whole)) {
    try {
      decode(new ProtoReader(part));
    } catch (error) {
      assert.ok(error instanceof CorruptionError, String(error));
    }
  }
});

Deno.test("hostile bytes throw CorruptionError, never hang or allocate", () => {
  const cases: Record<string, string> = {
    "length beyond the end": "4a7f61",
    "length of 2^63": "4affffffffffffffff7f61",
    "varint of 11 bytes": "08ffffffffffffffffffff01",
    "field number 0": "0001",
    "unknown wire type": "0f",
    "group without an end": "0b0801",
    "group with another end": "0b14",
    "wrong wire type": "0a0161",
    "deep groups": "0b".repeat(5000),
    "packed doubles of a broken length": "72050000000000",
  };
  for (const [name, hex] of Object.entries(cases)) {
    assert.throws(() => decode(new ProtoReader(bytesOf(hex))), CorruptionError, name);
  }
  const random = new Random(11);
  for (let i = 0; i < 3000; i++) {
    const bytes = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
    try {
      decode(new ProtoReader(bytes));
    } catch (error) {
      assert.ok(error instanceof CorruptionError, `${hexOf(bytes)}: ${error}`);
    }
  }
});

Deno.test("varintSize() is the length of what rawVarint() writes", () => {
  for (const x of int64Edges().filter((e) => e >= 0)) {
    const w = new ProtoWriter();
    w.rawVarint(x);
    assert.equal(varintSize(x), w.length, String(x));
  }
});

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (h) => parseInt(h, 16));
}
function hexOf(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}
