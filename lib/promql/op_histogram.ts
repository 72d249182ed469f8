/** Functions of histograms: histogram_count and its kin, quantiles, fractions. */
import { formatFloatGeneral, MnemeError, parseGoFloat } from "../base/mod.ts";
import {
  BUCKET_LABEL,
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
  RowStore,
  type SeriesList,
  tileFor,
  whenRows,
  withoutNames,
} from "./operator.ts";
import type { CallPlan } from "./plan.ts";
import type { QueryContext } from "./query_context.ts";
import { type Grid, ROW_FULL, ROW_HISTOGRAM, ROW_SPARSE, type Tile } from "./tile.ts";

type ToFloat = (h: FloatHistogram, kernel: NativeKernel) => number;

/** Functions of one native histogram, by PromQL name. */
const SIMPLE: Readonly<Record<string, ToFloat>> = {
  histogram_count: (h) => h.count,
  histogram_sum: (h) => h.sum[0]!,
  histogram_avg: (h) => h.sum[0]! / h.count,
  histogram_stddev: (h, kernel) => Math.sqrt(kernel.variance(h)),
  histogram_stdvar: (h, kernel) => kernel.variance(h),
};

/** PromQL names of the functions that buildHistogramCall() knows. */
export const HISTOGRAM_CALLS: ReadonlySet<string> = new Set([
  ...Object.keys(SIMPLE),
  "histogram_quantile",
  "histogram_quantiles",
  "histogram_fraction",
]);

/** The operator of a histogram function; `args` are texts and built operators, in order. */
export function buildHistogramCall(
  plan: CallPlan,
  args: readonly (Operator | string)[],
  context: QueryContext,
): Operator {
  const operator = (i: number): Operator => {
    const arg = args[i];
    if (arg === undefined || typeof arg === "string") {
      throw new MnemeError("internal", `argument ${i} of ${plan.func} must be an expression`);
    }
    return arg;
  };
  const simple = SIMPLE[plan.func];
  if (simple !== undefined) return new HistogramValueOperator(operator(0), simple, context);
  const vector = plan.func === "histogram_quantile"
    ? 1
    : plan.func === "histogram_fraction"
    ? 2
    : 0;
  const texts = args.filter((a) => typeof a === "string");
  const params = args.map((_, i) => i).filter((i) => i !== vector && typeof args[i] !== "string");
  return new BucketOperator(operator(vector), params.map(operator), {
    func: plan.func,
    label: texts[0] ?? "",
    position: plan.argPositions[vector]!,
    paramPositions: params.map((i) => plan.argPositions[i]!),
  }, context);
}

/** A number taken from each native histogram; floats are left out. */
class HistogramValueOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #value: ToFloat;
  readonly #context: QueryContext;
  readonly #kernel = new NativeKernel();

  constructor(child: Operator, value: ToFloat, context: QueryContext) {
    this.grid = child.grid;
    this.#child = child;
    this.#value = value;
    this.#context = context;
  }

  async series(): Promise<SeriesList> {
    return withoutNames(await this.#child.series(), this.#context);
  }

  next(tile: Tile): number | Promise<number> {
    return whenRows(this.#child.next(tile), (rows) => this.#apply(tile, rows));
  }

  #apply(tile: Tile, rows: number): number {
    const count = this.grid.count;
    for (let row = 0; row < rows; row++) {
      if (tile.kind[row] !== ROW_HISTOGRAM) {
        tile.clearRow(row);
        continue;
      }
      const h = tile.h!;
      for (let i = row * count; i < (row + 1) * count; i++) {
        if (tile.has[i] === 0) continue;
        const histogram = h[i];
        if (histogram === undefined) tile.has[i] = 0;
        else tile.v[i] = this.#value(histogram, this.#kernel);
      }
      tile.kind[row] = ROW_SPARSE;
    }
    return rows;
  }

  close(): void {
    this.#child.close();
  }
}

/** Settings of a function over buckets. */
interface BucketOptions {
  readonly func: string;
  /** Label of histogram_quantiles. */
  readonly label: string;
  /** Places of the vector and of the numbers. */
  readonly position: number;
  readonly paramPositions: readonly number[];
}

/** Input rows that make one histogram: a native one, the buckets of a classic one, or both. */
interface Group {
  readonly labels: Labels;
  readonly dropName: boolean;
  /** Metric name for annotations, "" when it was removed. */
  readonly name: string;
  /** Rows with a usable bound, ascending by it. */
  readonly buckets: { readonly row: number; readonly bound: number }[];
  /** Row whose histograms are meant, −1 for none. */
  native: number;
  /** Last input row that belongs to it. */
  last: number;
}

/** One output row of each group: all of it, or one quantile. */
interface Output {
  /** Index into the parameters, for quantiles. */
  readonly param: number;
  /** The quantile of the row; cells of other values belong to another output. */
  readonly phi: number;
  readonly label: string;
}

/** A row's cells while its group is computed. */
interface RowView {
  readonly v: Float64Array;
  readonly has: Uint8Array;
  readonly h: (FloatHistogram | undefined)[] | null;
  readonly at: number;
  readonly bound: number;
}

/** histogram_quantile, histogram_quantiles, histogram_fraction. */
class BucketOperator implements Operator {
  readonly grid: Grid;
  readonly #child: Operator;
  readonly #params: readonly Operator[];
  readonly #options: BucketOptions;
  readonly #context: QueryContext;
  readonly #kernel = new NativeKernel();
  readonly #fix = new MonotonicFix();
  readonly #buckets: ClassicBuckets = { bounds: EMPTY, counts: EMPTY, n: 0 };
  readonly #store: RowStore;
  readonly #input: Tile;
  #values: Float64Array[] = [];
  #outputs: Output[] = [];
  /** In the order in which they become complete. */
  #groups: Group[] = [];
  #labels: readonly Labels[] = [];
  /** Per input row, how many groups use it. */
  #uses: Uint8Array = new Uint8Array(0);
  /** Per input row, whether its float samples lack a usable bound. */
  #unbounded: Uint8Array = new Uint8Array(0);
  #nextGroup = 0;
  #nextOutput = 0;

  constructor(
    child: Operator,
    params: readonly Operator[],
    options: BucketOptions,
    context: QueryContext,
  ) {
    this.grid = child.grid;
    this.#child = child;
    this.#params = params;
    this.#options = options;
    this.#context = context;
    this.#store = new RowStore(child.grid.count, context);
    this.#input = tileFor(child.grid);
  }

  async series(): Promise<SeriesList> {
    for (const param of this.#params) {
      await param.series();
      this.#values.push(await readScalar(param));
    }
    this.#chooseOutputs();
    const list = await this.#child.series();
    this.#labels = list.labels;
    this.#group(list);
    const labels: Labels[] = [];
    const marks: number[] = [];
    const { label } = this.#options;
    for (const group of this.#groups) {
      for (const output of this.#outputs) {
        labels.push(label === "" ? group.labels : withLabel(group.labels, label, output.label));
        marks.push(group.dropName ? 1 : 0);
      }
    }
    const delayed = this.#context.features.delayedNameRemoval;
    return { labels, dropName: delayed ? Uint8Array.from(marks) : null };
  }

  /** One output for a plain function; one for each quantile that a parameter ever has. */
  #chooseOutputs(): void {
    if (this.#options.func === "histogram_fraction") {
      this.#outputs.push({ param: -1, phi: 0, label: "" });
      return;
    }
    for (let p = 0; p < this.#values.length; p++) {
      const seen = new Set<number>();
      for (const phi of this.#values[p]!) {
        if (seen.has(phi)) continue;
        seen.add(phi);
        if (!(phi >= 0 && phi <= 1)) {
          this.#context.annotations.warn(
            textInvalidQuantile(phi),
            this.#options.paramPositions[p]!,
          );
        }
        if (this.#options.func === "histogram_quantiles") {
          this.#outputs.push({ param: p, phi, label: openMetricsFloat(phi) });
        }
      }
    }
    if (this.#options.func === "histogram_quantile") {
      this.#outputs.push({ param: 0, phi: NaN, label: "" });
    }
  }

  #group(list: SeriesList): void {
    const delayed = this.#context.features.delayedNameRemoval;
    const n = list.labels.length;
    const index = new Map<string, Group>();
    this.#uses = new Uint8Array(n);
    this.#unbounded = new Uint8Array(n);
    for (let row = 0; row < n; row++) {
      const labels = list.labels[row]!;
      const bound = parseGoFloat(labelValue(labels, BUCKET_LABEL));
      const known = bound === undefined ? labels : withLabel(labels, BUCKET_LABEL, "");
      if (bound === undefined) this.#unbounded[row] = 1;
      const key = labelsKey(known);
      let group = index.get(key);
      if (group === undefined) {
        const bare = withLabel(known, BUCKET_LABEL, "");
        group = {
          labels: delayed ? (bound === undefined ? known : bare) : dropName(known),
          dropName: true,
          name: labelValue(labels, METRIC_NAME),
          buckets: [],
          native: -1,
          last: row,
        };
        index.set(key, group);
      }
      group.last = row;
      this.#uses[row]!++;
      if (bound === undefined) group.native = row;
      else group.buckets.push({ row, bound });
    }
    this.#groups = [...index.values()].sort((a, b) => a.last - b.last);
    for (const group of this.#groups) group.buckets.sort((a, b) => compareBounds(a.bound, b.bound));
  }

  next(tile: Tile): number | Promise<number> {
    const pause = this.#context.breathe();
    if (pause !== undefined) return pause.then(() => this.#fill(tile, 0));
    return this.#fill(tile, 0);
  }

  #fill(tile: Tile, from: number): number | Promise<number> {
    let row = from;
    while (row < tile.capacity && this.#nextGroup < this.#groups.length) {
      const group = this.#groups[this.#nextGroup]!;
      if (group.last >= this.#store.length) {
        const result = this.#child.next(this.#input);
        if (typeof result !== "number") return this.#fillLater(tile, row, result);
        this.#keep(result);
        continue;
      }
      this.#compute(group, this.#outputs[this.#nextOutput]!, tile, row++);
      if (++this.#nextOutput < this.#outputs.length) continue;
      this.#nextOutput = 0;
      this.#nextGroup++;
      this.#drop(group);
    }
    return tile.rows = row;
  }

  async #fillLater(tile: Tile, row: number, result: Promise<number>): Promise<number> {
    this.#keep(await result);
    return await this.#fill(tile, row);
  }

  #keep(rows: number): void {
    if (rows === 0) {
      throw new MnemeError("internal", "an operator gave fewer rows than it announced");
    }
    for (let r = 0; r < rows; r++) {
      const number = this.#store.append(this.#input, r);
      this.#checkBound(number, r);
    }
  }

  /** Floats without a usable `le` are left out and told. */
  #checkBound(number: number, row: number): void {
    if (this.#unbounded[number] === 0) return;
    const { kind, has, h, steps } = this.#input;
    for (let i = row * steps; i < (row + 1) * steps; i++) {
      if (has[i] === 0 || (kind[row] === ROW_HISTOGRAM && h![i] !== undefined)) continue;
      const labels = this.#labels[number]!;
      this.#context.annotations.warn(
        textBadBucketLabel(labelValue(labels, METRIC_NAME), labelValue(labels, BUCKET_LABEL)),
        this.#options.position,
      );
      return;
    }
  }

  #drop(group: Group): void {
    for (const bucket of group.buckets) this.#store.drop(bucket.row);
    if (group.native >= 0) this.#store.drop(group.native);
  }

  #view(row: number, bound: number): RowView {
    const page = this.#store.page(row);
    const h = page.kind[this.#store.index(row)] === ROW_HISTOGRAM ? page.h : null;
    return { v: page.v, has: page.has, h, at: this.#store.offset(row), bound };
  }

  #compute(group: Group, output: Output, tile: Tile, row: number): void {
    const count = this.grid.count;
    const at = row * count;
    const views = group.buckets.map((b) => this.#view(b.row, b.bound));
    const native = group.native < 0 ? null : this.#view(group.native, NaN);
    if (this.#buckets.bounds.length < views.length) {
      this.#buckets.bounds = new Float64Array(views.length);
      this.#buckets.counts = new Float64Array(views.length);
    }
    const phi = output.param < 0 ? null : this.#values[output.param]!;
    const one = this.#options.func === "histogram_quantiles";
    let present = 0;
    for (let k = 0; k < count; k++) {
      tile.has[at + k] = 0;
      if (one && !Object.is(phi![k], output.phi)) continue;
      const h = native === null || native.h === null || native.has[native.at + k] === 0
        ? undefined
        : native.h[native.at + k];
      const n = this.#gather(views, k);
      if (n === 0 && h === undefined) continue;
      if (n > 0 && h !== undefined) {
        this.#context.annotations.warn(
          textMixedClassicNative(group.name),
          this.#options.position,
        );
        continue;
      }
      tile.v[at + k] = h !== undefined
        ? this.#ofNative(group, h, k, phi)
        : this.#ofClassic(group, k, phi);
      tile.has[at + k] = 1;
      present++;
    }
    tile.kind[row] = present === count ? ROW_FULL : ROW_SPARSE;
  }

  /** Collects the buckets present at step k; equal bounds are added up. */
  #gather(views: readonly RowView[], k: number): number {
    const buckets = this.#buckets;
    const { bounds, counts } = buckets;
    let n = 0;
    for (let i = 0; i < views.length; i++) {
      const view = views[i]!;
      const cell = view.at + k;
      if (view.has[cell] === 0 || (view.h !== null && view.h[cell] !== undefined)) continue;
      if (n > 0 && bounds[n - 1] === view.bound) counts[n - 1]! += view.v[cell]!;
      else {
        bounds[n] = view.bound;
        counts[n++] = view.v[cell]!;
      }
    }
    buckets.n = n;
    return n;
  }

  /** Name for annotations about results: Prometheus has taken it off by then, unless told to wait. */
  #resultName(group: Group): string {
    return this.#context.features.delayedNameRemoval ? group.name : "";
  }

  #ofNative(group: Group, h: FloatHistogram, k: number, phi: Float64Array | null): number {
    const { annotations } = this.#context;
    const { position } = this.#options;
    const kernel = this.#kernel;
    if (phi === null) {
      const lower = this.#values[0]![k]!;
      const upper = this.#values[1]![k]!;
      const result = kernel.fraction(lower, upper, h);
      if (h.sum[0] !== h.sum[0] && result === result && lower < upper) {
        annotations.info(textFractionNaN(this.#resultName(group)), position);
      }
      return result;
    }
    const result = kernel.quantile(phi[k]!, h);
    if (kernel.nan === NAN_RESULT) {
      annotations.info(textQuantileNaNResult(this.#resultName(group)), position);
    } else if (kernel.nan === NAN_SKEW) {
      annotations.info(textQuantileNaNSkew(this.#resultName(group)), position);
    }
    return result;
  }

  #ofClassic(group: Group, k: number, phi: Float64Array | null): number {
    const buckets = this.#buckets;
    if (phi === null) {
      return classicFraction(this.#values[0]![k]!, this.#values[1]![k]!, buckets);
    }
    const fix = this.#fix;
    const result = classicQuantile(phi[k]!, buckets, fix);
    if (fix.forced) {
      this.#context.annotations.forcedMonotonicity(
        this.#resultName(group),
        this.#options.position,
        this.grid.start + k * this.grid.step,
        fix.minBucket,
        fix.maxBucket,
        fix.maxDiff,
      );
    }
    return result;
  }

  close(): void {
    this.#child.close();
    for (const param of this.#params) param.close();
    this.#store.close();
  }
}

const EMPTY = new Float64Array(0);

/** A number as a label value of OpenMetrics: `0.5`, `1.0`. */
function openMetricsFloat(x: number): string {
  const text = formatFloatGeneral(x);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/** Ascending, NaN first. */
function compareBounds(a: number, b: number): number {
  if (a === b) return 0;
  if (a !== a) return b !== b ? 0 : -1;
  return b !== b || a > b ? 1 : -1;
}
