/**
 * The querier: one place to ask many stores. Fan-out, deduplication and PromQL behind Prometheus'
 * HTTP API, and the Store API over everything below it, so that queriers stack.
 */
import { addQueryRoutes } from "../lib/api/mod.ts";
import { Gate, MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { labelsFromPairs } from "../lib/model/mod.ts";
import { Engine } from "../lib/promql/mod.ts";
import {
  componentInfo,
  endpointMetrics,
  EndpointResolver,
  EndpointSet,
  type EndpointSpec,
  Querier,
  queryGateMetrics,
} from "../lib/query/mod.ts";
import { connectRpc, reflectionServices } from "../lib/rpc/mod.ts";
import { every } from "../lib/runtime/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import {
  fetchInfo,
  FILE_DESCRIPTORS,
  INFO_SERVICE,
  infoService,
  type ProxiedStore,
  RemoteStore,
  STORE_SERVICE,
  StoreProxy,
  storeService,
} from "../lib/storeapi/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { grpcServer, httpServer } from "./servers.ts";
import { queryFlags } from "./query_flags.ts";

/** How long the first round of Info calls may hold readiness back without a response time-out, ms. */
const FIRST_ROUND = 30_000;

export const query = defineCommand({
  name: "query",
  help:
    "Query node exposing PromQL enabled Query API with data retrieved from multiple store nodes.",
  flags: queryFlags,
  run: async (config, env) => {
    const { logger, metrics, clock } = env;
    const probe = new Probe(env.name, env);
    const endpoints = new EndpointSet({
      connect: ({ address }) => {
        const client = connectRpc(address);
        return {
          info: (signal, timeoutMs) => fetchInfo(client, { signal, timeoutMs, waitForReady: true }),
          store: new RemoteStore(client),
          close: () => client.close(),
        };
      },
      infoTimeout: config.infoTimeout,
      unhealthyTimeout: config.unhealthyTimeout,
      clock,
      log: (level, message, fields) =>
        logger.with({ component: "endpointset" })[level](message, fields),
      metrics: endpointMetrics(metrics, config.connectionLabels),
    });
    const selectorLabels = labelsFromPairs(
      config.selectorLabels.map((l) => [l.name, l.value] as const),
    );
    const proxy = new StoreProxy({
      stores: () =>
        endpoints.known().flatMap((e): ProxiedStore[] =>
          e.info.store === undefined ? [] : [{
            address: e.address,
            store: e.client.store,
            labelSets: e.info.labelSets,
            info: e.info.store,
            unhealthy: e.unhealthy,
          }]
        ),
      selectorLabels,
      responseTimeout: config.responseTimeout,
      requestTimeout: config.timeout,
      strategy: config.proxyStrategy,
      maxBufferedFrames: config.lazyBuffer,
      limitSeries: config.limitSeries,
      limitSamples: config.limitSamples,
    });
    const engine = new Engine({
      features: featuresOf(config, env),
      defaultStep: config.defaultEvaluationInterval,
      maxSamples: config.maxSamples,
      timeout: config.timeout,
    });
    const querier = new Querier({
      stores: (matchers) => proxy.matching(matchers),
      dedupFunction: config.dedupFunction,
    });
    const gate = new Gate(config.maxConcurrent);
    const gated = queryGateMetrics(metrics, gate, clock);
    const resolver = new EndpointResolver(staticSpecs(config), {
      interval: config.sdDnsInterval,
      now: () => clock.now(),
      onFailure: (name, cause) => logger.warn("DNS lookup failed", { name, err: cause }),
    });

    const http = httpServer(config, env, {
      probe,
      routePrefix: config.routePrefix === "" ? config.externalPrefix : config.routePrefix,
      cors: !config.disableCors,
      tenant: { header: config.tenantHeader, fallback: config.defaultTenant },
      addRoutes: (api) =>
        addQueryRoutes(api, {
          engine,
          querier,
          endpoints: () => endpoints.statuses(),
          now: () => clock.now(),
          enter: gated,
          settings: {
            replicaLabels: replicaLabelsOf(config.replicaLabels),
            partialResponse: config.partialResponse,
            autoDownsampling: config.autoDownsampling,
            instantDefaultResolution: config.instantResolution,
            defaultStep: config.defaultStep,
            lookbackDelta: config.lookbackDelta ?? 0,
            dynamicLookback: config.dynamicLookback,
            timeout: config.timeout,
            metadataRange: config.metadataRange,
            tenantHeader: config.tenantHeader,
            defaultTenant: config.defaultTenant,
            defaultEngine: config.engine,
          },
        }),
    });
    const grpc = grpcServer(config, env, {
      probe,
      services: [
        storeService(proxy),
        infoService(() => {
          if (!probe.isReady) throw new MnemeError("unavailable", "Not ready");
          return componentInfo(endpoints.known().map((e) => e.info), selectorLabels);
        }),
        ...reflectionServices(FILE_DESCRIPTORS, [STORE_SERVICE, INFO_SERVICE]),
      ],
    });
    // Ready after the first round, or when it takes too long: a dead endpoint must not hold it up.
    const firstRound = new AbortController();
    const wait = config.responseTimeout === 0 ? FIRST_ROUND : config.responseTimeout;
    await env.runGroup([
      http,
      grpc,
      {
        name: "readiness",
        async run(signal) {
          const either = AbortSignal.any([signal, firstRound.signal]);
          await clock.sleep(wait, either).catch(() => undefined);
          if (!signal.aborted) probe.ready();
          if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done));
        },
      },
      every("endpoint update", config.infoTimeout, async (signal) => {
        await endpoints.update(await resolver.endpoints(), signal);
        firstRound.abort();
      }, (ms, signal) => clock.sleep(ms, signal)),
    ], { onStarted: () => probe.healthy(), onStopping: () => probe.notReady("shutting down") });
    endpoints.close();
  },
});

type Config = ConfigOf<typeof queryFlags>;

function staticSpecs(config: Config): EndpointSpec[] {
  for (const address of config.strictEndpoints) {
    if (address.includes("+")) {
      throw new MnemeError(
        "bad_data",
        `--endpoint-strict: ${address} is looked up by DNS, which a strict endpoint cannot be`,
      );
    }
  }
  return [
    ...config.endpoints.map((address) => ({ address, strict: false })),
    ...config.strictEndpoints.map((address) => ({ address, strict: true })),
  ];
}

/** Flags and commas both separate; sorted and unique, as Thanos keeps them. */
function replicaLabelsOf(given: readonly string[]): string[] {
  return [...new Set(given.flatMap((text) => text.split(",")).filter((name) => name !== ""))]
    .sort();
}

const NO_LONGER = new Set(["promql-at-modifier", "promql-negative-offset", "query-pushdown"]);

function featuresOf(config: Config, env: CommandEnv) {
  const names = new Set(config.features.flatMap((text) => text.split(",")));
  for (const name of names) {
    if (NO_LONGER.has(name)) env.logger.warn("this feature is always on", { feature: name });
  }
  return {
    experimentalFunctions: names.has("promql-experimental-functions"),
    extendedRangeSelectors: names.has("promql-extended-range-selectors"),
    fillModifiers: names.has("promql-binop-fill-modifiers"),
    delayedNameRemoval: names.has("promql-delayed-name-removal"),
    startTimestamps: names.has("use-start-timestamps"),
    typeAndUnitLabels: names.has("type-and-unit-labels"),
    xFunctions: config.xFunctions,
    sortedDuplicates: false,
  };
}

if (import.meta.main) await runMain(query);
