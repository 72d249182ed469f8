/**
 * The layers of the code base and what may be named where; `tidy_test.ts` holds the code to it.
 *
 * A new edge that this table forbids is a decision: change the table in the same commit.
 */

/** Layer of each module in `lib/`; imports go strictly downward. */
export const LAYERS: Readonly<Record<string, number>> = {
  base: 0,
  config: 1,
  telemetry: 1,
  model: 2,
  chunks: 3,
  objstore: 3,
  rpc: 3,
  tsdb: 4,
  storeapi: 4,
  promql: 4,
  block: 5,
  dedup: 5,
  store: 6,
  compact: 6,
  shipper: 6,
  query: 6,
  frontend: 6,
  benchgen: 6,
  reloader: 6,
  rules: 7,
  receive: 7,
  bucket_tools: 7,
  doctor: 7,
  api: 8,
  runtime: 8,
};

/** Where each npm package is named: one file, or one module (a folder) when it is all about it. */
export const PACKAGES: Readonly<Record<string, string>> = {
  "@grpc/grpc-js": "lib/rpc/",
  "hono": "lib/api/",
  "prom-client": "lib/telemetry/metrics.ts",
  "re2js": "lib/model/regexp.ts",
  "snappyjs": "lib/base/snappy.ts",
  "xxhash-wasm": "lib/base/xxhash64.ts",
  "yaml": "lib/config/yaml.ts",
  "@aws-sdk/client-s3": "lib/objstore/",
  "@aws-sdk/credential-providers": "lib/objstore/",
  "@google-cloud/storage": "lib/objstore/",
  "@azure/storage-blob": "lib/objstore/",
  "@azure/identity": "lib/objstore/",
  "ioredis": "lib/store/",
  "memjs": "lib/store/",
  "bcryptjs": "lib/runtime/",
  // The pages.
  "preact": "ui/",
  "@preact/signals": "ui/",
  "uplot": "ui/",
  "@codemirror/autocomplete": "ui/",
  "@codemirror/commands": "ui/",
  "@codemirror/language": "ui/",
  "@codemirror/lint": "ui/",
  "@codemirror/search": "ui/",
  "@codemirror/state": "ui/",
  "@codemirror/view": "ui/",
  "@lezer/common": "ui/",
  "@lezer/highlight": "ui/",
  "@prometheus-io/codemirror-promql": "ui/",
  "@prometheus-io/lezer-promql": "ui/",
  "esbuild": "ui/",
  // Tests only: the oracle of our own codecs, a browser and its checks, a small S3.
  "playwright-core": "tests/",
  "axe-core": "tests/",
  "s3rver": "tests/",
  "protobufjs": "tests/",
};

/** Folders and files of `lib/` that may use Deno's own API; `cmd` and tests may, too. */
export const DENO_ALLOWED: readonly string[] = [
  "lib/runtime/",
  "lib/objstore/bucket_filesystem.ts",
  // Plain TCP, the fastest way to a peer, behind the Socket interface.
  "lib/rpc/h2/socket.ts",
  "lib/tsdb/files_system.ts",
];

/** Most lines of a file in `cmd/`. */
export const COMMAND_LINES = 250;

/** Largest binary file, bytes. */
export const BINARY_BYTES = 64 * 1024;

/** Names that say nothing about what is inside. */
export const BANNED_NAMES = /(?:^|[/_])(?:utils?|helpers?|misc|common_utils)(?:[/_.]|$)/;
