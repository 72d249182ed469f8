/** Iterations of a compactor: one, or one after the other for ever. */
import { type Clock, errorMessage, MnemeError } from "../base/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { Compactor, IterationReport } from "./compactor.ts";
import type { CompactMetrics } from "./metrics.ts";

/** How a loop behaves. */
export interface CompactLoopOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactMetrics;
  /** From the start of one iteration to the start of the next, ms. */
  readonly interval: number;
  /** False: a group that is set aside ends the loop. */
  readonly haltOnError: boolean;
}

/** Runs a compactor. */
export class CompactLoop {
  readonly #compactor: Compactor;
  readonly #options: CompactLoopOptions;

  constructor(compactor: Compactor, options: CompactLoopOptions) {
    this.#compactor = compactor;
    this.#options = options;
  }

  /** One iteration. Throws: when anything failed or a group was set aside, after all else is done. */
  async once(stop: AbortSignal): Promise<void> {
    const report = await this.#iterate(stop);
    if (report === undefined) return;
    const problems = problemsOf(report);
    if (problems.length > 0) throw new MnemeError("execution", problems.join("; "));
    this.#options.logger.info("everything is compacted", { compactions: report.compactions });
  }

  /** Iterations until `stop`; those that fail are tried again. */
  async forEver(stop: AbortSignal): Promise<void> {
    const { clock, metrics, logger, interval, haltOnError } = this.#options;
    while (!stop.aborted) {
      const started = clock.now();
      const report = await this.#iterate(stop);
      if (report === undefined) return;
      if (report.errors.length > 0) metrics.retries.inc();
      else metrics.iterations.inc();
      for (const err of failuresOf(report)) {
        logger.error("part of the iteration failed; it is tried again", { err });
      }
      if (!haltOnError && report.setAside.length > 0) {
        throw new MnemeError("execution", problemsOf(report).join("; "));
      }
      logger.info("iteration done", {
        compactions: report.compactions,
        duration_seconds: (clock.now() - started) / 1000,
      });
      // A slow iteration swallows ticks.
      const passed = clock.now() - started;
      const rest = interval <= 0 ? 0 : interval - passed % interval;
      if (!await this.#sleep(rest, stop)) return;
    }
  }

  /** Cleans partial uploads; for a loop of its own. */
  clean(stop: AbortSignal): Promise<void> {
    return this.#compactor.cleanPartialUploads(stop);
  }

  /** Works out the metrics of what is still to be done; for a loop of its own. */
  progress(stop: AbortSignal): Promise<void> {
    return this.#compactor.updateProgress(stop);
  }

  /** Calls `work` now and every `interval` ms until `stop`; failures are logged. */
  async repeat(
    interval: number,
    work: (stop: AbortSignal) => Promise<void>,
    name: string,
    stop: AbortSignal,
  ): Promise<void> {
    while (!stop.aborted) {
      try {
        await work(stop);
      } catch (error) {
        if (stop.aborted) return;
        this.#options.logger.warn(`${name} failed; it is tried again`, {
          err: errorMessage(error),
        });
      }
      if (!await this.#sleep(interval, stop)) return;
    }
  }

  /** The report; undefined when it was stopped. */
  async #iterate(stop: AbortSignal): Promise<IterationReport | undefined> {
    let report: IterationReport;
    try {
      report = await this.#compactor.iterate(stop);
    } catch (error) {
      if (stop.aborted) return undefined;
      throw error;
    }
    this.#tellSetAside(report);
    return report;
  }

  /** The groups that wait for a person, those that hold up most first. */
  #tellSetAside({ setAside }: IterationReport): void {
    const { logger } = this.#options;
    for (const [rank, group] of setAside.entries()) {
      logger.warn("group is set aside", {
        rank: rank + 1,
        group: group.key,
        group_labels: group.labels,
        reason: group.reason,
        blocks: group.blocks.join(","),
        waiting_blocks: group.waitingBlocks,
        waiting_bytes: group.waitingBytes,
        err: group.message,
      });
    }
  }

  /** False when stopped. */
  async #sleep(ms: number, stop: AbortSignal): Promise<boolean> {
    try {
      await this.#options.clock.sleep(ms, stop);
      return !stop.aborted;
    } catch (error) {
      if (stop.aborted) return false;
      throw error;
    }
  }
}

function problemsOf(report: IterationReport): string[] {
  return [
    ...failuresOf(report),
    ...report.setAside.map((group) =>
      `group ${group.key} ${group.labels} is set aside (${group.reason}): ${group.message}`
    ),
  ];
}

/** Errors as text; stages that failed for one and the same reason share a line. */
function failuresOf(report: IterationReport): string[] {
  const stages = new Map<string, string[]>();
  for (const { message, cause } of report.errors) {
    const reason = cause === undefined ? "" : errorMessage(cause);
    const end = `: ${reason}`;
    if (reason !== "" && message.endsWith(end)) {
      stages.set(reason, [...stages.get(reason) ?? [], message.slice(0, -end.length)]);
    } else stages.set(message, []);
  }
  return [...stages].map(([reason, names]) =>
    names.length === 0 ? reason : `${names.join("; ")}: ${reason}`
  );
}
