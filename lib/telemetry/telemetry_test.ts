/** Log lines, exposition formats and probes. */
import assert from "node:assert/strict";
import {
  createLogger,
  formatTraceparent,
  type LogFormat,
  type LogLevel,
  Metrics,
  parseTraceparent,
  Probe,
  silentLogger,
} from "./mod.ts";

function capture(level: LogLevel, format: LogFormat) {
  const lines: string[] = [];
  const sink = (line: string) => void lines.push(line);
  return { lines, logger: createLogger({ level, format, sink, now: () => 1_700_000_000_123 }) };
}

Deno.test("Logger writes the journal's priorities in front of logfmt", () => {
  const { lines, logger } = capture("debug", "journald");
  for (const level of ["debug", "info", "warn", "error"] as const) logger[level]("a\nb");
  const rest = (level: string) => `ts=2023-11-14T22:13:20.123Z level=${level} msg="a\\nb"`;
  assert.deepEqual(lines, [
    `<7>${rest("debug")}`,
    `<6>${rest("info")}`,
    `<4>${rest("warn")}`,
    `<3>${rest("error")}`,
  ]);
});

Deno.test("Logger writes logfmt with bound fields before the message", () => {
  const { lines, logger } = capture("info", "logfmt");
  logger.with({ component: "store" }).info("block loaded", {
    id: "01H",
    took: 1.5,
    ok: true,
    none: undefined,
    err: new Error('a "b"\nforged=1'),
    list: [1, 2],
    empty: "",
  });
  assert.deepEqual(lines, [
    'ts=2023-11-14T22:13:20.123Z level=info component=store msg="block loaded" id=01H took=1.5 ' +
    'ok=true err="a \\"b\\"\\nforged=1" list=[1,2] empty=""',
  ]);
});

Deno.test("Logger writes JSON lines", () => {
  const { lines, logger } = capture("debug", "json");
  logger.error("x", { err: new Error("bad"), n: NaN, big: 10n, circular: Object.create(null) });
  assert.deepEqual(JSON.parse(lines[0]!), {
    ts: "2023-11-14T22:13:20.123Z",
    level: "error",
    msg: "x",
    err: "bad",
    n: "NaN",
    big: "10",
    circular: "{}",
  });
});

Deno.test("Logger leaves out lines below its level", () => {
  const { lines, logger } = capture("warn", "logfmt");
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.error("d");
  assert.equal(lines.length, 2);
  assert.equal(logger.enabled("info"), false);
  assert.equal(logger.with({}).enabled("error"), true);
});

function sample(): Metrics {
  const metrics = new Metrics();
  metrics.counter("a_total", "Counts \\ and\nlines.").inc(2);
  const codes = metrics.counterFamily({
    name: "b_total",
    help: "By code.",
    labels: ["code"],
    known: [{ code: "200" }, { code: "500" }],
  });
  codes.with({ code: '4"\\\n' }).inc();
  metrics.gauge("c", "Gauge.").set(-1.5);
  metrics.histogram("d_seconds", "Histogram.", [0.1, 1]).observe(0.5);
  metrics.summaryFamily({ name: "e_bytes", help: "Summary.", labels: [] }).with({}).observe(7);
  metrics.gauge("f", "Special.").set(Infinity);
  return metrics;
}

const TEXT = `# HELP a_total Counts \\\\ and\\nlines.
# TYPE a_total counter
a_total 2
# HELP b_total By code.
# TYPE b_total counter
b_total{code="200"} 0
b_total{code="500"} 0
b_total{code="4\\"\\\\\\n"} 1
# HELP c Gauge.
# TYPE c gauge
c -1.5
# HELP d_seconds Histogram.
# TYPE d_seconds histogram
d_seconds_bucket{le="0.1"} 0
d_seconds_bucket{le="1"} 1
d_seconds_bucket{le="+Inf"} 1
d_seconds_sum 0.5
d_seconds_count 1
# HELP e_bytes Summary.
# TYPE e_bytes summary
e_bytes_sum 7
e_bytes_count 1
# HELP f Special.
# TYPE f gauge
f +Inf
`;

Deno.test("Metrics.expose() prints the text format", async () => {
  assert.equal(await sample().expose(), TEXT);
});

Deno.test("Metrics.expose() prints OpenMetrics, and the text format is the same after it", async () => {
  const metrics = sample();
  const open = await metrics.expose("openmetrics");
  assert.ok(open.includes("# TYPE a counter\na_total 2\n"), open);
  assert.ok(open.endsWith("# EOF\n"));
  assert.equal(await metrics.expose(), TEXT);
});

Deno.test("Metrics gives the same metric for the same name and refuses another type", async () => {
  const metrics = new Metrics();
  metrics.counter("a_total", "A.").inc();
  metrics.counter("a_total", "A.").inc();
  assert.ok((await metrics.expose()).includes("a_total 2"));
  assert.throws(() => metrics.gauge("a_total", "A."));
  assert.throws(() => metrics.counterFamily({ name: "a_total", help: "A.", labels: ["x"] }));
});

Deno.test("Family.remove() and clear() take label sets out, with() brings them back", async () => {
  const metrics = new Metrics();
  const family = metrics.gaugeFamily({ name: "g", help: "G.", labels: ["a", "b"] });
  family.with({ a: "1", b: "2" }).set(1);
  family.with({ a: "3", b: "4" }).set(2);
  family.remove({ a: "1", b: "2" });
  assert.ok(!(await metrics.expose()).includes('a="1"'));
  family.clear();
  assert.ok(!(await metrics.expose()).includes("{"));
  family.with({ a: "1", b: "2" }).set(5);
  assert.ok((await metrics.expose()).includes('g{a="1",b="2"} 5'));
});

Deno.test("Metrics.onCollect() runs before each exposition", async () => {
  const metrics = new Metrics();
  const gauge = metrics.gauge("now", "Now.");
  let n = 0;
  metrics.onCollect(() => gauge.set(++n));
  assert.ok((await metrics.expose()).includes("now 1"));
  assert.ok((await metrics.expose()).includes("now 2"));
});

Deno.test("Probe exports its states and tells listeners of changes only", async () => {
  const metrics = new Metrics();
  const probe = new Probe("store", { metrics, logger: silentLogger });
  let changes = 0;
  probe.onChange(() => changes++);
  assert.equal(probe.isReady, false);
  assert.ok((await metrics.expose()).includes('thanos_status{component="store",check="ready"} 0'));
  probe.ready();
  probe.ready();
  probe.healthy();
  assert.equal(changes, 2);
  assert.equal(probe.notReadyReason, undefined);
  assert.ok((await metrics.expose()).includes('thanos_status{component="store",check="ready"} 1'));
  probe.notReady("shutting down");
  assert.equal(probe.notReadyReason, "shutting down");
  assert.equal(probe.isHealthy, true);
});

Deno.test("Metrics.part() shows the same names of two parts as one family, told apart", async () => {
  const metrics = new Metrics();
  metrics.counter("own_total", "Own.").inc();
  for (const part of ["a", "b"]) {
    const own = metrics.part({ part });
    own.counterFamily({ name: "done_total", help: "Done.", labels: ["op"] }).with({ op: part })
      .inc();
    own.onCollect(() => own.gauge("now", "Now.").set(7));
  }
  assert.equal(
    await metrics.expose(),
    `# HELP own_total Own.
# TYPE own_total counter
own_total 1
# HELP done_total Done.
# TYPE done_total counter
done_total{part="a",op="a"} 1
done_total{part="b",op="b"} 1
# HELP now Now.
# TYPE now gauge
now{part="a"} 7
now{part="b"} 7
`,
  );
});

Deno.test("parseTraceparent() takes what the standard allows and nothing else", () => {
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const span = "b7ad6b7169203331";
  assert.deepEqual(parseTraceparent(`00-${trace}-${span}-01`), {
    traceId: trace,
    spanId: span,
    sampled: true,
  });
  assert.equal(parseTraceparent(`00-${trace}-${span}-02`)?.sampled, false);
  // Later versions may append fields.
  assert.equal(parseTraceparent(`cc-${trace}-${span}-01-more`)?.sampled, true);
  const text = `00-${trace}-${span}-01`;
  assert.equal(formatTraceparent(parseTraceparent(text)!), text);
  for (
    const wrong of [
      undefined,
      "",
      `00-${trace}-${span}`,
      `ff-${trace}-${span}-01`,
      `00-${trace}-${span}-01-more`,
      `00-${"0".repeat(32)}-${span}-01`,
      `00-${trace}-${"0".repeat(16)}-01`,
      `00-${trace.toUpperCase()}-${span}-01`,
    ]
  ) assert.equal(parseTraceparent(wrong), undefined, wrong);
});
