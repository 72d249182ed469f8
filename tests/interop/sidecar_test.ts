/** The sidecar beside a real Prometheus: what it serves, and what it does when that one is away. */
import assert from "node:assert/strict";
import { type Labels, labelsToRecord, makeMatcher, MAX_TIME } from "../../lib/model/mod.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import {
  type CallContext,
  fetchInfo,
  RemoteStore,
  type Series,
  type SeriesRequest,
} from "../../lib/storeapi/mod.ts";
import { freeze, type PrometheusServer, type Server, Stage, until } from "../mneme.ts";

const EXTERNAL = { cluster: "eu1", replica: "0", tenant: "team-eu" };
const context: CallContext = { signal: new AbortController().signal, tenant: "" };

function configOf(external: Readonly<Record<string, string>>, target = ""): string {
  const labels = Object.entries(external).map(([n, v]) => `    ${n}: ${JSON.stringify(v)}\n`);
  return `global:
  scrape_interval: 1s
${labels.length === 0 ? "" : `  external_labels:\n${labels.join("")}`}${
    target === "" ? "" : `scrape_configs:
- job_name: self
  static_configs: [{targets: ["${target}"]}]
`
  }`;
}

/** Without Prometheus the test says so and passes. */
function testWithPrometheus(name: string, run: (stage: Stage) => Promise<void>): void {
  Deno.test({
    name,
    async fn() {
      if (!isOnPath("prometheus")) {
        console.log("skipped: prometheus is not on PATH");
        return;
      }
      await using stage = await Stage.open();
      await run(stage);
    },
  });
}

function request(parts: Partial<SeriesRequest>): SeriesRequest {
  return {
    minTime: 0,
    maxTime: MAX_TIME,
    matchers: [],
    maxResolutionWindow: 0,
    aggregates: [],
    partialResponse: "abort",
    skipChunks: false,
    withoutReplicaLabels: [],
    limit: 0,
    responseBatchSize: 0,
    ...parts,
  };
}

async function seriesOf(store: RemoteStore, parts: Partial<SeriesRequest>): Promise<Series[]> {
  const found: Series[] = [];
  for await (const frame of store.series(request(parts), context)) {
    assert.deepEqual(frame.warnings, []);
    found.push(...frame.series);
  }
  return found;
}

/** Labels for comparison with a literal. */
function recordOf(labels: Labels): Record<string, string> {
  return { ...labelsToRecord(labels) };
}

async function metric(server: Server, name: string): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  const line = text.split("\n").find((l) => l.startsWith(`${name} `));
  assert.ok(line, `metric ${name} is exported`);
  return Number(line.slice(name.length + 1));
}

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(2000) });
  await answer.body?.cancel();
  return answer.status;
}

async function scraping(stage: Stage, name: string): Promise<PrometheusServer> {
  const prometheus = await stage.startPrometheus(name, configOf(EXTERNAL));
  await Deno.writeTextFile(prometheus.configFile, configOf(EXTERNAL, prometheus.http.slice(7)));
  const reload = await fetch(`${prometheus.http}/-/reload`, { method: "POST" });
  await reload.body?.cancel();
  assert.equal(reload.status, 200);
  return prometheus;
}

testWithPrometheus("sidecar serves what Prometheus holds", async (stage) => {
  const prometheus = await scraping(stage, "p");
  const sidecar = await stage.mneme("sidecar", [
    `--prometheus.url=${prometheus.http}/`,
    "--prometheus.get_config_interval=1s",
  ]);
  const client = connectRpc(sidecar.grpc);
  const store = new RemoteStore(client);
  try {
    const name = makeMatcher("=", "__name__", "up");
    const [up] = await until("a scraped series", async () => {
      const found = await seriesOf(store, { matchers: [name] });
      return found.length > 0 && found;
    });
    assert.deepEqual(recordOf(up!.labels), {
      __name__: "up",
      instance: prometheus.http.slice(7),
      job: "self",
      ...EXTERNAL,
    });
    assert.equal(up!.chunks[0]!.raw!.encoding, 1);

    const info = await fetchInfo(client);
    assert.equal(info.componentType, "sidecar");
    assert.deepEqual(info.labelSets.map(recordOf), [EXTERNAL]);
    assert.equal(info.store!.maxTime, MAX_TIME);
    assert.ok(info.store!.supportsSharding && info.store!.supportsWithoutReplicaLabels);
    assert.deepEqual(info.store!.tsdbInfos.map((t) => recordOf(t.labels)), [EXTERNAL]);
    await until("the lowest time", async () => {
      const { store } = await fetchInfo(client);
      return Math.abs(store!.minTime - Date.now()) < 60_000;
    });

    // Matchers on external labels are answered here; those that fail need no Prometheus.
    const eu = makeMatcher("=", "cluster", "eu1");
    const us = makeMatcher("=~", "cluster", "us.*");
    assert.equal((await seriesOf(store, { matchers: [name, eu] })).length, 1);
    assert.equal((await seriesOf(store, { matchers: [name, us] })).length, 0);
    await assert.rejects(
      seriesOf(store, { matchers: [eu] }),
      /no matchers specified \(excluding external labels\)/,
    );

    // Labels alone, without replicas, in order. Prometheus scrapes itself, so series appear between
    // two calls: the two must agree at some time, when nothing appeared.
    const all = makeMatcher("=~", "__name__", ".+");
    const labelsOnly = await until("the same series with and without chunks", async () => {
      const withoutReplica = { matchers: [all], withoutReplicaLabels: ["replica"] };
      const named = await seriesOf(store, withoutReplica);
      const bare = await seriesOf(store, { ...withoutReplica, skipChunks: true });
      assert.ok(named.every((s) => !("replica" in recordOf(s.labels))));
      const text = (found: readonly Series[]) => JSON.stringify(found.map((s) => s.labels));
      return named.length > 100 && text(named) === text(bare) && bare;
    });
    assert.ok(labelsOnly.every((s) => s.chunks.length === 0));

    const label = {
      start: 0,
      end: MAX_TIME,
      matchers: [],
      partialResponse: "abort",
      withoutReplicaLabels: [],
      limit: 0,
    } as const;
    const names = (await store.labelNames(label, context)).values;
    for (const known of ["__name__", "cluster", "job", "replica", "tenant"]) {
      assert.ok(names.includes(known), known);
    }
    assert.deepEqual(
      (await store.labelNames({ ...label, matchers: [name] }, context)).values,
      ["__name__", "cluster", "instance", "job", "replica", "tenant"],
    );
    const values = async (name: string, parts = {}) =>
      (await store.labelValues({ ...label, label: name, ...parts }, context)).values;
    assert.deepEqual(await values("job"), ["self"]);
    assert.deepEqual(await values("cluster"), ["eu1"]);
    assert.deepEqual(await values("cluster", { matchers: [name] }), ["eu1"]);
    assert.deepEqual(
      await values("cluster", { matchers: [makeMatcher("=", "__name__", "no")] }),
      [],
    );
    assert.deepEqual(await values("replica", { withoutReplicaLabels: ["replica"] }), []);
    assert.deepEqual(await values("job", { matchers: [us] }), []);

    // Live change of the external labels.
    const changed = { cluster: "eu2", replica: "1" };
    await Deno.writeTextFile(prometheus.configFile, configOf(changed));
    await (await fetch(`${prometheus.http}/-/reload`, { method: "POST" })).body?.cancel();
    await until("the new external labels", async () => {
      const { labelSets } = await fetchInfo(client);
      return recordOf(labelSets[0]!).cluster === "eu2";
    });
    assert.equal(await metric(sidecar, "thanos_sidecar_prometheus_up"), 1);
  } finally {
    client.close();
  }
});

testWithPrometheus("sidecar waits for a Prometheus, and for it to come back", async (stage) => {
  const first = await stage.startPrometheus("p", configOf(EXTERNAL));
  await first.child.stop();
  const sidecar = stage.launch("sidecar", [
    `--prometheus.url=${first.http}`,
    "--prometheus.get_config_timeout=2s",
  ]);
  await until("health", async () => await statusOf(`${sidecar.http}/-/healthy`) === 200);
  assert.equal(await statusOf(`${sidecar.http}/-/ready`), 503);
  assert.equal(await metric(sidecar, "thanos_sidecar_prometheus_up"), 0);
  const client = connectRpc(sidecar.grpc, { attempts: 1 });
  try {
    await assert.rejects(fetchInfo(client, { timeoutMs: 1000 }));
    await until(
      "a warning that tells why",
      () => sidecar.child.tail.some((l) => l.includes("Cannot reach Prometheus")),
    );

    const second = await stage.startPrometheus("p");
    const ready = async () => await statusOf(`${sidecar.http}/-/ready`) === 200;
    await until("readiness", ready);
    assert.equal(await metric(sidecar, "thanos_sidecar_prometheus_up"), 1);
    await until("Info", async () => (await fetchInfo(client)).labelSets.length === 1);

    // Killed: known within ten seconds, and a query fails with the address at once.
    second.child.kill("SIGKILL");
    await second.child.exit;
    const store = new RemoteStore(client);
    const up = makeMatcher("=", "__name__", "up");
    await assert.rejects(
      seriesOf(store, { matchers: [up] }),
      new RegExp(`Cannot reach Prometheus at ${first.http}`),
    );
    const gone = async () => await statusOf(`${sidecar.http}/-/ready`) === 503;
    await until("503 after a kill", gone);
    assert.equal(await metric(sidecar, "thanos_sidecar_prometheus_up"), 0);
    await assert.rejects(fetchInfo(client), /Not ready/);

    const third = await stage.startPrometheus("p");
    await until("readiness without a restart", ready);

    // Stopped with open connections: the caller's deadline ends the call.
    await freeze(third);
    try {
      const deadline = { ...context, signal: AbortSignal.timeout(1000) };
      await assert.rejects(async () => {
        for await (const _ of store.series(request({ matchers: [up] }), deadline));
      });
      await until("503 of a stopped Prometheus", gone);
    } finally {
      third.child.kill("SIGCONT");
    }
    await until("readiness after SIGCONT", ready);
  } finally {
    client.close();
  }
});

testWithPrometheus("sidecar refuses a Prometheus without external labels", async (stage) => {
  const prometheus = await stage.startPrometheus("p", configOf({}));
  const sidecar = stage.launch("sidecar", [`--prometheus.url=${prometheus.http}`]);
  assert.notEqual(await sidecar.child.exit, 0);
  assert.match(
    sidecar.child.tail.join("\n"),
    /no external labels configured on Prometheus server, uniquely identifying external labels/,
  );
});
