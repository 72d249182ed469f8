/**
 * What users do with a querier over sidecars: an HA pair of real Prometheus servers with written
 * samples, so that every number is known.
 */
import assert from "node:assert/strict";
import { snappyCompress } from "../../lib/base/mod.ts";
import { ProtoWriter } from "../../lib/rpc/mod.ts";
import { freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { ask, type Body } from "../ask.ts";
import { Stage, until } from "../mneme.ts";

type Labels = Record<string, string>;

interface Written {
  readonly labels: Labels;
  readonly value: number;
  readonly exemplar?: Labels;
}

/** Writes one sample of each series over Prometheus' remote write. */
async function write(http: string, time: number, series: readonly Written[]): Promise<void> {
  const w = new ProtoWriter();
  const pairs = (field: number, labels: Labels) => {
    for (const [name, value] of Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1)) {
      const token = w.open(field, 32);
      w.string(1, name);
      w.string(2, value);
      w.close(token);
    }
  };
  for (const { labels, value, exemplar } of series) {
    const token = w.open(1, 256);
    pairs(1, labels);
    const sample = w.open(2, 20);
    w.double(1, value);
    w.int64(2, time);
    w.close(sample);
    if (exemplar !== undefined) {
      const inner = w.open(3, 64);
      pairs(1, exemplar);
      w.double(2, value);
      w.int64(3, time);
      w.close(inner);
    }
    w.close(token);
  }
  const answer = await fetch(`${http}/api/v1/write`, {
    method: "POST",
    headers: {
      "content-encoding": "snappy",
      "content-type": "application/x-protobuf",
      "x-prometheus-remote-write-version": "0.1.0",
    },
    body: snappyCompress(new Uint8Array(w.finish())),
  });
  assert.equal(answer.status, 204, await answer.text());
}

const LABELS_OF = (result: Body[]) => result.map((s) => JSON.stringify(s.metric)).sort();

Deno.test({
  name: "a querier over an HA pair of Prometheus servers",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    if (!isOnPath("prometheus")) {
      console.log("skipped: prometheus is not on PATH");
      return;
    }
    await using stage = await Stage.open();
    const nobody = freePort();
    const rules = `groups:
- name: ha
  limit: 9
  interval: 1h
  rules:
  - {alert: Never, expr: "vector(1) < 0", labels: {severity: page}}
  - {record: "no:series", expr: "vector(1) < 0"}
`;
    const start = async (name: string, replica: string) => {
      await Deno.mkdir(`${stage.folder}/${name}`, { recursive: true });
      // The same file name on both sides, as with a pair under one configuration.
      await Deno.writeTextFile(`${stage.folder}/rules.yml`, rules);
      const prometheus = await stage.startPrometheus(
        name,
        `global: {scrape_interval: 1h, external_labels: {prometheus: ha, region: test, replica: "${replica}"}}
rule_files: ["${stage.folder}/rules.yml"]
scrape_configs:
- job_name: myself
  static_configs: [{targets: ["127.0.0.1:${nobody}", "127.0.0.1:80"]}]
  relabel_configs: [{source_labels: [__address__], regex: ".*:80", action: drop}]
`,
        ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage"],
      );
      const sidecar = await stage.mneme("sidecar", [`--prometheus.url=${prometheus.http}`]);
      return { prometheus, sidecar };
    };
    const [p0, p1] = await Promise.all([start("p0", "0"), start("p1", "1")]);
    const time = Math.floor(Date.now() / 1000) * 1000 - 5000;
    const at = String(time / 1000);
    const fake = (instance: string, a: string, value: number): Written => ({
      labels: { __name__: "my_fake_metric", a, b: "1", instance, region: "foo" },
      value,
    });
    const traced = (): Written => ({
      labels: { __name__: "traced_total", a: "1", b: "1" },
      value: 3,
      exemplar: { trace_id: "abc123" },
    });
    // 11 and 9 series: 4 fakes and one with an exemplar on both, and what only one side has.
    const common = ["i1", "i2"].flatMap((i) => ["1", "2"].map((a) => fake(i, a, Number(a))));
    await write(p0!.prometheus.http, time, [
      ...common,
      traced(),
      ...Array.from({ length: 6 }, (_, i): Written => ({
        labels: { __name__: "test_metric1", a: "1", b: "1", n: String(i) },
        value: i,
      })),
    ]);
    await write(p1!.prometheus.http, time, [
      ...common,
      traced(),
      ...Array.from({ length: 4 }, (_, i): Written => ({
        labels: { __name__: "test_metric1", a: "1", b: "1", n: String(i) },
        value: 10 + i,
      })),
    ]);
    // A second sample, so that rates have two.
    await write(p0!.prometheus.http, time + 1000, common);
    await write(p1!.prometheus.http, time + 1000, common);
    await Deno.writeTextFile(
      `${stage.folder}/sd.yaml`,
      `- targets: ["${p1!.sidecar.grpc}"]\n`,
    );
    const endpoints = [
      `--endpoint=${p0!.sidecar.grpc}`,
      `--endpoint=${p0!.sidecar.grpc}`,
      `--store.sd-files=${stage.folder}/sd.yaml`,
    ];
    const replica = "--query.replica-label=replica";
    const querier = await stage.mneme("query", [
      ...endpoints,
      replica,
      "--query.enable-x-functions",
      "--enable-feature=promql-experimental-functions",
    ]);
    const query = async (text: string, more: Record<string, string | string[]> = {}) => {
      const { body } = await ask(querier, "query", {
        query: text,
        time: String(time / 1000 + 2),
        ...more,
      });
      assert.equal(body.status, "success", JSON.stringify(body));
      assert.equal(body.warnings?.filter((w: string) => !w.startsWith("PromQL")).length ?? 0, 0);
      return body.data.result as Body[];
    };
    await until(
      "both sidecars know the labels",
      async () => (await query("count(my_fake_metric)", { dedup: "false" }))[0]?.value[1] === "8",
    );

    await t.step("stores of flags and files, a double one merged", async () => {
      const { body } = await ask(querier, "stores");
      assert.deepEqual(Object.keys(body.data), ["sidecar"]);
      assert.deepEqual(
        body.data.sidecar.map((s: Body) => [s.name, s.labelSets, s.lastError]).sort(),
        [
          [p0!.sidecar.grpc, [{ prometheus: "ha", region: "test", replica: "0" }], null],
          [p1!.sidecar.grpc, [{ prometheus: "ha", region: "test", replica: "1" }], null],
        ].sort(),
      );
      const metrics = await (await fetch(`${querier.http}/metrics`)).text();
      const connections = [
        ...metrics.matchAll(/^thanos_store_nodes_grpc_connections\{.*\} (\d+)$/gm),
      ];
      assert.equal(connections.reduce((n, m) => n + Number(m[1]), 0), 2);
    });
    await t.step("replica labels of all sorts", async () => {
      const labels = async (...names: string[]) =>
        (await query("my_fake_metric", { "replicaLabels[]": names })).length;
      assert.equal(await labels("replica"), 4);
      assert.equal(await labels("replica", "instance"), 2);
      assert.equal(await labels("instance"), 4);
      assert.equal(await labels("a"), 4);
      assert.equal(await labels("replica", "instance", "a"), 1);
    });
    await t.step("external labels win over those of a series", async () => {
      assert.ok((await query("my_fake_metric")).every((s) => s.metric.region === "test"));
    });
    await t.step("aggregations over deduplicated series", async () => {
      const value = async (text: string) => (await query(text)).map((s) => s.value[1]).sort();
      assert.deepEqual(await value("max(my_fake_metric)"), ["2"]);
      assert.deepEqual(await value("sum by (instance) (my_fake_metric)"), ["3", "3"]);
      assert.deepEqual(await value("group by (a) (my_fake_metric)"), ["1", "1"]);
      assert.deepEqual(await value("count(test_metric1)"), ["6"]);
      assert.deepEqual(await value('max_over_time(my_fake_metric{instance="i1"}[5m])'), ["1", "2"]);
      assert.deepEqual(await value('min_over_time(my_fake_metric{instance="i1"}[5m])'), ["1", "2"]);
    });
    await t.step("x functions and experimental ones are there when asked for", async () => {
      const [rate] = await query('xrate(my_fake_metric{a="1",instance="i1"}[1m])');
      assert.equal(rate.metric.__name__, undefined);
      assert.equal((await query("limitk by (a) (1, my_fake_metric)")).length, 2);
    });
    await t.step(
      "names, values and series in and out of time, with selectors and limits",
      async () => {
        const near = { start: String(time / 1000 - 3600), end: String(time / 1000 + 3600) };
        const far = { start: String(time / 1000 - 90_000), end: String(time / 1000 - 86_400) };
        const data = async (path: string, params: Record<string, string | string[]>) =>
          (await ask(querier, path, params)).body.data;
        assert.ok((await data("labels", near)).length > 5);
        const mine = { ...near, "match[]": "my_fake_metric" };
        assert.deepEqual(await data("labels", mine), [
          "__name__",
          "a",
          "b",
          "instance",
          "prometheus",
          "region",
          "replica",
        ]);
        assert.equal((await data("labels", { ...mine, limit: "3" })).length, 3);
        assert.deepEqual(await data("labels", { ...near, "match[]": "nothing" }), []);
        assert.deepEqual(await data("label/instance/values", mine), ["i1", "i2"]);
        assert.equal((await data("label/__name__/values", { ...near, limit: "2" })).length, 2);
        assert.deepEqual(
          await data("label/instance/values", { ...near, "match[]": "nothing" }),
          [],
        );
        assert.equal((await data("series", mine)).length, 4);
        assert.equal((await data("series", { ...mine, dedup: "false" })).length, 8);
        assert.equal((await data("series", { ...mine, limit: "1" })).length, 1);
        assert.deepEqual(await data("series", { ...far, "match[]": "my_fake_metric" }), []);
      },
    );
    await t.step("targets of a pair are one, dropped ones too", async () => {
      // Prometheus takes some seconds to discover them.
      const { body } = await until("targets on both sides", async () => {
        const answer = await ask(querier, "targets");
        return answer.body.data.activeTargets.length > 0 && answer;
      });
      assert.equal(body.data.activeTargets.length, 1);
      assert.equal(body.data.droppedTargets.length, 1);
      const [target] = body.data.activeTargets;
      assert.equal(target.labels.replica, undefined);
      assert.equal(target.discoveredLabels.__address__, `127.0.0.1:${nobody}`);
      const active = await ask(querier, "targets", { state: "active" });
      assert.deepEqual(active.body.data.droppedTargets, []);
      assert.equal((await ask(querier, "targets", { state: "x" })).status, 400);
    });
    await t.step("rules of a pair are one group with its limit", async () => {
      const { body } = await ask(querier, "rules");
      assert.deepEqual(body.data.groups.map((g: Body) => [g.name, g.limit, g.rules.length]), [
        ["ha", 9, 2],
      ]);
      const [alert] = body.data.groups[0].rules;
      assert.deepEqual([alert.name, alert.labels], [
        "Never",
        { prometheus: "ha", region: "test", severity: "page" },
      ]);
    });
    await t.step("exemplars: plain, of one replica, of none", async () => {
      const range = { start: String(time / 1000 - 60), end: String(time / 1000 + 60) };
      const of = async (text: string) =>
        (await ask(querier, "query_exemplars", { query: text, ...range })).body.data;
      const [plain, ...more] = await of("traced_total");
      assert.deepEqual(more, []);
      assert.equal(plain.seriesLabels.replica, undefined);
      assert.deepEqual(plain.exemplars, [
        { labels: { trace_id: "abc123" }, value: "3", timestamp: time / 1000 },
      ]);
      assert.equal((await of('traced_total{replica="0"}')).length, 1);
      assert.deepEqual(await of('traced_total{replica="foo"}'), []);
    });
    await t.step("metadata with limits", async () => {
      const of = async (params: Record<string, string>) =>
        Object.keys((await ask(querier, "metadata", params)).body.data).length;
      assert.equal(await of({ limit: "0" }), 0);
      // Nothing is scraped here, so there is nothing to tell, and that is no error.
      assert.equal(await of({ limit: "-1" }), 0);
      assert.equal((await ask(querier, "metadata", { limit: "x" })).status, 400);
    });
    await t.step("statistics of all heads and of one", async () => {
      const of = async (params: Record<string, string>) =>
        (await ask(querier, "status/tsdb", params)).body.data[0];
      const all = await of({});
      assert.equal(all.headStats.numSeries, 20);
      assert.deepEqual(all.seriesCountByMetricName[0], { name: "test_metric1", value: 10 });
      assert.equal((await of({ "match[]": '{replica="0"}' })).headStats.numSeries, 11);
      const second = await of({ "match[]": '{replica="1"}' });
      assert.equal(second.headStats.numSeries, 9);
      assert.deepEqual(
        second.seriesCountByMetricName.find((s: Body) => s.name === "test_metric1"),
        { name: "test_metric1", value: 4 },
      );
      assert.equal((await of({ limit: "1" })).seriesCountByMetricName.length, 1);
    });
    await t.step(
      "a querier over a querier, lazily and strictly, answers as one level does",
      async () => {
        const upper = await stage.mneme("query", [
          `--endpoint=${querier.grpc}`,
          replica,
          "--grpc.proxy-strategy=lazy",
          "--no-query.partial-response",
        ]);
        for (
          const text of ["sum(my_fake_metric)", "sum(metric_that_does_not_exist)", "test_metric1"]
        ) {
          const params = { query: text, time: String(time / 1000 + 2) };
          const [a, b] = [await ask(upper, "query", params), await ask(querier, "query", params)];
          assert.equal(a.status, 200);
          assert.deepEqual(a.body.data.result, b.body.data.result, text);
        }
        for (const path of ["rules", "targets", "status/tsdb"]) {
          const [a, b] = [await ask(upper, path), await ask(querier, path)];
          assert.deepEqual(a.body.data, b.body.data, path);
        }
      },
    );
    await t.step("relabel rules choose the servers by their external labels", async () => {
      const chosen = await stage.mneme("query", [
        ...endpoints,
        `--selector.relabel-config=[{source_labels: [replica], regex: "1", action: keep}]`,
      ]);
      const { body } = await ask(chosen, "query", {
        query: "count by (replica) (my_fake_metric)",
        time: String(time / 1000 + 2),
      });
      assert.deepEqual(LABELS_OF(body.data.result), ['{"replica":"1"}']);
      const names = await ask(chosen, "label/replica/values");
      assert.deepEqual(names.body.data, ["1"]);
    });
    await t.step("requests are counted by tenant", async () => {
      for (const [tenant, count] of [["tenant-1", 3], ["tenant-2", 1]] as const) {
        for (let i = 0; i < count; i++) {
          const answer = await fetch(`${querier.http}/api/v1/query?query=up&time=${at}`, {
            headers: { "THANOS-TENANT": tenant },
          });
          await answer.text();
        }
        const text = await (await fetch(`${querier.http}/metrics`)).text();
        assert.match(
          text,
          new RegExp(
            `^http_requests_total\\{[^}]*handler="query"[^}]*tenant="${tenant}"[^}]*\\} ${count}$`,
            "m",
          ),
        );
      }
    });
  },
});
