/** Finds out that a peer is gone although its connection says nothing. */

/**
 * When a silent peer is asked for a sign of life, ms: after `silence` without any byte while calls
 * are open, then every `repeat` (servers resent more). A peer that says nothing for `patience` after
 * a ping is lost.
 */
export interface KeepaliveTimes {
  readonly silence: number;
  readonly repeat: number;
  readonly patience: number;
}

export const KEEPALIVE: KeepaliveTimes = { silence: 20_000, repeat: 60_000, patience: 5_000 };

/** A server loses little by waiting longer; its client may only be busy. */
export const SERVER_KEEPALIVE: KeepaliveTimes = { ...KEEPALIVE, patience: 20_000 };

/** A timer this much behind its time, ms, means that the process was busy with something else. */
const LATE = 500;

/** The timers of one connection. */
export class Keepalive {
  readonly #times: KeepaliveTimes;
  readonly #ping: () => void;
  readonly #lost: () => void;
  #lastHeard = performance.now();
  /** Runs while calls are open. */
  #watch: ReturnType<typeof setTimeout> | undefined;
  /** Runs while an answer to a ping is awaited. */
  #patience: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(times: KeepaliveTimes, ping: () => void, lost: () => void) {
    this.#times = times;
    this.#ping = ping;
    this.#lost = lost;
  }

  /** Bytes arrived. */
  heard(): void {
    this.#lastHeard = performance.now();
    if (this.#patience === undefined) return;
    clearTimeout(this.#patience);
    this.#patience = undefined;
  }
  /** Calls are open, or no longer. */
  watch(open: boolean): void {
    if (open && !this.#over) {
      this.#watch ??= setTimeout(() => this.#look(), this.#times.silence);
    } else {
      clearTimeout(this.#watch);
      this.#watch = undefined;
    }
  }
  /** Asks for a sign of life when nothing was heard since `time` (of performance.now()). */
  probe(time = Infinity): void {
    if (this.#over || this.#patience !== undefined || this.#lastHeard >= time) return;
    this.#ping();
    this.#wait();
  }
  end(): void {
    this.#over = true;
    clearTimeout(this.#watch);
    clearTimeout(this.#patience);
  }

  #wait(): void {
    const { patience } = this.#times;
    const due = performance.now() + patience;
    this.#patience = setTimeout(() => {
      // A timer that comes late was held up by this process: the answer may lie unread.
      if (performance.now() - due > LATE) this.#wait();
      else this.#lost();
    }, patience);
  }

  #look(): void {
    const { silence, repeat } = this.#times;
    const quiet = performance.now() - this.#lastHeard;
    if (quiet >= silence) this.probe();
    this.#watch = setTimeout(() => this.#look(), quiet >= silence ? repeat : silence - quiet);
  }
}
