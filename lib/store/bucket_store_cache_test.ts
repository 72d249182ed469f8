/** The store gateway behind caches of every kind: the same answers, whatever the caches do. */
import { strict as assert } from "node:assert";
import { Random } from "../base/testing/random.ts";
import { dump } from "../base/testing/dump.ts";
import { appendChunk } from "../chunks/mod.ts";
import {
  formatLabels,
  makeMatcher,
  type Matcher,
  type MatchType,
  SampleBatch,
} from "../model/mod.ts";
import { type Bucket, MemoryBucket } from "../objstore/mod.ts";
import { FaultyBucket } from "../objstore/testing/bucket_faulty.ts";
import type { SeriesFrame } from "../storeapi/mod.ts";
import {
  callContext,
  floatSeries,
  type SeriesData,
  seriesRequest,
} from "../storeapi/testing/fixtures.ts";
import type { BucketStore } from "./bucket_store.ts";
import { type ByteCache, sealCache } from "./cache/byte_cache.ts";
import { CachingBucket } from "./cache/caching_bucket.ts";
import { type IndexCache, MemoryIndexCache, RemoteIndexCache } from "./cache/index_cache.ts";
import { MemoryCache } from "./cache/memory_cache.ts";
import { addBlock, blockId, makeStore, type SmallStoreOptions } from "./testing/small_bucket.ts";

const T0 = 1_790_208_000_000;
const HOUR = 3_600_000;
const MiB = 1024 * 1024;
const TTL = 3_600_000;

const memory = () => new MemoryCache({ maxBytes: 16 * MiB, maxItemBytes: MiB });

/** A cache server at its worst: loses things, mixes them up and changes bits. */
function badCache(random: Random): ByteCache {
  const inner = memory();
  const keys: string[] = [];
  return {
    get(wanted) {
      return inner.get(wanted).map((value) => {
        if (value === undefined || random.chance(0.2)) return undefined;
        if (random.chance(0.1)) return inner.get([random.pick(keys)])[0];
        if (random.chance(0.1)) return value.subarray(0, random.below(value.length));
        if (!random.chance(0.2) || value.length === 0) return value;
        const copy = value.slice();
        copy[random.below(copy.length)]! ^= 1 << random.below(8);
        return copy;
      });
    },
    set(key, value, ttl) {
      keys.push(key);
      inner.set(key, value, ttl);
    },
    delete: (key) => inner.delete(key),
    close: () => inner.close(),
  };
}

const cachingBucket = (inner: Bucket, cache: ByteCache): Bucket =>
  new CachingBucket(inner, cache, {
    chunkSubrangeSize: 500,
    maxChunksGetRangeRequests: 3,
    chunkObjectAttrsTtl: TTL,
    chunkSubrangeTtl: TTL,
    blocksIterTtl: TTL,
    metafileExistsTtl: TTL,
    metafileDoesntExistTtl: TTL,
    metafileContentTtl: TTL,
    metafileMaxSize: MiB,
  });

const memoryIndex = () => new MemoryIndexCache({ maxBytes: 16 * MiB, maxItemBytes: MiB });
const remoteIndex = (cache: ByteCache): IndexCache =>
  new RemoteIndexCache({ cache: sealCache(cache), ttl: TTL });

async function synced(bucket: Bucket, options: SmallStoreOptions): Promise<BucketStore> {
  const store = makeStore(bucket, options);
  await store.sync();
  return store;
}

/** Series that come and go between blocks. */
async function churningBucket(random: Random): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  for (let n = 0; n < 4; n++) {
    const series: SeriesData[] = [];
    for (let i = 0; i < 60; i++) {
      const record: Record<string, string> = {
        __name__: `m${i % 3}`,
        pod: `pod-${n}-${i}`,
        job: `job-${i % 5}`,
      };
      if (random.chance(0.3)) record.extra = `x${random.below(4)}`;
      const stale = random.chance(0.1);
      series.push(floatSeries(record, T0 + n * HOUR, 10 + random.below(30), { value: i, stale }));
    }
    await addBlock(bucket, {
      id: blockId(n),
      series,
      samplesPerChunk: 7,
      labels: { replica: "0" },
      minTime: T0 + n * HOUR,
      maxTime: T0 + (n + 1) * HOUR,
    });
  }
  return bucket;
}

function randomMatchers(random: Random): Matcher[] {
  const names = ["__name__", "pod", "job", "extra", "replica", "none"];
  const values: Record<string, string[]> = {
    __name__: ["m0", "m1", "m.", "m0|m2", ".+"],
    pod: ["", ".+", "pod-1-.*", "pod-.-1.", "pod-2-7", "pod-0-3|pod-1-3"],
    job: ["job-1", "job-[23]", "", "job-4|job-0", ".*"],
    extra: ["", "x1", "x.+", ".*", "x1|"],
    replica: ["0", "1", ".*"],
    none: ["", "x", ".*"],
  };
  const types: MatchType[] = ["=", "!=", "=~", "!~"];
  const out = [makeMatcher(random.pick(["=", "=~"]), "__name__", random.pick(["m0", "m1", "m2"]))];
  for (let i = random.below(4); i > 0; i--) {
    const name = random.pick(names);
    out.push(makeMatcher(random.pick(types), name, random.pick(values[name]!)));
  }
  return random.chance(0.2) ? out.slice(1) : out;
}

async function ask(
  store: BucketStore,
  matchers: readonly Matcher[],
  range: { readonly minTime: number; readonly maxTime: number },
): Promise<{ readonly text: string; readonly warnings: readonly string[] }> {
  const request = seriesRequest({ matchers, ...range });
  const frames: SeriesFrame[] = await Array.fromAsync(store.series(request, callContext()));
  const lines = frames.flatMap((frame) =>
    frame.series.map(({ labels, chunks }) => {
      const samples = new SampleBatch();
      for (const chunk of chunks) appendChunk(chunk.raw!, samples);
      return `${formatLabels(labels)} ${dump(samples)}`;
    })
  );
  return { text: lines.join("\n"), warnings: frames.flatMap((f) => f.warnings) };
}

function randomRange(random: Random): { minTime: number; maxTime: number } {
  const minTime = T0 + random.below(4 * HOUR) - HOUR / 2;
  return { minTime, maxTime: minTime + random.below(3 * HOUR) };
}

Deno.test("S17: random selectors find the same with and without lazy postings and caches", async () => {
  const random = new Random(17);
  const bucket = await churningBucket(random);
  const plain = await synced(bucket, {});
  const stores: [string, BucketStore][] = [
    ["lazy", await synced(bucket, { lazyPostings: true, maxKeysPerSeries: 1 })],
    ["memory", await synced(bucket, { cache: memoryIndex() })],
    ["lazy memory", await synced(bucket, { cache: memoryIndex(), lazyPostings: true })],
    ["remote", await synced(bucket, { cache: remoteIndex(memory()) })],
    [
      "all cached",
      await synced(cachingBucket(bucket, memory()), { cache: memoryIndex(), batchSeries: 7 }),
    ],
    [
      "bad caches",
      await synced(cachingBucket(bucket, sealCache(badCache(new Random(3)))), {
        cache: remoteIndex(badCache(new Random(4))),
      }),
    ],
  ];
  let found = 0;
  for (let i = 0; i < 250; i++) {
    const matchers = randomMatchers(random);
    const range = randomRange(random);
    const expected = await ask(plain, matchers, range);
    assert.deepEqual(expected.warnings, []);
    if (expected.text !== "") found++;
    for (const [name, store] of stores) {
      // Once when it is not cached yet, and once more.
      for (let k = 0; k < 2; k++) {
        const text = matchers.map((m) => m.name + m.type + m.value).join();
        assert.deepEqual(await ask(store, matchers, range), expected, `${name}: ${text}`);
      }
    }
  }
  assert.ok(found > 50, `only ${found} selectors found anything`);
});

Deno.test("what was damaged on its way is read again, and does not stay in a cache", async () => {
  const inner = await churningBucket(new Random(1));
  const matchers = [makeMatcher("=~", "__name__", "m.")];
  const range = { minTime: T0, maxTime: T0 + 4 * HOUR };
  const expected = await ask(await synced(inner, {}), matchers, range);
  let hits = 0;
  // Reads of indexes begin with those for their headers, which are sound here: they are over before
  // the first question, else a busy machine mixes them with the others.
  for (const [object, skipped] of [["index", 16], ["chunks/000001", 0]] as const) {
    for (let seed = 1; seed <= 20; seed++) {
      for (const fault of [{ type: "corrupt" }, { type: "short", share: 0.5 }] as const) {
        const faulty = new FaultyBucket(inner, {
          seed,
          rules: [
            {
              operations: ["get_range"],
              name: new RegExp(object),
              fault,
              skip: skipped + seed % 4,
              times: 1,
            },
          ],
        });
        const bucket = cachingBucket(faulty, memory());
        const store = await synced(bucket, { cache: memoryIndex(), eagerHeaders: true });
        for (let i = 0; i < 2; i++) {
          const answer = await ask(store, matchers, range);
          assert.equal(answer.text, expected.text, `${object} ${fault.type} ${seed}`);
          assert.deepEqual(answer.warnings, []);
        }
        const before = faulty.count("get_range");
        await ask(store, matchers, range);
        assert.equal(faulty.count("get_range"), before, "everything is cached");
        hits += faulty.calls.filter((call) => call.fault !== undefined).length;
      }
    }
  }
  assert.equal(hits, 80);
});
