/**
 * Penalty merging of the chunks of a series, one after the other, without a second pass over what
 * lies before them.
 *
 * The result is that of merge(merge(c0, c1), c2) …, each merge staying on its input while that
 * delivers and switching when it falls behind by twice its own interval. As chunks come in the order
 * of their start, only the end of what was merged so far can change.
 */
import { SampleBatch } from "../model/mod.ts";

/** Time until the other input may be used after the very first sample, ms. */
const INITIAL_PENALTY = 5000;

/** Folds batches into one. */
export class PenaltyFold {
  readonly #tail = new SampleBatch();

  /**
   * Merges `next` into `merged`.
   *
   * Shape: both ascending; `next` starts no earlier than the batch folded before it.
   * Owner: `next` is only read.
   */
  fold(merged: SampleBatch, next: SampleBatch): void {
    if (next.length === 0) return;
    if (merged.length === 0) {
      merged.appendRange(next, 0, next.length);
      return;
    }
    const kept = untouched(merged, next.t[0]!);
    const tail = this.#tail;
    tail.clear();
    tail.appendRange(merged, kept, merged.length);
    merged.length = kept;
    if (merged.h !== null) merged.h.length = kept;
    let lastTime = kept === 0 ? -Infinity : merged.t[kept - 1]!;
    let penaltyA = 0;
    let penaltyB = kept === 0
      ? 0
      : kept === 1
      ? INITIAL_PENALTY
      : 2 * (lastTime - merged.t[kept - 2]!);
    const plain = tail.h === null && next.h === null && merged.h === null && tail.st === null &&
      next.st === null && merged.st === null;
    merged.reserve(tail.length + next.length);
    let i = 0;
    let j = 0;
    for (;;) {
      while (i < tail.length && tail.t[i]! < lastTime + 1 + penaltyA) i++;
      while (j < next.length && next.t[j]! < lastTime + 1 + penaltyB) j++;
      const hasA = i < tail.length;
      const hasB = j < next.length;
      if (!hasA && !hasB) return;
      const useA = hasA && (!hasB || tail.t[i]! <= next.t[j]!);
      const source = useA ? tail : next;
      const at = useA ? i : j;
      const time = source.t[at]!;
      if (!hasA) penaltyB = 0;
      else if (!hasB) penaltyA = 0;
      else {
        const penalty = lastTime === -Infinity ? INITIAL_PENALTY : 2 * (time - lastTime);
        penaltyA = useA ? 0 : penalty;
        penaltyB = useA ? penalty : 0;
      }
      lastTime = time;
      if (plain) {
        merged.t[merged.length] = time;
        // From element to element, so that every bit of a value survives.
        merged.v[merged.length] = source.v[at]!;
        merged.length++;
      } else merged.appendRange(source, at, at + 1);
    }
  }
}

/**
 * Number of samples at the start of `merged` that come through whatever follows: up to there the
 * cursor on the other input, which starts at `start`, has not moved.
 */
function untouched(merged: SampleBatch, start: number): number {
  const { t, length } = merged;
  let i = 0;
  // Taking sample i moves the other cursor when the penalty reaches beyond its first sample.
  while (i < length && t[i]! <= start) {
    const penalty = i === 0 ? INITIAL_PENALTY : 2 * (t[i]! - t[i - 1]!);
    if (t[i]! + 1 + penalty > start) break;
    i++;
  }
  return i;
}
