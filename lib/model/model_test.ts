import assert from "node:assert/strict";
import {
  bitsOf,
  compareLabels,
  compileAnchored,
  compileReplace,
  dropLabels,
  equalLabels,
  formatLabels,
  isStaleAt,
  keepLabels,
  type Labels,
  labelsFromPairs,
  labelsFromRecord,
  labelsHashInput,
  labelsKey,
  makeMatcher,
  mergeLabels,
  quoteGo,
  SampleBatch,
  setStaleAt,
  withLabel,
} from "./mod.ts";

function every(names: string[], values: string[]): Labels[] {
  let sets: [string, string][][] = [[]];
  for (const n of names) {
    sets = sets.flatMap((s) => [s, ...values.map((v) => [...s, [n, v] as [string, string]])]);
  }
  return sets.map((s) => labelsFromPairs(s));
}

Deno.test("label operations agree with a map on all small label sets", () => {
  const all = every(["a", "b", "\u{1F600}"], ["1", "2"]);
  for (const x of all) {
    for (const y of all) {
      const merged = new Map<string, string>();
      for (let i = 0; i < x.length; i += 2) merged.set(x[i]!, x[i + 1]!);
      for (let i = 0; i < y.length; i += 2) merged.set(y[i]!, y[i + 1]!);
      assert(equalLabels(mergeLabels(x, y), labelsFromPairs(merged)));
      assert.equal(labelsKey(x) === labelsKey(y), equalLabels(x, y));
      assert.equal(compareLabels(x, y) === 0, equalLabels(x, y));
      assert.equal(Math.sign(compareLabels(x, y)), -Math.sign(compareLabels(y, x)) + 0);
    }
    for (const name of ["a", "b", "c"]) {
      const pairs = new Map<string, string>();
      for (let i = 0; i < x.length; i += 2) pairs.set(x[i]!, x[i + 1]!);
      pairs.set(name, "z");
      assert(equalLabels(withLabel(x, name, "z"), labelsFromPairs(pairs)));
      pairs.delete(name);
      assert(equalLabels(withLabel(x, name, ""), labelsFromPairs(pairs)));
      assert(equalLabels(dropLabels(x, new Set([name])), labelsFromPairs(pairs)));
      assert(equalLabels(
        keepLabels(x, new Set([name])),
        labelsFromPairs(
          [...pairs.keys()].length === x.length / 2 ? [] : [[name, x[x.indexOf(name) + 1]!]],
        ),
      ));
    }
  }
});

Deno.test("formatLabels() quotes as Go does", () => {
  assert.equal(
    formatLabels(labelsFromRecord({ __name__: "up", "a.b": 'x"\n', e: "é\u200b\u{1F600}" })),
    '{__name__="up", "a.b"="x\\"\\n", e="é\\u200b\u{1F600}"}',
  );
  assert.equal(quoteGo("\x00\x7f\\"), '"\\x00\\x7f\\\\"');
});

Deno.test("labelsHashInput() is name 0xFF value 0xFF", () => {
  assert.equal(labelsHashInput(labelsFromRecord({ a: "1", b: "é" })).toHex(), "61ff31ff62ffc3a9ff");
});

Deno.test("fast paths of patterns agree with RE2 itself", () => {
  const sources = [
    "",
    "a",
    "a|b",
    "(a|b)",
    "(?:a|b)",
    "a||b",
    ".*",
    ".+",
    "a.*",
    ".*a",
    ".*a.*",
    ".+a",
    "a.+",
    ".+a.+",
    "ab?",
    "ab*c",
    "a{2}",
    "a.c",
    "[ab]c",
    "(?i)A",
    "\\Qa.b\\E",
    "x(a|b)y",
    "é+",
    "a\\.b",
    "^a$",
    "a|b.*",
    "(a)(b)?",
    "😀?",
    "[[:alpha:]]+",
  ];
  const texts = [
    "",
    "a",
    "b",
    "ab",
    "abc",
    "A",
    "aa",
    "a.b",
    "axb",
    "a\nb",
    "xay",
    "xby",
    "é",
    "éé",
    "c",
    "ac",
    "bc",
    "abb",
    "😀",
    "a|b",
    "ba",
    "bab",
  ];
  for (const source of sources) {
    const fast = compileAnchored(source);
    const plain = compileReplace(source);
    for (const text of texts) {
      assert.equal(
        fast.matches(text),
        plain.match(text) !== undefined,
        `${source} on ${JSON.stringify(text)}`,
      );
      if (fast.literals !== undefined) {
        assert.equal(fast.literals.includes(text), fast.matches(text));
      }
      if (fast.matches(text)) {
        assert(text.startsWith(fast.prefix), `${source}: prefix ${fast.prefix}`);
      }
    }
  }
});

Deno.test("patterns outside RE2 are refused, and hostile ones stay linear", () => {
  for (const bad of ["a(", "a)(b", "(?=a)", "(?<!a)b", "a{1001}", "[", "*", "\\8", "a**"]) {
    assert.throws(() => compileAnchored(bad), /error parsing regexp/, bad);
  }
  const evil = compileAnchored("(a+)+b");
  assert.equal(evil.matches("a".repeat(5000)), false);
});

Deno.test("makeMatcher() treats absence as the empty string", () => {
  assert(makeMatcher("=", "x", "").matches(""));
  assert(makeMatcher("!=", "x", "a").matches(""));
  assert(makeMatcher("=~", "x", "a|").matches(""));
  assert(!makeMatcher("!~", "x", ".*").matches(""));
});

Deno.test("SampleBatch moves samples without losing a bit", () => {
  const a = new SampleBatch(2);
  for (let i = 0; i < 100; i++) {
    a.reserve(1);
    a.t[a.length] = i;
    a.v[a.length] = i / 7;
    a.length++;
  }
  setStaleAt(bitsOf(a.v), 50);
  a.ensureStartTimes()[50] = 49;
  const b = new SampleBatch(1);
  b.appendRange(a, 40, 60);
  b.appendRange(a, 60, 61);
  assert.equal(b.length, 21);
  assert(isStaleAt(bitsOf(b.v), 10));
  assert.equal(b.st![10], 49);
  b.dropFirst(10);
  assert(isStaleAt(bitsOf(b.v), 0));
  assert.equal(b.t[0], 50);
  assert.equal(b.length, 11);
});
