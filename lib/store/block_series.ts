/**
 * Answers a request from one block: matchers → postings → series entries → chunks, in few range
 * reads and bounded batches.
 */
import {
  Breather,
  type BufferPool,
  CorruptionError,
  crc32c,
  errorKind,
  errorMessage,
  type Gate,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";
import {
  appendChunk,
  type Chunk,
  encodeSamples,
  ENCODING_AGGR,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_XOR,
  PLACE_SIZE,
  PLACES_SIZE,
} from "../chunks/mod.ts";
import {
  dropLabels,
  equalLabels,
  type Labels,
  labelValue,
  type Matcher,
  mergeLabels,
  SampleBatch,
} from "../model/mod.ts";
import { AGGR_MAX, AGGR_MIN, AGGR_RAW, AGGR_SUM, type AggrChunk } from "../storeapi/mod.ts";
import {
  chunkRecordSize,
  decodeChunkRecord,
  decodePostings,
  decodeSeries,
  deferGroups,
  type DeferOptions,
  LabelReader,
  listsOfPlan,
  offsetOfRef,
  planPostings,
  type PostingsList,
  type PostingsPlan,
  readU32,
  resolvePostings,
  segmentOfRef,
  type SeriesEntry,
  seriesEntrySize,
  seriesOffset,
} from "../tsdb/mod.ts";
import type { BucketBlock } from "./bucket_block.ts";
import type { OpenHeader } from "./header_pool.ts";
import { type IndexCache, seriesPageKey } from "./cache/index_cache.ts";
import { readPages } from "./cache/pages.ts";
import type { RequestFigures, RequestLimits } from "./limits.ts";
import type { ChunkMemory, MemoryAccount } from "./memory_budget.ts";
import { fetchItems, type RangeOptions, type ReadBytes } from "./range_reader.ts";
import { DAMAGED, PART_NAMES, RawChunk, SeriesBatch, SPECIAL } from "./series_batch.ts";
import { FullSort, HoldBack, SameOrder, SeriesItems, type SeriesOrder } from "./series_items.ts";

/** Sizes and habits of reading, the same for all requests of a store gateway. */
export interface ReadSettings {
  readonly ranges: RangeOptions;
  /** Bytes a series entry and a chunk are thought to take when the block does not tell. */
  readonly seriesEstimate: number;
  readonly chunkEstimate: number;
  /** Most series in a batch. */
  readonly batchSeries: number;
  /** Which postings are left out in favour of trying matchers on series. */
  readonly defer: DeferOptions;
}

/** Labels that one request puts on the series of one set of external labels. */
export class FinalLabels {
  /** External labels to add, without those that are dropped. */
  readonly external: Labels;
  /** Replica labels to take away. */
  readonly drop: ReadonlySet<string>;
  readonly #keep: ((labels: Labels) => boolean) | undefined;
  /** By identity: equal series of several blocks share one object. */
  readonly #known = new Map<Labels, Labels | undefined>();

  constructor(
    external: Labels,
    drop: ReadonlySet<string>,
    keep: ((labels: Labels) => boolean) | undefined,
  ) {
    this.external = dropLabels(external, drop);
    this.drop = drop;
    this.#keep = keep;
  }

  /** Number of label sets known so far. */
  get count(): number {
    return this.#known.size;
  }

  /** The final labels of a series; undefined when it belongs to another shard. */
  of(raw: Labels): Labels | undefined {
    if (this.#known.has(raw)) return this.#known.get(raw);
    let labels: Labels | undefined = mergeLabels(dropLabels(raw, this.drop), this.external);
    if (this.#keep !== undefined && !this.#keep(labels)) labels = undefined;
    this.#known.set(raw, labels);
    return labels;
  }
}

/** One request as a block sees it. */
export interface BlockRequest {
  readonly minTime: number;
  readonly maxTime: number;
  /** Without those on external labels. */
  readonly matchers: readonly Matcher[];
  readonly skipChunks: boolean;
  readonly aggregates: readonly number[];
  /** Most series wanted, 0 = all. */
  readonly limit: number;
  /** Bytes of chunks to hold at once, about. */
  readonly batchBytes: number;
  readonly settings: ReadSettings;
  readonly limits: RequestLimits;
  readonly figures: RequestFigures;
  /** What the request holds; given back when it ends. */
  readonly memory: MemoryAccount;
  /** What chunks of all requests hold. */
  readonly chunkMemory: ChunkMemory | undefined;
  readonly cache: IndexCache | undefined;
  /** Key of the matchers in the cache. */
  readonly selection: string;
  readonly signal: AbortSignal;
  /** Bounds the blocks whose first series are being looked for. */
  readonly opening: Gate;
  /** Of all requests together. */
  readonly breather: Breather;
  /** Taken up and done with between two waits: one for all blocks. */
  readonly entry: SeriesEntry;
  /** Memory for reads of the index; whatever was read is done with when it was decoded. */
  readonly pool: BufferPool | undefined;
  /** Memory for chunks; only where batches are given back with release(). */
  readonly chunkPool: BufferPool | undefined;
  /** Called for chunks that are left out because they are damaged; throws when that is no option. */
  readonly damaged: (error: MnemeError) => void;
}

/** Series of a block whose labels match, as references; what could not be decided by postings. */
interface Selection {
  readonly refs: Uint32Array;
  readonly deferred: readonly Matcher[];
}

/** Adds what a block's errors lack: which step failed, for which block. */
export function blockError(
  step: string,
  ulid: string,
  error: unknown,
  detail?: string,
): MnemeError {
  if (error instanceof MnemeError && error.attrs.block === ulid) return error;
  const message = (detail === undefined ? "" : `${detail}: `) + errorMessage(error);
  return new MnemeError(errorKind(error), `${step} for block ${ulid}: ${message}`, {
    cause: error,
    attrs: { block: ulid },
  });
}

/**
 * The series of one block, sorted by their final labels; equal labels are in one batch.
 *
 * Throws: what reading throws, with the step and the block's id; LimitError's kind is kept.
 */
export async function* blockSeries(
  block: BucketBlock,
  labels: FinalLabels,
  request: BlockRequest,
): AsyncIterable<SeriesBatch> {
  const reader = await openReader(block, labels, request);
  try {
    yield* reader.loaded();
  } finally {
    reader.close();
  }
}

/** Label sets of the series of one block that match, without their chunks; in no special order. */
export async function* blockLabels(
  block: BucketBlock,
  labels: FinalLabels,
  request: BlockRequest,
): AsyncIterable<readonly Labels[]> {
  const reader = await openReader(block, labels, request);
  try {
    for await (const items of reader.batches()) yield items.labels;
  } finally {
    reader.close();
  }
}

/**
 * A reader with the block's header. Only some blocks at once are between here and their first series:
 * a request may be about thousands of blocks, whose headers need not all be in memory together.
 */
async function openReader(
  block: BucketBlock,
  labels: FinalLabels,
  request: BlockRequest,
): Promise<BlockReader> {
  const begun = await request.opening.enter(request.signal);
  try {
    // Blocks on a disk are read without ever waiting; timers and other calls must have their turns.
    while (request.breather.due) await request.breather.pause();
    return new BlockReader(block, await openHeader(block), labels, request, begun);
  } catch (error) {
    begun();
    throw error;
  }
}

/** The block's index header; the caller releases it. */
export async function openHeader(block: BucketBlock): Promise<OpenHeader> {
  try {
    return await block.header();
  } catch (error) {
    throw blockError("load index header", block.ulid, error);
  }
}

class BlockReader {
  readonly #block: BucketBlock;
  readonly #header: OpenHeader;
  readonly #labels: FinalLabels;
  readonly #request: BlockRequest;
  readonly #breather = new Breather();
  #held = 0;
  readonly #chunksHeld = new Set<() => void>();
  /** To be called when the first series are there; further calls do nothing. */
  readonly #begun: () => void;
  /** Parts of aggregate chunks that were asked for. */
  readonly #aggregates: readonly number[];
  readonly #places = new Int32Array(PLACES_SIZE);

  constructor(
    block: BucketBlock,
    header: OpenHeader,
    labels: FinalLabels,
    request: BlockRequest,
    begun: () => void,
  ) {
    this.#begun = begun;
    this.#block = block;
    this.#header = header;
    this.#labels = labels;
    this.#request = request;
    this.#aggregates = [...new Set(request.aggregates)]
      .filter((aggregate) => aggregate !== AGGR_RAW)
      .sort((a, b) => a - b);
  }

  /** Takes memory that is given back when the block was read. */
  #hold(bytes: number): void {
    this.#request.memory.take(bytes);
    this.#held += bytes;
  }

  /** Call once, at the end. */
  close(): void {
    this.#begun();
    this.#header.release();
    for (const giveBack of this.#chunksHeld) giveBack();
    this.#request.memory.give(this.#held);
    this.#held = 0;
  }

  /** Selected series in their final order with their chunks, batch by batch. */
  async *loaded(): AsyncIterable<SeriesBatch> {
    const { limit, skipChunks, signal } = this.#request;
    let seen = 0;
    let last: Labels | undefined;
    for await (const { items, order } of this.#ordered()) {
      for (let from = 0; from < order.length;) {
        throwIfAborted(signal);
        const { to, bytes } = skipChunks
          ? { to: order.length, bytes: 0 }
          : this.#batchEnd(items, order, from);
        while (this.#request.breather.due) await this.#request.breather.pause();
        const batch = skipChunks
          ? labelsOnly(items, order)
          : await this.#load(items, order, from, to, bytes);
        yield batch;
        if (limit > 0) {
          for (const labels of batch.labels) {
            if (last === undefined || !equalLabels(labels, last)) seen++;
            last = labels;
          }
          // One more than wanted: then the last wanted one is complete.
          if (seen > limit) return;
        }
        from = to;
        if (this.#breather.due) await this.#breather.pause();
      }
    }
  }

  /** Selected series in their final order. */
  async *#ordered(): AsyncIterable<{ items: SeriesItems; order: readonly number[] }> {
    const order = this.#orderFor();
    for await (const batch of this.batches()) yield order.take(batch);
  }

  #orderFor(): SeriesOrder {
    const { external, drop } = this.#labels;
    const replaced = new Set<string>(drop);
    for (let i = 0; i < external.length; i += 2) replaced.add(external[i]!);
    for (const name of this.#header.tables.labelNames()) {
      if (replaced.has(name)) return new FullSort();
    }
    return external.length === 0 ? new SameOrder() : new HoldBack();
  }

  // ---- Postings ---------------------------------------------------------------------------

  async #select(): Promise<Selection> {
    const { matchers, limits, figures, cache, selection, signal } = this.#request;
    const { ulid } = this.#block;
    const known = await cache?.selection(ulid, selection, signal);
    if (known !== undefined) {
      limits.bytes(known.byteLength, "loading expanded postings from index cache");
      figures.postings.touched++;
      figures.postings.touchedBytes += known.byteLength;
      if (known.length === 0) figures.emptyPostings++;
      limits.series(known.length);
      this.#hold(known.byteLength);
      return { refs: known, deferred: [] };
    }
    const planned = planPostings(this.#header.tables, matchers, { deferWalks: true });
    const left = deferGroups(planned, this.#request.settings.defer);
    const { plan, deferred } = left;
    this.#hold(plannedBytes(plan));
    if (deferred.length > 0) {
      figures.deferredByKeys += left.byKeys;
      figures.deferredBySize += left.bySize;
      figures.deferredBytes += left.savedBytes;
    }
    if (plan.empty) {
      figures.emptyPostings++;
      return { refs: new Uint32Array(0), deferred };
    }
    const lists = await this.#twice((fresh) => this.#fetchPostings(listsOfPlan(plan), fresh));
    const refs = resolvePostings(plan, (list) => lists.get(list.offset)!);
    if (refs.length === 0) figures.emptyPostings++;
    // With matchers left over, only the series that pass them count.
    if (deferred.length === 0) {
      limits.series(refs.length);
      cache?.putSelection(ulid, selection, refs);
    }
    return { refs, deferred };
  }

  /** The lists by their offset. */
  async #fetchPostings(
    lists: readonly PostingsList[],
    fresh: boolean,
  ): Promise<Map<number, Uint32Array>> {
    const { cache, figures, limits, signal, settings, pool } = this.#request;
    const { ulid, indexObject } = this.#block;
    const found = new Map<number, Uint32Array>();
    const missing: PostingsList[] = [];
    const cached = await cache?.postings(ulid, lists.map((list) => list.offset), signal);
    lists.forEach((list, i) => {
      const refs = cached?.[i];
      figures.postings.touched++;
      if (refs === undefined) missing.push(list);
      else {
        limits.bytes(refs.byteLength, "loading postings from index cache");
        figures.postings.touchedBytes += refs.byteLength;
        found.set(list.offset, refs);
      }
    });
    if (missing.length === 0) return found;
    missing.sort((a, b) => a.offset - b.offset);
    const before = figures.postings.fetchedBytes;
    const fetched = await fetchItems(
      this.#block.reader(indexObject, signal, pool, fresh),
      missing.map((list) => list.offset),
      {
        file: indexObject,
        estimate: 0,
        ends: missing.map((list) => list.end),
        end: this.#header.toc.postingsTable,
        size: (bytes, at) => at + 4 <= bytes.length ? readU32(bytes, at) + 8 : undefined,
      },
      settings.ranges,
      figures.postings,
    );
    limits.bytes(figures.postings.fetchedBytes - before, "fetching postings");
    for (let i = 0; i < missing.length; i++) {
      const { offset } = missing[i]!;
      const r = fetched.regionOf[i]!;
      const base = fetched.offsets[r]!;
      const refs = decodePostings(fetched.regions[r]!, offset - base, indexObject, base);
      figures.postings.fetched++;
      figures.postings.touchedBytes += refs.byteLength;
      cache?.putPostings(ulid, offset, refs);
      found.set(offset, refs);
    }
    for (const region of fetched.regions) pool?.give(region);
    return found;
  }

  // ---- Series entries ---------------------------------------------------------------------

  /** Selected series in the order of the block, with the references of their chunks. */
  async *batches(): AsyncIterable<SeriesItems> {
    const { ulid } = this.#block;
    let selection: Selection;
    try {
      selection = await this.#select();
    } catch (error) {
      throw blockError("fetch postings", ulid, error, "fetch and expand postings");
    }
    const { refs, deferred } = selection;
    const reader = new LabelReader(this.#header.tables);
    const { version } = this.#header.tables;
    this.#hold(refs.length * 8);
    const starts = Float64Array.from(refs, (ref) => seriesOffset(version, ref));
    if (starts.length === 0) this.#begun();
    for (let from = 0; from < starts.length;) {
      throwIfAborted(this.#request.signal);
      const { to, bytes } = this.#seriesBatchEnd(starts, from);
      try {
        const { breather } = this.#request;
        while (breather.due) await breather.pause();
        const items = await this.#twice((fresh) =>
          this.#readSeries(starts.subarray(from, to), bytes, deferred, reader, fresh)
        );
        items.last = to === starts.length;
        // Nothing of the header is needed for chunks, and whoever waits here may wait long.
        if (items.last) this.#header.release();
        this.#begun();
        yield items;
      } catch (error) {
        throw blockError("preload series", ulid, error);
      }
      from = to;
      if (this.#breather.due) await this.#breather.pause();
    }
  }

  /**
   * Reads again, past all caches, what turned out to be damaged: it may have been damaged on the
   * way, and must not stay so in a cache.
   */
  async #twice<T>(read: (fresh: boolean) => Promise<T>): Promise<T> {
    try {
      return await read(false);
    } catch (error) {
      if (errorKind(error) !== "corruption") throw error;
      return await read(true);
    }
  }

  #seriesEstimate(): number {
    const told = this.#block.meta.thanos?.indexStats.seriesMaxSize ?? 0;
    const { seriesEstimate } = this.#request.settings;
    return told > 0 && told < seriesEstimate ? told : seriesEstimate;
  }

  /** End of a batch that takes about `batchBytes` to read. */
  #seriesBatchEnd(starts: Float64Array, from: number): { to: number; bytes: number } {
    const { batchBytes, settings } = this.#request;
    const most = Math.min(starts.length, from + settings.batchSeries);
    const estimate = this.#seriesEstimate();
    let bytes = estimate;
    let to = from + 1;
    while (to < most) {
      const step = starts[to]! - starts[to - 1]!;
      const more = step <= settings.ranges.gap + estimate ? step : estimate;
      if (bytes + more > batchBytes) break;
      bytes += more;
      to++;
    }
    return { to, bytes };
  }

  /** Reads of series entries, through the cache where there is one. */
  #seriesReader(fresh: boolean): { read: ReadBytes; fromBucket: () => number } {
    const { cache, signal, pool } = this.#request;
    const { ulid, indexObject } = this.#block;
    const pages = cache?.series;
    let fromBucket = 0;
    const count = (bytes: number) => fromBucket += bytes;
    if (pages === undefined) {
      const plain = this.#block.reader(indexObject, signal, pool, fresh);
      const read: ReadBytes = async (offset, length) => {
        const bytes = await plain(offset, length);
        count(bytes.length);
        return bytes;
      };
      return { read, fromBucket: () => fromBucket };
    }
    const store = {
      cache: pages,
      key: (start: number) => seriesPageKey(ulid, start),
      pageSize: SERIES_PAGE,
      ttl: SERIES_TTL,
      maxRequests: 3,
      fresh,
      observer: {
        pages() {},
        bytes: (_: number, _cached: number, fetched: number) => void count(fetched),
      },
    };
    const plain = this.#block.reader(indexObject, signal, undefined, fresh);
    const read: ReadBytes = (offset, length) =>
      readPages(store, plain, offset, length, signal, pool?.take(length));
    return { read, fromBucket: () => fromBucket };
  }

  async #readSeries(
    starts: Float64Array,
    estimate: number,
    deferred: readonly Matcher[],
    reader: LabelReader,
    fresh: boolean,
  ): Promise<SeriesItems> {
    const { minTime, maxTime, figures, limits, memory, settings, skipChunks, pool } = this.#request;
    const { indexObject } = this.#block;
    const { toc, space } = this.#header;
    const before = figures.series.fetchedBytes;
    const room = Math.min(starts.length * CHUNKS_EXPECTED, 65536);
    const reading = estimate + starts.length * ITEM_BYTES + room * CHUNK_REF_BYTES;
    memory.take(reading);
    const source = this.#seriesReader(fresh);
    const fetched = await fetchItems(
      source.read,
      starts,
      {
        file: indexObject,
        estimate: this.#seriesEstimate(),
        end: toc.labelIndices > toc.series ? toc.labelIndices : toc.postingsTable,
        size: (bytes, at, base) => seriesEntrySize(bytes, at, indexObject, base),
      },
      settings.ranges,
      figures.series,
    );
    const bytes = figures.series.fetchedBytes - before;
    const fromBucket = source.fromBucket();
    limits.bytes(bytes, fromBucket > 0 ? "fetching series" : "loading series from index cache");
    figures.series.fetchedBytes = before + Math.min(bytes, fromBucket);
    const items = new SeriesItems(room);
    const { entry } = this.#request;
    const known = this.#labels.count;
    let matched = 0;
    for (let i = 0; i < starts.length; i++) {
      const r = fetched.regionOf[i]!;
      const base = fetched.offsets[r]!;
      decodeSeries(fetched.regions[r]!, starts[i]! - base, entry, indexObject, base);
      figures.series.touchedBytes += entry.size;
      const raw = space.labels(entry, reader);
      if (deferred.length > 0 && !deferred.every((m) => m.matches(labelValue(raw, m.name)))) {
        figures.overfetchedBytes += entry.size;
        continue;
      }
      matched++;
      const labels = this.#labels.of(raw);
      if (labels !== undefined) items.add(labels, raw, entry, minTime, maxTime);
    }
    for (const region of fetched.regions) pool?.give(region);
    memory.give(reading);
    // Labels stay known to the request, the rest to the block.
    memory.take((this.#labels.count - known) * LABELS_BYTES);
    this.#hold(items.count * ITEM_BYTES + items.chunkCount * CHUNK_REF_BYTES);
    figures.series.touched += starts.length;
    if (fromBucket > 0) figures.series.fetched += starts.length;
    if (deferred.length > 0) limits.series(matched);
    if (!skipChunks) limits.chunks(items.chunkCount);
    return items;
  }

  // ---- Chunks -----------------------------------------------------------------------------

  #chunkEstimate(): number {
    const told = this.#block.meta.thanos?.indexStats.chunkMaxSize ?? 0;
    const { chunkEstimate } = this.#request.settings;
    return told > 0 && told < chunkEstimate ? told : chunkEstimate;
  }

  /** End of a batch whose chunks take about `batchBytes`, gaps that are read with them included. */
  #batchEnd(
    items: SeriesItems,
    order: readonly number[],
    from: number,
  ): { to: number; bytes: number } {
    const { batchBytes, settings } = this.#request;
    const estimate = this.#chunkEstimate();
    const { refs, starts, labels } = items;
    let bytes = 0;
    let last = -1;
    let to = from;
    for (; to < order.length; to++) {
      const start = starts[order[to]!]!;
      const end = starts[order[to]! + 1]!;
      const step = last >= 0 ? refs[start]! - last : 0;
      bytes += step > 0 && step <= settings.ranges.gap + estimate ? step : 0;
      const span = refs[end - 1]! - refs[start]!;
      bytes += span >= 0 && span <= (end - start) * (settings.ranges.gap + estimate)
        ? span
        : (end - start) * estimate;
      last = refs[end - 1]!;
      if (bytes <= batchBytes || to === from) continue;
      // Equal labels stay together: a series never goes on in the next batch.
      if (!equalLabels(labels[order[to]!]!, labels[order[to - 1]!]!)) break;
    }
    return { to, bytes: bytes + estimate };
  }

  /** The series of order[from, to) with their chunks. */
  async #load(
    items: SeriesItems,
    order: readonly number[],
    from: number,
    to: number,
    estimate: number,
  ): Promise<SeriesBatch> {
    const { starts } = items;
    let count = 0;
    for (let k = from; k < to; k++) count += starts[order[k]! + 1]! - starts[order[k]!]!;
    const { memory, chunkMemory, chunkPool } = this.#request;
    const bytes = estimate + count * CHUNK_BYTES;
    memory.take(bytes);
    const giveBack = this.#takeChunks(chunkMemory, estimate);
    const released = () => {
      memory.give(bytes);
      giveBack();
    };
    const batch = new SeriesBatch(count, chunkPool, released, this.#aggregates);
    const refs = new Float64Array(count);
    let n = 0;
    let ascending = true;
    let last = -1;
    for (let k = from; k < to; k++) {
      const i = order[k]!;
      const end = starts[i + 1]!;
      for (let c = starts[i]!; c < end; c++) {
        const ref = items.refs[c]!;
        if (ref < last) ascending = false;
        last = ref;
        refs[n] = ref;
        batch.minTimes[n] = items.minTimes[c]!;
        batch.maxTimes[n++] = items.maxTimes[c]!;
      }
      batch.labels.push(items.labels[i]!);
      batch.starts.push(n);
    }
    // Read in the order of the file; places[j] is the chunk that comes j-th there.
    let places: Uint32Array | undefined;
    if (!ascending) {
      places = new Uint32Array(count);
      for (let k = 0; k < count; k++) places[k] = k;
      places.sort((a, b) => refs[a]! - refs[b]!);
    }
    const damaged = await this.#fetchChunks(batch, refs, places);
    return damaged ? withoutEmpty(batch) : batch;
  }

  /** Takes memory of chunks that is given back with their batch, or when the block was read. */
  #takeChunks(chunkMemory: ChunkMemory | undefined, bytes: number): () => void {
    if (chunkMemory === undefined) return () => {};
    try {
      chunkMemory.take(bytes);
    } catch (error) {
      throw blockError("load chunks", this.#block.ulid, error);
    }
    const giveBack = () => {
      if (this.#chunksHeld.delete(giveBack)) chunkMemory.give(bytes);
    };
    this.#chunksHeld.add(giveBack);
    return giveBack;
  }

  /** Fetches all chunks, those of a segment together; true when some are damaged. */
  async #fetchChunks(
    batch: SeriesBatch,
    refs: Float64Array,
    places: Uint32Array | undefined,
  ): Promise<boolean> {
    const refAt = (j: number) => refs[places === undefined ? j : places[j]!]!;
    let damaged = false;
    for (let from = 0; from < refs.length;) {
      const segment = segmentOfRef(refAt(from));
      let to = from + 1;
      while (to < refs.length && segmentOfRef(refAt(to)) === segment) to++;
      for (const fresh of [false, true]) {
        const errors: { error: unknown; chunks: number }[] = [];
        try {
          const told = (error: unknown) => errors.push({ error, chunks: 1 });
          await this.#fetchSegment(segment, batch, refs, places, from, to, fresh, told);
        } catch (error) {
          const kind = errorKind(error);
          // A missing or cut object costs its own chunks; the rest of the block is still good.
          if (kind !== "not_found" && kind !== "corruption") {
            throw blockError("load chunks", this.#block.ulid, error);
          }
          errors.push({ error, chunks: to - from });
        }
        if (errors.length === 0) break;
        // They are read again first, past all caches: see #twice().
        if (!fresh) continue;
        for (const { error, chunks } of errors) this.#tellDamage(error, chunks);
        damaged = true;
      }
      from = to;
    }
    return damaged;
  }

  #tellDamage(error: unknown, chunks: number): void {
    this.#request.figures.corruptChunks += chunks;
    this.#request.damaged(blockError("load chunks", this.#block.ulid, error));
  }

  async #fetchSegment(
    segment: number,
    batch: SeriesBatch,
    refs: Float64Array,
    places: Uint32Array | undefined,
    from: number,
    to: number,
    fresh: boolean,
    damaged: (error: CorruptionError) => void,
  ): Promise<void> {
    const { figures, limits, settings, signal, chunkPool } = this.#request;
    const object = this.#block.segmentObject(segment);
    const starts = new Float64Array(to - from);
    for (let j = from; j < to; j++) {
      starts[j - from] = offsetOfRef(refs[places === undefined ? j : places[j]!]!);
    }
    const before = figures.chunks.fetchedBytes;
    const fetched = await fetchItems(
      this.#block.reader(object, signal, chunkPool, fresh),
      starts,
      {
        file: object,
        estimate: this.#chunkEstimate(),
        end: this.#block.segmentEnd(segment),
        size: (bytes, at, base) => chunkRecordSize(bytes, at, object, base),
      },
      settings.ranges,
      figures.chunks,
    );
    limits.bytes(figures.chunks.fetchedBytes - before, "fetching chunks");
    if (!fresh) figures.chunks.touched += starts.length;
    figures.chunks.fetched += starts.length;
    const { regions, offsets, regionOf } = fetched;
    const firstRegion = batch.regions.length;
    for (const region of regions) batch.regions.push(region);
    for (let j = 0; j < starts.length; j++) {
      const r = regionOf[j]!;
      const bytes = regions[r]!;
      const at = starts[j]! - offsets[r]!;
      const k = places === undefined ? from + j : places[from + j]!;
      let length = 0;
      let p = at;
      for (let scale = 1; p < at + 5; scale *= 128) {
        const b = bytes[p++]!;
        length += (b & 0x7f) * scale;
        if (b < 0x80) break;
      }
      // p is at the encoding; the checksum is over it and the data.
      const end = p + 1 + length;
      let encoding = DAMAGED;
      if (end + 4 <= bytes.length && crc32c(bytes, p, end) === readU32(bytes, end)) {
        figures.chunks.touchedBytes += length;
        batch.regionOf[k] = firstRegion + r;
        batch.dataAt[k] = p + 1;
        batch.dataLength[k] = length;
        encoding = bytes[p]!;
        batch.encodings[k] = encoding;
        if (encoding <= ENCODING_FLOAT_HISTOGRAM && encoding !== DAMAGED) continue;
      }
      try {
        // The parts of an aggregate chunk are cut out when it is sent.
        if (encoding === ENCODING_AGGR && this.#hasParts(batch, k)) continue;
        // Throws with the reason when the record is damaged.
        const chunk = decodeChunkRecord(bytes, at, object, offsets[r]!);
        const objects = encoding === ENCODING_AGGR ? [] : this.#special(chunk);
        batch.encodings[k] = SPECIAL;
        batch.objects.set(k, objects);
      } catch (error) {
        if (!(error instanceof CorruptionError)) throw error;
        batch.encodings[k] = DAMAGED;
        damaged(error.in(object, starts[j]!));
      }
    }
  }

  /** Chunks that are not sent as they are. */
  #special(chunk: Chunk): readonly AggrChunk[] {
    // The wire knows only the classic encodings. Unknown ones end in a CorruptionError.
    const samples = new SampleBatch();
    appendChunk(chunk, samples);
    return encodeSamples(samples).map((c) =>
      new RawChunk(c.minTime, c.maxTime, c.chunk.encoding, c.chunk.data)
    );
  }

  /** Looks whether the parts that were asked for are there; false when there is nothing to send. */
  #hasParts(batch: SeriesBatch, k: number): boolean {
    const places = this.#places;
    batch.findParts(k, places);
    let missing = 0;
    for (const aggregate of batch.aggregates) {
      const name = PART_NAMES[aggregate];
      if (name === undefined) {
        throw new MnemeError("bad_data", `unknown aggregate ${aggregate}`);
      }
      const p = (aggregate - 1) * PLACE_SIZE;
      if (places[p + 1]! >= 0) {
        const encoding = places[p + 2]!;
        if (encoding > 0 && encoding <= ENCODING_FLOAT_HISTOGRAM) continue;
        throw new CorruptionError(`${name} of an aggregate chunk has unknown encoding ${encoding}`);
      }
      // Histograms have no smallest and no largest value; for floats every part must be there.
      const sum = (AGGR_SUM - 1) * PLACE_SIZE;
      const histogram = places[sum + 1]! >= 0 && places[sum + 2] !== ENCODING_XOR;
      if (!histogram || (aggregate !== AGGR_MIN && aggregate !== AGGR_MAX)) {
        throw new MnemeError("execution", `aggregate ${name} does not exist`);
      }
      missing++;
    }
    return missing === 0 || missing < this.#request.aggregates.length;
  }
}

/** Series entries are cached in pages of this size, bytes, for this time, ms. */
const SERIES_PAGE = 16 * 1024;
const SERIES_TTL = 24 * 3_600_000;

/** What labels, a series, a reference of a chunk, and a chunk beside its data take, bytes. */
const LABELS_BYTES = 300;
const ITEM_BYTES = 48;
const CHUNK_REF_BYTES = 24;
const CHUNK_BYTES = 40;

/** Bytes of the postings of a plan and of what comes of them. */
function plannedBytes(plan: PostingsPlan): number {
  let bytes = 0;
  for (const { lists, cardinality } of [...plan.adds, ...plan.removes]) {
    bytes += cardinality * 8 + lists.length * 200;
  }
  if (plan.all !== undefined) bytes += (plan.all.end - plan.all.offset) * 2;
  return bytes;
}

/** Chunks that a series of a two-hour block usually has. */
const CHUNKS_EXPECTED = 5;

/** A batch of labels without chunks. */
function labelsOnly(items: SeriesItems, order: readonly number[]): SeriesBatch {
  const batch = new SeriesBatch(0);
  for (const i of order) {
    batch.labels.push(items.labels[i]!);
    batch.starts.push(0);
  }
  return batch;
}

/**
 * The batch without series all of whose chunks are damaged: a warning tells of them, while a series
 * without chunks would say that there is nothing.
 */
function withoutEmpty(batch: SeriesBatch): SeriesBatch {
  const { labels, starts, encodings } = batch;
  const intact = (i: number) => {
    for (let k = starts[i]!; k < starts[i + 1]!; k++) if (encodings[k] !== DAMAGED) return true;
    return false;
  };
  const keep = labels.map((_, i) => i).filter(intact);
  if (keep.length === labels.length) return batch;
  return batch.pick(keep);
}
