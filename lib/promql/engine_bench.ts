/**
 * Whole range queries over XOR chunks in memory: decoding, windows, functions, aggregation, result.
 *
 * One unit of work is one stored sample that the query needs.
 */
import { type Bench, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { appendChunk, type Chunk, encodeXorChunk } from "../chunks/mod.ts";
import {
  type Labels,
  labelsFromRecord,
  type Matcher,
  matchesLabels,
  SampleBatch,
} from "../model/mod.ts";
import { Engine } from "./engine.ts";
import type { SelectedSeries, Storage } from "./storage.ts";

const START = 1_790_208_000_000;
const SCRAPE = 15_000;
const CHUNK = 120;

/** Series as encoded chunks. */
class ChunkStorage implements Storage {
  readonly series: { labels: Labels; chunks: Chunk[] }[] = [];

  select(matchers: readonly Matcher[]): Promise<SelectedSeries> {
    const found = this.series.filter((s) => matchesLabels(matchers, s.labels));
    return Promise.resolve({
      labels: found.map((s) => s.labels),
      warnings: [],
      bytes: 0,
      read(i, batch) {
        batch.clear();
        for (const chunk of found[i]!.chunks) appendChunk(chunk, batch);
      },
      close() {},
    });
  }
}

function makeStorage(random: Random, series: number, samples: number): ChunkStorage {
  const storage = new ChunkStorage();
  for (const metric of ["counter_total", "gauge"]) {
    for (let s = 0; s < series; s++) {
      const labels = labelsFromRecord({
        __name__: metric,
        instance: String(s).padStart(6, "0"),
        job: `job-${s % 10}`,
      });
      const batch = new SampleBatch(CHUNK);
      const chunks: Chunk[] = [];
      let value = random.below(1000);
      for (let i = 0; i < samples; i++) {
        if (metric === "gauge") value = Math.round((value + random.below(40) - 20) * 10) / 10;
        else if (random.below(20_000) === 0) value = 0;
        else value += random.below(20);
        batch.reserve(1);
        batch.t[batch.length] = START + i * SCRAPE + (random.below(10) === 0 ? random.below(4) : 0);
        batch.v[batch.length++] = value;
        if (batch.length < CHUNK && i < samples - 1) continue;
        chunks.push({ encoding: 1, data: encodeXorChunk(batch) });
        batch.clear();
      }
      storage.series.push({ labels, chunks });
    }
  }
  return storage;
}

const QUERIES: readonly (readonly [name: string, query: string, step: number])[] = [
  ["selector", "gauge", 60_000],
  ["sum by rate 5m", "sum by (job) (rate(counter_total[5m]))", 60_000],
  ["sum by rate 1h", "sum by (job) (rate(counter_total[1h]))", 60_000],
  ["avg_over_time 1h", "avg_over_time(gauge[1h])", 3_600_000],
  ["max_over_time 1h, overlapping", "max_over_time(gauge[1h])", 60_000],
  ["quantile_over_time 30m", "quantile_over_time(0.9, gauge[30m])", 300_000],
  ["topk", "topk(5, gauge)", 300_000],
  ["join", "gauge / on (instance) group_left () counter_total", 60_000],
  [
    "two ranges of one select",
    "sum(rate(counter_total[5m])) / sum(rate(counter_total[1h]))",
    60_000,
  ],
  ["subquery", "max_over_time(rate(counter_total[5m])[30m:1m])", 300_000],
];

/** See the file comment. */
export const bench: Bench = {
  name: "engine",
  async run(b) {
    const series = b.parameter("series", 4, 1000);
    const samples = b.parameter("samples", 300, 5760);
    const storage = makeStorage(new Random(b.seed), series, samples);
    const engine = new Engine();
    const end = START + samples * SCRAPE;
    for (const [name, query, step] of QUERIES) {
      const metrics = ["gauge", "counter_total"].filter((m) => query.includes(m)).length;
      const work = { work: metrics * series * samples, unit: "sample" };
      await b.measureAsync(name, work, async () => {
        const start = START + SCRAPE * 20;
        const { value } = await engine.rangeQuery({ query, storage, start, end, step });
        const hash = new ResultHash();
        if (value.type === "matrix") {
          for (const one of value.series) {
            hash.addText(one.labels.join());
            hash.addFloats(one.v);
          }
        }
        return hash.digest();
      });
    }
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
