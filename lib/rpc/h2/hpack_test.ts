import assert from "node:assert/strict";
import { MnemeError } from "../../base/mod.ts";
import { Random } from "../../base/testing/random.ts";
import { encodeHeaders, type HeaderList, HpackDecoder } from "./hpack.ts";

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.replace(/\s/g, "").match(/../g) ?? [], (h) => parseInt(h, 16));
}

const REQUESTS: HeaderList[] = [
  [[":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "www.example.com"]],
  [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", "/"],
    [":authority", "www.example.com"],
    ["cache-control", "no-cache"],
  ],
  [
    [":method", "GET"],
    [":scheme", "https"],
    [":path", "/index.html"],
    [":authority", "www.example.com"],
    ["custom-key", "custom-value"],
  ],
];
const LOCATION: readonly [string, string] = ["location", "https://www.example.com"];
const RESPONSES: HeaderList[] = [
  [
    [":status", "302"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    LOCATION,
  ],
  [
    [":status", "307"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:21 GMT"],
    LOCATION,
  ],
  [
    [":status", "200"],
    ["cache-control", "private"],
    ["date", "Mon, 21 Oct 2013 20:13:22 GMT"],
    LOCATION,
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ],
];

/** Appendix C of RFC 7541: what one connection's blocks decode to. */
const EXAMPLES: { name: string; blocks: string[]; expected: HeaderList[] }[] = [
  {
    name: "C.2 single fields",
    blocks: [
      "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
      "040c2f73616d706c652f70617468",
      "100870617373776f726406736563726574",
      "82",
    ],
    expected: [
      [["custom-key", "custom-header"]],
      [[":path", "/sample/path"]],
      [["password", "secret"]],
      [[":method", "GET"]],
    ],
  },
  {
    name: "C.3 requests without Huffman",
    blocks: [
      "828684410f7777772e6578616d706c652e636f6d",
      "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    expected: REQUESTS,
  },
  {
    name: "C.4 requests with Huffman",
    blocks: [
      "828684418cf1e3c2e5f23a6ba0ab90f4ff",
      "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
    expected: REQUESTS,
  },
  {
    name: "C.6 responses with Huffman and a table of 256 bytes",
    blocks: [
      "3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff" +
      "6e919d29ad171863c78f0b97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7" +
      "b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
    expected: RESPONSES,
  },
];

for (const { name, blocks, expected } of EXAMPLES) {
  Deno.test(`HpackDecoder decodes RFC 7541 ${name}`, () => {
    const decoder = new HpackDecoder();
    blocks.forEach((hex, i) => assert.deepEqual(decoder.decode(bytesOf(hex)), expected[i]));
  });
}

Deno.test("encodeHeaders() is read back, whatever the lengths", () => {
  const random = new Random(5);
  for (const n of [0, 1, 126, 127, 128, 254, 255, 300, 20_000]) {
    const value = Array.from({ length: n }, () => String.fromCharCode(random.between(32, 126)));
    const headers: HeaderList = [["x-value", value.join("")], [`x-${"n".repeat(n)}`, ""]];
    assert.deepEqual(new HpackDecoder().decode(encodeHeaders(headers)), headers);
  }
});

Deno.test("HpackDecoder refuses hostile blocks", () => {
  const cases: Record<string, string> = {
    "index 0": "80",
    "index beyond both tables": "ff8001",
    "name index beyond both tables": "7f8001 01 61",
    "string past the block": "400a6162",
    "announced length of 2^32": "407fffffffff0f",
    "number without an end": "7fffffffffffff",
    "table larger than allowed": "3fe23f",
    "block ends in a number": "7f",
    "end symbol in a Huffman string": "0084ffffffff01",
    "Huffman padding with zeros": "008118 0161",
    "Huffman padding of a byte": "00821fff 0161",
  };
  for (const [name, hex] of Object.entries(cases)) {
    assert.throws(
      () => new HpackDecoder().decode(bytesOf(hex)),
      (e: unknown) => e instanceof MnemeError && e.kind === "bad_data",
      name,
    );
  }
  const random = new Random(9);
  for (let i = 0; i < 5000; i++) {
    const block = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
    try {
      new HpackDecoder().decode(block);
    } catch (error) {
      assert.ok(error instanceof MnemeError, String(error));
    }
  }
});

Deno.test("HpackDecoder stops at header lists that grow out of a small block", () => {
  // One entry of 4,000 bytes, then thousands of references to it.
  const value = "v".repeat(4000);
  const entry = [0x40, 1, 0x61, 0x7f, ...lengthBytes(value.length - 127)];
  const block = Uint8Array.from([
    ...entry,
    ...new TextEncoder().encode(value),
    ...new Array<number>(10_000).fill(0xbe),
  ]);
  assert.throws(() => new HpackDecoder().decode(block), /larger than 1 MiB/);
});

function lengthBytes(rest: number): number[] {
  const out: number[] = [];
  for (; rest >= 128; rest >>= 7) out.push((rest & 0x7f) | 0x80);
  return [...out, rest];
}
