/** The querier as a process: stacking, stores that die and come back, start-ups that must fail. */
import assert from "node:assert/strict";
import { freePort } from "../../lib/runtime/child_process.ts";
import { connectRpc } from "../../lib/rpc/mod.ts";
import { fetchInfo } from "../../lib/storeapi/mod.ts";
import { compareAnswers } from "../answers.ts";
import { ask, COUNT_QUERY, GOLDEN_TIME, goldenTest } from "../ask.ts";
import { runCommand, until } from "../mneme.ts";

goldenTest("queriers stack: one over another answers the same", async (stage, bucket) => {
  const store = await stage.store(bucket);
  const lower = await stage.mneme("query", [
    `--endpoint=${store.grpc}`,
    '--selector-label=ring="a"',
  ]);
  const upper = await stage.mneme("query", [
    `--store=${lower.grpc}`,
    "--query.replica-label=replica",
  ]);
  const single = await stage.mneme("query", [
    `--store=${store.grpc}`,
    "--query.replica-label=replica",
  ]);
  for (
    const query of [
      "sum by (code) (rate(http_requests_total[5m]))",
      "histogram_quantile(0.9, rate(request_duration_seconds_bucket[10m]))",
      "memory_usage_bytes",
    ]
  ) {
    const params = { query, start: "1790629217", end: GOLDEN_TIME, step: "300" };
    const [a, b] = await Promise.all([
      ask(upper, "query_range", params),
      ask(single, "query_range", params),
    ]);
    assert.equal(a.status, 200);
    assert.equal(compareAnswers(b.body, a.body), undefined, query);
    assert.ok(b.body.data.result.length > 0, query);
  }
  const { body } = await ask(upper, "stores");
  assert.deepEqual(Object.keys(body.data), ["query"]);
  assert.deepEqual(body.data.query[0].labelSets[0], { cluster: "eu1", replica: "0", ring: "a" });
  const client = connectRpc(upper.grpc);
  const info = await fetchInfo(client, { timeoutMs: 5000 });
  assert.equal(info.componentType, "query");
  assert.equal(info.store!.supportsSharding, true);
  const health = await client.unary("/grpc.health.v1.Health/Check", new Uint8Array(0));
  assert.deepEqual([...health], [8, 1]);
  client.close();
});

goldenTest("a store that dies is told in every answer, and used again at once", async (
  stage,
  bucket,
) => {
  const config = `--objstore.config=${
    JSON.stringify({ type: "FILESYSTEM", config: { directory: bucket } })
  }`;
  const grpc = `127.0.0.1:${freePort()}`;
  const startStore = () => {
    const server = stage.launch("store", [
      config,
      `--data-dir=${stage.folder}/second`,
      `--grpc-address=${grpc}`,
    ]);
    return server.child.waitUntilReady(`${server.http}/-/ready`).then(() => server);
  };
  const good = await stage.store(bucket);
  const mortal = await startStore();
  const querier = await stage.mneme("query", [
    `--endpoint=${good.grpc}`,
    `--endpoint=${grpc}`,
    "--query.replica-label=replica",
    "--endpoint.info-timeout=1s",
  ]);
  const both = await ask(querier, "query", COUNT_QUERY);
  assert.equal(both.body.warnings, undefined);
  mortal.child.kill("SIGKILL");
  await mortal.child.exit;
  // Whether the querier has noticed yet or not: never a silent gap.
  for (let i = 0; i < 3; i++) {
    const { status, body } = await ask(querier, "query", COUNT_QUERY);
    assert.equal(status, 200);
    assert.equal(body.data.result[0].value[1], both.body.data.result[0].value[1]);
    assert.equal(body.warnings.length, 1, JSON.stringify(body));
    assert.ok(body.warnings[0].includes(`Addr: ${grpc} `), body.warnings[0]);
    const strict = await ask(querier, "query", { ...COUNT_QUERY, partial_response: "false" });
    assert.equal(strict.status, 422);
    assert.equal(strict.body.errorType, "execution");
    assert.match(
      strict.body.error,
      /^expanding series: proxy Series\(\): .*(fetch|receive) series/,
    );
    if (i < 2) await new Promise((resolve) => setTimeout(resolve, 1200));
  }
  const labels = await ask(querier, "label/job/values");
  assert.equal(labels.status, 200);
  assert.match(labels.body.warnings[0], /^fetch label values from store Addr: /);
  await until("the list of stores tells why", async () => {
    const { body } = await ask(querier, "stores");
    const dead = body.data.store.find((s: { name: string }) => s.name === grpc);
    return /connect/.test(dead.lastError ?? "");
  });
  await startStore();
  await until("the store is used again", async () => {
    const { body } = await ask(querier, "query", COUNT_QUERY);
    return body.status === "success" && body.warnings === undefined;
  });
});

goldenTest("a querier with nothing behind it is ready and says so", async (stage) => {
  const nobody = `127.0.0.1:${freePort()}`;
  const lenient = await stage.mneme("query", [
    `--endpoint=${nobody}`,
    "--endpoint.info-timeout=1s",
  ]);
  const empty = await ask(lenient, "query", COUNT_QUERY);
  assert.deepEqual(empty.body.data.result, []);
  assert.deepEqual((await ask(lenient, "stores")).body.data, {});
  const strict = await stage.mneme("query", [
    `--endpoint-strict=${nobody}`,
    "--endpoint.info-timeout=1s",
  ]);
  const failed = await ask(strict, "query", { ...COUNT_QUERY, partial_response: "false" });
  assert.equal(failed.status, 422);
  assert.ok(failed.body.error.includes(`Addr: ${nobody} MinTime: -9223372036854775808`));
  const warned = await ask(strict, "query", COUNT_QUERY);
  assert.equal(warned.body.warnings.length, 1);
});

goldenTest("a busy port is one line with address and flag, and exit code 1", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const busy = `127.0.0.1:${listener.addr.port}`;
  const free = () => `127.0.0.1:${freePort()}`;
  for (const flag of ["--http-address", "--grpc-address"]) {
    const addresses = { "--http-address": free(), "--grpc-address": free(), [flag]: busy };
    const args = Object.entries(addresses).map(([name, address]) => `${name}=${address}`);
    const { code, stderr } = await runCommand(["cmd/query.ts", ...args]);
    assert.equal(code, 1);
    const errors = stderr.split("\n").filter((line) => line.includes("level=error"));
    assert.equal(errors.length, 1, stderr);
    assert.ok(errors[0]!.includes(busy) && errors[0]!.includes(flag), errors[0]);
    assert.ok(errors[0]!.includes("query command failed"), errors[0]);
  }
  listener.close();
});

goldenTest("SIGTERM ends the querier in order, with exit code 0", async (stage, bucket) => {
  const store = await stage.store(bucket);
  const querier = await stage.mneme("query", [`--endpoint=${store.grpc}`]);
  await ask(querier, "query", COUNT_QUERY);
  querier.child.kill("SIGTERM");
  assert.equal(await querier.child.exit, 0);
  assert.ok(querier.child.tail.some((line) => line.includes("caught signal")));
  assert.ok(querier.child.tail.at(-1)!.includes("exiting"));
});
