/** Lowers reserved schemas (9 to 52) to 8, the finest the rest of the program knows. */
import type { FloatHistogram, Span } from "../model/mod.ts";
import { bucketIndexes, spansOf } from "./histogram_layout.ts";

const FINEST_SCHEMA = 8;

/** `h` itself when its schema is 8 or less, else the same counts in the wider buckets of schema 8. */
export function reduceSchema(h: FloatHistogram): FloatHistogram {
  if (h.schema <= FINEST_SCHEMA) return h;
  const shift = h.schema - FINEST_SCHEMA;
  const positive = reduce(h.positiveSpans, h.positiveBuckets, shift);
  const negative = reduce(h.negativeSpans, h.negativeBuckets, shift);
  return {
    ...h,
    schema: FINEST_SCHEMA,
    positiveSpans: positive.spans,
    positiveBuckets: positive.buckets,
    negativeSpans: negative.spans,
    negativeBuckets: negative.buckets,
  };
}

/** Bucket i of schema s lies in bucket ceil(i / 2^k) of schema s - k. */
function reduce(
  spans: readonly Span[],
  buckets: Float64Array,
  shift: number,
): { spans: readonly Span[]; buckets: Float64Array } {
  const from = bucketIndexes(spans);
  const indexes = new Int32Array(from.length);
  const out = new Float64Array(from.length);
  const divisor = Math.pow(2, shift);
  let n = 0;
  for (let i = 0; i < from.length; i++) {
    const index = Math.ceil(from[i]! / divisor);
    if (n === 0 || indexes[n - 1] !== index) indexes[n++] = index;
    out[n - 1]! += buckets[i]!;
  }
  return { spans: spansOf(indexes.subarray(0, n)), buckets: out.slice(0, n) };
}
