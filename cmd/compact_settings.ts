/** The settings of a compactor out of its flags, checked. */
import { MnemeError } from "../lib/base/mod.ts";
import { type CompactorOptions, MAX_COMPACTION_LEVEL } from "../lib/compact/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { parseRelabelRules } from "../lib/model/mod.ts";
import type { CommandEnv } from "./command.ts";
import type { compactFlags } from "./compact_flags.ts";

type Config = ConfigOf<typeof compactFlags>;

const HOUR = 3_600_000;
/** Retention shorter than what downsampling needs would delete blocks before it can see them. */
const MIN_RAW_RETENTION = 40 * HOUR;
const MIN_5M_RETENTION = 10 * 24 * HOUR;

/** Checks the flags and turns them into settings. Throws: bad_data. */
export function compactorOptions(config: Config, env: CommandEnv): CompactorOptions {
  checkConfig(config);
  const { clock } = env;
  const replicaLabels = config.replicaLabels.flatMap((list) => list.split(","))
    .map((name) => name.trim()).filter((name) => name !== "");
  if (config.dedupFunction === "penalty" && replicaLabels.length === 0) {
    throw new MnemeError(
      "bad_data",
      "penalty based deduplication needs at least one replica label specified: " +
        "--deduplication.replica-label",
    );
  }
  const { minTime, maxTime, relabel } = config;
  const now = clock.now();
  if (minTime.at(now) > maxTime.at(now)) {
    throw new MnemeError(
      "bad_data",
      `invalid argument: --min-time '${minTime.text}' can't be greater than --max-time '${maxTime.text}'`,
    );
  }
  return {
    consistencyDelay: config.consistencyDelay,
    deleteDelay: config.deleteDelay,
    retention: {
      raw: config.retentionRaw,
      fiveMinutes: config.retention5m,
      oneHour: config.retention1h,
    },
    dedup: config.dedupFunction,
    replicaLabels,
    vertical: config.vertical || replicaLabels.length > 0,
    maxLevel: config.maxCompactionLevel,
    maxIndexSize: config.maxIndexSize,
    skipOutOfOrder: config.skipOutOfOrder,
    acceptMalformedIndex: config.acceptMalformedIndex,
    hash: config.hashFunction,
    groupConcurrency: config.concurrency,
    mergeConcurrency: config.mergeConcurrency,
    fetchConcurrency: config.fetchConcurrency,
    fileConcurrency: config.fileConcurrency,
    metaConcurrency: config.metaConcurrency,
    minTime: () => minTime.at(clock.now()),
    maxTime: () => maxTime.at(clock.now()),
    relabel: parseRelabelRules(relabel.load(), relabel.source, ["keep", "drop", "hashmod"]),
    downsampling: !config.downsamplingDisable,
    clockTolerance: config.clockTolerance,
    // Only an endless loop must not hang on one look at the bucket.
    syncTimeout: config.wait ? config.waitInterval : 0,
  };
}

function checkConfig(config: Config): void {
  const fail = (message: string) => {
    throw new MnemeError("bad_data", message);
  };
  if (config.maxCompactionLevel < 0 || config.maxCompactionLevel > MAX_COMPACTION_LEVEL) {
    fail(`--debug.max-compaction-level must be 0 to ${MAX_COMPACTION_LEVEL}`);
  }
  for (
    const [name, value] of [
      ["compact.concurrency", config.concurrency],
      ["compact.merge-concurrency", config.mergeConcurrency],
      ["compact.blocks-fetch-concurrency", config.fetchConcurrency],
      ["block-files-concurrency", config.fileConcurrency],
      ["block-meta-fetch-concurrency", config.metaConcurrency],
      ["downsample.concurrency", config.downsampleConcurrency],
    ] as const
  ) {
    if (value < 1) fail(`--${name} must be at least 1, got ${value}`);
  }
  if (config.downsamplingDisable) return;
  if (config.retentionRaw !== 0 && config.retentionRaw < MIN_RAW_RETENTION) {
    fail(
      "raw resolution must be higher than the minimum block size after which 5m resolution " +
        "downsampling will occur (40h0m0s): --retention.resolution-raw",
    );
  }
  if (config.retention5m !== 0 && config.retention5m < MIN_5M_RETENTION) {
    fail(
      "5m resolution must be higher than the minimum block size after which 1h resolution " +
        "downsampling will occur (240h0m0s): --retention.resolution-5m",
    );
  }
}
