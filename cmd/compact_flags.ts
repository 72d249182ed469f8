/** Flags of the compactor, under Thanos' names. */
import { flag } from "../lib/config/mod.ts";
import { httpFlags, objstoreFlags } from "./flags_common.ts";

export const compactFlags = {
  ...httpFlags,
  ...objstoreFlags,
  dataDir: flag.path(
    "data-dir",
    "./data",
    "Folder in which blocks are worked on. Its content can be removed while the compactor is stopped.",
  ),
  consistencyDelay: flag.duration(
    "consistency-delay",
    "30m",
    "Blocks uploaded less than this ago are left alone, as others may still be on their way. Partial uploads are removed after 48h.",
  ),
  retentionRaw: flag.duration(
    "retention.resolution-raw",
    "0d",
    "How long raw samples are kept after the end of their block; 0d means for ever.",
  ),
  retention5m: flag.duration(
    "retention.resolution-5m",
    "0d",
    "How long samples of 5m resolution are kept; 0d means for ever.",
  ),
  retention1h: flag.duration(
    "retention.resolution-1h",
    "0d",
    "How long samples of 1h resolution are kept; 0d means for ever.",
  ),
  wait: flag.bool(
    "wait",
    false,
    "Do not exit after everything is compacted, and look for new work again and again.",
    { short: "w" },
  ),
  waitInterval: flag.goDuration(
    "wait-interval",
    "5m",
    "Time from the start of one iteration to the start of the next with --wait.",
  ),
  downsamplingDisable: flag.bool(
    "downsampling.disable",
    false,
    "Do not downsample. Queries over long ranges are then as slow as over raw samples.",
  ),
  discoveryStrategy: flag.oneOf(
    ["concurrent", "recursive"],
    "block-discovery-strategy",
    "concurrent",
    "How blocks are found in the bucket. Both strategies list it once, which takes the fewest requests.",
  ),
  metaConcurrency: flag.int(
    "block-meta-fetch-concurrency",
    "32",
    "Files meta.json fetched at once, at least 1.",
    { aliases: ["block-sync-concurrency"] },
  ),
  fileConcurrency: flag.int(
    "block-files-concurrency",
    "1",
    "Files of a block that are fetched or sent at once, at least 1.",
  ),
  viewerInterval: flag.goDuration(
    "block-viewer.global.sync-block-interval",
    "1m",
    "Time between two looks at all blocks of the bucket for the list of blocks.",
  ),
  viewerTimeout: flag.goDuration(
    "block-viewer.global.sync-block-timeout",
    "5m",
    "Longest time that such a look may take.",
  ),
  cleanupInterval: flag.goDuration(
    "compact.cleanup-interval",
    "5m",
    "How often partial uploads are cleaned while an iteration goes on, with --wait; 0s turns it off.",
  ),
  progressInterval: flag.goDuration(
    "compact.progress-interval",
    "5m",
    "How often the metrics of what is still to be done are worked out, with --wait; 0s turns it off.",
  ),
  concurrency: flag.int(
    "compact.concurrency",
    "1",
    "Groups compacted at once, at least 1.",
  ),
  fetchConcurrency: flag.int(
    "compact.blocks-fetch-concurrency",
    "1",
    "Blocks of a compaction fetched at once, at least 1.",
  ),
  downsampleConcurrency: flag.int(
    "downsample.concurrency",
    "1",
    "Blocks downsampled at once, at least 1.",
  ),
  deleteDelay: flag.duration(
    "delete-delay",
    "48h",
    "Time from the mark to the deletion of a block, in which queries and people can still use it. 0s deletes at the next look.",
  ),
  dedupFunction: flag.oneOf(
    ["", "penalty"],
    "deduplication.func",
    "",
    'How samples of replicas become one series: "" keeps one sample of each time, "penalty" follows one replica and changes over when it has a gap. Needs --deduplication.replica-label.',
  ),
  replicaLabels: flag.repeated(
    flag.kinds.string,
    "deduplication.replica-label",
    "Label that tells replicas apart; their blocks are merged. Turns on vertical compaction, which cannot be undone. May be repeated, or be a list with commas.",
  ),
  hashFunction: flag.oneOf(
    ["", "SHA256"],
    "hash-func",
    "",
    'Hash noted in meta.json for each file: "" for none. With it, files that are in the data directory already are not fetched again.',
  ),
  minTime: flag.timeOrDuration(
    "min-time",
    "0000-01-01T00:00:00Z",
    "Leave blocks alone that end before this: an RFC 3339 time, or a duration relative to now such as -30d.",
  ),
  maxTime: flag.timeOrDuration(
    "max-time",
    "9999-12-31T23:59:59Z",
    "Leave blocks alone that start after this: an RFC 3339 time, or a duration relative to now such as -2h.",
  ),
  relabel: flag.pathOrContent(
    "selector.relabel-config",
    "YAML document with relabel rules (actions keep, drop and hashmod) on external labels and __block_id that select the blocks to work on.",
  ),
  webDisable: flag.bool(
    "web.disable",
    false,
    "Serve no web pages and no list of blocks over HTTP.",
  ),
  routePrefix: flag.string(
    "web.route-prefix",
    "",
    "Prefix for API and UI endpoints.",
    { noEffect: "the compactor serves without a prefix, as --web.external-prefix is enough" },
  ),
  externalPrefix: flag.string(
    "web.external-prefix",
    "",
    "Path put before the links of pages.",
  ),
  prefixHeader: flag.string(
    "web.prefix-header",
    "",
    "Request header that holds the path to put before the links of pages.",
  ),
  disableCors: flag.bool(
    "web.disable-cors",
    false,
    "Send no headers that allow pages of other sites to read the API.",
  ),
  bucketWebLabel: flag.string(
    "bucket-web-label",
    "",
    "External label that titles groups of blocks on the page.",
  ),
  disableAdminOperations: flag.bool(
    "disable-admin-operations",
    false,
    "Refuse to mark blocks for deletion or against compaction over HTTP.",
  ),
  haltOnError: flag.bool(
    "debug.halt-on-error",
    true,
    "Keep running when a group has to be set aside; otherwise the process ends then.",
    { hidden: true },
  ),
  acceptMalformedIndex: flag.bool(
    "debug.accept-malformed-index",
    false,
    "Compact blocks whose label names are out of order.",
    { hidden: true },
  ),
  maxCompactionLevel: flag.int(
    "debug.max-compaction-level",
    "4",
    "Highest range that blocks are compacted to: 1 for 2h, 2 for 8h, 3 for 2d, 4 for 14d.",
    { hidden: true },
  ),
  vertical: flag.bool(
    "compact.enable-vertical-compaction",
    false,
    "Merge overlapping blocks, which cannot be undone.",
    { hidden: true },
  ),
  maxIndexSize: flag.size(
    "compact.block-max-index-size",
    "64GB",
    "Blocks are not joined when their indexes together come near this size.",
    { hidden: true },
  ),
  skipOutOfOrder: flag.bool(
    "compact.skip-block-with-out-of-order-chunks",
    false,
    "Mark blocks with out-of-order chunks as not to be compacted; otherwise such chunks are put in order by the compaction.",
    { hidden: true },
  ),
  mergeConcurrency: flag.int(
    "compact.merge-concurrency",
    "2",
    "Merges at once over all groups, each in a thread of its own, at least 1.",
  ),
  clockTolerance: flag.goDuration(
    "compact.clock-tolerance",
    "5m",
    "Nothing is deleted while this clock and the bucket's differ by more; 0s turns the comparison off.",
    { hidden: true },
  ),
} as const;
