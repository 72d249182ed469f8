/** SampleBatch: the decoded samples of one series, in columns. */
import type { FloatHistogram } from "./histogram.ts";

/** Columns of this many samples are worth being given back by hand. */
const RELEASED_LENGTH = 8192;

/**
 * Samples of one series in ascending time.
 *
 * Shape: columns may be longer than `length`; element i of every column is one sample.
 * Units: t and st in ms since the epoch, integers within ±2^53. v bit-exact (stale markers by bits).
 * Owner: whoever created it; a decoder appends, the owner clears and reuses.
 */
export class SampleBatch {
  length = 0;
  t: Float64Array<ArrayBuffer>;
  v: Float64Array<ArrayBuffer>;
  /** Present once some sample is a histogram; then h[i] is set and v[i] holds its sum's bits. */
  h: (FloatHistogram | undefined)[] | null = null;
  /** Start timestamps, 0 = unknown; present once a chunk kind carried them. */
  st: Float64Array<ArrayBuffer> | null = null;

  constructor(capacity = 128) {
    this.t = new Float64Array(capacity);
    this.v = new Float64Array(capacity);
  }

  /** Forgets the samples, keeps the columns. */
  clear(): void {
    this.length = 0;
    this.h = null;
    this.st = null;
  }

  /**
   * Forgets the samples and gives the memory of large columns back at once. The batch can be used
   * again; columns taken from it before cannot.
   */
  release(): void {
    this.clear();
    if (this.t.length < RELEASED_LENGTH) return;
    this.t.buffer.transfer(0);
    this.v.buffer.transfer(0);
    this.t = new Float64Array(0);
    this.v = new Float64Array(0);
  }

  /** Makes room for `n` more samples; columns may be replaced, so re-read them after the call. */
  reserve(n: number): void {
    const need = this.length + n;
    if (need <= this.t.length) return;
    let size = Math.max(16, this.t.length * 2);
    while (size < need) size *= 2;
    this.t = grow(this.t, size, this.length);
    this.v = grow(this.v, size, this.length);
    if (this.st !== null) this.st = grow(this.st, size, this.length);
  }

  /** Makes sure the start-timestamp column exists (zeros for earlier samples). */
  ensureStartTimes(): Float64Array<ArrayBuffer> {
    if (this.st === null || this.st.length < this.t.length) {
      const next = new Float64Array(this.t.length);
      if (this.st !== null) next.set(this.st.subarray(0, this.length));
      this.st = next;
    }
    return this.st;
  }

  /** Makes sure the histogram column exists. */
  ensureHistograms(): (FloatHistogram | undefined)[] {
    if (this.h === null) {
      this.h = new Array<FloatHistogram | undefined>(this.length).fill(undefined);
    }
    return this.h;
  }

  /** Appends one histogram sample; v gets the bits of its sum, so staleness is tested in one place. */
  appendHistogram(t: number, h: FloatHistogram): void {
    this.reserve(1);
    const column = this.ensureHistograms();
    this.t[this.length] = t;
    this.v.set(h.sum, this.length);
    column[this.length] = h;
    this.length++;
  }

  /** Appends samples [from, to) of another batch, bit for bit. */
  appendRange(other: SampleBatch, from: number, to: number): void {
    if (to <= from) return;
    const n = to - from;
    this.reserve(n);
    this.t.set(other.t.subarray(from, to), this.length);
    this.v.set(other.v.subarray(from, to), this.length);
    if (other.h !== null || this.h !== null) {
      const column = this.ensureHistograms();
      for (let i = 0; i < n; i++) column[this.length + i] = other.h?.[from + i];
    }
    if (other.st !== null) {
      this.ensureStartTimes().set(other.st.subarray(from, to), this.length);
    } else if (this.st !== null) {
      this.ensureStartTimes().fill(0, this.length, this.length + n);
    }
    this.length += n;
  }

  /** Drops all samples before index `n`. */
  dropFirst(n: number): void {
    this.drop(0, Math.min(n, this.length));
  }

  /** Drops samples [from, to). */
  drop(from: number, to: number): void {
    if (to <= from) return;
    this.t.copyWithin(from, to, this.length);
    this.v.copyWithin(from, to, this.length);
    this.st?.copyWithin(from, to, this.length);
    this.h?.splice(from, to - from);
    this.length -= to - from;
  }

  /** Drops all samples from index `n` on. */
  truncate(n: number): void {
    this.length = n;
    if (this.h !== null) this.h.length = n;
  }
}

function grow(
  column: Float64Array<ArrayBuffer>,
  size: number,
  used: number,
): Float64Array<ArrayBuffer> {
  const next = new Float64Array(size);
  next.set(column.subarray(0, used));
  return next;
}
