/** The base application, asked in process. */
import assert from "node:assert/strict";
import type { Hono } from "hono";
import { CorruptionError, LimitError, MnemeError } from "../base/mod.ts";
import { createLogger, Metrics, Probe, silentLogger } from "../telemetry/mod.ts";
import { addStatusRoutes } from "./api_status.ts";
import { type AppOptions, createApp, requestIdOf } from "./app.ts";
import { acceptsGzip } from "./compress.ts";
import { httpError } from "./envelope.ts";
import { wantsOpenMetrics } from "./probe.ts";
import { route } from "./route.ts";

const BUILD = {
  version: "1.2.3",
  revision: "abc",
  branch: "main",
  buildUser: "u",
  buildDate: "d",
  runtime: "deno2",
  platform: "linux/x86_64",
};

function make(more: Partial<AppOptions> = {}, addRoutes: (api: Hono) => void = () => {}) {
  const metrics = new Metrics();
  const probe = new Probe("query", { metrics, logger: silentLogger });
  const app = createApp(
    { component: "query", probe, metrics, logger: silentLogger, ...more },
    (api) => {
      addStatusRoutes(api, {
        flags: { a: "1" },
        build: BUILD,
        startTime: 0,
        cwd: "/data",
      });
      route(api, "/query", ["GET", "POST"], (c) => {
        throw new MnemeError("bad_data", `<${c.req.query("query") ?? ""}>`);
      });
      route(api, "/labels", ["GET"], (c) => c.json({ text: "x".repeat(2000) }));
      route(api, "/label/:name/values", ["GET"], (c) => c.json(requestIdOf(c)));
      addRoutes(api);
    },
  );
  return { app, metrics, probe };
}

Deno.test("createApp() answers probes by state and any method", async () => {
  const { app, probe } = make({ routePrefix: "/p" });
  assert.equal((await app.request("/-/ready")).status, 503);
  assert.equal(await (await app.request("/-/healthy")).text(), "NOT OK\n");
  probe.ready();
  probe.healthy();
  assert.equal(await (await app.request("/-/ready", { method: "POST" })).text(), "OK");
  assert.equal((await app.request("/-/healthy")).status, 200);
});

Deno.test("createApp() turns errors into the envelope, escaped as Go does", async () => {
  const { app } = make();
  const answer = await app.request("/api/v1/query?query=%26");
  assert.equal(answer.status, 400);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(
    await answer.text(),
    '{"status":"error","errorType":"bad_data","error":"\\u003c\\u0026\\u003e"}\n',
  );
});

Deno.test("httpError() maps every kind", () => {
  const rows: [unknown, number, string][] = [
    [new MnemeError("execution", ""), 422, "execution"],
    [new LimitError("", 1, 2), 422, "execution"],
    [new MnemeError("canceled", ""), 503, "canceled"],
    [new DOMException("", "AbortError"), 503, "canceled"],
    [new MnemeError("timeout", ""), 503, "timeout"],
    [new MnemeError("unavailable", ""), 422, "execution"],
    [new MnemeError("not_found", ""), 404, "not_found"],
    [new MnemeError("permission", ""), 500, "internal"],
    [new CorruptionError(""), 422, "execution"],
    [new MnemeError("conflict", ""), 409, "conflict"],
    [new TypeError(""), 500, "internal"],
  ];
  for (const [error, status, errorType] of rows) {
    assert.deepEqual(httpError(error), { status, errorType });
  }
});

Deno.test("createApp() logs errors nobody foresaw with the request's id, and no others", async () => {
  const lines: string[] = [];
  const sink = (line: string) => void lines.push(line);
  const logger = createLogger({ level: "info", format: "logfmt", sink });
  const { app } = make({ logger }, (api) => {
    route(api, "/bug", ["GET"], () => {
      throw new TypeError("x is not a function");
    });
  });
  await app.request("/api/v1/query");
  assert.equal(lines.length, 0);
  await app.request("/api/v1/bug", { headers: { "x-request-id": "r1" } });
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /level=error .*request-id=r1 err="x is not a function"/);
});

Deno.test("createApp() keeps a request id or makes one", async () => {
  const { app } = make();
  const ask = async (headers: Record<string, string>) =>
    await (await app.request("/api/v1/label/a/values", { headers })).json();
  assert.equal(await ask({ "x-request-id": "mine" }), "mine");
  assert.match(await ask({}), /^[0-9A-Z]{26}$/);
  assert.match(await ask({ "x-request-id": "x".repeat(1000) }), /^[0-9A-Z]{26}$/);
});

Deno.test("createApp() refuses other methods with Allow, and HEAD on the API", async () => {
  const { app } = make();
  for (const method of ["DELETE", "HEAD"]) {
    const answer = await app.request("/api/v1/query", { method });
    assert.equal(answer.status, 405, method);
    assert.equal(answer.headers.get("allow"), "GET, POST, OPTIONS");
    assert.equal(answer.headers.get("access-control-allow-origin"), null);
    await answer.body?.cancel();
  }
});

Deno.test("createApp() sends CORS headers on answers and errors, not on 404", async () => {
  const { app } = make();
  const origin = async (path: string, method = "GET") => {
    const answer = await app.request(path, { method });
    await answer.body?.cancel();
    return [answer.status, answer.headers.get("access-control-allow-origin")];
  };
  assert.deepEqual(await origin("/api/v1/status/flags"), [200, "*"]);
  assert.deepEqual(await origin("/api/v1/query"), [400, "*"]);
  assert.deepEqual(await origin("/api/v1/whatever", "OPTIONS"), [204, "*"]);
  assert.deepEqual(await origin("/api/v1/nope"), [404, null]);
  assert.deepEqual(await origin("/metrics"), [200, null]);
  const off = make({ cors: false }).app;
  const answer = await off.request("/api/v1/status/flags");
  assert.equal(answer.headers.get("access-control-allow-origin"), null);
});

Deno.test("createApp() answers unknown paths as Go does and cleans slashes", async () => {
  const { app } = make();
  const lost = await app.request("/nope");
  assert.equal(lost.status, 404);
  assert.equal(await lost.text(), "404 page not found\n");
  const trailing = await app.request("/api/v1/query/?query=up");
  assert.equal(trailing.status, 301);
  assert.equal(trailing.headers.get("location"), "/api/v1/query?query=up");
  assert.equal((await app.request("//api/v1//query", { method: "POST" })).status, 307);
});

Deno.test("createApp() moves everything but probes and metrics under the prefix", async () => {
  const { app } = make({ routePrefix: "thanos/" });
  const status = async (path: string) => {
    const answer = await app.request(path);
    await answer.body?.cancel();
    return answer.status;
  };
  assert.equal(await status("/thanos/api/v1/status/flags"), 200);
  assert.equal(await status("/api/v1/status/flags"), 404);
  assert.equal(await status("/"), 302);
  assert.equal(await status("/thanos/"), 200);
  assert.equal(await status("/metrics"), 200);
});

Deno.test("createApp() compresses large answers only, and says what it varies by", async () => {
  const { app } = make({}, (api) => {
    const stream = (size: number) =>
      new Response(
        new ReadableStream({
          start(controller) {
            for (let i = 0; i < size; i++) controller.enqueue(new Uint8Array(10).fill(65));
            controller.close();
          },
        }),
      );
    route(api, "/small", ["GET"], () => stream(5));
    route(api, "/large", ["GET"], () => stream(1000));
  });
  const ask = async (path: string, accept: string) => {
    const answer = await app.request(`/api/v1/${path}`, { headers: { "accept-encoding": accept } });
    const encoding = answer.headers.get("content-encoding");
    const bytes = encoding === "gzip"
      ? answer.body!.pipeThrough(new DecompressionStream("gzip"))
      : answer.body!;
    const text = await new Response(bytes).text();
    return [encoding, text.length, answer.headers.get("vary")];
  };
  assert.deepEqual(await ask("labels", "gzip"), ["gzip", 2011, "Accept-Encoding"]);
  assert.deepEqual(await ask("labels", "br, gzip;q=0.5"), ["gzip", 2011, "Accept-Encoding"]);
  assert.deepEqual(await ask("labels", "*"), [null, 2011, "Accept-Encoding"]);
  assert.deepEqual(await ask("large", "gzip"), ["gzip", 10_000, "Accept-Encoding"]);
  assert.deepEqual(await ask("large", ""), [null, 10_000, "Accept-Encoding"]);
  assert.deepEqual(await ask("small", "gzip"), [null, 50, "Accept-Encoding"]);
});

for (const accept of ["gzip", "identity"]) {
  Deno.test(`createApp() tells the source when the client goes away (${accept})`, async () => {
    let cancelled!: () => void;
    const gone = new Promise<void>((resolve) => cancelled = resolve);
    const { app, metrics } = make({}, (api) => {
      route(api, "/endless", ["GET"], () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
            cancel: () => cancelled(),
          }),
        ));
    });
    const answer = await app.request("/api/v1/endless", { headers: { "accept-encoding": accept } });
    const reader = answer.body!.getReader();
    await reader.read();
    await reader.cancel();
    await gone;
    const text = await metrics.expose();
    assert.ok(text.includes('http_inflight_requests{handler="endless",method="get"} 0\n'), text);
    assert.ok(text.includes('http_requests_total{code="200",handler="endless",method="get"} 1\n'));
  });
}

Deno.test("createApp() answers odd paths without harm", async () => {
  const { app } = make();
  for (const path of ["/%zz", "/api/v1/label/%zz/values", "/%00", "/..%2f..%2fetc", "/a?%zz"]) {
    const answer = await app.request(path);
    assert.ok([200, 404].includes(answer.status), path);
    await answer.body?.cancel();
  }
});

Deno.test("acceptsGzip() wants gzip by name and not refused", () => {
  for (const yes of ["gzip", "deflate, gzip", "GZIP;q=1"]) {
    assert.equal(acceptsGzip(yes), true, yes);
  }
  for (const no of ["", "*", "br", "gzip;q=0", "gzip; q=0.0"]) {
    assert.equal(acceptsGzip(no), false, no);
  }
});

Deno.test("createApp() counts requests by handler and leaves unknown paths out", async () => {
  const { app, metrics } = make({
    tenant: { header: "THANOS-TENANT", fallback: "default-tenant" },
  });
  for (const path of ["/api/v1/label/a/values", "/api/v1/label/b/values", "/nope"]) {
    await (await app.request(path)).text();
  }
  await (await app.request("/api/v1/query", { method: "POST", headers: { "THANOS-TENANT": "t" } }))
    .text();
  const text = await metrics.expose();
  const line = (labels: string) => `http_requests_total{${labels}}`;
  assert.ok(
    text.includes(
      line('code="200",handler="label_values",method="get",tenant="default-tenant"') + " 2\n",
    ),
    text,
  );
  assert.ok(text.includes(line('code="400",handler="query",method="post",tenant="t"') + " 1\n"));
  assert.ok(!text.includes('code="404"'));
  assert.ok(
    text.includes('http_inflight_requests{handler="query",method="post",tenant="t"} 0\n'),
    text,
  );
  assert.ok(text.includes("http_response_size_bytes_sum"));
});

Deno.test("createApp() serves flags, runtime and build facts", async () => {
  const { app } = make();
  const data = async (path: string) =>
    (await (await app.request(`/api/v1/status/${path}`)).json()).data;
  assert.deepEqual(await data("flags"), { a: "1" });
  assert.equal((await data("buildinfo")).version, "1.2.3");
  assert.equal((await data("runtimeinfo")).CWD, "/data");
  assert.equal((await data("runtimeinfo")).startTime, "1970-01-01T00:00:00.000Z");
});

Deno.test("/metrics negotiates OpenMetrics", async () => {
  const prometheus =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
  assert.equal(wantsOpenMetrics(prometheus), true);
  assert.equal(wantsOpenMetrics("*/*"), false);
  assert.equal(wantsOpenMetrics(""), false);
  const { app } = make();
  const open = await app.request("/metrics", { headers: { accept: prometheus } });
  assert.match(open.headers.get("content-type")!, /^application\/openmetrics-text/);
  assert.ok((await open.text()).endsWith("# EOF\n"));
  const plain = await app.request("/metrics");
  assert.match(plain.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  assert.ok((await plain.text()).includes("thanos_status"));
});
