/**
 * The store gateway through a querier, as the scenarios of upstream's end-to-end tests have it: what
 * appears in the bucket and goes is served and dropped, with the figures that the metrics must show.
 */
import { strict as assert } from "node:assert";
import { makeUlid, ulidTime } from "../../lib/base/mod.ts";
import { type FloatHistogram, labelsFromRecord, SampleBatch } from "../../lib/model/mod.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { ChildProcess, freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { addBlock } from "../../lib/store/testing/small_bucket.ts";
import { type Server, Stage, until } from "../mneme.ts";

const HOUR = 3_600_000;
const now = Date.now();
/** Blocks hold the last two hours, and the two from six hours ago. */
const START = now - 2 * HOUR;

function histogram(count: number, integer: boolean): FloatHistogram {
  return {
    counterResetHint: "unknown",
    schema: 0,
    zeroThreshold: 0.001,
    zeroCount: 1,
    count,
    sum: Float64Array.of(5.5),
    positiveSpans: [{ offset: 0, length: 1 }],
    negativeSpans: [],
    positiveBuckets: Float64Array.of(count - 1),
    negativeBuckets: new Float64Array(0),
    customValues: new Float64Array(0),
    ...(integer ? { integer } : {}),
  };
}

function samples(kind: "float" | "histogram" | "float histogram"): SampleBatch {
  const batch = new SampleBatch(40);
  for (let i = 0; i < 40; i++) {
    batch.t[i] = START + i * 180_000;
    batch.v[i] = i;
  }
  batch.length = 40;
  if (kind !== "float") {
    const h = batch.ensureHistograms();
    const integer = kind === "histogram";
    for (let i = 0; i < 40; i++) h[i] = histogram(integer ? i + 1 : i + 1.5, integer);
  }
  return batch;
}

let made = 0;

interface BlockOptions {
  readonly kind?: "float" | "histogram" | "float histogram";
  /** Just uploaded: the consistency delay hides it. */
  readonly fresh?: boolean;
}

/** Adds a block with one series; its id says when it was made, as nothing else does. */
async function add(
  bucket: FilesystemBucket,
  labels: Record<string, string>,
  options: BlockOptions = {},
): Promise<string> {
  const time = options.fresh === true ? now + HOUR : now - 30 * 60_000;
  const id = makeUlid(time, (target) => new DataView(target.buffer).setUint32(0, ++made));
  const series = [{
    labels: labelsFromRecord({ __name__: "m", a: "1", b: "1" }),
    samples: samples(options.kind ?? "float"),
  }];
  await addBlock(bucket, { id, series, labels, maxTime: now });
  const name = `${id}/meta.json`;
  const meta = JSON.parse(new TextDecoder().decode(await bucket.get(name)));
  meta.thanos.upload_time = "0001-01-01T00:00:00Z";
  await bucket.upload(name, new TextEncoder().encode(JSON.stringify(meta)));
  assert.equal(ulidTime(id), time);
  return id;
}

async function metrics(server: Server): Promise<string> {
  return await (await fetch(`${server.http}/metrics`)).text();
}

/** Sum of the values of a metric whose labels contain `labels`. */
function sum(text: string, name: string, labels = ""): number {
  let total = 0;
  for (const line of text.split("\n")) {
    const m = /^(\w+)(\{[^}]*\})? (\S+)$/.exec(line);
    if (m?.[1] === name && (m[2] ?? "").includes(labels)) total += Number(m[3]);
  }
  return total;
}

/** Waits until the blocks are as told, with no failure on the way. */
async function blocks(server: Server, synced: number, loaded: number, drops: number) {
  await until(`${loaded} of ${synced} blocks loaded, ${drops} dropped`, async () => {
    const text = await metrics(server);
    assert.equal(sum(text, "thanos_bucket_store_block_load_failures_total"), 0);
    assert.equal(sum(text, "thanos_blocks_meta_sync_failures_total"), 0);
    return sum(text, "thanos_blocks_meta_synced") === synced &&
      sum(text, "thanos_bucket_store_blocks_loaded") === loaded &&
      sum(text, "thanos_bucket_store_block_drops_total") === drops;
  });
}

async function figures(server: Server, labels = ""): Promise<[number, number, number]> {
  const text = await metrics(server);
  const of = (name: string) => sum(text, `thanos_bucket_store_${name}_sum`, labels);
  return [of("series_data_touched"), of("series_data_fetched"), of("series_blocks_queried")];
}

interface Ask {
  readonly dedup: boolean;
  readonly time?: number;
  readonly tenant?: string;
}

async function ask(querier: Server, query: string, how: Ask): Promise<Record<string, string>[]> {
  const params = new URLSearchParams({
    query,
    time: String((how.time ?? now) / 1000),
    dedup: String(how.dedup),
    partial_response: "false",
  });
  const answer = await fetch(`${querier.http}/api/v1/query?${params}`, {
    headers: how.tenant === undefined ? {} : { "THANOS-TENANT": how.tenant },
  });
  const body = await answer.json();
  if (body.status !== "success") throw new Error(body.error);
  assert.equal(body.warnings, undefined);
  return body.data.result.map((r: { metric: Record<string, string> }) => r.metric);
}

/** Waits until the querier has met its stores. */
async function querierOf(stage: Stage, stores: readonly Server[]): Promise<Server> {
  const querier = await stage.mneme("query", [
    ...stores.map((store) => `--endpoint=${store.grpc}`),
    "--query.replica-label=replica",
    "--endpoint.info-timeout=20s",
  ]);
  await until("the querier knows its stores", async () => {
    const { data } = await (await fetch(`${querier.http}/api/v1/stores`)).json();
    return data.store?.length === stores.length;
  });
  return querier;
}

const RELABEL = "--selector.relabel-config=- {action: drop, source_labels: [ext1], regex: value2}";

function processTest(name: string, fn: (stage: Stage, bucket: FilesystemBucket) => Promise<void>) {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using stage = await Stage.open();
      await Deno.mkdir(`${stage.folder}/bucket`);
      const bucket = new FilesystemBucket(`${stage.folder}/bucket`);
      await fn(stage, bucket);
      await bucket.close();
    },
  });
}

async function memcached<T>(run: (address: string) => Promise<T>): Promise<T | undefined> {
  if (!isOnPath("memcached")) {
    console.log("skipped: memcached is not on PATH");
    return undefined;
  }
  const port = freePort();
  const server = ChildProcess.start({
    name: "memcached",
    command: "memcached",
    args: ["-l", "127.0.0.1", "-p", `${port}`, "-U", "0", "-u", "nobody"],
  });
  try {
    await until("memcached listens", async () => {
      (await Deno.connect({ port, hostname: "127.0.0.1" })).close();
      return true;
    });
    return await run(`127.0.0.1:${port}`);
  } finally {
    server.kill("SIGKILL");
    await server.exit;
  }
}

processTest("S1-S8, S10: blocks come and go behind a caching bucket", async (stage, bucket) => {
  await memcached(async (address) => {
    const store = await stage.store(`${stage.folder}/bucket`, [
      `--store.caching-bucket.config=${
        JSON.stringify({
          type: "MEMCACHED",
          config: { addresses: [address] },
          blocks_iter_ttl: "0s",
          metafile_exists_ttl: "0s",
          metafile_doesnt_exist_ttl: "0s",
          metafile_content_ttl: "0s",
        })
      }`,
      RELABEL,
      "--consistency-delay=30m",
      "--sync-block-duration=200ms",
    ]);
    // S1: an empty bucket.
    const page = await fetch(`${store.http}/api/v1/blocks?view=loaded`);
    assert.equal(page.status, 200);
    assert.deepEqual((await page.json()).data.blocks, []);
    const querier = await querierOf(stage, [store]);

    const first = await add(bucket, { ext1: "value1", replica: "1" });
    await add(bucket, { ext1: "value1", replica: "2" });
    await add(bucket, { ext1: "value2", replica: "1" });
    await add(bucket, { ext1: "value1", replica: "9" }, { fresh: true });
    const whole = await add(bucket, { ext1: "value3", replica: "1" }, { kind: "histogram" });
    await add(bucket, { ext1: "value4", replica: "1" }, { kind: "float histogram" });
    await blocks(store, 6, 4, 0);
    const query = '{a="1"}';
    const external = (found: Record<string, string>[]) =>
      found.map((m) => `${m.ext1} ${m.replica ?? ""}`.trim()).sort();

    const one = await until("all blocks are known to the querier", async () => {
      const answer = await ask(querier, query, { dedup: false, tenant: "test-tenant-1" });
      return answer.length === 4 && answer;
    });
    assert.deepEqual(external(one), ["value1 1", "value1 2", "value3 1", "value4 1"]);
    // The querier knows the labels of new blocks after its next look; only whole answers count here.
    assert.deepEqual(await figures(store, 'tenant="test-tenant-1"'), [12, 12, 4]);
    assert.deepEqual(await figures(store), [12, 12, 4]);
    const cached = async () =>
      sum(
        await metrics(store),
        "thanos_store_bucket_cache_operation_hits_total",
        'config="chunks"',
      );
    assert.equal(await cached(), 0);

    const deduplicated = await ask(querier, query, { dedup: true, tenant: "test-tenant-2" });
    assert.deepEqual(external(deduplicated), ["value1", "value3", "value4"]);
    assert.deepEqual(await figures(store), [24, 16, 8]);
    assert.deepEqual(await figures(store, 'tenant="test-tenant-2"'), [12, 4, 4]);
    assert.deepEqual(await figures(store, 'tenant="test-tenant-1"'), [12, 12, 4]);
    await until("chunks come from the cache", async () => {
      await ask(querier, query, { dedup: true });
      return await cached() > 0 &&
        sum(await metrics(store), "thanos_cache_memcached_hits_total") > 0;
    });

    // S5: a meta.json goes.
    await bucket.delete(`${first}/meta.json`);
    await blocks(store, 6, 3, 1);
    assert.equal((await ask(querier, query, { dedup: false })).length, 3);
    // S6: a replica comes.
    await add(bucket, { ext1: "value1", replica: "3" });
    await blocks(store, 7, 4, 1);
    await until(
      "the new replica is served",
      async () => (await ask(querier, query, { dedup: false })).length === 4,
    );
    // S7: a block goes.
    for (const file of ["meta.json", "index", "chunks/000001"]) {
      await bucket.delete(`${whole}/${file}`);
    }
    await blocks(store, 6, 3, 2);
    assert.equal((await ask(querier, query, { dedup: false })).length, 3);
    // S8: a negative offset.
    const later = { dedup: false, time: now - 4 * HOUR };
    assert.equal((await ask(querier, `${query} offset -4h`, later)).length, 3);
  });
});

processTest("S9: the same with index headers in memory", async (stage, bucket) => {
  const first = await add(bucket, { ext1: "value1", replica: "1" });
  await add(bucket, { ext1: "value1", replica: "2" });
  await add(bucket, { ext1: "value2", replica: "1" });
  await add(bucket, { ext1: "value1", replica: "9" }, { fresh: true });
  const store = await stage.store(`${stage.folder}/bucket`, [
    "--no-cache-index-header",
    RELABEL,
    "--consistency-delay=30m",
    "--sync-block-duration=200ms",
  ]);
  const querier = await querierOf(stage, [store]);
  await blocks(store, 4, 2, 0);
  const query = '{a="1"}';
  assert.equal((await ask(querier, query, { dedup: false })).length, 2);
  assert.deepEqual(await figures(store), [6, 6, 2]);
  assert.equal((await ask(querier, query, { dedup: true })).length, 1);
  assert.deepEqual(await figures(store), [12, 8, 4]);
  await bucket.delete(`${first}/meta.json`);
  await blocks(store, 4, 1, 1);
  assert.equal((await ask(querier, query, { dedup: false })).length, 1);
  assert.equal((await figures(store))[2], 5);
  const third = await add(bucket, { ext1: "value1", replica: "3" });
  await blocks(store, 5, 2, 1);
  await until(
    "the new replica is served",
    async () => (await ask(querier, query, { dedup: false })).length === 2,
  );
  for (const file of ["meta.json", "index", "chunks/000001"]) {
    await bucket.delete(`${third}/${file}`);
  }
  await blocks(store, 4, 1, 2);
  assert.equal((await ask(querier, query, { dedup: false })).length, 1);
});

processTest(
  "S12: what a request may download is told by what it was about",
  async (stage, bucket) => {
    await add(bucket, { ext1: "value1", replica: "1" });
    const run = async (limit: number, check: (querier: Server, store: Server) => Promise<void>) => {
      const store = await stage.store(`${stage.folder}/bucket`, [
        `--store.grpc.downloaded-bytes-limit=${limit}B`,
      ]);
      const querier = await querierOf(stage, [store]);
      await check(querier, store);
      await Promise.all([querier.child.stop(), store.child.stop()]);
    };
    const fetched = { postings: 0, series: 0 };
    await run(0, async (querier, store) => {
      assert.equal((await ask(querier, '{a="1"}', { dedup: false })).length, 1);
      const text = await metrics(store);
      for (const type of ["postings", "series"] as const) {
        const name = "thanos_bucket_store_series_data_size_fetched_bytes_sum";
        fetched[type] = sum(text, name, `data_type="${type}"`);
      }
    });
    const rows: [number, string][] = [
      [1, "fetch and expand postings: exceeded bytes limit while fetching postings"],
      [fetched.postings, "preload series .*: exceeded bytes limit while fetching series"],
      [
        fetched.postings + fetched.series,
        "load chunks .*: exceeded bytes limit while fetching chunks",
      ],
    ];
    for (const [limit, expected] of rows) {
      await run(limit, async (querier, store) => {
        await assert.rejects(
          () => ask(querier, '{a="1"}', { dedup: false }),
          new RegExp(`${expected}: limit ${limit} violated`),
        );
        const text = await metrics(store);
        assert.equal(sum(text, "thanos_bucket_store_queries_dropped_total", 'reason="bytes"'), 1);
      });
    }
  },
);

processTest("S14: an index cache in memcached answers the second time", async (stage, bucket) => {
  await memcached(async (address) => {
    await add(bucket, { ext1: "value1", replica: "1" });
    const store = await stage.store(`${stage.folder}/bucket`, [
      `--index-cache.config=${
        JSON.stringify({ type: "MEMCACHED", config: { addresses: [address] } })
      }`,
    ]);
    const querier = await querierOf(stage, [store]);
    const expanded = async () => {
      const text = await metrics(store);
      const of = (part: string) =>
        sum(text, `thanos_store_index_cache_${part}_total`, 'item_type="ExpandedPostings"');
      return [of("requests"), of("hits")];
    };
    assert.equal((await ask(querier, '{a="1"}', { dedup: false })).length, 1);
    assert.deepEqual(await expanded(), [1, 0]);
    await until(
      "the value was stored",
      async () =>
        sum(await metrics(store), "thanos_memcached_operations_total", 'operation="set"') >= 3,
    );
    assert.equal((await ask(querier, '{a="1"}', { dedup: false })).length, 1);
    assert.deepEqual(await expanded(), [2, 1]);
  });
});

processTest("S15, S16: lazy postings are counted where they are enabled", async (stage, bucket) => {
  const series = Array.from({ length: 10_000 }, (_, i) => {
    const batch = new SampleBatch(2);
    batch.t.set([START, now - 60_000]);
    batch.v.set([i, i]);
    batch.length = 2;
    return { labels: labelsFromRecord({ __name__: "m", a: String(i), b: "1" }), samples: batch };
  });
  const id = makeUlid(now - 30 * 60_000, (target) => target.fill(1));
  await addBlock(bucket, { id, series, labels: { ext1: "value1" }, maxTime: now });
  const lazy = await stage.store(`${stage.folder}/bucket`, [
    "--store.enable-lazy-expanded-postings",
  ]);
  const eager = await stage.store(`${stage.folder}/bucket`);
  const counted = async (store: Server) =>
    sum(await metrics(store), "thanos_bucket_store_lazy_expanded_postings_total");
  for (const store of [lazy, eager]) {
    const querier = await querierOf(stage, [store]);
    const value = async (query: string) => {
      const params = new URLSearchParams({ query, time: String((now - 60_000) / 1000) });
      const { data } = await (await fetch(`${querier.http}/api/v1/query?${params}`)).json();
      return data.result[0]?.value[1];
    };
    assert.equal(await value('count({b="1"})'), "10000");
    assert.equal(await counted(store), 0);
    assert.equal(await value('count({a="7",b="1"})'), "1");
    assert.equal(await counted(store), store === lazy ? 1 : 0);
    await querier.child.stop();
  }
});
