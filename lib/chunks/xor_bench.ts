/** XOR chunks of 120 samples: the five shapes of data that matter. */
import { Random } from "../base/testing/random.ts";
import { type Bench, type BenchRun, runBenchProgram } from "../base/testing/bench.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { SampleBatch } from "../model/mod.ts";
import { decodeXor, encodeXor, encodeXorChunk, XOR_BYTES_PER_SAMPLE, XOR_SLACK } from "./xor.ts";

const SAMPLES = 120;

type Step = (r: Random, t: number, v: number) => readonly [number, number];
const KINDS: Readonly<Record<string, Step>> = {
  "counter int": (r, t, v) => [t + 15000, v + r.below(20)],
  "counter jitter": (r, t, v) => [
    Math.round(t / 15000) * 15000 + 15000 + r.below(20) - 10,
    v + r.below(20),
  ],
  "gauge float": (r, t) => [t + 15000, r.float() * 100],
  "constant": (_r, t, v) => [t + 15000, v],
  "float seconds": (r, t, v) => [t + 15000, v + r.float() * 3],
};

/** Decode and encode, ns a sample. */
export const bench: Bench = {
  name: "xor",
  run(b: BenchRun): void {
    const n = b.parameter("chunks", 20, 2000);
    for (const [name, step] of Object.entries(KINDS)) {
      const random = new Random(b.seed);
      const chunks: Uint8Array[] = [];
      const batches: SampleBatch[] = [];
      for (let c = 0; c < n; c++) {
        const batch = new SampleBatch(SAMPLES);
        let t = 1_790_208_000_000;
        let v = random.below(1_000_000);
        for (let i = 0; i < SAMPLES; i++) {
          [t, v] = step(random, t, v);
          batch.t[i] = t;
          batch.v[i] = v;
        }
        batch.length = SAMPLES;
        batches.push(batch);
        chunks.push(encodeXorChunk(batch));
      }
      const decoded = new SampleBatch(SAMPLES);
      const work = { work: n * SAMPLES, unit: "sample" };
      b.measure(`decode ${name}`, work, () => {
        for (const c of chunks) {
          decoded.length = 0;
          decodeXor(c, decoded);
        }
        const hash = new ResultHash();
        hash.addFloats(decoded.t, SAMPLES);
        hash.addFloats(decoded.v, SAMPLES);
        return hash.digest();
      });
      const out = new Uint8Array(SAMPLES * XOR_BYTES_PER_SAMPLE + XOR_SLACK);
      b.measure(`encode ${name}`, work, () => {
        let size = 0;
        for (const x of batches) size = encodeXor(x.t, x.v, 0, SAMPLES, out, 0);
        const hash = new ResultHash();
        hash.addBytes(out.subarray(0, size));
        return hash.digest();
      });
    }
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
