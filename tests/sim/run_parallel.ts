/** Seeds on both cores. */
import type { SeedReport } from "./simulation.ts";
import type { SimNews, SimOrder } from "./sim_worker.ts";

/** What to run. */
export interface ParallelOptions {
  readonly first: number;
  /** Seeds at most. */
  readonly seeds: number;
  readonly workers: number;
  /** Crash runs that are enough, over all workers. */
  readonly enough?: number;
  /** Longest time, ms. */
  readonly box?: number;
  readonly onSeed?: (report: SeedReport) => void;
}

/** What came of it. */
export interface ParallelReport {
  readonly seeds: number;
  readonly crashRuns: number;
  readonly distinct: number;
  readonly simulatedHours: number;
  /** Answers that readers got: whole ones, and those that said they were not. */
  readonly answers: { readonly whole: number; readonly partial: number };
  readonly seconds: number;
}

/** Runs seeds with all their crashes. Throws: the first violation, with the seed to see it again. */
export async function runParallel(options: ParallelOptions): Promise<ParallelReport> {
  const { first, seeds, workers, enough = Infinity, box = Infinity } = options;
  const started = performance.now();
  const reports: SeedReport[] = [];
  const running: Worker[] = [];
  try {
    await Promise.all(Array.from({ length: workers }, (_, i) => {
      const worker = new Worker(new URL("./sim_worker.ts", import.meta.url), { type: "module" });
      running.push(worker);
      const order: SimOrder = {
        first: first + i,
        step: workers,
        seeds: Math.ceil((seeds - i) / workers),
        enough: enough / workers,
        box,
      };
      return new Promise<void>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<SimNews>) => {
          if (data.kind === "ready") worker.postMessage(order);
          else if (data.kind === "done") resolve();
          else if (data.kind === "failed") reject(new Error(data.message));
          else {
            reports.push(data.report);
            options.onSeed?.(data.report);
          }
        };
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
      });
    }));
  } finally {
    for (const worker of running) worker.terminate();
  }
  const sum = (pick: (report: SeedReport) => number) =>
    reports.reduce((total, report) => total + pick(report), 0);
  return {
    seeds: reports.length,
    crashRuns: sum((r) => r.crashRuns),
    distinct: sum((r) => r.distinct),
    simulatedHours: sum((r) => r.simulatedHours),
    answers: { whole: sum((r) => r.answers.whole), partial: sum((r) => r.answers.partial) },
    seconds: (performance.now() - started) / 1000,
  };
}
