/**
 * Writes `mixin/dashboards/*.json` for Grafana from the tables below.
 *
 *   deno task mixin
 */

/** A graph: expressions with their legends. `$job` is the dashboard's choice of jobs. */
interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly queries: readonly (readonly [expr: string, legend: string])[];
  readonly help?: string;
}

interface Dashboard {
  readonly name: string;
  readonly title: string;
  /** Jobs that the variable offers. */
  readonly jobs: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

const RATE = "[$__rate_interval]";
const quantiles = (metric: string, by: string, more = ""): Panel["queries"] =>
  [0.5, 0.9, 0.99].map((q) => [
    `histogram_quantile(${q}, sum by (${by}le) (rate(${metric}_bucket{job=~"$job"${more}}${RATE})))`,
    `p${q * 100} ${by === "" ? "" : `{{${by.split(",")[0]!.trim()}}}`}`.trim(),
  ]);
const rate = (metric: string, by: string, more = ""): Panel["queries"][number] => [
  `sum by (${by}) (rate(${metric}{job=~"$job"${more}}${RATE}))`,
  by.split(",").map((label) => `{{${label.trim()}}}`).join(" "),
];

const RESOURCES = {
  title: "Resources",
  panels: [
    {
      title: "CPU",
      unit: "short",
      queries: [[`rate(process_cpu_seconds_total{job=~"$job"}${RATE})`, "{{instance}}"]],
      help: "Cores in use.",
    },
    {
      title: "Memory",
      unit: "bytes",
      queries: [
        [`process_resident_memory_bytes{job=~"$job"}`, "{{instance}}"],
        [`nodejs_heap_size_used_bytes{job=~"$job"}`, "heap {{instance}}"],
        [`nodejs_external_memory_bytes{job=~"$job"}`, "buffers {{instance}}"],
      ],
    },
    {
      title: "Lag of the event loop",
      unit: "s",
      queries: [[`nodejs_eventloop_lag_seconds{job=~"$job"}`, "{{instance}}"]],
    },
    {
      title: "Open files",
      unit: "short",
      queries: [[`process_open_fds{job=~"$job"}`, "{{instance}}"]],
    },
  ],
} as const satisfies Dashboard["rows"][number];

const GRPC_SERVER = {
  title: "Store API",
  panels: [
    { title: "Calls", unit: "reqps", queries: [rate("grpc_server_handled_total", "grpc_method")] },
    {
      title: "Failures",
      unit: "reqps",
      queries: [
        rate("grpc_server_handled_total", "grpc_method, grpc_code", `,grpc_code!~"OK|Canceled"`),
      ],
    },
    {
      title: "Duration",
      unit: "s",
      queries: quantiles("grpc_server_handling_seconds", "grpc_method, "),
    },
  ],
} as const satisfies Dashboard["rows"][number];

const BUCKET = {
  title: "Bucket",
  panels: [
    {
      title: "Requests",
      unit: "reqps",
      queries: [rate("thanos_objstore_bucket_operations_total", "operation")],
      help: "What the provider bills.",
    },
    {
      title: "Failures",
      unit: "reqps",
      queries: [rate("thanos_objstore_bucket_operation_failures_total", "operation")],
    },
    {
      title: "Duration",
      unit: "s",
      queries: quantiles("thanos_objstore_bucket_operation_duration_seconds", "operation, "),
    },
  ],
} as const satisfies Dashboard["rows"][number];

const DASHBOARDS: readonly Dashboard[] = [
  {
    name: "overview",
    title: "Mneme / Overview",
    jobs: "thanos_build_info",
    rows: [
      {
        title: "Queries",
        panels: [
          {
            title: "Requests",
            unit: "reqps",
            queries: [rate("http_requests_total", "job, handler", `,handler=~"query|query_range"`)],
          },
          {
            title: "Errors",
            unit: "percentunit",
            queries: [[
              `sum by (job) (rate(http_requests_total{job=~"$job",code=~"5.."}${RATE})) / sum by (job) (rate(http_requests_total{job=~"$job"}${RATE}))`,
              "{{job}}",
            ]],
          },
          {
            title: "Duration",
            unit: "s",
            queries: quantiles(
              "http_request_duration_seconds",
              "handler, ",
              `,handler=~"query|query_range"`,
            ),
          },
        ],
      },
      {
        title: "Parts",
        panels: [
          {
            title: "Ready",
            unit: "short",
            queries: [[
              `min by (job, component) (thanos_status{job=~"$job",check="ready"})`,
              "{{job}} {{component}}",
            ]],
          },
          {
            title: "Versions",
            unit: "short",
            queries: [[
              `count by (job, version) (thanos_build_info{job=~"$job"})`,
              "{{job}} {{version}}",
            ]],
          },
          {
            title: "Prometheus reached",
            unit: "short",
            queries: [[`thanos_sidecar_prometheus_up{job=~"$job"}`, "{{instance}}"]],
          },
        ],
      },
      BUCKET,
      RESOURCES,
    ],
  },
  {
    name: "query",
    title: "Mneme / Query",
    jobs: "thanos_query_concurrent_gate_queries_max",
    rows: [
      {
        title: "HTTP API",
        panels: [
          {
            title: "Requests",
            unit: "reqps",
            queries: [rate("http_requests_total", "handler, code")],
          },
          {
            title: "Duration",
            unit: "s",
            queries: quantiles("http_request_duration_seconds", "handler, "),
          },
          {
            title: "Requests by tenant",
            unit: "reqps",
            queries: [rate("http_requests_total", "tenant")],
          },
          {
            title: "Running and waiting",
            unit: "short",
            queries: [
              [
                `thanos_query_concurrent_gate_queries_in_flight{job=~"$job"}`,
                "running {{instance}}",
              ],
              [`thanos_query_concurrent_gate_queries_max{job=~"$job"}`, "allowed {{instance}}"],
            ],
          },
        ],
      },
      {
        title: "Endpoints",
        panels: [
          {
            title: "Known endpoints",
            unit: "short",
            queries: [[
              `sum by (store_type) (thanos_store_nodes_grpc_connections{job=~"$job"})`,
              "{{store_type}}",
            ]],
          },
          {
            title: "Calls to endpoints",
            unit: "reqps",
            queries: [rate("grpc_client_handled_total", "grpc_method")],
          },
          {
            title: "Failed calls",
            unit: "reqps",
            queries: [
              rate(
                "grpc_client_handled_total",
                "grpc_method, grpc_code",
                `,grpc_code!~"OK|Canceled"`,
              ),
            ],
          },
          {
            title: "Duration of calls",
            unit: "s",
            queries: quantiles("grpc_client_handling_seconds", "grpc_method, "),
          },
          {
            title: "DNS",
            unit: "reqps",
            queries: [
              [
                `sum(rate(thanos_query_endpoints_dns_lookups_total{job=~"$job"}${RATE}))`,
                "lookups",
              ],
              [
                `sum(rate(thanos_query_endpoints_dns_failures_total{job=~"$job"}${RATE}))`,
                "failures",
              ],
            ],
          },
        ],
      },
      RESOURCES,
    ],
  },
  {
    name: "store",
    title: "Mneme / Store gateway",
    jobs: "thanos_bucket_store_blocks_loaded",
    rows: [
      GRPC_SERVER,
      {
        title: "Blocks",
        panels: [
          {
            title: "Loaded blocks",
            unit: "short",
            queries: [[`thanos_bucket_store_blocks_loaded{job=~"$job"}`, "{{instance}}"]],
          },
          {
            title: "Blocks by state",
            unit: "short",
            queries: [[`sum by (state) (thanos_blocks_meta_synced{job=~"$job"})`, "{{state}}"]],
          },
          {
            title: "Loads, drops and failures",
            unit: "short",
            queries: [
              [`sum(increase(thanos_bucket_store_block_loads_total{job=~"$job"}${RATE}))`, "loads"],
              [`sum(increase(thanos_bucket_store_block_drops_total{job=~"$job"}${RATE}))`, "drops"],
              [
                `sum(increase(thanos_bucket_store_block_load_failures_total{job=~"$job"}${RATE}))`,
                "failures",
              ],
            ],
          },
          {
            title: "Damaged chunks",
            unit: "short",
            queries: [[
              `sum by (instance) (increase(thanos_bucket_store_corrupt_chunks_total{job=~"$job"}${RATE}))`,
              "{{instance}}",
            ]],
          },
        ],
      },
      {
        title: "Queries",
        panels: [
          {
            title: "Blocks in a query",
            unit: "short",
            queries: quantiles("thanos_bucket_store_series_blocks_queried", ""),
          },
          {
            title: "Series in an answer",
            unit: "short",
            queries: quantiles("thanos_bucket_store_series_result_series", ""),
          },
          {
            title: "Data fetched",
            unit: "short",
            queries: quantiles("thanos_bucket_store_series_data_fetched", "data_type, "),
          },
          {
            title: "Waiting for a place",
            unit: "s",
            queries: quantiles("thanos_bucket_store_series_gate_queries_duration_seconds", ""),
          },
          {
            title: "Queries over a limit",
            unit: "reqps",
            queries: [rate("thanos_bucket_store_queries_dropped_total", "reason")],
          },
        ],
      },
      {
        title: "Index cache",
        panels: [
          {
            title: "Hits",
            unit: "percentunit",
            queries: [[
              `sum by (item_type) (rate(thanos_store_index_cache_hits_total{job=~"$job"}${RATE})) / sum by (item_type) (rate(thanos_store_index_cache_requests_total{job=~"$job"}${RATE}))`,
              "{{item_type}}",
            ]],
          },
          {
            title: "Requests",
            unit: "reqps",
            queries: [rate("thanos_store_index_cache_requests_total", "item_type")],
          },
          {
            title: "Added and evicted",
            unit: "reqps",
            queries: [
              [
                `sum(rate(thanos_store_index_cache_items_added_total{job=~"$job"}${RATE}))`,
                "added",
              ],
              [
                `sum(rate(thanos_store_index_cache_items_evicted_total{job=~"$job"}${RATE}))`,
                "evicted",
              ],
            ],
          },
        ],
      },
      BUCKET,
      RESOURCES,
    ],
  },
  {
    name: "sidecar",
    title: "Mneme / Sidecar",
    jobs: "thanos_sidecar_prometheus_up",
    rows: [
      {
        title: "Prometheus",
        panels: [
          {
            title: "Reached",
            unit: "short",
            queries: [[`thanos_sidecar_prometheus_up{job=~"$job"}`, "{{instance}}"]],
          },
          {
            title: "Time since the last answer",
            unit: "s",
            queries: [[
              `time() - thanos_sidecar_last_heartbeat_success_time_seconds{job=~"$job"}`,
              "{{instance}}",
            ]],
          },
          {
            title: "Reloads",
            unit: "short",
            queries: [
              [
                `sum by (instance) (increase(thanos_sidecar_reloader_reloads_total{job=~"$job"}${RATE}))`,
                "{{instance}}",
              ],
              [
                `sum by (instance) (increase(thanos_sidecar_reloader_reloads_failed_total{job=~"$job"}${RATE}))`,
                "failed {{instance}}",
              ],
            ],
          },
        ],
      },
      {
        title: "Uploads",
        panels: [
          {
            title: "Blocks uploaded",
            unit: "short",
            queries: [
              [
                `sum by (instance) (increase(thanos_shipper_uploads_total{job=~"$job"}[3h]))`,
                "{{instance}}",
              ],
              [
                `sum by (instance) (increase(thanos_shipper_upload_failures_total{job=~"$job"}[3h]))`,
                "failed {{instance}}",
              ],
            ],
            help: "Within 3 hours: one or two for each Prometheus.",
          },
          {
            title: "Blocks that wait",
            unit: "short",
            queries: [[`thanos_shipper_pending_blocks{job=~"$job"}`, "{{instance}}"]],
          },
          {
            title: "Time since the last upload",
            unit: "s",
            queries: [[
              `time() - (thanos_objstore_bucket_last_successful_upload_time{job=~"$job"} > 0)`,
              "{{instance}}",
            ]],
          },
        ],
      },
      GRPC_SERVER,
      BUCKET,
      RESOURCES,
    ],
  },
  {
    name: "compact",
    title: "Mneme / Compactor",
    jobs: "thanos_compact_halted",
    rows: [
      {
        title: "To do",
        panels: [
          {
            title: "Compactions",
            unit: "short",
            queries: [
              [`sum(thanos_compact_todo_compactions{job=~"$job"})`, "compactions"],
              [`sum(thanos_compact_todo_compaction_blocks{job=~"$job"})`, "blocks"],
            ],
          },
          {
            title: "Blocks to downsample",
            unit: "short",
            queries: [[`sum(thanos_compact_todo_downsample_blocks{job=~"$job"})`, "blocks"]],
          },
          {
            title: "Blocks to delete",
            unit: "short",
            queries: [[`sum(thanos_compact_todo_deletion_blocks{job=~"$job"})`, "blocks"]],
          },
          {
            title: "Halted",
            unit: "short",
            queries: [[`thanos_compact_halted{job=~"$job"}`, "{{instance}}"]],
          },
        ],
      },
      {
        title: "Done",
        panels: [
          {
            title: "Compactions",
            unit: "short",
            queries: [
              [
                `sum(increase(thanos_compact_group_compactions_total{job=~"$job"}${RATE}))`,
                "done",
              ],
              [
                `sum(increase(thanos_compact_group_compactions_failures_total{job=~"$job"}${RATE}))`,
                "failed",
              ],
            ],
          },
          {
            title: "Downsampled blocks",
            unit: "short",
            queries: [[
              `sum(increase(thanos_compact_downsample_total{job=~"$job"}${RATE}))`,
              "done",
            ]],
          },
          {
            title: "Blocks deleted",
            unit: "short",
            queries: [
              [`sum(increase(thanos_compact_blocks_cleaned_total{job=~"$job"}${RATE}))`, "deleted"],
              [
                `sum(increase(thanos_compact_block_cleanup_failures_total{job=~"$job"}${RATE}))`,
                "failed",
              ],
            ],
          },
          {
            title: "Looks at the bucket",
            unit: "s",
            queries: quantiles("thanos_blocks_meta_sync_duration_seconds", ""),
          },
        ],
      },
      BUCKET,
      RESOURCES,
    ],
  },
];

const WIDTH = 24;
const HEIGHT = 8;

function print(dashboard: Dashboard): string {
  let id = 0;
  let y = 0;
  const panels: unknown[] = [];
  for (const row of dashboard.rows) {
    panels.push({
      id: ++id,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: WIDTH, h: 1 },
      panels: [],
    });
    const inRow = Math.min(row.panels.length, 3);
    row.panels.forEach((panel, i) => {
      const w = WIDTH / inRow;
      panels.push({
        id: ++id,
        type: "timeseries",
        title: panel.title,
        ...(panel.help === undefined ? {} : { description: panel.help }),
        datasource: { type: "prometheus", uid: "$datasource" },
        gridPos: { x: (i % inRow) * w, y: y + Math.floor(i / inRow) * HEIGHT, w, h: HEIGHT },
        fieldConfig: {
          defaults: { unit: panel.unit, min: 0, custom: { fillOpacity: 8 } },
          overrides: [],
        },
        options: {
          legend: { displayMode: "list", placement: "bottom" },
          tooltip: { mode: "multi" },
        },
        targets: panel.queries.map(([expr, legendFormat], n) => ({
          refId: String.fromCharCode(65 + n),
          expr,
          legendFormat,
        })),
      });
    });
    y += Math.ceil(row.panels.length / inRow) * HEIGHT;
  }
  const variable = { hide: 0, includeAll: false, multi: false };
  return `${
    JSON.stringify(
      {
        uid: `mneme-${dashboard.name}`,
        title: dashboard.title,
        tags: ["mneme"],
        timezone: "utc",
        schemaVersion: 39,
        refresh: "30s",
        time: { from: "now-3h", to: "now" },
        templating: {
          list: [
            { ...variable, name: "datasource", type: "datasource", query: "prometheus" },
            {
              ...variable,
              name: "job",
              type: "query",
              datasource: { type: "prometheus", uid: "$datasource" },
              query: `label_values(${dashboard.jobs}, job)`,
              refresh: 2,
              includeAll: true,
              multi: true,
              allValue: ".+",
              current: { text: "All", value: "$__all" },
            },
          ],
        },
        panels,
      },
      null,
      1,
    )
  }\n`;
}

/** File texts by name. */
export function dashboardFiles(): Map<string, string> {
  return new Map(DASHBOARDS.map((d) => [`${d.name}.json`, print(d)]));
}

if (import.meta.main) {
  const folder = new URL("dashboards/", import.meta.url).pathname;
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, text] of dashboardFiles()) await Deno.writeTextFile(`${folder}${name}`, text);
  console.log(`${DASHBOARDS.length} dashboards in mixin/dashboards`);
}
