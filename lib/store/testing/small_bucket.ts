/** Buckets with small blocks, and store gateways over them, for tests. */
import { type Clock, makeUlid, systemClock } from "../../base/mod.ts";
import {
  DuplicateFilter,
  type FetcherObserver,
  MetaFetcher,
  type MetaFilter,
  uploadBlock,
} from "../../block/mod.ts";
import { encodeSamples } from "../../chunks/mod.ts";
import { compareLabels, labelsFromRecord } from "../../model/mod.ts";
import type { Bucket } from "../../objstore/mod.ts";
import type { SeriesData } from "../../storeapi/testing/fixtures.ts";
import { Metrics, silentLogger } from "../../telemetry/mod.ts";
import {
  type BlockDetails,
  type BlockMeta,
  BlockWriter,
  type Files,
  makeThanosMeta,
} from "../../tsdb/mod.ts";
import { MemoryFiles } from "../../tsdb/testing/memory_files.ts";
import { BucketStore, type BucketStoreOptions } from "../bucket_store.ts";
import { HeaderPool, type HeaderPoolOptions } from "../header_pool.ts";
import { StoreMetrics } from "../store_metrics.ts";

/** A distinct, repeatable block id for each number; higher numbers are younger. */
export function blockId(n: number): string {
  return makeUlid(1_790_208_000_000 + n * 1000, (target) => target.fill(7));
}

/** How a block is made; the rest of its meta.json follows from the series. */
export interface SmallBlock {
  readonly id: string;
  readonly series: readonly SeriesData[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly samplesPerChunk?: number;
  readonly segmentSize?: number;
  readonly resolution?: number;
  readonly sources?: readonly string[];
  readonly minTime?: number;
  readonly maxTime?: number;
}

/** Writes and uploads a block. */
export async function addBlock(bucket: Bucket, block: SmallBlock): Promise<BlockMeta> {
  const files = new MemoryFiles();
  files.mkdir("/blocks");
  const writer = new BlockWriter({
    files,
    directory: "/blocks",
    ulid: block.id,
    ...(block.segmentSize === undefined ? {} : { segmentSize: block.segmentSize }),
  });
  const sorted = block.series.toSorted((a, b) => compareLabels(a.labels, b.labels));
  for (const { labels, samples } of sorted) {
    writer.beginSeries(labels);
    let at = 0;
    const perChunk = block.samplesPerChunk ?? 120;
    for (const c of encodeSamples(samples, 0, samples.length, perChunk)) {
      const count = Math.min(perChunk, samples.length - at);
      at += count;
      writer.addChunk(c.chunk.encoding, c.chunk.data, c.minTime, c.maxTime, count);
    }
  }
  const details: BlockDetails = {
    ...(block.minTime === undefined ? {} : { minTime: block.minTime }),
    ...(block.maxTime === undefined ? {} : { maxTime: block.maxTime }),
    ...(block.sources === undefined ? {} : { compaction: { sources: block.sources } }),
    thanos: makeThanosMeta({
      labels: labelsFromRecord(block.labels ?? { cluster: "eu1", replica: "0" }),
      resolution: block.resolution ?? 0,
      source: "test",
    }),
  };
  writer.finish(details);
  return await uploadBlock(bucket, files, `/blocks/${block.id}`);
}

/** A store gateway with what a test wants to change. */
export interface SmallStoreOptions extends Partial<BucketStoreOptions> {
  readonly files?: Files;
  readonly dataDirectory?: string;
  readonly filters?: readonly MetaFilter[];
  readonly observer?: FetcherObserver;
  readonly headerOptions?: Partial<HeaderPoolOptions>;
  readonly registry?: Metrics;
}

/** Makes a store gateway over a bucket; not synced yet. */
export function makeStore(bucket: Bucket, options: SmallStoreOptions = {}): BucketStore {
  const { files, dataDirectory, filters, observer, headerOptions, registry, ...rest } = options;
  const clock: Clock = options.clock ?? systemClock;
  return new BucketStore({
    bucket,
    fetcher: new MetaFetcher({
      bucket,
      clock,
      filters: filters ?? [new DuplicateFilter()],
      ...(observer === undefined ? {} : { observer }),
    }),
    headers: new HeaderPool({
      bucket,
      clock,
      files: files ?? new MemoryFiles(),
      ...(dataDirectory === undefined ? {} : { dataDirectory }),
      ...headerOptions,
    }),
    metrics: new StoreMetrics(registry ?? new Metrics()),
    logger: silentLogger,
    ...rest,
  });
}
