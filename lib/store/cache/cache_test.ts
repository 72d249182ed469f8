import { strict as assert } from "node:assert";
import { FakeClock } from "../../base/mod.ts";
import { Random } from "../../base/testing/random.ts";
import { makeMatcher } from "../../model/mod.ts";
import { MemoryBucket } from "../../objstore/mod.ts";
import { bucketAcceptance } from "../../objstore/acceptance.ts";
import { FaultyBucket } from "../../objstore/testing/bucket_faulty.ts";
import { Metrics } from "../../telemetry/mod.ts";
import { sealCache, tieredCache } from "./byte_cache.ts";
import { openCachingBucket, openIndexCache, plainIndexCache } from "./cache_config.ts";
import { CacheMetrics } from "./cache_metrics.ts";
import { CachingBucket, type CachingBucketSettings } from "./caching_bucket.ts";
import { MemoryIndexCache, RemoteIndexCache, selectionKey } from "./index_cache.ts";
import { Lru } from "./lru.ts";
import { MemoryCache } from "./memory_cache.ts";
import { readPages } from "./pages.ts";
import { decodeRefs, encodeRefs } from "./refs_codec.ts";
import { type CacheClient, RemoteCache, type RemoteCacheOptions } from "./remote_cache.ts";

const MiB = 1024 * 1024;
const text = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
const bytesOf = (s: string) => new TextEncoder().encode(s);

function memory(clock = new FakeClock()): MemoryCache {
  return new MemoryCache({ maxBytes: 64 * MiB, maxItemBytes: MiB, clock });
}

Deno.test("Lru keeps the used ones within an exact budget", () => {
  const log: string[] = [];
  const each = 400 + 1 + 144;
  const lru = new Lru<Uint32Array>({
    maxBytes: 3 * each,
    maxItemBytes: 1000,
    observer: {
      added: (key) => log.push(`+${key}`),
      evicted: (key) => log.push(`-${key}`),
      overflowed: (key) => log.push(`!${key}`),
    },
  });
  const list = () => new Uint32Array(100);
  for (const key of ["a", "b", "c"]) lru.set(key, list(), Infinity);
  assert.equal(lru.bytes, 3 * each);
  assert.ok(lru.get("a", 0) !== undefined);
  lru.set("d", list(), Infinity);
  assert.equal(lru.get("b", 0), undefined);
  lru.set("e", new Uint32Array(1000), Infinity);
  assert.equal(lru.get("e", 0), undefined);
  assert.equal(lru.count, 3);
  assert.equal(lru.bytes, 3 * each);
  lru.set("a", new Uint32Array(10), 100);
  assert.equal(lru.bytes, 2 * each + 40 + 145);
  assert.ok(lru.get("a", 99) !== undefined);
  assert.equal(lru.get("a", 100), undefined);
  lru.delete("c");
  lru.delete("d");
  assert.equal(lru.bytes, 0);
  assert.deepEqual(log, ["+a", "+b", "+c", "+d", "-b", "!e", "-a", "+a", "-a", "-c", "-d"]);
});

Deno.test("MemoryCache forgets after the time to live and holds no foreign memory", async () => {
  const clock = new FakeClock();
  const cache = memory(clock);
  const large = bytesOf("x".repeat(1000));
  cache.set("k", large.subarray(0, 3), 1000);
  large.fill(0);
  assert.equal(text(cache.get(["k"])[0]), "xxx");
  assert.ok(cache.bytes < 200);
  await clock.advance(1000);
  assert.deepEqual(cache.get(["k"]), [undefined]);
  assert.equal(cache.bytes, 0);
});

Deno.test("sealCache() gives back what was stored under the key, and nothing else", async () => {
  const inner = memory();
  let damaged = 0;
  const sealed = sealCache(inner, () => damaged++);
  sealed.set("a", bytesOf("value"), 1000);
  sealed.set("empty", new Uint8Array(0), 1000);
  assert.deepEqual((await sealed.get(["a", "b", "empty"])).map(text), ["value", undefined, ""]);
  const [stored] = inner.get(["a"]);
  // Every flip, another key's value, and foreign bytes are misses.
  for (let bit = 0; bit < stored!.length * 8; bit++) {
    const copy = stored!.slice();
    copy[bit >> 3]! ^= 1 << (bit & 7);
    inner.set("a", copy, 1000);
    assert.deepEqual(await sealed.get(["a"]), [undefined]);
  }
  inner.set("b", stored!.slice(), 1000);
  inner.set("a", bytesOf("xy"), 1000);
  assert.deepEqual(await sealed.get(["a", "b"]), [undefined, undefined]);
  assert.equal(damaged, stored!.length * 8 + 2);
});

Deno.test("tieredCache() asks the far cache for what the near one lacks", async () => {
  const near = memory();
  const far = memory();
  far.set("b", bytesOf("far"), 1000);
  near.set("a", bytesOf("near"), 1000);
  const cache = tieredCache(near, far, 1000);
  assert.deepEqual((await cache.get(["a", "b", "c"])).map(text), ["near", "far", undefined]);
  assert.equal(text(near.get(["b"])[0]), "far");
  cache.delete("b");
  assert.deepEqual(await cache.get(["b"]), [undefined]);
});

Deno.test("refs survive the codec; every truncation is refused", () => {
  const random = new Random(5);
  for (
    const list of [
      [],
      [0],
      [0xffffffff],
      Array.from({ length: 300 }, () => random.below(2 ** 32)),
    ]
  ) {
    const refs = Uint32Array.from([...new Set(list)].sort((a, b) => a - b));
    const bytes = encodeRefs(refs);
    assert.deepEqual(decodeRefs(bytes), refs);
    for (let n = 0; n < bytes.length; n++) {
      assert.equal(decodeRefs(bytes.subarray(0, n)), undefined);
    }
  }
});

Deno.test("readPages() reads what the object has, whatever is cached", async () => {
  const random = new Random(11);
  const object = Uint8Array.from({ length: 10_007 }, () => random.below(256));
  for (let round = 0; round < 300; round++) {
    const cache = memory();
    let requests = 0;
    const read = (offset: number, length: number) => {
      requests++;
      return Promise.resolve(object.slice(offset, offset + length));
    };
    const store = {
      cache,
      key: (start: number) => `p${start}`,
      pageSize: [64, 100, 4096][round % 3]!,
      ttl: 1000,
      maxRequests: 1 + round % 3,
    };
    for (let i = 0; i < 6; i++) {
      const offset = random.below(object.length + 200);
      const length = 1 + random.below(i % 2 === 0 ? 300 : 6000);
      const into = random.chance(0.5) ? new Uint8Array(length + 7).fill(9) : undefined;
      requests = 0;
      const got = await readPages(store, read, offset, length, undefined, into);
      assert.deepEqual(got, object.slice(offset, offset + length));
      assert.ok(requests <= store.maxRequests, `${requests} requests`);
      requests = 0;
      const again = await readPages(store, read, offset, length, undefined);
      assert.deepEqual(again, object.slice(offset, offset + length));
      if (offset + length < object.length) assert.equal(requests, 0);
    }
  }
});

const TTLS: CachingBucketSettings = {
  chunkSubrangeSize: 100,
  maxChunksGetRangeRequests: 3,
  chunkObjectAttrsTtl: 1000,
  chunkSubrangeTtl: 1000,
  blocksIterTtl: 300,
  metafileExistsTtl: 500,
  metafileDoesntExistTtl: 100,
  metafileContentTtl: 1000,
  metafileMaxSize: 50,
};
const NO_TTLS: CachingBucketSettings = {
  ...TTLS,
  chunkObjectAttrsTtl: 0,
  chunkSubrangeTtl: 0,
  blocksIterTtl: 0,
  metafileExistsTtl: 0,
  metafileDoesntExistTtl: 0,
  metafileContentTtl: 0,
};

bucketAcceptance(
  "cached",
  () => ({ bucket: new CachingBucket(new MemoryBucket(), memory(), TTLS) }),
  Deno.test,
);
bucketAcceptance(
  "cached for no time",
  () => ({ bucket: new CachingBucket(new MemoryBucket(), memory(), NO_TTLS) }),
  Deno.test,
);

Deno.test("CachingBucket asks the bucket once while the times to live last", async () => {
  const clock = new FakeClock();
  const calls = new FaultyBucket(new MemoryBucket());
  const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
  const object = Uint8Array.from({ length: 950 }, (_, i) => i & 255);
  await calls.upload(`${id}/chunks/000001`, object);
  await calls.upload(`${id}/meta.json`, bytesOf("{}"));
  await calls.upload(`${id}/index`, object);
  const bucket = new CachingBucket(calls, memory(clock), TTLS);
  const made = async (work: () => Promise<unknown>) => {
    const before = calls.calls.length;
    await work();
    return calls.calls.slice(before).map((c) => c.operation);
  };
  const list = async () => {
    const entries = await Array.fromAsync(bucket.iter("", { recursive: true, attributes: true }));
    assert.equal(entries.length, 3);
    assert.equal(entries[0]!.attributes?.size, 950);
  };
  const rows: [() => Promise<unknown>, string, boolean][] = [
    [() => bucket.getRange(`${id}/chunks/000001`, 120, 700), "get_range", true],
    [() => bucket.attributes(`${id}/chunks/000001`), "attributes", true],
    [() => bucket.get(`${id}/meta.json`), "get", true],
    [() => bucket.exists(`${id}/deletion-mark.json`), "exists", true],
    [list, "iter", true],
    [() => bucket.getRange(`${id}/index`, 0, 10), "get_range", false],
    [() => bucket.get(`${id}/index`), "get", false],
    [() => bucket.attributes(`${id}/index`), "attributes", false],
    [() => bucket.exists(`${id}/index`), "exists", false],
  ];
  for (const [work, operation, cached] of rows) {
    assert.deepEqual(await made(work), [operation]);
    assert.deepEqual(await made(work), cached ? [] : [operation]);
  }
  // A meta that was read is known to exist.
  assert.deepEqual(await made(() => bucket.exists(`${id}/meta.json`)), []);
  await clock.advance(100);
  assert.deepEqual(await made(() => bucket.exists(`${id}/deletion-mark.json`)), ["exists"]);
  await clock.advance(200);
  assert.deepEqual(await made(list), ["iter"]);
  // What this process changes it sees at once.
  await bucket.upload(`${id}/meta.json`, bytesOf('{"a":1}'));
  assert.equal(text(await bucket.get(`${id}/meta.json`)), '{"a":1}');
  await bucket.delete(`${id}/meta.json`);
  assert.equal(await bucket.exists(`${id}/meta.json`), false);
  // Metas over the limit are not kept.
  await bucket.upload(`${id}/meta.json`, bytesOf(" ".repeat(51)));
  assert.deepEqual(await made(() => bucket.get(`${id}/meta.json`)), ["get"]);
  assert.deepEqual(await made(() => bucket.get(`${id}/meta.json`)), ["get"]);
});

Deno.test("CachingBucket caches no failure", async () => {
  const inner = new FaultyBucket(new MemoryBucket());
  const name = "01ARZ3NDEKTSV4RRFFQ69G5FAV/chunks/000001";
  await inner.upload(name, new Uint8Array(500));
  const bucket = new CachingBucket(inner, memory(), TTLS);
  inner.setRules([{ fault: { type: "error", kind: "unavailable" } }]);
  await assert.rejects(() => bucket.getRange(name, 0, 300));
  await assert.rejects(() => bucket.attributes(name));
  await assert.rejects(() => Array.fromAsync(bucket.iter("", { recursive: true })));
  inner.setRules([]);
  assert.equal((await bucket.getRange(name, 0, 300)).length, 300);
  assert.equal((await bucket.attributes(name)).size, 500);
  assert.equal((await Array.fromAsync(bucket.iter("", { recursive: true }))).length, 1);
});

/** A client in memory whose calls can be made to fail or to hang. */
class FakeClient implements CacheClient {
  mode: "good" | "fail" | "hang" = "good";
  calls = 0;
  resets = 0;
  readonly held = new Map<string, Uint8Array>();
  async #step(): Promise<void> {
    this.calls++;
    if (this.mode === "fail") throw new Error("broken pipe");
    if (this.mode === "hang") await new Promise(() => {});
  }
  async get(keys: readonly string[]) {
    await this.#step();
    return keys.map((key) => this.held.get(key));
  }
  async set(key: string, value: Uint8Array) {
    await this.#step();
    this.held.set(key, value);
  }
  async delete(key: string) {
    await this.#step();
    this.held.delete(key);
  }
  reset() {
    this.resets++;
  }
  async close() {}
}

function remote(client: CacheClient, options: Partial<RemoteCacheOptions> = {}): RemoteCache {
  return new RemoteCache(client, {
    getTimeout: 20,
    setTimeout: 20,
    getConcurrency: 10,
    getBatch: 2,
    setConcurrency: 1,
    setBuffer: 3,
    maxItemBytes: 100,
    breaker: { consecutiveFailures: 2, openDuration: 5000 },
    ...options,
  });
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("RemoteCache gives misses when the server fails or hangs, and leaves it alone then", async () => {
  const clock = new FakeClock();
  const client = new FakeClient();
  const failures: string[] = [];
  const cache = remote(client, {
    clock,
    observer: {
      request() {},
      called() {},
      failed: (operation, reason) => failures.push(`${operation} ${reason}`),
      skipped() {},
    },
  });
  cache.set("a", bytesOf("1"), 1000);
  await settled();
  assert.deepEqual((await cache.get(["x", "y", "a"])).map(text), [undefined, undefined, "1"]);
  assert.equal(client.calls, 3);
  client.mode = "fail";
  assert.deepEqual(await cache.get(["a"]), [undefined]);
  client.mode = "hang";
  assert.deepEqual(await cache.get(["a"]), [undefined]);
  assert.deepEqual(failures, ["getmulti other", "getmulti timeout"]);
  assert.equal(client.resets, 2);
  const calls = client.calls;
  assert.deepEqual(await cache.get(["a"]), [undefined]);
  cache.set("b", bytesOf("2"), 1000);
  await settled();
  assert.equal(client.calls, calls);
  client.mode = "good";
  await clock.advance(5000);
  assert.deepEqual((await cache.get(["a"])).map(text), ["1"]);
});

Deno.test("RemoteCache skips writes beyond its buffer and items too large", async () => {
  const client = new FakeClient();
  const skipped: string[] = [];
  const cache = remote(client, {
    observer: {
      request() {},
      called() {},
      failed() {},
      skipped: (_, reason) => skipped.push(reason),
    },
  });
  for (let i = 0; i < 5; i++) cache.set(`k${i}`, bytesOf("v"), 1000);
  cache.set("large", new Uint8Array(101), 1000);
  assert.deepEqual(skipped, ["buffer-full", "buffer-full", "max-item-size"]);
  await settled();
  assert.deepEqual([...client.held.keys()], ["k0", "k1", "k2"]);
});

Deno.test("RemoteCache lets go of a canceled request", async () => {
  const client = new FakeClient();
  client.mode = "hang";
  const cache = remote(client, { getConcurrency: 1, getTimeout: 50 });
  const first = cache.get(["a"]);
  const abort = new AbortController();
  const second = cache.get(["b"], abort.signal);
  abort.abort();
  assert.deepEqual(await second, [undefined]);
  assert.deepEqual(await first, [undefined]);
});

Deno.test("index caches keep postings, selections and pages apart, by what is enabled", async () => {
  const refs = Uint32Array.of(1, 5, 9);
  const wide = new Uint32Array(1000).subarray(10, 13);
  wide.set(refs);
  for (
    const make of [
      (items: ("Postings" | "Series")[]) =>
        new MemoryIndexCache({ maxBytes: MiB, maxItemBytes: MiB, items }),
      (items: ("Postings" | "Series")[]) =>
        new RemoteIndexCache({ cache: memory(), ttl: 1000, items }),
    ]
  ) {
    const all = make([]);
    all.putPostings("B", 7, wide);
    all.putSelection("B", "k", refs);
    all.series!.set("S:B:0", bytesOf("page"), 1000);
    assert.deepEqual(await all.postings("B", [7, 8]), [refs, undefined]);
    assert.deepEqual(await all.postings("C", [7]), [undefined]);
    assert.deepEqual(await all.selection("B", "k"), refs);
    assert.equal(await all.selection("C", "k"), undefined);
    assert.equal(text((await all.series!.get(["S:B:0"]))[0]), "page");
    const some = make(["Postings"]);
    some.putPostings("B", 7, refs);
    some.putSelection("B", "k", refs);
    assert.deepEqual(await some.postings("B", [7]), [refs]);
    assert.equal(await some.selection("B", "k"), undefined);
    assert.equal(some.series, undefined);
  }
});

Deno.test("selectionKey() depends on the matchers, not on their order", () => {
  const a = makeMatcher("=", "a", "1");
  const b = makeMatcher("!=", "b", "2;c");
  assert.equal(selectionKey([a, b]), selectionKey([b, a]));
  assert.notEqual(selectionKey([a, b]), selectionKey([a]));
  assert.notEqual(selectionKey([a]), selectionKey([makeMatcher("=~", "a", "1")]));
  assert.notEqual(
    selectionKey([makeMatcher("=", "a", '1"],["b')]),
    selectionKey([makeMatcher("=", "a", "1"), makeMatcher("=", "b", "")]),
  );
});

Deno.test("cache configurations are read strictly, with one line that says what is wrong", async () => {
  const metrics = new Metrics();
  const env = {
    metrics: new CacheMetrics(metrics),
    clock: new FakeClock(),
    readText: () => {
      throw new Error("no such file");
    },
    resolve: () => Promise.resolve([]),
  };
  const index = (yaml: string) => openIndexCache(yaml, env);
  const bucket = (yaml: string) => openCachingBucket(new MemoryBucket(), yaml, env);
  const rows: [(yaml: string) => Promise<unknown>, string, RegExp][] = [
    [
      index,
      "type: GROUPCACHE",
      /^create index cache: index cache with type GROUPCACHE is not supported/,
    ],
    [index, "config: {}", /the type of the index cache is missing/],
    [
      index,
      "type: IN-MEMORY\nconfig: {max_sise: 1MB}",
      /config.*max_sise: unknown key|max_sise: unknown key/,
    ],
    [
      index,
      "type: in-memory\nconfig: {max_size: 1MB, max_item_size: 2MB}",
      /max item size \(2097152\) cannot be bigger than overall cache size \(1048576\)/,
    ],
    [index, "type: IN-MEMORY\nenabled_items: [Posting]", /enabled_items\[0\].*Postings/],
    [index, "type: MEMCACHED", /no memcached addresses provided/],
    [index, "type: MEMCACHED\nconfig: {addresses: [localhost]}", /localhost is not <host>:<port>/],
    [index, "type: REDIS", /no redis addr provided/],
    [
      index,
      "type: REDIS\nconfig: {addr: 'h:1', tls_enabled: true, tls_config: {ca_file: /x}}",
      /ca_file \/x: no such file/,
    ],
    [bucket, "type: IN-MEMORY\nblocks_iter_ttl: 1y", /blocks_iter_ttl/],
    [bucket, "type: GROUPCACHE", /^create caching bucket: caching bucket with type GROUPCACHE/],
  ];
  for (const [open, yaml, expected] of rows) {
    await assert.rejects(() => open(yaml), (error: Error) => {
      assert.match(error.message, expected);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }
  const good = await index(
    "type: in-memory\nconfig: {max_size: 50MB}\nenabled_items: [Postings]\nttl: 1h",
  );
  good.putPostings("B", 1, Uint32Array.of(1));
  await index("type: REDIS\nconfig: {addr: 'localhost:1', cache_size: 1MB, db: 2}");
  const cached = await bucket("type: IN-MEMORY\nconfig: {max_size: 1MB}\nchunk_subrange_size: 100");
  await cached.upload("01ARZ3NDEKTSV4RRFFQ69G5FAV/meta.json", bytesOf("{}"));
  for (let i = 0; i < 2; i++) await cached.get("01ARZ3NDEKTSV4RRFFQ69G5FAV/meta.json");
  plainIndexCache(50 * MiB, env.metrics);
  const shown = await metrics.expose();
  assert.match(shown, /thanos_store_index_cache_items\{item_type="Postings"\} 1/);
  assert.match(
    shown,
    /thanos_store_bucket_cache_operation_hits_total\{operation="get",config="metafile"\} 1/,
  );
  assert.match(shown, /thanos_cache_inmemory_hits_total\{name="caching-bucket"\} 1/);
  assert.match(shown, /thanos_store_index_cache_max_size_bytes 5.24288e\+07/);
});
