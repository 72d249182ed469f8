/** Blocks that a sound writer would refuse to write: chunks in any order, overlapping, outside. */
import { ByteWriter, encodeUtf8 } from "../../base/mod.ts";
import { type EncodedChunk, encodeSamples } from "../../chunks/mod.ts";
import { compareLabels, type Labels, SampleBatch } from "../../model/mod.ts";
import {
  type BlockMeta,
  ChunkSegmentWriter,
  type Files,
  IndexWriter,
  makeThanosMeta,
  printBlockMeta,
} from "../../tsdb/mod.ts";

/** A series with its chunks in the order in which the index shall name them. */
export interface WildSeries {
  readonly labels: Labels;
  readonly chunks: readonly EncodedChunk[];
}

/** A chunk of these samples. */
export function chunkOf(samples: readonly (readonly [t: number, v: number])[]): EncodedChunk {
  const batch = new SampleBatch();
  batch.reserve(samples.length);
  samples.forEach(([t, v], i) => {
    batch.t[i] = t;
    batch.v[i] = v;
  });
  batch.length = samples.length;
  return encodeSamples(batch)[0]!;
}

/** Writes `<directory>/<ulid>` with these series, whatever their chunks are. */
export function writeWildBlock(
  files: Files,
  directory: string,
  ulid: string,
  series: readonly WildSeries[],
  range: { readonly minTime: number; readonly maxTime: number; readonly labels: Labels },
): BlockMeta {
  const folder = `${directory}/${ulid}`;
  files.mkdir(`${folder}/chunks`);
  const segments = new ChunkSegmentWriter(files, `${folder}/chunks`);
  const file = files.create(`${folder}/index`);
  const index = new IndexWriter(file);
  const symbols = [...new Set(series.flatMap((s) => [...s.labels]))].sort();
  index.writeSymbols(symbols);
  let chunks = 0;
  for (
    const { labels, chunks: list } of [...series].sort((a, b) => compareLabels(a.labels, b.labels))
  ) {
    const w = new ByteWriter(256);
    w.uvarint(list.length);
    let lastMax = 0;
    let lastRef = 0;
    list.forEach(({ minTime, maxTime, chunk }, i) => {
      const ref = segments.append(chunk.encoding, chunk.data);
      if (i === 0) w.varint(minTime);
      else difference(w, minTime - lastMax);
      difference(w, maxTime - minTime);
      if (i === 0) w.uvarint(ref);
      else w.varint(ref - lastRef);
      lastMax = maxTime;
      lastRef = ref;
      chunks++;
    });
    const refs = Uint32Array.from(labels, (text) => symbols.indexOf(text));
    index.addSeries(refs, refs.length, w.copy());
  }
  segments.close();
  index.finish();
  file.close();
  const meta: BlockMeta = {
    ulid,
    minTime: range.minTime,
    maxTime: range.maxTime,
    stats: {
      numSamples: 0,
      numFloatSamples: 0,
      numHistogramSamples: 0,
      numSeries: series.length,
      numChunks: chunks,
      numTombstones: 0,
    },
    compaction: {
      level: 1,
      sources: [ulid],
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
    thanos: makeThanosMeta({ labels: range.labels }),
  };
  const metaFile = files.create(`${folder}/meta.json`);
  metaFile.append(encodeUtf8(printBlockMeta(meta)));
  metaFile.close();
  return meta;
}

/** Unsigned 64-bit numbers wrap round when a difference is negative. */
function difference(w: ByteWriter, x: number): void {
  if (x >= 0) return w.uvarint(x);
  let rest = BigInt.asUintN(64, BigInt(x));
  for (; rest > 127n; rest >>= 7n) w.u8(Number(rest & 127n) | 128);
  w.u8(Number(rest));
}
