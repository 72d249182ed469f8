/**
 * The calls that Grafana's Prometheus data source makes, one by one, against a querier over a sidecar
 * and a real Prometheus: what it sends, and what it reads of the answers.
 */
import assert from "node:assert/strict";
import { freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { type Server, Stage, until } from "../mneme.ts";

// deno-lint-ignore no-explicit-any
type Body = any;
type Form = readonly (readonly [string, string])[];

/** What people put into "Custom query parameters": always in the URL, also of a POST. */
const CUSTOM = "max_source_resolution=auto&partial_response=true&someone_elses=parameter";

class Grafana {
  readonly #base: string;
  constructor(server: Server) {
    this.#base = `${server.http}/api/v1`;
  }
  async get(path: string, form: Form = []) {
    const url = `${this.#base}${path}?${new URLSearchParams(form as [string, string][])}&${CUSTOM}`;
    return await this.#answer(await fetch(url, { headers: { "accept-encoding": "gzip" } }));
  }
  async post(path: string, form: Form) {
    return await this.#answer(
      await fetch(`${this.#base}${path}?${CUSTOM}`, {
        method: "POST",
        body: new URLSearchParams(form as [string, string][]),
      }),
    );
  }
  async #answer(response: Response) {
    const text = await response.text();
    let body: Body;
    try {
      body = JSON.parse(text);
    } catch {
      body = text;
    }
    return { status: response.status, body, headers: response.headers, text };
  }
}

Deno.test({
  name: "Grafana's calls are answered as it expects",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    if (!isOnPath("prometheus")) {
      console.log("skipped: prometheus is not on PATH");
      return;
    }
    await using stage = await Stage.open();
    const own = freePort();
    await Deno.mkdir(`${stage.folder}/p`, { recursive: true });
    await Deno.writeTextFile(
      `${stage.folder}/p/rules.yml`,
      `groups:
- name: g
  interval: 1s
  rules:
  - {record: "job:up:sum", expr: "sum by (job) (up)"}
  - {alert: AlwaysOn, expr: "up == 1", labels: {severity: page}, annotations: {summary: "on"}}
`,
    );
    const prometheus = await stage.startPrometheus(
      "p",
      `global: {scrape_interval: 1s, external_labels: {cluster: eu1, replica: "0"}}
rule_files: [rules.yml]
scrape_configs:
- job_name: prometheus
  static_configs: [{targets: ["127.0.0.1:${own}"]}]
- job_name: querier
  static_configs: [{targets: ["127.0.0.1:${own}"]}]
`,
      ["--enable-feature=exemplar-storage"],
    );
    const sidecar = await stage.mneme("sidecar", [`--prometheus.url=${prometheus.http}`]);
    const querier = await stage.mneme("query", [
      `--http-address=127.0.0.1:${own}`,
      `--endpoint=${sidecar.grpc}`,
      "--query.replica-label=replica",
    ]);
    const grafana = new Grafana(querier);
    const seconds = () => Date.now() / 1000;
    // At the very end of the later calls' range: a sample of this second may be younger.
    const end = await until("scrapes and rule evaluations", async () => {
      const time = String(Math.floor(seconds()));
      const { body } = await grafana.post("/query", [["query", "job:up:sum"], ["time", time]]);
      return body.data?.result?.length === 2 && time;
    });
    const start = String(Number(end) - 300);

    await t.step("health check: 1+1 at time 4, by both methods", async () => {
      for (const method of ["post", "get"] as const) {
        const { status, body } = await grafana[method]("/query", [["query", "1+1"], ["time", "4"]]);
        assert.equal(status, 200);
        assert.deepEqual(body, {
          status: "success",
          data: { resultType: "scalar", result: [4, "2"], analysis: {} },
        });
      }
    });
    await t.step("build info has a plain version and no map of features", async () => {
      const { status, body } = await grafana.get("/status/buildinfo");
      assert.equal(status, 200);
      assert.match(body.data.version, /^\d+\.\d+\.\d+/);
      assert.ok(!("features" in body.data));
    });
    await t.step("range queries with a fractional step, values as strings", async () => {
      const { status, body, headers } = await grafana.post("/query_range", [
        ["query", "rate(prometheus_http_requests_total[1m]) or up"],
        ["start", start],
        ["end", end],
        ["step", "0.5"],
        ["timeout", "30s"],
      ]);
      assert.equal(status, 200);
      assert.equal(body.data.resultType, "matrix");
      assert.ok(body.data.result.length > 0);
      for (const { metric, values } of body.data.result) {
        assert.equal(typeof metric, "object");
        assert.equal(typeof values[0][0], "number");
        assert.equal(typeof values[0][1], "string");
      }
      assert.equal(headers.get("content-type"), "application/json");
      const none = await grafana.post("/query_range", [
        ["query", "nothing_at_all"],
        ["start", start],
        ["end", end],
        ["step", "15"],
      ]);
      assert.deepEqual(none.body.data.result, []);
    });
    await t.step("instant queries: vectors, scalars, texts", async () => {
      const ask = async (query: string) =>
        (await grafana.post("/query", [["query", query], ["time", end]])).body.data;
      assert.equal((await ask("up")).resultType, "vector");
      assert.equal((await ask("scalar(up)")).resultType, "scalar");
      assert.equal((await ask('"text"')).resultType, "string");
      assert.deepEqual((await ask("nothing_at_all")).result, []);
      const [{ value }] = (await ask("vector(0/0)")).result;
      assert.equal(value[1], "NaN");
      assert.equal((await ask("vector(-1/0)")).result[0].value[1], "-Inf");
    });
    await t.step("the probe for exemplars, with times in milliseconds", async () => {
      const { status, body } = await grafana.post("/query_exemplars", [
        ["query", "test"],
        ["start", String(Date.now() - 1000)],
        ["end", String(Date.now())],
      ]);
      assert.deepEqual([status, body.data], [200, []]);
    });
    await t.step("names of labels, by POST and by GET, with selectors and a limit", async () => {
      const form: Form = [["start", start], ["end", end], ["limit", "40000"]];
      for (const method of ["post", "get"] as const) {
        const { status, body } = await grafana[method]("/labels", [
          ...form,
          ["match[]", "up"],
          ["match[]", "job:up:sum"],
        ]);
        assert.equal(status, 200);
        assert.deepEqual(body.data, ["__name__", "cluster", "instance", "job", "replica"]);
      }
    });
    await t.step("values of a label by GET; POST is refused", async () => {
      const form: Form = [["start", start], ["end", end]];
      const { body } = await grafana.get("/label/__name__/values", [...form, ["match[]", "up"]]);
      assert.deepEqual(body.data, ["up"]);
      const escaped = await grafana.get("/label/U__job/values", form);
      assert.deepEqual(escaped.body.data, ["prometheus", "querier"]);
      assert.equal((await grafana.post("/label/job/values", form)).status, 405);
    });
    await t.step("series of everything that has a name", async () => {
      const { status, body } = await grafana.post("/series", [
        ["match[]", '{__name__!=""}'],
        ["start", start],
        ["end", end],
        ["limit", "5"],
      ]);
      assert.equal(status, 200);
      assert.equal(body.data.length, 5);
      assert.deepEqual(body.warnings, ["results truncated due to limit"]);
    });
    await t.step("metadata of all metrics and of one", async () => {
      const all = await until("metadata", async () => {
        const { body } = await grafana.get("/metadata");
        return body.data.process_resident_memory_bytes !== undefined && body.data;
      });
      assert.equal(typeof all.process_resident_memory_bytes[0].help, "string");
      const one = await grafana.get("/metadata", [["metric", "process_resident_memory_bytes"], [
        "limit",
        "1",
      ]]);
      assert.equal(one.body.data.process_resident_memory_bytes[0].type, "gauge");
      assert.equal((await grafana.post("/metadata", [])).status, 405);
    });
    await t.step("rules with all of Prometheus 3's parameters, and alerts", async () => {
      const { body } = await grafana.get("/rules", [
        ["type", "alert"],
        ["rule_name[]", "AlwaysOn"],
        ["rule_group[]", "g"],
        ["exclude_alerts", "true"],
        ["match[]", '{severity="page"}'],
        ["group_limit", "40"],
        ["group_next_token", ""],
      ]);
      const [group] = body.data.groups;
      assert.equal(group.name, "g");
      assert.equal(group.interval, 1);
      const [rule] = group.rules;
      assert.deepEqual(
        [rule.type, rule.name, rule.state, rule.health, rule.query, rule.duration],
        ["alerting", "AlwaysOn", "firing", "ok", "up == 1", 0],
      );
      assert.ok(rule.lastEvaluation.length > 10 && rule.evaluationTime >= 0);
      assert.equal(rule.annotations.summary, "on");
      const recording = await grafana.get("/rules", [["type", "record"]]);
      assert.equal(recording.body.data.groups[0].rules[0].name, "job:up:sum");
      const alerts = await grafana.get("/alerts");
      assert.ok(alerts.body.data.alerts.length >= 2);
      assert.equal(alerts.body.data.alerts[0].labels.alertname, "AlwaysOn");
    });
    await t.step("queries are formatted and parsed", async () => {
      const formatted = await grafana.post("/format_query", [["query", "sum(up)by(job)"]]);
      assert.equal(formatted.body.data, "sum by (job) (up)");
      assert.equal((await grafana.post("/parse_query", [["query", "up"]])).body.data.name, "up");
    });
    await t.step("the ruler's API is not there", async () => {
      const { status, headers } = await grafana.get("/rules/config/v1/rules");
      assert.equal(status, 404);
      assert.equal(headers.get("access-control-allow-origin"), null);
    });
    await t.step("errors have the same words by both methods, and are not kept", async () => {
      for (const method of ["post", "get"] as const) {
        const bad = await grafana[method]("/query", [["query", "sum("]]);
        assert.deepEqual([bad.status, bad.body.errorType], [400, "bad_data"]);
        assert.match(bad.body.error, /parse error/);
        assert.equal(bad.headers.get("cache-control"), "no-store");
        const late = await grafana[method]("/query_range", [
          ["query", "up"],
          ["start", "10"],
          ["end", "5"],
          ["step", "1"],
        ]);
        assert.equal(late.body.error, "end timestamp must not be before start time");
      }
    });
    await t.step("parameters of a form win over those of the URL; lists are united", async () => {
      const answer = await fetch(`${querier.http}/api/v1/query?query=2&time=5`, {
        method: "POST",
        body: new URLSearchParams({ query: "3" }),
      });
      assert.deepEqual((await answer.json()).data.result, [5, "3"]);
      const labels = await fetch(`${querier.http}/api/v1/labels?match[]=up`, {
        method: "POST",
        body: new URLSearchParams([["match[]", "job:up:sum"], ["start", start], ["end", end]]),
      });
      assert.deepEqual((await labels.json()).data.length, 5);
    });
    await t.step(
      "a sidecar that dies is a warning that names it, and nobody keeps the answer",
      async () => {
        sidecar.child.kill("SIGKILL");
        await sidecar.child.exit;
        const { status, body, headers } = await grafana.post("/query_range", [
          ["query", "up"],
          ["start", start],
          ["end", end],
          ["step", "15"],
        ]);
        assert.equal(status, 200);
        assert.ok(body.warnings[0].includes(`Addr: ${sidecar.grpc} MinTime: `), body.warnings[0]);
        assert.equal(headers.get("cache-control"), "no-store");
        const strict = await fetch(`${querier.http}/api/v1/query?query=up&partial_response=false`);
        assert.equal(strict.status, 422);
        await strict.body?.cancel();
      },
    );
  },
});
