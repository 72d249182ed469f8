/** Distributed mode against local mode over the same series: both must answer alike. */
import assert from "node:assert/strict";
import { FakeClock } from "../base/mod.ts";
import { formatLabels, labelsFromRecord } from "../model/mod.ts";
import { Engine, type Value } from "../promql/mod.ts";
import type { ComponentInfo, QueryApi, Series, Store } from "../storeapi/mod.ts";
import { StoreProxy } from "../storeapi/mod.ts";
import { encodeSeriesData, floatSeries } from "../storeapi/testing/fixtures.ts";
import { MemoryStore } from "../storeapi/testing/memory_store.ts";
import { ActiveQueries } from "./active_queries.ts";
import { type DistributedEndpoint, Distributor } from "./distribute.ts";
import { Querier } from "./querier.ts";
import { type Planner, QueryRunner } from "./query_runner.ts";
import { RunnerQueryApi } from "./query_service.ts";

const START = 1_790_208_000_000;
const HOUR = 3_600_000;
const engine = new Engine();

/** Two metrics of three pods; the last one ends early when asked. */
function seriesOf(cluster: string, from: number, to: number, endsEarly = true): Series[] {
  return ["a", "b", "c"].flatMap((pod, p) =>
    ["x_total", "y"].map((name, n) => {
      const early = endsEarly && pod === "c";
      const count = Math.floor((to - from) / 15_000) - (early ? 40 : 0);
      return encodeSeriesData(
        floatSeries({ __name__: name, cluster, pod }, from, count, {
          value: (cluster.length + p) * 10 + n + (from - START) / 15_000,
          stale: early,
        }),
      );
    })
  );
}

function runnerOver(store: Store, plan?: Planner): QueryRunner {
  const clock = new FakeClock(START + 2 * HOUR);
  return new QueryRunner({
    engine,
    querier: new Querier({ stores: () => store, dedupFunction: "penalty" }),
    active: new ActiveQueries({ clock, makeId: () => "id" }),
    enter: () => Promise.resolve(() => {}),
    ...(plan === undefined ? {} : { plan }),
  });
}

interface Leaf {
  readonly address: string;
  readonly series: readonly Series[];
  readonly labels: readonly Record<string, string>[];
  readonly minTime: number;
  readonly maxTime: number;
  readonly unhealthy?: string;
  readonly failure?: Error;
  readonly isStore?: boolean;
}

function setUp(leaves: readonly Leaf[], partitionLabels: readonly string[] = ["cluster"]) {
  const asked: string[] = [];
  const local: string[] = [];
  const endpoints = leaves.map((leaf): DistributedEndpoint & { store: Store } => {
    const store = new MemoryStore({ series: leaf.series });
    const api = new RunnerQueryApi(runnerOver(store), {
      replicaLabels: ["replica"],
      timeout: 60_000,
      instantDefaultResolution: 0,
      engine: "thanos",
      lookback: (asked) => asked > 0 ? asked : 300_000,
      now: () => START + HOUR,
    });
    const query: QueryApi = {
      query(request, context) {
        asked.push(`${leaf.address} ${request.query}`);
        if (leaf.failure !== undefined) return Promise.reject(leaf.failure);
        return api.query(request, context);
      },
    };
    const sets = leaf.labels.map((l) => labelsFromRecord(l));
    const info: ComponentInfo = {
      labelSets: sets,
      componentType: leaf.isStore === true ? "store" : "query",
      store: {
        minTime: leaf.minTime,
        maxTime: leaf.maxTime,
        supportsSharding: true,
        supportsWithoutReplicaLabels: true,
        tsdbInfos: sets.map((labels) => ({
          labels,
          minTime: leaf.minTime,
          maxTime: leaf.maxTime,
        })),
      },
    };
    return {
      address: leaf.address,
      info,
      unhealthy: leaf.unhealthy,
      query: leaf.isStore === true ? undefined : query,
      store,
    };
  });
  const all = new StoreProxy({
    stores: () =>
      endpoints.map((e) => ({
        address: e.address,
        store: e.store,
        labelSets: e.info.labelSets,
        info: e.info.store!,
        unhealthy: e.unhealthy,
      })),
  });
  const distributor = new Distributor({
    engine,
    endpoints: () => endpoints,
    partitionLabels,
    overlapping: false,
    onLocal: (reason) => local.push(reason),
  });
  const distributed = runnerOver(all, (request, storage) => distributor.plan(request, storage));
  const single = runnerOver(all);
  const run = async (
    runner: QueryRunner,
    query: string,
    times: { start: number; end: number; step: number },
    partialResponse: "warn" | "abort" = "abort",
    deduplicate = true,
  ) => {
    const { result, recorder } = await runner.run({
      query,
      times,
      options: {
        deduplicate,
        replicaLabels: ["replica"],
        partialResponse,
        storeMatchers: [],
        tenant: "t",
        maxResolution: 0,
      },
      lookbackDelta: 300_000,
      timeout: 60_000,
      analyze: false,
      engine: "thanos",
      signal: new AbortController().signal,
    });
    return { value: plain(result.value), warnings: result.annotations.warnings, recorder };
  };
  return { asked, local, distributed, single, run };
}

function plain(value: Value): unknown {
  const number = (x: number) => Number.isNaN(x) ? "NaN" : Number(x.toPrecision(12));
  switch (value.type) {
    case "scalar":
      return number(value.value);
    case "string":
      return value.value;
    case "vector":
      return Object.fromEntries(
        value.labels.map((l, i) => [formatLabels(l), number(value.v[i]!)] as const)
          .sort(([a], [b]) => a < b ? -1 : 1),
      );
    case "matrix":
      return Object.fromEntries(
        value.series.map((s) => [
          formatLabels(s.labels),
          [...s.t].map((t, i) => [t, number(s.v[i]!)]),
        ]),
      );
  }
}

const QUERIES = [
  "y",
  "sum(y)",
  "avg by (pod) (y)",
  "count(y > 20)",
  "max without (pod) (y)",
  "min by (cluster) (rate(x_total[5m]))",
  "sum by (pod) (rate(x_total[5m])) / count by (pod) (y)",
  "topk(2, y)",
  "bottomk by (cluster) (1, y)",
  "stddev(y)",
  "quantile(0.5, rate(x_total[2m]))",
  "max(sum by (pod) (y))",
  "y / on (cluster, pod) x_total",
  'y - ignoring (cluster) group_left () y{cluster="eu"}',
  "absent(nothing)",
  "absent(y)",
  "sum(y) or vector(1)",
  "scalar(sum(y)) + y",
  "max_over_time(sum by (cluster) (y)[10m:1m])",
  "y offset 10m",
  'count_values("v", y > bool 20)',
  'sum(y{pod="c"})',
  "group(y)",
];

const clusters = [
  { address: "eu:1", cluster: "eu" },
  { address: "us:1", cluster: "us-east" },
].map(({ address, cluster }): Leaf => ({
  address,
  series: seriesOf(cluster, START, START + HOUR),
  labels: [{ cluster, replica: "0" }],
  minTime: START,
  maxTime: START + 2 * HOUR,
}));

Deno.test("distributed mode answers as local mode does, over clusters", async () => {
  const { run, distributed, single, asked } = setUp(clusters);
  for (const query of QUERIES) {
    for (
      const times of [
        { start: START + 600_000, end: START + HOUR + 400_000, step: 60_000 },
        { start: START + 3_500_000, end: START + 3_500_000, step: 0 },
        { start: START + 1_234_567, end: START + 1_234_567, step: 0 },
      ]
    ) {
      // The same lines in another order of equals are another answer of topk.
      const [a, b] = [await run(distributed, query, times), await run(single, query, times)];
      assert.deepEqual(a.value, b.value, `${query} ${JSON.stringify(times)}`);
    }
  }
  assert.ok(asked.includes("eu:1 sum by (cluster) (y)"), asked.slice(0, 8).join("\n"));
  assert.ok(asked.includes("us:1 sum by (pod, cluster) (y)"));
});

Deno.test("queriers of one partition divide the time between them", async () => {
  const cut = START + 30 * 60_000;
  const leaf = (address: string, from: number, to: number, maxTime = to): Leaf => ({
    address,
    series: seriesOf("eu", from, to, false),
    labels: [{ cluster: "eu" }],
    minTime: from,
    maxTime,
  });
  const times = { start: START + 300_000, end: START + HOUR - 60_000, step: 60_000 };
  const overlapping = setUp([
    leaf("old:1", START, cut + 20 * 60_000),
    leaf("new:1", cut, START + HOUR, START + 2 * HOUR),
    ...clusters.slice(1),
  ]);
  for (const query of ["sum(y)", "y", "sum by (pod) (rate(x_total[5m]))", "avg(y offset 2m)"]) {
    const [a, b] = [
      await overlapping.run(overlapping.distributed, query, times, "abort", false),
      // Deduplication would skip a sample where the older querier's data end.
      await overlapping.run(overlapping.single, query, times, "abort", false),
    ];
    assert.deepEqual(a.value, b.value, query);
  }
  assert.deepEqual(overlapping.local, []);
  const apart = setUp([
    leaf("old:1", START, cut),
    leaf("new:1", cut, START + HOUR, START + 2 * HOUR),
  ]);
  const [a, b] = [
    await apart.run(apart.distributed, "sum(y)", times),
    await apart.run(apart.single, "sum(y)", times),
  ];
  assert.deepEqual(a.value, b.value);
  assert.deepEqual(apart.local, ["old:1 and new:1 leave a gap between them"]);
});

Deno.test("what cannot be whole elsewhere is evaluated here", async () => {
  const range = { start: START + 600_000, end: START + HOUR, step: 60_000 };
  const mixed = setUp([
    ...clusters,
    {
      ...clusters[0]!,
      address: "store:1",
      labels: [{ cluster: "ap" }],
      isStore: true,
      series: seriesOf("ap", START, START + HOUR),
    },
  ]);
  assert.deepEqual(
    (await mixed.run(mixed.distributed, "sum(y)", range)).value,
    (await mixed.run(mixed.single, "sum(y)", range)).value,
  );
  assert.deepEqual(mixed.local, ["store:1 is no querier"]);
  // A store without any matching series is no hindrance.
  await mixed.run(mixed.distributed, 'sum(y{cluster="eu"})', range);
  assert.equal(mixed.local.length, 1);
  assert.deepEqual(mixed.asked, ['eu:1 sum by (cluster) (y{cluster="eu"})']);
  const { distributed, run, local } = setUp(clusters);
  await run(distributed, "sum(y)", { ...range, start: range.start + 1 });
  await run(distributed, "y @ 5", range);
  assert.equal(local.length, 2);
});

Deno.test("a querier that is away is a warning that names it, or the end of the query", async () => {
  const times = { start: START + HOUR / 2, end: START + HOUR / 2, step: 0 };
  const away: Leaf = { ...clusters[1]!, unhealthy: "connection refused" };
  for (
    const leaf of [away, { ...clusters[1]!, failure: new Error("connection refused") }]
  ) {
    const { run, distributed } = setUp([clusters[0]!, leaf]);
    const partial = await run(distributed, "count(y)", times, "warn");
    assert.deepEqual(partial.value, { "{}": 3 });
    assert.deepEqual(partial.warnings, ["remote query error (us:1): connection refused"]);
    await assert.rejects(run(distributed, "count(y)", times), {
      kind: "execution",
      message: "remote query error (us:1): connection refused",
    });
    const [eu, us] = partial.recorder.stores();
    assert.deepEqual([eu!.error, us!.error], [undefined, "connection refused"]);
    // It is not asked, and not missed, where it can have no part.
    const there = await run(distributed, 'count(y{cluster="eu"})', times);
    assert.deepEqual(there.value, { "{}": 3 });
  }
});
