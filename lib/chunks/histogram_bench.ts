/** Native histogram chunks of 120 samples with 12 buckets. */
import { type Bench, type BenchRun, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { type FloatHistogram, SampleBatch } from "../model/mod.ts";
import { appendChunk, type Chunk, encodeSamples } from "./mod.ts";

const SAMPLES = 120;
const BUCKETS = 12;

/** Decode and encode, ns a sample (a whole histogram). */
export const bench: Bench = {
  name: "histogram",
  run(b: BenchRun): void {
    const n = b.parameter("chunks", 4, 300);
    for (const kind of ["integer", "float"] as const) {
      const random = new Random(b.seed);
      const batches: SampleBatch[] = [];
      const chunks: Chunk[] = [];
      for (let c = 0; c < n; c++) {
        const batch = new SampleBatch(SAMPLES);
        const buckets = new Float64Array(BUCKETS);
        let sum = 0;
        for (let i = 0; i < SAMPLES; i++) {
          for (let k = 0; k < 5; k++) buckets[random.below(BUCKETS)]! += random.below(10);
          sum += random.float();
          const h: FloatHistogram = {
            counterResetHint: "not_reset",
            schema: 3,
            zeroThreshold: 2 ** -128,
            zeroCount: 0,
            count: buckets.reduce((x, y) => x + y, 0),
            sum: Float64Array.of(sum),
            positiveSpans: [{ offset: -3, length: 8 }, { offset: 2, length: BUCKETS - 8 }],
            negativeSpans: [],
            positiveBuckets: buckets.slice(),
            negativeBuckets: new Float64Array(0),
            customValues: new Float64Array(0),
            ...(kind === "integer" ? { integer: true as const } : {}),
          };
          batch.appendHistogram(1_790_208_000_000 + i * 15000, h);
        }
        batches.push(batch);
        for (const e of encodeSamples(batch)) chunks.push(e.chunk);
      }
      const work = { work: n * SAMPLES, unit: "sample" };
      const decoded = new SampleBatch(SAMPLES);
      b.measure(`decode ${kind}`, work, () => {
        for (const c of chunks) {
          decoded.clear();
          appendChunk(c, decoded);
        }
        const hash = new ResultHash();
        hash.addFloats(decoded.h![SAMPLES - 1]!.positiveBuckets);
        return hash.digest();
      });
      b.measure(`encode ${kind}`, work, () => {
        const hash = new ResultHash();
        for (const x of batches) {
          const made = encodeSamples(x);
          if (x === batches[0]) hash.addBytes(made[0]!.chunk.data);
        }
        return hash.digest();
      });
    }
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
