/** Sums and means of many histograms, with the compensation that Prometheus uses. */
import type { FloatHistogram } from "./histogram.ts";
import {
  addHistogramCompensated,
  addLost,
  copyHistogram,
  divideHistogram,
  hasOverflow,
  lostOf,
  MERGE_INCOMPATIBLE,
  scaleHistogram,
} from "./histogram_math.ts";

/** Which explicit counter reset hints a series of histograms had. */
class HintsSeen {
  #reset = false;
  #notReset = false;

  see(h: FloatHistogram): void {
    if (h.counterResetHint === "reset") this.#reset = true;
    else if (h.counterResetHint === "not_reset") this.#notReset = true;
  }

  /** True when some said "reset" and some "not reset": adding them up is doubtful. */
  get conflict(): boolean {
    return this.#reset && this.#notReset;
  }
}

/** Adds up histograms. Owner: keeps nothing of what it is given. */
export class HistogramSum {
  readonly #hints = new HintsSeen();
  readonly #sum: FloatHistogram;
  #lost: FloatHistogram | null = null;
  /** Histograms added. */
  n = 1;

  constructor(first: FloatHistogram) {
    this.#hints.see(first);
    this.#sum = copyHistogram(first);
  }

  /** Adds one; returns MERGE_… bits. */
  add(h: FloatHistogram): number {
    this.#hints.see(h);
    this.#lost ??= lostOf(this.#sum);
    const outcome = addHistogramCompensated(this.#sum, this.#lost, h);
    if (outcome !== MERGE_INCOMPATIBLE) this.n++;
    return outcome;
  }

  /** True when "reset" and "not reset" samples were added up. */
  get conflictingResets(): boolean {
    return this.#hints.conflict;
  }

  /** The sum; add() must not be called afterwards. */
  result(): FloatHistogram {
    if (this.#lost !== null) addLost(this.#sum, this.#lost);
    this.#lost = null;
    return this.#sum;
  }
}

/** Above this, adding two numbers may overflow. */
const LARGE = Number.MAX_VALUE / 4;

/**
 * The mean of histograms: sum divided by count, or step by step once the sum overflows. Owner: keeps
 * nothing of what it is given.
 */
export class HistogramMean {
  readonly #hints = new HintsSeen();
  /** The sum, or the mean so far when #stepwise. */
  #value: FloatHistogram;
  #lost: FloatHistogram | null = null;
  #stepwise = false;
  /** Histograms added. */
  n = 1;

  constructor(first: FloatHistogram) {
    this.#hints.see(first);
    this.#value = copyHistogram(first);
  }

  /** Adds one; returns MERGE_… bits. */
  add(h: FloatHistogram): number {
    this.#hints.see(h);
    this.#lost ??= lostOf(this.#value);
    const n = this.n + 1;
    if (!this.#stepwise) {
      const guarded = isLarge(this.#value) || isLarge(h);
      const before = guarded ? copyHistogram(this.#value) : this.#value;
      const lostBefore = guarded ? copyHistogram(this.#lost) : this.#lost;
      const outcome = addHistogramCompensated(this.#value, this.#lost, h);
      if (outcome === MERGE_INCOMPATIBLE) return outcome;
      if (!guarded || !hasOverflow(this.#value)) {
        this.n = n;
        return outcome;
      }
      this.#stepwise = true;
      this.#value = divideHistogram(before, n - 1);
      this.#lost = divideHistogram(lostBefore, n - 1);
    }
    const share = divideHistogram(copyHistogram(h), n);
    const weight = (n - 1) / n;
    scaleHistogram(this.#value, weight);
    scaleHistogram(this.#lost, weight);
    const outcome = addHistogramCompensated(this.#value, this.#lost, share);
    if (outcome !== MERGE_INCOMPATIBLE) this.n = n;
    return outcome;
  }

  /** True when "reset" and "not reset" samples were averaged. */
  get conflictingResets(): boolean {
    return this.#hints.conflict;
  }

  /** The mean; add() must not be called afterwards. */
  result(): FloatHistogram {
    const lost = this.#lost;
    this.#lost = null;
    if (!this.#stepwise && this.n > 1) {
      divideHistogram(this.#value, this.n);
      if (lost !== null) divideHistogram(lost, this.n);
    }
    return lost === null ? this.#value : addLost(this.#value, lost);
  }
}

function isLarge(h: FloatHistogram): boolean {
  return large(h.count) || large(h.sum[0]!) || large(h.zeroCount) ||
    anyLarge(h.positiveBuckets) || anyLarge(h.negativeBuckets);
}

function large(x: number): boolean {
  return x > LARGE || x < -LARGE;
}

function anyLarge(column: Float64Array): boolean {
  for (let i = 0; i < column.length; i++) if (large(column[i]!)) return true;
  return false;
}
