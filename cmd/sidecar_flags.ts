/** Flags of the sidecar, under Thanos' names. */
import { flag } from "../lib/config/mod.ts";
import { optionalObjstoreFlags, serverFlags } from "./flags_common.ts";

export const sidecarFlags = {
  ...serverFlags,
  ...optionalObjstoreFlags,
  url: flag.string(
    "prometheus.url",
    "http://localhost:9090",
    "URL at which to reach Prometheus's API. For better performance use local network.",
  ),
  readyTimeout: flag.goDuration(
    "prometheus.ready_timeout",
    "10m",
    "Maximum time to wait for the Prometheus instance to start up",
  ),
  configInterval: flag.goDuration(
    "prometheus.get_config_interval",
    "30s",
    "How often to get Prometheus config",
  ),
  configTimeout: flag.goDuration(
    "prometheus.get_config_timeout",
    "30s",
    "Timeout for getting Prometheus config",
  ),
  httpClient: flag.pathOrContent(
    "prometheus.http-client",
    "YAML file with HTTP client configuration: basic_auth, bearer_token, proxy_url, tls_config.",
    { expand: false, secret: true },
  ),
  tsdbPath: flag.path("tsdb.path", "./data", "Data directory of TSDB."),
  reloadConfig: flag.string("reloader.config-file", "", "Config file watched by the reloader."),
  reloadOutput: flag.string(
    "reloader.config-envsubst-file",
    "",
    "Output file for environment variable substituted config file.",
  ),
  ruleFolders: flag.repeated(
    flag.kinds.string,
    "reloader.rule-dir",
    "Rule directories for the reloader to refresh (repeated field).",
  ),
  watchInterval: flag.goDuration(
    "reloader.watch-interval",
    "3m",
    "Controls how often reloader re-reads config and rules.",
  ),
  retryInterval: flag.goDuration(
    "reloader.retry-interval",
    "5s",
    "Controls how often reloader retries config reload in case of error.",
  ),
  reloadMethod: flag.oneOf(
    ["http", "signal"],
    "reloader.method",
    "http",
    "Method used to reload the configuration.",
  ),
  processName: flag.string(
    "reloader.process-name",
    "prometheus",
    "Executable name used to match the process being reloaded when using the signal method.",
  ),
  uploadCompacted: flag.bool(
    "shipper.upload-compacted",
    false,
    "If true shipper will try to upload compacted blocks as well. Useful for migration purposes. Works only if compaction is disabled on Prometheus. Do it once and then disable the flag when done.",
  ),
  ignoreUnequal: flag.bool(
    "shipper.ignore-unequal-block-size",
    false,
    "If true shipper will not require prometheus min and max block size flags to be set to the same value.",
    { hidden: true },
  ),
  allowOutOfOrder: flag.bool(
    "shipper.allow-out-of-order-uploads",
    false,
    "If true, shipper will skip failed block uploads in the given iteration and retry later.",
    { hidden: true },
  ),
  skipCorrupted: flag.bool(
    "shipper.skip-corrupted-blocks",
    false,
    "If true, shipper will skip corrupted blocks in the given iteration and retry later.",
    { hidden: true },
  ),
  metaFileName: flag.string(
    "shipper.meta-file-name",
    "thanos.shipper.json",
    "the file to store shipper metadata in",
  ),
  uploadConcurrency: flag.uint(
    "shipper.upload-concurrency",
    "0",
    "Number of goroutines to use when uploading block files to object storage.",
  ),
  hashFunction: flag.oneOf(
    ["", "SHA256"],
    "hash-func",
    "",
    "Specify which hash function to use when calculating the hashes of produced files.",
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
  minTime: flag.timeOrDuration(
    "min-time",
    "0000-01-01T00:00:00Z",
    "Start of time range limit to serve. Thanos sidecar will serve only metrics, which happened later than this value.",
  ),
} as const;
