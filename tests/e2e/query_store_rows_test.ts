/** What users do with a querier over a store gateway: telemetry, replica labels of all kinds, tenants. */
import assert from "node:assert/strict";
import { RemoteQuery } from "../../lib/storeapi/mod.ts";
import { floatSeries, type SeriesData } from "../../lib/storeapi/testing/fixtures.ts";
import { addBlock, blockId } from "../../lib/store/testing/small_bucket.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { ask, type Body } from "../ask.ts";
import { Stage, until } from "../mneme.ts";

const START = 1_790_208_000_000;
const TIME = String(START / 1000 + 1800);

function rowTest(name: string, fn: (stage: Stage, folder: string) => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using stage = await Stage.open();
      const folder = `${stage.folder}/bucket`;
      await Deno.mkdir(folder);
      await fn(stage, folder);
    },
  });
}

const series = (labels: Record<string, string>, samples = 30): SeriesData =>
  floatSeries(labels, START, samples, { step: 60_000 });

rowTest(
  "the time of selects is told by the size of queries and by tenant",
  async (stage, folder) => {
    const bucket = new FilesystemBucket(folder);
    const sizes = [1, 1001, 10_001];
    for (const [n, count] of sizes.entries()) {
      await addBlock(bucket, {
        id: blockId(n),
        labels: { size: String(count) },
        series: Array.from(
          { length: count },
          (_, i) => series({ __name__: `m_${count}`, i: String(i) }),
        ),
      });
    }
    const store = await stage.store(folder);
    const querier = await stage.mneme("query", [
      `--endpoint=${store.grpc}`,
      ...[100, 1000, 10_000, 100_000].map((n) =>
        `--query.telemetry.request-samples-quantiles=${n}`
      ),
      ...[10, 100, 1000, 10_000].map((n) =>
        `--query.telemetry.request-series-seconds-quantiles=${n}`
      ),
    ]);
    for (const count of sizes) {
      const { body } = await ask(querier, "query", {
        query: `max_over_time(m_${count}[30m])`,
        time: TIME,
      });
      assert.equal(body.data.result.length, count);
    }
    const tenant = { "THANOS-TENANT": "test-tenant-1" };
    await ask(querier, "query", { query: "max_over_time(m_1[30m])", time: TIME }, tenant);
    const text = await (await fetch(`${querier.http}/metrics`)).text();
    const count = (series: string, samples: string, tenant: string) =>
      `thanos_store_api_query_duration_seconds_count{series_le="${series}",samples_le="${samples}",tenant="${tenant}"} 1\n`;
    for (
      const line of [
        count("10", "100", "default-tenant"),
        count("10000", "100000", "default-tenant"),
        count("+Inf", "+Inf", "default-tenant"),
        count("10", "100", "test-tenant-1"),
      ]
    ) {
      assert.ok(text.includes(line), line);
    }
    assert.match(text, /^http_requests_total\{.*tenant="test-tenant-1".*\} 1$/m);
  },
);

rowTest(
  "replica labels inside and outside of blocks are taken away, whatever the order",
  async (stage, folder) => {
    const bucket = new FilesystemBucket(folder);
    const name = (block_finder: string) => ({ __name__: "simple_series", block_finder });
    const zs = ["1", "2"];
    const both = (make: (replica: string) => SeriesData[]) => ["a", "b"].flatMap(make);
    let n = 0;
    const add = (labels: Record<string, string>, list: SeriesData[]) =>
      addBlock(bucket, { id: blockId(n++), labels, series: list });
    for (const replica of ["a", "b"]) {
      await add({ replica }, [series(name("external"))]);
      await add({ replica }, zs.map((z) => series({ ...name("external-resort"), z })));
    }
    await add({ ext: "1" }, both((replica) => [series({ ...name("internal"), replica })]));
    await add(
      { ext: "2" },
      both((replica) => zs.map((z) => series({ ...name("internal-resort"), replica, z }))),
    );
    await add(
      { ext: "3" },
      both((replica) => zs.map((extra) => series({ ...name("internal-extra"), extra, replica }))),
    );
    for (const replica of ["x", "y"]) {
      await add({ replica }, both((inner) => [series({ ...name("both"), replica: inner })]));
    }
    const store = await stage.store(folder);
    for (const strategy of ["lazy", "eager"]) {
      const querier = await stage.mneme("query", [
        `--endpoint=${store.grpc}`,
        "--query.replica-label=replica",
        `--grpc.proxy-strategy=${strategy}`,
      ]);
      for (
        const [block, expected] of [
          ["external", 1],
          ["external-resort", 2],
          ["internal", 1],
          ["internal-resort", 2],
          ["internal-extra", 2],
          ["both", 1],
        ] as const
      ) {
        const { body } = await ask(querier, "query", {
          query: `max_over_time(simple_series{block_finder="${block}"}[2h])`,
          time: TIME,
        });
        assert.equal(body.data.result.length, expected, `${strategy} ${block}`);
        assert.ok(body.data.result.every((s: Body) => !("replica" in s.metric)));
        assert.equal(body.warnings, undefined);
      }
    }
  },
);

rowTest("tenants see their own series only where tenancy is enforced", async (stage, folder) => {
  const bucket = new FilesystemBucket(folder);
  const owners = ["tenant-01", "tenant-02", "default-tenant"];
  for (const [n, tenant_id] of owners.entries()) {
    await addBlock(bucket, {
      id: blockId(n),
      labels: { tenant_id },
      series: tenant_id === "default-tenant"
        ? [series({ __name__: "c", c: "1" })]
        : [series({ __name__: "c", a: "1", b: tenant_id })],
    });
  }
  const store = await stage.store(folder);
  const [enforcing, open] = await Promise.all([
    stage.mneme("query", [`--endpoint=${store.grpc}`, "--query.enforce-tenancy"]),
    stage.mneme("query", [`--endpoint=${store.grpc}`]),
  ]);
  const as = (tenant: string): Record<string, string> =>
    tenant === "" ? {} : { "THANOS-TENANT": tenant };
  const range = { start: String(START / 1000), end: TIME, step: "60" };
  for (const tenant of ["tenant-01", "tenant-02", ""]) {
    const owner = tenant || "default-tenant";
    for (
      const [path, params] of [
        ["query", { query: "c", time: TIME }],
        ["query", { query: 'c{tenant_id="tenant-01"}', time: TIME }],
        ["query_range", { query: "c", ...range }],
        ["series", { "match[]": "c", ...range }],
        ["series", { "match[]": '{__name__!="",tenant_id!="x"}', ...range }],
      ] as const
    ) {
      const { body } = await ask(enforcing, path, params, as(tenant));
      const found = (body.data.result ?? body.data).map((s: Body) => (s.metric ?? s).tenant_id);
      assert.deepEqual(found, [owner], `${path} ${JSON.stringify(params)} as ${owner}`);
    }
    const names = (await ask(enforcing, "labels", {}, as(tenant))).body.data;
    assert.deepEqual(
      names,
      tenant === "" ? ["__name__", "c", "tenant_id"] : ["__name__", "a", "b", "tenant_id"],
    );
    const values = (await ask(enforcing, "label/a/values", {}, as(tenant))).body.data;
    assert.deepEqual(values, tenant === "" ? [] : ["1"]);
  }
  assert.equal((await ask(open, "query", { query: "c", time: TIME })).body.data.result.length, 3);
  assert.equal((await ask(open, "labels", {}, as("tenant-01"))).body.data.length, 5);
  assert.equal((await ask(enforcing, "query", { query: "c" }, as("a/b"))).status, 400);
});

rowTest("the Query API over gRPC answers moments and ranges", async (stage, folder) => {
  const STEP = 300_000;
  await addBlock(new FilesystemBucket(folder), {
    id: blockId(0),
    labels: { cluster: "eu1" },
    series: [floatSeries({ __name__: "m" }, START, 5, { step: STEP })],
  });
  const store = await stage.store(folder);
  const querier = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
  const client = connectRpc(querier.grpc);
  try {
    const remote = new RemoteQuery(client);
    const context = { signal: new AbortController().signal, tenant: "t" };
    const query = async (start: number, end: number, step: number) => {
      const { series, warnings } = await remote.query({
        query: "m",
        start,
        end,
        step,
        timeout: 0,
        maxResolution: 0,
        replicaLabels: [],
        storeMatchers: [],
        deduplicate: true,
        partialResponse: false,
        lookbackDelta: 0,
        engine: "default",
        batchSize: 0,
      }, context);
      assert.deepEqual([series.length, warnings], [1, []]);
      const { batch } = series[0]!;
      return [...batch.v.subarray(0, batch.length)];
    };
    assert.deepEqual(await query(START, START, 0), [1]);
    assert.deepEqual(await query(START + STEP, START + STEP, 0), [2]);
    assert.deepEqual(await query(START, START + 4 * STEP, STEP), [1, 2, 3, 4, 5]);
  } finally {
    client.close();
  }
});

rowTest(
  "a selector of external labels alone is answered with what to do",
  async (stage, folder) => {
    await addBlock(new FilesystemBucket(folder), {
      id: blockId(0),
      labels: { cluster: "eu1" },
      series: [series({ __name__: "m" })],
    });
    const store = await stage.store(folder);
    const lower = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
    const upper = await stage.mneme("query", [`--endpoint=${lower.grpc}`]);
    const advice =
      'PromQL info: {cluster="eu1"} selects by external labels alone, and store gateways have no ' +
      'answer to that: add a matcher on the series themselves, such as __name__=~".+"';
    const alone = { query: 'count({cluster="eu1"})', time: TIME, partial_response: "false" };
    for (const querier of [lower, upper]) {
      const { status, body } = await ask(querier, "query", alone);
      assert.deepEqual([status, body.data.result, body.warnings], [200, [], [advice]]);
      const found = await ask(querier, "series", { "match[]": '{cluster="eu1"}' });
      assert.deepEqual([found.body.data, found.body.warnings], [[], [advice]]);
      for (const query of ['count({cluster="eu1",__name__=~".+"})', 'count(m{cluster="eu1"})']) {
        const { body } = await ask(querier, "query", { ...alone, query });
        assert.deepEqual([body.data.result[0].value[1], body.warnings], ["1", undefined], query);
      }
      // A name that is not there, or another cluster, is no such selector.
      for (const query of ['count(n{cluster="eu1"})', 'count({cluster="us1"})']) {
        const { body } = await ask(querier, "query", { ...alone, query });
        assert.deepEqual([body.data.result, body.warnings], [[], undefined], query);
      }
    }
  },
);

rowTest("statistics of blocks are told for the times that are asked", async (stage, folder) => {
  const bucket = new FilesystemBucket(folder);
  for (const [n, cluster] of ["a", "b"].entries()) {
    await addBlock(bucket, {
      id: blockId(n),
      labels: { cluster },
      series: Array.from({ length: 10 + n }, (_, i) => series({ __name__: "m", i: String(i) })),
    });
  }
  const store = await stage.store(folder);
  const lower = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
  const upper = await stage.mneme("query", [`--endpoint=${lower.grpc}`]);
  const times = { start: String(START / 1000), end: TIME };
  for (const querier of [lower, upper]) {
    // Heads are asked for without times, and a store gateway has none.
    assert.deepEqual((await ask(querier, "status/tsdb")).body.data, []);
    const [all] = (await ask(querier, "status/tsdb", times)).body.data;
    assert.equal(all.headStats.numSeries, 21);
    assert.deepEqual(all.seriesCountByMetricName, [{ name: "m", value: 21 }]);
    const [one] =
      (await ask(querier, "status/tsdb", { ...times, "match[]": '{cluster="b"}' })).body.data;
    assert.equal(one.headStats.numSeries, 11);
  }
});

rowTest("a tenant is named by the verified certificate of the client", async (stage, folder) => {
  if (!isOnPath("openssl")) {
    console.log("skipped: openssl is not on PATH");
    return;
  }
  const bucket = new FilesystemBucket(folder);
  for (const [n, tenant_id] of ["team-a", "team-b"].entries()) {
    await addBlock(bucket, {
      id: blockId(n),
      labels: { tenant_id },
      series: [series({ __name__: "c" })],
    });
  }
  const run = async (...args: string[]) => {
    const output = await new Deno.Command("openssl", { args, cwd: stage.folder, stderr: "piped" })
      .output();
    assert.ok(output.success, new TextDecoder().decode(output.stderr));
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  const authority = (name: string) =>
    run("req", "-x509", ...key, "-keyout", `${name}.key`, "-out", `${name}.pem`, "-subj", "/CN=ca");
  const pair = async (name: string, ca: string, subject: string) => {
    await run("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", subject);
    await Deno.writeTextFile(`${stage.folder}/san`, "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    await run(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", `${ca}.pem`, "-CAkey", `${ca}.key`],
      ...["-CAcreateserial", "-out", `${name}.pem`, "-days", "2", "-extfile", "san"],
    );
  };
  await authority("ca");
  await authority("other");
  await pair("server", "ca", "/CN=server");
  await pair("client", "ca", "/O=team-a/CN=someone");
  await pair("stranger", "other", "/O=team-a/CN=someone");
  await Deno.writeTextFile(
    `${stage.folder}/web.yml`,
    `tls_server_config:
  cert_file: server.pem
  key_file: server.key
  client_ca_file: ca.pem
  client_auth_type: VerifyClientCertIfGiven
`,
  );
  const store = await stage.store(folder);
  const querier = stage.launch("query", [
    `--endpoint=${store.grpc}`,
    `--http.config=${stage.folder}/web.yml`,
    "--query.enforce-tenancy",
    "--query.tenant-certificate-field=organization",
    "--endpoint.info-timeout=1s",
  ]);
  const read = (name: string) => Deno.readTextFile(`${stage.folder}/${name}`);
  const clientOf = async (name: string | undefined) =>
    Deno.createHttpClient({
      caCerts: [await read("ca.pem")],
      ...(name === undefined
        ? {}
        : { cert: await read(`${name}.pem`), key: await read(`${name}.key`) }),
    });
  const base = querier.http.replace("http:", "https:");
  const query = async (name: string | undefined) => {
    using client = await clientOf(name);
    const answer = await fetch(`${base}/api/v1/query?query=c&time=${TIME}`, {
      client,
      headers: { "THANOS-TENANT": "team-b" },
    });
    return { status: answer.status, body: await answer.json() as Body };
  };
  const known = await until("the first answer over TLS", async () => {
    const answer = await query("client");
    return answer.status === 200 && answer.body.data.result.length > 0 && answer;
  });
  assert.deepEqual(known.body.data.result.map((s: Body) => s.metric.tenant_id), ["team-a"]);
  const nobody = await query(undefined);
  assert.deepEqual([nobody.status, nobody.body.error], [
    400,
    "no client certificate to read the tenant from",
  ]);
  // One that another authority vouches for gets no answer at all.
  await assert.rejects(query("stranger"));
});
