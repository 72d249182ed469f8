/**
 * Every metric that alerts, rules and dashboards ask of a part is on its page from the first moment,
 * with its type and all series to come.
 */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/mod.ts";
import { type Server, Stage, until } from "../mneme.ts";

/**
 * A family: its type and how its series begin. That of a histogram: its bounds (`""`: any), then how
 * its series begin.
 */
type Family = readonly [type: string, ...series: string[]];
type Families = Readonly<Record<string, Family>>;

const CODES = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];

/** Methods of gRPC as `service/method type`. */
const STORE_METHODS = [
  "thanos.Store/Series server_stream",
  "thanos.Store/LabelNames unary",
  "thanos.Store/LabelValues unary",
  "thanos.info.Info/Info unary",
];
const SERVED_ALWAYS = [
  "grpc.health.v1.Health/Check unary",
  "grpc.health.v1.Health/Watch server_stream",
  "grpc.reflection.v1.ServerReflection/ServerReflectionInfo bidi_stream",
];
const PROMETHEUS_METHODS = [
  "thanos.Rules/Rules server_stream",
  "thanos.Targets/Targets server_stream",
  "thanos.Metadata/MetricMetadata server_stream",
  "thanos.Exemplars/Exemplars server_stream",
];
const QUERY_METHODS = [
  "thanos.Query/Query server_stream",
  "thanos.Query/QueryRange server_stream",
];

/** Metrics of calls: a rate misses the first error of a series that begins with it. */
function calls(side: "server" | "client", methods: readonly string[]): Families {
  const series = (code: string) =>
    methods.map((method) => {
      const [, service, name, type] = /^(.*)\/(.*) (.*)$/.exec(method)!;
      return `{${code}grpc_method="${name}",grpc_service="${service}",grpc_type="${type}"`;
    });
  return {
    [`grpc_${side}_started_total`]: ["counter", ...series("")],
    [`grpc_${side}_msg_received_total`]: ["counter", ...series("")],
    [`grpc_${side}_msg_sent_total`]: ["counter", ...series("")],
    [`grpc_${side}_handled_total`]: [
      "counter",
      ...CODES.flatMap((code) => series(`grpc_code="${code}",`)),
    ],
    [`grpc_${side}_handling_seconds`]: ["histogram", "", ...series("")],
  };
}

function gate(prefix: string, what: string): Families {
  return {
    [`${prefix}_${what}_max`]: ["gauge", ""],
    [`${prefix}_${what}_in_flight`]: ["gauge", ""],
    [`${prefix}_${what}_total`]: ["counter", ""],
    [`${prefix}_${what}_duration_seconds`]: ["histogram", "", ""],
  };
}

const perOperation = ["iter", "get", "get_range", "exists", "attributes", "upload", "delete"]
  .map((operation) => `operation="${operation}"`);
const OBJSTORE: Families = {
  thanos_objstore_bucket_operations_total: ["counter", ...perOperation],
  thanos_objstore_bucket_operation_failures_total: ["counter", ...perOperation],
  thanos_objstore_bucket_operation_duration_seconds: ["histogram", "", ...perOperation],
  thanos_objstore_bucket_last_successful_upload_time: ["gauge", 'bucket="'],
};

/** What every part has. Sizes are summaries here; only a receiver has them as histograms. */
function common(component: string): Families {
  return {
    thanos_status: [
      "gauge",
      ...["ready", "healthy"].map((check) => `{component="${component}",check="${check}"}`),
    ],
    thanos_build_info: ["gauge", "goversion=", "version=", "revision=", "branch="],
    process_cpu_seconds_total: ["counter", ""],
    process_resident_memory_bytes: ["gauge", ""],
    process_start_time_seconds: ["gauge", ""],
    nodejs_heap_size_used_bytes: ["gauge", ""],
    nodejs_eventloop_lag_seconds: ["gauge", ""],
    http_requests_total: ["counter"],
    http_request_duration_seconds: ["histogram"],
    http_request_size_bytes: ["summary"],
    http_response_size_bytes: ["summary"],
    http_inflight_requests: ["gauge"],
  };
}

const SIDECAR: Families = {
  ...common("sidecar"),
  ...OBJSTORE,
  ...calls("server", [...STORE_METHODS, ...PROMETHEUS_METHODS, ...SERVED_ALWAYS]),
  thanos_sidecar_prometheus_up: ["gauge", ""],
  thanos_shipper_uploads_total: ["counter", ""],
};

const perItem = ["Postings", "ExpandedPostings", "Series"].map((type) => `item_type="${type}"`);
const perData = ["postings", "series", "chunks"]
  .map((type) => `{data_type="${type}",tenant="default-tenant"`);
const STORE: Families = {
  ...common("store"),
  ...OBJSTORE,
  ...calls("server", [...STORE_METHODS, ...SERVED_ALWAYS]),
  ...syncMetrics("thanos_blocks_meta"),
  ...gate("thanos_bucket_store_series_gate", "queries"),
  // Under the name that alerts of older versions ask for.
  thanos_bucket_store_series_gate_duration_seconds: ["histogram", "", ""],
  thanos_bucket_store_block_loads_total: ["counter", ""],
  thanos_bucket_store_block_load_failures_total: ["counter", ""],
  thanos_bucket_store_block_drops_total: ["counter", ""],
  thanos_bucket_store_block_drop_failures_total: ["counter", ""],
  thanos_bucket_store_sent_chunk_size_bytes: ["histogram", "", ""],
  thanos_bucket_store_series_blocks_queried: ["histogram", "", ""],
  thanos_bucket_store_series_data_fetched: ["histogram", "", ...perData],
  thanos_bucket_store_series_data_touched: ["histogram", "", ...perData],
  thanos_bucket_store_series_get_all_duration_seconds: ["histogram", "", ""],
  thanos_bucket_store_series_merge_duration_seconds: ["histogram", "", ""],
  thanos_bucket_store_series_result_series: ["histogram", "", ""],
  thanos_store_index_cache_requests_total: ["counter", ...perItem],
  thanos_store_index_cache_hits_total: ["counter", ...perItem],
  thanos_store_index_cache_items_added_total: ["counter", ...perItem],
  thanos_store_index_cache_items_evicted_total: ["counter", ...perItem],
};

const QUERY: Families = {
  ...common("query"),
  ...calls("client", [...STORE_METHODS, ...PROMETHEUS_METHODS, ...QUERY_METHODS]),
  ...calls("server", [
    ...STORE_METHODS,
    ...PROMETHEUS_METHODS,
    ...QUERY_METHODS,
    ...SERVED_ALWAYS,
  ]),
  ...gate("thanos_query_concurrent_gate", "queries"),
  ...Object.fromEntries(
    // The first under the name that alerts of older versions ask for.
    ["store_apis", "endpoints", "endpoint_groups"].flatMap((what) =>
      ["lookups", "failures"].map((event): [string, Family] => [
        `thanos_query_${what}_dns_${event}_total`,
        ["counter", ""],
      ])
    ),
  ),
};

const COMPACT: Families = {
  ...common("compact"),
  ...OBJSTORE,
  thanos_compact_retries_total: ["counter", ""],
  thanos_compact_iterations_total: ["counter", ""],
  thanos_compact_block_cleanup_loops_total: ["counter", ""],
  thanos_compact_aborted_partial_uploads_deletion_attempts_total: ["counter", ""],
  thanos_compact_blocks_cleaned_total: ["counter", ""],
  thanos_compact_block_cleanup_failures_total: ["counter", ""],
  thanos_compact_garbage_collected_blocks_total: ["counter", ""],
  thanos_compact_garbage_collection_total: ["counter", ""],
  thanos_compact_garbage_collection_failures_total: ["counter", ""],
  thanos_compact_blocks_marked_total: [
    "counter",
    '{marker="deletion-mark.json",reason=""}',
    '{marker="no-compact-mark.json",reason="block-index-out-of-order-chunk"}',
    '{marker="no-compact-mark.json",reason="index-size-exceeding"}',
  ],
  // Under the names that alerts and dashboards of older versions ask for.
  thanos_compact_blocks_marked_for_deletion_total: ["counter", ""],
  thanos_compact_downsample_failed_total: ["counter", ...resolutions("0", "300000")],
  thanos_compact_group_compactions_total: ["counter", ...resolutions("0", "300000", "3600000")],
  thanos_compact_group_compaction_runs_started_total: [
    "counter",
    ...resolutions("0", "300000", "3600000"),
  ],
  thanos_compact_group_compaction_runs_completed_total: [
    "counter",
    ...resolutions("0", "300000", "3600000"),
  ],
  thanos_compact_group_compactions_failures_total: [
    "counter",
    ...resolutions("0", "300000", "3600000"),
  ],
  thanos_compact_group_vertical_compactions_total: [
    "counter",
    ...resolutions("0", "300000", "3600000"),
  ],
  thanos_compact_downsample_total: ["counter", ...resolutions("0", "300000")],
  thanos_compact_downsample_failures_total: ["counter", ...resolutions("0", "300000")],
  thanos_compact_halted: ["gauge", ""],
  thanos_delete_delay_seconds: ["gauge", ""],
  thanos_consistency_delay_seconds: ["gauge", ""],
  thanos_compact_todo_compactions: ["gauge", ""],
  thanos_compact_todo_compaction_blocks: ["gauge", ""],
  thanos_compact_todo_downsample_blocks: ["gauge", ""],
  thanos_compact_todo_deletion_blocks: ["gauge", ""],
  thanos_compact_garbage_collection_duration_seconds: [
    "histogram",
    "0.01 0.1 0.3 0.6 1 3 6 9 20 30 60 90 120 240 360 720 +Inf",
  ],
  thanos_compact_downsample_duration_seconds: [
    "histogram",
    "60 300 900 1800 3600 7200 14400 +Inf",
  ],
  ...syncMetrics("thanos_blocks_meta"),
  ...syncMetrics("thanos_bucket_uiblocks_meta"),
  prometheus_tsdb_compactions_total: ["counter", ""],
  prometheus_tsdb_vertical_compactions_total: ["counter", ""],
  prometheus_tsdb_compaction_populating_block: ["gauge", ""],
  prometheus_tsdb_compaction_duration_seconds: [
    "histogram",
    "1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 +Inf",
  ],
  prometheus_tsdb_compaction_chunk_size_bytes: [
    "histogram",
    "32 48 72 108 162 243 364.5 546.75 820.125 1230.1875 1845.28125 2767.921875 +Inf",
  ],
  prometheus_tsdb_compaction_chunk_samples: [
    "histogram",
    "4 6 9 13.5 20.25 30.375 45.5625 68.34375 102.515625 153.7734375 230.66015625 345.990234375 " +
    "+Inf",
  ],
  prometheus_tsdb_compaction_chunk_range_seconds: [
    "histogram",
    "100 400 1600 6400 25600 102400 409600 1.6384e+06 6.5536e+06 2.62144e+07 +Inf",
  ],
};

/** What a mixin asks for and none of the four parts has, with the reason. */
const OF_OTHERS: readonly (readonly [names: RegExp, reason: string])[] = [
  [/^thanos_receive_/, "a receiver's"],
  [/^(?:thanos_(?:rule|alert)|prometheus_rule)_/, "a ruler's"],
  [/^(?:thanos_query_frontend|cortex_cache|querier_cache)_/, "a query frontend's"],
  [/^(?:thanos_replicate_|blocks_meta_synced$)/, "of the replication between buckets"],
  [/^prometheus_tsdb_data_replay_/, "Prometheus' own: the alert looks at the one beside a sidecar"],
  [/^go_/, "of Go's runtime: ours has process_* and nodejs_*, and none of these is made up"],
];

/** Handlers of the querier by a request to each. */
const HANDLERS: Readonly<Record<string, string>> = {
  query: "query?query=1",
  query_range: "query_range?query=1&start=0&end=1&step=1",
  label_names: "labels",
  label_values: "label/job/values",
  series: "series?match[]=up",
  stores: "stores",
  rules: "rules",
  alerts: "alerts",
  targets: "targets",
  metadata: "metadata",
  exemplars: "query_exemplars?query=up&start=0&end=1",
};

function resolutions(...values: string[]): string[] {
  return values.map((value) => `{resolution="${value}"}`);
}

function syncMetrics(prefix: string): Families {
  const states = [
    "corrupted-meta-json",
    "no-meta-json",
    "loaded",
    "too-fresh",
    "failed",
    "label-excluded",
    "time-excluded",
    "duplicate",
    "marked-for-deletion",
    "marked-for-no-compact",
    "parquet-migrated",
  ];
  return {
    [`${prefix}_base_syncs_total`]: ["counter", ""],
    [`${prefix}_base_cache_busts_total`]: ["counter", ""],
    [`${prefix}_syncs_total`]: ["counter", ""],
    [`${prefix}_sync_failures_total`]: ["counter", ""],
    [`${prefix}_sync_duration_seconds`]: ["histogram", "0.01 1 10 100 300 600 1000 +Inf"],
    [`${prefix}_synced`]: ["gauge", ...states.map((state) => `{state="${state}"}`)],
    [`${prefix}_modified`]: ["gauge", '{modified="replica-label-removed"}'],
  };
}

async function metricsOf(http: string): Promise<string> {
  return await (await fetch(`${http}/metrics`)).text();
}

/** Holds a page against the table of its part; promtool, where it is, has no remark about it. */
async function checkPage(page: string, families: Families): Promise<void> {
  const lines = page.split("\n");
  for (const [name, [type, ...rest]] of Object.entries(families)) {
    assert(lines.includes(`# TYPE ${name} ${type}`), `# TYPE ${name} ${type}`);
    const isHistogram = type === "histogram";
    if (isHistogram && rest[0]) {
      const bounds = new Set(
        lines.filter((line) => line.startsWith(`${name}_bucket{`))
          .map((line) => Number(/le="([^"]*)"/.exec(line)![1]!.replace("+Inf", "Infinity"))),
      );
      const expected = rest[0].split(" ").map((le) => Number(le.replace("+Inf", "Infinity")));
      assert.deepEqual([...bounds], expected, name);
    }
    const metric = isHistogram ? `${name}_count` : name;
    for (const series of isHistogram ? rest.slice(1) : rest) {
      assert(
        lines.some((line) =>
          line.startsWith(metric) && /^[{ ]$/.test(line.charAt(metric.length)) &&
          line.includes(series)
        ),
        metric + series,
      );
    }
  }
  for (const [, name] of page.matchAll(/^# TYPE (\S+) /gm)) {
    for (const [names, reason] of OF_OTHERS) assert.doesNotMatch(name!, names, reason);
  }
  if (isOnPath("promtool")) assert.equal(await remarksOfPromtool(page), "");
  else console.log("skipped: no promtool on PATH to check the page");
}

async function remarksOfPromtool(page: string): Promise<string> {
  const child = new Deno.Command("promtool", {
    args: ["check", "metrics"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(page));
  await writer.close();
  const { stdout, stderr } = await output;
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

async function withBucket(
  test: (stage: Stage, folder: string, flag: string) => Promise<void>,
): Promise<void> {
  await using stage = await Stage.open();
  const folder = `${stage.folder}/bucket`;
  await Deno.mkdir(folder);
  const config = JSON.stringify({ type: "FILESYSTEM", config: { directory: folder } });
  await test(stage, folder, `--objstore.config=${config}`);
}

Deno.test("a sidecar shows every metric of its part before anything happened", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: no prometheus on PATH");
  await withBucket(async (stage, _, bucket) => {
    const prometheus = await stage.startPrometheus("p", "global: {external_labels: {a: b}}\n");
    const sidecar = await stage.mneme("sidecar", [
      `--prometheus.url=${prometheus.http}`,
      `--tsdb.path=${prometheus.data}`,
      bucket,
    ]);
    await checkPage(await metricsOf(sidecar.http), SIDECAR);
    const own = await metricsOf(prometheus.http);
    assert.match(own, /^# TYPE prometheus_tsdb_data_replay_duration_seconds gauge$/m);
  });
});

Deno.test("a store shows every metric of its part before anything happened", async () => {
  await withBucket(async (stage, folder) => {
    await checkPage(await metricsOf((await stage.store(folder)).http), STORE);
  });
});

Deno.test("a querier shows every metric of its part before anything happened", async () => {
  await using stage = await Stage.open();
  const query = await stage.mneme("query", []);
  await checkPage(await metricsOf(query.http), QUERY);
  await checkHandlers(query);
});

/** Requests are counted under the names of handlers that dashboards choose by. */
async function checkHandlers({ http }: Server): Promise<void> {
  for (const path of Object.values(HANDLERS)) {
    const { status, body } = await fetch(`${http}/api/v1/${path}`);
    await body?.cancel();
    assert.equal(status, 200, path);
  }
  const page = await until("every request is counted", async () => {
    const now = await metricsOf(http);
    const counted = (handler: string) =>
      now.includes(
        `http_requests_total{code="200",handler="${handler}",method="get",tenant="default-tenant"} 1\n`,
      );
    return Object.keys(HANDLERS).every(counted) && now;
  });
  if (isOnPath("promtool")) assert.equal(await remarksOfPromtool(page), "");
}

Deno.test("a compactor shows every metric of its part before anything happened", async () => {
  await withBucket(async (stage, _, bucket) => {
    const compactor = await stage.mneme("compact", [
      bucket,
      `--data-dir=${stage.folder}/data`,
      "--wait",
    ]);
    await checkPage(await metricsOf(compactor.http), COMPACT);
  });
});
