/** Encoding and decoding of Series frames: 64 series of 12 chunks of 120 samples each. */
import { type Bench, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import { labelsFromRecord } from "../model/mod.ts";
import type { AggrChunk, Series } from "./types.ts";
import { decodeSeriesFrame, encodeSeriesBatch } from "./wire_store.ts";

const SERIES = 64;
const CHUNKS = 12;
const CHUNK_BYTES = 300;

/** A frame as a store gateway sends it: hashes filled, labels that share most of their text. */
export function makeSeries(random: Random, count: number, chunksEach: number): Series[] {
  const out: Series[] = [];
  for (let i = 0; i < count; i++) {
    const chunks: AggrChunk[] = [];
    for (let k = 0; k < chunksEach; k++) {
      const data = new Uint8Array(CHUNK_BYTES);
      for (let b = 0; b < data.length; b++) data[b] = random.below(256);
      const minTime = 1790208000000 + k * 1800_000;
      chunks.push({
        minTime,
        maxTime: minTime + 1785_000,
        raw: { encoding: 1, data },
        hashes: Uint32Array.of(random.bits(), random.bits()),
      });
    }
    const labels = labelsFromRecord({
      __name__: "http_requests_total",
      cluster: "eu1",
      instance: `10.0.${i >> 8}.${i & 255}:8080`,
      job: "api",
      method: random.pick(["GET", "POST", "PUT"]),
      replica: "0",
    });
    out.push({ labels, chunks });
  }
  return out;
}

export const bench: Bench = {
  name: "series-frame",
  run(b) {
    const frames = b.parameter("frames", 2, 200);
    const random = new Random(b.seed);
    const series = makeSeries(random, SERIES, CHUNKS);
    const message = encodeSeriesBatch(series);
    const work = { work: frames * SERIES * CHUNKS, unit: "chunk", bytes: frames * message.length };
    b.measure("encode", work, () => {
      const hash = new ResultHash();
      for (let i = 0; i < frames; i++) {
        const bytes = encodeSeriesBatch(series, message.length + 64);
        hash.addNumber(bytes.length + bytes[bytes.length - 1]!);
      }
      return hash.digest();
    });
    b.measure("decode", work, () => {
      const hash = new ResultHash();
      for (let i = 0; i < frames; i++) {
        const frame = decodeSeriesFrame([message]);
        hash.addNumber(frame.series.length + frame.series[5]!.chunks[3]!.raw!.data[7]!);
      }
      return hash.digest();
    });
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
