/**
 * Groups that cannot be compacted as they are. Only the group is set aside; the list tells people
 * what to look at first.
 */
import { formatLabels } from "../model/mod.ts";
import { MnemeError } from "../base/mod.ts";
import type { BlockGroup } from "./group.ts";
import { bytesOf } from "./sizes.ts";

/** Why a group is set aside. */
export type SetAsideReason =
  /** Blocks overlap and vertical compaction is off. */
  | "overlap"
  /** Blocks of one plan were made of the same block. */
  | "shared-sources"
  /** A block cannot be read. */
  | "broken-block"
  /** A block holds samples outside of its range. */
  | "outside-chunks"
  /** Label names of a series are not in order. */
  | "out-of-order-labels"
  /** The result of a compaction is not what it must be. */
  | "result-check"
  /** Blocks without external labels are not uploaded. */
  | "no-external-labels";

/** Stops the work on one group. */
export class SetAsideError extends MnemeError {
  readonly reason: SetAsideReason;
  /** Blocks to look at. */
  readonly blocks: readonly string[];
  constructor(
    reason: SetAsideReason,
    message: string,
    blocks: readonly string[],
    options: { readonly cause?: unknown } = {},
  ) {
    super("corruption", message, options);
    this.name = "SetAsideError";
    this.reason = reason;
    this.blocks = blocks;
  }
}

/** A group that is set aside. */
export interface SetAsideGroup {
  readonly key: string;
  readonly labels: string;
  readonly resolution: number;
  readonly reason: SetAsideReason;
  readonly message: string;
  /** Blocks to look at. */
  readonly blocks: readonly string[];
  /** What waits because of it. */
  readonly waitingBlocks: number;
  readonly waitingBytes: number;
  /** When it was first set aside, ms. */
  readonly since: number;
  /** How often it was tried. */
  readonly tries: number;
}

interface Entry {
  readonly group: SetAsideGroup;
  readonly signature: string;
}

/** A group whose blocks do not change is tried this often, as what was read may have been wrong. */
const MAX_TRIES = 3;

/** The groups that are set aside. */
export class SetAsideList {
  readonly #entries = new Map<string, Entry>();

  /** Notes a failure. */
  add(group: BlockGroup, error: SetAsideError, now: number): void {
    const signature = signatureOf(group);
    const before = this.#entries.get(group.key);
    const same = before?.signature === signature;
    this.#entries.set(group.key, {
      signature,
      group: {
        key: group.key,
        labels: formatLabels(group.labels),
        resolution: group.resolution,
        reason: error.reason,
        message: error.message,
        blocks: error.blocks,
        waitingBlocks: group.blocks.length,
        waitingBytes: group.blocks.reduce((sum, meta) => sum + bytesOf(meta), 0),
        since: before?.group.since ?? now,
        tries: same ? before.group.tries + 1 : 1,
      },
    });
  }

  /** The group was compacted, or has nothing to compact. */
  clear(key: string): void {
    this.#entries.delete(key);
  }

  /** Forgets groups that are gone. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#entries.keys()) if (!keys.has(key)) this.#entries.delete(key);
  }

  /** True while trying again would change nothing. */
  isPointless(group: BlockGroup): boolean {
    const entry = this.#entries.get(group.key);
    return entry !== undefined && entry.group.tries >= MAX_TRIES &&
      entry.signature === signatureOf(group);
  }

  /** The groups by what waits because of them, most first. */
  ranked(): SetAsideGroup[] {
    return [...this.#entries.values()].map((e) => e.group).sort((a, b) =>
      b.waitingBytes - a.waitingBytes || b.waitingBlocks - a.waitingBlocks ||
      (a.key < b.key ? -1 : 1)
    );
  }
}

function signatureOf(group: BlockGroup): string {
  return group.blocks.map((meta) => meta.ulid).join(",");
}
