/** Flags of the querier, under Thanos' names of today and of v0.26. */
import { flag } from "../lib/config/mod.ts";
import { grpcClientFlags, serverFlags, webFlags } from "./flags_common.ts";

const FEATURES = "PromQL features are switched on one by one";

export const queryFlags = {
  ...serverFlags,
  ...grpcClientFlags,
  ...webFlags,
  endpoints: flag.repeated(
    flag.kinds.address,
    "endpoint",
    "Addresses of statically configured Thanos API servers (repeatable). The scheme may be prefixed with 'dns+' or 'dnssrv+' to detect Thanos API servers through respective DNS lookups.",
    { aliases: ["store", "rule", "metadata", "exemplar", "target"] },
  ),
  strictEndpoints: flag.repeated(
    flag.kinds.address,
    "endpoint-strict",
    "Addresses of only statically configured Thanos API servers that are always used, even if the health check fails.",
    { aliases: ["store-strict"] },
  ),
  endpointGroups: flag.repeated(
    flag.kinds.address,
    "endpoint-group",
    "DNS name of statically configured Thanos API server groups (repeatable).",
  ),
  strictEndpointGroups: flag.repeated(
    flag.kinds.address,
    "endpoint-group-strict",
    "DNS name of statically configured Thanos API server groups that are always used.",
  ),
  endpointConfig: flag.pathOrContent(
    "endpoint.sd-config",
    "YAML file with endpoint definitions.",
    { expand: false },
  ),
  endpointConfigInterval: flag.duration(
    "endpoint.sd-config-reload-interval",
    "5m",
    "Interval between endpoint config refreshes.",
  ),
  infoTimeout: flag.duration(
    "endpoint.info-timeout",
    "5s",
    "Timeout of gRPC Info requests, and their period.",
    { hidden: true },
  ),
  sdFiles: flag.repeated(
    flag.kinds.string,
    "store.sd-files",
    "Path to files that contain addresses of store API servers. The path can be a glob pattern (repeatable).",
  ),
  sdInterval: flag.duration(
    "store.sd-interval",
    "5m",
    "Refresh interval to re-read file SD files; a changed file is read at the next health check.",
  ),
  sdDnsInterval: flag.duration("store.sd-dns-interval", "30s", "Interval between DNS resolutions."),
  sdDnsResolver: flag.string(
    "store.sd-dns-resolver",
    "",
    "Who resolves names of endpoints: golang, as by default, the machine with its hosts file and search domains; miekgdns its name servers alone.",
    { hidden: true },
  ),
  unhealthyTimeout: flag.duration(
    "store.unhealthy-timeout",
    "5m",
    "How long an endpoint that does not answer stays part of every answer's verdict.",
  ),
  responseTimeout: flag.duration(
    "store.response-timeout",
    "0ms",
    "If a store does not send any data within this time it is ignored with a warning, or fails the query. 0 disables it.",
  ),
  maxMessage: flag.size(
    "store.max-message-size",
    "64MiB",
    "The largest message accepted from an endpoint; a larger one fails that endpoint's answer.",
  ),
  limitSeries: flag.uint(
    "store.limits.request-series",
    "0",
    "The maximum series allowed for a single Series request. 0 means no limit.",
  ),
  limitSamples: flag.uint(
    "store.limits.request-samples",
    "0",
    "The maximum samples allowed for a single Series request; a chunk counts as 120. 0 means no limit.",
  ),
  selectorLabels: flag.repeated(
    flag.kinds.label,
    "selector-label",
    "Query selector labels that will be exposed in info endpoint (repeatable).",
  ),
  selectorRelabel: flag.pathOrContent(
    "selector.relabel-config",
    "YAML with relabeling configuration (actions keep, drop and hashmod) that selects TSDBs by their external labels.",
  ),
  timeout: flag.duration(
    "query.timeout",
    "2m",
    "Maximum time to process query by query node.",
  ),
  maxConcurrent: flag.int(
    "query.max-concurrent",
    "20",
    "Maximum number of queries processed concurrently by query node.",
  ),
  maxConcurrentSelect: flag.int(
    "query.max-concurrent-select",
    "4",
    "Maximum number of select requests made concurrently per a query.",
  ),
  maxSamples: flag.uint(
    "query.max-samples",
    "50000000",
    "Most samples a query may hold in memory at once.",
  ),
  lookbackDelta: flag.goDuration(
    "query.lookback-delta",
    undefined,
    "The maximum lookback duration for retrieving metrics during expression evaluations.",
  ),
  dynamicLookback: flag.bool(
    "query.dynamic-lookback-delta",
    true,
    "Adapt the lookback to the resolution of downsampled data.",
    { hidden: true },
  ),
  replicaLabels: flag.repeated(
    flag.kinds.string,
    "query.replica-label",
    "Labels to treat as a replica indicator along which data is de-duplicated (repeatable, or separated by commas). Data can still be queried without de-duplication using 'dedup=false'.",
  ),
  partitionLabels: flag.repeated(
    flag.kinds.string,
    "query.partition-label",
    "Labels that partition the leaf queriers. This is used to scope down the labelsets of leaf queriers when using the distributed query mode. If set, these labels must form a partition of the leaf queriers.",
  ),
  dedupFunction: flag.oneOf(
    ["penalty", "chain", "adaptive"],
    "deduplication.func",
    "penalty",
    "Deduplication algorithm for merging overlapping series: 'penalty' and 'chain' as in Thanos, or 'adaptive', which learns each series' interval and fills the gaps of one replica from the others without false counter resets.",
  ),
  engine: flag.oneOf(
    ["prometheus", "thanos"],
    "query.promql-engine",
    "prometheus",
    "Default PromQL engine to use; both names mean the same engine here.",
  ),
  mode: flag.oneOf(
    ["local", "distributed"],
    "query.mode",
    "local",
    "PromQL query mode. In distributed mode, parts of queries are evaluated by the queriers below.",
  ),
  disableFallback: flag.bool(
    "query.disable-fallback",
    false,
    "No fallback to another engine: always so, as one engine evaluates everything.",
    { hidden: true },
  ),
  xFunctions: flag.bool(
    "query.enable-x-functions",
    false,
    "Whether to enable extended rate functions (xrate, xincrease and xdelta).",
  ),
  overlappingInterval: flag.bool(
    "query.distributed-with-overlapping-interval",
    false,
    "In distributed mode, count a leaf querier's data from its oldest TSDB on.",
    { hidden: true },
  ),
  instantResolution: flag.duration(
    "query.instant.default.max_source_resolution",
    "0s",
    "Default value for max_source_resolution for instant queries.",
    { hidden: true },
  ),
  metadataRange: flag.goDuration(
    "query.metadata.default-time-range",
    "0s",
    "The default metadata time range for labels and series requests. 0 means no limit.",
  ),
  autoDownsampling: flag.bool(
    "query.auto-downsampling",
    false,
    "Enable automatic adjustment (step / 5) to what source of data should be used if no max_source_resolution param is specified.",
  ),
  strictResolution: flag.bool(
    "query.strict-resolution",
    false,
    "Use nothing coarser than the asked resolution, even where nothing else is kept: such stretches are empty.",
  ),
  partialResponse: flag.bool(
    "query.partial-response",
    true,
    "Enable partial response for queries if no partial_response param is specified.",
  ),
  rulePartialResponse: partialOf("rule"),
  targetPartialResponse: partialOf("target"),
  metadataPartialResponse: partialOf("metric-metadata"),
  exemplarPartialResponse: partialOf("exemplar"),
  statusPartialResponse: partialOf("status"),
  defaultEvaluationInterval: flag.duration(
    "query.default-evaluation-interval",
    "1m",
    "Set default evaluation interval for sub queries.",
  ),
  defaultStep: flag.duration(
    "query.default-step",
    "1s",
    "Set default step for range queries. Default step is only used when step is not set in UI.",
  ),
  activeQueryPath: flag.path(
    "query.active-query-path",
    "",
    "Directory to log currently active queries in the queries.active file.",
  ),
  features: flag.repeated(
    flag.kinds.string,
    "enable-feature",
    `Comma separated experimental feature names to enable (repeatable); ${FEATURES}.`,
  ),
  connectionLabels: flag.repeated(
    flag.enumKind(["external_labels", "store_type", "ip_port"]),
    "query.conn-metric.label",
    "Optional selection of query connection metric labels to be collected from endpoint set.",
    { defaults: ["external_labels", "store_type"] },
  ),
  telemetryDurations: quantiles(
    "request-duration-seconds-quantiles",
    "0.1 0.25 0.75 1.25 1.75 2.5 3 5 10",
  ),
  telemetrySamples: quantiles("request-samples-quantiles", "100 1000 10000 100000 1000000"),
  telemetrySeries: quantiles("request-series-seconds-quantiles", "10 100 1000 10000 100000"),
  tenantHeader: flag.string(
    "query.tenant-header",
    "THANOS-TENANT",
    "HTTP header to determine tenant.",
  ),
  defaultTenant: flag.string(
    "query.default-tenant-id",
    "default-tenant",
    "Default tenant ID to use if tenant header is not present.",
  ),
  tenantCertificateField: flag.oneOf(
    ["", "organization", "organizationalUnit", "commonName"],
    "query.tenant-certificate-field",
    "",
    "Use TLS client's certificate field to determine tenant for query requests. The other tenant flags do not count then.",
  ),
  enforceTenancy: flag.bool(
    "query.enforce-tenancy",
    false,
    "Enforce tenancy on query APIs: responses are returned only from series of the request's tenant.",
  ),
  tenantLabel: flag.string(
    "query.tenant-label-name",
    "tenant_id",
    "Label name to use when enforcing tenancy (if --query.enforce-tenancy is enabled).",
  ),
  alertUrl: flag.string(
    "alert.query-url",
    "",
    "URL of the querier that expressions on the pages of rules and alerts link to. Defaults to the one that serves the page.",
  ),
  proxyStrategy: flag.oneOf(
    ["eager", "lazy"],
    "grpc.proxy-strategy",
    "eager",
    "Strategy to use when proxying Series requests to leaf nodes.",
    { hidden: true },
  ),
  lazyBuffer: flag.uint(
    "query.lazy-retrieval-max-buffered-responses",
    "20",
    "Frames of one store that wait for the merge, with the lazy strategy.",
    { hidden: true },
  ),
} as const;

function partialOf(api: string) {
  return flag.bool(
    `${api}.partial-response`,
    true,
    `Enable partial response for the ${api} endpoint.`,
    { hidden: true },
  );
}

function quantiles(name: string, defaults: string) {
  return flag.repeated(
    flag.kinds.float,
    `query.telemetry.${name}`,
    "The quantiles for exporting metrics about the request.",
    { defaults: defaults.split(" ") },
  );
}
