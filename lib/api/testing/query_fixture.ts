/** The query API over a real engine, runner and querier and a store in memory, asked in process. */
import { FakeClock, Gate } from "../../base/mod.ts";
import { Engine } from "../../promql/mod.ts";
import {
  ActiveQueries,
  type EndpointStatus,
  Querier,
  queryGateMetrics,
  QueryRunner,
  queryTelemetry,
} from "../../query/mod.ts";
import { StoreProxy } from "../../storeapi/mod.ts";
import { encodeSeriesData, floatSeries } from "../../storeapi/testing/fixtures.ts";
import { MemoryStore, type MemoryStoreOptions } from "../../storeapi/testing/memory_store.ts";
import { Metrics, Probe, silentLogger } from "../../telemetry/mod.ts";
import { addQueryRoutes } from "../api_query.ts";
import { createApp } from "../app.ts";
import type { QueryApiSettings } from "../query_settings.ts";
import { Tenants, type TenantSettings } from "../tenant.ts";

export const START = 1_790_208_000_000;

/** What flags would say. */
export const SETTINGS: QueryApiSettings = {
  replicaLabels: ["replica"],
  partialResponse: true,
  autoDownsampling: false,
  instantDefaultResolution: 0,
  defaultStep: 1000,
  lookbackDelta: 0,
  dynamicLookback: true,
  timeout: 10_000,
  metadataRange: 0,
  defaultEngine: "prometheus",
};

/** Tenants by header, not enforced. */
export const TENANTS: TenantSettings = {
  header: "THANOS-TENANT",
  fallback: "default-tenant",
  label: "tenant_id",
  enforced: false,
  certificateField: "",
};

export interface QuerySetup {
  readonly settings?: Partial<QueryApiSettings>;
  readonly tenants?: Partial<TenantSettings>;
  readonly store?: Partial<MemoryStoreOptions>;
  readonly concurrency?: number;
  readonly enter?: (signal: AbortSignal) => Promise<() => void>;
  readonly endpoints?: readonly EndpointStatus[];
}

/** The application, how to ask it, and the store behind it. */
export function queryFixture(setup: QuerySetup = {}) {
  const series = [
    floatSeries({ __name__: "up", job: "a", replica: "0", zone: "<&>" }, START, 40, {
      stale: true,
    }),
    floatSeries({ __name__: "up", job: "a", replica: "1", zone: "<&>" }, START, 40),
    floatSeries({ __name__: "up", job: "b", "quoted.name": "x" }, START, 41, { value: 0.5 }),
  ].map((s) => encodeSeriesData(s)).sort((a, b) => a.labels.join() < b.labels.join() ? -1 : 1);
  const store = new MemoryStore({ series, ...setup.store });
  const metrics = new Metrics();
  const probe = new Probe("query", { metrics, logger: silentLogger });
  const clock = new FakeClock(START + 60_000);
  const proxy = new StoreProxy({
    stores: () => [{
      address: "127.0.0.1:10901",
      store,
      labelSets: [],
      unhealthy: undefined,
      info: {
        minTime: START,
        maxTime: START + 3_600_000,
        supportsSharding: true,
        supportsWithoutReplicaLabels: true,
        tsdbInfos: [],
      },
    }],
  });
  const querier = new Querier({
    stores: (matchers) => proxy.matching(matchers),
    dedupFunction: "penalty",
  });
  let ids = 0;
  const active = new ActiveQueries({ clock, makeId: () => `id${++ids}` });
  const runner = new QueryRunner({
    engine: new Engine({ features: { experimentalFunctions: true } }),
    querier,
    active,
    enter: setup.enter ?? queryGateMetrics(metrics, new Gate(setup.concurrency ?? 20), clock),
    telemetry: queryTelemetry(metrics, {
      durations: [1],
      samples: [1000],
      series: [10],
    }, { maxConcurrent: setup.concurrency ?? 20, mode: "local" }),
  });
  const app = createApp(
    { component: "query", probe, metrics, logger: silentLogger },
    (api) =>
      addQueryRoutes(api, {
        runner,
        querier,
        active,
        tenants: new Tenants({ ...TENANTS, ...setup.tenants }),
        endpoints: () => setup.endpoints ?? [],
        settings: { ...SETTINGS, ...setup.settings },
        now: () => clock.now(),
      }),
  );
  const ask = async (
    path: string,
    params: Record<string, string | string[]> = {},
    init: RequestInit = {},
  ) => {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(params)) {
      for (const one of [value].flat()) search.append(name, one);
    }
    return await app.request(`/api/v1${path}?${search}`, init);
  };
  return { app, ask, store, metrics, active, clock };
}
