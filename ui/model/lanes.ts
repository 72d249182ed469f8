/** Where blocks lie on a timeline: overlapping ones go to further lanes. */

/** A stretch of time. Units: ms, `maxTime` exclusive. */
export interface Stretch {
  readonly minTime: number;
  readonly maxTime: number;
}

/** Lane of each stretch, in the order given; the fewest lanes in which none overlap. */
export function layLanes(stretches: readonly Stretch[]): { lanes: Uint16Array; count: number } {
  const lanes = new Uint16Array(stretches.length);
  const order = Uint32Array.from(stretches.keys()).sort((a, b) =>
    stretches[a]!.minTime - stretches[b]!.minTime || stretches[a]!.maxTime - stretches[b]!.maxTime
  );
  const ends: number[] = [];
  for (const i of order) {
    const { minTime, maxTime } = stretches[i]!;
    let lane = ends.findIndex((end) => end <= minTime);
    if (lane < 0) lane = ends.length;
    ends[lane] = Math.max(minTime, maxTime);
    lanes[i] = lane;
  }
  return { lanes, count: ends.length };
}

/** Pairs of neighbours that overlap, by start: each stretch with the furthest before it. */
export function findOverlaps<T extends Stretch>(stretches: readonly T[]): [T, T][] {
  const sorted = stretches.toSorted((a, b) => a.minTime - b.minTime || a.maxTime - b.maxTime);
  const found: [T, T][] = [];
  let furthest = sorted[0];
  for (const next of sorted.slice(1)) {
    if (next.minTime < furthest!.maxTime) found.push([furthest!, next]);
    if (next.maxTime > furthest!.maxTime) furthest = next;
  }
  return found;
}

/** Times between the first and the last stretch that none covers, from a least length on, ms. */
export function findGaps(stretches: readonly Stretch[], least = 0): Stretch[] {
  const sorted = stretches.toSorted((a, b) => a.minTime - b.minTime);
  const gaps: Stretch[] = [];
  let end = sorted[0]?.maxTime ?? 0;
  for (const { minTime, maxTime } of sorted) {
    if (minTime > end + least) gaps.push({ minTime: end, maxTime: minTime });
    end = Math.max(end, maxTime);
  }
  return gaps;
}
