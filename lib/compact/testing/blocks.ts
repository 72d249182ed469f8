/** Small blocks in a bucket, and what a bucket holds in the end, for tests of the compactor. */
import { FakeClock, isUlid, makeUlid } from "../../base/mod.ts";
import { DELETION_MARK_FILE, uploadBlock } from "../../block/mod.ts";
import { encodeXorChunk } from "../../chunks/mod.ts";
import { formatLabels, type Labels, labelsFromRecord, SampleBatch } from "../../model/mod.ts";
import type { Bucket } from "../../objstore/mod.ts";
import {
  type BlockDetails,
  type BlockMeta,
  BlockWriter,
  type Files,
  makeThanosMeta,
  META_FILE,
  openBlock,
  parseBlockMeta,
  resolutionOf,
} from "../../tsdb/mod.ts";
import { MemoryFiles } from "../../tsdb/testing/memory_files.ts";

/** Hour 0 of the test blocks, ms; the start of a 14-day range. */
export const START = 1400 * 14 * 24 * 3_600_000;
export const HOUR = 3_600_000;
const STEP = 60_000;

/** What to put into a block. */
export interface BlockRecipe {
  /** Hours [from, to) after START. */
  readonly from: number;
  readonly to: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Names of series; two by default. */
  readonly series?: readonly string[];
  /** Added to the times of samples, ms. */
  readonly shift?: number;
  /** Distance of samples, ms; a minute by default. */
  readonly step?: number;
  /** Hash the uploaded files. */
  readonly hash?: boolean;
  /** Added to values, so that blocks can be told apart. */
  readonly base?: number;
  readonly details?: BlockDetails;
  readonly ulid?: string;
}

let counter = 0;

/** An id that sorts by the order of making. */
export function nextUlid(): string {
  const n = counter++;
  return makeUlid(1_700_000_000_000 + n, (target) => target.fill(n % 32));
}

/** Makes a block and uploads it; returns its meta. */
export async function putBlock(bucket: Bucket, recipe: BlockRecipe): Promise<BlockMeta> {
  const files = new MemoryFiles();
  const ulid = recipe.ulid ?? nextUlid();
  writeBlock(files, "/made", ulid, recipe);
  return await uploadBlock(bucket, files, `/made/${ulid}`, {
    allowEmptyLabels: true,
    hash: recipe.hash === true ? "SHA256" : "",
    clock: new FakeClock(START + recipe.to * HOUR),
  });
}

/** Writes a block into `<directory>/<ulid>`. */
export function writeBlock(
  files: Files,
  directory: string,
  ulid: string,
  recipe: BlockRecipe,
): BlockMeta {
  files.mkdir(directory);
  const writer = new BlockWriter({ files, directory, ulid });
  const { from, to, shift = 0, base = 0 } = recipe;
  for (const name of [...recipe.series ?? ["a", "b"]].sort()) {
    writer.beginSeries(labelsFromRecord({ __name__: name }));
    const batch = new SampleBatch();
    for (let t = START + from * HOUR + shift; t < START + to * HOUR; t += recipe.step ?? STEP) {
      batch.reserve(1);
      batch.t[batch.length] = t;
      batch.v[batch.length] = (t - START) / STEP + base;
      batch.length++;
    }
    for (let i = 0; i < batch.length; i += 60) {
      const end = Math.min(batch.length, i + 60);
      writer.addChunk(1, encodeXorChunk(batch, i, end), batch.t[i]!, batch.t[end - 1]!, end - i);
    }
  }
  return writer.finish({
    minTime: START + from * HOUR,
    maxTime: START + to * HOUR,
    ...recipe.details,
    thanos: makeThanosMeta({
      labels: labelsFromRecord(recipe.labels ?? { cluster: "eu1" }),
      source: "sidecar",
      ...recipe.details?.thanos,
    }),
  })!;
}

/** Blocks of two hours from these hours on. */
export async function putTwoHours(
  bucket: Bucket,
  starts: readonly number[],
  recipe: Partial<BlockRecipe> = {},
): Promise<BlockMeta[]> {
  const metas: BlockMeta[] = [];
  for (const from of starts) metas.push(await putBlock(bucket, { ...recipe, from, to: from + 2 }));
  return metas;
}

/** The names of all objects. */
export async function objectsOf(bucket: Bucket): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of bucket.iter("", { recursive: true })) names.push(name);
  return names;
}

/** Blocks with a meta.json, by id, whether marked for deletion or not. */
export async function blocksOf(
  bucket: Bucket,
): Promise<Map<string, { readonly meta: BlockMeta; readonly marked: boolean }>> {
  const names = await objectsOf(bucket);
  const blocks = new Map<string, { meta: BlockMeta; marked: boolean }>();
  for (const name of names) {
    const ulid = name.slice(0, 26);
    if (!isUlid(ulid) || name !== `${ulid}/${META_FILE}`) continue;
    let meta: BlockMeta;
    try {
      meta = parseBlockMeta(await bucket.get(name), name, ulid);
    } catch {
      continue; // Damaged on purpose.
    }
    blocks.set(ulid, { meta, marked: names.includes(`${ulid}/${DELETION_MARK_FILE}`) });
  }
  return blocks;
}

/** Hours [from, to) of the blocks that are not marked, with their level. */
export async function shapeOf(bucket: Bucket): Promise<string[]> {
  const live = [...(await blocksOf(bucket)).values()].filter((block) => !block.marked);
  return live.map(({ meta }) =>
    `${(meta.minTime - START) / HOUR}-${(meta.maxTime - START) / HOUR} L${meta.compaction.level}`
  ).sort();
}

/** Every sample that unmarked raw blocks hold: `external labels series time` to the value. */
export async function samplesOf(
  bucket: Bucket,
  strip: (labels: Labels) => Labels = (labels) => labels,
): Promise<Map<string, number>> {
  const samples = new Map<string, number>();
  for (const [ulid, { meta, marked }] of await blocksOf(bucket)) {
    if (marked || resolutionOf(meta) !== 0) continue;
    const files = new MemoryFiles();
    for (const name of await objectsOf(bucket)) {
      if (name.startsWith(`${ulid}/`)) files.content.set(`/${name}`, await bucket.get(name));
    }
    const block = openBlock(files, `/${ulid}`);
    const selection = block.select([]);
    const batch = new SampleBatch();
    const external = formatLabels(strip(meta.thanos!.labels));
    for (let i = 0; i < selection.length; i++) {
      selection.read(i, batch);
      const series = formatLabels(selection.labels[i]!);
      for (let k = 0; k < batch.length; k++) {
        samples.set(`${external} ${series} ${batch.t[k]!}`, batch.v[k]!);
      }
    }
    block.close();
  }
  return samples;
}
