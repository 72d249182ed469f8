/** Every metric of a compactor is on its page from the first moment, with all series to come. */
import assert from "node:assert/strict";
import { Stage } from "../mneme.ts";

/** What the metrics page of a compactor has from its first moment: name, type, series or bounds. */
const METRICS: Readonly<Record<string, readonly [type: string, ...series: string[]]>> = {
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
  thanos_status: ["gauge", '{component="compact",check="ready"}'],
  thanos_build_info: ["gauge"],
  ...Object.fromEntries(
    ["operations_total", "operation_failures_total"].map((name) => [
      `thanos_objstore_bucket_${name}`,
      [
        "counter",
        ...["iter", "get", "get_range", "exists", "attributes", "upload", "delete"]
          .map((operation) => `operation="${operation}"`),
      ] as const,
    ]),
  ),
  thanos_objstore_bucket_operation_duration_seconds: ["histogram"],
  thanos_objstore_bucket_last_successful_upload_time: ["gauge"],
};

function resolutions(...values: string[]): string[] {
  return values.map((value) => `{resolution="${value}"}`);
}

function syncMetrics(prefix: string): Record<string, readonly [string, ...string[]]> {
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

function checkMetrics(page: string): void {
  const lines = page.split("\n");
  for (const [name, [type, ...expected]] of Object.entries(METRICS)) {
    assert(lines.includes(`# TYPE ${name} ${type}`), `# TYPE ${name} ${type}`);
    if (type === "histogram") {
      const bounds = new Set(
        lines.filter((line) => line.startsWith(`${name}_bucket{`))
          .map((line) => /le="([^"]*)"/.exec(line)![1]),
      );
      if (expected.length > 0) {
        assert.equal(
          [...bounds].map(Number).join(" "),
          expected[0]!.split(" ").map(Number).join(" "),
          name,
        );
      }
      continue;
    }
    for (const series of expected) {
      assert(
        lines.some((line) =>
          /^[{ ]$/.test(line.charAt(name.length)) && line.startsWith(name) && line.includes(series)
        ),
        name + series,
      );
    }
  }
}

Deno.test("the compactor shows every metric of its specification before anything happened", async () => {
  await using stage = await Stage.open();
  await Deno.mkdir(`${stage.folder}/bucket`);
  const compactor = await stage.mneme("compact", [
    `--objstore.config=${
      JSON.stringify({ type: "FILESYSTEM", config: { directory: `${stage.folder}/bucket` } })
    }`,
    `--data-dir=${stage.folder}/data`,
    "--wait",
  ]);
  checkMetrics(
    await (await fetch(`${compactor.http}/metrics`)).text(),
  );
  await compactor.child.stop();
});
