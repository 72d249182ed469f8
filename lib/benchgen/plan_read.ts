/**
 * Reads plans: documents of a stream, or one document with a list. Strict: a key that is not known,
 * a wrong type or an impossible number is an error that names line and key.
 */
import { MnemeError } from "../base/mod.ts";
import {
  parseYaml,
  readNode,
  type Schema,
  schema as s,
  schemaError,
  splitYamlStream,
  type YamlNode,
} from "../config/mod.ts";
import { isLegacyLabelName, type Labels, labelsFromPairs } from "../model/mod.ts";
import { parsePlainYaml } from "./plain_yaml.ts";
import { type BlockSpec, isContinuous, SERIES_TYPES, type SeriesSpec } from "./plan.ts";

/** Scrapes closer than this are a slip in the plan. */
const MIN_INTERVAL = 1;
const MAX_TARGETS = 10_000_000;
const WINDOW = 7_200_000;

const labels: Schema<Labels> = s.transform(s.map(s.string("")), (map) => {
  for (const name of map.keys()) checkLabelName(name);
  return labelsFromPairs(map);
});

function checkLabelName(name: string): void {
  if (!isLegacyLabelName(name)) {
    throw new MnemeError("bad_data", `${JSON.stringify(name)} is no label name`);
  }
}

const targetLabels: Schema<Readonly<Record<string, string | readonly string[]>>> = s.transform(
  s.map<string | readonly string[]>({
    read: (node, path) =>
      node?.kind === "list" ? s.list(s.string()).read(node, path) : s.string().read(node, path),
  }),
  (map) => {
    for (const [name, value] of map) {
      checkLabelName(name);
      if (value.length === 0) throw new MnemeError("bad_data", `${name}: no values`);
    }
    return Object.fromEntries(map);
  },
);

const wholeMs = s.transform(s.goDuration(), (ms) => {
  if (!Number.isInteger(ms)) throw new MnemeError("bad_data", `${ms} ms is no whole number of ms`);
  return ms;
});

const seriesFields = s.object({
  labels,
  targets: s.int(undefined, { min: 0, max: MAX_TARGETS }),
  type: s.oneOf(SERIES_TYPES),
  mintime: s.int(),
  maxtime: s.int(),
  jitter: s.float(0),
  scrapeInterval: wholeMs,
  changeInterval: s.goDuration("0"),
  max: s.float(0),
  min: s.float(0),
  targetLabels: s.optional(targetLabels),
  late: s.optional(wholeMs),
  lateShare: s.optional(s.float()),
  resetInterval: s.optional(s.goDuration()),
  decimals: s.optional(s.int(undefined, { min: 0, max: 15 })),
});

const series: Schema<SeriesSpec> = s.transform(seriesFields, (x) => {
  const bad = (message: string) => new MnemeError("bad_data", message);
  if (x.scrapeInterval < MIN_INTERVAL) throw bad("scrapeInterval: must be at least 1ms");
  if (x.changeInterval < 0) throw bad("changeInterval: must not be negative");
  if (x.maxtime < x.mintime) throw bad(`maxtime: ${x.maxtime} is before mintime ${x.mintime}`);
  for (const key of ["jitter", "max", "min"] as const) {
    if (!Number.isFinite(x[key])) throw bad(`${key}: must be a finite number`);
  }
  if (x.max < x.min) throw bad(`max: ${x.max} is below min ${x.min}`);
  const { targetLabels, late, lateShare, resetInterval, decimals } = x;
  if (isContinuous(x.type)) {
    if (x.scrapeInterval > WINDOW) throw bad(`scrapeInterval: at most 2h for type ${x.type}`);
    if (late !== undefined && (late < 0 || late >= x.scrapeInterval)) {
      throw bad("late: must be less than scrapeInterval and not negative");
    }
    if (lateShare !== undefined && !(lateShare >= 0 && lateShare <= 1)) {
      throw bad("lateShare: must be from 0 to 1");
    }
    if (resetInterval !== undefined && resetInterval < 0) {
      throw bad("resetInterval: must not be negative");
    }
    if (x.type === "STEADY_COUNTER" && x.min < 0) {
      throw bad("min: a counter cannot fall");
    }
  } else {
    for (const key of ["late", "lateShare", "resetInterval", "decimals"] as const) {
      if (x[key] !== undefined) throw bad(`${key}: has no meaning for type ${x.type}`);
    }
  }
  return {
    labels: x.labels,
    targets: x.targets,
    type: x.type,
    minTime: x.mintime,
    maxTime: x.maxtime,
    jitter: x.jitter,
    scrapeInterval: x.scrapeInterval,
    changeInterval: x.changeInterval,
    max: x.max,
    min: x.min,
    ...(targetLabels === undefined ? {} : { targetLabels }),
    ...(late === undefined ? {} : { late }),
    ...(lateShare === undefined ? {} : { lateShare }),
    ...(resetInterval === undefined ? {} : { resetInterval }),
    ...(decimals === undefined ? {} : { decimals }),
  };
});

const count = s.int(0, { min: 0 });

const block: Schema<BlockSpec> = s.transform(
  s.object({
    meta: s.object({
      // Statistics, compaction and id are those of the made block: read for their form only.
      blockmeta: s.object({
        ulid: s.string(""),
        mintime: s.int(0),
        maxtime: s.int(0),
        stats: s.object({
          numsamples: count,
          numseries: count,
          numchunks: count,
          numtombstones: count,
        }),
        compaction: s.object({
          level: s.int(1),
          sources: s.list(s.string()),
          deletable: s.bool(false),
          parents: s.list(s.node),
          failed: s.bool(false),
        }),
        version: s.int(1),
      }),
      thanos: s.object({
        version: s.int(0),
        labels,
        downsample: s.object({ resolution: s.int(0, { min: 0 }) }),
        source: s.string(""),
        segmentfiles: s.list(s.string()),
        files: s.list(s.node),
        rewrites: s.list(s.node),
      }),
    }),
    series: s.list(series),
  }),
  ({ meta, series }) => {
    if (meta.blockmeta.maxtime < meta.blockmeta.mintime) {
      throw new MnemeError("bad_data", "meta.blockmeta.maxtime is before mintime");
    }
    return {
      minTime: meta.blockmeta.mintime,
      maxTime: meta.blockmeta.maxtime,
      externalLabels: meta.thanos.labels,
      resolution: meta.thanos.downsample.resolution,
      source: meta.thanos.source,
      series,
    };
  },
);

const MAX_LENGTH = 256 * 1024 * 1024;
const MAX_NODES = 50_000_000;

/**
 * Reads a stream of documents, each one block; blocks come as their documents end.
 *
 * Throws: bad_data, one line with `name`, line and key.
 */
export async function* readPlanStream(
  chunks: AsyncIterable<string>,
  name: string,
): AsyncGenerator<BlockSpec> {
  for await (const { text, firstLine } of splitYamlStream(chunks, MAX_LENGTH)) {
    const tree = parsePlainYaml(text, firstLine) ??
      parseYaml(text, { name, firstLine, maxLength: MAX_LENGTH, maxNodes: MAX_NODES });
    if (tree === undefined) continue;
    yield readBlock(tree, name);
  }
}

function readBlock(tree: YamlNode, name: string): BlockSpec {
  return readNode(
    {
      read(node, path) {
        if (node?.kind === "list") {
          throw schemaError(node, path, "a list of blocks; give it with --config or --config-file");
        }
        return block.read(node, path);
      },
    },
    tree,
    name,
  );
}

/**
 * Reads one document: a list of blocks.
 *
 * Throws: bad_data, one line with `name`, line and key.
 */
export function readPlanList(text: string, name: string): readonly BlockSpec[] {
  const tree = parseYaml(text, { name, maxLength: MAX_LENGTH, maxNodes: MAX_NODES });
  return readNode(s.list(block), tree, name);
}
