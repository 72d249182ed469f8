import assert from "node:assert/strict";
import { Metrics } from "../telemetry/mod.ts";
import {
  EndpointResolver,
  type Lookup,
  nameServerLookup,
  resolveAddress,
  systemLookup,
} from "./discovery.ts";
import { lookupMetrics } from "./endpoint_metrics.ts";
import { openNameServer } from "./testing/name_server.ts";

/** A resolver over fixed records; a name without any is an error, as in DNS. */
function lookup(records: {
  a?: Record<string, string[]>;
  aaaa?: Record<string, string[]>;
  srv?: Record<string, { name: string; port: number }[]>;
}): Lookup {
  const find = <T>(table: Record<string, T[]> | undefined, name: string): Promise<T[]> => {
    const found = table?.[name];
    return found === undefined
      ? Promise.reject(new Error(`${name}: not found`))
      : Promise.resolve(found);
  };
  return {
    a: (name) => find(records.a, name),
    aaaa: (name) => find(records.aaaa, name),
    srv: (name) => find(records.srv, name),
  };
}

const dns = lookup({
  a: { both: ["10.0.0.1", "10.0.0.2"], four: ["10.0.0.4"], target: ["10.0.0.9"] },
  aaaa: { both: ["fd::1"], six: ["fd::6"] },
  srv: { "_grpc._tcp.s": [{ name: "target.", port: 10901 }, { name: "six.", port: 7 }] },
});

Deno.test("addresses behind names by kind of lookup", async () => {
  const table: [string, string[]][] = [
    ["dns+both:1", ["10.0.0.1:1", "10.0.0.2:1"]],
    ["dns+six:1", ["[fd::6]:1"]],
    ["dnsdualstack+both:1", ["[fd::1]:1", "10.0.0.1:1", "10.0.0.2:1"]],
    ["dnsdualstack+four:1", ["10.0.0.4:1"]],
  ];
  for (const [address, expected] of table) {
    assert.deepEqual(await resolveAddress(address, dns), expected, address);
  }
  const srv = lookup({
    a: { target: ["10.0.0.9"], six: ["10.0.0.6"] },
    srv: { "_grpc._tcp.s": [{ name: "target.", port: 10901 }, { name: "six.", port: 7 }] },
  });
  assert.deepEqual(await resolveAddress("dnssrv+_grpc._tcp.s", srv), [
    "10.0.0.9:10901",
    "10.0.0.6:7",
  ]);
  assert.deepEqual(await resolveAddress("dnssrv+_grpc._tcp.s:5", srv), [
    "10.0.0.9:5",
    "10.0.0.6:5",
  ]);
  assert.deepEqual(await resolveAddress("dnssrvnoa+_grpc._tcp.s", srv), ["target:10901", "six:7"]);
});

Deno.test("the machine's resolver knows its own names and literal addresses", async () => {
  assert.deepEqual(await resolveAddress("dns+localhost:1", systemLookup), ["127.0.0.1:1"]);
  assert.deepEqual(await resolveAddress("dns+127.0.0.1:1", systemLookup), ["127.0.0.1:1"]);
});

Deno.test("lookups that cannot be told why", async () => {
  await assert.rejects(resolveAddress("dns+both", dns), /missing port in address/);
  await assert.rejects(resolveAddress("x+both:1", dns), /invalid lookup scheme "x"/);
  await assert.rejects(resolveAddress("dns+nobody:1", dns), /not found/);
  await assert.rejects(resolveAddress("dnssrv+nobody", dns), /not found/);
  await assert.rejects(resolveAddress("dnsdualstack+nobody:1", dns), /no address found for nobody/);
});

Deno.test("names are looked up now and then; a failed lookup keeps the last result", async () => {
  let now = 0;
  let records: Lookup = lookup({ a: { n: ["10.0.0.1"] } });
  const failures: string[] = [];
  const resolver = new EndpointResolver(
    () => [{ address: "dns+n:1", strict: false }, { address: "plain:1", strict: true }],
    {
      lookup: {
        a: (name) => records.a(name),
        aaaa: (name) => records.aaaa(name),
        srv: (name) => records.srv(name),
      },
      interval: 30_000,
      now: () => now,
      onFailure: (name) => failures.push(name),
    },
  );
  const addresses = async () => (await resolver.endpoints()).map((e) => e.address);
  assert.deepEqual(await addresses(), ["10.0.0.1:1", "plain:1"]);
  records = lookup({ a: { n: ["10.0.0.2"] } });
  now = 29_999;
  assert.deepEqual(await addresses(), ["10.0.0.1:1", "plain:1"]);
  now = 30_000;
  assert.deepEqual(await addresses(), ["10.0.0.2:1", "plain:1"]);
  records = lookup({});
  now = 60_000;
  assert.deepEqual(await addresses(), ["10.0.0.2:1", "plain:1"]);
  assert.deepEqual(failures, ["dns+n:1"]);
});

Deno.test("a group stays one endpoint whatever it resolves to, and lookups are counted", async () => {
  let now = 0;
  let ips = ["10.0.0.1", "10.0.0.2"];
  const metrics = new Metrics();
  const resolver = new EndpointResolver(
    () => [
      { address: "dns+n:1", strict: true, group: true },
      { address: "single:2", strict: false, group: true },
      { address: "dns+gone:3", strict: false },
    ],
    {
      lookup: {
        a: (name) =>
          name === "n" ? Promise.resolve(ips) : Promise.reject(new Error("no such host")),
        aaaa: () => Promise.resolve([]),
        srv: () => Promise.resolve([]),
      },
      interval: 1000,
      now: () => now,
      onFailure: () => {},
      metrics: lookupMetrics(metrics),
    },
  );
  const [group, single, ...rest] = await resolver.endpoints();
  assert.deepEqual(rest, []);
  assert.equal(group!.address, "thanos:///dns+n:1");
  assert.deepEqual(group!.members!(), ["10.0.0.1:1", "10.0.0.2:1"]);
  assert.deepEqual([single!.address, ...single!.members!()], ["thanos:///single:2", "single:2"]);
  ips = ["10.0.0.3"];
  now = 1000;
  await resolver.endpoints();
  assert.deepEqual(group!.members!(), ["10.0.0.3:1"], "the group follows without a new connection");
  const text = await metrics.expose();
  for (
    const line of [
      "thanos_query_endpoints_dns_lookups_total 2",
      "thanos_query_endpoints_dns_failures_total 2",
      "thanos_query_endpoint_groups_dns_lookups_total 2",
      "thanos_query_endpoint_groups_dns_failures_total 0",
      "thanos_query_store_apis_dns_lookups_total 4",
      "thanos_query_store_apis_dns_failures_total 2",
      'thanos_query_endpoint_groups_dns_provider_results{addr="dns+n:1"} 1',
      'thanos_query_endpoints_dns_provider_results{addr="dns+gone:3"} 0',
    ]
  ) assert.ok(text.includes(`\n${line}\n`), `${line}\n${text}`);
});

Deno.test({
  name: "nameServerLookup asks name servers alone",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const server = await openNameServer({
      a: { "a.test": ["10.1.2.3", "10.1.2.4"], "b.test": ["10.1.2.5"] },
      srv: { "_grpc._tcp.test": [{ name: "a.test", port: 1 }, { name: "b.test", port: 2 }] },
    });
    try {
      const dns = nameServerLookup([server.address]);
      const of = async (address: string) => (await resolveAddress(address, dns)).sort();
      assert.deepEqual(await of("dns+a.test:7"), ["10.1.2.3:7", "10.1.2.4:7"]);
      assert.deepEqual(await of("dnssrvnoa+_grpc._tcp.test"), ["a.test:1", "b.test:2"]);
      assert.deepEqual(await of("dnssrv+_grpc._tcp.test"), [
        "10.1.2.3:1",
        "10.1.2.4:1",
        "10.1.2.5:2",
      ]);
      await assert.rejects(of("dns+c.test:7"));
    } finally {
      server.close();
    }
  },
});
