/**
 * What a seed stands for: blocks, the settings of the compactors, who else is at work, what goes
 * wrong. Each scenario has at least four blocks, a compaction, a downsampling and a deletion to do.
 */
import { encodeUtf8, makeUlid } from "../../lib/base/mod.ts";
import { Random } from "../../lib/base/testing/random.ts";
import { encodeXorChunk } from "../../lib/chunks/mod.ts";
import { bitsOf, labelsFromRecord, SampleBatch, setStaleAt } from "../../lib/model/mod.ts";
import { BlockWriter, makeThanosMeta, printBlockMeta } from "../../lib/tsdb/mod.ts";
import type { OraclePoint } from "./block_bytes.ts";
import { type FaultRates, SimDisk } from "./world.ts";

export const HOUR = 3_600_000;
const FORTNIGHT = 336 * HOUR;
/** A multiple of fourteen days. */
const START = 1_450 * FORTNIGHT;
export const DELETE_DELAY = 48 * HOUR;

/** Samples that were given to the bucket, by group and series. */
export type Truth = ReadonlyMap<string, ReadonlyMap<string, readonly OraclePoint[]>>;

/** A block as somebody uploads it. */
export interface InputBlock {
  readonly ulid: string;
  /** External labels without the replica label, as `name=value` joined by commas. */
  readonly group: string;
  readonly minTime: number;
  readonly maxTime: number;
  readonly labels: Readonly<Record<string, string>>;
  /** In the order of the upload: chunks, index, meta.json. */
  readonly files: readonly (readonly [path: string, bytes: Uint8Array])[];
  /** Its meta.json as long as it was not uploaded. */
  readonly localMeta: Uint8Array;
}

/** Everything a seed decides. */
export interface Scenario {
  readonly seed: number;
  /** In the bucket from the beginning. */
  readonly blocks: readonly InputBlock[];
  /** Uploaded by shippers, one for each replica, while the first iteration runs. */
  readonly late: readonly InputBlock[];
  /** Blocks whose meta.json nobody can read. */
  readonly unreadable: ReadonlySet<string>;
  /** Groups that cannot be compacted; their blocks must stay as they are. */
  readonly badGroups: ReadonlySet<string>;
  readonly truth: Truth;
  readonly replicaLabels: readonly string[];
  readonly rawRetention: number;
  /** Raw samples of this group before this time expire during the run. */
  readonly expiring: { readonly group: string; readonly before: number; readonly at: number };
  readonly compactors: number;
  readonly faults: FaultRates;
  /** When iterations run, ms. */
  readonly phases: readonly number[];
}

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly name: string;
}

/** Makes the scenario of a seed. */
export function makeScenario(seed: number): Scenario {
  const random = new Random(seed * 2654435761);
  const truth = new Map<string, Map<string, OraclePoint[]>>();
  const vertical = random.chance(0.3);
  const series: Series[] = Array.from({ length: 2 }, (_, i) => ({
    labels: { __name__: "m", i: String(i) },
    name: `__name__=m,i=${i}`,
  }));
  let made = 0;
  const block = (
    group: string,
    labels: Readonly<Record<string, string>>,
    minTime: number,
    hours: number,
    level: number,
    samples: number,
  ): InputBlock => {
    const maxTime = minTime + hours * HOUR;
    const ulid = makeUlid(maxTime + ++made, (target) => {
      for (let i = 0; i < target.length; i++) target[i] = random.below(256);
    });
    const known = truth.get(group) ?? new Map<string, OraclePoint[]>();
    truth.set(group, known);
    const points = series.map((s) => {
      const all = known.get(s.name) ?? [];
      known.set(s.name, all);
      // A replica has the samples of the other one.
      const same = all.filter(([t]) => t >= minTime && t < maxTime);
      if (same.length > 0) return same;
      const fresh = makePoints(random, minTime, maxTime, samples);
      all.push(...fresh);
      return fresh;
    });
    return {
      ulid,
      group,
      minTime,
      maxTime,
      labels,
      ...writeBlock(ulid, minTime, maxTime, labels, level, series, points),
    };
  };

  const group = "cluster=good";
  const labels = (replica: number) => ({
    cluster: "good",
    ...(vertical ? { replica: String(replica) } : {}),
  });
  const long = random.chance(0.3) ? 336 : 48;
  const small = START + (long + 1200) * HOUR;
  const blocks = [block(group, labels(0), START, long, 3, 14)];
  const late: InputBlock[] = [];
  const lateCount = random.below(4);
  // Four blocks of two hours and the newest one; or six of eight hours, which make two days.
  const wide = random.chance(0.2);
  const [count, hours] = wide ? [7, 8] : [5, 2];
  for (let i = 0; i < count; i++) {
    const replicas = vertical && random.chance(0.6) ? 2 : 1;
    for (let r = 0; r < replicas; r++) {
      const isLate = i >= count - lateCount;
      // Prometheus hands out what it made itself.
      const level = wide && !isLate ? 2 : 1;
      const made = block(group, labels(r), small + i * hours * HOUR, hours, level, 3);
      (isLate ? late : blocks).push(made);
    }
  }
  const badGroups = new Set<string>();
  if (!vertical && random.chance(0.3)) {
    const bad = "cluster=bad";
    badGroups.add(bad);
    blocks.push(block(bad, { cluster: "bad" }, small, 2, 1, 2));
    blocks.push(block(bad, { cluster: "bad" }, small + HOUR, 2, 1, 2));
  }
  const unreadable = new Set<string>();
  if (random.chance(0.2)) {
    const broken = block("cluster=broken", { cluster: "broken" }, small, 2, 1, 2);
    truth.delete("cluster=broken");
    unreadable.add(broken.ulid);
    const files = broken.files.map(([path, bytes]) =>
      [path, path === "meta.json" ? bytes.slice(0, bytes.length >> 1) : bytes] as const
    );
    blocks.push({ ...broken, files });
  }
  const age = count * hours + 2;
  const now = small + age * HOUR;
  // Of all blocks only the long one expires, between the second look and the third.
  const rawRetention = (1200 + age + 30) * HOUR;
  const end = START + long * HOUR;
  return {
    seed,
    blocks,
    late,
    unreadable,
    badGroups,
    truth,
    replicaLabels: vertical ? ["replica"] : [],
    rawRetention,
    expiring: { group, before: end, at: end + rawRetention },
    compactors: random.chance(0.25) ? 2 : 1,
    faults: faultsOf(random),
    phases: [0, 2, 50, 99, 149, 199].map((hours) => now + hours * HOUR),
  };
}

/** Outages, reads that miss what is there, listings that are late: each in some of the seeds. */
function faultsOf(random: Random): FaultRates {
  const outages = random.chance(0.4);
  return {
    before: outages ? 0.02 : 0,
    after: outages ? 0.02 : 0,
    missing: random.chance(0.15) ? 0.02 : 0,
    stale: random.chance(0.1) ? 0.1 : 0,
  };
}

function makePoints(random: Random, minTime: number, maxTime: number, n: number): OraclePoint[] {
  const step = Math.floor((maxTime - minTime) / n);
  const points: OraclePoint[] = [];
  const value = new Float64Array(1);
  const bits = new BigUint64Array(value.buffer);
  let x = random.below(1000);
  for (let i = 0; i < n; i++) {
    x = random.chance(0.2) ? random.below(50) : x + random.below(100);
    value[0] = x;
    if (i > 0 && random.chance(0.05)) setStaleAt(bitsOf(value), 0);
    points.push([minTime + i * step + (i === 0 ? 0 : random.below(step)), bits[0]!]);
  }
  return points;
}

function writeBlock(
  ulid: string,
  minTime: number,
  maxTime: number,
  labels: Readonly<Record<string, string>>,
  level: number,
  series: readonly Series[],
  points: readonly (readonly OraclePoint[])[],
): Pick<InputBlock, "files" | "localMeta"> {
  const disk = new SimDisk();
  disk.mkdir("d");
  const writer = new BlockWriter({ files: disk, directory: "d", ulid });
  series.forEach((s, i) => {
    writer.beginSeries(labelsFromRecord(s.labels));
    const all = points[i]!;
    for (let from = 0; from < all.length; from += 5) {
      const part = all.slice(from, from + 5);
      const batch = new SampleBatch(part.length);
      const bits = new BigUint64Array(batch.v.buffer);
      part.forEach(([t, v], k) => {
        batch.t[k] = t;
        bits[k] = v;
      });
      batch.length = part.length;
      writer.addChunk(1, encodeXorChunk(batch), part[0]![0], part.at(-1)![0], part.length);
    }
  });
  const meta = writer.finish({
    minTime,
    maxTime,
    compaction: { level, sources: [ulid] },
    thanos: makeThanosMeta({ labels: labelsFromRecord(labels), source: "sidecar" }),
  })!;
  const read = (path: string): Uint8Array => {
    const file = disk.open(`d/${ulid}/${path}`);
    const bytes = new Uint8Array(file.size);
    file.readAt(bytes, 0);
    return bytes;
  };
  const index = read("index");
  const chunks = read("chunks/000001");
  const thanos = {
    ...meta.thanos!,
    segmentFiles: ["000001"],
    files: [
      { relPath: "chunks/000001", sizeBytes: chunks.length },
      { relPath: "index", sizeBytes: index.length },
      { relPath: "meta.json", sizeBytes: 0 },
    ],
    uploadTime: new Date(maxTime).toISOString(),
  };
  return {
    files: [
      ["chunks/000001", chunks],
      ["index", index],
      ["meta.json", encodeUtf8(printBlockMeta({ ...meta, thanos }))],
    ],
    localMeta: encodeUtf8(printBlockMeta({ ...meta, thanos: undefined })),
  };
}
