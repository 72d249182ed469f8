/** Benchmarks of reading one series out of its chunks, with and without replicas. */
import { type Bench, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { encodeXorChunk, ENCODING_XOR } from "../chunks/mod.ts";
import { SampleBatch } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { type ReadOptions, SeriesReader } from "./mod.ts";

const PER_CHUNK = 120;

/** Chunks of a counter scraped each 15 s from `start` on, with a missed scrape now and then. */
function replica(random: Random, start: number, chunks: number): AggrChunk[] {
  const out: AggrChunk[] = [];
  const batch = new SampleBatch(PER_CHUNK);
  let t = start;
  let v = random.below(1000);
  for (let c = 0; c < chunks; c++) {
    batch.clear();
    for (let i = 0; i < PER_CHUNK; i++) {
      t += random.chance(0.01) ? 45_000 : 15_000;
      v = random.chance(0.001) ? 0 : v + random.below(50);
      batch.t[i] = t;
      batch.v[i] = v;
    }
    batch.length = PER_CHUNK;
    out.push({
      minTime: batch.t[0]!,
      maxTime: t,
      raw: { encoding: ENCODING_XOR, data: encodeXorChunk(batch) },
    });
  }
  return out;
}

/** Decoding and merging. */
export const bench: Bench = {
  name: "dedup",
  run(b) {
    const chunks = b.parameter("chunks", 4, 500);
    const random = new Random(b.seed);
    const parts = [0, 7000, 3000].map((start) => replica(random, 1.7e12 + start, chunks));
    const reader = new SeriesReader();
    const batch = new SampleBatch();
    for (
      const [name, replicas, options] of [
        ["one replica", 1, {}],
        ["one replica, counter", 1, { aggregate: "counter" }],
        ["two replicas, penalty", 2, {}],
        ["two replicas, penalty, counter", 2, { aggregate: "counter", counterCorrected: true }],
        ["three replicas, penalty", 3, {}],
        ["two replicas, chain", 2, { dedup: "chain" }],
        ["two replicas, adaptive", 2, { dedup: "adaptive" }],
        ["two replicas, adaptive, counter", 2, { dedup: "adaptive", aggregate: "counter" }],
      ] as [string, number, Partial<ReadOptions>][]
    ) {
      const input = parts.slice(0, replicas).flat().sort((x, y) => x.minTime - y.minTime);
      b.measure(name, { work: chunks * PER_CHUNK * replicas, unit: "sample" }, () => {
        reader.read(input, {
          aggregate: "avg",
          dedup: "penalty",
          counterCorrected: false,
          minTime: -Infinity,
          maxTime: Infinity,
          ...options,
        }, batch);
        const hash = new ResultHash();
        hash.addNumber(batch.length);
        hash.addFloats(batch.t.subarray(batch.length - 9), 9);
        hash.addFloats(batch.v.subarray(batch.length - 9), 9);
        return hash.digest();
      });
    }
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
