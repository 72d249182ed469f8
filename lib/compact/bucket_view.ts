/** What a compactor sees of its bucket: one sync of the metas through its filters. */
import type { Clock } from "../base/mod.ts";
import {
  consistencyDelayFilter,
  DELETION_MARK_FILE,
  DuplicateFilter,
  type FetcherObserver,
  type ListedBlock,
  type MetaCache,
  MetaFetcher,
  NO_COMPACT_MARK_FILE,
  NO_DOWNSAMPLE_MARK_FILE,
  timePartitionFilter,
} from "../block/mod.ts";
import type { BlockState } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { BlockMeta } from "../tsdb/mod.ts";
import {
  type HonouredMark,
  incompleteView,
  MarkCollector,
  relabelShardFilter,
  replicaLabelFilter,
} from "./filters.ts";
import type { CompactorOptions } from "./options.ts";

/** The bucket at one moment. */
export interface BucketView {
  /** When it was looked at, ms. */
  readonly time: number;
  /** Blocks to work on, replica labels removed. Those marked moments ago are still among them. */
  readonly metas: ReadonlyMap<string, BlockMeta>;
  /** All blocks whose meta.json can be read, as they are in the bucket. */
  readonly all: ReadonlyMap<string, BlockMeta>;
  readonly listing: ReadonlyMap<string, ListedBlock>;
  /** Why each other block was left out. */
  readonly excluded: ReadonlyMap<string, BlockState>;
  /** Blocks without a meta.json. */
  readonly partial: ReadonlySet<string>;
  /** Blocks whose meta.json cannot be understood, with the reason. */
  readonly corrupted: ReadonlyMap<string, Error>;
  readonly deletionMarks: ReadonlyMap<string, HonouredMark>;
  readonly noCompact: ReadonlyMap<string, HonouredMark>;
  readonly noDownsample: ReadonlyMap<string, HonouredMark>;
  /** Blocks whose sources are all in another block of their group. */
  readonly duplicates: ReadonlySet<string>;
}

/** Syncs the view. */
export class BucketSync {
  readonly #clock: Clock;
  readonly #fetcher: MetaFetcher;
  readonly #deletion: MarkCollector;
  readonly #noCompact: MarkCollector;
  readonly #noDownsample: MarkCollector;
  readonly #duplicates = new DuplicateFilter();

  constructor(parts: {
    readonly bucket: Bucket;
    readonly clock: Clock;
    readonly options: CompactorOptions;
    readonly observer: FetcherObserver;
    readonly cache?: MetaCache;
    readonly labelsRemoved: (count: number) => void;
  }) {
    const { bucket, clock, options } = parts;
    const { metaConcurrency, replicaLabels } = options;
    this.#clock = clock;
    this.#deletion = new MarkCollector(bucket, DELETION_MARK_FILE, metaConcurrency, {
      after: options.deleteDelay / 2,
      clock,
    });
    this.#noCompact = new MarkCollector(bucket, NO_COMPACT_MARK_FILE, metaConcurrency);
    this.#noDownsample = new MarkCollector(bucket, NO_DOWNSAMPLE_MARK_FILE, metaConcurrency);
    this.#fetcher = new MetaFetcher({
      bucket,
      clock,
      concurrency: metaConcurrency,
      observer: parts.observer,
      ...(parts.cache === undefined ? {} : { cache: parts.cache }),
      filters: [
        timePartitionFilter(options.minTime, options.maxTime),
        relabelShardFilter(options.relabel, replicaLabels),
        consistencyDelayFilter(options.consistencyDelay, clock),
        this.#deletion,
        replicaLabelFilter(replicaLabels, parts.labelsRemoved),
        this.#duplicates,
        this.#noCompact,
        ...(options.downsampling ? [this.#noDownsample] : []),
      ],
    });
  }

  /** Looks at the bucket. Throws: when the listing fails, or a meta.json could not be fetched. */
  async sync(signal?: AbortSignal): Promise<BucketView> {
    const time = this.#clock.now();
    const result = await this.#fetcher.fetch(signal);
    if (result.failed.size > 0) throw incompleteView(result.failed);
    return {
      time,
      metas: result.metas,
      all: result.all,
      listing: result.listing,
      excluded: result.excluded,
      partial: result.partial,
      corrupted: result.corrupted,
      deletionMarks: this.#deletion.marks,
      noCompact: this.#noCompact.marks,
      noDownsample: this.#noDownsample.marks,
      duplicates: this.#duplicates.duplicates,
    };
  }
}
