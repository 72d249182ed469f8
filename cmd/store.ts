/**
 * The store gateway: serves the blocks of a bucket over the Store API, with index headers and metas
 * kept on the local disk.
 */
import type { Hono } from "hono";
import { addBlockRoutes } from "../lib/api/mod.ts";
import { MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { meterBucket, openBucket } from "../lib/objstore/mod.ts";
import { reflectionServices } from "../lib/rpc/mod.ts";
import { lockDataDirectory } from "../lib/runtime/mod.ts";
import { BlockCatalog } from "../lib/store/mod.ts";
import {
  catalogServices,
  FILE_DESCRIPTORS,
  INFO_SERVICE,
  infoService,
  STATUS_SERVICE,
  STORE_SERVICE,
  storeService,
} from "../lib/storeapi/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { grpcServer, httpServer } from "./servers.ts";
import { blockSync, headerSweep } from "./store_actors.ts";
import { storeFlags } from "./store_flags.ts";
import { cachedBucket, makeStore, unreadableNote } from "./store_gateway.ts";

export const store = defineCommand({
  name: "store",
  help: "Store gateway: answers queries from the blocks of a bucket.",
  flags: storeFlags,
  run: async (config, env) => {
    const part = await openStore(config, env);
    const { probe } = part;
    try {
      const http = httpServer(config, env, {
        probe,
        cors: !config.disableCors,
        ...(config.webDisable ? {} : { pages: config, addRoutes: part.addRoutes }),
      });
      const grpc = grpcServer(config, env, {
        probe,
        services: [
          storeService(part.gateway),
          infoService(part.info),
          ...catalogServices(part.catalog).filter(({ name }) => name === STATUS_SERVICE),
          ...reflectionServices(FILE_DESCRIPTORS, [STORE_SERVICE, INFO_SERVICE, STATUS_SERVICE]),
        ],
      });
      // The first sync stands between the two servers: probes answer, queries wait for blocks.
      await env.runGroup([http, ...part.actors, grpc], part.life);
    } finally {
      await part.close();
    }
  },
});

/** A store gateway without servers, for its own command and for `standalone`. */
export async function openStore(config: Config, env: CommandEnv) {
  checkConfig(config, env);
  const probe = new Probe(env.name, env);
  const { objstore } = config;
  const opened = await openBucket(objstore.load(), {
    source: objstore.source,
    hedging: true,
    logger: env.logger,
  });
  const bucket = await cachedBucket(config, env, meterBucket(opened, env));
  const directory = config.cacheIndexHeader ? await lockDataDirectory(config.dataDir) : undefined;
  const gateway = await makeStore(config, env, bucket, directory?.path);
  return {
    probe,
    gateway,
    catalog: new BlockCatalog(gateway),
    info: () => {
      if (!probe.isReady) throw new MnemeError("unavailable", "Not ready");
      return gateway.info();
    },
    addRoutes: (api: Hono) =>
      addBlockRoutes(api, {
        bucket,
        clock: env.clock,
        label: config.bucketWebLabel,
        adminDisabled: config.disableAdminOperations,
        loaded: () => {
          const { time, error } = gateway.lastSync;
          return { blocks: gateway.blocks, refreshedAt: time, error };
        },
        notes: () => unreadableNote(gateway),
      }),
    actors: [
      blockSync(gateway, config.syncInterval, env, probe),
      headerSweep(gateway, config.lazyReaderIdle, env),
    ],
    life: {
      onStarted: () => {
        probe.ready();
        env.logger.info("bucket store ready");
      },
      onStopping: () => probe.notReady("shutting down"),
    },
    close: async () => {
      directory?.release();
      await bucket.close();
    },
  };
}

type Config = ConfigOf<typeof storeFlags>;

function checkConfig(config: Config, env: CommandEnv): void {
  const fail = (message: string) => {
    throw new MnemeError("bad_data", message);
  };
  const now = env.clock.now();
  if (config.minTime.at(now) > config.maxTime.at(now)) {
    const { minTime, maxTime } = config;
    fail(
      `invalid argument: --min-time '${minTime.text}' can't be greater than --max-time '${maxTime.text}'`,
    );
  }
  if (config.maxConcurrency < 0) {
    fail("--store.grpc.series-max-concurrency: max concurrency value cannot be lower than 0");
  }
  if (config.syncConcurrency < 1) fail("--block-sync-concurrency must be at least 1");
  if (config.metaConcurrency < 1) fail("--block-meta-fetch-concurrency must be at least 1");
}

if (import.meta.main) await runMain(store);
