/**
 * Faults between a querier and its stores, as processes and real connections: none of them gives a
 * silently partial or wrong answer, none of them hangs.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { freePort } from "../../lib/runtime/child_process.ts";
import { labelsFromRecord, labelsFromSorted, MAX_TIME } from "../../lib/model/mod.ts";
import { type RpcServer, serveRpc } from "../../lib/rpc/mod.ts";
import {
  infoService,
  type Series,
  type SeriesFrame,
  type Store,
  storeService,
} from "../../lib/storeapi/mod.ts";
import { encodeSeriesData, floatSeries } from "../../lib/storeapi/testing/fixtures.ts";
import { MemoryStore } from "../../lib/storeapi/testing/memory_store.ts";
import { copyTree, freeze, type Server, Stage, until } from "../mneme.ts";

const START = 1_790_208_000_000;
const TIME = String(START / 1000 + 1800);
/** Longest that a fault may hold an answer back, ms; slow machines included. */
const IN_TIME = 30_000;

// deno-lint-ignore no-explicit-any
type Body = any;

function faultTest(name: string, fn: (stage: Stage) => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using stage = await Stage.open();
      await fn(stage);
    },
  });
}

/** `up` of one instance a store, in frames of one series. */
function seriesOf(instance: string, count = 1): Series[] {
  return Array.from(
    { length: count },
    (_, i) =>
      encodeSeriesData(floatSeries({ __name__: "up", instance: `${instance}${i}` }, START, 240)),
  );
}

/** A store in this process, reached over gRPC. */
async function serve(
  store: Store,
  labels: Record<string, string>,
  componentType = "sidecar",
  minTime = START,
): Promise<RpcServer> {
  return await serveRpc({
    address: "127.0.0.1:0",
    services: [
      storeService(store),
      infoService(() => ({
        labelSets: [labelsFromRecord(labels)],
        componentType,
        store: {
          minTime,
          maxTime: MAX_TIME,
          supportsSharding: true,
          supportsWithoutReplicaLabels: true,
          tsdbInfos: [],
        },
      })),
    ],
  });
}

async function ask(server: Server, params: Record<string, string> = {}) {
  const query = { query: "count(up)", time: TIME, ...params };
  const response = await fetch(`${server.http}/api/v1/query?${new URLSearchParams(query)}`, {
    signal: AbortSignal.timeout(IN_TIME),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: await response.json() as Body,
  };
}

/** A TCP relay that passes `bytes` of the answer on and then resets or falls silent. */
function relay(target: string, bytes: number, then: "reset" | "silence") {
  const [hostname, port] = target.split(":");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let armed = false;
  const connections: Deno.Conn[] = [];
  (async () => {
    for await (const client of listener) {
      const server = await Deno.connect({ hostname: hostname!, port: Number(port) });
      connections.push(client, server);
      client.readable.pipeTo(server.writable).catch(() => {});
      (async () => {
        let passed = 0;
        const buffer = new Uint8Array(4096);
        for (;;) {
          const n = await server.read(buffer);
          if (n === null) break;
          if (armed) passed += n;
          if (armed && passed > bytes) {
            if (then === "silence") return await new Promise(() => {});
            client.close();
            return;
          }
          for (let at = 0; at < n;) at += await client.write(buffer.subarray(at, n));
        }
        client.close();
      })().catch(() => {});
    }
  })().catch(() => {});
  return {
    address: `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`,
    arm: () => armed = true,
    close() {
      listener.close();
      for (const connection of connections) {
        try {
          connection.close();
        } catch {
          // It was closed by its fault.
        }
      }
    },
  };
}

/** The answer's warning names the store; without partial answers it is an error that does. */
async function assertTold(querier: Server, address: string, others: number): Promise<void> {
  const partial = await ask(querier);
  assert.equal(partial.status, 200, JSON.stringify(partial.body));
  assert.ok(
    partial.body.warnings?.some((w: string) => w.includes(`Addr: ${address} MinTime: `)),
    JSON.stringify(partial.body),
  );
  assert.equal(partial.headers.get("cache-control"), "no-store");
  assert.ok(Number(partial.body.data.result[0]?.value[1] ?? 0) >= others);
  const strict = await ask(querier, { partial_response: "false" });
  assert.equal(strict.status, 422, JSON.stringify(strict.body));
  assert.ok(strict.body.error.includes(address), strict.body.error);
}

faultTest(
  "a listener that accepts and never speaks delays nothing and is no store",
  async (stage) => {
    const hole = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const kept: Deno.Conn[] = [];
    (async () => {
      for await (const connection of hole) kept.push(connection);
    })().catch(() => {});
    const good = await serve(new MemoryStore({ series: seriesOf("good") }), { a: "1" });
    const querier = await stage.mneme("query", [
      `--endpoint=127.0.0.1:${(hole.addr as Deno.NetAddr).port}`,
      `--endpoint=${good.address}`,
      "--endpoint.info-timeout=2s",
    ]);
    const { status, body } = await ask(querier, { partial_response: "false" });
    assert.deepEqual([status, body.data.result[0].value[1]], [200, "1"]);
    const stores = await (await fetch(`${querier.http}/api/v1/stores`)).json();
    assert.deepEqual(stores.data.sidecar.map((s: Body) => s.name), [good.address]);
    for (const connection of kept) connection.close();
    hole.close();
    await good.stop(0);
  },
);

faultTest(
  "a store that is frozen in the middle of a call is told, and every call after it",
  async (stage) => {
    const golden = new URL("../../../shared/golden/bucket-compacted", import.meta.url).pathname;
    if (!existsSync(golden)) {
      console.log(`skipped: ${golden} is not there`);
      return;
    }
    const bucket = `${stage.folder}/bucket`;
    await copyTree(golden, bucket);
    const good = await serve(new MemoryStore({ series: seriesOf("good") }), { a: "1" });
    const store = await stage.store(bucket);
    const querier = await stage.mneme("query", [
      `--endpoint=${good.address}`,
      `--endpoint=${store.grpc}`,
      "--endpoint.info-timeout=2s",
    ]);
    await until("both stores", async () => (await ask(querier)).body.warnings === undefined);
    await freeze(store);
    try {
      await assertTold(querier, store.grpc, 1);
      await assertTold(querier, store.grpc, 1);
    } finally {
      store.child.kill("SIGCONT");
    }
    await until("the store is back", async () => (await ask(querier)).body.warnings === undefined);
    await good.stop(0);
  },
);

faultTest(
  "a store that hangs after some frames is cut off by the response time-out",
  async (stage) => {
    const good = await serve(new MemoryStore({ series: seriesOf("good") }), { a: "1" });
    const hanging = new MemoryStore({
      series: seriesOf("hang", 200),
      beforeFrame: (index, { signal }) =>
        index < 2
          ? undefined
          : new Promise((_, reject) =>
            signal.addEventListener("abort", () => reject(signal.reason), { once: true })
          ),
    });
    // Answers of store gateways that do not fill gaps by themselves are held until they are whole.
    for (const type of ["sidecar", "store"]) {
      const server = await serve(hanging, { a: "2" }, type);
      const querier = await stage.mneme("query", [
        `--endpoint=${good.address}`,
        `--endpoint=${server.address}`,
        "--store.response-timeout=500ms",
        "--endpoint.info-timeout=2s",
      ]);
      const { body } = await ask(querier);
      assert.match(body.warnings.join("\n"), /^failed to receive any data in 500ms from Addr: /m);
      const count = Number(body.data.result[0].value[1]);
      assert.ok(count > 1, `${type}: what came before is part of the answer, ${count}`);
      await assertTold(querier, server.address, 1);
      await server.stop(0);
    }
    await good.stop(0);
  },
);

faultTest(
  "connections that are reset or half open in the middle of an answer are told",
  async (stage) => {
    const good = await serve(new MemoryStore({ series: seriesOf("good") }), { a: "1" });
    const large = await serve(new MemoryStore({ series: seriesOf("large", 2000) }), { a: "2" });
    for (const fault of ["reset", "silence"] as const) {
      const through = relay(large.address, 100_000, fault);
      const querier = await stage.mneme("query", [
        `--endpoint=${good.address}`,
        `--endpoint=${through.address}`,
        "--endpoint.info-timeout=2s",
        "--store.response-timeout=1s",
      ]);
      await until(
        "a whole answer",
        async () => (await ask(querier)).body.data.result[0]?.value[1] === "2001",
      );
      through.arm();
      await assertTold(querier, through.address, 1);
      through.close();
    }
    for (const server of [good, large]) await server.stop(0);
  },
);

faultTest("a message over the limit is refused before it is held", async (stage) => {
  const good = await serve(new MemoryStore({ series: seriesOf("good") }), { a: "1" });
  const huge = await serve(
    new MemoryStore({
      series: [
        encodeSeriesData(
          floatSeries({ __name__: "up", instance: "x", big: "y".repeat(4 << 20) }, START, 240),
        ),
      ],
    }),
    { a: "2" },
  );
  const querier = await stage.mneme("query", [
    `--endpoint=${good.address}`,
    `--endpoint=${huge.address}`,
    "--store.max-message-size=1MiB",
    "--endpoint.info-timeout=2s",
  ]);
  const { body } = await ask(querier);
  assert.match(body.warnings.join(), /ResourceExhausted desc = received message larger than max/);
  await assertTold(querier, huge.address, 1);
  for (const server of [good, huge]) await server.stop(0);
});

faultTest("a client that goes away ends the calls below at once", async (stage) => {
  const called = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const slow = await serve(
    new MemoryStore({
      series: seriesOf("slow"),
      beforeFrame: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          called.resolve();
          signal.addEventListener("abort", () => {
            ended.resolve();
            reject(signal.reason);
          }, { once: true });
        }),
    }),
    { a: "1" },
  );
  const querier = await stage.mneme("query", [
    `--endpoint=${slow.address}`,
    "--endpoint.info-timeout=2s",
  ]);
  const client = new AbortController();
  const pending = fetch(`${querier.http}/api/v1/query?query=up&time=${TIME}`, {
    signal: client.signal,
  }).catch(() => "gone");
  await called.promise;
  const list = async () => (await (await fetch(`${querier.http}/api/v1/queries`)).json()).data;
  assert.equal((await list()).length, 1);
  client.abort();
  assert.equal(await pending, "gone");
  await ended.promise;
  await until("the place is free", async () => (await list()).length === 0);
  await slow.stop(0);
});

faultTest(
  "a query that ran when the querier was killed is named at its next start",
  async (stage) => {
    const called = Promise.withResolvers<void>();
    const slow = await serve(
      new MemoryStore({
        series: seriesOf("slow"),
        beforeFrame: (_, { signal }) =>
          new Promise((_resolve, reject) => {
            called.resolve();
            signal.addEventListener("abort", () => reject(signal.reason), { once: true });
          }),
      }),
      { a: "1" },
    );
    const args = [
      `--endpoint=${slow.address}`,
      "--endpoint.info-timeout=2s",
      `--query.active-query-path=${stage.folder}/active`,
    ];
    const first = await stage.mneme("query", args);
    const pending = fetch(`${first.http}/api/v1/query?query=max(up)&time=${TIME}`)
      .catch(() => "gone");
    await called.promise;
    first.child.kill("SIGKILL");
    assert.equal(await pending, "gone");
    const second = await stage.mneme("query", args);
    assert.ok(
      second.child.tail.some((line) =>
        line.includes("did not finish in the last run") && line.includes("max(up)")
      ),
      second.child.tail.join("\n"),
    );
    await slow.stop(0);
  },
);

/** A store that sends these frames, whatever it is asked. */
function sending(...frames: Partial<SeriesFrame>[]): Store {
  const nothing = () => Promise.resolve({ values: [], warnings: [] });
  return {
    // deno-lint-ignore require-await
    async *series() {
      for (const frame of frames) yield { series: [], warnings: [], ...frame };
    },
    labelNames: nothing,
    labelValues: nothing,
  };
}

faultTest("what breaks the rules of the Store API is put right or told", async (stage) => {
  const good = await serve(new MemoryStore({ series: seriesOf("good") }), { a: "1" });
  const [series] = seriesOf("x");
  const labelled = (...flat: string[]) => ({ ...series!, labels: labelsFromSorted(flat) });
  const up = (instance: string) => labelled("__name__", "up", "instance", instance);
  const cases: { store: Store; check: (querier: Server, address: string) => Promise<void> }[] = [
    {
      // Labels out of order, an empty one, and series out of order.
      store: sending(
        { series: [labelled("instance", "c", "empty", "", "__name__", "up")] },
        { series: [up("b")] },
        { series: [up("a"), up("b")] },
      ),
      async check(querier) {
        const { body } = await ask(querier, { partial_response: "false" });
        assert.deepEqual([body.data.result[0].value[1], body.warnings], ["4", undefined]);
        const metrics = await (await fetch(`${querier.http}/metrics`)).text();
        assert.match(metrics, /^mneme_proxy_repaired_series_total\S* [1-9]/m);
      },
    },
    {
      store: sending({ series: [labelled("__name__", "up", "a", "1", "a", "2")] }),
      check: (querier, address) => assertTold(querier, address, 1),
    },
    {
      store: sending({
        series: [{
          ...up("broken"),
          chunks: series!.chunks.map((c) => ({
            ...c,
            raw: { ...c.raw!, encoding: 1, data: c.raw!.data.slice(0, 9) },
          })),
        }],
      }),
      async check(querier, address) {
        const { status, body } = await ask(querier);
        assert.equal(status, 422, JSON.stringify(body));
        assert.ok(body.error.includes(`{__name__="up", instance="broken"} from`), body.error);
        assert.ok(body.error.includes(address), body.error);
      },
    },
    {
      store: sending({ warnings: Array.from({ length: 100_000 }, (_, i) => `trouble ${i}`) }),
      async check(querier, address) {
        const { body } = await ask(querier);
        assert.equal(body.warnings.length, 101);
        assert.ok(
          body.warnings.some((w: string) =>
            w.startsWith(`and 99900 more warnings from Addr: ${address}`)
          ),
        );
      },
    },
  ];
  for (const { store, check } of cases) {
    const server = await serve(store, { a: "2" });
    const querier = await stage.mneme("query", [
      `--endpoint=${good.address}`,
      `--endpoint=${server.address}`,
      "--endpoint.info-timeout=2s",
    ]);
    await check(querier, server.address);
    await server.stop(0);
    await querier.child.stop();
  }
  await good.stop(0);
});

faultTest("a clock that is an hour wrong moves what now is, and nothing else", async (stage) => {
  const HOUR = 3_600_000;
  // A sample a minute, its value the minutes since `base`, from two hours ago to two hours ahead.
  const base = Math.floor(Date.now() / 60_000) * 60_000 - 2 * HOUR;
  const { labels, samples } = floatSeries({ __name__: "minutes" }, base, 240, {
    step: 60_000,
    value: 0,
  });
  const store = await serve(
    new MemoryStore({ series: [encodeSeriesData({ labels, samples })] }),
    { a: "1" },
    "sidecar",
    base,
  );
  for (const shift of [-HOUR, 0, HOUR]) {
    const querier = stage.launch("query", [
      `--endpoint=${store.address}`,
      "--endpoint.info-timeout=2s",
    ], { preload: "clock_preload.ts", env: { MNEME_TEST_CLOCK: String(shift) } });
    await querier.child.waitUntilReady(`${querier.http}/-/ready`);
    const get = async (path: string) =>
      (await (await fetch(`${querier.http}/api/v1/${path}`)).json()) as Body;
    const { data, warnings } = await get("query?query=minutes&partial_response=false");
    assert.equal(warnings, undefined);
    const [time, value] = data.result[0].value;
    assert.equal(Number(value), Math.floor((time * 1000 - base) / 60_000));
    const off = time * 1000 - (Date.now() + shift);
    assert.ok(Math.abs(off) < HOUR / 4, `now is ${off} ms from the clock of the querier`);
    // Times that are given mean the same to every clock, and nothing is cut at "now".
    const ends = `start=${base / 1000}&end=${base / 1000 + 4 * 3600}`;
    const range = await get(`query_range?query=minutes&${ends}&step=60&partial_response=false`);
    assert.equal(range.data.result[0].values.length, 241, "the last one by lookback");
    assert.equal((await get(`series?match[]=minutes&${ends}`)).data.length, 1);
    const [told] = (await get("stores")).data.sidecar;
    assert.deepEqual([told.minTime, told.lastError], [base, null]);
    await querier.child.stop();
  }
  await store.stop(0);
});

/** How long stores are killed and started again, seconds: short here, 60 for the full run. */
const CHAOS_SECONDS = Number(Deno.env.get("MNEME_CHAOS_SECONDS") ?? 8);
/** Memory that the full run may leave behind after half a minute of rest, MiB. */
const CHAOS_GROWTH = 50;
const CHAOS_CLIENTS = Number(Deno.env.get("MNEME_CHAOS_CLIENTS") ?? 40);

faultTest("no answer is silently partial while a store is killed and restarted", async (stage) => {
  const good = await serve(new MemoryStore({ series: seriesOf("good", 50) }), { a: "1" });
  // The mortal one: a store of our own behind a port of its own, killed hard each second.
  const address = `127.0.0.1:${freePort()}`;
  const mortalStore = new MemoryStore({ series: seriesOf("mortal", 50) });
  const start = () =>
    serveRpc({
      address,
      services: [
        storeService(mortalStore),
        infoService(() => ({
          labelSets: [labelsFromRecord({ a: "2" })],
          componentType: "store",
          store: {
            minTime: START,
            maxTime: MAX_TIME,
            supportsSharding: true,
            supportsWithoutReplicaLabels: true,
            tsdbInfos: [],
          },
        })),
      ],
    });
  let mortal = await start();
  const querier = await stage.mneme("query", [
    `--endpoint=${good.address}`,
    `--endpoint=${address}`,
    "--endpoint.info-timeout=2s",
    "--query.max-concurrent=200",
  ]);
  await until(
    "both stores",
    async () => (await ask(querier)).body.data.result[0]?.value[1] === "100",
  );
  const memory = async () => {
    const text = await (await fetch(`${querier.http}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)![1]);
  };
  // Code is compiled and buffers are made on first use.
  for (let i = 0; i < 20; i++) await Promise.all(Array.from({ length: 20 }, () => ask(querier)));
  const before = await memory();
  const end = Date.now() + CHAOS_SECONDS * 1000;
  // A busy machine may miss health checks of the good one as well: that must be told, too.
  const names = (text: string) => text.includes(address) || text.includes(good.address);
  const seen = { whole: 0, partial: 0, failed: 0, wrong: [] as string[] };
  const client = async (strict: boolean) => {
    while (Date.now() < end) {
      const { status, body } = await ask(
        querier,
        strict ? { partial_response: "false" } : {},
      );
      const value = body.data?.result[0]?.value[1];
      if (status === 200 && body.warnings === undefined && value === "100") seen.whole++;
      else if (!strict && status === 200 && names(body.warnings?.join() ?? "")) seen.partial++;
      else if (strict && status === 422 && names(body.error)) seen.failed++;
      else seen.wrong.push(`${status} ${JSON.stringify(body).slice(0, 300)}`);
    }
  };
  const killer = async () => {
    while (Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await mortal.stop(0);
      await new Promise((resolve) => setTimeout(resolve, 500));
      mortal = await start();
    }
  };
  await Promise.all([
    killer(),
    ...Array.from({ length: CHAOS_CLIENTS }, (_, i) => client(i % 2 === 0)),
  ]);
  assert.deepEqual(seen.wrong.slice(0, 3), [], `${seen.wrong.length} wrong answers`);
  assert.ok(seen.whole > 0 && seen.partial + seen.failed > 0, JSON.stringify(seen));
  await until(
    "whole answers again",
    async () => (await ask(querier)).body.data.result[0]?.value[1] === "100",
  );
  if (CHAOS_SECONDS >= 60) {
    await new Promise((resolve) => setTimeout(resolve, 30_000));
  }
  const growth = (await memory() - before) / 1048576;
  console.log(
    `${seen.whole} whole, ${seen.partial} partial, ${seen.failed} failed; ` +
      `memory ${growth >= 0 ? "+" : ""}${growth.toFixed(0)} MiB`,
  );
  if (CHAOS_SECONDS >= 60) assert.ok(growth <= CHAOS_GROWTH, `memory grew by ${growth} MiB`);
  await mortal.stop(0);
  await good.stop(0);
});
