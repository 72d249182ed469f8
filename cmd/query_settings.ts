/** From the querier's flags to the settings of its parts. */
import type { MetadataStrategies } from "../lib/api/mod.ts";
import { MnemeError } from "../lib/base/mod.ts";
import type { ConfigOf } from "../lib/config/mod.ts";
import type { EndpointSpec } from "../lib/query/mod.ts";
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
