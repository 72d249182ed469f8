/** What a compactor knows about blocks beyond their metas, as JSON for pages. */
import { DELETION_MARK_FILE, NO_COMPACT_MARK_FILE, NO_DOWNSAMPLE_MARK_FILE } from "../block/mod.ts";
import type { BucketView } from "./bucket_view.ts";
import type { CompactorStatus } from "./compactor.ts";
import { groupKeyOf } from "./group.ts";
import type { CompactorOptions } from "./options.ts";
import { expiredBlocks } from "./retention.ts";

/** Markers, plan, groups that are set aside, and for each block the reason why it waits. */
export function compactorNotes(
  status: CompactorStatus,
  options: CompactorOptions,
  now: number,
): Readonly<Record<string, unknown>> {
  const { view, plan, setAside } = status;
  if (view === undefined) return { markers: {}, waits: {}, plan: [], setAside: [] };
  return {
    markers: markersOf(view),
    waits: Object.fromEntries(waitsOf(status, view, options, now)),
    plan: plan.map((planned) => ({ ...planned })),
    setAside: setAside.map((group) => ({ ...group, since: new Date(group.since).toISOString() })),
  };
}

function markersOf(view: BucketView): Record<string, unknown[]> {
  const markers: Record<string, unknown[]> = {};
  const kinds = [
    [DELETION_MARK_FILE, view.deletionMarks],
    [NO_COMPACT_MARK_FILE, view.noCompact],
    [NO_DOWNSAMPLE_MARK_FILE, view.noDownsample],
  ] as const;
  for (const [file, marks] of kinds) {
    for (const mark of marks.values()) {
      (markers[mark.ulid] ??= []).push({
        file,
        time: Number.isFinite(mark.time) ? new Date(mark.time).toISOString() : null,
        reason: mark.reason,
        details: mark.details,
        readable: mark.readable,
      });
    }
  }
  return markers;
}

function waitsOf(
  status: CompactorStatus,
  view: BucketView,
  options: CompactorOptions,
  now: number,
): Map<string, string> {
  const waits = new Map<string, string>();
  for (const [ulid, error] of view.corrupted) {
    waits.set(ulid, `kept in quarantine until a person deletes it: ${error.message}`);
  }
  for (const ulid of view.partial) {
    waits.set(ulid, "upload is not complete; it is removed 48h after its newest object");
  }
  for (const [ulid, state] of view.excluded) {
    if (state === "too-fresh") {
      waits.set(ulid, "uploaded less than the consistency delay ago");
    } else if (state === "duplicate") waits.set(ulid, "its samples are in a larger block");
    else if (state === "time-excluded" || state === "label-excluded") {
      waits.set(ulid, "left to another compactor by time or label selection");
    }
  }
  const planned = new Set(status.plan.flatMap((p) => p.blocks));
  const aside = new Map(status.setAside.map((group) => [group.key, group]));
  const newest = new Map<string, { readonly ulid: string; readonly minTime: number }>();
  for (const meta of view.metas.values()) {
    const key = groupKeyOf(meta);
    const best = newest.get(key);
    if (best === undefined || meta.minTime >= best.minTime) newest.set(key, meta);
  }
  for (const [ulid, meta] of view.metas) {
    const key = groupKeyOf(meta);
    const group = aside.get(key);
    const noCompact = view.noCompact.get(ulid);
    if (noCompact !== undefined) {
      waits.set(ulid, `marked as not to be compacted: ${noCompact.reason || noCompact.details}`);
    } else if (group !== undefined) {
      waits.set(ulid, `its group is set aside (${group.reason}): ${group.message}`);
    } else if (planned.has(ulid)) waits.set(ulid, "will be compacted");
    else if (newest.get(key)?.ulid === ulid) {
      waits.set(ulid, "newest of its group; compacted once a newer one is there");
    } else waits.set(ulid, "its range has no other block to be joined with");
  }
  for (const { ulid, waits: kept } of expiredBlocks(view.metas.values(), options, now)) {
    if (kept) waits.set(ulid, "expired, kept until it is downsampled");
  }
  for (const [ulid, mark] of view.deletionMarks) {
    waits.set(
      ulid,
      mark.readable
        ? `deleted after ${new Date(mark.time + options.deleteDelay).toISOString()}`
        : "its deletion mark cannot be read; it is not deleted",
    );
  }
  return waits;
}
