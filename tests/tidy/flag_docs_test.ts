/** The documentation of the flags is fresh, and every flag says what it does. */
import assert from "node:assert/strict";
import { COMMANDS } from "../../cmd/main.ts";
import type { CommandNode } from "../../lib/config/mod.ts";
import { flagPages, writtenPages } from "./flag_docs.ts";

Deno.test("docs/flags is what the flag tables say (deno task docs:flags)", async () => {
  const pages = await flagPages();
  const written = await writtenPages();
  assert.deepEqual([...written.keys()].sort(), [...pages.keys()].sort());
  for (const [name, text] of pages) {
    assert.ok(written.get(name) === text, `docs/flags/${name} is stale: run deno task docs:flags`);
  }
});

Deno.test("every flag has a help text, and no name is given twice in a command", async () => {
  const check = (node: CommandNode, taken: ReadonlySet<string>) => {
    const names = new Set(taken);
    for (const option of Object.values(node.flags).flatMap((entry) => entry.options)) {
      assert.match(option.help, /\S/, `--${option.name} of ${node.name}`);
      for (const name of [option.name, ...option.aliases]) {
        assert.ok(!names.has(name), `--${name} is defined twice in ${node.name}`);
        names.add(name);
      }
    }
    for (const command of node.commands ?? []) check(command, names);
  };
  for (const entry of COMMANDS) check(await entry.load(), new Set());
});
