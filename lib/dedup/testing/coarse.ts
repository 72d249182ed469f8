/** Downsampled chunks of a known signal, for tests. */
import { encodeSamples, encodeXorChunk, ENCODING_XOR } from "../../chunks/mod.ts";
import { SampleBatch } from "../../model/mod.ts";
import type { AggrChunk } from "../../storeapi/mod.ts";

/** A batch of float samples. */
export function batchOf(times: readonly number[], values: readonly number[]): SampleBatch {
  const batch = new SampleBatch(Math.max(1, times.length));
  batch.t.set(times);
  batch.v.set(values);
  batch.length = times.length;
  return batch;
}

/** Raw chunks of samples. */
export function rawChunks(batch: SampleBatch): AggrChunk[] {
  return encodeSamples(batch, 0, batch.length).map(({ minTime, maxTime, chunk }) => ({
    minTime,
    maxTime,
    raw: chunk,
  }));
}

/** One chunk with all aggregates of a raw series, as the field's downsampling makes it. */
export function coarseChunk(raw: SampleBatch, resolution: number): AggrChunk {
  const { t, v, length } = raw;
  const times: number[] = [];
  const columns = { count: [], sum: [], min: [], max: [], counter: [] } as Record<
    "count" | "sum" | "min" | "max" | "counter",
    number[]
  >;
  let total = v[0]!;
  for (let i = 0; i < length;) {
    const end = t[i]! - (t[i]! % resolution) + resolution - 1;
    let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
    for (; i < length && t[i]! <= end; i++) {
      count++;
      sum += v[i]!;
      min = Math.min(min, v[i]!);
      max = Math.max(max, v[i]!);
      if (i > 0) total += v[i]! >= v[i - 1]! ? v[i]! - v[i - 1]! : v[i]!;
    }
    times.push(Math.min(end, t[length - 1]!));
    columns.count.push(count);
    columns.sum.push(sum);
    columns.min.push(min);
    columns.max.push(max);
    columns.counter.push(total);
  }
  const minTime = times[0]!;
  const maxTime = times.at(-1)!;
  const encode = (at: readonly number[], values: readonly number[]) => ({
    encoding: ENCODING_XOR,
    data: encodeXorChunk(batchOf(at, values), 0, at.length),
  });
  return {
    minTime,
    maxTime,
    count: encode(times, columns.count),
    sum: encode(times, columns.sum),
    min: encode(times, columns.min),
    max: encode(times, columns.max),
    counter: encode([t[0]!, ...times, maxTime], [v[0]!, ...columns.counter, v[length - 1]!]),
  };
}
