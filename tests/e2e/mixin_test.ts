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
  const byPart = new Map<string, Set<string>>();
  for (const [i, part] of ["store", "query", "sidecar", "compact"].entries()) {
    const text = await (await fetch(`${servers[i]!.http}/metrics`)).text();
    const names = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!));
    byPart.set(part, names);
    for (const name of names) exported.add(name);
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
  // The mixin that Thanos publishes finds its metrics here, too, also those of older versions.
  for (const [part, names] of Object.entries(PUBLISHED)) {
    const absent = names.split(/\s+/).filter((name) => !byPart.get(part)!.has(name));
    assert.deepEqual(absent, [], `${part} does not export`);
  }
});

/** Metrics that alerts, rules and dashboards of Thanos' own mixin ask of each part. */
const PUBLISHED: Readonly<Record<string, string>> = {
  query:
    `grpc_client_handled_total grpc_client_handling_seconds grpc_client_started_total grpc_server_handled_total grpc_server_started_total http_request_duration_seconds http_requests_total thanos_query_concurrent_gate_queries_in_flight thanos_query_concurrent_gate_queries_max thanos_query_store_apis_dns_failures_total thanos_query_store_apis_dns_lookups_total`,
  store:
    `grpc_server_handled_total grpc_server_handling_seconds grpc_server_started_total thanos_bucket_store_block_drop_failures_total thanos_bucket_store_block_drops_total thanos_bucket_store_block_load_failures_total thanos_bucket_store_block_loads_total thanos_bucket_store_sent_chunk_size_bytes thanos_bucket_store_series_blocks_queried thanos_bucket_store_series_data_fetched thanos_bucket_store_series_data_touched thanos_bucket_store_series_gate_duration_seconds thanos_bucket_store_series_get_all_duration_seconds thanos_bucket_store_series_merge_duration_seconds thanos_bucket_store_series_result_series thanos_objstore_bucket_operation_duration_seconds thanos_objstore_bucket_operation_failures_total thanos_objstore_bucket_operations_total thanos_store_index_cache_hits_total thanos_store_index_cache_items_added_total thanos_store_index_cache_items_evicted_total thanos_store_index_cache_requests_total`,
  sidecar:
    `grpc_server_handled_total grpc_server_handling_seconds thanos_objstore_bucket_last_successful_upload_time thanos_objstore_bucket_operation_duration_seconds thanos_objstore_bucket_operation_failures_total thanos_objstore_bucket_operations_total thanos_sidecar_prometheus_up`,
  compact:
    `thanos_blocks_meta_sync_duration_seconds thanos_blocks_meta_sync_failures_total thanos_blocks_meta_syncs_total thanos_compact_block_cleanup_failures_total thanos_compact_blocks_cleaned_total thanos_compact_blocks_marked_for_deletion_total thanos_compact_downsample_failed_total thanos_compact_downsample_total thanos_compact_garbage_collection_duration_seconds thanos_compact_garbage_collection_failures_total thanos_compact_garbage_collection_total thanos_compact_group_compactions_failures_total thanos_compact_group_compactions_total thanos_compact_halted thanos_objstore_bucket_last_successful_upload_time thanos_objstore_bucket_operation_duration_seconds thanos_objstore_bucket_operation_failures_total thanos_objstore_bucket_operations_total`,
};
