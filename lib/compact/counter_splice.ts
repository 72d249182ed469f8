/**
 * The counter of a series told by one source after the other, as one running total.
 *
 * Sources watch the same counter, so their totals differ by a constant: what was counted before one of
 * them began. That constant is found when a source is used first, and kept. Where it cannot be known,
 * nothing is counted rather than too much.
 */
import {
  addHistogram,
  copyHistogram,
  detectReset,
  type FloatHistogram,
  subtractHistogram,
  withResetHint,
} from "../model/mod.ts";
import { type AggregateWindows, HAS_COUNTER, HAS_RAW, IS_HISTOGRAM } from "./aggregate_windows.ts";
import { windowEnd } from "./downsample_windows.ts";

/** Follows one counter. */
export class CounterSplice {
  readonly #resolution: number;
  /** What is added to the totals of each source. */
  readonly #offsets = new Map<AggregateWindows, number>();
  readonly #histogramOffsets = new Map<AggregateWindows, FloatHistogram | undefined>();
  #last = -Infinity;
  #lastHistogram: FloatHistogram | undefined;
  #source: AggregateWindows | undefined;
  #index = 0;

  constructor(resolution: number) {
    this.#resolution = resolution;
  }

  /** Nothing was told yet. */
  get isEmpty(): boolean {
    return this.#source === undefined;
  }
  /** The last total of histograms. */
  get lastHistogram(): FloatHistogram | undefined {
    return this.#lastHistogram;
  }

  /** Begins anew. */
  reset(): void {
    this.#offsets.clear();
    this.#histogramOffsets.clear();
    this.#last = -Infinity;
    this.#lastHistogram = undefined;
    this.#source = undefined;
  }

  /** The total at point `i` of a source of floats. */
  total(source: AggregateWindows, i: number): number {
    const given = source.counter.v[i]!;
    let offset = this.#offsets.get(source) ?? this.#offsetOf(source, i);
    if (given + offset < this.#last) {
      // Behind by less than its next step: it saw the same a little earlier. By more: it missed a reset.
      const next = i + 1 < source.length ? source.counter.v[i + 1]! : -Infinity;
      if (next + offset < this.#last) offset = this.#last - given;
    }
    this.#offsets.set(source, offset);
    this.#last = Math.max(this.#last, given + offset);
    this.#note(source, i);
    return this.#last;
  }

  #offsetOf(source: AggregateWindows, i: number): number {
    const previous = this.#source;
    if (previous === undefined) return 0;
    const begins = i === 0 && source.baseTime < source.count.t[i]!;
    if (begins && (previous.flags[this.#index]! & HAS_RAW) !== 0) {
      // As a reader would compare the end of one chunk with the beginning of the next.
      const raw = previous.raw[this.#index]!;
      const base = source.baseValue;
      return this.#last + (base >= raw ? base - raw : base) - base;
    }
    const offset = this.#offsets.get(previous) ?? 0;
    const given = source.counter.v[i]!;
    const after = this.#following(previous, source.count.t[i]!);
    const limit = after < 0 ? Infinity : previous.counter.v[after]! + offset;
    const fits = given + offset >= this.#last && given + offset <= limit;
    return fits ? offset : this.#last - given;
  }

  /** The total at point `i` of a source of histograms; shared with the source or its own. */
  histogram(source: AggregateWindows, i: number): FloatHistogram {
    const given = source.counter.h![i]!;
    let total = given;
    if (given.counterResetHint !== "gauge") {
      if (!this.#histogramOffsets.has(source)) {
        this.#histogramOffsets.set(source, this.#histogramOffsetOf(source, i));
      }
      const offset = this.#histogramOffsets.get(source);
      if (offset !== undefined) total = sumOf(given, offset);
      const last = this.#lastHistogram;
      if (last !== undefined && detectReset(withResetHint(total, "unknown"), last)) {
        this.#histogramOffsets.set(source, differenceOf(last, given));
        total = last;
      }
    }
    this.#lastHistogram = total;
    this.#note(source, i);
    return total;
  }

  #histogramOffsetOf(source: AggregateWindows, i: number): FloatHistogram | undefined {
    const previous = this.#source;
    const last = this.#lastHistogram;
    if (previous === undefined || last === undefined) return undefined;
    const offset = this.#histogramOffsets.get(previous);
    const given = source.counter.h![i]!;
    const count = given.count + (offset?.count ?? 0);
    const after = this.#following(previous, source.count.t[i]!);
    const limit = after < 0
      ? Infinity
      : (previous.counter.h?.[after]?.count ?? Infinity) + (offset?.count ?? 0);
    return count >= last.count && count <= limit ? offset : differenceOf(last, given);
  }

  /** The first point of the source at work that lies in a window after that of `time`; -1 = none. */
  #following(source: AggregateWindows, time: number): number {
    const { t, length } = source.count;
    const end = windowEnd(time, this.#resolution);
    let i = this.#index + 1;
    while (i < length && t[i]! <= end) i++;
    const kind = HAS_COUNTER | IS_HISTOGRAM;
    return i < length && (source.flags[i]! & kind) === (source.flags[this.#index]! & kind) ? i : -1;
  }

  #note(source: AggregateWindows, i: number): void {
    this.#source = source;
    this.#index = i;
  }
}

function sumOf(a: FloatHistogram, b: FloatHistogram): FloatHistogram {
  const sum = copyHistogram(a);
  addHistogram(sum, b);
  return sum;
}

function differenceOf(a: FloatHistogram, b: FloatHistogram): FloatHistogram {
  const difference = copyHistogram(a);
  subtractHistogram(difference, b);
  return difference;
}
