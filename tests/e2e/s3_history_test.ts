/**
 * The second tutorial's third step: a sidecar ships a year to S3, a store gateway serves it from
 * there, and a querier over both answers once.
 */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { runCommand, type Server, Stage, until } from "../mneme.ts";
import { startS3rver } from "../servers/object_storage.ts";

/** Just after the newest sample of the generated year: 2026-10-01T00:00:00Z. */
const END = 1_790_812_800;
const BLOCKS = 13;

async function api(server: Server, path: string, params: Record<string, string>) {
  const answer = await fetch(`${server.http}${path}?${new URLSearchParams(params)}`);
  return await answer.json();
}

/** Resident memory of a process, MB. */
async function resident(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
}

Deno.test("a year on S3 is shipped by the sidecar, served by the store, answered once", async () => {
  if (!isOnPath("prometheus") || !isOnPath("promtool")) {
    console.log("skipped: prometheus and promtool are not on PATH");
    return;
  }
  await using stage = await Stage.open();
  const s3 = await startS3rver(["mneme"]);
  try {
    const data = `${stage.folder}/eu1/data`;
    const plan = await runCommand([
      "cmd/bench.ts",
      "block",
      "plan",
      "--profile=continuous-365d-tiny",
      `--max-time=${new Date(END * 1000 - 1).toISOString()}`,
      '--labels=foreign="x"',
    ]);
    assert.equal(plan.code, 0, plan.stderr);
    await Deno.mkdir(data, { recursive: true });
    const gen = await runCommand(
      ["cmd/bench.ts", "block", "gen", `--output.dir=${data}`],
      plan.stdout,
    );
    assert.equal(gen.code, 0, gen.stderr);
    const prometheus = await stage.startPrometheus(
      "eu1",
      'global:\n  scrape_interval: 1h\n  external_labels: {cluster: eu1, replica: "0"}\n',
      ["--storage.tsdb.retention.time=100y"],
    );

    // The file as the tutorial has it.
    const file = `${stage.folder}/bucket_storage.yaml`;
    await Deno.writeTextFile(
      file,
      `type: S3
config:
  bucket: mneme
  endpoint: 127.0.0.1:${s3.port}
  insecure: true
  signature_version2: true
  access_key: S3RVER
  secret_key: S3RVER
`,
    );
    const sidecarArgs = [
      `--prometheus.url=${prometheus.http}`,
      `--tsdb.path=${prometheus.data}`,
      `--objstore.config-file=${file}`,
      "--shipper.upload-compacted",
    ];
    const sidecar = await stage.mneme("sidecar", sidecarArgs);
    await until("the whole year on S3", async () => {
      const page = await (await fetch(`${sidecar.http}/metrics`)).text();
      return page.includes("\nthanos_shipper_upload_compacted_done 1\n");
    });
    const page = await (await fetch(`${sidecar.http}/metrics`)).text();
    assert.match(page, new RegExp(`^thanos_shipper_uploads_total ${BLOCKS}$`, "m"));
    assert.match(
      page,
      /^thanos_objstore_bucket_operations_total\{bucket="mneme",operation="upload"\} \d\d/m,
    );
    assert.match(
      page,
      /^thanos_objstore_bucket_operation_failures_total\{bucket="mneme",operation="upload"\} 0$/m,
    );
    assert.ok(
      sidecar.child.tail.some((line) => /signature_version2.*version 4/.test(line)),
      sidecar.child.tail.join("\n"),
    );
    assert.ok(!sidecar.child.tail.some((line) => line.includes("secret_key")));
    const flags = await api(sidecar, "/api/v1/status/flags", {});
    assert.ok(!JSON.stringify(flags).includes("S3RVER"));

    const store = await stage.mneme("store", [
      `--objstore.config-file=${file}`,
      `--data-dir=${stage.folder}/store`,
    ]);
    const querier = await stage.mneme("query", [
      `--store=${sidecar.grpc}`,
      `--store=${store.grpc}`,
      "--query.replica-label=replica",
    ]);
    await until("both stores", async () => {
      const { data } = await api(querier, "/api/v1/stores", {});
      return data.sidecar?.length === 1 && data.store?.length === 1;
    });

    // A point a day over the year: one series, from whoever is asked.
    const range = {
      query: "count_over_time(continuous_app_metric0[1d])",
      start: String(END - 364 * 86_400),
      end: String(END),
      step: "86400",
    };
    const all = await api(querier, "/api/v1/query_range", range);
    assert.equal(all.status, "success", JSON.stringify(all));
    assert.deepEqual(all.warnings, undefined);
    assert.equal(all.data.result.length, 1);
    const { metric, values } = all.data.result[0];
    assert.deepEqual([metric.cluster, metric.replica], ["eu1", undefined]);
    assert.ok(values.length > 360, String(values.length));
    const direct = await (await fetch(
      `${prometheus.http}/api/v1/query_range?${new URLSearchParams(range)}`,
    )).json();
    assert.deepEqual(values, direct.data.result[0].values);

    // Without deduplication the two hold the same series, and still nothing is there twice.
    const raw = await api(querier, "/api/v1/query_range", { ...range, dedup: "false" });
    assert.equal(raw.data.result.length, 1);
    assert.deepEqual(raw.data.result[0].values, values);

    // One store alone, chosen by its address.
    for (const [address, name] of [[store.grpc, "store"], [sidecar.grpc, "sidecar"]] as const) {
      const alone = await api(querier, "/api/v1/query_range", {
        ...range,
        "storeMatch[]": `{__address__="${address}"}`,
      });
      assert.deepEqual(alone.data.result[0].values, values, name);
    }
    // A sidecar that has nothing to ship: what it costs to have S3 configured.
    const busy = await resident(sidecar.child.pid);
    await sidecar.child.stop();
    const idle = await stage.mneme("sidecar", [
      `--grpc-address=${sidecar.grpc}`,
      ...sidecarArgs,
    ]);
    await until("a look at the blocks", async () => {
      const metrics = await (await fetch(`${idle.http}/metrics`)).text();
      return /^thanos_shipper_dir_syncs_total [1-9]/m.test(metrics);
    });
    console.log(
      "memory, MB resident: " +
        `sidecar ${busy.toFixed(0)} after shipping and queries, ` +
        `${(await resident(idle.child.pid)).toFixed(0)} idle, ` +
        `store ${(await resident(store.child.pid)).toFixed(0)}`,
    );

    await prometheus.child.stop();
    const bucketAlone = await api(querier, "/api/v1/query_range", {
      ...range,
      "storeMatch[]": `{__address__="${store.grpc}"}`,
    });
    assert.deepEqual(bucketAlone.data.result[0].values, values);
    assert.equal(bucketAlone.warnings, undefined);
  } finally {
    await s3.stop();
  }
});
