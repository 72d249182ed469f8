/** Writes marks and counts them. */
import type { Clock } from "../base/mod.ts";
import {
  DELETION_MARK_FILE,
  type MarkFile,
  NO_COMPACT_MARK_FILE,
  QUARANTINE_MARK_FILE,
  writeMark,
} from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { CompactMetrics } from "./metrics.ts";

/** Details of deletion marks, as they stand in buckets. */
export const COMPACTED_DETAILS = "source of compacted block";
export const REPAIRED_DETAILS = "source of repaired block";
export const OUTDATED_DETAILS = "outdated block";

/** The writer of marks. A mark that was begun is finished, whatever stops meanwhile. */
export class Marker {
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #metrics: CompactMetrics;

  constructor(parts: {
    readonly bucket: Bucket;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly metrics: CompactMetrics;
  }) {
    this.#bucket = parts.bucket;
    this.#clock = parts.clock;
    this.#logger = parts.logger;
    this.#metrics = parts.metrics;
  }

  /** Marks a block for deletion; false when it is marked already. */
  deletion(ulid: string, details: string): Promise<boolean> {
    return this.#write(ulid, DELETION_MARK_FILE, details, "");
  }

  /** Marks a block as not to be compacted. */
  noCompact(ulid: string, reason: string, details: string): Promise<boolean> {
    return this.#write(ulid, NO_COMPACT_MARK_FILE, details, reason);
  }

  /** Marks a block whose meta.json cannot be read. */
  quarantine(ulid: string, details: string): Promise<boolean> {
    return this.#write(ulid, QUARANTINE_MARK_FILE, details, "corrupted-meta-json");
  }

  async #write(ulid: string, file: MarkFile, details: string, reason: string): Promise<boolean> {
    const mark = { ulid, time: this.#clock.now(), details, reason };
    const written = await writeMark(this.#bucket, mark, file);
    if (written) {
      this.#metrics.marked.with({ marker: file, reason }).inc();
      if (file === DELETION_MARK_FILE) this.#metrics.markedForDeletion.inc();
      this.#logger.info("block has been marked", { block: ulid, marker: file, reason, details });
    } else {
      this.#logger.warn(
        "requested to mark, but the mark exists; another compactor may be at work",
        {
          block: ulid,
          marker: file,
        },
      );
    }
    return written;
  }
}
