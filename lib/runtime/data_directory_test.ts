import { strict as assert } from "node:assert";
import { errorMessage } from "../base/mod.ts";
import { lockDataDirectory } from "./data_directory.ts";

Deno.test("lockDataDirectory() makes the directory and lets one process have it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-data-" });
  try {
    const path = `${folder}/a/b`;
    const held = await lockDataDirectory(path);
    assert.equal((await Deno.stat(path)).isDirectory, true);
    const script = `
      const file = await Deno.open(${JSON.stringify(`${path}/lock`)}, { write: true });
      console.log(await file.tryLock(true));
    `;
    const other = async () =>
      new TextDecoder().decode(
        (await new Deno.Command(Deno.execPath(), { args: ["eval", script] }).output()).stdout,
      ).trim();
    assert.equal(await other(), "false");
    await assert.rejects(() => lockDataDirectory(path), (error: unknown) => {
      assert.equal(
        errorMessage(error),
        `${path} is in use by another process; choose another directory with --data-dir`,
      );
      return true;
    });
    held.release();
    assert.equal(await other(), "true");
    (await lockDataDirectory(path)).release();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("lockDataDirectory() says in one line what is wrong with the directory", async () => {
  await assert.rejects(() => lockDataDirectory("/dev/null/x", "--data-dir"), (error: unknown) => {
    assert.match(errorMessage(error), /^cannot use --data-dir \/dev\/null\/x: [^\n]*$/);
    return true;
  });
});
