/**
 * One downsampling on local directories: verify the source, downsample, verify the result. Touches no
 * bucket; runs where its caller likes, usually in a worker.
 */
import { CorruptionError, MnemeError } from "../base/mod.ts";
import { type BlockHealth, blockIssues, verifyBlock } from "../block/mod.ts";
import { type Labels, labelsFromSorted } from "../model/mod.ts";
import { type BlockMeta, type Files } from "../tsdb/mod.ts";
import { downsampleBlock, writeMeta } from "./downsample_block.ts";

/** What to do; plain data, so that it can be sent to a worker. */
export interface DownsampleOrder {
  /** Directory of the block. */
  readonly source: string;
  /** The directory in which `<ulid>/` shall appear; must exist. */
  readonly directory: string;
  readonly ulid: string;
  /** Resolution of the result, ms. */
  readonly resolution: number;
  /** External labels of the result, in label order. */
  readonly labels: readonly string[];
  readonly acceptMalformedIndex: boolean;
  /** Wait for the disk; true when absent. */
  readonly sync?: boolean;
}

/** What came of it; plain data. */
export interface DownsampleOutcome {
  /** The new block, undefined when no sample was left. */
  readonly meta: BlockMeta | undefined;
}

/**
 * Does the job in order.
 *
 * Throws: CorruptionError when the source cannot be downsampled as it is; nothing is left behind.
 */
export async function runDownsampleOrder(
  files: Files,
  order: DownsampleOrder,
): Promise<DownsampleOutcome> {
  const { source, directory, ulid, resolution, acceptMalformedIndex } = order;
  checkHealth(await verifyBlock(files, source), acceptMalformedIndex, ["wrong-counts"]);
  const sync = order.sync ?? true;
  const labels: Labels = labelsFromSorted(order.labels);
  const meta = await downsampleBlock({
    files,
    source,
    directory,
    ulid,
    resolution,
    labels,
    sync,
  });
  if (meta === undefined) return { meta };
  const result = `${directory}/${ulid}`;
  try {
    const health = await verifyBlock(files, result, { depth: "chunks" });
    checkHealth(health, acceptMalformedIndex);
    const { seriesMaxSize, chunkMaxSize } = health;
    const complete: BlockMeta = {
      ...meta,
      thanos: { ...meta.thanos!, indexStats: { seriesMaxSize, chunkMaxSize } },
    };
    writeMeta(files, result, complete, sync);
    return { meta: complete };
  } catch (error) {
    files.remove(result);
    if (!(error instanceof CorruptionError)) throw error;
    throw new MnemeError("internal", `the downsampled block is not sound: ${error.message}`, {
      cause: error,
    });
  }
}

/** Throws when the block has issues other than those that are put up with. */
function checkHealth(
  health: BlockHealth,
  acceptMalformedIndex: boolean,
  ignored: readonly string[] = [],
): void {
  for (const { kind, message } of blockIssues(health)) {
    if (ignored.includes(kind)) continue;
    if (acceptMalformedIndex && kind === "out-of-order-labels") continue;
    throw new CorruptionError(message, { file: health.directory });
  }
}
