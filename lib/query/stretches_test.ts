import assert from "node:assert/strict";
import { coarseChunk, rawChunks } from "../dedup/testing/coarse.ts";
import { RESOLUTION_1H, RESOLUTION_5M } from "../model/mod.ts";
import type { AggrChunk } from "../storeapi/mod.ts";
import { floatSeries } from "../storeapi/testing/fixtures.ts";
import { fillingsOf, isTold } from "./stretches.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Where a block of raw data begins; its first sample is 7 s later. */
const SEAM = 1_790_208_000_000;
const LOOKBACK = 5 * MINUTE;

/** Samples every 30 s from a time to another one, relative to the seam. */
function samples(from: number, to: number) {
  return floatSeries({}, SEAM + from, Math.floor((to - from) / 30_000), { step: 30_000 }).samples;
}
const raw = (from: number, to: number) => rawChunks(samples(from, to));
const coarse = (resolution: number, from: number, to: number) => [
  coarseChunk(samples(from, to), resolution),
];

interface Zoom {
  readonly from: number;
  readonly to: number;
  /** 0: an instant selector with a lookback of five minutes. */
  readonly range?: number;
}

/** What is told of a select for steps from a time to another one, relative to the seam. */
function told(
  resolution: number,
  chunks: readonly AggrChunk[],
  finer: readonly AggrChunk[],
  { from, to, range = 0 }: Zoom,
): string[] {
  const window = range === 0 ? LOOKBACK : range;
  const hints = { start: SEAM + from - window + 1, end: SEAM + to, range, window };
  return fillingsOf(resolution, chunks, finer, hints.start, hints.end)
    .filter((filling) => isTold(resolution, filling, hints))
    .map((f) => `${Math.round((f.from - SEAM) / 1000)} to ${Math.round((f.to - SEAM) / 1000)}`);
}

Deno.test("coarser data are told where the answer would have a hole, not at the seams of raw data", () => {
  const young = raw(7000, 3 * HOUR);
  const rows: [string, Zoom, string[]][] = [
    ["from the seam on", { from: 0, to: HOUR }, []],
    ["from the seam on, rates", { from: 0, to: HOUR, range: 5 * MINUTE }, []],
    ["a minute before", { from: -MINUTE, to: HOUR }, []],
    ["ten minutes before", { from: -10 * MINUTE, to: HOUR }, ["-900 to 0"]],
    ["ten minutes before, rates", { from: -10 * MINUTE, to: HOUR, range: MINUTE }, ["-660 to 0"]],
    ["before", { from: -HOUR, to: -HOUR / 2 }, ["-3900 to -1800"]],
    ["one moment before", { from: -HOUR, to: -HOUR }, ["-3900 to -3600"]],
    ["the moment of the seam", { from: 3000, to: 3000 }, ["-297 to 0"]],
    ["a moment just after", { from: MINUTE, to: MINUTE }, []],
    ["a moment whose range is mostly before", { from: HOUR, to: HOUR, range: 12 * HOUR }, [
      "-39600 to 0",
    ]],
    ["long after", { from: 2 * HOUR, to: 3 * HOUR }, []],
  ];
  for (const resolution of [RESOLUTION_5M, RESOLUTION_1H]) {
    const old = coarse(resolution, -48 * HOUR, 30_000);
    for (const [what, zoom, texts] of rows) {
      assert.deepEqual(told(resolution, old, young, zoom), texts, `${what}, ${resolution}`);
    }
  }
});

Deno.test("raw data that begin within the first coarse window leave no word", () => {
  // Both were made of the same samples: the first point ends a window that raw data cover.
  const young = raw(7000, 3 * HOUR);
  for (const resolution of [RESOLUTION_5M, RESOLUTION_1H]) {
    const same = coarse(resolution, 7000, 3 * HOUR);
    for (const from of [0, -HOUR]) {
      assert.deepEqual(told(resolution, same, young, { from, to: HOUR }), [], `${from}`);
    }
  }
});

Deno.test("a hole between finer data is told when it is longer than what is looked back", () => {
  const old = coarse(RESOLUTION_5M, -48 * HOUR, 48 * HOUR);
  const holed = (minutes: number) => [...raw(0, HOUR), ...raw(HOUR + minutes * MINUTE, 9 * HOUR)];
  const zoom = { from: 30 * MINUTE, to: 2 * HOUR };
  assert.deepEqual(told(RESOLUTION_5M, old, holed(9), zoom), []);
  assert.deepEqual(told(RESOLUTION_5M, old, holed(30), zoom), ["3570 to 5400"]);
  const end = { from: 30 * MINUTE, to: 90 * MINUTE };
  assert.deepEqual(told(RESOLUTION_5M, old, raw(0, HOUR), end), ["3570 to 5400"]);
});

Deno.test("a series that only coarser data hold is told, however short it is", () => {
  const brief = coarse(RESOLUTION_5M, -10 * MINUTE, -9 * MINUTE);
  assert.equal(told(RESOLUTION_5M, brief, [], { from: -8 * MINUTE, to: -8 * MINUTE }).length, 1);
  // Nothing of it is within the lookback of any step.
  assert.deepEqual(told(RESOLUTION_5M, brief, [], { from: 0, to: HOUR }), []);
});
