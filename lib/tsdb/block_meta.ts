/**
 * meta.json: what a block says about itself, with the section that Thanos adds.
 *
 * Read strictly: a value of the wrong kind is an error that names its key; unknown keys are ignored
 * and null counts as absent, as in Go. Printed in Thanos' own form: one TAB a level, keys in fixed
 * order, `<`, `>` and `&` escaped, a newline at the end.
 */
import { CorruptionError, decodeUtf8Strict, errorMessage, isUlid } from "../base/mod.ts";
import { type Labels, labelsFromPairs } from "../model/mod.ts";
import { type JsonMap, JsonReader, printJson } from "./meta_json.ts";

/** Name of the file inside a block's directory. */
export const META_FILE = "meta.json";

/** Counts over a block. */
export interface BlockStats {
  readonly numSamples: number;
  /** 0 in older and in downsampled blocks, where it may be missing. */
  readonly numFloatSamples: number;
  readonly numHistogramSamples: number;
  readonly numSeries: number;
  readonly numChunks: number;
  readonly numTombstones: number;
}

/** A block that another one was made of. */
export interface BlockParent {
  readonly ulid: string;
  readonly minTime: number;
  readonly maxTime: number;
}

/** Where a block comes from. */
export interface BlockCompaction {
  /** 1 = cut straight from memory. */
  readonly level: number;
  /** All blocks of level 1 that are contained; such a block lists itself. */
  readonly sources: readonly string[];
  readonly deletable: boolean;
  readonly parents: readonly BlockParent[];
  readonly failed: boolean;
  readonly hints: readonly string[];
}

/** A file of an uploaded block. */
export interface BlockFile {
  readonly relPath: string;
  /** 0 = not told. */
  readonly sizeBytes: number;
  readonly hash?: { readonly func: string; readonly value: string };
}

/** The section of Thanos. */
export interface ThanosMeta {
  /** 0 (not written) or 1. */
  readonly version: number;
  /** External labels. */
  readonly labels: Labels;
  /** Resolution of downsampled data, ms; 0 = raw. */
  readonly resolution: number;
  readonly source: string;
  /** Names inside chunks/, in segment order. */
  readonly segmentFiles: readonly string[];
  readonly files: readonly BlockFile[];
  /** As read; see the format notes. */
  readonly rewrites: readonly unknown[];
  /** Largest entry sizes in bytes, 0 = not known. */
  readonly indexStats: { readonly seriesMaxSize: number; readonly chunkMaxSize: number };
  /** Any JSON, undefined when absent. */
  readonly extensions: unknown;
  /** RFC 3339 text in UTC; UNSET_UPLOAD_TIME when it was never uploaded. */
  readonly uploadTime: string;
}

/** A block's description. */
export interface BlockMeta {
  readonly ulid: string;
  /** First time covered, ms, inclusive. */
  readonly minTime: number;
  /** End of the time covered, ms, EXCLUSIVE: samples have t < maxTime. */
  readonly maxTime: number;
  readonly stats: BlockStats;
  readonly compaction: BlockCompaction;
  readonly thanos: ThanosMeta | undefined;
}

/** The zero time as Go prints it. */
export const UNSET_UPLOAD_TIME = "0001-01-01T00:00:00Z";

/** The `thanos` section of a new block; members not given are empty. */
export function makeThanosMeta(
  given: Partial<ThanosMeta> & { readonly labels: Labels },
): ThanosMeta {
  return {
    version: 0,
    resolution: 0,
    source: "",
    segmentFiles: [],
    files: [],
    rewrites: [],
    indexStats: { seriesMaxSize: 0, chunkMaxSize: 0 },
    extensions: undefined,
    uploadTime: UNSET_UPLOAD_TIME,
    ...given,
  };
}

/** The upload time in ms, undefined when unset. */
export function uploadTimeOf(meta: BlockMeta): number | undefined {
  const text = meta.thanos?.uploadTime ?? UNSET_UPLOAD_TIME;
  if (text === UNSET_UPLOAD_TIME) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** The block's resolution, ms; 0 = raw. */
export function resolutionOf(meta: BlockMeta): number {
  return meta.thanos?.resolution ?? 0;
}

/** The block's external labels. */
export function externalLabelsOf(meta: BlockMeta): Labels {
  return meta.thanos?.labels ?? labelsFromPairs([]);
}

/**
 * Reads meta.json.
 *
 * `file` names the block's file in errors; `ulid`, when given, is the directory's name and must be
 * the one in the file.
 * Throws: CorruptionError that names the key.
 */
export function parseBlockMeta(bytes: Uint8Array, file: string, ulid?: string): BlockMeta {
  let root: unknown;
  try {
    root = JSON.parse(decodeUtf8Strict(bytes));
  } catch (error) {
    throw new CorruptionError(`not a JSON document: ${errorMessage(error)}`, {
      file,
      cause: error,
    });
  }
  const r = new JsonReader(root, "", file);
  const version = r.integer("version");
  if (version !== 1) r.fail("version", `unexpected meta version ${version}, 1 is supported`);
  const id = readUlid(r, "ulid");
  if (ulid !== undefined && id !== ulid) {
    r.fail("ulid", `"${id}" is not the name of the directory, ${ulid}`);
  }
  const minTime = r.integer("minTime");
  const maxTime = r.integer("maxTime");
  if (maxTime < minTime) r.fail("maxTime", `${maxTime} is before minTime ${minTime}`);
  return {
    ulid: id,
    minTime,
    maxTime,
    stats: readStats(r.object("stats")),
    compaction: readCompaction(r.object("compaction")),
    thanos: r.has("thanos") ? readThanos(r.object("thanos")) : undefined,
  };
}

function readUlid(r: JsonReader, key: string): string {
  const text = r.string(key);
  return isUlid(text) ? text : r.fail(key, `"${text.slice(0, 40)}" is no ULID`);
}

function readStats(r: JsonReader): BlockStats {
  return {
    numSamples: r.count("numSamples"),
    numFloatSamples: r.count("numFloatSamples"),
    numHistogramSamples: r.count("numHistogramSamples"),
    numSeries: r.count("numSeries"),
    numChunks: r.count("numChunks"),
    numTombstones: r.count("numTombstones"),
  };
}

function readCompaction(r: JsonReader): BlockCompaction {
  return {
    level: r.count("level"),
    sources: r.array("sources", (item) => readUlid(item, "")),
    deletable: r.boolean("deletable"),
    parents: r.array("parents", (item) => ({
      ulid: readUlid(item, "ulid"),
      minTime: item.integer("minTime"),
      maxTime: item.integer("maxTime"),
    })),
    failed: r.boolean("failed"),
    hints: r.array("hints", (item) => item.string("")),
  };
}

function readThanos(r: JsonReader): ThanosMeta {
  const version = r.integer("version");
  if (version !== 0 && version !== 1) {
    r.fail("version", `unexpected version ${version}, 1 is supported`);
  }
  const stats = r.object("index_stats");
  const uploadTime = r.string("upload_time");
  return {
    version,
    labels: labelsFromPairs(r.stringMap("labels")),
    resolution: r.object("downsample").count("resolution"),
    source: r.string("source"),
    segmentFiles: r.array("segment_files", (item) => {
      const name = item.string("");
      return /^[^/\0]+$/.test(name) && name !== "." && name !== ".."
        ? name
        : item.fail("", "not the name of a file");
    }),
    files: r.array("files", readFile),
    rewrites: r.array("rewrites", (item) => item.value),
    indexStats: {
      seriesMaxSize: stats.count("series_max_size"),
      chunkMaxSize: stats.count("chunk_max_size"),
    },
    extensions: r.has("extensions") ? r.raw("extensions") : undefined,
    uploadTime: uploadTime === ""
      ? UNSET_UPLOAD_TIME
      : /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(uploadTime)
      ? uploadTime
      : r.fail("upload_time", "not an RFC 3339 time"),
  };
}

function readFile(r: JsonReader): BlockFile {
  const relPath = r.string("rel_path");
  const sizeBytes = r.count("size_bytes");
  if (!r.has("hash")) return { relPath, sizeBytes };
  const hash = r.object("hash");
  return {
    relPath,
    sizeBytes,
    hash: { func: hash.string("hashFunc"), value: hash.string("value") },
  };
}

/** Prints meta.json; without the `thanos` section as Prometheus does, without the last newline. */
export function printBlockMeta(meta: BlockMeta): string {
  const { stats, compaction, thanos } = meta;
  const root: JsonMap = new Map<string, unknown>([
    ["ulid", meta.ulid],
    ["minTime", meta.minTime],
    ["maxTime", meta.maxTime],
    [
      "stats",
      present([
        ["numSamples", stats.numSamples],
        ["numFloatSamples", stats.numFloatSamples],
        ["numHistogramSamples", stats.numHistogramSamples],
        ["numSeries", stats.numSeries],
        ["numChunks", stats.numChunks],
        ["numTombstones", stats.numTombstones],
      ]),
    ],
    [
      "compaction",
      new Map<string, unknown>([
        ["level", compaction.level],
        ...present([
          ["sources", compaction.sources],
          ["deletable", compaction.deletable],
          [
            "parents",
            compaction.parents.map((p) =>
              new Map<string, unknown>([
                ["ulid", p.ulid],
                ["minTime", p.minTime],
                ["maxTime", p.maxTime],
              ])
            ),
          ],
          ["failed", compaction.failed],
          ["hints", compaction.hints],
        ]),
      ]),
    ],
    ["version", 1],
  ]);
  if (thanos === undefined) return printJson(root);
  root.set("thanos", thanosJson(thanos));
  return printJson(root) + "\n";
}

function thanosJson(thanos: ThanosMeta): JsonMap {
  const labels: JsonMap = new Map();
  for (let i = 0; i < thanos.labels.length; i += 2) {
    labels.set(thanos.labels[i]!, thanos.labels[i + 1]!);
  }
  return new Map<string, unknown>([
    ...present([["version", thanos.version]]),
    ["labels", labels],
    ["downsample", new Map([["resolution", thanos.resolution]])],
    ["source", thanos.source],
    ...present([
      ["segment_files", thanos.segmentFiles],
      [
        "files",
        thanos.files.map((f) =>
          new Map<string, unknown>([
            ["rel_path", f.relPath],
            ...present([["size_bytes", f.sizeBytes]]),
            ...(f.hash === undefined ? [] : [
              [
                "hash",
                new Map([["hashFunc", f.hash.func], ["value", f.hash.value]]),
              ] as const,
            ]),
          ])
        ),
      ],
      ["rewrites", thanos.rewrites],
    ]),
    [
      "index_stats",
      present([
        ["series_max_size", thanos.indexStats.seriesMaxSize],
        ["chunk_max_size", thanos.indexStats.chunkMaxSize],
      ]),
    ],
    ...(thanos.extensions === undefined || thanos.extensions === null
      ? []
      : [["extensions", thanos.extensions] as const]),
    ["upload_time", thanos.uploadTime],
  ]);
}

/** Leaves out what Go's omitempty leaves out: 0, false, "" and empty lists. */
function present(entries: readonly (readonly [string, unknown])[]): JsonMap {
  const map: JsonMap = new Map();
  for (const [key, value] of entries) {
    if (value === 0 || value === false || value === "") continue;
    if (Array.isArray(value) && value.length === 0) continue;
    map.set(key, value);
  }
  return map;
}
