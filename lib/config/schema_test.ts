/** Schemas: types, defaults, and errors that name line and path. */
import assert from "node:assert/strict";
import { readConfig, schema as s } from "./mod.ts";

const bucket = s.object({
  type: s.oneOf(["S3", "FILESYSTEM"]),
  config: s.object({
    bucket: s.string(""),
    insecure: s.bool(false),
    part_size: s.size("64MiB"),
    retries: s.int(0, { min: 0, max: 10 }),
    ratio: s.float(0.5),
    timeout: s.goDuration("1m30s"),
    window: s.duration("2h"),
    http: s.object({ hosts: s.list(s.string()), timeout: s.goDuration("2m") }),
    labels: s.map(s.string()),
    limit: s.optional(s.int()),
  }),
  prefix: s.string(""),
});

const read = (text: string) => readConfig(bucket, text, { name: "bucket.yml" });

Deno.test("readConfig() applies defaults at every depth", () => {
  assert.deepEqual(read("type: S3"), {
    type: "S3",
    config: {
      bucket: "",
      insecure: false,
      part_size: 64 * 2 ** 20,
      retries: 0,
      ratio: 0.5,
      timeout: 90_000,
      window: 7_200_000,
      http: { hosts: [], timeout: 120_000 },
      labels: new Map(),
      limit: undefined,
    },
    prefix: "",
  });
});

Deno.test("readConfig() types scalars as their reader wants them", () => {
  const { config } = read(`type: S3
config:
  bucket: 007
  insecure: yes
  part_size: 1024
  retries: 1_0
  ratio: 1e-3
  timeout: 1.5h
  window: 90d
  http: {hosts: [a, 1.0]}
  labels: {replica: 01, on: true}
  limit: 5`);
  assert.equal(config.bucket, "007");
  assert.equal(config.insecure, true);
  assert.equal(config.part_size, 1024);
  assert.equal(config.retries, 10);
  assert.equal(config.ratio, 0.001);
  assert.equal(config.timeout, 5_400_000);
  assert.equal(config.window, 90 * 86_400_000);
  assert.deepEqual(config.http.hosts, ["a", "1.0"]);
  assert.deepEqual([...config.labels], [["replica", "01"], ["on", "true"]]);
  assert.equal(config.limit, 5);
});

const REFUSED: readonly [string, string, string][] = [
  [
    "an unknown key",
    "type: S3\nconfig:\n  buckt: x",
    "line 3: config.buckt: unknown key, did you mean 'bucket'?",
  ],
  ["an unknown key without a near one", "type: S3\nzzz: 1", "line 2: zzz: unknown key"],
  ["a missing key", "prefix: x", 'line 1: type: is required: one of "S3", "FILESYSTEM"'],
  [
    "a wrong word",
    "type: s3",
    'line 1: type: expected one of "S3", "FILESYSTEM", got "s3", did you mean \'S3\'?',
  ],
  ["a list for a map", "type: S3\nconfig: [1]", "line 2: config: expected a map, got a list"],
  ["a map for a value", "type: S3\nprefix: {a: 1}", "line 2: prefix: expected text, got a map"],
  [
    "a value for a list",
    "type: S3\nconfig:\n  http:\n    hosts: a",
    "line 4: config.http.hosts: expected a list, got a single value",
  ],
  [
    "a wrong list item",
    "type: S3\nconfig:\n  http:\n    hosts:\n    - a\n    - [b]",
    "line 6: config.http.hosts[1]: expected text, got a list",
  ],
  [
    "a bad boolean",
    "type: S3\nconfig: {insecure: 2}",
    'line 2: config.insecure: expected true or false, got "2"',
  ],
  [
    "a bad integer",
    "type: S3\nconfig: {retries: 1.5}",
    'line 2: config.retries: expected an integer from 0 to 10, got "1.5"',
  ],
  [
    "an integer out of range",
    "type: S3\nconfig: {retries: 11}",
    'line 2: config.retries: expected an integer from 0 to 10, got "11"',
  ],
  [
    "an integer beyond exactness",
    "type: S3\nconfig: {limit: 9007199254740993}",
    'line 2: config.limit: expected an integer, got "9007199254740993"',
  ],
  [
    "a bad duration",
    "type: S3\nconfig: {window: 1.5h}",
    'line 2: config.window: unknown unit "." in duration "1.5h"',
  ],
  [
    "a bad size",
    "type: S3\nconfig: {part_size: 1kB}",
    "line 2: config.part_size: units: unknown unit kB in 1kB",
  ],
  ["a text instead of a document", "hello", "line 1: expected a map, got a single value"],
];

for (const [name, text, message] of REFUSED) {
  Deno.test(`readConfig() refuses ${name}`, () => {
    assert.throws(() => read(text), { message: `bucket.yml: ${message}` });
  });
}

Deno.test("schema.object() may be lenient, schema.node() defers, schema.transform() checks", () => {
  const lenient = s.object({ a: s.int() }, { lenient: true });
  assert.deepEqual(readConfig(lenient, "a: 1\nb: 2"), { a: 1 });
  assert.equal(readConfig(s.node, "a: 1")?.kind, "map");
  const even = s.object({
    n: s.transform(s.int(), (n) => {
      if (n % 2 === 1) throw new Error("must be even");
      return n / 2;
    }),
  });
  assert.deepEqual(readConfig(even, "n: 4"), { n: 2 });
  assert.throws(() => readConfig(even, "n: 3"), { message: "line 1: n: must be even" });
});
