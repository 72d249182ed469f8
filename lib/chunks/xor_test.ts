import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { runBench } from "../base/testing/bench.ts";
import { dump } from "../base/testing/dump.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import { bitsOf, isStaleAt, SampleBatch } from "../model/mod.ts";
import { decodeXor, encodeXor, encodeXorChunk, XOR_BYTES_PER_SAMPLE, XOR_SLACK } from "./xor.ts";
import { bench } from "./xor_bench.ts";
import { bits64, floatsOf, hex, STALE } from "./testing/fixtures.ts";

Deno.test("decodeXor() reads the reference chunks, encodeXor() writes them", () => {
  const t = [1000, 16000, 31000, 46001, 61001];
  const v = floatsOf(1, 2, 2, 3.5, STALE);
  const rows: [number, string][] = [
    [1, "0001d00f3ff0000000000000"],
    [3, "0003d00f3ff00000000000009875c25fff00"],
    [5, "0005d00f3ff00000000000009875c25fff20007605dfffe2f7ffc0000000000020"],
  ];
  for (const [n, bytes] of rows) {
    const batch = new SampleBatch();
    decodeXor(hex(bytes), batch);
    assert.deepEqual([...batch.t.subarray(0, batch.length)], t.slice(0, n));
    assert.deepEqual(bits64(batch.v, batch.length), bits64(v, n));
    assert.equal(encodeXorChunk(batch).toHex(), bytes);
  }
});

Deno.test("decodeXor() starts with the window (0, 0) as reopened chunks need", () => {
  for (
    const bytes of [
      "0002d00f3ff000000000000098759ffc00000000000000",
      "0002d00f3ff00000000000009875c25fff",
    ]
  ) {
    const batch = new SampleBatch();
    decodeXor(hex(bytes), batch);
    assert.equal(dump(batch), "1000:1 16000:2");
  }
});

Deno.test("decodeXor() keeps staleness markers, NaN payloads and -0", () => {
  const batch = new SampleBatch();
  const v = floatsOf(
    STALE,
    [0x7ff80000, 1],
    STALE,
    -0,
    [0x7ff00000, 1],
    [0xfff12345, 0x6789abcd],
    Infinity,
    -Infinity,
    5e-324,
    0,
  );
  appendAll(batch, [...v.keys()].map((i) => i * 15000), v);
  const back = new SampleBatch();
  decodeXor(encodeXorChunk(batch), back);
  assert.deepEqual(bits64(back.v, back.length), bits64(v));
  assert(isStaleAt(bitsOf(back.v), 0) && isStaleAt(bitsOf(back.v), 2));
  assert(!isStaleAt(bitsOf(back.v), 1) && !isStaleAt(bitsOf(back.v), 4));
});

Deno.test("XOR times survive at every edge of the delta-of-delta ranges", () => {
  const dods: number[] = [0];
  for (const half of [8192, 65536, 524288, 2 ** 31, 2 ** 32, 2 ** 45]) {
    for (const d of [-2, -1, 0, 1, 2]) dods.push(half + d, -half + d);
  }
  // Bits of the field that holds the dod: 0 | 10+14 | 110+17 | 1110+20 | 1111+64.
  const width = (d: number) =>
    d === 0
      ? 1
      : d >= -8191 && d <= 8192
      ? 16
      : d >= -65535 && d <= 65536
      ? 20
      : d >= -524287 && d <= 524288
      ? 24
      : 68;
  for (const dod of dods) {
    const batch = new SampleBatch();
    const t = [0, 15000, 30000 + dod, 45000 + 2 * dod];
    appendAll(batch, t, floatsOf(1, 1, 1, 1));
    const bytes = encodeXorChunk(batch);
    // 2 + 1 + 8 + 2 bytes (15000 as a varint), then 1 + (dod + 1) + 2 bits.
    assert.equal(bytes.length, 13 + Math.ceil((1 + width(dod) + 1 + 2) / 8), `dod ${dod}`);
    const back = new SampleBatch();
    decodeXor(bytes, back);
    assert.deepEqual([...back.t.subarray(0, 4)], t, `dod ${dod}`);
  }
});

Deno.test("XOR first times and first deltas survive at every power of two", () => {
  for (let e = 0; e <= 52; e++) {
    for (const d of [-1, 0, 1]) {
      for (const sign of [1, -1]) {
        const x = sign * (2 ** e + d) + 0;
        for (const t of [[x], [x, x + 1, x + 2], [0, x], [0, x, 2 * x], [5, 5 + x, 5]]) {
          const batch = new SampleBatch();
          appendAll(batch, t, new Float64Array(t.length));
          const back = new SampleBatch();
          decodeXor(encodeXorChunk(batch), back);
          assert.deepEqual([...back.t.subarray(0, back.length)], t);
        }
      }
    }
  }
  for (const t of [[0, 0, 0], [9, 9], [299999, 3599999, 3599999], [10, 5, 0], [2 ** 53 - 1]]) {
    const batch = new SampleBatch();
    appendAll(batch, t, new Float64Array(t.length));
    const back = new SampleBatch();
    decodeXor(encodeXorChunk(batch), back);
    assert.deepEqual([...back.t.subarray(0, back.length)], t);
  }
});

Deno.test("XOR values survive for every window of significant bits", () => {
  // Two steps each: open a window, then change inside it and outside it.
  for (let from = 0; from < 64; from++) {
    for (let to = from; to < 64; to++) {
      const a = bitRange(from, to);
      const inner = bitRange(Math.min(from + 1, to), to);
      const v = floatsOf([0, 0], a, [a[0] ^ inner[0], a[1] ^ inner[1]], [~0, ~0], [0, 0]);
      const batch = new SampleBatch();
      appendAll(batch, [0, 15, 30, 45, 60], v);
      const back = new SampleBatch();
      decodeXor(encodeXorChunk(batch), back);
      assert.deepEqual(bits64(back.v, 5), bits64(v), `bits ${from} to ${to}`);
    }
  }
});

Deno.test("XOR round trip on generated series, against a plain bit-string encoder", () => {
  const random = new Random(7);
  for (let round = 0; round < 400; round++) {
    const n = random.between(1, 200);
    const batch = randomBatch(random, n);
    const bytes = encodeXorChunk(batch);
    assert.equal(bytes.toHex(), plainEncode(batch), `round ${round}`);
    const back = new SampleBatch(1);
    decodeXor(bytes, back);
    assert.equal(dump(back), dump(batch), `round ${round}`);
    assert.deepEqual(bits64(back.v, n), bits64(batch.v, n));
  }
});

Deno.test("XOR chunks hold 0 to 65535 samples", () => {
  for (const n of [0, 1, 2, 119, 120, 121, 65535]) {
    const batch = new SampleBatch(n + 1);
    for (let i = 0; i < n; i++) {
      batch.t[i] = i * 1000;
      batch.v[i] = i;
    }
    batch.length = n;
    const back = new SampleBatch(1);
    decodeXor(encodeXorChunk(batch), back);
    assert.equal(back.length, n);
    assert.deepEqual(back.v.subarray(0, n), batch.v.subarray(0, n));
  }
  const batch = new SampleBatch(65536);
  batch.length = 65536;
  assert.throws(() => encodeXorChunk(batch), /65536 samples/);
});

Deno.test("encodeXor() writes inside a shared buffer and stays in its room", () => {
  const random = new Random(3);
  for (let round = 0; round < 100; round++) {
    const n = random.between(1, 50);
    const batch = randomBatch(random, n);
    const alone = encodeXorChunk(batch);
    const out = new Uint8Array(10 + n * XOR_BYTES_PER_SAMPLE + XOR_SLACK).fill(0xaa);
    const length = encodeXor(batch.t, batch.v, 0, n, out, 10);
    assert.equal(out.subarray(10, 10 + length).toHex(), alone.toHex());
    assert(out.subarray(0, 10).every((b) => b === 0xaa));
    assert.throws(() => encodeXor(batch.t, batch.v, 0, n, out, 11), /too small/);
  }
});

Deno.test("decodeXor() appends behind what is there and pads the other columns", () => {
  const first = new SampleBatch();
  appendAll(first, [1, 2], floatsOf(10, 20));
  const chunk = encodeXorChunk(first);
  const batch = new SampleBatch(1);
  batch.ensureStartTimes();
  batch.ensureHistograms();
  decodeXor(chunk, batch);
  batch.st!.fill(7);
  decodeXor(chunk, batch);
  assert.equal(dump(batch), "1@7:10 2@7:20 1@0:10 2@0:20");
  assert.equal(batch.h!.length, 4);
});

Deno.test("decodeXor() refuses every truncation and leaves the batch alone", () => {
  const random = new Random(11);
  for (let round = 0; round < 60; round++) {
    const bytes = encodeXorChunk(randomBatch(random, random.between(1, 30)));
    for (const part of truncations(bytes)) {
      const batch = new SampleBatch();
      appendAll(batch, [1], floatsOf(2));
      assert.throws(() => decodeXor(part, batch), CorruptionError);
      assert.equal(dump(batch), "1:2");
    }
  }
});

Deno.test("decodeXor() stands flipped bytes and noise: an error or samples, never a hang", () => {
  const random = new Random(12);
  const bytes = encodeXorChunk(randomBatch(random, 40));
  for (let at = 0; at < bytes.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = bytes.slice();
      bad[at]! ^= 1 << bit;
      decodeOrCorrupt(bad);
    }
  }
  for (let round = 0; round < 500; round++) {
    const noise = Uint8Array.from({ length: random.below(100) }, () => random.below(256));
    decodeOrCorrupt(noise);
  }
  // A count that the bytes cannot hold is refused before the batch grows.
  const batch = new SampleBatch(16);
  assert.throws(() => decodeXor(hex("ffffd00f3ff0000000000000"), batch), /too short for its 65535/);
  assert.equal(batch.t.length, 16);
});

Deno.test("xor_bench.ts runs", async () => {
  const lines = await runBench(bench, { size: "small" });
  assert.equal(lines.length, 10);
});

function decodeOrCorrupt(bytes: Uint8Array): void {
  try {
    decodeXor(bytes, new SampleBatch());
  } catch (error) {
    assert(error instanceof CorruptionError);
  }
}

function appendAll(batch: SampleBatch, t: readonly number[], v: Float64Array): void {
  batch.reserve(v.length);
  batch.t.set(t, batch.length);
  batch.v.set(v, batch.length);
  batch.length += v.length;
}

/** Ones from bit `from` to bit `to` (0 = least significant) as [high, low]. */
function bitRange(from: number, to: number): [number, number] {
  let high = 0;
  let low = 0;
  for (let b = from; b <= to; b++) {
    if (b < 32) low |= 1 << b;
    else high |= 1 << (b - 32);
  }
  return [high, low];
}

function randomBatch(random: Random, n: number): SampleBatch {
  const batch = new SampleBatch(n);
  const bits = bitsOf(batch.v);
  let t = random.between(-1000, 1_800_000_000) * 1000;
  const step = random.pick([1000, 15000, 60000]);
  const kind = random.below(6);
  let v = random.below(1000);
  for (let i = 0; i < n; i++) {
    batch.t[i] = t;
    const late = random.chance(0.2) ? random.below(2 ** random.below(22)) : 0;
    t += random.chance(0.01) ? -5 * step : random.chance(0.02) ? step * 2 ** 20 : step + late;
    if (kind === 0) v += random.below(20);
    else if (kind === 1) v = random.float() * 100;
    else if (kind === 2) v = random.chance(0.1) ? v + 1 : v;
    else if (kind === 3) v = Math.round(random.float() * 1000) / 10;
    else if (kind === 4) v += random.float();
    batch.v[i] = v;
    if (kind === 5) {
      bits[2 * i] = random.bits();
      bits[2 * i + 1] = random.bits();
    } else if (random.chance(0.02)) {
      bits[2 * i] = 2;
      bits[2 * i + 1] = 0x7ff00000;
    }
  }
  batch.length = n;
  return batch;
}

/** The format written down once more, as slow strings of 0 and 1: an oracle for the fast encoder. */
function plainEncode(batch: SampleBatch): string {
  const n = batch.length;
  const words = new BigUint64Array(batch.v.buffer);
  let s = n.toString(2).padStart(16, "0");
  const binary = (x: bigint, width: number) =>
    BigInt.asUintN(width, x).toString(2).padStart(width, "0");
  const uvarint = (x: bigint) => {
    let out = "";
    for (; x >= 128n; x >>= 7n) out += binary((x & 127n) | 128n, 8);
    return out + binary(x, 8);
  };
  let leading = -1;
  let trailing = 0;
  for (let i = 0; i < n; i++) {
    const t = BigInt(batch.t[i]!);
    if (i === 0) {
      s += uvarint(t >= 0n ? t * 2n : -t * 2n - 1n) + binary(words[0]!, 64);
      continue;
    }
    const delta = t - BigInt(batch.t[i - 1]!);
    if (i === 1) s += uvarint(BigInt.asUintN(64, delta));
    else {
      const dod = delta - (BigInt(batch.t[i - 1]!) - BigInt(batch.t[i - 2]!));
      if (dod === 0n) s += "0";
      else if (dod >= -8191n && dod <= 8192n) s += "10" + binary(dod, 14);
      else if (dod >= -65535n && dod <= 65536n) s += "110" + binary(dod, 17);
      else if (dod >= -524287n && dod <= 524288n) s += "1110" + binary(dod, 20);
      else s += "1111" + binary(dod, 64);
    }
    const x = binary(words[i]! ^ words[i - 1]!, 64);
    const first = x.indexOf("1");
    if (first < 0) {
      s += "0";
      continue;
    }
    const l = Math.min(31, first);
    const r = 63 - x.lastIndexOf("1");
    if (leading >= 0 && l >= leading && r >= trailing) s += "10";
    else {
      leading = l;
      trailing = r;
      s += "11" + binary(BigInt(l), 5) + binary(BigInt((64 - l - r) % 64), 6);
    }
    s += x.slice(leading, 64 - trailing);
  }
  let out = "";
  for (let i = 0; i < s.length; i += 8) {
    out += parseInt(s.slice(i, i + 8).padEnd(8, "0"), 2).toString(16).padStart(2, "0");
  }
  return out;
}
