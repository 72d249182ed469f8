/** Pages of documentation: links lead somewhere, and flags they name exist. */
import assert from "node:assert/strict";
import { COMMANDS } from "../../cmd/main.ts";
import type { CommandNode } from "../../lib/config/mod.ts";
import { programRoot } from "../../lib/runtime/mod.ts";

const root = new URL("../..", import.meta.url).pathname;
const FOLDERS = [
  "",
  "docs",
  "deploy",
  "mixin",
  "examples/global-view",
  "examples/long-term-storage",
];

function* pages(): Generator<{ path: string; folder: string; text: string }> {
  for (const folder of FOLDERS) {
    for (const entry of Deno.readDirSync(`${root}${folder}`)) {
      if (!entry.isFile || !entry.name.endsWith(".md")) continue;
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      yield { path, folder, text: Deno.readTextFileSync(`${root}${path}`) };
    }
  }
}

Deno.test("links in the documentation lead to files that exist", () => {
  const broken: string[] = [];
  for (const { path, folder, text } of pages()) {
    for (const [, link] of text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)) {
      if (/^\w+:/.test(link!)) continue;
      const target = new URL(link!, `file://${root}${folder === "" ? "" : `${folder}/`}`);
      try {
        Deno.statSync(target);
      } catch {
        broken.push(`${path}: ${link}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});

Deno.test("tests that the table of scenarios names exist", () => {
  const table = Deno.readTextFileSync(`${root}docs/design/scenarios.md`);
  const gone: string[] = [];
  let named = 0;
  for (const [, path, name] of table.matchAll(/`([^`]+_test\.ts)` “([^”]+)”/g)) {
    named++;
    try {
      if (!Deno.readTextFileSync(`${root}${path}`).includes(name!)) gone.push(`${path}: ${name}`);
    } catch {
      gone.push(path!);
    }
  }
  assert.deepEqual(gone, []);
  assert.ok(named >= 50, `${named} tests are named`);
});

/** Flags of other programs that the pages show. */
const FOREIGN = [
  /^--(?:storage|web\.enable|web\.listen|config\.file)/,
  /^--(?:output|target|level|seconds|seed|verbose|frozen|check|parallel|build)$/,
  /^--x(?:\.|$)/,
  /^--(?:data-dir|any-ports|once|v8-flags|max-(?:old|semi)-space-size|allow-\w+)$/,
];

Deno.test("flags that the operators' pages name are flags of a command", async () => {
  const known = new Set(["--help", "--help-long", "--help-man", "--version"]);
  for (const shell of ["bash", "zsh", "fish"]) known.add(`--completion-script-${shell}`);
  const add = (node: CommandNode) => {
    for (const { options } of Object.values(node.flags)) {
      for (const { name, aliases } of options) {
        for (const n of [name, ...aliases]) known.add(`--${n}`).add(`--no-${n}`);
      }
    }
    node.commands?.forEach(add);
  };
  add(programRoot(await Promise.all(COMMANDS.map((entry) => entry.load()))));
  const unknown: string[] = [];
  for (const { path, text } of pages()) {
    if (!/^(?:docs|mixin|deploy|examples)\//.test(path)) continue;
    for (const [, flag] of text.matchAll(/(?<![\w-])(--[a-z][a-z0-9_.-]*[a-z0-9])/g)) {
      if (!known.has(flag!) && !FOREIGN.some((f) => f.test(flag!))) {
        unknown.push(`${path}: ${flag}`);
      }
    }
  }
  assert.deepEqual([...new Set(unknown)], []);
});
