import assert from "node:assert/strict";
import { FakeClock, MnemeError } from "../base/mod.ts";
import { labelsFromRecord, MAX_TIME, MIN_TIME } from "../model/mod.ts";
import type { ComponentInfo, Store } from "../storeapi/mod.ts";
import { Metrics } from "../telemetry/mod.ts";
import { endpointMetrics } from "./endpoint_metrics.ts";
import { checkAddress, EndpointSet, type EndpointSpec } from "./endpoint_set.ts";

const NO_STORE = {} as Store;
const signal = new AbortController().signal;

function info(componentType: string, cluster = ""): ComponentInfo {
  return {
    labelSets: cluster === "" ? [] : [labelsFromRecord({ cluster, replica: "a" })],
    componentType,
    store: {
      minTime: 10,
      maxTime: 20,
      supportsSharding: true,
      supportsWithoutReplicaLabels: true,
      tsdbInfos: [],
    },
  };
}

/** Endpoints whose answers the test sets; an Error is thrown. */
function setUp(unhealthyTimeout = 60_000, closeDelay = 0) {
  const clock = new FakeClock(1_000_000);
  const answers = new Map<string, ComponentInfo | Error>();
  const connected: string[] = [];
  const closed: string[] = [];
  const logs: string[] = [];
  const metrics = new Metrics();
  const set = new EndpointSet({
    connect: ({ address }) => {
      connected.push(address);
      return {
        store: NO_STORE,
        // deno-lint-ignore require-await
        async info() {
          const answer = answers.get(address);
          if (answer === undefined) throw new MnemeError("unavailable", "nobody there");
          if (answer instanceof Error) throw answer;
          return answer;
        },
        close: () => closed.push(address),
      };
    },
    infoTimeout: 5000,
    unhealthyTimeout,
    closeDelay,
    clock,
    log: (level, message, fields) => logs.push(`${level} ${message} ${fields.address}`),
    metrics: endpointMetrics(metrics, ["external_labels", "store_type"]),
  });
  const poll = (...addresses: (string | EndpointSpec)[]) =>
    set.update(
      addresses.map((a) => typeof a === "string" ? { address: a, strict: false } : a),
      signal,
    );
  return { clock, answers, connected, closed, logs, metrics, set, poll };
}

const known = (set: EndpointSet) => set.known().map((e) => `${e.address} ${e.unhealthy ?? "ok"}`);

Deno.test("an endpoint is known from its first answer on", async () => {
  const { set, answers, poll, connected } = setUp();
  await poll("a:1", "b:1");
  assert.deepEqual(known(set), []);
  assert.deepEqual(set.statuses(), []);
  answers.set("a:1", info("sidecar", "eu"));
  await poll("a:1", "b:1");
  assert.deepEqual(known(set), ["a:1 ok"]);
  assert.deepEqual(connected, ["a:1", "b:1"], "connected once each");
  const [status] = set.statuses();
  assert.deepEqual(
    [status!.name, status!.componentType, status!.lastError, status!.minTime, status!.lastCheck],
    ["a:1", "sidecar", undefined, 10, 1_000_000],
  );
});

Deno.test("a known endpoint that fails stays known, with its description and the cause", async () => {
  const { set, answers, poll, clock, logs } = setUp();
  answers.set("a:1", info("store"));
  await poll("a:1");
  answers.set("a:1", new MnemeError("unavailable", "connection refused"));
  await clock.advance(5000);
  await poll("a:1");
  await clock.advance(5000);
  await poll("a:1");
  assert.deepEqual(known(set), ["a:1 connection refused"]);
  const [status] = set.statuses();
  assert.deepEqual([status!.lastError, status!.lastCheck], ["connection refused", 1_000_000]);
  assert.equal(set.known()[0]!.info.componentType, "store");
  answers.set("a:1", info("store"));
  await poll("a:1");
  assert.deepEqual(known(set), ["a:1 ok"]);
  assert.deepEqual(logs, [
    "info adding new endpoint a:1",
    "warn endpoint does not answer a:1",
    "info endpoint is back a:1",
  ], "each change once");
});

Deno.test("an endpoint is forgotten after the unhealthy time-out, and found again", async () => {
  const { set, answers, poll, clock } = setUp(60_000);
  answers.set("a:1", info("store"));
  await poll("a:1");
  answers.delete("a:1");
  await clock.advance(59_999);
  await poll("a:1");
  assert.equal(set.known().length, 1);
  await clock.advance(1);
  await poll("a:1");
  assert.equal(set.known().length, 0);
  assert.equal(set.statuses().length, 0);
  answers.set("a:1", info("store"));
  await poll("a:1");
  assert.deepEqual(known(set), ["a:1 ok"]);
});

Deno.test("a strict endpoint counts as a store of all times before and after it answered", async () => {
  const { set, answers, poll, clock } = setUp(60_000);
  const strict = { address: "s:1", strict: true };
  await poll(strict);
  assert.deepEqual(known(set), ["s:1 ok"], "it is asked, and its failure is today's");
  const before = set.known()[0]!.info;
  assert.deepEqual([before.store!.minTime, before.store!.maxTime], [MIN_TIME, MAX_TIME]);
  assert.deepEqual(set.statuses(), [], "not listed before its first answer");
  answers.set("s:1", info("sidecar"));
  await poll(strict);
  assert.equal(set.known()[0]!.info.store!.maxTime, 20);
  answers.delete("s:1");
  await clock.advance(1_000_000);
  await poll(strict);
  assert.deepEqual(known(set), ["s:1 ok"]);
  assert.equal(set.statuses()[0]!.lastError, "nobody there");
});

Deno.test("an endpoint that is no longer configured is closed", async () => {
  const { set, answers, poll, closed } = setUp();
  answers.set("a:1", info("store"));
  answers.set("b:1", info("store"));
  await poll("a:1", "b:1");
  await poll("b:1");
  assert.deepEqual(known(set), ["b:1 ok"]);
  assert.deepEqual(closed, ["a:1"]);
  set.close();
  assert.deepEqual(closed, ["a:1", "b:1"]);
});

Deno.test("an address given twice is one endpoint, told and counted once; strict wins", async () => {
  const { set, answers, poll, logs, metrics } = setUp();
  answers.set("a:1", info("store"));
  for (let i = 0; i < 3; i++) await poll("a:1", { address: "a:1", strict: true }, "a:1");
  assert.equal(set.known().length, 1);
  assert.equal(logs.filter((l) => l.includes("duplicate")).length, 1);
  const text = await metrics.expose();
  assert.match(text, /^thanos_query_duplicated_endpoint_addresses_total 1$/m);
});

Deno.test("queryable endpoints are counted by labels and type", async () => {
  const { answers, poll, metrics } = setUp();
  const line = async (labels: string) =>
    (await metrics.expose()).split("\n").find((l) =>
      l.startsWith("thanos_store_nodes_grpc_connections{") && l.includes(labels)
    );
  answers.set("a:1", info("sidecar", "eu"));
  answers.set("b:1", info("sidecar", "eu"));
  answers.set("c:1", info("store"));
  await poll("a:1", "b:1", "c:1");
  assert.match((await line("sidecar"))!, /cluster=.*eu.* 2$/);
  assert.match((await line("no_external_labels"))!, /store_type="store"} 1$/);
  answers.delete("b:1");
  answers.delete("c:1");
  await poll("a:1", "b:1", "c:1");
  assert.match((await line("sidecar"))!, / 1$/);
  assert.equal(await line("no_external_labels"), undefined);
});

Deno.test("checkAddress() wants a port or a DNS prefix", () => {
  for (const good of ["a:1", "dns+a:1", "dnssrv+_grpc._tcp.a"]) checkAddress(good);
  for (const bad of ["", "a"]) {
    assert.throws(() => checkAddress(bad), {
      message: `Address ${bad} is not of <host>:<port> format or a valid DNS query.`,
    });
  }
});

Deno.test("connections of a removed endpoint stay open for the queries that run", async () => {
  const { set, answers, poll, closed, clock } = setUp(60_000, 120_000);
  answers.set("a:1", info("store"));
  answers.set("b:1", info("store"));
  await poll("a:1", "b:1");
  await poll("b:1");
  assert.deepEqual(known(set), ["b:1 ok"]);
  assert.deepEqual(closed, []);
  await clock.advance(120_000);
  await poll("b:1");
  assert.deepEqual(closed, ["a:1"]);
  await poll();
  set.close();
  assert.deepEqual(closed, ["a:1", "b:1"]);
});

Deno.test("an endpoint with other settings is connected anew; equal ones keep their connection", async () => {
  const { poll, connected, answers } = setUp();
  answers.set("a:1", info("store"));
  const client = { tls: undefined, serverName: "", compression: "none" as const };
  const spec = (compression: "none" | "snappy"): EndpointSpec => ({
    address: "a:1",
    strict: false,
    client: { ...client, compression },
  });
  await poll(spec("none"));
  await poll(spec("none"));
  assert.equal(connected.length, 1);
  await poll(spec("snappy"));
  assert.equal(connected.length, 2);
});

Deno.test("sidecars with the same external labels are told once; probes share one call", async () => {
  const { set, answers, poll, logs } = setUp();
  answers.set("a:1", info("sidecar", "eu"));
  answers.set("b:1", info("sidecar", "eu"));
  answers.set("c:1", info("store", "eu"));
  await poll("a:1", "b:1", "c:1");
  await poll("a:1", "b:1", "c:1");
  assert.equal(logs.filter((l) => l.includes("duplicate storeAPIs")).length, 1);
  const [a] = set.known();
  const first = a!.probe();
  assert.equal(a!.probe(), first);
  await first;
  answers.delete("a:1");
  await assert.rejects(a!.probe(), /nobody there/);
});
