import { strict as assert } from "node:assert";
import { Random } from "../base/testing/random.ts";
import { EMPTY_LABELS } from "../model/mod.ts";
import { BlockSet, type ChoosableBlock } from "./block_set.ts";

const RAW = 0;
const MINUTES = 300_000;
const HOURS = 3_600_000;

function set(...blocks: [string, number, number, number][]): BlockSet<ChoosableBlock> {
  const made = new BlockSet<ChoosableBlock>(EMPTY_LABELS);
  for (const [ulid, resolution, minTime, maxTime] of blocks) {
    made.add({ ulid, resolution, minTime, maxTime });
  }
  return made;
}
const names = (blocks: readonly ChoosableBlock[]) => blocks.map((b) => b.ulid).join(" ");

Deno.test("BlockSet chooses blocks that touch the range, end excluded, in order of time", () => {
  const blocks = set(["c", RAW, 200, 300], ["a", RAW, 0, 100], ["b", RAW, 100, 200]);
  const rows: [number, number, string][] = [
    [0, 299, "a b c"],
    [0, 99, "a"],
    [0, 100, "a b"],
    [99, 99, "a"],
    [100, 100, "b"],
    [250, 1000, "c"],
    [300, 1000, ""],
    [-10, -1, ""],
    [50, 40, ""],
  ];
  for (const [from, to, expected] of rows) {
    assert.equal(names(blocks.choose(from, to, 0)), expected, `[${from}, ${to}]`);
  }
});

Deno.test("BlockSet takes the coarsest allowed resolution and fills gaps with finer ones", () => {
  const blocks = set(
    ["r0", RAW, 0, 100],
    ["r1", RAW, 100, 200],
    ["r2", RAW, 200, 300],
    ["r3", RAW, 300, 400],
    ["r4", RAW, 400, 500],
    ["m1", MINUTES, 100, 200],
    ["m2", MINUTES, 200, 300],
    ["h2", HOURS, 200, 300],
  );
  const rows: [number, string][] = [
    [0, "r0 r1 r2 r3 r4"],
    [MINUTES - 1, "r0 r1 r2 r3 r4"],
    [MINUTES, "r0 m1 m2 r3 r4"],
    [HOURS, "r0 m1 h2 r3 r4"],
    [HOURS * 100, "r0 m1 h2 r3 r4"],
  ];
  for (const [resolution, expected] of rows) {
    assert.equal(names(blocks.choose(0, 499, resolution)), expected, `${resolution}`);
  }
  assert.equal(names(blocks.choose(150, 250, HOURS)), "m1 h2");
});

Deno.test("BlockSet names a finer block once though it fills two gaps", () => {
  const blocks = set(["r", RAW, 0, 300], ["m1", MINUTES, 50, 100], ["m2", MINUTES, 150, 200]);
  assert.equal(names(blocks.choose(0, 299, MINUTES)), "r m1 m2");
});

Deno.test("BlockSet covers every moment that any allowed block covers", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new Random(seed);
    const all: [string, number, number, number][] = [];
    for (let i = 0; i < 8; i++) {
      const start = random.below(20);
      all.push([`b${i}`, random.pick([RAW, MINUTES, HOURS]), start, start + 1 + random.below(6)]);
    }
    const blocks = set(...all);
    for (const limit of [0, MINUTES, HOURS]) {
      const chosen = blocks.choose(0, 30, limit);
      assert.equal(new Set(chosen).size, chosen.length);
      for (let t = 0; t <= 30; t++) {
        const covers = (b: ChoosableBlock) => b.minTime <= t && t < b.maxTime;
        const possible = all
          .map(([ulid, resolution, minTime, maxTime]) => ({ ulid, resolution, minTime, maxTime }))
          .filter((b) => b.resolution <= limit && covers(b));
        const best = Math.max(-1, ...possible.map((b) => b.resolution));
        const got = chosen.filter(covers).map((b) => b.resolution);
        assert.ok(best < 0 || got.includes(best), `seed ${seed}, limit ${limit}, time ${t}`);
      }
    }
  }
});

Deno.test("BlockSet forgets removed blocks and lists what touches a range", () => {
  const blocks = set(["a", RAW, 0, 100], ["b", RAW, 100, 200], ["m", MINUTES, 0, 200]);
  assert.equal(names(blocks.touching(100, 300)), "m b");
  assert.equal(names(blocks.touching(0, 99)), "m a");
  const [m] = [...blocks.blocks()];
  assert.equal(blocks.remove(m!), true);
  assert.equal(blocks.remove(m!), false);
  assert.equal(blocks.size, 2);
  assert.equal(names(blocks.choose(0, 1000, HOURS)), "a b");
});

Deno.test("BlockSet takes coarser blocks only where it has nothing else, the finest first", () => {
  const day = 24 * HOURS;
  const blocks = set(
    ["r", RAW, 20 * day, 30 * day],
    ["m", MINUTES, 10 * day, 20 * day],
    ["h1", HOURS, 0, 10 * day],
    ["h2", HOURS, 10 * day, 20 * day],
  );
  const rows: [number, number, number, string][] = [
    // from, to, allowed, chosen
    [21 * day, 22 * day, RAW, "r"],
    [12 * day, 13 * day, RAW, "m"],
    [12 * day, 12 * day, RAW, "m"],
    [1 * day, 2 * day, RAW, "h1"],
    [1 * day, 2 * day, MINUTES, "h1"],
    // Hourly points beside the stretch without anything finer belong to it.
    [5 * day, 25 * day, RAW, "r h1 h2 m"],
    [15 * day, 25 * day, RAW, "r m"],
    [15 * day, 25 * day, HOURS, "h2 r"],
    // The point before the first one asked for may be in the block before.
    [10 * day, 11 * day, RAW, "m"],
  ];
  for (const [from, to, limit, expected] of rows) {
    assert.equal(
      names(blocks.choose(from, to, limit, true)),
      expected,
      `[${from}, ${to}] ${limit}`,
    );
  }
  assert.equal(names(blocks.choose(1 * day, 2 * day, RAW)), "");
  // Where nothing is at all, what lies beside it helps nobody.
  const whole = set(
    ["r", RAW, 10 * day, 20 * day],
    ["m", MINUTES, 10 * day, 15 * day],
    ["h", HOURS, 10 * day, 15 * day],
  );
  assert.equal(names(whole.choose(9 * day, 21 * day, RAW, true)), "r");
  assert.equal(names(whole.choose(1 * day, 2 * day, RAW, true)), "");
  // Milliseconds between a block's last sample and the next one's first are no gap.
  const seams = set(
    ["r0", RAW, 0, 2 * HOURS - 9000],
    ["r1", RAW, 2 * HOURS + 1000, 4 * HOURS],
    ["m", MINUTES, 0, 4 * HOURS],
  );
  assert.equal(names(seams.choose(0, 4 * HOURS - 1, RAW, true)), "r0 r1");
  assert.equal(names(seams.choose(2 * HOURS - 8000, 2 * HOURS - 5000, RAW, true)), "m");
  assert.equal(names(seams.choose(2 * HOURS - 8000, 3 * HOURS, RAW, true)), "r1");
});
