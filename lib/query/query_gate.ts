/** The gate of concurrent queries with the metrics operators know. */
import type { Clock, Gate } from "../base/mod.ts";
import type { Metrics } from "../telemetry/mod.ts";

const PREFIX = "thanos_query_concurrent_gate_queries";

/** Returns how to enter the gate; the release comes back. */
export function queryGateMetrics(
  metrics: Metrics,
  gate: Gate,
  clock: Clock,
): (signal: AbortSignal) => Promise<() => void> {
  metrics.gauge(`${PREFIX}_max`, "Maximum number of concurrent queries.").set(gate.limit);
  const inFlight = metrics.gauge(
    `${PREFIX}_in_flight`,
    "Number of queries that are currently in flight.",
  );
  const total = metrics.counter(`${PREFIX}_total`, "Number of queries that entered the gate.");
  const waited = metrics.histogram(
    "thanos_query_concurrent_gate_duration_seconds",
    "How many seconds it took for queries to wait at the gate.",
    [0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720],
  );
  return async (signal) => {
    const began = clock.now();
    const release = await gate.enter(signal);
    waited.observe((clock.now() - began) / 1000);
    inFlight.inc();
    total.inc();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      inFlight.dec();
      release();
    };
  };
}
