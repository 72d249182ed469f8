/** The examples run as their first lines say. */
import assert from "node:assert/strict";
import { freePort } from "../../lib/runtime/mod.ts";
import { runCommand } from "../mneme.ts";

Deno.test("the demo generates a year, answers a query over it, and reuses the data", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-demo-test-" });
  try {
    const address = (flag: string) => `--${flag}=127.0.0.1:${freePort()}`;
    const run = () =>
      runCommand([
        "examples/demo.ts",
        `--data-dir=${folder}/data`,
        address("http-address"),
        address("grpc-address"),
        "--once",
      ]);
    const first = await run();
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /13 blocks in /);
    assert.match(first.stdout, /36[345] points out of 2,101,920 samples/);
    const second = await run();
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stdout, /Reusing 13 blocks/);

    // PromQL straight over the same blocks: one series of each of the five metrics.
    const marker = JSON.parse(await Deno.readTextFile(`${folder}/data/demo.json`));
    const alone = await runCommand([
      "examples/query_block.ts",
      `${folder}/data/bucket`,
      'count by (__name__) ({__name__=~"continuous.*"})',
      String(marker.maxTime / 1000 - 60),
    ]);
    assert.equal(alone.code, 0, alone.stderr);
    assert.deepEqual(
      alone.stdout.trim().split("\n").sort(),
      [0, 1, 2, 3, 4].map((i) => `{__name__="continuous_app_metric${i}"} 1`),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the demo names the port and the flag when a port is busy", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-demo-test-" });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  try {
    const { code, stderr } = await runCommand([
      "examples/demo.ts",
      `--data-dir=${folder}/data`,
      `--http-address=127.0.0.1:${listener.addr.port}`,
      "--once",
    ]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`^demo: .*${listener.addr.port}.*--http-address.*\\n$`));
  } finally {
    listener.close();
    await Deno.remove(folder, { recursive: true });
  }
});
