/** The examples run as their first lines say. */
import assert from "node:assert/strict";
import { COMMANDS } from "../../cmd/main.ts";
import { endOfPlan } from "../../examples/long-term-storage/long_term.ts";
import { parseCommandLine } from "../../lib/config/mod.ts";
import { freePort, isOnPath, programRoot } from "../../lib/runtime/mod.ts";
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

Deno.test("the global view answers over three Prometheus servers", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: no prometheus on PATH");
  await inFolder(async (folder) => {
    const { code, stdout, stderr } = await runCommand([
      "examples/global-view/run.ts",
      `--data-dir=${folder}/data`,
      "--any-ports",
      "--once",
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /deduplicated: 3 series/);
    assert.match(stdout, /dedup=false: 5 series/);
  });
});

Deno.test("long-term storage ships a year to S3 and downsamples it", async () => {
  if (!isOnPath("prometheus")) return console.log("skipped: no prometheus on PATH");
  await inFolder(async (folder) => {
    const { code, stdout, stderr } = await runCommand([
      "examples/long-term-storage/run.ts",
      `--data-dir=${folder}/data`,
      "--any-ports",
      "--once",
    ]);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /13 raw blocks, 9 at 5m and 5 at 1h resolution/);
    assert.match(stdout, /from downsampled blocks: 365 points/);
  });
});

Deno.test("endOfPlan() is in the past, at one place of the compactor's grid", () => {
  const twoWeeks = 14 * 86_400_000;
  for (const now of [Date.parse("2026-01-01"), Date.parse("2026-11-22T20:00:00Z")]) {
    const end = endOfPlan(now);
    assert.ok(end <= now && now - end < twoWeeks);
    assert.equal((1_795_377_600_000 - end) % twoWeeks, 0);
  }
});

Deno.test("command lines of the examples' pages are taken", async () => {
  const commands = await Promise.all(COMMANDS.map((entry) => entry.load()));
  const tree = programRoot(commands);
  let checked = 0;
  for (const page of ["global-view", "long-term-storage"]) {
    const text = await Deno.readTextFile(
      new URL(`../../examples/${page}/README.md`, import.meta.url),
    );
    const joined = text.replace(/\\\n\s*/g, " ");
    for (const [, name, rest] of joined.matchAll(/deno run -A cmd\/(\w+)\.ts ([^|\n]*)/g)) {
      const words = [...rest!.matchAll(/(?:[^\s']|'[^']*')+/g)].map(([w]) => w.replaceAll("'", ""));
      const line = parseCommandLine(tree, [name!, ...words], { readText: () => "", env: () => "" });
      assert.equal(line.kind, "run", `${page}: ${name} ${rest}`);
      if (line.kind === "run") assert.deepEqual(line.warnings, [], `${page}: ${name} ${rest}`);
      checked++;
    }
  }
  assert.ok(checked >= 9, `${checked} command lines`);
});

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-example-test-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
