/**
 * Our store gateway on the golden bucket against what Thanos' answered there: the recorded gRPC
 * messages of `storeapi-frames.jsonl`, call by call and byte by byte.
 */
import { strict as assert } from "node:assert";
import { compareUtf8 } from "../../lib/base/mod.ts";
import { DuplicateFilter, MetaFetcher } from "../../lib/block/mod.ts";
import { formatLabels } from "../../lib/model/mod.ts";
import { type Bucket, FilesystemBucket, MemoryBucket, openBucket } from "../../lib/objstore/mod.ts";
import { BucketStore, HeaderPool, MemoryIndexCache, StoreMetrics } from "../../lib/store/mod.ts";
import {
  type CallContext,
  type ComponentInfo,
  decodeInfo,
  decodeLabelNamesRequest,
  decodeLabelValuesRequest,
  decodeSeriesFrame,
  decodeSeriesRequest,
  decodeStringsResponse,
  encodeFrames,
  encodeInfo,
  encodeStringsResponse,
} from "../../lib/storeapi/mod.ts";
import { Metrics, silentLogger } from "../../lib/telemetry/mod.ts";
import { SystemFiles } from "../../lib/tsdb/mod.ts";
import { s3Document, startS3rver } from "../servers/object_storage.ts";

const golden = new URL("../../../shared/golden/", import.meta.url).pathname;

interface RecordedCall {
  readonly name: string;
  readonly method: string;
  readonly request_b64: string;
  readonly responses_b64: readonly string[];
  readonly request: Record<string, unknown> | null;
}

async function recordedCalls(): Promise<RecordedCall[] | undefined> {
  try {
    const text = await Deno.readTextFile(`${golden}storeapi-frames.jsonl`);
    return text.trim().split("\n").map((line) => JSON.parse(line) as RecordedCall);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`skipped: ${golden}storeapi-frames.jsonl is not there`);
    return undefined;
  }
}

async function openStore(bucket: Bucket, dataDirectory?: string): Promise<BucketStore> {
  const store = new BucketStore({
    bucket,
    fetcher: new MetaFetcher({ bucket, filters: [new DuplicateFilter()] }),
    headers: new HeaderPool({
      bucket,
      files: new SystemFiles(),
      ...(dataDirectory === undefined ? {} : { dataDirectory }),
    }),
    cache: new MemoryIndexCache({ maxBytes: 1024 * 1024, maxItemBytes: 1024 * 1024 }),
    metrics: new StoreMetrics(new Metrics()),
    logger: silentLogger,
  });
  await store.sync();
  return store;
}

const context: CallContext = { signal: new AbortController().signal, tenant: "default-tenant" };

async function answer(store: BucketStore, call: RecordedCall): Promise<Uint8Array[]> {
  const request = Uint8Array.fromBase64(call.request_b64);
  switch (call.method) {
    case "/thanos.info.Info/Info":
      return [encodeInfo(store.info())];
    case "/thanos.Store/Series": {
      const decoded = decodeSeriesRequest(request);
      const frames = store.series(decoded, context);
      return await Array.fromAsync(
        encodeFrames(frames, decoded.responseBatchSize),
        (m) => m.slice(),
      );
    }
    case "/thanos.Store/LabelNames":
      return [
        encodeStringsResponse(await store.labelNames(decodeLabelNamesRequest(request), context)),
      ];
    case "/thanos.Store/LabelValues":
      return [
        encodeStringsResponse(await store.labelValues(decodeLabelValuesRequest(request), context)),
      ];
  }
  throw new Error(`unknown method ${call.method}`);
}

/** Time spans come in the order of a map there, in the order of label sets here. */
function ordered(info: ComponentInfo): unknown {
  const key = (t: { labels: ComponentInfo["labelSets"][number]; minTime: number }) =>
    `${formatLabels(t.labels)} ${t.minTime}`;
  const tsdbInfos = info.store!.tsdbInfos.toSorted((a, b) => compareUtf8(key(a), key(b)));
  const store = { ...info.store!, tsdbInfos };
  // A word of our own.
  delete (store as { fillsWithCoarser?: boolean }).fillsWithCoarser;
  // Statistics of blocks are ours as well.
  const { status: _, ...rest } = info;
  return { ...rest, store };
}

async function compareAll(store: BucketStore, calls: readonly RecordedCall[]): Promise<void> {
  for (const call of calls) {
    const what = `${call.name} ${JSON.stringify(call.request)}`;
    const expected = call.responses_b64.map((text) => Uint8Array.fromBase64(text));
    const actual = await answer(store, call);
    if (call.name === "info") {
      assert.deepEqual(ordered(decodeInfo(actual[0]!)), ordered(decodeInfo(expected[0]!)));
    } else if (call.method === "/thanos.Store/Series") {
      // Decoded first: a difference is then shown in words.
      assert.deepEqual(decodeSeriesFrame(actual), decodeSeriesFrame(expected), what);
      assert.deepEqual(actual, expected, `${what}: bytes`);
    } else {
      const { values, warnings, hints } = decodeStringsResponse(actual[0]!);
      const wanted = decodeStringsResponse(expected[0]!);
      assert.deepEqual({ values, warnings }, { values: wanted.values, warnings: [] }, what);
      assert.equal(hints?.typeUrl, wanted.hints?.typeUrl, what);
      assert.deepEqual(blockIds(hints?.value), blockIds(wanted.hints?.value), what);
    }
  }
}

/** The ids in a hints message, sorted: queried blocks come in no special order. */
function blockIds(bytes: Uint8Array | undefined): string[] {
  const text = new TextDecoder("latin1").decode(bytes ?? new Uint8Array(0));
  return (text.match(/[0-9A-HJKMNP-TV-Z]{26}/g) ?? []).sort();
}

Deno.test("the store gateway answers as Thanos' on the golden bucket", async () => {
  const calls = await recordedCalls();
  if (calls === undefined) return;
  assert.equal(calls.length, 21);
  const folder = await Deno.makeTempDir({ prefix: "mneme-golden-" });
  try {
    const bucket = new FilesystemBucket(`${golden}bucket-compacted`);
    // First with headers built on the way, then warm, then with those left on the disk.
    const store = await openStore(bucket, folder);
    await compareAll(store, calls);
    await compareAll(store, calls);
    await compareAll(await openStore(bucket, folder), calls);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the store gateway needs no disk of its own", async () => {
  const calls = await recordedCalls();
  if (calls === undefined) return;
  const bucket = new MemoryBucket();
  const source = new FilesystemBucket(`${golden}bucket-compacted`);
  for await (const { name } of source.iter("", { recursive: true })) {
    await bucket.upload(name, await source.get(name));
  }
  await compareAll(await openStore(bucket), calls);
});

Deno.test({
  name: "the store gateway answers the same from S3",
  // The server lives in another process.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const calls = await recordedCalls();
    if (calls === undefined) return;
    const server = await startS3rver(["golden"]);
    const bucket = await openBucket(s3Document(server.port, "golden"));
    try {
      const source = new FilesystemBucket(`${golden}bucket-compacted`);
      for await (const { name } of source.iter("", { recursive: true })) {
        await bucket.upload(name, await source.get(name));
      }
      await compareAll(await openStore(bucket), calls);
    } finally {
      await bucket.close();
      await server.stop();
    }
  },
});
