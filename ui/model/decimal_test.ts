import assert from "node:assert/strict";
import { readDecimal } from "./decimal.ts";
import { parseSample } from "./numbers.ts";

function read(text: string): number {
  const bytes = new TextEncoder().encode(`"${text}"`);
  return readDecimal(bytes, 1, bytes.length - 1);
}

Deno.test("readDecimal() reads what Number() reads, to the last bit", () => {
  // A small generator of its own: the same numbers in every run.
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const bits = new DataView(new ArrayBuffer(8));
  const texts: string[] = [];
  for (let i = 0; i < 40_000; i++) {
    const scaled = (random() - 0.5) * 10 ** Math.floor(random() * 30 - 12);
    texts.push(String(scaled), scaled.toFixed(Math.floor(random() * 20)));
    const digits = String(Math.floor(random() * 2 ** 53)) + String(Math.floor(random() * 100));
    const dot = Math.floor(random() * digits.length);
    texts.push(`${digits.slice(0, dot)}.${digits.slice(dot)}`, digits.slice(0, 1 + i % 19));
    bits.setUint32(0, random() * 2 ** 32);
    bits.setUint32(4, random() * 2 ** 32);
    texts.push(String(bits.getFloat64(0)));
  }
  for (const text of texts) {
    const want = parseSample(text);
    if (!Object.is(read(text), want)) assert.fail(`${text}: ${read(text)} instead of ${want}`);
  }
});

Deno.test("readDecimal() reads numbers between two doubles and at the edges as Number() does", () => {
  const texts = [
    "0",
    "-0",
    "00012",
    "0.000",
    "9007199254740993",
    "9007199254740992.5",
    "900719925474099.25",
    "9007199254740993.0",
    "90071992547409930",
    "900719925474099301",
    "0.1",
    "0.30000000000000004",
    "179769313486231570000",
    "1.7976931348623157e+308",
    "5e-324",
    "1e22",
    "1e23",
    "123456789012345678e4",
    "1e-22",
    "1e-23",
    "1.5E+3",
    "NaN",
    "+Inf",
    "-Inf",
    "Inf",
    "",
    "-",
    ".",
    ".5",
    "5.",
    "1.2.3",
    "1e",
    "1e+",
    "1e5x",
    "0x10",
    " 7",
    "1_000",
    "--1",
    "+5",
    "9".repeat(400),
    `0.${"0".repeat(30)}12345678901234567`,
    `${"0".repeat(40)}1.5`,
  ];
  for (const text of texts) {
    assert.ok(Object.is(read(text), parseSample(text)), `${text}: ${read(text)}`);
  }
});
