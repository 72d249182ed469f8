/** Benchmarks of index and segments, in memory. */
import { type Bench, runBenchProgram } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { ResultHash } from "../base/testing/result_hash.ts";
import type { Chunk } from "../chunks/mod.ts";
import { compareLabels, type Labels, labelsFromRecord, makeMatcher } from "../model/mod.ts";
import {
  BlockWriter,
  bytesSource,
  decodeSeries,
  IndexReader,
  intersect,
  openBlock,
  SeriesEntry,
  seriesOffset,
  subtract,
  union,
} from "./mod.ts";
import { MemoryFiles } from "./testing/memory_files.ts";
import { SMALL_BLOCK } from "./testing/small_block.ts";

const CHUNKS = 12;
const CHUNK_SIZE = 180;

function makeLabels(count: number): Labels[] {
  const labels = Array.from({ length: count }, (_, i) =>
    labelsFromRecord({
      __name__: `http_requests_total_${i % 20}`,
      cluster: `eu-${i % 3}`,
      instance: `10.0.${(i >> 8) & 255}.${i & 255}:9100`,
      job: `job-${i % 50}`,
      pod: `pod-${i.toString(36).padStart(6, "0")}`,
    }));
  return labels.sort(compareLabels);
}

function writeBlock(labels: readonly Labels[], data: Uint8Array): MemoryFiles {
  const files = new MemoryFiles();
  const writer = new BlockWriter({ files, directory: "d", ulid: SMALL_BLOCK });
  for (const ls of labels) {
    writer.beginSeries(ls);
    for (let c = 0; c < CHUNKS; c++) {
      writer.addChunk(1, data, c * 1800000 + 1.7e12, c * 1800000 + 1785000 + 1.7e12, 120);
    }
  }
  writer.finish();
  return files;
}

/** Writing and reading a block; set operations on postings. */
export const bench: Bench = {
  name: "tsdb",
  run(b) {
    const count = b.parameter("series", 50, 20_000);
    const random = new Random(b.seed);
    const labels = makeLabels(count);
    const data = new Uint8Array(CHUNK_SIZE);
    for (let i = 0; i < CHUNK_SIZE; i++) data[i] = random.below(256);
    const bytes = count * CHUNKS * (CHUNK_SIZE + 7);
    const hashOf = (fill: (h: ResultHash) => void) => {
      const h = new ResultHash();
      fill(h);
      return h.digest();
    };
    const block = `d/${SMALL_BLOCK}`;

    b.measure("write block", { work: count, unit: "series", bytes }, () => {
      const { content } = writeBlock(labels, data);
      return hashOf((h) => h.addBytes(content.get(`${block}/index`)!));
    });

    const files = writeBlock(labels, data);
    const indexBytes = files.content.get(`${block}/index`)!;
    b.measure(
      "open index",
      { work: indexBytes.length, unit: "byte", bytes: indexBytes.length },
      () => String(new IndexReader(bytesSource(indexBytes)).tables.symbolCount),
    );

    const index = new IndexReader(bytesSource(indexBytes));
    const refs = index.allPostings();
    b.measure("decode series", { work: count, unit: "series" }, () => {
      const entry = new SeriesEntry();
      let sum = 0;
      for (let i = 0; i < refs.length; i++) {
        decodeSeries(indexBytes, seriesOffset(2, refs[i]!), entry);
        sum += entry.refs[entry.chunkCount - 1]!;
      }
      return hashOf((h) => h.addNumber(sum));
    });

    b.measure("select with labels", { work: count, unit: "series" }, () => {
      const found = openBlock(files, block).select([makeMatcher("!=", "pod", "")]);
      return hashOf((h) => h.addText(found.labels[found.length - 1]!.join()));
    });

    const found = openBlock(files, block).select([]);
    b.measure("read chunks", { work: count * CHUNKS, unit: "chunk", bytes }, () => {
      let n = 0;
      for (let i = 0; i < found.length; i++) {
        const chunks: readonly { chunk: Chunk }[] = found.readChunks(i);
        n += chunks.length + chunks[0]!.chunk.data[0]!;
      }
      return String(n);
    });

    const size = b.parameter("postings", 500, 1_000_000);
    const list = (step: number) => {
      let at = 0;
      return Uint32Array.from({ length: size }, () => at += 1 + random.below(step));
    };
    const [many, more] = [list(4), list(6)];
    const few = many.filter((_, i) => i % 1000 === 7);
    const hashList = (refs: Uint32Array) =>
      hashOf((h) => h.addText(`${refs.length} ${refs.at(-1)}`));
    const work = { work: size * 2, unit: "reference" };
    b.measure("intersect like sizes", work, () => hashList(intersect(many, more)));
    b.measure(
      "intersect few with many",
      { work: few.length, unit: "reference" },
      () => hashList(intersect(few, more)),
    );
    b.measure("subtract", work, () => hashList(subtract(many, more)));
    b.measure("union of two", work, () => hashList(union([many, more])));
    // Like the lists of a label's values: each series in one of 500.
    const parts = Array.from(
      { length: 500 },
      (_, k) => Uint32Array.from({ length: size / 500 }, (_, i) => many[i * 500 + k]!),
    );
    b.measure("union of 500", { work: size, unit: "reference" }, () => hashList(union(parts)));
  },
};

if (import.meta.main) await runBenchProgram(bench, Deno.args);
