/**
 * Warnings and infos that belong to an answer: texts as Prometheus words them, each once, with the
 * place in the query they speak of.
 */
import { formatFloatGeneral, utf8Length } from "../base/mod.ts";
import { quoteGo } from "../model/mod.ts";

/** Whether the answer may be wrong, or is only worth a remark. */
export type AnnotationKind = "warning" | "info";

/** One annotation. `text` has neither prefix nor position. */
export interface Annotation {
  readonly kind: AnnotationKind;
  readonly text: string;
  /** UTF-16 offset into the query, -1 when it concerns no place (storage warnings). */
  readonly position: number;
  /** The text where places are not told, when it differs. */
  readonly plain?: string;
}

/** See Annotations.mirror(). */
export interface Mirror {
  readonly from: number;
  readonly to: number;
  readonly delta: number;
}

interface Forced {
  readonly base: string;
  readonly position: number;
  minTime: number;
  maxTime: number;
  minBucket: number;
  maxBucket: number;
  maxDiff: number;
  count: number;
}

/** Collects annotations during one query; equal ones are kept once, in the order of appearance. */
export class Annotations {
  #seen = new Map<string, Annotation>();
  #forced = new Map<string, Forced>();
  #mirrors: Mirror[] = [];
  #storageWarnings = new Set<string>();
  #storageInfos = new Set<string>();

  /** The answer may be wrong. `text` without prefix, `position` in the query. */
  warn(text: string, position: number): void {
    this.#add("warning", text, position);
  }

  /** Worth a remark. */
  info(text: string, position: number): void {
    this.#add("info", text, position);
  }

  /** What is said of places [from, to] is said of the places `delta` further on as well. */
  mirror(mirror: Mirror): void {
    this.#mirrors.push(mirror);
  }

  /** A message of the storage, passed on word for word. */
  storageWarning(text: string): void {
    this.#storageWarnings.add(text);
  }

  /** An informational message of the storage. */
  storageInfo(text: string): void {
    this.#storageInfos.add(text);
  }

  /**
   * Classic buckets were not monotonic; occurrences are merged into one info with their extent.
   *
   * Units: time in ms; buckets and difference in the histogram's own unit.
   */
  forcedMonotonicity(
    metricName: string,
    position: number,
    time: number,
    minBucket: number,
    maxBucket: number,
    maxDiff: number,
  ): void {
    const base = withMetricName(FORCED_MONOTONICITY, metricName);
    const key = `${position}:${base}`;
    const known = this.#forced.get(key);
    if (known === undefined) {
      this.#forced.set(key, {
        base,
        position,
        minTime: time,
        maxTime: time,
        minBucket,
        maxBucket,
        maxDiff,
        count: 1,
      });
      return;
    }
    known.minTime = Math.min(known.minTime, time);
    known.maxTime = Math.max(known.maxTime, time);
    known.minBucket = Math.min(known.minBucket, minBucket);
    known.maxBucket = Math.max(known.maxBucket, maxBucket);
    known.maxDiff = Math.max(known.maxDiff, maxDiff);
    known.count++;
  }

  #add(kind: AnnotationKind, text: string, position: number): void {
    const key = `${kind}:${position}:${text}`;
    if (!this.#seen.has(key)) this.#seen.set(key, { kind, text, position });
  }

  /** All annotations of the engine itself, in order of appearance. */
  entries(): Annotation[] {
    const list = [...this.#seen.values()];
    for (const f of this.#forced.values()) {
      list.push({ kind: "info", text: forcedText(f), position: f.position, plain: f.base });
    }
    // Shared subtrees may hold shared subtrees: copies of copies come from the growing list.
    for (let i = 0; i < list.length; i++) {
      const { kind, text, position, plain } = list[i]!;
      for (const { from, to, delta } of this.#mirrors) {
        if (position < from || position > to) continue;
        const copy: Annotation = {
          kind,
          text,
          position: position + delta,
          ...(plain === undefined ? {} : { plain }),
        };
        const known = list.some((a) =>
          a.kind === kind && a.text === text && a.position === copy.position
        );
        if (!known) list.push(copy);
      }
    }
    return list;
  }

  /**
   * Texts for an API: prefix, text, ` (LINE:COLUMN)` when `query` is given; storage messages first.
   * Without places, what is said of several places is said once.
   */
  texts(kind: AnnotationKind, query?: string): string[] {
    const out = new Set(kind === "warning" ? this.#storageWarnings : this.#storageInfos);
    for (const a of this.entries()) {
      if (a.kind !== kind) continue;
      const told = query !== undefined && a.position >= 0;
      out.add(
        `PromQL ${kind}: ` +
          (told ? `${a.text} (${lineColumn(query, a.position)})` : a.plain ?? a.text),
      );
    }
    return [...out];
  }
}

/** `LINE:COLUMN` of a UTF-16 offset, both from 1, columns in bytes of UTF-8. */
export function lineColumn(query: string, position: number): string {
  const before = query.slice(0, position);
  const lineStart = before.lastIndexOf("\n") + 1;
  let line = 1;
  for (let i = 0; i < lineStart; i++) if (before.charCodeAt(i) === 10) line++;
  return `${line}:${utf8Length(before.slice(lineStart)) + 1}`;
}

/** Adds ` for metric name "m"` when the name is known. */
export function withMetricName(text: string, metricName: string): string {
  return metricName === "" ? text : `${text} for metric name ${quoteGo(metricName)}`;
}

const FORCED_MONOTONICITY = "input to histogram_quantile needed to be fixed for monotonicity " +
  "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

function forcedText(f: Forced): string {
  return `${f.base}, from buckets ${general(f.minBucket)} to ${general(f.maxBucket)}, ` +
    `with a max diff of ${twoDigits(f.maxDiff)}, over ${f.count} samples from ` +
    `${rfc3339(f.minTime)} to ${rfc3339(f.maxTime)}`;
}

function rfc3339(ms: number): string {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

/** Go's `%g`. */
function general(x: number): string {
  return formatFloatGeneral(x);
}

/** Go's `%.2g`. */
function twoDigits(x: number): string {
  if (!Number.isFinite(x) || x === 0) return general(x);
  const [mantissa, exponent] = x.toExponential(1).split("e");
  const e = Number(exponent);
  if (e < -4 || e >= 2) {
    const sign = e < 0 ? "-" : "+";
    return `${mantissa!.replace(/\.0$/, "")}e${sign}${String(Math.abs(e)).padStart(2, "0")}`;
  }
  return String(Number(x.toPrecision(2)));
}

/** `quantile value should be between 0 and 1, got g`. */
export function textInvalidQuantile(q: number): string {
  return `quantile value should be between 0 and 1, got ${general(q)}`;
}

/** `ratio value should be between -1 and 1, got g, capping to g`. */
export function textInvalidRatio(ratio: number, capped: number): string {
  return `ratio value should be between -1 and 1, got ${general(ratio)}, capping to ${
    general(capped)
  }`;
}

/** A classic bucket without a usable `le`. */
export function textBadBucketLabel(metricName: string, value: string): string {
  return withMetricName(
    `bucket label "le" is missing or has a malformed value of ${quoteGo(value)}`,
    metricName,
  );
}

/** Floats and histograms in one range or vector. */
export function textMixedFloatsHistograms(metricName: string): string {
  return `encountered a mix of histograms and floats for metric name ${quoteGo(metricName)}`;
}

/** Floats and histograms in one group. */
export const TEXT_MIXED_AGGREGATION = "encountered a mix of histograms and floats for aggregation";

/** Classic and native histograms for one set of labels. */
export function textMixedClassicNative(metricName: string): string {
  return withMetricName(
    "vector contains a mix of classic and native histograms",
    metricName,
  );
}

/** A gauge histogram where a counter is needed. */
export function textHistogramNotCounter(metricName: string): string {
  return `this native histogram metric is not a counter: ${quoteGo(metricName)}`;
}

/** A counter histogram where a gauge is needed. */
export function textHistogramNotGauge(metricName: string): string {
  return `this native histogram metric is not a gauge: ${quoteGo(metricName)}`;
}

/** Exponential and custom buckets in one range. */
export function textMixedExponentialCustom(metricName: string): string {
  return "vector contains a mix of histograms with exponential and custom buckets schemas for " +
    `metric name ${quoteGo(metricName)}`;
}

/** Exponential and custom buckets in one aggregation group. */
export const TEXT_MIXED_EXPONENTIAL_CUSTOM_AGGREGATION =
  "vector contains a mix of histograms with exponential and custom buckets schemas for metric name";

/** Operands whose bucket layouts cannot be combined. */
export function textIncompatibleLayout(operator: string): string {
  return `incompatible bucket layout encountered for binary operator ${operator}`;
}

/** Operands with contradicting counter reset hints; `operation` is addition, subtraction, aggregation. */
export function textResetCollision(operation: string): string {
  return `conflicting counter resets during histogram ${operation}`;
}

/** Custom bounds that differ were brought to their common ones. */
export function textMismatchedCustomBuckets(operation: string): string {
  return `mismatched custom buckets were reconciled during ${operation}`;
}

/** rate() of something that is not named like a counter. */
export function textPossibleNonCounter(metricName: string): string {
  return "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " +
    quoteGo(metricName);
}

/** rate() of something that is not typed as a counter. */
export function textPossibleNonCounterType(metricName: string, type: string): string {
  return 'metric might not be a counter, __type__ label is not set to "counter" or "histogram", ' +
    `got ${quoteGo(type)}: ${quoteGo(metricName)}`;
}

/** Operand types that the operator does not know. */
export function textIncompatibleTypes(left: string, operator: string, right: string): string {
  return `incompatible sample types encountered for binary operator ${
    quoteGo(operator)
  }: ${left} ${operator} ${right}`;
}

/** A float aggregation met histograms. */
export function textIgnoredInAggregation(aggregation: string): string {
  return `ignored histogram in ${aggregation} aggregation`;
}

/** A float range function met histograms beside floats. */
export function textIgnoredInMixedRange(metricName: string): string {
  return "ignored histograms in a range containing both floats and histograms for metric name " +
    quoteGo(metricName);
}

/** sort() in a range query. */
export const TEXT_SORT_IN_RANGE =
  "sort is ineffective for range queries since results are always ordered by labels";

/** Start timestamps that reach behind the sample before. */
export const TEXT_START_TIME_OVERLAP =
  "sample has start time that overlaps with previous sample timestamp";

/** histogram_quantile met NaN observations. */
export function textQuantileNaNResult(metricName: string): string {
  return withMetricName(
    "input to histogram_quantile has NaN observations, result is NaN",
    metricName,
  );
}

/** histogram_quantile met NaN observations that sort above all buckets. */
export function textQuantileNaNSkew(metricName: string): string {
  return withMetricName(
    "input to histogram_quantile has NaN observations, result is skewed higher",
    metricName,
  );
}

/** histogram_fraction met NaN observations. */
export function textFractionNaN(metricName: string): string {
  return withMetricName(
    "input to histogram_fraction has NaN observations, which are excluded from all fractions",
    metricName,
  );
}
