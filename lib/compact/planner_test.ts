import assert from "node:assert/strict";
import { labelsFromRecord } from "../model/mod.ts";
import { type BlockMeta, makeThanosMeta } from "../tsdb/mod.ts";
import { Random } from "../base/testing/random.ts";
import { groupBlocks } from "./group.ts";
import { PlanChain } from "./plan_chain.ts";
import {
  byStart,
  type CompactionPlan,
  overlapping,
  planAll,
  planGroup,
  splitByRange,
} from "./planner.ts";

const HOUR = 3_600_000;

/** A block of hours [from, to). */
function block(n: number, from: number, to: number, more: Partial<BlockMeta> = {}): BlockMeta {
  const ulid = `01HF7YAT00${String(n).padStart(16, "0")}`;
  return {
    ulid,
    minTime: from * HOUR,
    maxTime: to * HOUR,
    stats: {
      numSamples: 10,
      numFloatSamples: 10,
      numHistogramSamples: 0,
      numSeries: 10,
      numChunks: 10,
      numTombstones: 0,
    },
    compaction: {
      level: 1,
      sources: [ulid],
      deletable: false,
      parents: [],
      failed: false,
      hints: [],
    },
    thanos: makeThanosMeta({ labels: labelsFromRecord({ a: "1" }) }),
    ...more,
  };
}

/** Blocks of two hours that start at these hours. */
function twoHours(...starts: number[]): BlockMeta[] {
  return starts.map((start, i) => block(i, start, start + 2));
}

const NONE = new Set<string>();

function planned(metas: readonly BlockMeta[], excluded = NONE, cautious = false): number[] {
  const plan = planGroup(byStart(metas), excluded, 4, cautious);
  return plan?.blocks.map((meta) => meta.minTime / HOUR) ?? [];
}

Deno.test("planGroup() joins blocks that fill a range, the smallest range first", () => {
  assert.deepEqual(planned(twoHours(0)), []);
  assert.deepEqual(planned(twoHours(0, 2, 4, 6)), []); // The newest block is never taken.
  assert.deepEqual(planned(twoHours(0, 2, 4, 6, 8)), [0, 2, 4, 6]);
  // A part is taken once it lies in the past.
  assert.deepEqual(planned(twoHours(0, 2, 8)), []);
  assert.deepEqual(planned(twoHours(0, 2, 8, 10)), [0, 2]);
  assert.deepEqual(planned(twoHours(0, 4, 8, 10)), [0, 4]);
  // Two ranges of 8h make no 2d, six do.
  const eights = [0, 8, 16, 24, 32, 40].map((h, i) => block(i, h, h + 8));
  assert.deepEqual(planned([...eights.slice(0, 2), block(9, 16, 18)]), []);
  assert.deepEqual(planned([...eights, block(9, 48, 50)]), [0, 8, 16, 24, 32, 40]);
  assert.deepEqual(planned([...eights, ...twoHours(48, 50, 52, 54, 56)]), [48, 50, 52, 54]);
});

Deno.test("planGroup() keeps to the highest level", () => {
  const metas = byStart(twoHours(0, 2, 4, 6, 8));
  assert.equal(planGroup(metas, NONE, 1), undefined);
  assert.equal(planGroup(metas, NONE, 2)?.blocks.length, 4);
});

Deno.test("planGroup() takes overlaps before anything else", () => {
  const metas = [...twoHours(0, 2, 4, 6, 8), block(9, 3, 5)];
  const plan = planGroup(byStart(metas), NONE, 4)!;
  assert.equal(plan.kind, "overlap");
  assert.deepEqual(plan.blocks.map((m) => m.minTime / HOUR), [2, 3, 4]);
});

Deno.test("planGroup() cuts a range at blocks that must stay", () => {
  const metas = twoHours(0, 2, 4, 6, 8);
  const marked = (n: number) => new Set([metas[n]!.ulid]);
  assert.deepEqual(planned(metas, marked(1)), [4, 6]);
  assert.deepEqual(planned(metas, marked(2)), [0, 2]);
  assert.deepEqual(planned(metas, new Set([metas[1]!.ulid, metas[2]!.ulid])), []);
});

Deno.test("planGroup() leaves ranges alone that hold a failed or misaligned block", () => {
  const failed = twoHours(0, 2, 4, 6, 8);
  failed[1] = block(1, 2, 4, { compaction: { ...failed[1]!.compaction, failed: true } });
  assert.deepEqual(planned(failed), []);
  assert.deepEqual(planned([block(9, 1, 9), ...twoHours(10, 12, 14, 16, 18)]), [10, 12, 14]);
});

Deno.test("planGroup() joins nothing across a hole while a block cannot be read", () => {
  assert.deepEqual(planned(twoHours(0, 4, 6, 8), NONE, false), [0, 4, 6]);
  assert.deepEqual(planned(twoHours(0, 4, 6, 8), NONE, true), []);
  assert.deepEqual(planned(twoHours(2, 4, 6, 8), NONE, true), []);
  assert.deepEqual(planned(twoHours(0, 2, 4, 8, 10), NONE, true), []);
  // A range without a hole goes on.
  assert.deepEqual(planned(twoHours(0, 4, 8, 10, 12, 14, 16), NONE, true), [8, 10, 12, 14]);
});

Deno.test("planGroup() writes large blocks again for their deletions", () => {
  const stats = { ...block(0, 0, 1).stats, numTombstones: 1 };
  const eight = block(0, 0, 8, { stats });
  assert.deepEqual(planned([eight, block(1, 8, 10)]), [0]);
  const plan = planGroup([eight, block(1, 8, 10)], NONE, 4)!;
  assert.equal(plan.kind, "tombstones");
  assert.deepEqual(planned([block(0, 0, 2, { stats }), block(1, 8, 10)]), []);
  assert.deepEqual(planned([eight, block(1, 8, 10)], new Set([eight.ulid])), []);
});

Deno.test("splitByRange() aligns ranges, also before 1970", () => {
  const starts = (metas: BlockMeta[], range: number) =>
    splitByRange(metas, range * HOUR).map((part) => part.map((m) => m.minTime / HOUR));
  assert.deepEqual(starts(twoHours(0, 2, 6, 8, 14), 8), [[0, 2, 6], [8, 14]]);
  assert.deepEqual(starts(twoHours(-10, -8, -2, 0), 8), [[-10], [-8, -2], [0]]);
});

Deno.test("overlapping() finds the first cluster", () => {
  const starts = (...metas: BlockMeta[]) =>
    overlapping(byStart(metas)).map((m) => m.minTime / HOUR);
  assert.deepEqual(starts(...twoHours(0, 2, 4)), []);
  assert.deepEqual(starts(block(0, 0, 10), block(1, 2, 4), block(2, 6, 8), block(3, 9, 11)), [
    0,
    2,
    6,
    9,
  ]);
  assert.deepEqual(starts(...twoHours(0, 2), block(5, 3, 5), ...twoHours(6, 7)), [2, 3]);
});

Deno.test("planAll() drawn together makes the blocks that one plan after the other makes", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const metas: BlockMeta[] = [];
    const marked = new Set<string>();
    let hour = random.below(48);
    for (let i = 0; i < 5 + random.below(60); i++) {
      const span = random.chance(0.1) ? 8 : 2;
      const from = random.chance(0.05) ? hour - 1 : hour;
      metas.push(block(i, from, from + span));
      if (random.chance(0.06)) marked.add(metas[i]!.ulid);
      hour += random.chance(0.1) ? span + random.below(20) : span;
    }
    const [group] = groupBlocks(metas);
    const made = (next: (metas: readonly BlockMeta[]) => CompactionPlan[]) => {
      let n = 0;
      const chain = new PlanChain(group!, () => `01HF7YAT01${String(n++).padStart(16, "0")}`);
      while (chain.add(next(chain.metas)) > 0);
      return chain.metas.map((
        m,
      ) => [m.minTime, m.maxTime, m.compaction.level, m.compaction.sources]);
    };
    assert.deepEqual(
      made((all) => planAll(all, marked, 4)),
      made((all) => {
        const plan = planGroup(all, marked, 4);
        return plan === undefined ? [] : [plan];
      }),
      `seed ${seed}`,
    );
  }
});
