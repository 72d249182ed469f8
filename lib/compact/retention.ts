/** Which blocks have passed their retention. */
import { formatGoDuration } from "../base/mod.ts";
import { RESOLUTION_1H, RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";
import { type BlockMeta, resolutionOf } from "../tsdb/mod.ts";
import { groupKey } from "./group.ts";
import { externalLabelsOf } from "../tsdb/mod.ts";
import type { CompactorOptions } from "./options.ts";

/** Raw blocks at least this long are downsampled, ms; shorter ones never are. */
const DOWNSAMPLED_SPAN = 40 * 3_600_000;

/** A block that retention is about. */
export interface ExpiredBlock {
  readonly ulid: string;
  /** For the mark. */
  readonly details: string;
  /** Kept for now: its samples are not in a downsampled block yet, which would be kept longer. */
  readonly waits: boolean;
}

/** The period of a resolution, ms; 0 = for ever. */
export function retentionOf(
  resolution: number,
  options: Pick<CompactorOptions, "retention">,
): number {
  const { retention } = options;
  switch (resolution) {
    case RESOLUTION_RAW:
      return retention.raw;
    case RESOLUTION_5M:
      return retention.fiveMinutes;
    case RESOLUTION_1H:
      return retention.oneHour;
    default:
      return 0;
  }
}

/** True while a block of this time and resolution would be kept. */
export function isRetained(
  meta: BlockMeta,
  resolution: number,
  retention: CompactorOptions["retention"],
  now: number,
): boolean {
  const period = retentionOf(resolution, { retention });
  return period === 0 || now <= Math.floor(meta.maxTime / 1000) * 1000 + period;
}

/** Blocks whose end lies longer ago than their resolution is kept. */
export function expiredBlocks(
  metas: Iterable<BlockMeta>,
  options: CompactorOptions,
  now: number,
): ExpiredBlock[] {
  const all = [...metas];
  const downsampled = new Set<string>();
  for (const meta of all) {
    if (resolutionOf(meta) !== RESOLUTION_5M) continue;
    for (const source of meta.compaction.sources) downsampled.add(`${labelsOf(meta)} ${source}`);
  }
  const expired: ExpiredBlock[] = [];
  for (const meta of all) {
    const resolution = resolutionOf(meta);
    const period = retentionOf(resolution, options);
    if (period === 0) continue;
    if (now <= Math.floor(meta.maxTime / 1000) * 1000 + period) continue;
    const later = options.retention.fiveMinutes;
    const waits = resolution === RESOLUTION_RAW && options.downsampling &&
      meta.maxTime - meta.minTime >= DOWNSAMPLED_SPAN &&
      (later === 0 || now <= meta.maxTime + later) &&
      !meta.compaction.sources.every((source) => downsampled.has(`${labelsOf(meta)} ${source}`));
    expired.push({
      ulid: meta.ulid,
      details: `block exceeding retention of ${formatGoDuration(period)}`,
      waits,
    });
  }
  return expired;
}

function labelsOf(meta: BlockMeta): string {
  return groupKey(RESOLUTION_RAW, externalLabelsOf(meta));
}
