/** The worker that compacts and downsamples: one order at a time. */
import { type ErrorKind, errorKind, errorMessage } from "../base/mod.ts";
import { SystemFiles } from "../tsdb/mod.ts";
import { compactBlocks, type CompactOrder, type CompactOutcome } from "./compact_job.ts";
import { WindowMemory } from "./file_pool.ts";
import {
  type DownsampleOrder,
  type DownsampleOutcome,
  runDownsampleOrder,
} from "./downsample_job.ts";

/** What a worker is told to do. */
export type WorkerOrder =
  | { readonly kind: "compact"; readonly order: CompactOrder }
  | { readonly kind: "downsample"; readonly order: DownsampleOrder };

/** What the worker tells: that it takes orders, then how each one ended. */
export type JobNews =
  | { readonly kind: "ready" }
  | { readonly kind: "compacted"; readonly outcome: CompactOutcome }
  | { readonly kind: "downsampled"; readonly outcome: DownsampleOutcome }
  | { readonly kind: "failed"; readonly error: ErrorKind; readonly message: string };

interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerOrder>) => void) | null;
  postMessage(news: JobNews): void;
}

const READY_EVERY = 250;
const scope = globalThis as unknown as WorkerScope;
const files = new SystemFiles();
const memory = new WindowMemory();

scope.onmessage = async (event) => {
  clearInterval(greeting);
  const { kind, order } = event.data;
  try {
    if (kind === "compact") {
      scope.postMessage({ kind: "compacted", outcome: await compactBlocks(files, order, memory) });
    } else {
      scope.postMessage({ kind: "downsampled", outcome: await runDownsampleOrder(files, order) });
    }
  } catch (error) {
    scope.postMessage({ kind: "failed", error: errorKind(error), message: errorMessage(error) });
  }
};
// Said again until the first order is here: a message at the very start of a worker may get lost.
const greeting = setInterval(() => scope.postMessage({ kind: "ready" }), READY_EVERY);
scope.postMessage({ kind: "ready" });
