/** Range answers as JSON bytes: what a dashboard panel of many series costs to write. */
import { type Bench, type BenchRun, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { labelsFromRecord } from "../model/mod.ts";
import type { MatrixSeries } from "../promql/mod.ts";
import { encodeResult } from "./encode_result.ts";

const KINDS: Readonly<Record<string, (r: Random) => number>> = {
  "small integers": (r) => r.below(5000),
  "large integers": (r) => r.below(1_000_000_000) * 4096,
  "floats": (r) => r.float() * 100,
};

/** Encode, ns a sample. */
export const bench: Bench = {
  name: "json_matrix",
  run(b: BenchRun): void {
    const rows = b.parameter("series", 5, 1000);
    const steps = b.parameter("steps", 50, 721);
    const times = new Float64Array(steps);
    for (let k = 0; k < steps; k++) times[k] = 1_790_208_000_000 + k * 30_000;
    for (const [name, value] of Object.entries(KINDS)) {
      const random = new Random(b.seed);
      const series: MatrixSeries[] = [];
      for (let i = 0; i < rows; i++) {
        const v = new Float64Array(steps);
        for (let k = 0; k < steps; k++) v[k] = value(random);
        const labels = labelsFromRecord({ job: "api", instance: `10.0.0.${i}:8080`, code: "200" });
        series.push({ labels, t: times, v, h: null });
      }
      b.measure(name, { work: rows * steps, unit: "sample" }, () => {
        const hash = new ResultHash();
        for (
          const piece of encodeResult({ type: "matrix", series }, { analysis: "{}", warnings: [] })
        ) {
          hash.addBytes(piece.subarray(0, 4096));
          hash.addNumber(piece.length);
        }
        return hash.digest();
      });
    }
  },
};

if (import.meta.main) runBenchProgram(bench);
