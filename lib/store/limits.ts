/** Limits of one request and figures of what it did. */
import { LimitError } from "../base/mod.ts";
import type { FetchFigures } from "./range_reader.ts";

/** Most that one request may touch; 0 = no limit. */
export interface RequestLimitOptions {
  /** Series by postings, before the time filter. */
  readonly series: number;
  /** Samples, counted as chunks of 120. */
  readonly samples: number;
  /** Bytes of postings, series and chunks, out of caches or the bucket. */
  readonly bytes: number;
}

/** No limits. */
export const NO_LIMITS: RequestLimitOptions = { series: 0, samples: 0, bytes: 0 };

/** Samples that a chunk is taken to hold. */
const SAMPLES_PER_CHUNK = 120;

/** Which limit a request ran into; the `reason` label of the metric. */
export type LimitReason = "series" | "chunks" | "bytes";

/** Counts what one request touches and stops it at its limits. */
export class RequestLimits {
  readonly #series: number;
  readonly #chunks: number;
  readonly #bytes: number;
  readonly #exceeded: (reason: LimitReason) => void;
  #seriesSeen = 0;
  #chunksSeen = 0;
  #bytesSeen = 0;
  #told = false;

  constructor(
    limits: RequestLimitOptions,
    exceeded: (reason: LimitReason) => void = () => {},
  ) {
    this.#series = limits.series;
    this.#chunks = Math.floor(limits.samples / SAMPLES_PER_CHUNK);
    this.#bytes = limits.bytes;
    this.#exceeded = exceeded;
  }

  /** Takes `n` series; throws LimitError in Thanos' words. */
  series(n: number): void {
    this.#seriesSeen += n;
    if (this.#series > 0 && this.#seriesSeen > this.#series) {
      this.#fail("series", "exceeded series limit", this.#series, this.#seriesSeen);
    }
  }
  /** Takes `n` chunks. */
  chunks(n: number): void {
    this.#chunksSeen += n;
    if (this.#chunks > 0 && this.#chunksSeen > this.#chunks) {
      this.#fail("chunks", "exceeded chunks limit", this.#chunks, this.#chunksSeen);
    }
  }
  /** Takes `n` bytes; `what` says during what, e.g. `fetching postings`. */
  bytes(n: number, what: string): void {
    this.#bytesSeen += n;
    if (this.#bytes > 0 && this.#bytesSeen > this.#bytes) {
      this.#fail("bytes", `exceeded bytes limit while ${what}`, this.#bytes, this.#bytesSeen);
    }
  }

  #fail(reason: LimitReason, text: string, limit: number, seen: number): never {
    // Blocks that are read at the same time all run into it.
    if (!this.#told) this.#exceeded(reason);
    this.#told = true;
    throw new LimitError(`${text}: limit ${limit} violated (got ${seen})`, limit, seen);
  }
}

/** What is fetched of one kind of data. */
export interface DataFigures extends FetchFigures {
  /** Items needed, and their bytes. */
  touched: number;
  touchedBytes: number;
  /** Items read from the bucket. */
  fetched: number;
}

function noData(): DataFigures {
  return { touched: 0, touchedBytes: 0, fetched: 0, fetchedBytes: 0, requests: 0, refetches: 0 };
}

/** Figures of one request, for metrics. */
export class RequestFigures {
  blocksQueried = 0;
  emptyPostings = 0;
  corruptChunks = 0;
  mergedSeries = 0;
  /** Milliseconds until every block had its first series. */
  firstMs = 0;
  sentChunkBytes = 0;
  /** Groups of postings left out for their number of lists, for their size; bytes spared. */
  deferredByKeys = 0;
  deferredBySize = 0;
  deferredBytes = 0;
  /** Bytes of series that were read and did not match what was left out. */
  overfetchedBytes = 0;
  readonly postings = noData();
  readonly series = noData();
  readonly chunks = noData();
}
