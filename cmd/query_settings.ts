/** From the querier's flags to the settings of its parts. */
import type { MetadataStrategies, TenantSettings } from "../lib/api/mod.ts";
import { MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import { type Labels, parseRelabelRules, relabel } from "../lib/model/mod.ts";
import {
  Distributor,
  dynamicLookback,
  type EndpointSet,
  type EndpointSpec,
  type Planner,
  type QueryTelemetry,
  queryTelemetry,
} from "../lib/query/mod.ts";
import type { Engine } from "../lib/promql/mod.ts";
import { QueryJournalFile } from "../lib/runtime/mod.ts";
import type { Metrics } from "../lib/telemetry/mod.ts";
import type { CommandEnv } from "./command.ts";
import type { queryFlags } from "./query_flags.ts";

type Config = ConfigOf<typeof queryFlags>;

/** The configured endpoints. */
export function staticSpecs(config: Config): EndpointSpec[] {
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
    ...config.endpointGroups.map((address) => ({ address, strict: false, group: true })),
    ...config.strictEndpointGroups.map((address) => ({ address, strict: true, group: true })),
  ];
}

/** Flags and commas both separate; sorted and unique, as Thanos keeps them. */
export function replicaLabelsOf(given: readonly string[]): string[] {
  return [...new Set(given.flatMap((text) => text.split(",")).filter((name) => name !== ""))]
    .sort();
}

/** Whether failing endpoints are warnings, for each metadata API. */
export function strategiesOf(config: Config): MetadataStrategies {
  const strategy = (partial: boolean) => partial ? "warn" as const : "abort" as const;
  return {
    rules: strategy(config.rulePartialResponse),
    targets: strategy(config.targetPartialResponse),
    metadata: strategy(config.metadataPartialResponse),
    exemplars: strategy(config.exemplarPartialResponse),
    status: strategy(config.statusPartialResponse),
  };
}

const NO_LONGER = new Set(["promql-at-modifier", "promql-negative-offset", "query-pushdown"]);

/** What `--enable-feature` switches on. */
export function featuresOf(config: Config, env: CommandEnv) {
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

/** How tenants are told apart. */
export function tenantSettings(config: Config): TenantSettings {
  return {
    header: config.tenantHeader,
    fallback: config.defaultTenant,
    label: config.tenantLabel,
    enforced: config.enforceTenancy,
    certificateField: config.tenantCertificateField,
  };
}

/** Metrics of queries with the buckets of the flags. */
export function telemetryOf(config: Config, metrics: Metrics): QueryTelemetry {
  return queryTelemetry(metrics, {
    durations: config.telemetryDurations,
    samples: config.telemetrySamples,
    series: config.telemetrySeries,
  }, { maxConcurrent: config.maxConcurrent, mode: config.mode });
}

/** The journal of active queries, if one is wished; what the last process left in it is told. */
export function openJournal(config: Config, env: CommandEnv): QueryJournalFile | undefined {
  if (config.activeQueryPath === "") return undefined;
  const journal = QueryJournalFile.open(config.activeQueryPath);
  for (const { query, startedAt } of journal.unfinished) {
    env.logger.warn("this query did not finish in the last run", {
      query,
      started: new Date(startedAt * 1000).toISOString(),
    });
  }
  return journal;
}

/** What a selector's rules may do. */
const SELECTOR_ACTIONS = ["keep", "drop", "hashmod"] as const;

/** The choice of TSDBs by their external labels, if there is one. */
export function selectorOf(config: Config): { selector?: (labels: Labels) => boolean } {
  const { selectorRelabel } = config;
  if (!selectorRelabel.given) return {};
  const rules = parseRelabelRules(
    selectorRelabel.load(),
    selectorRelabel.source,
    SELECTOR_ACTIONS,
  );
  return { selector: (labels) => relabel(labels, rules) !== undefined };
}

/** Says of a `--alert.query-url` that no page could link to that it is left out. */
export function checkAlertUrl(config: Config, env: CommandEnv): void {
  const { alertUrl: url } = config;
  if (url === "" || /^https?:\/\/[^/]/i.test(url)) return;
  env.logger.warn("--alert.query-url is no http or https URL: pages link to this querier", { url });
}

/** How far back instant selectors look: a wish of more than 0 ms, or what the flags make of it. */
export function lookbackOf(config: Config): (asked: number, maxResolution: number) => number {
  const { lookbackDelta = 0, dynamicLookback: dynamic } = config;
  return (asked, maxResolution) =>
    asked > 0 ? asked : dynamicLookback(lookbackDelta, dynamic ? maxResolution : 0);
}

/** Distributed mode, if it is on. */
export function plannerOf(
  config: Config,
  env: CommandEnv,
  engine: Engine,
  endpoints: EndpointSet,
): { plan?: Planner } {
  if (config.mode !== "distributed") return {};
  const distributor = new Distributor({
    engine,
    endpoints: () =>
      endpoints.known().map((e) => ({
        address: e.address,
        info: e.info,
        unhealthy: e.unhealthy,
        query: e.info.query === true ? e.client.query : undefined,
      })),
    partitionLabels: config.partitionLabels,
    overlapping: config.overlappingInterval,
    onLocal: (reason) => env.logger.debug("query is evaluated here", { reason }),
  });
  return { plan: (request, storage) => distributor.plan(request, storage) };
}

/** The engine's name where a request gives none; distributed mode has Thanos' alone. */
export function engineNameOf(config: Config): string {
  return config.mode === "distributed" ? "thanos" : config.engine;
}
