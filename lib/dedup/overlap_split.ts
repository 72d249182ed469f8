/** Tells the replicas of one series apart by the overlap of their chunks. */
import type { AggrChunk } from "../storeapi/mod.ts";

/**
 * Distributes chunks (ascending minTime) over as many replicas as overlap: a chunk goes to the
 * first replica that ends before it starts, else it opens a new one.
 *
 * One list comes back when nothing overlaps, which is the same array when it was sorted.
 */
export function splitOverlap(chunks: readonly AggrChunk[]): readonly (readonly AggrChunk[])[] {
  let end = -Infinity;
  let i = 0;
  for (; i < chunks.length; i++) {
    if (chunks[i]!.minTime <= end) break;
    end = chunks[i]!.maxTime;
  }
  if (i === chunks.length) return [chunks];
  const replicas: AggrChunk[][] = [chunks.slice(0, i)];
  const ends: number[] = [end];
  for (; i < chunks.length; i++) {
    const chunk = chunks[i]!;
    let r = 0;
    while (r < ends.length && ends[r]! >= chunk.minTime) r++;
    if (r === ends.length) {
      replicas.push([]);
      ends.push(0);
    }
    replicas[r]!.push(chunk);
    ends[r] = chunk.maxTime;
  }
  return replicas;
}
