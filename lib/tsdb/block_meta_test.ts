import assert from "node:assert/strict";
import { CorruptionError } from "../base/mod.ts";
import { truncations } from "../base/testing/exhaustive.ts";
import { labelsFromRecord } from "../model/mod.ts";
import {
  type BlockMeta,
  externalLabelsOf,
  makeThanosMeta,
  parseBlockMeta,
  printBlockMeta,
  resolutionOf,
  uploadTimeOf,
} from "./mod.ts";

const ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const META: BlockMeta = {
  ulid: ULID,
  minTime: -7200000,
  maxTime: 7200000,
  stats: {
    numSamples: 3,
    numFloatSamples: 0,
    numHistogramSamples: 0,
    numSeries: 2,
    numChunks: 3,
    numTombstones: 0,
  },
  compaction: {
    level: 2,
    sources: [ULID],
    deletable: true,
    parents: [{ ulid: ULID, minTime: 0, maxTime: 1 }],
    failed: false,
    hints: ["from-out-of-order"],
  },
  thanos: makeThanosMeta({
    labels: labelsFromRecord({ a: "<&>\u2028", "1": "x", __proto__x: "y" }),
    resolution: 300000,
    source: "sidecar",
    segmentFiles: ["000001"],
    files: [
      { relPath: "chunks/000001", sizeBytes: 68, hash: { func: "SHA256", value: "ab" } },
      { relPath: "meta.json", sizeBytes: 0 },
    ],
    rewrites: [{ sources: [ULID] }],
    extensions: { b: [1, "2"], a: null },
    uploadTime: "2026-01-01T00:00:00.123456789Z",
  }),
};

const encode = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseBlockMeta(encode(text), `${ULID}/meta.json`, ULID);

Deno.test("printBlockMeta() prints as Thanos does", () => {
  const text = printBlockMeta(META);
  assert.equal(
    text,
    `{
	"ulid": "${ULID}",
	"minTime": -7200000,
	"maxTime": 7200000,
	"stats": {
		"numSamples": 3,
		"numSeries": 2,
		"numChunks": 3
	},
	"compaction": {
		"level": 2,
		"sources": [
			"${ULID}"
		],
		"deletable": true,
		"parents": [
			{
				"ulid": "${ULID}",
				"minTime": 0,
				"maxTime": 1
			}
		],
		"hints": [
			"from-out-of-order"
		]
	},
	"version": 1,
	"thanos": {
		"labels": {
			"1": "x",
			"__proto__x": "y",
			"a": "\\u003c\\u0026\\u003e\\u2028"
		},
		"downsample": {
			"resolution": 300000
		},
		"source": "sidecar",
		"segment_files": [
			"000001"
		],
		"files": [
			{
				"rel_path": "chunks/000001",
				"size_bytes": 68,
				"hash": {
					"hashFunc": "SHA256",
					"value": "ab"
				}
			},
			{
				"rel_path": "meta.json"
			}
		],
		"rewrites": [
			{
				"sources": [
					"${ULID}"
				]
			}
		],
		"index_stats": {},
		"extensions": {
			"a": null,
			"b": [
				1,
				"2"
			]
		},
		"upload_time": "2026-01-01T00:00:00.123456789Z"
	}
}
`,
  );
  assert.deepEqual(parse(text), META);
  assert.equal(uploadTimeOf(META), Date.parse("2026-01-01T00:00:00.123Z"));
  assert.equal(resolutionOf(META), 300000);
});

Deno.test("a block of Prometheus has no thanos section and no newline at the end", () => {
  const plain: BlockMeta = { ...META, thanos: undefined };
  const text = printBlockMeta(plain);
  assert(text.endsWith('"version": 1\n}'));
  assert.deepEqual(parse(text), plain);
  assert.deepEqual([...externalLabelsOf(plain)], []);
  assert.equal(uploadTimeOf(plain), undefined);
});

Deno.test("null and absent members read as empty, unknown ones are ignored", () => {
  const meta = parse(
    `{"ulid":"${ULID}","version":1,"minTime":0,"maxTime":1,"stats":null,"x":{"y":[1]},
     "thanos":{"labels":null,"files":null,"upload_time":null,"more":1,"index_stats":{"z":2}}}`,
  );
  assert.deepEqual(meta.compaction.sources, []);
  assert.equal(meta.stats.numSamples, 0);
  assert.deepEqual(meta.thanos, makeThanosMeta({ labels: labelsFromRecord({}) }));
});

Deno.test("parseBlockMeta() names the key of what is wrong", () => {
  const base = JSON.parse(printBlockMeta(META));
  const cases: [string, (m: Record<string, unknown>) => void, RegExp][] = [
    ["no version", (m) => delete m.version, /version: unexpected meta version 0/],
    ["version 2", (m) => m.version = 2, /version: unexpected meta version 2, 1 is supported/],
    ["version text", (m) => m.version = "1", /version: a string instead of a number/],
    ["no ulid", (m) => delete m.ulid, /ulid: "" is no ULID/],
    ["other ulid", (m) => m.ulid = ULID.replace("V", "W"), /not the name of the directory/],
    ["fraction", (m) => m.minTime = 1.5, /minTime: 1.5 is no whole number/],
    ["huge", (m) => m.maxTime = 1e300, /maxTime: 1e\+300 is beyond 2\^53/],
    ["order", (m) => m.maxTime = -7200001, /maxTime: -7200001 is before minTime/],
    ["stats", (m) => m.stats = [], /stats: a list instead of an object/],
    ["count", (m) => m.stats = { numSamples: -1 }, /stats.numSamples: -1 is negative/],
    [
      "sources",
      (m) => m.compaction = { sources: [ULID, "x"] },
      /compaction.sources\[1\]: "x" is no ULID/,
    ],
    [
      "parents",
      (m) => m.compaction = { parents: [{ ulid: 5 }] },
      /compaction.parents\[0\].ulid: a number instead of a string/,
    ],
    ["hints", (m) => m.compaction = { hints: {} }, /compaction.hints: an object instead of a list/],
    [
      "deletable",
      (m) => m.compaction = { deletable: 1 },
      /compaction.deletable: a number instead of true or false/,
    ],
    ["thanos", (m) => m.thanos = "x", /thanos: a string instead of an object/],
    ["thanos version", (m) => m.thanos = { version: 2 }, /thanos.version: unexpected version 2/],
    ["labels", (m) => m.thanos = { labels: { a: 1 } }, /thanos.labels.a: a number instead of a s/],
    [
      "segment name",
      (m) => m.thanos = { segment_files: ["../../etc/passwd"] },
      /thanos.segment_files\[0\]: not the name of a file/,
    ],
    ["upload", (m) => m.thanos = { upload_time: "soon" }, /thanos.upload_time: not an RFC 3339/],
  ];
  for (const [name, change, message] of cases) {
    const document = structuredClone(base) as Record<string, unknown>;
    change(document);
    assert.throws(() => parse(JSON.stringify(document)), (e: unknown) => {
      assert(e instanceof CorruptionError, name);
      assert.match(e.message, message);
      assert.equal(e.file, `${ULID}/meta.json`);
      return true;
    });
  }
  for (const text of ["", "{", "null", "[]", "1", '"x"', "\u{1}"]) {
    assert.throws(() => parse(text), CorruptionError);
  }
  assert.throws(() => parseBlockMeta(Uint8Array.of(0x22, 0xff, 0x22), "m"), CorruptionError);
});

Deno.test("__proto__ in a document is data, nothing else", () => {
  const text = `{"__proto__":{"version":1},"ulid":"${ULID}"}`;
  assert.throws(() => parse(text), /version: unexpected meta version 0/);
  const meta = parse(
    `{"ulid":"${ULID}","version":1,"thanos":{"labels":{"__proto__":"x","constructor":"y"}}}`,
  );
  assert.deepEqual([...externalLabelsOf(meta)], ["__proto__", "x", "constructor", "y"]);
  assert.match(printBlockMeta(meta), /"__proto__": "x"/);
});

Deno.test("every truncation of meta.json is an error", () => {
  const bytes = encode(printBlockMeta(META).trimEnd());
  for (const cut of truncations(bytes)) {
    assert.throws(() => parseBlockMeta(cut, "m", ULID), CorruptionError);
  }
});
