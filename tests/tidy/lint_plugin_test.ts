/** The lint plugin, run by Deno's own linter. */
import assert from "node:assert/strict";
import plugin from "./lint_plugin.ts";

const root = new URL("../..", import.meta.url).pathname;

function lint(path: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, `${root}${path}`, text).map((d) => `${d.id}: ${d.message}`);
}

Deno.test("lint plugin points at an upward import", () => {
  const found = Deno.lint.runPlugin(
    plugin,
    `${root}lib/base/x.ts`,
    'export const a = 1;\nimport "../model/mod.ts";\n',
  );
  assert.equal(found.length, 1);
  assert.equal(found[0]!.id, "mneme/house-rules");
  assert.deepEqual(found[0]!.range, [20, 45]);
});

Deno.test("lint plugin finds samples in objects on the sample path only", () => {
  const text = "export const f = (t, v, i) => ({ t: t[i], v: v[i] });\n";
  assert.equal(lint("lib/dedup/x.ts", text).length, 1);
  assert.equal(lint("lib/dedup/x_test.ts", text).length, 0);
  assert.equal(lint("lib/api/x.ts", text).length, 0);
  assert.equal(lint("lib/dedup/x.ts", "export const f = (t, v) => ({ t, v });\n").length, 0);
});
