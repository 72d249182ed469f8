/** Which resolution served which stretch of time. */
import { chunkResolution, rangesOf, TimeRanges } from "../dedup/mod.ts";
import { RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";
import type { SelectHints } from "../promql/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import type { Coverage } from "./query_recorder.ts";

/** Chunks of raw data that are no further apart than this (ms) are one stretch. */
const RAW_TOLERANCE = 300_000;

/** Gathers the stretches that one select read, by chunk, not by sample. */
export class Stretches {
  readonly #ranges = new Map<number, TimeRanges>();

  #of(resolution: number): TimeRanges {
    let ranges = this.#ranges.get(resolution);
    if (ranges === undefined) {
      ranges = new TimeRanges(resolution === RESOLUTION_RAW ? RAW_TOLERANCE : 2 * resolution);
      this.#ranges.set(resolution, ranges);
    }
    return ranges;
  }

  /** Notes chunks of one series (ascending minTime) as far as they lie within [minTime, maxTime]. */
  addChunks(chunks: readonly AggrChunk[], minTime: number, maxTime: number): void {
    let from = 0;
    let to = -1;
    let resolution = -1;
    for (const chunk of chunks) {
      const own = chunk.raw !== undefined ? RESOLUTION_RAW : chunkResolution(chunk, resolution);
      if (own === resolution && chunk.minTime <= to + RAW_TOLERANCE) {
        if (chunk.maxTime > to) to = chunk.maxTime;
        continue;
      }
      if (resolution >= 0) this.#add(resolution, from, to, minTime, maxTime);
      resolution = own;
      from = chunk.minTime;
      to = chunk.maxTime;
    }
    if (resolution >= 0) this.#add(resolution, from, to, minTime, maxTime);
  }

  /** Notes a stretch that a resolution fills. */
  add(resolution: number, { from, to }: Filling): void {
    this.#of(resolution).add(from, to);
  }

  #add(resolution: number, from: number, to: number, minTime: number, maxTime: number): void {
    if (from <= maxTime && to >= minTime) {
      this.#of(resolution).add(Math.max(from, minTime), Math.min(to, maxTime));
    }
  }

  /** Adds stretches gathered elsewhere. */
  addAll(stretches: readonly Coverage[]): void {
    for (const { resolution, minTime, maxTime } of stretches) {
      this.#of(resolution).add(minTime, maxTime);
    }
  }

  /** All stretches by time; of two resolutions they may overlap, as series differ. */
  list(): Coverage[] {
    const list: Coverage[] = [];
    for (const [resolution, { starts, ends }] of this.#ranges) {
      for (let i = 0; i < starts.length; i++) {
        list.push({ resolution, minTime: starts[i]!, maxTime: ends[i]! });
      }
    }
    return list.sort((a, b) => a.minTime - b.minTime || a.resolution - b.resolution);
  }
}

/** A stretch of one series that coarser data fill. Units: ms, inclusive. */
export interface Filling {
  readonly from: number;
  readonly to: number;
  /** Where finer data end close before it and begin close after it, within what is read; else ∓∞. */
  readonly previous: number;
  readonly next: number;
}

/** Where chunks of a coarser resolution fill what `finer` ones leave open in [minTime, maxTime]. */
export function fillingsOf(
  resolution: number,
  chunks: readonly AggrChunk[],
  finer: readonly AggrChunk[],
  minTime: number,
  maxTime: number,
): Filling[] {
  const covered = rangesOf(finer, resolution);
  const there = new TimeRanges(resolution);
  // A point stands for the window that it ends.
  for (const chunk of chunks) there.add(chunk.minTime - resolution + 1, chunk.maxTime);
  const fillings: Filling[] = [];
  for (let i = 0; i < there.size; i++) {
    const first = Math.max(there.starts[i]!, minTime);
    const last = Math.min(there.ends[i]!, maxTime);
    if (first > last) continue;
    // Looked at with what is beside it: the last point may be older than the last fine sample.
    const near = [first - resolution, last + resolution] as const;
    covered.eachGap(...near, (gapFrom, gapTo) => {
      const from = Math.max(gapFrom, first);
      const to = Math.min(gapTo, last);
      if (from > to) return;
      const previous = gapFrom > near[0] && gapFrom > minTime ? gapFrom - 1 : -Infinity;
      const next = gapTo < near[1] && gapTo < maxTime ? gapTo + 1 : Infinity;
      fillings.push({ from, to, previous, next });
    });
  }
  return fillings;
}

/** A hole of an answer that is no longer than this (ms) is one that nobody would look into. */
const SEAM = RESOLUTION_5M;

/**
 * Whether the user is told of a filling: where the answer would have a hole without it.
 *
 * A step that finds finer data in its window has an answer anyway, so what a filling adds to such
 * windows (the lookback of an instant selector, at most one interval of a range) is not told, and
 * neither is a stretch of steps that is shorter than five minutes beside finer data: raw data begin
 * some seconds after the block that holds them.
 */
export function isTold(
  resolution: number,
  { from, to, previous, next }: Filling,
  hints: Pick<SelectHints, "start" | "end" | "range" | "window">,
): boolean {
  const { start, end, range, window = range } = hints;
  const shared = range > 0 ? Math.min(range, resolution) : window;
  const first = Math.max(start + shared - 1, previous + shared, from);
  const last = Math.min(end, to + window, next - 1);
  return first <= last && (last - first >= SEAM || previous === -Infinity && next === Infinity);
}
