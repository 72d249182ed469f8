/** Metrics of queries under the names of Thanos and of Prometheus' engine. */
import type { Metrics } from "../telemetry/mod.ts";

/** Bounds from flags, ascending or not. */
export interface TelemetryBounds {
  /** Buckets of durations, seconds. */
  readonly durations: readonly number[];
  readonly samples: readonly number[];
  readonly series: readonly number[];
}

/** What a query was, for its metrics. Times in seconds. */
export interface FinishedQuery {
  readonly engine: string;
  readonly tenant: string;
  readonly series: number;
  readonly chunks: number;
  readonly samples: number;
  readonly queueTime: number;
  readonly preparationTime: number;
  readonly evaluationTime: number;
  readonly totalSamples: number;
}

const MINUTE = 60;
const TIMESPANS = Array.from({ length: 12 }, (_, n) => 15 * MINUTE * 2 ** n);
const ENGINES = ["prometheus", "thanos"] as const;

/** Counts queries. */
export interface QueryTelemetry {
  /** A query of `seconds` from start to end was asked for; instant ones are not counted. */
  requested(seconds: number): void;
  started(engine: string): void;
  ended(engine: string): void;
  finished(query: FinishedQuery): void;
}

/** Registers the metrics. */
export function queryTelemetry(
  metrics: Metrics,
  bounds: TelemetryBounds,
  limits: { readonly maxConcurrent: number; readonly mode: string },
): QueryTelemetry {
  const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);
  const samplesBounds = sorted(bounds.samples);
  const seriesBounds = sorted(bounds.series);
  const { mode } = limits;
  const known = ENGINES.map((engine) => ({ engine, mode }));
  const selects = metrics.histogramFamily({
    name: "thanos_store_api_query_duration_seconds",
    help: "Duration of the Thanos Store API select phase for a query, by its size.",
    labels: ["series_le", "samples_le", "tenant"],
    buckets: sorted(bounds.durations),
  });
  const timespan = metrics.histogram(
    "thanos_query_range_requested_timespan_duration_seconds",
    "Time range that range queries asked for, in seconds.",
    TIMESPANS,
  );
  const running = metrics.gaugeFamily({
    name: "thanos_engine_queries",
    help: "Number of queries being executed, by engine.",
    labels: ["engine", "mode"],
    known,
  });
  const total = metrics.counterFamily({
    name: "thanos_engine_queries_total",
    help: "Number of executed queries, by engine.",
    labels: ["engine", "mode", "fallback"],
    known: known.map((labels) => ({ ...labels, fallback: "false" })),
  });
  const engineRunning = metrics.gaugeFamily({
    name: "prometheus_engine_queries",
    help: "The current number of queries being executed or waiting.",
    labels: ["engine", "mode"],
    known,
  });
  const max = metrics.gaugeFamily({
    name: "prometheus_engine_queries_concurrent_max",
    help: "The max number of concurrent queries.",
    labels: ["engine", "mode"],
    known,
  });
  for (const labels of known) max.with(labels).set(limits.maxConcurrent);
  const slices = metrics.summaryFamily({
    name: "prometheus_engine_query_duration_seconds",
    help: "Query timings.",
    labels: ["slice", "engine", "mode"],
    known: known.flatMap((labels) =>
      ["queue_time", "prepare_time", "inner_eval"].map((slice) => ({ slice, ...labels }))
    ),
  });
  const samplesTotal = metrics.counterFamily({
    name: "prometheus_engine_query_samples_total",
    help: "The total number of samples loaded by all queries.",
    labels: ["engine", "mode"],
    known,
  });
  return {
    requested: (seconds) => timespan.observe(seconds),
    started(engine) {
      running.with({ engine, mode }).inc();
      engineRunning.with({ engine, mode }).inc();
      total.with({ engine, mode, fallback: "false" }).inc();
    },
    ended(engine) {
      running.with({ engine, mode }).dec();
      engineRunning.with({ engine, mode }).dec();
    },
    finished(query) {
      const { engine } = query;
      const slice = (name: string) => slices.with({ slice: name, engine, mode });
      slice("queue_time").observe(query.queueTime);
      slice("prepare_time").observe(query.preparationTime);
      slice("inner_eval").observe(query.evaluationTime);
      samplesTotal.with({ engine, mode }).inc(query.totalSamples);
      if (query.series === 0 || query.samples === 0 || query.chunks === 0) return;
      selects.with({
        series_le: upperBound(seriesBounds, query.series),
        samples_le: upperBound(samplesBounds, query.samples),
        tenant: query.tenant,
      }).observe(query.preparationTime + query.evaluationTime);
    },
  };
}

/** The smallest bound that holds `count`; "+Inf" from the largest on, as Thanos has it. */
function upperBound(bounds: readonly number[], count: number): string {
  const last = bounds.at(-1);
  if (last === undefined || count >= last) return "+Inf";
  return String(bounds.find((bound) => bound >= count));
}
