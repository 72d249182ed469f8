/**
 * Data of several resolutions as one series: what was asked for comes first, and coarser layers fill
 * the stretches of time that it leaves open.
 */
import { RESOLUTION_1H, RESOLUTION_5M, SampleBatch } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { type ReadOptions, SeriesReader } from "./read_series.ts";
import { refine, type Refinement } from "./refine.ts";
import { chunkResolution } from "./chunk_resolution.ts";
import { TimeRanges } from "./time_ranges.ts";

/** Chunks of one series that are coarser than asked for. */
export interface CoarseLayer {
  readonly resolution: number;
  readonly chunks: readonly AggrChunk[];
}

/** Chunks of one series by what they are to the request. */
export interface Layers {
  /** As fine as asked for. */
  readonly asked: readonly AggrChunk[];
  /** Coarser ones, finest first; none in nearly every case. */
  readonly coarse: readonly CoarseLayer[];
}

/**
 * Sets chunks (ascending minTime) apart that are coarser than `maxResolution` ms.
 *
 * Owner: the same array comes back as `asked` when there are none.
 */
export function splitLayers(chunks: readonly AggrChunk[], maxResolution: number): Layers {
  if (maxResolution >= RESOLUTION_1H || chunks.every((c) => c.raw !== undefined)) {
    return { asked: chunks, coarse: NO_LAYERS };
  }
  const asked: AggrChunk[] = [];
  const minutes: AggrChunk[] = [];
  const hours: AggrChunk[] = [];
  let before = 0;
  for (const chunk of chunks) {
    const resolution = chunkResolution(chunk, before);
    before = resolution;
    if (resolution <= maxResolution) asked.push(chunk);
    else if (resolution === RESOLUTION_5M) minutes.push(chunk);
    else hours.push(chunk);
  }
  const coarse: CoarseLayer[] = [];
  if (minutes.length > 0) coarse.push({ resolution: RESOLUTION_5M, chunks: minutes });
  if (hours.length > 0) coarse.push({ resolution: RESOLUTION_1H, chunks: hours });
  return coarse.length === 0 ? { asked: chunks, coarse: NO_LAYERS } : { asked, coarse };
}

const NO_LAYERS: readonly CoarseLayer[] = [];

/** Stretches of time that chunks cover; those not further apart than `tolerance` ms are one. */
export function rangesOf(chunks: readonly AggrChunk[], tolerance: number): TimeRanges {
  const ranges = new TimeRanges(tolerance);
  for (const chunk of chunks) ranges.add(chunk.minTime, chunk.maxTime);
  return ranges;
}

/** Reads series whose chunks are of several resolutions. */
export class LayeredReader {
  readonly #reader: SeriesReader;
  readonly #layer = new SampleBatch();
  readonly #fine = new SampleBatch();
  readonly #base = new SampleBatch();

  /** `reader` decodes and joins replicas of one layer. */
  constructor(reader: SeriesReader) {
    this.#reader = reader;
  }

  /**
   * Replaces `batch` with the samples of one series within [minTime, maxTime] of the options.
   *
   * `refinement` says how samples of a resolution are to be made finer.
   */
  read(
    { asked, coarse }: Layers,
    options: ReadOptions,
    refinement: (resolution: number) => Refinement | undefined,
    batch: SampleBatch,
  ): void {
    const counter = options.aggregate === "counter";
    if (asked.length === 0) batch.clear();
    else this.#reader.read(asked, options, batch);
    let covered: readonly AggrChunk[] = asked;
    for (const { resolution, chunks } of coarse) {
      // Points beside the range belong to lines and values that reach into it.
      const wider = {
        ...options,
        minTime: options.minTime - 2 * resolution,
        maxTime: options.maxTime + resolution,
      };
      let layer = this.#layer;
      this.#reader.read(chunks, wider, layer);
      const finer = refinement(resolution);
      if (finer !== undefined) {
        refine(layer, resolution, finer, this.#fine);
        layer = this.#fine;
      }
      const base = this.#base;
      base.clear();
      base.appendRange(batch, 0, batch.length);
      overlay(base, rangesOf(covered, resolution), layer, 2 * resolution, counter, options, batch);
      covered = [...covered, ...chunks];
    }
  }
}

/**
 * Replaces `out` with `base` and, where it covers nothing, `layer`.
 *
 * Of counters, whose two running totals differ, each stretch goes on where the one before ended;
 * what happened in between is taken from the slope before, over no longer than `reach` ms.
 */
function overlay(
  base: SampleBatch,
  covered: TimeRanges,
  layer: SampleBatch,
  reach: number,
  counter: boolean,
  { minTime, maxTime }: ReadOptions,
  out: SampleBatch,
): void {
  out.clear();
  let i = 0;
  let j = 0;
  let fromBase: boolean | undefined;
  let offset = 0;
  const isHidden = (k: number) => {
    const time = layer.t[k]!;
    return time < minTime || time > maxTime || covered.covers(time);
  };
  for (;;) {
    while (j < layer.length && (isHidden(j) || i < base.length && layer.t[j] === base.t[i])) j++;
    if (i >= base.length && j >= layer.length) return;
    const useBase = j >= layer.length || (i < base.length && base.t[i]! < layer.t[j]!);
    const source = useBase ? base : layer;
    const from = useBase ? i : j;
    let to = from + 1;
    // Samples are taken in runs: of fine data there are thousands for each coarse sample.
    if (useBase) {
      const end = j < layer.length ? layer.t[j]! : Infinity;
      while (to < base.length && base.t[to]! < end) to++;
      i = to;
    } else {
      const end = i < base.length ? base.t[i]! : Infinity;
      while (to < layer.length && layer.t[to]! < end && !isHidden(to)) to++;
      j = to;
    }
    const n = out.length;
    if (counter && useBase !== fromBase) {
      offset = n === 0 ? 0 : goOn(out, source.t[from]!, reach) - source.v[from]!;
      fromBase = useBase;
    }
    out.appendRange(source, from, to);
    if (!counter) continue;
    for (let k = from; k < to; k++) {
      if (source.h?.[k] === undefined) out.v[n + k - from] = source.v[k]! + offset;
    }
  }
}

/** Where a counter stands at `time`, judged by its last two samples. */
function goOn({ t, v, h, length }: SampleBatch, time: number, reach: number): number {
  const last = v[length - 1]!;
  if (length < 2 || h?.[length - 1] !== undefined || h?.[length - 2] !== undefined) return last;
  const gap = time - t[length - 1]!;
  if (gap > reach) return last;
  const slope = (last - v[length - 2]!) / (t[length - 1]! - t[length - 2]!);
  return slope > 0 ? last + slope * gap : last;
}
