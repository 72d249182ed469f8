import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { dump } from "../base/testing/dump.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import { bitsOf, SampleBatch, setStaleAt } from "../model/mod.ts";
import { dropDeleted, isDeleted, mergeRanges, readTombstones, writeTombstones } from "./mod.ts";

Deno.test("tombstones have the bytes of the format notes", () => {
  assert.equal(writeTombstones(new Map()).toHex(), "0130ba300100000000");
  const one = new Map([[3, Float64Array.of(1000, 2000)]]);
  const bytes = writeTombstones(one);
  assert.equal(bytes.toHex(), "0130ba300103d00fa01f9b875938");
  assert.deepEqual(readTombstones(bytes, "t"), one);
});

Deno.test("tombstones: every truncation and flip is an error that names file and offset", () => {
  const bytes = writeTombstones(
    new Map([[3, Float64Array.of(-5, 2000, 1e12, 2e12)], [70000, Float64Array.of(1, 1)]]),
  );
  for (const cut of truncations(bytes)) {
    assert.throws(() => readTombstones(cut, "B/tombstones"), CorruptionError);
  }
  for (let i = 0; i < bytes.length; i++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = bytes.slice();
      bad[i]! ^= 1 << bit;
      assert.throws(
        () => readTombstones(bad, "B/tombstones"),
        (e: unknown) => e instanceof CorruptionError && e.file === "B/tombstones",
      );
    }
  }
});

Deno.test("mergeRanges() and dropDeleted() agree with a plain filter", () => {
  const random = new Random(11);
  for (let round = 0; round < 200; round++) {
    const flat: number[] = [];
    for (let i = random.below(6); i > 0; i--) {
      const mint = random.below(100);
      flat.push(mint, mint + random.below(20));
    }
    const merged = mergeRanges(flat);
    for (let i = 2; i < merged.length; i += 2) assert(merged[i]! > merged[i - 1]! + 1);
    const covered = (t: number) => flat.some((m, i) => i % 2 === 0 && t >= m && t <= flat[i + 1]!);
    const batch = new SampleBatch();
    const kept = new SampleBatch();
    for (let t = random.below(3); t < 130; t += 1 + random.below(4)) {
      batch.reserve(1);
      batch.t[batch.length] = t;
      batch.v[batch.length] = random.float();
      if (random.chance(0.2)) setStaleAt(bitsOf(batch.v), batch.length);
      batch.length++;
      if (batch.length <= 3 || !covered(t)) kept.appendRange(batch, batch.length - 1, batch.length);
      assert.equal(isDeleted(merged, t, t), covered(t));
    }
    dropDeleted(batch, 3, merged);
    assert.equal(dump(batch), dump(kept));
  }
});
