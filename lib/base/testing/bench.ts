/**
 * Benchmarks of two sizes: full when the file is run as a program, small inside the tests.
 *
 * ```ts
 * export const bench: Bench = {
 *   name: "xor",
 *   run(b) {
 *     const chunks = b.parameter("chunks", 20, 2000);
 *     const data = makeChunks(new Random(b.seed), chunks);
 *     b.measure("decode counter", { work: chunks * 120, unit: "sample" }, () => decodeAll(data));
 *   },
 * };
 * if (import.meta.main) runBenchProgram(bench);
 * ```
 *
 * The measured function returns a result hash. It must be the same in every repetition, and for
 * one seed in every run, so a faster version that answers something else is noticed.
 */
import { assert } from "../assert.ts";

/** Small: a few ms, for tests. Full: for figures. */
export type BenchSize = "small" | "full";

/** A benchmark: a name and what it measures. */
export interface Bench {
  readonly name: string;
  run(b: BenchRun): void | Promise<void>;
}

/** What one repetition does, for the figures. */
export interface BenchWork {
  /** Units of work a repetition does. */
  readonly work: number;
  /** Their name in the singular, e.g. `sample`. */
  readonly unit: string;
  /** Bytes a repetition handles, to print MB/s also. */
  readonly bytes?: number;
}

/** One measured line. */
export interface BenchLine {
  readonly bench: string;
  readonly name: string;
  readonly unit: string;
  /** Nanoseconds a unit: first (cold) call, best and median of the repetitions. */
  readonly coldNs: number;
  readonly bestNs: number;
  readonly medianNs: number;
  readonly megabytesPerSecond: number | undefined;
  readonly repetitions: number;
  readonly hash: string;
}

/** Settings of a run. */
export interface BenchOptions {
  readonly size: BenchSize;
  readonly seed?: number;
  /** Gets each line as text; silent when absent. */
  readonly print?: (line: string) => void;
  /** Only lines whose name contains this are measured. */
  readonly only?: string;
}

/** The benchmark's view of its run. */
export class BenchRun {
  readonly seed: number;
  readonly size: BenchSize;
  readonly lines: BenchLine[] = [];
  readonly parameters: Record<string, number> = {};
  readonly #name: string;
  readonly #print: (line: string) => void;
  readonly #only: string;

  constructor(name: string, options: BenchOptions) {
    this.#name = name;
    this.size = options.size;
    this.seed = options.seed ?? 42;
    this.#print = options.print ?? (() => {});
    this.#only = options.only ?? "";
  }

  /** A size of the work that depends on the size of the run. */
  parameter(name: string, small: number, full: number): number {
    const value = this.size === "small" ? small : full;
    this.parameters[name] = value;
    return value;
  }

  /** Repeats `fn` (twice when small) and notes the figures; `fn` returns its result hash. */
  measure(name: string, work: BenchWork, fn: () => string): void {
    if (!name.includes(this.#only)) return;
    const times: number[] = [];
    let hash = "";
    const started = performance.now();
    const small = this.size === "small";
    while (
      small ? times.length < 2 : times.length < 7 || performance.now() - started < 400
    ) {
      const t0 = performance.now();
      const h = fn();
      times.push(performance.now() - t0);
      assert(hash === "" || hash === h, `${this.#name}/${name}: the result changed`);
      hash = h;
      if (times.length >= 7 && performance.now() - started > 5000) break;
    }
    this.#note(name, work, times, hash);
  }

  /**
   * Like measure() for asynchronous work; `fn` returns its result hash, or what makes it (and tidies
   * up) after the clock has stopped.
   */
  async measureAsync(
    name: string,
    work: BenchWork,
    fn: () => Promise<string | (() => string)>,
  ): Promise<void> {
    if (!name.includes(this.#only)) return;
    const times: number[] = [];
    let hash = "";
    const started = performance.now();
    const small = this.size === "small";
    while (
      small ? times.length < 2 : times.length < 7 || performance.now() - started < 400
    ) {
      const t0 = performance.now();
      const result = await fn();
      times.push(performance.now() - t0);
      const h = typeof result === "string" ? result : result();
      assert(hash === "" || hash === h, `${this.#name}/${name}: the result changed`);
      hash = h;
      if (times.length >= 7 && performance.now() - started > 5000) break;
    }
    this.#note(name, work, times, hash);
  }

  #note(name: string, work: BenchWork, times: readonly number[], hash: string): void {
    const sorted = times.toSorted((a, b) => a - b);
    const ns = (ms: number) => ms * 1e6 / work.work;
    const best = sorted[0]!;
    const line: BenchLine = {
      bench: this.#name,
      name,
      unit: work.unit,
      coldNs: ns(times[0]!),
      bestNs: ns(best),
      medianNs: ns(sorted[sorted.length >> 1]!),
      megabytesPerSecond: work.bytes === undefined ? undefined : work.bytes / 1000 / best,
      repetitions: times.length,
      hash,
    };
    this.lines.push(line);
    this.#print(formatLine(line));
  }
}

function formatLine(l: BenchLine): string {
  const rate = 1e9 / l.bestNs;
  const perSecond = rate >= 1e6
    ? `${(rate / 1e6).toFixed(1)} M`
    : rate >= 1e3
    ? `${(rate / 1e3).toFixed(1)} k`
    : rate.toFixed(1) + " ";
  const mb = l.megabytesPerSecond === undefined ? "" : `, ${l.megabytesPerSecond.toFixed(0)} MB/s`;
  return `${l.bench}/${l.name}: ${l.bestNs.toFixed(1)} ns/${l.unit} best, ` +
    `${l.medianNs.toFixed(1)} median, ${l.coldNs.toFixed(1)} first ` +
    `(${perSecond} ${l.unit}s/s${mb}) hash ${l.hash}`;
}

/** Runs a benchmark and returns its lines; throws when a result is not stable. */
export async function runBench(bench: Bench, options: BenchOptions): Promise<readonly BenchLine[]> {
  const run = new BenchRun(bench.name, options);
  await bench.run(run);
  return run.lines;
}

/**
 * Full size with printed lines; for `if (import.meta.main)` of a `_bench.ts` file.
 *
 * Arguments: `--json` prints one JSON array instead of text; any other one is a part of the names
 * to measure.
 */
export async function runBenchProgram(bench: Bench, args: readonly string[] = []): Promise<void> {
  const json = args.includes("--json");
  const only = args.find((a) => !a.startsWith("--")) ?? "";
  const lines = await runBench(bench, {
    size: "full",
    only,
    ...(json ? {} : { print: (line: string) => console.log(line) }),
  });
  if (json) console.log(JSON.stringify(lines));
}
