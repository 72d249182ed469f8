import assert from "node:assert/strict";
import { runBench } from "../base/testing/bench.ts";
import { LimitError, MnemeError } from "../base/mod.ts";
import { bitsOf, isStaleAt, labelsFromRecord, type Matcher, setStaleAt } from "../model/mod.ts";
import { Builder } from "./build.ts";
import { bench } from "./engine_bench.ts";
import { Engine } from "./engine.ts";
import { tileFor } from "./operator.ts";
import { explainText } from "./plan_print.ts";
import { QueryContext } from "./query_context.ts";
import type { SelectedSeries, SelectHints, Storage } from "./storage.ts";
import { MemoryStorage } from "./testing_storage.ts";
import type { MatrixValue, VectorValue } from "./value.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** `series` series of `samples` samples each, one every 15 s, counting up; the last one is stale. */
function counters(series: number, samples: number): MemoryStorage {
  const storage = new MemoryStorage();
  for (let s = 0; s < series; s++) {
    const t = Array.from({ length: samples }, (_, i) => i * 15 * SECOND);
    const v = Float64Array.from(t, (_, i) => i * (s + 1));
    if (s === series - 1) setStaleAt(bitsOf(v), samples - 1);
    storage.add(
      labelsFromRecord({ __name__: "c_total", i: String(s), group: String(s % 3) }),
      t,
      v,
    );
  }
  return storage;
}

function text(value: VectorValue): string[] {
  return value.labels.map((l, i) => `${l.join(",")} ${value.v[i]}`);
}

Deno.test("instantQuery() leaves series out whose newest sample is a staleness marker", async () => {
  const storage = counters(3, 10);
  const { value } = await new Engine().instantQuery({ query: "c_total", storage, time: 135_000 });
  assert.deepEqual(text(value as VectorValue), [
    "__name__,c_total,group,0,i,0 9",
    "__name__,c_total,group,1,i,1 18",
  ]);
});

Deno.test("range selectors skip staleness markers and keep the bits of other NaNs", async () => {
  const storage = new MemoryStorage();
  const v = Float64Array.of(1, 2, 3, 4);
  const bits = bitsOf(v);
  setStaleAt(bits, 1);
  bits[4] = 0xdeadbeef;
  bits[5] = 0x7ff80123;
  storage.add(labelsFromRecord({ __name__: "x" }), [0, 15_000, 30_000, 45_000], v);
  const engine = new Engine();
  const raw = await engine.instantQuery({ query: "x[5m]", storage, time: MINUTE });
  const [series] = (raw.value as MatrixValue).series;
  assert.deepEqual([...series!.t], [0, 30_000, 45_000]);
  assert.deepEqual([...bitsOf(series!.v).subarray(2, 4)], [0xdeadbeef, 0x7ff80123]);
  const selected = await engine.rangeQuery({
    query: "x",
    storage,
    start: 0,
    end: 45_000,
    step: 15_000,
  });
  const [row] = (selected.value as MatrixValue).series;
  assert.deepEqual([...row!.t], [0, 30_000, 45_000]);
  assert.deepEqual([...bitsOf(row!.v).subarray(2, 4)], [0xdeadbeef, 0x7ff80123]);
  assert(![0, 1, 2].some((i) => isStaleAt(bitsOf(row!.v), i)));
});

Deno.test("a query that would hold too many samples is refused, one that streams is not", async () => {
  const storage = counters(200, 400);
  const engine = new Engine({ maxSamples: 40_000 });
  const range = { storage, start: 0, end: 400 * 15 * SECOND, step: 15 * SECOND };
  const { stats } = await engine.rangeQuery({ ...range, query: "sum(rate(c_total[5m]))" });
  assert(stats.peakSamples < 10_000, `peak ${stats.peakSamples}`);
  assert(stats.totalSamples > 200 * 400 * 15, `total ${stats.totalSamples}`);
  await assert.rejects(
    engine.rangeQuery({ ...range, query: "c_total" }),
    (error: unknown) =>
      error instanceof LimitError &&
      error.message ===
        "query processing would load too many samples into memory in query execution",
  );
});

Deno.test("samples held during a query are all given back", async () => {
  const storage = counters(7, 100);
  const engine = new Engine();
  for (
    const query of [
      "topk(2, c_total) / on (i) c_total",
      "quantile(0.5, c_total) + sum(c_total) - count(c_total and c_total)",
      "rate(c_total[5m]) * 2 > rate(c_total[5m])",
      "max_over_time(sum by (group) (rate(c_total[1m]))[10m:30s])",
      "count_values('v', c_total) or absent(c_total{i='9'})",
      "c_total * on (group) group_left () sum by (group) (c_total offset 1m)",
      "label_replace(c_total, 'i', '', '', '') unless c_total",
      "histogram_quantile(0.5, label_replace(c_total, 'le', '$1', 'i', '(.*)'))",
    ]
  ) {
    const times = { start: 0, end: 20 * MINUTE, step: 30 * SECOND, instant: false };
    const context = new QueryContext({
      storage,
      signal: new AbortController().signal,
      maxSamples: 20_000,
      deadline: Infinity,
      features: engine.features,
      turn: () => Promise.resolve(),
    });
    const root = new Builder(context).build(engine.plan(query, times));
    let held = 0;
    try {
      const { labels } = await root.series();
      const tile = tileFor(root.grid);
      for (let rows = 0, n = 1; n > 0; rows += n) {
        n = await root.next(tile);
        held = Math.max(held, context.current);
        assert(rows + n <= labels.length, query);
      }
    } catch (error) {
      assert.match(String(error), /labelset/, query);
    }
    root.close();
    assert(held > 0 || context.peak > 0, query);
    assert.equal(context.current, 0, query);
    root.close();
    assert.equal(context.current, 0, `${query}: closed twice`);
  }
});

Deno.test("an aborted signal ends a query that waits for storage at once", async () => {
  const storage: Storage = {
    select: (_: readonly Matcher[], __: SelectHints) => new Promise<SelectedSeries>(() => {}),
  };
  const controller = new AbortController();
  const running = new Engine().instantQuery({
    query: "up",
    storage,
    time: 0,
    signal: controller.signal,
  });
  controller.abort();
  await assert.rejects(
    running,
    (error: unknown) =>
      error instanceof MnemeError && error.kind === "canceled" &&
      error.message === "query was canceled in expression evaluation",
  );
});

Deno.test("an aborted signal ends a query that computes", async () => {
  const storage = counters(3000, 60);
  const controller = new AbortController();
  let turns = 0;
  const engine = new Engine({
    turn: () => {
      if (++turns === 2) controller.abort();
      return Promise.resolve();
    },
  });
  const before = storage.reads;
  await assert.rejects(
    engine.rangeQuery({
      query: "sum(stddev_over_time(c_total[10m]))",
      storage,
      start: 0,
      end: 60 * MINUTE,
      step: SECOND,
      signal: controller.signal,
    }),
    /query was canceled in expression evaluation/,
  );
  assert(storage.reads - before < 3000, "it went on to the end");
});

Deno.test("long windows of one series let others have their turn", async () => {
  let turns = 0;
  const engine = new Engine({
    turn: () => {
      turns++;
      return Promise.resolve();
    },
  });
  const ask = async (steps: number) => {
    turns = 0;
    await engine.rangeQuery({
      query: "deriv(c_total[2h:1s])",
      storage: counters(1, 300),
      start: 120 * MINUTE,
      end: 120 * MINUTE + steps * SECOND,
      step: SECOND,
    });
    return turns;
  };
  const [few, many] = [await ask(10), await ask(10_000)];
  // 72 million samples are read: far more than one slice of time.
  assert(many > few + 2, `${few} and ${many} turns`);
});

Deno.test("a query that is out of time says so", async () => {
  const storage = counters(3000, 60);
  await assert.rejects(
    new Engine().rangeQuery({
      query: "sum(stddev_over_time(c_total[10m]))",
      storage,
      start: 0,
      end: 60 * MINUTE,
      step: SECOND,
      timeout: 20,
    }),
    (error: unknown) =>
      error instanceof MnemeError && error.kind === "timeout" &&
      error.message === "query timed out in expression evaluation",
  );
});

Deno.test("a query that was canceled before it began does not begin", async () => {
  const storage = counters(1, 2);
  const signal = AbortSignal.abort();
  await assert.rejects(
    new Engine().instantQuery({ query: "c_total", storage, time: 0, signal }),
    /query was canceled in query execution/,
  );
  assert.equal(storage.selects.length, 0);
});

Deno.test("equal subtrees are evaluated once and annotated at each of their places", async () => {
  const storage = counters(4, 50);
  const { value, annotations } = await new Engine().instantQuery({
    query: "rate(c_total[5m]) / rate(c_total[5m]) + sum(rate(c_total{i='1'}[5m])) * 0",
    storage,
    time: 10 * MINUTE,
  });
  assert.equal((value as VectorValue).labels.length, 0);
  assert.deepEqual(annotations.infos, []);
  storage.reads = 0;
  storage.add(labelsFromRecord({ __name__: "gauge" }), [0, 60_000], Float64Array.of(1, 2));
  const again = await new Engine().instantQuery({
    query: "rate(gauge[5m]) /\n  rate(gauge[5m])",
    storage,
    time: MINUTE,
  });
  assert.equal(storage.reads, 1);
  const info = "PromQL info: metric might not be a counter, name does not end in " +
    '_total/_sum/_count/_bucket: "gauge"';
  assert.deepEqual(again.annotations.infos, [`${info} (1:6)`, `${info} (2:8)`]);
});

Deno.test("plans show absolute times, shared selects and step invariants", () => {
  const engine = new Engine();
  const plan = (query: string) =>
    explainText(
      engine.plan(query, { start: 600_000, end: 1_200_000, step: 60_000, instant: false }),
    );
  assert.equal(
    plan("sum by (a) (rate(x[5m] offset 1m)) / 2 ^ 3"),
    `/
  sum by (a)
    rate(x in [240001, 1140000] for rate[5m] from 540000 step 60000 × 11)
  8
`,
  );
  assert.equal(
    plan("rate(x[5m]) + rate(x[10m])"),
    `+
  rate(x in [1, 1200000] for rate[5m] from 600000 step 60000 × 11)
  rate(x in [1, 1200000] for rate[10m] from 600000 step 60000 × 11)
`,
  );
  assert.equal(
    plan("x - x offset 1w"),
    `-
  select x in [300001, 1200000] from 600000 step 60000 × 11 lookback 5m
  select x in [-604499999, -603600000] from -604200000 step 60000 × 11 lookback 5m
`,
  );
  assert.equal(
    plan("x > avg(x @ end())"),
    `>
  select x in [300001, 1200000] from 600000 step 60000 × 11 lookback 5m
  step invariant, repeated from 600000 step 60000 × 11
    avg
      select x in [900001, 1200000] for avg at 1200000 lookback 5m
`,
  );
  assert.equal(
    plan("max_over_time((x * 2)[10m:7m])"),
    `max_over_time(subquery[10m] from 600000 step 60000 × 11)
  *
    select x in [-299999, 840000] from 420000 step 420000 × 2 lookback 5m
    2
`,
  );
  assert.equal(
    plan("(x + x) * (x + x)"),
    `*
  shared #1
    +
      shared #0
        select x in [300001, 1200000] from 600000 step 60000 × 11 lookback 5m
      shared #0
        select x in [300001, 1200000] from 600000 step 60000 × 11 lookback 5m
  shared #1
    +
      shared #0
        select x in [300001, 1200000] from 600000 step 60000 × 11 lookback 5m
      shared #0
        select x in [300001, 1200000] from 600000 step 60000 × 11 lookback 5m
`,
  );
});

Deno.test("analyze measures every operator", async () => {
  const storage = counters(6, 100);
  const { analysis } = await new Engine().rangeQuery({
    query: "sum by (group) (rate(c_total[5m])) * 2",
    storage,
    start: 0,
    end: 20 * MINUTE,
    step: MINUTE,
    analyze: true,
  });
  assert.equal(analysis!.name, "*");
  assert.deepEqual(analysis!.children.map((c) => c.name), ["sum by (group)", "2"]);
  const [sum] = analysis!.children;
  assert.equal(sum!.series, 3);
  assert.equal(sum!.totalSamples, 3 * 20);
  assert.match(sum!.executionTime, /^[0-9.]+(µs|ms|s)$/);
  assert.match(sum!.children[0]!.name, /^rate\(/);
  assert.equal(sum!.children[0]!.series, 6);
});

Deno.test("long and deeply nested queries are answered or refused quickly", async () => {
  const storage = new MemoryStorage();
  const engine = new Engine({ maxQueryLength: 1_000_000 });
  const run = (query: string) => engine.instantQuery({ query, storage, time: 0 });
  const deep = `${"(".repeat(100_000)}1${")".repeat(100_000)}`;
  await assert.rejects(run(deep), MnemeError);
  const long = Array(20_000).fill("1").join("+");
  const outcome = await run(long).then(
    ({ value }) => value.type === "scalar" && value.value === 20_000,
    (error: unknown) => error instanceof MnemeError,
  );
  assert(outcome);
  const { value } = await run(`${"(".repeat(300)}1${")".repeat(300)}`);
  assert.deepEqual(value, { type: "scalar", time: 0, value: 1 });
});

Deno.test("a series that several ranges read is decoded once", async () => {
  const storage = counters(9, 200);
  const { value } = await new Engine().rangeQuery({
    query: "sum(rate(c_total[5m])) / sum(rate(c_total[10m])) + sum(rate(c_total[7m]))",
    storage,
    start: 0,
    end: 40 * MINUTE,
    step: MINUTE,
  });
  assert.equal(storage.selects.length, 1);
  assert.equal(storage.reads, 9);
  assert.equal((value as MatrixValue).series.length, 1);
});

Deno.test("engine_bench.ts runs", async () => {
  const lines = await runBench(bench, { size: "small" });
  assert(lines.length > 5);
});
