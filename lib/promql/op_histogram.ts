/**
 * Functions of histograms: quantiles and fractions of classic and native ones, and what can be read
 * off a native one.
 */
import { formatFloatGeneral, MnemeError, parseGoFloat } from "../base/mod.ts";
import {
  BUCKET_LABEL,
  dropLabels,
  type FloatHistogram,
  type Labels,
  labelsKey,
  labelValue,
  METRIC_NAME,
  withLabel,
} from "../model/mod.ts";
import {
  textBadBucketLabel,
  textFractionNaN,
  textInvalidQuantile,
  textMixedClassicNative,
  textQuantileNaNResult,
  textQuantileNaNSkew,
} from "./annotations.ts";
import {
  type ClassicBuckets,
  classicFraction,
  classicQuantile,
  MonotonicFix,
  NAN_RESULT,
  NAN_SKEW,
  NativeKernel,
} from "./kernel_histogram.ts";
import {
  dropName,
  type Operator,
  readScalar,
  type SeriesList,
  tileFor,
  whenRows,
  withoutNames,
} from "./operator.ts";
import type { CallPlan } from "./plan.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

type Reading = (h: FloatHistogram, kernel: NativeKernel) => number;

/** Functions of one native histogram by itself. */
const READINGS: Readonly<Record<string, Reading>> = {
  histogram_avg: (h) => h.sum[0]! / h.count,
  histogram_count: (h) => h.count,
  histogram_sum: (h) => h.sum[0]!,
  histogram_stddev: (h, kernel) => Math.sqrt(kernel.variance(h)),
  histogram_stdvar: (h, kernel) => kernel.variance(h),
};

/** Functions this file implements. */
export const HISTOGRAM_CALLS: ReadonlySet<string> = new Set([
  ...Object.keys(READINGS),
  "histogram_quantile",
  "histogram_quantiles",
  "histogram_fraction",
]);

/** Builds one of HISTOGRAM_CALLS; `args` are operators, or texts where the argument is one. */
export function buildHistogramCall(
  plan: CallPlan,
  args: readonly (Operator | string)[],
  context: QueryContext,
): Operator {
  const operator = (i: number): Operator => {
    const arg = args[i];
    if (arg === undefined || typeof arg === "string") {
      throw new MnemeError("internal", `${plan.func}: argument ${i} is no expression`);
    }
    return arg;
  };
  const reading = READINGS[plan.func];
  if (reading !== undefined) return new ReadingOperator(operator(0), reading, context);
  const place = (i: number) => plan.argPositions[i]!;
  if (plan.func === "histogram_quantile") {
    return new BucketsOperator(operator(1), {
      kind: "quantile",
      params: [operator(0)],
      paramPositions: [place(0)],
      label: "",
      position: place(1),
    }, context);
  }
  if (plan.func === "histogram_fraction") {
    return new BucketsOperator(operator(2), {
      kind: "fraction",
      params: [operator(0), operator(1)],
      paramPositions: [place(0), place(1)],
      label: "",
      position: place(2),
    }, context);
  }
  const params = args.slice(2).map((_, i) => operator(i + 2));
  return new BucketsOperator(operator(0), {
    kind: "quantile",
    params,
    paramPositions: params.map((_, i) => place(i + 2)),
    label: args[1] as string,
    position: place(0),
  }, context);
}

/** A number read off each native histogram; floats are left out. */
class ReadingOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #reading: Reading;
  readonly #context: QueryContext;
  readonly #kernel = new NativeKernel();

  constructor(child: Operator, reading: Reading, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#reading = reading;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    return withoutNames(await this.#child.series(), this.#context);
  }

  next(tile: Tile): number | Promise<number> {
    return whenRows(this.#child.next(tile), (rows) => this.#read(tile, rows));
  }

  #read(tile: Tile, rows: number): number {
    const count = this.grid.count;
    for (let row = 0; row < rows; row++) {
      if (tile.kind[row] !== ROW_HISTOGRAM) {
        tile.clearRow(row);
        continue;
      }
      tile.kind[row] = ROW_SPARSE;
      for (let i = row * count; i < (row + 1) * count; i++) {
        if (tile.has[i] === 0) continue;
        const h = tile.h![i];
        if (h === undefined) tile.has[i] = 0;
        else tile.v[i] = this.#reading(h, this.#kernel);
      }
    }
    return rows;
  }

  close(): void {
    this.#child.close();
  }
}

interface BucketsOptions {
  readonly kind: "quantile" | "fraction";
  /** φ of each output, or the lower and upper bound. */
  readonly params: readonly Operator[];
  readonly paramPositions: readonly number[];
  /** The label that tells several quantiles apart; "" for one quantile. */
  readonly label: string;
  readonly position: number;
}

/** Buckets of one classic histogram: rows in ascending order of their bounds. */
interface ClassicGroup {
  readonly name: string;
  readonly labels: Labels;
  readonly dropName: number;
  readonly members: { bound: number; row: number }[];
}

/** A row of computed values; several when several quantiles are asked for. */
interface OutputRow {
  readonly v: Float64Array<ArrayBuffer>[];
  readonly has: Uint8Array<ArrayBuffer>;
  readonly labels: Labels;
}

/** Which cells of an output row make one result row: those of a quantile, or all. */
interface Variant {
  readonly param: number;
  /** The quantile whose steps belong to it; null when all do. */
  readonly phi: number | null;
  /** Value of the label that tells quantiles apart. */
  readonly text: string;
}

/**
 * histogram_quantile(s) and histogram_fraction. Buckets of a classic histogram are separate rows, so
 * the child is read to its end; native histograms are reduced to numbers as they come.
 */
class BucketsOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #options: BucketsOptions;
  readonly #context: QueryContext;
  readonly #kernel = new NativeKernel();
  readonly #fix = new MonotonicFix();
  #params: Float64Array[] = [];
  #input: SeriesList = { labels: [], dropName: null };
  /** Floats of bucket rows, kept until their histogram is complete. */
  #kept = new Map<number, { v: Float64Array; has: Uint8Array }>();
  #held = 0;
  #outputs: OutputRow[] = [];
  #variants: Variant[] = [];
  #next = 0;

  constructor(child: Operator, options: BucketsOptions, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#options = options;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    for (const param of this.#options.params) {
      await param.series();
      this.#params.push(await readScalar(param));
    }
    if (this.#options.kind === "quantile") this.#warnQuantiles();
    this.#input = await this.#child.series();
    const natives = await this.#consume();
    const groups = this.#groupClassic();
    this.#dropMixed(groups, natives);
    for (const native of natives.values()) this.#outputs.push(native);
    for (const group of groups.values()) {
      this.#outputs.push(this.#classic(group));
      const pause = this.#context.breathe();
      if (pause !== undefined) await pause;
    }
    this.#kept.clear();
    return this.#list();
  }

  #warnQuantiles(): void {
    for (let p = 0; p < this.#params.length; p++) {
      let last = 0;
      for (const q of this.#params[p]!) {
        if ((q >= 0 && q <= 1) || Object.is(q, last)) continue;
        last = q;
        this.#context.annotations.warn(
          textInvalidQuantile(q),
          this.#options.paramPositions[p]!,
        );
      }
    }
  }

  /** Reads all rows: keeps floats, reduces native histograms. */
  async #consume(): Promise<Map<string, OutputRow & { row: number }>> {
    const natives = new Map<string, OutputRow & { row: number }>();
    const tile = tileFor(this.grid);
    const count = this.grid.count;
    let row = 0;
    for (;;) {
      const result = this.#child.next(tile);
      const rows = typeof result === "number" ? result : await result;
      if (rows === 0) break;
      for (let r = 0; r < rows; r++, row++) {
        if (tile.kind[r] === ROW_HISTOGRAM) {
          const native = this.#native(tile, r, row);
          natives.set(labelsKey(this.#input.labels[row]!), native);
        }
        const at = r * count;
        let any = false;
        for (let k = at; k < at + count && !any; k++) any = tile.has[k] === 1;
        if (!any) continue;
        this.#hold(count);
        this.#kept.set(row, {
          v: tile.v.slice(at, at + count),
          has: tile.has.slice(at, at + count),
        });
      }
    }
    this.#child.close();
    return natives;
  }

  #hold(n: number): void {
    this.#context.hold(n);
    this.#held += n;
  }

  /** Computes a row's histograms and marks their cells absent, so that its floats are left. */
  #native(tile: Tile, tileRow: number, row: number): OutputRow & { row: number } {
    const count = this.grid.count;
    const at = tileRow * count;
    const labels = this.#input.labels[row]!;
    const outputs = this.#outputCount;
    const values = Array.from({ length: outputs }, () => new Float64Array(count));
    this.#hold(outputs * count);
    const has = new Uint8Array(count);
    const name = labelValue(labels, METRIC_NAME);
    for (let k = 0; k < count; k++) {
      if (tile.has[at + k] === 0) continue;
      const h = tile.h![at + k];
      if (h === undefined) continue;
      tile.has[at + k] = 0;
      has[k] = 1;
      if (this.#options.kind === "fraction") {
        values[0]![k] = this.#kernel.fraction(this.#params[0]![k]!, this.#params[1]![k]!, h);
        const sum = h.sum[0]!;
        if (sum !== sum) {
          this.#context.annotations.info(textFractionNaN(name), this.#options.position);
        }
        continue;
      }
      for (let p = 0; p < outputs; p++) {
        values[p]![k] = this.#kernel.quantile(this.#params[p]![k]!, h);
        if (this.#kernel.nan === NAN_RESULT) {
          this.#context.annotations.info(textQuantileNaNResult(name), this.#options.position);
        } else if (this.#kernel.nan === NAN_SKEW) {
          this.#context.annotations.info(textQuantileNaNSkew(name), this.#options.position);
        }
      }
    }
    return { v: values, has, labels, row };
  }

  get #outputCount(): number {
    return this.#options.kind === "fraction" ? 1 : this.#params.length;
  }

  /** Groups the kept rows by all labels but `le`. */
  #groupClassic(): Map<string, ClassicGroup> {
    const groups = new Map<string, ClassicGroup>();
    const le = new Set([BUCKET_LABEL]);
    for (const row of this.#kept.keys()) {
      const labels = this.#input.labels[row]!;
      const text = labelValue(labels, BUCKET_LABEL);
      const bound = parseGoFloat(text);
      const name = labelValue(labels, METRIC_NAME);
      if (bound === undefined) {
        const known = this.#context.features.delayedNameRemoval ? name : "";
        this.#context.annotations.warn(textBadBucketLabel(known, text), this.#options.position);
        continue;
      }
      const rest = dropLabels(labels, le);
      const key = labelsKey(rest);
      let group = groups.get(key);
      if (group === undefined) {
        group = {
          name,
          labels: rest,
          dropName: this.#input.dropName?.[row] ?? 0,
          members: [],
        };
        groups.set(key, group);
      }
      group.members.push({ bound, row });
    }
    for (const group of groups.values()) group.members.sort((a, b) => a.bound - b.bound);
    return groups;
  }

  /** Where a key has classic and native samples at one step, neither counts. */
  #dropMixed(
    groups: ReadonlyMap<string, ClassicGroup>,
    natives: ReadonlyMap<string, OutputRow & { row: number }>,
  ): void {
    for (const [key, native] of natives) {
      const group = groups.get(key);
      if (group === undefined) continue;
      for (let k = 0; k < this.grid.count; k++) {
        if (native.has[k] === 0) continue;
        let classic = false;
        for (const { row } of group.members) classic ||= this.#kept.get(row)!.has[k] === 1;
        if (!classic) continue;
        native.has[k] = 0;
        for (const { row } of group.members) this.#kept.get(row)!.has[k] = 0;
        this.#context.annotations.warn(
          textMixedClassicNative(group.name),
          this.#options.position,
        );
      }
    }
  }

  #classic(group: ClassicGroup): OutputRow {
    const count = this.grid.count;
    const outputs = this.#outputCount;
    const values = Array.from({ length: outputs }, () => new Float64Array(count));
    this.#hold(outputs * count);
    const has = new Uint8Array(count);
    const { members } = group;
    const columns = members.map((m) => this.#kept.get(m.row)!);
    const buckets: ClassicBuckets = {
      bounds: new Float64Array(members.length),
      counts: new Float64Array(members.length),
      n: 0,
    };
    for (let k = 0; k < count; k++) {
      gatherBuckets(members, columns, k, buckets);
      if (buckets.n === 0) continue;
      has[k] = 1;
      if (this.#options.kind === "fraction") {
        values[0]![k] = classicFraction(this.#params[0]![k]!, this.#params[1]![k]!, buckets);
        continue;
      }
      for (let p = 0; p < outputs; p++) {
        values[p]![k] = classicQuantile(this.#params[p]![k]!, buckets, this.#fix);
        if (!this.#fix.forced) continue;
        this.#context.annotations.forcedMonotonicity(
          this.#context.features.delayedNameRemoval ? group.name : "",
          this.#options.position,
          this.grid.start + k * this.grid.step,
          this.#fix.minBucket,
          this.#fix.maxBucket,
          this.#fix.maxDiff,
        );
      }
    }
    return { v: values, has, labels: group.labels };
  }

  /** One variant for a plain function, else one per quantile that a parameter ever has. */
  #chooseVariants(): void {
    if (this.#options.label === "") {
      this.#variants = [{ param: 0, phi: null, text: "" }];
      return;
    }
    for (let param = 0; param < this.#params.length; param++) {
      const values = [...new Set(this.#params[param]!)];
      for (const phi of values) {
        this.#variants.push({
          param,
          phi: values.length === 1 ? null : phi,
          text: openMetricsFloat(phi),
        });
      }
    }
  }

  /** Output labels: per row one, or one per quantile. */
  #list(): SeriesList {
    const delayed = this.#context.features.delayedNameRemoval;
    const labels: Labels[] = [];
    this.#chooseVariants();
    for (const output of this.#outputs) {
      const base = delayed ? output.labels : dropName(output.labels);
      for (const { text } of this.#variants) {
        labels.push(text === "" ? base : withLabel(base, this.#options.label, text));
      }
    }
    return { labels, dropName: delayed ? new Uint8Array(labels.length).fill(1) : null };
  }

  next(tile: Tile): number {
    const count = this.grid.count;
    const variants = this.#variants;
    let row = 0;
    for (; row < tile.capacity && this.#next < this.#outputs.length * variants.length; row++) {
      const output = this.#outputs[Math.floor(this.#next / variants.length)]!;
      const { param, phi } = variants[this.#next % variants.length]!;
      const at = row * count;
      tile.v.set(output.v[param]!, at);
      tile.has.set(output.has, at);
      if (phi !== null) {
        const values = this.#params[param]!;
        for (let k = 0; k < count; k++) if (!Object.is(values[k], phi)) tile.has[at + k] = 0;
      }
      tile.kind[row] = ROW_SPARSE;
      this.#next++;
    }
    tile.rows = row;
    if (row === 0) this.close();
    return row;
  }

  close(): void {
    this.#child.close();
    for (const param of this.#options.params) param.close();
    this.#context.release(this.#held);
    this.#held = 0;
    this.#outputs = [];
  }
}

/** The buckets that are present at step k, equal bounds added up. */
function gatherBuckets(
  members: readonly { bound: number }[],
  columns: readonly { v: Float64Array; has: Uint8Array }[],
  k: number,
  buckets: ClassicBuckets,
): void {
  const { bounds, counts } = buckets;
  let n = 0;
  for (let m = 0; m < columns.length; m++) {
    const column = columns[m]!;
    if (column.has[k] === 0) continue;
    const bound = members[m]!.bound;
    if (n > 0 && bounds[n - 1] === bound) counts[n - 1]! += column.v[k]!;
    else {
      bounds[n] = bound;
      counts[n] = column.v[k]!;
      n++;
    }
  }
  buckets.n = n;
}

/** A float as OpenMetrics writes it in labels: always with a point or an exponent. */
function openMetricsFloat(x: number): string {
  const text = formatFloatGeneral(x);
  return Number.isFinite(x) && !/[e.]/.test(text) ? text + ".0" : text;
}
