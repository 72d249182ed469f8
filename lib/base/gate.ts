/** Lets at most `limit` holders in at once; the others wait in order. */
import { MnemeError, throwIfAborted } from "./errors.ts";

/** A counting gate with an abortable queue. `limit` <= 0 means no limit. */
export class Gate {
  readonly limit: number;
  #inFlight = 0;
  #queue: (() => void)[] = [];
  constructor(limit: number) {
    this.limit = limit;
  }
  get inFlight(): number {
    return this.#inFlight;
  }
  get waiting(): number {
    return this.#queue.length;
  }
  /** Resolves to a release function; calling it twice has no further effect. */
  async enter(signal?: AbortSignal): Promise<() => void> {
    throwIfAborted(signal);
    if (this.limit > 0 && this.#inFlight >= this.limit) {
      await new Promise<void>((resolve, reject) => {
        const admit = () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        };
        const abort = () => {
          this.#queue = this.#queue.filter((q) => q !== admit);
          try {
            throwIfAborted(signal);
            reject(new MnemeError("canceled", "context canceled"));
          } catch (error) {
            reject(error);
          }
        };
        this.#queue.push(admit);
        signal?.addEventListener("abort", abort, { once: true });
      });
    } else {
      this.#inFlight++;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const next = this.#queue.shift();
      if (next === undefined) this.#inFlight--;
      else next();
    };
  }
  /** Runs `work` inside the gate. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.enter(signal);
    try {
      return await work();
    } finally {
      release();
    }
  }
}
