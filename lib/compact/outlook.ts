/** What is still to be done, found by planning without doing: for metrics, the log and pages. */
import { makeUlid } from "../base/mod.ts";
import { plannedMeta } from "./group_compaction.ts";
import type { BlockGroup } from "./group.ts";
import type { CompactorOptions } from "./options.ts";
import { byStart, planGroup, type PlanKind } from "./planner.ts";
import { bytesOf } from "./sizes.ts";

/** One compaction to come. */
export interface PlannedCompaction {
  readonly group: string;
  readonly kind: PlanKind;
  /** Blocks that exist; those that an earlier compaction will make are counted in `made`. */
  readonly blocks: readonly string[];
  readonly made: number;
  readonly minTime: number;
  readonly maxTime: number;
  readonly bytes: number;
}

/** All compactions of a group in their order. */
export function outlookOf(
  group: BlockGroup,
  excluded: ReadonlySet<string>,
  options: CompactorOptions,
  cautious: boolean,
): PlannedCompaction[] {
  const out: PlannedCompaction[] = [];
  const sizes = new Map(group.blocks.map((meta) => [meta.ulid, bytesOf(meta)]));
  const made = new Set<string>();
  let metas = [...group.blocks];
  // Each plan leaves fewer blocks, but for one that is written again for its deletions.
  for (let round = 0; round < group.blocks.length * 2; round++) {
    const plan = planGroup(metas, excluded, options.maxLevel, cautious);
    if (plan === undefined || (plan.kind === "overlap" && !options.vertical)) break;
    const ulid = makeUlid(round, (target) => target.fill(0));
    const bytes = plan.blocks.reduce((sum, meta) => sum + (sizes.get(meta.ulid) ?? 0), 0);
    sizes.set(ulid, bytes);
    out.push({
      group: group.key,
      kind: plan.kind,
      blocks: plan.blocks.map((meta) => meta.ulid).filter((id) => !made.has(id)),
      made: plan.blocks.filter((meta) => made.has(meta.ulid)).length,
      minTime: Math.min(...plan.blocks.map((meta) => meta.minTime)),
      maxTime: Math.max(...plan.blocks.map((meta) => meta.maxTime)),
      bytes,
    });
    made.add(ulid);
    const planned = new Set(plan.blocks);
    metas = byStart([
      ...metas.filter((meta) => !planned.has(meta)),
      plannedMeta(ulid, plan, group),
    ]);
  }
  return out;
}
