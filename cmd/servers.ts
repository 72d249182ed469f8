/** The two servers of a command, made from the flags of `flags_common.ts`. */
import type { Hono } from "hono";
import {
  addPageRoutes,
  addStatusRoutes,
  createApp,
  requestLog,
  type TenantLabel,
} from "../lib/api/mod.ts";
import { type ConfigOf, readRequestLogging } from "../lib/config/mod.ts";
import type { Service } from "../lib/rpc/mod.ts";
import {
  GrpcServer,
  GrpcTlsFiles,
  HttpServer,
  PageFiles,
  Profiler,
  WebConfigFile,
} from "../lib/runtime/mod.ts";
import type { Probe } from "../lib/telemetry/mod.ts";
import type { CommandEnv } from "./command.ts";
import type { grpcFlags, httpFlags } from "./flags_common.ts";

/** The HTTP server of a command: the base application with status pages and the command's routes. */
export function httpServer(
  config: ConfigOf<typeof httpFlags>,
  env: CommandEnv,
  options: {
    readonly probe: Probe;
    readonly routePrefix?: string;
    readonly cors?: boolean;
    readonly tenant?: TenantLabel;
    /** Where links of the web pages lead; absent = no pages. */
    readonly pages?: { readonly externalPrefix: string; readonly prefixHeader: string };
    readonly addRoutes?: (api: Hono) => void;
  },
): HttpServer {
  const { addRoutes, pages, ...appOptions } = options;
  const log = requestLogging(config).http;
  const logger = env.logger.with({ service: "http/server" });
  const port = config.httpAddress.port;
  const app = createApp(
    {
      ...appOptions,
      component: env.name,
      metrics: env.metrics,
      logger: env.logger,
      tracer: env.tracer,
      ...(config.profiling ? { profiles: new Profiler(env.clock) } : {}),
      middleware: log === undefined ? [] : [requestLog(log, { logger, port })],
    },
    (api) => {
      addStatusRoutes(api, {
        flags: env.flags,
        build: env.build,
        startTime: env.startTime,
        cwd: Deno.cwd(),
      });
      addRoutes?.(api);
      if (pages === undefined) return;
      const folder = new URL("../ui/", import.meta.url).pathname;
      addPageRoutes(api, {
        ...pages,
        load: new PageFiles({ folder, logger: env.logger }).load,
        component: env.name,
        version: env.build.version,
        routePrefix: options.routePrefix ?? "",
      });
    },
  );
  return new HttpServer({
    address: config.httpAddress,
    handle: (request, remote, client) => app.fetch(request, { remote, client }),
    gracePeriod: config.httpGracePeriod,
    logger: env.logger,
    ...(config.httpConfig === "" ? {} : { web: new WebConfigFile(config.httpConfig) }),
  });
}

/** The gRPC server of a command. */
export function grpcServer(
  config: ConfigOf<typeof grpcFlags> & Pick<ConfigOf<typeof httpFlags>, "requestLogging">,
  env: CommandEnv,
  options: {
    readonly probe: Probe;
    readonly services: readonly Service[];
    readonly maxReceiveBytes?: number;
  },
): GrpcServer {
  warnOfOldTls("grpc-server-tls-min-version", config.grpcTlsMinVersion, env);
  const tls = GrpcTlsFiles.open({
    cert: config.grpcTlsCert,
    key: config.grpcTlsKey,
    clientCa: config.grpcTlsClientCa,
    minVersion: config.grpcTlsMinVersion,
  });
  return new GrpcServer({
    ...options,
    address: config.grpcAddress,
    tracer: env.tracer,
    log: requestLogging(config).grpc,
    metrics: env.metrics,
    logger: env.logger,
    gracePeriod: config.grpcGracePeriod,
    maxConnectionAge: config.grpcMaxConnectionAge,
    ...(tls === undefined ? {} : { tls }),
  });
}

/** Says what a wish for a version of TLS comes to that the runtime does not speak. */
export function warnOfOldTls(flag: string, version: string, env: CommandEnv): void {
  if (version !== "1.0" && version !== "1.1") return;
  env.logger.warn("TLS 1.0 and 1.1 are not spoken: the minimum is 1.2", { flag, version });
}

function requestLogging(config: Pick<ConfigOf<typeof httpFlags>, "requestLogging">) {
  const { requestLogging: document } = config;
  return readRequestLogging(document.load(), document.source);
}
