/**
 * The sidecar: stands beside one Prometheus, serves its data over the Store API, ships its blocks
 * to the bucket, and reloads its configuration when a file changes.
 */
import { MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { MAX_TIME } from "../lib/model/mod.ts";
import { reflectionServices } from "../lib/rpc/mod.ts";
import { httpClient } from "../lib/runtime/mod.ts";
import {
  PrometheusCatalog,
  PrometheusClient,
  PrometheusContact,
  PrometheusState,
  PrometheusStore,
  prometheusStoreMetrics,
} from "../lib/store/mod.ts";
import {
  CATALOG_SERVICES,
  catalogServices,
  type ComponentInfo,
  FILE_DESCRIPTORS,
  INFO_SERVICE,
  infoService,
  STORE_SERVICE,
  storeService,
} from "../lib/storeapi/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { afterwards, reloaderOf, shipperOf, shippingActor } from "./sidecar_actors.ts";
import { sidecarFlags } from "./sidecar_flags.ts";
import { grpcServer, httpServer } from "./servers.ts";

export const sidecar = defineCommand({
  name: "sidecar",
  help: "Sidecar for Prometheus server.",
  flags: sidecarFlags,
  run: async (config, env) => {
    const part = await openSidecar(config, env);
    const { probe } = part;
    const http = httpServer(config, env, { probe });
    const grpc = grpcServer(config, env, {
      probe,
      services: [
        storeService(part.store),
        infoService(part.info),
        ...catalogServices(part.catalog),
        ...reflectionServices(FILE_DESCRIPTORS, [
          STORE_SERVICE,
          INFO_SERVICE,
          ...CATALOG_SERVICES,
        ]),
      ],
    });
    // Nobody is answered before Prometheus was.
    await env.runGroup([http, ...part.actors, afterwards(grpc, part.first)], part.life);
  },
});

/** A sidecar without servers, for its own command and for `standalone`. */
export async function openSidecar(config: ConfigOf<typeof sidecarFlags>, env: CommandEnv) {
  const { logger, metrics, clock } = env;
  const probe = new Probe(env.name, env);
  const client = new PrometheusClient({
    url: config.url,
    userAgent: `Thanos/${env.build.version}`,
    ...httpClient(config.httpClient.load(), config.httpClient.source),
  });
  const state = new PrometheusState(client, clock);
  const minTime = () => Math.max(config.minTime.at(clock.now()), state.lowestTime);
  const externalLabels = () => state.externalLabels;
  const store = new PrometheusStore({
    client,
    externalLabels,
    minTime,
    version: () => state.version,
    limits: { series: config.limitSeries, samples: config.limitSamples },
    ...prometheusStoreMetrics(metrics),
  });
  const catalog = new PrometheusCatalog({
    client,
    externalLabels,
    isReady: () => probe.isReady,
  });
  const shipper = await shipperOf(config, env, state);
  const contact = new PrometheusContact(state, {
    clock,
    metrics,
    log: (level, message, fields) =>
      logger.with({ component: "prometheus" })[level](message, fields ?? {}),
    interval: config.configInterval,
    timeout: config.configTimeout,
    onUp: () => probe.ready(),
    onDown: (reason) => probe.notReady(reason),
    ...(shipper === undefined ? {} : {
      shipping: {
        tsdbPath: config.tsdbPath,
        metaFileName: config.metaFileName,
        ignoreUnequalBlockSize: config.ignoreUnequal,
      },
    }),
  });
  return {
    probe,
    store,
    catalog,
    info: (): ComponentInfo => {
      if (!probe.isReady) throw new MnemeError("internal", "Not ready");
      const labels = state.externalLabels;
      const times = { minTime: minTime(), maxTime: MAX_TIME };
      return {
        labelSets: [labels],
        componentType: "sidecar",
        store: {
          ...times,
          supportsSharding: true,
          supportsWithoutReplicaLabels: true,
          tsdbInfos: [{ labels, ...times }],
        },
        rules: true,
        metricMetadata: true,
        targets: true,
        exemplars: { minTime: 0, maxTime: 0 },
        status: true,
      };
    },
    /** Resolves when Prometheus has answered for the first time. */
    first: contact.first,
    actors: [
      { name: "prometheus heartbeat", run: (signal: AbortSignal) => contact.run(signal) },
      reloaderOf(config, env, client),
      ...(shipper === undefined ? [] : [shippingActor(shipper, contact.first, config, env)]),
    ],
    life: { onStarted: () => probe.healthy(), onStopping: () => probe.notReady("shutting down") },
  };
}

if (import.meta.main) await runMain(sidecar);
