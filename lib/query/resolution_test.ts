import assert from "node:assert/strict";
import { RESOLUTION_1H, RESOLUTION_5M } from "../model/mod.ts";
import { DEFAULT_LOOKBACK, dynamicLookback, selectorResolution } from "./resolution.ts";

const HOUR = 3_600_000;
const MINUTE = 60_000;

Deno.test("functions that need two samples get windows of at most half their range", () => {
  const needsTwo = ["rate", "irate", "increase", "delta", "idelta", "deriv", "predict_linear"];
  for (const func of [...needsTwo, "holt_winters", "double_exponential_smoothing"]) {
    assert.equal(selectorResolution(HOUR, func, 30 * MINUTE), 15 * MINUTE, func);
    assert.equal(selectorResolution(5 * MINUTE, func, 30 * MINUTE), 5 * MINUTE, func);
  }
  assert.equal(selectorResolution(HOUR, "rate", 3), 1);
  assert.equal(selectorResolution(HOUR, "max_over_time", 30 * MINUTE), HOUR);
  assert.equal(selectorResolution(HOUR, "sum", 0), HOUR);
  assert.equal(selectorResolution(0, "rate", 30 * MINUTE), 0);
});

Deno.test("lookback reaches the samples of the coarsest resolution that may answer", () => {
  const table: [number, number, number][] = [
    // configured, coarsest resolution, lookback
    [0, 0, DEFAULT_LOOKBACK],
    [0, 1, RESOLUTION_5M],
    [0, RESOLUTION_5M, RESOLUTION_5M],
    [0, RESOLUTION_5M + 1, RESOLUTION_1H],
    [0, RESOLUTION_1H, RESOLUTION_1H],
    [5 * MINUTE, 0, 5 * MINUTE],
    [5 * MINUTE, 5 * MINUTE, 5 * MINUTE],
    [5 * MINUTE, 5 * MINUTE + 1, RESOLUTION_1H],
    [MINUTE, MINUTE, MINUTE],
    [MINUTE, 2 * MINUTE, RESOLUTION_5M],
    [30 * MINUTE, RESOLUTION_1H, RESOLUTION_1H],
    [30 * MINUTE, 10 * MINUTE, 30 * MINUTE],
    [2 * HOUR, RESOLUTION_1H, 2 * HOUR],
    [2 * HOUR, 10 * HOUR, 2 * HOUR],
  ];
  for (const [configured, resolution, expected] of table) {
    assert.equal(
      dynamicLookback(configured, resolution),
      expected,
      `${configured} for ${resolution}`,
    );
  }
});
