import assert from "node:assert/strict";
import { FrameTimeout, FrameWatch } from "./frame_watch.ts";

const never = <T>() => new Promise<T>(() => {});
const LONG = 60_000;

function watchOf(
  probe: ((signal: AbortSignal) => Promise<unknown>) | undefined,
  more: { responseTimeout?: number; silence?: number; probeTimeout?: number } = {},
): FrameWatch {
  return new FrameWatch({ responseTimeout: 0, silence: 1, probeTimeout: LONG, probe, ...more });
}

Deno.test("FrameWatch passes frames and failures on", async () => {
  const watch = watchOf(() => Promise.resolve());
  assert.equal(await watch.next(Promise.resolve(7)), 7);
  await assert.rejects(watch.next(Promise.reject(new Error("gone"))), /gone/);
  watch.close();
});

Deno.test("FrameWatch ends a silent store that does not answer a probe, by time or by failure", async () => {
  let aborted = false;
  const frozen = watchOf((signal) => {
    signal.addEventListener("abort", () => aborted = true);
    return never();
  }, { probeTimeout: 1 });
  await assert.rejects(
    frozen.next(never()),
    /code = Unavailable desc = no data for 1ms and no answer to a health probe within 1ms/,
  );
  assert.ok(aborted);
  frozen.close();
  const refused = watchOf(() => Promise.reject(new Error("refused")));
  await assert.rejects(refused.next(never()), /its health probe failed: refused/);
  refused.close();
});

Deno.test("FrameWatch lets a busy store that answers probes take its time", async () => {
  let probes = 0;
  let deliver!: (frame: string) => void;
  const watch = watchOf(() => {
    if (++probes === 3) deliver("at last");
    return Promise.resolve();
  });
  assert.equal(await watch.next(new Promise<string>((resolve) => deliver = resolve)), "at last");
  assert.equal(probes, 3);
  watch.close();
});

Deno.test("FrameWatch gives up after the response time-out even when probes are answered", async () => {
  const watch = watchOf(() => Promise.resolve(), { responseTimeout: 5 });
  await assert.rejects(watch.next(never()), FrameTimeout);
  watch.close();
  const plain = watchOf(undefined, { responseTimeout: 1 });
  await assert.rejects(plain.next(never()), FrameTimeout);
  plain.close();
});
