/**
 * Series that go on from block to block: every value is a function of labels and time alone.
 *
 * Time is cut into windows of two hours. What a series has reached at the border of a window comes
 * from a hash of labels and window; the way from border to border is random, and bent so that it
 * ends where the next window starts. So any block can be made by itself, in any worker.
 */
import type { SeriesSpec } from "./plan.ts";
import type { SampleSource, SeriesSeed } from "./samples.ts";
import { hashFloat, SeededRandom } from "./seeded_random.ts";

const WINDOW = 7_200_000;
const DAY = 86_400_000;

// Salts: what a number is drawn for.
const LEVEL = 1;
const RESET_PHASE = 2;
const RESET_PLACE = 3;
const PHASE = 4;
// Sequences of the random generators.
const VALUES = 0;
const LATENESS = 1;

/** Index of the first grid point at or behind `time`. */
function gridFrom(time: number, interval: number): number {
  return Math.ceil(time / interval);
}

/** Number of samples in [minTime, maxTime). */
export function gridCount(spec: SeriesSpec): number {
  const { minTime, maxTime, scrapeInterval } = spec;
  return Math.max(0, gridFrom(maxTime, scrapeInterval) - gridFrom(minTime, scrapeInterval));
}

/** Samples on the grid of the scrape interval, window by window. */
export class ContinuousSource implements SampleSource {
  readonly #spec: SeriesSpec;
  readonly #seed: SeriesSeed;
  readonly #random = new SeededRandom();
  /** Grid indexes: the next sample, and the end of the series. */
  #next: number;
  readonly #end: number;
  /** The window whose samples are in the columns: its grid indexes. */
  #from = 0;
  #to = 0;
  #t = new Float64Array(0);
  #v = new Float64Array(0);

  constructor(spec: SeriesSpec, seed: SeriesSeed) {
    this.#spec = spec;
    this.#seed = seed;
    this.#next = gridFrom(spec.minTime, spec.scrapeInterval);
    this.#end = gridFrom(spec.maxTime, spec.scrapeInterval);
  }

  next(t: Float64Array, v: Float64Array, max: number): number {
    if (this.#next >= this.#end) return 0;
    if (this.#next >= this.#to) this.#fillWindow();
    const n = Math.min(max, this.#end - this.#next, this.#to - this.#next);
    const at = this.#next - this.#from;
    t.set(this.#t.subarray(at, at + n));
    v.set(this.#v.subarray(at, at + n));
    this.#next += n;
    return n;
  }

  /** Makes the samples of the window that holds the next one. */
  #fillWindow(): void {
    const { scrapeInterval } = this.#spec;
    const window = Math.floor(this.#next * scrapeInterval / WINDOW);
    this.#from = gridFrom(window * WINDOW, scrapeInterval);
    this.#to = gridFrom((window + 1) * WINDOW, scrapeInterval);
    const n = this.#to - this.#from;
    if (this.#t.length < n) {
      this.#t = new Float64Array(n);
      this.#v = new Float64Array(n);
    }
    this.#fillTimes(window, n);
    this.#random.seed(this.#seed.high, this.#seed.low, window * 2 + VALUES);
    switch (this.#spec.type) {
      case "STEADY_COUNTER":
        return this.#fillCounter(window, n);
      case "WALK":
        return this.#fillWalk(window, n);
      case "WAVE":
        return this.#fillWave(n);
      default:
        this.#v.fill(this.#spec.max, 0, n);
    }
  }

  #fillTimes(window: number, n: number): void {
    const { scrapeInterval } = this.#spec;
    const late = this.#spec.late ?? 0;
    const t = this.#t;
    const from = this.#from;
    for (let i = 0; i < n; i++) t[i] = (from + i) * scrapeInterval;
    if (late <= 0) return;
    const random = this.#random;
    random.seed(this.#seed.target, 0, window * 2 + LATENESS);
    const share = (this.#spec.lateShare ?? 0) * 4294967296;
    for (let i = 0; i < n; i++) {
      const bits = random.bits();
      // The high bits decide whether, the low ones how much.
      if (bits < share) t[i]! += bits % (late + 1);
    }
  }

  /** What the counter has reached when a window of about `n` samples starts, never falling. */
  #totalAt(window: number, n: number): number {
    // Just under the mean of the draws, so that bending them hardly ever passes `max`.
    const mean = Math.max(1, Math.round(n * (this.#spec.min + this.#spec.max) * 0.45));
    const { high, low } = this.#seed;
    return window * mean + Math.floor(hashFloat(high, low, window, LEVEL) * mean * 0.08);
  }

  #fillCounter(window: number, n: number): void {
    const { min, max } = this.#spec;
    const v = this.#v;
    const random = this.#random;
    let sum = 0;
    for (let i = 0; i < n; i++) v[i] = sum += min + Math.floor(random.float() * (max - min + 1));
    const nominal = Math.max(1, Math.round(WINDOW / this.#spec.scrapeInterval));
    const start = this.#totalAt(window, nominal);
    const grown = this.#totalAt(window + 1, nominal) - start;
    const scale = sum > 0 ? grown / sum : 0;

    // The total at which the counter started anew, in this window and before it.
    const period = Math.round((this.#spec.resetInterval ?? 0) / WINDOW);
    let before = 0;
    let after = Infinity;
    if (period > 0) {
      const { high, low } = this.#seed;
      const phase = Math.floor(hashFloat(high, low, 0, RESET_PHASE) * period);
      const since = (window + phase) % period;
      const last = window - since;
      const place = this.#resetTotal(last, nominal);
      if (since === 0) {
        before = this.#resetTotal(last - period, nominal);
        after = place;
      } else before = place;
    }
    for (let i = 0; i < n; i++) {
      const total = start + Math.floor(v[i]! * scale);
      v[i] = total >= after ? total - after : total - before;
    }
  }

  /** The total at which the counter resets inside `window`. */
  #resetTotal(window: number, n: number): number {
    const start = this.#totalAt(window, n);
    const { high, low } = this.#seed;
    const place = hashFloat(high, low, window, RESET_PLACE);
    return start + Math.floor((this.#totalAt(window + 1, n) - start) * place);
  }

  #fillWalk(window: number, n: number): void {
    const { min, max, jitter } = this.#spec;
    const { high, low } = this.#seed;
    const scale = Math.pow(10, this.#spec.decimals ?? 0);
    const start = min + hashFloat(high, low, window, LEVEL) * (max - min);
    const end = min + hashFloat(high, low, window + 1, LEVEL) * (max - min);
    const v = this.#v;
    const random = this.#random;
    let x = 0;
    for (let i = 0; i < n; i++) {
      v[i] = x;
      x += (random.float() * 2 - 1) * jitter;
    }
    // A straight line from border to border, and the walk minus what it would miss the end by.
    const slope = (end - start - x) / n;
    for (let i = 0; i < n; i++) {
      const y = Math.min(max, Math.max(min, start + v[i]! + slope * i));
      v[i] = Math.round(y * scale) / scale;
    }
  }

  #fillWave(n: number): void {
    const { min, max, jitter } = this.#spec;
    const { high, low } = this.#seed;
    const scale = Math.pow(10, this.#spec.decimals ?? 1);
    const phase = hashFloat(high, low, 0, PHASE);
    const middle = (min + max) / 2;
    const height = (max - min) / 2;
    const t = this.#t;
    const v = this.#v;
    const random = this.#random;
    for (let i = 0; i < n; i++) {
      const y = middle + height * Math.sin(2 * Math.PI * (t[i]! / DAY + phase)) +
        (random.float() - 0.5) * jitter;
      v[i] = Math.round(y * scale) / scale;
    }
  }
}
