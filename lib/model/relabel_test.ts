import assert from "node:assert/strict";
import { MnemeError } from "../base/mod.ts";
import { formatLabels, labelsFromRecord, parseRelabelRules, relabel } from "./mod.ts";

const BASE = { a: "foo", b: "bar", c: "baz" };

function run(yaml: string, labels: Record<string, string> = BASE): string | undefined {
  const out = relabel(labelsFromRecord(labels), parseRelabelRules(yaml, "test"));
  return out === undefined ? undefined : formatLabels(out);
}

Deno.test("relabel() does what Prometheus' actions do", () => {
  const rows: [string, string, string | undefined][] = [
    [
      "replace with groups",
      "- {source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch${1}-ch${1}'}",
      '{a="foo", b="bar", c="baz", d="choo-choo"}',
    ],
    [
      "replace joins with the separator",
      "- {source_labels: [a, b], regex: 'f(.*);(.*)r', target_label: a, replacement: 'b$1${2}m'}",
      '{a="boobam", b="bar", c="baz"}',
    ],
    [
      "replace of what does not match changes nothing",
      "- {source_labels: [a], regex: 'x(.*)', target_label: d}",
      '{a="foo", b="bar", c="baz"}',
    ],
    [
      "an empty replacement removes the label",
      "- {target_label: a, replacement: ''}",
      '{b="bar", c="baz"}',
    ],
    [
      "the target may be a template",
      "- {source_labels: [a], regex: '(f)(.*)', target_label: 'x_${2}', replacement: $1}",
      '{a="foo", b="bar", c="baz", x_oo="f"}',
    ],
    ["the regex is anchored", "- {source_labels: [a], regex: o, action: keep}", undefined],
    ["keep", "- {source_labels: [a], regex: 'f.*', action: keep}", '{a="foo", b="bar", c="baz"}'],
    ["drop", "- {source_labels: [a], regex: 'f.*', action: DROP}", undefined],
    ["a missing label is empty", "- {source_labels: [zz], regex: '', action: drop}", undefined],
    ["keepequal", "- {source_labels: [a], target_label: b, action: keepequal}", undefined],
    [
      "dropequal",
      "- {source_labels: [a], target_label: b, action: dropequal}",
      '{a="foo", b="bar", c="baz"}',
    ],
    // Prometheus' own tests have these two numbers.
    [
      "hashmod",
      "- {source_labels: [c], target_label: d, action: hashmod, modulus: 1000}",
      '{a="foo", b="bar", c="baz", d="976"}',
    ],
    [
      "labelmap",
      "- {regex: '([ab])', replacement: '${1}_x', action: labelmap}",
      '{a="foo", a_x="foo", b="bar", b_x="bar", c="baz"}',
    ],
    ["labeldrop", "- {regex: '[ab]', action: labeldrop}", '{c="baz"}'],
    ["labelkeep", "- {regex: '[ab]', action: labelkeep}", '{a="foo", b="bar"}'],
    [
      "uppercase",
      "- {source_labels: [a], target_label: a, action: uppercase}",
      '{a="FOO", b="bar", c="baz"}',
    ],
    [
      "lowercase",
      "- {source_labels: [u], target_label: l, action: lowercase}",
      '{a="foo", b="bar", c="baz"}',
    ],
    [
      "rules follow each other",
      "- {source_labels: [a], target_label: t, action: hashmod, modulus: 2}\n" +
      "- {source_labels: [t], regex: '0', action: keep}\n- {regex: t, action: labeldrop}",
      '{a="foo", b="bar", c="baz"}',
    ],
  ];
  for (const [name, yaml, expected] of rows) assert.equal(run(yaml), expected, name);
});

Deno.test("hashmod spreads over all shards and takes an md5 beyond 2^53 exactly", () => {
  const yaml = "- {source_labels: [a], target_label: t, action: hashmod, modulus: 3}";
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) seen.add(run(yaml, { a: `v${i}` })!.split("t=")[1]!);
  assert.deepEqual([...seen].sort(), ['"0"}', '"1"}', '"2"}']);
  // md5("") = d41d8cd98f00b204e9800998ecf8427e; e9800998ecf8427e mod 1000003.
  assert.equal(
    run("- {source_labels: [zz], target_label: t, action: hashmod, modulus: 1000003}", { a: "x" }),
    `{a="x", t="${0xe9800998ecf8427en % 1000003n}"}`,
  );
});

Deno.test("parseRelabelRules() names what is wrong", () => {
  const rows: [string, RegExp][] = [
    ["- {action: shuffle}", /unknown relabel action "shuffle"/],
    ["- {action: hashmod, target_label: a}", /needs a modulus/],
    ["- {action: replace, source_labels: [a]}", /needs a target_label/],
    ["- {action: labeldrop, regex: a, source_labels: [a]}", /takes only regex/],
    ["- {action: keepequal, target_label: b, regex: x}", /takes only source_labels/],
    ["- {source_labels: [a], regex: '(', action: keep}", /error parsing regexp/],
    ["- {source_label: [a]}", /unknown key/],
    ["a: b", /expected a list/],
  ];
  for (const [yaml, expected] of rows) {
    assert.throws(() => parseRelabelRules(yaml, "--flag"), (error) => {
      assert(error instanceof MnemeError && error.kind === "bad_data");
      assert.match(error.message, expected, yaml);
      assert.match(error.message, /--flag/);
      return true;
    });
  }
  assert.throws(
    () => parseRelabelRules("- {target_label: a}", "--flag", ["keep", "drop", "hashmod"]),
    /action "replace" is not supported here/,
  );
  assert.deepEqual(parseRelabelRules("", "--flag"), []);
});
