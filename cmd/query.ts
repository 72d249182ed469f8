/**
 * The querier: one place to ask many stores. Fan-out, deduplication and PromQL behind Prometheus'
 * HTTP API, and the Store API over everything below it, so that queriers stack.
 */
import type { Hono } from "hono";
import { addMetadataRoutes, addQueryRoutes, Tenants } from "../lib/api/mod.ts";
import { Gate, makeUlid, MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { labelsFromPairs } from "../lib/model/mod.ts";
import { Engine } from "../lib/promql/mod.ts";
import {
  ActiveQueries,
  CatalogProxy,
  CoarserStore,
  componentInfo,
  type EndpointClient,
  proxyMetrics,
  Querier,
  queryGateMetrics,
  QueryRunner,
  RunnerQueryApi,
  selectGateMetrics,
} from "../lib/query/mod.ts";
import { reflectionServices } from "../lib/rpc/mod.ts";
import { Probe } from "../lib/telemetry/mod.ts";
import {
  CATALOG_SERVICES,
  catalogServices,
  FILE_DESCRIPTORS,
  INFO_SERVICE,
  infoService,
  type ProxiedStore,
  QUERY_SERVICE,
  queryService,
  STORE_SERVICE,
  StoreProxy,
  storeService,
} from "../lib/storeapi/mod.ts";
import { type CommandEnv, defineCommand, runMain } from "./command.ts";
import { grpcServer, httpServer } from "./servers.ts";
import { openEndpoints } from "./query_endpoints.ts";
import { queryFlags } from "./query_flags.ts";
import {
  checkAlertUrl,
  engineNameOf,
  featuresOf,
  lookbackOf,
  openJournal,
  plannerOf,
  replicaLabelsOf,
  selectorOf,
  strategiesOf,
  telemetryOf,
  tenantSettings,
} from "./query_settings.ts";

/** How long the first round of Info calls may hold readiness back without a response time-out, ms. */
const FIRST_ROUND = 30_000;

export const query = defineCommand({
  name: "query",
  help:
    "Query node exposing PromQL enabled Query API with data retrieved from multiple store nodes.",
  flags: queryFlags,
  run: async (config, env) => {
    const part = openQuery(config, env);
    const { probe } = part;
    const http = httpServer(config, env, {
      probe,
      routePrefix: config.routePrefix === "" ? config.externalPrefix : config.routePrefix,
      cors: !config.disableCors,
      tenant: { header: config.tenantHeader, fallback: config.defaultTenant },
      pages: config,
      addRoutes: part.addRoutes,
    });
    const grpc = grpcServer(config, env, { probe, services: part.services });
    await env.runGroup([http, grpc, ...part.actors], part.life);
    part.close();
  },
});

/**
 * A querier without servers, for its own command and for `standalone`; `local` are endpoints of the
 * same process, asked without gRPC.
 */
export function openQuery(
  config: ConfigOf<typeof queryFlags>,
  env: CommandEnv,
  local: ReadonlyMap<string, EndpointClient> = new Map(),
) {
  const { metrics, clock } = env;
  checkAlertUrl(config, env);
  const probe = new Probe(env.name, env);
  const opened = openEndpoints(config, env, local);
  const { endpoints } = opened;
  const selectorLabels = labelsFromPairs(
    config.selectorLabels.map((l) => [l.name, l.value] as const),
  );
  const proxy = new StoreProxy({
    stores: () =>
      endpoints.known().flatMap((e): ProxiedStore[] =>
        e.info.store === undefined ? [] : [{
          address: e.address,
          store: new CoarserStore(e.client.store, () => e.info),
          labelSets: e.info.labelSets,
          info: e.info.store,
          unhealthy: e.unhealthy,
          probe: () => e.probe(),
        }]
      ),
    selectorLabels,
    ...selectorOf(config),
    ...proxyMetrics(metrics),
    responseTimeout: config.responseTimeout,
    requestTimeout: config.timeout,
    strategy: config.proxyStrategy,
    maxBufferedFrames: config.lazyBuffer,
    limitSeries: config.limitSeries,
    limitSamples: config.limitSamples,
  });
  const replicaLabels = replicaLabelsOf(config.replicaLabels);
  const catalogOf = (labels: readonly string[]) =>
    new CatalogProxy({
      endpoints: () =>
        endpoints.known().flatMap((e) =>
          e.client.catalog === undefined ? [] : [{
            address: e.address,
            info: e.info,
            unhealthy: e.unhealthy,
            catalog: e.client.catalog,
          }]
        ),
      replicaLabels: labels,
      timeout: config.timeout,
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
    strictResolution: config.strictResolution,
  });
  const journal = openJournal(config, env);
  const active = new ActiveQueries({
    clock,
    makeId: () => makeUlid(clock.now()),
    ...(journal === undefined ? {} : { journal }),
  });
  const runner = new QueryRunner({
    engine,
    querier,
    active,
    enter: queryGateMetrics(metrics, new Gate(config.maxConcurrent), clock),
    maxConcurrentSelects: config.maxConcurrentSelect,
    enterSelect: selectGateMetrics(metrics, config.maxConcurrentSelect, clock),
    telemetry: telemetryOf(config, metrics),
    ...plannerOf(config, env, engine, endpoints),
  });
  const queries = new RunnerQueryApi(runner, {
    replicaLabels,
    timeout: config.timeout,
    instantDefaultResolution: config.instantResolution,
    engine: engineNameOf(config),
    lookback: lookbackOf(config),
    now: () => clock.now(),
  });
  const tenants = new Tenants(tenantSettings(config));

  // Ready after the first round, or when it takes too long: a dead endpoint must not hold it up.
  const firstRound = new AbortController();
  const wait = config.responseTimeout === 0 ? FIRST_ROUND : config.responseTimeout;
  return {
    probe,
    addRoutes: (api: Hono) => {
      addMetadataRoutes(api, {
        catalog: catalogOf(replicaLabels),
        strategies: strategiesOf(config),
        tenants,
      });
      addQueryRoutes(api, {
        runner,
        querier,
        active,
        tenants,
        endpoints: () => endpoints.statuses(),
        now: () => clock.now(),
        settings: {
          replicaLabels,
          partialResponse: config.partialResponse,
          autoDownsampling: config.autoDownsampling,
          instantDefaultResolution: config.instantResolution,
          defaultStep: config.defaultStep,
          lookbackDelta: config.lookbackDelta ?? 0,
          dynamicLookback: config.dynamicLookback,
          timeout: config.timeout,
          metadataRange: config.metadataRange,
          defaultEngine: engineNameOf(config),
        },
      });
    },
    services: [
      storeService(proxy),
      infoService(() => {
        if (!probe.isReady) throw new MnemeError("unavailable", "Not ready");
        return componentInfo(endpoints.known().map((e) => e.info), selectorLabels);
      }),
      // Another querier may know other replica labels: it joins replicas itself.
      ...catalogServices(catalogOf([])),
      queryService(queries, config.defaultTenant),
      ...reflectionServices(FILE_DESCRIPTORS, [
        STORE_SERVICE,
        INFO_SERVICE,
        QUERY_SERVICE,
        ...CATALOG_SERVICES,
      ]),
    ],
    actors: [
      {
        name: "readiness",
        async run(signal: AbortSignal) {
          const either = AbortSignal.any([signal, firstRound.signal]);
          await clock.sleep(wait, either).catch(() => undefined);
          if (!signal.aborted) probe.ready();
          if (!signal.aborted) {
            await new Promise((done) => signal.addEventListener("abort", done));
          }
        },
      },
      opened.actor(() => firstRound.abort()),
    ],
    life: { onStarted: () => probe.healthy(), onStopping: () => probe.notReady("shutting down") },
    close: () => {
      opened.close();
      journal?.close();
    },
  };
}

if (import.meta.main) await runMain(query);
