import assert from "node:assert/strict";
import {
  compareUtf8,
  decodeUtf8,
  encodeUtf8,
  encodeUtf8Into,
  formatDuration,
  formatFloatGeneral,
  formatFloatJson,
  formatFloatPlain,
  formatGoDuration,
  isUlid,
  makeUlid,
  MnemeError,
  parseDuration,
  parseGoDuration,
  ulidTime,
  utf8Length,
  xxhash64Into,
  xxhash64Text,
} from "./mod.ts";

Deno.test("compareUtf8() orders all pairs as their bytes do", () => {
  const words = [
    "",
    "a",
    "ab",
    "b",
    "é",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\uff5e",
    "\uffff",
    "\u{10000}",
    "\u{1F600}",
    "\u{1F600}a",
    "\u{10ffff}",
  ];
  for (const a of words) {
    for (const b of words) {
      const x = encodeUtf8(a);
      const y = encodeUtf8(b);
      let expected = x.length - y.length;
      for (let i = 0; i < Math.min(x.length, y.length); i++) {
        if (x[i] !== y[i]) {
          expected = x[i]! - y[i]!;
          break;
        }
      }
      assert.equal(Math.sign(compareUtf8(a, b)), Math.sign(expected), JSON.stringify([a, b]));
    }
  }
});

Deno.test("UTF-8 conversions agree with the platform for short and long texts", () => {
  for (
    const text of ["", "abc", "é", "x".repeat(100), "日本".repeat(30), "a\u{1F600}b", "\ud800"]
  ) {
    const bytes = encodeUtf8(text);
    assert.equal(utf8Length(text), bytes.length);
    const target = new Uint8Array(bytes.length + 4);
    assert.equal(encodeUtf8Into(text, target, 2), bytes.length);
    assert.deepEqual(target.slice(2, 2 + bytes.length), new Uint8Array(bytes));
    assert.equal(decodeUtf8(bytes), new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
  }
});

Deno.test("numbers print as Go prints them", () => {
  // value, style J, style F, style G.
  const rows: [number, string, string, string][] = [
    [0, "0", "0", "0"],
    [-0, "-0", "-0", "-0"],
    [1, "1", "1", "1"],
    [1e6, "1000000", "1000000", "1e+06"],
    [1e20, "100000000000000000000", "100000000000000000000", "1e+20"],
    [1e21, "1e+21", "1000000000000000000000", "1e+21"],
    [0.0001, "0.0001", "0.0001", "0.0001"],
    [0.00001, "0.00001", "0.00001", "1e-05"],
    [0.000001, "0.000001", "0.000001", "1e-06"],
    [9.99e-7, "9.99e-07", "0.000000999", "9.99e-07"],
    [1e-7, "1e-07", "0.0000001", "1e-07"],
    [-1.5e-7, "-1.5e-07", "-0.00000015", "-1.5e-07"],
    [1234567.125, "1234567.125", "1234567.125", "1.234567125e+06"],
    [123456.5, "123456.5", "123456.5", "123456.5"],
    [NaN, "NaN", "NaN", "NaN"],
    [Infinity, "+Inf", "+Inf", "+Inf"],
    [-Infinity, "-Inf", "-Inf", "-Inf"],
  ];
  for (const [x, j, f, g] of rows) {
    assert.equal(formatFloatJson(x), j);
    assert.equal(formatFloatPlain(x), f);
    assert.equal(formatFloatGeneral(x), g);
  }
  assert.equal(formatFloatPlain(5e-324).length, 326);
});

Deno.test("model durations parse and print as Prometheus' do", () => {
  const rows: [string, number, string][] = [
    ["0", 0, "0s"],
    ["5m", 300_000, "5m"],
    ["1h30m", 5_400_000, "1h30m"],
    ["90d", 90 * 86_400_000, "90d"],
    ["7d", 7 * 86_400_000, "1w"],
    ["365d", 365 * 86_400_000, "1y"],
    ["1s500ms", 1500, "1s500ms"],
  ];
  for (const [text, ms, printed] of rows) {
    assert.equal(parseDuration(text), ms);
    assert.equal(formatDuration(ms), printed);
  }
  for (const bad of ["", "5", "1.5m", "-5m", "5x", "1m1h", "5m5m", "99999999999y", " 5m"]) {
    assert.throws(() => parseDuration(bad), MnemeError, bad);
  }
  assert.throws(() => parseDuration("1.5m"), /unknown unit "\." in duration "1\.5m"/);
});

Deno.test("flag durations follow Go with d and w added", () => {
  const rows: [string, number, string][] = [
    ["1.5h", 5_400_000, "1h30m0s"],
    ["-30s", -30_000, "-30s"],
    ["1d", 86_400_000, "24h0m0s"],
    ["20ms", 20, "20ms"],
    ["1s20ms", 1020, "1.02s"],
    ["0", 0, "0s"],
    ["1µs", 0.001, "1µs"],
  ];
  for (const [text, ms, printed] of rows) {
    assert.equal(parseGoDuration(text), ms);
    assert.equal(formatGoDuration(ms), printed);
  }
  for (const bad of ["", "5", "h", "1x", "--1s"]) assert.throws(() => parseGoDuration(bad), bad);
});

Deno.test("ULIDs sort by time and reject everything else", () => {
  const a = makeUlid(1_790_208_000_000);
  const b = makeUlid(1_790_208_000_001);
  assert(a < b);
  assert.equal(ulidTime(a), 1_790_208_000_000);
  assert(isUlid(a));
  for (
    const bad of ["", a.slice(1), a + "0", "8" + a.slice(1), "I" + a.slice(1), a.slice(1) + "é"]
  ) {
    assert.equal(isUlid(bad), false, bad);
  }
});

Deno.test("xxHash64 equals the published value", () => {
  assert.equal(xxhash64Text(encodeUtf8("a")), String(0xd24ec4f1a98c6e5bn));
  const out = new Uint32Array(2);
  xxhash64Into(encodeUtf8("a"), out);
  assert.deepEqual([...out], [0xd24ec4f1, 0xa98c6e5b]);
});
