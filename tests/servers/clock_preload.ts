/**
 * A clock that is wrong, for processes in tests: loaded with `--preload` it moves the clock by
 * `MNEME_TEST_CLOCK` milliseconds.
 */
const shift = Number(Deno.env.get("MNEME_TEST_CLOCK"));
const RealDate = Date;
const now = () => RealDate.now() + shift;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, key, receiver) => key === "now" ? now : Reflect.get(target, key, receiver),
});
