import { strict as assert } from "node:assert";
import { subsets } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import { compareLabels, type Labels, labelsFromRecord, mergeLabels } from "../model/mod.ts";
import { SeriesEntry } from "../tsdb/mod.ts";
import { FullSort, HoldBack, SameOrder, SeriesItems, type SeriesOrder } from "./series_items.ts";

/** An entry with one chunk whose reference is `ref`. */
function entryOf(ref: number): SeriesEntry {
  const entry = new SeriesEntry();
  entry.chunkCount = 1;
  entry.minTimes[0] = ref;
  entry.maxTimes[0] = ref + 1;
  entry.refs[0] = ref;
  return entry;
}

/** Sends series through an order in batches; the texts of what comes out, and their references. */
function through(
  order: SeriesOrder,
  raw: readonly Labels[],
  final: (labels: Labels) => Labels,
  batchSize: number,
): { labels: Labels[]; refs: number[] } {
  const labels: Labels[] = [];
  const refs: number[] = [];
  const collect = (out: { items: SeriesItems; order: readonly number[] }) => {
    for (const i of out.order) {
      labels.push(out.items.labels[i]!);
      assert.equal(out.items.starts[i + 1]! - out.items.starts[i]!, 1);
      refs.push(out.items.refs[out.items.starts[i]!]!);
    }
  };
  for (let from = 0; from < raw.length; from += batchSize) {
    const items = new SeriesItems();
    raw.slice(from, from + batchSize).forEach((l, k) => {
      items.add(final(l), l, entryOf(from + k), -Infinity, Infinity);
    });
    items.last = from + batchSize >= raw.length;
    collect(order.take(items));
  }
  return { labels, refs };
}

function checkOrder(raw: readonly Labels[], external: Labels, batchSize: number): void {
  const final = (labels: Labels) => mergeLabels(labels, external);
  const expected = raw.map((_, i) => i)
    .sort((a, b) => compareLabels(final(raw[a]!), final(raw[b]!)) || a - b);
  for (const order of [new HoldBack(), new FullSort()]) {
    const { labels, refs } = through(order, raw, final, batchSize);
    assert.deepEqual(labels, expected.map((i) => final(raw[i]!)));
    assert.deepEqual(refs, expected);
  }
}

Deno.test("HoldBack gives the order of final labels for all small label sets", () => {
  const pairs = [["a", "1"], ["b", "1"], ["b", "2"], ["d", "1"], ["f", "1"]] as const;
  const sets = [...subsets(pairs)]
    .filter((chosen) => new Set(chosen.map(([name]) => name)).size === chosen.length)
    .map((chosen) => labelsFromRecord(Object.fromEntries(chosen)))
    .sort(compareLabels);
  const externals = [{ c: "x" }, { "0": "x" }, { z: "x" }, { c: "x", e: "y" }, { aa: "x", g: "y" }];
  for (const external of externals) {
    for (const batchSize of [1, 2, 3, 7, 100]) {
      checkOrder(sets, labelsFromRecord(external), batchSize);
    }
  }
});

Deno.test("HoldBack gives the order of final labels for random series", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const seen = new Map<string, Labels>();
    for (let i = random.below(60); i >= 0; i--) {
      const record: Record<string, string> = {};
      for (const name of ["__name__", "b", "d", "f", "h"]) {
        if (random.chance(0.5)) record[name] = String(random.below(2));
      }
      seen.set(JSON.stringify(record), labelsFromRecord(record));
    }
    const raw = [...seen.values()].sort(compareLabels);
    const external: Record<string, string> = {};
    for (const name of ["a", "c", "e", "g", "i"]) if (random.chance(0.4)) external[name] = "x";
    checkOrder(raw, labelsFromRecord(external), 1 + random.below(10));
  }
});

Deno.test("HoldBack holds only what must wait", () => {
  const order = new HoldBack();
  const items = new SeriesItems();
  const external = labelsFromRecord({ cluster: "x" });
  for (let i = 0; i < 100; i++) {
    const raw = labelsFromRecord({ __name__: "m", pod: String(i).padStart(3, "0") });
    items.add(mergeLabels(raw, external), raw, entryOf(i), 0, 1e9);
  }
  assert.equal(order.take(items).order.length, 99);
  const last = new SeriesItems();
  last.last = true;
  assert.equal(order.take(last).order.length, 1);
});

Deno.test("SameOrder passes on what comes", () => {
  const raw = ["a", "b", "c"].map((v) => labelsFromRecord({ v }));
  assert.deepEqual(through(new SameOrder(), raw, (l) => l, 2).refs, [0, 1, 2]);
});

Deno.test("SeriesItems keeps the chunks that touch the range", () => {
  const items = new SeriesItems();
  const entry = new SeriesEntry();
  entry.chunkCount = 4;
  entry.minTimes.set([0, 10, 20, 30]);
  entry.maxTimes.set([9, 19, 29, 39]);
  entry.refs.set([1, 2, 3, 4]);
  const labels = labelsFromRecord({ a: "b" });
  assert.equal(items.add(labels, labels, entry, 19, 20), true);
  assert.equal(items.add(labels, labels, entry, 40, 50), false);
  assert.equal(items.add(labels, labels, entry, -5, -1), false);
  assert.equal(items.count, 1);
  assert.deepEqual([...items.refs.subarray(0, items.chunkCount)], [2, 3]);
});
