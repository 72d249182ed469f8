/** Tells of which resolution a chunk is; messages do not say. */
import { ENCODING_XOR } from "../chunks/mod.ts";
import { RESOLUTION_1H, RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";

/** Points of hourly data lie an hour apart, and those of five minutes nearly always closer than this. */
const HOURLY_SPACING = 1_800_000;

/**
 * The resolution of a chunk, ms, from the times it covers and its number of points.
 *
 * A point of downsampled data stands at the end of its window, but for the last one of a block. So
 * only chunks that start at the end of an hour can be hourly. Five-minute data that had a sample in
 * one window an hour look hourly, and are. A lone last point tells nothing: then `before`, the
 * resolution of the chunk before, is taken.
 */
export function chunkResolution(chunk: AggrChunk, before: number = RESOLUTION_5M): number {
  if (chunk.raw !== undefined) return RESOLUTION_RAW;
  const { minTime, maxTime } = chunk;
  if (!endsWindow(minTime, RESOLUTION_1H)) {
    if (minTime !== maxTime || endsWindow(minTime, RESOLUTION_5M)) return RESOLUTION_5M;
    return before === RESOLUTION_1H ? RESOLUTION_1H : RESOLUTION_5M;
  }
  const points = pointsOf(chunk);
  if (points <= 1) return RESOLUTION_1H;
  if (points === 2) {
    // The second point of hourly data is an hour later, or the last one of its block.
    return maxTime - minTime < RESOLUTION_1H && endsWindow(maxTime, RESOLUTION_5M)
      ? RESOLUTION_5M
      : RESOLUTION_1H;
  }
  return (maxTime - minTime) / (points - 1) > HOURLY_SPACING ? RESOLUTION_1H : RESOLUTION_5M;
}

function endsWindow(time: number, resolution: number): boolean {
  return (time + 1) % resolution === 0;
}

/** Number of windows; every encoding starts with its number of samples. */
function pointsOf(chunk: AggrChunk): number {
  const plain = chunk.count ?? chunk.sum ?? chunk.min ?? chunk.max;
  const data = (plain ?? chunk.counter)?.data;
  if (data === undefined || data.length < 2) return 0;
  const samples = (data[0]! << 8) | data[1]!;
  // A counter of floats also has the first raw sample and the last one twice.
  return plain === undefined && chunk.counter!.encoding === ENCODING_XOR ? samples - 2 : samples;
}
