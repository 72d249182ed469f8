/**
 * Plans that follow from each other, drawn together: a block that the next plan would take at once is
 * not made at all, its sources go straight into the larger one.
 *
 * The blocks at the end are the same as if every plan were carried out in turn: overlapping chunks of
 * a series are the same ones, and levels are counted as if each step had been made.
 */
import type { BlockMeta } from "../tsdb/mod.ts";
import type { BlockGroup } from "./group.ts";
import { byStart, type CompactionPlan, type PlanKind } from "./planner.ts";
import { compactedMeta } from "./result_meta.ts";
import { indexBytesOf } from "./sizes.ts";

/** Blocks that are merged at once, unless a single plan has more. */
const MAX_SOURCES = 512;

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

/** A block to make. */
export interface PlanStep {
  readonly ulid: string;
  readonly kind: PlanKind;
  /** Blocks that exist, by start. */
  readonly blocks: readonly BlockMeta[];
  /** What the block will say of itself, without counts; its level counts the steps left out. */
  readonly meta: BlockMeta;
}

/** Collects the steps of one group. */
export class PlanChain {
  readonly #group: BlockGroup;
  readonly #makeUlid: () => string;
  readonly #steps = new Map<string, PlanStep>();
  #metas: readonly BlockMeta[];

  constructor(group: BlockGroup, makeUlid: () => string) {
    this.#group = group;
    this.#makeUlid = makeUlid;
    this.#metas = group.blocks;
  }

  /** The blocks as they will be, by start. */
  get metas(): readonly BlockMeta[] {
    return this.#metas;
  }

  /** The blocks to make, in the order in which they were found. */
  get steps(): readonly PlanStep[] {
    return [...this.#steps.values()];
  }

  /** True when the block does not exist yet. */
  has(ulid: string): boolean {
    return this.#steps.has(ulid);
  }

  /** Bytes that the index of a block to come has at most; undefined when not known. */
  indexBytes(ulid: string): number | undefined {
    const step = this.#steps.get(ulid);
    if (step === undefined) return undefined;
    let sum = 0;
    for (const meta of step.blocks) sum += indexBytesOf(meta) ?? 0;
    return sum;
  }

  /**
   * Adds plans over `metas` that have no block in common; those that would draw too much together are
   * left out. Returns how many were added.
   */
  add(plans: readonly CompactionPlan[]): number {
    const planned = new Set<string>();
    const made: BlockMeta[] = [];
    for (const plan of plans) {
      const isChained = plan.blocks.some((meta) => this.#steps.has(meta.ulid));
      const blocks = byStart(
        plan.blocks.flatMap((meta) => this.#steps.get(meta.ulid)?.blocks ?? [meta]),
      );
      if (isChained && blocks.length > MAX_SOURCES) continue;
      const ulid = this.#makeUlid();
      const meta = compactedMeta(ulid, plan.blocks, NOTHING_COUNTED, this.#group);
      for (const block of plan.blocks) {
        planned.add(block.ulid);
        this.#steps.delete(block.ulid);
      }
      this.#steps.set(ulid, { ulid, kind: plan.kind, blocks, meta });
      made.push(meta);
    }
    if (made.length > 0) {
      this.#metas = byStart([...this.#metas.filter((meta) => !planned.has(meta.ulid)), ...made]);
    }
    return made.length;
  }
}
