/** Alerts, rules and dashboards: tested by promtool, up to date, and about metrics that exist. */
import assert from "node:assert/strict";
import { parseYaml, type YamlNode } from "../../lib/config/mod.ts";
import { type Expr, parseExpr, walkExpr } from "../../lib/promql/mod.ts";
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

/** Expressions of a rules file, with the names of rules for messages. */
function* ruleExpressions(file: string): Generator<readonly [place: string, query: string]> {
  for (const group of listOf(entryOf(parseYaml(read(file), { name: file }), "groups"))) {
    for (const rule of listOf(entryOf(group, "rules"))) {
      const name = textOf(entryOf(rule, "alert") ?? entryOf(rule, "record"));
      yield [`${file}: ${name}`, textOf(entryOf(rule, "expr"))];
    }
  }
}

function entryOf(node: YamlNode | undefined, key: string): YamlNode | undefined {
  return node?.kind === "map" ? node.entries.get(key) : undefined;
}

function listOf(node: YamlNode | undefined): readonly YamlNode[] {
  assert.ok(node?.kind === "list");
  return node.items;
}

function textOf(node: YamlNode | undefined): string {
  assert.ok(node?.kind === "scalar");
  return node.text;
}

/** Expressions of a dashboard's panels and the selectors of its variables, as Grafana sends them. */
function* dashboardExpressions(name: string): Generator<readonly [place: string, query: string]> {
  const { panels, templating } = JSON.parse(read(`dashboards/${name}`));
  for (const { title, targets } of panels) {
    for (const { expr } of targets ?? []) yield [`${name}: ${title}`, withVariables(expr)];
  }
  for (const variable of templating.list) {
    const selector = /^label_values\((.*), \w+\)$/.exec(variable.query)?.[1];
    assert.ok(variable.type === "datasource" || selector !== undefined, variable.query);
    if (selector !== undefined) yield [`${name}: $${variable.name}`, withVariables(selector)];
  }
}

function withVariables(query: string): string {
  const text = query.replaceAll("$__rate_interval", "1m").replaceAll("$job", "mneme|thanos");
  assert.ok(!text.includes("$"), `an unknown variable: ${query}`);
  return text;
}

const dashboards = [...Deno.readDirSync(`${mixin}dashboards`)].map(({ name }) => name);

/** Names of metrics by the first place that asks for them; throws where PromQL is wrong. */
function metricNames(): Map<string, string> {
  const names = new Map<string, string>();
  const expressions = [
    ...["alerts.yaml", "rules.yaml"].flatMap((file) => [...ruleExpressions(file)]),
    ...dashboards.flatMap((name) => [...dashboardExpressions(name)]),
  ];
  assert.ok(expressions.length > 100, `${expressions.length} expressions`);
  for (const [place, query] of expressions) {
    const expr = parsed(place, query);
    walkExpr(expr, (node) => {
      if (node.type !== "VectorSelector") return;
      assert.notEqual(node.name, "", `${place}: a selector without a name`);
      if (!names.has(node.name)) names.set(node.name, place);
    });
  }
  return names;
}

function parsed(place: string, query: string): Expr {
  try {
    return parseExpr(query);
  } catch (cause) {
    throw new Error(`${place}: ${query}`, { cause });
  }
}

Deno.test("every expression of alerts, rules and dashboards is PromQL about named metrics", () => {
  assert.ok(metricNames().size > 40);
});

Deno.test("every metric that the mixin asks for is exported by a running part or Prometheus", async () => {
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
  for (const { http } of [...servers, prometheus]) {
    const text = await (await fetch(`${http}/metrics`)).text();
    for (const [, name] of text.matchAll(/^# TYPE (\S+) /gm)) exported.add(name!);
  }
  // What Prometheus itself says of each target.
  exported.add("up");
  const missing = [...metricNames()].filter(([name]) =>
    !exported.has(name) && !exported.has(name.replace(/_(?:bucket|count|sum)$/, ""))
  );
  assert.deepEqual(missing, []);
});
