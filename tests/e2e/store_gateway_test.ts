/** The store gateway as a process: probes, Store API, restarts, and start-ups that must fail. */
import { strict as assert } from "node:assert";
import { makeUlid } from "../../lib/base/mod.ts";
import { makeMatcher } from "../../lib/model/mod.ts";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { fetchInfo, RemoteStore } from "../../lib/storeapi/mod.ts";
import { callContext, labelsRequest, seriesRequest } from "../../lib/storeapi/testing/fixtures.ts";
import { manyBlocks, startOnce } from "../bench/store_start.ts";
import { copyTree, runCommand, type Server, Stage, until } from "../mneme.ts";

const golden = new URL("../../../shared/golden/bucket-compacted", import.meta.url).pathname;

async function withBucket(run: (stage: Stage, bucket: string) => Promise<void>): Promise<void> {
  try {
    await Deno.stat(golden);
  } catch {
    console.log(`skipped: ${golden} is not there`);
    return;
  }
  await using stage = await Stage.open();
  const bucket = `${stage.folder}/bucket`;
  await copyTree(golden, bucket);
  await run(stage, bucket);
}

const configOf = (bucket: string) =>
  `--objstore.config=${JSON.stringify({ type: "FILESYSTEM", config: { directory: bucket } })}`;

async function seriesCount(server: Server): Promise<number> {
  const client = connectRpc(server.grpc);
  try {
    const store = new RemoteStore(client);
    const matchers = [makeMatcher("=", "__name__", "http_requests_total")];
    let count = 0;
    const request = seriesRequest({ matchers, responseBatchSize: 64 });
    for await (const frame of store.series(request, callContext())) {
      assert.deepEqual(frame.warnings, []);
      count += frame.series.length;
    }
    return count;
  } finally {
    client.close();
  }
}

Deno.test({
  name: "store serves a bucket over gRPC, and again after kill -9 with what is on its disk",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    withBucket(async (stage, bucket) => {
      const data = `${stage.folder}/data`;
      const args = [configOf(bucket), `--data-dir=${data}`];
      const first = await stage.mneme("store", args);
      const client = connectRpc(first.grpc);
      const info = await fetchInfo(client, { signal: AbortSignal.timeout(10_000) });
      assert.equal(info.componentType, "store");
      assert.equal(info.labelSets.length, 2);
      const store = new RemoteStore(client);
      const request = { ...labelsRequest(), label: "instance" };
      assert.equal((await store.labelValues(request, callContext())).values.length, 6);
      client.close();
      assert.equal(await seriesCount(first), 24);
      const metrics = await (await fetch(`${first.http}/metrics`)).text();
      assert.match(metrics, /^thanos_bucket_store_blocks_loaded 24$/m);
      assert.match(metrics, /^thanos_status\{component="store",check="ready"\} 1$/m);
      assert.equal(await statusOf(`${first.http}/-/healthy`), 200);
      const blocks = await (await fetch(`${first.http}/api/v1/blocks?view=loaded`)).json();
      assert.equal(blocks.data.blocks.length, 24);

      first.child.kill("SIGKILL");
      await first.child.exit;
      const [some] = [...Deno.readDirSync(data)].filter((e) => e.name.length === 26);
      await Deno.writeTextFile(`${data}/${some!.name}/index-header`, "torn");
      await Deno.writeTextFile(`${data}/${some!.name}/index-header.tmp`, "half");
      const second = await stage.mneme("store", args);
      assert.equal(await seriesCount(second), 24);
      assert.equal(await second.child.stop(), 0);
    }),
});

Deno.test("store refuses to start in one line that says what to change", async () => {
  await withBucket(async (stage, bucket) => {
    const running = await stage.mneme("store", [
      configOf(bucket),
      `--data-dir=${stage.folder}/data`,
    ]);
    const other = `--data-dir=${stage.folder}/other`;
    const free = ["--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0"];
    const rows: [string[], RegExp][] = [
      [
        [configOf(bucket), ...free, `--data-dir=${stage.folder}/data`],
        /data is in use by another process; choose another directory with --data-dir/,
      ],
      [
        [configOf(bucket), other, free[1]!, `--grpc-address=${running.grpc}`],
        new RegExp(`${running.grpc}.*already in use.*--grpc-address`),
      ],
      [
        [configOf(bucket), other, free[0]!, `--http-address=${running.http.slice(7)}`],
        /already in use; choose another address with --http-address/,
      ],
      [
        ["--objstore.config=type: FILESYSTEM", ...free],
        /create FILESYSTEM client: missing directory for filesystem bucket/,
      ],
      [
        ["--objstore.config=type: SWIFT\nconfig: {}", ...free],
        /provider SWIFT is not supported yet/,
      ],
      [[...free], /objstore.config is required/],
      [
        [configOf(bucket), ...free, "--min-time=-1h", "--max-time=-2h"],
        /--min-time '-1h' can't be greater than --max-time '-2h'/,
      ],
      [[configOf(bucket), ...free, "--store.grpc.series-max-concurrency=-1"], /cannot be lower/],
    ];
    for (const [args, expected] of rows) {
      const { code, stderr } = await runCommand(["cmd/store.ts", ...args]);
      assert.equal(code, 1, stderr);
      const lines = stderr.trim().split("\n").filter((line) => line.includes("level=error"));
      assert.equal(lines.length, 1, stderr);
      assert.match(lines[0]!, expected);
    }
    assert.equal(await statusOf(`${running.http}/-/ready`), 200);
  });
});

Deno.test("store accepts every flag of Thanos, and says which have no effect", async () => {
  await withBucket(async (stage, bucket) => {
    const server = await stage.mneme("store", [
      configOf(bucket),
      `--data-dir=${stage.folder}/data`,
      "--index-cache-size=10MB",
      "--index-cache.config=type: IN-MEMORY",
      "--store.caching-bucket.config=type: IN-MEMORY",
      "--chunk-pool-size=1GB",
      "--store.grpc.touched-series-limit=0",
      "--store.grpc.series-sample-limit=0",
      "--store.limits.request-series=0",
      "--store.limits.request-samples=0",
      "--store.grpc.downloaded-bytes-limit=0",
      "--store.grpc.series-max-concurrency=5",
      "--sync-block-duration=1m",
      "--block-discovery-strategy=recursive",
      "--block-sync-concurrency=3",
      "--block-meta-fetch-concurrency=3",
      "--min-time=2020-01-01T00:00:00Z",
      "--max-time=9999-12-31T23:59:59Z",
      "--selector.relabel-config=",
      "--consistency-delay=0s",
      "--ignore-deletion-marks-delay=24h",
      "--store.enable-index-header-lazy-reader",
      "--store.index-header-lazy-reader-idle-timeout=5m",
      "--store.index-header-lazy-download-strategy=eager",
      "--store.index-header-posting-offsets-in-mem-sampling=32",
      "--store.enable-lazy-expanded-postings",
      "--store.posting-group-max-key-series-ratio=10",
      "--matcher-cache-size=100",
      "--debug.series-batch-size=100",
      "--debug.estimated-max-series-size=100",
      "--debug.estimated-max-chunk-size=100",
      "--debug.advertise-compatibility-label",
      "--web.external-prefix=/x",
      "--web.prefix-header=X-Forwarded-Prefix",
      "--web.disable-cors",
      "--web.disable",
      "--bucket-web-label=cluster",
      "--disable-admin-operations",
      "--request.logging-config=",
    ]);
    assert.equal(await seriesCount(server), 24);
    for (const name of ["matcher-cache-size"]) {
      assert.ok(server.child.tail.some((l) => l.includes(`--${name} has no effect`)), name);
    }
    assert.equal(await statusOf(`${server.http}/api/v1/blocks`), 404);
    const metrics = await (await fetch(`${server.http}/metrics`)).text();
    // The eager strategy builds all headers at the start.
    assert.match(metrics, /^thanos_bucket_store_indexheader_lazy_load_total 24$/m);
  });
});

Deno.test("a start reads each meta.json once, and a second start none", async () => {
  await withBucket(async (stage) => {
    const bucket = await manyBlocks(stage.folder, 200);
    const cold = await startOnce(bucket, `${stage.folder}/data`);
    assert.deepEqual(cold.byOperation, { iter: 1, get: 200 });
    assert.equal(cold.loaded, 200);
    const warm = await startOnce(bucket, `${stage.folder}/data`);
    assert.deepEqual(warm.byOperation, { iter: 1 });
    assert.equal(warm.loaded, 200);
  });
});

/** Status of a page; its body is read, so that nothing of it stays open. */
async function statusOf(url: string): Promise<number> {
  const answer = await fetch(url);
  await answer.body?.cancel();
  return answer.status;
}

Deno.test("a block that cannot be read is told by the API of blocks and by answers", async () => {
  await withBucket(async (stage, bucket) => {
    const name = makeUlid(1_790_650_000_000, (target) => target.fill(3));
    await Deno.mkdir(`${bucket}/${name}`);
    await Deno.writeTextFile(`${bucket}/${name}/meta.json`, "{");
    const warned = await stage.store(bucket);
    const { data } = await (await fetch(`${warned.http}/api/v1/blocks?view=loaded`)).json();
    assert.match(data.unreadable[name], /meta\.json/);
    await assert.rejects(() => seriesCount(warned), /cannot be read/);
    const silent = await stage.store(bucket, ["--no-store.warn-unreadable-blocks"]);
    assert.equal(await seriesCount(silent), 24);
  });
});

Deno.test("Prometheus scrapes sidecar, querier and store: up is 1 for each", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: prometheus is not on PATH");
  await withBucket(async (stage, bucket) => {
    const store = await stage.store(bucket);
    const base = "global: {scrape_interval: 1s, external_labels: {cluster: eu1}}\n";
    const prometheus = await stage.startPrometheus("scraper", base);
    const sidecar = await stage.mneme("sidecar", [`--prometheus.url=${prometheus.http}`]);
    const querier = await stage.mneme("query", [
      `--endpoint=${store.grpc}`,
      `--endpoint=${sidecar.grpc}`,
    ]);
    const jobs = Object.entries({ store, sidecar, query: querier }).map(([name, { http }]) =>
      `- {job_name: ${name}, static_configs: [{targets: ["${http.slice(7)}"]}]}\n`
    );
    await Deno.writeTextFile(prometheus.configFile, `${base}scrape_configs:\n${jobs.join("")}`);
    const reload = await fetch(`${prometheus.http}/-/reload`, { method: "POST" });
    await reload.body?.cancel();
    assert.equal(reload.status, 200);
    for (const http of [prometheus.http, querier.http]) {
      await until(`up is 1 for each on ${http}`, async () => {
        const answer = await fetch(`${http}/api/v1/query?query=up`);
        const { data } = await answer.json();
        const up = data.result.map((r: { metric: { job: string }; value: [number, string] }) =>
          `${r.metric.job} ${r.value[1]}`
        ).sort();
        return up.join() === "query 1,sidecar 1,store 1";
      });
    }
  });
});
