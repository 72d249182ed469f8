/**
 * Error of rate() and increase() after deduplication, against the true signal of simulated replicas
 * that scrape one target:
 *
 *   deno task bench:dedup-error [--pairs=1000] [--seed=1]
 *
 * Every pair has outages, late and failed scrapes, and restarts of the target. A window counts where
 * some replica scraped in its middle; it is `wild` when off by more than half, `empty` when nothing
 * came out. `one` is the first replica alone.
 */
import { MnemeError } from "../../lib/base/mod.ts";
import { Random } from "../../lib/base/testing/random.ts";
import { mergeAdaptive, mergeChain, mergePenalty } from "../../lib/dedup/mod.ts";
import { type HaOptions, type HaPair, haPair, totalsOf } from "../../lib/dedup/testing/ha_pair.ts";
import { EMPTY_LABELS, SampleBatch } from "../../lib/model/mod.ts";
import { Engine, type MatrixValue, type Storage } from "../../lib/promql/mod.ts";

/** Ways to make one series of replicas; counters come as running totals. */
const FUNCTIONS: Readonly<Record<string, (totals: SampleBatch[], out: SampleBatch) => void>> = {
  adaptive: (totals, out) => mergeAdaptive(totals, true, out),
  penalty: (totals, out) => mergePenalty(totals, true, out),
  chain: (totals, out) => mergeChain(totals, out),
  one: (totals, out) => out.appendRange(totals[0]!, 0, totals[0]!.length),
};

/** Errors of one function over many windows, relative to the true increase. */
export interface ErrorFigures {
  readonly mean: number;
  readonly p99: number;
  readonly wild: number;
  readonly empty: number;
  readonly windows: number;
}

const WINDOW = 300_000;
const STEP = 60_000;

const CASES: Readonly<Record<string, Partial<HaOptions>>> = {
  "healthy": { outages: 0, missed: 0, resets: 0 },
  "restarts": { outages: 0, missed: 0, resets: 3 },
  "failed scrapes": { outages: 0, missed: 0.1, resets: 0 },
  "outages": { outages: 2, missed: 0, resets: 0 },
  "everything": {},
  "everything, 60 s apart": { interval: 60_000, outageLength: 8 },
};

function storageOf(batch: SampleBatch): Storage {
  return {
    select: () =>
      Promise.resolve({
        labels: [EMPTY_LABELS],
        warnings: [],
        bytes: 0,
        read(_, into) {
          into.clear();
          into.appendRange(batch, 0, batch.length);
        },
        close() {},
      }),
  };
}

/** Relative errors of the windows of one pair; NaN for an empty one. */
async function errorsOf(
  engine: Engine,
  pair: HaPair,
  batch: SampleBatch,
  query: string,
  shift: number,
): Promise<number[]> {
  const start = pair.start + 2 * WINDOW + shift;
  const { value } = await engine.rangeQuery({
    query,
    start,
    end: pair.end - WINDOW,
    step: STEP,
    storage: storageOf(batch),
  });
  const series = (value as MatrixValue).series[0];
  const found = new Map<number, number>();
  for (let i = 0; i < (series?.t.length ?? 0); i++) found.set(series!.t[i]!, series!.v[i]!);
  const seconds = query.startsWith("rate") ? WINDOW / 1000 : 1;
  const errors: number[] = [];
  for (let t = start; t <= pair.end - WINDOW; t += STEP) {
    if (!pair.seenNear(t - WINDOW / 2, WINDOW / 5)) continue;
    const real = (pair.trueCount(t) - pair.trueCount(t - WINDOW)) / seconds;
    const got = found.get(t);
    errors.push(got === undefined ? NaN : Math.abs(got - real) / real);
  }
  return errors;
}

/** Errors by function over `pairs` simulated pairs. */
export async function measure(
  query: string,
  pairs: number,
  seed: number,
  changes: Partial<HaOptions>,
): Promise<Map<string, ErrorFigures>> {
  const engine = new Engine();
  const all = new Map<string, number[]>(Object.keys(FUNCTIONS).map((name) => [name, []]));
  const options: HaOptions = {
    interval: 15_000,
    duration: 2 * 3_600_000,
    replicas: 2,
    outages: 2,
    outageLength: 20,
    jitter: 0.05,
    missed: 0.02,
    resets: 1,
    ...changes,
  };
  for (let i = 0; i < pairs; i++) {
    const pair = haPair(new Random(seed + i), options);
    const totals = totalsOf(pair.counters);
    // Windows end at any time between two scrapes.
    const shift = (i * 7919) % options.interval;
    for (const [name, merge] of Object.entries(FUNCTIONS)) {
      const out = new SampleBatch();
      merge(totals, out);
      for (const e of await errorsOf(engine, pair, out, query, shift)) all.get(name)!.push(e);
    }
  }
  const figures = new Map<string, ErrorFigures>();
  for (const [name, errors] of all) {
    const told = Float64Array.from(errors.filter((e) => e === e)).sort();
    figures.set(name, {
      mean: told.reduce((sum, e) => sum + e, 0) / Math.max(1, told.length),
      p99: told[Math.floor(told.length * 0.99)] ?? NaN,
      wild: told.filter((e) => e > 0.5).length,
      empty: errors.length - told.length,
      windows: errors.length,
    });
  }
  return figures;
}

async function main(): Promise<void> {
  let pairs = 1000;
  let seed = 1;
  for (const arg of Deno.args) {
    const [name, value = ""] = arg.split("=", 2);
    if (name === "--pairs") pairs = Number(value);
    else if (name === "--seed") seed = Number(value);
    else throw new MnemeError("bad_data", `unknown flag '${arg}'; known: --pairs, --seed`);
  }
  const perCase = Math.max(1, Math.round(pairs / Object.keys(CASES).length));
  for (const query of ["rate(x[5m])", "increase(x[5m])"]) {
    console.log(`\n${query}, ${perCase} pairs a case; errors relative to the true value`);
    for (const [name, changes] of Object.entries(CASES)) {
      console.log(`  ${name}`);
      for (const [func, f] of await measure(query, perCase, seed, changes)) {
        const percent = (x: number) => `${(100 * x).toFixed(2)} %`.padStart(9);
        console.log(
          `    ${func.padEnd(9)} mean ${percent(f.mean)}  p99 ${percent(f.p99)}  ` +
            `wild ${String(f.wild).padStart(5)}  empty ${String(f.empty).padStart(5)}  ` +
            `of ${f.windows}`,
        );
      }
    }
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`bench:dedup-error: ${error instanceof Error ? error.message : String(error)}`);
    Deno.exit(1);
  }
}
