/**
 * The compactor killed without warning, again and again, at moments spread over its work: after each
 * kill the bucket is read back, and in the end everything is compacted.
 *
 *   MNEME_KILLS=200 deno test -A tests/e2e/compact_kill_test.ts
 */
import assert from "node:assert/strict";
import { Random } from "../../lib/base/testing/random.ts";
import { FilesystemBucket } from "../../lib/objstore/mod.ts";
import {
  blocksOf,
  objectsOf,
  putBlock,
  putTwoHours,
  samplesOf,
  shapeOf,
} from "../../lib/compact/testing/blocks.ts";
import { Stage } from "../mneme.ts";

const root = new URL("../..", import.meta.url).pathname;
const KILLS = Number(Deno.env.get("MNEME_KILLS") ?? "8");

/** Runs the compactor once; kills it after `ms` when given. Returns false when it was killed. */
async function compact(folder: string, ms: number | undefined): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      `${root}cmd/main.ts`,
      "compact",
      `--objstore.config=${
        JSON.stringify({ type: "FILESYSTEM", config: { directory: `${folder}/bucket` } })
      }`,
      `--data-dir=${folder}/data`,
      "--consistency-delay=0s",
      "--delete-delay=0s",
      "--http-address=127.0.0.1:0",
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  let timer: ReturnType<typeof setTimeout> | undefined;
  if (ms !== undefined) timer = setTimeout(() => child.kill("SIGKILL"), ms);
  const { success, signal } = await child.status;
  clearTimeout(timer);
  assert(success || signal === "SIGKILL", "the compactor failed");
  return success;
}

/** Every meta.json must have all its files, with their sizes. */
async function checkFiles(bucket: FilesystemBucket): Promise<void> {
  const names = new Set(await objectsOf(bucket));
  for (const [ulid, { meta }] of await blocksOf(bucket)) {
    for (const { relPath, sizeBytes } of meta.thanos!.files) {
      assert(names.has(`${ulid}/${relPath}`), `${ulid}/${relPath} is missing`);
      if (sizeBytes === 0) continue;
      assert.equal((await bucket.attributes(`${ulid}/${relPath}`)).size, sizeBytes);
    }
  }
}

Deno.test(`CO10: a compactor killed ${KILLS} times loses no sample`, async () => {
  await using stage = await Stage.open();
  const random = new Random(7);
  let kills = 0;
  for (let round = 0; kills < KILLS; round++) {
    const folder = `${stage.folder}/round-${round}`;
    const bucket = new FilesystemBucket(`${folder}/bucket`);
    await putTwoHours(bucket, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
    await putTwoHours(bucket, [0, 2, 4, 6, 8], { labels: { cluster: "us1" } });
    await putBlock(bucket, { from: 0, to: 48, step: 600_000, labels: { cluster: "long" } });
    const expected = await samplesOf(bucket);
    // From the first look at the bucket to the last deletion, by what a whole run takes.
    for (let i = 0; i < 6 && kills < KILLS; i++) {
      if (await compact(folder, 120 + random.below(700))) break;
      kills++;
      await checkFiles(bucket);
      const found = await samplesOf(bucket);
      for (const [key, value] of expected) assert.equal(found.get(key), value, key);
    }
    assert(await compact(folder, undefined));
    assert(await compact(folder, undefined)); // Deletes what the one before marked.
    await checkFiles(bucket);
    const shape = await shapeOf(bucket);
    assert.deepEqual(shape, [
      "0-48 L1",
      "0-48 L1",
      "0-8 L2",
      "0-8 L2",
      "16-18 L1",
      "18-20 L1",
      "8-10 L1",
      "8-16 L2",
    ]);
    await Deno.remove(folder, { recursive: true });
  }
});
