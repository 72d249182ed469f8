import { BufferPool } from "../base/mod.ts";
import { strict as assert } from "node:assert";
import { runBench } from "../base/testing/bench.ts";
import { bench as cardinality } from "./cardinality_bench.ts";
import { Random } from "../base/testing/random.ts";
import { labelsFromRecord } from "../model/mod.ts";
import { type LabelReader, SeriesEntry } from "../tsdb/mod.ts";
import { TenantNames } from "./store_metrics.ts";
import { SymbolSpace, SymbolSpaces } from "./symbol_space.ts";

Deno.test("BufferPool lends buffers that are large enough, again and again", () => {
  const pool = new BufferPool(1_000_000);
  const random = new Random(1);
  for (let i = 0; i < 2000; i++) {
    const size = random.below(random.chance(0.5) ? 10_000 : 300_000);
    const buffer = pool.take(size);
    assert.ok(buffer.length >= size && buffer.length <= Math.max(4096, size * 1.26 + 4096));
    pool.give(buffer.subarray(0, size));
    assert.ok(pool.bytes <= 1_000_000);
  }
  const first = pool.take(5000);
  pool.give(first);
  assert.equal(pool.take(5000).buffer, first.buffer);
});

Deno.test("BufferPool keeps no more than its budget and nothing foreign", () => {
  const pool = new BufferPool(10_000);
  pool.give(pool.take(8000));
  const kept = pool.bytes;
  pool.give(new Uint8Array(5555));
  assert.equal(pool.bytes, kept);
  pool.give(new BufferPool(0).take(8000));
  assert.equal(pool.bytes, kept);
});

Deno.test("SymbolSpace gives one object for equal references", () => {
  const space = new SymbolSpace();
  let made = 0;
  const reader = {
    labels(entry: SeriesEntry) {
      made++;
      return labelsFromRecord({ refs: entry.labels.subarray(0, entry.labelLength).join(",") });
    },
  } as unknown as LabelReader;
  const entryOf = (refs: readonly number[]) => {
    const entry = new SeriesEntry();
    entry.labels.set(refs);
    entry.labelLength = refs.length;
    return entry;
  };
  const random = new Random(3);
  const known = new Map<string, unknown>();
  for (let i = 0; i < 20_000; i++) {
    const refs = Array.from({ length: 2 * random.below(5) }, () => random.below(9));
    const labels = space.labels(entryOf(refs), reader);
    assert.equal(labels.length === 0 ? "" : labels[1], refs.join(","));
    const key = refs.join(",");
    if (known.has(key)) assert.equal(known.get(key), labels);
    known.set(key, labels);
  }
  assert.equal(made, known.size);
  assert.equal(space.size, known.size);
  space.clear();
  assert.equal(space.size, 0);
  assert.deepEqual([...space.labels(entryOf([1, 2]), reader)], ["refs", "1,2"]);
});

Deno.test("SymbolSpaces shares a space between equal symbol tables only", () => {
  const spaces = new SymbolSpaces();
  const a = spaces.acquire([Uint8Array.of(1, 2), Uint8Array.of(3)]);
  const same = spaces.acquire([Uint8Array.of(1, 2, 3)]);
  const other = spaces.acquire([Uint8Array.of(1, 2, 4)]);
  assert.equal(a.space, same.space);
  assert.notEqual(a.space, other.space);
  spaces.release(a.key);
  assert.equal(spaces.acquire([Uint8Array.of(1, 2, 3)]).space, a.space);
  spaces.release(a.key);
  spaces.release(a.key);
  assert.notEqual(spaces.acquire([Uint8Array.of(1, 2, 3)]).space, a.space);
});

Deno.test("TenantNames gives metrics to a bounded number of tenants", () => {
  const names = new TenantNames(2);
  assert.deepEqual(["a", "b", "c", "a", "d"].map((t) => names.label(t)), [
    "a",
    "b",
    "other",
    "a",
    "other",
  ]);
});

Deno.test("the benchmark of many values runs at its small size", async () => {
  assert.equal((await runBench(cardinality, { size: "small" })).length, 11);
});
