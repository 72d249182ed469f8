/** Sizes, Go strings, times, suggestions. */
import assert from "node:assert/strict";
import {
  closestWord,
  formatSize,
  MAX_TIME_LIMIT,
  MIN_TIME_LIMIT,
  parseRfc3339,
  parseSize,
  parseTimeOrDuration,
  unquoteGo,
} from "./mod.ts";

Deno.test("parseSize() is base 2 whatever the spelling", () => {
  const rows: [string, number][] = [
    ["0", 0],
    ["5B", 5],
    ["1KB", 1024],
    ["1KiB", 1024],
    ["250MB", 250 * 2 ** 20],
    ["1.5GiB", 1.5 * 2 ** 30],
    ["1GiB512MiB", 1.5 * 2 ** 30],
    ["1EB", 2 ** 60],
  ];
  for (const [text, bytes] of rows) assert.equal(parseSize(text), bytes, text);
  for (const text of ["", "5", "5kB", "x", "-1MB", "1.2.3MB", "8EB", "1e3MB"]) {
    assert.throws(() => parseSize(text), { message: /^units: / }, text);
  }
});

Deno.test("formatSize() prints what parseSize() reads", () => {
  for (const bytes of [0, 1, 1023, 1024, 1025, 250 * 2 ** 20, 2 ** 40 + 3]) {
    assert.equal(parseSize(formatSize(bytes)), bytes);
  }
  assert.equal(formatSize(2 ** 30 + 2 ** 29), "1GiB512MiB");
});

Deno.test("unquoteGo() reads Go's escapes", () => {
  const rows: [string, string][] = [
    ['""', ""],
    ['"a b"', "a b"],
    ['`a\\n"`', 'a\\n"'],
    ['"\\a\\b\\f\\n\\r\\t\\v\\\\\\""', '\x07\b\f\n\r\t\v\\"'],
    ['"\\x41\\102\\u00e9\\U0001F600"', "ABé😀"],
    ['"\\xc3\\xa9"', "é"],
    ['"é😀"', "é😀"],
  ];
  for (const [text, value] of rows) assert.equal(unquoteGo(text), value, text);
});

Deno.test("unquoteGo() refuses what Go refuses", () => {
  const rows = ["", '"', "a", "'a'", '"a', '"\\q"', '"\\x4"', '"\\400"', '"\\ud800"', '"a"b"'];
  for (const text of [...rows, '"\\xff"', '"a\nb"', "`a`b`", '"\\']) {
    assert.throws(() => unquoteGo(text), text);
  }
});

Deno.test("parseRfc3339() reads zones, fractions and leap days", () => {
  assert.equal(parseRfc3339("1970-01-01T00:00:00Z"), 0);
  assert.equal(parseRfc3339("1970-01-01T00:00:00.1239Z"), 123);
  assert.equal(parseRfc3339("1970-01-01T01:30:00+01:30"), 0);
  assert.equal(parseRfc3339("0000-01-01T00:00:00Z"), MIN_TIME_LIMIT);
  assert.equal(parseRfc3339("9999-12-31T23:59:59Z"), MAX_TIME_LIMIT);
  assert.equal(parseRfc3339("2024-02-29T00:00:00Z"), Date.UTC(2024, 1, 29));
  const wrong = ["2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-01-01T24:00:00Z"];
  for (const text of [...wrong, "2023-01-01", "2023-01-01T00:00:00", "2023-01-01 00:00:00Z"]) {
    assert.equal(parseRfc3339(text), undefined, text);
  }
});

Deno.test("parseTimeOrDuration() slides with the present", () => {
  const back = parseTimeOrDuration("-1h30m");
  assert.equal(back.at(10_000_000), 4_600_000);
  assert.equal(back.at(20_000_000), 14_600_000);
  assert.equal(back.text, "-1h30m");
  assert.equal(parseTimeOrDuration("6h").at(0), 21_600_000);
  const past = parseTimeOrDuration("6h", { bareIsPast: true });
  assert.equal(past.at(0), -21_600_000);
  assert.equal(past.text, "-6h");
  assert.equal(parseTimeOrDuration("-6h", { bareIsPast: true }).at(0), -21_600_000);
});

Deno.test("closestWord() finds typos and nothing far off", () => {
  const known = ["endpoint", "store", "http-address", "grpc-address"];
  assert.equal(closestWord("endpiont", known), "endpoint");
  assert.equal(closestWord("htp-address", known), "http-address");
  assert.equal(closestWord("sotre", known), "store");
  assert.equal(closestWord("xyz", known), undefined);
  assert.equal(closestWord("", known), undefined);
  assert.equal(closestWord("s".repeat(1000), known), undefined);
});
