/**
 * Zooming into time of which only downsampled data are left, on the golden bucket: without its long
 * raw block, and without its 5m block as well. What raw data answer is known.
 */
import assert from "node:assert/strict";
import { DuplicateFilter, MetaFetcher } from "../../lib/block/mod.ts";
import { formatLabels } from "../../lib/model/mod.ts";
import { FilesystemBucket, MemoryBucket } from "../../lib/objstore/mod.ts";
import { Engine, type MatrixValue } from "../../lib/promql/mod.ts";
import { CoarserStore, Querier, QueryRecorder } from "../../lib/query/mod.ts";
import { BucketStore, HeaderPool, StoreMetrics } from "../../lib/store/mod.ts";
import type { ComponentInfo, Store } from "../../lib/storeapi/mod.ts";
import { Metrics, silentLogger } from "../../lib/telemetry/mod.ts";
import { type BlockMeta, parseBlockMeta, resolutionOf, SystemFiles } from "../../lib/tsdb/mod.ts";

const GOLDEN = new URL("../../../shared/golden/bucket-compacted", import.meta.url).pathname;
const T0 = 1_790_208_000_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** The end of the blocks that were compacted and downsampled. */
const LONG_LEVEL = 4;

async function storeOf(keep: (meta: BlockMeta) => boolean): Promise<BucketStore> {
  const source = new FilesystemBucket(GOLDEN);
  const bucket = new MemoryBucket();
  for await (const { name } of source.iter("", { recursive: true })) {
    const block = name.slice(0, 26);
    if (block.length < 26) continue;
    const meta = parseBlockMeta(await source.get(`${block}/meta.json`), block);
    if (keep(meta)) await bucket.upload(name, await source.get(name));
  }
  const store = new BucketStore({
    bucket,
    fetcher: new MetaFetcher({ bucket, filters: [new DuplicateFilter()] }),
    headers: new HeaderPool({ bucket, files: new SystemFiles() }),
    metrics: new StoreMetrics(new Metrics()),
    logger: silentLogger,
  });
  await store.sync();
  return store;
}

/** The same store as one that does not know our extensions, behind the querier's second question. */
function asStranger(store: BucketStore): Store {
  const stranger: Store = {
    series({ coarserWhereMissing: _, ...request }, context) {
      return store.series(request, context);
    },
    labelNames: (request, context) => store.labelNames(request, context),
    labelValues: (request, context) => store.labelValues(request, context),
  };
  return new CoarserStore(stranger, () => {
    const info = store.info();
    const { fillsWithCoarser: _, ...told } = info.store!;
    return { ...info, store: told } satisfies ComponentInfo;
  });
}

interface Zoom {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

async function ask(
  store: Store,
  query: string,
  zoom: Zoom,
  options: { readonly strict?: boolean; readonly maxResolution?: number } = {},
) {
  const recorder = new QueryRecorder();
  const querier = new Querier({
    stores: () => store,
    dedupFunction: "penalty",
    strictResolution: options.strict ?? false,
  });
  const storage = querier.storage({
    deduplicate: false,
    replicaLabels: [],
    partialResponse: "abort",
    storeMatchers: [],
    tenant: "",
    maxResolution: options.maxResolution ?? 0,
    recorder,
  });
  const { signal } = new AbortController();
  const { value, annotations } = await new Engine().rangeQuery({ query, ...zoom, storage, signal });
  const points = new Map<string, number>();
  for (const { labels, t, v, h } of (value as MatrixValue).series) {
    for (let i = 0; i < t.length; i++) {
      points.set(`${formatLabels(labels)} ${t[i]}`, h?.[i]?.count ?? v[i]!);
    }
  }
  return { points, infos: annotations.infos, coverage: recorder.coverage() };
}

/** Selectors of one replica, so that the truth has no seams; and the error that is allowed. */
const QUERIES: [string, number][] = [
  ['rate(fast_events_total{replica="0"}[5m])', 0.35],
  ['increase(http_requests_total{replica="0"}[1h])', 0.25],
  ['sum(irate(http_requests_total{replica="0"}[5m]))', 0.5],
  ['memory_usage_bytes{replica="0"}', 0.02],
  ['avg_over_time(memory_usage_bytes{replica="0"}[5m])', 0.02],
  ['max_over_time(memory_usage_bytes{replica="0"}[5m])', 0.05],
  ['min_over_time(temperature_celsius{replica="0"}[5m])', 0.35],
  ['max(temperature_celsius{replica="0"})', 0.35],
  ['count(up{replica="0"})', 0],
  ['count_over_time(up{replica="0"}[5m])', 0.05],
  ['sum_over_time(up{replica="0"}[5m])', 0.05],
  ['histogram_quantile(0.9, rate(request_duration_seconds_bucket{replica="0"}[5m]))', 0.01],
  ['histogram_quantile(0.9, rate(rpc_latency_seconds{replica="0"}[5m]))', 0.1],
  ['histogram_count(rate(rpc_latency_float_seconds{replica="0"}[5m]))', 0.25],
  ['rpc_latency_seconds{replica="0"}', 0.02],
  ['max_over_time(rate(fast_events_total{replica="0"}[5m])[30m:1m])', 0.6],
  ['rate(fast_events_total{replica="0"}[5m] offset 1d)', 0.35],
];
const ZOOMS: Record<string, Zoom> = {
  "an hour": { start: T0 + 5 * DAY + 7 * MINUTE, end: T0 + 5 * DAY + 67 * MINUTE, step: 30_000 },
  "a minute": { start: T0 + 6 * DAY + 31 * MINUTE, end: T0 + 6 * DAY + 32 * MINUTE, step: 15_000 },
  "the seam": { start: T0 + 14 * DAY - HOUR, end: T0 + 14 * DAY + HOUR, step: MINUTE },
};

Deno.test("zooming into downsampled time shows what raw data would, says so, and never nothing", async () => {
  if ((await Deno.stat(GOLDEN).catch(() => undefined)) === undefined) {
    console.log(`skipped: ${GOLDEN} is not there`);
    return;
  }
  const truth = await storeOf(() => true);
  const young = (meta: BlockMeta) => meta.compaction.level < LONG_LEVEL;
  const minutes = await storeOf((meta) => resolutionOf(meta) > 0 || young(meta));
  const hours = await storeOf((meta) => resolutionOf(meta) > 300_000 || young(meta));
  for (const [name, zoom] of Object.entries(ZOOMS)) {
    for (const [query, allowed] of QUERIES) {
      const expected = (await ask(truth, query, zoom)).points;
      for (const [store, resolution] of [[minutes, 300_000], [hours, 3_600_000]] as const) {
        const what = `${query}, ${name}, ${resolution}`;
        const { points, infos, coverage } = await ask(store, query, zoom);
        let error = 0;
        let size = 0;
        for (const [key, value] of expected) {
          const found = points.get(key);
          assert.ok(found !== undefined, `${what}: nothing at ${key}`);
          error += Math.abs(found - value);
          size += Math.abs(value);
        }
        assert.ok(error <= allowed * size, `${what}: error ${(error / size).toFixed(3)}`);
        assert.equal(infos.length, 1, what);
        assert.match(infos[0]!, resolution === 300_000 ? /^5m down/ : /^1h down/, what);
        assert.ok(coverage.some((c) => c.resolution === resolution), what);
        const stranger = await ask(asStranger(store), query, zoom);
        assert.deepEqual(stranger, { points, infos, coverage }, `${what}: second question`);
      }
    }
  }
});

Deno.test("a strict querier answers nothing where nothing as fine as asked for is kept", async () => {
  if ((await Deno.stat(GOLDEN).catch(() => undefined)) === undefined) {
    console.log(`skipped: ${GOLDEN} is not there`);
    return;
  }
  const store = await storeOf((meta) => resolutionOf(meta) > 0);
  const zoom = ZOOMS["an hour"]!;
  for (const each of [store, asStranger(store)]) {
    const strict = await ask(each, "memory_usage_bytes", zoom, { strict: true });
    assert.deepEqual([strict.points.size, strict.infos, strict.coverage], [0, [], []]);
    const { points, infos, coverage } = await ask(each, "memory_usage_bytes", zoom, {
      maxResolution: 300_000,
    });
    assert.ok(points.size > 0);
    assert.deepEqual(infos, [], "what was asked for needs no word");
    assert.deepEqual(coverage.map((c) => c.resolution), [300_000]);
  }
});

Deno.test("a range that begins where raw data begin has no word about what lies before", async () => {
  if ((await Deno.stat(GOLDEN).catch(() => undefined)) === undefined) {
    console.log(`skipped: ${GOLDEN} is not there`);
    return;
  }
  const young = (meta: BlockMeta) => meta.compaction.level < LONG_LEVEL;
  const seam = T0 + 14 * DAY;
  for (const resolution of [300_000, 3_600_000]) {
    const store = await storeOf((meta) => resolutionOf(meta) >= resolution || young(meta));
    for (const each of [store, asStranger(store)]) {
      for (const [query] of QUERIES) {
        const start = query.includes("offset 1d") ? seam + DAY : seam;
        // Long ranges reach into what lies before, and that is told.
        if (/\[(?:1h|30m:)/.test(query)) continue;
        const infos = async (from: number) =>
          (await ask(each, query, { start: from, end: start + HOUR, step: MINUTE })).infos;
        assert.deepEqual(await infos(start), [], query);
        assert.equal((await infos(start - 10 * MINUTE)).length, 1, query);
      }
    }
  }
});
