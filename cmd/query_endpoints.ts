/** The querier's endpoints: from flags, files and DNS to connections that are looked after. */
import type { ConfigOf } from "../lib/config/mod.ts";
import {
  checkClient,
  type ClientSettings,
  type EndpointClient,
  endpointConnector,
  endpointMetrics,
  EndpointResolver,
  EndpointSet,
  EndpointSources,
  FileDiscovery,
  type Lookup,
  lookupMetrics,
  nameServerLookup,
  systemLookup,
} from "../lib/query/mod.ts";
import { every, findFiles, grpcClientObserver } from "../lib/runtime/mod.ts";
import { ENDPOINT_METHODS } from "../lib/storeapi/mod.ts";
import type { CommandEnv } from "./command.ts";
import type { queryFlags } from "./query_flags.ts";
import { staticSpecs } from "./query_settings.ts";
import { warnOfOldTls } from "./servers.ts";

type Config = ConfigOf<typeof queryFlags>;

/** The endpoints and what keeps them up to date; `local` are endpoints of the same process. */
export function openEndpoints(
  config: Config,
  env: CommandEnv,
  local: ReadonlyMap<string, EndpointClient>,
) {
  const { metrics, clock } = env;
  const log = env.logger.with({ component: "endpointset" });
  const endpoints = new EndpointSet({
    connect: endpointConnector({
      observer: grpcClientObserver(env, ENDPOINT_METHODS),
      local,
      maxReceiveBytes: config.maxMessage,
      readFile: (path) => Deno.readFileSync(path),
    }),
    infoTimeout: config.infoTimeout,
    unhealthyTimeout: config.unhealthyTimeout,
    closeDelay: Math.max(config.timeout, config.infoTimeout, config.unhealthyTimeout),
    clock,
    log: (level, message, fields) => log[level](message, fields),
    metrics: endpointMetrics(metrics, config.connectionLabels),
  });
  const own = [...local.keys()].map((address) => ({ address, strict: false }));
  const { endpointConfig } = config;
  const sources = new EndpointSources({
    fixed: [...staticSpecs(config), ...own],
    client: clientOf(config, env),
    ...(endpointConfig.given
      ? { config: { source: endpointConfig.source, load: () => endpointConfig.load() } }
      : {}),
    configInterval: config.endpointConfigInterval,
    files: new FileDiscovery(config.sdFiles, {
      files: {
        find: findFiles,
        read: (path) => Deno.readTextFileSync(path),
        version: (path) => {
          const { mtime, size, ino } = Deno.statSync(path);
          return `${mtime?.getTime()} ${size} ${ino}`;
        },
      },
      interval: config.sdInterval,
      now: () => clock.now(),
      onFailure: (path, err) => log.warn("cannot read a file of endpoints", { path, err }),
    }),
    now: () => clock.now(),
    onReload: ({ error }) => {
      if (error === undefined) log.info("endpoint configuration reloaded");
      else log.error("endpoint configuration cannot be used, the last one stays", { err: error });
    },
  });
  const resolver = new EndpointResolver(() => sources.specs(), {
    interval: config.sdDnsInterval,
    now: () => clock.now(),
    lookup: lookupOf(config, env),
    onFailure: (name, err) => log.warn("DNS lookup failed", { name, err }),
    metrics: lookupMetrics(metrics),
  });
  const stopReloads = env.onReload(() => sources.reload());
  return {
    endpoints,
    /** Polls until it is stopped; `onRound` is called after each round. */
    actor: (onRound: () => void) =>
      every("endpoint update", config.infoTimeout, async (signal) => {
        await endpoints.update(await resolver.endpoints(), signal);
        onRound();
      }, (ms, signal) => clock.sleep(ms, signal)),
    close: () => {
      stopReloads();
      endpoints.close();
    },
  };
}

/** Who is asked for the addresses behind names. */
function lookupOf({ sdDnsResolver: resolver }: Config, env: CommandEnv): Lookup {
  if (resolver === "miekgdns") return nameServerLookup();
  if (resolver !== "" && resolver !== "golang") {
    env.logger.warn("no such resolver type, names are looked up as the machine does", { resolver });
  }
  return systemLookup;
}

/** Settings of calls from the flags; throws for a certificate without its key. */
function clientOf(config: Config, env: CommandEnv): ClientSettings {
  warnOfOldTls("grpc-client-tls-min-version", config.grpcClientTlsMinVersion, env);
  const settings: ClientSettings = {
    tls: config.grpcClientTlsSecure
      ? {
        caFile: config.grpcClientTlsCa,
        certFile: config.grpcClientTlsCert,
        keyFile: config.grpcClientTlsKey,
        skipVerify: config.grpcClientTlsSkipVerify,
        minVersion: config.grpcClientTlsMinVersion,
      }
      : undefined,
    serverName: config.grpcClientServerName,
    compression: config.grpcCompression,
  };
  checkClient(settings, "--grpc-client-tls-cert");
  return settings;
}
