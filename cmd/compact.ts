/**
 * The compactor: makes few large blocks of many small ones, downsamples them, and deletes what is no
 * longer needed. One compactor works on the blocks of one stream.
 */
import type { Hono } from "hono";
import { addBlockRoutes } from "../lib/api/mod.ts";
import { fetcherMetrics } from "../lib/block/mod.ts";
import {
  BlockViewer,
  CompactLoop,
  CompactMetrics,
  Compactor,
  compactorNotes,
  DownsampleMetrics,
  Downsampling,
  WorkerJobs,
} from "../lib/compact/mod.ts";
import { makeUlid } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { meterBucket, openBucket } from "../lib/objstore/mod.ts";
import { type Actor, lockDataDirectory } from "../lib/runtime/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import { SystemFiles } from "../lib/tsdb/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { compactFlags } from "./compact_flags.ts";
import { compactorOptions } from "./compact_settings.ts";
import { httpServer } from "./servers.ts";

type Config = ConfigOf<typeof compactFlags>;

export const compact = defineCommand({
  name: "compact",
  help: "Compacts, downsamples and deletes blocks of an object store bucket.",
  flags: compactFlags,
  run: async (config, env) => {
    const part = await openCompact(config, env);
    try {
      const http = httpServer(config, env, {
        probe: part.probe,
        cors: !config.disableCors,
        ...(config.webDisable || !config.wait ? {} : { pages: config, addRoutes: part.addRoutes }),
      });
      await env.runGroup([http, ...part.actors], part.life);
    } finally {
      await part.close();
    }
  },
});

/** A compactor without servers, for its own command and for `standalone`. */
export async function openCompact(config: Config, env: CommandEnv) {
  const { clock, logger } = env;
  const options = compactorOptions(config, env);
  const probe = new Probe(env.name, env);
  const { objstore } = config;
  const opened = await openBucket(objstore.load(), { source: objstore.source, logger });
  const bucket = meterBucket(opened, env);
  const directory = await lockDataDirectory(config.dataDir);
  const jobs = new WorkerJobs();
  const metrics = new CompactMetrics(env.metrics);
  env.metrics.gauge("thanos_consistency_delay_seconds", "Configured consistency delay.")
    .set(config.consistencyDelay / 1000);
  env.metrics.gauge("thanos_delete_delay_seconds", "Configured delete delay.")
    .set(config.deleteDelay / 1000);
  const parts = {
    bucket,
    files: new SystemFiles(),
    dataDirectory: directory.path,
    clock,
    makeUlid: () => makeUlid(clock.now()),
    logger,
    jobs,
  };
  const compactor = new Compactor({
    ...parts,
    metrics,
    observer: fetcherMetrics(env),
    options,
    downsample: new Downsampling({
      ...parts,
      ...options,
      metrics: new DownsampleMetrics(env.metrics),
      concurrency: config.downsampleConcurrency,
    }),
  });
  const loop = new CompactLoop(compactor, {
    clock,
    logger,
    metrics,
    interval: config.waitInterval,
    haltOnError: config.haltOnError,
  });
  const viewer = new BlockViewer({
    bucket,
    clock,
    observer: fetcherMetrics(env, "thanos_bucket_uiblocks_meta"),
    concurrency: config.metaConcurrency,
    timeout: config.viewerTimeout,
  });
  return {
    probe,
    compactor,
    addRoutes: (api: Hono) =>
      addBlockRoutes(api, {
        bucket,
        clock,
        label: config.bucketWebLabel,
        adminDisabled: config.disableAdminOperations,
        loaded: () => {
          const { view, syncError: error } = compactor.status;
          return {
            blocks: view === undefined ? [] : [...view.metas.values()],
            refreshedAt: view?.time ?? 0,
            error,
          };
        },
        global: () => viewer.view,
        notes: () => compactorNotes(compactor.status, options, clock.now()),
      }),
    actors: config.wait
      ? waitActors(config, env, loop, viewer)
      : [{ name: "compaction", run: (stop: AbortSignal) => loop.once(stop) }],
    life: {
      onStarted: () => {
        probe.healthy();
        probe.ready();
        logger.info("compactor ready", { wait: config.wait });
      },
      onStopping: () => probe.notReady("shutting down"),
    },
    close: async () => {
      jobs.close();
      directory.release();
      await bucket.close();
    },
  };
}

function waitActors(
  config: Config,
  env: CommandEnv,
  loop: CompactLoop,
  viewer: BlockViewer,
): Actor[] {
  const { logger } = env;
  const actors: Actor[] = [{ name: "compaction", run: (stop) => loop.forEver(stop) }];
  const repeat = (name: string, interval: number, work: (stop: AbortSignal) => Promise<void>) => {
    if (interval <= 0) return;
    actors.push({ name, run: (stop) => loop.repeat(interval, work, name, stop) });
  };
  repeat("cleanup of partial uploads", config.cleanupInterval, (stop) => loop.clean(stop));
  repeat("progress", config.progressInterval, (stop) => loop.progress(stop));
  if (!config.webDisable) {
    repeat("block viewer", config.viewerInterval, (stop) => viewer.sync(stop));
  }
  logger.debug("loops", { actors: actors.map((actor) => actor.name).join(", ") });
  return actors;
}

if (import.meta.main) await runMain(compact);
