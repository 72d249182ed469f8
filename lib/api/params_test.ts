import assert from "node:assert/strict";
import { formatFloatJson, MnemeError } from "../base/mod.ts";
import { Random } from "../base/testing/random.ts";
import { type FloatHistogram, labelsFromRecord, parseHistogram } from "../model/mod.ts";
import type { Value } from "../promql/mod.ts";
import { encodeResult } from "./encode_result.ts";
import { JsonBytes } from "./json_bytes.ts";
import {
  boolParam,
  durationParam,
  limitParam,
  metadataRange,
  parseTime,
  rangeParams,
  readParams,
} from "./params.ts";

function get(query: string) {
  return readParams(new Request(`http://h/api?${query}`));
}

function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert(error instanceof MnemeError);
    assert.equal(error.kind, "bad_data");
    return error.message;
  }
  return "no error";
}

Deno.test("readParams() puts the body before the URL and unites lists", async () => {
  const p = await readParams(
    new Request("http://h/api?query=url&match[]=c&time=5", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
      body: "query=body&match%5B%5D=a&match[]=b+x",
    }),
  );
  assert.equal(p.get("query"), "body");
  assert.equal(p.get("time"), "5");
  assert.deepEqual(p.all("match[]"), ["a", "b x", "c"]);
  assert.equal(p.get("missing"), "");
});

Deno.test("readParams() reads multipart forms and ignores bodies of other types", async () => {
  const form = new FormData();
  form.set("query", "up");
  const p = await readParams(new Request("http://h/api", { method: "POST", body: form }));
  assert.equal(p.get("query"), "up");
  const json = await readParams(
    new Request("http://h/api", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"query":"up"}',
    }),
  );
  assert.equal(json.get("query"), "");
});

Deno.test("readParams() leaves malformed pairs out and says so", async () => {
  const p = await get("a=1&b=%zz&c=3;d=4&e=%E6%97%A5&f=%ff");
  assert.equal(p.get("a"), "1");
  assert.equal(p.has("b"), false);
  assert.equal(p.has("c"), false);
  assert.equal(p.get("e"), "日");
  assert.equal(p.get("f"), "\ufffd");
  assert.equal(p.malformed, "b=%zz");
});

Deno.test("readParams() refuses a body over 10 MiB instead of dropping it", async () => {
  const request = new Request("http://h/api", {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new Uint8Array(10 * 1024 * 1024 + 1),
  });
  await assert.rejects(readParams(request), /larger than/);
});

Deno.test("times are float seconds or RFC 3339", () => {
  const rows: [string, number][] = [
    ["1790650817.1239", 1790650817124],
    ["-1.5", -1500],
    ["1e3", 1000000],
    ["2026-09-29T03:40:17Z", 1790653217000],
    ["2026-09-29T03:40:17.5Z", 1790653217500],
    ["2026-09-29T03:40:17.123456789+02:00", 1790646017123],
  ];
  for (const [text, ms] of rows) assert.equal(parseTime(text), ms, text);
  for (const bad of ["", "abc", "2026-09-29", "NaN", "Inf", "2026-09-29T03:40:17 02:00", "1e300"]) {
    assert.equal(message(() => parseTime(bad)), `cannot parse "${bad}" to a valid timestamp`);
  }
});

Deno.test("parameters report Thanos' texts", async () => {
  const rows: [string, (p: Awaited<ReturnType<typeof get>>) => unknown, string][] = [
    [
      "dedup=maybe",
      (p) => boolParam(p, "dedup", true),
      `'dedup' parameter: strconv.ParseBool: parsing "maybe": invalid syntax`,
    ],
    [
      "step=1.5s",
      (p) => durationParam(p, "step"),
      `'step' parameter: cannot parse "1.5s" to a valid duration`,
    ],
    [
      "timeout=abc",
      (p) => durationParam(p, "timeout", false),
      `cannot parse "abc" to a valid duration`,
    ],
    ["limit=1.5", limitParam, `cannot parse "1.5" to a valid limit`],
    ["limit=-1", limitParam, "limit must be non-negative"],
    [
      "start=5&end=4&step=1",
      (p) => rangeParams(p, 1000),
      "end timestamp must not be before start time",
    ],
    ["end=4&step=1", (p) => rangeParams(p, 1000), `cannot parse "" to a valid timestamp`],
    [
      "start=1&end=4&step=0",
      (p) => rangeParams(p, 1000),
      "zero or negative query resolution step widths are not accepted. Try a positive integer",
    ],
    [
      "start=1&end=4&step=0.0001",
      (p) => rangeParams(p, 1000),
      "zero or negative query resolution step widths are not accepted. Try a positive integer",
    ],
    [
      "start=0&end=11001&step=1",
      (p) => rangeParams(p, 1000),
      "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
    ],
    [
      "start=abc",
      (p) => metadataRange(p, { start: 0, end: 1 }),
      `bad_data: Invalid time value for 'start': cannot parse "abc" to a valid timestamp`,
    ],
    [
      "start=5&end=4",
      (p) => metadataRange(p, { start: 0, end: 1 }),
      "bad_data: end timestamp must not be before start time",
    ],
  ];
  for (const [query, run, text] of rows) {
    const p = await get(query);
    assert.equal(message(() => run(p)), text, query);
  }
  assert.deepEqual(rangeParams(await get("start=0&end=11000&step=1"), 1000).step, 1000);
  assert.equal(rangeParams(await get("start=0&end=3"), 1000).step, 1000);
  assert.equal(rangeParams(await get("start=0&end=86400"), 1000).step, 345_000);
  assert.equal(rangeParams(await get("start=1&end=2&step=0.3339"), 1000).step, 333);
  assert.equal(boolParam(await get("dedup="), "dedup", true), true);
  assert.equal(boolParam(await get("dedup=T"), "dedup", false), true);
});

Deno.test("JsonBytes writes numbers as the text formatter does", () => {
  const random = new Random(7);
  const out = new JsonBytes(16);
  const values = [
    0,
    -0,
    1,
    -1,
    9,
    10,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 31,
    1e9,
    999_999_999,
    1e15,
    NaN,
    Infinity,
    -Infinity,
    5e-324,
    1.5,
    1e21,
  ];
  for (let i = 0; i < 2000; i++) {
    values.push(random.between(-1e6, 1e6), random.float() * 10 ** random.between(-30, 30));
  }
  for (const x of values) {
    out.value(x);
    assert.equal(new TextDecoder().decode(out.take()), `"${formatFloatJson(x)}"`);
  }
  for (
    const x of [
      0,
      7,
      10,
      999_999_999,
      1_000_000_000,
      1_000_000_007,
      4294967296,
      Number.MAX_SAFE_INTEGER,
      -12,
      1e10,
    ]
  ) {
    out.integer(x);
    assert.equal(new TextDecoder().decode(out.take()), String(x));
  }
  const times: [number, string][] = [
    [1435781451781, "1435781451.781"],
    [1010, "1.010"],
    [-1500, "-1.500"],
    [1000, "1"],
    [0, "0"],
    [5, "0.005"],
  ];
  for (const [ms, text] of times) {
    out.seconds(ms);
    assert.equal(new TextDecoder().decode(out.take()), text);
  }
  for (
    const s of ["", "plain", 'q"\\', "\n\u0001", "日本", "\u{1F600}", "\ud800", "x".repeat(100_000)]
  ) {
    out.string(s);
    assert.equal(JSON.parse(new TextDecoder().decode(out.take())), s.toWellFormed());
  }
});

Deno.test("encodeResult() writes gaps, histograms and many pieces as one JSON text", () => {
  const n = 20_000;
  const t = Float64Array.from({ length: n }, (_, i) => 1_790_208_000_000 + i * 500);
  const v = Float64Array.from({ length: n }, (_, i) => i % 7 === 0 ? i / 3 : -i);
  const h: (FloatHistogram | undefined)[] = [];
  const histogram = parseHistogram("{{schema:0 sum:3 count:2 buckets:[1 1]}}");
  for (let i = 0; i < n; i++) h.push(i % 1000 === 5 ? histogram : undefined);
  const labels = labelsFromRecord({ a: 'q"\u2028\x01' });
  const short = t.slice(0, 3);
  const value: Value = {
    type: "matrix",
    series: [
      { labels, t, v, h: null },
      { labels, t, v, h },
      { labels, t: short, v: Float64Array.of(1, 1.5, 1.5), h: null },
      { labels, t: short, v: Float64Array.of(0, 0, 0), h: [histogram, histogram, histogram] },
    ],
  };
  const pieces = [...encodeResult(value, { analysis: "{}", warnings: [] })];
  assert.ok(pieces.length > 2);
  const text = pieces.map((p) => new TextDecoder().decode(p)).join("");
  const { result } = JSON.parse(text).data;
  const sample = (i: number) => [t[i]! / 1000, formatFloatJson(v[i]!)];
  assert.deepEqual(result[0].values, Array.from({ length: n }, (_, i) => sample(i)));
  const floats = Array.from({ length: n }, (_, i) => i).filter((i) => i % 1000 !== 5);
  assert.deepEqual(result[1].values, floats.map(sample));
  assert.equal(result[1].histograms.length, n - floats.length);
  assert.deepEqual(result[1].histograms[0][1], {
    count: "2",
    sum: "3",
    buckets: [[0, "0.5", "1", "1"], [0, "1", "2", "1"]],
  });
  assert.deepEqual(result[2].values.map((one: string[]) => one[1]), ["1", "1.5", "1.5"]);
  assert.equal(result[3].values, undefined);
  assert.equal(result[3].histograms.length, 3);
  assert.deepEqual(result[0].metric, { a: 'q"\u2028\x01' });
});
