/** The query API over a real engine and querier and a store in memory, asked in process. */
import assert from "node:assert/strict";
import { MnemeError } from "../base/mod.ts";
import { runBench } from "../base/testing/bench.ts";
import { EMPTY_LABELS, labelsFromRecord, MAX_TIME, MIN_TIME } from "../model/mod.ts";
import type { EndpointStatus } from "../query/mod.ts";
import { bench } from "./encode_result_bench.ts";
import { labelName } from "./label_name.ts";
import { queryFixture as make, START } from "./testing/query_fixture.ts";

Deno.test("/query answers vectors, scalars and texts in Go's numbers", async () => {
  const { ask } = make();
  const text = async (query: string) => await (await ask("/query", { query })).text();
  const result = async (query: string) =>
    /"result":(.*),"analysis":\{\}\}\}\n$/.exec(await text(query))?.[1];
  assert.equal(await result("1/0 - 0.0000001"), '[1790208060,"+Inf"]');
  assert.equal(await result("1e21"), '[1790208060,"1000000000000000000000"]');
  assert.equal(await result("vector(1e21)"), '[{"metric":{},"value":[1790208060,"1e+21"]}]');
  assert.equal(await result("vector(1e-7)"), '[{"metric":{},"value":[1790208060,"1e-07"]}]');
  assert.equal(await result("vector(-0)"), '[{"metric":{},"value":[1790208060,"-0"]}]');
  assert.equal(await result('"<é>"'), '[1790208060,"\\u003cé\\u003e"]');
  assert.equal(
    await result('up{job="a"}'),
    '[{"metric":{"__name__":"up","job":"a","zone":"<&>"},"value":[1790208060,"5"]}]',
  );
});

Deno.test("/query_range streams a matrix with times in seconds", async () => {
  const { ask } = make();
  const answer = await ask("/query_range", {
    query: 'sum(up{job="b"})',
    start: "1790208000.5",
    end: "1790208031.5",
    step: "15.5",
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(
    await answer.text(),
    '{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":' +
      '[[1790208000.500,"0.5"],[1790208016,"1.5"],[1790208031.500,"2.5"]]}],"analysis":{}}}\n',
  );
});

Deno.test("/query reads a form body before the URL", async () => {
  const { app } = make();
  const answer = await app.request("/api/v1/query?query=2&time=1", {
    method: "POST",
    body: new URLSearchParams({ query: "3" }),
  });
  assert.match(await answer.text(), /"result":\[1,"3"\]/);
});

Deno.test("queries that cannot be answered say why, with the right status", async () => {
  const { ask } = make();
  const range = { query: "up", start: "0", end: "10" };
  const rows: [string, Record<string, string>, number, string, string][] = [
    ["/query", {}, 400, "bad_data", "unknown position: parse error: no expression found in input"],
    ["/query", { query: "sum(" }, 400, "bad_data", "1:5: parse error: unclosed left parenthesis"],
    [
      "/query",
      { query: "up", time: "x" },
      400,
      "bad_data",
      `Invalid time value for 'time': cannot parse "x" to a valid timestamp`,
    ],
    [
      "/query",
      { query: "up", dedup: "y" },
      400,
      "bad_data",
      `'dedup' parameter: strconv.ParseBool: parsing "y": invalid syntax`,
    ],
    ["/query", { query: "up", engine: "x" }, 400, "bad_data", "'x' bad engine"],
    ["/query", { query: "up", timeout: "0" }, 422, "execution", "context deadline exceeded"],
    [
      "/query",
      { query: "up", shard_info: "{" },
      400,
      "bad_data",
      "could not unmarshal parameter shard_info: {",
    ],
    [
      "/query_range",
      { ...range, start: "" },
      400,
      "bad_data",
      `cannot parse "" to a valid timestamp`,
    ],
    [
      "/query_range",
      { ...range, end: "-1" },
      400,
      "bad_data",
      "end timestamp must not be before start time",
    ],
    [
      "/query_range",
      { ...range, step: "0" },
      400,
      "bad_data",
      "zero or negative query resolution step widths are not accepted. Try a positive integer",
    ],
    [
      "/query_range",
      { ...range, step: "0.0001" },
      400,
      "bad_data",
      "zero or negative query resolution step widths are not accepted. Try a positive integer",
    ],
    [
      "/query_range",
      { ...range, end: "11001", step: "1" },
      400,
      "bad_data",
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
    ],
    [
      "/query_range",
      { ...range, step: "1y1h1" },
      400,
      "bad_data",
      `'step' parameter: cannot parse "1y1h1" to a valid duration`,
    ],
    [
      "/query_range",
      { ...range, query: "up[5m]", step: "1" },
      400,
      "bad_data",
      'invalid expression type "range vector" for range query, must be Scalar or instant Vector',
    ],
    [
      "/query_range",
      { ...range, step: "1", max_source_resolution: "-5m" },
      400,
      "bad_data",
      `'max_source_resolution' parameter: cannot parse "-5m" to a valid duration`,
    ],
    ["/query_explain", { query: "up" }, 400, "bad_data", "engine type must be 'thanos'"],
    ["/series", {}, 400, "bad_data", "no match[] parameter provided"],
    ["/series", { "match[]": "up[5m]" }, 400, "bad_data", '1:3: parse error: unexpected "["'],
    [
      "/series",
      { "match[]": "{}" },
      422,
      "execution",
      "proxy Series(): rpc error: code = InvalidArgument desc = no matchers specified (excluding selector labels)",
    ],
    [
      "/labels",
      { start: "x" },
      400,
      "bad_data",
      `bad_data: Invalid time value for 'start': cannot parse "x" to a valid timestamp`,
    ],
    ["/labels", { limit: "-1" }, 400, "bad_data", "limit must be non-negative"],
    ["/label/%ff/values", {}, 400, "bad_data", String.raw`invalid label name: "\xff"`],
    [
      "/format_query",
      { query: "1+" },
      400,
      "bad_data",
      'invalid parameter "query": 1:3: parse error: unexpected end of input',
    ],
    [
      "/parse_query",
      {},
      400,
      "bad_data",
      'invalid parameter "query": unknown position: parse error: no expression found in input',
    ],
  ];
  for (const [path, params, status, errorType, error] of rows) {
    const answer = await ask(path, params);
    const name = `${path} ${JSON.stringify(params)}`;
    assert.deepEqual(await answer.json(), { status: "error", errorType, error }, name);
    assert.equal(answer.status, status, name);
    assert.equal(answer.headers.get("cache-control"), "no-store", name);
  }
});

Deno.test("a query that is too long or too deep is refused by name of the limit", async () => {
  const { app } = make();
  const post = async (query: string) => {
    const answer = await app.request("/api/v1/query", {
      method: "POST",
      body: new URLSearchParams({ query }),
    });
    return [answer.status, (await answer.json()).error];
  };
  assert.deepEqual(await post("x".repeat(70_000)), [
    422,
    "query is too long: 70000 bytes, the limit is 65536 bytes",
  ]);
  const [status, error] = await post("(".repeat(50_000));
  assert.equal(status, 400);
  assert.match(error, /nested more than 1000 levels deep/);
});

Deno.test("/series, /labels and label values answer from the stores", async () => {
  const { ask, store } = make();
  const data = async (path: string, params: Record<string, string | string[]> = {}) =>
    (await (await ask(path, params)).json()).data;
  assert.deepEqual(await data("/series", { "match[]": ['up{job="b"}', 'up{job="a"}'] }), [
    { __name__: "up", job: "a", zone: "<&>" },
    { __name__: "up", job: "b", "quoted.name": "x" },
  ]);
  assert.equal(
    (await data("/series", { "match[]": "up", "replicaLabels[]": "" })).length,
    3,
    "one empty name switches label removal off",
  );
  assert.equal((await data("/series", { "match[]": "up", dedup: "0" })).length, 3);
  assert.equal(store.requests.at(-1)?.skipChunks, true);
  assert.deepEqual(await data("/labels"), ["__name__", "job", "quoted.name", "replica", "zone"]);
  assert.deepEqual(await data("/labels", { "match[]": '{job="b"}' }), [
    "__name__",
    "job",
    "quoted.name",
  ]);
  assert.deepEqual(await data("/label/job/values", { "match[]": "{}" }), ["a", "b"]);
  assert.deepEqual(await data("/label/quoted.name/values"), ["x"]);
  assert.deepEqual(await data("/label/U__quoted_2e_name/values"), ["x"]);
  const cut = await (await ask("/label/job/values", { limit: "1" })).json();
  assert.deepEqual(cut.data, ["a"]);
  assert.deepEqual(cut.warnings, ["results truncated due to limit"]);
});

Deno.test("warnings of stores and of the engine stand in one list; only the former forbid storing", async () => {
  const partial = make({ store: { warnings: ["store is away"] } });
  const away = await partial.ask("/query", { query: "up" });
  assert.deepEqual((await away.json()).warnings, ["store is away"]);
  assert.equal(away.headers.get("cache-control"), "no-store");
  const { ask } = make();
  const own = await ask("/query", { query: "rate(up[1m]) + quantile(2, up)" });
  assert.equal(own.headers.get("cache-control"), null);
  assert.deepEqual((await own.json()).warnings.sort(), [
    'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "up"',
    "PromQL warning: quantile value should be between 0 and 1, got 2",
  ]);
});

Deno.test("/format_query and /parse_query show the query as Prometheus does", async () => {
  const { ask } = make();
  const formatted = await ask("/format_query", { query: "sum by(job)(up)>1" });
  assert.deepEqual(await formatted.json(), {
    status: "success",
    data: "sum by (job) (up) > 1",
  });
  const parsed = await ask("/parse_query", { query: "1 > bool 2" });
  assert.equal(
    await parsed.text(),
    '{"status":"success","data":{"bool":true,"lhs":{"type":"numberLiteral","val":"1"},' +
      '"matching":null,"op":"\\u003e","rhs":{"type":"numberLiteral","val":"2"},' +
      '"type":"binaryExpr"}}\n',
  );
});

Deno.test("explain and analyze are there for engine=thanos", async () => {
  const { ask } = make();
  const explained = await (await ask("/query_range_explain", {
    query: "sum(rate(up[1m]))",
    start: "0",
    end: "60",
    step: "30",
    engine: "thanos",
  })).json();
  assert.equal(explained.status, "success");
  assert.equal(explained.data.name, "sum");
  assert.match(explained.data.children[0].name, /^rate\(/);
  const measured = await (await ask("/query", { query: "sum(up)", engine: "thanos", analyze: "1" }))
    .json();
  assert.ok(measured.data.analysis.children.length > 0 || measured.data.analysis.name !== "");
  const refused = await (await ask("/query", { query: "sum(up)", analyze: "true" })).json();
  assert.deepEqual(refused.warnings, ["Query not analyzable; change engine to 'thanos'."]);
  // Who was asked is known whatever the engine is called.
  assert.deepEqual(Object.keys(refused.data.analysis), ["fanout", "coverage"]);
  assert.deepEqual(
    measured.data.analysis.fanout.map((f: Record<string, unknown>) => [
      f.endpointAddr,
      f.numResponses,
      f.series,
      f.chunks,
      f.samples,
      f.bytesProcessed,
      typeof f.duration,
      typeof f.firstByte,
      f.error,
    ]),
    [["127.0.0.1:10901", 1, 2, 3, 121, 0, "string", "string", undefined]],
  );
});

Deno.test("stats are sent when asked for", async () => {
  const { ask } = make();
  const { data } = await (await ask("/query", { query: "up", stats: "all" })).json();
  assert.ok(data.stats.samples.totalQueryableSamples >= 2);
  assert.equal(typeof data.stats.timings.execTotalTime, "number");
  assert.equal((await (await ask("/query", { query: "up" })).json()).data.stats, undefined);
});

Deno.test("/stores groups endpoints by type and keeps 64-bit bounds", async () => {
  const status: EndpointStatus = {
    name: "127.0.0.1:1",
    componentType: "store",
    lastCheck: START,
    lastError: undefined,
    labelSets: [labelsFromRecord({ cluster: "eu1" }), EMPTY_LABELS],
    minTime: MIN_TIME,
    maxTime: MAX_TIME,
    roundTrip: undefined,
  };
  const { ask } = make({ endpoints: [status] });
  assert.equal(
    await (await ask("/stores")).text(),
    '{"status":"success","data":{"store":[{"name":"127.0.0.1:1",' +
      '"lastCheck":"2026-09-24T00:00:00.000Z","lastError":null,' +
      '"labelSets":[{"cluster":"eu1"},{}],"minTime":-9223372036854775808,' +
      '"maxTime":9223372036854775807}]}}\n',
  );
});

Deno.test("methods and paths outside the API are refused as Thanos does", async () => {
  const { app } = make();
  const values = await app.request("/api/v1/label/job/values", { method: "POST" });
  assert.equal(values.status, 405);
  assert.equal(values.headers.get("allow"), "GET, OPTIONS");
  assert.equal((await app.request("/api/v1/query", { method: "PUT" })).status, 405);
  assert.equal((await app.request("/api/v1/nope")).status, 404);
  assert.equal((await app.request("/api/v1/label/a%2fb/values")).status, 404);
});

Deno.test("a tenant that is no plain name is refused", async () => {
  const { app } = make();
  const answer = await app.request("/api/v1/query?query=1", {
    headers: { "THANOS-TENANT": "../x" },
  });
  assert.equal(answer.status, 400);
  assert.equal((await answer.json()).error, "tenant name not valid");
});

Deno.test("a query waits at the gate and frees its place, whatever its end", async () => {
  let inside = 0;
  let most = 0;
  const enter = () => {
    most = Math.max(most, ++inside);
    return Promise.resolve(() => void inside--);
  };
  const { ask } = make({ enter });
  assert.equal((await ask("/query", { query: "up" })).status, 200);
  assert.equal((await ask("/query", { query: "sum(" })).status, 400);
  assert.equal((await ask("/query", { query: "up * on() up" })).status, 422);
  assert.equal(most, 1);
  assert.equal(inside, 0);
  const full = make({
    enter: () => Promise.reject(new MnemeError("limit", "too many queries wait")),
  });
  assert.equal((await full.ask("/query", { query: "up" })).status, 422);
});

Deno.test("a query stops when the client goes away and when its time is over", async () => {
  let waiting = () => {};
  const reached = new Promise<void>((resolve) => waiting = resolve);
  const store = {
    beforeFrame: (_: number, { signal }: { signal: AbortSignal }) =>
      new Promise<void>((_resolve, reject) => {
        waiting();
        const stop = () => reject(new MnemeError("canceled", "context canceled"));
        if (signal.aborted) stop();
        else signal.addEventListener("abort", stop, { once: true });
      }),
  };
  const { app, ask } = make({ store, settings: { partialResponse: false } });
  const client = new AbortController();
  const pending = app.request(
    new Request("http://x/api/v1/query?query=up", { signal: client.signal }),
  );
  await reached;
  client.abort();
  const canceled = await pending;
  assert.equal(canceled.status, 503);
  assert.equal((await canceled.json()).errorType, "canceled");
  const late = await ask("/query", { query: "up", timeout: "0.02" });
  assert.ok(late.status === 503 || late.status === 422);
  assert.match((await late.json()).error, /timed out|deadline exceeded/);
});

Deno.test("labelName() decodes percent signs and Prometheus 3's escaping", () => {
  const name = (raw: string) => labelName(`http://x/api/v1/label/${raw}/values?x=1`);
  assert.equal(name("job"), "job");
  assert.equal(name("%e6%97%a5"), "日");
  assert.equal(name("U__a_2e_b__c"), "a.b_c");
  assert.equal(name("U__a_zz_"), "U__a_zz_");
  assert.equal(name("a%2Fb"), undefined);
});

Deno.test("the benchmark of JSON matrices runs", async () => {
  assert.equal((await runBench(bench, { size: "small" })).length, 3);
});
