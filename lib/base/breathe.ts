/** Lets the event loop turn during long work, so that probes, cancellation and other calls go on. */

/** One turn of the event loop: setImmediate where it exists, a message channel elsewhere. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    const immediate = (globalThis as { setImmediate?: (f: () => void) => void }).setImmediate;
    if (immediate !== undefined) {
      immediate(resolve);
      return;
    }
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(0);
  });
}

/** Tells long work when it is time for a turn. */
export class Breather {
  readonly #slice: number;
  #end: number;

  /** `slice` is the longest stretch without a turn, ms. */
  constructor(slice = 15) {
    this.#slice = slice;
    this.#end = performance.now() + slice;
  }

  /** True when the slice is used up: then await pause(). */
  get due(): boolean {
    return performance.now() >= this.#end;
  }
  /** Takes a turn and starts the next slice. */
  async pause(): Promise<void> {
    await turn();
    this.#end = performance.now() + this.#slice;
  }
}
