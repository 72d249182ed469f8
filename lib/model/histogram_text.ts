/** Histograms as text: the form count_values prints, JSON answers, and the form of test scripts. */
import { formatFloatGeneral, formatFloatJson, MnemeError, parseGoFloat } from "../base/mod.ts";
import { type CounterResetHint, CUSTOM_BUCKETS_SCHEMA, type FloatHistogram } from "./histogram.ts";
import { BucketCursor } from "./histogram_buckets.ts";
import { bucketBound } from "./histogram_bounds.ts";
import { bucketIndexes, NO_BUCKETS, NO_SPANS } from "./histogram_layout.ts";
import { usesCustomBuckets } from "./histogram_math.ts";

/** Text as Prometheus prints it: `{count:3, sum:4.5, [-2,-1):1, (1,2]:2}`. */
export function formatHistogram(h: FloatHistogram): string {
  let s = `{count:${formatFloatGeneral(h.count)}, sum:${formatFloatGeneral(h.sum[0]!)}`;
  const negative = bucketIndexes(h.negativeSpans);
  for (let i = negative.length - 1; i >= 0; i--) {
    const count = h.negativeBuckets[i]!;
    if (count === 0) continue;
    const lower = -bucketBound(negative[i]!, h.schema, h.customValues);
    const upper = -bucketBound(negative[i]! - 1, h.schema, h.customValues);
    s += `, [${formatFloatGeneral(lower)},${formatFloatGeneral(upper)}):${
      formatFloatGeneral(count)
    }`;
  }
  if (h.zeroCount !== 0) {
    s += `, [${formatFloatGeneral(-h.zeroThreshold)},${formatFloatGeneral(h.zeroThreshold)}]:${
      formatFloatGeneral(h.zeroCount)
    }`;
  }
  const positive = bucketIndexes(h.positiveSpans);
  const custom = usesCustomBuckets(h);
  for (let i = 0; i < positive.length; i++) {
    const count = h.positiveBuckets[i]!;
    if (count === 0) continue;
    const lower = bucketBound(positive[i]! - 1, h.schema, h.customValues);
    const upper = bucketBound(positive[i]!, h.schema, h.customValues);
    const open = custom && positive[i] === 0 ? "[" : "(";
    s += `, ${open}${formatFloatGeneral(lower)},${formatFloatGeneral(upper)}]:${
      formatFloatGeneral(count)
    }`;
  }
  return s + "}";
}

/** The JSON object of API answers: count, sum, and the populated buckets in ascending order. */
export function histogramJson(h: FloatHistogram): string {
  let s = `{"count":"${formatFloatJson(h.count)}","sum":"${formatFloatJson(h.sum[0]!)}"`;
  const cursor = new BucketCursor().reset(h);
  let first = true;
  while (cursor.next()) {
    if (cursor.count === 0) continue;
    s += `${first ? ',"buckets":[' : ","}[${cursor.boundary},"${formatFloatJson(cursor.lower)}","${
      formatFloatJson(cursor.upper)
    }","${formatFloatJson(cursor.count)}"]`;
    first = false;
  }
  return s + (first ? "}" : "]}");
}

const HINTS: ReadonlySet<string> = new Set(["unknown", "reset", "not_reset", "gauge"]);

/**
 * Reads the form of test scripts: `{{schema:1 sum:2 count:3 z_bucket:1 z_bucket_w:0.001 offset:1
 * buckets:[1 2] n_offset:0 n_buckets:[1] custom_values:[1 2] counter_reset_hint:gauge}}`.
 *
 * Throws: bad_data when it is something else.
 */
export function parseHistogram(text: string): FloatHistogram {
  const fault = (what: string) => new MnemeError("bad_data", `histogram description: ${what}`);
  if (!text.startsWith("{{") || !text.endsWith("}}")) {
    throw fault(`must stand between {{ and }}, got "${text}"`);
  }
  const fields = new Map<string, string>();
  let rest = text.slice(2, -2).trim();
  while (rest !== "") {
    const m = /^([a-z_]+)\s*:\s*(\[[^\]]*\]|[^\s[\]]+)\s*/.exec(rest);
    if (m === null) throw fault(`cannot read "${rest}"`);
    if (fields.has(m[1]!)) throw fault(`"${m[1]}" is given twice`);
    fields.set(m[1]!, m[2]!);
    rest = rest.slice(m[0].length);
  }
  const number = (name: string): number => {
    const value = fields.get(name);
    fields.delete(name);
    if (value === undefined) return 0;
    const x = parseGoFloat(value);
    if (x === undefined) throw fault(`"${name}" must be a number, got "${value}"`);
    return x;
  };
  const list = (name: string): Float64Array | undefined => {
    const value = fields.get(name);
    fields.delete(name);
    if (value === undefined) return undefined;
    const items = value.startsWith("[") ? value.slice(1, -1).split(/[\s,]+/) : [];
    if (!value.startsWith("[")) throw fault(`"${name}" must be a list, got "${value}"`);
    return Float64Array.from(items.filter((x) => x !== ""), (item) => {
      const x = parseGoFloat(item);
      if (x === undefined) throw fault(`"${name}" holds "${item}", which is not a number`);
      return x;
    });
  };
  const hint = fields.get("counter_reset_hint") ?? "unknown";
  fields.delete("counter_reset_hint");
  if (!HINTS.has(hint)) throw fault(`unknown counter reset hint "${hint}"`);
  const buckets = list("buckets");
  const offset = number("offset");
  const negative = list("n_buckets");
  const negativeOffset = number("n_offset");
  const h: FloatHistogram = {
    counterResetHint: hint as CounterResetHint,
    schema: number("schema"),
    zeroThreshold: number("z_bucket_w"),
    zeroCount: number("z_bucket"),
    count: number("count"),
    sum: Float64Array.of(number("sum")),
    positiveSpans: buckets === undefined ? NO_SPANS : [{ offset, length: buckets.length }],
    negativeSpans: negative === undefined
      ? NO_SPANS
      : [{ offset: negativeOffset, length: negative.length }],
    positiveBuckets: buckets ?? NO_BUCKETS,
    negativeBuckets: negative ?? NO_BUCKETS,
    customValues: list("custom_values") ?? NO_BUCKETS,
  };
  const unknown = [...fields.keys()][0];
  if (unknown !== undefined) throw fault(`unknown field "${unknown}"`);
  if (h.schema !== CUSTOM_BUCKETS_SCHEMA && (h.schema < -4 || h.schema > 8)) {
    throw fault(`schema ${h.schema} does not exist`);
  }
  return h;
}
