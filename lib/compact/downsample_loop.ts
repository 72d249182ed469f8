/** Downsampling alone, without a compactor: look, downsample twice, wait, again. */
import { type Clock, errorMessage, MnemeError, throwIfAborted } from "../base/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { BucketSync } from "./bucket_view.ts";
import type { Downsampling } from "./downsample_pass.ts";

/** What the loop works with. */
export interface DownsampleLoopParts {
  readonly sync: BucketSync;
  readonly downsampling: Downsampling;
  readonly clock: Clock;
  readonly logger: Logger;
  /** From the start of one look to the start of the next, ms. */
  readonly interval: number;
}

/** Downsamples what is due, again and again. */
export class DownsampleLoop {
  readonly #parts: DownsampleLoopParts;

  constructor(parts: DownsampleLoopParts) {
    this.#parts = parts;
  }

  /** Two passes: what the first one makes may be due for the next resolution. */
  async once(signal?: AbortSignal): Promise<readonly Error[]> {
    const errors: Error[] = [];
    for (let pass = 0; pass < 2; pass++) {
      const view = await this.#parts.sync.sync(signal);
      const metas = [...view.metas.values()];
      const found = await this.#parts.downsampling.run({
        view,
        metas,
        localCopy: () => undefined,
        signal,
      });
      // A block that cannot be downsampled is told by each pass.
      for (const error of found) {
        if (!errors.some((known) => known.message === error.message)) errors.push(error);
      }
    }
    return errors;
  }

  /** Until `stop`; what fails is told and tried again. */
  async forEver(stop: AbortSignal): Promise<void> {
    const { clock, logger, interval } = this.#parts;
    while (!stop.aborted) {
      const started = clock.now();
      try {
        for (const error of await this.once(stop)) {
          logger.error("downsampling failed; it is tried again", { err: error.message });
        }
        throwIfAborted(stop);
        await clock.sleep(Math.max(0, interval - (clock.now() - started)), stop);
      } catch (error) {
        if (stop.aborted) return;
        if (!(error instanceof MnemeError)) throw error;
        logger.error("cannot look at the bucket; it is tried again", { err: errorMessage(error) });
        try {
          await clock.sleep(interval, stop);
        } catch {
          return; // Stopped while it waited.
        }
      }
    }
  }
}
