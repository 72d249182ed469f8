/** Metrics of the reloader under the names operators know. */
import type { Metrics } from "../telemetry/mod.ts";
import type { ReloaderMetrics } from "./reloader.ts";

/** Registers the metrics of a sidecar's reloader; `method` is `http` or `signal`. */
export function reloaderMetrics(metrics: Metrics, method: string): ReloaderMetrics {
  const P = "thanos_sidecar_reloader_";
  metrics.gaugeFamily({
    name: `${P}info`,
    help: "How Prometheus is asked to reload.",
    labels: ["method"],
  }).with({ method }).set(1);
  return {
    reloads: metrics.counter(`${P}reloads_total`, "Total number of reload requests."),
    reloadsFailed: metrics.counter(
      `${P}reloads_failed_total`,
      "Total number of reload requests that failed.",
    ),
    lastReloadSuccessful: metrics.gauge(
      `${P}last_reload_successful`,
      "Whether the last reload attempt was successful",
    ),
    lastReloadSuccessTime: metrics.gauge(
      `${P}last_reload_success_timestamp_seconds`,
      "Timestamp of the last successful reload",
    ),
    applies: metrics.counter(
      `${P}config_apply_operations_total`,
      "Total number of config apply operations.",
    ),
    appliesFailed: metrics.counter(
      `${P}config_apply_operations_failed_total`,
      "Total number of config apply operations that failed.",
    ),
    expansionErrors: metrics.gauge(
      `${P}config_environment_variable_expansion_errors`,
      "Number of environment variable expansions that failed during the last operation.",
    ),
    watches: metrics.gauge(`${P}watches`, "Number of resources watched by the reloader."),
    watchEvents: metrics.counter(
      `${P}watch_events_total`,
      "Total number of events received by the reloader.",
    ),
    watchErrors: metrics.counter(
      `${P}watch_errors_total`,
      "Total number of errors received by the reloader.",
    ),
  };
}
