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
  CorruptionError,
  encodeUtf8,
  errorMessage,
  isUlid,
  MnemeError,
  throwIfAborted,
} from "../base/mod.ts";
import { type HashFunction, uploadBlock } from "../block/mod.ts";
import { equalLabels, formatLabels, type Labels } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import {
  type BlockMeta,
  checkSegmentHeader,
  externalLabelsOf,
  type Files,
  INDEX_HEADER_SIZE,
  makeThanosMeta,
  META_FILE,
  parseBlockMeta,
  parseIndexHeader,
  parseToc,
  printBlockMeta,
  readWholeFile,
  resolutionOf,
  SEGMENT_HEADER_SIZE,
  segmentNames,
  TOC_SIZE,
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
  /** An unreadable block is expected: passing over it is logged as a warning, not as an error. */
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
  /** Bytes that left, of complete and of failed uploads. */
  readonly uploadedBytes: { inc(by: number): void };
  /** Blocks of this pass that are still to be looked at. */
  readonly pendingBlocks: { set(x: number): void };
}

/** How far a pass is. */
export interface ShipperProgress {
  readonly ulid: string;
  /** Bytes of this block that left, and its size. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Which block of the pass this is, from 1, and how many there are. */
  readonly block: number;
  readonly blocks: number;
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
  /** Gives a file a second name; a hard link when absent. */
  readonly link?: (from: string, to: string) => void;
  /** Told as bytes leave, for a progress display. */
  readonly progress?: (progress: ShipperProgress) => void;
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
  /** What an earlier process left in the staging folder is gone. */
  #cleaned = false;

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
      if (!this.#cleaned) {
        files.remove(this.#staging);
        this.#cleaned = true;
      }
      let known = readShipperMeta(files, memory);
      if (known === undefined && files.stat(memory) !== undefined) {
        log("warn", "cannot read the shipper's meta file, looking into the bucket instead", {
          file: memory,
        });
      }
      const blocks = this.#localBlocks(errors);
      const done = new Set(known ?? []);
      const due = blocks.filter((meta) => !done.has(meta.ulid) && this.#isDue(meta));
      // Prometheus may compact what this file names; what it has deleted is not named any more.
      const remember = () => {
        const list = blocks.map((meta) => meta.ulid).filter((ulid) => done.has(ulid));
        if (known !== undefined && list.join() === known.join()) return;
        writeShipperMeta(files, memory, list);
        known = list;
      };
      const overlaps = new OverlapCheck(this.#parts);
      for (const [i, meta] of due.entries()) {
        throwIfAborted(signal);
        metrics.pendingBlocks.set(due.length - i);
        try {
          const outcome = await this.#ship(meta, overlaps, signal, [i + 1, due.length]);
          done.add(meta.ulid);
          if (outcome === "present") continue;
          uploaded++;
          // At once: after a kill the bucket need not be asked about this block again.
          remember();
        } catch (error) {
          throwIfAborted(signal);
          const failure = asError(error);
          log("error", "shipping failed", { block: meta.ulid, err: failure.message });
          if (failure instanceof CorruptionError) {
            metrics.corruptedBlocks.inc();
            errors.push(failure);
            continue;
          }
          metrics.uploadFailures.inc();
          errors.push(failure);
          if (!this.#settings.allowOutOfOrder) break;
        }
      }
      remember();
      metrics.pendingBlocks.set(due.filter((meta) => !done.has(meta.ulid)).length);
      metrics.uploadedCompacted.set(errors.length === 0 && this.#settings.uploadCompacted ? 1 : 0);
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
        errors.push(failure);
      }
    }
    return metas.sort((a, b) => a.minTime - b.minTime || (a.ulid < b.ulid ? -1 : 1));
  }

  get #staging(): string {
    return `${this.#settings.folder}/thanos/upload`;
  }

  #isDue(meta: BlockMeta): boolean {
    if (meta.stats.numSamples === 0) {
      this.#parts.log("debug", "ignoring empty block", { block: meta.ulid });
      return false;
    }
    return meta.compaction.level <= 1 || this.#settings.uploadCompacted;
  }

  async #ship(
    meta: BlockMeta,
    overlaps: OverlapCheck,
    signal: AbortSignal,
    [block, blocks]: readonly [number, number],
  ): Promise<"uploaded" | "present"> {
    const { bucket, files, log, clock, metrics } = this.#parts;
    const { folder, allowOutOfOrder, hash, concurrency, source } = this.#settings;
    if (await bucket.exists(`${meta.ulid}/${META_FILE}`, { signal })) return "present";
    const labels = this.#parts.externalLabels();
    if (labels.length === 0) {
      throw new MnemeError("bad_data", "empty external labels are not allowed for Thanos block.");
    }
    if (meta.compaction.level > 1 && !allowOutOfOrder) await overlaps.check(meta, labels, signal);

    const staging = `${this.#staging}/${meta.ulid}`;
    files.remove(staging);
    try {
      const local = `${folder}/${meta.ulid}`;
      files.mkdir(`${staging}/chunks`);
      const segments = segmentNames(
        files.list(`${local}/chunks`).filter((e) => !e.isDirectory).map((e) => e.name),
      );
      let total = 0;
      for (const name of [...segments.map((s) => `chunks/${s}`), "index"]) {
        (this.#parts.link ?? hardLink)(`${local}/${name}`, `${staging}/${name}`);
        total += checkBlockFile(files, `${staging}/${name}`, `${meta.ulid}/${name}`);
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
          metrics.uploadedBytes.inc(bytes);
          this.#parts.progress?.({
            ulid: meta.ulid,
            bytes: sent,
            totalBytes: total,
            block,
            blocks,
          });
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

function hardLink(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    throw new MnemeError("unavailable", `Cannot link ${from} to ${to}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** Size of a block's index or chunk file; throws when it does not begin (or end) as one. */
function checkBlockFile(files: Files, path: string, name: string): number {
  const file = files.open(path);
  const read = (size: number, at: number) => {
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, file.readAt(bytes, at));
  };
  try {
    if (name.endsWith("/index")) {
      parseIndexHeader(read(INDEX_HEADER_SIZE, 0), name);
      parseToc(read(TOC_SIZE, Math.max(0, file.size - TOC_SIZE)), file.size, name);
    } else checkSegmentHeader(read(SEGMENT_HEADER_SIZE, 0), name);
    return file.size;
  } finally {
    file.close();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
