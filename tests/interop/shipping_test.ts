/** Backup of a real Prometheus' blocks: a year into the bucket, whatever happens on the way. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { type Answer, compareAnswers } from "../answers.ts";
import { type PrometheusServer, runCommand, type Server, Stage, until } from "../mneme.ts";

/** Just after the newest sample of the generated year: 2026-10-01T00:00:00Z. */
const END = 1_790_812_800_000;
const BLOCKS = 13;

function testWithPrometheus(name: string, run: (stage: Stage) => Promise<void>): void {
  Deno.test({
    name,
    async fn() {
      if (!isOnPath("prometheus") || !isOnPath("promtool")) {
        console.log("skipped: prometheus and promtool are not on PATH");
        return;
      }
      await using stage = await Stage.open();
      await run(stage);
    },
  });
}

function configOf(external: Readonly<Record<string, string>>): string {
  const labels = Object.entries(external).map(([n, v]) => `    ${n}: ${JSON.stringify(v)}\n`);
  return `global:\n  scrape_interval: 1h\n  external_labels:\n${labels.join("")}`;
}

/** A Prometheus whose folder holds a generated year. */
async function withYear(
  stage: Stage,
  name: string,
  external: Readonly<Record<string, string>>,
): Promise<PrometheusServer> {
  const data = `${stage.folder}/${name}/data`;
  const plan = await runCommand([
    "cmd/bench.ts",
    "block",
    "plan",
    "--profile=continuous-365d-tiny",
    `--max-time=${new Date(END - 1).toISOString()}`,
    '--labels=foreign="x"',
  ]);
  assert.equal(plan.code, 0, plan.stderr);
  await Deno.mkdir(data, { recursive: true });
  const gen = await runCommand(
    ["cmd/bench.ts", "block", "gen", `--output.dir=${data}`],
    plan.stdout,
  );
  assert.equal(gen.code, 0, gen.stderr);
  return await stage.startPrometheus(name, configOf(external), [
    "--storage.tsdb.retention.time=100y",
  ]);
}

function sidecarArgs(prometheus: PrometheusServer, bucket: string): string[] {
  return [
    `--prometheus.url=${prometheus.http}`,
    `--tsdb.path=${prometheus.data}`,
    `--objstore.config=type: FILESYSTEM\nconfig:\n  directory: ${JSON.stringify(bucket)}`,
    "--shipper.upload-compacted",
    "--hash-func=SHA256",
  ];
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map((e) => e.name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Blocks of a folder with their metas; those without one are not there yet. */
async function metasIn(folder: string): Promise<Map<string, Record<string, unknown>>> {
  const metas = new Map<string, Record<string, unknown>>();
  for (const name of await namesIn(folder)) {
    if (!/^[0-9A-Z]{26}$/.test(name)) continue;
    try {
      metas.set(name, JSON.parse(await Deno.readTextFile(`${folder}/${name}/meta.json`)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return metas;
}

async function query(server: string, params: Record<string, string>): Promise<Answer> {
  const answer = await fetch(`${server}/api/v1/query?${new URLSearchParams(params)}`);
  return await answer.json();
}

testWithPrometheus(
  "a year of blocks reaches the bucket, also when the sidecar is killed",
  async (stage) => {
    const bucket = `${stage.folder}/bucket`;
    const external = { cluster: "eu1", replica: "0", tenant: "team-eu" };
    const prometheus = await withYear(stage, "eu1", external);
    const local = await metasIn(prometheus.data);
    assert.equal(local.size, BLOCKS);

    // Killed three times, each time a little later in the work.
    for (const seen of [1, 4, 9]) {
      const sidecar = stage.launch("sidecar", sidecarArgs(prometheus, bucket));
      await until("some blocks", async () => (await namesIn(bucket)).length >= seen);
      sidecar.child.kill("SIGKILL");
      await sidecar.child.exit;
      for (const [ulid, meta] of await metasIn(bucket)) {
        const { files } = meta.thanos as { files: { rel_path: string; size_bytes?: number }[] };
        for (const file of files.filter((f) => f.rel_path !== "meta.json")) {
          const info = await Deno.stat(`${bucket}/${ulid}/${file.rel_path}`);
          assert.equal(info.size, file.size_bytes);
        }
      }
    }
    const sidecar = await stage.mneme("sidecar", sidecarArgs(prometheus, bucket));
    await until("all blocks", async () => (await metasIn(bucket)).size === BLOCKS);
    const shipped = await metasIn(bucket);
    assert.deepEqual([...shipped.keys()], [...local.keys()]);
    assert.deepEqual(await namesIn(bucket), [...local.keys()]);
    for (const [ulid, meta] of shipped) {
      const thanos = meta.thanos as Record<string, unknown>;
      assert.deepEqual(thanos.labels, external);
      assert.equal(thanos.source, "sidecar");
      assert.deepEqual(
        await Deno.readFile(`${bucket}/${ulid}/index`),
        await Deno.readFile(`${prometheus.data}/${ulid}/index`),
      );
    }
    await until("the shipper's file", async () => {
      const text = await Deno.readTextFile(`${prometheus.data}/thanos.shipper.json`);
      return JSON.parse(text).uploaded.length === BLOCKS;
    });
    await until("the metric of the whole", async () => {
      const text = await (await fetch(`${sidecar.http}/metrics`)).text();
      return text.includes("\nthanos_shipper_upload_compacted_done 1\n");
    });
    assert.deepEqual(await namesIn(`${prometheus.data}/thanos/upload`), []);

    // promtool reads the bucket as a data folder: every block and its samples.
    const list = await new Deno.Command("promtool", { args: ["tsdb", "list", bucket] }).output();
    const rows = new TextDecoder().decode(list.stdout).trim().split("\n").slice(1);
    assert.equal(list.code, 0, new TextDecoder().decode(list.stderr));
    assert.deepEqual(rows.map((row) => row.split(/\s+/)[0]).sort(), [...local.keys()]);
    const dump = await new Deno.Command("promtool", {
      args: ["tsdb", "dump", `--min-time=${END - 600_000}`, `--max-time=${END - 1}`, bucket],
    }).output();
    assert.equal(dump.code, 0, new TextDecoder().decode(dump.stderr));
    assert.ok(new TextDecoder().decode(dump.stdout).split("\n").length > 5);
  },
);

testWithPrometheus(
  "two replicas ship into one bucket, and the deduplicated answer is Prometheus'",
  async (stage) => {
    const bucket = `${stage.folder}/bucket`;
    const replicas: { prometheus: PrometheusServer; sidecar: Server }[] = [];
    for (const replica of ["0", "1"]) {
      const prometheus = await withYear(stage, `us1-${replica}`, { cluster: "us1", replica });
      const sidecar = await stage.mneme("sidecar", sidecarArgs(prometheus, bucket));
      replicas.push({ prometheus, sidecar });
    }
    await until("all blocks", async () => (await metasIn(bucket)).size === 2 * BLOCKS);
    const store = await stage.store(bucket);
    const querier = await stage.mneme("query", [
      `--endpoint=${store.grpc}`,
      "--query.replica-label=replica",
    ]);
    const time = String((END - 60_000) / 1000);
    // Sixty days back, in another block than the newest.
    const old = String((END - 60 * 86_400_000) / 1000);
    await until("data of the store", async () => {
      const { data } = await query(querier.http, { query: "continuous_app_metric0", time }) as {
        data: { result: unknown[] };
      };
      return data.result.length > 0;
    });
    for (const at of [time, old]) {
      const text = "sum without (cluster) (continuous_app_metric0)";
      const ours = await query(querier.http, { query: text, time: at });
      const theirs = await query(replicas[0]!.prometheus.http, { query: text, time: at });
      assert.equal(compareAnswers(ours, theirs), undefined);
      const count = async (dedup: string) =>
        (await query(querier.http, { query: "count(continuous_app_metric0)", time: at, dedup }) as {
          data: { result: { value: [number, string] }[] };
        }).data.result[0]!.value[1];
      assert.equal(Number(await count("false")), 2 * Number(await count("true")));
    }
  },
);

testWithPrometheus("the sidecar does not ship beside a compacting Prometheus", async (stage) => {
  const prometheus = await stage.startPrometheus("p", configOf({ cluster: "eu1" }), [
    "--storage.tsdb.max-block-duration=36h",
  ]);
  const sidecar = stage.launch("sidecar", sidecarArgs(prometheus, `${stage.folder}/bucket`));
  await until(
    "the refusal",
    () => sidecar.child.tail.some((line) => line.includes("Compaction needs to be disabled")),
  );
  const ready = await fetch(`${sidecar.http}/-/ready`);
  await ready.body?.cancel();
  assert.equal(ready.status, 503);
});

testWithPrometheus("shipping gives up when Prometheus stays away", async (stage) => {
  const prometheus = await stage.startPrometheus("p", configOf({ cluster: "eu1" }));
  await prometheus.child.stop();
  const sidecar = stage.launch("sidecar", [
    ...sidecarArgs(prometheus, `${stage.folder}/bucket`),
    "--prometheus.ready_timeout=1s",
  ]);
  assert.notEqual(await sidecar.child.exit, 0);
  assert.match(sidecar.child.tail.join("\n"), /told no external labels within/);
});
