/**
 * One group during one round: plans follow each other without a new look at the bucket, and those
 * that do not need each other's results run at once.
 *
 * The plans and their order are the same as if each waited for the one before: a block that is being
 * made takes part in planning with the times it will have.
 */
import { throwIfAborted } from "../base/mod.ts";
import { type BlockMeta, makeThanosMeta } from "../tsdb/mod.ts";
import type { BlockGroup } from "./group.ts";
import type { GroupPlanner } from "./group_planner.ts";
import type { CompactMetrics } from "./metrics.ts";
import type { CompactorOptions } from "./options.ts";
import type { PlanResult, PlanRunner } from "./plan_runner.ts";
import { byStart, type CompactionPlan, overlapping } from "./planner.ts";
import { compactedMeta } from "./result_meta.ts";
import { SetAsideError } from "./set_aside.ts";
import { bytesOf } from "./sizes.ts";

const NOTHING_COUNTED = {
  stats: {
    numSamples: 0,
    numFloatSamples: 0,
    numHistogramSamples: 0,
    numSeries: 0,
    numChunks: 0,
    numTombstones: 0,
  },
  segments: [],
  indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
};

/** Small plans of a group that are carried out at once, and their bytes. */
const PLANS_AT_ONCE = 8;
const BYTES_AT_ONCE = 64 * 1024 * 1024;

/** What a group's round needs. */
export interface GroupCompactionParts {
  readonly planner: GroupPlanner;
  readonly runner: PlanRunner;
  readonly options: CompactorOptions;
  readonly metrics: CompactMetrics;
  readonly makeUlid: () => string;
}

/** Outcome of a group's round. */
export interface GroupRound {
  /** Blocks that were made. */
  readonly made: number;
  /** Something changed: the group should be looked at again. */
  readonly again: boolean;
}

/** The blocks a group will have: real ones and those that are being made. */
export function plannedMeta(ulid: string, plan: CompactionPlan, group: BlockGroup): BlockMeta {
  return compactedMeta(ulid, plan.blocks, NOTHING_COUNTED, group);
}

/**
 * Compacts a group until there is nothing left to do.
 *
 * Throws: the first error, after everything that was begun has ended.
 */
export async function compactGroup(
  group: BlockGroup,
  parts: GroupCompactionParts,
  signal?: AbortSignal,
): Promise<GroupRound> {
  return await new GroupRun(group, parts, signal).run();
}

class GroupRun {
  readonly #group: BlockGroup;
  readonly #parts: GroupCompactionParts;
  readonly #signal: AbortSignal | undefined;
  readonly #resolution: { readonly resolution: string };
  #metas: BlockMeta[];
  /** Blocks that are being made. */
  readonly #pending = new Set<string>();
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #changed = false;
  #made = 0;
  /** Bytes of the plans that are being carried out. */
  #bytes = 0;

  constructor(group: BlockGroup, parts: GroupCompactionParts, signal: AbortSignal | undefined) {
    this.#group = group;
    this.#parts = parts;
    this.#signal = signal;
    this.#metas = [...group.blocks];
    this.#resolution = { resolution: String(group.resolution) };
  }

  async run(): Promise<GroupRound> {
    const { metrics } = this.#parts;
    let started = 0;
    metrics.runsStarted.with(this.#resolution).inc();
    try {
      for (;;) {
        if (this.#failure !== undefined || this.#changed) break;
        throwIfAborted(this.#signal);
        const plan = await this.#next();
        if (plan !== undefined && this.#hasRoom(plan)) {
          // The first look is counted in any case, further ones when they found work.
          if (started > 0) metrics.runsStarted.with(this.#resolution).inc();
          started++;
          this.#start(plan);
        } else if (this.#running.size > 0) await Promise.race(this.#running);
        else {
          if (started === 0) metrics.runsCompleted.with(this.#resolution).inc();
          break;
        }
      }
    } catch (error) {
      this.#failure ??= { error };
    }
    await Promise.all(this.#running);
    if (this.#failure !== undefined) {
      metrics.compactionFailures.with(this.#resolution).inc();
      throw this.#failure.error;
    }
    return { made: this.#made, again: this.#made > 0 || this.#changed };
  }

  /** The next plan that can be started; undefined when there is none, or it has to wait. */
  async #next(): Promise<CompactionPlan | undefined> {
    const isPending = (ulid: string) => this.#pending.has(ulid);
    for (;;) {
      if (!this.#parts.options.vertical) this.#refuseOverlap();
      const metas = this.#metas;
      const plan = await this.#parts.planner.plan(metas, isPending, this.#signal);
      // A block that was finished meanwhile changes what there is to plan.
      if (metas === this.#metas) return plan;
    }
  }

  /** Small plans go on together, as most of their time is waiting for the bucket. */
  #hasRoom(plan: CompactionPlan): boolean {
    if (this.#running.size < this.#parts.options.mergeConcurrency) return true;
    return this.#running.size < PLANS_AT_ONCE && this.#bytes + planBytes(plan) <= BYTES_AT_ONCE;
  }

  #refuseOverlap(): void {
    const overlap = overlapping(this.#metas);
    if (overlap.length === 0) return;
    throw new SetAsideError(
      "overlap",
      `pre compaction overlap check: overlaps found while gathering blocks. ${
        tellOverlap(overlap)
      }`,
      overlap.map((meta) => meta.ulid),
    );
  }

  #start(plan: CompactionPlan): void {
    const { makeUlid, runner, metrics, options } = this.#parts;
    const vertical = options.vertical && overlapping(this.#metas).length > 0;
    const ulid = makeUlid();
    const planned = new Set(plan.blocks.map((meta) => meta.ulid));
    const bytes = planBytes(plan);
    this.#bytes += bytes;
    this.#pending.add(ulid);
    this.#metas = byStart([
      ...this.#metas.filter((meta) => !planned.has(meta.ulid)),
      plannedMeta(ulid, plan, this.#group),
    ]);
    const rest = () =>
      this.#metas.filter((meta) => meta.ulid !== ulid && !this.#pending.has(meta.ulid));
    const job = runner.run(this.#group, plan, ulid, rest, this.#signal).then(
      (result) => {
        this.#pending.delete(ulid);
        metrics.runsCompleted.with(this.#resolution).inc();
        this.#done(ulid, result);
        if (result.kind !== "made") return;
        metrics.compactions.with(this.#resolution).inc();
        metrics.tsdbCompactions.inc();
        if (!vertical) return;
        metrics.verticalCompactions.with(this.#resolution).inc();
        metrics.tsdbVertical.inc();
      },
      (error) => {
        this.#pending.delete(ulid);
        this.#failure ??= { error };
      },
    ).finally(() => {
      this.#bytes -= bytes;
      this.#running.delete(job);
    });
    this.#running.add(job);
  }

  #done(ulid: string, result: PlanResult): void {
    if (result.kind === "changed") {
      this.#changed = true;
      return;
    }
    this.#made++;
    // As the group sees it: the upload has the group's labels already.
    const { meta } = result;
    const thanos = meta.thanos ?? makeThanosMeta({ labels: this.#group.labels });
    this.#metas = this.#metas.map((m) => m.ulid === ulid ? { ...meta, thanos } : m);
  }
}

function planBytes(plan: CompactionPlan): number {
  return plan.blocks.reduce((sum, meta) => sum + bytesOf(meta), 0);
}

/** The overlap in the words that dashboards and people search for. */
function tellOverlap(blocks: readonly BlockMeta[]): string {
  const from = Math.max(...blocks.map((m) => m.minTime));
  const to = Math.min(...blocks.map((m) => m.maxTime));
  const start = Math.min(from, to);
  const end = Math.max(from, to);
  const each = blocks.map((m) => `<ulid: ${m.ulid}, mint: ${m.minTime}, maxt: ${m.maxTime}>`);
  return `[mint: ${start}, maxt: ${end}, range: ${(end - start) / 1000}s, ` +
    `blocks: ${blocks.length}]: ${each.join(", ")}`;
}
