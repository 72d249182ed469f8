/** Gates of queries and of their selects, with the metrics operators know. */
import type { Clock, Gate } from "../base/mod.ts";
import type { SelectedSeries, SelectHints, Storage } from "../promql/mod.ts";
import type { Matcher } from "../model/mod.ts";
import type { Metrics } from "../telemetry/mod.ts";

const WAITS = [0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720];

/** Enters a gate; the release comes back. */
export type Enter = (gate: Gate, signal: AbortSignal) => Promise<() => void>;

/** The gate of concurrent queries; returns how to enter it. */
export function queryGateMetrics(
  metrics: Metrics,
  gate: Gate,
  clock: Clock,
): (signal: AbortSignal) => Promise<() => void> {
  const enter = gateMetrics(metrics, "queries", gate.limit, clock);
  // The name that dashboards had before.
  const waited = metrics.histogram(
    "thanos_query_concurrent_gate_duration_seconds",
    "How many seconds it took for queries to wait at the gate.",
    WAITS,
  );
  return async (signal) => {
    const began = clock.now();
    const release = await enter(gate, signal);
    waited.observe((clock.now() - began) / 1000);
    return release;
  };
}

/** The gates of selects: each query has one of its own, all are counted together. */
export function selectGateMetrics(metrics: Metrics, limit: number, clock: Clock): Enter {
  return gateMetrics(metrics, "selects", limit, clock);
}

const PREFIXES = {
  queries: "thanos_query_concurrent_gate_queries",
  selects: "thanos_query_concurrent_selects_gate_selects",
} as const;

function gateMetrics(
  metrics: Metrics,
  what: "queries" | "selects",
  limit: number,
  clock: Clock,
): Enter {
  const prefix = PREFIXES[what];
  metrics.gauge(`${prefix}_max`, `Maximum number of concurrent ${what}.`).set(limit);
  const inFlight = metrics.gauge(
    `${prefix}_in_flight`,
    `Number of ${what} that are currently in flight.`,
  );
  const total = metrics.counter(`${prefix}_total`, `Number of ${what} that entered the gate.`);
  const waited = metrics.histogram(
    `${prefix}_duration_seconds`,
    `How many seconds it took for ${what} to wait at the gate.`,
    WAITS,
  );
  return async (gate, signal) => {
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

/** A storage that lets only some selects of its query run at once. */
export class GatedStorage implements Storage {
  readonly #inner: Storage;
  readonly #enter: (signal: AbortSignal) => Promise<() => void>;

  constructor(inner: Storage, enter: (signal: AbortSignal) => Promise<() => void>) {
    this.#inner = inner;
    this.#enter = enter;
  }

  async select(
    matchers: readonly Matcher[],
    hints: SelectHints,
    signal: AbortSignal,
  ): Promise<SelectedSeries> {
    const release = await this.#enter(signal);
    try {
      return await this.#inner.select(matchers, hints, signal);
    } finally {
      release();
    }
  }
}
