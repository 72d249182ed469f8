/** Metrics of downsampling under the names operators know. */
import type { Counter, Family, Metrics, Observer } from "../telemetry/mod.ts";

const DURATION_BUCKETS = [60, 300, 900, 1800, 3600, 7200, 14400];

/** The metrics; `resolution` is that of the blocks that are downsampled, in ms. */
export class DownsampleMetrics {
  readonly attempts: Family<Counter, "resolution">;
  readonly failures: Family<Counter, "resolution">;
  /** The same under the name that dashboards of older versions ask for. */
  readonly failed: Family<Counter, "resolution">;
  readonly seconds: Family<Observer, "resolution">;
  readonly samples: Counter;

  constructor(metrics: Metrics) {
    const labels = ["resolution"] as const;
    const known = ["0", "300000"].map((resolution) => ({ resolution }));
    this.attempts = metrics.counterFamily({
      name: "thanos_compact_downsample_total",
      help: "Downsamplings that were tried.",
      labels,
      known,
    });
    this.failures = metrics.counterFamily({
      name: "thanos_compact_downsample_failures_total",
      help: "Downsamplings that failed.",
      labels,
      known,
    });
    this.failed = metrics.counterFamily({
      name: "thanos_compact_downsample_failed_total",
      help: "Downsamplings that failed; see thanos_compact_downsample_failures_total.",
      labels,
      known,
    });
    this.seconds = metrics.histogramFamily({
      name: "thanos_compact_downsample_duration_seconds",
      help: "Duration of downsamplings.",
      labels,
      known,
      buckets: DURATION_BUCKETS,
    });
    this.samples = metrics.counter(
      "mneme_compact_downsampled_samples_total",
      "Samples of the blocks that were downsampled.",
    );
  }
}
