import { strict as assert } from "node:assert";
import { errorKind, errorMessage } from "../base/mod.ts";
import { openBucket, type OpenBucketOptions } from "./open.ts";

async function fault(text: string, options?: OpenBucketOptions): Promise<string> {
  try {
    await openBucket(text, options);
  } catch (error) {
    assert.equal(errorKind(error), "bad_data");
    const message = errorMessage(error);
    assert.ok(!message.includes("\n"), message);
    return message;
  }
  return assert.fail(`accepted: ${text}`);
}

Deno.test("openBucket() opens a FILESYSTEM bucket, in any case, with a prefix", async () => {
  const folder = await Deno.makeTempDir({ prefix: "mneme-bucket-" });
  try {
    for (const type of ["FILESYSTEM", "filesystem"]) {
      const text = `type: ${type}\nconfig:\n  directory: ${folder}\n  unknown: 1\nprefix: /a/b/\n`;
      const bucket = await openBucket(text);
      assert.equal(bucket.provider, "FILESYSTEM");
      assert.equal(bucket.name, `fs: ${folder}`);
      await bucket.upload("x", new Uint8Array(1));
      assert.equal((await Deno.stat(`${folder}/a/b/x`)).size, 1);
    }
    await openBucket(`type: FILESYSTEM\nconfig: {directory: ${folder}}\n---\ntype: nonsense\n`);
    const hedged =
      `type: FILESYSTEM\nconfig: {directory: ${folder}}\nhedging_config: {enabled: true}`;
    await openBucket(hedged, { hedging: true });
    assert.match(await fault(hedged), /hedging_config: unknown key/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openBucket() says in one line what is wrong", async () => {
  const rows: [string, RegExp][] = [
    ["", /^bucket with type {2}is not supported, give a type: one of FILESYSTEM, S3, GCS, AZURE$/],
    [
      "type: FLOPPY",
      /^bucket with type FLOPPY is not supported, use one of FILESYSTEM, S3, GCS, AZURE$/,
    ],
    [
      "type: FILESYSTEM",
      /^create FILESYSTEM client: missing directory for filesystem bucket$/,
    ],
    ["type: FILESYSTEM\nconfig: [1]", /^create FILESYSTEM client: .*expected a map/],
    ["type: FILESYSTEM\nconfig: {directory: [a]}", /^create FILESYSTEM client: .*directory/],
    [
      "type: FILESYSTEM\nconfig: {directory: /tmp}\nprefx: a",
      /^parsing config YAML file: .*line 3: prefx: unknown key, did you mean 'prefix'/,
    ],
    ["type: [", /^parsing config YAML file: /],
    ["type: FILESYSTEM\nconfig: {directory: /tmp}\nprefix: ../x", /Cannot use object name/],
    ["just text", /^parsing config YAML file: .*expected a map/],
  ];
  for (const [text, expected] of rows) assert.match(await fault(text), expected, text);
  assert.match(await fault("a: 1", { source: "/etc/bucket.yml" }), /bucket\.yml: line 1: a:/);
});

Deno.test("openBucket() names providers that are not built yet", async () => {
  for (const type of ["SWIFT", "cos", "ALIYUNOSS", "BOS", "OBS", "OCI"]) {
    const name = type.toUpperCase();
    assert.equal(
      await fault(`type: ${type}\nconfig: {bucket: b}`),
      `create ${name} client: provider ${name} is not supported yet, use FILESYSTEM, S3, GCS, AZURE`,
    );
  }
});
