import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { BitReader } from "./bit_reader.ts";
import { BitWriter } from "./bit_writer.ts";
import { readVarbitInt, readVarbitUint, writeVarbitInt, writeVarbitUint } from "./varbit.ts";

const WIDTHS = [3, 6, 9, 12, 18, 25, 56, 64];

/** The format as a string of 0 and 1: an oracle for the writers. */
function plain(x: number, signed: boolean): string {
  const v = BigInt(x);
  if (v === 0n) return "0";
  for (let i = 0; i < 8; i++) {
    const width = WIDTHS[i]!;
    const half = 1n << BigInt(width - 1);
    const fits = width === 64 ||
      (signed ? v > -half && v <= half : v < 1n << BigInt(width));
    if (!fits) continue;
    return "1".repeat(i + 1) + (i === 7 ? "" : "0") +
      BigInt.asUintN(width, v).toString(2).padStart(width, "0");
  }
  throw new Error("unreachable");
}

function pad(bits: string): string {
  let out = "";
  for (let i = 0; i < bits.length; i += 8) {
    out += parseInt(bits.slice(i, i + 8).padEnd(8, "0"), 2).toString(16).padStart(2, "0");
  }
  return out;
}

Deno.test("varbit integers at every edge of every width, signed and unsigned", () => {
  const edges = new Set<number>([0]);
  for (let e = 0; e <= 53; e++) {
    for (const d of [-2, -1, 0, 1, 2]) {
      const x = 2 ** e + d;
      if (Math.abs(x) > Number.MAX_SAFE_INTEGER) continue;
      edges.add(x);
      edges.add(-x + 0);
    }
  }
  for (const x of edges) {
    const w = new BitWriter(16);
    writeVarbitInt(w, x);
    const bytes = w.finish();
    assert.equal(bytes.toHex(), pad(plain(x, true)), `signed ${x}`);
    const r = new BitReader(bytes);
    assert.equal(readVarbitInt(r), x);
    r.check("signed");
    if (x < 0) continue;
    const u = new BitWriter(16);
    writeVarbitUint(u, x);
    const unsigned = u.finish();
    assert.equal(unsigned.toHex(), pad(plain(x, false)), `unsigned ${x}`);
    assert.equal(readVarbitUint(new BitReader(unsigned)), x);
  }
});

Deno.test("varbit decodes the pattern 100…0 as the positive end, and 64 bits as they are", () => {
  const rows: [string, number][] = [
    ["10100", 4],
    ["10101", -3],
    ["110100000", 32],
    ["1110100000000", 256],
    ["11110100000000000", 2048],
    ["111110" + "1" + "0".repeat(17), 131072],
    ["1111110" + "1" + "0".repeat(24), 16777216],
    ["11111110" + "1" + "0".repeat(55), 2 ** 55],
    ["11111110" + "1" + "0".repeat(54) + "1", -(2 ** 55)], // −(2^55 − 1), rounded
    ["11111111" + "1".repeat(64), -1],
    ["11111111" + "1" + "0".repeat(63), -(2 ** 63)],
  ];
  for (const [bits, x] of rows) {
    assert.equal(readVarbitInt(new BitReader(Uint8Array.fromHex(pad(bits)))), x, bits);
  }
});

Deno.test("bits, varints and varbits mixed at any alignment", () => {
  const random = new Random(5);
  for (let round = 0; round < 300; round++) {
    const w = new BitWriter(16);
    const script: [number, number, number][] = [];
    for (let i = 0; i < 40; i++) {
      const kind = random.below(5);
      const width = random.between(1, 32);
      const size = 2 ** random.below(53);
      const x = kind === 0
        ? random.bits() % 2 ** width
        : kind === 1
        ? Math.floor(random.float() * size)
        : Math.floor((random.float() - 0.5) * size) + 0;
      script.push([kind, x, width]);
      if (kind === 0) w.bits(x, width);
      else if (kind === 1) writeVarbitUint(w, x);
      else if (kind === 2) writeVarbitInt(w, x);
      else if (kind === 3) w.varint(x);
      else w.halves(i, ~i);
    }
    const bytes = w.finish();
    const r = new BitReader(bytes);
    for (const [i, [kind, x, width]] of script.entries()) {
      if (kind === 0) assert.equal(r.bits(width), x);
      else if (kind === 1) assert.equal(readVarbitUint(r), x);
      else if (kind === 2) assert.equal(readVarbitInt(r), x);
      else if (kind === 3) assert.equal(r.varint(), x);
      else {
        assert.equal(r.word(), i);
        assert.equal(r.word(), ~i);
      }
    }
    r.check("all");
    assert(r.remaining < 8);
    // Without its last byte, the same reads run past the end.
    const short = new BitReader(bytes.subarray(0, bytes.length - 1));
    for (const [kind, , width] of script) {
      if (kind === 0) short.bits(width);
      else if (kind === 1) readVarbitUint(short);
      else if (kind === 2) readVarbitInt(short);
      else if (kind === 3) short.varint();
      else (short.word(), short.word());
    }
    assert.throws(() => short.check("all"), CorruptionError);
  }
});
