/** The blocks of one set of external labels, and which of them answer a time range. */
import { type Labels, RESOLUTION_1H, RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";

/** What choosing needs to know of a block. */
export interface ChoosableBlock {
  readonly ulid: string;
  /** First time covered, ms. */
  readonly minTime: number;
  /** End of the time covered, EXCLUSIVE, ms. */
  readonly maxTime: number;
  /** One of RESOLUTIONS. */
  readonly resolution: number;
}

/** Resolutions that blocks have, coarsest first. */
export const RESOLUTIONS: readonly number[] = [RESOLUTION_1H, RESOLUTION_5M, RESOLUTION_RAW];

/** Points of coarse data before a gap that belong to closing it. */
export const COARSE_BEFORE = 2;

/**
 * Gaps between two blocks, and between a block and the edge of what is asked, that are no longer
 * than this (ms) are no missing blocks: they lie between one block's last sample and the next one's
 * first.
 */
const IGNORED_GAP = 300_000;
const IGNORED_EDGE = 60_000;

/** A stretch without a block, ms, inclusive. */
interface Gap {
  readonly minTime: number;
  readonly maxTime: number;
}

function matters(gap: Gap, minTime: number, maxTime: number): boolean {
  const edges = (gap.minTime <= minTime ? 1 : 0) + (gap.maxTime >= maxTime ? 1 : 0);
  const ignored = edges === 0 ? IGNORED_GAP : edges === 1 ? IGNORED_EDGE : 0;
  return gap.maxTime - gap.minTime >= ignored;
}

/** Blocks of equal external labels by resolution, in order of time. */
export class BlockSet<B extends ChoosableBlock> {
  readonly labels: Labels;
  /** One list for each of RESOLUTIONS. */
  readonly #blocks: B[][] = RESOLUTIONS.map(() => []);

  constructor(labels: Labels) {
    this.labels = labels;
  }

  get size(): number {
    return this.#blocks.reduce((n, list) => n + list.length, 0);
  }
  *blocks(): Iterable<B> {
    for (const list of this.#blocks) yield* list;
  }

  /** Adds a block whose resolution is one of RESOLUTIONS. */
  add(block: B): void {
    const list = this.#blocks[RESOLUTIONS.indexOf(block.resolution)]!;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(list[middle]!, block)) low = middle + 1;
      else high = middle;
    }
    list.splice(low, 0, block);
  }
  /** Removes a block; false when it is not here. */
  remove(block: B): boolean {
    const list = this.#blocks[RESOLUTIONS.indexOf(block.resolution)]!;
    const at = list.indexOf(block);
    if (at >= 0) list.splice(at, 1);
    return at >= 0;
  }

  /**
   * The blocks that answer [minTime, maxTime]: the coarsest allowed resolution, and the next finer
   * ones wherever it has gaps. With `coarserToo`, what is still missing comes from the finest of the
   * coarser resolutions that has it, with the points next to the gap.
   *
   * Shape: each block once, in the order of time and filling.
   */
  choose(minTime: number, maxTime: number, maxResolution: number, coarserToo = false): B[] {
    const found = RESOLUTIONS.findIndex((resolution) => resolution <= maxResolution);
    const first = found < 0 ? RESOLUTIONS.length - 1 : found;
    const chosen = new Set<B>();
    const gaps: Gap[] = [];
    this.#fill(minTime, maxTime, first, chosen, gaps);
    if (coarserToo) {
      for (const gap of gaps) {
        if (matters(gap, minTime, maxTime)) this.#fillCoarser(gap, first - 1, chosen);
      }
    }
    return [...chosen];
  }

  #fillCoarser(gap: Gap, level: number, chosen: Set<B>): void {
    if (gap.minTime > gap.maxTime || level < 0) return;
    const resolution = RESOLUTIONS[level]!;
    // Points beside a gap help only those inside it.
    if (!this.#blocks[level]!.some((b) => b.minTime <= gap.maxTime && b.maxTime > gap.minTime)) {
      return this.#fillCoarser(gap, level - 1, chosen);
    }
    const from = gap.minTime - resolution * COARSE_BEFORE;
    const to = gap.maxTime + resolution;
    let covered = gap.minTime;
    for (const block of this.#blocks[level]!) {
      if (block.maxTime <= from) continue;
      if (block.minTime > to) break;
      const before = { minTime: covered, maxTime: Math.min(block.minTime - 1, gap.maxTime) };
      if (before.maxTime - before.minTime >= IGNORED_GAP) {
        this.#fillCoarser(before, level - 1, chosen);
      }
      chosen.add(block);
      covered = Math.max(covered, block.maxTime);
    }
    this.#fillCoarser({ minTime: covered, maxTime: gap.maxTime }, level - 1, chosen);
  }

  #fill(
    minTime: number,
    maxTime: number,
    level: number,
    chosen: Set<B>,
    gaps: Gap[],
  ): void {
    if (minTime > maxTime) return;
    if (level >= RESOLUTIONS.length) {
      gaps.push({ minTime, maxTime });
      return;
    }
    // Everything up to `covered` is answered by this resolution.
    let covered = minTime;
    for (const block of this.#blocks[level]!) {
      if (block.maxTime <= minTime) continue;
      if (block.minTime > maxTime) break;
      this.#fill(covered, block.minTime - 1, level + 1, chosen, gaps);
      chosen.add(block);
      covered = Math.max(covered, block.maxTime);
    }
    this.#fill(covered, maxTime, level + 1, chosen, gaps);
  }

  /** All blocks that touch [minTime, maxTime], of any resolution. */
  touching(minTime: number, maxTime: number): B[] {
    const found: B[] = [];
    for (const list of this.#blocks) {
      for (const block of list) {
        if (block.minTime <= maxTime && minTime < block.maxTime) found.push(block);
      }
    }
    return found;
  }
}

function isBefore(a: ChoosableBlock, b: ChoosableBlock): boolean {
  if (a.minTime !== b.minTime) return a.minTime < b.minTime;
  return a.maxTime !== b.maxTime ? a.maxTime < b.maxTime : a.ulid < b.ulid;
}
