/** Where compaction jobs run: here, or in workers. */
import { assert, MnemeError, throwIfAborted } from "../base/mod.ts";
import type { Files } from "../tsdb/mod.ts";
import { compactBlocks, type CompactOrder, type CompactOutcome } from "./compact_job.ts";
import {
  type DownsampleOrder,
  type DownsampleOutcome,
  runDownsampleOrder,
} from "./downsample_job.ts";
import type { JobNews, WorkerOrder } from "./job_worker.ts";

/** Runs jobs; as many at once as its owner allows. */
export interface JobRunner {
  run(order: CompactOrder, signal?: AbortSignal): Promise<CompactOutcome>;
  /** Gives memory back while nothing runs; the next job starts anew. */
  rest(): void;
  downsample(order: DownsampleOrder, signal?: AbortSignal): Promise<DownsampleOutcome>;
  /** Ends workers; nothing runs afterwards. */
  close(): void;
}

/** Runs jobs in this thread, over any files. */
export class InlineJobs implements JobRunner {
  readonly #files: Files;
  constructor(files: Files) {
    this.#files = files;
  }
  run(order: CompactOrder, signal?: AbortSignal): Promise<CompactOutcome> {
    throwIfAborted(signal);
    return compactBlocks(this.#files, order);
  }
  rest(): void {}
  downsample(order: DownsampleOrder, signal?: AbortSignal): Promise<DownsampleOutcome> {
    throwIfAborted(signal);
    return runDownsampleOrder(this.#files, order);
  }
  close(): void {}
}

/** How a job ended. */
type JobAnswer = Exclude<JobNews, { readonly kind: "ready" }>;
type JobResult = Exclude<JobAnswer, { readonly kind: "failed" }>;

/** Runs jobs in module workers over the machine's file system; each worker does one at a time. */
export class WorkerJobs implements JobRunner {
  readonly #idle: JobWorker[] = [];
  readonly #all = new Set<JobWorker>();

  async run(order: CompactOrder, signal?: AbortSignal): Promise<CompactOutcome> {
    const news = await this.#do({ kind: "compact", order }, signal);
    assert(news.kind === "compacted", "a compaction is answered as one");
    return news.outcome;
  }
  async downsample(order: DownsampleOrder, signal?: AbortSignal): Promise<DownsampleOutcome> {
    const news = await this.#do({ kind: "downsample", order }, signal);
    assert(news.kind === "downsampled", "a downsampling is answered as one");
    return news.outcome;
  }

  async #do(order: WorkerOrder, signal: AbortSignal | undefined): Promise<JobResult> {
    throwIfAborted(signal);
    const worker = this.#idle.pop() ?? new JobWorker();
    this.#all.add(worker);
    try {
      const outcome = await worker.run(order, signal);
      this.#idle.push(worker);
      return outcome;
    } catch (error) {
      if (worker.usable) this.#idle.push(worker);
      else this.#all.delete(worker);
      throw error;
    }
  }

  rest(): void {
    for (const worker of this.#idle) {
      worker.close();
      this.#all.delete(worker);
    }
    this.#idle.length = 0;
  }

  close(): void {
    for (const worker of this.#all) worker.close();
    this.#all.clear();
    this.#idle.length = 0;
  }
}

/** One worker. */
class JobWorker {
  usable = true;
  readonly #worker: Worker;
  #settle: ((news: JobAnswer | MnemeError) => void) | undefined;
  #ready = false;
  /** The first order, until the worker is heard to take orders: what comes earlier may get lost. */
  #waiting: WorkerOrder | undefined;

  constructor() {
    this.#worker = new Worker(new URL("./job_worker.ts", import.meta.url), {
      type: "module",
      name: "compaction",
    });
    this.#worker.onmessage = ({ data }: MessageEvent<JobNews>) => {
      if (data.kind !== "ready") {
        this.#settle?.(data);
        return;
      }
      this.#ready = true;
      const order = this.#waiting;
      this.#waiting = undefined;
      if (order !== undefined) this.#worker.postMessage(order);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.close();
      this.#settle?.(new MnemeError("internal", `compaction worker failed: ${event.message}`));
    };
  }

  run(order: WorkerOrder, signal: AbortSignal | undefined): Promise<JobResult> {
    assert(this.#settle === undefined && this.usable, "a worker does one job at a time");
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.close();
        this.#settle?.(new MnemeError("canceled", "context canceled", { cause: signal?.reason }));
      };
      this.#settle = (news) => {
        this.#settle = undefined;
        signal?.removeEventListener("abort", onAbort);
        if (news instanceof MnemeError) reject(news);
        else if (news.kind === "failed") reject(new MnemeError(news.error, news.message));
        else resolve(news);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      if (this.#ready) this.#worker.postMessage(order);
      else this.#waiting = order;
    });
  }

  close(): void {
    this.usable = false;
    this.#worker.terminate();
  }
}
