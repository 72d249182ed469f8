/** The order of one series' chunks from several blocks, without an object for each of them. */
import { DAMAGED, type SeriesBatch, SPECIAL } from "./series_batch.ts";

/** The chunks of one series from several batches, in order of time. Reused from series to series. */
export class ChunkOrder {
  /** Chunk i is chunk `chunks[i]` of batch `parts[i]`. */
  readonly parts: number[] = [];
  readonly chunks: number[] = [];
  /** How many there are. */
  length = 0;
  #tailParts: number[] = [];
  #tailChunks: number[] = [];

  /**
   * Sorts the chunks by (minTime, maxTime); false, and nothing is to be read, when that does not say
   * all: for chunks with the same times, which may be duplicates, and those that are made anew.
   */
  sort(batches: readonly SeriesBatch[], indexes: readonly number[]): boolean {
    this.length = 0;
    for (let p = 0; p < batches.length; p++) {
      if (!this.#mergeIn(batches, p, indexes[p]!)) return false;
    }
    return true;
  }

  /** Merges the chunks of one batch into those that are there; blocks mostly come in time order. */
  #mergeIn(batches: readonly SeriesBatch[], p: number, series: number): boolean {
    const { starts, minTimes, maxTimes, encodings } = batches[p]!;
    const end = starts[series + 1]!;
    let k = starts[series]!;
    while (k < end && encodings[k] === DAMAGED) k++;
    if (k === end) return true;
    const { parts, chunks } = this;
    // Those before its first one stay; the rest is merged with it.
    let n = this.length;
    while (n > 0 && batches[parts[n - 1]!]!.minTimes[chunks[n - 1]!]! >= minTimes[k]!) n--;
    const tail = this.length - n;
    const tailParts = this.#tailParts;
    const tailChunks = this.#tailChunks;
    for (let i = 0; i < tail; i++) {
      tailParts[i] = parts[n + i]!;
      tailChunks[i] = chunks[n + i]!;
    }
    let i = 0;
    let lastMin = -Infinity;
    let lastMax = -Infinity;
    for (; k < end; k++) {
      if (encodings[k] === SPECIAL) return false;
      if (encodings[k] === DAMAGED) continue;
      const min = minTimes[k]!;
      const max = maxTimes[k]!;
      if (min < lastMin || (min === lastMin && max <= lastMax)) return false;
      lastMin = min;
      lastMax = max;
      for (; i < tail; i++) {
        const other = batches[tailParts[i]!]!;
        const otherMin = other.minTimes[tailChunks[i]!]!;
        if (otherMin > min) break;
        if (otherMin === min) {
          const otherMax = other.maxTimes[tailChunks[i]!]!;
          if (otherMax === max) return false;
          if (otherMax > max) break;
        }
        parts[n] = tailParts[i]!;
        chunks[n++] = tailChunks[i]!;
      }
      parts[n] = p;
      chunks[n++] = k;
    }
    for (; i < tail; i++) {
      parts[n] = tailParts[i]!;
      chunks[n++] = tailChunks[i]!;
    }
    this.length = n;
    return true;
  }
}
