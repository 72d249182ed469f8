import assert from "node:assert/strict";
import { withColumns } from "../api/bodies.ts";
import { MatrixScanner, type ScannedMatrix } from "./matrix_scanner.ts";

const GOLDEN = new URL("../../../shared/golden/http-answers.jsonl", import.meta.url);

function scan(bytes: Uint8Array, piece = bytes.length): ScannedMatrix | undefined {
  const scanner = new MatrixScanner();
  for (let i = 0; i < bytes.length; i += piece) scanner.push(bytes.subarray(i, i + piece));
  assert.equal(scanner.length, bytes.length);
  assert.equal(scanner.text(), new TextDecoder().decode(bytes));
  return scanner.finish();
}

/** What a scan gave, without the sharing of times. */
function seen({ envelope, columns }: ScannedMatrix): unknown {
  return withColumns(envelope as object, columns);
}

/** The same through JSON.parse alone. */
function wanted(text: string): unknown {
  return withColumns(JSON.parse(text), []);
}

const encode = (text: string) => new TextEncoder().encode(text);

const ANSWER = JSON.stringify({
  status: "success",
  data: {
    resultType: "matrix",
    result: [
      {
        metric: { __name__: "x", values: '[[1,"2"]]', 'q"\\': '\\"]}', "日本": "é👍" },
        values: [[1700000000, "1"], [1700000010.5, "-0.30000000000000004"], [
          1700000020.001,
          "NaN",
        ]],
      },
      { metric: { a: "1" }, values: [[1700000000, "+Inf"], [1700000010.5, "-Inf"]] },
      { metric: { a: "2" }, values: [[1700000000, "1e+22"], [1700000010.5, "5e-324"]] },
      {
        metric: {},
        values: [[-1.5, "123456789012345678"]],
        histograms: [[1, { count: "1", sum: "2", buckets: [[0, "1", "2", "1"]] }]],
      },
      { metric: { only: "histograms" }, histograms: [[1, { count: "1", sum: "2" }]] },
      { metric: { none: "" }, values: [] },
    ],
    stats: { values: [[1, "2"]], deeper: [{ values: [[1, "2"]] }] },
    analysis: { result: [{ values: [[1, "2"]] }] },
  },
  result: [{ values: [[1, "2"]] }],
  warnings: ['w: \u2028 "values":[[1,"2"]]'],
  infos: ["i"],
});

Deno.test("MatrixScanner gives what JSON.parse() gives, in pieces of any size", () => {
  const bytes = encode(ANSWER);
  for (const piece of [1, 2, 3, 7, 64, 1000, bytes.length]) {
    const scanned = scan(bytes, piece);
    assert.ok(scanned, `pieces of ${piece}`);
    assert.deepEqual(seen(scanned), wanted(ANSWER));
    assert.equal(scanned.columns.length, 5);
  }
});

Deno.test("MatrixScanner shares the times of series that have the same", () => {
  const { columns } = scan(encode(ANSWER))!;
  assert.equal(columns[1]!.times, columns[2]!.times);
  assert.notEqual(columns[0]!.times, columns[1]!.times);
});

Deno.test("MatrixScanner takes long series, and many", () => {
  const result = Array.from({ length: 50 }, (_, s) => ({
    metric: { s: String(s) },
    values: Array.from({ length: 40 * s }, (_, i) => [i * 15 + s % 2, String(Math.sin(s + i))]),
  }));
  const text = JSON.stringify({ status: "success", data: { resultType: "matrix", result } });
  for (const piece of [997, 65_536]) {
    assert.deepEqual(seen(scan(encode(text), piece)!), wanted(text));
  }
});

Deno.test("MatrixScanner gives up on what was cut off, wherever that was", () => {
  const bytes = encode(ANSWER);
  for (let end = 0; end < bytes.length; end++) {
    assert.equal(scan(bytes.subarray(0, end)), undefined, `cut at ${end}`);
  }
});

/** An answer with this text for the samples of one series. */
const around = (values: string) =>
  `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":${values}}]}}`;

Deno.test("MatrixScanner never takes what JSON.parse() refuses, and never reads it otherwise", () => {
  const strange = [
    "0",
    "3",
    '"x"',
    "null",
    "{}",
    "[",
    "[]]",
    "[[]]",
    "[[1]]",
    '[[1,"2"],]',
    '[,[1,"2"]]',
    '[[1,"2"][1,"2"]]',
    '[[1,"2",3]]',
    "[[1,2]]",
    '[["1","2"]]',
    '[[01,"2"]]',
    '[[1.,"2"]]',
    '[[.5,"2"]]',
    '[[-,"2"]]',
    '[[+1,"2"]]',
    '[[1e9,"2"]]',
    '[[--1,"2"]]',
    '[[12345678901234567890,"2"]]',
    '[[1700000000.1234567891,"2"]]',
    '[ [1, "2"] ]',
    '[[1,"2"]\n]',
    '[[1,"\\u0032"]]',
    '[[1,"é"]]',
    '[[1,"1\u00002"]]',
    '[[1,""]]',
    '[[1,"0x10"]]',
    '[[1,"abc"]]',
    `[[1,"${"9".repeat(300)}"]]`,
    `[[1,"${"9".repeat(5000)}"]]`,
    `[[${"1".repeat(5000)},"2"]]`,
    '[[1,"2"]],"values":[[3,"4"]]',
    '[[1,"2"]],"val\\u0075es":0',
    '[[1,"2"]],"val\\u0075es":[[5,"6"]]',
    '[[1,"2"]],"__proto__":{"values":[[1,"2"]]}',
    '[[1,"2"]]}],"result":[{"metric":{},"values":[[7,"8"]]',
    '[[1,"2"]]}]},"data":{"resultType":"matrix","result":[{"metric":{},"values":[[7,"8"]]',
    '[[1,"2"]]} {"metric":{}',
    '[[1,"2"]]}]}}{"x":[{"y":[{"z":1',
    `[[1,"2"]],"x":${"[".repeat(200)}${"]".repeat(200)}`,
    '[[1,"2"]]\ufeff',
    '[[1,"2"]]\u0000',
  ];
  for (const values of strange) {
    const text = around(values);
    let want: unknown;
    try {
      want = wanted(text);
    } catch {
      want = undefined;
    }
    for (const piece of [1, 3, text.length * 3]) {
      const scanned = scan(encode(text), piece);
      if (scanned === undefined) continue;
      assert.notEqual(want, undefined, `${values} is no JSON`);
      assert.deepEqual(seen(scanned), want, values);
    }
  }
});

Deno.test("MatrixScanner leaves answers of another shape as they are", () => {
  for (
    const text of [
      "null",
      "[]",
      '{"status":"error","error":"x","errorType":"execution"}',
      '{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
      '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}',
      '{"status":"success","data":[{"values":[[1,"2"]]}]}',
      '{"status":"success","data":{"result":{"a":{"values":[[1,"2"]]}},"resultType":"matrix"}}',
      '{"data":{"result":[[{"values":[[1,"2"]]}]]}}',
    ]
  ) {
    const scanned = scan(encode(text), 5);
    assert.ok(scanned, text);
    assert.deepEqual(scanned.envelope, JSON.parse(text));
    assert.deepEqual(scanned.columns, []);
  }
});

Deno.test({
  name: "MatrixScanner reads the golden range answers as JSON.parse() does",
  ignore: !exists(GOLDEN),
  fn: async () => {
    let ranges = 0;
    for (const line of (await Deno.readTextFile(GOLDEN)).trim().split("\n")) {
      const { body } = JSON.parse(line) as { readonly body: { data?: { resultType?: string } } };
      const text = JSON.stringify(body);
      const scanned = scan(encode(text), 4096);
      assert.ok(scanned, text.slice(0, 200));
      assert.deepEqual(seen(scanned), wanted(text));
      if (scanned.columns.length > 0) ranges++;
    }
    assert.ok(ranges > 100, `${ranges} answers with samples`);
  },
});

function exists(url: URL): boolean {
  try {
    Deno.statSync(url);
    return true;
  } catch {
    console.log(`skipped: no ${url.pathname}`);
    return false;
  }
}
