/** Flags of `tools bucket`, under Thanos' names. */
import { flag } from "../lib/config/mod.ts";
import { httpFlags, objstoreFlags } from "./flags_common.ts";

const timeout = flag.goDuration("timeout", "5m", "Longest time to read what there is.");

export const listFlags = {
  ...objstoreFlags,
  output: flag.oneOf(
    ["", "wide", "json"],
    "output",
    "",
    "Form: one id a line, a line that tells times and origin, or the meta.json of each block.",
    { short: "o" },
  ),
  excludeDelete: flag.bool("exclude-delete", false, "Leave out blocks marked for deletion."),
  minTime: flag.timeOrDuration(
    "min-time",
    "0000-01-01T00:00:00Z",
    "Leave out blocks that end before this: an RFC 3339 time, or a duration relative to now such as -30d.",
  ),
  maxTime: flag.timeOrDuration(
    "max-time",
    "9999-12-31T23:59:59Z",
    "Leave out blocks that start after this: an RFC 3339 time, or a duration relative to now such as -2h.",
  ),
  timeout,
} as const;

export const inspectFlags = {
  ...objstoreFlags,
  selector: flag.repeated(
    flag.kinds.string,
    "selector",
    'Only blocks with this external label, as name="value" (repeated field).',
    { short: "l" },
  ),
  sortBy: flag.repeated(
    flag.kinds.string,
    "sort-by",
    "Columns to sort by, FROM and UNTIL when not given (repeated field).",
  ),
  output: flag.oneOf(["table", "csv", "tsv"], "output", "table", "Form of the table."),
  timeout,
} as const;

export const verifyFlags = {
  ...objstoreFlags,
  issues: flag.repeated(
    flag.kinds.string,
    "issues",
    "What to look for: index_known_issues, overlapped_blocks, duplicated_compaction; the first two when not given (repeated field).",
    { short: "i" },
  ),
  ids: flag.repeated(flag.kinds.string, "id", "Only these blocks (repeated field)."),
  depth: flag.oneOf(
    ["index", "chunks", "samples"],
    "depth",
    "index",
    "How much of each block is read: its index, also the checksum of every chunk, or also every sample.",
  ),
  repair: flag.bool("repair", false, "Mend what is found.", {
    noEffect: "nothing is repaired; the compactor puts chunks in order by itself",
  }),
} as const;

export const downsampleFlags = {
  ...httpFlags,
  ...objstoreFlags,
  waitInterval: flag.goDuration(
    "wait-interval",
    "5m",
    "Time from one look at the bucket to the next.",
  ),
  concurrency: flag.int("downsample.concurrency", "1", "Blocks downsampled at once, at least 1."),
  fileConcurrency: flag.int(
    "block-files-concurrency",
    "1",
    "Files of a block that are fetched or sent at once, at least 1.",
  ),
  dataDir: flag.path(
    "data-dir",
    "./data",
    "Folder in which blocks are worked on. Its content can be removed while nothing runs.",
  ),
  hashFunction: flag.oneOf(
    ["", "SHA256"],
    "hash-func",
    "",
    "Hash of each file that is noted in meta.json.",
  ),
} as const;
