/**
 * Watches the wait for a store's next frame: ends it after the response time-out, and when a store
 * that is silent for long does not answer a health probe either.
 *
 * The probe is a call of its own (Info), so a frozen or vanished peer is told from one that is busy
 * with a long answer, without pings of the transport.
 */
import { formatGoDuration } from "../base/mod.ts";
import { RpcError, STATUS_UNAVAILABLE } from "../rpc/mod.ts";

/** Limits of the wait. Units: ms; 0 = none. */
export interface FrameWatchOptions {
  readonly responseTimeout: number;
  /** Silence after which the store is probed. */
  readonly silence: number;
  readonly probe: ((signal: AbortSignal) => Promise<unknown>) | undefined;
  readonly probeTimeout: number;
}

/** Thrown by `next()` when no frame came within the response time-out. */
export class FrameTimeout extends Error {}

/** One watch serves one stream of frames. */
export class FrameWatch {
  readonly #options: FrameWatchOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #since = 0;
  #probed = 0;
  #probing: AbortController | undefined;
  #fail: ((error: unknown) => void) | undefined;

  constructor(options: FrameWatchOptions) {
    this.#options = options;
  }

  /** The promise's value; rejects when the watch gives up first (its own rejection is then moot). */
  next<T>(frame: Promise<T>): Promise<T> {
    if (this.#delay() === undefined) return frame;
    this.#since = performance.now();
    this.#probed = this.#since;
    this.#timer ??= setTimeout(this.#tick, this.#delay()!);
    return new Promise<T>((resolve, reject) => {
      this.#fail = reject;
      frame.then(resolve, reject);
    });
  }

  #delay(): number | undefined {
    const { responseTimeout, silence, probe } = this.#options;
    const waits = [responseTimeout, probe === undefined ? 0 : silence].filter((ms) => ms > 0);
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** One timer for all frames: it only looks how long the present one has been waited for. */
  readonly #tick = () => {
    this.#timer = undefined;
    const { responseTimeout, silence, probe } = this.#options;
    const now = performance.now();
    if (responseTimeout > 0 && now - this.#since >= responseTimeout) {
      this.#fail?.(new FrameTimeout());
      return;
    }
    let wait = responseTimeout > 0 ? responseTimeout - (now - this.#since) : Infinity;
    if (silence > 0 && probe !== undefined) {
      if (now - this.#probed >= silence && this.#probing === undefined) this.#probe(probe);
      wait = Math.min(wait, Math.max(1, silence - (now - this.#probed)));
      if (this.#probing !== undefined) wait = Math.min(wait, silence);
    }
    this.#timer = setTimeout(this.#tick, Math.max(1, Math.min(wait, 0x7fffffff)));
  };

  #probe(probe: (signal: AbortSignal) => Promise<unknown>): void {
    const { silence, probeTimeout } = this.#options;
    const stop = new AbortController();
    this.#probing = stop;
    const asked = this.#since;
    const done = (failure: string | undefined) => {
      clearTimeout(timer);
      if (this.#probing !== stop) return;
      this.#probing = undefined;
      this.#probed = performance.now();
      // A frame that came meanwhile says more than a probe.
      if (failure === undefined || this.#since !== asked) return;
      this.#fail?.(
        new RpcError(
          STATUS_UNAVAILABLE,
          `no data for ${formatGoDuration(silence)} and ${failure}`,
        ),
      );
    };
    const timer = setTimeout(() => {
      stop.abort();
      done(`no answer to a health probe within ${formatGoDuration(probeTimeout)}`);
    }, probeTimeout);
    probe(stop.signal).then(
      () => done(undefined),
      (error) => done(`its health probe failed: ${error instanceof Error ? error.message : error}`),
    );
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fail = undefined;
    this.#probing?.abort();
    this.#probing = undefined;
  }
}
