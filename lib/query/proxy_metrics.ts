/** Metrics of the proxy. */
import type { ProxyOptions } from "../storeapi/mod.ts";
import type { Metrics } from "../telemetry/mod.ts";

/** Callbacks that count what stores do. */
export function proxyMetrics(metrics: Metrics): Pick<ProxyOptions, "report" | "onRepaired"> {
  const empty = metrics.counter(
    "thanos_proxy_store_empty_stream_responses_total",
    "Total number of empty responses received.",
  );
  const failed = metrics.counter(
    "mneme_proxy_store_failures_total",
    "Series requests to stores that failed or were cut short.",
  );
  const repaired = metrics.counter(
    "mneme_proxy_repaired_series_total",
    "Series that stores sent with labels out of order or empty, against the Store API's rules.",
  );
  return {
    report({ series, error }) {
      if (error !== undefined) failed.inc();
      else if (series === 0) empty.inc();
    },
    onRepaired: () => repaired.inc(),
  };
}
