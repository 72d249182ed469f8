import assert from "node:assert/strict";
import { Hono } from "hono";
import { MnemeError } from "../base/mod.ts";
import { catalogFixture } from "../storeapi/testing/catalog_fixture.ts";
import type { Catalog } from "../storeapi/mod.ts";
import { addMetadataRoutes } from "./api_metadata.ts";
import { errorResponse } from "./envelope.ts";
import { Tenants, type TenantSettings } from "./tenant.ts";
import { TENANTS } from "./testing/query_fixture.ts";

function appOf(
  catalog: Partial<Catalog> = {},
  warnings: readonly string[] = [],
  tenants: Partial<TenantSettings> = {},
) {
  const asked: unknown[] = [];
  const whole = { ...catalogFixture("0", warnings), ...catalog };
  const noted = Object.fromEntries(
    Object.entries(whole).map(([name, ask]) => [name, (request: never, context: never) => {
      asked.push(request);
      return ask(request, context);
    }]),
  ) as unknown as Catalog;
  const app = new Hono();
  app.onError((error) => errorResponse(error));
  addMetadataRoutes(app, {
    catalog: noted,
    strategies: {
      rules: "warn",
      targets: "abort",
      metadata: "warn",
      exemplars: "warn",
      status: "warn",
    },
    tenants: new Tenants({ ...TENANTS, ...tenants }),
  });
  const get = async (path: string) => {
    const answer = await app.request(`/api/v1${path}`);
    return { status: answer.status, body: await answer.json(), headers: answer.headers };
  };
  return { app, get, asked };
}

Deno.test("/rules has Prometheus' names and what the field adds", async () => {
  const { get, asked } = appOf();
  const { body } = await get(
    "/rules?type=ALERT&match[]={a=%22b%22}&rule_name[]=n&rule_group[]=g&file[]=f",
  );
  assert.deepEqual(asked, [{
    type: "alert",
    matchers: ['{a="b"}'],
    ruleNames: ["n"],
    ruleGroups: ["g"],
    files: ["f"],
    partialResponse: "warn",
  }]);
  const evaluated = { health: "ok", lastEvaluation: "2026-09-21T14:13:20.123456789Z" };
  assert.deepEqual(body, {
    status: "success",
    data: {
      groups: [{
        name: "g",
        file: "/etc/rules.yml",
        rules: [
          {
            ...evaluated,
            name: "job:up",
            query: "sum by (job) (up)",
            labels: { replica: "0" },
            health: "err",
            lastError: "boom",
            evaluationTime: 0.5,
            type: "recording",
          },
          {
            ...evaluated,
            state: "firing",
            name: "Down",
            query: "up == 0",
            duration: 300,
            keepFiringFor: 60,
            labels: { severity: "page", replica: "0" },
            annotations: { summary: "{{ $value }}" },
            alerts: [ALERT],
            evaluationTime: 0.25,
            type: "alerting",
          },
        ],
        interval: 30,
        evaluationTime: 0.75,
        lastEvaluation: evaluated.lastEvaluation,
        limit: 7,
        partialResponseStrategy: "ABORT",
      }],
    },
  });
});

const ALERT = {
  labels: { alertname: "Down", job: "é" },
  annotations: { summary: "0" },
  state: "firing",
  activeAt: "2026-09-21T13:56:40Z",
  value: "1e+00",
  partialResponseStrategy: "ABORT",
};

Deno.test("/alerts has the instances of all rules, or null", async () => {
  assert.deepEqual((await appOf().get("/alerts")).body.data, { alerts: [ALERT] });
  const none = appOf({ rules: () => Promise.resolve({ value: [], warnings: [] }) });
  assert.deepEqual((await none.get("/alerts")).body.data, { alerts: null });
});

Deno.test("/targets, /metadata, /query_exemplars and /status/tsdb show what the catalog tells", async () => {
  const { get, asked } = appOf();
  const targets = (await get("/targets?state=active")).body.data;
  assert.deepEqual(targets.activeTargets[0], {
    discoveredLabels: { __address__: "h:1", replica: "0" },
    labels: { instance: "h:1", replica: "0" },
    scrapePool: "node",
    scrapeUrl: "http://h:1/metrics",
    globalUrl: "http://host:1/metrics",
    lastError: "refused",
    lastScrape: "2026-09-21T14:13:20.123456789Z",
    lastScrapeDuration: 0.125,
    health: "up",
  });
  assert.deepEqual(targets.droppedTargets, [{
    discoveredLabels: { __address__: "d:1", replica: "0" },
  }]);
  const metadata = (await get("/metadata?metric=up")).body.data;
  assert.deepEqual(Object.keys(metadata), ["up", "__proto__"]);
  assert.deepEqual(metadata.up[0], { type: "gauge", help: "Is it?", unit: "" });
  assert.deepEqual((await get("/metadata?limit=0")).body.data, {});
  const exemplars = (await get("/query_exemplars?query=m&start=1&end=2.5")).body.data;
  assert.deepEqual(exemplars[0].exemplars[0], {
    labels: { trace_id: "b" },
    value: "-1.5",
    timestamp: 1790000000.125,
  });
  const [statistics] = (await get("/status/tsdb?limit=3")).body.data;
  assert.equal(statistics.headStats.numSeries, 10);
  assert.deepEqual(asked, [
    { state: "active", partialResponse: "abort" },
    { metric: "up", limit: -1, partialResponse: "warn" },
    { query: "m", start: 1000, end: 2500, partialResponse: "warn" },
    { tenant: "", limit: 3, partialResponse: "warn", matchers: [] },
  ]);
});

Deno.test("wrong parameters and failures have the field's words", async () => {
  const { get, app } = appOf({
    targets: () => Promise.reject(new MnemeError("unavailable", "fetching targets from a:1: no")),
  });
  for (
    const [path, status, errorType, error] of [
      ["/rules?type=x", 400, "bad_data", "invalid rules parameter type='x'"],
      ["/targets?state=x", 400, "bad_data", "invalid targets parameter state='x'"],
      ["/metadata?limit=1x", 400, "bad_data", "invalid metric metadata limit='1x'"],
      [
        "/query_exemplars?query=sum(",
        500,
        "internal",
        "retrieving exemplars: proxy Exemplars: 1:5: parse error: unclosed left parenthesis",
      ],
      ["/targets", 500, "internal", "retrieving targets: fetching targets from a:1: no"],
    ] as const
  ) {
    const answer = await get(path);
    assert.equal(answer.status, status, path);
    assert.deepEqual(answer.body, { status: "error", errorType, error }, path);
  }
  const bad = await get("/rules?match[]={");
  assert.equal(bad.status, 500);
  assert.match(bad.body.error, /^error retrieving rules: parser ParseMetricSelector: /);
  assert.equal((await app.request("/api/v1/rules", { method: "POST" })).status, 405);
});

Deno.test("warnings of endpoints come along and are not cached", async () => {
  const { get } = appOf({}, ["fetching rules from b:1: no"]);
  const { body, headers } = await get("/rules");
  assert.deepEqual(body.warnings, ["fetching rules from b:1: no"]);
  assert.equal(headers.get("cache-control"), "no-store");
});

Deno.test("/status/tsdb asks for the tenant's own statistics when tenancy is enforced", async () => {
  const open = appOf();
  await open.get("/status/tsdb");
  assert.equal((open.asked[0] as { tenant: string }).tenant, "");
  const enforced = appOf({}, [], { enforced: true });
  await enforced.get("/status/tsdb");
  assert.equal((enforced.asked[0] as { tenant: string }).tenant, "default-tenant");
});
