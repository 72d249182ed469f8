import assert from "node:assert/strict";
import { withColumns } from "../api/bodies.ts";
import { ApiError } from "../api/client.ts";
import type { MatrixSeries, RangeData, SeriesColumns } from "../api/types.ts";
import { explainError, explainWarning, storeIn } from "./advice.ts";
import { bandQueries, joinBands } from "./bands.ts";
import { compareCounts, countSeries } from "./cardinality.ts";
import { coverageOf, durationMs, ribbonOf, storeParts } from "./fanout.ts";
import { frameRange, stackRows, toFrame } from "./frame.ts";
import { heatPixels, toHeatmap } from "./heatmap.ts";
import { formatSeries, selectorOf, visible } from "./labels.ts";
import { parseSample, shortNumber } from "./numbers.ts";
import { NEW_PANEL } from "./permalink.ts";
import { queryRequest } from "./query_form.ts";
import { printNode } from "./syntax.ts";
import { toCsv, toCurl } from "./table_export.ts";

/** Series as they come over the wire, as columns. */
function columns(result: readonly MatrixSeries[]): readonly SeriesColumns[] {
  const { data } = withColumns({ status: "success", data: { resultType: "matrix", result } }, []);
  return (data as RangeData).result as readonly SeriesColumns[];
}

Deno.test("queryRequest() asks for a range on whole steps, and leaves open what the server decides", () => {
  const defaults = { step: 1, tenantHeader: "THANOS-TENANT" };
  const panel = { ...NEW_PANEL, expr: "up", tenant: "t", stores: ["a:1"] };
  const now = 1_000_000_007_123;
  const graph = queryRequest(panel, "graph", now, defaults);
  assert.equal(graph.path, "/query_range");
  assert.equal(graph.step, 15);
  assert.equal(graph.end % 15_000, 0);
  assert.ok(graph.end >= now && graph.end - now < 15_000);
  assert.equal(graph.end - graph.start, panel.range);
  const form = Object.fromEntries(graph.form);
  assert.deepEqual([form.query, form.dedup, form.partial_response, form["storeMatch[]"]], [
    "up",
    "true",
    undefined,
    '{__address__="a:1"}',
  ]);
  assert.deepEqual(graph.headers, { "THANOS-TENANT": "t" });
  const table = queryRequest({ ...panel, resolution: "5m", dedup: false }, "table", now, defaults);
  assert.equal(table.path, "/query");
  assert.equal(Object.fromEntries(table.form).time, "1000000007.123");
  assert.equal(Object.fromEntries(table.form).max_source_resolution, "5m");
});

Deno.test("toFrame() puts samples on the grid and leaves holes open", () => {
  const frame = toFrame(
    columns([
      { metric: { a: "1" }, values: [[0, "1"], [20, "3"], [30, "+Inf"]] },
      { metric: { a: "2" }, values: [[10.001, "NaN"], [40, "-5"], [99, "7"]] },
    ]),
    0,
    40_000,
    10,
  );
  assert.deepEqual([...frame.times], [0, 10_000, 20_000, 30_000, 40_000]);
  assert.deepEqual(frame.rows.map((row) => [...row]), [[1, NaN, 3, NaN, NaN], [
    NaN,
    NaN,
    NaN,
    NaN,
    -5,
  ]]);
  assert.deepEqual(frameRange(frame, [true, true]), { min: -5, max: 3 });
  assert.deepEqual(frameRange(frame, [true, false]), { min: 1, max: 3 });
  assert.equal(frameRange(frame, [false, false]), undefined);
  assert.deepEqual(stackRows(frame.rows, [true, true]), [
    [1, null, 3, null, 0],
    [1, null, 3, null, -5],
  ]);
  assert.deepEqual(stackRows(frame.rows, [false, true]), [
    [null, null, null, null, null],
    [null, null, null, null, -5],
  ]);
});

Deno.test("toFrame() tells series apart that share times, and takes whole columns as they are", () => {
  const times = Float64Array.of(0, 10, 20);
  const series = [[1, 2, 3], [4, NaN, 6], [7, -Infinity, 9]].map((values) => ({
    metric: {},
    times,
    values: Float64Array.from(values),
  }));
  const shifted = { metric: {}, times: Float64Array.of(10), values: Float64Array.of(5) };
  const empty = { metric: {}, times: new Float64Array(0), values: new Float64Array(0) };
  const { rows } = toFrame([...series, empty, shifted], 0, 20_000, 10);
  assert.equal(rows[0], series[0]!.values);
  assert.deepEqual(rows.map((row) => [...row]), [
    [1, 2, 3],
    [4, NaN, 6],
    [7, NaN, 9],
    [NaN, 5, NaN],
  ]);
  // The answer's own column is not written to.
  assert.equal(series[2]!.values[1], -Infinity);
});

Deno.test("toHeatmap() adds native histograms up, and takes classic buckets apart", () => {
  const native = toHeatmap(
    columns([1, 2].map((n) => ({
      metric: { n: String(n) },
      histograms: [[10, {
        count: "3",
        sum: "4",
        buckets: [[0, "1", "2", "2"], [0, "2", "4", "1"]],
      }]] as const,
    }))),
    0,
    20_000,
    10,
  )!;
  assert.deepEqual([native.lower, native.upper], [[1, 2], [2, 4]]);
  assert.deepEqual([...native.counts], [0, 4, 0, 0, 2, 0]);
  const classic = toHeatmap(
    columns([
      { metric: { le: "+Inf" }, values: [[0, "10"]] },
      { metric: { le: "1" }, values: [[0, "4"]] },
      { metric: { le: "5" }, values: [[0, "9"]] },
    ]),
    0,
    0,
    10,
  )!;
  assert.deepEqual([classic.lower, classic.upper], [[0, 1, 5], [1, 5, Infinity]]);
  assert.deepEqual([...classic.counts], [4, 5, 1]);
  assert.equal(toHeatmap(columns([{ metric: {}, values: [[0, "1"]] }]), 0, 0, 10), undefined);
});

Deno.test("heatPixels() gives each cell a pixel, and the largest of several where there is no room", () => {
  const heat = {
    times: Float64Array.of(0, 10, 20, 30),
    lower: [0, 1, 2],
    upper: [1, 2, 3],
    // From the lowest bucket to the highest.
    counts: Float64Array.of(1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 4),
    max: 4,
  };
  const colors = Uint8Array.from({ length: 12 }, (_, i) => i);
  const picture = (width: number, height: number) => {
    const pixels = heatPixels(heat, width, height, colors);
    return Array.from(
      { length: height },
      (_, y) =>
        Array.from({ length: width }, (_, x) => {
          const [r, g, b, a] = pixels.subarray((y * width + x) * 4);
          if (a === 0) return 0;
          assert.deepEqual([g, b, a], [r! + 1, r! + 2, 255]);
          return r! / 3;
        }),
    );
  };
  assert.deepEqual(picture(4, 3), [[0, 0, 3, 3], [0, 2, 0, 0], [1, 0, 0, 0]]);
  assert.deepEqual(picture(2, 3), [[0, 3], [2, 0], [1, 0]]);
  assert.deepEqual(picture(4, 1), [[1, 2, 3, 3]]);
  assert.deepEqual(picture(1, 2), [[3], [1]]);
});

Deno.test("storeParts() joins the selects of a query by store, wherever they stand in the tree", () => {
  const parts = storeParts({
    name: "root",
    fanout: [{
      endpointAddr: "a",
      duration: 10,
      firstByte: 4,
      series: 1,
      samples: 2,
      bytesProcessed: 3,
      error: "gone",
    }],
    children: [{
      fanout: [{ endpointAddr: "a", duration: "1.5s", firstByte: "2ms", series: 1 }, {
        endpointAddr: "b",
        duration: "840µs",
      }],
    }, { children: null, fanout: null }],
  });
  assert.deepEqual(parts.map((p) => [p.address, p.duration, p.firstByte, p.series, p.error]), [
    ["a", 1500, 2, 2, "gone"],
    ["b", 0.84, undefined, 0, undefined],
  ]);
  assert.deepEqual(storeParts(undefined), []);
  assert.equal(durationMs("1m2.5s"), 62_500);
  assert.equal(durationMs("soon"), undefined);
});

Deno.test("ribbonOf() tells what served which stretch, the finest first, and where nothing is", () => {
  const coverage = coverageOf({
    coverage: [
      { resolution: 300_000, minTime: 0, maxTime: 50_000 },
      { resolution: 0, minTime: 40_000, maxTime: 60_000 },
      { resolution: 0, minTime: 60_001, maxTime: 70_000 },
    ],
  });
  assert.equal(coverage.length, 2);
  assert.deepEqual(ribbonOf(coverage, -10_000, 100_000), [
    { resolution: -1, from: -10_000, to: 0 },
    { resolution: 300_000, from: 0, to: 40_000 },
    { resolution: 0, from: 40_000, to: 70_000 },
    { resolution: -1, from: 70_000, to: 100_000 },
  ]);
  assert.deepEqual(ribbonOf([], 0, 10), [{ resolution: -1, from: 0, to: 10 }]);
});

Deno.test("countSeries() and compareCounts() count and tell what changed most", () => {
  const now = countSeries([{ __name__: "a", x: "1" }, { __name__: "a", x: "2" }, {
    __name__: "b",
    x: "1",
  }]);
  assert.deepEqual(now.metrics, [{ name: "a", value: 2 }, { name: "b", value: 1 }]);
  assert.deepEqual(now.labels, [{ name: "__name__", value: 2 }, { name: "x", value: 2 }]);
  assert.deepEqual(now.pairs.find(({ name }) => name === "x=1"), { name: "x=1", value: 2 });
  const before = countSeries([{ __name__: "c" }, { __name__: "c" }, { __name__: "c" }]);
  assert.deepEqual(compareCounts(now.metrics, before.metrics), [
    { name: "c", value: 0, before: 3 },
    { name: "a", value: 2, before: 0 },
    { name: "b", value: 1, before: 0 },
  ]);
});

Deno.test("explainError() gives the next step, explainWarning() drops the prefix", () => {
  const told = (status: number, type: string, text: string) =>
    explainError(new ApiError(status, type, text));
  assert.match(
    told(422, "execution", "expanding series: proxy Series(): fetch series for x").next!,
    /partial response/,
  );
  assert.match(
    told(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries").next!,
    /longer step/,
  );
  assert.match(told(404, "not_found", "404 page not found").title, /Not part/);
  assert.match(told(0, "unreachable", "The server did not answer").next!, /running/);
  assert.deepEqual(explainWarning('PromQL info: metric might not be a counter: "x" (1:6)'), {
    kind: "info",
    text: 'metric might not be a counter: "x" (1:6)',
    next: "Use delta() or deriv() for gauges.",
  });
  assert.equal(storeIn('fetch series for {a="b"} Addr: 127.0.0.1:1 MinTime: 1'), "127.0.0.1:1");
});

Deno.test("labels are quoted where the grammar asks for it", () => {
  assert.equal(formatSeries({ __name__: "up", a: 'x"\n' }), 'up{a="x\\"\\n"}');
  assert.equal(formatSeries({ __name__: "my.metric", "b-c": "1" }), '{"my.metric", "b-c"="1"}');
  assert.equal(formatSeries({}), "{}");
  assert.equal(selectorOf({ __name__: "a b" }), '{__name__="a b"}');
});

Deno.test("numbers go in and out", () => {
  assert.deepEqual(["+Inf", "-Inf", "NaN", "1e+06"].map(parseSample), [
    Infinity,
    -Infinity,
    NaN,
    1e6,
  ]);
  assert.deepEqual([0, 1500, 2.5e9, 0.25, 3e-5, -1e-9, NaN].map((n) => shortNumber(n)), [
    "0",
    "1.5k",
    "2.5G",
    "0.25",
    "30µ",
    "-1.00e-9",
    "NaN",
  ]);
});

Deno.test("toCsv() quotes, and gives a spreadsheet no formulas", () => {
  const csv = toCsv([
    { labels: { a: "x,y", b: '=cmd("1")' }, samples: [[1, "-5"], [2.5, "+Inf"]] },
    { labels: { c: "@x" }, samples: [[1, "NaN"]] },
  ]);
  assert.equal(
    csv,
    [
      "a,b,c,timestamp,value",
      '"x,y","\'=cmd(""1"")",,1,-5',
      '"x,y","\'=cmd(""1"")",,2.5,+Inf',
      ",,'@x,1,NaN",
      "",
    ].join("\r\n"),
  );
});

Deno.test("toCurl() is safe in a shell", () => {
  assert.equal(
    toCurl("http://h/api", [["query", `up{a='b'} $(x)`]]),
    `curl -sS 'http://h/api' \\\n  --data-urlencode 'query=up{a='\\''b'\\''} $(x)'`,
  );
});

Deno.test("printNode() gives each part of a tree as PromQL", () => {
  const selector = {
    type: "vectorSelector",
    name: "x",
    matchers: [{ name: "__name__", type: "=", value: "x" }, { name: "a", type: "=~", value: "b" }],
    offset: 60_000,
    timestamp: null,
  };
  const tree = {
    type: "aggregation",
    op: "sum",
    grouping: ["job"],
    without: false,
    param: null,
    expr: {
      type: "binaryExpr",
      op: "/",
      bool: false,
      lhs: {
        type: "call",
        func: { name: "rate" },
        args: [{ ...selector, type: "matrixSelector", range: 300_000 }],
      },
      rhs: { type: "numberLiteral", val: "2" },
      matching: { card: "many-to-one", labels: ["a"], include: [], on: true },
    },
  };
  assert.equal(
    printNode(tree),
    'sum by (job) (rate(x{a=~"b"}[5m] offset 1m) / on (a) group_left () 2)',
  );
});

Deno.test("visible() shows marks that turn or hide text", () => {
  assert.equal(visible("\u202Egnp.exe"), "⟨U+202E⟩gnp.exe");
  assert.equal(visible("a\u0000\u200bb"), "a⟨U+0000⟩⟨U+200B⟩b");
  assert.equal(visible("Grüße\n\t日本 👍"), "Grüße\n\t日本 👍");
});

Deno.test("bandQueries() asks for the extremes of a plain selector, and of nothing else", () => {
  const matchers = [{ name: "job", type: "=", value: 'a"b' }];
  const selector = { type: "vectorSelector", name: "up", matchers, offset: 60_000 };
  assert.deepEqual(bandQueries(selector, 300_000), {
    low: 'min_over_time(up{job="a\\"b"}[5m] offset 1m)',
    high: 'max_over_time(up{job="a\\"b"}[5m] offset 1m)',
  });
  assert.deepEqual(
    bandQueries({ type: "parenExpr", expr: selector }, 300_000),
    bandQueries(selector, 300_000),
  );
  for (const type of ["aggregation", "binaryExpr", "call", "numberLiteral", "subquery"]) {
    assert.equal(bandQueries({ type, expr: selector, args: [selector] }, 1000), undefined, type);
  }
});

Deno.test("joinBands() finds the edges of a row by its labels, which lost their name", () => {
  const frame = (...series: readonly (readonly [Record<string, string>, number])[]) =>
    toFrame(
      series.map(([metric, value]) => ({
        metric,
        times: Float64Array.of(0),
        values: Float64Array.of(value),
      })),
      0,
      0,
      1,
    );
  const lines = frame([{ __name__: "x", a: "1", b: "2" }, 5], [{ __name__: "x", a: "2" }, 6]);
  const bands = joinBands(lines, frame([{ b: "2", a: "1" }, 1]), frame([{ a: "1", b: "2" }, 9]));
  assert.deepEqual(bands, [{ low: Float64Array.of(1), high: Float64Array.of(9) }, undefined]);
});
