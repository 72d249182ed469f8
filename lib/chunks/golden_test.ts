import assert from "node:assert/strict";
import { dump } from "../base/testing/dump.ts";
import { SampleBatch } from "../model/mod.ts";
import {
  appendChunk,
  type Chunk,
  chunkSampleCount,
  decodeFloatHistogramSamples,
  decodeHistogramSamples,
  encodeFloatHistogramSamples,
  encodeHistogramSamples,
  encodeXorChunk,
  ENCODING_AGGR,
  ENCODING_FLOAT_HISTOGRAM,
  ENCODING_HISTOGRAM,
  ENCODING_XOR,
  readAggrChunk,
  writeAggrChunk,
} from "./mod.ts";
import { goldenChunks } from "./testing/fixtures.ts";

/** Decodes and encodes again; aggregate chunks part by part. */
function again(chunk: Chunk): Uint8Array {
  switch (chunk.encoding) {
    case ENCODING_XOR: {
      const batch = new SampleBatch();
      appendChunk(chunk, batch);
      return encodeXorChunk(batch);
    }
    case ENCODING_HISTOGRAM:
      return encodeHistogramSamples(decodeHistogramSamples(chunk.data));
    case ENCODING_FLOAT_HISTOGRAM:
      return encodeFloatHistogramSamples(decodeFloatHistogramSamples(chunk.data));
    case ENCODING_AGGR: {
      const parts: Record<string, Chunk> = {};
      for (const [name, part] of Object.entries(readAggrChunk(chunk.data))) {
        parts[name] = { encoding: part.encoding, data: again(part) };
      }
      return writeAggrChunk(parts);
    }
    default:
      throw new Error(`encoding ${chunk.encoding}`);
  }
}

for (const bucket of ["bucket-in", "bucket-compacted", "bucket-compacted-dedup"]) {
  Deno.test(`every chunk of golden/${bucket} decodes and encodes to the same bytes`, () => {
    const chunks = goldenChunks(bucket);
    if (chunks === undefined) {
      console.log(`skipped: ../shared/golden/${bucket} is not there`);
      return;
    }
    const seen = new Map<number, number>();
    const batch = new SampleBatch();
    for (const { where, chunk } of chunks) {
      seen.set(chunk.encoding, (seen.get(chunk.encoding) ?? 0) + 1);
      // A bytewise comparison first: turning each chunk into text would take most of the time.
      const bytes = again(chunk);
      if (compare(bytes, chunk.data)) continue;
      assert.equal(bytes.toHex(), chunk.data.toHex(), where);
    }
    for (const { where, chunk } of chunks) {
      if (chunk.encoding === ENCODING_AGGR) continue;
      batch.clear();
      appendChunk(chunk, batch);
      assert.equal(batch.length, chunkSampleCount(chunk), where);
      for (let i = 1; i < batch.length; i++) {
        assert(batch.t[i]! > batch.t[i - 1]!, `${where}: ${dump(batch, i - 1, i + 1)}`);
      }
    }
    assert((seen.get(ENCODING_XOR) ?? 0) > 0);
    assert((seen.get(ENCODING_HISTOGRAM) ?? 0) > 0);
    assert((seen.get(ENCODING_FLOAT_HISTOGRAM) ?? 0) > 0);
    if (bucket !== "bucket-in") assert((seen.get(ENCODING_AGGR) ?? 0) > 0);
  });
}

function compare(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
