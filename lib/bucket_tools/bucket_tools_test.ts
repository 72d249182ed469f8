import { strict as assert } from "node:assert";
import { listBlocks } from "../block/mod.ts";
import { FilesystemBucket, MemoryBucket } from "../objstore/mod.ts";
import { SystemFiles } from "../tsdb/mod.ts";
import { goldenBlocks } from "../tsdb/testing/golden.ts";
import { MemoryFiles } from "../tsdb/testing/memory_files.ts";
import {
  printBlocks,
  printTable,
  readMetas,
  selectBlocks,
  verifyBucket,
  type VerifyBucketOptions,
} from "./mod.ts";

const OBSERVER = { synced() {}, cacheBust() {}, warn() {} };

/** The golden bucket; undefined where it is not. */
function goldenBucket(): FilesystemBucket | undefined {
  const first = goldenBlocks(["bucket-compacted"])[0];
  return first === undefined
    ? undefined
    : new FilesystemBucket(first.slice(0, first.lastIndexOf("/")));
}

Deno.test("printBlocks() lists ids, lines and documents", async () => {
  const bucket = goldenBucket();
  if (bucket === undefined) return;
  const metas = await readMetas(bucket, [], OBSERVER);
  assert.equal(metas.length, 24);
  assert.equal(printBlocks(metas.slice(0, 2), "").split("\n").length, 3);
  assert.equal(
    printBlocks(metas.slice(0, 1), "wide"),
    "01M81RX905E5DJBZY9TMFCZHA5 -- 2026-10-09T16:00:00Z - 2026-10-09T17:59:45Z " +
      "Diff: 1h59m45.05s, Compaction: 1, Downsample: 0, Source: sidecar\n",
  );
  assert.equal(JSON.parse(printBlocks(metas.slice(0, 1), "json")).ulid, metas[0]!.ulid);
});

Deno.test("printTable() selects, sorts and quotes", async () => {
  const bucket = goldenBucket();
  if (bucket === undefined) return;
  const metas = await readMetas(bucket, [], OBSERVER);
  const some = selectBlocks(metas, [["replica", "1"]]);
  assert.equal(some.length, 12);
  const csv = printTable(some, ["#samples"], "csv").split("\n");
  assert.match(csv[0]!, /^ULID,FROM,UNTIL,RANGE,UNTIL-DOWN,#SERIES,#SAMPLES/);
  assert.match(csv.at(-2)!, /"763,189"/);
  assert.match(printTable(some, [], "tsv").split("\n")[1]!, /\t34\t4,\d{3}\t/);
  const table = printTable(metas, ["RESOLUTION"], "table").split("\n");
  assert.match(table[0]!, /^\| {12}ULID {12}\| /);
  assert.match(table[1]!, /^\|-{28}\|-/);
  assert.match(table.at(-2)!, /\| 1h0m0s /);
  assert.throws(() => printTable(metas, ["size"], "table"), { kind: "bad_data" });
});

async function findings(options: Partial<VerifyBucketOptions> & { bucket: MemoryBucket }) {
  const files = new MemoryFiles();
  files.mkdir("tmp");
  const metas = await readMetas(options.bucket, [], OBSERVER);
  const found = verifyBucket(metas, {
    files,
    directory: "tmp",
    issues: ["index_known_issues", "overlapped_blocks", "duplicated_compaction"],
    ids: [],
    depth: "chunks",
    ...options,
  });
  const all = await Array.fromAsync(found);
  assert.deepEqual(files.list("tmp"), []);
  return all.map(({ issue, blocks, message }) => [issue, blocks.length, message] as const);
}

async function copyOf(names: readonly string[]): Promise<MemoryBucket> {
  const bucket = new MemoryBucket();
  const system = new SystemFiles();
  for (const directory of names) {
    const ulid = directory.slice(-26);
    for (const file of ["index", "chunks/000001", "meta.json"]) {
      const opened = system.open(`${directory}/${file}`);
      const bytes = new Uint8Array(opened.size);
      opened.readAt(bytes, 0);
      opened.close();
      await bucket.upload(`${ulid}/${file}`, bytes);
    }
  }
  return bucket;
}

Deno.test("verifyBucket() finds damage, overlaps and doubles, and nothing in a sound bucket", async () => {
  const blocks = goldenBlocks(["bucket-compacted"]);
  if (blocks.length === 0) return;
  const bucket = await copyOf(blocks.slice(0, 3));
  assert.deepEqual(await findings({ bucket }), []);
  const [first] = [...await listBlocks(bucket)][0]!;
  const segment = (await bucket.get(`${first}/chunks/000001`)).slice();
  segment[100]! ^= 1;
  await bucket.upload(`${first}/chunks/000001`, segment);
  // A second block that says it is the same as the first one.
  const double = `${first.slice(0, 25)}Z`;
  const text = new TextDecoder().decode(await bucket.get(`${first}/meta.json`));
  await bucket.upload(
    `${double}/meta.json`,
    new TextEncoder().encode(text.replace(`"ulid": "${first}"`, `"ulid": "${double}"`)),
  );
  const found = await findings({ bucket });
  assert.deepEqual(found.map(([issue, n]) => [issue, n]), [
    ["index_known_issues", 1],
    ["index_known_issues", 1],
    ["overlapped_blocks", 2],
    ["duplicated_compaction", 1],
  ]);
  assert.match(found[0]![2], /^broken: 1 damaged chunks.*000001/);
  assert.match(found[1]![2], /index/);
  // The index alone is sound.
  assert.deepEqual(
    await findings({ bucket, issues: ["index_known_issues"], ids: [first], depth: "index" }),
    [],
  );
  await assert.rejects(findings({ bucket, issues: ["nothing"] }), /no such issue ID nothing/);
});
