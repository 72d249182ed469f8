/** Prometheus' own scripts, all of them, and ours; there is no list of exceptions. */
import assert from "node:assert/strict";
import { findScripts, runFile } from "./run.ts";

const FOLDER = new URL("../../../shared/conformance/promql", import.meta.url).pathname;

let scripts: string[] = [];
try {
  scripts = await findScripts([FOLDER]);
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

if (scripts.length === 0) {
  Deno.test("PromQL conformance scripts", () => {
    console.log(`skipped: no scripts at ${FOLDER}`);
  });
}

scripts.push(...await findScripts([new URL("scripts", import.meta.url).pathname]));

for (const script of scripts) {
  Deno.test(`PromQL script ${script.split("/").pop()} passes`, async () => {
    const { passed, failures } = await runFile(script);
    assert.ok(passed + failures.length > 0, "the script evaluates nothing");
    const list = failures.map((f) => `${f.file}:${f.line}: ${f.message}`).join("\n");
    assert.equal(failures.length, 0, `${failures.length} of ${passed + failures.length}:\n${list}`);
  });
}
