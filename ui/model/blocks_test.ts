import assert from "node:assert/strict";
import { firstEndingAfter, readBlock, toStreams } from "./blocks.ts";
import { findGaps, findOverlaps, layLanes, type Stretch } from "./lanes.ts";

const at = (minTime: number, maxTime: number): Stretch => ({ minTime, maxTime });

Deno.test("layLanes() puts overlapping stretches on different lanes, and uses few", () => {
  const rows = [at(0, 10), at(10, 20), at(5, 15), at(0, 30), at(20, 25), at(16, 18)];
  const { lanes, count } = layLanes(rows);
  assert.equal(count, 3);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < i; j++) {
      const overlap = rows[i]!.minTime < rows[j]!.maxTime && rows[j]!.minTime < rows[i]!.maxTime;
      if (overlap) assert.notEqual(lanes[i], lanes[j], `${i} and ${j}`);
    }
  }
  assert.deepEqual(layLanes([]), { lanes: new Uint16Array(), count: 0 });
});

Deno.test("findOverlaps() names each overlap once with the furthest block before it", () => {
  const [a, b, c, d] = [at(0, 100), at(10, 20), at(50, 60), at(100, 110)];
  assert.deepEqual(findOverlaps([d, c, b, a]), [[a, b], [a, c]]);
  assert.deepEqual(findOverlaps([]), []);
});

Deno.test("findGaps() sees through overlaps", () => {
  assert.deepEqual(findGaps([at(30, 40), at(0, 25), at(5, 10), at(40, 50)]), [at(25, 30)]);
  assert.deepEqual(findGaps([]), []);
});

function block(
  ulid: string,
  minTime: number,
  maxTime: number,
  level = 1,
  resolution = 0,
  labels: Record<string, string> = { c: "x" },
) {
  return readBlock({
    ulid,
    minTime,
    maxTime,
    compaction: { level },
    thanos: {
      labels,
      downsample: { resolution },
      files: [{ rel_path: "index", size_bytes: 5 }, { rel_path: "meta.json" }],
    },
  });
}

const ALL = { search: "", level: 0, overlapsOnly: false };

Deno.test("toStreams() groups by labels, or by the chosen one, with a lane for each level and resolution", () => {
  const blocks = [
    block("A", 0, 10),
    block("B", 10, 20),
    block("C", 5, 12),
    block("D", 0, 20, 2),
    block("E", 0, 20, 2, 300_000),
    block("F", 0, 10, 1, 0, { c: "y", d: "1" }),
    block("G", 0, 10, 1, 0, { c: "y", d: "2" }),
  ];
  const streams = toStreams(blocks, "", ALL);
  assert.deepEqual(streams.map(({ title }) => title), ['c="x"', 'c="y", d="1"', 'c="y", d="2"']);
  assert.deepEqual(
    streams[0]!.lanes.map((
      l,
    ) => [l.level, l.resolution, l.first, l.blocks.map((b) => b.ulid).join("")]),
    [[1, 0, true, "AB"], [1, 0, false, "C"], [2, 0, true, "D"], [2, 300_000, true, "E"]],
  );
  assert.equal(streams[0]!.size, 25);
  assert.deepEqual(toStreams(blocks, "c", ALL).map(({ title, blocks }) => [title, blocks.length]), [
    ["x", 5],
    ["y", 2],
  ]);
  assert.deepEqual(toStreams(blocks, "", { ...ALL, search: "g" })[0]!.blocks.map((b) => b.ulid), [
    "G",
  ]);
  assert.deepEqual(toStreams(blocks, "", { ...ALL, level: 2 })[0]!.blocks.map((b) => b.ulid), [
    "D",
    "E",
  ]);
  const overlapping = toStreams(blocks, "", { ...ALL, overlapsOnly: true });
  assert.deepEqual(overlapping.map((s) => s.blocks.map((b) => b.ulid).join("")), ["ABCD"]);
});

Deno.test("readBlock() gets by with the least a list may hold", () => {
  const mark = { file: "deletion-mark.json", details: "d" };
  const { marks, size, level, labels } = readBlock({ ulid: "X", minTime: 0, maxTime: 1 }, [mark]);
  assert.deepEqual({ marks, size, level, labels }, {
    marks: [mark],
    size: undefined,
    level: 0,
    labels: {},
  });
});

Deno.test("firstEndingAfter() finds the first block to draw", () => {
  const row = [block("A", 0, 10), block("B", 10, 20), block("C", 30, 40)];
  assert.deepEqual([-1, 0, 9, 10, 19, 20, 39, 40].map((t) => firstEndingAfter(row, t)), [
    0,
    0,
    0,
    1,
    1,
    2,
    2,
    3,
  ]);
});
