/** Every command with the permissions of `deploy/permissions.sh`, and what they keep it from. */
import assert from "node:assert/strict";
import { ChildProcess, freePort } from "../../lib/runtime/mod.ts";
import { copyTree, generateBlocks, until } from "../mneme.ts";
import { s3Document, startS3rver } from "../servers/object_storage.ts";

const root = new URL("../..", import.meta.url).pathname;
const golden = new URL("../../../shared/golden/bucket-compacted", import.meta.url).pathname;

interface Started {
  readonly child: ChildProcess;
  readonly http: string;
}

/** Starts a command as the image and the units do. */
function start(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Started {
  const [http, grpc] = [`127.0.0.1:${freePort()}`, `127.0.0.1:${freePort()}`];
  const listens = command === "compact"
    ? [`--http-address=${http}`, "--wait"]
    : [`--http-address=${http}`, `--grpc-address=${grpc}`];
  const child = ChildProcess.start({
    name: command,
    command: "sh",
    args: [`${root}deploy/run.sh`, command, ...listens, ...args],
    cwd: root,
    env: { MNEME_DENO: Deno.execPath(), ...env },
  });
  return { child, http: `http://${http}` };
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-permissions-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const filesystem = (directory: string) =>
  `--objstore.config=type: FILESYSTEM\nconfig:\n  directory: ${JSON.stringify(directory)}\n`;

Deno.test("every command runs with the permissions its flags ask for", async () => {
  await inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/tsdb/wal`, { recursive: true });
    await Deno.mkdir(`${folder}/bucket`, { recursive: true });
    const rows: [string, string[]][] = [
      ["query", ["--debug.pprof"]],
      ["store", [filesystem(`${folder}/bucket`), `--data-dir=${folder}/store`]],
      ["compact", [filesystem(`${folder}/bucket`), "--data-dir", `${folder}/compact`]],
      ["standalone", [`--data-dir=${folder}/standalone`]],
      ["sidecar", [
        `--tsdb.path=${folder}/tsdb`,
        "--prometheus.url=http://127.0.0.1:9",
        filesystem(`${folder}/bucket`),
      ]],
    ];
    // One after the other: each is a whole process.
    for (const [command, args] of rows) {
      const { child, http } = start(command, args);
      try {
        await until(`${command} answers`, async () => {
          assert.ok(child.running, child.tail.join("\n"));
          const answer = await fetch(`${http}/-/healthy`);
          await answer.body?.cancel();
          return answer.ok;
        });
        const page = await (await fetch(`${http}/metrics`)).text();
        assert.match(page, /^process_resident_memory_bytes /m);
      } finally {
        await child.stop();
      }
      assert.ok(!child.tail.some((line) => /NotCapable|Requires \w+ access/.test(line)), command);
    }
  });
});

/** Runs a command to its end, as people and jobs do. */
async function runToEnd(...args: string[]): Promise<{ code: number; out: string }> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [`${root}deploy/run.sh`, ...args],
    cwd: root,
    env: { MNEME_DENO: Deno.execPath() },
  }).output();
  const out = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.ok(!/NotCapable|Requires \w+ access/.test(out), `${args.join(" ")}: ${out}`);
  return { code, out };
}

Deno.test("generator, tools and doctor do their work with the permissions their flags ask for", async () => {
  await inFolder(async (folder) => {
    const bucket = filesystem(`${folder}/bucket`);
    const plan = await runToEnd("bench", "block", "plan", "--profile=continuous-1w-small");
    assert.equal(plan.code, 0, plan.out);
    await generateBlocks(`${folder}/bucket`, "continuous-30d-tiny", 'cluster="one"');
    const rows: [string[], RegExp][] = [
      [["tools", "bucket", "ls", bucket], /msg="ls done" objects=[1-9]/],
      [["tools", "bucket", "inspect", bucket], /cluster=one/],
      [["tools", "bucket", "verify", bucket], /msg="verify done" blocks=[1-9]\d* issues=0/],
      [["--log.level", "info", "tools", "bucket", "verify", bucket], /verify done/],
      [["doctor", bucket, `--data-dir=${folder}/data`], /GiB are free[^]*, nothing to mend/],
    ];
    for (const [args, expected] of rows) {
      const { code, out } = await runToEnd(...args);
      assert.equal(code, 0, out);
      assert.match(out, expected);
    }
    // Flags from a file count as well.
    await Deno.writeTextFile(`${folder}/flags`, `# Where.\n\n--data-dir=${folder}/other\n`);
    const other = await runToEnd("doctor", `@${folder}/flags`);
    assert.match(other.out, /ok {6}disk: \S+other can be written, /);
  });
});

Deno.test("a store on S3 needs its bucket's address and nothing more of the network", async () => {
  try {
    await Deno.stat(golden);
  } catch {
    console.log(`skipped: ${golden} is not there`);
    return;
  }
  const s3 = await startS3rver(["golden"]);
  try {
    await inFolder(async (folder) => {
      const config = `--objstore.config=${
        s3Document(s3.port, "golden", { secret_key: "$(THE_SECRET)" })
      }`;
      const args = [config, `--data-dir=${folder}/data`];
      const env = { MNEME_ENV: "THE_SECRET", THE_SECRET: "S3RVER" };
      const listen = "127.0.0.1";
      const good = start("store", args, { ...env, MNEME_NET: `${listen},127.0.0.1:${s3.port}` });
      try {
        await good.child.waitUntilReady(`${good.http}/-/ready`);
      } finally {
        await good.child.stop();
      }
      // Without the variable's permission it is as if it were not set.
      const blind = start("store", args, { THE_SECRET: "S3RVER" });
      assert.equal(await blind.child.exit, 1);
      assert.match(blind.child.tail.join("\n"), /unset environment variable \\?"THE_SECRET/);
      // Without the network there is no server, and one line says why.
      const deaf = start("store", args, { ...env, MNEME_NET: "192.0.2.1:1" });
      assert.equal(await deaf.child.exit, 1);
      assert.match(deaf.child.tail.join("\n"), /cannot listen on .*net access/);
    });
  } finally {
    await s3.stop();
  }
});

Deno.test("nothing outside of the folders of the flags can be written to, and no program started", async () => {
  await inFolder(async (folder) => {
    await copyTree(`${root}deploy/systemd`, `${folder}/bucket`);
    const store = start("store", [
      filesystem(`${folder}/bucket`),
      `--data-dir=${folder}/inside`,
      "--log.level=debug",
    ]);
    try {
      await until("the store", async () => {
        assert.ok(store.child.running, store.child.tail.join("\n"));
        const answer = await fetch(`${store.http}/-/healthy`);
        await answer.body?.cancel();
        return answer.ok;
      });
    } finally {
      await store.child.stop();
    }
    // The same rules around a program that tries.
    await Deno.writeTextFile(
      `${folder}/probe.ts`,
      `const tries: [string, () => unknown][] = [
        ["write", () => Deno.writeTextFileSync("${folder}/outside", "x")],
        ["run", () => new Deno.Command("true").outputSync()],
        ["ffi", () => Deno.dlopen("libc.so.6", {})],
        ["env", () => { if (Deno.env.get("PATH") !== undefined) return; throw new Error("hidden"); }],
      ];
      for (const [name, attempt] of tries) {
        try { attempt(); console.log(name, "allowed"); } catch { console.log(name, "denied"); }
      }
      try {
        await Deno.connect({ hostname: "169.254.169.254", port: 80 });
        console.log("metadata allowed");
      } catch (error) { console.log("metadata", (error as Error).name); }
      Deno.writeTextFileSync("${folder}/inside/file", "x");`,
    );
    const { stdout, stderr, code } = await new Deno.Command("sh", {
      args: [
        "-c",
        `. ${root}deploy/permissions.sh; mneme_exec "$0" "--quiet --no-config" ` +
        `"${folder}/probe.ts" query "--query.active-query-path=${folder}/inside"`,
        Deno.execPath(),
      ],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.deepEqual(new TextDecoder().decode(stdout).trim().split("\n"), [
      "write denied",
      "run denied",
      "ffi denied",
      "env denied",
      "metadata NotCapable",
    ]);
  });
});
