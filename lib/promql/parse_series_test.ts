import assert from "node:assert/strict";
import { bitsOf, formatLabels, isStaleAt } from "../model/mod.ts";
import { parseSeriesDescription, SLOT_EMPTY, SLOT_FLOAT, SLOT_HISTOGRAM } from "./parse_series.ts";

Deno.test("parseSeriesDescription() expands numbers, gaps and steps", () => {
  const { labels, values, startTimes } = parseSeriesDescription(
    'up{a="b", "c d"="e"} 1 2+3x2 _ _x2 4x1 10-2.5x2 -1e2 Inf -inf NaN 0x2',
  );
  assert.equal(formatLabels(labels), '{__name__="up", a="b", "c d"="e"}');
  assert.ok(!startTimes);
  const got = [...values.v].map((x, i) => values.kind[i] === SLOT_EMPTY ? "_" : String(x));
  const want = "1 2 5 8 _ _ _ 4 4 10 7.5 5 -100 Infinity -Infinity NaN 0 0 0";
  assert.equal(got.join(" "), want);
});

Deno.test("parseSeriesDescription() keeps stale markers by their bits", () => {
  const { values } = parseSeriesDescription("m 1 stale NaN stalex2");
  const bits = bitsOf(values.v);
  assert.deepEqual(
    [...values.kind].map((_, i) => isStaleAt(bits, i)),
    [false, true, false, true, true, true],
  );
});

Deno.test("parseSeriesDescription() reads metric names in quotes", () => {
  const { labels } = parseSeriesDescription(`{"metric.name", 'l'='\\xc3\\xa9\\n', m=\`a\\b\`} 1`);
  assert.deepEqual([...labels], ["__name__", "metric.name", "l", "é\n", "m", "a\\b"]);
});

Deno.test("parseSeriesDescription() adds and subtracts histograms", () => {
  const { values } = parseSeriesDescription(
    "h {{count:3 buckets:[1 2]}}x1 {{count:9 sum:9 buckets:[9]}}-{{count:1 buckets:[2]}}x2 " +
      "{{counter_reset_hint:gauge}}",
  );
  assert.ok([...values.kind].every((k) => k === SLOT_HISTOGRAM));
  assert.deepEqual(values.h.map((h) => h!.count), [3, 3, 9, 8, 7, 0]);
  assert.deepEqual([...values.h[4]!.positiveBuckets], [5]);
  assert.deepEqual([...values.h[0]!.positiveBuckets], [1, 2]);
  assert.deepEqual([...values.hinted], [0, 0, 0, 0, 0, 1]);
});

Deno.test("parseSeriesDescription() reads start times relative to the sample", () => {
  const { startTimes, values } = parseSeriesDescription(
    'c{a="b"}@st _ _x2 -30s-1mx2 0 +1m 1ms 0-1mx1',
  );
  assert.ok(startTimes);
  const got = [...values.v].map((x, i) => values.kind[i] === SLOT_FLOAT ? x : "_");
  assert.deepEqual(got, ["_", "_", "_", -30000, -90000, -150000, 0, 60000, 1, 0, -60000]);
});

Deno.test("parseSeriesDescription() refuses what it cannot read", () => {
  for (
    const text of [
      "m 1x",
      "m 1 2y",
      "m {{count:1",
      "m{a=b} 1",
      'm{a="b} 1',
      'm{a="\\q"} 1',
      "m{a} x 1",
      "5 1",
      "m@st 5 minutes",
      "m@x 1",
      "m 1x10000000",
      "m {{buckets:[1]}}+{{schema:-53 custom_values:[1] buckets:[1]}}x1",
    ]
  ) assert.throws(() => parseSeriesDescription(text), { kind: "bad_data" }, text);
});
