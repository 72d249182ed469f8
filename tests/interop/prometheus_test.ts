/** Real promtool and Prometheus read what `block gen` writes, and answer as our querier does. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { compareAnswers } from "../answers.ts";
import { copyTree, runCommand, Stage } from "../mneme.ts";

const HOUR = 3_600_000;
/** A fixed, aligned end of the data: 2026-10-01T00:00:00Z. */
const END = 1_790_812_800_000;

/** Three two-hour blocks with every kind of series. */
function plan(): string {
  const docs: string[] = [];
  for (let block = 0; block < 3; block++) {
    const maxTime = END - block * 2 * HOUR;
    const series = [["COUNTER", "demo_requests_total", 5], ["GAUGE", "demo_load", 4], [
      "RANDOM",
      "demo_noise",
      3,
    ]].map(([type, name, targets]) =>
      `- labels:
    __name__: ${name}
    zone: z${block % 2}
  targets: ${targets}
  type: ${type}
  mintime: ${maxTime - 2 * HOUR}
  maxtime: ${maxTime - 15_000}
  jitter: 3e+07
  scrapeInterval: 15s
  changeInterval: 10m0s
  max: 2e+08
  min: 1e+07`
    ).join("\n");
    docs.push(`meta:
  blockmeta:
    ulid: "00000000000000000000000000"
    mintime: ${maxTime - 2 * HOUR}
    maxtime: ${maxTime}
    version: 1
  thanos:
    version: 0
    labels:
      cluster: eu1
    downsample:
      resolution: 0
    source: blockgen
series:
${series}
`);
  }
  return docs.join("---\n");
}

const QUERIES = [
  "demo_load",
  "sum(demo_load)",
  "sum by (zone) (rate(demo_requests_total[5m]))",
  "increase(demo_requests_total[10m])",
  "irate(demo_requests_total[2m])",
  "avg_over_time(demo_noise[7m])",
  "max_over_time(demo_noise[3m]) - min_over_time(demo_noise[3m])",
  "stddev_over_time(demo_noise[5m])",
  "quantile_over_time(0.9, demo_noise[10m])",
  "topk(2, demo_load)",
  "quantile by (zone) (0.25, demo_noise)",
  'count by (__name__) ({__name__=~"demo_.*"})',
  "demo_load / on (__blockgen_target__) group_left () demo_noise",
  "demo_load > 5e7 and demo_load < 1.5e8",
  'demo_noise unless on (__blockgen_target__) demo_load{__blockgen_target__="1"}',
  "deriv(demo_load[20m]) + predict_linear(demo_load[10m], 600)",
  'label_replace(demo_load, "t", "x-$1", "__blockgen_target__", "(.*)")',
  // A subquery asks at whole minutes, so the offset takes it off the scrape grid.
  "max_over_time(rate(demo_requests_total[2m] offset 7s)[30m:1m])",
  "changes(demo_load[1h]) + resets(demo_requests_total[1h])",
  "demo_load offset 13m + demo_load @ end()",
  'absent(demo_nothing{a="b"})',
  'histogram_quantile(0.5, label_replace(demo_noise, "le", "$1", "__blockgen_target__", "(.*)"))',
];

Deno.test({
  name: "real Prometheus serves generated blocks and answers 22 queries as our querier does",
  async fn() {
    if (!isOnPath("prometheus") || !isOnPath("promtool")) {
      console.log("skipped: prometheus and promtool are not on PATH");
      return;
    }
    await using stage = await Stage.open();
    const bucket = `${stage.folder}/bucket`;
    const gen = await runCommand(
      ["cmd/bench.ts", "block", "gen", `--output.dir=${bucket}`],
      plan(),
    );
    assert.equal(gen.code, 0, gen.stderr);
    await copyTree(bucket, `${stage.folder}/prometheus`);
    await analyze(bucket, 3);

    const store = await stage.store(bucket);
    const query = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
    const prometheus = await stage.prometheus(`${stage.folder}/prometheus`);
    // 7 s off the scrape grid, where left-open and left-closed ranges hold the same samples.
    const end = END / 1000 - 53;
    for (const q of QUERIES) {
      for (
        const path of [
          `query?${new URLSearchParams({ query: q, time: String(end) })}`,
          `query_range?${new URLSearchParams({
            query: q,
            start: String(end - 3600),
            end: String(end),
            step: "60",
          })}`,
        ]
      ) {
        const [theirs, ours] = await Promise.all(
          [prometheus, query.http].map(async (base) =>
            (await fetch(`${base}/api/v1/${path}`)).json()
          ),
        );
        assert.equal(ours.status, "success", JSON.stringify(ours));
        assert(
          !path.startsWith("query_range") || theirs.data.result.length > 0,
          `${q} has no data`,
        );
        assert.equal(compareAnswers(theirs, withoutExternal(ours)), undefined, `${q} (${path})`);
      }
    }
  },
});

/** Our series carry the block's external label; Prometheus knows none. */
// deno-lint-ignore no-explicit-any
function withoutExternal(answer: any): any {
  for (const series of Array.isArray(answer.data?.result) ? answer.data.result : []) {
    if (typeof series.metric === "object") delete series.metric.cluster;
  }
  return answer;
}

async function analyze(bucket: string, expected: number): Promise<void> {
  let blocks = 0;
  for await (const entry of Deno.readDir(bucket)) {
    const out = await new Deno.Command("promtool", {
      args: ["tsdb", "analyze", bucket, entry.name],
    }).output();
    const text = new TextDecoder().decode(out.stdout) + new TextDecoder().decode(out.stderr);
    assert(out.success, text);
    assert.match(text, /Postings \(unique label pairs\): \d+/);
    blocks++;
  }
  assert.equal(blocks, expected);
}

Deno.test({
  name: "real promtool analyses every block of the generated year",
  async fn() {
    if (!isOnPath("promtool")) {
      console.log("skipped: promtool is not on PATH");
      return;
    }
    await using stage = await Stage.open();
    const bucket = `${stage.folder}/bucket`;
    const planned = await runCommand([
      "cmd/bench.ts",
      "block",
      "plan",
      "--profile=continuous-365d-tiny",
      '--labels=cluster="eu1"',
    ]);
    assert.equal(planned.code, 0, planned.stderr);
    const gen = await runCommand(
      ["cmd/bench.ts", "block", "gen", `--output.dir=${bucket}`],
      planned.stdout,
    );
    assert.equal(gen.code, 0, gen.stderr);
    await analyze(bucket, 13);
  },
});
