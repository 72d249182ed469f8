/**
 * The compactor as a process over a bucket on S3: compaction, downsampling, retention, deletion, and
 * exactly what is left in the bucket.
 */
import assert from "node:assert/strict";
import { DELETION_MARK_FILE, writeMark } from "../../lib/block/mod.ts";
import {
  blocksOf,
  HOUR,
  nextUlid,
  objectsOf,
  putBlock,
  putTwoHours,
  samplesOf,
  START,
} from "../../lib/compact/testing/blocks.ts";
import { openBucket } from "../../lib/objstore/mod.ts";
import { resolutionOf } from "../../lib/tsdb/mod.ts";
import { runCommand, type Server, Stage, until } from "../mneme.ts";
import { s3Document, startS3rver } from "../servers/object_storage.ts";

/** The old block ends at hour 48, the young ones begin here: retention falls between. */
const YOUNG = 3 * 336;

/** Sum of a metric over its series; -1 while there is none. */
async function metric(server: Server, name: string): Promise<number> {
  const page = await (await fetch(`${server.http}/metrics`)).text();
  const values = page.split("\n").filter((line) => /^[{ ]$/.test(line.charAt(name.length)))
    .filter((line) => line.startsWith(name)).map((line) => Number(line.split(" ").at(-1)));
  return values.length === 0 ? -1 : values.reduce((a, b) => a + b);
}

Deno.test("on S3 blocks are compacted, downsampled, expired and deleted, and nothing else is touched", async () => {
  await using stage = await Stage.open();
  const s3 = await startS3rver(["mneme"]);
  const document = s3Document(s3.port, "mneme");
  const bucket = await openBucket(document);
  try {
    const old = await putBlock(bucket, { from: 0, to: 48, labels: { cluster: "old" } });
    const hours = [0, 2, 4, 6, 8].map((hour) => YOUNG + hour);
    const young = await putTwoHours(bucket, hours);
    const overlapping = await putTwoHours(bucket, [YOUNG, YOUNG + 1], {
      labels: { cluster: "bad" },
    });
    const doomed = await putBlock(bucket, { from: 0, to: 2, labels: { cluster: "doomed" } });
    await writeMark(
      bucket,
      { ulid: doomed.ulid, time: START, details: "by hand", reason: "" },
      DELETION_MARK_FILE,
    );
    const partial = nextUlid();
    await bucket.upload(`${partial}/chunks/000001`, new Uint8Array(100));
    await bucket.upload("notes/readme.txt", new Uint8Array(10));
    const before = await samplesOf(bucket);
    const blocks = (await blocksOf(bucket)).size;

    // Whole hours of today's clock between the end of the old block and the young ones.
    const retention = Math.floor((Date.now() - START) / HOUR) - 400;
    const compactor = await stage.mneme("compact", [
      `--objstore.config=${document}`,
      `--data-dir=${stage.folder}/data`,
      "--consistency-delay=0s",
      "--delete-delay=0s",
      `--retention.resolution-raw=${retention}h`,
      "--wait",
      "--wait-interval=1s",
    ]);
    await until(
      "three iterations",
      async () => await metric(compactor, "thanos_compact_iterations_total") >= 3,
      60_000,
    );
    assert.equal(await metric(compactor, "thanos_compact_retries_total"), 0);
    assert.equal(await metric(compactor, "thanos_compact_group_compactions_total"), 1);
    assert.equal(await metric(compactor, "thanos_compact_downsample_total"), 1);
    assert.equal(await metric(compactor, "thanos_compact_halted"), 1);
    // Four sources, the old block once it was downsampled, and what was marked by hand.
    assert.equal(await metric(compactor, "thanos_compact_blocks_cleaned_total"), 6);
    const iterations = await metric(compactor, "thanos_compact_iterations_total");
    const requests = await metric(compactor, "thanos_objstore_bucket_operations_total");
    console.log(
      `${requests} requests for ${blocks} blocks in ${iterations} iterations: ` +
        `${(requests / blocks).toFixed(1)} a block`,
    );
    await compactor.child.stop();

    const left = [...(await blocksOf(bucket)).values()];
    assert.deepEqual(left.filter((block) => block.marked), []);
    assert.deepEqual(
      left.map(({ meta }) =>
        `${resolutionOf(meta)} ${(meta.minTime - START) / HOUR}-${
          (meta.maxTime - START) / HOUR
        } L${meta.compaction.level} of ${meta.compaction.sources.join("+")}`
      ).sort(),
      [
        `0 ${YOUNG}-${YOUNG + 8} L2 of ${young.slice(0, 4).map((m) => m.ulid).join("+")}`,
        `0 ${YOUNG + 8}-${YOUNG + 10} L1 of ${young[4]!.ulid}`,
        `0 ${YOUNG}-${YOUNG + 2} L1 of ${overlapping[0]!.ulid}`,
        `0 ${YOUNG + 1}-${YOUNG + 3} L1 of ${overlapping[1]!.ulid}`,
        `300000 0-48 L1 of ${old.ulid}`,
      ].sort(),
    );
    // All files of these blocks, what was no block's, and the object that clocks are compared by.
    const expected = left.flatMap(({ meta }) =>
      meta.thanos!.files.map((file) => `${meta.ulid}/${file.relPath}`)
    );
    assert.deepEqual(
      (await objectsOf(bucket)).sort(),
      [...expected, `${partial}/chunks/000001`, "notes/readme.txt", "debug/mneme-clock"].sort(),
    );
    for (const { meta } of left) {
      for (const { relPath, sizeBytes } of meta.thanos!.files) {
        if (sizeBytes === 0) continue;
        assert.equal((await bucket.attributes(`${meta.ulid}/${relPath}`)).size, sizeBytes);
      }
    }
    // Every raw sample of what did not expire, and the old block's count in its five minutes.
    const after = await samplesOf(bucket);
    const kept = new Map(
      [...before].filter(([key]) => !/cluster="(?:old|doomed)"/.test(key)),
    );
    assert.deepEqual(after, kept);
    const five = left.find(({ meta }) => resolutionOf(meta) > 0)!;
    assert.equal(five.meta.stats.numSamples, old.stats.numSamples / 5);
    const verify = await runCommand([
      "cmd/main.ts",
      "tools",
      "bucket",
      "verify",
      `--objstore.config=${document}`,
      "--issues=index_known_issues",
      "--depth=samples",
    ]);
    assert.equal(verify.code, 0, verify.stderr);
    assert.match(verify.stderr, /msg="verify done" blocks=5 issues=0/);
  } finally {
    await bucket.close();
    await s3.stop();
  }
});
