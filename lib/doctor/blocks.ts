/** What the blocks of a bucket look like: readable, labelled, without overlaps, at rest. */
import type { Clock } from "../base/mod.ts";
import { DELETION_MARK_FILE, type FetchResult, MetaFetcher } from "../block/mod.ts";
import { formatLabels } from "../model/mod.ts";
import type { Bucket } from "../objstore/mod.ts";
import type { BlockMeta } from "../tsdb/mod.ts";
import { type Finding, findingsOf } from "./finding.ts";

/** Examples that a finding names. */
const EXAMPLES = 3;
/** Age from which an upload without meta.json is not one that still runs, ms. */
const PARTIAL_AGE = 2 * 86_400_000;
/** From this many blocks on, a compactor is surely missing or late. */
const MANY_RAW_BLOCKS = 500;

/** Settings of the check. */
export interface BlockChecks {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/** Reads every meta.json and says what is unusual. */
export async function checkBlocks(bucket: Bucket, options: BlockChecks): Promise<Finding[]> {
  const { clock, signal } = options;
  const fetched = await new MetaFetcher({ bucket, filters: [], clock }).fetch(signal);
  return judgeBlocks(fetched, options);
}

/** The same for what was fetched already. */
export function judgeBlocks(
  { all, corrupted, partial, listing, failed }: Pick<
    FetchResult,
    "all" | "corrupted" | "partial" | "listing" | "failed"
  >,
  { clock }: Pick<BlockChecks, "clock">,
): Finding[] {
  const say = findingsOf("blocks");
  const findings: Finding[] = [];
  const some = (names: Iterable<string>) => {
    const list = [...names];
    const more = list.length > EXAMPLES ? ` and ${list.length - EXAMPLES} more` : "";
    return `${list.slice(0, EXAMPLES).join(", ")}${more}`;
  };
  if (corrupted.size > 0) {
    const [first] = [...corrupted];
    findings.push(say.error(
      `${corrupted.size} blocks have an unreadable meta.json (${first![1].message}): ` +
        some(corrupted.keys()),
      "upload their meta.json again from where they were made, or mark them for deletion on the " +
        "page Blocks of the compactor",
    ));
  }
  if (failed.size > 0) {
    const [first] = [...failed];
    findings.push(say.error(
      `${failed.size} meta.json cannot be read (${first![1].message}): ${some(failed.keys())}`,
      "check rights and network of the bucket",
    ));
  }
  const old = [...partial].filter((ulid) => {
    const newest = listing.get(ulid)?.newestModified ?? 0;
    return newest > 0 && clock.now() - newest > PARTIAL_AGE;
  });
  if (old.length > 0) {
    findings.push(say.warning(
      `${old.length} uploads never ended (no meta.json): ${some(old)}`,
      "the compactor removes them; if one runs, look at its log",
    ));
  }
  const unlabelled = [...all].filter(([, meta]) => (meta.thanos?.labels.length ?? 0) === 0);
  if (unlabelled.length > 0) {
    findings.push(say.error(
      `${unlabelled.length} blocks have no external labels: ${some(unlabelled.map(([u]) => u))}`,
      "set global.external_labels in Prometheus, and rewrite these blocks' meta.json",
    ));
  }
  const live = [...all.values()].filter((meta) =>
    listing.get(meta.ulid)?.marks.has(DELETION_MARK_FILE) !== true
  );
  const overlaps = findOverlaps(live);
  if (overlaps.length > 0) {
    const [a, b] = overlaps[0]!;
    findings.push(say.warning(
      `${overlaps.length} pairs of blocks with the same labels overlap, such as ${a.ulid} and ` +
        `${b.ulid} ${formatLabels(b.thanos!.labels)}`,
      "two Prometheus servers with the same external labels upload here: give each a replica " +
        "label of its own; the compactor merges the overlaps with --compact.enable-vertical-compaction",
    ));
  }
  const small = live.filter((m) => m.compaction.level === 1 && (m.thanos?.resolution ?? 0) === 0);
  if (small.length >= MANY_RAW_BLOCKS) {
    findings.push(say.warning(
      `${small.length} blocks were never compacted`,
      "run one compactor over this bucket, with --wait",
    ));
  }
  const future = live.filter((meta) => meta.minTime > clock.now() + 3_600_000);
  if (future.length > 0) {
    findings.push(say.warning(
      `${future.length} blocks begin in the future: ${some(future.map((m) => m.ulid))}`,
      "check the clock of the machine that made them",
    ));
  }
  if (findings.length === 0) {
    findings.push(say.ok(`${all.size} blocks, all readable, labelled and without overlaps`));
  }
  return findings;
}

/** Pairs of blocks of one stream and resolution that cover the same time, each block's first. */
function findOverlaps(metas: readonly BlockMeta[]): [BlockMeta, BlockMeta][] {
  const groups = new Map<string, BlockMeta[]>();
  for (const meta of metas) {
    const { thanos } = meta;
    if (thanos === undefined) continue;
    const key = `${thanos.resolution} ${formatLabels(thanos.labels)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [meta]);
    else group.push(meta);
  }
  const pairs: [BlockMeta, BlockMeta][] = [];
  for (const group of groups.values()) {
    group.sort((a, b) => a.minTime - b.minTime);
    let longest: BlockMeta | undefined;
    for (const meta of group) {
      if (longest !== undefined && meta.minTime < longest.maxTime && !replaces(longest, meta)) {
        pairs.push([longest, meta]);
      }
      if (longest === undefined || meta.maxTime > longest.maxTime) longest = meta;
    }
  }
  return pairs;
}

/** One was compacted from the other, which is about to be deleted. */
function replaces(a: BlockMeta, b: BlockMeta): boolean {
  const within = (inner: BlockMeta, outer: BlockMeta) => {
    const sources = new Set(outer.compaction.sources);
    return inner.compaction.sources.every((source) => sources.has(source));
  };
  return within(a, b) || within(b, a);
}
