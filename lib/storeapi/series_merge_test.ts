import assert from "node:assert/strict";
import { permutations, subsets } from "../base/testing/exhaustive.ts";
import { Random } from "../base/testing/random.ts";
import { compareLabels, formatLabels, labelsFromRecord } from "../model/mod.ts";
import { joinChunks, type MergeOptions, mergeSeries } from "./series_merge.ts";
import type { AggrChunk, Series, SeriesFrame } from "./types.ts";

const data = (...values: number[]) => ({ encoding: 1, data: Uint8Array.from(values) });

function raw(minTime: number, maxTime: number, ...values: number[]): AggrChunk {
  return { minTime, maxTime, raw: data(...values) };
}

function series(name: string, ...chunks: AggrChunk[]): Series {
  return { labels: labelsFromRecord({ name }), chunks };
}

async function* frames(...list: Partial<SeriesFrame>[]): AsyncIterable<SeriesFrame> {
  for (const frame of list) {
    await Promise.resolve();
    yield { series: [], warnings: [], ...frame };
  }
}

/** `name:min-max/bytes` of everything, one text a series. */
function show(s: Series): string {
  const chunks = s.chunks.map((c) => `${c.minTime}-${c.maxTime}/${c.raw?.data.join(".") ?? "?"}`);
  return `${s.labels[1]} ${chunks.join(" ")}`.trim();
}

async function merged(
  inputs: readonly AsyncIterable<SeriesFrame>[],
  options: MergeOptions = {},
): Promise<{ series: string[]; warnings: string[]; frames: SeriesFrame[] }> {
  const all: SeriesFrame[] = [];
  for await (const frame of mergeSeries(inputs, options)) all.push(frame);
  return {
    series: all.flatMap((f) => f.series.map(show)),
    warnings: all.flatMap((f) => f.warnings),
    frames: all,
  };
}

Deno.test("mergeSeries() of nothing is nothing", async () => {
  assert.deepEqual((await merged([])).frames, []);
  assert.deepEqual((await merged([frames(), frames({})])).frames, []);
});

Deno.test("mergeSeries() joins equal series of many inputs and of consecutive frames", async () => {
  const a = frames(
    { series: [series("a", raw(0, 9, 1))] },
    { series: [series("a", raw(10, 19, 2)), series("c", raw(0, 9, 3))] },
  );
  const b = frames({ series: [series("a", raw(5, 14, 4)), series("b"), series("c")] });
  assert.deepEqual((await merged([a, b])).series, ["a 0-9/1 5-14/4 10-19/2", "b", "c 0-9/3"]);
});

Deno.test("mergeSeries() equals a sort for every way to spread series over inputs", async () => {
  const names = ["a", "b", "c", "d"];
  for (const first of subsets(names)) {
    for (const second of subsets(names)) {
      for (const batchSize of [1, 3]) {
        const inputs = [first, second, names].map((list, i) =>
          frames(...list.map((n) => ({ series: [series(n, raw(i * 10, i * 10 + 5, i))] })))
        );
        const expected = names.map((n) => {
          const chunks = [first, second, names].flatMap((l, i) =>
            l.includes(n) ? [raw(i * 10, i * 10 + 5, i)] : []
          );
          return show(series(n, ...chunks));
        });
        assert.deepEqual((await merged(inputs, { batchSize })).series, expected);
      }
    }
  }
});

Deno.test("mergeSeries() agrees with a sort on random inputs", async () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new Random(seed);
    const inputs: Series[][] = Array.from({ length: random.between(1, 9) }, () => {
      const list = Array.from({ length: random.below(40) }, () => {
        const t = random.below(50) * 10;
        return series(`s${random.below(30)}`, raw(t, t + 9, random.below(3)));
      });
      return list.sort((x, y) => compareLabels(x.labels, y.labels));
    });
    const expected = new Map<string, AggrChunk[]>();
    for (const s of inputs.flat()) {
      const key = formatLabels(s.labels);
      expected.set(key, [...expected.get(key) ?? [], ...s.chunks]);
    }
    const wanted = [...expected].sort(([x], [y]) => x < y ? -1 : 1).map(([, chunks]) => {
      const unique = new Map(chunks.map((c) => [`${c.minTime} ${c.raw!.data}`, c]));
      return [...unique.values()]
        .sort((x, y) => x.minTime - y.minTime || y.raw!.data[0]! - x.raw!.data[0]!)
        .map((c) => `${c.minTime}/${c.raw!.data}`).join(" ");
    });
    const got: string[] = [];
    const streams = inputs.map((list) => {
      const parts: Partial<SeriesFrame>[] = [];
      for (let i = 0; i < list.length;) {
        const n = random.between(1, 5);
        parts.push({ series: list.slice(i, i + n) });
        i += n;
      }
      return frames(...parts);
    });
    let last: Series | undefined;
    for await (const frame of mergeSeries(streams, { batchSize: random.between(1, 7) })) {
      for (const s of frame.series) {
        assert.ok(last === undefined || compareLabels(last.labels, s.labels) < 0, `seed ${seed}`);
        last = s;
        got.push(s.chunks.map((c) => `${c.minTime}/${c.raw!.data}`).join(" "));
      }
    }
    assert.deepEqual(got, wanted, `seed ${seed}`);
  }
});

Deno.test("mergeSeries() passes on series that only one input has as they are", async () => {
  const only = series("a", raw(0, 9, 1), raw(10, 19, 2));
  const { frames: [frame] } = await merged([frames({ series: [only] }), frames()]);
  assert.equal(frame!.series[0], only);
});

Deno.test("mergeSeries() sends warnings and hints in place and stops at the limit", async () => {
  const hints = { typeUrl: "u", value: new Uint8Array(0) };
  const a = frames({ warnings: ["w1"], series: [series("a")] }, { hints }, { warnings: ["w2"] });
  const b = frames({ series: [series("b"), series("c")] });
  const all = await merged([a, b], { batchSize: 1 });
  assert.deepEqual(all.warnings, ["w1", "w2"]);
  assert.deepEqual(all.frames.filter((f) => f.hints !== undefined).length, 1);
  assert.deepEqual(all.series, ["a", "b", "c"]);
  const c = frames({ series: ["a", "b", "c", "d"].map((n) => series(n)) });
  assert.deepEqual((await merged([c], { limit: 2, batchSize: 64 })).series, ["a", "b"]);
});

Deno.test("mergeSeries() closes every input when one fails or the reader stops", async () => {
  const closed: string[] = [];
  async function* endless(name: string): AsyncIterable<SeriesFrame> {
    try {
      for (let i = 0;; i++) {
        await Promise.resolve();
        yield { series: [series(`${name}${String(i).padStart(6, "0")}`)], warnings: [] };
      }
    } finally {
      closed.push(name);
    }
  }
  async function* failing(): AsyncIterable<SeriesFrame> {
    yield { series: [series("a")], warnings: [] };
    await Promise.resolve();
    throw new Error("broken");
  }
  await assert.rejects(merged([endless("x"), failing(), endless("y")]), /broken/);
  assert.deepEqual(closed.sort(), ["x", "y"]);
  closed.length = 0;
  for await (const _ of mergeSeries([endless("x"), endless("y")])) break;
  await Promise.resolve();
  assert.deepEqual(closed.sort(), ["x", "y"]);
});

Deno.test("joinChunks() returns the same array when nothing overlaps", () => {
  const chunks = [raw(0, 9), raw(10, 19), raw(30, 39)];
  assert.equal(joinChunks(chunks), chunks);
});

Deno.test("joinChunks() sorts by times, then larger content first, and drops duplicates", () => {
  const chunks = [
    raw(0, 9, 1),
    raw(0, 9, 2),
    raw(0, 9, 1),
    raw(0, 9, 1, 0),
    raw(0, 5, 7),
    raw(5, 6, 8),
  ];
  const expected = ["0-5/7", "0-9/2", "0-9/1.0", "0-9/1", "5-6/8"];
  for (const order of permutations(chunks)) {
    const joined = joinChunks(order);
    assert.deepEqual(joined.map((c) => show(series("x", c)).slice(2)), expected);
  }
});

Deno.test("joinChunks() tells downsampled chunks by their first part not seen before", () => {
  const chunk = (count: number, sum: number): AggrChunk => ({
    minTime: 0,
    maxTime: 9,
    count: data(count),
    sum: data(sum),
  });
  const show = (list: readonly AggrChunk[]) =>
    list.map((c) => `${c.count!.data[0]}:${c.sum!.data[0]}`);
  // Another sum under an equal count is another chunk; a third equal one is a duplicate.
  assert.deepEqual(show(joinChunks([chunk(1, 5), chunk(1, 6)])), ["1:6", "1:5"]);
  assert.deepEqual(show(joinChunks([chunk(1, 5), chunk(1, 5), chunk(1, 5)])), ["1:5", "1:5"]);
  // A raw chunk comes before one without.
  const mixed = joinChunks([chunk(1, 5), raw(0, 9, 0)]);
  assert.notEqual(mixed[0]!.raw, undefined);
});
