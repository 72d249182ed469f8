/** Sets of stretches of time. */

/**
 * Stretches of time, closed, ms; those that are no further apart than a tolerance are one.
 *
 * Shape: ascending, disjoint. Bounded: with very many stretches the tolerance grows.
 */
export class TimeRanges {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  #tolerance: number;

  constructor(tolerance: number) {
    this.#tolerance = tolerance;
  }

  get size(): number {
    return this.starts.length;
  }

  add(minTime: number, maxTime: number): void {
    const { starts, ends } = this;
    const at = this.#first(minTime - this.#tolerance);
    if (at < ends.length && starts[at]! <= minTime && ends[at]! >= maxTime) return;
    let low = minTime;
    let high = maxTime;
    let to = at;
    while (to < starts.length && starts[to]! <= maxTime + this.#tolerance) {
      low = Math.min(low, starts[to]!);
      high = Math.max(high, ends[to]!);
      to++;
    }
    starts.splice(at, to - at, low);
    ends.splice(at, to - at, high);
    if (starts.length > MOST_RANGES) this.#coarsen();
  }

  /** True when `time` is inside a stretch. */
  covers(time: number): boolean {
    const at = this.#first(time);
    return at < this.starts.length && this.starts[at]! <= time;
  }

  /** Calls `take` with what these leave of [minTime, maxTime]. */
  eachGap(minTime: number, maxTime: number, take: (from: number, to: number) => void): void {
    let from = minTime;
    for (let i = this.#first(minTime); i < this.starts.length; i++) {
      if (this.starts[i]! > maxTime) break;
      if (this.starts[i]! > from) take(from, this.starts[i]! - 1);
      from = this.ends[i]! + 1;
    }
    if (from <= maxTime) take(from, maxTime);
  }

  /** Index of the first stretch that ends at `time` or later. */
  #first(time: number): number {
    let low = 0;
    let high = this.ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.ends[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #coarsen(): void {
    const starts = this.starts.splice(0);
    const ends = this.ends.splice(0);
    this.#tolerance = Math.max(1, this.#tolerance * 2);
    for (let i = 0; i < starts.length; i++) {
      const last = this.ends.length - 1;
      if (last >= 0 && starts[i]! <= this.ends[last]! + this.#tolerance) {
        this.ends[last] = ends[i]!;
      } else {
        this.starts.push(starts[i]!);
        this.ends.push(ends[i]!);
      }
    }
  }
}

const MOST_RANGES = 1024;
