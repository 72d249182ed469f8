/**
 * One compaction on local directories: verify the sources, merge, verify the result. Everything that
 * takes time and touches no bucket; runs where its caller likes, usually in a worker.
 */
import { encodeUtf8, errorKind, errorMessage } from "../base/mod.ts";
import { type BlockHealth, type BlockIssueKind, blockIssues, verifyBlock } from "../block/mod.ts";
import { type BlockMeta, type Files, META_FILE, printBlockMeta, replaceFile } from "../tsdb/mod.ts";
import { WindowMemory } from "./file_pool.ts";
import {
  countSamples,
  looksSound,
  mergeBlocks,
  type MergeOrder,
  type MergeReport,
} from "./merge_blocks.ts";
import { compactedMeta, type GroupIdentity, repairedMeta } from "./result_meta.ts";
import type { SetAsideReason } from "./set_aside.ts";

/** What to do; plain data, so that it can be sent to a worker. */
export interface CompactOrder extends MergeOrder {
  readonly group: GroupIdentity;
  /** Level of the result. */
  readonly level: number;
  /** Write the only source again without the chunks at its end. */
  readonly repair: boolean;
  /** Report out-of-order chunks instead of putting them in order. */
  readonly skipOutOfOrder: boolean;
  readonly acceptMalformedIndex: boolean;
}

/** What came of it; plain data. */
export type CompactOutcome =
  | { readonly kind: "compacted"; readonly report: MergeReport }
  /** A source has out-of-order chunks. */
  | { readonly kind: "out-of-order"; readonly source: number; readonly message: string }
  /** A source has chunks at its end that belong to the next block. */
  | { readonly kind: "end-chunks"; readonly source: number; readonly message: string }
  | {
    readonly kind: "refused";
    /** Index of the source, -1 for the result. */
    readonly source: number;
    readonly reason: SetAsideReason;
    readonly message: string;
  };

/**
 * Does the job in order; a source that is broken is an outcome, what the disk refuses is thrown.
 */
export async function compactBlocks(
  files: Files,
  order: CompactOrder,
  memory = new WindowMemory(),
): Promise<CompactOutcome> {
  for (const [source, directory] of order.sources.entries()) {
    const refused = await checkSource(files, directory, source, order, memory);
    if (refused !== undefined) return refused;
  }
  let report: MergeReport;
  try {
    report = mergeBlocks(
      files,
      order,
      (sources, counted) =>
        order.repair
          ? repairedMeta(order.ulid, sources[0]!, counted)
          : compactedMeta(order.ulid, sources, counted, order.group, order.level),
    );
  } catch (error) {
    if (errorKind(error) !== "corruption") throw error;
    const message = errorMessage(error);
    const source = order.sources.findIndex((directory) => message.includes(directory));
    return { kind: "refused", source, reason: "broken-block", message };
  }
  if (report.meta === undefined) return { kind: "compacted", report };
  return await checkResult(files, order, report, report.meta, memory);
}

async function checkSource(
  files: Files,
  directory: string,
  source: number,
  order: CompactOrder,
  memory: WindowMemory,
): Promise<CompactOutcome | undefined> {
  let health: BlockHealth;
  try {
    // Most blocks are as they should be, which is soon seen; only the others are taken apart.
    if (looksSound(files, directory, memory)) return undefined;
    health = await verifyBlock(files, directory);
  } catch (error) {
    const kind = errorKind(error);
    if (kind !== "corruption" && kind !== "not_found") throw error;
    return { kind: "refused", source, reason: "broken-block", message: errorMessage(error) };
  }
  const issues = new Map(blockIssues(health).map((issue) => [issue.kind, issue.message]));
  const refuse = (kind: BlockIssueKind, reason: SetAsideReason): CompactOutcome | undefined => {
    const message = issues.get(kind);
    return message === undefined ? undefined : { kind: "refused", source, reason, message };
  };
  const broken = refuse("broken", "broken-block") ?? refuse("outside-chunks", "outside-chunks");
  if (broken !== undefined) return broken;
  const outOfOrder = issues.get("out-of-order-chunks");
  if (outOfOrder !== undefined && order.skipOutOfOrder && !order.repair) {
    return { kind: "out-of-order", source, message: outOfOrder };
  }
  const endChunks = issues.get("issue-347-chunks");
  if (endChunks !== undefined && !order.repair) {
    return { kind: "end-chunks", source, message: endChunks };
  }
  return order.acceptMalformedIndex
    ? undefined
    : refuse("out-of-order-labels", "out-of-order-labels");
}

async function checkResult(
  files: Files,
  order: CompactOrder,
  report: MergeReport,
  meta: BlockMeta,
  memory: WindowMemory,
): Promise<CompactOutcome> {
  const directory = `${order.directory}/${order.ulid}`;
  const wrong = (message: string): CompactOutcome => {
    files.remove(directory);
    return { kind: "refused", source: -1, reason: "result-check", message };
  };
  const expected = report.samplesRead;
  if (report.merged === 0 && report.duplicates === 0 && report.samplesWritten !== expected) {
    return wrong(`the result has ${report.samplesWritten} samples, the sources ${expected}`);
  }
  const health = await verifyBlock(files, directory);
  const issues = blockIssues(health).filter((issue) =>
    !(order.acceptMalformedIndex && issue.kind === "out-of-order-labels")
  );
  if (issues.length > 0) return wrong(`the result is not sound: ${issues[0]!.message}`);
  // Every chunk as it was written, by its checksum.
  const held = countSamples(files, directory, memory);
  if (held !== meta.stats.numSamples) {
    return wrong(`the result holds ${held} samples of ${meta.stats.numSamples}`);
  }
  // Measured as readers of the block expect it.
  const { seriesMaxSize, chunkMaxSize } = health;
  const measured: BlockMeta = {
    ...meta,
    thanos: { ...meta.thanos!, indexStats: { seriesMaxSize, chunkMaxSize } },
  };
  replaceFile(files, `${directory}/${META_FILE}`, encodeUtf8(printBlockMeta(measured)), false);
  return { kind: "compacted", report: { ...report, meta: measured } };
}
