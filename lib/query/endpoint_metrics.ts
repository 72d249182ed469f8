/** Metrics of the endpoint set under Thanos' names. */
import { compareUtf8 } from "../base/mod.ts";
import { formatLabels } from "../model/mod.ts";
import type { Metrics } from "../telemetry/mod.ts";
import type { LookupMetrics } from "./discovery.ts";
import type { EndpointMetrics, EndpointStatus } from "./endpoint_set.ts";

/** Labels that connections may be counted by. */
export type ConnectionLabel = "external_labels" | "store_type" | "ip_port";

/** Longest text of label sets, bytes. */
const MAX_LABELS_TEXT = 1000;

/** Counts duplicates, and queryable endpoints by the chosen labels. */
export function endpointMetrics(
  metrics: Metrics,
  labels: readonly ConnectionLabel[],
): EndpointMetrics {
  const duplicates = metrics.counter(
    "thanos_query_duplicated_endpoint_addresses_total",
    "The number of times a duplicated endpoint address was detected.",
  );
  const connections = metrics.gaugeFamily<ConnectionLabel>({
    name: "thanos_store_nodes_grpc_connections",
    help: "Number of gRPC connections to stores of the given kind.",
    labels,
  });
  return {
    duplicate: () => duplicates.inc(),
    queryable(endpoints) {
      connections.clear();
      for (const endpoint of endpoints) connections.with(labelsOf(endpoint, labels)).inc();
    },
  };
}

/** Counts lookups of endpoints and of groups, under Thanos' names of today and of before. */
export function lookupMetrics(
  metrics: Metrics,
): { readonly endpoints: LookupMetrics; readonly groups: LookupMetrics } {
  const former = counters("thanos_query_store_apis");
  function counters(prefix: string) {
    return {
      lookups: metrics.counter(
        `${prefix}_dns_lookups_total`,
        "The number of DNS lookups resolutions attempts.",
      ),
      failures: metrics.counter(
        `${prefix}_dns_failures_total`,
        "The number of DNS lookup failures.",
      ),
    };
  }
  const of = (prefix: string): LookupMetrics => {
    const { lookups, failures } = counters(prefix);
    const provided = metrics.gaugeFamily({
      name: `${prefix}_dns_provider_results`,
      help: "The number of resolved endpoints for each configured address.",
      labels: ["addr"],
    });
    return {
      looked(failed) {
        for (const c of [lookups, former.lookups]) c.inc();
        if (failed) { for (const c of [failures, former.failures]) c.inc(); }
      },
      results(counts) {
        provided.clear();
        for (const [addr, count] of counts) provided.with({ addr }).set(count);
      },
    };
  };
  return {
    endpoints: of("thanos_query_endpoints"),
    groups: of("thanos_query_endpoint_groups"),
  };
}

function labelsOf(
  endpoint: EndpointStatus,
  labels: readonly ConnectionLabel[],
): Record<ConnectionLabel, string> {
  const all: Record<ConnectionLabel, string> = {
    external_labels: labelSetsText(endpoint),
    store_type: endpoint.componentType,
    ip_port: endpoint.name,
  };
  return Object.fromEntries(labels.map((l) => [l, all[l]])) as Record<ConnectionLabel, string>;
}

function labelSetsText({ labelSets }: EndpointStatus): string {
  if (labelSets.length === 0) return "no_external_labels";
  const text = labelSets.map(formatLabels).sort(compareUtf8).join(",");
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_LABELS_TEXT) return text;
  // A character that the cut would split is left out.
  return new TextDecoder().decode(bytes.subarray(0, MAX_LABELS_TEXT), { stream: true });
}
