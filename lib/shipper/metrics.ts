/** Metrics of the shipper under the names operators know. */
import type { Metrics } from "../telemetry/mod.ts";
import type { ShipperMetrics } from "./shipper.ts";

/** Registers the metrics of a shipper. */
export function shipperMetrics(metrics: Metrics): ShipperMetrics {
  const count = (name: string, help: string) => metrics.counter(`thanos_shipper_${name}`, help);
  return {
    dirSyncs: count("dir_syncs_total", "Total number of dir syncs"),
    dirSyncFailures: count("dir_sync_failures_total", "Total number of failed dir syncs"),
    uploads: count("uploads_total", "Total number of uploaded blocks"),
    uploadFailures: count("upload_failures_total", "Total number of block upload failures"),
    corruptedBlocks: count("corrupted_blocks_total", "Total number of corrupted blocks"),
    uploadedBytes: count("uploaded_bytes_total", "Total number of bytes sent to the bucket"),
    pendingBlocks: metrics.gauge(
      "thanos_shipper_pending_blocks",
      "Number of local blocks that are not in the bucket yet.",
    ),
    uploadedCompacted: metrics.gauge(
      "thanos_shipper_upload_compacted_done",
      "If 1 it means shipper uploaded all compacted blocks from the filesystem.",
    ),
  };
}
