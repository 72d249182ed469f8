/** Hostile documents (rows HS10 and HS11 of the fault catalogue): YAML of people, JSON of buckets. */
import { strict as assert } from "node:assert";
import { errorKind, errorMessage } from "../../lib/base/mod.ts";
import { parseYaml } from "../../lib/config/mod.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { parseBlockMeta } from "../../lib/tsdb/mod.ts";

Deno.test("HS10: YAML that explodes, deceives or is huge is refused in one line", async () => {
  const bomb = [
    "a0: &a0 [x,x,x,x,x,x,x,x,x]",
    ...Array.from({ length: 10 }, (_, i) => {
      const last = Array.from({ length: 9 }, () => `*a${i}`).join(",");
      return `a${i + 1}: &a${i + 1} [${last}]`;
    }),
  ].join("\n");
  const merges = ["b0: &b0 {k: v}"].concat(
    Array.from({ length: 5_000 }, (_, i) => `b${i + 1}: &b${i + 1} {<<: *b${i}}`),
  ).join("\n");
  const rows: [string, string, RegExp][] = [
    ["alias bomb", bomb, /too many aliases|too many values/],
    ["merge chain", merges, /too many aliases|nested/],
    ["prototype", "__proto__: {polluted: yes}\ntype: S3", /'__proto__' is not allowed/],
    ["nested prototype", "config:\n  __proto__: {a: 1}", /'__proto__' is not allowed/],
    ["code", 'a: !!js/function "function(){}"', /tag/i],
    ["twice", "type: S3\ntype: GCS", /twice|unique/],
    ["tab", "config:\n\tbucket: x", /tab/i],
    ["depth", "[".repeat(100_000), /nested|deep/],
    ["depth of maps", `${"{a: ".repeat(200)}x${"}".repeat(200)}`, /nested/],
    ["size", `a: "${"x".repeat(50_000_000)}"`, /longer than/],
    ["no alias", "a: *nowhere", /nowhere/],
    ["self", "a: &a [*a]", /nested|anchor|alias/i],
  ];
  for (const [what, text, expected] of rows) {
    assert.throws(() => parseYaml(text), (error: unknown) => {
      assert.equal(errorKind(error), "bad_data", what);
      assert.match(errorMessage(error), expected, what);
      assert.ok(!errorMessage(error).includes("\n") && errorMessage(error).length < 300, what);
      return true;
    }, what);
    await assert.rejects(() => openBucket(text), (e: unknown) => errorKind(e) === "bad_data", what);
  }
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
});

Deno.test("HS11: meta.json that is hostile is an error, and never more than that", () => {
  const meta = (labels: string, more = "") =>
    `{"version":1,"ulid":"01FZ0000000000000000000000","minTime":0,"maxTime":1,"stats":{},` +
    `"compaction":{"level":1,"sources":["01FZ0000000000000000000000"]},` +
    `"thanos":{"labels":${labels},"downsample":{"resolution":0},"source":"x"}${more}}`;
  const read = (text: string) => parseBlockMeta(new TextEncoder().encode(text), "meta.json");
  const good = read(meta('{"a":"b"}'));
  assert.equal(good.minTime, 0);
  const polluting = [
    '{"__proto__":"x","a":"b"}',
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
  ];
  for (const labels of polluting) {
    try {
      read(meta(labels));
    } catch (error) {
      assert.notEqual(errorKind(error), "internal", labels);
    }
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    assert.equal(Object.getPrototypeOf({}), Object.prototype);
  }
  const broken = [
    meta("{}").replace('"maxTime":1', '"maxTime":1e400'),
    meta("{}").replace('"minTime":0', '"minTime":"0"'),
    meta("{}").replace('"version":1', '"version":2'),
    meta("[]"),
    meta('{"a":1}'),
    "[".repeat(1_000_000),
    "",
    "null",
    "{}",
    "\0",
    '{"version":1',
  ];
  for (const text of broken) {
    assert.throws(() => read(text), (error: unknown) => {
      assert.notEqual(errorKind(error), "internal", text.slice(0, 80));
      assert.ok(errorMessage(error).length < 500);
      return true;
    }, text.slice(0, 200));
  }
  // Depth where nobody looks, and half a surrogate pair, do no harm.
  for (
    const text of [
      meta("{}", `,"deep":${"[".repeat(100_000)}${"]".repeat(100_000)}`),
      meta("{}", `,"deep":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`),
      meta('{"a":"\\ud800"}'),
    ]
  ) {
    try {
      assert.equal(read(text).maxTime, 1);
    } catch (error) {
      assert.equal(errorKind(error), "corruption");
    }
  }
});
