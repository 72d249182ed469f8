/** A worker that runs seeds, with all of their crashes, until it is told or has enough. */
import { makeParts, runSeed, type SeedReport, SimulationError } from "./simulation.ts";

/** What to run: seeds `first`, `first + step`, … */
export interface SimOrder {
  readonly first: number;
  readonly step: number;
  readonly seeds: number;
  /** Crash runs that are enough. */
  readonly enough: number;
  /** Time after which no crash run is begun, ms. */
  readonly box: number;
}

/** What a worker tells. */
export type SimNews =
  | { readonly kind: "ready" }
  | { readonly kind: "seed"; readonly report: SeedReport }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "done" };

interface WorkerScope {
  onmessage: ((event: MessageEvent<SimOrder>) => void) | null;
  postMessage(news: SimNews): void;
}

const scope = globalThis as unknown as WorkerScope;
const realNow = performance.now.bind(performance);
// Long work takes turns by the time that passes; here none does, so that every run is the same.
performance.now = () => 0;

let begun = false;
scope.onmessage = async ({ data }) => {
  if (begun) return;
  begun = true;
  clearInterval(greeting);
  const parts = makeParts();
  const start = realNow();
  let runs = 0;
  const expired = () => realNow() - start >= data.box || runs >= data.enough;
  try {
    for (let n = 0; n < data.seeds && !expired(); n++) {
      const report = await runSeed(data.first + n * data.step, parts, { expired });
      runs += report.crashRuns;
      scope.postMessage({ kind: "seed", report });
    }
    scope.postMessage({ kind: "done" });
  } catch (error) {
    const message = error instanceof SimulationError ? error.message : String(error);
    scope.postMessage({ kind: "failed", message });
  }
};
// Said again until the order is here: a message at the very start of a worker may get lost.
const greeting = setInterval(() => scope.postMessage({ kind: "ready" }), 250);
scope.postMessage({ kind: "ready" });
