/** Makes one block of its plan: series in label order, encoded straight into the segment's buffer. */
import { LimitError, MnemeError, xxhash64Into } from "../base/mod.ts";
import {
  encodeXor,
  ENCODING_XOR,
  SAMPLES_PER_CHUNK,
  XOR_BYTES_PER_SAMPLE,
  XOR_SLACK,
} from "../chunks/mod.ts";
import { compareLabels, type Labels, labelsHashInput, withLabel } from "../model/mod.ts";
import {
  type BlockMeta,
  BlockWriter,
  CREATION_SUFFIX,
  type Files,
  makeThanosMeta,
  NO_TOMBSTONES,
  TOMBSTONES_FILE,
  writeTombstones,
} from "../tsdb/mod.ts";
import { type BlockSpec, isContinuous, type SeriesSpec, TARGET_LABEL } from "./plan.ts";
import { openSource, scrapeCount, type SeriesSeed } from "./samples.ts";
import { gridCount } from "./samples_continuous.ts";

/** Most series and samples of a block: what lies beyond is a slip in the plan. */
const MAX_SERIES = 20_000_000;
const MAX_SAMPLES = 1e12;

/** Where to make a block. */
export interface BlockTarget {
  readonly files: Files;
  /** The directory in which `<ULID>/` shall appear; must exist. */
  readonly directory: string;
  readonly ulid: string;
  /** Told after each series how many samples it has. */
  readonly onSamples?: (samples: number) => void;
}

/** Number of samples that a spec asks for. */
export function plannedSamples(block: BlockSpec): number {
  let n = 0;
  for (const spec of block.series) {
    n += spec.targets * (isContinuous(spec.type) ? gridCount(spec) : scrapeCount(spec));
  }
  return n;
}

/**
 * Makes the block and returns its description; the block appears complete or not at all.
 *
 * Throws: bad_data when the plan has no samples or two equal series.
 */
export function generateBlock(block: BlockSpec, target: BlockTarget): BlockMeta {
  const series = expand(block);
  const writer = new BlockWriter(target);
  try {
    writeSeries(block, series, writer, target.onSamples);
    // Beside the files that Thanos knows, as a local block has one; uploads leave it out.
    const { files, directory, ulid } = target;
    writeNoTombstones(files, `${directory}/${ulid}${CREATION_SUFFIX}/${TOMBSTONES_FILE}`);
    const meta = writer.finish({
      ...ownRange(block),
      thanos: makeThanosMeta({
        labels: block.externalLabels,
        resolution: block.resolution,
        source: block.source,
      }),
    });
    if (meta === undefined) throw new MnemeError("bad_data", "no series appended; aborting.");
    return meta;
  } catch (error) {
    writer.abort();
    throw error;
  }
}

function writeNoTombstones(files: Files, path: string): void {
  const file = files.create(path);
  try {
    file.append(writeTombstones(NO_TOMBSTONES));
    file.sync();
  } finally {
    file.close();
  }
}

/** Blocks of continuous series cover their planned range; others what their samples cover. */
function ownRange(block: BlockSpec): { minTime?: number; maxTime?: number } {
  if (!block.series.every((s) => isContinuous(s.type))) return {};
  return { minTime: block.minTime, maxTime: block.maxTime };
}

interface PlannedSeries {
  readonly labels: Labels;
  readonly spec: SeriesSpec;
  readonly target: number;
}

/** One entry for each target of each spec, in label order. */
function expand(block: BlockSpec): PlannedSeries[] {
  let count = 0;
  for (const spec of block.series) count += spec.targets;
  if (count > MAX_SERIES) {
    throw new LimitError(
      `a block of ${count} series is planned, at most ${MAX_SERIES} are allowed`,
      MAX_SERIES,
      count,
    );
  }
  const samples = plannedSamples(block);
  if (samples > MAX_SAMPLES) {
    throw new LimitError(
      `a block of ${samples} samples is planned, at most ${MAX_SAMPLES} are allowed`,
      MAX_SAMPLES,
      samples,
    );
  }
  const out: PlannedSeries[] = [];
  for (const spec of block.series) {
    for (let n = spec.targets; n >= 1; n--) out.push(planSeries(spec, n));
  }
  return out.sort((a, b) => compareLabels(a.labels, b.labels));
}

function planSeries(spec: SeriesSpec, n: number): PlannedSeries {
  if (spec.targetLabels === undefined) {
    return { labels: withLabel(spec.labels, TARGET_LABEL, String(n)), spec, target: n };
  }
  let labels = spec.labels;
  for (const [name, value] of Object.entries(spec.targetLabels)) {
    const text = typeof value === "string"
      ? value.replaceAll("{n}", String(n - 1))
      : value[(n - 1) % value.length]!;
    labels = withLabel(labels, name, text);
  }
  return { labels, spec, target: n };
}

function writeSeries(
  block: BlockSpec,
  series: readonly PlannedSeries[],
  writer: BlockWriter,
  onSamples: ((samples: number) => void) | undefined,
): void {
  const external = labelsHashInput(block.externalLabels);
  const t = new Float64Array(SAMPLES_PER_CHUNK);
  const v = new Float64Array(SAMPLES_PER_CHUNK);
  const room = SAMPLES_PER_CHUNK * XOR_BYTES_PER_SAMPLE + XOR_SLACK;
  for (const { labels, spec, target } of series) {
    writer.beginSeries(labels);
    const source = openSource(spec, seedOf(labels, external, target));
    let samples = 0;
    for (;;) {
      const n = source.next(t, v, SAMPLES_PER_CHUNK);
      if (n === 0) break;
      writer.claimChunk(room);
      const size = encodeXor(t, v, 0, n, writer.chunkBuffer, writer.chunkOffset);
      writer.commitChunk(ENCODING_XOR, size, t[0]!, t[n - 1]!, n);
      samples += n;
    }
    onSamples?.(samples);
  }
}

/** The same labels give the same samples, whatever else is in the plan. */
function seedOf(labels: Labels, external: Uint8Array, target: number): SeriesSeed {
  const own = labelsHashInput(labels);
  const bytes = new Uint8Array(own.length + external.length);
  bytes.set(own);
  bytes.set(external, own.length);
  const hash = new Uint32Array(2);
  xxhash64Into(bytes, hash);
  return { high: hash[0]! | 0, low: hash[1]! | 0, target };
}
