/** A small block with the odd cases: staleness markers, NaN, -0, UTF-8 values, several chunks. */
import { encodeXorChunk } from "../../chunks/mod.ts";
import { Random } from "../../base/testing/random.ts";
import {
  bitsOf,
  compareLabels,
  type Labels,
  labelsFromRecord,
  SampleBatch,
  setStaleAt,
} from "../../model/mod.ts";
import { BlockWriter } from "../block_writer.ts";
import type { BlockMeta } from "../block_meta.ts";
import type { Files } from "../files.ts";

/** Id of the small block. */
export const SMALL_BLOCK = "01HF7YAT00E328S0K6HPCEAA7A";
/** Its first time, ms. */
export const SMALL_BLOCK_START = 1700000000000;

/** A series of the small block. */
export interface SmallSeries {
  readonly labels: Labels;
  readonly batch: SampleBatch;
}

/** The series of the small block in label order. */
export function smallSeries(count = 7, samples = 50, seed = 1): SmallSeries[] {
  const random = new Random(seed);
  const out: SmallSeries[] = [];
  for (let s = 0; s < count; s++) {
    const batch = new SampleBatch();
    batch.reserve(samples);
    let value = random.below(100);
    for (let i = 0; i < samples; i++) {
      batch.t[i] = SMALL_BLOCK_START + i * 15000 + (random.chance(0.2) ? random.below(20) : 0);
      value += random.below(10);
      batch.v[i] = s % 3 === 1 ? random.float() * 10 : value;
    }
    batch.length = samples;
    if (samples > 4) {
      setStaleAt(bitsOf(batch.v), samples - 1);
      batch.v[1] = -0;
      batch.v[2] = NaN;
      setStaleAt(bitsOf(batch.v), 3);
    }
    out.push({
      labels: labelsFromRecord({
        __name__: s % 2 === 0 ? "up" : "http_requests_total",
        instance: `host-${String(s).padStart(3, "0")}`,
        job: ["é", "\uff5e", "\u{1F600}", "node"][s % 4]!,
        ...(s % 5 === 0 ? { only: "some" } : {}),
      }),
      batch,
    });
  }
  return out.sort((a, b) => compareLabels(a.labels, b.labels));
}

/** Writes series as a block of chunks of `chunkSize` samples. */
export function writeSmallBlock(
  files: Files,
  directory: string,
  series: readonly SmallSeries[] = smallSeries(),
  options: { readonly chunkSize?: number; readonly segmentSize?: number; readonly ulid?: string } =
    {},
): BlockMeta {
  const { chunkSize = 20, segmentSize, ulid = SMALL_BLOCK } = options;
  const writer = new BlockWriter({
    files,
    directory,
    ulid,
    ...(segmentSize === undefined ? {} : { segmentSize }),
  });
  for (const { labels, batch } of series) {
    writer.beginSeries(labels);
    for (let i = 0; i < batch.length; i += chunkSize) {
      const end = Math.min(batch.length, i + chunkSize);
      writer.addChunk(1, encodeXorChunk(batch, i, end), batch.t[i]!, batch.t[end - 1]!, end - i);
    }
  }
  return writer.finish()!;
}
