/**
 * The planner with what only the bucket knows: sizes of indexes, and marks on blocks that must not be
 * joined.
 */
import { formatSize } from "../config/mod.ts";
import { NO_COMPACT_DOWNSAMPLE_VERTICAL, NO_COMPACT_INDEX_SIZE } from "../block/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import { INDEX_FILE, resolutionOf } from "../tsdb/mod.ts";
import type { Marker } from "./marker.ts";
import type { CompactorOptions } from "./options.ts";
import type { PlanChain } from "./plan_chain.ts";
import { type CompactionPlan, planAll } from "./planner.ts";
import { indexBytesOf } from "./sizes.ts";

/** Indexes are joined up to this share of the limit. */
const INDEX_SHARE = 0.85;

/** Plans for one group during one round. */
export class GroupPlanner {
  readonly #bucket: Bucket;
  readonly #marker: Marker;
  readonly #options: CompactorOptions;
  readonly #cautious: boolean;
  /** Blocks that must stay as they are; those marked here are added. */
  readonly #excluded: Set<string>;

  constructor(parts: {
    readonly bucket: Bucket;
    readonly marker: Marker;
    readonly options: CompactorOptions;
    readonly excluded: Iterable<string>;
    readonly cautious: boolean;
  }) {
    this.#bucket = parts.bucket;
    this.#marker = parts.marker;
    this.#options = parts.options;
    this.#excluded = new Set(parts.excluded);
    this.#cautious = parts.cautious;
  }

  /** The next plans over the blocks of `chain`; none when there is nothing to do. May mark blocks. */
  async plan(chain: PlanChain, signal?: AbortSignal): Promise<CompactionPlan[]> {
    for (;;) {
      const plans = planAll(chain.metas, this.#excluded, this.#options.maxLevel, this.#cautious);
      const usable: CompactionPlan[] = [];
      let changed = false;
      for (const plan of plans) {
        if (await this.#excludeDownsampled(plan)) {
          changed = true;
          break;
        }
        const verdict = await this.#checkIndexes(plan, chain, signal);
        if (verdict === "fits") usable.push(plan);
        else if (verdict === "excluded") {
          changed = true;
          break;
        }
      }
      if (!changed) return usable;
    }
  }

  /**
   * Overlapping downsampled blocks are merged as replicas only: which samples of an aggregate are in
   * another one as well is not known any more.
   */
  async #excludeDownsampled(plan: CompactionPlan): Promise<boolean> {
    if (plan.kind !== "overlap" || !this.#options.vertical) return false;
    if (this.#options.dedup === "penalty") return false;
    const downsampled = plan.blocks.filter((meta) => resolutionOf(meta) > 0);
    for (const { ulid } of downsampled) {
      await this.#marker.noCompact(
        ulid,
        NO_COMPACT_DOWNSAMPLE_VERTICAL,
        "overlapping downsampled blocks are merged with --deduplication.func=penalty only",
      );
      this.#excluded.add(ulid);
    }
    return downsampled.length > 0;
  }

  /**
   * Whether the indexes of a plan fit together; the largest one is marked when they do not. Of blocks
   * that do not exist yet nobody knows: then it is asked again once they do.
   */
  async #checkIndexes(
    plan: CompactionPlan,
    chain: PlanChain,
    signal: AbortSignal | undefined,
  ): Promise<"fits" | "excluded" | "unknown"> {
    const limit = this.#options.maxIndexSize * INDEX_SHARE;
    let sum = 0;
    let largest: { readonly ulid: string; readonly size: number } | undefined;
    for (const meta of plan.blocks) {
      const size = chain.indexBytes(meta.ulid) ?? indexBytesOf(meta) ??
        await this.#indexSize(meta.ulid, signal);
      sum += size;
      if (largest === undefined || size > largest.size) largest = { ulid: meta.ulid, size };
      if (sum < limit) continue;
      if (plan.blocks.some((block) => chain.has(block.ulid))) return "unknown";
      await this.#marker.noCompact(
        largest.ulid,
        NO_COMPACT_INDEX_SIZE,
        `indexes of ${plan.blocks.length} blocks together reach ${formatSize(Math.ceil(limit))}; ` +
          `this one is the largest with ${formatSize(largest.size)}`,
      );
      this.#excluded.add(largest.ulid);
      return "excluded";
    }
    return "fits";
  }

  async #indexSize(ulid: string, signal: AbortSignal | undefined): Promise<number> {
    const options = signal === undefined ? {} : { signal };
    return (await this.#bucket.attributes(`${ulid}/${INDEX_FILE}`, options)).size;
  }
}
