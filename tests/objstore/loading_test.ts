/** A program without a bucket behind a network must not pay for the packages of one. */
import { strict as assert } from "node:assert";

Deno.test("packages of object storage are loaded only by a dynamic import", async () => {
  const folder = new URL("../../lib/objstore/", import.meta.url);
  const heavy = /from "(@aws-sdk\/|@azure\/|@google-cloud\/|\.\/bucket_(?:s3|gcs|azure)\.ts)/;
  let seen = 0;
  for await (const entry of Deno.readDir(folder)) {
    if (!entry.isFile || !entry.name.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(new URL(entry.name, folder));
    for (const [statement] of text.matchAll(/^(?:import|export)\b[^;]*;/gm)) {
      if (!heavy.test(statement)) continue;
      seen++;
      // Types leave no trace in the running program.
      assert.match(statement, /^import type\b/, `${entry.name}: ${statement}`);
    }
  }
  assert.ok(seen >= 3, "no import of a heavy package was found: is the pattern right?");
});
