import { strict as assert } from "node:assert";
import { bucketAcceptance } from "./acceptance.ts";
import { MemoryBucket } from "./bucket_memory.ts";
import { prefixBucket } from "./bucket_prefixed.ts";

bucketAcceptance(
  "prefixed",
  async () => {
    const inner = new MemoryBucket();
    await inner.upload("outside", new Uint8Array(1));
    await inner.upload("tenants/outside", new Uint8Array(1));
    return { bucket: prefixBucket(inner, "/tenants/a/") };
  },
  Deno.test,
);

Deno.test("prefixBucket() puts objects below the trimmed prefix", async () => {
  const inner = new MemoryBucket();
  const bucket = prefixBucket(inner, "//tenants/a/");
  await bucket.upload("x", new Uint8Array(1));
  assert.equal(await inner.exists("tenants/a/x"), true);
  assert.equal(bucket.name, inner.name);
});

Deno.test("prefixBucket() ignores a prefix of slashes only", () => {
  const inner = new MemoryBucket();
  for (const prefix of ["", "/", "///"]) assert.equal(prefixBucket(inner, prefix), inner);
});

Deno.test("prefixBucket() refuses a prefix that could leave the bucket", () => {
  for (const prefix of ["..", "a/../b", "a//b"]) {
    assert.throws(() => prefixBucket(new MemoryBucket(), prefix), /Cannot use object name/);
  }
});
