/** Makes the blocks of a plan, several at a time in workers. */
import {
  assert,
  type Clock,
  makeUlid,
  MnemeError,
  type RandomBytes,
  systemRandom,
  throwIfAborted,
} from "../base/mod.ts";
import { type BlockMeta, CREATION_SUFFIX, type Files } from "../tsdb/mod.ts";
import type { WorkerNews, WorkerOrder, WorkerResult } from "./gen_worker.ts";
import type { BlockSpec } from "./plan.ts";

/** Where and how to make blocks. */
export interface GenerateOptions {
  /** The directory in which the blocks appear; must exist. */
  readonly directory: string;
  readonly files: Files;
  /** Blocks made at once. */
  readonly workers: number;
  /** Gives the time part of block ids. */
  readonly clock: Clock;
  readonly random?: RandomBytes;
  readonly signal?: AbortSignal;
  /** Told when work on a block starts. */
  readonly onStart?: (index: number) => void;
  /** Told now and then how many more samples were made. */
  readonly onSamples?: (samples: number) => void;
  /** Called for every block that is complete; the end waits for all of these. */
  readonly onBlock?: (made: GeneratedBlock) => Promise<void> | void;
}

/** A block that is complete on disk. */
export interface GeneratedBlock {
  /** Place in the plan. */
  readonly index: number;
  readonly path: string;
  readonly meta: BlockMeta;
}

/**
 * Makes all blocks; returns their number. Blocks are started in the order of the plan.
 *
 * The first failure, or the signal, stops everything: finished blocks stay, unfinished ones leave
 * nothing behind.
 */
export async function generateBlocks(
  plan: readonly BlockSpec[],
  options: GenerateOptions,
): Promise<number> {
  throwIfAborted(options.signal);
  let next = 0;
  let made = 0;
  let failed = false;
  const lanes: Lane[] = [];
  const stop = new AbortController();
  const onAbort = () => stop.abort(options.signal!.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });

  const runLane = async (lane: Lane): Promise<void> => {
    while (next < plan.length && !failed) {
      const index = next++;
      const ulid = makeUlid(options.clock.now(), options.random ?? systemRandom);
      options.onStart?.(index);
      const order = { spec: plan[index]!, directory: options.directory, ulid };
      const meta = await lane.make(order, options.onSamples);
      made++;
      // An upload goes on while this lane makes its next block.
      if (options.onBlock !== undefined) {
        const path = `${options.directory}/${ulid}`;
        const pending = Promise.resolve(options.onBlock({ index, path, meta }));
        // Awaited later; until then a failure must not count as unhandled.
        pending.catch(() => {});
        lane.pending.push(pending);
        if (lane.pending.length > 1) await lane.pending.shift();
      }
    }
    await Promise.all(lane.pending);
  };

  try {
    const count = Math.max(1, Math.min(options.workers, plan.length));
    for (let i = 0; i < count && plan.length > 0; i++) lanes.push(new Lane(stop.signal));
    await Promise.all(lanes.map((lane) =>
      runLane(lane).catch((error) => {
        failed = true;
        // The other lanes need not finish what nobody will use.
        if (!stop.signal.aborted) stop.abort(error);
        throw error;
      })
    ));
    return made;
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
    await Promise.allSettled(lanes.flatMap((lane) => lane.pending));
    for (const lane of lanes) {
      lane.close();
      if (lane.unfinished !== undefined) {
        options.files.remove(`${options.directory}/${lane.unfinished}${CREATION_SUFFIX}`);
      }
    }
  }
}

/** One worker and what it is doing. */
class Lane {
  readonly pending: Promise<void>[] = [];
  /** Id of the block that was being made when the lane was closed. */
  unfinished: string | undefined;
  readonly #worker: Worker;
  readonly #stop: AbortSignal;
  #settle: ((news: WorkerResult | MnemeError) => void) | undefined;
  /** Takes orders: what is posted before its modules are loaded would be lost. */
  #ready = false;
  /** The first order, until the worker is heard to work on it. */
  #waiting: WorkerOrder | undefined;
  readonly #onStop = () => {
    this.#worker.terminate();
    const reason: unknown = this.#stop.reason;
    this.#settle?.(
      reason instanceof MnemeError ? reason : new MnemeError("canceled", "generation was stopped"),
    );
  };

  constructor(stop: AbortSignal) {
    this.#stop = stop;
    this.#worker = new Worker(new URL("./gen_worker.ts", import.meta.url), {
      type: "module",
      name: "blockgen",
    });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerNews>) => {
      if (data.kind !== "ready") {
        this.#waiting = undefined;
        return this.#settle?.(data);
      }
      this.#ready = true;
      if (this.#waiting !== undefined) this.#worker.postMessage(this.#waiting);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#settle?.(new MnemeError("internal", `worker failed: ${event.message}`));
    };
    stop.addEventListener("abort", this.#onStop, { once: true });
  }

  /** Makes one block. */
  make(order: WorkerOrder, onSamples: ((samples: number) => void) | undefined): Promise<BlockMeta> {
    assert(this.unfinished === undefined, "a lane makes one block at a time");
    throwIfAborted(this.#stop);
    this.unfinished = order.ulid;
    return new Promise((resolve, reject) => {
      this.#settle = (news) => {
        if (news instanceof MnemeError) return reject(news);
        if (news.kind === "samples") return onSamples?.(news.samples);
        this.#settle = undefined;
        if (news.kind === "done") {
          this.unfinished = undefined;
          resolve(news.meta);
        } else {
          // The writer has removed what it had written.
          this.unfinished = undefined;
          reject(new MnemeError(news.error, news.message));
        }
      };
      if (this.#ready) this.#worker.postMessage(order);
      else this.#waiting = order;
    });
  }

  close(): void {
    this.#stop.removeEventListener("abort", this.#onStop);
    this.#worker.terminate();
  }
}
