/**
 * Metrics of one process: counters, gauges, histograms and summaries behind one class, kept by
 * prom-client and printed here. One `Metrics` is made per process and passed down; there is no
 * global one.
 *
 * Asking for a name again gives the same metric, so that two parts of one process (a store and a
 * querier in `standalone`) can share it; another type or other labels are a programmer's error.
 */
import {
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  type MetricObjectWithValues,
  type MetricValue,
  Registry,
  Summary as PromSummary,
} from "prom-client";
import { assert, formatFloatGeneral } from "../base/mod.ts";

/** Only grows. */
export interface Counter {
  inc(by?: number): void;
}

/** Goes up and down. */
export interface Gauge {
  set(value: number): void;
  inc(by?: number): void;
  dec(by?: number): void;
}

/** A histogram or summary. */
export interface Observer {
  /** `traceId` makes the value an exemplar of its bucket, shown in OpenMetrics. */
  observe(value: number, traceId?: string): void;
}

/** Metrics of one name that differ in their labels. */
export interface Family<Child, L extends string = string> {
  /** The metric with these label values, made on first use and then shown, starting at 0. */
  with(labels: Readonly<Record<L, string>>): Child;
  /** Takes one label set out of the exposition. */
  remove(labels: Readonly<Record<L, string>>): void;
  /** Takes all label sets out, for gauges that describe a changing set of things. */
  clear(): void;
}

/** Name, help and label names of a family, with the label sets to create at once. */
export interface FamilyOptions<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
  readonly known?: readonly Readonly<Record<L, string>>[];
}

/** Content types of the two text formats. */
export const METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8";
export const METRICS_OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Record<string, string>;
/** The part of prom-client's metrics that is used here. */
interface PromFamily {
  labels(labels: Labels): unknown;
  remove(labels: Labels): void;
  reset(): void;
}

interface Known {
  readonly signature: string;
  readonly family: ChildFamily<unknown>;
}

/** The metrics of a process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #known = new Map<string, Known>();
  readonly #collectors: (() => void | Promise<void>)[] = [];
  /** The last exemplar of each bucket; as many as buckets of histograms at most. */
  readonly #exemplars = new Map<string, Exemplar>();
  readonly #parts: { readonly metrics: Metrics; readonly labels: Labels }[] = [];

  /**
   * Metrics of one part of a process, shown with these labels added, so that two parts that count
   * the same things (a store and a compactor in `standalone`) are told apart.
   */
  part(labels: Readonly<Record<string, string>>): Metrics {
    const metrics = new Metrics();
    this.#parts.push({ metrics, labels: { ...labels } });
    return metrics;
  }

  counter(name: string, help: string): Counter {
    return this.counterFamily({ name, help, labels: [] }).with({});
  }
  gauge(name: string, help: string): Gauge {
    return this.gaugeFamily({ name, help, labels: [] }).with({});
  }
  histogram(name: string, help: string, buckets: readonly number[]): Observer {
    return this.histogramFamily({ name, help, labels: [], buckets }).with({});
  }

  counterFamily<L extends string>(options: FamilyOptions<L>): Family<Counter, L> {
    return this.#family(
      "counter",
      options,
      (config) => new PromCounter(config),
      (prom, labels): Counter => {
        const child = prom.labels(labels) as PromCounter.Internal;
        child.inc(0);
        return { inc: (by = 1) => child.inc(by) };
      },
    );
  }

  gaugeFamily<L extends string>(options: FamilyOptions<L>): Family<Gauge, L> {
    return this.#family(
      "gauge",
      options,
      (config) => new PromGauge(config),
      (prom, labels): Gauge => {
        const child = prom.labels(labels) as PromGauge.Internal<string>;
        child.inc(0);
        return {
          set: (value) => child.set(value),
          inc: (by = 1) => child.inc(by),
          dec: (by = 1) => child.dec(by),
        };
      },
    );
  }

  histogramFamily<L extends string>(
    options: FamilyOptions<L> & { readonly buckets: readonly number[] },
  ): Family<Observer, L> {
    return this.#family(
      `histogram ${options.buckets.join(",")}`,
      options,
      (config) => new PromHistogram({ ...config, buckets: [...options.buckets] }),
      (prom, labels): Observer => {
        const child = prom.labels(labels) as PromHistogram.Internal<string>;
        (prom as unknown as PromHistogram).zero(labels);
        return {
          observe: (value, traceId) => {
            child.observe(value);
            if (traceId === undefined) return;
            const bucket = options.buckets.find((bound) => value <= bound) ?? Infinity;
            this.#exemplars.set(sampleKey(options.name, { ...labels, le: bucket }), {
              traceId,
              value,
              time: Date.now(),
            });
          },
        };
      },
    );
  }

  /** Sum and count only, without quantiles. */
  summaryFamily<L extends string>(options: FamilyOptions<L>): Family<Observer, L> {
    return this.#family(
      "summary",
      options,
      (config) => new PromSummary({ ...config, percentiles: [] }),
      (prom, labels): Observer => {
        const child = prom.labels(labels) as PromSummary.Internal<string>;
        return { observe: (value) => child.observe(value) };
      },
    );
  }

  /** Calls `collect` before each exposition, for values that are read rather than counted. */
  onCollect(collect: () => void | Promise<void>): void {
    this.#collectors.push(collect);
  }

  /** All metrics as text, in the 0.0.4 format or as OpenMetrics. */
  async expose(format: "text" | "openmetrics" = "text"): Promise<string> {
    const families = new Map<string, Exposed>();
    for (const metric of await this.#collect()) {
      const known = families.get(metric.name);
      // Parts count the same things under the same name: one family of samples.
      if (known === undefined) families.set(metric.name, { ...metric, values: [...metric.values] });
      else known.values.push(...metric.values);
    }
    const open = format === "openmetrics";
    const parts = [...families.values()].map((metric) => printMetric(metric, open));
    return parts.join("") + (open ? "# EOF\n" : "");
  }

  async #collect(): Promise<Exposed[]> {
    for (const collect of this.#collectors) await collect();
    const own = (await this.#registry.getMetricsAsJSON()) as unknown as Exposed[];
    if (this.#exemplars.size > 0) {
      for (const metric of own) {
        for (const value of metric.values) {
          if (value.labels.le === undefined) continue;
          const exemplar = this.#exemplars.get(sampleKey(metric.name, value.labels));
          if (exemplar !== undefined) value.example = exemplar;
        }
      }
    }
    for (const { metrics, labels } of this.#parts) {
      for (const metric of await metrics.#collect()) {
        const values = metric.values.map((v) => ({ ...v, labels: { ...labels, ...v.labels } }));
        own.push({ ...metric, values });
      }
    }
    return own;
  }

  #family<Child, L extends string>(
    type: string,
    options: FamilyOptions<L>,
    make: (config: {
      name: string;
      help: string;
      labelNames: string[];
      registers: Registry[];
    }) => unknown,
    child: (prom: PromFamily, labels: Labels) => Child,
  ): Family<Child, L> {
    const { name, help } = options;
    const signature = `${type}{${options.labels.join(",")}}`;
    const known = this.#known.get(name);
    let family: ChildFamily<Child>;
    if (known !== undefined) {
      assert(
        known.signature === signature,
        `metric ${name} is ${known.signature}, not ${signature}`,
      );
      family = known.family as ChildFamily<Child>;
    } else {
      const labelNames = [...options.labels];
      const prom = make({ name, help, labelNames, registers: [this.#registry] }) as PromFamily;
      family = new ChildFamily(prom, labelNames, child);
      this.#known.set(name, { signature, family });
    }
    for (const labels of options.known ?? []) family.with(labels);
    return family;
  }
}

/** Hands out and remembers the metrics of a family. */
class ChildFamily<Child> implements Family<Child> {
  readonly #prom: PromFamily;
  readonly #labelNames: readonly string[];
  readonly #make: (prom: PromFamily, labels: Labels) => Child;
  readonly #children = new Map<string, Child>();

  constructor(
    prom: PromFamily,
    labelNames: readonly string[],
    make: (prom: PromFamily, labels: Labels) => Child,
  ) {
    this.#prom = prom;
    this.#labelNames = labelNames;
    this.#make = make;
  }
  #key(labels: Labels): string {
    return this.#labelNames.map((name) => labels[name]).join("\xff");
  }
  with(labels: Labels): Child {
    const key = this.#key(labels);
    let child = this.#children.get(key);
    if (child === undefined) {
      child = this.#make(this.#prom, { ...labels });
      this.#children.set(key, child);
    }
    return child;
  }
  remove(labels: Labels): void {
    this.#children.delete(this.#key(labels));
    this.#prom.remove(labels);
  }
  clear(): void {
    this.#children.clear();
    this.#prom.reset();
  }
}

interface Exemplar {
  readonly traceId: string;
  readonly value: number;
  /** Ms. */
  readonly time: number;
}

type Exposed = MetricObjectWithValues<
  MetricValue<string> & { metricName?: string; example?: Exemplar }
>;

function sampleKey(name: string, labels: Readonly<Record<string, unknown>>): string {
  return [
    name,
    ...Object.keys(labels).sort().map((key) => `${key}=${printBound(key, labels[key])}`),
  ]
    .join("\xff");
}

function printMetric(metric: Exposed, open: boolean): string {
  const isCounter = String(metric.type) === "counter";
  const family = open && isCounter ? metric.name.replace(/_total$/, "") : metric.name;
  const lines = [
    `# HELP ${family} ${escape(metric.help, open)}`,
    `# TYPE ${family} ${metric.type}`,
  ];
  for (const { metricName = metric.name, labels, value, example } of metric.values) {
    const name = open && isCounter && !metricName.endsWith("_total")
      ? `${metricName}_total`
      : metricName;
    const pairs = Object.entries(labels)
      .map(([key, text]) => `${key}="${escape(String(printBound(key, text)), true)}"`);
    const set = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    const shown = !open || example === undefined
      ? ""
      : ` # {traceID="${example.traceId}"} ${formatFloatGeneral(example.value)} ${
        (example.time / 1000).toFixed(3)
      }`;
    lines.push(`${name}${set} ${formatFloatGeneral(value)}${shown}`);
  }
  return lines.join("\n") + "\n";
}

/** Bucket bounds come as numbers: `1`, `0.5`, `+Inf`. */
function printBound(key: string, text: unknown): unknown {
  return key === "le" && typeof text === "number" ? formatFloatGeneral(text) : text;
}

function escape(text: string, quotes: boolean): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return quotes ? escaped.replaceAll('"', '\\"') : escaped;
}
