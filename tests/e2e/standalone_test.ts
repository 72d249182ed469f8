/** Everything in one process, over a bucket on disk and beside a real Prometheus. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/mod.ts";
import { generateBlocks, runCommand, Stage, until } from "../mneme.ts";

async function ask(url: string, query: string, time?: number) {
  const params = new URLSearchParams({ query, partial_response: "false" });
  if (time !== undefined) params.set("time", String(time));
  const answer = await (await fetch(`${url}/api/v1/query?${params}`)).json();
  return answer.status === "success" ? answer.data.result : undefined;
}

Deno.test("standalone serves a bucket on disk and a Prometheus from one port", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: no prometheus on PATH");
  await using stage = await Stage.open();
  const data = `${stage.folder}/data`;
  await generateBlocks(`${data}/bucket`, "continuous-30d-tiny", 'cluster="past"');
  const prometheus = await stage.startPrometheus(
    "live",
    `global: {scrape_interval: 1s, external_labels: {cluster: now, replica: a}}
scrape_configs: [{job_name: self, static_configs: [{targets: ["localhost:PORT"]}]}]
`.replace("localhost:PORT", "127.0.0.1:1"),
  );
  const server = await stage.mneme("standalone", [
    `--data-dir=${data}`,
    `--prometheus.url=${prometheus.http}`,
    `--tsdb.path=${prometheus.data}`,
    "--query.replica-label=replica",
    "--query.arg=--query.default-evaluation-interval=30s",
    "--log.level=debug",
  ]);
  const { http } = server;
  const past = Date.parse("2025-12-31T20:00:00Z") / 1000;
  const blocks = await ask(http, "count by (cluster) (continuous_app_metric0)", past);
  assert.deepEqual(blocks, [{ metric: { cluster: "past" }, value: [past, "1"] }]);

  // The sidecar in the same process answers for the live one, its replica label removed.
  const up = await until("series of the live Prometheus", async () => {
    const result = await ask(http, 'up{cluster="now"}');
    return result?.length === 1 && result;
  });
  assert.equal(up[0].metric.replica, undefined);
  assert.equal(up[0].metric.cluster, "now");

  const stores = (await (await fetch(`${http}/api/v1/stores`)).json()).data;
  assert.deepEqual(Object.keys(stores).sort(), ["sidecar", "store"]);
  const all = await until("the compactor's view of the bucket", async () => {
    const { data } = await (await fetch(`${http}/api/v1/blocks?view=global`)).json();
    return data.blocks.length > 0 && data.blocks;
  });
  assert.equal(all.length, 9);

  // Both stores behind this process' own Store API.
  const above = await stage.mneme("query", [`--endpoint=${server.grpc}`]);
  const clusters = await until("both clusters through the Store API", async () => {
    const answer = await fetch(`${above.http}/api/v1/label/cluster/values`);
    const { data } = await answer.json();
    return data?.length === 2 && data;
  });
  assert.deepEqual(clusters, ["now", "past"]);

  // The doctor looks at all of it; this Prometheus and this bucket are as they should be.
  const config = `{type: FILESYSTEM, config: {directory: ${JSON.stringify(`${data}/bucket`)}}}`;
  const examined = await runCommand([
    "cmd/doctor.ts",
    `--objstore.config=${config}`,
    `--prometheus.url=${prometheus.http}`,
    `--endpoint=${server.grpc}`,
    `--data-dir=${data}/store`,
    "--output=json",
  ]);
  assert.equal(examined.code, 0, examined.stderr);
  const findings: { check: string; severity: string; message: string }[] = JSON.parse(
    examined.stdout,
  );
  assert.deepEqual(findings.filter((f) => /error|warning/.test(f.severity)), []);
  assert.ok(findings.some((f) => f.check === "disk" && /in use by a running/.test(f.message)));
  assert.ok(findings.some((f) => /is a query/.test(f.message)), examined.stdout);
  const ill = await runCommand(["cmd/doctor.ts", "--objstore.config={type: FILESYSTEN}"]);
  assert.equal(ill.code, 1);
  assert.match(ill.stdout, /^ERROR {3}config: bucket with type FILESYSTEN is not supported, use /m);
  assert.match(ill.stdout, /\n2 checks: 1 to mend, 0 to look at\n$/);
  assert.equal(ill.stderr, "");
  // A mistyped folder is told and not made.
  const nowhere = `${data}/nowhere`;
  const empty = await runCommand([
    "cmd/doctor.ts",
    `--objstore.config={type: FILESYSTEM, config: {directory: ${JSON.stringify(nowhere)}}}`,
  ]);
  assert.equal(empty.code, 0, empty.stderr);
  assert.match(empty.stdout, /^WARNING config: the folder of the bucket does not exist yet$/m);
  await assert.rejects(Deno.stat(nowhere), Deno.errors.NotFound);

  const metrics = await (await fetch(`${http}/metrics`)).text();
  assert.match(metrics, /^thanos_status\{part="store",component="store",check="ready"\} 1$/m);
  assert.match(metrics, /^thanos_compact_halted\{part="compact"\} 0$/m);
  assert.match(metrics, /^thanos_sidecar_prometheus_up\{part="sidecar-0"\} 1$/m);
  assert.equal(await server.child.stop(), 0);
  assert.match(server.child.tail.join("\n"), /msg=exiting/);
});

Deno.test("standalone refuses what its parts refuse, naming the flag", async () => {
  await using stage = await Stage.open();
  const { code, stderr } = await runCommand([
    "cmd/standalone.ts",
    `--data-dir=${stage.folder}/data`,
    "--store.arg=--index-cach-size=1GB",
  ]);
  assert.equal(code, 1);
  assert.match(stderr, /unknown long flag '--index-cach-size', did you mean '--index-cache-size'/);
  const paths = await runCommand(["cmd/standalone.ts", "--tsdb.path=a"]);
  assert.equal(paths.code, 1);
  assert.match(paths.stderr, /--tsdb\.path is given more often than --prometheus\.url/);
});
