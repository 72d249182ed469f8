/**
 * Two blocks of generated series for comparing engines: counters with resets, gauges with gaps, NaN,
 * infinities and staleness markers, classic histograms, series to join on.
 *
 * Samples lie 4 s (± 1 s) behind multiples of 15 s. Evaluated 7 s behind such multiples, with ranges
 * of whole multiples of 15 s, no sample ever lies on the edge of a range: engines whose ranges are
 * closed on the left agree with those whose ranges are open there.
 */
import { Random } from "../../lib/base/testing/random.ts";
import { encodeXorChunk } from "../../lib/chunks/mod.ts";
import {
  bitsOf,
  compareLabels,
  type Labels,
  labelsFromRecord,
  SampleBatch,
  setStaleAt,
} from "../../lib/model/mod.ts";
import { BlockWriter, SystemFiles } from "../../lib/tsdb/mod.ts";

const HOUR = 3_600_000;
/** First and last time of the data, ms; two blocks of two hours. */
export const DATA_START = 1_790_798_400_000;
export const DATA_END = DATA_START + 4 * HOUR;
const SCRAPE = 15_000;

interface Series {
  readonly labels: Labels;
  readonly batch: SampleBatch;
}

/** Collects the samples of one target's series, scrape by scrape. */
class Target {
  readonly #random: Random;
  readonly #offset: number;
  readonly #series: Series[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#offset = 3000 + random.below(2000);
  }

  get series(): readonly Series[] {
    return this.#series;
  }

  /** Adds a series; `value` is asked at every scrape, undefined leaves one out. */
  add(labels: Record<string, string>, value: (scrape: number) => number | undefined): void {
    const batch = new SampleBatch(1024);
    const random = this.#random;
    let present = false;
    for (let scrape = 0, t = DATA_START; t + SCRAPE <= DATA_END; scrape++, t += SCRAPE) {
      const x = value(scrape);
      batch.reserve(1);
      batch.t[batch.length] = t + this.#offset + random.below(10);
      if (x !== undefined) batch.v[batch.length++] = x;
      else if (present && random.chance(0.5)) setStaleAt(bitsOf(batch.v), batch.length++);
      present = x !== undefined;
    }
    this.#series.push({ labels: labelsFromRecord(labels), batch });
  }
}

/** Says for every scrape whether the series is there; gaps last some minutes. */
function presence(random: Random, gaps: boolean): (scrape: number) => boolean {
  let until = 0;
  let there = true;
  return (scrape) => {
    if (!gaps) return true;
    if (scrape >= until) {
      there = !there || until === 0;
      until = scrape + (there ? 40 + random.below(200) : 1 + random.below(40));
    }
    return there;
  };
}

function makeSeries(seed: number): Series[] {
  const random = new Random(seed);
  const all: Series[] = [];
  for (const job of ["api", "web", "db"]) {
    for (const instance of ["a:1", "b:1", "c:2"]) {
      const target = new Target(random);
      const base = { job, instance };
      const there = presence(random, random.chance(0.4));
      const visible = Array.from({ length: 4 * HOUR / SCRAPE }, (_, i) => there(i));
      target.add({ __name__: "up", ...base }, (i) => visible[i] ? 1 : random.chance(0.3) ? 0 : 1);
      for (const code of ["200", "404", "500"]) {
        // Far above zero, so that no extrapolation reaches zero; resets only between scrapes.
        let count = 1e6 + random.below(1e5);
        target.add({ __name__: "requests_total", ...base, code }, (i) => {
          count += random.below(50);
          if (visible[i] && visible[i - 1] && visible[i + 1] && random.chance(0.003)) {
            count = Math.floor(count / 2);
          }
          return visible[i] ? count : undefined;
        });
      }
      let load = random.between(-40, 40);
      const unique = all.length / 1024;
      target.add({ __name__: "load", ...base, zone: random.pick(["east", "west"]) }, (i) => {
        load += random.between(-8, 8) / 8;
        return visible[i] ? load + unique : undefined;
      });
      target.add({ __name__: "odd", ...base }, (i) => {
        if (!visible[i]) return undefined;
        if (random.chance(0.02)) return NaN;
        if (random.chance(0.01)) return Infinity;
        if (random.chance(0.01)) return -Infinity;
        return random.chance(0.1) ? -0 : random.between(-3, 3);
      });
      const bounds = ["0.1", "0.25", "0.5", "1", "5", "+Inf"];
      // Cumulative: each bucket holds what the ones below hold.
      const below = new Float64Array(4 * HOUR / SCRAPE);
      for (const le of bounds) {
        let own = 100_000 + random.below(1000);
        target.add({ __name__: "latency_bucket", ...base, le }, (i) => {
          own += random.below(4);
          below[i]! += own;
          return visible[i] ? below[i] : undefined;
        });
      }
      target.add(
        { __name__: "build_info", ...base, version: random.pick(["1.0", "1.1", "2.0"]) },
        (i) => visible[i] ? 1 : undefined,
      );
      all.push(...target.series);
    }
    const one = new Target(random);
    const limit = random.between(5, 50);
    one.add({ __name__: "limit", job }, () => limit);
    one.add({ __name__: "rare", job }, (i) => i % 37 === 0 ? i : undefined);
    all.push(...one.series);
  }
  return all.sort((a, b) => compareLabels(a.labels, b.labels));
}

/** Writes the blocks into `directory`; returns the number of series. */
export function writeBlocks(directory: string, seed: number): number {
  const series = makeSeries(seed);
  const middle = DATA_START + 2 * HOUR;
  const files = new SystemFiles();
  files.mkdir(directory);
  for (let half = 0; half < 2; half++) {
    const minTime = half === 0 ? DATA_START : middle;
    const maxTime = half === 0 ? middle : DATA_END;
    const ulid = `01M0000000000000000000000${half}`;
    const writer = new BlockWriter({ files, directory, ulid, sync: false });
    for (const { labels, batch } of series) {
      let from = 0;
      while (from < batch.length && batch.t[from]! < minTime) from++;
      let to = from;
      while (to < batch.length && batch.t[to]! < maxTime) to++;
      if (to === from) continue;
      writer.beginSeries(labels);
      for (let i = from; i < to; i += 120) {
        const end = Math.min(to, i + 120);
        writer.addChunk(1, encodeXorChunk(batch, i, end), batch.t[i]!, batch.t[end - 1]!, end - i);
      }
    }
    writer.finish({ minTime, maxTime });
  }
  return series.length;
}
