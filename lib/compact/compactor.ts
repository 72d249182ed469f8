/**
 * The compactor: one iteration after the other over a bucket.
 *
 * An iteration looks at the bucket, deletes what is due, compacts group by group until nothing is
 * left to do, downsamples, applies retention and cleans up. What fails is told and stays local: a
 * group is set aside, a block is left for the next iteration, everything else goes on.
 */
import {
  type Clock,
  errorKind,
  errorMessage,
  Gate,
  mapPool,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";
import { type FetcherObserver, MetaCache } from "../block/mod.ts";
import { formatLabels } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { BlockMeta, Files } from "../tsdb/mod.ts";
import { BucketSync, type BucketView } from "./bucket_view.ts";
import { Cleanup } from "./cleanup.ts";
import { bucketClockSkew } from "./clock_skew.ts";
import { type BlockGroup, groupBlocks } from "./group.ts";
import { compactGroup } from "./group_compaction.ts";
import { GroupPlanner } from "./group_planner.ts";
import type { JobRunner } from "./job_runner.ts";
import { LocalBlocks } from "./local_blocks.ts";
import { Marker } from "./marker.ts";
import type { CompactMetrics } from "./metrics.ts";
import type { CompactorOptions } from "./options.ts";
import { outlookOf, type PlannedCompaction } from "./outlook.ts";
import { PlanRunner } from "./plan_runner.ts";
import { expiredBlocks } from "./retention.ts";
import { roughSize } from "./sizes.ts";
import { withTimeout } from "./time_limit.ts";
import { SetAsideError, type SetAsideGroup, SetAsideList } from "./set_aside.ts";

/** What downsampling is given: the blocks to look at, and copies that need not be fetched. */
export interface DownsampleContext {
  readonly view: BucketView;
  /** Blocks of the view that carry no mark that forbids it. */
  readonly metas: readonly BlockMeta[];
  /** Directory of a whole local copy of a block, if there is one; it must only be read. */
  readonly localCopy: (ulid: string) => string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Downsamples what is due. */
export interface DownsamplePass {
  /** Errors of single blocks are in the result, not thrown. */
  run(context: DownsampleContext): Promise<readonly Error[]>;
  /** Number of blocks that are to be downsampled. */
  countDue(context: Pick<DownsampleContext, "view" | "metas">): number;
}

/** Everything a compactor works with; it reaches nothing else. */
export interface CompactorParts {
  readonly bucket: Bucket;
  readonly files: Files;
  /** Must exist; no one else may use it. */
  readonly dataDirectory: string;
  readonly clock: Clock;
  readonly makeUlid: () => string;
  readonly logger: Logger;
  readonly metrics: CompactMetrics;
  /** Told about syncs. */
  readonly observer: FetcherObserver;
  readonly jobs: JobRunner;
  /** Absent: nothing is downsampled. */
  readonly downsample?: DownsamplePass;
  readonly options: CompactorOptions;
}

/** How an iteration went. */
export interface IterationReport {
  /** Blocks made by compaction. */
  readonly compactions: number;
  /** What failed and is tried again by the next iteration. */
  readonly errors: readonly Error[];
  /** Groups that are set aside, what waits most first. */
  readonly setAside: readonly SetAsideGroup[];
}

/** What a compactor knows about its blocks, for pages. */
export interface CompactorStatus {
  readonly view: BucketView | undefined;
  readonly syncError: Error | undefined;
  readonly plan: readonly PlannedCompaction[];
  readonly setAside: readonly SetAsideGroup[];
}

/** Compacts one bucket. At most one iteration runs at a time. */
export class Compactor {
  readonly #parts: CompactorParts;
  readonly #sync: BucketSync;
  readonly #cleanup: Cleanup;
  readonly #marker: Marker;
  readonly #local: LocalBlocks;
  readonly #runner: PlanRunner;
  readonly #setAside = new SetAsideList();
  readonly #looking = new Gate(1);
  /** Groups in which something was refused: their plans are carried out one by one. */
  readonly #stepwise = new Set<string>();
  #view: BucketView | undefined;
  #syncError: Error | undefined;
  #plan: readonly PlannedCompaction[] = [];
  #told = "";

  constructor(given: CompactorParts) {
    // Without a pass for it nothing is downsampled, and nothing may wait for it.
    const parts = given.downsample === undefined
      ? { ...given, options: { ...given.options, downsampling: false } }
      : given;
    this.#parts = parts;
    const { bucket, files, clock, options, metrics, dataDirectory, logger } = parts;
    this.#sync = new BucketSync({
      bucket,
      clock,
      options,
      observer: parts.observer,
      cache: new MetaCache(files, dataDirectory),
      labelsRemoved: (count) => metrics.labelsRemoved.set(count),
    });
    this.#marker = new Marker(parts);
    this.#local = new LocalBlocks(bucket, files, dataDirectory);
    this.#cleanup = new Cleanup({
      bucket,
      clock,
      logger,
      metrics,
      marker: this.#marker,
      deleteDelay: options.deleteDelay,
    });
    this.#runner = new PlanRunner({ ...parts, local: this.#local, marker: this.#marker });
  }

  /** What is known since the last look at the bucket. */
  get status(): CompactorStatus {
    return {
      view: this.#view,
      syncError: this.#syncError,
      plan: this.#plan,
      setAside: this.#setAside.ranked(),
    };
  }

  /**
   * Runs one iteration.
   *
   * Throws: only when the signal aborts; everything else that fails is in the report.
   */
  async iterate(signal?: AbortSignal): Promise<IterationReport> {
    const errors: Error[] = [];
    let compactions = 0;
    /** Runs a stage; false when it failed. */
    const stage = async (name: string, work: () => Promise<void>): Promise<boolean> => {
      try {
        throwIfAborted(signal);
        await work();
        return true;
      } catch (error) {
        throwIfAborted(signal);
        errors.push(
          new MnemeError(errorKind(error), `${name}: ${errorMessage(error)}`, { cause: error }),
        );
        return false;
      }
    };
    await stage("compaction", async () => {
      compactions = await this.#compact(errors, signal);
    });
    this.#parts.jobs.rest();
    const { downsample, options } = this.#parts;
    if (downsample !== undefined && options.downsampling) {
      // Twice: what the first pass makes may be due for the next resolution.
      for (let pass = 1; pass <= 2; pass++) {
        await stage(`downsampling, pass ${pass}`, async () => {
          errors.push(...await this.#downsample(downsample, signal));
        });
      }
    }
    await stage("retention", () => this.#retain(signal));
    await stage("cleaning of partial uploads", () => this.#cleanPartial(signal));
    if (errors.length === 0 && this.#setAside.ranked().length === 0) this.#local.removeAll();
    return { compactions, errors, setAside: this.#setAside.ranked() };
  }

  /** Cleans partial uploads out of turn, from a fresh look at the bucket. */
  async cleanPartialUploads(signal?: AbortSignal): Promise<void> {
    await this.#cleanPartial(signal);
    this.#parts.metrics.cleanupLoops.inc();
  }

  /** Looks at the bucket, one look at a time: each sees what was written before it began. */
  #look(signal: AbortSignal | undefined): Promise<BucketView> {
    return this.#looking.run(() => this.#lookNow(signal), signal);
  }

  async #lookNow(signal: AbortSignal | undefined): Promise<BucketView> {
    const { clock, options } = this.#parts;
    try {
      const view = await withTimeout(
        clock,
        options.syncTimeout,
        "look at the bucket",
        signal,
        (limited) => this.#sync.sync(limited),
      );
      this.#view = view;
      this.#syncError = undefined;
      return view;
    } catch (error) {
      throwIfAborted(signal);
      this.#syncError = error instanceof Error ? error : new Error(String(error));
      throw error;
    }
  }

  /** Rounds of compaction until nothing is left; returns the number of blocks made. */
  async #compact(errors: Error[], signal: AbortSignal | undefined): Promise<number> {
    let made = 0;
    /** Groups that failed are not tried again in this iteration. */
    const failed = new Set<string>();
    for (;;) {
      const view = await this.#look(signal);
      const gone = await this.#deleteDue(view, errors, signal);
      await this.#cleanup.collectGarbage(view, signal);
      const groups = this.#groups(view, gone);
      this.#cleanLocal(groups);
      this.#tellPlan(groups, view);
      let again = false;
      await mapPool(
        groups.filter((group) => group.blocks.length > 1 && !failed.has(group.key)),
        this.#parts.options.groupConcurrency,
        async (group) => {
          throwIfAborted(signal);
          const round = await this.#compactGroup(group, view, errors, failed, signal);
          made += round.made;
          if (round.again) again = true;
        },
      );
      this.#showSetAside(groups);
      if (!again) return made;
    }
  }

  async #compactGroup(
    group: BlockGroup,
    view: BucketView,
    errors: Error[],
    failed: Set<string>,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly made: number; readonly again: boolean }> {
    const { bucket, options, metrics, logger, clock, makeUlid } = this.#parts;
    if (this.#setAside.isPointless(group)) return { made: 0, again: false };
    const attempt = (stepwise: boolean) => {
      const planner = new GroupPlanner({
        bucket,
        marker: this.#marker,
        options,
        excluded: view.noCompact.keys(),
        cautious: isCautious(view),
      });
      const parts = { planner, runner: this.#runner, options, metrics, makeUlid, stepwise };
      return compactGroup(group, parts, signal);
    };
    try {
      const round = await attempt(this.#stepwise.has(group.key));
      this.#setAside.clear(group.key);
      return round;
    } catch (error) {
      throwIfAborted(signal);
      if (
        error instanceof SetAsideError && error.reason !== "overlap" &&
        !this.#stepwise.has(group.key)
      ) {
        // One bad block must not hold up more than its own plan.
        this.#stepwise.add(group.key);
        logger.warn("a compaction is refused; the group goes on plan by plan", {
          group: group.key,
          reason: error.reason,
          err: error.message,
        });
        return { made: 0, again: true };
      }
      failed.add(group.key);
      if (error instanceof SetAsideError) {
        this.#setAside.add(group, error, clock.now());
        logger.error("group is set aside; all others go on", {
          group: group.key,
          group_labels: formatLabels(group.labels),
          resolution: group.resolution,
          reason: error.reason,
          err: error.message,
        });
      } else {
        const message = `compaction of group ${group.key} ${formatLabels(group.labels)}: ` +
          errorMessage(error);
        errors.push(new MnemeError(errorKind(error), message, { cause: error }));
      }
      return { made: 0, again: false };
    }
  }

  /** Groups of the blocks to work on; blocks marked for deletion are no inputs any more. */
  #groups(view: BucketView, gone: ReadonlySet<string>): BlockGroup[] {
    const metas: BlockMeta[] = [];
    for (const [ulid, meta] of view.metas) {
      if (!gone.has(ulid) && !view.deletionMarks.has(ulid)) metas.push(meta);
    }
    return groupBlocks(metas);
  }

  #cleanLocal(groups: readonly BlockGroup[]): void {
    const known = new Map(
      groups.map((group) => [group.key, new Set(group.blocks.map((meta) => meta.ulid))]),
    );
    this.#local.clean(known);
  }

  #showSetAside(groups: readonly BlockGroup[]): void {
    const { metrics } = this.#parts;
    this.#setAside.retain(new Set(groups.map((group) => group.key)));
    const ranked = this.#setAside.ranked();
    metrics.halted.set(ranked.length > 0 ? 1 : 0);
    metrics.groupSetAside.clear();
    for (const { key, reason } of ranked) {
      metrics.groupSetAside.with({ group: key, reason }).set(1);
    }
  }

  /** Tells what is going to be done, once for each state of the bucket. */
  #tellPlan(groups: readonly BlockGroup[], view: BucketView): void {
    const { options, logger } = this.#parts;
    this.#plan = this.#outlook(groups, view);
    this.#showProgress(view);
    const signature = this.#plan.map((p) => p.blocks.join(",")).join(";");
    if (this.#plan.length === 0 || signature === this.#told) return;
    this.#told = signature;
    const byGroup = Map.groupBy(this.#plan, (planned) => planned.group);
    for (const group of groups) {
      const planned = byGroup.get(group.key);
      if (planned === undefined) continue;
      const bytes = planned.reduce((sum, p) => sum + p.bytes, 0);
      logger.info("compaction plan", {
        group: group.key,
        group_labels: formatLabels(group.labels),
        resolution: group.resolution,
        compactions: planned.length,
        blocks: planned.reduce((sum, p) => sum + p.blocks.length, 0),
        read: roughSize(bytes),
        write: `at most ${roughSize(bytes)}`,
        disk: roughSize(2 * Math.max(...planned.map((p) => p.bytes)) * options.mergeConcurrency),
        memory: `about ${roughSize(MERGE_MEMORY * options.mergeConcurrency)}`,
      });
    }
  }

  #outlook(groups: readonly BlockGroup[], view: BucketView): PlannedCompaction[] {
    const excluded = new Set(view.noCompact.keys());
    return groups.flatMap((group) =>
      outlookOf(group, excluded, this.#parts.options, isCautious(view))
    );
  }

  /** Sets the gauges of what is still to be done, from the last look at the bucket. */
  #showProgress(view: BucketView): void {
    const { metrics, options, clock, downsample } = this.#parts;
    if (downsample !== undefined && options.downsampling) {
      metrics.todoDownsample.set(downsample.countDue({ view, metas: downsamplable(view) }));
    }
    metrics.todoCompactions.set(this.#plan.length);
    metrics.todoBlocks.set(this.#plan.reduce((sum, p) => sum + p.blocks.length, 0));
    const expired = expiredBlocks(view.metas.values(), options, clock.now());
    metrics.todoDeletion.set(expired.filter((block) => !view.deletionMarks.has(block.ulid)).length);
    metrics.retentionWaits.set(expired.filter((block) => block.waits).length);
  }

  /** Looks at the bucket and sets the gauges of what is still to be done. */
  async updateProgress(signal?: AbortSignal): Promise<void> {
    const view = await this.#look(signal);
    this.#plan = this.#outlook(this.#groups(view, new Set()), view);
    this.#showProgress(view);
  }

  /** Deletes marked blocks whose delay has passed; returns those that are gone. */
  async #deleteDue(
    view: BucketView,
    errors: Error[],
    signal: AbortSignal | undefined,
  ): Promise<ReadonlySet<string>> {
    const due = await this.#cleanup.due(view, signal);
    if (due.length === 0) return new Set();
    try {
      await this.#checkClock(signal);
    } catch (error) {
      throwIfAborted(signal);
      errors.push(
        new MnemeError("unavailable", `deletion of blocks: ${errorMessage(error)}`, {
          cause: error,
        }),
      );
      return new Set();
    }
    return await this.#cleanup.delete(due, signal);
  }

  /** Throws while this clock and the bucket's tell different times: ages would be wrong. */
  async #checkClock(signal: AbortSignal | undefined): Promise<void> {
    const { bucket, clock, options, metrics } = this.#parts;
    if (options.clockTolerance === 0) return;
    const skew = await bucketClockSkew(bucket, clock, signal);
    metrics.clockSkew.set(skew / 1000);
    if (Math.abs(skew) <= options.clockTolerance) return;
    throw new MnemeError(
      "unavailable",
      `this clock is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? "ahead of" : "behind"} ` +
        "the bucket's; nothing is deleted until they agree",
    );
  }

  async #downsample(
    pass: DownsamplePass,
    signal: AbortSignal | undefined,
  ): Promise<readonly Error[]> {
    const view = await this.#look(signal);
    const metas = downsamplable(view);
    const localCopy = (ulid: string) => this.#local.whole(ulid);
    return await pass.run({ view, metas, localCopy, signal });
  }

  async #retain(signal: AbortSignal | undefined): Promise<void> {
    const { options, clock, logger, metrics } = this.#parts;
    const view = await this.#look(signal);
    const expired = expiredBlocks(view.metas.values(), options, clock.now())
      .filter((block) => !view.deletionMarks.has(block.ulid));
    metrics.retentionWaits.set(expired.filter((block) => block.waits).length);
    if (expired.some((block) => !block.waits)) await this.#checkClock(signal);
    for (const { ulid, details, waits } of expired) {
      throwIfAborted(signal);
      if (waits) {
        logger.warn("expired block is kept until it is downsampled", { block: ulid });
      } else await this.#marker.deletion(ulid, details);
    }
    metrics.todoDeletion.set(expired.filter((block) => block.waits).length);
  }

  async #cleanPartial(signal: AbortSignal | undefined): Promise<void> {
    const view = await this.#look(signal);
    await this.#cleanup.quarantine(view);
    const abandoned = this.#cleanup.abandoned(view);
    if (abandoned.length === 0) return;
    await this.#checkClock(signal);
    await this.#cleanup.deletePartial(abandoned, signal);
  }
}

/** Blocks that carry no mark against it. */
function downsamplable(view: BucketView): BlockMeta[] {
  return [...view.metas.values()].filter((meta) =>
    !view.noDownsample.has(meta.ulid) && !view.deletionMarks.has(meta.ulid)
  );
}

/** Memory of one merge: its windows, the symbols of usual blocks, the worker itself. */
const MERGE_MEMORY = 80 * 1024 * 1024;

/** True while some block cannot be read: it may belong where its group has a hole. */
function isCautious(view: BucketView): boolean {
  return view.corrupted.size > 0;
}
