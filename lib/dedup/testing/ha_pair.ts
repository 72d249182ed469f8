/** Simulated replicas that scrape the same target, of which the true signal is known. */
import type { Random } from "../../base/testing/random.ts";
import { CounterReader } from "../../chunks/mod.ts";
import { bitsOf, SampleBatch, setStaleAt } from "../../model/mod.ts";
import { batchOf } from "./coarse.ts";

/** What goes wrong with a replica or a target in the simulated time. */
export interface HaOptions {
  readonly interval: number;
  readonly duration: number;
  readonly replicas: number;
  /** Outages a replica has on average. */
  readonly outages: number;
  /** Mean length of an outage, in intervals. */
  readonly outageLength: number;
  /** Part of an interval by which a scrape may be late. */
  readonly jitter: number;
  /** Part of the scrapes that fail. */
  readonly missed: number;
  /** Restarts of the target. */
  readonly resets: number;
}

/** A simulated target and what its replicas saw. */
export interface HaPair {
  readonly start: number;
  readonly end: number;
  /** What the target really counted since `start`, resets aside. */
  trueCount(time: number): number;
  trueGauge(time: number): number;
  /** Values as scraped; failed scrapes leave a staleness marker in gauges. */
  readonly counters: readonly SampleBatch[];
  readonly gauges: readonly SampleBatch[];
  /** True when some replica scraped within `reach` ms before or after `time`. */
  seenNear(time: number, reach: number): boolean;
}

const T0 = 1_790_208_000_000;
const GRAIN = 1000;

/** A pair (or more) of replicas with what `options` say goes wrong. */
export function haPair(random: Random, options: HaOptions): HaPair {
  const { interval, duration, replicas, resets } = options;
  const end = T0 + duration;
  // The true count on a grid of a second: a rate that wanders, never zero for long.
  const steps = Math.ceil(duration / GRAIN) + 2;
  const count = new Float64Array(steps);
  let rate = 1 + random.below(100);
  for (let i = 1; i < steps; i++) {
    if (random.chance(0.01)) rate = Math.max(0.5, rate * (0.5 + random.below(1000) / 666));
    count[i] = count[i - 1]! + rate;
  }
  const trueCount = (time: number) => {
    const x = Math.max(0, Math.min(steps - 2, (time - T0) / GRAIN));
    const i = Math.floor(x);
    return count[i]! + (count[i + 1]! - count[i]!) * (x - i);
  };
  const trueGauge = (time: number) => 100 + 50 * Math.sin((time - T0) / 1_000_000);
  const restarts = Array.from({ length: resets }, () => T0 + random.below(duration))
    .sort((a, b) => a - b);
  const base = random.below(1_000_000);
  const scraped = (time: number) => {
    const last = restarts.findLast((r) => r <= time);
    return last === undefined ? base + trueCount(time) : trueCount(time) - trueCount(last);
  };
  const counters: SampleBatch[] = [];
  const gauges: SampleBatch[] = [];
  const seen: number[] = [];
  for (let r = 0; r < replicas; r++) {
    const phase = random.below(interval);
    const away: [number, number][] = [];
    for (let k = 0; k < options.outages; k++) {
      const from = T0 + random.below(duration);
      away.push([from, from + (1 + random.below(2 * options.outageLength)) * interval]);
    }
    const times: number[] = [];
    const failed: number[] = [];
    for (let t = T0 + phase; t < end; t += interval) {
      const late = Math.floor(random.below(1000) / 1000 * options.jitter * interval);
      if (away.some(([a, b]) => t >= a && t < b)) continue;
      (random.chance(options.missed) ? failed : times).push(t + late);
    }
    for (const t of times) seen.push(t);
    counters.push(batchOf(times, times.map(scraped)));
    const all = [...times, ...failed].sort((a, b) => a - b);
    const gauge = batchOf(all, all.map(trueGauge));
    const isFailed = new Set(failed);
    all.forEach((t, i) => isFailed.has(t) && setStaleAt(bitsOf(gauge.v), i));
    gauges.push(gauge);
  }
  seen.sort((a, b) => a - b);
  const seenNear = (time: number, reach: number) => {
    let low = 0;
    let high = seen.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (seen[middle]! < time - reach) low = middle + 1;
      else high = middle;
    }
    return low < seen.length && seen[low]! <= time + reach;
  };
  return { start: T0, end, trueCount, trueGauge, counters, gauges, seenNear };
}

/** Counters as the querier merges them: running totals without resets, one for each replica. */
export function totalsOf(counters: readonly SampleBatch[]): SampleBatch[] {
  return counters.map((raw) => {
    const out = new SampleBatch(raw.length + 1);
    new CounterReader().appendSamples(raw, out);
    return out;
  });
}
