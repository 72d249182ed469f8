import assert from "node:assert/strict";
import { shortWindows, widened } from "./windows.ts";

const FIVE = 300_000;

Deno.test("shortWindows() finds windows below five samples of a resolution, and widened() mends them", () => {
  const cases: readonly (readonly [string, number, string])[] = [
    ["rate(x[1m])", FIVE, "rate(x[25m])"],
    ["rate(x[25m])", FIVE, "rate(x[25m])"],
    ["rate(x[5m])", 0, "rate(x[5m])"],
    ["sum by (job) (rate(x[5m]))", 3_600_000, "sum by (job) (rate(x[5h]))"],
    [
      'increase(x{a="[1m]"}[1h]) / irate(y[2m] offset 1d)',
      FIVE,
      'increase(x{a="[1m]"}[1h]) / irate(y[25m] offset 1d)',
    ],
    ["delta( x [ 90s ] @ end() )", FIVE, "delta( x [25m] @ end() )"],
    ["predict_linear(x[10m], 3600)", FIVE, "predict_linear(x[25m], 3600)"],
    // Averages are right with one sample, windows over expressions have their own step.
    ["avg_over_time(x[1m])", FIVE, "avg_over_time(x[1m])"],
    ["rate(sum(x)[5m:30s])", FIVE, "rate(sum(x)[5m:30s])"],
    ["max_over_time(rate(x[1m])[1h:1m])", FIVE, "max_over_time(rate(x[25m])[1h:1m])"],
    ["rate(x[1m]) # rate(y[1m])", FIVE, "rate(x[25m]) # rate(y[1m])"],
    ["rate(x[$w])", FIVE, "rate(x[$w])"],
    ["rate(", FIVE, "rate("],
    ["", FIVE, ""],
  ];
  for (const [expr, resolution, expected] of cases) {
    const found = shortWindows(expr, resolution);
    assert.equal(widened(expr, found, resolution), expected);
    assert.equal(found.length > 0, expr !== expected, expr);
    for (const { from, to } of found) assert.match(expr.slice(from, to), /^ ?\d+[sm] ?$/);
  }
});

Deno.test("shortWindows() names function and window", () => {
  assert.deepEqual(
    shortWindows("rate(x[1m]) + deriv(y[2m])", FIVE).map(({ func, window }) => [func, window]),
    [["rate", 60_000], ["deriv", 120_000]],
  );
});
