import assert from "node:assert/strict";
import { type Labels, labelsFromRecord, labelsToRecord } from "../model/mod.ts";
import type {
  Catalog,
  ComponentInfo,
  ExemplarsRequest,
  RulesRequest,
  Told,
} from "../storeapi/mod.ts";
import {
  alertOf,
  catalogFixture,
  groupOf,
  recordingOf,
  STATISTICS,
} from "../storeapi/testing/catalog_fixture.ts";
import { type CatalogEndpoint, CatalogProxy } from "./catalog_proxy.ts";

const context = { signal: new AbortController().signal, tenant: "" };
const ALL: ComponentInfo = {
  labelSets: [],
  componentType: "sidecar",
  rules: true,
  targets: true,
  metricMetadata: true,
  exemplars: { minTime: 0, maxTime: 0 },
  status: true,
};
const RULES: RulesRequest = {
  type: "all",
  partialResponse: "warn",
  matchers: [],
  ruleNames: [],
  ruleGroups: [],
  files: [],
};

function endpoint(
  address: string,
  catalog: Partial<Catalog>,
  more: Partial<CatalogEndpoint> = {},
): CatalogEndpoint {
  const full = { ...catalogFixture("0"), ...catalog };
  return { address, info: ALL, catalog: full, unhealthy: undefined, ...more };
}

function proxyOf(endpoints: readonly CatalogEndpoint[], replicaLabels = ["replica"]): CatalogProxy {
  return new CatalogProxy({ endpoints: () => endpoints, replicaLabels });
}

function told<T>(value: T): Promise<Told<T>> {
  return Promise.resolve({ value, warnings: [] });
}

const pair = () => [
  endpoint("a:1", catalogFixture("0")),
  endpoint("b:1", catalogFixture("1")),
];

Deno.test("rules() makes one of replicas' rules and keeps the more urgent, later one", async () => {
  const late = { seconds: 1_790_000_009, nanos: 0 };
  const one = groupOf("0", {
    rules: [
      { alert: alertOf("0", { state: "inactive" }), recording: undefined },
      { alert: undefined, recording: recordingOf("0", { health: "old" }) },
    ],
  });
  const two = groupOf("1", {
    rules: [
      { alert: undefined, recording: recordingOf("1", { health: "new", lastEvaluation: late }) },
      { alert: alertOf("1", { state: "pending" }), recording: undefined },
      { alert: alertOf("1", { duration: 1 }), recording: undefined },
    ],
  });
  const other = groupOf("1", { name: "f", rules: [] });
  const proxy = proxyOf([
    endpoint("a:1", { rules: () => told([one]) }),
    endpoint("b:1", { rules: () => told([two, other]) }),
  ]);
  const { value, warnings } = await proxy.rules(RULES, context);
  assert.deepEqual(warnings, []);
  assert.deepEqual(value.map((g) => g.name), ["f", "g"]);
  assert.deepEqual(
    value[1]!.rules.map((r) => [
      r.alert?.state ?? r.recording!.health,
      r.alert?.duration,
      { ...labelsToRecord((r.alert ?? r.recording!).labels) },
    ]),
    [
      ["firing", 1, { severity: "page" }],
      ["pending", 300, { severity: "page" }],
      ["new", undefined, {}],
    ],
  );
});

Deno.test("rules() filters by type, selectors, names, groups and files", async () => {
  const names = async (parts: Partial<RulesRequest>) => {
    const { value } = await proxyOf(pair()).rules({ ...RULES, ...parts }, context);
    return value.map((g) => g.rules.map((r) => (r.alert ?? r.recording!).name).join()).join(";");
  };
  assert.equal(await names({}), "Down,job:up");
  assert.equal(await names({ type: "alert" }), "Down");
  assert.equal(await names({ type: "record" }), "job:up");
  assert.equal(await names({ matchers: ['{severity="page"}'] }), "Down");
  assert.equal(await names({ matchers: ['{severity="page"}', '{severity=""}'] }), "");
  assert.equal(await names({ ruleNames: ["job:up", "x"] }), "job:up");
  assert.equal(await names({ ruleGroups: ["x"] }), "");
  assert.equal(await names({ files: ["/etc/rules.yml"] }), "Down,job:up");
  await assert.rejects(proxyOf(pair()).rules({ ...RULES, matchers: ["{"] }, context));
});

Deno.test("a failing endpoint is a warning or an error, and only those that offer are asked", async () => {
  const fails = () => Promise.reject(new Error("no connection"));
  const endpoints = [
    endpoint("a:1", {}),
    endpoint("b:1", { rules: fails, exemplars: fails }),
    endpoint("c:1", { rules: fails }, { unhealthy: "silent since then" }),
    endpoint("d:1", { rules: fails }, { info: { labelSets: [], componentType: "store" } }),
  ];
  const { value, warnings } = await proxyOf(endpoints).rules(RULES, context);
  assert.equal(value.length, 1);
  assert.deepEqual(warnings, [
    "fetching rules from b:1: no connection",
    "fetching rules from c:1: silent since then",
  ]);
  await assert.rejects(
    proxyOf(endpoints).rules({ ...RULES, partialResponse: "abort" }, context),
    /fetching rules from [bc]:1: /,
  );
});

Deno.test("an endpoint that hangs is given up after the time-out", async () => {
  const hangs = (_: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  const proxy = new CatalogProxy({
    endpoints: () => [endpoint("a:1", { targets: hangs }), endpoint("b:1", {})],
    replicaLabels: [],
    timeout: 20,
  });
  const request = { state: "any", partialResponse: "warn" } as const;
  const { value, warnings } = await proxy.targets(request, context);
  assert.equal(value.activeTargets.length, 1);
  assert.match(warnings.join(), /fetching targets from a:1/);
});

Deno.test("targets(), metricMetadata() and tsdbStatistics() join what replicas tell", async () => {
  const proxy = proxyOf(pair());
  const partialResponse = "abort";
  const targets = await proxy.targets({ state: "any", partialResponse }, context);
  assert.equal(targets.value.activeTargets.length, 1);
  assert.equal(targets.value.droppedTargets.length, 1);
  const raw = await proxyOf(pair(), []).targets({ state: "any", partialResponse }, context);
  assert.equal(raw.value.activeTargets.length, 2);

  const all = await proxy.metricMetadata({ metric: "", limit: -1, partialResponse }, context);
  assert.deepEqual([...all.value].map(([n, metas]) => [n, metas.length]), [
    ["__proto__", 1],
    ["up", 2],
  ]);
  const one = await proxy.metricMetadata({ metric: "", limit: 1, partialResponse }, context);
  assert.equal(one.value.size, 1);

  const request = { tenant: "", limit: 1, partialResponse, matchers: [] } as const;
  const { value } = await proxy.tsdbStatistics(request, context);
  const joined = value.get("")!;
  assert.deepEqual(joined.head, {
    ...STATISTICS.head,
    numSeries: 20,
    numLabelPairs: 40,
    chunkCount: 60,
  });
  assert.deepEqual(joined.seriesCountByMetricName, [{ name: "m", value: 12 }]);
  assert.deepEqual(joined.labelValueCountByLabelName, [{ name: "job", value: 3 }]);
});

Deno.test("exemplars() asks each endpoint for the selectors that concern it", async () => {
  const asked: string[] = [];
  const at = (address: string, componentType: string, ...labelSets: Labels[]) =>
    endpoint(address, {
      exemplars: (request: ExemplarsRequest) => {
        asked.push(`${address} ${request.query}`);
        return told([]);
      },
    }, { info: { ...ALL, componentType, labelSets } });
  const eu = labelsFromRecord({ cluster: "eu", replica: "0" });
  const us = labelsFromRecord({ cluster: "us" });
  const endpoints = [
    at("eu:1", "sidecar", eu),
    at("us:1", "sidecar", us),
    at("q:1", "query", eu, us),
    at("none:1", "rule"),
  ];
  const query = 'rate(a{cluster="eu"}[5m]) / b{job!="x"}';
  const request = { query, start: 0, end: 1, partialResponse: "warn" } as const;
  await proxyOf(endpoints).exemplars(request, context);
  assert.deepEqual(asked, [
    'eu:1 {__name__="a"}+{job!="x", __name__="b"}',
    'us:1 {job!="x", __name__="b"}',
    'q:1 {cluster="eu", __name__="a"}+{job!="x", __name__="b"}',
    'none:1 {cluster="eu", __name__="a"}+{job!="x", __name__="b"}',
  ]);
  await assert.rejects(proxyOf(endpoints).exemplars({ ...request, query: "sum(" }, context));
});

Deno.test("exemplars() joins series of replicas, sorts and drops doubles", async () => {
  const request = { query: "m", start: 0, end: 1, partialResponse: "warn" } as const;
  const { value } = await proxyOf(pair()).exemplars(request, context);
  assert.equal(value.length, 1);
  assert.deepEqual(value[0]!.exemplars.map((e) => e.value), [2, -1.5]);
});
