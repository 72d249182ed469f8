/** YAML: what is read, what is refused, and where errors point. */
import assert from "node:assert/strict";
import { parseYaml, splitYamlStream, type YamlLimits, yamlToPlain } from "./mod.ts";

const plain = (text: string, limits?: YamlLimits) => {
  const node = parseYaml(text, limits);
  return node === undefined ? undefined : yamlToPlain(node);
};

Deno.test("parseYaml() reads maps, lists, quotes, blocks and anchors", () => {
  assert.deepEqual(
    plain(`# comment
type: S3
config:
  "quoted key": 'single ''x'''
  number: 1e+06
  yes: true
  none: ~
  text: "1"
  block: |
    a
    b
base: &b {x: 1}
copy: *b
list: [1, {a: b}]
`),
    {
      type: "S3",
      config: {
        "quoted key": "single 'x'",
        number: 1e6,
        yes: true,
        none: null,
        text: "1",
        block: "a\nb\n",
      },
      base: { x: 1 },
      copy: { x: 1 },
      list: [1, { a: "b" }],
    },
  );
});

Deno.test("parseYaml() keeps the text of scalars", () => {
  const node = parseYaml("a: 007\nb: 1.0\nc: 01ARZ3NDEKTSV4RRFFQ69G5FAV");
  assert.ok(node?.kind === "map");
  assert.deepEqual([...node.entries.values()].map((n) => n.kind === "scalar" && n.text), [
    "007",
    "1.0",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  ]);
});

Deno.test("parseYaml() reads nothing from empty documents and only the first of several", () => {
  for (const text of ["", "\n# x\n", "---\n", "~", "null"]) assert.equal(plain(text), undefined);
  assert.deepEqual(plain("a: 1\n---\na: 2\n"), { a: 1 });
  assert.deepEqual(plain("# x\n---\na: 1\n---\n}{"), { a: 1 });
  assert.deepEqual(plain("a: |\n  ---\n  x\n"), { a: "---\nx\n" });
});

Deno.test("parseYaml() gives an alias the latest anchor before it", () => {
  const text = "a: &x 1\nb: &y [*x, &z 5]\nc: &x 2\nd: *y\ne: *x\nf: &z 6\ng: *y\nh: *z\n";
  assert.deepEqual(plain(text), { a: 1, b: [1, 5], c: 2, d: [1, 5], e: 2, f: 6, g: [1, 5], h: 6 });
  assert.throws(() => plain("a: *x\nb: &x 1\n"), /line 1: .*x/);
  const stars = Array.from({ length: 300 }, (_, i) => `k${i}: "*a"\nj${i}: a*b # *c\n`).join("");
  assert.equal(Object.keys(plain(stars) as object).length, 600);
});

const deep = (n: number) => "[".repeat(n) + "]".repeat(n);
const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"].concat(
  Array.from({ length: 12 }, (_, i) => {
    const [from, to] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)];
    return `${to}: &${to} [${Array(9).fill(`*${from}`).join(",")}]`;
  }),
).join("\n");

const REFUSED: readonly [string, string, RegExp][] = [
  ["duplicate keys", "a: 1\nb: 2\na: 3\n", /^f\.yml: line 3: key 'a' is given twice$/],
  ["a missing bracket", "a: [1, 2\nb: 3\n", /^f\.yml: line \d: [^\n]+$/],
  ["a tab as indent", "a:\n\tb: 1\n", /^f\.yml: line 2: [^\n]+$/],
  ["__proto__", "x:\n  __proto__: {a: 1}\n", /^f\.yml: line 2: key '__proto__' is not allowed$/],
  ["a map as key", "? {a: 1}\n: 2\n", /^f\.yml: line 1: keys must be plain text$/],
  ["an unknown anchor", "a: *nope\n", /^f\.yml: line 1: [^\n]*nope[^\n]*$/],
  ["deep nesting", deep(70), /^f\.yml: line 1: document is nested more than 64 levels deep$/],
  ["very deep nesting", deep(100_000), /^f\.yml: .*nested/],
  ["an alias bomb", bomb, /^f\.yml: line \d+: document has too many (?:values|aliases)$/],
  [
    "a chain of aliases",
    ["a0: &a0 {k: v}"].concat(
      Array.from({ length: 5000 }, (_, i) => `a${i + 1}: &a${i + 1} {k: *a${i}}`),
    ).join("\n"),
    /^f\.yml: line 102: document has too many aliases$/,
  ],
  ["an unknown tag", "a: !!js/function x\n", /^f\.yml: line 1: [^\n]+$/],
];

for (const [name, text, message] of REFUSED) {
  Deno.test(`parseYaml() refuses ${name}`, () => {
    assert.throws(() => plain(text, { name: "f.yml", maxNodes: 100_000 }), { message });
  });
}

Deno.test("parseYaml() refuses a long text before reading it", () => {
  assert.throws(() => plain("a".repeat(101), { maxLength: 100 }), {
    message: "document is longer than 100 bytes",
  });
});

async function* pieces(text: string, size: number): AsyncGenerator<string> {
  for (let i = 0; i < text.length; i += size) yield text.slice(i, i + size);
}

Deno.test("splitYamlStream() gives documents with their lines, however the text is cut", async () => {
  const text = "# head\na: 1\n---\n# only a comment\n---\nb: |\n  x\n--- # c\nc: 3\n...\n";
  for (const size of [1, 2, 3, 7, 100]) {
    const found: unknown[] = [];
    for await (const doc of splitYamlStream(pieces(text, size))) {
      found.push([doc.firstLine, plain(doc.text)]);
    }
    assert.deepEqual(found, [[1, { a: 1 }], [5, { b: "x\n" }], [8, { c: 3 }]]);
  }
});

Deno.test("splitYamlStream() names the line of an error in the stream and bounds documents", async () => {
  const docs: unknown[] = [];
  for await (const doc of splitYamlStream(pieces("a: 1\n---\nb: 1\nb: 2\n", 5))) {
    if (doc.firstLine > 1) {
      assert.throws(() => parseYaml(doc.text, { name: "stdin", firstLine: doc.firstLine }), {
        message: "stdin: line 4: key 'b' is given twice",
      });
    }
    docs.push(doc);
  }
  assert.equal(docs.length, 2);
  const endless = async () => {
    for await (const _ of splitYamlStream(pieces("x\n".repeat(100), 10), 50)) continue;
  };
  await assert.rejects(endless, { message: "line 1: document is longer than 50 bytes" });
});
