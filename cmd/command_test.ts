/** Programs from command line to exit code, without a process. */
import assert from "node:assert/strict";
import { MnemeError } from "../lib/base/mod.ts";
import { flag } from "../lib/config/mod.ts";
import { type Command, type ProgramHost, runProgram } from "../lib/runtime/mod.ts";
import { defineCommand, defineGroup } from "./command.ts";
import { COMMANDS, runMneme } from "./main.ts";

function host(
  env: Readonly<Record<string, string>> = {},
): ProgramHost & { out: string[]; err: string[] } {
  const out: string[] = [];
  const err: string[] = [];
  return {
    out,
    err,
    stdout: (text) => void out.push(text),
    stderr: (text) => void err.push(text),
    readText: () => {
      throw new Error("no files here");
    },
    env: (name) => env[name],
  };
}

const calls: unknown[] = [];
const demo = defineCommand({
  name: "demo",
  help: "Shows.",
  flags: {
    size: flag.size("size", "1KB", "Size."),
    secret: flag.pathOrContent("secret.config", "secret.", { secret: true }),
    old: flag.string("old", "", "Old.", { noEffect: "it is of no use" }),
  },
  async run(config, env) {
    calls.push(config.size satisfies number, env.flags);
    if (config.size === 0) throw new MnemeError("bad_data", "size is zero\nand more");
    if (config.size === 1) throw new TypeError("bug");
    await env.runGroup([{ name: "one", run: () => Promise.reject(new Error("broke")) }]);
  },
});
const group = defineGroup({ name: "tools", help: "Tools.", commands: [demo] });

async function run(commands: Command[], ...args: string[]) {
  const h = host();
  const code = await runProgram(commands, args, h);
  return { code, out: h.out.join("\n"), err: h.err };
}

Deno.test("runProgram() prints help and version on stdout with exit code 0", async () => {
  for (const args of [[], ["--help"], ["help"], ["demo", "-h"], ["--help-long"]]) {
    const { code, out, err } = await run([demo], ...args);
    assert.equal(code, 0);
    assert.ok(out.startsWith("usage: mneme"), out);
    assert.deepEqual(err, []);
  }
  const { out } = await run([demo], "--version");
  assert.match(out, /^mneme, version \d+\.\d+\.\d+ \(branch: /);
});

const ERRORS: readonly [string[], number, RegExp][] = [
  [["demo", "--siz=1"], 1, /^mneme: error: unknown long flag '--siz', did you mean '--size'\?$/],
  [["dem"], 1, /^mneme: error: expected command but got 'dem', did you mean 'demo'\?$/],
  [
    ["demo", "--secret.config=pass", "--size=5"],
    2,
    /^error parsing commandline arguments: \[demo --secret\.config=<REDACTED> --size=5\]: --size: units: unknown unit {2}in 5$/,
  ],
  [
    ["demo", "--size=0B"],
    1,
    /level=error msg="preparing demo command failed" err="size is zero\\nand more"$/,
  ],
  [["demo", "--size=1B"], 1, /msg="preparing demo command failed" err=bug stack="TypeError: bug/],
  [["demo"], 1, /level=error msg="demo command failed" err=broke/],
  [["--auto-gomemlimit.ratio=0", "demo"], 1, /err="--auto-gomemlimit.ratio: must be greater/],
  [["--log.format=journald", "demo"], 1, /err="--log.format: no journal is available/],
];

for (const [args, code, line] of ERRORS) {
  Deno.test(`runProgram() fails with one line: ${args.join(" ")}`, async () => {
    const result = await run([demo], ...args);
    assert.equal(result.code, code);
    assert.equal(result.out, "");
    assert.equal(result.err.length, 1, result.err.join("\n"));
    assert.match(result.err[0]!, line);
    assert.ok(!result.err[0]!.includes("\n"));
  });
}

Deno.test("runProgram() ends with the code that a command returns, without a further line", async () => {
  const check = defineCommand({
    name: "check",
    help: "",
    flags: {},
    run: () => Promise.resolve(1),
  });
  assert.deepEqual(await run([check], "check"), { code: 1, out: "", err: [] });
});

Deno.test("runProgram() writes for the journal where there is one", async () => {
  const h = host({ JOURNAL_STREAM: "8:1234" });
  assert.equal(await runProgram([demo], ["--log.format=journald", "demo", "--size=0B"], h), 1);
  assert.match(h.err.join("\n"), /^<3>ts=\S+ level=error msg="preparing demo command failed" err=/);
});

Deno.test("runProgram() gives typed config and redacted flags, and warns of flags without effect", async () => {
  calls.length = 0;
  const { err } = await run([demo], "demo", "--old=x", "--secret.config=pass", "--log.format=json");
  assert.equal(calls[0], 1024);
  assert.deepEqual(calls[1], {
    size: "1KiB",
    "secret.config": "<REDACTED>",
    "secret.config-file": "<REDACTED>",
    old: "x",
  });
  const warning = JSON.parse(err[0]!);
  assert.equal(warning.level, "warn");
  assert.equal(warning.msg, "--old has no effect: it is of no use");
});

Deno.test("runProgram() names nested commands in full", async () => {
  const { err } = await run([group], "tools", "demo", "--size=0B");
  assert.match(err[0]!, /msg="preparing tools demo command failed"/);
});

Deno.test("runMneme() lists every command and loads only the one that is named", async () => {
  const h = host();
  assert.equal(await runMneme([], h), 0);
  for (const { name } of COMMANDS) assert.ok(h.out.join("\n").includes(`\n  ${name} `), name);
  const wrong = host();
  assert.equal(await runMneme(["nope"], wrong), 1);
  assert.match(wrong.err[0]!, /^mneme: error: expected command but got 'nope'/);
  const unknown = host();
  assert.equal(await runMneme(["--nope"], unknown), 1);
  assert.equal(unknown.err[0], "mneme: error: unknown long flag '--nope'");
});

Deno.test("runMneme() prints a manual page and completion of every command", async () => {
  for (const flag of ["--help-man", "--completion-script-bash", "--completion-script-fish"]) {
    for (const words of [[flag], ["store", flag]]) {
      const h = host();
      assert.equal(await runMneme(words, h), 0);
      assert.match(h.out[0]!, /bench.*block.*plan/s, flag);
      assert.match(h.out[0]!, /prometheus\.ready_timeout/);
    }
  }
});

for (const { name, help, load } of COMMANDS) {
  Deno.test(`main.ts and the command agree: ${name}`, async () => {
    const command = await load();
    assert.equal(command.name, name);
    assert.equal(command.help, help);
    const h = host();
    assert.equal(await runMneme(["help", name], h), 0);
    assert.ok(h.out[0]!.startsWith(`usage: mneme ${name} [<flags>]`));
  });
}
