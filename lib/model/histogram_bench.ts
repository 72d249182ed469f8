/** Arithmetic of native histograms: sums, reset detection, quantile walk. */
import { type Bench, type BenchRun, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import {
  addHistogram,
  BucketCursor,
  copyHistogram,
  detectReset,
  emptyHistogram,
  type FloatHistogram,
  HistogramSum,
  spansOfIndexes,
} from "./mod.ts";

const BUCKETS = 80;

function make(random: Random, schema: number, shift: number): FloatHistogram {
  const h = emptyHistogram(schema);
  const indexes = Int32Array.from({ length: BUCKETS }, (_, i) => shift + i + (i > 40 ? 3 : 0));
  h.positiveSpans = spansOfIndexes(indexes);
  h.positiveBuckets = Float64Array.from(indexes, () => 1 + random.below(100));
  h.count = h.positiveBuckets.reduce((a, b) => a + b);
  h.sum[0] = h.count * random.float();
  return h;
}

/** ns a bucket for histograms of 80 buckets. */
export const bench: Bench = {
  name: "histogram",
  run(b: BenchRun): void {
    const n = b.parameter("histograms", 50, 20_000);
    const random = new Random(b.seed);
    const alike = Array.from({ length: 100 }, () => make(random, 3, -10));
    const shifted = Array.from({ length: 100 }, () => make(random, 3, random.below(20)));
    const mixed = Array.from({ length: 100 }, () => make(random, random.between(1, 3), -10));
    const work = { work: n * BUCKETS, unit: "bucket" };
    const digest = (h: FloatHistogram) => {
      const hash = new ResultHash();
      hash.addFloats(h.positiveBuckets, h.positiveBuckets.length);
      return hash.digest();
    };
    for (
      const [name, list] of [["same layout", alike], ["shifted", shifted], [
        "mixed schemas",
        mixed,
      ]] as const
    ) {
      b.measure(`add, ${name}`, work, () => {
        const sum = copyHistogram(list[0]!);
        for (let i = 1; i < n; i++) addHistogram(sum, list[i % 100]!);
        return digest(sum);
      });
      b.measure(`compensated sum, ${name}`, work, () => {
        const sum = new HistogramSum(list[0]!);
        for (let i = 1; i < n; i++) sum.add(list[i % 100]!);
        return digest(sum.result());
      });
    }
    b.measure("detect reset", work, () => {
      let resets = 0;
      const last = copyHistogram(alike[0]!);
      for (let i = 0; i < n; i++) {
        last.positiveBuckets[BUCKETS - 1]! += 1;
        last.count += 1;
        if (detectReset(last, alike[0]!)) resets++;
      }
      const hash = new ResultHash();
      hash.addFloats(Float64Array.of(resets), 1);
      return hash.digest();
    });
    b.measure("walk buckets", work, () => {
      const cursor = new BucketCursor();
      let x = 0;
      for (let i = 0; i < n; i++) {
        for (cursor.reset(alike[i % 100]!); cursor.next();) x += cursor.upper * cursor.count;
      }
      const hash = new ResultHash();
      hash.addFloats(Float64Array.of(x), 1);
      return hash.digest();
    });
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
