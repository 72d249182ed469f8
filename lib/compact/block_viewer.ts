/** All blocks of the bucket for the list of blocks: a look of its own, without any filter. */
import { type Clock, MnemeError } from "../base/mod.ts";
import { type FetcherObserver, MetaFetcher } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { BlockMeta } from "../tsdb/mod.ts";
import { withTimeout } from "./time_limit.ts";

/** Blocks at some moment. */
export interface ViewedBlocks {
  readonly blocks: readonly BlockMeta[];
  /** Ms, 0 = never. */
  readonly refreshedAt: number;
  /** Why the last look failed; the blocks are those of the one before then. */
  readonly error: Error | undefined;
}

/** Looks at all blocks when told to. */
export class BlockViewer {
  readonly #fetcher: MetaFetcher;
  readonly #clock: Clock;
  readonly #timeout: number;
  #view: ViewedBlocks = { blocks: [], refreshedAt: 0, error: undefined };

  constructor(parts: {
    readonly bucket: Bucket;
    readonly clock: Clock;
    readonly observer: FetcherObserver;
    readonly concurrency: number;
    /** Longest time of a look, ms; 0 = no limit. */
    readonly timeout: number;
  }) {
    this.#clock = parts.clock;
    this.#timeout = parts.timeout;
    this.#fetcher = new MetaFetcher({ ...parts, filters: [], brief: true });
  }

  get view(): ViewedBlocks {
    return this.#view;
  }

  /** Looks at the bucket. Throws: what went wrong, which the view shows, too. */
  async sync(signal?: AbortSignal): Promise<void> {
    try {
      const result = await withTimeout(
        this.#clock,
        this.#timeout,
        "look at all blocks",
        signal,
        (limited) => this.#fetcher.fetch(limited),
      );
      this.#view = {
        blocks: [...result.metas.values()],
        refreshedAt: this.#clock.now(),
        error: result.failed.size === 0
          ? undefined
          : new MnemeError("unavailable", `cannot read meta.json of ${result.failed.size} blocks`),
      };
    } catch (error) {
      if (signal?.aborted === true) throw error;
      const told = error instanceof Error ? error : new Error(String(error));
      this.#view = { ...this.#view, error: told };
      throw error;
    }
  }
}
