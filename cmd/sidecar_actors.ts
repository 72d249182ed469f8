/** What a sidecar does beside answering queries: shipping blocks and reloading configuration. */
import { MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { meterBucket, openBucket } from "../lib/objstore/mod.ts";
import { httpTrigger, Reloader, reloaderMetrics, signalTrigger } from "../lib/reloader/mod.ts";
import { type Actor, every, hangUpByName, watchFiles } from "../lib/runtime/mod.ts";
import { progressLine, Shipper, shipperMetrics, type ShipperProgress } from "../lib/shipper/mod.ts";
import type { PrometheusClient, PrometheusState } from "../lib/store/mod.ts";
import { SystemFiles } from "../lib/tsdb/mod.ts";
import type { CommandEnv } from "./command.ts";
import type { sidecarFlags } from "./sidecar_flags.ts";

/** Pause between two looks into the data folder, ms. */
const SHIP_PERIOD = 30_000;
/** Longest time a reload request may take, ms. */
const RELOAD_TIMEOUT = 60_000;

type Config = ConfigOf<typeof sidecarFlags>;

/** An actor that starts once `gate` has opened. */
export function afterwards(actor: Actor, gate: Promise<void>): Actor {
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

/** The shipper, or undefined without a bucket. */
export async function shipperOf(
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
    await openBucket(text, { source: config.objstore.source, logger }),
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
    ...(Deno.stderr.isTerminal() ? { progress: showProgress } : {}),
  });
}

/** One line on the terminal that shows how far the upload is. */
function showProgress(progress: ShipperProgress): void {
  Deno.stderr.writeSync(new TextEncoder().encode(progressLine(progress)));
}

/** Ships at once when Prometheus has answered, and then every half minute. */
export function shippingActor(
  shipper: Shipper,
  first: Promise<void>,
  config: Config,
  env: CommandEnv,
): Actor {
  const logger = env.logger.with({ component: "shipper" });
  const sleep = (ms: number, signal: AbortSignal) => env.clock.sleep(ms, signal);
  const loop = every("shipper", SHIP_PERIOD, async (signal) => {
    try {
      const { uploaded, errors } = await shipper.sync(signal);
      if (errors.length > 0) {
        const err = errors[0]!.message;
        logger.warn("shipping failed", { uploaded, failed: errors.length, err });
      } else if (uploaded > 0) logger.info("blocks uploaded", { uploaded });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }, sleep);
  return {
    name: loop.name,
    async run(signal) {
      const wal = `${config.tsdbPath}/wal`;
      if (new SystemFiles().stat(wal)?.isDirectory !== true) {
        logger.error("no WAL was found in Prometheus' data folder; is --tsdb.path right?", { wal });
      }
      const stop = new AbortController();
      const either = AbortSignal.any([signal, stop.signal]);
      const late = sleep(config.readyTimeout, either).then(() => true, () => false);
      const isLate = await Promise.race([first.then(() => false), late]);
      stop.abort();
      if (signal.aborted) return;
      if (isLate) {
        throw new MnemeError(
          "timeout",
          `Prometheus told no external labels within --prometheus.ready_timeout ` +
            `(${config.readyTimeout / 1000} s), which shipping needs`,
        );
      }
      await loop.run(signal);
    },
  };
}

/** Watches configuration and rules for as long as the sidecar runs. */
export function reloaderOf(config: Config, env: CommandEnv, client: PrometheusClient): Actor {
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
      // A Prometheus that hangs must not hold the reloader for ever.
      const limited = AbortSignal.any([signal, AbortSignal.timeout(RELOAD_TIMEOUT)]);
      const answer = await client.request(path, { method: "POST" }, limited);
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
