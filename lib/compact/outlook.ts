/** What is still to be done, found by planning without doing: for metrics, the log and pages. */
import { makeUlid } from "../base/mod.ts";
import type { BlockGroup } from "./group.ts";
import type { CompactorOptions } from "./options.ts";
import { PlanChain } from "./plan_chain.ts";
import { planAll, type PlanKind } from "./planner.ts";
import { bytesOf } from "./sizes.ts";

/** One compaction to come. */
export interface PlannedCompaction {
  readonly group: string;
  readonly kind: PlanKind;
  readonly blocks: readonly string[];
  readonly minTime: number;
  readonly maxTime: number;
  /** Level that the block will have. */
  readonly level: number;
  /** Bytes to read, and to write at most. */
  readonly bytes: number;
}

/** All compactions of a group. */
export function outlookOf(
  group: BlockGroup,
  excluded: ReadonlySet<string>,
  options: CompactorOptions,
  cautious: boolean,
): PlannedCompaction[] {
  let made = 0;
  const chain = new PlanChain(group, () => makeUlid(made++, (target) => target.fill(0)));
  // Each turn leaves fewer blocks, but for one that is written again for its deletions.
  for (let turn = 0; turn < group.blocks.length * 2; turn++) {
    const plans = planAll(chain.metas, excluded, options.maxLevel, cautious);
    if (plans.length === 0 || (plans[0]!.kind === "overlap" && !options.vertical)) break;
    if (chain.add(plans) === 0) break;
  }
  return chain.steps.map(({ kind, blocks, meta }) => ({
    group: group.key,
    kind,
    blocks: blocks.map((block) => block.ulid),
    minTime: meta.minTime,
    maxTime: meta.maxTime,
    level: meta.compaction.level,
    bytes: blocks.reduce((sum, block) => sum + bytesOf(block), 0),
  }));
}
