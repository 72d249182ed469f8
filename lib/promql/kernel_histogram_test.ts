import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import { parseHistogram } from "../model/mod.ts";
import {
  type ClassicBuckets,
  classicFraction,
  classicQuantile,
  ensureMonotonic,
  MonotonicFix,
  NAN_NONE,
  NAN_RESULT,
  NAN_SKEW,
  NativeKernel,
} from "./kernel_histogram.ts";

function classic(...rows: [number, number][]): ClassicBuckets {
  return {
    bounds: Float64Array.from(rows, (r) => r[0]),
    counts: Float64Array.from(rows, (r) => r[1]),
    n: rows.length,
  };
}

Deno.test("classicQuantile() interpolates and knows its edges", () => {
  const fix = new MonotonicFix();
  const q = (phi: number, ...rows: [number, number][]) =>
    classicQuantile(phi, classic(...rows), fix);
  const rows: [number, number][] = [[1, 2], [2, 6], [4, 8], [Infinity, 10]];
  assert.equal(q(0.1, ...rows), 0.5);
  assert.equal(q(0.4, ...rows), 1.5);
  assert.equal(q(0.8, ...rows), 4);
  assert.equal(q(0.9, ...rows), 4);
  assert.equal(q(-0.1, ...rows), -Infinity);
  assert.equal(q(1.1, ...rows), Infinity);
  assert.ok(Number.isNaN(q(NaN, ...rows)));
  assert.ok(Number.isNaN(q(0.5, [1, 2], [2, 3])), "no +Inf bucket");
  assert.ok(Number.isNaN(q(0.5, [Infinity, 3])), "one bucket");
  assert.ok(Number.isNaN(q(0.5, [1, 0], [Infinity, 0])), "no observations");
  assert.equal(q(0.1, [-1, 5], [Infinity, 10]), -1);
});

Deno.test("ensureMonotonic() tells real decreases from rounding", () => {
  const fix = new MonotonicFix();
  const noise = classic([1, 10], [2, 10 - 1e-13], [3, 10 + 1e-13], [Infinity, 12]);
  ensureMonotonic(noise, fix);
  assert.deepEqual([...noise.counts], [10, 10, 10, 12]);
  assert.equal(fix.forced, false);
  const real = classic([1, 10], [2, 7], [3, 12], [4, 9], [Infinity, 13]);
  ensureMonotonic(real, fix);
  assert.deepEqual([...real.counts], [10, 10, 12, 12, 13]);
  assert.deepEqual([fix.forced, fix.minBucket, fix.maxBucket, fix.maxDiff], [true, 2, 4, 3]);
});

Deno.test("classicFraction() leaves open buckets undivided", () => {
  const b = classic([1, 1], [2, 3], [3, 6], [Infinity, 100]);
  assert.equal(classicFraction(0, 1.5, b), 0.02);
  assert.equal(classicFraction(4, 5, b), 0);
  assert.equal(classicFraction(400, Infinity, b), 0.94);
  assert.equal(classicFraction(-Infinity, Infinity, b), 1);
  assert.equal(classicFraction(2, 2, b), 0);
  const negative = classic([-3, 10], [-2, 12], [-1, 15], [Infinity, 100]);
  assert.equal(classicFraction(-4, -2, negative), 0.02);
});

Deno.test("NativeKernel.quantile() inverts NativeKernel.fraction()", () => {
  const kernel = new NativeKernel();
  const random = new Random(3);
  for (let round = 0; round < 300; round++) {
    const list = () => Array.from({ length: 6 }, () => random.below(5)).join(" ");
    const h = parseHistogram(
      `{{schema:${random.between(-1, 3)} z_bucket:${random.below(3)} z_bucket_w:0.01 ` +
        `offset:2 buckets:[1 ${list()}] n_offset:2 n_buckets:[1 ${list()}]}}`,
    );
    h.count = h.zeroCount;
    for (const x of [...h.positiveBuckets, ...h.negativeBuckets]) h.count += x;
    const phi = random.float();
    const x = kernel.quantile(phi, h);
    const back = kernel.fraction(-Infinity, x, h);
    assert.ok(Math.abs(back - phi) < 1e-9, `φ ${phi} gave ${x}, which gave ${back}`);
  }
});

Deno.test("NativeKernel.quantile() treats the first and last custom bucket specially", () => {
  const kernel = new NativeKernel();
  const h = parseHistogram(
    "{{schema:-53 sum:1 count:10 custom_values:[5 10] buckets:[5 4 1]}}",
  );
  assert.equal(kernel.quantile(0.25, h), 2.5);
  assert.equal(kernel.quantile(0.7, h), 7.5);
  assert.equal(kernel.quantile(1, h), 10);
  const negative = parseHistogram("{{schema:-53 count:5 custom_values:[-5] buckets:[5]}}");
  assert.equal(kernel.quantile(0.5, negative), -5);
});

Deno.test("NativeKernel.quantile() tells what observations of NaN did", () => {
  const kernel = new NativeKernel();
  const h = parseHistogram("{{sum:NaN count:15 buckets:[12]}}");
  assert.equal(kernel.quantile(0.8, h), 1);
  assert.equal(kernel.nan, NAN_SKEW);
  assert.ok(Number.isNaN(kernel.quantile(0.81, h)));
  assert.equal(kernel.nan, NAN_RESULT);
  assert.equal(kernel.quantile(0.5, parseHistogram("{{sum:1 count:12 buckets:[12]}}")) > 0.5, true);
  assert.equal(kernel.nan, NAN_NONE);
  assert.equal(kernel.fraction(-Infinity, Infinity, h), 0.8);
});

Deno.test("NativeKernel.variance() spreads bucket middles around the mean", () => {
  const kernel = new NativeKernel();
  const h = parseHistogram("{{schema:2 count:4 sum:10 buckets:[1 0 0 0 1 0 0 1 1]}}");
  assert.ok(Math.abs(kernel.variance(h) - 1.163807968526718) < 1e-12);
  const custom = parseHistogram("{{schema:-53 count:4 sum:8 custom_values:[1 3] buckets:[0 4]}}");
  assert.equal(kernel.variance(custom), 0);
});
