import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import { bitsOf, isStaleAt, SampleBatch } from "../model/mod.ts";
import { appendChunk, chunkSampleCount, ENCODING_XOR2 } from "./mod.ts";
import { bits64, hex } from "./testing/fixtures.ts";

const PLAIN = "0006 00 d00f 3ff0000000000000 9875 c12fffb0007302fe";
const WITH_START = "0006 80 d00f 3ff0000000000000 e807 9875 c12fffb0007302fe";

function decode(data: Uint8Array): SampleBatch {
  const batch = new SampleBatch();
  appendChunk({ encoding: ENCODING_XOR2, data }, batch);
  return batch;
}

Deno.test("XOR2 chunks: the reference bytes", () => {
  const batch = decode(hex(PLAIN));
  assert.equal(
    dump(batch),
    "1000@0:1 16000@0:2 31000@0:2 46001@0:3.5 61002@0:stale 76003@0:3.5",
  );
  assert(isStaleAt(bitsOf(batch.v), 4));
  assert.equal(chunkSampleCount({ encoding: ENCODING_XOR2, data: hex(PLAIN) }), 6);
  const started = decode(hex(WITH_START));
  assert.deepEqual([...started.st!.subarray(0, 6)], [500, 500, 500, 500, 500, 500]);
  assert.deepEqual(bits64(started.v, 6), bits64(batch.v, 6));
});

Deno.test("XOR2 chunks against a plain bit-string encoder, stale samples and start times in it", () => {
  const random = new Random(9);
  for (let round = 0; round < 300; round++) {
    const n = random.between(1, 150);
    const t: number[] = [];
    const st: number[] = [];
    const batch = new SampleBatch(n);
    const bits = bitsOf(batch.v);
    let time = random.below(1e6);
    let started = random.chance(0.5) ? 0 : time - 500;
    let value = 1;
    for (let i = 0; i < n; i++) {
      if (i > 0) time += 15000 + (random.chance(0.3) ? random.below(2 ** random.below(34)) : 0);
      if (random.chance(0.03)) started = time - 100;
      if (random.chance(0.7)) value += random.chance(0.5) ? 1 : random.float();
      t.push(time);
      st.push(started);
      batch.t[i] = time;
      batch.v[i] = value;
      if (random.chance(0.1)) {
        bits[2 * i] = 2;
        bits[2 * i + 1] = 0x7ff00000;
      }
    }
    batch.length = n;
    const back = decode(Uint8Array.fromHex(plainEncode(batch, st)));
    assert.deepEqual([...back.t.subarray(0, n)], t);
    assert.deepEqual([...back.st!.subarray(0, n)], st);
    assert.deepEqual(bits64(back.v, n), bits64(batch.v, n), `round ${round}`);
  }
});

Deno.test("XOR2 chunks: every truncation is refused, flipped bits never hang", () => {
  for (const text of [PLAIN, WITH_START]) {
    const data = hex(text);
    for (const part of truncations(data)) assert.throws(() => decode(part), CorruptionError);
    for (let bit = 0; bit < data.length * 8; bit++) {
      const bad = data.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      try {
        decode(bad);
      } catch (error) {
        assert(error instanceof CorruptionError);
      }
    }
  }
  assert.throws(() => decode(hex("ffff00d00f3ff0000000000000")), /too short for its 65535/);
});

/** Writes the format as strings of 0 and 1: there is no other writer to test the reader against. */
function plainEncode(batch: SampleBatch, st: readonly number[]): string {
  const n = batch.length;
  const words = new BigUint64Array(batch.v.buffer);
  const STALE = 0x7ff0000000000002n;
  const binary = (x: bigint, width: number) =>
    BigInt.asUintN(width, x).toString(2).padStart(width, "0");
  const varint = (x: number) => {
    let u = x >= 0 ? BigInt(x) * 2n : -BigInt(x) * 2n - 1n;
    let out = "";
    for (; u >= 128n; u >>= 7n) out += binary((u & 127n) | 128n, 8);
    return out + binary(u, 8);
  };
  const uvarint = (x: number) => {
    let u = BigInt(x);
    let out = "";
    for (; u >= 128n; u >>= 7n) out += binary((u & 127n) | 128n, 8);
    return out + binary(u, 8);
  };
  const varbit = (x: number) => {
    if (x === 0) return "0";
    const widths = [3, 6, 9, 12, 18, 25, 56];
    for (const [i, w] of widths.entries()) {
      if (x > -(2 ** (w - 1)) && x <= 2 ** (w - 1)) {
        return "1".repeat(i + 1) + "0" + binary(BigInt(x), w);
      }
    }
    throw new Error("unreachable");
  };
  let k = 0;
  for (let i = 1; i < n && k === 0; i++) if (st[i] !== st[i - 1] || i === 127) k = i;
  let s = binary(BigInt(n), 16) + (st[0] !== 0 ? "1" : "0") + binary(BigInt(k), 7);
  let leading = -1;
  let trailing = 0;
  let base = 0n;
  const window = (word: bigint, reuse: string, fresh: string) => {
    const x = binary(word ^ base, 64);
    const l = Math.min(31, x.indexOf("1"));
    const r = 63 - x.lastIndexOf("1");
    if (leading >= 0 && l >= leading && r >= trailing) {
      return reuse + x.slice(leading, 64 - trailing);
    }
    leading = l;
    trailing = r;
    return fresh + binary(BigInt(l), 5) + binary(BigInt((64 - l - r) % 64), 6) + x.slice(l, 64 - r);
  };
  const value = (word: bigint) =>
    word === STALE ? "111" : word === base ? "0" : window(word, "10", "110");
  let distance = 0;
  for (let i = 0; i < n; i++) {
    const word = words[i]!;
    const delta = i === 0 ? 0 : batch.t[i]! - batch.t[i - 1]!;
    if (i === 0) s += varint(batch.t[0]!) + binary(word, 64);
    else if (i === 1) s += uvarint(delta) + value(word);
    else {
      const dod = delta - (batch.t[i - 1]! - batch.t[i - 2]!);
      if (dod === 0 && word === STALE) s += "11111";
      else if (dod === 0 && word === base) s += "0";
      else if (dod === 0) s += "10" + window(word, "0", "1");
      else if (dod >= -4096 && dod <= 4095) s += "110" + binary(BigInt(dod), 13) + value(word);
      else if (dod >= -524288 && dod <= 524287) s += "1110" + binary(BigInt(dod), 20) + value(word);
      else s += "11110" + binary(BigInt(dod), 64) + value(word);
    }
    if (word !== STALE) base = word;
    if (i === 0 && st[0] !== 0) s += varint(batch.t[0]! - st[0]!);
    else if (i > 0 && k > 0 && i >= k) {
      const now = batch.t[i - 1]! - st[i]!;
      s += varbit(i === k ? now : now - distance);
      distance = now;
    }
  }
  let out = "";
  for (let i = 0; i < s.length; i += 8) {
    out += parseInt(s.slice(i, i + 8).padEnd(8, "0"), 2).toString(16).padStart(2, "0");
  }
  return out;
}
