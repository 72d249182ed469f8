/**
 * What users do with a querier over a fleet: an HA pair of Prometheus servers that scrape, one more
 * behind a password, a store gateway, a group of sidecars behind one name, and servers that go away.
 */
import assert from "node:assert/strict";
import { openNameServer } from "../../lib/query/testing/name_server.ts";
import { ChildProcess, freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { ask, type Body } from "../ask.ts";
import { type Server, Stage, until } from "../mneme.ts";

const PASSWORD = "open sesame";
/** The password by bcrypt, cheap on purpose. */
const HASH = "$2b$04$FaSdpdbo55tOy9hgraZXY.m81fEBv/XxEYq9cGHJZEFzmEECpJi/m";
const LOGIN = `Basic ${btoa(`someone:${PASSWORD}`)}`;

/** Of a pair: both scrape the same servers, and drop one target. */
function pairConfig(replica: string, ...targets: string[]): string {
  return `global: {scrape_interval: 1s, external_labels: {prometheus: ha, replica: "${replica}"}}
scrape_configs:
- job_name: myself
  static_configs: [{targets: ${JSON.stringify([...targets, "localhost:80"])}}]
  relabel_configs: [{source_labels: [__address__], regex: ".*:80", action: drop}]
`;
}

/** A Prometheus that asks everybody for a password, itself too; to be stopped. */
async function startLocked(stage: Stage): Promise<{ child: ChildProcess; http: string }> {
  const folder = `${stage.folder}/locked`;
  await Deno.mkdir(folder);
  const address = `127.0.0.1:${freePort()}`;
  await Deno.writeTextFile(
    `${folder}/web.yml`,
    `basic_auth_users: {someone: "${HASH}"}\n`,
  );
  await Deno.writeTextFile(
    `${folder}/prometheus.yml`,
    `global: {scrape_interval: 1s, external_labels: {prometheus: locked}}
scrape_configs:
- job_name: myself
  basic_auth: {username: someone, password: ${PASSWORD}}
  static_configs: [{targets: ["${address}"]}]
`,
  );
  const child = ChildProcess.start({
    name: "locked prometheus",
    command: "prometheus",
    args: [
      `--config.file=${folder}/prometheus.yml`,
      `--web.config.file=${folder}/web.yml`,
      `--web.listen-address=${address}`,
      `--storage.tsdb.path=${folder}/data`,
      "--storage.tsdb.min-block-duration=2h",
      "--storage.tsdb.max-block-duration=2h",
    ],
  });
  const http = `http://${address}`;
  await until("the locked Prometheus", async () => {
    const headers = { authorization: LOGIN };
    const answer = await fetch(`${http}/-/ready`, { headers });
    await answer.body?.cancel();
    return answer.ok;
  }, 60_000);
  return { child, http };
}

async function metric(server: Server, name: string): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  const values = text.split("\n").filter((line) =>
    line.startsWith(name) && /^[{ ]/.test(
      line.slice(name.length),
    )
  ).map((line) => Number(line.slice(line.lastIndexOf(" "))));
  assert.ok(values.length > 0, `${name} is exported`);
  return values.reduce((sum, value) => sum + value, 0);
}

async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url);
  await answer.body?.cancel();
  return answer.status;
}

Deno.test({
  name: "a querier over a fleet of sidecars and a store gateway",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    if (!isOnPath("prometheus")) {
      console.log("skipped: prometheus is not on PATH");
      return;
    }
    await using stage = await Stage.open();
    const locked = await startLocked(stage);
    try {
      await fleetRows(t, stage, locked.http);
    } finally {
      await locked.child.stop();
    }
  },
});

async function fleetRows(t: Deno.TestContext, stage: Stage, lockedHttp: string): Promise<void> {
  const bucket = `${stage.folder}/bucket`;
  await Deno.mkdir(bucket);
  const first = await stage.startPrometheus("p0", pairConfig("0"));
  const target = first.http.slice("http://".length);
  await Deno.writeTextFile(first.configFile, pairConfig("0", target));
  await (await fetch(`${first.http}/-/reload`, { method: "POST" })).text();
  const second = await stage.startPrometheus("p1", pairConfig("1", target));
  const client = `basic_auth: {username: someone, password: ${PASSWORD}}`;
  const [s0, s1, s2, store] = await Promise.all([
    stage.mneme("sidecar", [
      `--prometheus.url=${first.http}`,
      "--prometheus.get_config_interval=1s",
      "--prometheus.get_config_timeout=2s",
    ]),
    stage.mneme("sidecar", [
      `--prometheus.url=${second.http}`,
      "--prometheus.get_config_interval=1s",
      "--prometheus.get_config_timeout=2s",
    ]),
    stage.mneme("sidecar", [
      `--prometheus.url=${lockedHttp}`,
      `--prometheus.http-client=${client}`,
    ]),
    stage.store(bucket),
  ]);
  const replica = "--query.replica-label=replica";
  const querier = await stage.mneme("query", [
    ...[s0, s1, s2, s2, store].map(({ grpc }) => `--endpoint=${grpc}`),
    replica,
    "--endpoint.info-timeout=1s",
  ]);
  const pair = await stage.mneme("query", [
    ...[s0, s1].map(({ grpc }) => `--endpoint=${grpc}`),
    replica,
  ]);
  const instant = async (server: Server, query: string, more: Record<string, string> = {}) => {
    const { status, body } = await ask(server, "query", {
      query,
      partial_response: "false",
      ...more,
    });
    assert.equal(status, 200, JSON.stringify(body));
    return body.data.result as Body[];
  };
  await until("three servers that scrape", async () => {
    return (await instant(querier, "up == 1", { dedup: "false" })).length === 3;
  }, 60_000);

  await t.step("F11: stores by type, one that is given twice once", async () => {
    const { body } = await ask(querier, "stores");
    assert.deepEqual(Object.keys(body.data).sort(), ["sidecar", "store"]);
    assert.deepEqual(
      body.data.sidecar.map((s: Body) => [s.name, s.labelSets, s.lastError]).sort(),
      [
        [s0.grpc, [{ prometheus: "ha", replica: "0" }], null],
        [s1.grpc, [{ prometheus: "ha", replica: "1" }], null],
        [s2.grpc, [{ prometheus: "locked" }], null],
      ].sort(),
    );
    assert.deepEqual(
      body.data.store.map((s: Body) => [s.name, s.labelSets, s.lastError]),
      [[store.grpc, [], null]],
    );
    assert.equal(await metric(querier, "thanos_store_nodes_grpc_connections"), 4);
  });

  await t.step("Q4, Q5: every server's series, and one of a pair", async () => {
    const labels = async (dedup: string) =>
      (await instant(querier, "sum without (instance) (up)", { dedup }))
        .map(({ metric: { prometheus, replica = "-" } }) => `${prometheus} ${replica}`).sort();
    assert.deepEqual(await labels("false"), ["ha 0", "ha 1", "locked -"]);
    assert.deepEqual(await labels("true"), ["ha -", "locked -"]);
  });

  await t.step("Q14: a Prometheus behind a password is reached by its sidecar alone", async () => {
    assert.equal(await statusOf(`${lockedHttp}/api/v1/query?query=up`), 401);
    const alone = await stage.mneme("query", [`--endpoint=${s2.grpc}`]);
    const found = await instant(alone, "up");
    assert.deepEqual(found.map((s) => s.metric.prometheus), ["locked"]);
    assert.equal(await metric(alone, "thanos_store_nodes_grpc_connections"), 1);
    const targets = (await ask(alone, "targets")).body.data.activeTargets;
    assert.deepEqual(targets.map((x: Body) => x.labels.prometheus), ["locked"]);
  });

  await t.step("F2: targets of a pair are one, with everything that was discovered", async () => {
    const own = (await (await fetch(`${first.http}/api/v1/targets`)).json()).data;
    // A busy machine may miss a scrape now and then.
    const { body } = await until("the target of the pair", async () => {
      const answer = await ask(pair, "targets");
      const { activeTargets, droppedTargets } = answer.body.data;
      return activeTargets[0]?.health === "up" && droppedTargets.length > 0 && answer;
    }, 60_000);
    const [active, ...more] = body.data.activeTargets;
    assert.deepEqual([more.length, body.data.droppedTargets.length], [0, 1]);
    const { discoveredLabels } = own.activeTargets[0];
    assert.ok(Object.keys(discoveredLabels).length >= 6, JSON.stringify(discoveredLabels));
    const expected = { ...discoveredLabels, prometheus: "ha" };
    assert.deepEqual(active.discoveredLabels, expected);
    assert.deepEqual(active.labels, { instance: target, job: "myself", prometheus: "ha" });
    assert.equal(active.scrapePool, "myself");
    const [dropped] = body.data.droppedTargets;
    assert.equal(dropped.discoveredLabels.__address__, "localhost:80");
  });

  await t.step("F3 to F7: metadata as Prometheus has them, with limits and by name", async () => {
    const of = async (params: Record<string, string>) =>
      (await ask(pair, "metadata", params)).body.data as Record<string, Body>;
    const own = async () => (await (await fetch(`${first.http}/api/v1/metadata`)).json()).data;
    for (const params of [{ limit: "-1" }, {}]) {
      // Each side scrapes when it does, and a server finds more to tell as it lives.
      await until("the same metadata on all sides", async () => {
        const [expected, found] = [await own(), await of(params)];
        assert.deepEqual(found, expected);
        return Object.keys(expected).length > 50;
      }, 60_000);
    }
    const number = async (params: Record<string, string>) => Object.keys(await of(params)).length;
    assert.equal(await number({ limit: "1" }), 1);
    assert.equal(await number({ limit: "10" }), 10);
    assert.equal(await number({ limit: "0" }), 0);
    const one = await of({ metric: "prometheus_build_info" });
    assert.deepEqual(Object.keys(one), ["prometheus_build_info"]);
    assert.equal(one.prometheus_build_info.length, 1);
  });

  await t.step("Q2, Q3: one of a group behind a name is away", async () => {
    const port = (server: Server) => Number(server.grpc.split(":")[1]);
    const names = await openNameServer({
      a: { "host.test": ["127.0.0.1"] },
      srv: { "_grpc._tcp.pair.test": [s0, s1].map((s) => ({ name: "host.test", port: port(s) })) },
    });
    const name = "dnssrv+_grpc._tcp.pair.test";
    const grouped = stage.launch("query", [
      `--endpoint-group=${name}`,
      "--store.sd-dns-resolver=miekgdns",
      "--store.sd-dns-interval=1s",
      "--endpoint.info-timeout=1s",
      replica,
    ], {
      preload: "name_server_preload.ts",
      env: { MNEME_TEST_NAME_SERVER: names.address },
    });
    await grouped.child.waitUntilReady(`${grouped.http}/-/ready`);
    await until("the group", async () => (await instant(grouped, "up")).length === 1);
    assert.deepEqual(
      Object.values((await ask(grouped, "stores")).body.data).flat().map((s) => (s as Body).name),
      [`thanos:///${name}`],
    );
    assert.equal(await statusOf(`${s1.http}/-/ready`), 200);
    second.child.kill("SIGKILL");
    await second.child.exit;
    await until("the sidecar to notice", async () => {
      const up = await metric(s1, "thanos_sidecar_prometheus_up");
      return up === 0 && await statusOf(`${s1.http}/-/ready`) !== 200;
    }, 60_000);
    assert.equal(await statusOf(`${s1.http}/-/healthy`), 200);
    let whole = 0;
    for (let i = 0; i < 20; i++) {
      const { status, body } = await ask(grouped, "query", {
        query: "up",
        partial_response: "false",
      });
      assert.doesNotMatch(JSON.stringify(body), /no such host/);
      if (status === 200 && body.data.result.length === 1) whole++;
      else assert.equal(status, 422, JSON.stringify(body));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(whole > 0, "the other one answers");
    names.close();
  });
}
