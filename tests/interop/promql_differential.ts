/**
 * Asks a real Prometheus and our engine the same random questions over the same blocks.
 *
 * By hand: `deno run -A tests/interop/promql_differential.ts --queries=100000 --seed=7`; prints the
 * seed, every difference with the smallest part that shows it, and ends with `N agreed, N differ`.
 */
import { Random } from "../../lib/base/testing/random.ts";
import { formatFloatJson, MnemeError } from "../../lib/base/mod.ts";
import { type Labels, labelsToRecord } from "../../lib/model/mod.ts";
import { Engine, type Value } from "../../lib/promql/mod.ts";
import { BlockStorage } from "../../lib/query/mod.ts";
import { Stage } from "../mneme.ts";
import { DATA_END, DATA_START, writeBlocks } from "./promql_data.ts";
import { type Generated, QueryGenerator, SMOOTHING } from "./promql_generator.ts";

/** What to run. */
export interface DifferentialOptions {
  readonly queries: number;
  readonly seed: number;
  /** Told about each difference. */
  readonly report: (text: string) => void;
}

/** How it went. */
export interface DifferentialResult {
  readonly agreed: number;
  readonly differ: number;
  /** Queries with at least one sample in the answer; most should have some. */
  readonly populated: number;
}

/** Evaluation times of one comparison, ms; `step` 0 for one time. */
interface Times {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** Samples by series; a text for errors. */
type Answer = { readonly series: Series; readonly ordered: boolean } | { readonly error: string };

/**
 * Large values that cancel leave a rest that depends on the order of summation: 45 units in the last
 * place of the largest value on the way are rounding.
 */
const ROUNDING = 1e-14;

/** Samples by series, in the order of the answer. */
type Series = Map<string, readonly [number, number][]>;

/** Runs the comparison with a Prometheus of its own. */
export async function runDifferential(options: DifferentialOptions): Promise<DifferentialResult> {
  const { queries, seed, report } = options;
  await using stage = await Stage.open();
  const folder = `${stage.folder}/data`;
  writeBlocks(folder, seed);
  const storage = BlockStorage.open(folder);
  try {
    const base = await stage.prometheus(folder);
    const sides = new Sides(base, storage);
    const random = new Random(seed);
    const generator = new QueryGenerator(random);
    let agreed = 0;
    let differ = 0;
    let populated = 0;
    for (let i = 0; i < queries; i++) {
      const query = generator.query();
      const times = chooseTimes(random);
      const outcome = await sides.compare(query, times);
      populated += outcome.samples > 0 ? 1 : 0;
      if (outcome.difference === undefined) {
        agreed++;
        continue;
      }
      differ++;
      const [text, difference] = await smallest(sides, query, times, outcome.difference);
      report(
        `query ${i} of seed ${seed}: ${difference}\n  ${text}\n  at ${JSON.stringify(times)}` +
          (text === query.text ? "" : `\n  part of ${query.text}`),
      );
    }
    return { agreed, differ, populated };
  } finally {
    storage.close();
  }
}

function chooseTimes(random: Random): Times {
  const slots = (DATA_END - DATA_START) / 15_000;
  // Some evaluations lie before the first sample or behind the last one.
  const start = DATA_START + 15_000 * random.between(-20, slots + 40) + 7_000;
  if (random.chance(0.4)) return { start, end: start, step: 0 };
  const step = 15_000 * random.pick([1, 2, 4, 4, 8, 20]);
  return { start, end: start + step * random.between(1, 40), step };
}

/** Finds the smallest part of a query that shows a difference. */
async function smallest(
  sides: Sides,
  query: Generated,
  times: Times,
  difference: string,
): Promise<[string, string]> {
  for (const part of query.parts) {
    const outcome = await sides.compare(part, times);
    if (outcome.difference !== undefined) {
      return await smallest(sides, part, times, outcome.difference);
    }
  }
  return [query.text, difference];
}

class Sides {
  readonly #base: string;
  readonly #storage: BlockStorage;
  readonly #engine = new Engine({ features: { experimentalFunctions: true } });

  constructor(base: string, storage: BlockStorage) {
    this.#base = base;
    this.#storage = storage;
  }

  async compare(
    query: Generated,
    times: Times,
  ): Promise<{ difference: string | undefined; samples: number }> {
    const [theirs, ours] = await Promise.all([
      this.#theirs(query.text, times),
      this.#ours(query.text, times),
    ]);
    if ("error" in theirs || "error" in ours) {
      const same = "error" in theirs && "error" in ours;
      const say = (a: Answer) => "error" in a ? `error ${a.error}` : `${a.series.size} series`;
      return {
        difference: same ? undefined : `got ${say(ours)}, expected ${say(theirs)}`,
        samples: 0,
      };
    }
    let difference = firstDifference(theirs.series, ours.series, 0);
    if (difference !== undefined) {
      const noise = ROUNDING * await this.#largest(query, times);
      difference = firstDifference(theirs.series, ours.series, noise);
    }
    difference ??= theirs.ordered ? orderDifference(theirs.series, ours.series) : undefined;
    return { difference, samples: theirs.series.size };
  }

  /** The largest finite value of any part of the query: what its rounding is relative to. */
  async #largest(query: Generated, times: Times): Promise<number> {
    let largest = 0;
    for (const part of query.parts) {
      const answer = await this.#ours(part.text, times);
      const points = "error" in answer ? [] : [...answer.series.values()].flat();
      for (const [, v] of points) if (Number.isFinite(v)) largest = Math.max(largest, Math.abs(v));
      largest = Math.max(largest, await this.#largest(part, times));
    }
    return largest;
  }

  async #theirs(text: string, { start, end, step }: Times): Promise<Answer> {
    const query = text.replaceAll(SMOOTHING, "holt_winters");
    const params = step === 0
      ? new URLSearchParams({ query, time: String(start / 1000) })
      : new URLSearchParams({
        query,
        start: String(start / 1000),
        end: String(end / 1000),
        step: String(step / 1000),
      });
    const response = await fetch(`${this.#base}/api/v1/${step === 0 ? "query" : "query_range"}`, {
      method: "POST",
      body: params,
    });
    const body = await response.json();
    if (body.status !== "success") return { error: String(body.error) };
    return { series: seriesOfJson(body.data), ordered: isOrdered(query, step) };
  }

  async #ours(query: string, { start, end, step }: Times): Promise<Answer> {
    const storage = this.#storage;
    try {
      const { value } = step === 0
        ? await this.#engine.instantQuery({ query, storage, time: start })
        : await this.#engine.rangeQuery({ query, storage, start, end, step });
      return { series: seriesOfValue(value), ordered: isOrdered(query, step) };
    } catch (error) {
      if (error instanceof MnemeError && error.kind === "internal") throw error;
      if (!(error instanceof Error)) throw error;
      return { error: error.message };
    }
  }
}

/** Elements of an instant answer have an order only under sort(). */
function isOrdered(query: string, step: number): boolean {
  return step === 0 && /^sort(_desc)?\(/.test(query);
}

/** Compares the values in order; elements with equal values may stand either way. */
function orderDifference(theirs: Series, ours: Series): string | undefined {
  const values = (series: Series) => [...series.values()].map((points) => points[0]![1]);
  const a = values(theirs);
  const b = values(ours);
  const i = a.findIndex((x, i) => !close(x, b[i]!));
  return i < 0 ? undefined : `order: place ${i + 1} has ${b[i]}, expected ${a[i]}`;
}

function keyOf(metric: Record<string, string>): string {
  return JSON.stringify(Object.entries(metric).sort(([a], [b]) => a < b ? -1 : 1));
}

function number(text: string): number {
  return Number(text.replace("Inf", "Infinity"));
}

// deno-lint-ignore no-explicit-any
function seriesOfJson(data: any): Series {
  const series = new Map() as Series;
  if (data.resultType === "scalar") {
    series.set("scalar", [[data.result[0] * 1000, number(data.result[1])]]);
    return series;
  }
  for (const one of data.result) {
    const points: [number, string][] = one.values ?? [one.value];
    series.set(keyOf(one.metric), points.map(([t, v]) => [Math.round(t * 1000), number(v)]));
  }
  return series;
}

function seriesOfValue(value: Value): Series {
  const series = new Map() as Series;
  const key = (labels: Labels) => keyOf(labelsToRecord(labels));
  switch (value.type) {
    case "scalar":
      series.set("scalar", [[value.time, value.value]]);
      break;
    case "vector":
      value.labels.forEach((l, i) => series.set(key(l), [[value.time, value.v[i]!]]));
      break;
    case "matrix":
      for (const one of value.series) {
        series.set(key(one.labels), Array.from(one.t, (t, i) => [t, one.v[i]!]));
      }
      break;
    case "string":
      series.set("string", []);
  }
  return series;
}

/** Different orders of summation may differ in the last bits, and cancel to almost zero. */
function close(a: number, b: number): boolean {
  if (a === b || (a !== a && b !== b)) return true;
  return Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
}

function firstDifference(
  theirs: Series,
  ours: Series,
  noise: number,
): string | undefined {
  for (const key of ours.keys()) if (!theirs.has(key)) return `unexpected series ${key}`;
  for (const [key, expected] of theirs) {
    const got = ours.get(key);
    if (got === undefined) return `series ${key} is missing`;
    if (got.length !== expected.length) {
      return `${key}: ${got.length} samples, expected ${expected.length}`;
    }
    for (let i = 0; i < got.length; i++) {
      const [[t, v], [u, w]] = [got[i]!, expected[i]!];
      if (t === u && (close(v, w) || Math.abs(v - w) <= noise)) continue;
      return `${key} at ${got[i]![0]}: ${formatFloatJson(got[i]![1])}, expected ` +
        `${formatFloatJson(expected[i]![1])} at ${expected[i]![0]}`;
    }
  }
  return undefined;
}

if (import.meta.main) {
  const option = (name: string, otherwise: number) => {
    const found = Deno.args.find((a) => a.startsWith(`--${name}=`));
    return found === undefined ? otherwise : Number(found.slice(name.length + 3));
  };
  const seed = option("seed", Math.floor(Math.random() * 2 ** 31));
  const queries = option("queries", 2000);
  console.log(`seed ${seed}, ${queries} queries`);
  const began = performance.now();
  const result = await runDifferential({ queries, seed, report: (text) => console.log(text) });
  const seconds = (performance.now() - began) / 1000;
  console.log(`${result.populated} with samples, ${seconds.toFixed(1)} s`);
  console.log(`${result.agreed} agreed, ${result.differ} differ`);
  if (result.differ > 0) Deno.exit(1);
}
