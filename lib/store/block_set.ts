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
   * ones wherever it has gaps.
   *
   * Shape: each block once, in the order of time and filling.
   */
  choose(minTime: number, maxTime: number, maxResolution: number): B[] {
    const first = RESOLUTIONS.findIndex((resolution) => resolution <= maxResolution);
    const chosen = new Set<B>();
    this.#fill(minTime, maxTime, first < 0 ? RESOLUTIONS.length - 1 : first, chosen);
    return [...chosen];
  }

  #fill(minTime: number, maxTime: number, level: number, chosen: Set<B>): void {
    if (minTime > maxTime || level >= RESOLUTIONS.length) return;
    // Everything up to `covered` is answered by this resolution.
    let covered = minTime;
    for (const block of this.#blocks[level]!) {
      if (block.maxTime <= minTime) continue;
      if (block.minTime > maxTime) break;
      this.#fill(covered, block.minTime - 1, level + 1, chosen);
      chosen.add(block);
      covered = Math.max(covered, block.maxTime);
    }
    this.#fill(covered, maxTime, level + 1, chosen);
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
