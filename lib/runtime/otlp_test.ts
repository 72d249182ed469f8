/** Traces from spans to the collector. */
import assert from "node:assert/strict";
import { FakeClock } from "../base/mod.ts";
import { createLogger, silentLogger } from "../telemetry/mod.ts";
import { type OtlpOptions, OtlpTracer } from "./otlp.ts";
import { startTracing } from "./tracing.ts";

interface SentSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[];
  readonly status: { code?: number; message?: string };
}

/** A tracer whose requests are answered here. */
function tracing(
  options: Partial<OtlpOptions> = {},
  answer: () => Response = () => new Response("{}"),
) {
  const sent: SentSpan[] = [];
  const requests: { url: string; headers: Headers; body: Uint8Array<ArrayBuffer> }[] = [];
  const clock = new FakeClock(1_700_000_000_000);
  const tracer = new OtlpTracer({
    url: "http://collector:4318/v1/traces",
    headers: { "x-key": "k" },
    gzip: false,
    timeout: 1000,
    retry: { initial: 10, max: 20, elapsed: 100 },
    resource: { "service.name": "s" },
    sampler: { ratio: 1, parentBased: false },
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const body = new Uint8Array(await request.arrayBuffer());
      requests.push({ url: request.url, headers: request.headers, body });
      const response = answer();
      if (response.ok && !request.headers.has("content-encoding")) {
        const { resourceSpans } = JSON.parse(new TextDecoder().decode(body));
        sent.push(...resourceSpans[0].scopeSpans[0].spans);
      }
      return response;
    },
    clock,
    logger: silentLogger,
    ...options,
  });
  return { tracer, clock, sent, requests };
}

Deno.test("OtlpTracer.span() nests across awaits and sends times, attributes and failures", async () => {
  const { tracer, clock, sent, requests } = tracing();
  await assert.rejects(tracer.span("outer", { kind: "server" }, async (outer) => {
    outer.set("count", 3);
    outer.set("ratio", 0.5);
    outer.set("ok", true);
    await Promise.all(
      ["a", "b"].map((name) =>
        tracer.span(name, {}, async () => {
          await clock.sleep(5);
          assert.equal(tracer.current()?.traceId, outer.context.traceId);
        })
      ).concat(clock.advance(5)),
    );
    throw new Error("broke");
  }));
  assert.equal(tracer.current(), undefined);
  await tracer.flush();
  assert.deepEqual(sent.map((s) => s.name), ["a", "b", "outer"]);
  const [a, b, outer] = sent as [SentSpan, SentSpan, SentSpan];
  assert.equal(a.parentSpanId, outer.spanId);
  assert.equal(b.parentSpanId, outer.spanId);
  assert.equal(outer.parentSpanId, undefined);
  assert.match(outer.traceId, /^[0-9a-f]{32}$/);
  assert.equal(new Set(sent.map((s) => s.traceId)).size, 1);
  assert.equal(outer.kind, 2);
  assert.equal(outer.startTimeUnixNano, "1700000000000000000");
  assert.equal(outer.endTimeUnixNano, "1700000000005000000");
  assert.deepEqual(outer.status, { code: 2, message: "broke" });
  assert.deepEqual(outer.attributes, [
    { key: "count", value: { intValue: "3" } },
    { key: "ratio", value: { doubleValue: 0.5 } },
    { key: "ok", value: { boolValue: true } },
  ]);
  assert.equal(requests[0]!.url, "http://collector:4318/v1/traces");
  assert.equal(requests[0]!.headers.get("x-key"), "k");
  assert.equal(requests[0]!.headers.get("content-type"), "application/json");
});

const PARENT = { traceId: "a".repeat(32), spanId: "b".repeat(16) };
const SAMPLING: readonly [string, OtlpOptions["sampler"], boolean | undefined, boolean, number][] =
  [
    ["always", { ratio: 1, parentBased: false }, undefined, false, 1],
    ["never", { ratio: 0, parentBased: false }, undefined, false, 0],
    ["never, but forced", { ratio: 0, parentBased: false }, undefined, true, 1],
    ["always, the caller did not", { ratio: 1, parentBased: false }, false, false, 1],
    ["the caller decides: no", { ratio: 1, parentBased: true }, false, false, 0],
    ["the caller decides: yes", { ratio: 0, parentBased: true }, true, false, 1],
    ["nobody called", { ratio: 0, parentBased: true }, undefined, false, 0],
  ];
for (const [name, sampler, callerSampled, forced, spans] of SAMPLING) {
  Deno.test(`OtlpTracer samples: ${name}`, async () => {
    const { tracer, sent } = tracing({ sampler });
    const parent = callerSampled === undefined ? undefined : { ...PARENT, sampled: callerSampled };
    await tracer.span("one", { parent, forced }, () => tracer.span("two", {}, async () => {}));
    await tracer.flush();
    assert.equal(sent.length, 2 * spans);
    if (parent !== undefined && spans === 1) assert.equal(sent[1]!.parentSpanId, PARENT.spanId);
  });
}

Deno.test("OtlpTracer tries again while the collector is away, and drops with one log line", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "logfmt", sink: (l) => lines.push(l) });
  let down = 3;
  const { tracer, clock, sent, requests } = tracing(
    { logger },
    () => new Response("", { status: down-- > 0 ? 503 : 200 }),
  );
  tracer.begin("kept").end();
  const flushed = tracer.flush();
  for (let i = 0; i < 10; i++) {
    await clock.advance(20);
    await new Promise((resolve) => setTimeout(resolve));
  }
  await flushed;
  assert.equal(requests.length, 4);
  assert.deepEqual(sent.map((s) => s.name), ["kept"]);
  down = 1;
  const refused = tracing({ logger }, () => new Response("", { status: 400 }));
  refused.tracer.begin("lost").end();
  await refused.tracer.flush();
  assert.equal(refused.requests.length, 1);
  assert.equal(lines.length, 2, lines.join("\n"));
  assert.match(lines[1]!, /spans were dropped" spans=1/);
});

Deno.test("OtlpTracer compresses when asked to", async () => {
  const { tracer, requests } = tracing({ gzip: true });
  tracer.begin("one").end();
  await tracer.flush();
  assert.equal(requests[0]!.headers.get("content-encoding"), "gzip");
  const plain = new Blob([requests[0]!.body]).stream().pipeThrough(new DecompressionStream("gzip"));
  assert.match(await new Response(plain).text(), /"name":"one"/);
});

Deno.test("OtlpTracer keeps a bounded number of spans", async () => {
  const { tracer, sent } = tracing();
  for (let i = 0; i < 5000; i++) tracer.begin("one").end();
  await tracer.flush();
  assert.equal(sent.length, 4096);
});

const WRONG: readonly [string, RegExp][] = [
  ["config: {}", /^--tracing\.config: 'type' is required: use OTLP$/],
  ["type: JAEGER", /tracing type JAEGER is not supported: use OTLP/],
  ["type: OTLP\nconfig: {client_type: grpc}", /client_type 'grpc' is not supported: use http/],
  ["type: OTLP\nconfig: {client_typ: http}", /config line 2: client_typ: unknown key|client_typ/],
  [
    "type: OTLP\nconfig: {client_type: http, sampler_type: traceidratio, sampler_param: '2'}",
    /sampler_param '2' must be a number from 0 to 1/,
  ],
  [
    "type: OTLP\nconfig: {client_type: http, sampler_type: some}",
    /sampler_type 'some' is not known/,
  ],
  ["type: OTLP\nconfig: {client_type: http, compression: zstd}", /compression 'zstd' is not known/],
];
for (const [document, message] of WRONG) {
  Deno.test(`startTracing() refuses ${JSON.stringify(document)}`, () => {
    const parts = {
      source: "--tracing.config",
      service: "thanos-query",
      clock: new FakeClock(),
      logger: silentLogger,
      env: () => undefined,
      readText: () => "",
    };
    assert.throws(() => startTracing(document, parts), { message });
  });
}
