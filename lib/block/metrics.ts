/** The metrics of meta syncs, `thanos_blocks_meta_*` or under another prefix. */
import type { Logger, Metrics } from "../telemetry/mod.ts";
import type { FetcherObserver } from "./fetcher.ts";
import { BLOCK_STATES, type BlockState } from "./filters.ts";

const DURATION_BUCKETS = [0.01, 1, 10, 100, 300, 600, 1000];

/** Registers the metrics and returns what a MetaFetcher reports to. */
export function fetcherMetrics(
  env: { readonly metrics: Metrics; readonly logger: Logger },
  prefix = "thanos_blocks_meta",
): FetcherObserver {
  const { metrics, logger } = env;
  const syncs = metrics.counter(`${prefix}_syncs_total`, "Syncs of block metadata.");
  const baseSyncs = metrics.counter(
    `${prefix}_base_syncs_total`,
    "Syncs of block metadata before filtering.",
  );
  const failures = metrics.counter(
    `${prefix}_sync_failures_total`,
    "Syncs of block metadata that failed or saw only a part of the blocks.",
  );
  const seconds = metrics.histogram(
    `${prefix}_sync_duration_seconds`,
    "Duration of syncs of block metadata.",
    DURATION_BUCKETS,
  );
  const synced = metrics.gaugeFamily({
    name: `${prefix}_synced`,
    help: "Blocks by the state they had in the last sync.",
    labels: ["state"],
    known: BLOCK_STATES.map((state) => ({ state })),
  });
  metrics.gaugeFamily({
    name: `${prefix}_modified`,
    help: "Metas changed in memory by the last sync.",
    labels: ["modified"],
    known: [{ modified: "replica-label-removed" }],
  });
  const busts = metrics.counter(
    `${prefix}_base_cache_busts_total`,
    "Cached metas dropped because the bucket's copy changed.",
  );
  return {
    synced(counts: ReadonlyMap<BlockState, number>, duration: number, failed: boolean) {
      syncs.inc();
      baseSyncs.inc();
      if (failed) failures.inc();
      seconds.observe(duration);
      // A sync that saw nothing because it failed says nothing about the blocks.
      if (failed && counts.size === 0) return;
      for (const state of BLOCK_STATES) synced.with({ state }).set(counts.get(state) ?? 0);
    },
    cacheBust: () => busts.inc(),
    warn: (message, fields) => logger.warn(message, fields),
  };
}
