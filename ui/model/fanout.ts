/** Which stores answered a query, and which resolution covered which time. */
import type { AnalysisNode, CoverageEntry, FanoutEntry } from "../api/types.ts";

/** One store's part. Units: ms, bytes. */
export interface StorePart {
  readonly address: string;
  duration: number | undefined;
  firstByte: number | undefined;
  bytes: number;
  responses: number;
  series: number;
  chunks: number;
  samples: number;
  error: string | undefined;
}

/** All stores of an analysis, the slowest first; several selects of one store are joined. */
export function storeParts(analysis: AnalysisNode | null | undefined): StorePart[] {
  const parts = new Map<string, StorePart>();
  visit(analysis, ({ fanout }) => {
    for (const entry of fanout ?? []) addPart(parts, entry);
  });
  return [...parts.values()].sort((a, b) => (b.duration ?? 0) - (a.duration ?? 0));
}

function addPart(parts: Map<string, StorePart>, entry: FanoutEntry): void {
  const duration = durationMs(entry.duration);
  const firstByte = durationMs(entry.firstByte);
  const known = parts.get(entry.endpointAddr);
  if (known === undefined) {
    parts.set(entry.endpointAddr, {
      address: entry.endpointAddr,
      duration,
      firstByte,
      bytes: entry.bytesProcessed ?? 0,
      responses: entry.numResponses ?? 0,
      series: entry.series ?? 0,
      chunks: entry.chunks ?? 0,
      samples: entry.samples ?? 0,
      error: entry.error || undefined,
    });
    return;
  }
  known.duration = Math.max(known.duration ?? 0, duration ?? 0);
  known.firstByte = Math.min(known.firstByte ?? Infinity, firstByte ?? Infinity);
  if (!Number.isFinite(known.firstByte)) known.firstByte = undefined;
  known.bytes += entry.bytesProcessed ?? 0;
  known.responses += entry.numResponses ?? 0;
  known.series += entry.series ?? 0;
  known.chunks += entry.chunks ?? 0;
  known.samples += entry.samples ?? 0;
  known.error ??= entry.error || undefined;
}

/** All stretches of an analysis by resolution and time, joined where they touch. */
export function coverageOf(analysis: AnalysisNode | null | undefined): CoverageEntry[] {
  const all: CoverageEntry[] = [];
  visit(analysis, ({ coverage }) => all.push(...coverage ?? []));
  all.sort((a, b) => a.resolution - b.resolution || a.minTime - b.minTime);
  const joined: CoverageEntry[] = [];
  for (const next of all) {
    const last = joined.at(-1);
    if (
      last !== undefined && last.resolution === next.resolution && next.minTime <= last.maxTime + 1
    ) {
      joined[joined.length - 1] = { ...last, maxTime: Math.max(last.maxTime, next.maxTime) };
    } else joined.push(next);
  }
  return joined;
}

/** Deepest tree that is followed: an answer is input. */
const MAX_NODES = 10_000;

function visit(node: AnalysisNode | null | undefined, take: (node: AnalysisNode) => void): void {
  const open = [node];
  for (let seen = 0; open.length > 0 && seen < MAX_NODES; seen++) {
    const next = open.pop();
    if (next === null || next === undefined) continue;
    take(next);
    open.push(...next.children ?? []);
  }
}

const GO_UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  "µs": 1e-3,
  us: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a number of them or of a text like `1m2.5s` or `840µs`. */
export function durationMs(value: number | string | undefined): number | undefined {
  if (value === undefined || typeof value === "number") return value;
  let total = 0;
  let matched = false;
  for (const [, digits, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ns|µs|us|ms|s|m|h)/g)) {
    total += Number(digits) * GO_UNITS[unit!]!;
    matched = true;
  }
  return matched ? total : undefined;
}

/** A stretch of the ribbon; `resolution` -1 = nothing there. Units: ms. */
export interface RibbonPart {
  readonly resolution: number;
  readonly from: number;
  readonly to: number;
}

/** How long a sample serves when nothing newer comes, ms. */
const LOOKBACK = 300_000;

/** The range cut where what serves it changes; the finest resolution wins where several do. */
export function ribbonOf(
  coverage: readonly CoverageEntry[],
  start: number,
  end: number,
  step = 0,
): RibbonPart[] {
  const cuts = new Set([start, end]);
  for (const { minTime, maxTime } of coverage) {
    if (minTime > start && minTime < end) cuts.add(minTime);
    if (maxTime > start && maxTime < end) cuts.add(maxTime);
  }
  const times = [...cuts].sort((a, b) => a - b);
  const parts: RibbonPart[] = [];
  // Samples lie apart and serve for a while: what one cannot see, or a lookback fills, is no hole.
  const blind = Math.max((end - start) / 400, Math.min(LOOKBACK, (end - start) / 10), step);
  for (let i = 0; i + 1 < times.length; i++) {
    const from = times[i]!;
    const to = times[i + 1]!;
    const middle = (from + to) / 2;
    const serving = coverage.filter(({ minTime, maxTime }) =>
      minTime <= middle && middle <= maxTime
    );
    let resolution = serving.reduce((r, c) => r < 0 ? c.resolution : Math.min(r, c.resolution), -1);
    const last = parts.at(-1);
    if (resolution < 0 && to - from < blind && last !== undefined) resolution = last.resolution;
    if (last !== undefined && last.resolution === resolution) {
      parts[parts.length - 1] = { ...last, to };
    } else parts.push({ resolution, from, to });
  }
  return parts;
}

/** Below this share of the range a resolution is the edge of something else. */
const MUCH = 0.05;

/** The coarsest resolution that served more than a sliver of the range. */
export function servedResolution(coverage: readonly CoverageEntry[], span: number): number {
  const shares = new Map<number, number>();
  for (const { resolution, minTime, maxTime } of coverage) {
    shares.set(resolution, (shares.get(resolution) ?? 0) + maxTime - minTime);
  }
  return [...shares].reduce(
    (most, [resolution, ms]) => ms >= span * MUCH ? Math.max(most, resolution) : most,
    0,
  );
}

/** A resolution in words. */
export function resolutionName(ms: number): string {
  if (ms < 0) return "no data";
  if (ms === 0) return "raw";
  return ms % 3_600_000 === 0 ? `${ms / 3_600_000}h` : `${Math.round(ms / 60_000)}m`;
}
