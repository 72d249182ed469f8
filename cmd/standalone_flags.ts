/** Flags of standalone: few of its own, and every flag of its parts through `--<part>.arg`. */
import { flag } from "../lib/config/mod.ts";
import { optionalObjstoreFlags, serverFlags, webFlags } from "./flags_common.ts";

const partArgs = (part: string, what: string, example: string) =>
  flag.repeated(
    flag.kinds.string,
    `${part}.arg`,
    `A flag of ${what} as 'mneme ${part} --help' shows it, such as --${part}.arg=${example} (repeated field).`,
  );

export const standaloneFlags = {
  ...serverFlags,
  ...webFlags,
  ...optionalObjstoreFlags,
  dataDir: flag.path(
    "data-dir",
    "./data",
    "Folder that holds a data folder for each part and, unless --objstore.config says otherwise, the bucket.",
  ),
  prometheusUrls: flag.repeated(
    flag.kinds.string,
    "prometheus.url",
    "URL of a Prometheus whose data is queried too, through a sidecar in this process (repeated field).",
  ),
  tsdbPaths: flag.repeated(
    flag.kinds.path,
    "tsdb.path",
    "Data folder of the Prometheus at the same place in the list of --prometheus.url: its blocks are uploaded to the bucket (repeated field).",
  ),
  replicaLabels: flag.repeated(
    flag.kinds.string,
    "query.replica-label",
    "Labels to treat as a replica indicator along which data is deduplicated (repeated field).",
  ),
  compact: flag.bool("compact", true, "Compact and downsample the bucket, and apply retention."),
  retentionRaw: flag.duration(
    "retention.resolution-raw",
    "0d",
    "How long to retain raw samples in bucket. Setting this to 0d will retain samples of this resolution forever",
  ),
  retention5m: flag.duration(
    "retention.resolution-5m",
    "0d",
    "How long to retain samples of resolution 1 (5 minutes) in bucket. Setting this to 0d will retain samples of this resolution forever",
  ),
  retention1h: flag.duration(
    "retention.resolution-1h",
    "0d",
    "How long to retain samples of resolution 2 (1 hour) in bucket. Setting this to 0d will retain samples of this resolution forever",
  ),
  storeArgs: partArgs("store", "the store gateway", "--index-cache-size=1GB"),
  queryArgs: partArgs("query", "the querier", "--query.max-concurrent=40"),
  compactArgs: partArgs("compact", "the compactor", "--delete-delay=1h"),
  sidecarArgs: partArgs("sidecar", "each sidecar", "--shipper.upload-compacted"),
} as const;
