/** Hostile questions and broken data, through the query API: an answer or a clear error, in time. */
import assert from "node:assert/strict";
import { labelsFromRecord } from "../model/mod.ts";
import type { AggrChunk, Series } from "../storeapi/mod.ts";
import { encodeSeriesData, floatSeries } from "../storeapi/testing/fixtures.ts";
import { queryFixture, START } from "./testing/query_fixture.ts";

async function answerOf(response: Response | Promise<Response>) {
  const answer = await response;
  return { status: answer.status, body: await answer.json() };
}

Deno.test("deep, long and costly queries are answered or refused at once", async () => {
  const { ask } = queryFixture();
  const error = async (query: string) => {
    const { status, body } = await answerOf(ask("/query", { query }));
    return `${status} ${body.error}`;
  };
  const n = 100_000;
  assert.match(await error("(".repeat(n) + "1" + ")".repeat(n)), /^4\d\d query is too long/);
  assert.match(await error("-".repeat(n) + "1"), /^4\d\d query is too long/);
  assert.match(await error("(".repeat(20_000) + "1"), /^400 .*nested more than 1000 levels/);
  assert.match(await error("1" + "+1".repeat(20_000)), /^400 .*nested more than 1000 levels/);
  // A subquery of 3·10¹² steps must end at the limit of samples, not at that of memory.
  assert.match(
    await error("count_over_time(vector(1)[100y:1ms])"),
    /^422 query processing would load too many samples/,
  );
  const topk = await answerOf(ask("/query", { query: "topk(1e9, up)" }));
  assert.equal(topk.status, 200);
});

Deno.test("regular expressions are RE2's: linear, or refused by its words", async () => {
  const { ask } = queryFixture();
  const by = async (pattern: string) =>
    await answerOf(ask("/query", { query: `up{job=~${JSON.stringify(pattern)}}` }));
  assert.equal((await by("(a*)*".repeat(1000))).status, 200);
  for (
    const [pattern, words] of [
      ["a{1001}", /invalid repeat count/],
      ["((a{100}){100}){100}", /invalid repeat count/],
      ["(?=a)", /invalid or unsupported Perl syntax/],
    ] as const
  ) {
    const { status, body } = await by(pattern);
    assert.equal(status, 400);
    assert.match(body.error, words);
  }
});

Deno.test("times and steps that are none are refused", async () => {
  const { ask } = queryFixture();
  const range = (start: string, end: string, step: string) =>
    answerOf(ask("/query_range", { query: "1", start, end, step }));
  const texts: [Awaited<ReturnType<typeof range>>, RegExp][] = [
    [await range("0", "11001", "1"), /exceeded maximum resolution of 11,000 points/],
    [await range("0", "10", "0"), /zero or negative query resolution step/],
    [await range("0", "10", "-1"), /zero or negative query resolution step/],
    [await range("10", "0", "1"), /end timestamp must not be before start time/],
    [await range("NaN", "10", "1"), /cannot parse "NaN" to a valid timestamp/],
    [await range("0", "10", "NaN"), /cannot parse "NaN" to a valid duration/],
    [await answerOf(ask("/query", { query: "1", time: "Inf" })), /cannot parse "Inf"/],
    [await answerOf(ask("/query", { query: "1", time: "1e300" })), /cannot parse "1e300"/],
  ];
  for (const [{ status, body }, words] of texts) {
    assert.equal(status, 400, JSON.stringify(body));
    assert.match(body.error, words);
  }
});

Deno.test("a form over the limit is told, not dropped", async () => {
  const { app } = queryFixture();
  const { status, body } = await answerOf(app.request("/api/v1/query", {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: `query=${"1".repeat(20 << 20)}`,
  }));
  assert.equal(status, 413);
  assert.match(body.error, /larger than 10485760 bytes/);
});

Deno.test("broken chunks are an error that names series and store", async () => {
  const whole = encodeSeriesData(floatSeries({ __name__: "up", job: "a" }, START, 40));
  const broken = (change: (data: Uint8Array) => Uint8Array, encoding?: number): Series => ({
    ...whole,
    chunks: whole.chunks.map((c): AggrChunk => ({
      ...c,
      raw: { encoding: encoding ?? c.raw!.encoding, data: change(c.raw!.data) },
    })),
  });
  const table: [Series, RegExp][] = [
    [broken((data) => data.slice(0, 5)), /too short/],
    [broken((data) => data, 77), /unknown chunk encoding 77/],
    [broken((data) => Uint8Array.of(255, ...data.subarray(1))), /too short/],
    [broken(() => new Uint8Array(0)), /offset 0/],
  ];
  for (const [series, words] of table) {
    const { ask } = queryFixture({ store: { series: [series] } });
    for (const query of ["up", "rate(up[5m])"]) {
      const { status, body } = await answerOf(ask("/query", { query }));
      assert.equal(status, 422);
      assert.match(body.error, words);
      assert.ok(body.error.includes('a chunk of {__name__="up", job="a"} from 127.0.0.1:10901'));
    }
  }
});

Deno.test("labels by the thousand and values by the megabyte pass through whole", async () => {
  const record: Record<string, string> = { __name__: "up", big: "x".repeat(1 << 20) };
  for (let i = 0; i < 10_000; i++) record[`label_${i}`] = String(i);
  const samples = floatSeries(record, START, 40);
  const { ask } = queryFixture({ store: { series: [encodeSeriesData(samples)] } });
  const { status, body } = await answerOf(ask("/query", { query: "up" }));
  assert.equal(status, 200);
  assert.deepEqual(
    labelsFromRecord(body.data.result[0].metric),
    labelsFromRecord(record),
  );
});

Deno.test("200 queries at once wait their turn; the time they wait counts", async () => {
  let inside = 0;
  let most = 0;
  const { ask, metrics } = queryFixture({
    concurrency: 20,
    store: {
      async beforeFrame(index) {
        if (index !== 0) return;
        most = Math.max(most, ++inside);
        for (let i = 0; i < 5; i++) await Promise.resolve();
        inside--;
      },
    },
  });
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => answerOf(ask("/query", { query: "up" }))),
  );
  assert.ok(answers.every(({ status, body }) => status === 200 && body.data.result.length === 2));
  assert.ok(most <= 20, `${most} at once`);
  const text = await metrics.expose();
  assert.match(text, /^thanos_query_concurrent_gate_queries_max 20$/m);
  assert.match(text, /^thanos_query_concurrent_gate_queries_total 200$/m);
  assert.match(text, /^thanos_query_concurrent_gate_queries_in_flight 0$/m);
  const full = queryFixture({
    concurrency: 1,
    store: {
      beforeFrame: (_, { signal }) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason), { once: true })
        ),
    },
  });
  const first = full.ask("/query", { query: "up", timeout: "0.2" });
  const waiting = await answerOf(full.ask("/query", { query: "up", timeout: "0.05" }));
  assert.deepEqual([waiting.status, waiting.body.error], [422, "context deadline exceeded"]);
  await (await first).text();
});
