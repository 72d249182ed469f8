/** Endpoints of a querier as processes: configuration, discovery files, groups, TLS, other queriers. */
import assert from "node:assert/strict";
import { isOnPath } from "../../lib/runtime/child_process.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { fetchInfo, RemoteQuery } from "../../lib/storeapi/mod.ts";
import { compareAnswers } from "../answers.ts";
import { ask, type Body, COUNT_QUERY, GOLDEN_TIME, goldenTest } from "../ask.ts";
import { runCommand, type Server, until } from "../mneme.ts";

async function stores(server: Server): Promise<string[]> {
  const { body } = await ask(server, "stores");
  return Object.values(body.data as Record<string, { name: string; lastError: string | null }[]>)
    .flat().map((s) => `${s.name} ${s.lastError ?? "ok"}`).sort();
}

goldenTest(
  "endpoints come from files that change while the querier runs",
  async (stage, bucket) => {
    const first = await stage.store(bucket);
    const second = await stage.store(bucket);
    const config = `${stage.folder}/endpoints.yaml`;
    const targets = `${stage.folder}/sd.json`;
    await Deno.writeTextFile(config, "endpoints: []\n");
    const querier = await stage.mneme("query", [
      `--endpoint.sd-config-file=${config}`,
      `--store.sd-files=${stage.folder}/sd*.json`,
      "--endpoint.info-timeout=1s",
      "--query.replica-label=replica",
    ]);
    assert.deepEqual(await stores(querier), []);
    await Deno.writeTextFile(targets, JSON.stringify([{ targets: [first.grpc] }]));
    await until("the file's target", async () => (await stores(querier)).length === 1);
    const port = second.grpc.split(":")[1];
    await Deno.writeTextFile(
      config,
      `endpoints:\n- address: dns+localhost:${port}\n  group: true\n- address: ${first.grpc}\n`,
    );
    querier.child.kill("SIGHUP");
    await until("the group", async () => (await stores(querier)).length === 2);
    assert.deepEqual(
      await stores(querier),
      [
        `${first.grpc} ok`,
        `thanos:///dns+localhost:${port} ok`,
      ].sort(),
    );
    const { body } = await ask(querier, "query", COUNT_QUERY);
    assert.equal(body.status, "success");
    assert.equal(body.data.result.length, 1);
    const chosen = await ask(querier, "query", {
      ...COUNT_QUERY,
      "storeMatch[]": `{__address__=~"thanos:///.*"}`,
      analyze: "true",
      engine: "thanos",
    });
    assert.deepEqual(
      chosen.body.data.analysis.fanout.map((f: { endpointAddr: string }) => f.endpointAddr),
      [`thanos:///dns+localhost:${port}`],
    );
    assert.equal(chosen.body.data.result[0].value[1], body.data.result[0].value[1]);
    // A configuration that cannot be used changes nothing.
    await Deno.writeTextFile(config, "endpoints: {\n");
    querier.child.kill("SIGHUP");
    await until(
      "the complaint",
      () =>
        querier.child.tail.some((line) => line.includes("endpoint configuration cannot be used")),
    );
    assert.equal((await stores(querier)).length, 2);
    // Duplicates are one endpoint; what is gone is gone.
    await Deno.remove(targets);
    await Deno.writeTextFile(config, "endpoints: []\n");
    querier.child.kill("SIGHUP");
    await until("nothing is left", async () => (await stores(querier)).length === 0);
    const metrics = await (await fetch(`${querier.http}/metrics`)).text();
    assert.match(metrics, /^thanos_query_duplicated_endpoint_addresses_total 1$/m);
    assert.match(metrics, /^thanos_query_endpoint_groups_dns_lookups_total [1-9]/m);
    assert.match(
      metrics,
      /^grpc_client_handled_total\{grpc_code="OK",grpc_method="Series".* [1-9]/m,
    );
    const { code, stderr } = await runCommand([
      "cmd/query.ts",
      "--endpoint.sd-config=endpoints: [{address: dns+a:1, strict: true}]",
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /dns\+a:1: a strict endpoint cannot be looked up by DNS/);
  },
);

goldenTest("a store behind TLS is reached with its own settings, others in clear text", async (
  stage,
  bucket,
) => {
  if (!isOnPath("openssl")) {
    console.log("skipped: openssl is not on PATH");
    return;
  }
  const openssl = async (...args: string[]) => {
    const { success, stderr } = await new Deno.Command("openssl", {
      args,
      cwd: stage.folder,
      stderr: "piped",
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  await openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca");
  for (const name of ["server", "client"]) {
    await openssl(
      "req",
      ...key,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      `/CN=${name}`,
    );
    await Deno.writeTextFile(`${stage.folder}/san`, "subjectAltName=DNS:store.test\n");
    await openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key"],
      ...["-CAcreateserial", "-out", `${name}.pem`, "-days", "2", "-extfile", "san"],
    );
  }
  const file = (name: string) => `${stage.folder}/${name}`;
  const secure = await stage.store(bucket, [
    `--grpc-server-tls-cert=${file("server.pem")}`,
    `--grpc-server-tls-key=${file("server.key")}`,
    `--grpc-server-tls-client-ca=${file("ca.pem")}`,
  ]);
  const plain = await stage.store(bucket);
  const querier = await stage.mneme("query", [
    `--endpoint.sd-config=${
      JSON.stringify({
        endpoints: [
          {
            address: secure.grpc,
            client_config: {
              tls_config: {
                ca_file: file("ca.pem"),
                cert_file: file("client.pem"),
                key_file: file("client.key"),
              },
              server_name: "store.test",
              compression: "snappy",
            },
          },
          { address: plain.grpc },
        ],
      })
    }`,
    "--endpoint.info-timeout=1s",
    "--query.replica-label=replica",
  ]);
  const well = [`${plain.grpc} ok`, `${secure.grpc} ok`].sort().join();
  await until("both are well", async () => (await stores(querier)).join() === well);
  await until(
    "a whole answer",
    async () =>
      (await ask(querier, "query", { ...COUNT_QUERY, partial_response: "false" })).status === 200,
  );
  // Without a certificate, or for another name, nobody gets in.
  const stranger = await stage.mneme("query", [
    `--endpoint=${secure.grpc}`,
    "--grpc-client-tls-secure",
    `--grpc-client-tls-ca=${file("ca.pem")}`,
    "--grpc-client-server-name=store.test",
    "--endpoint.info-timeout=1s",
  ]);
  assert.deepEqual(await stores(stranger), []);
});

goldenTest("flags say at the start what they come to here", async (stage) => {
  const querier = await stage.mneme("query", [
    "--grpc-server-tls-ciphers=TLS_RSA_WITH_AES_128_CBC_SHA",
    "--grpc-server-tls-curves=CurveP521",
    "--grpc-server-tls-min-version=1.1",
    "--grpc-client-tls-min-version=1.0",
    "--store.sd-dns-resolver=other",
    "--query.disable-fallback",
    "--alert.query-url=query.example",
  ]);
  const told = [
    /--grpc-server-tls-ciphers has no effect: the runtime always offers the same: the suites of TLS/,
    /--grpc-server-tls-curves has no effect: the runtime always offers the same: X25519/,
    /the minimum is 1\.2.* flag=grpc-server-tls-min-version version=1\.1/,
    /the minimum is 1\.2.* flag=grpc-client-tls-min-version version=1\.0/,
    /no such resolver type, names are looked up as the machine does.* resolver=other/,
    /--alert\.query-url is no http or https URL.* url=query\.example/,
  ];
  const warnings = () => querier.child.tail.filter((line) => line.includes("level=warn"));
  for (const text of told) {
    await until(String(text), () => warnings().some((line) => text.test(line)));
  }
  assert.equal(warnings().length, told.length, warnings().join("\n"));
  const { body } = await ask(querier, "status/flags");
  assert.equal(body.data["grpc-client-tls-min-version"], "1.0");
});

goldenTest(
  "queriers answer queries of other queriers, and distributed mode pushes them down",
  async (
    stage,
    bucket,
  ) => {
    const store = await stage.store(bucket);
    const replicas = "--query.replica-label=replica";
    const leaf = await stage.mneme("query", [`--endpoint=${store.grpc}`, replicas]);
    const local = await stage.mneme("query", [`--endpoint=${leaf.grpc}`, replicas]);
    const root = await stage.mneme("query", [
      `--endpoint=${leaf.grpc}`,
      replicas,
      "--query.mode=distributed",
      "--query.partition-label=cluster",
      "--log.level=debug",
    ]);
    const client = connectRpc(leaf.grpc);
    assert.equal((await fetchInfo(client, { timeoutMs: 5000 })).query, true);
    const remote = new RemoteQuery(client);
    const time = Number(GOLDEN_TIME) * 1000;
    const request = {
      query: COUNT_QUERY.query,
      start: time,
      end: time,
      step: 0,
      timeout: 0,
      maxResolution: 0,
      replicaLabels: [],
      storeMatchers: [],
      deduplicate: true,
      partialResponse: false,
      lookbackDelta: 0,
      engine: "default" as const,
      batchSize: 0,
    };
    const context = { signal: new AbortController().signal, tenant: "t" };
    const instant = await remote.query(request, context);
    assert.equal(instant.series.length, 1);
    assert.deepEqual(instant.warnings, []);
    assert.ok(instant.stats!.samplesTotal > 0);
    const ranged = await remote.query({
      ...request,
      end: time + 240_000,
      step: 60_000,
      batchSize: 64,
    }, context);
    assert.equal(ranged.series[0]!.batch.length, 5);
    client.close();
    const range = { start: "1790629200", end: GOLDEN_TIME.slice(0, -2) + "00", step: "300" };
    for (
      const query of [
        "sum by (code) (rate(http_requests_total[5m]))",
        "histogram_quantile(0.9, sum by (le) (rate(request_duration_seconds_bucket[10m])))",
        "avg(memory_usage_bytes)",
        "topk(2, http_requests_total)",
        "absent(nothing_of_this_name)",
      ]
    ) {
      const [a, b] = await Promise.all([
        ask(root, "query_range", { query, ...range }),
        ask(local, "query_range", { query, ...range }),
      ]);
      assert.equal(a.status, 200, JSON.stringify(a.body));
      assert.equal(compareAnswers(b.body, a.body), undefined, query);
    }
    const analyzed = await ask(root, "query_range", {
      query: "sum(rate(http_requests_total[5m]))",
      ...range,
      analyze: "1",
    });
    assert.deepEqual(
      analyzed.body.data.analysis.fanout.map((f: Body) => [f.endpointAddr, f.series]),
      [[leaf.grpc, 1]],
      "one aggregated series crossed the wire",
    );
    leaf.child.kill("SIGKILL");
    await leaf.child.exit;
    const partial = await ask(root, "query", COUNT_QUERY);
    assert.equal(partial.status, 200);
    assert.match(partial.body.warnings[0], new RegExp(`^remote query error \\(${leaf.grpc}\\): `));
    const strict = await ask(root, "query", { ...COUNT_QUERY, partial_response: "false" });
    assert.equal(strict.status, 422);
  },
);
