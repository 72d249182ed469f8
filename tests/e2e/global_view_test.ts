/** The first tutorial: three real Prometheus servers, three sidecars, one querier. */
import assert from "node:assert/strict";
import { GlobalView, type Member, MEMBERS } from "../../examples/global-view/global_view.ts";
import { freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { until } from "../mneme.ts";

const METRIC = "prometheus_tsdb_head_series";

Deno.test("the global view over three Prometheus servers", async () => {
  if (!isOnPath("prometheus")) {
    console.log("skipped: prometheus is not on PATH");
    return;
  }
  const folder = await Deno.makeTempDir({ prefix: "mneme-global-view-" });
  const ports = () => ({
    prometheus: freePort(),
    sidecarHttp: freePort(),
    sidecarGrpc: freePort(),
  });
  try {
    await using view = await GlobalView.start({
      folder,
      ports: {
        prometheus0_eu1: ports(),
        prometheus0_us1: ports(),
        prometheus1_us1: ports(),
      },
      queryHttp: freePort(),
      queryGrpc: freePort(),
    });
    const { ports: all } = view.options;
    const address = (member: Member) => `127.0.0.1:${all[member].prometheus}`;

    // Three series with deduplication, five without.
    const series = await view.queryUntil(METRIC, 3);
    assert.deepEqual(
      series.map((s) => `${s.metric.cluster} ${s.metric.instance} ${s.metric.replica}`).sort(),
      [
        `eu1 ${address("prometheus0_eu1")} undefined`,
        `us1 ${address("prometheus0_us1")} undefined`,
        `us1 ${address("prometheus1_us1")} undefined`,
      ].sort(),
    );
    const raw = await view.queryUntil(METRIC, 5, { dedup: "false" });
    assert.deepEqual(
      raw.map((s) => `${s.metric.cluster} ${s.metric.replica}`).sort(),
      ["eu1 0", "us1 0", "us1 0", "us1 1", "us1 1"],
    );

    // One value over everything, which is the sum of the deduplicated ones.
    // A little ago, so that no scrape is still being written.
    const { time, parts } = await until("scrapes of all", async () => {
      const time = String(Date.now() / 1000 - 3);
      const parts = await view.query(METRIC, { time });
      return parts.length === 3 && { time, parts };
    });
    const [sum] = await view.query(`sum(${METRIC})`, { time });
    assert.deepEqual(sum!.metric, {});
    assert.equal(Number(sum!.value[1]), parts.reduce((n, s) => n + Number(s.value[1]), 0));

    // The stores: three sidecars with their external labels, all well.
    const stores = await (await fetch(`${view.url}/api/v1/stores`)).json();
    assert.deepEqual(Object.keys(stores.data), ["sidecar"]);
    assert.deepEqual(
      stores.data.sidecar.map((s: { labelSets: unknown; lastError: unknown }) => [
        JSON.stringify(s.labelSets),
        s.lastError,
      ]).sort(),
      [
        ['[{"cluster":"eu1","replica":"0"}]', null],
        ['[{"cluster":"us1","replica":"0"}]', null],
        ['[{"cluster":"us1","replica":"1"}]', null],
      ],
    );
    for (const member of MEMBERS) {
      const page = await (await fetch(`http://127.0.0.1:${all[member].sidecarHttp}/metrics`))
        .text();
      assert.match(page, /^thanos_sidecar_prometheus_up 1$/m);
    }

    // A changed configuration file is live without a restart, and its labels reach the querier.
    const file = view.configFile("prometheus0_eu1");
    const text = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, text.replace("job_name: prometheus", "job_name: renamed"));
    await until("the new configuration", async () => {
      const answer = await fetch(`http://${address("prometheus0_eu1")}/api/v1/status/config`);
      return (await answer.json()).data.yaml.includes("job_name: renamed");
    });
    await view.queryUntil(`${METRIC}{job="renamed", cluster="eu1"}`, 1);

    // What the servers tell beside series: replicas' targets are one, statistics add up.
    const api = async (path: string) => {
      const answer = await fetch(`${view.url}/api/v1${path}`);
      return { status: answer.status, body: await answer.json() };
    };
    const targets = await until("all targets up", async () => {
      const { data } = (await api("/targets?state=active")).body;
      const found: { health: string; labels: Record<string, string> }[] = data.activeTargets;
      return found.length === 3 && found.every((t) => t.health === "up") && found;
    });
    assert.deepEqual(
      targets.map((t) => `${t.labels.cluster} ${t.labels.instance} ${t.labels.replica}`).sort(),
      series.map((s) => `${s.metric.cluster} ${s.metric.instance} undefined`).sort(),
    );
    assert.equal((await api("/metadata?metric=up")).status, 200);
    const metadata = (await api(`/metadata?metric=${METRIC}`)).body.data;
    assert.equal(metadata[METRIC].length, 1);
    assert.equal(metadata[METRIC][0].type, "gauge");
    assert.deepEqual((await api("/rules")).body.data, { groups: [] });
    assert.deepEqual((await api(`/query_exemplars?query=${METRIC}`)).body.data, []);
    const statistics = (await api("/status/tsdb?match[]={cluster=%22us1%22}")).body.data;
    assert.equal(statistics.length, 1);
    assert.ok(statistics[0].headStats.numSeries > 500);
    assert.ok(view.children.every((child) => child.running));

    // One Prometheus dies: an error that names its sidecar, or the rest and a warning.
    const dying = view.children.find((child) => child.name === "prometheus0_eu1")!;
    dying.kill("SIGKILL");
    await dying.exit;
    const sidecar = `127.0.0.1:${all.prometheus0_eu1.sidecarGrpc}`;
    const strict = await api(`/query?query=${METRIC}&partial_response=false`);
    assert.equal(strict.status, 422);
    assert.ok(strict.body.error.includes(sidecar), strict.body.error);
    const partial = await api(`/query?query=${METRIC}&partial_response=true`);
    assert.equal(partial.status, 200);
    assert.equal(partial.body.data.result.length, 2);
    assert.ok(partial.body.warnings.join().includes(sidecar));
    await until("the sidecar's word that Prometheus is away", async () => {
      const ready = await fetch(
        `http://127.0.0.1:${all.prometheus0_eu1.sidecarHttp}/-/ready`,
      );
      await ready.body?.cancel();
      return ready.status === 503;
    });
    const after = await until("the querier's word of it", async () => {
      const answer = await api("/targets");
      return answer.body.warnings?.length > 0 && answer;
    });
    assert.ok(after.body.warnings[0].includes(sidecar), after.body.warnings[0]);
    assert.equal(after.body.data.activeTargets.length, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
