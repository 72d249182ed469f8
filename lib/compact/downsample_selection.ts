/** Which blocks of a bucket are to be downsampled. */
import { RESOLUTION_1H, RESOLUTION_5M, RESOLUTION_RAW } from "../model/mod.ts";
import { type BlockMeta, resolutionOf } from "../tsdb/mod.ts";

const HOUR = 3_600_000;
/** Raw blocks at least this long are downsampled, ms. */
export const MIN_SPAN_FOR_5M = 40 * HOUR;
/** Five-minute blocks at least this long are downsampled, ms. */
export const MIN_SPAN_FOR_1H = 240 * HOUR;

/** A block that is to be downsampled. */
export interface DownsampleCandidate {
  readonly meta: BlockMeta;
  /** Resolution of the result, ms. */
  readonly resolution: number;
}

/** Asks whether a result of this resolution would be kept. */
export type IsRetained = (meta: BlockMeta, resolution: number) => boolean;

/**
 * Blocks of `metas` that are long enough and whose sources are not all in blocks of the next
 * resolution among `visible`; in the order of their ids.
 *
 * What would expire at once is not made, unless an hourly block is to be made of it.
 */
export function downsampleCandidates(
  metas: Iterable<BlockMeta>,
  visible: Iterable<BlockMeta>,
  isRetained: IsRetained = () => true,
): DownsampleCandidate[] {
  const done = new Map<number, Set<string>>([
    [RESOLUTION_5M, new Set()],
    [RESOLUTION_1H, new Set()],
  ]);
  for (const meta of visible) {
    const sources = done.get(resolutionOf(meta));
    if (sources !== undefined) { for (const id of meta.compaction.sources) sources.add(id); }
  }
  const isDone = ({ compaction: { sources } }: BlockMeta, resolution: number) =>
    sources.length > 0 && sources.every((id) => done.get(resolution)!.has(id));
  const candidates: DownsampleCandidate[] = [];
  for (const meta of metas) {
    const from = resolutionOf(meta);
    if (from !== RESOLUTION_RAW && from !== RESOLUTION_5M) continue;
    const raw = from === RESOLUTION_RAW;
    const resolution = raw ? RESOLUTION_5M : RESOLUTION_1H;
    const span = meta.maxTime - meta.minTime;
    if (span < (raw ? MIN_SPAN_FOR_5M : MIN_SPAN_FOR_1H)) continue;
    if (isDone(meta, resolution)) continue;
    if (!isRetained(meta, resolution)) {
      const onTheWay = raw && span >= MIN_SPAN_FOR_1H && isRetained(meta, RESOLUTION_1H) &&
        !isDone(meta, RESOLUTION_1H);
      if (!onTheWay) continue;
    }
    candidates.push({ meta, resolution });
  }
  return candidates.sort((a, b) => a.meta.ulid < b.meta.ulid ? -1 : 1);
}
