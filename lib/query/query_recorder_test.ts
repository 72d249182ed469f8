import assert from "node:assert/strict";
import { QueryRecorder } from "./query_recorder.ts";

const report = {
  address: "b:1",
  milliseconds: 5,
  firstFrame: 2,
  bytes: 100,
  frames: 1,
  series: 3,
  chunks: 6,
  samples: 720,
  error: undefined,
};

Deno.test("QueryRecorder adds up what a store did over all selects", () => {
  const recorder = new QueryRecorder();
  recorder.store(report);
  recorder.store({ ...report, milliseconds: 9, firstFrame: 1, error: "late" });
  recorder.store({ ...report, address: "a:1", firstFrame: undefined, frames: 0, series: 0 });
  const [a, b] = recorder.stores();
  assert.deepEqual([a!.address, a!.firstByte, a!.error], ["a:1", undefined, undefined]);
  assert.deepEqual(b, {
    address: "b:1",
    duration: 9,
    firstByte: 1,
    bytes: 200,
    frames: 2,
    series: 6,
    chunks: 12,
    samples: 1440,
    error: "late",
  });
  assert.deepEqual([recorder.series, recorder.samples, recorder.bytes], [6, 2160, 300]);
});

Deno.test("QueryRecorder joins stretches of one resolution and keeps gaps", () => {
  const recorder = new QueryRecorder();
  for (const [from, to] of [[0, 10], [5, 20], [3, 4], [40, 50], [15, 30]]) {
    recorder.covered(0, from!, to!);
  }
  recorder.covered(300_000, 100, 200);
  recorder.covered(300_000, 60, 99.5);
  recorder.covered(0, 9, 8);
  assert.deepEqual(recorder.coverage(), [
    { resolution: 0, minTime: 0, maxTime: 30 },
    { resolution: 0, minTime: 40, maxTime: 50 },
    { resolution: 300_000, minTime: 60, maxTime: 99.5 },
    { resolution: 300_000, minTime: 100, maxTime: 200 },
  ]);
});
