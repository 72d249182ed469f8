/** Verifies the blocks of a bucket: what their indexes hold, and how they overlap. */
import { errorMessage, MnemeError, throwIfAborted } from "../base/mod.ts";
import { blockIssues, downloadBlock, verifyBlock, type VerifyDepth } from "../block/mod.ts";
import { formatLabels, labelsKey } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import {
  type BlockMeta,
  CHUNKS_DIRECTORY,
  externalLabelsOf,
  type Files,
  INDEX_FILE,
  META_FILE,
  printBlockMeta,
  resolutionOf,
} from "../tsdb/mod.ts";

/** What can be looked for. */
export const ISSUES = ["index_known_issues", "overlapped_blocks", "duplicated_compaction"] as const;
/** Name of an issue. */
export type IssueName = typeof ISSUES[number];

/** Something that was found. */
export interface BucketFinding {
  readonly issue: IssueName;
  readonly blocks: readonly string[];
  readonly message: string;
}

/** How to verify. */
export interface VerifyBucketOptions {
  readonly bucket: Bucket;
  readonly files: Files;
  /** For copies, one block at a time; must exist. */
  readonly directory: string;
  readonly issues: readonly string[];
  /** Only these blocks; empty = all. */
  readonly ids: readonly string[];
  /** "index" fetches the index alone, the others the whole block. */
  readonly depth: VerifyDepth;
  readonly signal?: AbortSignal;
}

/**
 * Looks for issues; the findings come one by one.
 *
 * Throws: bad_data for an unknown issue, or one that cannot be looked for in single blocks.
 */
export async function* verifyBucket(
  metas: readonly BlockMeta[],
  options: VerifyBucketOptions,
): AsyncGenerator<BucketFinding> {
  const { issues, ids } = options;
  for (const issue of issues) {
    if (!(ISSUES as readonly string[]).includes(issue)) {
      throw new MnemeError("bad_data", `no such issue ID ${issue}, there are ${ISSUES.join(", ")}`);
    }
    if (issue !== "index_known_issues" && ids.length > 0) {
      throw new MnemeError("bad_data", `issue ${issue} is about many blocks: leave --id out`);
    }
  }
  for (const issue of issues as readonly IssueName[]) {
    if (issue === "index_known_issues") yield* verifyIndexes(metas, options);
    else yield* issue === "overlapped_blocks" ? findOverlaps(metas) : findDoubles(metas);
  }
}

async function* verifyIndexes(
  metas: readonly BlockMeta[],
  options: VerifyBucketOptions,
): AsyncGenerator<BucketFinding> {
  const { files, directory, ids, depth, signal } = options;
  for (const meta of metas) {
    if (ids.length > 0 && !ids.includes(meta.ulid)) continue;
    throwIfAborted(signal);
    const folder = `${directory}/${meta.ulid}`;
    const finding = (message: string): BucketFinding => ({
      issue: "index_known_issues",
      blocks: [meta.ulid],
      message,
    });
    try {
      await fetchBlock(meta, folder, options);
      const health = await verifyBlock(files, folder, {
        depth,
        ...(signal === undefined ? {} : { signal }),
      });
      for (const { kind, message } of blockIssues(health)) yield finding(`${kind}: ${message}`);
    } catch (error) {
      throwIfAborted(signal);
      yield finding(errorMessage(error));
    } finally {
      files.remove(folder);
    }
  }
}

async function fetchBlock(
  meta: BlockMeta,
  folder: string,
  { bucket, files, depth, signal }: VerifyBucketOptions,
): Promise<void> {
  const call = signal === undefined ? {} : { signal };
  if (depth !== "index") {
    await downloadBlock(bucket, files, meta.ulid, folder, { ...call, sync: false });
    return;
  }
  files.mkdir(`${folder}/${CHUNKS_DIRECTORY}`);
  const write = (name: string): ReturnType<Files["create"]> => files.create(`${folder}/${name}`);
  const description = write(META_FILE);
  description.append(new TextEncoder().encode(printBlockMeta(meta)));
  description.close();
  const index = write(INDEX_FILE);
  try {
    for await (const piece of await bucket.getStream(`${meta.ulid}/${INDEX_FILE}`, call)) {
      index.append(piece);
    }
  } finally {
    index.close();
  }
}

function groupsOf(metas: readonly BlockMeta[]): BlockMeta[][] {
  const groups = Map.groupBy(
    metas,
    (meta) => `${resolutionOf(meta)} ${labelsKey(externalLabelsOf(meta))}`,
  );
  return [...groups.values()].map((group) =>
    group.sort((a, b) => a.minTime - b.minTime || (a.ulid < b.ulid ? -1 : 1))
  );
}

function* findOverlaps(metas: readonly BlockMeta[]): Generator<BucketFinding> {
  for (const group of groupsOf(metas)) {
    let cluster: BlockMeta[] = [];
    let end = -Infinity;
    for (let i = 0; i <= group.length; i++) {
      const meta = group[i];
      if (meta !== undefined && meta.minTime < end) cluster.push(meta);
      else {
        if (cluster.length > 1) yield overlapOf(cluster);
        cluster = meta === undefined ? [] : [meta];
      }
      end = Math.max(end, meta?.maxTime ?? end);
    }
  }
}

function overlapOf(cluster: readonly BlockMeta[]): BucketFinding {
  const blocks = cluster.map((meta) => meta.ulid);
  const labels = formatLabels(externalLabelsOf(cluster[0]!));
  return {
    issue: "overlapped_blocks",
    blocks,
    message: `${blocks.length} blocks of ${labels} at resolution ${resolutionOf(cluster[0]!)} ms ` +
      `overlap: ${blocks.join(", ")}`,
  };
}

function* findDoubles(metas: readonly BlockMeta[]): Generator<BucketFinding> {
  for (const group of groupsOf(metas)) {
    const same = Map.groupBy(
      group,
      ({ minTime, maxTime, compaction, stats }) =>
        JSON.stringify([minTime, maxTime, compaction.level, compaction.sources, stats]),
    );
    for (const [first, ...doubles] of same.values()) {
      if (doubles.length === 0) continue;
      yield {
        issue: "duplicated_compaction",
        blocks: doubles.map((meta) => meta.ulid),
        message: `doubles of ${first!.ulid}: ${doubles.map((meta) => meta.ulid).join(", ")}`,
      };
    }
  }
}
