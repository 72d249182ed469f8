/** Sources of samples: chunk-sized pieces of one series at a time, in typed columns. */
import type { SeriesSpec } from "./plan.ts";
import { ContinuousSource } from "./samples_continuous.ts";
import { isContinuous } from "./plan.ts";
import { SeededRandom } from "./seeded_random.ts";

/** Samples of one series in ascending time. */
export interface SampleSource {
  /** Fills the columns with up to `max` samples; returns their number, 0 at the end. */
  next(t: Float64Array, v: Float64Array, max: number): number;
}

/** What makes a series' random numbers its own. */
export interface SeriesSeed {
  /** Hash of all labels of the series. */
  readonly high: number;
  readonly low: number;
  /** Hash of the labels that tell targets apart: series of one target are scraped together. */
  readonly target: number;
}

/** The source of a series. */
export function openSource(spec: SeriesSpec, seed: SeriesSeed): SampleSource {
  if (isContinuous(spec.type)) return new ContinuousSource(spec, seed);
  const random = new SeededRandom();
  random.seed(seed.high, seed.low, 0);
  switch (spec.type) {
    case "COUNTER":
      return new CounterSource(spec, random);
    case "RANDOM":
      return new RandomSource(spec, random);
    default:
      return new GaugeSource(spec, random);
  }
}

/** Number of samples of a spec of thanosbench's types: the first lies one interval behind the start. */
export function scrapeCount(spec: SeriesSpec): number {
  if (spec.maxTime < spec.minTime) return 0;
  return Math.floor((spec.maxTime - spec.minTime) / spec.scrapeInterval) + 1;
}

/** Times of scrapes; the kinds below give the values. */
abstract class ScrapeSource implements SampleSource {
  protected readonly spec: SeriesSpec;
  protected readonly random: SeededRandom;
  #time: number;
  #left: number;

  constructor(spec: SeriesSpec, random: SeededRandom) {
    this.spec = spec;
    this.random = random;
    this.#time = spec.minTime;
    this.#left = scrapeCount(spec);
  }

  next(t: Float64Array, v: Float64Array, max: number): number {
    const n = Math.min(max, this.#left);
    const { scrapeInterval } = this.spec;
    let time = this.#time;
    for (let i = 0; i < n; i++) t[i] = time += scrapeInterval;
    this.#time = time;
    this.#left -= n;
    this.fill(t, v, n);
    return n;
  }
  protected abstract fill(t: Float64Array, v: Float64Array, n: number): void;

  /** A value of the spec's range. */
  protected draw(): number {
    const { min, max } = this.spec;
    return min + this.random.float() * (max - min + 1);
  }
}

/** A fresh value for every sample. */
class RandomSource extends ScrapeSource {
  protected fill(_t: Float64Array, v: Float64Array, n: number): void {
    for (let i = 0; i < n; i++) v[i] = this.draw();
  }
}

/** Something that changes at every change interval, first one interval after the first sample. */
class ChangeTimer {
  readonly #interval: number;
  #at: number;
  constructor(spec: SeriesSpec) {
    this.#interval = spec.changeInterval;
    this.#at = spec.changeInterval > 0
      ? spec.minTime + spec.scrapeInterval + spec.changeInterval
      : Infinity;
  }
  /** Index of the first sample in [from, n) at or behind the next change, n when there is none. */
  until(t: Float64Array, from: number, n: number): number {
    let i = from;
    while (i < n && t[i]! < this.#at) i++;
    return i;
  }
  /** Notes the change that happens at time `t`. */
  pass(t: number): void {
    this.#at += this.#interval * (Math.floor((t - this.#at) / this.#interval) + 1);
  }
}

/** A base value and a step that changes now and then. */
class GaugeSource extends ScrapeSource {
  readonly #base = this.draw();
  readonly #timer = new ChangeTimer(this.spec);
  #step = 0;

  protected fill(t: Float64Array, v: Float64Array, n: number): void {
    let i = 0;
    for (;;) {
      const end = this.#timer.until(t, i, n);
      v.fill(this.#base + this.#step, i, end);
      if (end === n) return;
      this.#timer.pass(t[end]!);
      if (this.spec.jitter > 0) this.#step = (this.random.float() - 0.5) * this.spec.jitter;
      i = end;
    }
  }
}

const RATE_WINDOW = 300_000;

/** A running total whose increases repeat every five minutes; it never resets. */
class CounterSource extends ScrapeSource {
  readonly #base = this.draw();
  readonly #timer = new ChangeTimer(this.spec);
  readonly #weights: Float64Array;
  readonly #sum: number;
  #rate: number;
  #total = 0;
  #index = 0;

  constructor(spec: SeriesSpec, random: SeededRandom) {
    super(spec, random);
    this.#weights = new Float64Array(Math.max(1, Math.floor(RATE_WINDOW / spec.scrapeInterval)));
    let sum = 0;
    for (let i = 0; i < this.#weights.length; i++) sum += this.#weights[i] = random.float();
    this.#sum = sum;
    this.#rate = Math.max(0, this.#base);
  }

  protected fill(t: Float64Array, v: Float64Array, n: number): void {
    const weights = this.#weights;
    let i = 0;
    for (;;) {
      const end = this.#timer.until(t, i, n);
      let k = this.#index;
      let total = this.#total;
      const rate = this.#rate;
      for (; i < end; i++) {
        v[i] = total += rate * weights[k]!;
        if (++k === weights.length) k = 0;
      }
      this.#index = k;
      this.#total = total;
      if (end === n) return;
      this.#timer.pass(t[end]!);
      if (this.spec.jitter > 0) {
        const change = Math.min(this.#base, (this.random.float() - 0.5) * this.spec.jitter);
        this.#rate = Math.max(0, this.#base + change / this.#sum);
      }
    }
  }
}
