/**
 * Downsampling of a bucket: fetch what is due, downsample, upload. Several blocks at once; a block
 * that fails is told and left, all others go on.
 */
import {
  type Clock,
  errorKind,
  errorMessage,
  mapPool,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";
import { downloadBlock, type HashFunction, uploadBlock } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import { type BlockMeta, externalLabelsOf, type Files, resolutionOf } from "../tsdb/mod.ts";
import type { DownsampleContext, DownsamplePass } from "./compactor.ts";
import type { DownsampleMetrics } from "./downsample_metrics.ts";
import { type DownsampleCandidate, downsampleCandidates } from "./downsample_selection.ts";
import type { JobRunner } from "./job_runner.ts";
import type { CompactorOptions } from "./options.ts";
import { isRetained } from "./retention.ts";

/** Name of the folder inside the data directory. */
export const DOWNSAMPLE_FOLDER = "downsample";

/** What downsampling works with. */
export interface DownsamplingParts {
  readonly bucket: Bucket;
  readonly files: Files;
  readonly dataDirectory: string;
  readonly clock: Clock;
  readonly makeUlid: () => string;
  readonly logger: Logger;
  readonly metrics: DownsampleMetrics;
  readonly jobs: JobRunner;
  /** Blocks at once. */
  readonly concurrency: number;
  /** Files of a block transferred at once. */
  readonly fileConcurrency: number;
  readonly hash: HashFunction;
  readonly acceptMalformedIndex: boolean;
  /** Results that would expire at once are not made. */
  readonly retention: CompactorOptions["retention"];
}

/** Downsamples the blocks of a bucket. */
export class Downsampling implements DownsamplePass {
  readonly #parts: DownsamplingParts;
  readonly #folder: string;
  /** Blocks that cannot be downsampled as they are; blocks do not change. */
  readonly #refused = new Map<string, Error>();

  constructor(parts: DownsamplingParts) {
    this.#parts = parts;
    this.#folder = `${parts.dataDirectory}/${DOWNSAMPLE_FOLDER}`;
  }

  /** What is due in a view of the bucket. */
  due(context: Pick<DownsampleContext, "view" | "metas">): DownsampleCandidate[] {
    const { view, metas } = context;
    const now = this.#parts.clock.now();
    const { retention } = this.#parts;
    return downsampleCandidates(
      metas,
      // What is marked for deletion will not be there for long.
      [...view.metas.values()].filter((meta) => !view.deletionMarks.has(meta.ulid)),
      (meta, resolution) => isRetained(meta, resolution, retention, now),
    );
  }

  /** One pass. Throws: only when the signal aborts; errors of blocks are in the result. */
  async run(context: DownsampleContext): Promise<readonly Error[]> {
    const due = this.due(context);
    for (const ulid of this.#refused.keys()) {
      if (!due.some((candidate) => candidate.meta.ulid === ulid)) this.#refused.delete(ulid);
    }
    const errors: Error[] = [...this.#refused.values()];
    const work = due.filter((candidate) => !this.#refused.has(candidate.meta.ulid));
    if (work.length === 0) return errors;
    this.#clean(new Set(work.map((candidate) => candidate.meta.ulid)));
    let failed = false;
    await mapPool(work, this.#parts.concurrency, async (candidate) => {
      throwIfAborted(context.signal);
      try {
        await this.#downsample(candidate, context);
      } catch (error) {
        throwIfAborted(context.signal);
        failed = true;
        const { ulid } = candidate.meta;
        const told = new MnemeError(
          errorKind(error),
          `downsampling of block ${ulid} to ${candidate.resolution} ms: ${errorMessage(error)}`,
          { cause: error },
        );
        if (told.kind === "corruption") this.#refused.set(ulid, told);
        errors.push(told);
      }
    });
    // After a failure what was fetched is kept for the next time.
    if (!failed) this.#parts.files.remove(this.#folder);
    return errors;
  }

  countDue(context: Pick<DownsampleContext, "view" | "metas">): number {
    return this.due(context).length;
  }

  /** Removes what earlier passes left, but for copies of blocks that are due. */
  #clean(due: ReadonlySet<string>): void {
    const { files } = this.#parts;
    files.mkdir(this.#folder);
    for (const { name } of files.list(this.#folder)) {
      if (!due.has(name)) files.remove(`${this.#folder}/${name}`);
    }
  }

  async #downsample(
    { meta, resolution }: DownsampleCandidate,
    { localCopy, signal }: DownsampleContext,
  ): Promise<void> {
    const { clock, logger, metrics } = this.#parts;
    const label = { resolution: String(resolutionOf(meta)) };
    const started = clock.now();
    metrics.attempts.with(label).inc();
    try {
      const made = await this.#make(meta, resolution, localCopy(meta.ulid), signal);
      metrics.samples.inc(meta.stats.numSamples);
      const seconds = (clock.now() - started) / 1000;
      metrics.seconds.with(label).observe(seconds);
      if (made === undefined) {
        logger.warn("no sample is left to downsample", { block: meta.ulid, resolution });
        return;
      }
      logger.info("downsampled block", {
        block: meta.ulid,
        result: made.ulid,
        resolution,
        series: made.stats.numSeries,
        samples: made.stats.numSamples,
        duration_seconds: seconds,
      });
    } catch (error) {
      metrics.failures.with(label).inc();
      metrics.failed.with(label).inc();
      throw error;
    }
  }

  async #make(
    meta: BlockMeta,
    resolution: number,
    copy: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<BlockMeta | undefined> {
    const { bucket, files, jobs, fileConcurrency, hash, clock } = this.#parts;
    const options = {
      concurrency: fileConcurrency,
      ...(signal === undefined ? {} : { signal }),
    };
    const fetched = `${this.#folder}/${meta.ulid}`;
    if (copy === undefined) {
      await downloadBlock(bucket, files, meta.ulid, fetched, { ...options, sync: false });
    }
    const ulid = this.#parts.makeUlid();
    const result = `${this.#folder}/${ulid}`;
    try {
      const outcome = await jobs.downsample({
        source: copy ?? fetched,
        directory: this.#folder,
        ulid,
        resolution,
        labels: externalLabelsOf(meta),
        acceptMalformedIndex: this.#parts.acceptMalformedIndex,
      }, signal);
      if (outcome.meta === undefined) return undefined;
      // A short upload is noticed before anyone relies on the block.
      const made = await uploadBlock(bucket, files, result, {
        ...options,
        hash,
        clock,
        verifySizes: true,
      });
      files.remove(fetched);
      return made;
    } catch (error) {
      // A copy that turned out to be broken is fetched again, should the block be tried again.
      if (errorKind(error) === "corruption") files.remove(fetched);
      throw error;
    } finally {
      files.remove(result);
    }
  }
}
