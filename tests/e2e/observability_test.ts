/** What running processes tell about themselves: traces, request logs, metrics with exemplars. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/mod.ts";
import { generateBlocks, Stage, until } from "../mneme.ts";

interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly service: string;
}

/** A collector: takes OTLP over HTTP in JSON and keeps the spans. */
function collector(): { url: string; spans: SentSpan[]; server: Deno.HttpServer<Deno.NetAddr> } {
  const spans: SentSpan[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { resourceSpans } = await request.json();
    for (const { resource, scopeSpans } of resourceSpans) {
      const name = resource.attributes.find((a: { key: string }) => a.key === "service.name");
      for (const span of scopeSpans[0].spans) {
        spans.push({ ...span, service: name.value.stringValue });
      }
    }
    return new Response("{}", { headers: { "content-type": "application/json" } });
  });
  return { url: `127.0.0.1:${server.addr.port}`, spans, server };
}

Deno.test("a query is one trace over querier and store, and its exemplar names the trace", async () => {
  await using stage = await Stage.open();
  const sink = collector();
  try {
    const tracing = `--tracing.config=type: OTLP
config: {client_type: http, endpoint: "${sink.url}", insecure: true, sampler_type: neversample}`;
    const bucket = `${stage.folder}/bucket`;
    await generateBlocks(bucket, "continuous-30d-tiny", 'cluster="past"');
    const logging = `--request.logging-config=options:
  level: DEBUG
  decision: {log_start: true, log_end: true}`;
    const store = await stage.store(bucket, [
      tracing.replace("neversample", "parentbasedneversample"),
    ]);
    const query = await stage.mneme("query", [
      `--endpoint-strict=${store.grpc}`,
      tracing,
      logging,
      "--log.level=debug",
    ]);
    const traceparent = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-00`;
    const answer = await fetch(`${query.http}/api/v1/query?query=up&time=1767200000`, {
      headers: { traceparent, "x-thanos-force-tracing": "1", "x-request-id": "id-1" },
    });
    assert.equal((await answer.json()).status, "success");
    assert.equal(answer.headers.get("x-thanos-trace-id"), "ab".repeat(16));
    // Not forced and never sampled: no trace.
    const untraced = await fetch(`${query.http}/api/v1/labels`);
    await untraced.body?.cancel();
    assert.equal(untraced.headers.get("x-thanos-trace-id"), null);

    const open = await fetch(`${query.http}/metrics`, {
      headers: { accept: "application/openmetrics-text" },
    });
    assert.match(
      await open.text(),
      /^http_request_duration_seconds_bucket\{.*handler="query",.*\} 1 # \{traceID="(?:ab){16}"\} /m,
    );
    assert.equal(await query.child.stop(), 0);
    assert.equal(await store.child.stop(), 0);
    const named = (service: string, name: string) =>
      sink.spans.find((s) => s.service === service && s.name === name);
    const root = named("thanos-query", "HTTP GET query");
    const call = named("thanos-query", "/thanos.Store/Series");
    const served = named("thanos-store", "/thanos.Store/Series");
    assert.ok(root && call && served, JSON.stringify(sink.spans, null, 1));
    assert.equal(root.parentSpanId, "cd".repeat(8));
    assert.equal(call.parentSpanId, root.spanId);
    assert.equal(served.parentSpanId, call.spanId);
    for (const span of sink.spans) assert.equal(span.traceId, "ab".repeat(16), span.name);

    const logs = query.child.tail.join("\n");
    assert.match(
      logs,
      /level=debug service=http\/server msg="finished call" http\.method="GET \/api\/v1\/query\?query=up&time=1767200000" http\.request_id=id-1 .*http\.remote_addr=127\.0\.0\.1:\d+ .*http\.status_code=200 http\.time_ms=/,
    );
    assert.match(
      logs,
      /msg="started call" http\.method="GET \/api\/v1\/query\?query=up&time=1767200000"/,
    );
  } finally {
    await sink.server.shutdown();
  }
});

Deno.test("metrics are served as OpenMetrics, and calls that never happened are there as 0", async () => {
  await using stage = await Stage.open();
  const bucket = `${stage.folder}/bucket`;
  await Deno.mkdir(bucket);
  const store = await stage.store(bucket);
  const query = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
  await (await fetch(`${query.http}/api/v1/query?query=1`)).body?.cancel();
  const text = async (http: string, accept = "text/plain") =>
    await (await fetch(`${http}/metrics`, { headers: { accept } })).text();
  for (const http of [store.http, query.http]) {
    const open = await text(http, "application/openmetrics-text");
    assert.ok(open.endsWith("# EOF\n"));
  }
  const metrics = await until("the first Info call is counted", async () => {
    const now = await text(query.http);
    const counted =
      /grpc_client_handled_total\{grpc_code="OK",grpc_method="Info",grpc_service="thanos\.info\.Info",grpc_type="unary"\} [1-9]/;
    return counted.test(now) && now;
  });
  const zero = /^grpc_client_handled_total\{grpc_code="DataLoss",grpc_method="Series",.*\} 0$/m;
  assert.match(metrics, zero);
  assert.match(await text(store.http), /^grpc_server_handled_total\{grpc_code="Unknown".* 0$/m);
});

Deno.test("profiles are served when asked for, and only then", async () => {
  await using stage = await Stage.open();
  const open = await stage.mneme("query", ["--debug.pprof"]);
  const profile = await (await fetch(`${open.http}/debug/pprof/profile?seconds=0.2`)).json();
  assert.ok(profile.nodes.length > 0 && Array.isArray(profile.samples));
  const heap = await (await fetch(`${open.http}/debug/pprof/heap`)).json();
  assert.ok(heap.snapshot.node_count > 1000);
  assert.equal(
    (await (await fetch(`${open.http}/debug/pprof/profile?seconds=1e9`)).text())[0],
    "s",
  );
  const closed = await stage.mneme("query", []);
  const refused = await fetch(`${closed.http}/debug/pprof/heap`);
  assert.equal(refused.status, 404);
  assert.match(await refused.text(), /--debug\.pprof/);
});

Deno.test("a real Prometheus takes the metrics as OpenMetrics, with exemplars", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: no prometheus on PATH");
  await using stage = await Stage.open();
  const sink = collector();
  try {
    const query = await stage.mneme("query", [
      `--tracing.config=type: OTLP
config: {client_type: http, endpoint: "${sink.url}", insecure: true}`,
    ]);
    const store = await stage.mneme("standalone", [`--data-dir=${stage.folder}/data`]);
    await (await fetch(`${query.http}/api/v1/query?query=1`)).body?.cancel();
    const targets = [query.http, store.http].map((url) => JSON.stringify(new URL(url).host));
    const prometheus = await stage.startPrometheus(
      "scraper",
      `global: {scrape_interval: 1s}
scrape_configs: [{job_name: mneme, static_configs: [{targets: [${targets.join(", ")}]}]}]
`,
      ["--enable-feature=exemplar-storage"],
    );
    await until("both targets are up", async () => {
      const { data } = await (await fetch(`${prometheus.http}/api/v1/query?query=sum(up)`)).json();
      return data?.result[0]?.value[1] === "2";
    });
    const exemplars = await until("an exemplar is there", async () => {
      const params = new URLSearchParams({
        query: "http_request_duration_seconds_bucket",
        start: String(Date.now() / 1000 - 60),
        end: String(Date.now() / 1000 + 60),
      });
      const { data } = await (await fetch(`${prometheus.http}/api/v1/query_exemplars?${params}`))
        .json();
      return data?.length > 0 && data[0].exemplars;
    });
    assert.match(exemplars[0].labels.traceID, /^[0-9a-f]{32}$/);
  } finally {
    await sink.server.shutdown();
  }
});
