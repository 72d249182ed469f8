import assert from "node:assert/strict";
import { queryFixture, type QuerySetup } from "./testing/query_fixture.ts";

/** A querier whose store answers only when told to. */
function slow(setup: QuerySetup = {}) {
  const waiting = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const fixture = queryFixture({
    ...setup,
    store: {
      async beforeFrame(_, { signal }) {
        waiting.resolve();
        const aborted = new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        });
        await Promise.race([go.promise, aborted]);
      },
    },
  });
  const list = async (headers: Record<string, string> = {}) =>
    (await (await fixture.ask("/queries", {}, { headers })).json()).data;
  return { ...fixture, list, waiting: waiting.promise, go: go.resolve };
}

Deno.test("/queries lists what runs and what waits, and DELETE ends one", async () => {
  const { ask, list, waiting, clock } = slow({ concurrency: 1 });
  assert.deepEqual(await list(), []);
  const first = ask("/query", { query: "up", time: "1790208060" });
  await waiting;
  const second = ask("/query_range", { query: "sum(up)", start: "0", end: "60", step: "30" }, {
    headers: { "THANOS-TENANT": "t2" },
  });
  await clock.advance(1500);
  assert.deepEqual(await list(), [
    {
      id: "id1",
      query: "up",
      start: 1790208060,
      end: 1790208060,
      step: 0,
      tenant: "default-tenant",
      elapsed: 1.5,
      samples: 0,
      state: "running",
    },
    {
      id: "id2",
      query: "sum(up)",
      start: 0,
      end: 60,
      step: 30,
      tenant: "t2",
      elapsed: 1.5,
      samples: 0,
      state: "queued",
    },
  ]);
  for (const id of ["id2", "id1"]) {
    const gone = await ask(`/queries/${id}`, {}, { method: "DELETE" });
    assert.deepEqual([gone.status, (await gone.json()).data], [200, { id }]);
  }
  for (const pending of [first, second]) {
    const answer = await pending;
    assert.equal(answer.status, 503);
    assert.equal((await answer.json()).errorType, "canceled");
  }
  assert.deepEqual(await list(), []);
  const unknown = await ask("/queries/id1", {}, { method: "DELETE" });
  assert.equal(unknown.status, 404);
  assert.equal((await ask("/queries", {}, { method: "POST" })).status, 405);
});

Deno.test("with enforced tenancy a tenant sees and ends its own queries only", async () => {
  const { ask, list, waiting, go } = slow({ tenants: { enforced: true } });
  const mine = { "THANOS-TENANT": "mine" };
  const pending = ask("/query", { query: "up" }, { headers: mine });
  await waiting;
  assert.equal((await list(mine)).length, 1);
  assert.deepEqual(await list({ "THANOS-TENANT": "other" }), []);
  assert.equal((await ask("/queries/id1", {}, { method: "DELETE" })).status, 404);
  go();
  assert.equal((await pending).status, 200);
});

Deno.test("answers carry the figures of the query in headers, metrics count it", async () => {
  const { ask, metrics } = queryFixture();
  const answer = await ask("/query", { query: "sum(up)" });
  await answer.body?.cancel();
  assert.equal(answer.headers.get("x-mneme-query-id"), "id1");
  assert.match(
    answer.headers.get("x-mneme-query-stats")!,
    /^series=2, chunks=3, samples=121, bytes=0, queryable-samples=2, peak-samples=\d+$/,
  );
  assert.match(
    answer.headers.get("server-timing")!,
    /^queue;dur=[\d.]+, prepare;dur=[\d.]+, eval;dur=[\d.]+$/,
  );
  await (await ask("/query_range", { query: "up", start: "0", end: "900", step: "60" })).text();
  await (await ask("/query", { query: "1" })).text();
  const text = await metrics.expose();
  for (
    const line of [
      'thanos_store_api_query_duration_seconds_count{series_le="10",samples_le="1000",tenant="default-tenant"} 1',
      'thanos_query_range_requested_timespan_duration_seconds_bucket{le="900"} 1',
      "thanos_query_concurrent_gate_queries_total 3",
      "thanos_query_concurrent_gate_queries_in_flight 0",
      'thanos_engine_queries_total{engine="prometheus",mode="local",fallback="false"} 3',
    ]
  ) assert.ok(text.includes(line), `${line}\n${text}`);
});
