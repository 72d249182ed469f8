import assert from "node:assert/strict";
import { PLAIN_CLIENT } from "./client_settings.ts";
import { EndpointSources } from "./endpoint_sources.ts";
import { FileDiscovery } from "./file_sd.ts";

function setUp(config: string | undefined, texts: Map<string, string>) {
  let now = 0;
  let content = config ?? "";
  const reloads: { error?: string }[] = [];
  const failures: string[] = [];
  const reads: string[] = [];
  const files = new FileDiscovery(["*.yml", "*.json"], {
    files: {
      find: (pattern) => [...texts.keys()].filter((path) => path.endsWith(pattern.slice(1))).sort(),
      read: (path) => {
        reads.push(path);
        return texts.get(path)!;
      },
      version: (path) => `${texts.get(path)!.length}`,
    },
    interval: 300_000,
    now: () => now,
    onFailure: (path, cause) => failures.push(`${path} ${cause}`),
  });
  const make = () =>
    new EndpointSources({
      fixed: [{ address: "flag:1", strict: true }],
      client: PLAIN_CLIENT,
      ...(config === undefined ? {} : { config: { source: "cfg", load: () => content } }),
      configInterval: 60_000,
      files,
      now: () => now,
      onReload: (outcome) => reloads.push(outcome),
    });
  return {
    make,
    reloads,
    failures,
    reads,
    at: (ms: number) => now = ms,
    write: (text: string) => content = text,
  };
}

Deno.test("EndpointSources joins flags, configuration and files, with the default's settings", () => {
  const texts = new Map([
    ["a.yml", "- targets: [f:1, dns+g:2]\n  labels: {x: y}\n"],
    ["b.json", '[{"targets":["f:1","h:3"]}]'],
  ]);
  const { make } = setUp(
    "default_client_config: {compression: snappy}\nendpoints: [{address: c:1}]",
    texts,
  );
  const client = { ...PLAIN_CLIENT, compression: "snappy" as const };
  assert.deepEqual(make().specs(), [
    { address: "c:1", strict: false, client },
    { address: "flag:1", strict: true, client },
    { address: "f:1", strict: false, client },
    { address: "dns+g:2", strict: false, client },
    { address: "h:3", strict: false, client },
  ]);
});

Deno.test("a configuration is read again at intervals; one that is broken changes nothing", () => {
  const { make, at, write, reloads } = setUp("endpoints: [{address: c:1}]", new Map());
  const sources = make();
  const names = () => sources.specs().map((spec) => spec.address);
  write("endpoints: [{address: d:1}]");
  assert.deepEqual(names(), ["c:1", "flag:1"]);
  at(60_000);
  assert.deepEqual(names(), ["d:1", "flag:1"]);
  write("endpoints: {");
  at(120_000);
  assert.deepEqual(names(), ["d:1", "flag:1"]);
  assert.equal(reloads.length, 2);
  assert.match(reloads[1]!.error!, /^cfg/);
  write("endpoints: [{address: e:1}]");
  sources.reload();
  assert.deepEqual(names(), ["e:1", "flag:1"]);
  const broken = setUp("endpoints: {", new Map());
  assert.throws(() => broken.make(), /cfg/);
});

Deno.test("a discovery file is read when it changes and now and then; a broken one keeps its targets", () => {
  const texts = new Map([["a.yml", "- targets: [f:1]"]]);
  const { make, at, failures, reads } = setUp(undefined, texts);
  const sources = make();
  const names = () => sources.specs().slice(1).map((spec) => spec.address);
  assert.deepEqual(names(), ["f:1"]);
  assert.deepEqual(names(), ["f:1"]);
  assert.equal(reads.length, 1);
  texts.set("a.yml", "- targets: [f:1, gg:2]");
  assert.deepEqual(names(), ["f:1", "gg:2"]);
  texts.set("a.yml", "broken");
  for (let i = 0; i < 3; i++) assert.deepEqual(names(), ["f:1", "gg:2"]);
  assert.equal(failures.length, 1, failures.join("\n"));
  texts.set("a.yml", "- targets: [z:9]");
  assert.deepEqual(names(), ["z:9"]);
  const before = reads.length;
  at(300_000);
  names();
  assert.equal(reads.length, before + 1);
  texts.delete("a.yml");
  assert.deepEqual(names(), []);
});
