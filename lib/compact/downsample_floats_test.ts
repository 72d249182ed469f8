import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import { aggregateFloats } from "./downsample_floats.ts";
import { FloatWindows } from "./downsample_windows.ts";

Deno.test("aggregateFloats() counts rises, resets, zeros and infinities as they come", () => {
  const odd = [0, -0, 1, -5, 0.1, Infinity, -Infinity, 1e300, -1e300];
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const n = 2 + random.below(300);
    const t = Float64Array.from({ length: n }, (_, i) => i * 15_000 + random.below(10));
    const v = Float64Array.from(
      t,
      () =>
        seed % 3 === 0 && random.chance(0.1)
          ? odd[random.below(odd.length)]!
          : random.below(1000) / (seed % 2 === 0 ? 7 : 1) - (seed % 5 === 0 ? 500 : 0),
    );
    const out = new FloatWindows();
    aggregateFloats(t, v, 0, n, 300_000, out);
    let counter = v[0]!;
    let window = 1;
    for (let i = 1; i <= n; i++) {
      if (i === n || t[i]! > Math.floor(t[i - 1]! / 300_000) * 300_000 + 299_999) {
        const got = out.counter[window++]!;
        assert(Object.is(got, counter), `seed ${seed} window ${window}: ${got} for ${counter}`);
      }
      if (i < n) counter += v[i]! < v[i - 1]! ? v[i]! : v[i]! - v[i - 1]!;
    }
    assert.equal(out.length, window - 1);
  }
});
