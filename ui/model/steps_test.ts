import assert from "node:assert/strict";
import { formatDuration, parseDuration, roughDuration } from "./durations.ts";
import { autoStep, longerRange, niceStep, RANGES, shorterRange } from "./steps.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

Deno.test("autoStep() rounds up to steps that caches like", () => {
  const rows: readonly (readonly [number, number])[] = [
    [60_000, 1],
    [HOUR, 15],
    [2 * HOUR, 30],
    [6 * HOUR, 120],
    [DAY, 600],
    [7 * DAY, 3600],
    [28 * DAY, 10_800],
    [365 * DAY, 129_600],
  ];
  for (const [range, step] of rows) {
    const found = autoStep(range, "medium");
    assert.equal(found, step, formatDuration(range));
    assert.ok(range / 1000 / found <= 251, "no more points than asked for");
  }
  assert.equal(autoStep(HOUR, "low"), 60);
  assert.equal(autoStep(HOUR, "high"), 5);
  assert.equal(autoStep(60_000, "medium", 15), 15);
});

Deno.test("niceStep() goes on in halves of days beyond the largest", () => {
  assert.equal(niceStep(43_200), 43_200);
  assert.equal(niceStep(43_201), 86_400);
  assert.equal(niceStep(0.2), 1);
});

Deno.test("longerRange() and shorterRange() go through the list and stop at its ends", () => {
  assert.equal(longerRange(HOUR), 2 * HOUR);
  assert.equal(shorterRange(HOUR), HOUR / 2);
  assert.equal(longerRange(HOUR + 1), 2 * HOUR);
  assert.equal(shorterRange(HOUR + 1), HOUR);
  assert.equal(longerRange(RANGES.at(-1)!), RANGES.at(-1));
  assert.equal(shorterRange(RANGES[0]!), RANGES[0]);
});

Deno.test("durations go out and in again", () => {
  const rows: readonly (readonly [number, string])[] = [
    [1, "1ms"],
    [1500, "1s500ms"],
    [90_000, "1m30s"],
    [HOUR, "1h"],
    [7 * DAY, "1w"],
    [8 * DAY, "8d"],
    [365 * DAY, "1y"],
    [400 * DAY, "400d"],
  ];
  for (const [ms, text] of rows) {
    assert.equal(formatDuration(ms), text);
    assert.equal(parseDuration(text), ms);
  }
  assert.equal(parseDuration("90"), 90_000);
  assert.equal(parseDuration("0.5"), 500);
  for (const bad of ["", "h", "1", "-1h", "1h -", "5 m", "1.5h"].filter((t) => t !== "1")) {
    assert.equal(parseDuration(bad), undefined, bad);
  }
  assert.equal(roughDuration(0.42), "0.42 ms");
  assert.equal(roughDuration(83.6), "84 ms");
  assert.equal(roughDuration(1234), "1.23 s");
  assert.equal(roughDuration(3 * DAY + 4 * HOUR + 5000), "3d 4h");
});
