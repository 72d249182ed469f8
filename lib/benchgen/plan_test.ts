import assert from "node:assert/strict";
import { FakeClock, MnemeError } from "../base/mod.ts";
import { parseYaml, type YamlNode } from "../config/mod.ts";
import { EMPTY_LABELS, labelsFromRecord, labelValue } from "../model/mod.ts";
import {
  type BlockSpec,
  hasFixedTimes,
  MIXED_PROFILE,
  plannedSamples,
  planProfile,
  printBlockSpec,
  printPlan,
  PROFILES,
  Progress,
  readPlanList,
  readPlanStream,
} from "./mod.ts";
import { parsePlainYaml } from "./plain_yaml.ts";

/** The example of the specification: 2026-11-22T19:58:02Z. */
const MAX_TIME = Date.UTC(2026, 10, 22, 19, 58, 2);
const EU1 = labelsFromRecord({ cluster: "eu1" });

function plan(profile: string, externalLabels = EU1): BlockSpec[] {
  return [...planProfile(profile, { maxTime: MAX_TIME, externalLabels })];
}

async function* stream(...chunks: string[]): AsyncGenerator<string> {
  for (const chunk of chunks) yield chunk;
}

function read(text: string): Promise<BlockSpec[]> {
  return Array.fromAsync(readPlanStream(stream(text), "stdin"));
}

const SERIES = (name: string) =>
  `- labels:
    __name__: ${name}
  targets: 1
  type: GAUGE
  mintime: 1795370400001
  maxtime: 1795377600000
  jitter: 3e+07
  scrapeInterval: 15s
  changeInterval: 1h0m0s
  max: 2e+08
  min: 1e+07
`;
const FIRST_DOCUMENT = `meta:
  blockmeta:
    ulid: "00000000000000000000000000"
    mintime: 1795370400001
    maxtime: 1795377600000
    stats:
      numsamples: 0
      numseries: 0
      numchunks: 0
      numtombstones: 0
    compaction:
      level: 1
      sources: []
      deletable: false
      parents: []
      failed: false
    version: 1
  thanos:
    version: 0
    labels:
      cluster: eu1
    downsample:
      resolution: 0
    source: blockgen
    segmentfiles: []
    files: []
    rewrites: []
series:
${[0, 1, 2, 3, 4].map((i) => SERIES(`continuous_app_metric${i}`)).join("")}`;

Deno.test("the plan of continuous-365d-tiny is the reference text", () => {
  const text = [...printPlan(plan("continuous-365d-tiny"))].join("");
  const documents = text.split("---\n");
  assert.equal(documents[0], FIRST_DOCUMENT);
  assert.equal(documents.length, 13);
  assert.equal(text.split("\n").length - 1, 1091);
  const ranges = [2, 2, 2, 8, 176, 176, 176, 176, 1608, 1608, 1608, 1608, 1608];
  const golden = [
    [1795370400001, 1795377600000],
    [1795363200002, 1795370400001],
    [1795356000003, 1795363200002],
    [1795327200004, 1795356000003],
    [1794693600005, 1795327200004],
    [1794060000006, 1794693600005],
    [1793426400007, 1794060000006],
    [1792792800008, 1793426400007],
    [1787004000009, 1792792800008],
    [1781215200010, 1787004000009],
    [1775426400011, 1781215200010],
    [1769637600012, 1775426400011],
    [1763848800013, 1769637600012],
  ];
  const blocks = plan("continuous-365d-tiny");
  assert.deepEqual(blocks.map((b) => [b.minTime, b.maxTime]), golden);
  // 2h, 8h, 176h and 1608h of one series each 15 s, five times.
  assert.deepEqual(
    blocks.map(plannedSamples),
    ranges.map((h) => h * 240 * 5),
  );
  assert.equal(blocks.reduce((n, b) => n + plannedSamples(b), 0), 10_509_600);
});

Deno.test("every plan reads back as what it was printed from", async () => {
  const labels = labelsFromRecord({
    cluster: "eu1",
    replica: "0",
    a: "true",
    b: "null",
    c: 'it\'s: "odd" #1',
    d: "line\nbreak\ttab",
    e: "é 😀",
    f: "1e3",
    g: "~",
    h: " x ",
    i: "- y",
    j: "2026-01-01",
    k: "{a}",
    l: "0x1f",
    m: "no",
    n: "a: b",
    o: "a #b",
    p: "@x",
    q: "\u2028",
    r: "-x",
    s: "12:30:45",
  });
  for (const profile of PROFILES) {
    if (profile.endsWith("-small") || profile === "realistic-k8s-365d-tiny") continue;
    const blocks = plan(profile, labels);
    assert.deepEqual(await read([...printPlan(blocks)].join("")), blocks, profile);
  }
});

Deno.test("Kubernetes plans roll out every hour, across block borders too", () => {
  const blocks = plan("realistic-k8s-30d-tiny");
  assert.equal(blocks.length, 9);
  assert.equal(blocks.reduce((n, b) => n + b.series.length, 0), 3645);
  const rollouts = (b: BlockSpec) => [
    ...new Set(b.series.map((s) => labelValue(s.labels, "next_rollout_time"))),
  ];
  assert.deepEqual(rollouts(blocks[0]!), [
    "2026-11-22 19:30:00 +0000 UTC",
    "2026-11-22 18:30:00 +0000 UTC",
    "2026-11-22 17:30:00 +0000 UTC",
  ]);
  // The rollout that crosses the border is in both blocks, and its two parts meet there.
  assert.equal(rollouts(blocks[1]!)[0], "2026-11-22 17:30:00 +0000 UTC");
  assert.equal(blocks[0]!.series.at(-1)!.minTime, blocks[1]!.series[0]!.maxTime);
  const text = printBlockSpec(blocks[0]!);
  assert.match(text, /next_rollout_time: 2026-11-22 19:30:00 \+0000 UTC\n/);
});

Deno.test("bench-mixed-14d has fixed, aligned times and its own keys", () => {
  assert(hasFixedTimes(MIXED_PROFILE));
  const blocks = plan(MIXED_PROFILE);
  assert.equal(blocks.length, 168);
  for (const [i, b] of blocks.entries()) {
    assert.equal(b.maxTime, Date.UTC(2026, 9, 8) - i * 7_200_000);
    assert.equal(b.minTime, b.maxTime - 7_200_000);
  }
  assert.equal(blocks.at(-1)!.minTime, Date.parse("2026-09-24T00:00:00Z"));
  assert.equal(blocks.reduce((n, b) => n + plannedSamples(b), 0), 80_640_000);
  const text = printBlockSpec({ ...blocks[0]!, series: blocks[0]!.series.slice(0, 1) });
  assert.equal(
    text.slice(text.indexOf("\nseries:") + 1),
    `series:
- labels:
    __name__: bench_requests_total
  targets: 200
  type: STEADY_COUNTER
  mintime: 1791410400000
  maxtime: 1791417600000
  jitter: 0
  scrapeInterval: 15s
  changeInterval: 0s
  max: 19
  min: 0
  targetLabels:
    code:
    - "200"
    - "404"
    - "500"
    instance: instance-{n}
    job:
    - job-0
    - job-1
    - job-2
    - job-3
    path:
${Array.from({ length: 10 }, (_, i) => `    - /api/v1/path-${i}\n`).join("")}  late: 3ms
  lateShare: 0.1
  resetInterval: 720h0m0s
`,
  );
});

Deno.test("the newest block ends at the two-hour border above the given time", () => {
  const end = (maxTime: number) =>
    [...planProfile("continuous-1w-small", { maxTime, externalLabels: EMPTY_LABELS })][0]!.maxTime;
  assert.equal(end(7_200_000), 14_400_000);
  assert.equal(end(7_199_999), 7_200_000);
  assert.throws(() => plan("continuous-365d"), /unknown profile "continuous-365d"; known ones: /);
  assert.match(
    printBlockSpec(plan("continuous-30d-tiny", EMPTY_LABELS)[0]!),
    /\n {4}labels: \{\}\n/,
  );
});

Deno.test("plans of lists and of streams", async () => {
  const list = FIRST_DOCUMENT.split("\n").map((l, i) => l === "" ? l : (i === 0 ? "- " : "  ") + l)
    .join("\n");
  const [expected] = await read(FIRST_DOCUMENT);
  assert.deepEqual(readPlanList(list + list, "--config"), [expected, expected]);
  assert.deepEqual(readPlanList("", "--config"), []);
  assert.deepEqual(await read(""), []);
  assert.equal((await read(`---\n${FIRST_DOCUMENT}---\n${FIRST_DOCUMENT}`)).length, 2);
});

Deno.test("wrong plans are one-line errors with line and key", async () => {
  const rows: [string, string, RegExp][] = [
    [
      "  targets: 1\n",
      "  extra: 1\n  targets: 1\n",
      /^stdin: line 31: series\[0\]\.extra: unknown key/,
    ],
    [
      "type: GAUGE",
      "type: GUAGE",
      /^stdin: line 32: series\[0\]\.type: expected one of .*got "GUAGE".*"?GAUGE/,
    ],
    ["scrapeInterval: 15s", "scrapeInterval: 15 sec", /line 36: series\[0\]\.scrapeInterval: /],
    ["maxtime: 1795377600000\n  jitter", "maxtime: 1\n  jitter", /maxtime: 1 is before mintime/],
    ["targets: 1", "targets: many", /line 31: series\[0\]\.targets: expected an integer/],
    ["max: 2e+08", "max: 1", /max: 1 is below min/],
    ["labels:\n    __name__", "labels:\n    a b: c\n    __name__", /"a b" is no label name/],
  ];
  for (const [from, to, message] of rows) {
    assert(FIRST_DOCUMENT.includes(from));
    await assert.rejects(read(FIRST_DOCUMENT.replace(from, to)), (error: unknown) => {
      assert(error instanceof MnemeError);
      assert.equal(error.kind, "bad_data");
      assert.match(error.message, message);
      assert(!error.message.includes("\n"));
      return true;
    });
  }
  await assert.rejects(read(FIRST_DOCUMENT.replace("scrapeInterval: 15s", "scrapeInterval: 0s")), {
    message: /scrapeInterval: must be at least 1ms/,
  });
  await assert.rejects(read(FIRST_DOCUMENT.replace("min: 1e+07", "min: 1e+07\n  late: 3ms")), {
    message: /late: has no meaning for type GAUGE/,
  });
  await assert.rejects(read(`- meta:\n    blockmeta: {}\n`), { message: /--config/ });
  // The line counts from the start of the stream.
  await assert.rejects(read(`${FIRST_DOCUMENT}---\nmeta: {}\nserie: []\n`), {
    message: /stdin: line 8\d: serie: unknown key.*series/,
  });
});

Deno.test("progress tells blocks, rate and time left", async () => {
  const clock = new FakeClock(1000);
  const p = new Progress(clock, 4, 10_000_000);
  assert.equal(p.bar(), "░".repeat(24) + " 0/4 blocks  0 samples/s");
  await clock.advance(2000);
  p.doneBlocks = 1;
  p.doneSamples = 2_500_000;
  assert.equal(p.bar(), "██████" + "░".repeat(18) + " 1/4 blocks  1.3 M samples/s  6s left");
  assert.deepEqual(p.fields(), {
    blocks: "1/4",
    samples: 2_500_000,
    samples_per_second: 1_250_000,
    left: "6s",
  });
  assert.equal(p.bar(10).length, 10);
});

Deno.test("parsePlainYaml() agrees with the full parser or leaves the text to it", () => {
  const value = (text: string) => `a:\n  b: ${text}\n`;
  const texts = [
    FIRST_DOCUMENT,
    "a: 1\nb:\n- x\n- y\nc:\n  - x: 1\n    y: 2\n  - x: 3\nd:\ne: {}\nf: []\n",
    "- a: 1\n- a: 2\n",
    "\n\na: 1\n\n",
    "a: 1\n b: 2\n",
    "a:\n    b: 1\n  c: 2\n",
    "a: 1\na: 2\n",
    "- a\n -b\n",
    "a\n",
    "a: b: c\n",
    "a:b\n",
    "a: 1 # comment\n",
    "# comment\na: 1\n",
    "a:\tb\n",
    "a: &x 1\nb: *x\n",
    "- - 1\n  - 2\n",
    "a:\n- b\n- c: d\n  e: f\n",
    "a: |\n  text\n",
    "a: 1\n---\nb: 2\n",
    "a: [1, 2]\n",
    "__proto__: 1\n",
    "a: x\n  y\n",
    ...[
      "1",
      "-1",
      "- 1",
      "-",
      "~",
      "null",
      "12:30:00 x",
      "a:",
      "a :b",
      "a#b",
      "a #b",
      '"a"',
      '"a\\"b"',
      "'a'",
      "a'b",
      '"',
      "!x",
      "%x",
      "@x",
      "`x",
      "a  b",
      "a ",
      "/x",
      ".5",
      "...",
      "---",
      "?",
      "a, b",
      "a]",
      "{",
      "a\r",
      "é",
      "a\u00a0b",
    ].map(value),
  ];
  let plain = 0;
  for (const text of texts) {
    const fast = parsePlainYaml(text, 1);
    if (fast === undefined) continue;
    plain++;
    assert.deepEqual(strip(fast), strip(parseYaml(text)!), JSON.stringify(text));
  }
  assert(plain >= 15, `${plain}`);
  for (const profile of PROFILES) {
    const [block] = planProfile(profile, { maxTime: MAX_TIME, externalLabels: EU1 });
    const text = printBlockSpec({ ...block!, series: block!.series.slice(0, 50) });
    assert.deepEqual(parsePlainYaml(text, 1), parseYaml(text), profile);
  }
});

/** Without lines: those of empty values differ. */
function strip(node: YamlNode): unknown {
  if (node.kind === "list") return node.items.map(strip);
  if (node.kind === "map") return [...node.entries].map(([k, v]) => [k, strip(v)]);
  return [node.text, node.plain];
}
