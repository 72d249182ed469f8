/** Groups: the blocks that are compacted together, of one resolution and one set of labels. */
import { xxhash64Text } from "../base/mod.ts";
import { type Labels, labelsHashInput } from "../model/mod.ts";
import { type BlockMeta, externalLabelsOf, resolutionOf } from "../tsdb/mod.ts";
import { byStart } from "./planner.ts";
import type { GroupIdentity } from "./result_meta.ts";

/** A group with its blocks. */
export interface BlockGroup extends GroupIdentity {
  /** `<resolution>@<hash of labels>`; also the name of its work directory. */
  readonly key: string;
  /** By start. */
  readonly blocks: readonly BlockMeta[];
}

/** The key of the group that a resolution and labels make. */
export function groupKey(resolution: number, labels: Labels): string {
  return `${resolution}@${xxhash64Text(labelsHashInput(labels))}`;
}

/** The key of the group that a block belongs to. */
export function groupKeyOf(meta: BlockMeta): string {
  return groupKey(resolutionOf(meta), externalLabelsOf(meta));
}

/** Groups of blocks by key, in the order of their keys. */
export function groupBlocks(metas: Iterable<BlockMeta>): BlockGroup[] {
  const groups = new Map<string, BlockMeta[]>();
  for (const meta of metas) {
    const key = groupKeyOf(meta);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [meta]);
    else group.push(meta);
  }
  return [...groups.keys()].sort().map((key) => {
    const blocks = byStart(groups.get(key)!);
    const first = blocks[0]!;
    return {
      key,
      blocks,
      labels: externalLabelsOf(first),
      resolution: resolutionOf(first),
      extensions: commonExtensions(blocks),
    };
  });
}

/** Extensions that every block that has some has; values from the first one. */
function commonExtensions(blocks: readonly BlockMeta[]): unknown {
  let common: Map<string, unknown> | undefined;
  for (const meta of blocks) {
    const extensions = meta.thanos?.extensions;
    if (typeof extensions !== "object" || extensions === null || Array.isArray(extensions)) {
      continue;
    }
    const entries = new Map(Object.entries(extensions));
    if (common === undefined) common = entries;
    else for (const key of common.keys()) if (!entries.has(key)) common.delete(key);
  }
  return common === undefined || common.size === 0 ? undefined : Object.fromEntries(common);
}
