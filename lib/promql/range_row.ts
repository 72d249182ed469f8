/**
 * RangeRow: one series and the windows of every step over it; what range kernels work on.
 *
 * A kernel is a free function over typed arrays. It writes one cell per step and returns how many
 * cells it filled.
 */

/** Input and output of a range kernel; reused from series to series. */
export class RangeRow {
  /** Samples of the series, no stale markers, n of them. */
  t: Float64Array = new Float64Array(0);
  v: Float64Array = new Float64Array(0);
  n = 0;
  /** Per step k the window is samples [lo[k], hi[k]). */
  readonly lo: Int32Array;
  readonly hi: Int32Array;
  readonly count: number;
  /** Reference time of step 0 (evaluation time minus offset), ms between steps, window length. */
  start = 0;
  step = 1;
  range = 0;
  /** How far beyond the window anchored and smoothed ranges look, ms. */
  lookback = 0;
  /** Start timestamps of the samples, null when they are not known or not wanted. */
  st: Float64Array | null = null;
  /** Evaluation time of step 0 and distance of evaluation times, ms. */
  evalStart = 0;
  evalStep = 1;
  /** Destination: cells at + k. */
  out: Float64Array = new Float64Array(0);
  has: Uint8Array = new Uint8Array(0);
  at = 0;
  /** Scalar arguments of the function, one value per step each. */
  params: Float64Array[] = [];
  /** Working memory of kernels. */
  floats: Float64Array = new Float64Array(256);
  ints: Int32Array = new Int32Array(256);

  constructor(
    count: number,
    lo: Int32Array = new Int32Array(count),
    hi: Int32Array = new Int32Array(count),
  ) {
    this.count = count;
    this.lo = lo;
    this.hi = hi;
  }

  /** Steps [from, to) of this row as a row of their own, over the same samples and cells. */
  part(from: number, to: number): RangeRow {
    const part = new RangeRow(to - from, this.lo.subarray(from, to), this.hi.subarray(from, to));
    part.t = this.t;
    part.v = this.v;
    part.n = this.n;
    part.st = this.st;
    part.start = this.start + from * this.step;
    part.step = this.step;
    part.range = this.range;
    part.lookback = this.lookback;
    part.evalStart = this.evalStart + from * this.evalStep;
    part.evalStep = this.evalStep;
    part.out = this.out;
    part.has = this.has;
    part.at = this.at + from;
    part.params = this.params.map((values) => values.subarray(from, to));
    return part;
  }

  /** Working memory for at least `n` floats; contents are undefined. */
  needFloats(n: number): Float64Array {
    if (this.floats.length < n) this.floats = new Float64Array(Math.max(n, this.floats.length * 2));
    return this.floats;
  }

  /** Working memory for at least `n` integers; contents are undefined. */
  needInts(n: number): Int32Array {
    if (this.ints.length < n) this.ints = new Int32Array(Math.max(n, this.ints.length * 2));
    return this.ints;
  }
}

/** Fills the cells of a row; returns how many are present. */
export type RangeKernel = (row: RangeRow) => number;

/**
 * Finds the window of every step: samples with ref − range < t <= ref. Returns the sum of their
 * lengths. Both edges only move forward, so all steps together cost one pass over the samples.
 */
export function findWindows(
  t: Float64Array,
  n: number,
  start: number,
  step: number,
  range: number,
  lo: Int32Array,
  hi: Int32Array,
  count: number,
): number {
  let l = 0;
  let h = 0;
  let total = 0;
  let ref = start;
  for (let k = 0; k < count; k++) {
    while (h < n && t[h]! <= ref) h++;
    const left = ref - range;
    while (l < h && t[l]! <= left) l++;
    lo[k] = l;
    hi[k] = h;
    total += h - l;
    ref += step;
  }
  return total;
}

/** A duration in ms as Go's Duration.Seconds() gives it. */
export function goSeconds(ms: number): number {
  const whole = Math.trunc(ms / 1000);
  return whole + ((ms - whole * 1000) * 1e6) / 1e9;
}
