/**
 * Everything in one process: a store gateway, a compactor and a querier over one bucket, and a
 * sidecar for each given Prometheus. Without flags the bucket is a folder on the local disk.
 *
 * The querier asks the other parts directly, not over the network; other queriers reach all of them
 * through this process' Store API.
 */
import { MnemeError } from "../lib/base/mod.ts";
import { type ConfigOf, type FlagTable, readFlags } from "../lib/config/mod.ts";
import type { EndpointClient } from "../lib/query/mod.ts";
import { type Actor, milestone } from "../lib/runtime/mod.ts";
import type { Catalog, ComponentInfo, Store } from "../lib/storeapi/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import { type CommandEnv, defineCommand, processHost, runMain } from "./command.ts";
import { openCompact } from "./compact.ts";
import { compactFlags } from "./compact_flags.ts";
import { openQuery } from "./query.ts";
import { queryFlags } from "./query_flags.ts";
import { grpcServer, httpServer } from "./servers.ts";
import { openSidecar } from "./sidecar.ts";
import { sidecarFlags } from "./sidecar_flags.ts";
import { standaloneFlags } from "./standalone_flags.ts";
import { openStore } from "./store.ts";
import { storeFlags } from "./store_flags.ts";

type Config = ConfigOf<typeof standaloneFlags>;

export const standalone = defineCommand({
  name: "standalone",
  help: "Store, compactor, querier and sidecars in one process over one bucket.",
  flags: standaloneFlags,
  run: async (config, env) => {
    const probe = new Probe(env.name, env);
    const bucket = await bucketArgs(config);
    const gateway = await openStore(
      ...settings("store", storeFlags, env, [
        ...bucket,
        `--data-dir=${config.dataDir}/store`,
        "--sync-block-duration=30s",
        ...config.storeArgs,
      ]),
    );
    const compactor = config.compact
      ? await openCompact(...compaction(config, env, bucket))
      : undefined;
    try {
      const local = new Map([[
        "in-process:store",
        inProcess(gateway.info, gateway.gateway, gateway.catalog),
      ]]);
      const sidecars: Awaited<ReturnType<typeof openSidecar>>[] = [];
      for (const [i, url] of config.prometheusUrls.entries()) {
        const path = config.tsdbPaths[i];
        if (path === undefined || path === "") {
          env.logger.info("blocks of this Prometheus stay where they are; --tsdb.path ships them", {
            part: `sidecar-${i}`,
          });
        }
        const sidecar = await openSidecar(
          ...settings(`sidecar`, sidecarFlags, env, [
            `--prometheus.url=${url}`,
            ...(path === undefined || path === "" ? [] : [`--tsdb.path=${path}`, ...bucket]),
            ...config.sidecarArgs,
          ], `sidecar-${i}`),
        );
        sidecars.push(sidecar);
        local.set(
          `in-process:sidecar-${i}`,
          inProcess(sidecar.info, sidecar.store, sidecar.catalog),
        );
      }
      const [queryConfig, queryEnv] = settings("query", queryFlags, env, [
        ...config.replicaLabels.map((name) => `--query.replica-label=${name}`),
        ...config.queryArgs,
      ]);
      const querier = openQuery(queryConfig, queryEnv, local);
      const http = httpServer(config, env, {
        probe,
        routePrefix: config.routePrefix === "" ? config.externalPrefix : config.routePrefix,
        cors: !config.disableCors,
        tenant: { header: queryConfig.tenantHeader, fallback: queryConfig.defaultTenant },
        pages: config,
        addRoutes: (api) => {
          querier.addRoutes(api);
          // The compactor knows all blocks of the bucket, not only those that are served.
          (compactor ?? gateway).addRoutes(api);
        },
      });
      const grpc = grpcServer(config, env, { probe, services: querier.services });
      const parts = [
        querier,
        gateway,
        ...(compactor === undefined ? [] : [compactor]),
        ...sidecars,
      ];
      // Ready when the blocks are known and every part was asked once; a Prometheus may come later.
      const follow = () => {
        if (querier.probe.isReady && gateway.probe.isReady) probe.ready();
        else probe.notReady("a part is not ready");
      };
      querier.probe.onChange(follow);
      gateway.probe.onChange(follow);
      const actors: Actor[] = [
        http,
        ...gateway.actors,
        milestone("blocks", gateway.life.onStarted),
        ...sidecars.flatMap((s) => s.actors),
        ...querier.actors,
        ...(compactor?.actors ?? []),
        grpc,
      ];
      await env.runGroup(actors, {
        onStarted: () => {
          for (const part of parts) if (part !== gateway) part.life.onStarted();
          probe.healthy();
        },
        onStopping: () => {
          probe.notReady("shutting down");
          for (const part of parts) part.life.onStopping();
        },
      });
      querier.close();
    } finally {
      await compactor?.close();
      await gateway.close();
    }
  },
});

/** The compactor's settings. */
function compaction(config: Config, env: CommandEnv, bucket: readonly string[]) {
  const retention = {
    raw: config.retentionRaw,
    "5m": config.retention5m,
    "1h": config.retention1h,
  };
  return settings("compact", compactFlags, env, [
    "--wait",
    ...bucket,
    `--data-dir=${config.dataDir}/compact`,
    ...Object.entries(retention).map(([name, ms]) => `--retention.resolution-${name}=${ms}ms`),
    ...config.compactArgs,
  ]);
}

/** Config and surroundings of one part: its own log fields and metrics, the same process. */
function settings<F extends FlagTable>(
  name: string,
  flags: F,
  env: CommandEnv,
  args: readonly string[],
  part = name,
): [ConfigOf<F>, CommandEnv] {
  const { config, shown, warnings } = readFlags(name, flags, args, processHost);
  const logger = env.logger.with({ part });
  for (const warning of warnings) logger.warn(warning);
  return [config, { ...env, name, logger, metrics: env.metrics.part({ part }), flags: shown }];
}

/** The bucket that was asked for, or a folder below the data folder. */
async function bucketArgs(config: Config): Promise<string[]> {
  if (config.tsdbPaths.length > config.prometheusUrls.length) {
    throw new MnemeError("bad_data", "--tsdb.path is given more often than --prometheus.url");
  }
  const { path, content } = config.objstore;
  if (config.objstore.load() !== "") {
    return path === "" ? [`--objstore.config=${content}`] : [`--objstore.config-file=${path}`];
  }
  const directory = `${config.dataDir}/bucket`;
  await Deno.mkdir(directory, { recursive: true });
  return [
    `--objstore.config=type: FILESYSTEM\nconfig: {directory: ${JSON.stringify(directory)}}`,
  ];
}

/** A part of this process as the querier sees endpoints. */
function inProcess(
  info: () => ComponentInfo | Promise<ComponentInfo>,
  store: Store,
  catalog?: Catalog,
): EndpointClient {
  return {
    info: async () => await info(),
    store,
    ...(catalog === undefined ? {} : { catalog }),
    close() {},
  };
}

if (import.meta.main) await runMain(standalone);
