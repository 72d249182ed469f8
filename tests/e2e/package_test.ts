/** The packed file runs where there is nothing: an empty folder, no network, no Deno on PATH. */
import assert from "node:assert/strict";
import { ChildProcess, freePort } from "../../lib/runtime/mod.ts";
import { until } from "../mneme.ts";

const root = new URL("../..", import.meta.url).pathname;

Deno.test("the packed file serves generated blocks from an empty folder", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-package-test-" });
  try {
    const packed = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `${root}deploy/package.ts`, `--output=${folder}/mneme`, "--level=1"],
      env: { MNEME_REVISION: "abc123", MNEME_BRANCH: "main" },
    }).output();
    const problem = new TextDecoder().decode(packed.stderr);
    if (!packed.success && /sending request|npm|esbuild/i.test(problem)) {
      console.log(`skipped: the bundler cannot be fetched: ${problem.split("\n")[0]}`);
      return;
    }
    assert.ok(packed.success, problem);
    const empty = `${folder}/empty`;
    await Deno.mkdir(empty);
    const env = { HOME: empty, PATH: "/usr/bin:/bin" };
    const run = async (args: string[], input = "") => {
      const child = new Deno.Command(`${folder}/mneme`, {
        args,
        cwd: empty,
        env,
        clearEnv: true,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input)).catch(() => undefined);
      await writer.close().catch(() => undefined);
      const { code, stdout, stderr } = await child.output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { code, stdout: decode(stdout), stderr: decode(stderr) };
    };
    // Two first starts at once unpack side by side.
    const [version, other] = await Promise.all([run(["--version"]), run(["--version"])]);
    assert.match(
      version.stdout,
      /^mneme, version \d\S* \(branch: main, revision: abc123\)/,
      version.stderr,
    );
    assert.equal(other.code, 0, other.stderr);
    const unpacked = [...Deno.readDirSync(`${empty}/.cache/mneme`)].map((e) => e.name);
    assert.equal(unpacked.filter((name) => /^\d/.test(name)).length, 1, unpacked.join());
    assert.equal(unpacked.filter((name) => name.startsWith(".new")).length, 0, unpacked.join());

    // Generates with workers, which are bundles of their own.
    const plan = await run([
      "bench",
      "block",
      "plan",
      "--profile=continuous-30d-tiny",
      '--labels=cluster="packed"',
      "--max-time=2026-01-01T00:00:00Z",
    ]);
    assert.equal(plan.code, 0, plan.stderr);
    const gen = await run(
      ["bench", "block", "gen", "--output.dir=data/bucket", "--workers=2", "--log.level=error"],
      plan.stdout,
    );
    assert.equal(gen.code, 0, gen.stderr);
    const http = `127.0.0.1:${freePort()}`;
    const server = ChildProcess.start({
      name: "packed",
      command: `${folder}/mneme`,
      args: ["standalone", `--http-address=${http}`, `--grpc-address=127.0.0.1:${freePort()}`],
      cwd: empty,
      env,
    });
    try {
      await server.waitUntilReady(`http://${http}/-/ready`);
      const result = await until("an answer", async () => {
        const time = Date.parse("2025-12-31T20:00:00Z") / 1000;
        const query = "count by (cluster) (continuous_app_metric0)";
        const params = new URLSearchParams({ query, time: String(time) });
        const body = await (await fetch(`http://${http}/api/v1/query?${params}`)).json();
        return body.data?.result?.length === 1 && body.data.result;
      });
      assert.deepEqual(result[0].metric, { cluster: "packed" });
      // The pages come with it.
      const page = await (await fetch(`http://${http}/graph`)).text();
      const script = /src="([^"]*static\/[^"]+\.js)"/.exec(page)?.[1];
      assert.ok(script !== undefined, page.slice(0, 500));
      const file = await fetch(new URL(script, `http://${http}/graph`));
      assert.equal(file.status, 200);
      assert.ok((await file.text()).length > 1000);
      assert.equal(await server.stop(), 0);
    } finally {
      await server.stop();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
