/** The house rules, held against every file of the repository. */
import assert from "node:assert/strict";
import { VERSION } from "../../lib/telemetry/mod.ts";
import { BINARY_BYTES, LAYERS, PACKAGES } from "./layers.ts";
import {
  checkName,
  checkSource,
  checkText,
  findCycles,
  findDeadFiles,
  type Source,
} from "./rules.ts";

const root = new URL("../..", import.meta.url).pathname;

/** Left out of every walk: not ours, or made on this machine. */
const SKIPPED = new Set([
  ".git",
  "node_modules",
  "demo-data",
  "global-view-data",
  "long-term-data",
  "data",
  "dist",
  "coverage",
  ".bench",
  ".screenshots",
]);

function* walk(folder = ""): Generator<string> {
  for (const entry of Deno.readDirSync(`${root}${folder}`)) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    // In a second working tree `.git` is a file.
    if (SKIPPED.has(entry.name)) continue;
    if (entry.isDirectory) yield* walk(path);
    else if (entry.isFile) yield path;
  }
}

const paths = [...walk()].sort();
const texts: Source[] = [];
const binaries: { path: string; bytes: number }[] = [];
for (const path of paths) {
  const bytes = Deno.readFileSync(`${root}${path}`);
  if (bytes.subarray(0, 8000).includes(0)) binaries.push({ path, bytes: bytes.length });
  else texts.push({ path, text: new TextDecoder().decode(bytes) });
}
const sources = texts.filter(({ path }) =>
  /^(?:mod\.ts$|(?:cmd|lib|tests|examples|ui)\/.*\.tsx?$)/.test(path)
);

function none(complaints: readonly string[]): void {
  assert.ok(complaints.length === 0, `\n${complaints.join("\n")}`);
}

Deno.test("tidy: layers, packages, Deno's API, sample path, length of commands", () => {
  assert.ok(sources.length > 50, "the walk found the code");
  none(sources.flatMap(checkSource));
});

Deno.test("tidy: no cycles", () => none(findCycles(sources)));

Deno.test("tidy: no dead files in lib", () => none(findDeadFiles(sources)));

Deno.test("tidy: names of files and folders", () => none(paths.flatMap(checkName)));

Deno.test("tidy: no hosts of registries, no machine's paths, nothing unfinished", () => {
  none(texts.filter(({ path }) => !path.endsWith(".lock")).flatMap(checkText));
});

Deno.test("tidy: no large binaries", () => {
  none(
    binaries.filter(({ bytes }) => bytes > BINARY_BYTES)
      .map(({ path, bytes }) => `${path}: ${bytes} bytes, at most ${BINARY_BYTES}`),
  );
});

Deno.test("tidy: every module has a mod.ts that says what it is and which layer", () => {
  const modules = new Set(
    sources.map(({ path }) => /^lib\/([^/]+)\//.exec(path)?.[1]).filter((m) => m !== undefined),
  );
  for (const module of modules) {
    const mod = sources.find(({ path }) => path === `lib/${module}/mod.ts`);
    assert.ok(mod !== undefined, `lib/${module} has no mod.ts`);
    assert.ok(
      mod.text.startsWith("/**") && mod.text.includes(`Layer ${LAYERS[module]}`),
      `lib/${module}/mod.ts: say what it is and "Layer ${LAYERS[module]}" in its first comment`,
    );
  }
});

Deno.test("tidy: deno.json agrees with the version, the packages and their reasons", () => {
  const config = JSON.parse(Deno.readTextFileSync(`${root}deno.json`));
  assert.equal(config.version, VERSION);
  // A server that only tests start has packages of its own, so that nobody else fetches them.
  const apart = JSON.parse(Deno.readTextFileSync(`${root}tests/servers/s3/s3rver.json`));
  const imports = { ...config.imports, ...apart.imports };
  assert.deepEqual(Object.keys(imports).sort(), Object.keys(PACKAGES).sort());
  const reasons = Deno.readTextFileSync(`${root}docs/dependencies.md`);
  for (const [name, specifier] of Object.entries<string>(imports)) {
    assert.match(specifier, /^npm:.+@\d+\.\d+\.\d+$/, `${name} is pinned`);
    assert.ok(reasons.includes(`\`${name}\``), `docs/dependencies.md gives a reason for ${name}`);
  }
});
