/**
 * One group during one round: all that can be planned is planned, then carried out, several blocks at
 * once where there is room.
 */
import { throwIfAborted } from "../base/mod.ts";
import type { BlockMeta } from "../tsdb/mod.ts";
import type { BlockGroup } from "./group.ts";
import type { GroupPlanner } from "./group_planner.ts";
import type { CompactMetrics } from "./metrics.ts";
import type { CompactorOptions } from "./options.ts";
import { PlanChain, type PlanStep } from "./plan_chain.ts";
import type { PlanResult, PlanRunner } from "./plan_runner.ts";
import { overlapping } from "./planner.ts";
import { SetAsideError } from "./set_aside.ts";
import { bytesOf } from "./sizes.ts";

/** Small blocks of a group that are made at once, and the bytes of their sources. */
const STEPS_AT_ONCE = 8;
const BYTES_AT_ONCE = 64 * 1024 * 1024;

/** What a group's round needs. */
export interface GroupCompactionParts {
  readonly planner: GroupPlanner;
  readonly runner: PlanRunner;
  readonly options: CompactorOptions;
  readonly metrics: CompactMetrics;
  readonly makeUlid: () => string;
  /** Carry out each plan by itself, so that as much as possible is done before something fails. */
  readonly stepwise: boolean;
}

/** Outcome of a group's round. */
export interface GroupRound {
  /** Blocks that were made. */
  readonly made: number;
  /** Something changed: the group should be looked at again. */
  readonly again: boolean;
}

/**
 * Carries out what can be planned for a group now.
 *
 * Throws: the first error, after everything that was begun has ended.
 */
export async function compactGroup(
  group: BlockGroup,
  parts: GroupCompactionParts,
  signal?: AbortSignal,
): Promise<GroupRound> {
  const { metrics } = parts;
  const resolution = { resolution: String(group.resolution) };
  metrics.runsStarted.with(resolution).inc();
  try {
    if (!parts.options.vertical) refuseOverlap(group.blocks);
    const { steps, metas } = await planSteps(group, parts, signal);
    if (steps.length === 0) {
      metrics.runsCompleted.with(resolution).inc();
      return { made: 0, again: false };
    }
    return await new GroupRun(group, parts, steps, metas, signal).run();
  } catch (error) {
    metrics.compactionFailures.with(resolution).inc();
    throw error;
  }
}

async function planSteps(
  group: BlockGroup,
  parts: GroupCompactionParts,
  signal: AbortSignal | undefined,
): Promise<{ readonly steps: readonly PlanStep[]; readonly metas: readonly BlockMeta[] }> {
  const chain = new PlanChain(group, parts.makeUlid);
  for (;;) {
    throwIfAborted(signal);
    let plans = await parts.planner.plan(chain, signal);
    if (parts.stepwise) {
      plans = plans.filter((plan) => !plan.blocks.some((meta) => chain.has(meta.ulid)));
    }
    if (chain.add(plans) === 0) break;
  }
  return { steps: chain.steps, metas: chain.metas };
}

/** The steps of one group at work. */
class GroupRun {
  readonly #group: BlockGroup;
  readonly #parts: GroupCompactionParts;
  readonly #steps: readonly PlanStep[];
  /** The group as it will be. */
  readonly #metas: readonly BlockMeta[];
  readonly #signal: AbortSignal | undefined;
  readonly #resolution: { readonly resolution: string };
  readonly #vertical: boolean;
  readonly #running = new Set<Promise<void>>();
  #bytes = 0;
  #failure: { readonly error: unknown } | undefined;
  #made = 0;

  constructor(
    group: BlockGroup,
    parts: GroupCompactionParts,
    steps: readonly PlanStep[],
    metas: readonly BlockMeta[],
    signal: AbortSignal | undefined,
  ) {
    this.#group = group;
    this.#parts = parts;
    this.#steps = steps;
    this.#metas = metas;
    this.#signal = signal;
    this.#resolution = { resolution: String(group.resolution) };
    this.#vertical = parts.options.vertical && overlapping(group.blocks).length > 0;
  }

  async run(): Promise<GroupRound> {
    for (const [i, step] of this.#steps.entries()) {
      while (this.#running.size > 0 && !this.#hasRoom(step)) await Promise.race(this.#running);
      if (this.#mustStop()) break;
      // The first look was counted, whatever it found.
      if (i > 0) this.#parts.metrics.runsStarted.with(this.#resolution).inc();
      this.#start(step);
    }
    await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
    throwIfAborted(this.#signal);
    return { made: this.#made, again: true };
  }

  /** What is refused concerns its own step only, when steps do not build on each other. */
  #mustStop(): boolean {
    if (this.#signal?.aborted === true) return true;
    if (this.#failure === undefined) return false;
    return !(this.#parts.stepwise && this.#failure.error instanceof SetAsideError);
  }

  /** Small blocks are made together, as most of their time is waiting for the bucket. */
  #hasRoom(step: PlanStep): boolean {
    if (this.#running.size < this.#parts.options.mergeConcurrency) return true;
    return this.#running.size < STEPS_AT_ONCE && this.#bytes + stepBytes(step) <= BYTES_AT_ONCE;
  }

  #start(step: PlanStep): void {
    const { runner, metrics } = this.#parts;
    const bytes = stepBytes(step);
    this.#bytes += bytes;
    const rest = this.#metas.filter((meta) => meta.ulid !== step.ulid);
    const job = runner.run(this.#group, step, rest, this.#signal).then(
      (result) => {
        metrics.runsCompleted.with(this.#resolution).inc();
        this.#count(result);
      },
      (error) => {
        this.#failure ??= { error };
      },
    ).finally(() => {
      this.#bytes -= bytes;
      this.#running.delete(job);
    });
    this.#running.add(job);
  }

  #count(result: PlanResult): void {
    if (result.kind !== "made") return;
    const { metrics } = this.#parts;
    this.#made++;
    metrics.compactions.with(this.#resolution).inc();
    metrics.tsdbCompactions.inc();
    if (!this.#vertical) return;
    metrics.verticalCompactions.with(this.#resolution).inc();
    metrics.tsdbVertical.inc();
  }
}

function stepBytes(step: PlanStep): number {
  return step.blocks.reduce((sum, meta) => sum + bytesOf(meta), 0);
}

function refuseOverlap(metas: readonly BlockMeta[]): void {
  const overlap = overlapping(metas);
  if (overlap.length === 0) return;
  throw new SetAsideError(
    "overlap",
    `pre compaction overlap check: overlaps found while gathering blocks. ${tellOverlap(overlap)}`,
    overlap.map((meta) => meta.ulid),
  );
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
