/** What leaves the bucket: marked blocks after their delay, uploads that were given up. */
import { type Clock, errorMessage, mapPool, throwIfAborted, ulidTime } from "../base/mod.ts";
import { deleteBlock, DELETION_MARK_FILE, QUARANTINE_MARK_FILE, readMark } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { Logger } from "../telemetry/mod.ts";
import type { BucketView } from "./bucket_view.ts";
import type { Marker } from "./marker.ts";
import { OUTDATED_DETAILS } from "./marker.ts";
import type { CompactMetrics } from "./metrics.ts";

/** Uploads without meta.json are given up this long after their newest object, ms. */
export const PARTIAL_UPLOAD_AGE = 48 * 3_600_000;
/** Blocks deleted at once. */
const DELETIONS_AT_ONCE = 32;

/** What cleaning needs. */
export interface CleanupParts {
  readonly bucket: Bucket;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: CompactMetrics;
  readonly marker: Marker;
  readonly deleteDelay: number;
}

/** Cleans; a block that cannot be deleted now is tried again next time. */
export class Cleanup {
  readonly #parts: CleanupParts;

  constructor(parts: CleanupParts) {
    this.#parts = parts;
  }

  /** Blocks whose deletion mark is older than the delay, by mark and by the bucket's own time. */
  async due(view: BucketView, signal?: AbortSignal): Promise<string[]> {
    const { clock, deleteDelay, bucket, logger } = this.#parts;
    const now = clock.now();
    const isDue = (ulid: string, marked: number) =>
      now - Math.max(marked, view.listing.get(ulid)?.deletionMarkModified ?? 0) > deleteDelay;
    const due: string[] = [];
    for (const [ulid, mark] of view.deletionMarks) if (isDue(ulid, mark.time)) due.push(ulid);
    // What nobody can read goes only when somebody marked it.
    for (const ulid of view.corrupted.keys()) {
      if (view.listing.get(ulid)?.marks.has(DELETION_MARK_FILE) !== true) continue;
      try {
        const mark = await readMark(bucket, ulid, DELETION_MARK_FILE, callOptions(signal));
        if (mark !== undefined && isDue(ulid, mark.time)) due.push(ulid);
      } catch (error) {
        throwIfAborted(signal);
        logger.warn("deletion mark cannot be read", { block: ulid, err: errorMessage(error) });
      }
    }
    return due.sort();
  }

  /** Deletes blocks; returns those that are gone. */
  async delete(ulids: readonly string[], signal?: AbortSignal): Promise<Set<string>> {
    const { bucket, logger, metrics } = this.#parts;
    const gone = new Set<string>();
    await mapPool(ulids, DELETIONS_AT_ONCE, async (ulid) => {
      throwIfAborted(signal);
      try {
        await deleteBlock(bucket, ulid, callOptions(signal));
        gone.add(ulid);
        metrics.blocksCleaned.inc();
        logger.info("deleted block marked for deletion", { block: ulid });
      } catch (error) {
        throwIfAborted(signal);
        metrics.cleanupFailures.inc();
        logger.error("deleting a marked block failed; it is tried again", {
          block: ulid,
          err: errorMessage(error),
        });
      }
    });
    return gone;
  }

  /** Partial uploads that nobody goes on with. */
  abandoned(view: BucketView): string[] {
    const now = this.#parts.clock.now();
    return [...view.partial].filter((ulid) => {
      const newest = view.listing.get(ulid)?.newestModified ?? 0;
      return now - (newest === 0 ? ulidTime(ulid) : newest) > PARTIAL_UPLOAD_AGE;
    }).sort();
  }

  /** Deletes partial uploads; a failure is told and tried again next time. */
  async deletePartial(ulids: readonly string[], signal?: AbortSignal): Promise<void> {
    const { bucket, logger, metrics } = this.#parts;
    for (const ulid of ulids) {
      throwIfAborted(signal);
      metrics.partialDeletions.inc();
      try {
        // Its upload may have ended since the bucket was looked at.
        if (await bucket.exists(`${ulid}/meta.json`, callOptions(signal))) continue;
        await deleteBlock(bucket, ulid, callOptions(signal));
        logger.info("deleted aborted partial upload", { block: ulid });
      } catch (error) {
        throwIfAborted(signal);
        logger.warn("failed to delete aborted partial upload; it is tried again", {
          block: ulid,
          err: errorMessage(error),
        });
      }
    }
  }

  /** Marks blocks whose meta.json has been unreadable for long; they are kept. */
  async quarantine(view: BucketView): Promise<void> {
    const { clock, metrics, marker, logger } = this.#parts;
    metrics.quarantined.set(view.corrupted.size);
    for (const [ulid, error] of view.corrupted) {
      const listed = view.listing.get(ulid);
      const newest = listed?.newestModified ?? 0;
      const age = clock.now() - (newest === 0 ? ulidTime(ulid) : newest);
      if (age <= PARTIAL_UPLOAD_AGE || listed?.marks.has(QUARANTINE_MARK_FILE) === true) continue;
      try {
        await marker.quarantine(ulid, `meta.json cannot be read: ${errorMessage(error)}`);
      } catch (failure) {
        logger.warn("cannot mark a quarantined block; it is tried again", {
          block: ulid,
          err: errorMessage(failure),
        });
      }
    }
  }

  /** Marks duplicates for deletion. Throws: the bucket's errors. */
  async collectGarbage(view: BucketView, signal?: AbortSignal): Promise<void> {
    const { clock, metrics, marker } = this.#parts;
    const started = clock.now();
    metrics.garbageRuns.inc();
    try {
      for (const ulid of view.duplicates) {
        if (view.deletionMarks.has(ulid)) continue;
        throwIfAborted(signal);
        if (await marker.deletion(ulid, OUTDATED_DETAILS)) metrics.garbageBlocks.inc();
      }
    } catch (error) {
      metrics.garbageFailures.inc();
      throw error;
    } finally {
      metrics.garbageSeconds.observe((clock.now() - started) / 1000);
    }
  }
}

function callOptions(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
