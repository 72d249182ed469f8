import assert from "node:assert/strict";
import { Random } from "../base/testing/random.ts";
import { equalExpr, walkExpr } from "./ast.ts";
import { exprToJson } from "./ast_json.ts";
import { prettyExpr } from "./ast_pretty.ts";
import { parseExpr, parseSelector } from "./parser.ts";
import { byteOffset, ParseError } from "./parse_error.ts";
import { printExpr } from "./ast_print.ts";
import type { ParseOptions } from "./parse_options.ts";

const CORPUS = new URL("../../../shared/conformance/promql-parse.json", import.meta.url).pathname;
const ALL: ParseOptions = {
  experimentalFunctions: true,
  durationExpressions: true,
  extendedRangeSelectors: true,
  fillModifiers: true,
};

interface Case {
  readonly Input: string;
  readonly Fail: boolean;
  readonly Err: string;
  readonly Start: number;
  readonly End: number;
  readonly PrintedOK: string;
}

async function readCorpus(): Promise<Case[] | undefined> {
  try {
    return JSON.parse(await Deno.readTextFile(CORPUS)) as Case[];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test("parseExpr() answers Prometheus' own cases: texts, places, canonical print", async () => {
  const cases = await readCorpus();
  if (cases === undefined) return console.log(`skipped: ${CORPUS} is absent`);
  assert.ok(cases.length >= 237);
  const wrong: string[] = [];
  for (const c of cases) {
    let got: string;
    let wanted = c.PrintedOK;
    if (c.Fail) wanted = `${c.Err} @ ${c.Start}-${c.End}`;
    try {
      const expr = parseExpr(c.Input, ALL);
      got = printExpr(expr);
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      const start = byteOffset(c.Input, error.start);
      got = `${error.message} @ ${start}-${byteOffset(c.Input, error.end)}`;
    }
    if (got !== wanted) wrong.push(`${JSON.stringify(c.Input)}: got ${got}, want ${wanted}`);
  }
  assert.deepEqual(wrong, []);
});

Deno.test("parseExpr() answers or refuses deep and long queries quickly and clearly", () => {
  const refuses = (query: string, text: RegExp) =>
    assert.throws(() => parseExpr(query, { maxLength: 1 << 20 }), (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.match(error.message, text);
      return true;
    });
  const deep = /nested more than 1000 levels deep/;
  refuses("(".repeat(100_000), deep);
  refuses("(".repeat(100_000) + "1" + ")".repeat(100_000), deep);
  refuses("1" + "+1".repeat(20_000), deep);
  refuses("2" + "^2".repeat(20_000), deep);
  refuses("-".repeat(100_000) + "x", deep);
  refuses("sum(".repeat(20_000), deep);
  refuses("abs(".repeat(20_000) + "x", deep);
  refuses("foo[" + "(".repeat(20_000), deep);
  refuses("foo offset " + "-".repeat(20_000) + "5", deep);
  refuses("foo" + "[5m:1m]".repeat(20_000), deep);
  refuses("{".repeat(100_000), /unexpected left brace/);
  assert.ok(parseExpr("1" + "+1".repeat(900)));
  assert.ok(parseExpr("(".repeat(900) + "1" + ")".repeat(900)));
  assert.throws(() => parseExpr("x".repeat(70_000)), /query is too long: 70000 bytes/);
  assert.throws(() => parseExpr("é".repeat(40_000)), /query is too long: 80000 bytes/);
});

Deno.test("parseExpr() obeys feature flags with Prometheus' texts", () => {
  const off = (query: string, text: string, options: ParseOptions = {}) =>
    assert.throws(() => parseExpr(query, options), (error: unknown) => {
      assert.equal((error as Error).message, text);
      return true;
    });
  off("start()", '1:1: parse error: function "start" is not enabled');
  off(
    "limitk(1, foo)",
    "1:1: parse error: limitk() is experimental and must be enabled with " +
      "--enable-feature=promql-experimental-functions",
  );
  off("foo[5m] anchored", "1:1: parse error: anchored modifier is experimental and not enabled");
  off(
    "foo + fill(0) bar",
    "1:1: parse error: binop fill modifiers are experimental and not enabled",
  );
  off(
    "foo[step()]",
    "1:5: parse error: experimental duration expression is not enabled",
    { durationExpressions: false },
  );
  off("xrate(foo[5m])", '1:1: parse error: unknown function with name "xrate"');
  assert.ok(parseExpr("xrate(foo[5m])", { xFunctions: true }));
  assert.ok(parseExpr("foo + fill"), "fill without parentheses is a metric");
});

Deno.test("parseExpr() reads numbers and durations as Go does", () => {
  const value = (text: string) => {
    const expr = parseExpr(text);
    assert.equal(expr.type, "NumberLiteral");
    return expr.type === "NumberLiteral" ? expr.value : undefined;
  };
  for (
    const [text, want] of [
      ["1_000.5", 1000.5],
      ["0x_f", 15],
      ["0755", 493],
      ["08", 8],
      ["1.e5", 1e5],
      ["5m", 300],
      ["1d1ms", 86400.001],
      ["-5m", -300],
      ["iNF", Infinity],
      ["-Inf", -Infinity],
      ["NaN", NaN],
      ["-0", -0],
      ["0x7fffffffffffffff", 2 ** 63],
    ] as const
  ) assert.ok(Object.is(value(text), want), text);
  for (
    const [text, want] of [
      ["1__0", 'bad number or duration syntax: "1__"'],
      ["1e1000", 'error parsing number: strconv.ParseFloat: parsing "1e1000": value out of range'],
      ["0x", 'error parsing number: strconv.ParseFloat: parsing "0x": invalid syntax'],
      ["5s5m", 'not a valid duration string: "5s5m"'],
      ["1.5m", 'unknown unit "." in duration "1.5m"'],
    ] as const
  ) {
    assert.throws(() => parseExpr(text), (e: unknown) => {
      assert.equal((e as Error).message, `1:1: parse error: ${want}`);
      return true;
    });
  }
});

Deno.test("parseExpr() keeps bytes that are no UTF-8 through strings", () => {
  const expr = parseExpr('"\\xe2\\x98\\xba\\xff\\u00e9"');
  assert.equal(expr.type === "StringLiteral" && expr.value, "☺\udcffé");
  assert.equal(printExpr(expr), '"☺\\xffé"');
});

Deno.test("parseSelector() reads match[] and nothing else", () => {
  const names = (text: string) => parseSelector(text).map((m) => `${m.name}${m.type}${m.value}`);
  assert.deepEqual(names("up"), ["__name__=up"]);
  assert.deepEqual(names('{"a.b", x=~"y|z"}'), ["__name__=a.b", "x=~y|z"]);
  assert.deepEqual(names("sum{}"), ["__name__=sum"]);
  assert.deepEqual(names("a:b:c"), ["__name__=a:b:c"]);
  assert.throws(() => parseSelector("up[5m]"), /1:3: parse error: unexpected "\["/);
  assert.throws(() => parseSelector("sum(up)"), /1:4: parse error: unexpected "\("/);
  assert.throws(() => parseSelector('{a=~".*"}'), /must contain at least one non-empty matcher/);
  assert.equal(parseSelector('{a=~".*"}', true).length, 1);
  assert.throws(() => parseSelector(""), /unexpected end of input/);
});

Deno.test("printing and parsing again gives the same tree", async () => {
  const cases = await readCorpus();
  if (cases === undefined) return console.log(`skipped: ${CORPUS} is absent`);
  for (const c of cases.filter((one) => !one.Fail)) {
    const expr = parseExpr(c.Input, ALL);
    const text = printExpr(expr);
    assert.equal(printExpr(parseExpr(text, ALL)), text);
    // A plus sign of a computed offset is not printed.
    if (c.Input.includes("offset +")) continue;
    assert.ok(equalExpr(expr, parseExpr(text, ALL)), c.Input);
    assert.ok(equalExpr(expr, parseExpr(prettyExpr(expr), ALL)), c.Input);
  }
});

Deno.test("prettyExpr() splits what is longer than 100 bytes at its structure", () => {
  const query = "sum by (job) (rate(http_requests_total{code=~'5..'}[5m])) / " +
    'on (job) group_left () label_replace(sum by (job) (rate(http_requests_total[5m])), "a", "b", "c", "d")';
  assert.equal(
    prettyExpr(parseExpr(query)),
    `  sum by (job) (rate(http_requests_total{code=~"5.."}[5m]))
/ on (job) group_left ()
  label_replace(sum by (job) (rate(http_requests_total[5m])), "a", "b", "c", "d")`,
  );
});

Deno.test("exprToJson() gives the tree as the API does", () => {
  assert.equal(
    JSON.stringify(exprToJson(parseExpr('rate(foo{x="y"}[5m] @ 1.5) > bool 2'))),
    '{"bool":true,"lhs":{"args":[{"anchored":false,"matchers":[' +
      '{"name":"x","type":"=","value":"y"},{"name":"__name__","type":"=","value":"foo"}],' +
      '"name":"foo","offset":0,"offsetExpr":null,"range":300000,"rangeExpr":null,' +
      '"smoothed":false,"startOrEnd":null,"timestamp":1500,"type":"matrixSelector"}],' +
      '"func":{"argTypes":["matrix"],"name":"rate","returnType":"vector","variadic":0},' +
      '"type":"call"},"matching":null,"op":">","rhs":{"type":"numberLiteral","val":"2"},' +
      '"type":"binaryExpr"}',
  );
});

const PIECES = [
  ..."foo bar sum avg by on without bool offset @ start end step range fill anchored".split(" "),
  ..."( ) [ ] { } , : = =~ != + - * / % ^ < >= == </ and or unless \" ' ` \\ # \n é \udc00".split(
    " ",
  ),
  "5m",
  "1e3",
  "0x",
  "[5m:1m]",
  '{a="b"}',
  "rate(",
  "topk(1,",
  "on(a)",
  "group_left",
  "fill(1)",
];

Deno.test("parseExpr() answers damaged queries with a tree or a ParseError inside the text", async () => {
  const random = new Random(20_261_124);
  const seeds = (await readCorpus())?.map((c) => c.Input) ?? ["sum by (a) (rate(foo[5m])) > 1"];
  let valid = 0;
  for (let i = 0; i < 6000; i++) {
    let query = seeds[random.below(seeds.length)]!;
    for (let k = random.below(4); k >= 0; k--) {
      const at = random.below(query.length + 1);
      const cut = random.below(3) === 0 ? 1 + random.below(4) : 0;
      query = query.slice(0, at) + PIECES[random.below(PIECES.length)]! + query.slice(at + cut);
    }
    try {
      const expr = parseExpr(query, ALL);
      valid++;
      const text = printExpr(expr);
      assert.equal(printExpr(parseExpr(text, ALL)), text, JSON.stringify(query));
      walkExpr(expr, ({ start, end }) => {
        assert.ok(0 <= start && start <= end && end <= query.length, JSON.stringify(query));
      });
    } catch (error) {
      if (!(error instanceof ParseError)) throw new Error(JSON.stringify(query), { cause: error });
      assert.ok(error.start <= error.end || error.text.includes("bool"), JSON.stringify(query));
      assert.ok(error.end <= query.length, JSON.stringify(query));
    }
  }
  assert.ok(valid > 200, `only ${valid} were valid`);
});

Deno.test("times beyond all bounds are told with all their digits", () => {
  for (
    const text of ["1e20", "1e21", "1.5e22", "-1e23", "123456789e40", "1.7976931348623157e308"]
  ) {
    assert.throws(
      () => parseExpr(`up @ ${text}`),
      (e: unknown) =>
        (e as Error).message.endsWith(
          `timestamp out of bounds for @ modifier: ${BigInt(Number(text))}.000000`,
        ),
      text,
    );
  }
});
