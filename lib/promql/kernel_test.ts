/** Range kernels against definitions written out per window, on hostile data. */
import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import { RANGE_FUNCTIONS } from "./range_kernels.ts";
import { findWindows, RangeRow } from "./range_row.ts";

type Definition = (
  w: { t: number[]; v: number[] },
  at: { start: number; end: number; eval: number },
) => number | undefined;

function sum(values: number[]): number {
  let s = 0, c = 0;
  for (const x of values) {
    const t = s + x;
    if (t === Infinity || t === -Infinity) c = 0;
    else if (Math.abs(s) >= Math.abs(x)) c += (s - t) + x;
    else c += (x - t) + s;
    s = t;
  }
  return s === Infinity || s === -Infinity ? s : s + c;
}

function mean(values: number[]): number {
  let s = values[0]!, c = 0, stepwise = false;
  for (let i = 1; i < values.length; i++) {
    const n = i + 1;
    let x = values[i]!;
    if (!stepwise) {
      const t = s + x;
      if (t !== Infinity && t !== -Infinity) {
        c += Math.abs(s) >= Math.abs(x) ? (s - t) + x : (x - t) + s;
        s = t;
        continue;
      }
      stepwise = true;
      s /= n - 1;
      c /= n - 1;
    }
    s *= (n - 1) / n;
    c *= (n - 1) / n;
    x /= n;
    const t = s + x;
    if (t === Infinity || t === -Infinity) c = 0;
    else c += Math.abs(s) >= Math.abs(x) ? (s - t) + x : (x - t) + s;
    s = t;
  }
  return stepwise ? s + c : s / values.length + c / values.length;
}

function extreme(values: number[], better: (a: number, b: number) => boolean): number {
  let best = values[0]!;
  for (const x of values) if (better(x, best) || Number.isNaN(best)) best = x;
  return best;
}

function quantile(values: number[], phi: number): number {
  const sorted = values.slice().sort((a, b) =>
    Number.isNaN(a) ? (Number.isNaN(b) ? 0 : -1) : Number.isNaN(b) ? 1 : a - b
  );
  const rank = phi * (sorted.length - 1);
  const low = Math.max(0, Math.floor(rank));
  const high = Math.min(sorted.length - 1, low + 1);
  const weight = rank - Math.floor(rank);
  return sorted[low]! * (1 - weight) + sorted[high]! * weight;
}

function extrapolate(counter: boolean, rate: boolean): Definition {
  return ({ t, v }, { start, end }) => {
    if (v.length < 2) return undefined;
    let result = v.at(-1)! - v[0]!;
    if (counter) { for (let i = 1; i < v.length; i++) if (v[i]! < v[i - 1]!) result += v[i - 1]!; }
    let toStart = (t[0]! - start) / 1000;
    let toEnd = (end - t.at(-1)!) / 1000;
    const sampled = (t.at(-1)! - t[0]!) / 1000;
    const average = sampled / (v.length - 1);
    if (toStart >= average * 1.1) toStart = average / 2;
    if (counter && result > 0 && v[0]! >= 0) {
      toStart = Math.min(toStart, sampled * (v[0]! / result));
    }
    if (toEnd >= average * 1.1) toEnd = average / 2;
    let factor = (sampled + toStart + toEnd) / sampled;
    if (rate) factor /= (end - start) / 1000;
    return result * factor;
  };
}

function over(f: (v: number[], t: number[]) => number): Definition {
  return ({ v, t }) => v.length === 0 ? undefined : f(v, t);
}

const DEFINITIONS: Record<string, Definition> = {
  rate: extrapolate(true, true),
  increase: extrapolate(true, false),
  delta: extrapolate(false, false),
  irate: ({ t, v }) => {
    if (v.length < 2) return undefined;
    const [a, b] = v.slice(-2) as [number, number];
    return (b < a ? b : b - a) / ((t.at(-1)! - t.at(-2)!) / 1000);
  },
  idelta: ({ v }) => v.length < 2 ? undefined : v.at(-1)! - v.at(-2)!,
  sum_over_time: over(sum),
  avg_over_time: over(mean),
  min_over_time: over((v) => extreme(v, (a, b) => a < b)),
  max_over_time: over((v) => extreme(v, (a, b) => a > b)),
  count_over_time: over((v) => v.length),
  present_over_time: over(() => 1),
  last_over_time: over((v) => v.at(-1)!),
  first_over_time: over((v) => v[0]!),
  quantile_over_time: over((v) => quantile(v, 0.3)),
  mad_over_time: over((v) => {
    if (v.some(Number.isNaN)) return NaN;
    const median = quantile(v, 0.5);
    return quantile(v.map((x) => Math.abs(x - median)), 0.5);
  }),
  ts_of_first_over_time: over((_, t) => t[0]! / 1000),
  ts_of_last_over_time: over((_, t) => t.at(-1)! / 1000),
  ts_of_max_over_time: over((v, t) => {
    const best = extreme(v, (a, b) => a > b);
    return t[Number.isNaN(best) ? v.length - 1 : v.lastIndexOf(best)]! / 1000;
  }),
  ts_of_min_over_time: over((v, t) => {
    const best = extreme(v, (a, b) => a < b);
    return t[Number.isNaN(best) ? v.length - 1 : v.lastIndexOf(best)]! / 1000;
  }),
  changes: over((v) =>
    v.slice(1).filter((x, i) => !(x === v[i] || (Number.isNaN(x) && Number.isNaN(v[i])))).length
  ),
  resets: over((v) => v.slice(1).filter((x, i) => x < v[i]!).length),
};

/** Samples with gaps, resets, repeated values, NaN, infinities, zeros of both signs. */
function samples(random: Random, n: number, wild: boolean): { t: Float64Array; v: Float64Array } {
  const t = new Float64Array(n);
  const v = new Float64Array(n);
  const special = [NaN, Infinity, -Infinity, 0, -0, 1e308, -1e308, 1e-320, 1e16, -1];
  let time = 1_790_000_000_000;
  let value = 0;
  for (let i = 0; i < n; i++) {
    const gap = random.bits() % 40 === 0 ? 20 : 1;
    time += gap * 15_000 + random.bits() % 4;
    t[i] = time;
    const dice = random.bits() % 50;
    if (dice === 0) value = 0;
    else if (dice < 40) value += (random.bits() % 1000) / (random.bits() % 2 === 0 ? 1 : 7);
    v[i] = wild && dice > 44 ? special[random.bits() % special.length]! : value;
  }
  return { t, v };
}

Deno.test("range kernels equal their definitions, bit for bit", () => {
  for (let seed = 1; seed <= 16; seed++) {
    const random = new Random(seed);
    const { t, v } = samples(random, 50 + random.bits() % 300, seed % 3 === 0);
    const range = [15_000, 61_000, 300_000, 3_600_000][seed % 4]!;
    const step = [15_000, 60_000, 7_000, 600_000][(seed >> 1) % 4]!;
    const start = t[0]! - 120_000 + random.bits() % 60_000;
    const count = Math.min(400, Math.floor((t.at(-1)! + 400_000 - start) / step));
    for (const [name, definition] of Object.entries(DEFINITIONS)) {
      const row = new RangeRow(count);
      Object.assign(row, { t, v, n: t.length, start, step, range, evalStart: start });
      row.out = new Float64Array(count + 3);
      row.has = new Uint8Array(count + 3);
      row.at = 3;
      row.params.push(new Float64Array(count).fill(0.3));
      findWindows(t, t.length, start, step, range, row.lo, row.hi, count);
      const { kernel, readsWindows } = RANGE_FUNCTIONS[name]!;
      let present = kernel(row);
      if (readsWindows !== undefined) {
        // Some steps at a time must not make a difference.
        row.out.fill(-1);
        row.has.fill(7);
        present = 0;
        for (let from = 0, to = 0; from < count; from = to) {
          to = Math.min(count, from + 1 + random.bits() % 50);
          present += kernel(row.part(from, to));
        }
      }
      let expectedPresent = 0;
      for (let k = 0; k < count; k++) {
        const end = start + k * step;
        const inside = [...t.keys()].filter((i) => t[i]! > end - range && t[i]! <= end);
        const expected = definition(
          { t: inside.map((i) => t[i]!), v: inside.map((i) => v[i]!) },
          { start: end - range, end, eval: end },
        );
        const where = `${name} seed ${seed} step ${k}`;
        assert.equal(row.has[3 + k], expected === undefined ? 0 : 1, where);
        if (expected === undefined) continue;
        expectedPresent++;
        assert.equal(row.out[3 + k], expected, where);
      }
      assert.equal(present, expectedPresent, name);
    }
  }
});

Deno.test("findWindows() takes the right edge and leaves the left one out", () => {
  const t = Float64Array.of(10, 20, 30, 40);
  const lo = new Int32Array(3);
  const hi = new Int32Array(3);
  assert.equal(findWindows(t, 4, 20, 10, 10, lo, hi, 3), 3);
  assert.deepEqual([[...lo], [...hi]], [[1, 2, 3], [2, 3, 4]]);
});

/** Runs a kernel over one series; NaN stands for absent. */
function runKernel(
  name: string,
  samples: readonly (readonly [number, number])[],
  at: { start: number; step: number; count: number; range: number },
): number[] {
  const row = new RangeRow(at.count);
  const t = Float64Array.from(samples, (s) => s[0] * 1000);
  const v = Float64Array.from(samples, (s) => s[1]);
  Object.assign(row, { t, v, n: t.length });
  row.start = at.start * 1000;
  row.step = at.step * 1000;
  row.range = at.range * 1000;
  row.out = new Float64Array(at.count);
  row.has = new Uint8Array(at.count);
  findWindows(t, t.length, row.start, row.step, row.range, row.lo, row.hi, at.count);
  RANGE_FUNCTIONS[name]!.kernel(row);
  return Array.from(row.out, (x, k) => row.has[k] === 1 ? x : NaN);
}

Deno.test("xincrease over adjacent windows adds up to what was counted", () => {
  const samples = Array.from({ length: 60 }, (_, i) => [i * 15 + 2, 5 + i * i] as const);
  const windows = runKernel("xincrease", samples, { start: 60, step: 60, count: 14, range: 60 });
  // The first window counts the birth of the series with nothing before it.
  assert.equal(windows[0], samples[3]![1] - samples[0]![1]);
  const total = windows.slice(1).reduce((a, b) => a + b);
  assert.equal(total, samples[55]![1] - samples[3]![1]);
});

Deno.test("xincrease of a series that appears with one value is that value", () => {
  const samples = [[100, 7], [115, 7], [130, 7]] as const;
  const at = { start: 120, step: 60, count: 4, range: 60 };
  assert.deepEqual(runKernel("xincrease", samples, at), [7, 0, 0, 0]);
});

Deno.test("xrate and xdelta reach back to the sample before the range", () => {
  const samples = Array.from({ length: 20 }, (_, i) => [i * 15, i * 30] as const);
  const at = { start: 127, step: 15, count: 2, range: 60 };
  // Samples 60 … 120 s: 60 s of 2 a second, stretched to the range.
  assert.deepEqual(runKernel("xrate", samples, at), [2, 2]);
  assert.deepEqual(runKernel("xdelta", samples, at), [120, 120]);
  const reset = [[0, 10], [15, 40], [30, 5], [45, 25], [60, 45]] as const;
  // (45 − 10 + 40) over 60 s.
  const once = { start: 60, step: 60, count: 1, range: 60 };
  assert.deepEqual(runKernel("xrate", reset, once), [75 / 60]);
  assert.deepEqual(runKernel("xdelta", reset, once), [35]);
});

Deno.test("xrate does not reach back over a gap", () => {
  const samples = [[0, 10], [600, 40], [615, 55], [630, 70]] as const;
  const at = { start: 640, step: 60, count: 1, range: 60 };
  assert.deepEqual(runKernel("xrate", samples, at), [30 / 60]);
});
