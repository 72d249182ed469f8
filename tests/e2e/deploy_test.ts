/** The files in deploy/ are read, and every command line in them is one that Mneme takes. */
import assert from "node:assert/strict";
import { COMMANDS } from "../../cmd/main.ts";
import { parseCommandLine, parseYaml, type YamlNode } from "../../lib/config/mod.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { isOnPath, programRoot } from "../../lib/runtime/mod.ts";

const deploy = new URL("../../deploy/", import.meta.url).pathname;

function* files(folder = ""): Generator<string> {
  for (const entry of Deno.readDirSync(`${deploy}${folder}`)) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) yield* files(`${path}/`);
    else yield path;
  }
}

const host = { readText: () => "", env: () => "" };
const commands = await Promise.all(COMMANDS.map((entry) => entry.load()));
const root = programRoot(commands);

function check(file: string, args: readonly string[]): void {
  const line = parseCommandLine(root, args, host);
  assert.equal(line.kind, "run", `${file}: ${args.join(" ")}`);
  if (line.kind === "run") assert.deepEqual(line.warnings, [], file);
}

/** Lists in a document whose first item is one of our commands. */
function* commandLines(node: YamlNode | undefined): Generator<string[]> {
  if (node?.kind === "map") { for (const item of node.entries.values()) yield* commandLines(item); }
  if (node?.kind !== "list") return;
  const words = node.items.flatMap((item) => item.kind === "scalar" ? [item.text] : []);
  if (words.length === node.items.length && KNOWN.has(words[0] ?? "")) yield words;
  for (const item of node.items) yield* commandLines(item);
}

/** Commands that exist; files may be ahead of one that is still being built. */
const KNOWN = new Set(COMMANDS.map(({ name }) => name));

Deno.test("every manifest is YAML, and its command lines are taken without a warning", () => {
  let lines = 0;
  for (const file of files()) {
    if (!/\.ya?ml$/.test(file)) continue;
    for (const text of Deno.readTextFileSync(`${deploy}${file}`).split(/^---$/m)) {
      for (const args of commandLines(parseYaml(text, { name: file }))) {
        check(file, args);
        lines++;
      }
    }
  }
  assert.ok(lines >= 7, `${lines} command lines`);
});

Deno.test("the flags of every systemd unit are taken", () => {
  let units = 0;
  for (const file of files("systemd/")) {
    const name = /([a-z]+)\.env$/.exec(file)?.[1];
    if (name === undefined || !KNOWN.has(name)) continue;
    const args = /^ARGS=(.*)$/m.exec(Deno.readTextFileSync(`${deploy}${file}`))![1]!.split(" ");
    check(file, [name, ...args]);
    units++;
  }
  assert.ok(units >= 4);
});

Deno.test("systemd has no remark about the unit", async () => {
  if (!isOnPath("systemd-analyze")) return console.log("skipped: no systemd-analyze on PATH");
  const sound = await readUnit("");
  if (sound === undefined) return;
  assert.deepEqual(sound, []);
  const wrong = await readUnit("RestartSecond=5\n");
  assert.ok(
    wrong?.some((line) => line.includes("RestartSecond")),
    `${wrong}`,
  );
});

/**
 * What `systemd-analyze verify` remarks about the unit with `more` at its end; undefined when it
 * cannot work on this machine. A program that is installed everywhere stands for `mneme`.
 */
async function readUnit(more: string): Promise<string[] | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "mneme-unit-test-" });
  try {
    const unit = Deno.readTextFileSync(`${deploy}systemd/mneme@.service`);
    const text = unit.replace("=/usr/local/bin/mneme ", "=/bin/sh ");
    assert.notEqual(text, unit);
    await Deno.writeTextFile(`${folder}/mneme@.service`, text + more);
    const { success, stderr } = await new Deno.Command("systemd-analyze", {
      args: ["--man=no", "verify", `${folder}/mneme@.service`],
    }).output();
    const lines = new TextDecoder().decode(stderr).split("\n");
    // It also remarks about units of the machine.
    const remarks = lines.filter((line) => line.includes("mneme@"));
    if (success || remarks.length > 0) return remarks;
    console.log(`skipped: systemd-analyze fails here: ${lines[0]}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the bucket of the compose file can be opened", async () => {
  const bucket = await openBucket(Deno.readTextFileSync(`${deploy}compose/bucket.yaml`));
  assert.equal(bucket.provider, "S3");
  await bucket.close();
});
