/**
 * What all operators of one running query share: limits, cancellation, time, annotations.
 *
 * What counts against `--query.max-samples` is samples held at one moment: decoded ones of the series
 * at hand, cells of accumulators and of rows that must wait, and the result. One cell is one sample,
 * whatever it takes to keep it; a histogram counts as its size in 16 bytes. The count depends on
 * query and data only, not on how fast anything was.
 */
import { LimitError, MnemeError } from "../base/mod.ts";
import type { FloatHistogram } from "../model/mod.ts";
import { Annotations } from "./annotations.ts";
import type { Storage } from "./storage.ts";

/** Language features that are off unless asked for; names as Prometheus' feature flags. */
export interface QueryFeatures {
  readonly delayedNameRemoval: boolean;
  readonly startTimestamps: boolean;
  readonly typeAndUnitLabels: boolean;
  /** Messages name two duplicates sorted by labels; otherwise the later one first, as Thanos does. */
  readonly sortedDuplicates: boolean;
}

/** How often a running query lets the event loop turn, ms. */
const SLICE = 15;

/** Lets pending events run once. */
export type Turn = () => Promise<void>;

/** One turn of the event loop: setImmediate where it exists, a message channel elsewhere. */
export const defaultTurn: Turn = () =>
  new Promise((resolve) => {
    const immediate = (globalThis as { setImmediate?: (f: () => void) => void }).setImmediate;
    if (immediate !== undefined) immediate(resolve);
    else {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => {
        channel.port1.close();
        resolve();
      };
      channel.port2.postMessage(0);
    }
  });

/** Settings of one query that do not change while it runs. */
export interface QueryContextOptions {
  readonly storage: Storage;
  readonly signal: AbortSignal;
  readonly maxSamples: number;
  /** `performance.now()` value after which the query has timed out; Infinity for none. */
  readonly deadline: number;
  readonly features: QueryFeatures;
  readonly turn: Turn;
}

/** The state of one running query. */
export class QueryContext {
  readonly storage: Storage;
  readonly signal: AbortSignal;
  readonly features: QueryFeatures;
  readonly annotations = new Annotations();
  readonly #maxSamples: number;
  readonly #deadline: number;
  readonly #turn: Turn;
  #sliceEnd = performance.now() + SLICE;
  /** Samples held now. */
  current = 0;
  /** Most samples held at one moment. */
  peak = 0;
  /** Samples that selectors handed to the query, over all steps. */
  total = 0;

  constructor(options: QueryContextOptions) {
    this.storage = options.storage;
    this.signal = options.signal;
    this.features = options.features;
    this.#maxSamples = options.maxSamples;
    this.#deadline = options.deadline;
    this.#turn = options.turn;
  }

  /** Counts `n` samples as held; throws a limit error when that is too many. */
  hold(n: number): void {
    this.current += n;
    if (this.current > this.#maxSamples) {
      throw new LimitError(
        "query processing would load too many samples into memory in query execution",
        this.#maxSamples,
        this.current,
      );
    }
    if (this.current > this.peak) this.peak = this.current;
  }

  /** Counts `n` samples as given back. */
  release(n: number): void {
    this.current -= n;
  }

  /** Notes that for a moment `n` more samples were held. */
  touch(n: number): void {
    if (this.current + n > this.peak) {
      this.hold(n);
      this.release(n);
    }
  }

  /** Throws when the query was canceled or is out of time. */
  check(stage = "expression evaluation"): void {
    if (this.signal.aborted) throw abortError(this.signal, stage);
    if (this.#deadline !== Infinity && performance.now() > this.#deadline) {
      throw new MnemeError("timeout", `query timed out in ${stage}`);
    }
  }

  /**
   * To be called once per tile by whoever does work: undefined when work may go on, else a promise
   * to wait for. Throws (or rejects) when the query was canceled or is out of time.
   */
  breathe(): Promise<void> | undefined {
    if (performance.now() < this.#sliceEnd) return undefined;
    return this.#pause();
  }

  async #pause(): Promise<void> {
    this.check();
    await this.#turn();
    this.check();
    this.#sliceEnd = performance.now() + SLICE;
  }
}

/** The error of an aborted signal: a timeout when its reason says so, else a cancellation. */
export function abortError(signal: AbortSignal, stage: string): MnemeError {
  const reason: unknown = signal.reason;
  if (reason instanceof MnemeError && reason.kind !== "canceled" && reason.kind !== "timeout") {
    return reason;
  }
  const timedOut = (reason instanceof DOMException && reason.name === "TimeoutError") ||
    (reason instanceof MnemeError && reason.kind === "timeout");
  return timedOut
    ? new MnemeError("timeout", `query timed out in ${stage}`, { cause: reason })
    : new MnemeError("canceled", `query was canceled in ${stage}`, { cause: reason });
}

/** How many samples a histogram counts as: its bytes by 16, as Prometheus weighs it. */
export function histogramWeight(h: FloatHistogram): number {
  const bytes = 8 * (h.positiveBuckets.length + h.negativeBuckets.length) +
    8 * (h.positiveSpans.length + h.negativeSpans.length) +
    8 * h.customValues.length + 168;
  return Math.ceil((bytes + 8) / 16);
}
