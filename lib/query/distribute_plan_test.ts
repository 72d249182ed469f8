import assert from "node:assert/strict";
import { parseExpr } from "../promql/mod.ts";
import { splitQuery } from "./distribute_plan.ts";

const split = (query: string, partition = ["cluster"]) => {
  const found = splitQuery(parseExpr(query), partition, 300_000);
  return found === undefined ? undefined : [found.query, ...found.parts.map((p) => p.query)];
};
const R = (i: number) => `{__remote_query__="${i}"}`;

Deno.test("splitQuery() pushes what keeps the partition labels whole", () => {
  for (
    const query of [
      "up",
      "-rate(x[5m] offset 1h) * 2 > 1",
      "histogram_quantile(0.9, rate(x[5m]))",
      "sum by (cluster, pod) (up)",
      "sum without (pod) (up)",
      "quantile by (cluster) (0.5, up)",
      "a / on (cluster, pod) group_left () b",
      "a and b",
      "max_over_time(rate(x[5m])[1h:1m])",
      'label_replace(up, "a", "$1", "b", "(.*)")',
      "time() - up",
    ]
  ) assert.deepEqual(split(query), [R(0), canonical(query)], query);
});

const canonical = (query: string) => splitQuery(parseExpr(query), [], 0)!.parts[0]!.query;

Deno.test("splitQuery() aggregates again what was aggregated in parts", () => {
  const table: [string, string[]][] = [
    ["sum(up)", [`sum(${R(0)})`, "sum by (cluster) (up)"]],
    ["count by (a) (up)", [`sum by (a) (${R(0)})`, "count by (a, cluster) (up)"]],
    ["max without (a, cluster) (up)", [
      `max without (a, cluster) (${R(0)})`,
      "max without (a) (up)",
    ]],
    ["topk by (a) (3, rate(x[1m]))", [
      `topk by (a) (3, ${R(0)})`,
      "topk by (a, cluster) (3, rate(x[1m]))",
    ]],
    ["avg by (a) (up)", [
      `(sum by (a) (${R(0)}) / sum by (a) (${R(1)}))`,
      "sum by (a, cluster) (up)",
      "count by (a, cluster) (up)",
    ]],
    ["sum(up) / sum(down)", [
      `sum(${R(0)}) / sum(${R(1)})`,
      "sum by (cluster) (up)",
      "sum by (cluster) (down)",
    ]],
    ["stddev(up)", [`stddev(${R(0)})`, "up"]],
    ["quantile(0.5, rate(x[5m]))", [`quantile(0.5, ${R(0)})`, "rate(x[5m])"]],
    ["sort(sum by (a) (up))", [`sort(sum by (a) (${R(0)}))`, "sum by (a, cluster) (up)"]],
    ["max(sum by (a) (up))", [`max(sum by (a) (${R(0)}))`, "sum by (a, cluster) (up)"]],
    ["a / on (pod) b", [`${R(0)} / on (pod) ${R(1)}`, "a", "b"]],
    ["a / ignoring (cluster) b", [`${R(0)} / ignoring (cluster) ${R(1)}`, "a", "b"]],
    ["scalar(sum(up)) + up", [`scalar(sum(${R(0)})) + ${R(1)}`, "sum by (cluster) (up)", "up"]],
  ];
  for (const [query, expected] of table) assert.deepEqual(split(query), expected, query);
});

Deno.test("splitQuery() leaves here what other queriers cannot answer in parts", () => {
  for (
    const query of [
      "1",
      "vector(1)",
      "absent(up)",
      "absent_over_time(up[5m])",
      "up @ 5",
      "up @ end()",
      "up offset -5m",
      'label_replace(up, "cluster", "$1", "b", "(.*)")',
    ]
  ) {
    const found = split(query);
    // The innermost selector may still be fetched from there.
    if (query.startsWith("label_replace")) assert.deepEqual(found?.slice(1), ["up"]);
    else assert.equal(found, undefined, query);
  }
  assert.deepEqual(split("up or vector(0)"), [`${R(0)} or vector(0)`, "up"]);
});

Deno.test("splitQuery() knows how far back each part looks", () => {
  const reach = (query: string) =>
    splitQuery(parseExpr(query), ["c"], 300_000)!.parts.map((p) => p.reach);
  assert.deepEqual(reach("up"), [300_000]);
  assert.deepEqual(reach("rate(x[10m] offset 1h)"), [4_200_000]);
  assert.deepEqual(reach("max_over_time(sum by (c) (up)[1h:1m] offset 1m)"), [3_960_000]);
  assert.deepEqual(reach("sum(rate(x[1m])) + sum(up)"), [60_000, 300_000]);
});
