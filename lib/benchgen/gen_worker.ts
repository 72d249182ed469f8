/** The worker that makes blocks: one order at a time, progress while it goes on. */
import { type ErrorKind, errorKind, errorMessage } from "../base/mod.ts";
import { type BlockMeta, SystemFiles } from "../tsdb/mod.ts";
import { generateBlock } from "./block_gen.ts";
import type { BlockSpec } from "./plan.ts";

/** Make this block. */
export interface WorkerOrder {
  readonly spec: BlockSpec;
  readonly directory: string;
  readonly ulid: string;
}

/** What the worker tells: that it takes orders, then news of the one it was given. */
export type WorkerNews = { readonly kind: "ready" } | WorkerResult;

/** Samples made since it last told, then the end. */
export type WorkerResult =
  | { readonly kind: "samples"; readonly samples: number }
  | { readonly kind: "done"; readonly meta: BlockMeta }
  | { readonly kind: "failed"; readonly error: ErrorKind; readonly message: string };

interface WorkerScope {
  onmessage: ((event: MessageEvent<WorkerOrder>) => void) | null;
  postMessage(news: WorkerNews): void;
}

const TELL_EVERY = 100;
const READY_EVERY = 250;

const scope = globalThis as unknown as WorkerScope;
const files = new SystemFiles();

/** Id of the order taken last: the first one may come more than once. */
let taken = "";

scope.onmessage = (event) => {
  if (event.data.ulid === taken) return;
  taken = event.data.ulid;
  clearInterval(greeting);
  let unsaid = 0;
  let saidAt = performance.now();
  const tell = () => {
    if (unsaid > 0) scope.postMessage({ kind: "samples", samples: unsaid });
    unsaid = 0;
    saidAt = performance.now();
  };
  try {
    const { spec, directory, ulid } = event.data;
    const meta = generateBlock(spec, {
      files,
      directory,
      ulid,
      onSamples(samples) {
        unsaid += samples;
        if (performance.now() - saidAt >= TELL_EVERY) tell();
      },
    });
    tell();
    scope.postMessage({ kind: "done", meta });
  } catch (error) {
    scope.postMessage({ kind: "failed", error: errorKind(error), message: errorMessage(error) });
  }
};
// Said again until the first order is here: a message at the very start of a worker may get lost.
const greeting = setInterval(() => scope.postMessage({ kind: "ready" }), READY_EVERY);
scope.postMessage({ kind: "ready" });
