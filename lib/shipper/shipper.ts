/**
 * Shipper: brings the finished blocks of a local Prometheus into the bucket, oldest first, each
 * once, with the external labels of the moment.
 *
 * A block is staged as hard links, so that Prometheus may delete it meanwhile, and becomes visible
 * in the bucket with its meta.json, which is uploaded last.
 */
import { linkSync } from "node:fs";
import {
  type Clock,
  encodeUtf8,
  errorMessage,
  isUlid,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";
import { type HashFunction, uploadBlock } from "../block/mod.ts";
import { equalLabels, formatLabels, type Labels, mergeLabels } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import {
  type BlockMeta,
  externalLabelsOf,
  type Files,
  makeThanosMeta,
  META_FILE,
  parseBlockMeta,
  printBlockMeta,
  readWholeFile,
  resolutionOf,
  segmentNames,
} from "../tsdb/mod.ts";
import { readShipperMeta, writeShipperMeta } from "./meta_file.ts";

/** What is shipped and how. */
export interface ShipperSettings {
  /** Prometheus' data folder. */
  readonly folder: string;
  /** Name of the memory file, relative to the folder. */
  readonly metaFileName: string;
  /** Also blocks that Prometheus compacted. */
  readonly uploadCompacted: boolean;
  /** Go on after a failed block, and do not look for overlaps. */
  readonly allowOutOfOrder: boolean;
  /** A block that cannot be read does not fail the pass. */
  readonly skipCorrupted: boolean;
  readonly hash: HashFunction;
  /** Chunk files at once; 0 = one after the other. */
  readonly concurrency: number;
  /** `sidecar`, `ruler`, `receive`. */
  readonly source: string;
}

/** Metrics of a shipper, under the names operators know. */
export interface ShipperMetrics {
  readonly dirSyncs: { inc(): void };
  readonly dirSyncFailures: { inc(): void };
  readonly uploads: { inc(): void };
  readonly uploadFailures: { inc(): void };
  readonly corruptedBlocks: { inc(): void };
  readonly uploadedCompacted: { set(x: number): void };
}

/** Parts of a shipper; all injected. */
export interface ShipperParts {
  readonly bucket: Bucket;
  readonly files: Files;
  readonly externalLabels: () => Labels;
  readonly metrics: ShipperMetrics;
  readonly clock: Clock;
  readonly log: (
    level: "debug" | "info" | "warn" | "error",
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
  /** Told of the bytes that leave, for a progress display. */
  readonly progress?: (ulid: string, bytes: number, total: number) => void;
}

/** Outcome of one pass. */
export interface ShipperResult {
  readonly uploaded: number;
  /** What went wrong, oldest block first; empty after a clean pass. */
  readonly errors: readonly Error[];
}

/** Ships one folder. */
export class Shipper {
  readonly #settings: ShipperSettings;
  readonly #parts: ShipperParts;

  constructor(settings: ShipperSettings, parts: ShipperParts) {
    this.#settings = settings;
    this.#parts = parts;
  }

  /**
   * One pass over the folder.
   *
   * A block that fails stops the pass unless out-of-order uploads are allowed, so that the bucket
   * has no holes; a block that cannot be read is passed over and reported.
   * Differs: one unreadable block does not keep all others from being shipped.
   */
  async sync(signal: AbortSignal): Promise<ShipperResult> {
    const { metrics, files, log } = this.#parts;
    const memory = `${this.#settings.folder}/${this.#settings.metaFileName}`;
    metrics.dirSyncs.inc();
    const errors: Error[] = [];
    let uploaded = 0;
    try {
      const known = readShipperMeta(files, memory);
      if (known === undefined && files.stat(memory) !== undefined) {
        log("warn", "cannot read the shipper's meta file, looking into the bucket instead", {
          file: memory,
        });
      }
      const done = new Set(known ?? []);
      const kept: string[] = [];
      const overlaps = new OverlapCheck(this.#parts);
      for (const meta of this.#localBlocks(errors)) {
        throwIfAborted(signal);
        if (done.has(meta.ulid)) {
          kept.push(meta.ulid);
          continue;
        }
        try {
          const outcome = await this.#ship(meta, overlaps, signal);
          if (outcome === "uploaded") uploaded++;
          if (outcome !== "skipped") {
            kept.push(meta.ulid);
            // At once: a kill after this point must not upload the block again.
            if (outcome === "uploaded") writeShipperMeta(files, memory, withRest(kept, done));
          }
        } catch (error) {
          throwIfAborted(signal);
          metrics.uploadFailures.inc();
          const failure = asError(error);
          errors.push(failure);
          log("error", "shipping failed", { block: meta.ulid, err: failure.message });
          if (!this.#settings.allowOutOfOrder) break;
        }
      }
      if (errors.length === 0) {
        writeShipperMeta(files, memory, kept);
        metrics.uploadedCompacted.set(this.#settings.uploadCompacted ? 1 : 0);
      } else metrics.uploadedCompacted.set(0);
    } catch (error) {
      throwIfAborted(signal);
      errors.push(asError(error));
    }
    if (errors.length > 0) metrics.dirSyncFailures.inc();
    return { uploaded, errors };
  }

  /** Metas of the folder's blocks by minTime; unreadable ones become errors. */
  #localBlocks(errors: Error[]): BlockMeta[] {
    const { files, metrics, log } = this.#parts;
    const { folder, skipCorrupted } = this.#settings;
    const metas: BlockMeta[] = [];
    for (const entry of files.list(folder)) {
      if (!entry.isDirectory || !isUlid(entry.name)) continue;
      const path = `${folder}/${entry.name}/${META_FILE}`;
      try {
        metas.push(parseBlockMeta(readWholeFile(files, path), path, entry.name));
      } catch (error) {
        metrics.corruptedBlocks.inc();
        const failure = new MnemeError(
          "corruption",
          `Cannot read block ${entry.name}: ${errorMessage(error)}`,
          { cause: error },
        );
        log(skipCorrupted ? "warn" : "error", "unreadable block passed over", {
          block: entry.name,
          err: failure.message,
        });
        if (!skipCorrupted) errors.push(failure);
      }
    }
    return metas.sort((a, b) => a.minTime - b.minTime || (a.ulid < b.ulid ? -1 : 1));
  }

  async #ship(
    meta: BlockMeta,
    overlaps: OverlapCheck,
    signal: AbortSignal,
  ): Promise<"uploaded" | "present" | "skipped"> {
    const { bucket, files, log, clock, metrics } = this.#parts;
    const { folder, uploadCompacted, allowOutOfOrder, hash, concurrency, source } = this.#settings;
    if (meta.stats.numSamples === 0) {
      log("debug", "ignoring empty block", { block: meta.ulid });
      return "skipped";
    }
    if (meta.compaction.level > 1 && !uploadCompacted) return "skipped";
    if (await bucket.exists(`${meta.ulid}/${META_FILE}`, { signal })) return "present";
    const labels = mergeLabels(externalLabelsOf(meta), this.#parts.externalLabels());
    if (labels.length === 0) {
      throw new MnemeError("bad_data", "empty external labels are not allowed for Thanos block.");
    }
    if (meta.compaction.level > 1 && !allowOutOfOrder) await overlaps.check(meta, labels, signal);

    const staging = `${folder}/thanos/upload/${meta.ulid}`;
    files.remove(staging);
    try {
      const block = `${folder}/${meta.ulid}`;
      files.mkdir(`${staging}/chunks`);
      const segments = segmentNames(
        files.list(`${block}/chunks`).filter((e) => !e.isDirectory).map((e) => e.name),
      );
      let total = 0;
      for (const name of [...segments.map((s) => `chunks/${s}`), "index"]) {
        total += files.stat(`${block}/${name}`)?.size ?? 0;
        link(`${block}/${name}`, `${staging}/${name}`);
      }
      const staged: BlockMeta = {
        ...meta,
        thanos: {
          ...(meta.thanos ?? makeThanosMeta({ labels })),
          labels,
          source,
          resolution: 0,
          segmentFiles: segments,
        },
      };
      const file = files.create(`${staging}/${META_FILE}`);
      try {
        file.append(encodeUtf8(printBlockMeta(staged)));
      } finally {
        file.close();
      }
      log("info", "upload new block", { block: meta.ulid, labels: formatLabels(labels) });
      let sent = 0;
      await uploadBlock(bucket, files, staging, {
        hash,
        concurrency: Math.max(1, concurrency),
        clock,
        signal,
        progress: (bytes) => {
          sent += bytes;
          this.#parts.progress?.(meta.ulid, sent, total);
        },
      });
      metrics.uploads.inc();
      return "uploaded";
    } finally {
      files.remove(staging);
    }
  }
}

/** Compacted blocks must not overlap what the bucket holds already. */
class OverlapCheck {
  readonly #parts: ShipperParts;
  #metas: Promise<BlockMeta[]> | undefined;
  constructor(parts: ShipperParts) {
    this.#parts = parts;
  }

  async check(meta: BlockMeta, labels: Labels, signal: AbortSignal): Promise<void> {
    this.#metas ??= this.#load(signal);
    for (const other of await this.#metas) {
      if (other.ulid === meta.ulid || resolutionOf(other) !== 0) continue;
      if (!equalLabels(externalLabelsOf(other), labels)) continue;
      if (meta.minTime < other.maxTime && other.minTime < meta.maxTime) {
        throw new MnemeError(
          "conflict",
          `shipping compacted block ${meta.ulid} is blocked; overlap spotted with block ${other.ulid}` +
            ` of ${formatLabels(labels)}`,
        );
      }
    }
    (await this.#metas).push({ ...meta, thanos: makeThanosMeta({ labels }) });
  }

  async #load(signal: AbortSignal): Promise<BlockMeta[]> {
    const { bucket } = this.#parts;
    const metas: BlockMeta[] = [];
    for await (const entry of bucket.iter("", { signal })) {
      const ulid = entry.name.replace(/\/$/, "");
      if (!isUlid(ulid)) continue;
      try {
        const bytes = await bucket.get(`${ulid}/${META_FILE}`, { signal });
        metas.push(parseBlockMeta(bytes, `${ulid}/${META_FILE}`, ulid));
      } catch (error) {
        // A partial block is nobody's yet; anything else must not be taken for "no overlap".
        if (!(error instanceof MnemeError) || error.kind !== "not_found") throw error;
      }
    }
    return metas;
  }
}

function link(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    throw new MnemeError("unavailable", `Cannot link ${from} to ${to}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** Blocks kept so far plus those of the last pass that were not looked at yet. */
function withRest(kept: readonly string[], done: ReadonlySet<string>): string[] {
  return [...new Set([...kept, ...done])];
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
