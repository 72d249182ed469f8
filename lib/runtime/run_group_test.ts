/** Actors that live and end together. */
import assert from "node:assert/strict";
import { FakeClock } from "../base/mod.ts";
import { type Actor, every, runGroup } from "./run_group.ts";

/** An actor that runs until it is stopped and writes down what happens to it. */
function actor(name: string, log: string[], more: Partial<Actor> = {}): Actor {
  return {
    name,
    start: () => void log.push(`${name} start`),
    run: (signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          log.push(`${name} stop`);
          resolve();
        });
      }),
    ...more,
  };
}

Deno.test("runGroup() starts in order and stops in reverse when one ends", async () => {
  const log: string[] = [];
  let end!: () => void;
  const ending = new Promise<void>((resolve) => end = resolve);
  const done = runGroup(
    [actor("a", log), actor("b", log, { run: () => ending }), actor("c", log)],
    {
      onStarted: () => log.push("started"),
      onStopping: () => log.push("stopping"),
    },
  );
  await Promise.resolve();
  setTimeout(end, 0);
  await done;
  assert.deepEqual(log, [
    "a start",
    "b start",
    "c start",
    "started",
    "stopping",
    "c stop",
    "a stop",
  ]);
});

Deno.test("runGroup() waits for an actor to end before it stops the one below", async () => {
  const log: string[] = [];
  const controller = new AbortController();
  const slow: Actor = {
    name: "slow",
    run: (signal) =>
      new Promise((resolve) => {
        signal.addEventListener("abort", () =>
          setTimeout(() => {
            log.push("drained");
            resolve();
          }, 5));
      }),
  };
  await runGroup([actor("bucket", log), slow], {
    signal: controller.signal,
    onStarted: () => controller.abort(),
  });
  assert.deepEqual(log, ["bucket start", "drained", "bucket stop"]);
});

Deno.test("runGroup() throws the first failure, not its consequences", async () => {
  const log: string[] = [];
  const late: Actor = {
    name: "late",
    run: (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new Error("consequence")));
      }),
  };
  const group = [late, actor("b", log, { run: () => Promise.reject(new Error("cause")) })];
  await assert.rejects(runGroup(group), { message: "cause" });
});

Deno.test("runGroup() stops what has started when a later one cannot start", async () => {
  const log: string[] = [];
  const broken = actor("b", log, {
    start: () => {
      throw new Error("port in use");
    },
  });
  await assert.rejects(runGroup([actor("a", log), broken, actor("c", log)]), {
    message: "port in use",
  });
  assert.deepEqual(log, ["a start", "a stop"]);
});

Deno.test("runGroup() starts nothing when it is stopped before it begins", async () => {
  const log: string[] = [];
  await runGroup([actor("a", log)], { signal: AbortSignal.abort() });
  assert.deepEqual(log, []);
});

Deno.test("every() works at once, then once a period, and ends when stopped", async () => {
  const clock = new FakeClock();
  const controller = new AbortController();
  const at: number[] = [];
  const loop = every(
    "loop",
    1000,
    () => {
      at.push(clock.now());
      return Promise.resolve();
    },
    (ms, signal) => clock.sleep(ms, signal),
  );
  const done = loop.run(controller.signal);
  await clock.advance(2500);
  controller.abort();
  await done;
  assert.deepEqual(at, [0, 1000, 2000]);
});
