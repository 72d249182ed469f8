/** Time as a dependency: components take a Clock, tests pass a fake one. */
import { throwIfAborted } from "./errors.ts";

/** Wall time and sleeping. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      const fail = () => {
        clearTimeout(timer);
        try {
          throwIfAborted(signal);
        } catch (error) {
          reject(error);
        }
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", fail);
        resolve();
      }, ms);
      if (signal?.aborted) fail();
      else signal?.addEventListener("abort", fail, { once: true });
    });
  },
};

/** A clock that moves only when told to; sleepers wake in order of their time. */
export class FakeClock implements Clock {
  #now: number;
  #sleepers: { at: number; wake: () => void }[] = [];
  constructor(now = 0) {
    this.#now = now;
  }
  now(): number {
    return this.#now;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    return new Promise((resolve, reject) => {
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers = this.#sleepers.filter((s) => s !== sleeper);
        try {
          throwIfAborted(signal);
        } catch (error) {
          reject(error);
        }
      }, { once: true });
    });
  }
  /** Moves time forward and wakes whoever is due; lets pending work settle before and after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (let i = 0; i < 20; i++) await Promise.resolve();
    for (;;) {
      const due = this.#sleepers.filter((s) => s.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = due.at;
      this.#sleepers = this.#sleepers.filter((s) => s !== due);
      due.wake();
      for (let i = 0; i < 20; i++) await Promise.resolve();
    }
    this.#now = end;
  }
}
