import assert from "node:assert/strict";
import { truncations } from "../../base/testing/exhaustive.ts";
import { Random } from "../../base/testing/random.ts";
import { RpcError } from "../status.ts";
import { compress, decompress } from "./compression.ts";

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (h) => parseInt(h, 16));
}

const ENCODINGS = ["gzip", "deflate", "snappy"] as const;

Deno.test("messages survive compression at every size that matters", () => {
  const random = new Random(2);
  for (const encoding of ENCODINGS) {
    for (const n of [0, 1, 100, 65_535, 65_536, 65_537, 200_000]) {
      const message = Uint8Array.from({ length: n }, () => random.below(8));
      const restored = decompress(encoding, compress(encoding, message), 1 << 20);
      assert.deepEqual(Uint8Array.from(restored), message, `${encoding} ${n}`);
    }
  }
});

Deno.test("the documented framed snappy example decodes", () => {
  const framed = "ff060000734e61507059 01 070000 6e57f121 616263";
  assert.deepEqual([...decompress("snappy", bytesOf(framed), 100)], [97, 98, 99]);
  // Padding and other chunks that may be skipped.
  const padded = "ff060000734e61507059 fe 020000 0000 80 010000 01 01 070000 6e57f121 616263";
  assert.deepEqual([...decompress("snappy", bytesOf(padded), 100)], [97, 98, 99]);
});

Deno.test("a message may not grow beyond the limit", () => {
  for (const encoding of ENCODINGS) {
    const bomb = compress(encoding, new Uint8Array(1_000_000));
    assert.throws(
      () => decompress(encoding, bomb, 999_999),
      (e: unknown) => e instanceof RpcError && e.kind === "limit",
      encoding,
    );
    assert.equal(decompress(encoding, bomb, 1_000_000).length, 1_000_000);
  }
});

Deno.test("broken and unknown encodings are errors of their own", () => {
  const cases: Record<string, string> = {
    "no stream identifier": "01 070000 6e57f121 616263",
    "wrong checksum": "ff060000734e61507059 01 070000 6e57f122 616263",
    "unknown chunk": "ff060000734e61507059 02 070000 6e57f121 616263",
    "chunk past the end": "ff060000734e61507059 01 080000 6e57f121 616263",
    "chunk without checksum": "ff060000734e61507059 01 030000 616263",
  };
  for (const [name, hex] of Object.entries(cases)) {
    assert.throws(() => decompress("snappy", bytesOf(hex), 100), /snappy/, name);
  }
  for (const encoding of ENCODINGS) {
    for (const part of truncations(compress(encoding, new Uint8Array(300).fill(3)))) {
      if (encoding === "snappy" && part.length <= 10) continue;
      assert.throws(() => decompress(encoding, part, 1000), RpcError, `${encoding} ${part.length}`);
    }
  }
  assert.throws(() => decompress("zstd", new Uint8Array(1), 100), {
    message: "rpc error: code = Unimplemented desc = " +
      'grpc: Decompressor is not installed for grpc-encoding "zstd"',
  });
});
