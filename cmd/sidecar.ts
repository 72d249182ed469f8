/**
 * The sidecar: stands beside one Prometheus, serves its data over the Store API, ships its blocks
 * to the bucket, and reloads its configuration when a file changes.
 */
import { MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { MAX_TIME } from "../lib/model/mod.ts";
import { meterBucket, openBucket } from "../lib/objstore/mod.ts";
import { httpTrigger, Reloader, reloaderMetrics, signalTrigger } from "../lib/reloader/mod.ts";
import { reflectionServices } from "../lib/rpc/mod.ts";
import { type Actor, every, hangUpByName, watchFiles } from "../lib/runtime/mod.ts";
import { Shipper, shipperMetrics } from "../lib/shipper/mod.ts";
import {
  PrometheusClient,
  PrometheusContact,
  PrometheusState,
  PrometheusStore,
} from "../lib/store/mod.ts";
import {
  FILE_DESCRIPTORS,
  INFO_SERVICE,
  infoService,
  STORE_SERVICE,
  storeService,
} from "../lib/storeapi/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import { SystemFiles } from "../lib/tsdb/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { sidecarFlags } from "./sidecar_flags.ts";
import { grpcServer, httpServer } from "./servers.ts";

/** Pause between two looks into the data folder, ms. */
const SHIP_PERIOD = 30_000;

export const sidecar = defineCommand({
  name: "sidecar",
  help: "Sidecar for Prometheus server.",
  flags: sidecarFlags,
  run: async (config, env) => {
    const { logger, metrics, clock } = env;
    const probe = new Probe(env.name, env);
    const client = new PrometheusClient({
      url: config.url,
      userAgent: `Thanos/${env.build.version}`,
    });
    const state = new PrometheusState(client, clock);
    const minTime = () => Math.max(config.minTime.at(clock.now()), state.lowestTime);
    const dropped = metrics.counterFamily({
      name: "thanos_store_selects_dropped_total",
      help: "Number of select requests that a limit stopped.",
      labels: ["reason"],
      known: [{ reason: "series" }, { reason: "chunks" }],
    });
    const frames = metrics.histogram(
      "prometheus_store_received_frames",
      "Number of frames received per streamed response.",
      [10, 100, 1000, 10_000, 100_000],
    );
    const store = new PrometheusStore({
      client,
      externalLabels: () => state.externalLabels,
      minTime,
      version: () => state.version,
      limits: { series: config.limitSeries, samples: config.limitSamples },
      onLimit: (reason) => dropped.with({ reason }).inc(),
      onFrames: (count) => frames.observe(count),
    });
    const http = httpServer(config, env, { probe });
    const grpc = grpcServer(config, env, {
      probe,
      services: [
        storeService(store),
        infoService(() => {
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
          };
        }),
        ...reflectionServices(FILE_DESCRIPTORS, [STORE_SERVICE, INFO_SERVICE]),
      ],
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
    await env.runGroup([
      http,
      { name: "prometheus heartbeat", run: (signal) => contact.run(signal) },
      // Nobody is answered before Prometheus was.
      afterwards(grpc, contact.first),
      reloaderOf(config, env, client),
      ...(shipper === undefined ? [] : [shippingActor(shipper, contact.first, env)]),
    ], { onStarted: () => probe.healthy(), onStopping: () => probe.notReady("shutting down") });
  },
});

type Config = ConfigOf<typeof sidecarFlags>;

/** An actor that starts once `gate` has opened. */
function afterwards(actor: Actor, gate: Promise<void>): Actor {
  return {
    name: actor.name,
    async run(signal) {
      const stopped = new Promise<"stopped">((resolve) => {
        if (signal.aborted) resolve("stopped");
        signal.addEventListener("abort", () => resolve("stopped"), { once: true });
      });
      if (await Promise.race([gate, stopped]) === "stopped") return;
      await actor.start?.();
      await actor.run(signal);
    },
  };
}

async function shipperOf(
  config: Config,
  env: CommandEnv,
  state: PrometheusState,
): Promise<Shipper | undefined> {
  const { logger, metrics, clock } = env;
  const text = config.objstore.load();
  if (text === "") {
    logger.info("no supported bucket was configured, uploads will be disabled");
    return undefined;
  }
  const bucket = meterBucket(
    await openBucket(text, { source: config.objstore.source }),
    { metrics, clock },
  );
  return new Shipper({
    folder: config.tsdbPath.replace(/\/+$/, ""),
    metaFileName: config.metaFileName,
    uploadCompacted: config.uploadCompacted,
    allowOutOfOrder: config.allowOutOfOrder,
    skipCorrupted: config.skipCorrupted,
    hash: config.hashFunction,
    concurrency: config.uploadConcurrency,
    source: "sidecar",
  }, {
    bucket,
    files: new SystemFiles(),
    externalLabels: () => state.externalLabels,
    clock,
    log: (level, message, fields) =>
      logger.with({ component: "shipper" })[level](message, fields ?? {}),
    metrics: shipperMetrics(metrics),
  });
}

function shippingActor(shipper: Shipper, first: Promise<void>, env: CommandEnv): Actor {
  const loop = every("shipper", SHIP_PERIOD, async (signal) => {
    const { uploaded, errors } = await shipper.sync(signal);
    const logger = env.logger.with({ component: "shipper" });
    if (errors.length > 0) {
      logger.warn("upload failed", { uploaded, failed: errors.length, err: errors[0]!.message });
    } else if (uploaded > 0) logger.info("blocks uploaded", { uploaded });
  }, (ms, signal) => env.clock.sleep(ms, signal));
  return afterwards(loop, first);
}

function reloaderOf(config: Config, env: CommandEnv, client: PrometheusClient): Actor {
  const { clock, metrics } = env;
  const logger = env.logger.with({ component: "reloader" });
  const info = async (signal: AbortSignal) => {
    const data = await client.get("/api/v1/status/runtimeinfo", undefined, signal) as {
      reloadConfigSuccess?: boolean;
      lastConfigTime?: string;
    };
    return {
      reloadConfigSuccess: data.reloadConfigSuccess === true,
      lastConfigTime: Date.parse(data.lastConfigTime ?? "") || 0,
    };
  };
  const trigger = config.reloadMethod === "signal"
    ? signalTrigger({
      runtimeInfo: info,
      hangUp: hangUpByName,
      processName: config.processName,
      clock,
      timeout: config.watchInterval,
    })
    : httpTrigger(async (path, signal) => {
      const answer = await client.request(path, { method: "POST" }, signal);
      await answer.body?.cancel();
      return answer;
    });
  const reloader = new Reloader({
    configFile: config.reloadConfig,
    outputFile: config.reloadOutput,
    ruleFolders: config.ruleFolders,
    watchInterval: config.watchInterval,
    retryInterval: config.retryInterval,
  }, {
    trigger,
    env: (name) => Deno.env.get(name),
    watch: watchFiles,
    clock,
    metrics: reloaderMetrics(metrics, config.reloadMethod),
    log: (level, message, fields) => logger[level](message, fields ?? {}),
  });
  return {
    name: "reloader",
    async run(signal) {
      await reloader.run(signal);
      if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done));
    },
  };
}

if (import.meta.main) await runMain(sidecar);
