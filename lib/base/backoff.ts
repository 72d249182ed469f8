/** Retry with growing, jittered pauses, bounded in count. */
import { type Clock, systemClock } from "./clock.ts";
import { throwIfAborted } from "./errors.ts";

/** How often and how long to wait between attempts. */
export interface BackoffOptions {
  readonly attempts: number;
  /** First pause in ms; doubles each time. */
  readonly baseMs: number;
  readonly maxMs: number;
  readonly clock?: Clock;
  /** Uniform [0, 1); injected for repeatable tests. */
  readonly random?: () => number;
  readonly signal?: AbortSignal;
}

/** Calls `work` until it succeeds, `retryable` says no, or the attempts are used up. */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  retryable: (error: unknown) => boolean,
  options: BackoffOptions,
): Promise<T> {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  for (let attempt = 0;; attempt++) {
    throwIfAborted(options.signal);
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt + 1 >= options.attempts || !retryable(error)) throw error;
      const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** attempt);
      await clock.sleep(ceiling * (0.5 + random() / 2), options.signal);
    }
  }
}
