/**
 * MemoryBudget: what all running requests hold together stays under a limit. A request that would go
 * beyond fails with a sentence on what to narrow; new ones wait while little is left.
 */
import { LimitError, MnemeError, throwIfAborted } from "../base/mod.ts";

/** Share of its memory above which a process lets requests in one by one. */
const LARGE = 0.5;
/** … and above which it stops the requests that run, unless there is one only. */
const FULL_FOR_MANY = 0.65;
const FULL_FOR_ONE = 0.9;
/** Bytes between two looks at that share, and what a request may hold that goes on all the same. */
const MEASURE_EVERY = 256 * 1024;
const SMALL = 2 * 1024 * 1024;
/** Share of the budget above which new requests wait, counting what running ones will need. */
const CROWDED = 0.75;
/** Largest share that one request may hold. */
const LARGEST = 0.5;
const MIB = 1024 * 1024;
/** A running request is expected to come to hold so much, but no more than this share of all. */
const EXPECTED = 16 * MIB;
const EXPECTED_SHARE = 1 / 4;
/** What a request takes whatever it asks for: messages on their way, bytes. */
const EACH = 512 * 1024;

/** Memory that requests hold, against a limit. */
export class MemoryBudget {
  readonly #limit: number;
  readonly #name: string;
  readonly #each: number;
  #held = 0;
  /** What running requests hold or are expected to hold. */
  #expected = 0;
  #requests = 0;
  #waiting: (() => void)[] = [];

  /** How full the memory of the process is by what it measures itself, for what nobody counts. */
  readonly #fullness: () => number;
  #unmeasured = 0;

  /**
   * `limit` in bytes, Infinity for none; `name` says what setting it comes from; `fullness` gives
   * the share of its memory that the process takes.
   */
  constructor(limit: number, name: string, fullness: () => number = () => 0) {
    this.#fullness = fullness;
    this.#limit = limit;
    this.#name = name;
    this.#each = Math.min(EXPECTED, limit * EXPECTED_SHARE);
  }

  /** Bytes held by running requests. */
  get held(): number {
    return this.#held;
  }
  get limit(): number {
    return this.#limit;
  }

  /** Lets a request in once there is room; the caller closes its account at the end. */
  async admit(signal: AbortSignal): Promise<MemoryAccount> {
    const full = () =>
      this.#expected + this.#each > this.#limit * CROWDED ||
      this.#fullness() > LARGE;
    while (this.#requests > 0 && full()) await this.#turn(signal);
    this.#requests++;
    this.#expected += this.#each;
    const account = new MemoryAccount(this);
    try {
      account.take(Math.min(EACH, this.#limit / 100));
    } catch (error) {
      account.close();
      throw error;
    }
    return account;
  }

  async #turn(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    throwIfAborted(signal);
  }

  /** For accounts: one that holds `own` bytes takes `n` more, or gives some back. */
  change(own: number, n: number): void {
    if (n > 0 && (own + n > this.#limit * LARGEST || this.#held + n > this.#limit)) {
      throw this.#exceeded(own + n);
    }
    if (n > 0) this.#measure(own + n, n);
    this.#held += n;
    this.#expected += Math.max(own + n, this.#each) - Math.max(own, this.#each);
    if (n < 0) this.#wake();
  }
  /** Stops a request of some size when the process itself is nearly full. */
  #measure(own: number, n: number): void {
    this.#unmeasured += n;
    if (this.#unmeasured < MEASURE_EVERY) return;
    this.#unmeasured = 0;
    const most = this.#requests > 1 ? FULL_FOR_MANY : FULL_FOR_ONE;
    if (own > SMALL && this.#fullness() > most) throw this.#exceeded(own);
  }

  /** For accounts: a request ended that holds nothing any more. */
  leave(): void {
    this.#requests--;
    this.#expected -= this.#each;
    this.#wake();
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  #exceeded(own: number): MnemeError {
    const others = this.#requests - 1;
    const beside = others < 1
      ? ""
      : others === 1
      ? " beside another running request"
      : ` beside ${others} other running requests`;
    return new LimitError(
      `the request needs ${Math.ceil(own / MIB)} MiB and more of memory${beside}, beyond what ` +
        `${this.#name} leaves for it: narrow its time range or its label matchers, ` +
        `or raise the setting`,
      this.#limit,
      this.#held + own,
    );
  }
}

/** What the process takes beside requests once it runs: blocks, headers, buffers that wait, bytes. */
const RUNNING = 128 * MIB;
/** What was let go is collected later and in part only: so much is taken for each byte held. */
const SLACK = 5;
/** Less than this is of no use to requests. */
const LEAST = 16 * MIB;

/**
 * The part of a process' memory that is left for requests. Sizes in bytes.
 *
 * Throws: bad_data when that is too little.
 */
export function budgetOfProcess(
  options: {
    /** All that the process may take. */
    readonly total: number;
    /** Of it, what caches may grow to. */
    readonly cache: number;
    /** What the process takes now. */
    readonly used: () => number;
    readonly setting: string;
  },
): MemoryBudget {
  const { total, cache, used, setting } = options;
  const left = (total - cache - used() - RUNNING) / SLACK;
  if (left < LEAST) {
    const mebibytes = (bytes: number) => `${Math.ceil(bytes / MIB)}MiB`;
    const least = total - left * SLACK + LEAST * SLACK;
    throw new MnemeError(
      "bad_data",
      `${setting} of ${mebibytes(total)} is too small: ${mebibytes(least)} or more are needed, ` +
        `of them ${mebibytes(cache)} for the index cache`,
    );
  }
  return new MemoryBudget(left, setting, () => used() / total);
}

/** What one request holds. */
export class MemoryAccount {
  readonly #budget: MemoryBudget;
  #held = 0;
  #open = true;

  constructor(budget: MemoryBudget) {
    this.#budget = budget;
  }

  get held(): number {
    return this.#held;
  }

  /** Takes memory before it is allocated. Throws: LimitError that says what to narrow. */
  take(n: number): void {
    if (!this.#open) return; // A block that is read on after its request ended, for a moment.
    this.#budget.change(this.#held, n);
    this.#held += n;
  }
  /** Gives memory back. */
  give(n: number): void {
    if (!this.#open) return;
    this.#budget.change(this.#held, -n);
    this.#held -= n;
  }
  /** Gives everything back. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#budget.change(this.#held, -this.#held);
    this.#held = 0;
    this.#budget.leave();
  }
}

/** Memory of the chunks of all running requests, against `--chunk-pool-size`. */
export class ChunkMemory {
  readonly #limit: number;
  #held = 0;

  /** `limit` in bytes, 0 for none. */
  constructor(limit: number) {
    this.#limit = limit;
  }
  get held(): number {
    return this.#held;
  }
  take(n: number): void {
    if (this.#limit > 0 && this.#held + n > this.#limit) {
      throw new LimitError(
        "allocate chunk bytes: pool exhausted: ask for less at once, or raise --chunk-pool-size",
        this.#limit,
        this.#held + n,
      );
    }
    this.#held += n;
  }
  give(n: number): void {
    this.#held -= n;
  }
}
