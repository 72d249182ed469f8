/** Query results as JSON, in Thanos' envelope: `{"status":…,"data":{…},"warnings":[…]}`. */
import { formatFloatPlain } from "../base/mod.ts";
import { type FloatHistogram, histogramJson, type Labels } from "../model/mod.ts";
import type { MatrixSeries, Value } from "../promql/mod.ts";
import { JsonBytes, type TimeTexts, timeTexts } from "./json_bytes.ts";

/** What stands beside the result in `data`. */
export interface ResultExtras {
  /** Ready-made JSON of `stats`, if asked for. */
  readonly stats?: string;
  /** Ready-made JSON of `analysis`; Thanos always sends the key. */
  readonly analysis: string;
  readonly warnings: readonly string[];
}

/** Bytes that are written before the next piece goes out. */
const PIECE = 256 * 1024;
const FIRST_ROOM = 8 * 1024;

/**
 * The answer in pieces of about 256 KiB, made as they are asked for; large matrices never exist as
 * a whole.
 */
export function* encodeResult(
  value: Value,
  extras: ResultExtras,
): Generator<Uint8Array<ArrayBuffer>> {
  // Small answers are the most; memory grows for the others.
  const out = new JsonBytes(FIRST_ROOM);
  out.raw(`{"status":"success","data":{"resultType":"${value.type}","result":`);
  switch (value.type) {
    case "scalar":
      out.raw(`[${value.time / 1000},"${formatFloatPlain(value.value)}"]`);
      break;
    case "string":
      out.raw(`[${value.time / 1000},`);
      out.raw(envelopeJson(value.value.toWellFormed()));
      out.byte(0x5d);
      break;
    case "vector":
      out.byte(0x5b);
      for (let i = 0; i < value.labels.length; i++) {
        if (i > 0) out.byte(0x2c);
        out.raw('{"metric":');
        encodeLabels(out, value.labels[i]!);
        const h = value.h?.[i];
        out.raw(h === undefined ? ',"value":[' : ',"histogram":[');
        out.seconds(value.time);
        out.byte(0x2c);
        if (h === undefined) out.value(value.v[i]!);
        else out.raw(histogramJson(h));
        out.raw("]}");
        if (out.length > PIECE) yield out.take();
      }
      out.byte(0x5d);
      break;
    case "matrix":
      out.byte(0x5b);
      for (let i = 0, known: KnownTimes = NO_TIMES; i < value.series.length; i++) {
        const series = value.series[i]!;
        if (i > 0) out.byte(0x2c);
        // Series without gaps share one column of times, whose texts are then made once.
        if (series.t !== known.t) known = { t: series.t, texts: timeTexts(series.t) };
        yield* encodeSeries(out, series, known.texts);
        if (out.length > PIECE) yield out.take();
      }
      out.byte(0x5d);
      break;
  }
  if (extras.stats !== undefined) out.raw(`,"stats":${extras.stats}`);
  out.raw(`,"analysis":${extras.analysis}}`);
  if (extras.warnings.length > 0) out.raw(`,"warnings":${envelopeJson(extras.warnings)}`);
  out.raw("}\n");
  yield out.take();
}

interface KnownTimes {
  readonly t: Float64Array;
  readonly texts: TimeTexts;
}
const NO_TIMES: KnownTimes = {
  t: new Float64Array(0),
  texts: { bytes: new Uint8Array(0), ends: new Int32Array(0) },
};

/** Samples that are written before a look at the size of the output. */
const RUN = 4096;

function* encodeSeries(
  out: JsonBytes,
  series: MatrixSeries,
  times: TimeTexts,
): Generator<Uint8Array<ArrayBuffer>> {
  const { t, v, h } = series;
  out.raw('{"metric":');
  encodeLabels(out, series.labels);
  const n = t.length;
  let floats = 0;
  for (let i = 0; i < n;) {
    let end = Math.min(i + RUN, n);
    if (h !== null) {
      if (h[i] !== undefined) {
        i++;
        continue;
      }
      for (let k = i; k < end; k++) if (h[k] !== undefined) end = k;
    }
    if (floats === 0) out.raw(',"values":[');
    out.samples(times, v, i, end, floats === 0);
    floats += end - i;
    i = end;
    if (out.length > PIECE) yield out.take();
  }
  if (floats > 0) out.byte(0x5d);
  if (h !== null && floats < n) yield* encodeHistograms(out, t, h);
  out.byte(0x7d);
}

function* encodeHistograms(
  out: JsonBytes,
  t: Float64Array,
  h: readonly (FloatHistogram | undefined)[],
): Generator<Uint8Array<ArrayBuffer>> {
  let first = true;
  out.raw(',"histograms":[');
  for (let i = 0; i < t.length; i++) {
    const histogram = h[i];
    if (histogram === undefined) continue;
    if (!first) out.byte(0x2c);
    first = false;
    out.byte(0x5b);
    out.seconds(t[i]!);
    out.byte(0x2c);
    out.raw(histogramJson(histogram));
    out.byte(0x5d);
    if (out.length > PIECE) yield out.take();
  }
  out.byte(0x5d);
}

function encodeLabels(out: JsonBytes, labels: Labels): void {
  out.byte(0x7b);
  for (let i = 0; i < labels.length; i += 2) {
    if (i > 0) out.byte(0x2c);
    out.string(labels[i]!);
    out.byte(0x3a);
    out.string(labels[i + 1]!);
  }
  out.byte(0x7d);
}

/** JSON with `<`, `>`, `&` and the line separators escaped, as Go's encoder does in envelopes. */
export function envelopeJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}
