/** Metrics of a store over a Prometheus, under the names operators know. */
import type { Metrics } from "../telemetry/mod.ts";
import type { PrometheusStoreOptions } from "./prometheus_store.ts";

/** Series and chunks of one call. */
const SERIES_BUCKETS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** Registers the metrics; the result goes into the store's options. */
export function prometheusStoreMetrics(
  metrics: Metrics,
): Required<Pick<PrometheusStoreOptions, "onCall" | "onFrames" | "onLimit">> {
  const dropped = metrics.counterFamily({
    name: "thanos_store_selects_dropped_total",
    help: "Number of select requests that a limit stopped.",
    labels: ["reason"],
    known: [{ reason: "series" }, { reason: "chunks" }],
  });
  const frames = metrics.histogram(
    "prometheus_store_received_frames",
    "Number of frames received per streamed response.",
    [10, 100, 1000, 10_000, 100_000],
  );
  const series = metrics.histogram(
    "thanos_store_server_series_requested",
    "Number of series of Series calls.",
    SERIES_BUCKETS,
  );
  const chunks = metrics.histogram(
    "thanos_store_server_chunks_requested",
    "Number of chunks of Series calls.",
    SERIES_BUCKETS,
  );
  const pending = metrics.gauge(
    "thanos_store_server_pending_series_requests",
    "Number of Series calls that are being answered.",
  );
  return {
    onLimit: (reason) => dropped.with({ reason }).inc(),
    onFrames: (count) => frames.observe(count),
    onCall: () => {
      pending.inc();
      return (served) => {
        pending.dec();
        series.observe(served.series);
        chunks.observe(served.chunks);
      };
    },
  };
}
