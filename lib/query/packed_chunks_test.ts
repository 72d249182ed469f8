import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import { RawChunk } from "../storeapi/mod.ts";
import { PackedChunks } from "./packed_chunks.ts";

Deno.test("PackedChunks gives back what was put in, over pages and messages", () => {
  const random = new Random(3);
  const packed = new PackedChunks();
  const all: RawChunk[] = [];
  while (all.length < 10_000) {
    const message = new Uint8Array(1000).fill(random.below(256));
    const chunks = Array.from({ length: random.below(700) }, () => {
      const start = random.below(900);
      const minTime = -5_000_000_000_000 + random.below(1_000_000_000) * 10_000;
      return new RawChunk(minTime, minTime + 7, 1 + random.below(6), message, start, start + 99);
    });
    assert.equal(packed.append(chunks), true);
    all.push(...chunks);
  }
  assert.equal(packed.length, all.length);
  for (const [from, to] of [[0, all.length], [4000, 4200], [4096, 4096], [8191, 8193]] as const) {
    const slice = packed.slice(from, to);
    assert.equal(slice.length, to - from);
    slice.forEach((chunk, i) => {
      const { minTime, maxTime, encoding, data } = all[from + i]!;
      assert.deepEqual([chunk.minTime, chunk.maxTime], [minTime, maxTime]);
      assert.equal(chunk.raw!.encoding, encoding);
      assert.deepEqual(chunk.raw!.data, data);
    });
  }
  packed.clear();
  assert.equal(packed.length, 0);
});

Deno.test("PackedChunks refuses other chunks and appends nothing then", () => {
  const packed = new PackedChunks();
  const raw = new RawChunk(1, 2, 1, new Uint8Array(9), 0, 9);
  assert.equal(packed.append([raw, { minTime: 1, maxTime: 2 }]), false);
  assert.equal(packed.length, 0);
});
