import assert from "node:assert/strict";
import { findFiles } from "./find_files.ts";

Deno.test("findFiles() finds by star, question mark and class, sorted", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/sub-1`);
    await Deno.mkdir(`${folder}/sub-2`);
    for (
      const name of ["b.yml", "a.json", "a.yml", "c.txt", "sub-1/x.yml", "sub-2/y.yml", "*.yml"]
    ) {
      await Deno.writeTextFile(`${folder}/${name}`, "");
    }
    const names = (pattern: string) =>
      findFiles(`${folder}/${pattern}`).map((path) => path.slice(folder.length + 1));
    assert.deepEqual(names("*.yml"), ["*.yml", "a.yml", "b.yml"]);
    assert.deepEqual(names("?.yml"), ["*.yml", "a.yml", "b.yml"]);
    assert.deepEqual(names("[ab].*"), ["a.json", "a.yml", "b.yml"]);
    assert.deepEqual(names("[^b-z].yml"), ["*.yml", "a.yml"]);
    assert.deepEqual(names("\\*.yml"), ["*.yml"]);
    assert.deepEqual(names("sub-*/*.yml"), ["sub-1/x.yml", "sub-2/y.yml"]);
    assert.deepEqual(names("a.json"), ["a.json"]);
    assert.deepEqual(names("nothing*"), []);
    assert.deepEqual(names("a.json/*"), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
