/** The rules themselves: what each catches and what it lets pass. */
import assert from "node:assert/strict";
import { importsOf, resolveFrom } from "./imports.ts";
import {
  checkCommandLength,
  checkDeno,
  checkLayers,
  checkName,
  checkPackages,
  checkSamplePath,
  checkText,
  findCycles,
  findDeadFiles,
  type Source,
} from "./rules.ts";

const file = (path: string, text: string): Source => ({ path, text });

Deno.test("importsOf() sees every form and no comment or text", () => {
  const text = `
// import "./no1.ts";
/* import x from "./no2.ts"; */
import a from "./a.ts";
import type { B } from "./b.ts";
import {
  c,
  type D,
} from "./c.ts";
export * from "./d.ts";
export type { E } from "./e.ts";
import "./f.ts";
const g = await import("./g.ts");
new Worker(new URL("./h.ts", import.meta.url), { type: "module" });
const text = 'import x from "./no3.ts"';
export const y = 1; const from = "./no4.ts";
`;
  assert.deepEqual(importsOf(text).map((i) => [i.specifier, i.typeOnly]), [
    ["./a.ts", false],
    ["./b.ts", true],
    ["./c.ts", false],
    ["./d.ts", false],
    ["./e.ts", true],
    ["./f.ts", false],
    ["./g.ts", false],
    ["./h.ts", false],
  ]);
  assert.equal(importsOf(text)[2]!.line, 6);
});

Deno.test("resolveFrom() joins paths", () => {
  assert.equal(resolveFrom("lib/a/b.ts", "../c/mod.ts"), "lib/c/mod.ts");
  assert.equal(resolveFrom("cmd/a.ts", "../lib/c/mod.ts"), "lib/c/mod.ts");
});

const LAYER_ROWS: readonly [string, string, string, RegExp | undefined][] = [
  ["downward", "lib/tsdb/x.ts", "../chunks/mod.ts", undefined],
  ["own module", "lib/tsdb/x.ts", "./y.ts", undefined],
  ["command", "cmd/store.ts", "../lib/store/mod.ts", undefined],
  ["command to command", "cmd/main.ts", "./command.ts", undefined],
  ["sideways", "lib/config/x.ts", "../telemetry/mod.ts", /strictly downward/],
  ["upward", "lib/base/x.ts", "../model/mod.ts", /strictly downward/],
  ["pages to pages", "ui/graph/x.tsx", "../model/y.ts", undefined],
  ["pages to lib", "ui/graph/x.tsx", "../../lib/base/mod.ts", /tree of their own/],
  ["a command to the pages", "cmd/x.ts", "../ui/build.ts", /tree of their own/],
  ["to a command", "lib/api/x.ts", "../../cmd/main.ts", /outside lib/],
  ["past mod.ts", "lib/tsdb/x.ts", "../chunks/xor.ts", /mod\.ts instead/],
  ["past mod.ts in a command", "cmd/x.ts", "../lib/chunks/xor.ts", /mod\.ts instead/],
  ["test data in code", "lib/tsdb/x.ts", "./testing/files.ts", /for tests/],
  ["test data in a test", "lib/tsdb/x_test.ts", "../chunks/testing/f.ts", undefined],
  ["a module without layer", "lib/nope/x.ts", "../base/mod.ts", /has no layer/],
  ["a URL", "lib/base/x.ts", "npm:hono", /as deno\.json does/],
];

for (const [name, path, specifier, complaint] of LAYER_ROWS) {
  Deno.test(`checkLayers(): ${name}`, () => {
    const found = checkLayers(file(path, `import { x } from "${specifier}";\n`));
    if (complaint === undefined) assert.deepEqual(found, []);
    else assert.match(found.join("\n"), complaint);
  });
}

Deno.test("checkPackages() keeps a package in its place", () => {
  const of = (path: string, text: string) => checkPackages(file(path, text)).length;
  assert.equal(of("lib/config/yaml.ts", 'import { parse } from "yaml";'), 0);
  assert.equal(of("lib/config/schema.ts", 'import { parse } from "yaml";'), 1);
  assert.equal(of("lib/rpc/any.ts", 'import * as grpc from "@grpc/grpc-js";'), 0);
  assert.equal(of("lib/query/any.ts", 'import type * as grpc from "@grpc/grpc-js";'), 1);
  assert.equal(of("lib/api/any.ts", 'import { html } from "hono/html";'), 0);
  assert.equal(of("cmd/x.ts", 'import type { Hono } from "hono";'), 0);
  assert.equal(of("cmd/x.ts", 'import { Hono } from "hono";'), 1);
  assert.equal(of("lib/rpc/x_test.ts", 'import protobuf from "protobufjs";'), 0);
  assert.equal(of("lib/rpc/x.ts", 'import protobuf from "protobufjs";'), 1);
  assert.equal(of("lib/base/x.ts", 'import x from "left-pad";'), 1);
  assert.equal(of("lib/base/x.ts", 'import { gzipSync } from "node:zlib";'), 0);
});

Deno.test("checkDeno() keeps Deno's API at the edges", () => {
  assert.equal(checkDeno(file("lib/store/x.ts", "Deno.readFile(x);")).length, 1);
  assert.equal(
    checkDeno(file("lib/store/x.ts", "// Deno.readFile\nconst x = 'Deno.env';")).length,
    0,
  );
  assert.equal(checkDeno(file("lib/store/x_test.ts", "Deno.test(x);")).length, 0);
  assert.equal(checkDeno(file("lib/runtime/x.ts", "Deno.serve(x);")).length, 0);
  assert.equal(checkDeno(file("cmd/x.ts", "Deno.exit(1);")).length, 0);
});

Deno.test("checkSamplePath() bans BigInt and patterns made of data", () => {
  const of = (path: string, text: string) => checkSamplePath(file(path, text)).length;
  assert.equal(of("lib/chunks/x.ts", "const a = 1n;"), 1);
  assert.equal(of("lib/promql/x.ts", "BigInt(1)"), 1);
  assert.equal(of("lib/promql/x.ts", "new BigInt64Array(1)"), 1);
  assert.equal(of("lib/chunks/x.ts", '// 1n\nconst a = "2n", b = n1n;'), 0);
  assert.equal(of("lib/chunks/x_test.ts", "const a = 1n;"), 0);
  assert.equal(of("lib/rpc/x.ts", "const a = 1n;"), 0);
  assert.equal(of("lib/promql/x.ts", "new RegExp(user)"), 1);
  assert.equal(of("lib/model/regexp.ts", "new RegExp(proven)"), 0);
  assert.equal(of("lib/promql/x.ts", "const NUMBER = new RegExp(\n  PART + PART,\n);"), 0);
});

Deno.test("checkText() finds hosts, paths and leftovers", () => {
  const of = (text: string) => checkText(file("README.md", text)).length;
  assert.equal(of(`see https://${"registry"}.npmjs.org/x`), 1);
  assert.equal(of(`"/${"work"}/main/x"`), 1);
  assert.equal(of(`cd /${"home"}/me`), 1);
  assert.equal(of(`/${"tmp"}/abc`), 1);
  assert.equal(of(`// ${"FIX"}ME later`), 1);
  assert.equal(of("lib/work/x, https://host/home/x, /api/v1/query"), 0);
});

Deno.test("checkName() wants telling snake_case names", () => {
  for (const bad of ["lib/utils/x.ts", "lib/a/helpers.ts", "lib/a/string_util.ts", "lib/a/B.ts"]) {
    assert.equal(checkName(bad).length, 1, bad);
  }
  for (const good of ["lib/a/b_c.ts", "README.md", "lib/utility_bills/x.ts"]) {
    assert.equal(checkName(good).length, 0, good);
  }
});

Deno.test("checkCommandLength() keeps commands thin", () => {
  assert.equal(checkCommandLength(file("cmd/a.ts", "\n".repeat(249))).length, 0);
  assert.equal(checkCommandLength(file("cmd/a.ts", "\n".repeat(250))).length, 1);
  assert.equal(checkCommandLength(file("lib/a/b.ts", "\n".repeat(999))).length, 0);
});

Deno.test("findCycles() shows the way round and ignores types", () => {
  const a = file("lib/a/a.ts", 'import { b } from "./b.ts";');
  assert.deepEqual(findCycles([a, file("lib/a/b.ts", 'import { a } from "./a.ts";')]), [
    "cycle: lib/a/a.ts -> lib/a/b.ts -> lib/a/a.ts",
  ]);
  assert.deepEqual(findCycles([a, file("lib/a/b.ts", 'import type { A } from "./a.ts";')]), []);
});

Deno.test("findDeadFiles() wants every file to be imported", () => {
  const mod = file("lib/a/mod.ts", 'export * from "./used.ts";');
  const sources = [mod, file("lib/a/used.ts", ""), file("lib/a/dead.ts", "")];
  assert.deepEqual(findDeadFiles(sources), ["lib/a/dead.ts: nothing imports it"]);
});
