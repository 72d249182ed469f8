/** Ends of calls: a signal that follows another one, has a time limit of its own and can be stopped. */
import { MnemeError } from "../base/mod.ts";

/** One for all: making an error takes down where it was made, which costs more than a small call. */
const STOPPED = new MnemeError("canceled", "context canceled");

/** A signal that follows another one and also aborts after `ms` (0 = never) or on stop(). */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #follow: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The time has passed. */
  expired = false;

  constructor(parent: AbortSignal, ms: number) {
    this.#parent = parent;
    this.#follow = () => this.#controller.abort(parent.reason);
    if (parent.aborted) this.#follow();
    else parent.addEventListener("abort", this.#follow, { once: true });
    if (ms > 0) {
      this.#timer = setTimeout(() => {
        this.expired = true;
        this.#controller.abort(new MnemeError("timeout", "context deadline exceeded"));
      }, ms);
    }
  }
  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  stop(): void {
    this.#controller.abort(STOPPED);
  }
  close(): void {
    clearTimeout(this.#timer);
    this.#parent.removeEventListener("abort", this.#follow);
  }
}
