/** The sidecar keeps the configuration of a real Prometheus current. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { ChildProcess, freePort, isOnPath } from "../../lib/runtime/child_process.ts";
import { type Server, Stage, until } from "../mneme.ts";

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

const configOf = (job: string, more = "") =>
  `global:\n  external_labels: {cluster: "$(MNEME_TEST_CLUSTER)"}\n` +
  `${more}scrape_configs:\n- job_name: ${job}\n`;

const env = { MNEME_TEST_CLUSTER: "eu7" };

async function loadedConfig(prometheus: string): Promise<string> {
  const answer = await fetch(`${prometheus}/api/v1/status/config`);
  return (await answer.json()).data.yaml;
}

async function metric(server: Server, name: string): Promise<number> {
  const text = await (await fetch(`${server.http}/metrics`)).text();
  const line = text.split("\n").find((l) => l.startsWith(`thanos_sidecar_${name} `));
  assert.ok(line, `metric ${name} is exported`);
  return Number(line.slice(line.lastIndexOf(" ")));
}

testWithPrometheus(
  "a changed config file is live in Prometheus without a restart",
  async (stage) => {
    const source = `${stage.folder}/source`;
    const rules = `${stage.folder}/rules`;
    await Deno.mkdir(source);
    await Deno.mkdir(rules);
    const input = `${source}/prometheus.yml.tmpl`;
    await Deno.writeTextFile(input, configOf("first"));
    const prometheus = await stage.startPrometheus(
      "p",
      "global: {external_labels: {cluster: old}}",
    );
    const sidecar = stage.launch("sidecar", [
      `--prometheus.url=${prometheus.http}`,
      `--reloader.config-file=${input}`,
      `--reloader.config-envsubst-file=${prometheus.configFile}`,
      `--reloader.rule-dir=${rules}`,
      "--reloader.retry-interval=1s",
      "--prometheus.get_config_interval=1s",
    ], { env });
    const live = (text: string) =>
      until(
        `${text} in Prometheus`,
        async () => (await loadedConfig(prometheus.http)).includes(text),
      );

    // The first pass reloads; $(NAME) is filled in, and the external labels reach the sidecar.
    await live("job_name: first");
    assert.match(await loadedConfig(prometheus.http), /cluster: eu7/);

    await Deno.writeTextFile(input, configOf("second"));
    await live("job_name: second");
    await Deno.writeFile(input, gzipSync(new TextEncoder().encode(configOf("packed"))));
    await live("job_name: packed");

    // A broken configuration: the old one stays, the metric tells, the next good one is taken.
    const successful = (x: number) =>
      until(
        `reloader_last_reload_successful ${x}`,
        async () => await metric(sidecar, "reloader_last_reload_successful") === x,
      );
    await successful(1);
    await Deno.writeTextFile(input, configOf("third", "nonsense: true\n"));
    await successful(0);
    assert.match(await loadedConfig(prometheus.http), /job_name: packed/);
    assert.equal(await metric(sidecar, "prometheus_up"), 1);
    await Deno.writeTextFile(input, configOf("fourth"));
    await live("job_name: fourth");
    await successful(1);

    // An unset variable touches nothing.
    await Deno.writeTextFile(input, configOf("fifth", "# $(MNEME_TEST_UNSET)\n"));
    await until(
      "the expansion error",
      async () =>
        await metric(sidecar, "reloader_config_environment_variable_expansion_errors") === 1,
    );
    assert.match(await loadedConfig(prometheus.http), /job_name: fourth/);
    await Deno.writeTextFile(input, configOf("sixth", `rule_files: ["${rules}/*.yml"]\n`));
    await live("job_name: sixth");

    // Rules the way Kubernetes mounts them: a link to a folder of a version is swapped.
    const version = async (name: string, metric: string) => {
      await Deno.mkdir(`${rules}/..${name}`);
      await Deno.writeTextFile(
        `${rules}/..${name}/r.yml`,
        `groups: [{name: g, rules: [{record: "${metric}", expr: "1"}]}]\n`,
      );
      await Deno.symlink(`..${name}`, `${rules}/..data_tmp`);
      await Deno.rename(`${rules}/..data_tmp`, `${rules}/..data`);
    };
    const rule = (name: string) =>
      until(`rule ${name}`, async () => {
        const { data } = await (await fetch(`${prometheus.http}/api/v1/rules`)).json();
        return JSON.stringify(data).includes(`"${name}"`);
      });
    await version("v1", "job:one");
    await Deno.symlink("..data/r.yml", `${rules}/r.yml`);
    await rule("job:one");
    await version("v2", "job:two");
    await Deno.remove(`${rules}/..v1`, { recursive: true });
    await rule("job:two");
    assert.ok(await metric(sidecar, "reloader_watch_events_total") > 0);
    assert.equal(await metric(sidecar, "reloader_watches"), 2);

    // The mounted config file itself, swapped in the same way.
    await Deno.remove(input);
    await Deno.mkdir(`${source}/..a`);
    await Deno.writeTextFile(`${source}/..a/prometheus.yml.tmpl`, configOf("mounted1"));
    await Deno.symlink("..a", `${source}/..data`);
    await Deno.symlink("..data/prometheus.yml.tmpl", input);
    await live("job_name: mounted1");
    await Deno.mkdir(`${source}/..b`);
    await Deno.writeTextFile(`${source}/..b/prometheus.yml.tmpl`, configOf("mounted2"));
    await Deno.symlink("..b", `${source}/..data_tmp`);
    await Deno.rename(`${source}/..data_tmp`, `${source}/..data`);
    await live("job_name: mounted2");

    // Prometheus is away while the file changes: tried again until it is back.
    await prometheus.child.stop();
    await Deno.writeTextFile(`${source}/..b/prometheus.yml.tmpl`, configOf("late"));
    await successful(0);
    await stage.startPrometheus("p");
    await live("job_name: late");
    await successful(1);
  },
);

testWithPrometheus("a signal reloads Prometheus where its web API must not", async (stage) => {
  // A name of its own, so that no other Prometheus of this machine is signalled.
  const name = `prometheus-${freePort()}`;
  const program = `${stage.folder}/${name}`;
  const path = (Deno.env.get("PATH") ?? "").split(":")
    .map((folder) => `${folder}/prometheus`)
    .find((file) => {
      try {
        return Deno.statSync(file).isFile;
      } catch {
        return false;
      }
    });
  await Deno.copyFile(path!, program);
  await Deno.chmod(program, 0o755);
  const config = `${stage.folder}/prometheus.yml`;
  await Deno.writeTextFile(config, "global: {external_labels: {cluster: a}}\n");
  const http = `127.0.0.1:${freePort()}`;
  const prometheus = ChildProcess.start({
    name,
    command: program,
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${stage.folder}/data`,
      `--web.listen-address=${http}`,
    ],
  });
  try {
    await prometheus.waitUntilReady(`http://${http}/-/ready`);
    const sidecar = await stage.mneme("sidecar", [
      `--prometheus.url=http://${http}`,
      `--reloader.config-file=${config}`,
      "--reloader.method=signal",
      `--reloader.process-name=${name}`,
      "--reloader.watch-interval=10s",
    ]);
    await until(
      "the first reload",
      async () => await metric(sidecar, "reloader_last_reload_successful") === 1,
    );
    await Deno.writeTextFile(config, "global: {external_labels: {cluster: b}}\n");
    await until(
      "the new configuration",
      async () => (await loadedConfig(`http://${http}`)).includes("cluster: b"),
    );
    await Deno.writeTextFile(config, "nonsense: true\n");
    await until(
      "the failure",
      async () => await metric(sidecar, "reloader_last_reload_successful") === 0,
    );
    assert.match(await loadedConfig(`http://${http}`), /cluster: b/);
  } finally {
    await prometheus.stop();
  }
});
