/**
 * Downsampling of whole blocks, one thread: read, checksum, decode, aggregate, encode, write, sync;
 * on disk, and in memory for what it takes without files.
 */
import { type Bench, type BenchRun, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { encodeXorChunk } from "../chunks/mod.ts";
import { labelsFromRecord, SampleBatch } from "../model/mod.ts";
import { BlockWriter, type Files, readWholeFile, SystemFiles } from "../tsdb/mod.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import { downsampleBlock } from "./mod.ts";

const RAW = "01HF7YAT00E328S0K6HPCEAA7A";
const START = 1_790_208_000_000;
const CHUNK = 120;

/** Series of a block: counters, counters with late scrapes, gauges. */
function writeRaw(
  files: Files,
  directory: string,
  interval: number,
  series: number,
  samples: number,
): void {
  const random = new Random(42);
  const writer = new BlockWriter({ files, directory, ulid: RAW, sync: false });
  const batch = new SampleBatch(CHUNK);
  for (let s = 0; s < series; s++) {
    writer.beginSeries(
      labelsFromRecord({ __name__: "m", instance: `host-${String(s).padStart(5, "0")}` }),
    );
    let value = random.below(1_000_000);
    for (let from = 0; from < samples; from += CHUNK) {
      const n = Math.min(CHUNK, samples - from);
      for (let i = 0; i < n; i++) {
        const late = s % 4 === 1 ? random.below(20) : 0;
        batch.t[i] = START + (from + i) * interval + late;
        value = s % 4 === 2 ? random.below(10_000) / 7 : value + random.below(20);
        batch.v[i] = value;
      }
      batch.length = n;
      writer.addChunk(1, encodeXorChunk(batch), batch.t[0]!, batch.t[n - 1]!, n);
    }
  }
  writer.finish({ maxTime: START + samples * interval });
}

/** ns an input sample. */
export const bench: Bench = {
  name: "downsample",
  async run(b: BenchRun): Promise<void> {
    const series = b.parameter("series", 4, 500);
    const samples = b.parameter("samples", 700, 11_520);
    for (const interval of [15_000, 60_000]) {
      for (const files of [new SystemFiles(), new MemoryFiles()]) {
        const directory = Deno.makeTempDirSync({ prefix: "mneme-bench-" });
        try {
          writeRaw(files, directory, interval, series, samples);
          const outs: [number, string, string][] = [
            [300_000, RAW, "01HF7YAT00E328S0K6HPCEAA7B"],
            [3_600_000, "01HF7YAT00E328S0K6HPCEAA7B", "01HF7YAT00E328S0K6HPCEAA7C"],
          ];
          for (const [resolution, from, ulid] of outs) {
            const result = `${directory}/${ulid}`;
            const source = `${directory}/${from}`;
            const make = () => downsampleBlock({ files, source, directory, ulid, resolution });
            await b.measureAsync(
              `${interval / 1000}s to ${resolution / 60_000}m` +
                (files instanceof MemoryFiles ? " in memory" : ""),
              { work: series * samples, unit: "sample" },
              async () => {
                await make();
                return () => {
                  const hash = new ResultHash();
                  hash.addBytes(readWholeFile(files, `${result}/chunks/000001`));
                  files.remove(result);
                  return hash.digest();
                };
              },
            );
            // The next resolution is made of it.
            await make();
          }
        } finally {
          Deno.removeSync(directory, { recursive: true });
        }
      }
    }
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
