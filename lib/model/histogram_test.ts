import assert from "node:assert/strict";
import { runBench } from "../base/testing/bench.ts";
import { Random } from "../base/testing/random.ts";
import { bench } from "./histogram_bench.ts";
import {
  addHistogram,
  bitsOf,
  bucketBound,
  BucketCursor,
  bucketIndexes,
  commonBounds,
  compactHistogram,
  copyHistogram,
  copyToSchema,
  detectReset,
  divideHistogram,
  emptyHistogram,
  equalHistograms,
  exponentialBound,
  type FloatHistogram,
  floatHistogramOf,
  formatHistogram,
  histogramFault,
  histogramJson,
  HistogramMean,
  HistogramSum,
  isStaleAt,
  MERGE_BOUNDS_RECONCILED,
  MERGE_INCOMPATIBLE,
  MERGE_OK,
  MERGE_RESET_CONFLICT,
  parseHistogram,
  scaleHistogram,
  setStaleAt,
  spansOfIndexes,
  subtractHistogram,
  trimHistogram,
  withResetHint,
} from "./mod.ts";

function stale(): FloatHistogram {
  const h = emptyHistogram();
  setStaleAt(bitsOf(h.sum), 0);
  return h;
}

Deno.test("exponentialBound() gives powers of two exactly, to both ends of the range", () => {
  for (let e = -1074; e < 1024; e++) {
    assert.equal(exponentialBound(e, 0), 2 ** e);
    assert.equal(exponentialBound(e * 256, 8), 2 ** e);
  }
  assert.equal(exponentialBound(1024, 0), Number.MAX_VALUE);
  assert.equal(exponentialBound(1025, 0), Infinity);
  assert.equal(exponentialBound(64, -4), Number.MAX_VALUE);
  assert.equal(exponentialBound(65, -4), Infinity);
  assert.equal(exponentialBound(1024 * 256 + 1, 8), Infinity);
  assert.equal(exponentialBound(-1075, 0), 0);
  assert.equal(exponentialBound(1, 1), 1.414213562373095);
  assert.equal(exponentialBound(-1, 1), 0.7071067811865475);
});

Deno.test("exponentialBound() agrees between schemas and ascends", () => {
  for (let schema = 0; schema < 8; schema++) {
    let previous = 0;
    for (let i = -300; i < 300; i++) {
      const bound = exponentialBound(i, schema);
      assert.equal(bound, exponentialBound(i * 2, schema + 1));
      assert.ok(bound > previous);
      previous = bound;
    }
  }
});

Deno.test("bucketBound() of custom buckets ends in infinities", () => {
  const bounds = Float64Array.of(1, 2.5);
  assert.deepEqual([-1, 0, 1, 2].map((i) => bucketBound(i, -53, bounds)), [
    -Infinity,
    1,
    2.5,
    Infinity,
  ]);
});

Deno.test("floatHistogramOf() turns deltas into counts and keeps a stale sum", () => {
  const sum = new Float64Array(1);
  setStaleAt(bitsOf(sum), 0);
  const h = floatHistogramOf({
    counterResetHint: "gauge",
    schema: 1,
    zeroThreshold: 0.5,
    zeroCount: 2,
    count: 9,
    sum,
    positiveSpans: [{ offset: 0, length: 2 }, { offset: 1, length: 1 }],
    negativeSpans: [],
    positiveDeltas: Float64Array.of(2, -1, 1),
    negativeDeltas: new Float64Array(0),
    customValues: new Float64Array(0),
  });
  assert.deepEqual([...h.positiveBuckets], [2, 1, 2]);
  assert.ok(isStaleAt(bitsOf(h.sum), 0));
  assert.ok(isStaleAt(bitsOf(copyHistogram(h).sum), 0));
  assert.ok(isStaleAt(bitsOf(withResetHint(h, "unknown").sum), 0));
});

Deno.test("equalHistograms() tells a stale sum from another NaN", () => {
  const nan = emptyHistogram();
  nan.sum[0] = NaN;
  assert.ok(equalHistograms(stale(), stale()));
  assert.ok(!equalHistograms(stale(), nan));
  assert.ok(!equalHistograms(nan, emptyHistogram()));
});

Deno.test("equalHistograms() compares layouts, not spans, and not the hint", () => {
  const a = parseHistogram("{{count:3 buckets:[1 2] counter_reset_hint:gauge}}");
  const b = parseHistogram("{{count:3 buckets:[1 2]}}");
  b.positiveSpans = [{ offset: 0, length: 1 }, { offset: 0, length: 0 }, { offset: 0, length: 1 }];
  assert.ok(equalHistograms(a, b));
  assert.ok(!equalHistograms(a, parseHistogram("{{count:3 buckets:[1 2 0]}}")));
  assert.ok(!equalHistograms(a, parseHistogram("{{count:3 offset:1 buckets:[1 2]}}")));
  assert.ok(!equalHistograms(a, parseHistogram("{{count:3 schema:1 buckets:[1 2]}}")));
  assert.ok(!equalHistograms(a, parseHistogram("{{count:3 z_bucket_w:1 buckets:[1 2]}}")));
});

Deno.test("compactHistogram() drops empty buckets and joins spans", () => {
  const h = parseHistogram("{{offset:-1 buckets:[0 1 0 0 2 3 0] n_buckets:[0 0]}}");
  compactHistogram(h);
  assert.deepEqual(h.positiveSpans, [{ offset: 0, length: 1 }, { offset: 2, length: 2 }]);
  assert.deepEqual([...h.positiveBuckets], [1, 2, 3]);
  assert.deepEqual(h.negativeSpans, []);
  assert.equal(h.negativeBuckets.length, 0);
});

/** Exponential histograms with gaps, of one zero threshold. */
function randomHistogram(random: Random, schema: number): FloatHistogram {
  const h = emptyHistogram(schema);
  for (const side of ["positive", "negative"] as const) {
    const indexes: number[] = [];
    let index = random.below(40) - 20;
    for (let i = random.below(8); i > 0; i--) indexes.push(index += 1 + random.below(4));
    const buckets = Float64Array.from(indexes, () => random.below(5));
    if (side === "positive") {
      h.positiveSpans = spansOfIndexes(Int32Array.from(indexes));
      h.positiveBuckets = buckets;
    } else {
      h.negativeSpans = spansOfIndexes(Int32Array.from(indexes));
      h.negativeBuckets = buckets;
    }
  }
  h.zeroCount = random.below(3);
  h.count = total(h);
  h.sum[0] = random.below(100);
  return h;
}

function total(h: FloatHistogram): number {
  let n = h.zeroCount;
  for (const x of h.positiveBuckets) n += x;
  for (const x of h.negativeBuckets) n += x;
  return n;
}

/** Counts by index at a schema, the slow and obvious way. */
function byIndex(h: FloatHistogram, schema: number, positive: boolean): Map<number, number> {
  const out = new Map<number, number>();
  const indexes = bucketIndexes(positive ? h.positiveSpans : h.negativeSpans);
  const buckets = positive ? h.positiveBuckets : h.negativeBuckets;
  indexes.forEach((index, i) => {
    const to = Math.ceil(index / 2 ** (h.schema - schema));
    out.set(to, (out.get(to) ?? 0) + buckets[i]!);
  });
  return out;
}

Deno.test("addHistogram() and subtractHistogram() agree with counting by bucket index", () => {
  const random = new Random(7);
  for (let round = 0; round < 500; round++) {
    const a = randomHistogram(random, random.below(4));
    const b = randomHistogram(random, random.below(4));
    const schema = Math.min(a.schema, b.schema);
    const before = copyHistogram(b);
    for (const sign of [1, -1]) {
      const sum = copyHistogram(a);
      assert.equal((sign === 1 ? addHistogram : subtractHistogram)(sum, b), MERGE_OK);
      assert.equal(sum.schema, schema);
      assert.equal(sum.count, a.count + sign * b.count);
      assert.equal(sum.zeroCount, a.zeroCount + sign * b.zeroCount);
      for (const positive of [true, false]) {
        const want = byIndex(a, schema, positive);
        for (const [index, n] of byIndex(b, schema, positive)) {
          want.set(index, (want.get(index) ?? 0) + sign * n);
        }
        const got = byIndex(sum, schema, positive);
        for (const [index, n] of want) assert.equal(got.get(index) ?? 0, n);
        assert.equal(got.size, want.size);
      }
      assert.ok(equalHistograms(b, before), "the second operand is unchanged");
    }
    const lists = new HistogramSum(a);
    lists.add(b);
    const plain = copyHistogram(a);
    addHistogram(plain, b);
    assert.ok(equalHistograms(compactHistogram(lists.result()), compactHistogram(plain)));
  }
});

Deno.test("addHistogram() agrees with counting when many layouts meet", () => {
  const random = new Random(19);
  for (let round = 0; round < 50; round++) {
    const parts = Array.from({ length: 30 }, () => randomHistogram(random, 2));
    const plain = copyHistogram(parts[0]!);
    const sum = new HistogramSum(parts[0]!);
    const want = new Map<number, number>();
    for (const part of parts) {
      if (part !== parts[0]) {
        addHistogram(plain, part);
        sum.add(part);
      }
      for (const [index, n] of byIndex(part, 2, true)) want.set(index, (want.get(index) ?? 0) + n);
    }
    for (const h of [plain, sum.result()]) {
      const got = byIndex(h, 2, true);
      assert.equal(got.size, want.size);
      for (const [index, n] of want) assert.equal(got.get(index), n);
    }
  }
});

Deno.test("addHistogram() widens the narrower zero bucket and takes whole populated buckets", () => {
  // Threshold 1.5 lies inside the populated bucket (1, 2], so the zero bucket grows to 2.
  const wide = parseHistogram("{{z_bucket:1 z_bucket_w:1.5 count:2 offset:2 buckets:[1]}}");
  const narrow = parseHistogram("{{z_bucket:2 z_bucket_w:0.25 count:14 buckets:[3 4 5]}}");
  const sum = copyHistogram(wide);
  addHistogram(sum, narrow);
  assert.equal(sum.zeroThreshold, 2);
  assert.equal(sum.zeroCount, 1 + 2 + 3 + 4);
  assert.equal(sum.count, 16);
  assert.deepEqual([...sum.positiveBuckets], [6]);
  assert.deepEqual(sum.positiveSpans, [{ offset: 2, length: 1 }]);
  const other = copyHistogram(narrow);
  addHistogram(other, wide);
  assert.ok(equalHistograms(compactHistogram(other), compactHistogram(sum)));
});

Deno.test("addHistogram() keeps the zero threshold when it lies in an empty bucket", () => {
  const wide = parseHistogram("{{z_bucket:1 z_bucket_w:1.5 count:1}}");
  const narrow = parseHistogram("{{z_bucket:2 z_bucket_w:0.25 count:10 buckets:[3 0 5]}}");
  addHistogram(wide, narrow);
  assert.equal(wide.zeroThreshold, 1.5);
  assert.equal(wide.zeroCount, 6);
  assert.deepEqual([...compactHistogram(wide).positiveBuckets], [5]);
});

Deno.test("addHistogram() reconciles custom bounds to the common ones and says so", () => {
  const a = parseHistogram(
    "{{schema:-53 sum:55 count:15 custom_values:[2 4 6] buckets:[1 2 5 7]}}",
  );
  const b = parseHistogram(
    "{{schema:-53 sum:5 count:45 custom_values:[1 2 3 4 5] buckets:[1 2 3 4 5 6]}}",
  );
  const sum = copyHistogram(a);
  assert.equal(addHistogram(sum, b), MERGE_BOUNDS_RECONCILED);
  assert.deepEqual([...sum.customValues], [2, 4]);
  assert.deepEqual([...sum.positiveBuckets], [1 + 3, 2 + 7, 12 + 11]);
  assert.deepEqual([...a.customValues], [2, 4, 6]);
  assert.deepEqual([...commonBounds(Float64Array.of(1), Float64Array.of(2))], []);
});

Deno.test("addHistogram() refuses exponential with custom buckets and changes nothing", () => {
  const a = parseHistogram("{{count:1 buckets:[1]}}");
  const b = parseHistogram("{{schema:-53 count:1 custom_values:[1] buckets:[1]}}");
  const before = copyHistogram(a);
  assert.equal(addHistogram(a, b), MERGE_INCOMPATIBLE);
  assert.ok(equalHistograms(a, before));
});

Deno.test("addHistogram() works out counter reset hints", () => {
  const hints = ["unknown", "reset", "not_reset", "gauge"] as const;
  const expected: Record<string, string> = {
    "unknown reset": "unknown",
    "unknown not_reset": "unknown",
    "reset unknown": "unknown",
    "not_reset unknown": "unknown",
    "reset not_reset": "unknown",
    "not_reset reset": "unknown",
  };
  for (const a of hints) {
    for (const b of hints) {
      const h = withResetHint(emptyHistogram(), a);
      const outcome = addHistogram(h, withResetHint(emptyHistogram(), b));
      const want = a === b ? a : a === "gauge" || b === "gauge" ? "gauge" : expected[`${a} ${b}`];
      assert.equal(h.counterResetHint, want, `${a} ${b}`);
      const conflict = [a, b].sort().join(" ") === "not_reset reset";
      assert.equal(outcome, conflict ? MERGE_RESET_CONFLICT : MERGE_OK);
    }
  }
});

Deno.test("scaleHistogram() and divideHistogram() make gauges of negative factors", () => {
  const h = () => parseHistogram("{{count:3 sum:4 z_bucket:1 buckets:[2] n_buckets:[4]}}");
  const negative = scaleHistogram(h(), -2);
  assert.equal(negative.counterResetHint, "gauge");
  assert.deepEqual([negative.count, negative.sum[0], negative.zeroCount], [-6, -8, -2]);
  assert.deepEqual([...negative.positiveBuckets, ...negative.negativeBuckets], [-4, -8]);
  assert.equal(scaleHistogram(h(), 2).counterResetHint, "unknown");
  const none = divideHistogram(h(), 0);
  assert.equal(none.count, Infinity);
  assert.equal(none.positiveBuckets.length + none.negativeBuckets.length, 0);
});

Deno.test("copyToSchema() merges buckets downwards", () => {
  const h = parseHistogram("{{schema:2 offset:-3 buckets:[1 2 3 4 5 6 7 8]}}");
  const coarse = copyToSchema(h, 0);
  assert.deepEqual(coarse.positiveSpans, [{ offset: 0, length: 2 }]);
  assert.deepEqual([...coarse.positiveBuckets], [1 + 2 + 3 + 4, 5 + 6 + 7 + 8]);
  assert.equal(h.schema, 2);
});

Deno.test("HistogramSum compensates rounding", () => {
  const h = (x: number) => {
    const one = parseHistogram("{{buckets:[0]}}");
    one.sum[0] = x;
    one.count = x;
    one.positiveBuckets[0] = x;
    return one;
  };
  const sum = new HistogramSum(h(1e100));
  sum.add(h(1));
  sum.add(h(-1e100));
  const result = sum.result();
  assert.deepEqual([result.sum[0], result.count, result.positiveBuckets[0]], [1, 1, 1]);
});

Deno.test("HistogramMean survives sums that overflow", () => {
  const h = () => {
    const one = parseHistogram("{{buckets:[0]}}");
    one.count = Number.MAX_VALUE;
    one.positiveBuckets[0] = Number.MAX_VALUE;
    one.sum[0] = 1;
    return one;
  };
  const mean = new HistogramMean(h());
  for (let i = 0; i < 9; i++) mean.add(h());
  const result = mean.result();
  assert.ok(Math.abs(result.count / Number.MAX_VALUE - 1) < 1e-12);
  assert.ok(Math.abs(result.positiveBuckets[0]! / Number.MAX_VALUE - 1) < 1e-12);
  assert.equal(result.sum[0], 1);
});

Deno.test("HistogramSum notices contradicting reset hints", () => {
  const sum = new HistogramSum(emptyHistogram());
  sum.add(withResetHint(emptyHistogram(), "reset"));
  assert.ok(!sum.conflictingResets);
  sum.add(withResetHint(emptyHistogram(), "not_reset"));
  assert.ok(sum.conflictingResets);
});

Deno.test("detectReset() finds every kind of decrease", () => {
  const base = "schema:1 count:20 z_bucket:2 z_bucket_w:0.1 offset:1 buckets:[1 2 3] n_buckets:[4]";
  const rows: [string, string, boolean][] = [
    ["same", base, false],
    ["hint reset", base + " counter_reset_hint:reset", true],
    ["hint not reset", base.replace("20", "1") + " counter_reset_hint:not_reset", false],
    ["count", base.replace("20", "19"), true],
    ["zero count", base.replace("z_bucket:2", "z_bucket:1"), true],
    ["bucket", base.replace("1 2 3", "1 1 3"), true],
    ["negative bucket", base.replace("[4]", "[3]"), true],
    ["bucket vanished", base.replace("1 2 3", "1 2"), true],
    ["new bucket", base.replace("1 2 3", "1 2 3 4"), false],
    ["finer schema", base.replace("schema:1", "schema:2"), true],
    ["smaller zero bucket", base.replace("0.1", "0.05"), true],
    ["zero bucket into a populated one", base.replace("0.1", "1.2"), true],
    ["custom", "schema:-53 count:30 custom_values:[1] buckets:[30]", true],
  ];
  const previous = parseHistogram(`{{${base}}}`);
  for (const [name, text, want] of rows) {
    assert.equal(detectReset(parseHistogram(`{{${text}}}`), previous), want, name);
  }
});

Deno.test("detectReset() compares at the coarser schema and in the wider zero bucket", () => {
  const previous = parseHistogram("{{schema:1 count:10 offset:1 buckets:[1 2 3 4]}}");
  assert.ok(!detectReset(parseHistogram("{{count:10 offset:1 buckets:[3 7]}}"), previous));
  assert.ok(detectReset(parseHistogram("{{count:10 offset:1 buckets:[2 8]}}"), previous));
  const small = parseHistogram("{{count:6 z_bucket:1 z_bucket_w:0.25 buckets:[2 3]}}");
  const wider = "{{count:6 z_bucket:3 z_bucket_w:1 offset:1 buckets:[3]}}";
  assert.ok(!detectReset(parseHistogram(wider), small));
  assert.ok(detectReset(parseHistogram(wider.replace("z_bucket:3", "z_bucket:2")), small));
});

Deno.test("detectReset() compares custom buckets on their common bounds", () => {
  const previous = parseHistogram("{{schema:-53 count:6 custom_values:[1 2 3] buckets:[1 2 3]}}");
  const h = (buckets: string) =>
    parseHistogram(`{{schema:-53 count:9 custom_values:[2 4] buckets:[${buckets}]}}`);
  assert.ok(!detectReset(h("3 3 0"), previous));
  assert.ok(detectReset(h("2 4 3"), previous));
});

Deno.test("BucketCursor walks all buckets both ways and clips at the zero bucket", () => {
  const h = parseHistogram(
    "{{z_bucket:2 z_bucket_w:0.75 offset:0 buckets:[1 0 3] n_offset:1 n_buckets:[4]}}",
  );
  const walk = (descending: boolean) => {
    const rows: number[][] = [];
    const cursor = new BucketCursor().reset(h, descending);
    while (cursor.next()) {
      rows.push([cursor.lower, cursor.upper, cursor.count, cursor.boundary]);
    }
    return rows;
  };
  const up = [
    [-2, -1, 4, 1],
    [-0.75, 0.75, 2, 3],
    [0.75, 1, 1, 0],
    [1, 2, 0, 0],
    [2, 4, 3, 0],
  ];
  assert.deepEqual(walk(false), up);
  assert.deepEqual(walk(true), up.reverse());
});

Deno.test("BucketCursor.locate() knows the last bucket after the walk has ended", () => {
  const cursor = new BucketCursor().reset(parseHistogram("{{n_offset:1 n_buckets:[4 5]}}"));
  while (cursor.advance());
  cursor.locate();
  assert.deepEqual([cursor.lower, cursor.upper, cursor.count], [-2, -1, 4]);
});

Deno.test("formatHistogram() and histogramJson() print what Prometheus prints", () => {
  const h = parseHistogram(
    "{{sum:2349209.5 count:10 z_bucket:2 z_bucket_w:0.001 buckets:[1 2 0] n_buckets:[5]}}",
  );
  assert.equal(
    formatHistogram(h),
    "{count:10, sum:2.3492095e+06, [-1,-0.5):5, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}",
  );
  assert.equal(
    histogramJson(h),
    '{"count":"10","sum":"2349209.5","buckets":[[1,"-1","-0.5","5"],[3,"-0.001","0.001","2"],' +
      '[0,"0.5","1","1"],[0,"1","2","2"]]}',
  );
  assert.equal(histogramJson(emptyHistogram()), '{"count":"0","sum":"0"}');
  const custom = parseHistogram("{{schema:-53 count:6 custom_values:[1 2] buckets:[1 2 3]}}");
  assert.equal(formatHistogram(custom), "{count:6, sum:0, [-Inf,1]:1, (1,2]:2, (2,+Inf]:3}");
  assert.equal(
    histogramJson(custom),
    '{"count":"6","sum":"0","buckets":[[3,"-Inf","1","1"],[0,"1","2","2"],[0,"2","+Inf","3"]]}',
  );
});

Deno.test("parseHistogram() refuses what is no histogram", () => {
  for (
    const text of [
      "{{count}}",
      "{{count:x}}",
      "{{color:1}}",
      "{{buckets:1}}",
      "{{buckets:[1 x]}}",
      "{{count:1 count:2}}",
      "{{counter_reset_hint:maybe}}",
      "{{schema:9}}",
      "{count:1}",
    ]
  ) assert.throws(() => parseHistogram(text), { kind: "bad_data" }, text);
});

Deno.test("histogramFault() names what is wrong", () => {
  const rows: [string, RegExp | undefined][] = [
    ["{{count:1 buckets:[1]}}", undefined],
    ["{{count:1 buckets:[-1]}}", /positive side: bucket number 1 has observation count of -1/],
    ["{{count:-1}}", /observation count is negative/],
    ["{{schema:-53 count:1 custom_values:[2 1] buckets:[1]}}", /strictly increasing/],
    ["{{schema:-53 count:1 custom_values:[1] buckets:[1 1 1]}}", /custom bounds are too few/],
    ["{{schema:-53 count:1 z_bucket:1 custom_values:[1] buckets:[1]}}", /zero count of 0/],
    ["{{schema:0 custom_values:[1]}}", /must not have custom bounds/],
  ];
  for (const [text, want] of rows) {
    const fault = histogramFault(parseHistogram(text));
    if (want === undefined) assert.equal(fault, undefined);
    else assert.match(fault ?? "", want);
  }
  const h = parseHistogram("{{count:1 buckets:[1]}}");
  h.positiveSpans = [{ offset: 0, length: 2 }];
  assert.match(histogramFault(h) ?? "", /spans need 2 buckets, have 1/);
});

Deno.test("trimHistogram() cuts on and between bounds", () => {
  const text =
    "{{sum:123.75 count:34 z_bucket:1 z_bucket_w:0.001 buckets:[2 4 8 16] n_buckets:[1 2]}}";
  const h = parseHistogram(text);
  const same = trimHistogram(h, Infinity, true);
  assert.ok(equalHistograms(same, h));
  assert.equal(trimHistogram(h, Infinity, false).count, 0);
  assert.equal(trimHistogram(h, -Infinity, true).count, 0);
  assert.equal(trimHistogram(h, NaN, true).count, 0);
  const upper = trimHistogram(h, 2, true);
  assert.equal(upper.count, 10);
  assert.deepEqual([...upper.positiveBuckets], [2, 4]);
  const lower = trimHistogram(h, 0, false);
  assert.equal(lower.zeroCount, 0.5);
  assert.equal(lower.count, 30.5);
  assert.equal(lower.negativeBuckets.length, 0);
  // Exponential interpolation: the middle of (1, 2] is √2.
  const inside = trimHistogram(h, Math.SQRT2, true);
  assert.ok(Math.abs(inside.positiveBuckets[1]! - 2) < 1e-9);
  const both = trimHistogram(h, Math.SQRT2, false);
  assert.ok(Math.abs(both.positiveBuckets[0]! - 2) < 1e-9);
  assert.ok(Math.abs(inside.count + both.count - 34) < 1e-9);
});

Deno.test("trimHistogram() of custom buckets counts open ends as infinite", () => {
  const h = parseHistogram(
    "{{schema:-53 sum:172.5 count:15 custom_values:[5 10 15 20] buckets:[1 6 4 3 1]}}",
  );
  const upper = trimHistogram(h, 13, true);
  assert.ok(Math.abs(upper.count - 9.4) < 1e-9);
  // 1 around 2.5, 6 around 7.5, 2.4 around 11.5.
  assert.ok(Math.abs(upper.sum[0]! - (2.5 + 45 + 2.4 * 11.5)) < 1e-9);
  assert.equal(trimHistogram(h, 30, true).count, 14);
  assert.equal(trimHistogram(h, 30, false).count, 1);
});

Deno.test("histogram_bench.ts runs", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 8);
});
