/** Which resolution served which stretch of time. */
import { chunkResolution, rangesOf, TimeRanges } from "../dedup/mod.ts";
import { RESOLUTION_RAW } from "../model/mod.ts";
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

  /** Notes chunks of a coarser resolution where `finer` chunks of the same series cover nothing. */
  addFilling(
    resolution: number,
    chunks: readonly AggrChunk[],
    finer: readonly AggrChunk[],
    minTime: number,
    maxTime: number,
  ): void {
    const covered = rangesOf(finer, resolution);
    // A point stands for the window that it ends.
    const back = resolution - 1;
    for (const chunk of chunks) {
      covered.eachGap(
        chunk.minTime - back,
        chunk.maxTime,
        (from, to) => this.#add(resolution, from, to, minTime, maxTime),
      );
    }
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
