import assert from "node:assert/strict";
import { MnemeError } from "../base/mod.ts";
import {
  formatLabels,
  labelsFromRecord,
  labelsFromSorted,
  makeMatcher,
  MAX_TIME,
} from "../model/mod.ts";
import { RpcError, STATUS_UNAVAILABLE } from "../rpc/mod.ts";
import { type ProxiedStore, type ProxyOptions, StoreProxy, type StoreReport } from "./proxy.ts";
import type { CallContext, Store } from "./store.ts";
import {
  callContext,
  encodeSeriesData,
  floatSeries,
  labelsRequest,
  seriesRequest,
} from "./testing/fixtures.ts";
import { MemoryStore, type MemoryStoreOptions } from "./testing/memory_store.ts";
import type { SeriesRequest, StoreInfo } from "./types.ts";

const T0 = 1_790_208_000_000;
const UP = [makeMatcher("=", "__name__", "up")];

interface Given {
  readonly address?: string;
  readonly external?: Record<string, string>;
  readonly info?: Partial<StoreInfo>;
  readonly unhealthy?: string;
  readonly store?: Store;
  readonly memory?: Partial<MemoryStoreOptions>;
  readonly instances?: readonly string[];
}

function proxied(given: Given): ProxiedStore & { memory: MemoryStore } {
  const external = labelsFromRecord(given.external ?? {});
  const memory = new MemoryStore({
    series: (given.instances ?? ["i"]).map((instance) =>
      encodeSeriesData(floatSeries({ __name__: "up", instance }, T0, 240))
    ),
    externalLabels: external,
    ...given.memory,
  });
  return {
    memory,
    address: given.address ?? "127.0.0.1:10901",
    store: given.store ?? memory,
    labelSets: external.length === 0 ? [] : [external],
    unhealthy: given.unhealthy,
    info: {
      minTime: T0,
      maxTime: MAX_TIME,
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
      tsdbInfos: [],
      ...given.info,
    },
  };
}

function proxyOf(stores: readonly ProxiedStore[], options: Partial<ProxyOptions> = {}): StoreProxy {
  return new StoreProxy({ stores: () => stores, ...options });
}

async function ask(
  proxy: Store,
  changes: Partial<SeriesRequest> = {},
  context: CallContext = callContext(),
): Promise<{ series: string[]; warnings: string[]; chunks: number }> {
  const series: string[] = [];
  const warnings: string[] = [];
  let chunks = 0;
  for await (const frame of proxy.series(seriesRequest({ matchers: UP, ...changes }), context)) {
    warnings.push(...frame.warnings);
    for (const s of frame.series) {
      series.push(formatLabels(s.labels));
      chunks += s.chunks.length;
    }
  }
  return { series, warnings, chunks };
}

function failing(error: unknown, after = 0): Given {
  return {
    memory: {
      beforeFrame(index) {
        if (index >= after) throw error;
      },
    },
  };
}

const unavailable = new RpcError(STATUS_UNAVAILABLE, "connection error: refused");

Deno.test("the proxy asks only stores whose time, labels and address fit", async () => {
  const eu = proxied({
    address: "eu:1",
    external: { region: "eu" },
    info: { minTime: T0, maxTime: T0 + 3_600_000 },
  });
  const us = proxied({ address: "us:1", external: { region: "us" } });
  const bare = proxied({ address: "bare:1" });
  const stores = [eu, us, bare];
  const asked = async (changes: Partial<SeriesRequest>, proxy = proxyOf(stores)) => {
    const before = stores.map((s) => s.memory.requests.length);
    await ask(proxy, changes);
    return stores.filter((s, i) => s.memory.requests.length > before[i]!).map((s) => s.address);
  };
  assert.deepEqual(await asked({}), ["eu:1", "us:1", "bare:1"]);
  assert.deepEqual(await asked({ minTime: T0 + 3_600_001 }), ["us:1", "bare:1"]);
  assert.deepEqual(await asked({ maxTime: T0 - 1 }), []);
  assert.deepEqual(await asked({ maxTime: T0 }), ["eu:1", "us:1", "bare:1"]);
  const region = (value: string) => ({ matchers: [...UP, makeMatcher("=", "region", value)] });
  assert.deepEqual(await asked(region("eu")), ["eu:1", "bare:1"]);
  assert.deepEqual(await asked({ matchers: [...UP, makeMatcher("=~", "region", "u.")] }), [
    "us:1",
    "bare:1",
  ]);
  assert.deepEqual(await asked({ matchers: [...UP, makeMatcher("=", "other", "x")] }), [
    "eu:1",
    "us:1",
    "bare:1",
  ]);
  const address = (pattern: string) => [[makeMatcher("=~", "__address__", pattern)]];
  const only = proxyOf(stores).matching(address("us.*"));
  assert.deepEqual(await asked({}, only), ["us:1"]);
  const either = proxyOf(stores).matching([...address("us:1"), ...address("eu:1")]);
  assert.deepEqual(await asked({}, either), ["eu:1", "us:1"]);
  const other = proxyOf(stores).matching([[makeMatcher("=", "job", "x")]]);
  assert.deepEqual(await asked({}, other), ["eu:1", "us:1", "bare:1"]);
});

Deno.test("selector labels must match, are taken away, and must not be all", async () => {
  const store = proxied({});
  const proxy = proxyOf([store], { selectorLabels: labelsFromRecord({ ring: "a" }) });
  const ring = (value: string) => makeMatcher("=", "ring", value);
  assert.equal((await ask(proxy, { matchers: [...UP, ring("a")] })).series.length, 1);
  assert.deepEqual(store.memory.requests[0]!.matchers.map((m) => m.name), ["__name__"]);
  assert.equal((await ask(proxy, { matchers: [...UP, ring("b")] })).series.length, 0);
  await assert.rejects(ask(proxy, { matchers: [ring("a")] }), {
    kind: "bad_data",
    message: "rpc error: code = InvalidArgument desc = " +
      "no matchers specified (excluding selector labels)",
  });
  await assert.rejects(ask(proxy, { matchers: [] }), { kind: "bad_data" });
});

Deno.test("a selector of label sets leaves stores out and narrows the matchers", async () => {
  const a = proxied({ address: "a:1", external: { region: "e.u" } });
  const b = proxied({ address: "b:1", external: { region: "us" } });
  const bare = proxied({ address: "c:1" });
  const proxy = proxyOf([a, b, bare], { selector: (labels) => labels.includes("e.u") });
  await ask(proxy);
  assert.equal(b.memory.requests.length, 0);
  const extra = a.memory.requests[0]!.matchers.at(-1)!;
  assert.deepEqual([extra.name, extra.type, extra.value], ["region", "=~", "e\\.u"]);
  assert.equal(bare.memory.requests.length, 1);
});

Deno.test("no stores: an error in abort mode, else an empty answer", async () => {
  const abort = { partialResponse: "abort" } as const;
  await assert.rejects(ask(proxyOf([]), abort), { message: "No StoreAPIs available" });
  await assert.rejects(proxyOf([]).labelNames(labelsRequest(abort), callContext()), {
    message: "No StoreAPIs available",
  });
  assert.deepEqual(await ask(proxyOf([])), { series: [], warnings: [], chunks: 0 });
  // A store that is known but not concerned is no failure.
  assert.deepEqual((await ask(proxyOf([proxied({})]), { ...abort, maxTime: T0 - 1 })).series, []);
});

Deno.test("replicas become one series, exact duplicates of chunks one chunk", async () => {
  const replicas = ["A", "B"].map((replica) => proxied({ external: { replica } }));
  const same = await ask(proxyOf(replicas), { withoutReplicaLabels: ["replica"] });
  assert.deepEqual(same, {
    series: ['{__name__="up", instance="i"}'],
    warnings: [],
    chunks: 2,
  });
  const apart = await ask(proxyOf(replicas));
  assert.equal(apart.series.length, 2);
});

Deno.test("a store that knows no replica labels or shards gets them applied here", async () => {
  const old = proxied({
    external: { replica: "A", a: "1" },
    instances: ["a", "b", "c"],
    info: { supportsWithoutReplicaLabels: false, supportsSharding: false },
  });
  const plain: Store = {
    series: ({ shardInfo: _, ...q }, c) => old.memory.series({ ...q, withoutReplicaLabels: [] }, c),
    labelNames: (q, c) => old.memory.labelNames(q, c),
    labelValues: (q, c) => old.memory.labelValues(q, c),
  };
  for (const strategy of ["eager", "lazy"] as const) {
    const proxy = proxyOf([{ ...old, store: plain }, proxied({ instances: ["b"] })], { strategy });
    const found = await ask(proxy, { withoutReplicaLabels: ["a", "replica", "x"] });
    assert.deepEqual(found.series, [
      '{__name__="up", instance="a"}',
      '{__name__="up", instance="b"}',
      '{__name__="up", instance="c"}',
    ]);
    let total = 0;
    for (const shardIndex of [0, 1]) {
      const shardInfo = { shardIndex, totalShards: 2, by: true, labels: ["instance"] };
      total += (await ask(proxy, { shardInfo, withoutReplicaLabels: ["a", "replica"] }))
        .series.length;
    }
    assert.equal(total, 3);
  }
});

const STORE = `Addr: 127.0.0.1:10901 MinTime: ${T0} MaxTime: 9223372036854775807`;

Deno.test("failures are warnings or errors with Thanos' texts", async () => {
  const broken = new MnemeError("corruption", "index of block X");
  const table: { name: string; given: Given; warning: string; error: string }[] = [
    {
      name: "cannot connect, with labels",
      given: { ...failing(unavailable), external: { cluster: "eu1", replica: "B" } },
      warning: `fetch series for {cluster="eu1", replica="B"} ${STORE}: ` +
        "rpc error: code = Unavailable desc = connection error: refused",
      error: "",
    },
    {
      name: "cannot connect, without labels",
      given: failing(unavailable),
      warning: `fetch series for Store Gateway ${STORE}: ` +
        "rpc error: code = Unavailable desc = connection error: refused",
      error: "",
    },
    {
      name: "known to be unhealthy",
      given: { unhealthy: "no answer to Info within 5000 ms" },
      warning: `fetch series for Store Gateway ${STORE}: no answer to Info within 5000 ms`,
      error: "",
    },
    {
      name: "fails at once",
      given: failing(broken),
      warning: `receive series from ${STORE}: rpc error: code = DataLoss desc = index of block X`,
      error: "rpc error: code = Aborted desc = ",
    },
    {
      name: "fails in the middle",
      given: { ...failing(unavailable, 1), instances: ["a", "b"] },
      warning: `receive series from ${STORE}: ` +
        "rpc error: code = Unavailable desc = connection error: refused",
      error: "rpc error: code = Aborted desc = ",
    },
  ];
  for (const { name, given, warning, error } of table) {
    const stores = [proxied(given), proxied({ address: "good:1", instances: ["z"] })];
    for (const strategy of ["eager", "lazy"] as const) {
      const found = await ask(proxyOf(stores, { strategy }));
      assert.deepEqual(found.warnings, [warning], name);
      assert.ok(found.series.includes('{__name__="up", instance="z"}'), name);
      assert.equal(found.series.length, name === "fails in the middle" ? 2 : 1, name);
      await assert.rejects(
        ask(proxyOf(stores, { strategy }), { partialResponse: "abort" }),
        { message: error + warning },
        name,
      );
    }
  }
});

Deno.test("a warning of a store is passed on, and is an error in abort mode", async () => {
  const stores = [proxied({ memory: { warnings: ["half of it"] } }), proxied({})];
  assert.deepEqual((await ask(proxyOf(stores))).warnings, ["half of it"]);
  await assert.rejects(ask(proxyOf(stores), { partialResponse: "abort" }), {
    message: "rpc error: code = Aborted desc = half of it",
  });
});

/** Waits until the call is aborted. */
function stuck({ signal }: CallContext): Promise<void> {
  return new Promise((_, reject) => {
    const fail = () => reject(signal.reason);
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}

Deno.test("a store that sends nothing in time is left out with a warning", async () => {
  let ended = false;
  const slow = proxied({
    instances: ["a", "b"],
    memory: {
      async beforeFrame(index, context) {
        if (index === 0) return;
        await stuck(context).finally(() => ended = true);
      },
    },
  });
  const proxy = proxyOf([slow, proxied({ address: "good:1", instances: ["z"] })], {
    responseTimeout: 20,
  });
  const found = await ask(proxy);
  assert.deepEqual(found.warnings, [
    `failed to receive any data in 20ms from ${STORE}: ` +
    "rpc error: code = Canceled desc = context canceled",
  ]);
  assert.equal(found.series.length, 2);
  assert.ok(ended, "the store's call was ended");
});

Deno.test("the time-out of a whole request is a failure of the stores still at work", async () => {
  const slow = () => proxied({ memory: { beforeFrame: (_, context) => stuck(context) } });
  const proxy = proxyOf([slow(), proxied({ address: "good:1", instances: ["z"] })], {
    requestTimeout: 20,
  });
  const found = await ask(proxy);
  assert.deepEqual(found.warnings, [
    `receive series from ${STORE}: ` +
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
  ]);
  assert.deepEqual(found.series, ['{__name__="up", instance="z"}']);
  const names = await proxy.labelNames(labelsRequest(), callContext());
  assert.deepEqual(names.values, ["__name__", "instance"]);
  assert.equal(names.warnings.length, 1);
});

Deno.test("an aborted caller is canceled at once, without warnings", async () => {
  for (const strategy of ["eager", "lazy"] as const) {
    const abort = new AbortController();
    let waiting = 0;
    const stores = ["a:1", "b:1"].map((address) =>
      proxied({
        address,
        memory: {
          beforeFrame(_, context) {
            if (++waiting === 2) queueMicrotask(() => abort.abort());
            return stuck(context);
          },
        },
      })
    );
    const proxy = proxyOf(stores, { strategy });
    await assert.rejects(ask(proxy, {}, callContext(abort.signal)), { kind: "canceled" });
  }
});

Deno.test("a reader that stops early ends the calls below", async () => {
  const signals: AbortSignal[] = [];
  const slow = proxied({
    address: "slow:1",
    instances: ["b", "c", "d", "e"],
    memory: {
      async beforeFrame(index, context) {
        signals.push(context.signal);
        if (index === 2) await stuck(context);
      },
    },
  });
  const proxy = proxyOf([slow, proxied({ instances: ["a"] })], { strategy: "lazy" });
  const found = await ask(proxy, { limit: 1 });
  assert.equal(found.series.length, 1);
  assert.ok(signals.length > 0 && signals.every((signal) => signal.aborted));
});

Deno.test("series out of order are refused when merged while reading, sorted otherwise", async () => {
  const unsorted: Store = {
    async *series() {
      const one = (instance: string) =>
        encodeSeriesData(floatSeries({ __name__: "up", instance }, T0, 3));
      yield { series: [one("b"), one("c"), one("a")], warnings: [] };
      await Promise.resolve();
      yield { series: [one("d")], warnings: [] };
    },
    labelNames: () => Promise.resolve({ values: [], warnings: [] }),
    labelValues: () => Promise.resolve({ values: [], warnings: [] }),
  };
  const stores = [proxied({ store: unsorted }), proxied({ address: "good:1", instances: ["z"] })];
  const eager = await ask(proxyOf(stores));
  assert.equal(eager.series.length, 5);
  assert.deepEqual(eager.series, eager.series.toSorted());
  const text = `receive series from ${STORE}: series are not sorted: ` +
    '{__name__="up", instance="a"} came after {__name__="up", instance="c"}';
  const lazy = await ask(proxyOf(stores, { strategy: "lazy" }));
  assert.deepEqual(lazy.warnings, [text]);
  assert.equal(lazy.series.length, 3);
  await assert.rejects(
    ask(proxyOf(stores, { strategy: "lazy" }), { partialResponse: "abort" }),
    { message: `rpc error: code = Aborted desc = ${text}` },
  );
});

Deno.test("limits on series and samples fail the request in warn mode too", async () => {
  const stores = [proxied({ instances: ["a", "b"] }), proxied({ instances: ["c", "d"] })];
  await assert.rejects(ask(proxyOf(stores, { limitSeries: 3 })), {
    kind: "limit",
    message: "failed to send series: limit 3 violated (got 4)",
  });
  assert.equal((await ask(proxyOf(stores, { limitSeries: 4 }))).series.length, 4);
  await assert.rejects(ask(proxyOf(stores, { limitSamples: 900 })), {
    message: "failed to send series: limit 900 violated (got 960)",
  });
});

Deno.test("label names and values are merged, cut to the limit, failures told", async () => {
  const good = [
    proxied({ instances: ["b", "\uFF5E"] }),
    proxied({ instances: ["a", "\u{1F600}"], external: { zone: "z" } }),
  ];
  const proxy = proxyOf(good);
  const values = async (p: Store, changes = {}) =>
    await p.labelValues({ ...labelsRequest(changes), label: "instance" }, callContext());
  assert.deepEqual((await values(proxy)).values, ["a", "b", "\uFF5E", "\u{1F600}"]);
  assert.deepEqual((await values(proxy, { limit: 2 })).values, ["a", "b"]);
  assert.deepEqual((await proxy.labelNames(labelsRequest(), callContext())).values, [
    "__name__",
    "instance",
    "zone",
  ]);
  const partly = proxyOf([...good, proxied(failing(unavailable)), proxied({ unhealthy: "down" })]);
  const answer = await values(partly);
  assert.equal(answer.values.length, 4);
  assert.deepEqual(answer.warnings.toSorted(), [
    `fetch label values from store ${STORE}: down`,
    `fetch label values from store ${STORE}: ` +
    "rpc error: code = Unavailable desc = connection error: refused",
  ]);
  await assert.rejects(
    values(proxyOf([proxied({ unhealthy: "down" })]), {
      partialResponse: "abort",
    }),
    { message: `fetch label values from store ${STORE}: down` },
  );
  const names = await partly.labelNames(labelsRequest(), callContext());
  assert.ok(names.warnings.every((w) => w.startsWith("fetch label names from store Addr: ")));
});

Deno.test("each asked store is reported with what it sent", async () => {
  const reports: StoreReport[] = [];
  const stores = [proxied({ instances: ["a", "b"] }), proxied({ address: "x:1", unhealthy: "no" })];
  let now = 0;
  await ask(proxyOf(stores, { report: (r) => reports.push(r), monotonic: () => now++ }));
  assert.deepEqual(reports.map((r) => [r.address, r.series, r.chunks, r.frames]).toSorted(), [
    ["127.0.0.1:10901", 2, 4, 2],
    ["x:1", 0, 0, 0],
  ]);
});

Deno.test("a store whose external labels are all that is asked for is reported as such", async () => {
  const external = { cluster: "a" };
  const of = async (matchers: SeriesRequest["matchers"], memory: Partial<MemoryStoreOptions>) => {
    const reports: StoreReport[] = [];
    const proxy = proxyOf([proxied({ external, memory })]);
    const report = (r: StoreReport) => void reports.push(r);
    await ask(proxy, { matchers }, { ...callContext(), report });
    return reports.map((r) => r.externalOnly ?? false);
  };
  const alone = [makeMatcher("=~", "cluster", "a|b")];
  assert.deepEqual(await of(alone, { series: [] }), [true]);
  assert.deepEqual(await of([...alone, ...UP], { series: [] }), [false]);
  assert.deepEqual(await of(alone, {}), [false], "it has an answer");
});

Deno.test("a store that is silent and frozen is told within silence and probe time", async () => {
  const frozen = proxied({
    address: "frozen:1",
    memory: { beforeFrame: () => new Promise(() => {}) },
  });
  const good = proxied({ address: "good:1" });
  const stores = [{ ...frozen, probe: () => new Promise(() => {}) }, good];
  const proxy = proxyOf(stores, { silence: 1, probeTimeout: 1 });
  const { series, warnings } = await ask(proxy);
  assert.equal(series.length, 1);
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0]!,
    /^fetch series for Store Gateway Addr: frozen:1 .*no data for 1ms and no answer to a health probe/,
  );
  await assert.rejects(ask(proxy, { partialResponse: "abort" }), /Addr: frozen:1 .*health probe/);
});

Deno.test("warnings of one store are capped, and the rest is counted", async () => {
  const talker = proxied({
    memory: { warnings: Array.from({ length: 1000 }, (_, i) => `warning ${i}`) },
  });
  const { warnings } = await ask(proxyOf([talker]));
  assert.equal(warnings.length, 101);
  assert.match(warnings[100]!, /^and 900 more warnings from Addr: 127.0.0.1:10901 /);
});

Deno.test("labels out of order are put in order before the merge, and counted", async () => {
  const odd = (labels: string[]): Store => ({
    async *series() {
      yield { series: [{ labels: labelsFromSorted(labels), chunks: [] }], warnings: [] };
    },
    labelNames: () => Promise.resolve({ values: [], warnings: [] }),
    labelValues: () => Promise.resolve({ values: [], warnings: [] }),
  });
  const repaired: string[] = [];
  const stores = [
    proxied({ address: "odd:1", store: odd(["zone", "a", "__name__", "up", "empty", ""]) }),
    proxied({ address: "good:1", store: odd(["__name__", "up", "zone", "a"]) }),
  ];
  const proxy = proxyOf(stores, { onRepaired: (address) => repaired.push(address) });
  assert.deepEqual((await ask(proxy)).series, ['{__name__="up", zone="a"}']);
  assert.deepEqual(repaired, ["odd:1"]);
  const twice = proxied({ address: "twice:1", store: odd(["a", "1", "a", "2"]) });
  const { warnings } = await ask(proxyOf([twice]));
  assert.match(warnings[0]!, /^receive series from Addr: twice:1 .*label a twice/);
});
