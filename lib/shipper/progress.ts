/** The line that shows an upload's progress on a terminal. */
import type { ShipperProgress } from "./shipper.ts";

const BAR_WIDTH = 24;

/**
 * One line that replaces the one before; ended when a block is complete.
 *
 * `uploading block 3/13 01HF7Y… ████████░░░░  41% of 12.3 MiB`
 */
export function progressLine(progress: ShipperProgress): string {
  const { ulid, bytes, totalBytes, block, blocks } = progress;
  const share = totalBytes > 0 ? Math.min(1, bytes / totalBytes) : 1;
  const full = Math.round(share * BAR_WIDTH);
  const bar = "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
  const size = `${(totalBytes / 1024 / 1024).toFixed(1)} MiB`;
  return `\r\x1b[Kuploading block ${block}/${blocks} ${ulid} ${bar} ` +
    `${String(Math.floor(share * 100)).padStart(3)}% of ${size}${share === 1 ? "\n" : ""}`;
}
