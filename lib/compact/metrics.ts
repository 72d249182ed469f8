/** Metrics of the compactor under the names operators know. */
import {
  DELETION_MARK_FILE,
  NO_COMPACT_DOWNSAMPLE_VERTICAL,
  NO_COMPACT_INDEX_SIZE,
  NO_COMPACT_MARK_FILE,
  NO_COMPACT_OUT_OF_ORDER,
} from "../block/mod.ts";
import type { Counter, Family, Gauge, Metrics, Observer } from "../telemetry/mod.ts";

const GARBAGE_BUCKETS = [
  0.01,
  0.1,
  0.3,
  0.6,
  1,
  3,
  6,
  9,
  20,
  30,
  60,
  90,
  120,
  240,
  360,
  720,
];

/** Label that tells the resolution of a group, in ms. */
type ByResolution = "resolution";

/** The metrics. */
export class CompactMetrics {
  readonly retries: Counter;
  readonly iterations: Counter;
  readonly cleanupLoops: Counter;
  readonly partialDeletions: Counter;
  readonly blocksCleaned: Counter;
  readonly cleanupFailures: Counter;
  readonly garbageBlocks: Counter;
  readonly garbageRuns: Counter;
  readonly garbageFailures: Counter;
  readonly garbageSeconds: Observer;
  readonly marked: Family<Counter, "marker" | "reason">;
  readonly markedForDeletion: Counter;
  readonly compactions: Family<Counter, ByResolution>;
  readonly runsStarted: Family<Counter, ByResolution>;
  readonly runsCompleted: Family<Counter, ByResolution>;
  readonly compactionFailures: Family<Counter, ByResolution>;
  readonly verticalCompactions: Family<Counter, ByResolution>;
  readonly halted: Gauge;
  readonly todoCompactions: Gauge;
  readonly todoBlocks: Gauge;
  readonly todoDownsample: Gauge;
  readonly todoDeletion: Gauge;
  readonly labelsRemoved: Gauge;
  readonly groupSetAside: Family<Gauge, "group" | "reason">;
  readonly quarantined: Gauge;
  readonly retentionWaits: Gauge;
  readonly clockSkew: Gauge;
  readonly repairedSeries: Counter;
  readonly diskFull: Counter;
  readonly mergedSamples: Counter;
  readonly mergeSeconds: Counter;
  readonly tsdbCompactions: Counter;
  readonly tsdbVertical: Counter;
  readonly tsdbSeconds: Observer;
  readonly tsdbPopulating: Gauge;

  constructor(metrics: Metrics) {
    const count = (name: string, help: string) => metrics.counter(`thanos_compact_${name}`, help);
    const gauge = (name: string, help: string) => metrics.gauge(`thanos_compact_${name}`, help);
    const byResolution = (name: string, help: string) =>
      metrics.counterFamily({
        name: `thanos_compact_group_${name}`,
        help,
        labels: ["resolution"],
        known: ["0", "300000", "3600000"].map((resolution) => ({ resolution })),
      });
    this.retries = count("retries_total", "Iterations that failed and are tried again.");
    this.iterations = count("iterations_total", "Iterations that ended.");
    this.cleanupLoops = count("block_cleanup_loops_total", "Runs of the cleanup loop.");
    this.partialDeletions = count(
      "aborted_partial_uploads_deletion_attempts_total",
      "Partial uploads whose deletion was started.",
    );
    this.blocksCleaned = count("blocks_cleaned_total", "Marked blocks that were deleted.");
    this.cleanupFailures = count(
      "block_cleanup_failures_total",
      "Deletions of marked blocks that failed.",
    );
    this.garbageBlocks = count(
      "garbage_collected_blocks_total",
      "Blocks marked for deletion because another block holds their samples.",
    );
    this.garbageRuns = count("garbage_collection_total", "Garbage collections.");
    this.garbageFailures = count(
      "garbage_collection_failures_total",
      "Garbage collections that failed.",
    );
    this.garbageSeconds = metrics.histogram(
      "thanos_compact_garbage_collection_duration_seconds",
      "Duration of garbage collections.",
      GARBAGE_BUCKETS,
    );
    this.marked = metrics.counterFamily({
      name: "thanos_compact_blocks_marked_total",
      help: "Marks written on blocks.",
      labels: ["marker", "reason"],
      known: [
        { marker: DELETION_MARK_FILE, reason: "" },
        { marker: NO_COMPACT_MARK_FILE, reason: NO_COMPACT_OUT_OF_ORDER },
        { marker: NO_COMPACT_MARK_FILE, reason: NO_COMPACT_INDEX_SIZE },
        { marker: NO_COMPACT_MARK_FILE, reason: NO_COMPACT_DOWNSAMPLE_VERTICAL },
      ],
    });
    this.markedForDeletion = metrics.counter(
      "thanos_compact_blocks_marked_for_deletion_total",
      "Blocks marked for deletion, under the name that dashboards of older versions ask for.",
    );
    this.compactions = byResolution("compactions_total", "Compactions that made a block.");
    this.runsStarted = byResolution("compaction_runs_started_total", "Looks at a group.");
    this.runsCompleted = byResolution(
      "compaction_runs_completed_total",
      "Looks at a group that ended well, also with nothing to do.",
    );
    this.compactionFailures = byResolution(
      "compactions_failures_total",
      "Compactions that failed.",
    );
    this.verticalCompactions = byResolution(
      "vertical_compactions_total",
      "Compactions of overlapping blocks.",
    );
    this.halted = gauge("halted", "1 while a group is set aside because of an error.");
    this.todoCompactions = gauge("todo_compactions", "Compactions that are still to be made.");
    this.todoBlocks = gauge("todo_compaction_blocks", "Blocks that are still to be compacted.");
    this.todoDownsample = gauge("todo_downsample_blocks", "Blocks that are to be downsampled.");
    this.todoDeletion = gauge(
      "todo_deletion_blocks",
      "Blocks whose retention has passed and that are to be marked.",
    );
    this.labelsRemoved = metrics.gaugeFamily({
      name: "thanos_blocks_meta_modified",
      help: "Metas changed in memory by the last sync.",
      labels: ["modified"],
      known: [{ modified: "replica-label-removed" }],
    }).with({ modified: "replica-label-removed" });
    this.groupSetAside = metrics.gaugeFamily({
      name: "mneme_compact_group_set_aside",
      help: "1 for each group that is set aside, by reason; all other groups go on.",
      labels: ["group", "reason"],
    });
    this.quarantined = metrics.gauge(
      "mneme_compact_quarantined_blocks",
      "Blocks whose meta.json cannot be read. They are kept until a person deletes them.",
    );
    this.retentionWaits = metrics.gauge(
      "mneme_compact_retention_waiting_blocks",
      "Expired raw blocks that are kept until they are downsampled.",
    );
    this.clockSkew = metrics.gauge(
      "mneme_compact_clock_skew_seconds",
      "Difference of this clock and the bucket's when it was last compared.",
    );
    this.repairedSeries = metrics.counter(
      "mneme_compact_repaired_series_total",
      "Series with out-of-order or overlapping chunks that a compaction put in order.",
    );
    this.diskFull = metrics.counter(
      "mneme_compact_disk_full_total",
      "Compactions that failed because the disk of the data directory is full.",
    );
    this.mergedSamples = metrics.counter(
      "mneme_compact_samples_total",
      "Samples written by compactions.",
    );
    this.mergeSeconds = metrics.counter(
      "mneme_compact_merge_seconds_total",
      "Time spent on merging blocks.",
    );
    this.tsdbCompactions = metrics.counter(
      "prometheus_tsdb_compactions_total",
      "Total number of compactions that were executed for the partition.",
    );
    this.tsdbVertical = metrics.counter(
      "prometheus_tsdb_vertical_compactions_total",
      "Total number of compactions done on overlapping blocks.",
    );
    this.tsdbSeconds = metrics.histogram(
      "prometheus_tsdb_compaction_duration_seconds",
      "Duration of compaction runs",
      powers(1, 2, 14),
    );
    this.tsdbPopulating = metrics.gauge(
      "prometheus_tsdb_compaction_populating_block",
      "Set to the number of blocks that are currently being written to the disk.",
    );
    // These three tell of chunks that come from a head, which a compactor of blocks never sees: they
    // stay empty here as elsewhere, and are there because dashboards ask for them.
    for (
      const [name, help, buckets] of [
        ["size_bytes", "Final size of chunks on their first compaction", powers(32, 1.5, 12)],
        [
          "samples",
          "Final number of samples on their first compaction",
          powers(4, 1.5, 12),
        ],
        [
          "range_seconds",
          "Final time range of chunks on their first compaction",
          powers(100, 4, 10),
        ],
      ] as const
    ) metrics.histogram(`prometheus_tsdb_compaction_chunk_${name}`, help, buckets);
  }
}

/** `count` bounds, each `factor` times the one before. */
function powers(start: number, factor: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => start * factor ** i);
}
