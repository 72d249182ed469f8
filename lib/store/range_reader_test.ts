import { strict as assert } from "node:assert";
import { errorKind } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { type FetchFigures, fetchItems, type RangeOptions } from "./range_reader.ts";

/** An object of items `length byte, length bytes of the item's number`, with gaps of zeros. */
function makeObject(random: Random, count: number): { bytes: Uint8Array; starts: number[] } {
  const bytes: number[] = [];
  const starts: number[] = [];
  for (let i = 0; i < count; i++) {
    while (random.chance(0.5)) bytes.push(0);
    starts.push(bytes.length);
    const length = random.below(random.chance(0.1) ? 200 : 20);
    bytes.push(length);
    for (let k = 0; k < length; k++) bytes.push(i & 0xff);
  }
  return { bytes: Uint8Array.from(bytes), starts };
}

const size = (bytes: Uint8Array, at: number) => at < bytes.length ? 1 + bytes[at]! : undefined;

async function run(
  object: Uint8Array,
  starts: readonly number[],
  estimate: number,
  options: Partial<RangeOptions>,
  end = object.length,
) {
  const reads: [number, number][] = [];
  const figures: FetchFigures = { requests: 0, refetches: 0, fetchedBytes: 0 };
  const fetched = await fetchItems(
    async (offset, length) => {
      reads.push([offset, length]);
      return object.slice(offset, offset + length);
    },
    starts,
    { file: "o", estimate, end, size },
    { gap: 0, maxSize: 1e9, concurrency: 3, ...options },
    figures,
  );
  return { ...fetched, reads, figures };
}

Deno.test("fetchItems() brings every item whole, whatever the estimate and the gaps", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const { bytes, starts } = makeObject(random, 1 + random.below(40));
    const chosen = starts.filter(() => random.chance(0.6));
    const estimate = 1 + random.below(60);
    const options = { gap: random.below(40), maxSize: 50 + random.below(300) };
    const { regions, offsets, regionOf, reads, figures } = await run(
      bytes,
      chosen,
      estimate,
      options,
    );
    chosen.forEach((start, i) => {
      const r = regionOf[i]!;
      const at = start - offsets[r]!;
      const length = bytes[start]!;
      const item = regions[r]!.subarray(at, at + 1 + length);
      assert.deepEqual(item, bytes.subarray(start, start + 1 + length), `seed ${seed}, item ${i}`);
    });
    assert.equal(figures.requests, reads.length);
    assert.equal(figures.fetchedBytes, regions.reduce((n, b) => n + b.length, 0));
    assert.ok(reads.length - figures.refetches <= chosen.length);
  }
});

Deno.test("fetchItems() reads neighbours together up to the gap and the size", async () => {
  const object = new Uint8Array(1000);
  const rows: [number[], Partial<RangeOptions>, [number, number][]][] = [
    [[0, 100, 200], { gap: 90 }, [[0, 210]]],
    [[0, 100, 200], { gap: 89 }, [[0, 10], [100, 10], [200, 10]]],
    [[0, 100, 300], { gap: 90 }, [[0, 110], [300, 10]]],
    [[0, 100, 200], { gap: 90, maxSize: 110 }, [[0, 110], [200, 10]]],
    [[0, 5, 7], {}, [[0, 17]]],
    [[995], {}, [[995, 5]]],
    [[], {}, []],
  ];
  for (const [starts, options, expected] of rows) {
    assert.deepEqual((await run(object, starts, 10, options)).reads, expected);
  }
});

Deno.test("fetchItems() reads an item again that is longer than estimated", async () => {
  const object = new Uint8Array(300);
  object[0] = 5;
  object[10] = 200;
  const { reads, regionOf, figures } = await run(object, [0, 10], 20, {});
  assert.deepEqual(reads, [[0, 30], [10, 201]]);
  assert.deepEqual([...regionOf], [0, 1]);
  assert.equal(figures.refetches, 1);
});

Deno.test("fetchItems() leaves items alone that the object cuts off", async () => {
  const object = new Uint8Array(20);
  object[10] = 200;
  // The end is not known: a second read could bring nothing more.
  const { reads } = await run(object, [10], 15, {}, 1e6);
  assert.deepEqual(reads, [[10, 15]]);
});

Deno.test("fetchItems() refuses references outside of the object", async () => {
  for (const start of [-1, 100, NaN, Infinity]) {
    await assert.rejects(
      () => run(new Uint8Array(100), [start], 10, {}),
      (e: unknown) => errorKind(e) === "corruption" && /o at offset/.test((e as Error).message),
    );
  }
});

Deno.test("fetchItems() does not believe in enormous items", async () => {
  const figures: FetchFigures = { requests: 0, refetches: 0, fetchedBytes: 0 };
  let asked = 0;
  await fetchItems(
    async (_, length) => {
      asked += length;
      return new Uint8Array(Math.min(length, 100));
    },
    [0],
    { file: "o", estimate: 100, end: 2 ** 32, size: () => 2 ** 31 },
    { gap: 0, maxSize: 1e9, concurrency: 1 },
    figures,
  );
  assert.equal(asked, 100);
});
