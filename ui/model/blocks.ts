/** Blocks of a bucket as rows of a timeline. */
import type { BlockJson, BlockMark } from "../api/types.ts";
import { findGaps, findOverlaps, layLanes, type Stretch } from "./lanes.ts";
import type { LabelRecord } from "./labels.ts";

/** A block with what the page needs at hand. Units: ms, bytes. */
export interface Block {
  readonly json: BlockJson;
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly level: number;
  readonly resolution: number;
  readonly labels: LabelRecord;
  /** Undefined when meta.json lists no files. */
  readonly size: number | undefined;
  readonly marks: readonly BlockMark[];
}

/** A line of the timeline: blocks of one stream, level and resolution that do not overlap. */
export interface Lane {
  readonly level: number;
  readonly resolution: number;
  /** Sorted by start. */
  readonly blocks: readonly Block[];
  /** First lane of its level and resolution. */
  readonly first: boolean;
}

/** All blocks with equal external labels, or with one value of the chosen label. */
export interface Stream {
  readonly title: string;
  readonly labels: LabelRecord;
  readonly blocks: readonly Block[];
  readonly lanes: readonly Lane[];
  readonly size: number;
  readonly overlaps: readonly (readonly [Block, Block])[];
  readonly gaps: readonly Stretch[];
}

/** Reads one entry of the list; what is missing counts as zero. */
export function readBlock(json: BlockJson, marks: readonly BlockMark[] = []): Block {
  const files = json.thanos?.files ?? [];
  const size = files.length === 0
    ? undefined
    : files.reduce((n, file) => n + (file.size_bytes ?? 0), 0);
  return {
    json,
    ulid: json.ulid,
    minTime: json.minTime,
    maxTime: json.maxTime,
    level: json.compaction?.level ?? 0,
    resolution: json.thanos?.downsample?.resolution ?? 0,
    labels: json.thanos?.labels ?? {},
    size,
    marks,
  };
}

/** What is shown of the blocks. */
export interface BlockFilter {
  readonly search: string;
  /** 0 = all. */
  readonly level: number;
  readonly overlapsOnly: boolean;
}

/** Streams by title; `label` groups by its value where it is set. */
export function toStreams(blocks: readonly Block[], label: string, filter: BlockFilter): Stream[] {
  const groups = new Map<string, Block[]>();
  for (const block of blocks) {
    const value = label === "" ? undefined : block.labels[label];
    const title = value ?? streamTitle(block.labels);
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [block]);
    else group.push(block);
  }
  const streams: Stream[] = [];
  for (const [title, all] of [...groups].sort(([a], [b]) => a < b ? -1 : 1)) {
    const overlaps = overlapsOf(all);
    const wanted = filter.overlapsOnly
      ? new Set(overlaps.flat().map(({ ulid }) => ulid))
      : undefined;
    const shown = all.filter((block) =>
      fitsSearch(block, filter.search) && (filter.level === 0 || block.level === filter.level) &&
      (wanted === undefined || wanted.has(block.ulid))
    );
    if (shown.length === 0) continue;
    streams.push({
      title,
      labels: all[0]!.labels,
      blocks: shown,
      lanes: lanesOf(shown),
      size: shown.reduce((n, { size }) => n + (size ?? 0), 0),
      overlaps,
      gaps: gapsOf(all),
    });
  }
  return streams;
}

/** A label set as a title. */
export function streamTitle(labels: LabelRecord): string {
  const pairs = Object.entries(labels);
  return pairs.length === 0
    ? "no external labels"
    : pairs.map(([name, value]) => `${name}="${value}"`).join(", ");
}

/** Letters of the search in order, as people type parts of an ULID or a label. */
function fitsSearch(block: Block, search: string): boolean {
  const text = search.trim().toLowerCase();
  if (text === "") return true;
  return block.ulid.toLowerCase().includes(text) ||
    streamTitle(block.labels).toLowerCase().includes(text);
}

function lanesOf(blocks: readonly Block[]): Lane[] {
  const bands = new Map<number, Block[]>();
  for (const block of blocks) {
    const key = block.level * 1e10 + block.resolution;
    const band = bands.get(key);
    if (band === undefined) bands.set(key, [block]);
    else band.push(block);
  }
  const out: Lane[] = [];
  for (const [, band] of [...bands].sort(([a], [b]) => a - b)) {
    band.sort((a, b) => a.minTime - b.minTime);
    const { lanes, count } = layLanes(band);
    const rows: Block[][] = Array.from({ length: count }, () => []);
    band.forEach((block, i) => rows[lanes[i]!]!.push(block));
    rows.forEach((row, i) =>
      out.push({
        level: band[0]!.level,
        resolution: band[0]!.resolution,
        blocks: row,
        first: i === 0,
      })
    );
  }
  return out;
}

/** Overlaps inside one label set and resolution: what the compactor has to merge. */
function overlapsOf(blocks: readonly Block[]): [Block, Block][] {
  return byStream(blocks).flatMap((group) => findOverlaps(group));
}

/** Blocks end at their last sample: what is shorter lies between two samples, ms. */
const SHORTEST_GAP = 600_000;

/** Times that no block of any resolution has. */
function gapsOf(blocks: readonly Block[]): Stretch[] {
  return findGaps(blocks, SHORTEST_GAP);
}

function byStream(blocks: readonly Block[]): Block[][] {
  const groups = new Map<string, Block[]>();
  for (const block of blocks) {
    const key = `${block.resolution} ${streamTitle(block.labels)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [block]);
    else group.push(block);
  }
  return [...groups.values()];
}

/** The first block of a lane whose end is beyond a time: by halving, since lanes are long. */
export function firstEndingAfter(blocks: readonly Block[], time: number): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (blocks[middle]!.maxTime > time) high = middle;
    else low = middle + 1;
  }
  return low;
}
