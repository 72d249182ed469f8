/** Alerts, rules and dashboards: tested by promtool, up to date, and about metrics that exist. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/mod.ts";
import { dashboardFiles } from "../../mixin/dashboards.ts";
import { generateBlocks, Stage } from "../mneme.ts";

const mixin = new URL("../../mixin/", import.meta.url).pathname;
const read = (name: string) => Deno.readTextFileSync(`${mixin}${name}`);

Deno.test("alerts fire and rest as the mixin's tests say", async () => {
  if (!isOnPath("promtool")) return console.log("skipped: no promtool on PATH");
  for (
    const args of [["check", "rules", "alerts.yaml", "rules.yaml"], ["test", "rules", "tests.yaml"]]
  ) {
    const { success, stdout, stderr } = await new Deno.Command("promtool", { args, cwd: mixin })
      .output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.ok(success, decode(stdout) + decode(stderr));
  }
});

Deno.test("every alert has a page in the runbook and tests of both outcomes", () => {
  const alerts = [...read("alerts.yaml").matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);
  assert.ok(alerts.length > 15);
  const runbook = read("runbook.md");
  const tests = read("tests.yaml");
  for (const name of alerts) {
    assert.ok(runbook.includes(`\n## ${name}\n`), `no page in the runbook: ${name}`);
    for (const outcome of ["fires", "is silent"]) {
      assert.ok(tests.includes(`- name: ${name} ${outcome}\n`), `no test: ${name} ${outcome}`);
    }
  }
});

Deno.test("dashboards are as their tables say (deno task mixin)", () => {
  for (const [name, text] of dashboardFiles()) assert.equal(read(`dashboards/${name}`), text, name);
});

/** Metric names in PromQL, without the endings of histograms. */
function metricNames(text: string): Set<string> {
  const names = text.matchAll(
    /\b((?:thanos|grpc_(?:client|server)|http|process|nodejs|prometheus)_[a-z0-9_]+)\b/g,
  );
  return new Set([...names].map(([, name]) => name!.replace(/_(?:bucket|count|sum)$/, "")));
}

Deno.test("every metric that the mixin asks for is exported by a running part", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: no prometheus on PATH");
  await using stage = await Stage.open();
  const bucket = `${stage.folder}/bucket`;
  await generateBlocks(bucket, "continuous-30d-tiny", 'cluster="past"');
  const objstore = `--objstore.config={type: FILESYSTEM, config: {directory: ${
    JSON.stringify(bucket)
  }}}`;
  const prometheus = await stage.startPrometheus("p", "global: {external_labels: {a: b}}\n");
  const servers = await Promise.all([
    stage.store(bucket),
    stage.mneme("query", []),
    stage.mneme("sidecar", [
      `--prometheus.url=${prometheus.http}`,
      `--tsdb.path=${prometheus.data}`,
      objstore,
    ]),
    stage.mneme("compact", ["--wait", objstore, `--data-dir=${stage.folder}/compact`]),
  ]);
  await (await fetch(`${servers[1]!.http}/api/v1/query?query=1`)).body?.cancel();
  const exported = new Set<string>();
  for (const { http } of servers) {
    const text = await (await fetch(`${http}/metrics`)).text();
    for (const [, name] of text.matchAll(/^# TYPE (\S+) /gm)) exported.add(name!);
  }
  const asked = [...metricNames(
    [
      read("alerts.yaml"),
      read("rules.yaml").replace(/- record: .*/g, ""),
      ...[...dashboardFiles().values()],
    ].join("\n"),
  )];
  assert.ok(asked.length > 40, `${asked.length} names`);
  const missing = asked.filter((name) => !exported.has(name));
  assert.deepEqual(missing, []);
});
